package load

import (
	"fmt"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // a plan must not depend on the time zones of the operator's machine

	"github.com/lsst-ts/csu/compiler/internal/model"
)

// everywhere are the CSCs that every upgrade needs.
var everywhere = []string{"Watcher:0", "ScriptQueue:1", "ScriptQueue:2", "ScriptQueue:3"}

// facts checks what the site definition says about the whole site.
func (c *siteCheck) facts() {
	root := path{"site"}
	if zone := c.site.TimeZone; zone != "" {
		if _, err := time.LoadLocation(zone); err != nil {
			c.report(root.with("timeZone"), "timeZone", fmt.Sprintf("unknown time zone %q", zone), "use a name in the IANA database, such as America/Santiago")
		}
	}
	if at := root.with("testing"); c.site.TestStand && len(c.site.Testing) == 0 && !c.wrong(at) {
		c.report(at, "testing", "is empty, but the site is a test stand, which is tested after an upgrade", "define the test of auxtel or maintel, or set testStand to false")
	}
	for _, seq := range c.site.Testing {
		i := slices.IndexFunc(seq.Steps, func(t model.TestStep) bool { return t.Images })
		if c.site.TrackingOnly && i >= 0 {
			c.report(root.with("testing", seq.Name), "testing."+seq.Name, fmt.Sprintf("has the step %q, which involves images, but the telescopes of this site only track", seq.Steps[i].ID),
				"use testing.#Tracking, or set trackingOnly to false")
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
		c.report(at, "closedLoop", fmt.Sprintf("CSC %s runs on host %s, but a recovery brings it back by syncing its application", m.CSC, csc.Host), "use a CSC of the cluster")
	case csc.Principal == "":
		c.report(at, "closedLoop", fmt.Sprintf("CSC %s has no principal, who must agree before the mirror is touched", m.CSC), "give the CSC a principal")
	}
}

// crio requires a recovery to start the service of a cRIO, since no sync does.
func (c *siteCheck) crio(h *model.Host) {
	started := c.site.Recovery.StartCRIOs
	misspelt := slices.ContainsFunc(started, func(name string) bool { return !slices.Contains(c.hosts, name) })
	if h.Role != model.CRIO || slices.Contains(started, h.Name) || misspelt || c.wrong(path{"site", "recovery"}) {
		return
	}
	for _, s := range h.Services {
		if len(s.CSCs) > 0 {
			c.report(path{"site", "hosts", h.Name}, "host "+h.Name, fmt.Sprintf("is a cRIO that runs CSC %s, but a recovery does not start it if it is silent", s.CSCs[0]),
				"add the host to recovery.startCRIOs")
			return
		}
	}
}

// keep checks that a CSC can keep its state through an upgrade. It must stay up,
// which it can only if nothing else on its host has to go down.
func (c *siteCheck) keep(at path, name string) {
	csc, ok := c.site.CSC(name)
	if !ok || !slices.Contains(c.speaking, name) {
		return // reported by known
	}
	refuse := func(remedy, format string, args ...any) {
		c.report(at, "states.keep", fmt.Sprintf("CSC %s cannot keep its state: ", name)+fmt.Sprintf(format, args...), remedy)
	}
	if slices.Contains(everywhere, name) {
		refuse("remove it from states.keep", "every upgrade takes it down and brings it back")
		return
	}
	if csc.Job != "" {
		refuse("remove it from states.keep; add it to states.enable if it must end ENABLED", "it runs in the cluster, where an upgrade deletes its Job and starts a new one")
		return
	}
	if csc.Bridge {
		refuse("remove it from states.keep", "it is a camera bridge, which an upgrade stops")
		return
	}
	host, ok := c.site.Host(csc.Host)
	if !ok {
		return // reported for the CSC
	}
	others := c.others(host)
	switch {
	case len(others) > 0:
		refuse("keep all of them, or move them to different hosts, or remove it from states.keep", "its host %s also runs %s, which an upgrade stops", host.Name, strings.Join(others, ", "))
	case csc.Principal == "" && host.Principal == "":
		refuse("give the CSC or its host a principal", "it has no principal, who must agree before it is touched")
	case slices.Contains(c.site.Recovery.Restart, host.Name):
		refuse("remove the host from recovery.restart, or the CSC from states.keep", "a recovery restarts its host %s", host.Name)
	case slices.ContainsFunc(c.site.Recovery.Reboot, func(r model.Reboot) bool { return r.Host == host.Name }):
		refuse("remove the host from recovery.reboot, or the CSC from states.keep", "a recovery reboots its host %s", host.Name)
	default:
		for _, s := range host.Services {
			if s.Keep == "" && (s.Update != nil || host.Checkout != nil) && (s.Stop == nil || s.Start == nil) {
				refuse("add stop and start to the service", "its service %s is updated, but has no commands to stop and start it", s.Name)
			}
		}
	}
}

// keepsKnown reports whether all CSCs that keep their states are known.
func (c *siteCheck) keepsKnown() bool {
	return !slices.ContainsFunc(c.site.States.Keep, func(k model.KeptState) bool { return !slices.Contains(c.speaking, k.CSC) })
}

func (c *siteCheck) keepsState(csc string) bool {
	return slices.ContainsFunc(c.site.States.Keep, func(k model.KeptState) bool { return k.CSC == csc })
}

// others returns what does not keep its state on the host: CSCs, and services
// without CSCs.
func (c *siteCheck) others(h *model.Host) []string {
	var out []string
	for i := range c.site.CSCs {
		if csc := &c.site.CSCs[i]; csc.Host == h.Name && !c.keepsState(csc.Name()) {
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
