package verify

import (
	"slices"

	"github.com/lsst-ts/csu/executor/plan"
)

func deployRules() []Rule {
	return []Rule{
		{"configuration-first", []string{"P22", "P23", "P32"},
			"Before Argo CD syncs anything, the operator has confirmed what it would deploy: in an upgrade, that the configuration is merged and pushed; in a recovery, that it deploys only what ran before.", configurationFirst},
		{"platform-first", []string{"P30", "P31"},
			"A full upgrade syncs the app of apps, which renders the new image tags into the control system's applications, then nublado, and only then the applications with CSCs. " +
				"Sasquatch is synced only if the request says so, with its own consent.", platformFirst},
		{"small-first", []string{"P32"},
			"The control system is synced in an order that reveals trouble early: control-system-test, then love, so that states can be watched, then the rest. Every application is synced exactly once.", smallFirst},
	}
}

func configurationFirst(v *view, f *findings) {
	number, what := "P22", "it is confirmed that the configuration is merged and pushed"
	if v.Type == plan.Recovery {
		number, what = "P32", "it is confirmed what Argo CD would deploy"
	}
	asks := v.asking(number)
	if len(asks) == 0 {
		f.plan("add a manual step for "+number+" before the first sync", "no manual step makes sure, before the first sync, that %s", what)
		return
	}
	for _, a := range asks {
		checkApplications(v, f, a)
	}
	for _, n := range v.steps {
		changes := n.does.Syncs != "" || n.cites("P23") && n.does.Host != ""
		if changes && !slices.ContainsFunc(asks, func(a *node) bool { return before(a, n) }) {
			f.step(n, "run it after "+asks[0].ID, "may run before %s", what)
		}
	}
}

// checkApplications requires the manual step to show every application that the
// plan syncs.
func checkApplications(v *view, f *findings, n *node) {
	shown := n.does.Refreshes
	var missing []string
	for _, s := range v.syncs("") {
		app := s.does.Syncs
		if !slices.Contains(shown, app) && !slices.Contains(missing, app) {
			missing = append(missing, app)
		}
	}
	if len(missing) > 0 {
		f.step(n, "name them among its applications", "does not show the revision and differences of %s, which the plan syncs", list(missing))
	}
}

func platformFirst(v *view, f *findings) {
	sas := v.syncs(sasquatch)
	for _, n := range sas {
		if !v.Upgrade.SyncSasquatch && !slices.Contains(v.Upgrade.Applications, sasquatch) {
			f.step(n, "remove the step, or set syncSasquatch in the request", "syncs sasquatch, but the request does not ask for that")
		}
		if n.Consent == "" {
			f.step(n, "add a consent to the step", "syncs sasquatch without its own consent, although the EFD and the schema registry may restart")
		}
	}
	if v.Type != plan.Full {
		return
	}
	if v.Upgrade.SyncSasquatch && len(sas) == 0 {
		f.plan("add a sync of sasquatch for P31", "the request asks for a sync of sasquatch, but no step does it")
	}
	for _, n := range sas {
		back := v.where(func(m *node) bool { return m.does.ByPerson && m.cites("P31") && before(n, m) })
		if len(back) == 0 {
			f.step(n, "add a manual step for P31 after it", "no step asks whether sasquatch is back")
		}
		sas = append(sas, back...)
	}
	layers := [][]*node{v.syncs(v.Targets.ArgoCD.AppOfApps), v.syncs(nublado), sas}
	for i, name := range []string{v.Targets.ArgoCD.AppOfApps, nublado} {
		if len(layers[i]) != 1 {
			f.plan("sync it in one step, for P30", "%q is synced by %d steps; a full upgrade syncs it once", name, len(layers[i]))
		}
	}
	layers = append(layers, v.where(func(n *node) bool {
		return n.does.Syncs != "" && !slices.Contains([]string{v.Targets.ArgoCD.AppOfApps, nublado, sasquatch}, n.does.Syncs)
	}))
	for i, layer := range layers {
		for _, n := range layer {
			for _, e := range slices.Concat(layers[:i]...) {
				if !before(e, n) {
					f.step(n, "run it after "+e.ID, "syncs an application that comes after that of %s, but may run before %[1]s is done", e.ID)
				}
			}
		}
	}
}

func smallFirst(v *view, f *findings) {
	synced := map[string]*node{}
	for _, n := range v.syncs("") {
		app := n.does.Syncs
		if other := synced[app]; other != nil {
			f.step(n, "sync it once", "syncs %q, which %s already syncs", app, other.ID)
		}
		synced[app] = n
	}
	if v.Type == plan.Incremental {
		return
	}
	wanted := []string{love}
	for i := range v.CSCs {
		if j := v.CSCs[i].Job; j != nil && !slices.Contains(wanted, j.Application) {
			wanted = append(wanted, j.Application)
		}
	}
	for _, app := range wanted {
		if synced[app] == nil {
			f.plan("add a sync of it, for P32", "no step syncs %q, which has Jobs of the control system", app)
		}
	}
	small, lov := synced[controlSystemTest], synced[love]
	for _, n := range v.syncs("") {
		app := n.does.Syncs
		if slices.Contains([]string{v.Targets.ArgoCD.AppOfApps, nublado, sasquatch, controlSystemTest}, app) {
			continue
		}
		if small != nil && !before(small, n) {
			f.step(n, "run it after "+small.ID, "may run before control-system-test, the small application that is tried first")
		}
		if app != love && lov != nil && !before(lov, n) {
			f.step(n, "run it after "+lov.ID, "may run before love is synced, in which the CSCs are watched")
		}
	}
}
