package load

import (
	"fmt"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // an operator's machine may have no zones, and a plan must not depend on it

	"github.com/lsst-ts/csu/compiler/internal/model"
)

// everywhere are the CSCs that every upgrade uses.
var everywhere = []string{"Watcher:0", "ScriptQueue:1", "ScriptQueue:2", "ScriptQueue:3"}

// facts checks what the site says of itself as a whole.
func (c *siteCheck) facts() {
	root := path{"site"}
	if zone := c.site.TimeZone; zone != "" {
		if _, err := time.LoadLocation(zone); err != nil {
			c.report(root.with("timeZone"), "timeZone", fmt.Sprintf("there is no time zone %q", zone), "give its name in the IANA database, such as America/Santiago")
		}
	}
	if at := root.with("testing"); c.site.TestStand && len(c.site.Testing) == 0 && !c.wrong(at) {
		c.report(at, "testing", "is empty, and the site is a test stand, which is tested after an upgrade", "define the test of auxtel or maintel, or set testStand to false")
	}
	for _, seq := range c.site.Testing {
		i := slices.IndexFunc(seq.Steps, func(t model.TestStep) bool { return t.Images })
		if c.site.TrackingOnly && i >= 0 {
			c.report(root.with("testing", seq.Name), "testing."+seq.Name, fmt.Sprintf("has the step %q, which is about images, and the telescopes of this site only track", seq.Steps[i].ID),
				"take testing.#Tracking of the sequence, or set trackingOnly to false")
		}
	}
	c.closedLoop()
	for i := range c.site.Hosts {
		c.crio(&c.site.Hosts[i])
	}
}

// closedLoop checks the mirror that must be in closed-loop control.
func (c *siteCheck) closedLoop() {
	m := c.site.ClosedLoop
	if m == nil || m.CSC == "" {
		return
	}
	at := path{"site", "closedLoop", "csc"}
	c.known(at, "closedLoop", m.CSC)
	csc, ok := c.site.CSC(m.CSC)
	switch {
	case !ok:
	case csc.Job == "":
		c.report(at, "closedLoop", fmt.Sprintf("CSC %s runs on host %s, and a recovery brings it back by a sync of its application", m.CSC, csc.Host), "name a CSC of the cluster")
	case csc.Principal == "":
		c.report(at, "closedLoop", fmt.Sprintf("CSC %s has no principal, who must agree before the mirror is touched", m.CSC), "give the CSC a principal")
	}
}

// crio wants the service of a cRIO to be started by a recovery: no sync does it.
func (c *siteCheck) crio(h *model.Host) {
	started := c.site.Recovery.StartCRIOs
	misspelt := slices.ContainsFunc(started, func(name string) bool { return !slices.Contains(c.hosts, name) })
	if h.Role != model.CRIO || slices.Contains(started, h.Name) || misspelt || c.wrong(path{"site", "recovery"}) {
		return
	}
	for _, s := range h.Services {
		if len(s.CSCs) > 0 {
			c.report(path{"site", "hosts", h.Name}, "host "+h.Name, fmt.Sprintf("is a cRIO that runs CSC %s, and no recovery starts it where it is silent", s.CSCs[0]),
				"add the host to recovery.startCRIOs")
			return
		}
	}
}

// keep checks that a CSC can keep its state through an upgrade: only what stays
// up can, and it stays up only if nothing else on its host has to go down.
func (c *siteCheck) keep(at path, name string) {
	csc, ok := c.site.CSC(name)
	if !ok || !slices.Contains(c.speaking, name) {
		return // said by known
	}
	say := func(remedy, format string, args ...any) {
		c.report(at, "states.keep", fmt.Sprintf("CSC %s can't keep its state: ", name)+fmt.Sprintf(format, args...), remedy)
	}
	if slices.Contains(everywhere, name) {
		say("remove it from states.keep", "every upgrade takes it down and brings it back")
		return
	}
	if csc.Job != "" {
		say("remove it from states.keep, and put it into states.enable if it is to end ENABLED", "it runs in the cluster, where an upgrade deletes its Job and starts a new one")
		return
	}
	if csc.Bridge {
		say("remove it from states.keep", "it is a camera bridge, which an upgrade stops")
		return
	}
	host, ok := c.site.Host(csc.Host)
	if !ok {
		return // said of the CSC
	}
	others := c.others(host)
	switch {
	case len(others) > 0:
		say("keep all of them, or move them to different hosts, or remove it from states.keep", "its host %s also runs %s, which an upgrade stops", host.Name, strings.Join(others, ", "))
	case csc.Principal == "" && host.Principal == "":
		say("give the CSC or its host a principal", "it has no principal, who must agree before it is touched")
	case slices.Contains(c.site.Recovery.Restart, host.Name):
		say("remove the host from recovery.restart, or the CSC from states.keep", "a recovery restarts its host %s", host.Name)
	case slices.ContainsFunc(c.site.Recovery.Reboot, func(r model.Reboot) bool { return r.Host == host.Name }):
		say("remove the host from recovery.reboot, or the CSC from states.keep", "a recovery reboots its host %s", host.Name)
	default:
		for _, s := range host.Services {
			if s.Keep == "" && (s.Update != nil || host.Checkout != nil) && (s.Stop == nil || s.Start == nil) {
				say("add stop and start to the service", "its service %s is updated, and a command that stops or starts it is missing", s.Name)
			}
		}
	}
}

// keepsKnown reports whether all CSCs that keep their states are known.
func (c *siteCheck) keepsKnown() bool {
	return !slices.ContainsFunc(c.site.States.Keep, func(k model.KeptState) bool { return !slices.Contains(c.speaking, k.CSC) })
}

func (c *siteCheck) kept(csc string) bool {
	return slices.ContainsFunc(c.site.States.Keep, func(k model.KeptState) bool { return k.CSC == csc })
}

// others returns what on the host does not keep its state: CSCs, and services
// that run none.
func (c *siteCheck) others(h *model.Host) []string {
	var out []string
	for i := range c.site.CSCs {
		if csc := &c.site.CSCs[i]; csc.Host == h.Name && !c.kept(csc.Name()) {
			out = append(out, "CSC "+csc.Name())
		}
	}
	for _, s := range h.Services {
		if len(s.CSCs) == 0 {
			out = append(out, "the service "+s.Name)
		}
	}
	return out
}
