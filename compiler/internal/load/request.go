package load

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/lsst-ts/csu/compiler/internal/model"
)

// types are the upgrade types that can be asked for.
var types = []string{"full", "incremental", "recovery"}

// rawRequest is an upgrade as CUE has it, of whatever type.
type rawRequest struct {
	Date    string
	Attempt int
	Cycle   string
	Reason  string
	Queue   int

	BreaksSchema, SyncSasquatch, CriosDone bool

	Changed             []rawChange
	Applications, Hosts []string

	StartBridges, IntegrationTestingFollows bool
}

type rawChange struct {
	CSC      string
	Revision *int
}

// request loads and checks one upgrade.
func (p *project) request(site *model.Site, typ, file string) (*model.Request, error) {
	if !slices.Contains(types, typ) {
		return nil, fmt.Errorf("no upgrade type %q%s; there are %s", typ, suggest(typ, types), quoted(types))
	}
	if file == "" {
		file = filepath.Join(p.root, "sites", site.Name, requests)
	}
	abs, err := filepath.Abs(file)
	if err != nil {
		return nil, fmt.Errorf("load the upgrade: %w", err)
	}
	p.given[abs] = file
	name := p.relative(abs)
	if !strings.HasSuffix(abs, ".cue") {
		return nil, &Problems{Input: "upgrade", All: []Problem{{
			Pos: model.Pos{File: name, Line: 1, Column: 1}, Subject: "upgrade", Text: "the file's name does not end in .cue",
			Remedy: "write the upgrade in CUE, as in sites/" + site.Name + "/" + requests,
		}}}
	}
	src := p.read(typ+" upgrade of "+name, upgrades, []string{abs})
	req := &model.Request{Type: typ}
	if src.usable {
		c := &requestCheck{source: src, site: site, req: req, at: path{"upgrade", typ}, subject: typ + " upgrade"}
		src.guard(c.run)
		src.only(typ)
	}
	if err := src.problems(); err != nil {
		return nil, err
	}
	return req, nil
}

// only drops what CUE found in the requests of the other types: they are not
// asked for now.
func (s *source) only(typ string) {
	s.cue = slices.DeleteFunc(s.cue, func(p cueProblem) bool {
		return len(p.at) > 1 && p.at[0] == "upgrade" && p.at[1] != typ && slices.Contains(types, p.at[1])
	})
}

// requestCheck is a request that is being read.
type requestCheck struct {
	*source
	site    *model.Site
	req     *model.Request
	at      path
	subject string
}

// run reads the request and reports what is wrong with it.
func (c *requestCheck) run() {
	if !c.lookup(c.at).Exists() {
		asked := c.names(path{"upgrade"})
		c.report(path{"upgrade"}, c.subject, fmt.Sprintf("%s is not asked for; what is asked for: %s", c.req.Type, quoted(asked)),
			fmt.Sprintf("write it below upgrade: %s, or take another --type", c.req.Type))
		return
	}
	c.read()
	c.cycle()
	switch c.req.Type {
	case "full":
		c.revisions()
	case "incremental":
		c.changed()
		c.lists()
	}
}

// read takes the fields over.
func (c *requestCheck) read() {
	var r rawRequest
	for _, f := range []struct {
		name string
		into any
	}{
		{"date", &r.Date}, {"attempt", &r.Attempt}, {"cycle", &r.Cycle}, {"reason", &r.Reason}, {"queue", &r.Queue},
		{"breaksSchema", &r.BreaksSchema}, {"syncSasquatch", &r.SyncSasquatch}, {"criosDone", &r.CriosDone},
		{"changed", &r.Changed}, {"applications", &r.Applications}, {"hosts", &r.Hosts},
		{"startBridges", &r.StartBridges}, {"integrationTestingFollows", &r.IntegrationTestingFollows},
	} {
		c.decode(c.at.with(f.name), f.into)
	}
	req := c.req
	req.Pos, req.Places = c.places.of(c.at), c.places.index()
	req.Date, req.Attempt, req.Cycle, req.Reason, req.Queue = r.Date, r.Attempt, r.Cycle, fold(r.Reason), r.Queue
	req.BreaksSchema, req.SyncSasquatch, req.CriosDone = r.BreaksSchema, r.SyncSasquatch, r.CriosDone
	req.Applications, req.Hosts = r.Applications, r.Hosts
	req.StartBridges, req.IntegrationTestingFollows = r.StartBridges, r.IntegrationTestingFollows
	for i, ch := range r.Changed {
		change := model.Change{Pos: c.places.of(c.at.with("changed", strconv.Itoa(i))), CSC: ch.CSC, Pinned: ch.Revision != nil}
		if ch.Revision != nil {
			change.Revision = *ch.Revision
		}
		req.Changed = append(req.Changed, change)
	}
	for _, name := range c.names(c.at.with("branches")) {
		branch := model.Branch{Repository: name}
		c.decode(c.at.with("branches", name), &branch.Branch)
		req.Branches = append(req.Branches, branch)
	}
}

// cycle checks the cycle against the one that is deployed.
func (c *requestCheck) cycle() {
	at := c.at.with("cycle")
	if c.req.Type == "full" {
		if c.req.Cycle == c.site.Cycle && c.req.Attempt == 1 {
			c.report(at, c.subject+": cycle", fmt.Sprintf("%s is the cycle that is deployed, so that nothing would change", c.req.Cycle),
				"ask for an incremental upgrade, name the new cycle, or raise attempt if this repeats an upgrade that was aborted")
		}
		return
	}
	if c.req.Cycle == "" {
		c.req.Cycle = c.site.Cycle
	}
	if c.req.Cycle != c.site.Cycle {
		c.report(at, c.subject+": cycle", fmt.Sprintf("is %s, but %s is deployed, and only a full upgrade brings another cycle", c.req.Cycle, c.site.Cycle),
			"leave it out, or ask for a full upgrade")
	}
}

// revisions reads the revisions of a full upgrade.
func (c *requestCheck) revisions() {
	for _, name := range c.names(c.at.with("revisions")) {
		one := c.at.with("revisions", name)
		change := model.Change{Pos: c.places.of(one), CSC: name, Pinned: true}
		c.decode(one, &change.Revision)
		c.req.Revisions = append(c.req.Revisions, change)
		if csc, ok := c.csc(one, c.subject+": revisions", name); ok && csc.Application == "" {
			c.report(one, c.subject+": revisions", fmt.Sprintf("CSC %s runs on host %s and has no image of the cycle", name, csc.Host), "remove it")
		}
	}
}

// changed checks the CSCs that an incremental upgrade changes.
func (c *requestCheck) changed() {
	subject := c.subject + ": changed"
	if at := c.at.with("changed"); len(c.req.Changed) == 0 && !c.wrong(at) {
		c.report(at, subject, "names no CSC, so that there is nothing to upgrade", "name the CSCs that change, each with its revision")
	}
	seen := map[string]bool{}
	for i, change := range c.req.Changed {
		one := c.at.with("changed", strconv.Itoa(i))
		if change.CSC == "" {
			continue // CUE has said that it is missing
		}
		if seen[change.CSC] {
			c.report(one, subject, fmt.Sprintf("names CSC %s twice", change.CSC), "remove one of them")
			continue
		}
		seen[change.CSC] = true
		if csc, ok := c.csc(one.with("csc"), subject, change.CSC); ok {
			c.change(one, subject, change, csc)
		}
	}
}

// change checks the revision of one CSC.
func (c *requestCheck) change(at path, subject string, change model.Change, csc *model.CSC) {
	name := csc.Name()
	switch {
	case csc.Application == "" && change.Pinned:
		c.report(at.with("revision"), subject, fmt.Sprintf("CSC %s runs on host %s and has no image with a revision", name, csc.Host), "remove the revision")
	case csc.Application != "" && csc.Pinned && !change.Pinned:
		c.report(at, subject, fmt.Sprintf("CSC %s has revision %d, and no new one is given", name, csc.Revision), fmt.Sprintf("add revision: %d, or whichever it is", csc.Revision+1))
	case change.Pinned && csc.Pinned && change.Revision <= csc.Revision:
		c.report(at.with("revision"), subject, fmt.Sprintf("revision %d of CSC %s is not above revision %d, which is deployed (%s)", change.Revision, name, csc.Revision, csc.Pos),
			"raise it, or bring the inventory up to date")
	}
}

// lists checks what an incremental upgrade names beside the CSCs.
func (c *requestCheck) lists() {
	var applications, hosts []string
	for _, a := range c.site.Applications {
		applications = append(applications, a.Name)
	}
	for i := range c.site.Hosts {
		hosts = append(hosts, c.site.Hosts[i].Name)
	}
	for _, list := range []struct {
		name, noun   string
		asked, known []string
	}{
		{"applications", "application", c.req.Applications, applications},
		{"hosts", "host", c.req.Hosts, hosts},
	} {
		for i, name := range list.asked {
			at := c.at.with(list.name, strconv.Itoa(i))
			switch {
			case !slices.Contains(list.known, name):
				meant, remedy := suggest(name, list.known), "correct it, or remove it"
				if meant == "" {
					remedy = "take one of " + quoted(list.known)
				}
				c.report(at, c.subject+": "+list.name, fmt.Sprintf("names the %s %q, which the site does not have%s", list.noun, name, meant), remedy)
			case slices.Contains(list.asked[:i], name):
				c.report(at, c.subject+": "+list.name, fmt.Sprintf("names the %s %q twice", list.noun, name), "remove one of them")
			}
		}
	}
}

// csc returns a CSC that the request names, or reports that there is none.
func (c *requestCheck) csc(at path, subject, name string) (*model.CSC, bool) {
	csc, ok := c.site.CSC(name)
	if !ok {
		var names []string
		for i := range c.site.CSCs {
			names = append(names, c.site.CSCs[i].Name())
		}
		c.report(at, subject, fmt.Sprintf("names CSC %s, which the site does not have%s", name, suggestCSC(name, names)), "correct it, or remove it")
	}
	return csc, ok
}
