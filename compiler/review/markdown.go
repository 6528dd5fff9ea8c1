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
	m := &markdown{w: w, plan: p, lists: newLists(p), estimate: EstimatePlan(p), said: map[string]string{}, notes: map[string]string{}}
	m.summary()
	m.graph()
	m.before()
	for i := range p.Stages {
		m.stage(i+1, &p.Stages[i], &m.estimate.Stages[i])
	}
	if len(p.Final) > 0 {
		m.f("## At the end, and when the run is aborted\n\nThese undo what earlier steps did. The run is not complete while they are outstanding.\n\n")
		for i := range p.Final {
			m.step("", &p.Final[i])
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
	said     map[string]string // long texts of steps, and the first step that has them
	notes    map[string]string // remarks that many steps make, and their names
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
		m.asked(s.Irreversible)
	}
	if len(s.Doubts) > 0 {
		m.f("**What is in doubt**, in full where it is asked\n\n")
		m.asked(s.Doubts)
	}
	var own []Asked
	for _, c := range s.Consents {
		if strings.Contains(c.Where, "/") {
			text := "asked of the lead"
			if len(c.Principals) > 0 {
				text = "agreed by " + strings.Join(c.Principals, ", ")
			}
			own = append(own, Asked{Where: c.Where, Text: text})
		}
	}
	if len(own) > 0 {
		m.f("**Steps with a consent of their own**, besides the one for each stage\n\n")
		m.asked(own)
	}
}

// asked lists what is asked, the same in several places once, and folds what is
// more than a few.
func (m *markdown) asked(all []Asked) {
	matters := grouped(all)
	folded := len(matters) > few
	if folded {
		m.fold(fmt.Sprintf("all %d", len(all)))
	}
	for _, a := range matters {
		var places []string
		for _, p := range a.Places {
			places = append(places, codeSpan(p))
		}
		m.f("- %s: %s\n", inMarkdown(firstSentence(a.Text)), strings.Join(places, ", "))
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
	var chain []string
	for i, s := range m.plan.Stages {
		node := fmt.Sprintf("s%d", i+1)
		chain = append(chain, node)
		m.f("  %s[\"%d. %s<br/>%s, about %s\"]\n", node, i+1, inMermaid(s.Title), counted(len(s.Steps), "step"), about(m.estimate.Stages[i].Takes))
	}
	if len(chain) > 1 {
		m.f("  %s\n", strings.Join(chain, " --> "))
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
	m.remarks()
	m.f("With each step stand its id, its numbers in the procedure, how long it usually takes and its time limit. " +
		"Steps of a stage run at the same time, unless one says after which others. " +
		"When a step fails or its time is up, nothing new starts and the operator is asked, unless it says otherwise.\n\n")
}

// remarks writes the remarks on doing things by hand that many steps make.
func (m *markdown) remarks() {
	times := map[string]int{}
	var order []string
	for s := range m.plan.AllSteps() {
		for _, b := range blocks(s.ByHand) {
			text := b.Paragraph()
			if b.Code || len(text) < 80 {
				continue
			}
			if times[text]++; times[text] == 3 {
				order = append(order, text)
			}
		}
	}
	if len(order) > 0 {
		m.f("What many steps say about doing them by hand stands here once:\n\n")
		defer m.f("\n")
	}
	for i, text := range order {
		m.notes[text] = fmt.Sprintf("remark R%d", i+1)
		m.f("- **%s**: %s\n", m.notes[text], inMarkdown(text))
	}
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
	via := map[string]string{"login": "log in as it", "sudo": "by sudo", "own": "your own"}
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
	for i := 0; i < len(s.Steps); {
		if rows := simple(s.Steps[i:]); rows > 1 {
			m.rows(n, i, s.Steps[i:i+rows])
			i += rows
			continue
		}
		m.step(fmt.Sprintf("%d.%d ", n, i+1), &s.Steps[i])
		i++
	}
}

// simple returns how many steps from the first on are of one kind and ask
// nothing, so that each fits into the row of a table.
func simple(steps []plan.Step) int {
	for i := range steps {
		s := &steps[i]
		asks := s.Consent != "" || s.Doubt != "" || len(s.Principals) > 0 || s.OnFailure != plan.Ask
		if asks || s.Action.Kind() != steps[0].Action.Kind() || !fitsRow(s) {
			return i
		}
		if a, ok := s.Action.Doer.(*plan.Sync); ok && a.Revision != steps[0].Action.Doer.(*plan.Sync).Revision {
			return i
		}
	}
	return len(steps)
}

func fitsRow(s *plan.Step) bool {
	hand := blocks(s.ByHand)
	code := slices.ContainsFunc(hand, func(b block) bool { return b.Code })
	switch a := s.Action.Doer.(type) {
	case *plan.SSH:
		return len(hand) == 1 && len(hand[0].Lines) <= 4 && holds(s.ByHand, a.Commands)
	case *plan.Delete:
		return a.Objects == plan.Jobs && !code && strings.Contains(s.ByHand, a.Namespace) && strings.Contains(s.ByHand, a.Selector)
	case *plan.Sync:
		return len(a.Resources) == 0 && !code
	}
	return false
}

// rows writes simple steps as a table.
func (m *markdown) rows(stage, first int, steps []plan.Step) {
	switch a := steps[0].Action.Doer.(type) {
	case *plan.SSH:
		m.f("By csu over SSH, or by hand:\n\n")
	case *plan.Delete:
		m.f("csu deletes the Jobs of these CSCs, which the selector must find and no others, and waits until they and their pods are gone. By hand:\n\n")
	case *plan.Sync:
		m.f("Argo CD syncs the application at %s, and csu waits until the images run that are expected of these CSCs. By hand:\n\n", codeSpan(a.Revision))
	}
	m.f("|step|id in the stage|time|what|\n|---|---|---|---|\n")
	for i := 0; i < len(steps); {
		together := sameLogin(steps[i:])
		var titles, ids, times []string
		what := m.what(&steps[i], true)
		for j := range together {
			s := &steps[i+j]
			_, name, _ := strings.Cut(s.ID, "/")
			titles = append(titles, fmt.Sprintf("%d.%d %s", stage, first+i+j+1, inCell(s.Title)))
			ids = append(ids, codeSpan(name)+" "+strings.Join(s.Source, " "))
			times = append(times, lasts(s))
			if j > 0 {
				what += "<br>" + m.what(s, false)
			} else {
				times[0] += m.after(s, ", ")
			}
		}
		m.f("|%s|%s|%s|%s|\n", strings.Join(titles, "<br>"), strings.Join(ids, "<br>"), strings.Join(times, "<br>"), what)
		i += together
	}
	m.f("\n")
}

// sameLogin returns how many steps from the first on go on where the one before
// has logged in: the same lines come before their commands, and nothing but the
// one before is needed.
func sameLogin(steps []plan.Step) int {
	for i := 1; i < len(steps); i++ {
		needs := steps[i].Needs
		if login := loginLines(&steps[i]); login == nil || !slices.Equal(login, loginLines(&steps[0])) || len(needs) != 1 || needs[0] != steps[i-1].ID {
			return i
		}
	}
	return len(steps)
}

// loginLines returns what a person types on the way to a simple step's
// commands; nil where they don't come last.
func loginLines(s *plan.Step) []string {
	a, ok := s.Action.Doer.(*plan.SSH)
	if !ok {
		return nil
	}
	lines := blocks(s.ByHand)[0].Lines
	n := len(lines) - len(a.Commands)
	if n <= 0 || !slices.Equal(lines[n:], a.Commands) {
		return nil
	}
	return lines[:n]
}

// what is the last cell of a simple step, from logging in on or without that.
func (m *markdown) what(s *plan.Step, login bool) string {
	var parts []string
	switch a := s.Action.Doer.(type) {
	case *plan.Delete:
		parts = append(parts, inCell(m.lists.refer(a.CSCs)))
	case *plan.Sync:
		if len(a.CSCs) > 0 && !strings.Contains(s.ByHand, plan.CSCList(a.CSCs)) {
			parts = append(parts, inCell(m.lists.refer(a.CSCs)))
		}
	}
	for _, b := range blocks(m.abridge(s.Action.Doer, s.ByHand)) {
		if !b.Code {
			parts = append(parts, inCell(b.Paragraph()))
			continue
		}
		lines := b.Lines
		if !login {
			lines = lines[len(loginLines(s)):]
		}
		for _, l := range lines {
			parts = append(parts, strings.ReplaceAll(codeSpan(l), "|", `\|`))
		}
	}
	if a, ok := s.Action.Doer.(*plan.SSH); ok && conditions(a) != "." {
		parts = append(parts, inCell(strings.TrimPrefix(conditions(a), "; ")))
	}
	return strings.Join(parts, "<br>")
}

// after names the steps that a step comes after, without the stage's id.
func (m *markdown) after(s *plan.Step, sep string) string {
	if len(s.Needs) == 0 {
		return ""
	}
	stage, _, _ := strings.Cut(s.ID, "/")
	var names []string
	for _, n := range s.Needs {
		names = append(names, codeSpan(strings.TrimPrefix(n, stage+"/")))
	}
	return sep + "after " + strings.Join(names, ", ")
}

func (m *markdown) agreed(principals []string) {
	if len(principals) > 0 {
		m.f("**Agreed by:** %s\n\n", inMarkdown(strings.Join(principals, ", ")))
	}
}

func (m *markdown) step(number string, s *plan.Step) {
	m.f("#### %s%s\n\n", number, inMarkdown(s.Title))
	m.f("%s %s · %s%s", codeSpan(s.ID), strings.Join(s.Source, " "), lasts(s), m.after(s, " · "))
	if s.Undoes != "" {
		m.f(" · undoes %s", codeSpan(s.Undoes))
	}
	if s.OnFailure == plan.Report {
		m.f(" · if it fails, %s", onFailure(s))
	}
	m.f("\n\n")
	if s.Consent != "" {
		m.f("**Consent:** %s\n\n", inMarkdown(m.once(s.ID, s.Consent)))
	}
	m.agreed(s.Principals)
	if s.Doubt != "" {
		m.f("**Doubt:** %s\n\n", inMarkdown(m.once(s.ID, s.Doubt)))
	}
	m.does(s)
}

// once returns a text, or where the same text stands already.
func (m *markdown) once(id, text string) string {
	if at, seen := m.said[text]; seen && len(text) > 100 {
		return fmt.Sprintf("as at `%s`: %s", at, firstSentence(text))
	}
	m.said[text] = id
	return text
}

// does says what the step does and how a person would do it, without saying
// twice what both say.
func (m *markdown) does(s *plan.Step) {
	text, own := m.sentence(s)
	if text != "" {
		m.f("%s ", inMarkdown(text))
	}
	if own {
		m.f("By hand: ")
	}
	m.blocks(m.abridge(s.Action.Doer, s.ByHand))
}

// sentence says what csu does, and whether the text for doing it by hand stands
// on its own beside that.
func (m *markdown) sentence(s *plan.Step) (text string, own bool) {
	switch a := s.Action.Doer.(type) {
	case *plan.Manual:
		text = "A person does this."
		if len(a.CSCs) > 0 {
			text += fmt.Sprintf(" csu shows the states of %s.", m.lists.refer(a.CSCs))
		}
		if len(a.Applications) > 0 {
			text += fmt.Sprintf(" csu shows what is out of sync in %s.", strings.Join(a.Applications, ", "))
		}
		if oneLine(a.Text) == oneLine(s.ByHand) {
			return text, false
		}
		return text + " " + oneLine(a.Text), true
	case *plan.Announce:
		if strings.Contains(s.ByHand, fmt.Sprintf("%q", a.Text)) {
			return "csu posts this" + map[bool]string{true: ", and somebody waits for it"}[a.Handover] + ".", true
		}
	case *plan.SSH:
		if holds(s.ByHand, a.Commands) {
			return fmt.Sprintf("csu as %s on %s, or a person by hand%s", a.User, a.Host, conditions(a)), false
		}
	case *plan.SetState:
		return describe(a, m.lists.ordered), true
	case *plan.AwaitState:
		if says(s.ByHand, a.Want) {
			return "csu watches the EFD until every CSC is in its state.", true
		}
	case *plan.Sync:
		if written := plan.CSCList(a.CSCs); len(a.CSCs) > 0 && strings.Contains(s.ByHand, written) {
			short := *a
			short.CSCs = nil
			return strings.TrimSuffix(describe(&short, m.lists.refer), ".") + ", and csu waits until the expected images run.", true
		}
	}
	return describe(s.Action.Doer, m.lists.refer), true
}

// says tells whether a text's code has a line for each set of CSCs and states.
func says(text string, want []plan.Want) bool {
	var lines []string
	for _, w := range want {
		lines = append(lines, strings.Join(w.States, " or ")+": "+plan.CSCList(w.CSCs))
	}
	return holds(text, lines)
}

// abridge leaves out of a text what stands elsewhere in the document.
func (m *markdown) abridge(d plan.Doer, text string) string {
	text = strings.ReplaceAll(text, "Argo CD ("+m.plan.Targets.ArgoCD.URL+")", "Argo CD")
	if a, ok := d.(*plan.SetState); ok && len(a.CSCs) > long {
		if data := stateData(a); strings.Contains(text, data) {
			text = strings.Replace(text, data, fmt.Sprintf("    data:\n    - [CSC, %s]  # a line for each of %s\n", a.State, m.lists.ordered(a.CSCs)), 1)
		}
	}
	return m.lists.abridge(d, text)
}

// stateData is the list in a configuration of set_summary_state.py as a text for
// doing it by hand has it.
func stateData(a *plan.SetState) string {
	var b strings.Builder
	b.WriteString("    data:\n")
	for _, c := range a.CSCs {
		fmt.Fprintf(&b, "    - [%s, %s]\n", strings.TrimSuffix(c, ":0"), a.State)
	}
	return b.String()
}

// holds tells whether the lines stand in a text's code, in their order.
func holds(text string, lines []string) bool {
	for _, b := range blocks(text) {
		if !b.Code {
			continue
		}
		for _, l := range b.Lines {
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
	all := blocks(text)
	for i, b := range all {
		paragraph := b.Paragraph()
		switch note := m.notes[paragraph]; {
		case !b.Code && note != "" && i+1 < len(all) && all[i+1].Code:
			m.f("as %s says, with\n\n", note)
			continue
		case !b.Code && note != "":
			m.f("Besides, %s.\n\n", note)
			continue
		case !b.Code:
			m.f("%s\n\n", inMarkdown(paragraph))
			continue
		case i == 0:
			m.f("\n\n")
		}
		if len(b.Lines) > long {
			m.fold(fmt.Sprintf("%d lines", len(b.Lines)))
			m.f("%s", typed(b.Lines))
			m.end()
		} else {
			m.f("%s\n", typed(b.Lines))
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
		m.f("**%s**, %s: %s\n\n", l.name, counted(len(l.cscs), "CSC"), inMarkdown(l.brief))
	}
}

// table says where each CSC runs and ends. Most Jobs and images have the name
// of their CSC: only the others are written out.
func (m *markdown) table() {
	touched := Summarize(m.plan).Touched
	if len(touched) == 0 {
		return
	}
	m.f("## Where the CSCs run and end\n\n")
	m.fold(counted(len(touched), "CSC") + " that this plan touches")
	m.f("Where one state stands, they come up in the state that they end in. Unless it is given, the Job is called like the CSC in small letters with its index, "+
		"the image like the CSC in small letters, and the tag is %s. Images are from %s.\n\n", codeSpan(m.plan.Upgrade.Cycle), codeSpan(m.lists.registry))
	m.f("|runs|comes up, ends|principal|CSCs|\n|---|---|---|---|\n")
	var order []string
	rows := map[string][]string{}
	for _, name := range touched {
		c, _ := m.plan.CSC(name)
		states := c.ComesUp + ", " + c.Expect
		if c.ComesUp == c.Expect {
			states = c.Expect
		}
		place := "host " + c.Host
		if c.Job != nil {
			place = c.Job.Namespace
		}
		row := fmt.Sprintf("|%s|%s|%s|", inCell(place), inCell(states), inCell(c.Principal))
		if rows[row] == nil {
			order = append(order, row)
		}
		rows[row] = append(rows[row], inCell(c.CSC+m.unusual(c)))
	}
	for _, row := range order {
		m.f("%s%s|\n", row, strings.Join(rows[row], ", "))
	}
	m.end()
}

// unusual returns the names of a CSC's Job and image in brackets where they are
// not those that [markdown.table] says.
func (m *markdown) unusual(c *plan.CSC) string {
	if c.Job == nil {
		return ""
	}
	name, index, _ := strings.Cut(strings.ToLower(c.CSC), ":")
	var parts []string
	if c.Job.Name != name+strings.TrimPrefix(index, "0") {
		parts = append(parts, "Job "+c.Job.Name)
	}
	if c.Image != m.lists.registry+"/"+name+":"+m.plan.Upgrade.Cycle {
		parts = append(parts, strings.TrimPrefix(c.Image, m.lists.registry+"/"))
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}
