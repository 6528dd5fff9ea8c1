package verify

import (
	"slices"

	"github.com/lsst-ts/csu/executor/plan"
)

func registryRules() []Rule {
	return []Rule{
		{"registry-back", []string{"P24", "P25", "P26"},
			"Only a full upgrade that breaks compatibility takes the schema registry out of FORWARD, before anything registers new schemas. A final step, which an abort also runs, sets it back.", registryBack},
		{"final-undoes", []string{"P25"},
			"Final steps run without asking, also on abort. They undo what a step of the plan did to the registry, and do nothing else.", finalUndoes},
	}
}

func registryBack(v *view, f *findings) {
	releases := v.where(func(n *node) bool { return n.stage != nil && n.does.Level != "" })
	if v.Upgrade.BreaksSchema {
		if v.Type != plan.Full {
			f.plan("request a full upgrade", "an upgrade that breaks schema compatibility cannot be %s", v.Type)
		} else if len(releases) != 1 {
			f.plan("add a compatibility step from FORWARD to NONE for P24", "the upgrade breaks schema compatibility, but %d steps set the registry to NONE, want one", len(releases))
		}
	}
	for _, n := range releases {
		from, to := n.does.LevelBefore, n.does.Level
		if from != "FORWARD" || to != "NONE" {
			f.step(n, "expect FORWARD and set NONE", "sets the schema registry from %s to %s; a plan may only set it from FORWARD to NONE, and back in a final step", from, to)
		}
		if v.Type != plan.Full || !v.Upgrade.BreaksSchema {
			f.step(n, "remove the step, or set breaksSchema in the request of a full upgrade", "allows incompatible schemas, but the upgrade does not break compatibility")
		}
		undone := v.any(func(m *node) bool {
			return m.stage == nil && m.Undoes == n.ID && m.does.LevelBefore == to && m.does.Level == from
		})
		if !undone {
			f.step(n, "add a final step that sets it from NONE back to FORWARD", "no final step sets the schema registry back")
		}
		for _, m := range v.steps {
			if v.registersSchemas(m) && !before(n, m) {
				f.step(m, "run it after "+n.ID, "starts CSCs, which register their schemas, but may run before %s allows those", n.ID)
			}
		}
	}
}

// registersSchemas reports whether the step starts something that registers its
// schemas.
func (v *view) registersSchemas(n *node) bool {
	return len(n.does.Starts) > 0 || n.does.Started != ""
}

func finalUndoes(v *view, f *findings) {
	undone := map[string]string{}
	for _, n := range v.steps {
		if n.stage != nil {
			continue
		}
		i := slices.IndexFunc(v.steps, func(m *node) bool { return m.ID == n.Undoes })
		if n.does.Level == "" || i < 0 || v.steps[i].does.Level == "" {
			f.step(n, "make it a step of a stage", "does not undo a change to the schema registry")
			continue
		}
		of := v.steps[i]
		a, b := n.does, of.does
		if a.LevelBefore != b.Level || a.Level != b.LevelBefore {
			f.step(n, "expect "+b.Level+" and set "+b.LevelBefore, "goes from %s to %s, which does not undo %q", a.LevelBefore, a.Level, of.ID)
		}
		if n.Consent != "" || n.Doubt != "" {
			f.step(n, "remove consent and doubt", "a final step runs without asking")
		}
		if undone[of.ID] != "" {
			f.step(n, "remove one of them", "undoes %q, which %s already does", of.ID, undone[of.ID])
		}
		undone[of.ID] = n.ID
	}
}
