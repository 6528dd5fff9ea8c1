package review

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/executor/plan"
)

// Summary is what a reviewer wants to know first.
type Summary struct {
	Moves        []plan.Move // what runs before and after, of the CSCs for which that changes
	Down         []string    // CSCs that go down, in the order of the table
	Unsent       []string    // those of them that no step sends to OFFLINE
	Touched      []string    // CSCs whose state, Job, image or service a step changes, in the order of the table
	Jobs         []string    // CSCs and others whose Jobs are deleted
	Namespaces   []string    // selectors of the namespaces that are deleted
	Synced       []string    // applications
	Hosts        []string    // logged in to
	Reboots      []string    // hosts
	Levels       []string    // what the registry is set to, one after the other
	Scripts      int         // steps that use a ScriptQueue
	Consents     []Asked     // those of stages and of steps
	Doubts       []Asked
	Persons      []Asked // manual steps
	Irreversible []Asked // what no step of the plan undoes
}

// Asked is something that the operator is asked or must know, with its place.
type Asked struct {
	Where      string // id of a stage or a step
	Text       string
	Principals []string
}

// Summarize returns the summary of a plan.
func Summarize(p *plan.Plan) Summary {
	s := summarizer{plan: p, Summary: Summary{Moves: p.Moves()}, down: map[string]bool{}, sent: map[string]bool{}, touched: map[string]bool{}}
	for i := range p.Stages {
		stage := &p.Stages[i]
		s.Consents = append(s.Consents, Asked{stage.ID, stage.Consent, stage.Principals})
		for _, d := range stage.Doubts {
			s.Doubts = append(s.Doubts, Asked{Where: stage.ID, Text: d})
		}
		for j := range stage.Steps {
			s.step(&stage.Steps[j])
		}
	}
	for i := range p.Final {
		s.step(&p.Final[i])
	}
	for _, c := range p.CSCs {
		if s.down[c.CSC] {
			s.Down = append(s.Down, c.CSC)
			if !s.sent[c.CSC] {
				s.Unsent = append(s.Unsent, c.CSC)
			}
		}
		if s.down[c.CSC] || s.touched[c.CSC] {
			s.Touched = append(s.Touched, c.CSC)
		}
	}
	return s.Summary
}

type summarizer struct {
	Summary
	plan                *plan.Plan
	down, sent, touched map[string]bool
}

func (s *summarizer) step(step *plan.Step) {
	if step.Consent != "" {
		s.Consents = append(s.Consents, Asked{step.ID, step.Consent, step.Principals})
	}
	if step.Doubt != "" {
		s.Doubts = append(s.Doubts, Asked{Where: step.ID, Text: step.Doubt})
	}
	e := step.Effects(s.plan)
	if e.ByPerson {
		s.Persons = append(s.Persons, Asked{Where: step.ID, Text: step.Title})
	}
	s.touch(true, e.DownBy()...)
	for _, c := range e.DownBy(plan.ByCommand) {
		s.sent[c] = true
	}
	s.touch(false, e.Touches()...)
	s.touch(false, s.plan.On(e.Host)...)
	unique(&s.Jobs, e.DownBy(plan.ByDeletion)...)
	unique(&s.Namespaces, e.Namespaces)
	unique(&s.Synced, e.Syncs)
	unique(&s.Hosts, e.Host)
	unique(&s.Reboots, e.Rebooted)
	if e.Queue > 0 {
		s.Scripts++
	}
	if e.Level != "" {
		s.Levels = append(s.Levels, e.Level)
	}
	if e.Irreversible != "" {
		s.Irreversible = append(s.Irreversible, Asked{Where: step.ID, Text: e.Irreversible})
	}
}

func (s *summarizer) touch(down bool, cscs ...string) {
	for _, c := range cscs {
		s.touched[c] = true
		s.down[c] = s.down[c] || down
	}
}

// unique appends the names that are not empty and not in the list.
func unique(list *[]string, names ...string) {
	for _, n := range names {
		if n != "" && !slices.Contains(*list, n) {
			*list = append(*list, n)
		}
	}
}

// A matter is a text that is asked in one or more places.
type matter struct {
	Text   string
	Places []string // ids of stages and steps
}

// grouped groups what has the same text.
func grouped(all []Asked) []matter {
	var out []matter
	at := map[string]int{}
	for _, a := range all {
		text := oneLine(a.Text)
		if len(a.Principals) > 0 {
			text += fmt.Sprintf(" (requires agreement from %s)", strings.Join(a.Principals, ", "))
		}
		i, seen := at[text]
		if !seen {
			i = len(out)
			at[text] = i
			out = append(out, matter{Text: text})
		}
		out[i].Places = append(out[i].Places, a.Where)
	}
	return out
}

// A fact is a line of the summary.
type fact struct{ label, text string }

// facts returns the summary's lines; list writes a set of CSCs.
func (s *Summary) facts(e Estimate, list func([]string) string) []fact {
	var out []fact
	add := func(label, text string) {
		if text != "" {
			out = append(out, fact{label, text})
		}
	}
	add("Images", s.images(list))
	if len(s.Down) > 0 {
		add("CSCs taken down", list(s.Down))
	} else {
		add("CSCs taken down", "none")
	}
	if len(s.Unsent) < len(s.Down) && len(s.Unsent) > 0 {
		add("Not sent to OFFLINE", fmt.Sprintf("%s, although taken down", list(s.Unsent)))
	}
	var deleted []string
	if len(s.Jobs) > 0 {
		deleted = append(deleted, "Jobs of "+list(s.Jobs))
	}
	for _, n := range s.Namespaces {
		deleted = append(deleted, fmt.Sprintf("namespaces with label %q", n))
	}
	add("Deleted", strings.Join(deleted, "; "))
	add("Applications synced", strings.Join(s.Synced, ", "))
	add("Hosts", strings.Join(s.Hosts, ", "))
	add("Hosts rebooted", strings.Join(s.Reboots, ", "))
	add("Schema registry", strings.Join(s.Levels, ", then "))
	add("Needs from you", s.asked())
	if e.Takes > 0 {
		add("Expected time", about(e.Takes)+", if nothing fails and you answer every question immediately")
		if e.Least > 0 {
			add("Lower bound", about(e.Least)+", the longest chain of steps that the procedure itself demands")
		}
		if e.Range != nil {
			add("Range", e.Range.text())
		}
	}
	return out
}

// images says what runs before the upgrade and after it. If most of the site changes, it
// gives the number of those that come from one cycle to one tag.
func (s *Summary) images(list func([]string) string) string {
	const few, most = 3, 50
	var all []string
	total := 0
	for _, m := range s.Moves {
		total += len(m.CSCs)
	}
	moves := s.Moves
	if total > most {
		moves = byCycle(moves)
	}
	for _, m := range moves {
		names := plan.CSCList(m.CSCs)
		switch n := len(m.CSCs); {
		case n > few && total > most:
			names = plan.Counted(n, "CSC")
		case n > few:
			names = list(m.CSCs)
		}
		all = append(all, names+" "+m.Images())
	}
	return strings.Join(all, "; ")
}

// byCycle joins the moves from any revision of a cycle to the same tag.
func byCycle(moves []plan.Move) []plan.Move {
	var out []plan.Move
	for _, m := range moves {
		if m.Old != m.New {
			m.Old, _, _ = strings.Cut(m.Old, ".")
		}
		i := slices.IndexFunc(out, func(o plan.Move) bool { return o.Images() == m.Images() })
		if i < 0 {
			m.CSCs = slices.Clone(m.CSCs)
			out = append(out, m)
			continue
		}
		out[i].CSCs = append(out[i].CSCs, m.CSCs...)
	}
	return out
}

func (s *Summary) asked() string {
	return strings.Join([]string{
		plan.Counted(len(s.Consents), "consent"),
		plan.Counted(len(s.Doubts), "doubt") + " to confirm",
		plan.Counted(len(s.Persons), "manual step"),
	}, ", ")
}

// countedCSCs returns the number of CSCs, followed by their names.
func countedCSCs(cscs []string) string {
	return plan.Counted(len(cscs), "CSC") + ": " + plan.CSCList(cscs)
}

// inBrief returns the question at the end of a text, or else its first sentence. The
// whole text is shown where it is asked.
func inBrief(s string) string {
	s = oneLine(s)
	if strings.HasSuffix(s, "?") {
		return s[strings.LastIndex(s, ". ")+1:]
	}
	s, _, _ = strings.Cut(s, ". ")
	return strings.TrimSuffix(s, ".")
}

// shortened cuts a text between words to at most n characters.
func shortened(s string, n int) string {
	runes := []rune(s)
	if len(runes) <= n {
		return s
	}
	cut := string(runes[:n-1])
	if i := strings.LastIndexByte(cut, ' '); i > n/2 {
		cut = cut[:i]
	}
	return cut + "…"
}

func title(p *plan.Plan) string {
	text := fmt.Sprintf("%s: %s, cycle %s, on %s", p.Site, p.Kind(), p.Upgrade.Cycle, p.Upgrade.Date)
	if p.Upgrade.Attempt > 1 {
		text += fmt.Sprintf(", attempt %d", p.Upgrade.Attempt)
	}
	return text
}
