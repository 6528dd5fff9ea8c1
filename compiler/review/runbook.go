package review

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/executor/plan"
)

// few is how many steps of a stage are shown uncollapsed.
const few = 8

func (m *markdown) stage(n int, s *plan.Stage, e *StageEstimate) {
	m.f("## %d. %s\n\n%s %s · %s, about %s\n\n", n, inMarkdown(s.Title), codeSpan(s.ID), strings.Join(s.Source, " "), plan.Counted(len(s.Steps), "step"), about(e.Takes))
	m.consent(s.Consent, s.Principals)
	m.turns = turns(m.plan, s)
	for _, d := range s.Doubts {
		m.f("**Doubt:** %s\n\n", inMarkdown(d))
		for _, known := range m.plan.Doubts {
			if strings.HasSuffix(d, known.Text) {
				m.said[known.Text] = s.ID
			}
		}
	}
	if len(s.Steps) > few {
		m.openDetails(plan.Counted(len(s.Steps), "step"))
		defer m.closeDetails()
	}
	for i := 0; i < len(s.Steps); {
		if rows := simple(s.Steps[i:]); rows > 1 {
			m.rows(s.Steps[i : i+rows])
			i += rows
			continue
		}
		m.step(m.numbers[s.Steps[i].ID]+" ", &s.Steps[i])
		i++
	}
}

// simple returns how many of the first steps have the same kind and ask nothing,
// so that each fits into a table row.
func simple(steps []plan.Step) int {
	for i := range steps {
		s := &steps[i]
		asks := s.Consent != "" || s.Doubt != "" || len(s.Principals) > 0 || s.OnFailure != plan.Ask
		if asks || s.Action.Kind() != steps[0].Action.Kind() || !fitsRow(s) || checkFirst(s) != checkFirst(&steps[0]) {
			return i
		}
		if a, ok := s.Action.Parameters.(*plan.Sync); ok && a.Revision != steps[0].Action.Parameters.(*plan.Sync).Revision {
			return i
		}
	}
	return len(steps)
}

// checkFirst returns what to check by hand before a deletion, with the CSCs of the
// step left out: so it is the same for many deletions.
func checkFirst(s *plan.Step) string {
	a, ok := s.Action.Parameters.(*plan.Delete)
	if !ok || !fitsRow(s) {
		return ""
	}
	return strings.Replace(blocks(s.ByHand)[0].Paragraph(), plan.CSCList(a.CSCs), "the CSCs named here", 1)
}

func fitsRow(s *plan.Step) bool {
	hand := blocks(s.ByHand)
	code := slices.ContainsFunc(hand, func(b block) bool { return b.Code })
	switch a := s.Action.Parameters.(type) {
	case *plan.SSH:
		return len(hand) == 1 && len(hand[0].Lines) <= 4 && holds(s.ByHand, a.Commands)
	case *plan.Delete:
		return a.Objects == plan.Jobs && len(hand) == 2 && !hand[0].Code && strings.Contains(s.ByHand, a.Namespace) && strings.Contains(s.ByHand, a.Selector)
	case *plan.Sync:
		return len(a.Resources) == 0 && !code
	}
	return false
}

// rows writes simple steps as a table.
func (m *markdown) rows(steps []plan.Step) {
	switch a := steps[0].Action.Parameters.(type) {
	case *plan.SSH:
		m.f("csu runs these over SSH. By hand:\n\n")
	case *plan.Delete:
		m.f("csu deletes these Jobs and waits until they and their pods are gone. By hand: %s\n\n", inMarkdown(checkFirst(&steps[0])))
	case *plan.Sync:
		m.f("Argo CD syncs the application at %s, and csu waits until these CSCs run the images in the table at the end. By hand:\n\n", codeSpan(a.Revision))
	}
	m.f("|step|id in the stage|time|what|\n|---|---|---|---|\n")
	for i := 0; i < len(steps); {
		together := sameLogin(steps[i:])
		var titles, ids, times []string
		what := m.what(&steps[i], true)
		for j := range together {
			s := &steps[i+j]
			_, name, _ := strings.Cut(s.ID, "/")
			titles = append(titles, m.numbers[s.ID]+" "+inCell(s.Title))
			ids = append(ids, codeSpan(name)+" "+strings.Join(s.Source, " "))
			times = append(times, lasts(s)+m.after(s, ", "))
			if j > 0 {
				what += "<br>" + m.what(s, false)
			}
		}
		m.f("|%s|%s|%s|%s|\n", strings.Join(titles, "<br>"), strings.Join(ids, "<br>"), strings.Join(times, "<br>"), what)
		i += together
	}
	m.f("\n")
}

// sameLogin returns how many of the first steps can share a login: they have the
// same lines before their commands, and need only the step before.
func sameLogin(steps []plan.Step) int {
	for i := 1; i < len(steps); i++ {
		needs := steps[i].Needs
		if login := loginLines(&steps[i]); login == nil || !slices.Equal(login, loginLines(&steps[0])) || len(needs) != 1 || needs[0] != steps[i-1].ID {
			return i
		}
	}
	return len(steps)
}

// loginLines returns the lines by hand before a simple step's commands, or nil if
// the commands do not come last.
func loginLines(s *plan.Step) []string {
	a, ok := s.Action.Parameters.(*plan.SSH)
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

// what returns the last cell of a simple step, with or without the login.
func (m *markdown) what(s *plan.Step, login bool) string {
	var parts []string
	switch a := s.Action.Parameters.(type) {
	case *plan.Delete:
		parts = append(parts, inCell(m.lists.refer(a.CSCs)))
	case *plan.Sync:
		if len(a.CSCs) > 0 && !strings.Contains(s.ByHand, plan.CSCList(a.CSCs)) {
			parts = append(parts, inCell(m.lists.refer(a.CSCs)))
		}
	}
	for _, b := range blocks(m.abridge(s)) {
		if !b.Code && checkFirst(s) != "" {
			continue // shown above the table
		}
		if !b.Code {
			parts = append(parts, inCell(b.Paragraph()))
			continue
		}
		lines := b.Lines
		if !login {
			lines = lines[len(loginLines(s)):]
		}
		for _, l := range lines {
			parts = append(parts, codeCell(l))
		}
	}
	if a, ok := s.Action.Parameters.(*plan.SSH); ok && conditions(a) != "." {
		parts = append(parts, inCell(strings.TrimPrefix(conditions(a), ", ")))
	}
	return strings.Join(parts, "<br>")
}

// after returns the steps for which a step waits.
func (m *markdown) after(s *plan.Step, sep string) string {
	text := waits(s, m.turns[s.ID], func(id string) string { return m.numbers[id] })
	if text == "" {
		return ""
	}
	return sep + text
}

func (m *markdown) consent(text string, principals []string) {
	who := ""
	if len(principals) > 0 {
		who = ", requires agreement from " + inMarkdown(strings.Join(principals, ", "))
	}
	m.f("**Consent%s:** %s\n\n", who, inMarkdown(text))
}

func (m *markdown) step(number string, s *plan.Step) {
	m.f("#### %s%s\n\n", number, inMarkdown(s.Title))
	m.f("%s %s · %s%s", codeSpan(s.ID), strings.Join(s.Source, " "), lasts(s), m.after(s, " · "))
	if s.Undoes != "" {
		m.f(" · undoes %s", codeSpan(s.Undoes))
	}
	if s.OnFailure == plan.Report {
		m.f(" · on failure: only reported")
	}
	m.f("\n\n")
	if s.Consent != "" {
		m.consent(m.once(s.ID, s.Consent), s.Principals)
	}
	if s.Doubt != "" {
		m.f("**Doubt:** %s\n\n", inMarkdown(m.once(s.ID, s.Doubt)))
	}
	m.does(s)
}

// once returns a text, or a reference if the text was already shown.
func (m *markdown) once(id, text string) string {
	if at, seen := m.said[text]; seen && m.abridged && len(text) > 100 {
		return fmt.Sprintf("as in `%s`: %s", at, strings.TrimSpace(inBrief(text)))
	}
	m.said[text] = id
	return text
}

// does writes what the step does and how to do it by hand, without repetition.
func (m *markdown) does(s *plan.Step) {
	m.at = s.ID
	text, own := m.sentence(s)
	if text != "" {
		m.f("%s ", inMarkdown(text))
	}
	if own {
		m.f("By hand: ")
	}
	m.blocks(m.abridge(s))
}

// onceTyped replaces the lines after the login by a reference if an earlier step
// has the same lines, such as the build of a service on two hosts.
func (m *markdown) onceTyped(lines []string) []string {
	if len(lines) < 6 || !m.abridged {
		return lines
	}
	rest := strings.Join(lines[1:], "\n")
	if at, seen := m.said[rest]; seen {
		return []string{lines[0], fmt.Sprintf("# then everything after the first line of step %s", at)}
	}
	m.said[rest] = m.at
	return lines
}

// sentence returns what csu does, and reports whether the instructions for doing it
// by hand are shown separately.
func (m *markdown) sentence(s *plan.Step) (text string, own bool) {
	switch a := s.Action.Parameters.(type) {
	case *plan.Manual:
		text = "Manual step."
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
			return "csu posts this" + map[bool]string{true: ", and the recipients wait for it"}[a.Handover] + ".", true
		}
	case *plan.SSH:
		if holds(s.ByHand, a.Commands) {
			return fmt.Sprintf("csu runs these%s By hand:", conditions(a)), false
		}
	case *plan.SetState:
		return describe(a, m.lists.refer, m.lists.ordered), true
	case *plan.AwaitState:
		if says(s.ByHand, a.Want) {
			return "csu watches the EFD until each CSC is in its state.", true
		}
	case *plan.Sync:
		if written := plan.CSCList(a.CSCs); len(a.CSCs) > 0 && strings.Contains(s.ByHand, written) {
			short := *a
			short.CSCs = nil
			return strings.TrimSuffix(describe(&short, m.lists.refer, m.lists.ordered), ".") + ", and csu waits until its CSCs run the images in the table at the end.", true
		}
	}
	return describe(s.Action.Parameters, m.lists.refer, m.lists.ordered), true
}

// says reports whether a text's code has a line for each set of CSCs and states.
func says(text string, want []plan.Want) bool {
	var lines []string
	for _, w := range want {
		lines = append(lines, strings.Join(w.States, " or ")+": "+plan.CSCList(w.CSCs))
	}
	return holds(text, lines)
}

// abridge removes from a step's instructions what is elsewhere in the document.
func (m *markdown) abridge(s *plan.Step) string {
	text := strings.ReplaceAll(s.ByHand, "Argo CD ("+m.plan.Targets.ArgoCD.URL+")", "Argo CD")
	if a, ok := s.Action.Parameters.(*plan.SetState); ok && len(a.CSCs) > long {
		if data := stateData(a); strings.Contains(text, data) {
			text = strings.Replace(text, data, fmt.Sprintf("    data:\n    - [CSC, %s]  # one line for each of %s\n", a.State, m.lists.ordered(a.CSCs)), 1)
		}
	}
	return m.lists.abridge(s.Effects(m.plan), text)
}

// stateData returns the list in a configuration of set_summary_state.py as it is in
// a step's instructions.
func stateData(a *plan.SetState) string {
	var b strings.Builder
	b.WriteString("    data:\n")
	for _, c := range a.CSCs {
		fmt.Fprintf(&b, "    - [%s, %s]\n", strings.TrimSuffix(c, ":0"), a.State)
	}
	return b.String()
}

// holds reports whether a text's code contains the lines, in order.
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

// long is how many lines of code are shown uncollapsed.
const long = 14

// blocks writes a text whose first paragraph may continue the current line.
func (m *markdown) blocks(text string) {
	all := blocks(text)
	for i, b := range all {
		paragraph := b.Paragraph()
		switch note := m.notes[paragraph]; {
		case !b.Code && note != "" && i+1 < len(all) && all[i+1].Code:
			m.f("see %s, with:\n\n", note)
			continue
		case !b.Code && note != "":
			m.f("See also %s.\n\n", note)
			continue
		case !b.Code && i > 0:
			m.f("%s\n\n", atStart(paragraph))
			continue
		case !b.Code:
			m.f("%s\n\n", inMarkdown(paragraph))
			continue
		case i == 0:
			m.f("\n\n")
		}
		b.Lines = m.onceTyped(b.Lines)
		if len(b.Lines) > long {
			m.openDetails(fmt.Sprintf("%d lines", len(b.Lines)))
			m.f("%s", typed(b.Lines))
			m.closeDetails()
		} else {
			m.f("%s\n", typed(b.Lines))
		}
	}
}
