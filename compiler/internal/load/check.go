package load

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/lsst-ts/csu/compiler/internal/model"
)

// These are the checks that no single field can make. Most are also in
// schema/cross.cue for the stock cue command; here they also give the position and
// suggest corrections.

// siteCheck is a site with its names.
type siteCheck struct {
	*source
	site         *model.Site
	folder       string
	cscs         []string // all of them
	speaking     []string // those with a SAL component
	outside      []string // those that hosts run
	hosts        []string
	applications []string
}

// checkSite reports inconsistencies between the parts of a site.
func checkSite(s *source, site *model.Site, folder string) {
	c := &siteCheck{source: s, site: site, folder: folder}
	c.outside = s.names(path{"site", "outside"})
	for i := range site.CSCs {
		name := site.CSCs[i].Name()
		c.cscs = append(c.cscs, name)
		if site.CSCs[i].Component != "" {
			c.speaking = append(c.speaking, name)
		}
	}
	for i := range site.Hosts {
		c.hosts = append(c.hosts, site.Hosts[i].Name)
	}
	for _, a := range site.Applications {
		c.applications = append(c.applications, a.Name)
	}
	c.top()
	c.jobs()
	c.twice()
	c.needed()
	c.outsiders()
	c.states()
	for i := range site.Hosts {
		c.host(&site.Hosts[i])
	}
	c.recovery()
	c.facts()
	for i := range site.Testing {
		c.sequence(&site.Testing[i])
	}
}

// top checks the top-level fields of the files, which CUE does not restrict.
func (c *siteCheck) top() {
	for _, name := range c.names(nil) {
		if name != "site" {
			c.report(path{name}, name, "unknown top-level field in a site's files"+suggest(name, []string{"site"}),
				"move it below site, or to "+requests+" if it is an upgrade")
		}
	}
	at := path{"site", "name"}
	switch {
	case !c.lookup(path{"site"}).Exists():
		c.report(path{"site"}, "site "+c.folder, "no file has the field site", "add site: schema.#Site & {...} to one of them")
	case c.site.Name != "" && c.site.Name != c.folder:
		c.report(at, "name", fmt.Sprintf("is %q but the folder is %q", c.site.Name, c.folder), "name the site like its folder")
	}
}

// jobs checks the CSCs of the cluster.
func (c *siteCheck) jobs() {
	claimed := map[string]string{}
	for i := range c.site.CSCs {
		csc := &c.site.CSCs[i]
		if csc.Application == "" {
			continue
		}
		at := path{"site", "cscs", csc.Name()}
		subject := "CSC " + csc.Name()
		namespace := csc.Application
		if app, ok := c.site.Application(csc.Application); ok {
			namespace = app.Namespace
		} else {
			c.report(at.with("application"), subject,
				fmt.Sprintf("is in the application %q, which the site does not have%s", csc.Application, suggest(csc.Application, c.applications)),
				"correct it, or add it to the site's applications")
		}
		job := namespace + "/" + csc.Job
		if other, ok := claimed[job]; ok {
			c.report(at.with("job"), subject, fmt.Sprintf("runs as the Job %s, like CSC %s (%s)", job, other, c.places.of(path{"site", "cscs", other})),
				"give one of them its own Job, or remove it")
			continue
		}
		claimed[job] = csc.Name()
	}
}

// twice reports CSCs that are listed twice, which CUE unifies.
func (c *siteCheck) twice() {
	for _, list := range []struct{ name, field string }{{"cscs", "job"}, {"outside", "host"}} {
		for _, name := range c.names(path{"site", list.name}) {
			all := c.places.all(path{"site", list.name, name, list.field})
			if len(all) < 2 {
				continue
			}
			// Drop the conflicts between the two entries: they follow from this problem.
			c.cue = slices.DeleteFunc(c.cue, func(p cueProblem) bool { return p.at.below(path{"site", list.name, name}) })
			for _, again := range all[1:] {
				c.fromGo = append(c.fromGo, Problem{
					Pos: c.places.pos(again.label), Subject: "CSC " + name,
					Text:   fmt.Sprintf("is listed twice, first at %s", c.places.pos(all[0].label)),
					Remedy: "remove one of them, or give it its own index",
				})
			}
		}
	}
	for _, name := range c.outside {
		if at := (path{"site", "cscs", name}); c.lookup(at).Exists() {
			c.report(path{"site", "outside", name}, "CSC "+name, fmt.Sprintf("is also in the cluster (%s)", c.places.of(at)), "remove one of them")
		}
	}
}

// needed checks that the CSCs that every upgrade needs exist.
func (c *siteCheck) needed() {
	for _, name := range everywhere {
		if !slices.Contains(c.cscs, name) {
			c.report(path{"site", "cscs"}, "CSC "+name, "is missing, but every upgrade needs it", "add it to the inventory")
		}
	}
}

// outsiders checks the CSCs that hosts run.
func (c *siteCheck) outsiders() {
	for _, name := range c.outside {
		csc, _ := c.site.CSC(name)
		if csc == nil || csc.Host == "" {
			continue
		}
		at := path{"site", "outside", name}
		host, ok := c.site.Host(csc.Host)
		switch {
		case !ok:
			c.report(at.with("host"), "CSC "+name, fmt.Sprintf("runs on the host %q, which the site does not have%s", csc.Host, suggest(csc.Host, c.hosts)),
				"correct it, or add it to the site's hosts")
		case !runs(host, name) && !slices.ContainsFunc(c.site.Hosts, func(h model.Host) bool { return runs(&h, name) }):
			c.report(at.with("host"), "CSC "+name, fmt.Sprintf("runs on the host %q, but no service there names it", csc.Host),
				"add it to the service that runs it")
		}
		if csc.Bridge != (csc.ComesUp == "OFFLINE_AVAILABLE") {
			c.report(at, "CSC "+name, "camera bridges, and no other CSCs, come up OFFLINE_AVAILABLE", "correct bridge or comesUp")
		}
	}
}

// runs reports whether one of the host's services runs the CSC.
func runs(h *model.Host, csc string) bool {
	return slices.ContainsFunc(h.Services, func(s model.Service) bool { return slices.Contains(s.CSCs, csc) })
}

// states checks the lists of summary states.
func (c *siteCheck) states() {
	at := path{"site", "states"}
	seen := map[string]bool{}
	for i, name := range c.site.States.Enable {
		one := at.with("enable", strconv.Itoa(i))
		if seen[name] {
			c.report(one, "states.enable", fmt.Sprintf("names CSC %s twice", name), "remove one of them")
		}
		seen[name] = true
		c.known(one, "states.enable", name)
	}
	for _, k := range c.site.States.Keep {
		c.known(at.with("keep", k.CSC), "states.keep", k.CSC)
		if seen[k.CSC] {
			c.report(at.with("keep", k.CSC), "states.keep", fmt.Sprintf("CSC %s is also in states.enable", k.CSC), "remove it from one of them")
			continue
		}
		c.keep(at.with("keep", k.CSC), k.CSC)
	}
	for i, name := range c.site.States.Absent {
		if slices.Contains(c.cscs, name) {
			c.report(at.with("absent", strconv.Itoa(i)), "states.absent", fmt.Sprintf("names CSC %s, which the site has", name), "remove it from the list")
		}
	}
}

// known reports a name that is not a CSC of the site.
func (c *siteCheck) known(at path, subject, name string) {
	if slices.Contains(c.speaking, name) {
		return
	}
	c.report(at, subject, fmt.Sprintf("names CSC %s, which the site does not have%s", name, suggestCSC(name, c.speaking)),
		"remove it, or add it to the inventory")
}

// host checks one host.
func (c *siteCheck) host(h *model.Host) {
	at := path{"site", "hosts", h.Name}
	subject := "host " + h.Name
	for i, name := range h.Serves {
		c.known(at.with("serves", strconv.Itoa(i)), subject, name)
	}
	if h.Checkout != nil {
		c.user(at.with("checkout", "user"), subject+": checkout", h, h.Checkout.User)
	}
	for i := range h.Services {
		s := &h.Services[i]
		below := at.with("services", s.Name)
		subject := subject + ": service " + s.Name
		c.runsThese(below.with("cscs"), subject, h, s)
		for purpose, commands := range s.Commands() {
			c.user(below.with(purpose, "user"), subject+": "+purpose, h, commands.User)
		}
		if crio := h.Role == model.CRIO; crio && s.Update != nil && s.Build == nil && !c.wrong(below.with("build")) {
			c.report(below, subject, "has update but no build, which a cRIO needs", "add build, which makes what update copies")
		} else if !crio && s.Build != nil {
			c.report(below.with("build"), subject, "has build, but builds run on cRIOs only", "move its commands to update")
		}
		if s.Keep != "" && c.keepsKnown() && !slices.ContainsFunc(s.CSCs, c.keepsState) {
			c.report(below.with("keep"), subject, "has keep, but none of its CSCs keeps its state", "add the CSC to states.keep, or remove keep")
		}
		if s.Keep != "" && (s.Stop == nil || s.Start == nil) {
			c.report(below, subject, "has keep, but no commands to stop and start it, which it needs if its CSC changes", "add stop and start")
		}
	}
}

// runsThese checks the CSCs that a service names.
func (c *siteCheck) runsThese(at path, subject string, h *model.Host, s *model.Service) {
	for i, name := range s.CSCs {
		csc, ok := c.site.CSC(name)
		one := at.with(strconv.Itoa(i))
		switch {
		case !ok || !slices.Contains(c.outside, name):
			c.report(one, subject, fmt.Sprintf("runs CSC %s, which is not among the CSCs outside the cluster%s", name, suggestCSC(name, c.outside)),
				"correct it, or add it there with this host")
		case !slices.Contains(c.hosts, csc.Host): // reported for the CSC
		case csc.Host != h.Name:
			c.report(one, subject, fmt.Sprintf("runs CSC %s, whose host is %q (%s)", name, csc.Host, csc.Pos), "correct one of them")
		case csc.Bridge != (h.Role == model.Camera):
			c.report(one, subject, fmt.Sprintf("runs CSC %s, but camera bridges, and no other CSCs, run on hosts with the role camera", name),
				"correct the host's role, or the CSC's bridge")
		}
	}
}

// user reports an account that a host does not have.
func (c *siteCheck) user(at path, subject string, h *model.Host, name string) {
	if name == "" || slices.ContainsFunc(h.Users, func(u model.User) bool { return u.Name == name }) {
		return
	}
	var users []string
	for _, u := range h.Users {
		users = append(users, u.Name)
	}
	c.report(at, subject, fmt.Sprintf("runs as user %q, which the host does not have%s", name, suggest(name, users)),
		fmt.Sprintf("add the user to the host, or use one of its users (%s)", quoted(users)))
}

// recovery checks the lists of hosts of a recovery.
func (c *siteCheck) recovery() {
	at := path{"site", "recovery"}
	for i, name := range c.site.Recovery.StartCRIOs {
		one := at.with("startCRIOs", strconv.Itoa(i))
		h, ok := c.hostOf(one, "recovery.startCRIOs", name)
		if ok && (h.Role != model.CRIO || !slices.ContainsFunc(h.Services, func(s model.Service) bool { return s.Start != nil })) {
			c.report(one, "recovery.startCRIOs", fmt.Sprintf("names %q, which is not a cRIO with a service that can be started", name), "correct it, or remove it")
		}
	}
	for i, name := range c.site.Recovery.Restart {
		one := at.with("restart", strconv.Itoa(i))
		h, ok := c.hostOf(one, "recovery.restart", name)
		if ok && !slices.ContainsFunc(h.Services, func(s model.Service) bool { return s.Stop != nil && s.Start != nil }) {
			c.report(one, "recovery.restart", fmt.Sprintf("names %q, which has no service that can be stopped and started", name), "add the commands, or remove it")
		}
	}
	for _, r := range c.site.Recovery.Reboot {
		one := at.with("reboot", r.Host)
		if h, ok := c.hostOf(one, "recovery.reboot", r.Host); ok {
			c.user(one.with("user"), "recovery.reboot: "+r.Host, h, r.User)
		}
	}
}

// hostOf returns a host that a list names, or reports that there is none.
func (c *siteCheck) hostOf(at path, subject, name string) (*model.Host, bool) {
	h, ok := c.site.Host(name)
	if !ok {
		c.report(at, subject, fmt.Sprintf("names the host %q, which the site does not have%s", name, suggest(name, c.hosts)),
			"correct it, or add it to the site's hosts")
	}
	return h, ok
}

// sequence checks one sequence of minimal testing.
func (c *siteCheck) sequence(seq *model.TestSequence) {
	at := path{"site", "testing", seq.Name}
	for i, name := range seq.Telescope {
		if !slices.Contains(c.cscs, name) && !slices.Contains(c.applications, name) {
			c.report(at.with("telescope", strconv.Itoa(i)), "testing."+seq.Name,
				fmt.Sprintf("names %q, which is neither an application nor a CSC of the site%s", name, suggest(name, c.applications)+suggestCSC(name, c.cscs)),
				"correct it, or remove it")
		}
	}
	seen := map[string]bool{}
	for i, step := range seq.Steps {
		if seen[step.ID] && step.ID != "" {
			c.report(at.with("steps", strconv.Itoa(i), "id"), "testing."+seq.Name, fmt.Sprintf("has two steps with the id %q", step.ID), "give each step its own id")
		}
		seen[step.ID] = true
	}
}

// splitName splits a SAL name.
func splitName(name string) (component string, index int, ok bool) {
	component, digits, ok := strings.Cut(name, ":")
	if !ok {
		return "", 0, false
	}
	index, err := strconv.Atoi(digits)
	return component, index, err == nil && component != ""
}
