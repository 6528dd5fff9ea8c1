package load

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/lsst-ts/csu/compiler/internal/model"
	"github.com/lsst-ts/csu/executor/exit"
)

// types are the upgrade types.
var types = []string{"full", "incremental", "recovery"}

// request loads and checks one upgrade.
func (p *project) request(site *model.Site, typ, file string) (*model.Request, error) {
	if !slices.Contains(types, typ) {
		return nil, exit.Unusable("", "unknown upgrade type %q%s; types are %s", typ, suggest(typ, types), quoted(types))
	}
	if file == "" {
		file = filepath.Join(p.root, "sites", site.Name, requests)
	}
	abs, err := filepath.Abs(file)
	if err != nil {
		return nil, exit.Unusable("", "load the upgrade: %w", err)
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

// only drops the problems that CUE found in the requests of other types.
func (s *source) only(typ string) {
	s.cue = slices.DeleteFunc(s.cue, func(p cueProblem) bool {
		return len(p.at) > 1 && p.at[0] == "upgrade" && p.at[1] != typ && slices.Contains(types, p.at[1])
	})
}

// requestCheck reads and checks a request.
type requestCheck struct {
	*source
	site    *model.Site
	req     *model.Request
	at      path
	subject string
}

// run reads the request and reports its problems.
func (c *requestCheck) run() {
	if !c.lookup(c.at).Exists() {
		asked := c.names(path{"upgrade"})
		c.report(path{"upgrade"}, c.subject, fmt.Sprintf("no request for type %s; the file has %s", c.req.Type, quoted(asked)),
			fmt.Sprintf("add upgrade: %s, or use another --type", c.req.Type))
		return
	}
	c.read()
	c.cycle()
	switch c.req.Type {
	case "full":
		c.revisions()
	case "incremental":
		c.something()
		c.changed()
		c.added()
		c.removed()
		c.queues()
		c.lists()
	}
}

// read reads the fields.
func (c *requestCheck) read() {
	f := c.parts(c.at)
	req := c.req
	req.Pos, req.Places = c.places.of(c.at), c.places
	req.Date, req.Cycle, req.Reason = f.text("date"), f.text("cycle"), f.prose("reason")
	req.Phalanx = f.text("phalanx")
	req.Attempt, _ = f.number("attempt")
	req.Queue, _ = f.number("queue")
	req.BreaksSchema, req.SyncSasquatch, req.CriosDone = f.flag("breaksSchema"), f.flag("syncSasquatch"), f.flag("criosDone")
	req.CriosFirst = f.flag("criosFirst")
	req.Applications, req.Hosts = f.texts("applications"), f.texts("hosts")
	req.StartBridges, req.IntegrationTestingFollows = f.flag("startBridges"), f.flag("integrationTestingFollows")
	req.QueuesStay, req.Removed = f.flag("queuesStay"), f.texts("removed")
	for _, change := range f.structs("changed") {
		req.Changed = append(req.Changed, c.readChange(change))
	}
	for _, name := range c.names(c.at.with("added")) {
		req.Added = append(req.Added, c.source.csc(c.at.with("added", name), name))
	}
	branches := c.at.with("branches")
	for _, name := range c.names(branches) {
		req.Branches = append(req.Branches, model.Branch{Repository: name, Branch: c.parts(branches).text(name)})
	}
}

// cycle compares the cycle with the deployed one.
func (c *requestCheck) cycle() {
	at := c.at.with("cycle")
	if c.req.Type == "full" {
		if c.req.Cycle == c.site.Cycle && c.req.Attempt == 1 {
			c.report(at, c.subject+": cycle", fmt.Sprintf("%s is already deployed", c.req.Cycle),
				"request an incremental upgrade, give the new cycle, or raise attempt if this repeats an aborted upgrade")
		}
		return
	}
	if c.req.Cycle == "" {
		c.req.Cycle = c.site.Cycle
	}
	if c.req.Cycle != c.site.Cycle {
		c.report(at, c.subject+": cycle", fmt.Sprintf("is %s, but %s is deployed; only a full upgrade changes the cycle", c.req.Cycle, c.site.Cycle),
			"remove it, or request a full upgrade")
	}
}

// revisions reads the revisions of a full upgrade.
func (c *requestCheck) revisions() {
	revisions := c.at.with("revisions")
	for _, name := range c.names(revisions) {
		one := revisions.with(name)
		revision, _ := c.parts(revisions).number(name)
		c.req.Revisions = append(c.req.Revisions, model.Change{Pos: c.places.of(one), CSC: name, Pinned: true, Revision: revision})
		if csc, ok := c.csc(one, c.subject+": revisions", name); ok && csc.Application == "" {
			c.report(one, c.subject+": revisions", fmt.Sprintf("CSC %s runs on host %s and has no image of the cycle", name, csc.Host), "remove it")
		}
	}
}

// lists checks what an incremental upgrade names besides CSCs.
func (c *requestCheck) lists() {
	var applications, hosts []string
	for _, a := range c.site.Applications {
		applications = append(applications, a.Name)
	}
	applications = append(applications, c.site.Others...)
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
					remedy = "use one of " + quoted(list.known)
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
