package review

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/executor/plan"
)

// Summary is what a reviewer asks first.
type Summary struct {
	Down         []string // CSCs that go down, in the order of the table
	Touched      []string // CSCs whose state, Job, image or service a step changes, in the order of the table
	Jobs         []string // CSCs and others whose Jobs are deleted
	Namespaces   []string // selectors of the namespaces that are deleted
	Synced       []string // applications
	Hosts        []string // logged in to
	Reboots      []string // hosts
	Levels       []string // what the registry is set to, one after the other
	Scripts      int      // steps that use a ScriptQueue
	Consents     []Asked  // those of stages and of steps
	Doubts       []Asked
	Persons      []Asked // what a person does
	Irreversible []Asked // what no step of the plan takes back
}

// Asked is something that a person must know of, with its place.
type Asked struct {
	Where      string // id of a stage or a step
	Text       string
	Principals []string
}

// Summarize reads a plan for its summary.
func Summarize(p *plan.Plan) Summary {
	s := summarizer{plan: p, down: map[string]bool{}, touched: map[string]bool{}}
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
		}
		if s.down[c.CSC] || s.touched[c.CSC] {
			s.Touched = append(s.Touched, c.CSC)
		}
	}
	return s.Summary
}

type summarizer struct {
	Summary
	plan          *plan.Plan
	down, touched map[string]bool
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

// unique appends the names that the list lacks, and no empty one.
func unique(list *[]string, names ...string) {
	for _, n := range names {
		if n != "" && !slices.Contains(*list, n) {
			*list = append(*list, n)
		}
	}
}

// A matter is what is asked or known in several places.
type matter struct {
	Text   string
	Places []string // ids of stages and steps
}

// grouped puts what has the same text together.
func grouped(all []Asked) []matter {
	var out []matter
	at := map[string]int{}
	for _, a := range all {
		text := oneLine(a.Text)
		if len(a.Principals) > 0 {
			text += fmt.Sprintf(" (agreed by %s)", strings.Join(a.Principals, ", "))
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
	if len(s.Down) > 0 {
		add("Goes down", list(s.Down))
	} else {
		add("Goes down", "nothing")
	}
	var deleted []string
	if len(s.Jobs) > 0 {
		deleted = append(deleted, "the Jobs of "+list(s.Jobs))
	}
	for _, n := range s.Namespaces {
		deleted = append(deleted, fmt.Sprintf("the namespaces that %q selects", n))
	}
	add("Is deleted", strings.Join(deleted, "; "))
	add("Is synced", strings.Join(s.Synced, ", "))
	add("Logged in to", strings.Join(s.Hosts, ", "))
	add("Is rebooted", strings.Join(s.Reboots, ", "))
	add("Schema registry", strings.Join(s.Levels, ", then "))
	add("Is asked", s.asked())
	if e.Takes > 0 {
		add("Expected time", about(e.Takes)+", when nothing fails and no answer is waited for")
	}
	return out
}

func (s *Summary) asked() string {
	return strings.Join([]string{
		counted(len(s.Consents), "consent"),
		counted(len(s.Doubts), "doubt"),
		counted(len(s.Persons), "thing") + " that a person does",
	}, ", ")
}

// counted writes a number with its noun.
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// countedCSCs names CSCs after their number.
func countedCSCs(cscs []string) string {
	return counted(len(cscs), "CSC") + ": " + plan.CSCList(cscs)
}

// firstSentence shortens a text to what it begins with; the whole text stands
// where it is asked.
func firstSentence(s string) string {
	s = oneLine(s)
	if i := strings.Index(s, ". "); i >= 0 {
		s = s[:i+1]
	}
	return shortened(s, 90)
}

// shortened cuts a text between words, so that it has at most n characters.
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
	text := fmt.Sprintf("%s: %s upgrade, cycle %s, on %s", p.Site, p.Type, p.Upgrade.Cycle, p.Upgrade.Date)
	if p.Type == plan.Recovery {
		text = fmt.Sprintf("%s: recovery after an upgrade of the OS or Kubernetes, cycle %s, on %s", p.Site, p.Upgrade.Cycle, p.Upgrade.Date)
	}
	if p.Upgrade.Attempt > 1 {
		text += fmt.Sprintf(", attempt %d", p.Upgrade.Attempt)
	}
	return text
}
