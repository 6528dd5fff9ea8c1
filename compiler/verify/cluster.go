package verify

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/executor/plan"
)

func clusterRules() []Rule {
	return []Rule{
		{"selector-width", []string{"P18", "P19", "P21"},
			"A deletion matches exactly the intended Jobs: among the Jobs in the plan's table, its label selector matches those of the CSCs that the step names, no more and no fewer. " +
				"The only namespaces that a plan deletes are those of Nublado's users.", selectorWidth},
		{"nublado-consent", []string{"P19"},
			"Deleting Nublado's user namespaces ends all sessions. Only a full upgrade does it, with its own consent and before Nublado is synced.", nubladoConsent},
		{"jobs-replaced", []string{"P18", "P21", "P32", "P33", "P44"},
			"A Job cannot be changed in place. It is deleted once, before the sync that brings it back, and every deleted Job is brought back. " +
				"A full upgrade and a recovery replace all Jobs of the CSC chart. A CSC that the request removes does not come back, and one that it adds is only brought.", jobsReplaced},
		{"images", []string{"P32", "P33"},
			"After the upgrade each CSC runs the image of the cycle, with the revision in the request, from the site's registry, and a sync deploys it. CSCs of one class run the same repository. " +
				"What ran before is in the table; to go back to a lower revision or cycle the request says so.", images},
		{"sync-width", []string{"P32", "P33"},
			"A sync names the CSCs whose Jobs it brings back, all in its application. A sync that is limited to some resources lists exactly those Jobs, what their charts render with them, and what their pods share.", syncWidth},
	}
}

func selectorWidth(v *view, f *findings) {
	for _, n := range v.steps {
		a, ok := n.Action.Parameters.(*plan.Delete)
		switch {
		case !ok:
		case a.Objects == plan.Namespaces:
			if a.Selector != nubladoSelector || len(a.CSCs) > 0 {
				f.step(n, "set the selector to "+nubladoSelector, "deletes the namespaces that %q matches; a plan may delete only those of Nublado's users", a.Selector)
			}
		default:
			jobsSelected(v, f, n, a)
		}
	}
}

// nubladoSelector matches exactly the namespaces of Nublado's users.
const nubladoSelector = "argocd.argoproj.io/instance=nublado-users"

// mixed are the namespaces that also have Jobs of other things than CSCs (P18).
var mixed = []string{love, "uws"}

func jobsSelected(v *view, f *findings, n *node, a *plan.Delete) {
	requirements, err := parseSelector(a.Selector)
	if err != nil {
		f.step(n, "select by csc, csc-name or csc-class, with = or by its presence", "cannot tell what the selector %q matches: %v", a.Selector, err)
		return
	}
	named := slices.ContainsFunc(requirements, func(r requirement) bool { return r.value != "" })
	if v.Type == plan.Incremental && !named {
		f.step(n, "select by csc-class, csc-name or csc with a value", "the selector %q names no CSC or class, but an incremental upgrade deletes only the Jobs that it affects", a.Selector)
	}
	if slices.Contains(mixed, a.Namespace) && !named {
		f.step(n, "select by csc-name or csc-class with a value", "namespace %q has other Jobs too, but the selector %q names no CSC or class", a.Namespace, a.Selector)
	}
	if len(a.CSCs) == 0 {
		f.step(n, "name the CSCs whose Jobs it deletes", "does not name the CSCs whose Jobs it deletes")
		return
	}
	found := map[string]bool{}
	var more, fewer []string
	for i := range v.CSCs {
		c := &v.CSCs[i]
		if c.Job == nil || c.Job.Namespace != a.Namespace || !matches(requirements, jobLabels(c.Job)) {
			continue
		}
		found[c.CSC] = true
		if !slices.Contains(a.CSCs, c.CSC) {
			more = append(more, c.CSC)
		}
	}
	for i, c := range a.CSCs {
		if !found[c] || slices.Contains(a.CSCs[:i], c) {
			fewer = append(fewer, c)
		}
	}
	if len(more) > 0 {
		f.step(n, "narrow the selector, for example with csc-name, or name them", "the selector %q also matches the Jobs of %s in namespace %q", a.Selector, list(more), a.Namespace)
	}
	if len(fewer) > 0 {
		f.step(n, "widen the selector, correct the namespace, or remove them", "the selector %q does not match the Jobs of %s in namespace %q, or they are listed twice", a.Selector, list(fewer), a.Namespace)
	}
}

func nubladoConsent(v *view, f *findings) {
	removals := v.where(func(n *node) bool { return n.does.Namespaces != "" })
	if v.Type == plan.Full && len(removals) != 1 {
		f.plan("delete them in one step, for P19", "%d steps delete Nublado's user namespaces; a full upgrade does it once", len(removals))
	}
	for _, n := range removals {
		if v.Type != plan.Full {
			f.step(n, "remove the step", "ends Nublado sessions, which only a full upgrade may do")
		}
		if n.Consent == "" {
			f.step(n, "add a consent to the step", "ends Nublado sessions without its own consent")
		}
		for _, s := range v.syncs(nublado) {
			if !before(n, s) {
				f.step(n, "run it before "+s.ID, "may delete what the sync of Nublado has just deployed")
			}
		}
	}
}

func jobsReplaced(v *view, f *findings) {
	for i := range v.CSCs {
		c := &v.CSCs[i]
		if c.Job == nil {
			continue
		}
		removals := v.where(func(n *node) bool { return slices.Contains(n.deletes, c.CSC) })
		bringing := v.where(func(n *node) bool {
			a, ok := n.Action.Parameters.(*plan.Sync)
			return ok && (slices.Contains(a.CSCs, c.CSC) || a.Application == c.Job.Application && len(a.Resources) == 0)
		})
		if v.added(c.CSC) {
			if len(removals) > 0 || !slices.ContainsFunc(bringing, func(s *node) bool { return s.brings(c) }) {
				f.plan("add it to the cscs of its application's sync, and delete nothing", "the request adds %s, but no sync brings its Job, or a step deletes it", c.CSC)
			}
			continue
		}
		if v.Type != plan.Incremental && len(removals) == 0 {
			f.plan("add it to the step that deletes the Jobs of its namespace", "no step deletes the Job of %s, so it would keep running unchanged", c.CSC)
		}
		if len(removals) > 1 {
			f.step(removals[1], "delete it once", "the Job of %s is deleted here and by %s", c.CSC, removals[0].ID)
		}
		for _, s := range bringing {
			for _, d := range removals {
				if !before(d, s) {
					f.step(s, "run it after "+d.ID, "may bring back the Job of %s before %s has deleted the old one", c.CSC, d.ID)
				}
			}
			if len(removals) == 0 && s.brings(c) {
				f.step(s, "delete the Job first, or remove the CSC", "brings a new Job of %s, but no step deletes the old one", c.CSC)
			}
		}
		gone := v.removed(c.CSC)
		for _, s := range bringing {
			if gone && s.brings(c) {
				f.step(s, "take it out of its cscs", "brings back the Job of %s, which the request removes", c.CSC)
			}
		}
		if !gone && len(removals) > 0 && !slices.ContainsFunc(bringing, func(s *node) bool { return s.brings(c) }) {
			f.step(removals[0], "add it to the cscs of its application's sync", "deletes the Job of %s, but no sync brings it back", c.CSC)
		}
	}
	loveCommander(v, f)
}

// added and removed report whether the request adds or removes a CSC.
func (v *view) added(csc string) bool   { return slices.Contains(v.Upgrade.Added, csc) }
func (v *view) removed(csc string) bool { return slices.Contains(v.Upgrade.Removed, csc) }

// loveCommander requires the Jobs of love to be deleted last: LOVE is needed until
// love is synced (P18).
func loveCommander(v *view, f *findings) {
	for _, n := range v.steps {
		c, ok := v.CSC(first(n.deletes))
		if !ok || c.Job == nil || c.Job.Application != love {
			continue
		}
		for _, s := range v.syncs(love) {
			if s.stageAt != n.stageAt {
				f.step(n, "move it to the stage of "+s.ID+", right before it", "LOVE accepts no commands from this step until %s, at least one stage later", s.ID)
				continue
			}
			for _, m := range v.syncs("") {
				if m != s && before(m, s) && !before(m, n) {
					f.step(n, "run it after "+m.ID, "LOVE accepts no commands from this step on, but %s runs before love is synced", m.ID)
				}
			}
		}
	}
}

func first(s []string) string {
	if len(s) == 0 {
		return ""
	}
	return s[0]
}

var tagged = regexp.MustCompile(`^[^:@\s]+(:\d+)?(/[^:@\s]+)+:([A-Za-z0-9._-]+)$`)

func images(v *view, f *findings) {
	given := map[string]plan.Change{}
	for _, c := range slices.Concat(v.Upgrade.Revisions, v.Upgrade.Changed) {
		if _, twice := given[c.CSC]; twice {
			f.plan("name it once", "the request gives %s a revision twice", c.CSC)
		}
		given[c.CSC] = c
	}
	repositories := map[string]*plan.CSC{} // by class: the first with it
	for i := range v.CSCs {
		c := &v.CSCs[i]
		if c.Job == nil {
			if c.Image != "" {
				f.plan("recompile the plan", "%s runs on a host but has the image %q", c.CSC, c.Image)
			}
			continue
		}
		v.before(f, c)
		if v.removed(c.CSC) && c.Image == "" {
			continue
		}
		m := tagged.FindStringSubmatch(c.Image)
		if m == nil {
			f.plan("recompile the plan", "the image of %s is %q, not a registry's repository with a tag", c.CSC, c.Image)
			continue
		}
		if !strings.HasPrefix(c.Image, v.Facts.ImageRegistry+"/") {
			f.plan("recompile the plan", "the image of %s is %q, but the site's images are in the registry %q", c.CSC, c.Image, v.Facts.ImageRegistry)
		}
		if one := repositories[c.Job.CSCClass]; one == nil {
			repositories[c.Job.CSCClass] = c
		} else if repository(one.Image) != repository(c.Image) {
			f.plan("recompile the plan", "the image of %s is %q, but that of %s, of the same class, is %q", c.CSC, c.Image, one.CSC, one.Image)
		}
		change, named := given[c.CSC]
		if !v.tagFits(m[3], change, named) {
			f.plan("recompile the plan", "the image of %s has the tag %q, which does not match cycle %q and the request's revision", c.CSC, m[3], v.Upgrade.Cycle)
		}
	}
}

// repository returns an image without its tag.
func repository(image string) string {
	if i := strings.LastIndexByte(image, ':'); i >= 0 {
		return image[:i]
	}
	return image
}

var threeDigits = regexp.MustCompile(`^\.\d{3}$`)

// tagFits reports whether an image's tag is the cycle's, with the revision that the
// request gives or, if it gives none in the same cycle, with any.
func (v *view) tagFits(tag string, change plan.Change, named bool) bool {
	suffix, ok := strings.CutPrefix(tag, v.Upgrade.Cycle)
	if named && change.Why == plan.Configuration {
		named = false
	}
	switch {
	case !ok:
		return false
	case change.Why == plan.Unpinned:
		return suffix == ""
	case named && (change.Revision > 0 || change.Why == plan.Rollback):
		return suffix == fmt.Sprintf(".%03d", change.Revision)
	case named || v.Type == plan.Full:
		return suffix == "" || suffix == ".000"
	}
	return suffix == "" || threeDigits.MatchString(suffix)
}

func syncWidth(v *view, f *findings) {
	for _, n := range v.syncs("") {
		a := n.Action.Parameters.(*plan.Sync)
		for _, name := range a.CSCs {
			c, ok := v.CSC(name)
			if ok && (c.Job == nil || c.Job.Application != a.Application) { // others are reported by known-names
				f.step(n, "remove it, or sync its own application", "%s does not belong to the application %q", name, a.Application)
			}
		}
		if v.Type != plan.Incremental {
			wholeApplication(v, f, n, a)
		}
		switch {
		case len(a.Resources) > 0:
			resourcesMatch(v, f, n, a)
		case v.Type == plan.Incremental && !slices.Contains(v.Upgrade.Applications, a.Application):
			f.step(n, "list the resources of its CSCs", "syncs the whole of %q, which is not in the request", a.Application)
		}
	}
}

// wholeApplication requires a sync of a full upgrade or a recovery to bring all of
// the application's Jobs.
func wholeApplication(v *view, f *findings, n *node, a *plan.Sync) {
	if len(a.Resources) > 0 {
		f.step(n, "remove the resources", "syncs only a part of %q", a.Application)
	}
	var missing []string
	for i := range v.CSCs {
		c := &v.CSCs[i]
		if c.Job != nil && c.Job.Application == a.Application && !slices.Contains(a.CSCs, c.CSC) {
			missing = append(missing, c.CSC)
		}
	}
	if len(missing) > 0 {
		f.step(n, "add them to its cscs", "does not check the images of %s, which belong to %q", list(missing), a.Application)
	}
}

// resourcesMatch requires a sync that is limited to some resources to bring back exactly
// what the tables have for its CSCs.
func resourcesMatch(v *view, f *findings, n *node, a *plan.Sync) {
	wanted := v.Brings(a.CSCs)
	for i, r := range a.Resources {
		switch {
		case !slices.Contains(wanted, r):
			f.step(n, "remove it", "syncs the %s %q of namespace %q, which the tables do not have for its CSCs", r.Kind, r.Name, r.Namespace)
		case slices.Contains(a.Resources[:i], r):
			f.step(n, "name it once", "syncs the %s %q twice", r.Kind, r.Name)
		}
	}
	for _, r := range wanted {
		if !slices.Contains(a.Resources, r) {
			f.step(n, "add it to its resources", "brings back %s without the %s %q", list(a.CSCs), r.Kind, r.Name)
		}
	}
}
