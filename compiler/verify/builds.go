package verify

import (
	"slices"
	"strings"

	"github.com/lsst-ts/csu/executor/plan"
)

// builds requires each build to be awaited once, in a later stage by a step that knows
// what it would build again, before anything on its host is updated (P6, P29).
func builds(v *view, f *findings) {
	begun, awaited := v.sshSteps(plan.Build), v.sshSteps(plan.AwaitBuild)
	for _, n := range begun {
		a := n.Action.Parameters.(*plan.SSH)
		if n.Consent == "" {
			f.step(n, "add a consent to the step", "builds on %q without its own consent", a.Host)
		}
		waits := slices.DeleteFunc(slices.Clone(awaited), func(w *node) bool { return w.Action.Parameters.(*plan.SSH).Build != n.ID })
		if len(waits) != 1 {
			f.step(n, "await it in one step of a later stage", "%d steps wait for the build that it begins, want one", len(waits))
		}
		if v.Upgrade.CriosFirst && n.stageAt != 0 {
			f.step(n, "move it to the first stage", "may not begin before everything else, but the request says so")
		}
	}
	for _, w := range awaited {
		buildAwaited(v, f, w, begun)
	}
	builtAside(v, f, awaited)
}

// buildAwaited checks a step that waits for a build. Only the copy needs to wait for it, so
// that no other stage is held up.
func buildAwaited(v *view, f *findings, w *node, begun []*node) {
	a := w.Action.Parameters.(*plan.SSH)
	i := slices.IndexFunc(begun, func(n *node) bool { return n.ID == a.Build })
	if i < 0 {
		f.step(w, "name the step that begins the build", "waits for the build of step %q, which begins none", a.Build)
		return
	}
	b := begun[i].Action.Parameters.(*plan.SSH)
	if begun[i].stageAt >= w.stageAt || !sameService(begun[i], w) || a.User != b.User || !slices.Equal(a.Commands, b.Commands) || a.Check != b.Check {
		f.step(w, "recompile the plan", "does not follow %s in a later stage with the same host, account, service and commands", begun[i].ID)
	}
	if !slices.ContainsFunc(v.sshSteps(plan.Update), func(n *node) bool { return n.stageAt == w.stageAt && before(w, n) && sameService(w, n) }) {
		f.step(w, "put it before the update, into its stage", "waits for the build of %q, which no later step of its stage copies", a.Service)
	}
	for _, n := range v.steps {
		if sameHost := n.touches(a.Host) && !n.builds() && (n.cites("P29") || n.does.Updated != ""); sameHost && !before(w, n) {
			f.step(n, "run it after "+w.ID, "touches %q but may run before the build there is done, for which %s waits", a.Host, w.ID)
		}
	}
}

// builtAside requires what is copied on a cRIO to come from a build, which no other step
// makes: its service would be down for that.
func builtAside(v *view, f *findings, awaited []*node) {
	for _, n := range v.steps {
		a, ok := n.Action.Parameters.(*plan.SSH)
		if h, known := v.Host(n.does.Host); !ok || !known || h.Role != plan.CRIO || n.builds() {
			continue
		}
		if generates(a.Commands) {
			f.step(n, "begin it as a build, and wait for it later", "builds %q while its service is down, or about to be", a.Service)
		}
		built := slices.ContainsFunc(awaited, func(w *node) bool { return sameService(w, n) })
		if n.does.Updated != "" && !updatesCheckout(a.Commands) && !built {
			f.step(n, "begin a build of it, and wait for that before", "updates %q, but no step has built what it copies", a.Service)
		}
	}
}

// updatesCheckout reports whether the commands update a configuration checkout (P23),
// which is not built.
func updatesCheckout(commands []string) bool {
	return slices.ContainsFunc(commands, func(c string) bool { return strings.HasPrefix(c, "./update_repo ") })
}

// generates reports whether the commands generate code or build, which takes long.
func generates(commands []string) bool {
	return slices.ContainsFunc(commands, func(c string) bool {
		return strings.Contains(c, "salgenerator") || slices.Contains(strings.Fields(c), "make")
	})
}
