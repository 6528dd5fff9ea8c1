package review

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/executor/plan"
)

// Markdown writes the plan for a pull request: the summary and the graph of the
// stages first, then the complete runbook, which a person could follow by hand.
// What is long and repeated stands once, in a list with a name.
func Markdown(w io.Writer, p *plan.Plan) error {
	p = shown(p)
	m := &markdown{w: w, plan: p, lists: newLists(p), estimate: EstimatePlan(p)}
	m.summary()
	m.graph()
	m.before()
	for i := range p.Stages {
		m.stage(i+1, &p.Stages[i], &m.estimate.Stages[i])
	}
	if len(p.Final) > 0 {
		m.f("## At the end, and when the run is aborted\n\nThese undo what earlier steps did. The run is not complete while they are outstanding.\n\n")
		for i := range p.Final {
			m.step("", &p.Final[i], false)
		}
	}
	m.named()
	m.table()
	return m.err
}

type markdown struct {
	w        io.Writer
	err      error
	plan     *plan.Plan
	lists    *lists
	estimate Estimate
}

func (m *markdown) f(format string, args ...any) {
	if m.err == nil {
		_, m.err = fmt.Fprintf(m.w, format, args...)
	}
}

// fold opens what is shown only when it is asked for; end closes it.
func (m *markdown) fold(summary string) { m.f("<details><summary>%s</summary>\n\n", inHTML(summary)) }
func (m *markdown) end()                { m.f("\n</details>\n\n") }

func (m *markdown) summary() {
	p, s := m.plan, Summarize(m.plan)
	m.f("# %s\n\nReason: %s\n\n", escaped(oneLine(title(p))), inMarkdown(p.Upgrade.Reason))
	m.f("| | |\n|---|---|\n")
	for _, f := range s.facts(m.estimate, m.lists.refer) {
		m.f("| %s | %s |\n", f.label, inCell(f.text))
	}
	m.f("\n")
	if len(s.Irreversible) > 0 {
		m.f("**What no step takes back**\n\n")
		m.asked(s.Irreversible, 8)
	}
	if len(s.Doubts) > 0 {
		m.f("**What is in doubt**: %s, in full where each is asked\n\n", counted(len(s.Doubts), "doubt"))
		m.asked(s.Doubts, 4)
	}
	var own []Asked
	for _, c := range s.Consents {
		if strings.Contains(c.Where, "/") {
			own = append(own, c)
		}
	}
	if len(own) > 0 {
		m.f("**Steps with a consent of their own**, besides one for each stage\n\n")
		m.asked(own, 4)
	}
}

// asked lists what is asked, the same in several places only once, and folds
// what is more than a few.
func (m *markdown) asked(all []Asked, few int) {
	var order []string
	where := map[string][]string{}
	for _, a := range all {
		text := firstSentence(a.Text)
		if _, seen := where[text]; !seen {
			order = append(order, text)
		}
		where[text] = append(where[text], codeSpan(a.Where))
	}
	folded := len(order) > few
	if folded {
		m.fold(fmt.Sprintf("all %d", len(order)))
	}
	for _, text := range order {
		m.f("- %s: %s\n", strings.Join(where[text], ", "), inMarkdown(text))
	}
	if folded {
		m.end()
	} else {
		m.f("\n")
	}
}

// graph draws the stages, and says what each one's end waits for.
func (m *markdown) graph() {
	m.f("```mermaid\nflowchart TD\n")
	for i, s := range m.plan.Stages {
		m.f("  s%d[\"%d. %s<br/>%s, about %s\"]\n", i+1, i+1, inMermaid(s.Title), counted(len(s.Steps), "step"), about(m.estimate.Stages[i].Takes))
		if i > 0 {
			m.f("  s%d --> s%d\n", i, i+1)
		}
	}
	for i := range m.plan.Final {
		f := &m.plan.Final[i]
		m.f("  f%d([\"%s\"])\n", i+1, inMermaid(f.Title))
		undone, _, _ := strings.Cut(f.Undoes, "/")
		if at := slices.IndexFunc(m.plan.Stages, func(s plan.Stage) bool { return s.ID == undone }); at >= 0 {
			m.f("  s%d -. undone by .-> f%d\n", at+1, i+1)
		}
	}
	m.f("```\n\n")
	m.fold(fmt.Sprintf("Expected time of each stage, %s in all, and the critical path", about(m.estimate.Takes)))
	m.f("| stage | takes | its end waits for |\n|---|---|---|\n")
	for i, e := range m.estimate.Stages {
		m.f("| %d. %s | %s | %s |\n", i+1, codeSpan(e.ID), about(e.Takes), inCell(criticalNames(e)))
	}
	if len(m.plan.Final) > 0 {
		m.f("| final steps | %s | one after the other |\n", about(m.estimate.Final))
	}
	m.f("\nThe times are what the steps usually take. Waiting for consents, answers and people comes on top.\n")
	m.end()
}

func (m *markdown) before() {
	p, t := m.plan, m.plan.Targets
	m.f("## Before you begin\n\n")
	m.f("You lead this deployment; nothing is done without your consent (P2). See that you have access to all of these (P1):\n\n")
	m.f("- LOVE: %s, with the right to send commands; its view %s shows the summary states (P13)\n", inMarkdown(t.LOVE.URL), codeSpan(t.LOVE.View))
	m.f("- Kubernetes: context %s (%s), API server %s. Before any command, `kubectl config current-context` must show %s (P20)\n",
		codeSpan(t.Kubernetes.Context), inMarkdown(t.Kubernetes.Kubeconfig), inMarkdown(t.Kubernetes.Server), codeSpan(t.Kubernetes.Context))
	m.f("- Slack: %s\n", inMarkdown(t.Slack.Channel))
	if !slices.ContainsFunc(t.Pages, func(g plan.Page) bool { return g.URL == t.ArgoCD.URL }) {
		m.f("- Argo CD: %s\n", inMarkdown(t.ArgoCD.URL))
	}
	for _, page := range t.Pages {
		m.f("- %s: %s\n", inMarkdown(page.Title), inMarkdown(page.URL))
	}
	m.f("\nThe Chronograf dashboards Heartbeats and AT, MT, Envsys, Calibration Systems and Observatory Systems Summary State Monitor give the overview (P13). " +
		"LOVE is preferred; when it does not work, Nublado is the fallback (P12).\n\n")
	if len(p.Upgrade.Branches) > 0 {
		m.f("Branches that are deployed:\n\n")
		for _, b := range p.Upgrade.Branches {
			m.f("- %s: %s\n", inMarkdown(b.Repository), codeSpan(visible(b.Branch)))
		}
		m.f("\n")
	}
	if hosts := touchedHosts(p); len(hosts) > 0 {
		m.fold(fmt.Sprintf("%s that steps log in to", counted(len(hosts), "host")))
		m.f("|host|address|users|principal|\n|---|---|---|---|\n")
		for _, h := range hosts {
			m.f("|%s|%s|%s|%s|\n", inCell(h.Name), inCell(h.Address), inCell(accounts(h)), inCell(h.Principal))
		}
		m.end()
	}
	m.f("Under each step stand its id, its numbers in the procedure, how long it usually takes and its time limit. " +
		"Steps of a stage run at the same time, unless one says after which others. " +
		"When a step fails or its time is up, nothing new starts and the operator is asked, unless it says otherwise.\n\n")
}

// touchedHosts returns the hosts that steps name.
func touchedHosts(p *plan.Plan) []plan.Host {
	names := Summarize(p).Hosts
	var out []plan.Host
	for _, h := range p.Hosts {
		if slices.Contains(names, h.Name) {
			out = append(out, h)
		}
	}
	return out
}

func accounts(h plan.Host) string {
	via := map[string]string{"login": "log in as it", "sudo": "sudo from your own", "own": "your own"}
	var users []string
	for _, u := range h.Users {
		users = append(users, fmt.Sprintf("%s (%s)", u.Name, via[u.Via]))
	}
	return strings.Join(users, ", ")
}

// few is how many steps of a stage are shown without being asked for.
const few = 8

func (m *markdown) stage(n int, s *plan.Stage, e *StageEstimate) {
	m.f("## %d. %s\n\n%s %s · %s, about %s\n\n", n, inMarkdown(s.Title), codeSpan(s.ID), strings.Join(s.Source, " "), counted(len(s.Steps), "step"), about(e.Takes))
	m.f("**Consent:** %s\n\n", inMarkdown(s.Consent))
	m.agreed(s.Principals)
	for _, d := range s.Doubts {
		m.f("**Doubt:** %s\n\n", inMarkdown(d))
	}
	if len(s.Steps) > few {
		m.fold(counted(len(s.Steps), "step"))
		defer m.end()
	}
	for i := range s.Steps {
		m.step(fmt.Sprintf("%d.%d ", n, i+1), &s.Steps[i], slices.Contains(e.Critical, s.Steps[i].ID))
	}
}

func (m *markdown) agreed(principals []string) {
	if len(principals) > 0 {
		m.f("**Agreed by:** %s\n\n", inMarkdown(strings.Join(principals, ", ")))
	}
}

func (m *markdown) step(number string, s *plan.Step, critical bool) {
	m.f("#### %s%s\n\n", number, inMarkdown(s.Title))
	m.f("%s %s · %s", codeSpan(s.ID), strings.Join(s.Source, " "), lasts(s, critical))
	if len(s.Needs) > 0 {
		stage, _, _ := strings.Cut(s.ID, "/")
		var names []string
		for _, n := range s.Needs {
			names = append(names, codeSpan(strings.TrimPrefix(n, stage+"/")))
		}
		m.f(" · after %s", strings.Join(names, ", "))
	}
	if s.Undoes != "" {
		m.f(" · undoes %s", codeSpan(s.Undoes))
	}
	if s.OnFailure == plan.Report {
		m.f(" · if it fails, %s", onFailure(s))
	}
	m.f("\n\n")
	if s.Consent != "" {
		m.f("**Consent:** %s\n\n", inMarkdown(s.Consent))
	}
	m.agreed(s.Principals)
	if s.Doubt != "" {
		m.f("**Doubt:** %s\n\n", inMarkdown(s.Doubt))
	}
	m.does(s)
}

// does says what the step does and how a person would do it, without saying
// twice what both say.
func (m *markdown) does(s *plan.Step) {
	hand := m.lists.abridge(s.Action.Doer, s.ByHand)
	switch a := s.Action.Doer.(type) {
	case *plan.Manual:
		m.f("A person does this.")
		if len(a.CSCs) > 0 {
			m.f(" csu shows the states of %s.", inMarkdown(m.lists.refer(a.CSCs)))
		}
		if len(a.Applications) > 0 {
			m.f(" csu shows what is out of sync in %s.", inMarkdown(strings.Join(a.Applications, ", ")))
		}
		m.f(" ")
		if oneLine(a.Text) != oneLine(s.ByHand) {
			m.blocks(m.lists.abridge(a, a.Text))
			m.f("By hand: ")
		}
	case *plan.Announce:
		text := posts(a)
		if !strings.Contains(s.ByHand, fmt.Sprintf("%q", a.Text)) {
			text += fmt.Sprintf(" %q", a.Text)
		}
		m.f("%s By hand: ", inMarkdown(text))
	case *plan.SSH:
		if holds(s.ByHand, a.Commands) {
			m.f("%s By hand: ", inMarkdown(fmt.Sprintf("Over SSH on %s as %s, what is typed below%s", a.Host, a.User, conditions(a))))
		} else {
			m.f("%s By hand: ", inMarkdown(Describe(a)))
		}
	default:
		m.f("%s\n\nBy hand: ", inMarkdown(describe(a, m.lists.refer)))
	}
	m.blocks(hand)
}

// holds tells whether the lines stand in a text's code, in their order.
func holds(text string, lines []string) bool {
	for _, b := range blocks(text) {
		if !b.code {
			continue
		}
		for _, l := range b.lines {
			if len(lines) > 0 && l == lines[0] {
				lines = lines[1:]
			}
		}
	}
	return len(lines) == 0
}

// long is how many lines of code are shown without being asked for.
const long = 14

// blocks writes a text whose first paragraph may go on the present line.
func (m *markdown) blocks(text string) {
	for i, b := range blocks(text) {
		switch {
		case !b.code:
			m.f("%s\n\n", inMarkdown(strings.Join(b.lines, " ")))
			continue
		case i == 0:
			m.f("\n\n")
		}
		if len(b.lines) > long {
			m.fold(fmt.Sprintf("%d lines", len(b.lines)))
			m.f("%s", typed(b.lines))
			m.end()
		} else {
			m.f("%s\n", typed(b.lines))
		}
	}
}

// named writes the lists that the document refers to.
func (m *markdown) named() {
	if len(m.lists.order) == 0 {
		return
	}
	m.f("## Lists\n\n")
	for _, l := range m.lists.order {
		m.f("**%s**, %s: %s\n\n", l.name, counted(l.count, "CSC"), inMarkdown(l.text))
	}
}

func (m *markdown) table() {
	touched := Summarize(m.plan).Touched
	if len(touched) == 0 {
		return
	}
	m.f("## Where the CSCs run and end\n\nWhere one state stands, it comes up in the state that it ends in. Images without a registry are from %s.\n\n", codeSpan(m.lists.registry))
	m.fold(counted(len(touched), "CSC") + " that this plan touches")
	m.f("|CSC|runs|comes up, ends|image|principal|\n|---|---|---|---|---|\n")
	for _, name := range touched {
		c, _ := m.plan.CSC(name)
		states := c.ComesUp + ", " + c.Expect
		if c.ComesUp == c.Expect {
			states = c.Expect
		}
		m.f("|%s|%s|%s|%s|%s|\n", inCell(c.CSC), inCell(where(c)), states, inCell(strings.TrimPrefix(c.Image, m.lists.registry+"/")), inCell(c.Principal))
	}
	m.end()
}

// where says where a CSC runs.
func where(c *plan.CSC) string {
	if c.Job != nil {
		return c.Job.Namespace + "/" + c.Job.Name
	}
	return "host " + c.Host
}
