package review

import (
	"bytes"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/lsst-ts/csu/executor/plan"
)

// comment is how many characters a comment of a pull request can hold.
const comment = 65536

func rendered(t *testing.T, write func(io.Writer) error) string {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func asMarkdown(t *testing.T, p *plan.Plan) string {
	t.Helper()
	return rendered(t, func(w io.Writer) error { return Markdown(w, p) })
}

func TestShowIsAsItWas(t *testing.T) {
	for _, name := range []string{summitIncremental, summitFull} {
		p := read(t, name)
		golden(t, name+".txt", []byte(rendered(t, func(w io.Writer) error { return Text(w, p, Terminal{Width: 100}) })))
		golden(t, name+".md", []byte(asMarkdown(t, p)))
	}
	p := read(t, summitIncremental)
	golden(t, summitIncremental+".html", []byte(rendered(t, func(w io.Writer) error { return HTML(w, p) })))
}

func TestMarkdownFitsIntoAComment(t *testing.T) {
	for _, name := range everyPlan(t) {
		if n := utf8.RuneCountInString(asMarkdown(t, read(t, name))); n > comment {
			t.Errorf("%s is %d characters long, and a comment holds %d", name, n, comment)
		}
	}
}

// TestMarkdownIsComplete looks for everything that a person needs: what is
// abridged must stand in the lists or remarks that it is abridged to.
func TestMarkdownIsComplete(t *testing.T) {
	for _, name := range everyPlan(t) {
		p := read(t, name)
		text := asMarkdown(t, p)
		wants := func(where, what string) {
			if !strings.Contains(text, what) {
				t.Errorf("%s: %s: the runbook lacks %q", name, where, what)
			}
		}
		for i := range p.Stages {
			s := &p.Stages[i]
			wants(s.ID, inMarkdown(s.Title))
			wants(s.ID, inMarkdown(s.Consent))
			wants(s.ID, strings.Join(s.Source, " "))
			for _, d := range s.Doubts {
				wants(s.ID, inMarkdown(d))
			}
			for _, who := range s.Principals {
				wants(s.ID, who)
			}
		}
		for s := range p.AllSteps() {
			wants(s.ID, inMarkdown(s.Title))
			wants(s.ID, s.ID[strings.IndexByte(s.ID, '/')+1:]+"` "+strings.Join(s.Source, " "))
			wants(s.ID, lasts(s))
			if s.Consent != "" {
				wants(s.ID, inMarkdown(s.Consent))
			}
			if s.Doubt != "" {
				wants(s.ID, inMarkdown(s.Doubt))
			}
			m := &markdown{plan: p, lists: newLists(p)}
			for _, b := range blocks(m.abridge(s)) {
				if first := checkFirst(s); first != "" && !b.Code {
					b.Lines = []string{first} // the CSCs are in the row
				}
				for _, line := range b.Lines {
					// The names of lists depend on what came before.
					line = regexp.MustCompile(`[0-9]+ CSCs, list L[0-9]+.*`).ReplaceAllString(line, "")
					if !b.Code {
						line = inMarkdown(line)
					}
					if !strings.Contains(text, strings.ReplaceAll(line, "|", `\|`)) {
						wants(s.ID, line)
					}
				}
			}
		}
		for _, c := range Summarize(p).Touched {
			wants("table", inCell(plan.CSCList([]string{c})))
		}
	}
}

// TestListsAreTrue works out what each list of a document says.
func TestListsAreTrue(t *testing.T) {
	p := read(t, summitFull)
	l := newLists(p)
	for s := range p.AllSteps() {
		for _, set := range sets(s.Effects(p)) {
			l.refer(set)
		}
	}
	if len(l.order) < 5 {
		t.Fatalf("there are %d lists only", len(l.order))
	}
	abridged := 0
	for _, x := range l.order {
		from, base := x.brief, []string(nil)
		if rest, ok := strings.CutPrefix(x.brief, "those of "); ok {
			abridged++
			for _, other := range l.order {
				if r, ok := strings.CutPrefix(rest+" ", other.name+" "); ok || strings.HasPrefix(rest, other.name+",") {
					base, from = other.cscs, strings.TrimPrefix(rest, other.name)
					_ = r
				}
			}
			less, more, _ := strings.Cut(from, ", and ")
			want := without(base, x.cscs)
			if got := strings.TrimPrefix(less, " without "); len(want) > 0 && got != plan.CSCList(want) {
				t.Errorf("%s is %q: it should be without %q", x.name, x.brief, plan.CSCList(want))
			}
			if extra := without(x.cscs, base); len(extra) > 0 && more != plan.CSCList(extra) {
				t.Errorf("%s is %q: it lacks %q", x.name, x.brief, plan.CSCList(extra))
			}
		} else if x.brief != plan.CSCList(x.cscs) {
			t.Errorf("%s is %q", x.name, x.brief)
		}
	}
	if abridged == 0 {
		t.Error("no list is written by its difference from another one")
	}
}

func TestTextFitsTheTerminal(t *testing.T) {
	p := read(t, summitFull)
	for _, width := range []int{60, 100, 200} {
		text := rendered(t, func(w io.Writer) error { return Text(w, p, Terminal{Width: width}) })
		for _, line := range strings.Split(text, "\n") {
			if utf8.RuneCountInString(line) > width && strings.Contains(strings.TrimSpace(line), " ") && longest(line)+8 < width {
				t.Errorf("width %d: %q", width, line)
			}
		}
		if strings.Contains(text, "\x1b") {
			t.Errorf("width %d: there are colours, and none were asked for", width)
		}
	}
	if text := rendered(t, func(w io.Writer) error { return Text(w, p, Terminal{Width: 80, Colour: true}) }); strings.Count(text, "\x1b[") != 2*strings.Count(text, "\x1b[0m") {
		t.Error("a colour is not ended")
	}
}

func longest(line string) int {
	n := 0
	for _, w := range strings.Fields(line) {
		n = max(n, utf8.RuneCountInString(w))
	}
	return n
}

// hostile is appended to every text of a plan that is no id.
const hostile = "</details></script><script>alert(1)</script><img src=x onerror=alert(2)> | `a` ``` **b** _c_ [d](javascript:e) $f$ @lsst-ts ~~g~~ &lt; \"];\nend\n# h\n\n- i\n\n1. j\n\n    ```\n    k \x1b[31m \u202e {{.}} %s %!d-->"

// withHostileText spoils every text of a plan that its form leaves free.
func withHostileText(p *plan.Plan) {
	spoil(reflect.ValueOf(&p.Upgrade).Elem())
	spoil(reflect.ValueOf(&p.Targets).Elem())
	for i := range p.CSCs {
		p.CSCs[i].Principal += hostile
		p.CSCs[i].Image += hostile
	}
	for i := range p.Hosts {
		p.Hosts[i].Address += hostile
	}
	for i := range p.Stages {
		s := &p.Stages[i]
		s.Title, s.Consent = s.Title+hostile, s.Consent+hostile
		for j := range s.Doubts {
			s.Doubts[j] += hostile
		}
	}
	for s := range p.AllSteps() {
		s.Title, s.Consent, s.Doubt, s.ByHand = s.Title+hostile, s.Consent+hostile, s.Doubt+hostile, s.ByHand+hostile
		switch a := s.Action.Parameters.(type) {
		case *plan.Manual:
			a.Text += hostile
		case *plan.Announce:
			a.Text += hostile
		case *plan.SSH:
			for i := range a.Commands {
				a.Commands[i] += hostile
			}
		case *plan.Delete:
			a.Selector += hostile
		}
	}
}

func spoil(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + hostile)
	case reflect.Struct:
		for i := range v.NumField() {
			spoil(v.Field(i))
		}
	case reflect.Slice:
		for i := range v.Len() {
			spoil(v.Index(i))
		}
	}
}

var markup = regexp.MustCompile(`<[^>]*>?`)

// TestTextNeverBreaksMarkdown wants the same structure from hostile text as from
// the plan itself, and no markup but Markdown's own. That holds in full and abridged.
func TestTextNeverBreaksMarkdown(t *testing.T) {
	p := read(t, summitFull)
	withHostileText(p)
	for form, once := range map[string]bool{"in full": false, "abridged": true} {
		text, err := runbook(shown(p), once)
		if err != nil {
			t.Fatal(err)
		}
		unbroken(t, form, text)
		graph := graphOf(text)
		if drawn := graph != ""; drawn == once {
			t.Errorf("%s: is the graph drawn? %t", form, drawn)
		}
		if graph != "" {
			wellDrawn(t, graph)
		}
	}
	c, err := Compare(read(t, summitFull), p)
	if err != nil {
		t.Fatal(err)
	}
	diff := rendered(t, c.Markdown) + rendered(t, func(w io.Writer) error { return c.Text(w, Terminal{Width: 80}) })
	if strings.ContainsAny(diff, "\x1b\u202e") {
		t.Error("the comparison writes a character that hides or moves others as it is")
	}
	for _, tag := range markup.FindAllString(outside(rendered(t, c.Markdown)), -1) {
		if !strings.Contains("<details> </details> <summary> </summary> <!-- -->", tag) {
			t.Errorf("the comparison has the tag %q", tag)
		}
	}
}

// unbroken checks a runbook of hostile texts.
func unbroken(t *testing.T, form, text string) {
	t.Helper()
	if strings.ContainsAny(text, "\x1b\u202e") {
		t.Errorf("%s: a character that hides or moves others is written as it is", form)
	}
	if opened, closed := strings.Count(outside(text), "<details>"), strings.Count(outside(text), "</details>"); opened != closed || opened == 0 {
		t.Errorf("%s: %d folds are opened and %d closed", form, opened, closed)
	}
	for _, tag := range markup.FindAllString(outside(text), -1) {
		if !strings.Contains("<details> </details> <summary> </summary> <br> <!-- -->", tag) {
			t.Errorf("%s: the document has the tag %q", form, tag)
		}
	}
	for _, line := range strings.Split(outside(text), "\n") {
		if strings.HasPrefix(line, "# h") || strings.HasPrefix(line, "- i") || strings.HasPrefix(line, "1. j") {
			t.Errorf("%s: a text begins a line of its own: %q", form, line)
		}
	}
}

// graphOf returns the graph of a runbook, or "" if it has none.
func graphOf(text string) string {
	_, graph, _ := strings.Cut(text, "```mermaid\n")
	graph, _, _ = strings.Cut(graph, "```")
	return graph
}

var ofTheGraph = regexp.MustCompile(`^(flowchart TD|  [sf][0-9]+(\["[^"\[\]<>{}|` + "`" + `]*(<br/>[^"\[\]<>{}|` + "`" + `]*)?"\]|\(\["[^"\[\]<>{}|` + "`" + `]*"\]\))|  s[0-9]+( --> s[0-9]+)+|  s[0-9]+ -\. undone by \.-> f[0-9]+)$`)

func wellDrawn(t *testing.T, graph string) {
	t.Helper()
	for _, line := range strings.Split(strings.TrimRight(graph, "\n"), "\n") {
		if !ofTheGraph.MatchString(line) {
			t.Errorf("the graph has the line %q", line)
		}
	}
}

// outside returns what CommonMark reads as text and markup: without blocks of
// code, code spans and escaped characters.
func outside(text string) string {
	var out []string
	fence, blank := "", true
	for _, line := range strings.Split(text, "\n") {
		ticks := line[:len(line)-len(strings.TrimLeft(line, "`"))]
		switch {
		case fence != "":
			if len(ticks) >= len(fence) && strings.TrimSpace(line) == ticks {
				fence = ""
			}
			continue
		case len(ticks) >= 3 && !strings.Contains(line[len(ticks):], "`"):
			fence = ticks
			continue
		case blank && strings.HasPrefix(line, "    "):
			continue // blank stays: the next line goes on with the code
		}
		blank = line == ""
		for _, cell := range cells(line) {
			out = append(out, withoutCode(cell))
		}
	}
	return strings.Join(out, "\n")
}

// cells splits a table's row at the bars that are not escaped.
func cells(line string) []string {
	if !strings.HasPrefix(line, "|") {
		return []string{line}
	}
	return strings.Split(strings.ReplaceAll(line, `\|`, "\x00"), "|")
}

func withoutCode(s string) string {
	var b strings.Builder
	for s != "" {
		run := s[:len(s)-len(strings.TrimLeft(s, "`"))]
		switch {
		case s[0] == '\\' && len(s) > 1:
			s = s[2:]
		case run != "":
			s = s[len(run):]
			if end := closing(s, len(run)); end >= 0 {
				s = s[end:]
			} else {
				b.WriteString(run)
			}
		default:
			b.WriteByte(s[0])
			s = s[1:]
		}
	}
	return b.String()
}

// closing returns where a code span of n backticks has ended, or -1.
func closing(s string, n int) int {
	for i := 0; i < len(s); {
		run := len(s[i:]) - len(strings.TrimLeft(s[i:], "`"))
		switch {
		case run == n:
			return i + n
		case run > 0:
			i += run
		default:
			i++
		}
	}
	return -1
}

func TestEstimate(t *testing.T) {
	minutes := func(n int) plan.Duration { return plan.Duration(time.Duration(n) * time.Minute) }
	step := func(name string, takes int, host string, needs ...string) plan.Step {
		return plan.Step{ID: "s/" + name, Takes: minutes(takes), Needs: needs, Action: plan.Action{Parameters: &plan.SSH{Host: host}}}
	}
	p := &plan.Plan{Stages: []plan.Stage{{ID: "s", Steps: []plan.Step{
		step("late", 1, "x", "s/long"),
		step("short", 2, "a"),
		step("same-host", 4, "a"),
		step("long", 5, "b"),
		step("at-once", 0, "c"),
		step("after-at-once", 1, "c", "s/at-once"),
	}}}, Final: []plan.Step{step("f", 3, "a"), step("g", 4, "a")}}
	e := EstimatePlan(p)
	got := fmt.Sprint(e.Takes, e.Final, e.Stages[0].Takes, e.Stages[0].Critical, e.Stages[0].Steps)
	want := "13m 7m 6m [s/short s/same-host] [{s/late 5m 6m} {s/short 0s 2m} {s/same-host 2m 6m} {s/long 0s 5m} {s/at-once 0s 0s} {s/after-at-once 0s 1m}]"
	if got != want {
		t.Errorf("the estimate is\n%s, want\n%s", got, want)
	}
}

func TestSummary(t *testing.T) {
	p := read(t, summitFull)
	s := Summarize(p)
	for _, c := range []string{"Watcher:0", "ScriptQueue:1", "ATCamera:0"} {
		if len(without([]string{c}, s.Down)) > 0 {
			t.Errorf("%s is not among what goes down", c)
		}
	}
	if len(s.Namespaces) != 1 || len(s.Levels) != 2 {
		t.Errorf("namespaces %q, levels %q", s.Namespaces, s.Levels)
	}
	p.Stages = p.Stages[:2] // those after it stop what the shutdown leaves alone
	p.Final = nil
	if down := Summarize(p).Down; len(without([]string{"MTM1M3:0", "MTM1M3TS:0"}, down)) != 2 {
		t.Errorf("the shutdown script ignores MTM1M3 and MTM1M3TS, yet they count as down: %q", down)
	}
}
