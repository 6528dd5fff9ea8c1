package verify

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/executor/plan"
)

func claimRules() []Rule {
	return []Rule{
		{"consent-names", []string{"P2", "P7", "P15", "P17", "P18", "P19", "P21", "P24", "P47"},
			"The operator consents to what goes down by name: the stage's consent, or the step's own, names the CSCs or their number, the Watcher, the hosts, the cluster whose Jobs are deleted, Nublado, the registry's levels, and the CSCs that are enabled. " +
				"The first consent names the site and the cycle.", consentNames},
		{"consent-facts", []string{"P2", "P3", "P6", "P20"},
			"What a consent states as a fact is one of the plan's: CSCs in the table, numbers of CSCs, states, the cycle, the cluster, addresses, the channel, and whose agreement it confirms.", consentFacts},
	}
}

func consentNames(v *view, f *findings) {
	for i := range v.Stages {
		s := &v.Stages[i]
		if i == 0 {
			v.firstConsent(f, s)
		}
		sent := map[string]bool{} // the CSCs that the stage sends to OFFLINE, except ScriptQueues
		for _, n := range v.steps {
			if n.stage == s {
				for _, c := range n.sends {
					sent[c] = sent[c] || !isQueue(c)
				}
			}
		}
		counted := slices.Contains(counts(s.Consent), [2]string{"CSCs", fmt.Sprint(count(sent))})
		for _, n := range v.steps {
			if n.stage == s {
				v.consentTo(f, n, s.Consent+" "+n.Consent, counted)
			}
		}
	}
}

func (v *view) firstConsent(f *findings, s *plan.Stage) {
	if !v.says(s.Consent, v.Site) {
		f.stage(s, "name the site", "the first consent does not name the site %q", v.Site)
	}
	if v.Type != plan.Recovery && !v.says(s.Consent, v.Upgrade.Cycle) {
		f.stage(s, "name the cycle", "the first consent does not name the cycle %q", v.Upgrade.Cycle)
	}
	if v.Upgrade.RollsBack() && !v.says(s.Consent, "rollback") {
		f.stage(s, "say that it is a rollback", "the upgrade goes back to what ran before, but the first consent does not call it a rollback")
	}
	for _, m := range v.Moves() {
		if v.Type == plan.Incremental && !strings.Contains(s.Consent, m.String()) {
			f.stage(s, "recompile the plan", "the first consent does not say %q", m)
		}
	}
}

func count(set map[string]bool) int {
	n := 0
	for _, in := range set {
		if in {
			n++
		}
	}
	return n
}

// consentTo requires the text to say what the step takes down. counted says that
// it gives the number of CSCs that go to OFFLINE.
func (v *view) consentTo(f *findings, n *node, text string, counted bool) {
	unnamed := func(cscs []string, but func(string) bool) []string {
		return slices.DeleteFunc(slices.Clone(cscs), func(c string) bool { return but(c) || v.named(text)[c] })
	}
	nobody := func(string) bool { return false }
	report := func(what, format string, args ...any) {
		f.step(n, "name "+what+" in the consent of its stage or its own", format, args...)
	}
	if out := unnamed(n.sends, func(c string) bool { return counted && c != watcher && !isQueue(c) }); len(out) > 0 {
		report("them, or their number,", "it sends %s to OFFLINE, but the consent does not say so", list(out))
	}
	if n.does.Jobs != "" {
		all := everyJob.MatchString(text) && v.Type != plan.Incremental
		if out := unnamed(n.deletes, func(c string) bool { return all && (v.Type == plan.Full || c != watcher) }); len(out) > 0 {
			report("them", "it deletes the Jobs of %s, but the consent does not say so", list(out))
		}
		if !v.says(text, v.Targets.Kubernetes.Context) && first(n.deletes) != "" && !v.lovesOwn(n) {
			report("the cluster", "it deletes Jobs, but the consent does not name the cluster %q", v.Targets.Kubernetes.Context)
		}
	}
	if h := n.does.Host; h != "" && (n.does.Stopped != "" || n.does.Rebooted != "" || n.Consent != "") && !v.says(text, h) {
		on := v.On(h)
		if n.Consent != "" || len(on) == 0 || len(unnamed(on, nobody)) > 0 {
			report("the host", "it touches %q, but the consent does not say so", h)
		}
	}
	if n.brought() && (n.cites("P5") || n.cites("P41") || n.cites("P43")) {
		ess := func(c string) bool { return plan.Component(c) == "ESS" && len(counts(text)) > 0 }
		if out := unnamed(n.does.Commands, ess); len(out) > 0 {
			report("them", "it brings %s to %s, but the consent does not say so", list(out), n.does.State)
		}
	}
	if n.does.Namespaces != "" && !strings.Contains(text, "Nublado") {
		report("Nublado", "it ends Nublado sessions, but the consent does not say so")
	}
	if n.does.Level != "" && (!v.says(text, n.does.LevelBefore) || !v.says(text, n.does.Level)) {
		report("both levels", "it sets the schema registry from %s to %s, but the consent does not say so", n.does.LevelBefore, n.does.Level)
	}
}

// everyJob is how a consent says that all Jobs of the CSC chart are deleted (P18).
var everyJob = regexp.MustCompile(`\b([Ee]very|[Aa]ll) CSC Jobs?\b`)

// lovesOwn reports whether the step deletes the Job of love, which goes in the stage
// of its sync (P18).
func (v *view) lovesOwn(n *node) bool {
	c, ok := v.CSC(first(n.deletes))
	return ok && c.Job != nil && c.Job.Application == love
}

// says reports whether the text has the name as a word.
func (v *view) says(text, name string) bool {
	return slices.ContainsFunc(words(text), func(w string) bool { return strings.TrimRight(w, ".") == name })
}

// namePattern are names of CSCs as texts have them: with one or several indices, or
// none.
var namePattern = regexp.MustCompile(`[A-Za-z][A-Za-z0-9-]*(:[0-9]+(,[0-9]+)*)?`)

// named returns the CSCs of the table that a text names: as "ESS:104,105", by the
// name alone where the index is 0, and the ScriptQueues by their plural.
func (v *view) named(text string) map[string]bool {
	out, known := v.namedIn[text]
	if known {
		return out
	}
	out = map[string]bool{}
	v.namedIn[text] = out
	for _, m := range namePattern.FindAllString(text, -1) {
		for _, name := range v.expand(m) {
			out[name] = true
		}
	}
	return out
}

// expand returns the CSCs for which a name in a text stands.
func (v *view) expand(m string) []string {
	name, indices, indexed := strings.Cut(m, ":")
	switch {
	case indexed:
		var out []string
		for _, i := range strings.Split(indices, ",") {
			out = append(out, name+":"+i)
		}
		return out
	case name == scriptQueue+"s":
		return v.queues()
	}
	return []string{name, name + ":0"}
}

// countPattern are the numbers of CSCs that a consent states.
var countPattern = regexp.MustCompile(`\b([0-9]+) (?:affected )?(CSCs?|ESS)\b`)

// counts returns what is counted in a text, with its number.
func counts(text string) [][2]string {
	var out [][2]string
	for _, m := range countPattern.FindAllStringSubmatch(text, -1) {
		what := m[2]
		if what == "CSC" {
			what = "CSCs"
		}
		out = append(out, [2]string{what, m[1]})
	}
	return out
}

var (
	indexedName  = regexp.MustCompile(`\b[A-Z][A-Za-z0-9]*:[0-9]+(,[0-9]+)*`)
	stateClaim   = regexp.MustCompile(`\b([A-Z][A-Za-z0-9]*(?::[0-9]+)?) (stays|goes to) ([A-Z_]+)\b`)
	cycleClaim   = regexp.MustCompile(`\bc[0-9]{4}\b`)
	clusterClaim = regexp.MustCompile(`\bcluster (\S+) \(`)
	channelClaim = regexp.MustCompile(`#[a-z0-9_-]{3,}`)
	agreesClaim  = regexp.MustCompile(`\bThe ([^.,:]+?) agrees that|\btogether with the ([^.,:]+)\.`)
)

const claimRemedy = "correct the consent, or recompile the plan"

func consentFacts(v *view, f *findings) {
	for i := range v.Stages {
		s := &v.Stages[i]
		report := func(format string, args ...any) { f.stage(s, claimRemedy, format, args...) }
		v.statements(s.Consent, s.Principals, report)
		for _, c := range counts(s.Consent) {
			if !slices.Contains(v.sizes(s), c) {
				report("its consent counts %s %s, but no list in its steps has that many", c[1], c[0])
			}
		}
	}
	for _, n := range v.steps {
		report := func(format string, args ...any) { f.step(n, claimRemedy, format, args...) }
		v.statements(n.Consent, n.Principals, report)
		for _, m := range stateClaim.FindAllStringSubmatch(n.Consent, -1) {
			if m[2] == "goes to" && !(m[3] == n.does.State && slices.Contains(v.expand(m[1]), first(n.does.Commands))) {
				report("its consent says that %s, but it brings %s to %s", m[0], list(n.does.Commands), n.does.State)
			}
		}
	}
}

// sizes are the numbers of CSCs that the stage's steps send to OFFLINE, bring to a
// state, or check.
func (v *view) sizes(s *plan.Stage) (out [][2]string) {
	sent, seen, ess := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, n := range v.steps {
		if n.stage != s {
			continue
		}
		for _, c := range n.does.Commands {
			sent[c] = sent[c] || n.does.State == plan.Offline && !isQueue(c)
			ess[c] = plan.Component(c) == "ESS"
		}
		if n.looks() {
			one := map[string]bool{}
			for _, w := range n.does.Sees {
				for _, c := range w.CSCs {
					seen[c], one[c] = true, true
				}
			}
			out = append(out, [2]string{"CSCs", fmt.Sprint(count(one))})
		}
	}
	return append(out, [][2]string{{"CSCs", fmt.Sprint(count(sent))}, {"CSCs", fmt.Sprint(count(seen))}, {"ESS", fmt.Sprint(count(ess))}}...)
}

// statements reports what a consent states that is not in the plan.
func (v *view) statements(text string, principals []string, report func(string, ...any)) {
	if text == "" {
		return // as that of most steps
	}
	for _, m := range indexedName.FindAllString(text, -1) {
		for _, name := range v.expand(m) {
			if _, ok := v.CSC(name); !ok {
				report("its consent names %s, which is not in the plan's table", name)
			}
		}
	}
	for _, m := range stateClaim.FindAllStringSubmatch(text, -1) {
		for _, name := range v.expand(m[1]) {
			if c, ok := v.CSC(name); ok && m[2] == "stays" && c.Keeps != m[3] {
				report("its consent says that %s, but the table has %q as the state that it keeps", m[0], c.Keeps)
			}
		}
	}
	for _, m := range cycleClaim.FindAllString(text, -1) {
		if m != v.Upgrade.Cycle && m != v.Upgrade.From {
			report("its consent names the cycle %s, but the request's is %s", m, v.Upgrade.Cycle)
		}
	}
	for _, m := range clusterClaim.FindAllStringSubmatch(text, -1) {
		if m[1] != v.Targets.Kubernetes.Context {
			report("its consent names the cluster %q, but the plan's is %q", m[1], v.Targets.Kubernetes.Context)
		}
	}
	for _, m := range channelClaim.FindAllString(text, -1) {
		if m != v.Targets.Slack.Channel {
			report("its consent names the channel %s, but the site's is %s", m, v.Targets.Slack.Channel)
		}
	}
	for _, m := range addressIn.FindAllString(text, -1) {
		if !slices.Contains(v.addresses(), strings.TrimRight(m, ".,:;")) {
			report("its consent has the address %q, which is none of the plan's targets and pages", m)
		}
	}
	for _, m := range agreesClaim.FindAllStringSubmatch(text, -1) {
		if who := m[1] + m[2]; !slices.Contains(principals, who) {
			report("its consent confirms the agreement of %q, who is not among its principals", who)
		}
	}
}
