package procedure

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/compiler/internal/model"
	"github.com/lsst-ts/csu/executor/plan"
)

const (
	watcher     = "Watcher:0"
	scriptQueue = "ScriptQueue"
)

// scope finds what the upgrade affects, the CSCs that go down and the hosts, and
// refuses requests that the procedure does not allow.
func (b *builder) scope() {
	b.expect = map[string]string{}
	switch plan.Type(b.req.Type) {
	case plan.Full:
		b.scopeFull()
	case plan.Incremental:
		b.scopeIncremental()
	case plan.Recovery:
		b.scopeRecovery()
	default:
		b.refuse(b.req.Pos, "use full, incremental or recovery", "unknown upgrade type %q", b.req.Type)
	}
	b.afterEnabling()
}

// scopeFull takes everything down except protected CSCs (P6, P7).
func (b *builder) scopeFull() {
	if b.req.Cycle == b.site.Cycle {
		b.refuse(b.req.Pos, "give the new cycle; to raise revisions within a cycle, request an incremental upgrade",
			"the site is already at cycle %s", b.site.Cycle)
	}
	for _, r := range b.req.Revisions {
		b.revise(r)
	}
	for i := range b.site.CSCs {
		c := &b.site.CSCs[i]
		if _, protected := b.protected(c.Name()); !protected {
			b.down = append(b.down, c.Name())
		}
	}
	for i := range b.site.Hosts {
		b.hosts = append(b.hosts, &b.site.Hosts[i])
	}
}

// scopeRecovery brings back what runs in the cluster, and the hosts that the
// site names, after IT has taken everything down (P44 to P47).
func (b *builder) scopeRecovery() {
	b.sameCycle()
	for i := range b.site.CSCs {
		c := &b.site.CSCs[i]
		_, protected := b.protected(c.Name())
		if c.Job != "" && !protected || slices.Contains(b.site.Recovery.Restart, c.Host) {
			b.down = append(b.down, c.Name())
		}
	}
	r := b.site.Recovery
	for i := range b.site.Hosts {
		h := &b.site.Hosts[i]
		reboots := slices.ContainsFunc(r.Reboot, func(x model.Reboot) bool { return x.Host == h.Name })
		if reboots || slices.Contains(r.StartCRIOs, h.Name) || slices.Contains(r.Restart, h.Name) {
			b.hosts = append(b.hosts, h)
		}
	}
	if m2 := b.site.ClosedLoop; m2 != nil {
		b.expect[m2.CSC] = plan.Enabled // P5
	}
}

// scopeIncremental takes down the changed CSCs, those that are stopped with them,
// the Watcher and the ScriptQueues (P14).
func (b *builder) scopeIncremental() {
	b.sameCycle()
	if b.req.BreaksSchema {
		b.refuse(b.req.Pos, "request a full upgrade, which sets the schema registry to NONE and back",
			"an upgrade that breaks schema compatibility cannot be incremental (P26)")
	}
	affected := map[string]bool{watcher: !b.quiet()}
	for _, name := range b.req.Removed {
		affected[name] = true
	}
	hosts := map[string]bool{}
	for _, change := range b.req.Changed {
		c, ok := b.csc(change.CSC)
		if !ok {
			b.unknownCSC(change)
			continue
		}
		b.revise(change)
		if c.Host == "" {
			affected[c.Name()] = true
			continue
		}
		hosts[c.Host] = true
		b.updatable(change, c)
	}
	for _, name := range b.req.Hosts {
		h, ok := b.site.Host(name)
		switch {
		case !ok:
			b.refuse(b.req.Pos, "use the name of a host in sites/"+b.site.Name+"/hosts.cue",
				"the site has no host %q", name)
		case len(h.Services) == 0 && h.Checkout == nil:
			b.refuse(b.req.Pos, fmt.Sprintf("describe its update in sites/%s/hosts.cue, or remove the host from this request and leave it to its owner", b.site.Name),
				"host %q has no update", name)
		}
		hosts[name] = true
	}
	for i := range b.site.Hosts {
		h := &b.site.Hosts[i]
		if !hosts[h.Name] {
			continue
		}
		b.hosts = append(b.hosts, h)
		for _, s := range h.Services {
			for _, csc := range s.CSCs {
				affected[csc] = true
			}
		}
	}
	for i := range b.site.CSCs {
		c := &b.site.CSCs[i]
		_, protected := b.protected(c.Name())
		queue := c.Component == scriptQueue && !b.quiet() && !b.req.QueuesStay
		if !protected && (affected[c.Name()] || queue) {
			b.down = append(b.down, c.Name())
		}
	}
}

// quiet reports whether the plan takes down nothing that speaks SAL.
func (b *builder) quiet() bool { return b.plan.Quiet() }

func (b *builder) sameCycle() {
	if b.req.Cycle != b.site.Cycle {
		b.refuse(b.req.Pos, fmt.Sprintf("give cycle %q or request a full upgrade; if the site has been upgraded since, update its cycle in sites/%s", b.site.Cycle, b.site.Name),
			"cycle %s, but the site is at %s: only a full upgrade changes the cycle", b.req.Cycle, b.site.Cycle)
	}
}

// revise refuses a revision of what is not at the site, or of a CSC on a host.
func (b *builder) revise(change model.Change) {
	c, ok := b.csc(change.CSC)
	switch {
	case !ok:
		b.unknownCSC(change)
	case c.Job == "" && change.Revision != 0:
		b.refuse(change.Pos, "remove the revision: a host deploys a branch",
			"%s runs on host %q and has no image, so it cannot have a revision", change.CSC, c.Host)
	}
}

func (b *builder) unknownCSC(change model.Change) {
	var names []string
	for i := range b.site.CSCs {
		names = append(names, b.site.CSCs[i].Name())
	}
	b.refuse(change.Pos, "use the CSC's name in the site's inventory, with its index, such as MTMount:0",
		"%[2]s has no CSC %[1]q%[3]s", change.CSC, b.site.Name, plan.DidYouMean(change.CSC, names))
}

// updatable refuses a changed CSC on a host whose update is not described.
func (b *builder) updatable(change model.Change, c *model.CSC) {
	h, ok := b.site.Host(c.Host)
	if !ok {
		return // reported by the schema
	}
	if h.Role == model.Camera || h.Checkout != nil {
		return
	}
	for _, s := range h.Services {
		if slices.Contains(s.CSCs, c.Name()) && s.Update != nil {
			return
		}
	}
	b.refuse(change.Pos, fmt.Sprintf("describe the update of host %q in sites/%s/hosts.cue (the service's update, or a checkout), or remove the CSC from this request and leave it to its principal", h.Name, b.site.Name),
		"%s runs on host %q, which has no update", c.Name(), h.Name)
}

// afterEnabling records which CSCs end ENABLED, because they are on the site's
// list (P41, P43) or because a whole test stand is enabled again (P55).
func (b *builder) afterEnabling() {
	if b.enables() {
		for _, csc := range b.site.States.Enable {
			b.expect[csc] = plan.Enabled // a removed one stays OFFLINE: see expected
		}
	}
	if b.enablesAll() {
		for i := range b.site.CSCs {
			if c := &b.site.CSCs[i]; c.Component != "" && c.Job != "" {
				b.expect[c.Name()] = plan.Enabled
			}
		}
	}
}

// enables reports whether the plan brings the CSCs of the site's list to ENABLED.
// A test stand does not when integration testing follows a full upgrade or a
// recovery (P41). An incremental upgrade always does, for what went down (P43).
func (b *builder) enables() bool {
	return plan.Type(b.req.Type) == plan.Incremental || !b.site.States.IfNecessary || !b.req.IntegrationTestingFollows
}

func (b *builder) enablesAll() bool {
	return plan.Type(b.req.Type) == plan.Recovery && b.site.States.EnableAll && !b.req.IntegrationTestingFollows
}

// queues returns the ScriptQueues in the order in which they go down. The one
// that runs the script is last (P9).
func (b *builder) queues() []string {
	var out []string
	last := fmt.Sprintf("%s:%d", scriptQueue, b.req.Queue)
	for i := range b.site.CSCs {
		if c := &b.site.CSCs[i]; c.Component == scriptQueue && c.Name() != last {
			out = append(out, c.Name())
		}
	}
	slices.Sort(out)
	slices.Reverse(out)
	return append(out, last)
}

// selectDown returns the CSCs that go down and match.
func (b *builder) selectDown(match func(*model.CSC) bool) []string {
	var out []string
	for _, name := range b.down {
		if c, ok := b.csc(name); ok && match(c) {
			out = append(out, name)
		}
	}
	return out
}

// doubtsAbout returns the doubts about the CSCs themselves, each text once.
func (b *builder) doubtsAbout(cscs []string) []string {
	var texts []string
	about := map[string][]string{}
	for _, name := range cscs {
		c, ok := b.csc(name)
		if !ok || c.Doubt == "" {
			continue
		}
		texts = union(texts, []string{c.Doubt})
		about[c.Doubt] = append(about[c.Doubt], name)
	}
	for i, text := range texts {
		texts[i] = plan.CSCList(about[text]) + ": " + text
	}
	return texts
}

func isQueue(name string) bool { return strings.HasPrefix(name, scriptQueue+":") }
