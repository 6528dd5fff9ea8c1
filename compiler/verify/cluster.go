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
			"A deletion finds exactly the Jobs that it is meant for: its label selector, held against the Jobs of the plan's table, matches the CSCs that the step names, no more and no fewer. " +
				"The only namespaces that are ever deleted are those of Nublado's users.", selectorWidth},
		{"nublado-consent", []string{"P19"},
			"Deleting Nublado's user namespaces ends people's sessions: only a full upgrade does it, with a consent of its own, and before Nublado is synced.", nubladoConsent},
		{"jobs-replaced", []string{"P18", "P21", "P32", "P33", "P44"},
			"A Job can't be changed in place: it is deleted, once, before the sync that brings it back, and every Job that is deleted is brought back. " +
				"A full upgrade and a recovery replace all Jobs of the CSC chart.", jobsReplaced},
		{"images", []string{"P32", "P33"},
			"After the upgrade each CSC runs the image of the cycle, with the revision that the request gives it, and a sync brings it.", images},
		{"sync-width", []string{"P32", "P33"},
			"A sync names the CSCs whose Jobs it brings back, all of them of its application; one that is limited to some resources lists exactly those Jobs.", syncWidth},
	}
}

func selectorWidth(v *view, f *findings) {
	for _, n := range v.steps {
		a, ok := n.Action.Parameters.(*plan.Delete)
		switch {
		case !ok:
		case a.Objects == plan.Namespaces:
			if a.Selector != nubladoSelector || len(a.CSCs) > 0 {
				f.step(n, "set the selector to "+nubladoSelector, "it deletes the namespaces that %q finds; only those of Nublado's users are ever deleted", a.Selector)
			}
		default:
			jobsSelected(v, f, n, a)
		}
	}
}

// nubladoSelector finds the namespaces of Nublado's users and nothing else.
const nubladoSelector = "argocd.argoproj.io/instance=nublado-users"

// mixed are the namespaces in which not all Jobs are those of CSCs (P18).
var mixed = []string{love, "uws"}

func jobsSelected(v *view, f *findings, n *node, a *plan.Delete) {
	requirements, err := parseSelector(a.Selector)
	if err != nil {
		f.step(n, "select by csc, csc-name or csc-class", "what the selector %q finds can't be known: %v", a.Selector, err)
		return
	}
	named := slices.ContainsFunc(requirements, func(r requirement) bool { return r.op == "=" || r.op == "in" })
	if slices.Contains(mixed, a.Namespace) && !named {
		f.step(n, "select by csc-name or csc-class with a value", "in namespace %q there are Jobs of others, and the selector %q names no CSC or class", a.Namespace, a.Selector)
	}
	if len(a.CSCs) == 0 {
		f.step(n, "name the CSCs whose Jobs it deletes", "it names no CSC whose Job it deletes")
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
		f.step(n, "narrow the selector, such as with csc-name, or name them", "the selector %q also finds the Jobs of %s in namespace %q", a.Selector, list(more), a.Namespace)
	}
	if len(fewer) > 0 {
		f.step(n, "widen the selector, correct the namespace, or take them off", "the selector %q does not find the Jobs of %s in namespace %q, or they stand there twice", a.Selector, list(fewer), a.Namespace)
	}
}

func nubladoConsent(v *view, f *findings) {
	removals := v.where(func(n *node) bool { return n.does.Namespaces != "" })
	if v.Type == plan.Full && len(removals) != 1 {
		f.plan("let one step delete them, for P19", "%d steps delete Nublado's user namespaces; a full upgrade does it once", len(removals))
	}
	for _, n := range removals {
		if v.Type != plan.Full {
			f.step(n, "take the step out", "it ends people's Nublado sessions, which only a full upgrade does")
		}
		if n.Consent == "" {
			f.step(n, "give the step a consent", "it ends people's Nublado sessions without a consent of its own")
		}
		for _, s := range v.syncs(nublado) {
			if !before(n, s) {
				f.step(n, "let it come before "+s.ID, "it may delete what the sync of Nublado has just brought")
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
		if v.Type != plan.Incremental && len(removals) == 0 {
			f.plan("add it to the step that deletes the Jobs of its namespace", "the Job of %s is never deleted: it would go on as it is", c.CSC)
		}
		if len(removals) > 1 {
			f.step(removals[1], "delete it once", "the Job of %s is deleted here and by %s", c.CSC, removals[0].ID)
		}
		for _, s := range bringing {
			for _, d := range removals {
				if !before(d, s) {
					f.step(s, "let it come after "+d.ID, "it may bring back the Job of %s before %s has deleted the old one", c.CSC, d.ID)
				}
			}
			if len(removals) == 0 && s.brings(c) {
				f.step(s, "delete the Job before, or take the CSC off", "it is to bring a new Job of %s, whose old one is not deleted", c.CSC)
			}
		}
		if len(removals) > 0 && !slices.ContainsFunc(bringing, func(s *node) bool { return s.brings(c) }) {
			f.step(removals[0], "name it among the cscs of its application's sync", "it deletes the Job of %s, which no sync brings back", c.CSC)
		}
	}
	loveCommander(v, f)
}

// loveCommander wants the Jobs of love to be deleted last: LOVE is needed until
// love is synced (P18).
func loveCommander(v *view, f *findings) {
	for _, n := range v.steps {
		c, ok := v.CSC(first(n.deletes))
		if !ok || c.Job == nil || c.Job.Application != love {
			continue
		}
		for _, s := range v.syncs(love) {
			if s.stageAt != n.stageAt {
				f.step(n, "put it into the stage of "+s.ID+", right before that", "LOVE takes no commands from this step until %s, a stage or more later", s.ID)
				continue
			}
			for _, m := range v.syncs("") {
				if m != s && before(m, s) && !before(m, n) {
					f.step(n, "let it come after "+m.ID, "LOVE takes no commands from this step on, and %s is done before love is synced", m.ID)
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
	revisions := map[string]int{}
	for _, c := range slices.Concat(v.Upgrade.Revisions, v.Upgrade.Changed) {
		if _, twice := revisions[c.CSC]; twice {
			f.plan("name it once", "the request gives %s a revision twice", c.CSC)
		}
		revisions[c.CSC] = c.Revision
	}
	for i := range v.CSCs {
		c := &v.CSCs[i]
		if c.Job == nil {
			if c.Image != "" {
				f.plan("compile the plan again", "%s runs on a host and has the image %q", c.CSC, c.Image)
			}
			continue
		}
		m := tagged.FindStringSubmatch(c.Image)
		if m == nil {
			f.plan("compile the plan again", "the image of %s is %q, not a registry's repository with a tag", c.CSC, c.Image)
			continue
		}
		revision, given := revisions[c.CSC]
		if !v.tagFits(m[3], revision, given) {
			f.plan("compile the plan again", "the image of %s has the tag %q, which is not that of cycle %q with the revision that the request gives", c.CSC, m[3], v.Upgrade.Cycle)
		}
	}
}

var threeDigits = regexp.MustCompile(`^\.\d{3}$`)

// tagFits tells whether an image's tag is the cycle's, with the revision that is
// given or, in a cycle that goes on, any.
func (v *view) tagFits(tag string, revision int, given bool) bool {
	suffix, ok := strings.CutPrefix(tag, v.Upgrade.Cycle)
	switch {
	case !ok:
		return false
	case given && revision > 0:
		return suffix == fmt.Sprintf(".%03d", revision)
	case given || v.Type == plan.Full:
		return suffix == "" || suffix == ".000"
	}
	return suffix == "" || threeDigits.MatchString(suffix)
}

func syncWidth(v *view, f *findings) {
	for _, n := range v.syncs("") {
		a := n.Action.Parameters.(*plan.Sync)
		jobs := map[string]string{} // of the CSCs named, by namespace and name
		for _, name := range a.CSCs {
			c, ok := v.CSC(name)
			switch {
			case !ok: // said by known-names
			case c.Job == nil || c.Job.Application != a.Application:
				f.step(n, "take it off, or sync its own application", "%s does not belong to the application %q", name, a.Application)
			default:
				jobs[c.Job.Namespace+"/"+c.Job.Name] = name
			}
		}
		if v.Type != plan.Incremental {
			wholeApplication(v, f, n, a)
		}
		switch {
		case len(a.Resources) > 0:
			resourcesMatch(f, n, a, jobs)
		case v.Type == plan.Incremental && !slices.Contains(v.Upgrade.Applications, a.Application):
			f.step(n, "list the Jobs and ConfigMaps of its CSCs", "it syncs the whole of %q, which the request does not name", a.Application)
		}
	}
}

// wholeApplication wants a sync of a full upgrade or a recovery to bring all of
// the application's Jobs.
func wholeApplication(v *view, f *findings, n *node, a *plan.Sync) {
	if len(a.Resources) > 0 {
		f.step(n, "leave the resources out", "it syncs a part of %q only", a.Application)
	}
	var missing []string
	for i := range v.CSCs {
		c := &v.CSCs[i]
		if c.Job != nil && c.Job.Application == a.Application && !slices.Contains(a.CSCs, c.CSC) {
			missing = append(missing, c.CSC)
		}
	}
	if len(missing) > 0 {
		f.step(n, "name them among its cscs", "it does not look whether %s run their images, which belong to %q", list(missing), a.Application)
	}
}

// chartConfigMaps are the ConfigMaps that the CSC chart makes beside a Job, by
// what follows the Job's name.
var chartConfigMaps = []string{"configfile", "entrypoint", "obsenv-configfile"}

func resourcesMatch(f *findings, n *node, a *plan.Sync, jobs map[string]string) {
	listed, maps := map[string]bool{}, map[string]bool{}
	for _, r := range a.Resources {
		key := r.Namespace + "/" + r.Name
		switch {
		case r.Kind == "Job" && r.Group == "batch":
			listed[key] = true
			if jobs[key] == "" {
				f.step(n, "take it out", "it syncs the Job %q, which is that of none of its CSCs", key)
			}
		case r.Kind == "ConfigMap" && r.Group == "":
			maps[key] = true
			if !slices.ContainsFunc(keys(jobs), func(job string) bool { return strings.HasPrefix(key, job+"-") }) {
				f.step(n, "take it out", "it syncs the ConfigMap %q, which does not belong to a Job of its CSCs", key)
			}
		default:
			f.step(n, "take it out", "it syncs %s %q; only Jobs and the ConfigMaps of their chart are synced one by one", r.Kind, key)
		}
	}
	for _, key := range keys(jobs) {
		if !listed[key] {
			f.step(n, "add the Job to its resources", "it is to bring back %s and does not sync its Job %q", jobs[key], key)
		}
		for _, suffix := range chartConfigMaps {
			if !maps[key+"-"+suffix] {
				f.step(n, "add the ConfigMap to its resources", "it brings back the Job of %s without the ConfigMap %q, which the chart may have changed", jobs[key], key+"-"+suffix)
			}
		}
	}
}

func keys(m map[string]string) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
