package verify

import (
	"slices"
	"strings"

	"github.com/lsst-ts/csu/executor/plan"
)

func hostRules() []Rule {
	return []Rule{
		{"stopped-is-started", []string{"P15", "P17", "P34", "P36"},
			"What the plan stops on a host it starts again exactly once, or a later manual step that names host and service has it started by hand.", stoppedIsStarted},
		{"update-while-stopped", []string{"P17", "P23", "P28", "P29"},
			"A host is updated between the stop and the start of what runs there.", updateWhileStopped},
		{"crios-updated", []string{"P29"},
			"A full upgrade updates the cRIOs that run CSCs, unless the request says that they are already updated.", criosUpdated},
		{"silent-before-start", []string{"P45"},
			"A daemon that the plan has not stopped itself is started only if its CSCs are silent, since a second one must not run. " +
				"A recovery starts the cRIO services of all CSCs on cRIOs in this way.", silentBeforeStart},
		{"reboot-consent", []string{"P5", "P47"},
			"Only a recovery reboots a machine, with a consent in which the operator confirms that it is the right one.", rebootConsent},
		{"builds", []string{"P6", "P29"},
			"A build on a cRIO begins with its own consent, before anything else if the request says so. One step of a later stage waits for it, with the same host, account and commands, " +
				"and a step of that stage then copies what was built. Nothing on the cRIO is updated before that, or without that. Code is generated and built only in this way, so that no service is down for it.", builds},
		{"careful-update", []string{"P29"},
			"An update to the head of a branch may be ahead of the deployed interface; the step's own consent says so.", carefulUpdate},
	}
}

// sshSteps returns the ssh steps of a purpose.
func (v *view) sshSteps(purpose plan.Purpose) []*node {
	return v.where(func(n *node) bool {
		a, ok := n.Action.Parameters.(*plan.SSH)
		return ok && a.Purpose == purpose
	})
}

func stoppedIsStarted(v *view, f *findings) {
	starts := v.sshSteps(plan.Start)
	for i, s := range starts {
		for _, other := range starts[:i] {
			if sameService(s, other) {
				f.step(s, "start it once", "starts what %s already starts", other.ID)
			}
		}
	}
	stops := v.sshSteps(plan.Stop)
	for _, n := range v.asking("P36") {
		if !slices.ContainsFunc(stops, func(s *node) bool { return before(s, n) && namesService(n, s) }) {
			f.step(n, "remove the step, or add the stop", "has the operator start what no step has stopped")
		}
	}
	for i, s := range stops {
		a := s.Action.Parameters.(*plan.SSH)
		for _, other := range stops[:i] {
			if sameService(s, other) {
				f.step(s, "stop it once", "stops what %s already stops", other.ID)
			}
		}
		started := v.any(func(n *node) bool {
			if !before(s, n) {
				return false
			}
			return namesService(n, s) || slices.Contains(starts, n) && sameService(s, n)
		})
		if !started {
			f.step(s, "add an ssh step that starts it, or a manual step that names both", "stops %q on %q, but no later step starts it again", a.Service, a.Host)
		}
	}
}

// sameService reports whether two ssh steps act on one service.
func sameService(a, b *node) bool {
	x, y := a.Action.Parameters.(*plan.SSH), b.Action.Parameters.(*plan.SSH)
	return x.Host == y.Host && x.Service == y.Service
}

// namesService reports whether the step is a manual one whose text names the host
// and the service of an ssh step.
func namesService(n, ssh *node) bool {
	m, ok := n.Action.Parameters.(*plan.Manual)
	a := ssh.Action.Parameters.(*plan.SSH)
	return ok && strings.Contains(m.Text, a.Host) && strings.Contains(m.Text, a.Service)
}

func updateWhileStopped(v *view, f *findings) {
	stops, starts := v.sshSteps(plan.Stop), v.sshSteps(plan.Start)
	for _, u := range v.sshSteps(plan.Update) {
		host := u.Action.Parameters.(*plan.SSH).Host
		for _, s := range stops {
			if s.touches(host) && !before(s, u) {
				f.step(u, "run it after "+s.ID, "updates %q but may run before %s has stopped what runs there", host, s.ID)
			}
		}
		for _, s := range starts {
			if s.touches(host) && !before(u, s) {
				f.step(s, "run it after "+u.ID, "starts something on %q but may run before %s has updated it", host, u.ID)
			}
		}
		on := func(n *node) bool { return n.touches(host) }
		if u.cites("P28") || u.cites("P29") {
			if !slices.ContainsFunc(stops, on) || !slices.ContainsFunc(starts, on) {
				f.step(u, "add the stop before and the start after it", "updates what runs on %q without a stop before and a start after it", host)
			}
		}
	}
	for _, s := range stops {
		a := s.Action.Parameters.(*plan.SSH)
		updated := slices.ContainsFunc(v.sshSteps(plan.Update), func(u *node) bool { return u.touches(a.Host) })
		switch {
		case updated:
		case s.cites("P28"), s.cites("P29"):
			f.step(s, "add the update, or remove stop and start", "stops %q on %q for an update that no step does", a.Service, a.Host)
		case v.Type == plan.Full && s.cites("P17") && v.shared(a):
			f.step(s, "add the update of its checkout for P23", "stops %q on %q, whose checkout no step updates before it starts again", a.Service, a.Host)
		}
	}
}

// shared reports whether the step runs as the T&S systems' shared account, which
// launches their services from a configuration checkout (P23).
func (v *view) shared(a *plan.SSH) bool {
	h, ok := v.Host(a.Host)
	if !ok {
		return false
	}
	u, ok := h.User(a.User)
	return ok && u.Via == "sudo"
}

// onCRIOs returns the CSCs that run on cRIOs (P29, P45).
func (v *view) onCRIOs() []*plan.CSC {
	var out []*plan.CSC
	for i := range v.CSCs {
		c := &v.CSCs[i]
		if h, ok := v.Host(c.Host); ok && h.Role == plan.CRIO {
			out = append(out, c)
		}
	}
	return out
}

func criosUpdated(v *view, f *findings) {
	if v.Type != plan.Full {
		return
	}
	for _, c := range v.onCRIOs() {
		updates := slices.DeleteFunc(v.sshSteps(plan.Update), func(n *node) bool { return !n.touches(c.Host) })
		if len(updates) == 0 && !v.Upgrade.CriosDone {
			f.plan("add its update, or set criosDone in the request", "the cRIO %q of %s is not updated, but the request does not say that it already is", c.Host, c.CSC)
		}
		if len(updates) > 0 && v.Upgrade.CriosDone {
			f.step(updates[0], "remove the step", "updates the cRIO of %s, but the request says that it is already updated", c.CSC)
		}
	}
}

func silentBeforeStart(v *view, f *findings) {
	stops := v.sshSteps(plan.Stop)
	for _, s := range v.sshSteps(plan.Start) {
		a := s.Action.Parameters.(*plan.SSH)
		stopped := slices.ContainsFunc(stops, func(n *node) bool { return sameService(n, s) && before(n, s) })
		if p := v.principalsOf(s); s.cites("P45") && (s.Consent == "" || slices.ContainsFunc(p, func(p string) bool { return !slices.Contains(s.Principals, p) })) {
			f.step(s, "add a consent and the principals "+list(p), "starts a daemon without its own consent, in which the operator confirms that the %s has agreed", list(p))
		}
		if !stopped && len(a.Silent) == 0 && len(v.On(a.Host)) == 0 {
			f.step(s, "stop the service first", "starts %q on %q, which no step has stopped", a.Service, a.Host)
		}
		for _, c := range v.On(a.Host) {
			if !stopped && !slices.Contains(a.Silent, c) {
				f.step(s, "add it to silent, or stop the service first", "starts %q, but %s may be running there", a.Service, c)
			}
		}
		for _, c := range a.Silent {
			if !slices.Contains(v.On(a.Host), c) {
				f.step(s, "remove it", "%s must be silent but does not run on %q", c, a.Host)
			}
		}
	}
	for _, n := range v.steps {
		if a, ok := n.Action.Parameters.(*plan.SSH); ok && a.Purpose != plan.Start && len(a.Silent) > 0 {
			f.step(n, "remove silent", "only a start requires CSCs to be silent")
		}
	}
	if v.Type != plan.Recovery {
		return
	}
	for _, c := range v.onCRIOs() {
		if !v.any(func(n *node) bool { return n.cites("P45") && n.brings(c) }) {
			f.plan("add an ssh step for P45", "no step starts the cRIO service of %s", c.CSC)
		}
	}
}

func rebootConsent(v *view, f *findings) {
	for _, n := range v.where(func(n *node) bool { return n.does.Rebooted != "" }) {
		if v.Type != plan.Recovery {
			f.step(n, "remove the step", "reboots a machine, which only a recovery may do")
		}
		if n.Consent == "" {
			f.step(n, "add a consent to the step", "reboots a machine without its own consent")
		}
		for _, m := range v.steps {
			if (m.does.Syncs != "" || m.stageAt == n.stageAt && m != n) && !before(m, n) {
				f.step(n, "run it after "+m.ID, "may reboot a machine while %s is running", m.ID)
			}
		}
	}
}

func carefulUpdate(v *view, f *findings) {
	for _, n := range v.steps {
		a, ok := n.Action.Parameters.(*plan.SSH)
		if ok && a.Purpose != plan.AwaitBuild && n.Consent == "" && strings.Contains(strings.Join(a.Commands, "\n"), "git checkout main") {
			f.step(n, "add a consent to the step that says so", "updates to the head of main without its own consent")
		}
	}
}
