package review

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/lsst-ts/csu/executor/plan"
)

// An edit is a bad change of a plan, and what a reviewer must be shown of it.
type edit struct {
	name  string
	edit  func(t *testing.T, p *plan.Plan)
	shown []string // all in one line
}

func removeStep(p *plan.Plan, id string) {
	for i := range p.Stages {
		p.Stages[i].Steps = slices.DeleteFunc(p.Stages[i].Steps, func(s plan.Step) bool { return s.ID == id })
		for j := range p.Stages[i].Steps {
			s := &p.Stages[i].Steps[j]
			s.Needs = slices.DeleteFunc(s.Needs, func(n string) bool { return n == id })
		}
	}
}

// addStep adds a step to the last stage.
func addStep(p *plan.Plan, s plan.Step) {
	last := &p.Stages[len(p.Stages)-1]
	last.Steps = append(last.Steps, s)
}

// badEdits are edits that a person might make by hand in a plan of the summit.
var badEdits = []edit{
	{"a step is removed", func(t *testing.T, p *plan.Plan) { mustStep(t, p, "offline/rest"); removeStep(p, "offline/rest") },
		[]string{"offline/rest", "removed", "no longer done"}},
	{"the consent of a step is dropped", func(t *testing.T, p *plan.Plan) { mustStep(t, p, "jobs/nublado").Consent = "" },
		[]string{"jobs/nublado", "consent", "dropped", "every open Nublado session", "→ nothing"}},
	{"a protected CSC is sent to OFFLINE", func(t *testing.T, p *plan.Plan) {
		a := mustStep(t, p, "offline/rest").Action.Parameters.(*plan.SetState)
		a.CSCs = append(a.CSCs, "MTM1M3:0")
	}, []string{"offline/rest", "action.cscs", "OFFLINE", "M1M3 principal", "+ `MTM1M3`"}},
	{"a selector is widened", func(t *testing.T, p *plan.Plan) {
		mustStep(t, p, "jobs/uws").Action.Parameters.(*plan.Delete).Selector = "app.kubernetes.io/instance=uws"
	}, []string{"jobs/uws", "action.selector", "`csc-class=ocps`", "`app.kubernetes.io/instance=uws`"}},
	{"commands run on another host", func(t *testing.T, p *plan.Plan) {
		mustStep(t, p, "services-down/azar03").Action.Parameters.(*plan.SSH).Host = "love01"
	}, []string{"services-down/azar03", "action.host", "`azar03` → `love01`"}},
	{"commands run as another user", func(t *testing.T, p *plan.Plan) {
		mustStep(t, p, "services-down/azar03").Action.Parameters.(*plan.SSH).User = "root"
	}, []string{"services-down/azar03", "action.user", "`dco` → `root`"}},
	{"another image is expected", func(t *testing.T, p *plan.Plan) {
		c, _ := p.CSC("MTMount:0")
		c.Image += "9"
	}, []string{"MTMount:0", "image", "another image runs", "mtmount"}},
	{"the ScriptQueue that runs the script goes down first", func(t *testing.T, p *plan.Plan) {
		slices.Reverse(mustStep(t, p, "offline/queues").Action.Parameters.(*plan.SetState).CSCs)
	}, []string{"offline/queues", "action.cscs", "reordered", "in this order", "`ScriptQueue:1, ScriptQueue:2, ScriptQueue:3`"}},
	{"the final step is removed", func(t *testing.T, p *plan.Plan) { p.Final = nil },
		[]string{"final/forward", "removed", "no longer undone"}},
	{"a doubt is dropped", func(t *testing.T, p *plan.Plan) {
		for i := range p.Stages {
			if p.Stages[i].ID == "services-down" {
				p.Stages[i].Doubts = p.Stages[i].Doubts[1:]
			}
		}
	}, []string{"services-down", "doubts", "no longer asked", "keeps running"}},
	{"a time limit is raised", func(t *testing.T, p *plan.Plan) { mustStep(t, p, "offline/shutdown").Timeout *= 60 },
		[]string{"offline/shutdown", "timeout", "`20m` → `20h`"}},
	{"another cluster", func(t *testing.T, p *plan.Plan) { p.Targets.Kubernetes.Context = "manke" },
		[]string{"kubernetes.context", "another system", "`yagan` → `manke`"}},
	{"a need is dropped", func(t *testing.T, p *plan.Plan) { mustStep(t, p, "deploy/love").Needs = nil },
		[]string{"deploy/love", "needs", "deploy/love-commander"}},
	{"messages go to another channel", func(t *testing.T, p *plan.Plan) { p.Targets.Slack.Channel = "#elsewhere" },
		[]string{"slack.channel", "messages go elsewhere", "`#summit-announce` → `#elsewhere`"}},
	{"a step posts to another channel", func(t *testing.T, p *plan.Plan) {
		mustStep(t, p, "begin/announce").Action.Parameters.(*plan.Announce).Channel = "#elsewhere"
	}, []string{"begin/announce", "action.channel", "goes elsewhere", "`#elsewhere`"}},
	{"a message to another channel is added", func(t *testing.T, p *plan.Plan) {
		addStep(p, plan.Step{ID: "end/more", Title: "More", Action: plan.Action{Parameters: &plan.Announce{Channel: "#elsewhere", Text: "It is done."}}})
	}, []string{"end/more", "added", "#elsewhere"}},
	{"people are sent to another page", func(t *testing.T, p *plan.Plan) { p.Targets.Pages[2].URL = "https://example.org" },
		[]string{"targets", "pages", "another page", "`https://example.org`"}},
	{"a person is asked to do something else", func(t *testing.T, p *plan.Plan) {
		mustStep(t, p, "watch/vms-data").Action.Parameters.(*plan.Manual).Text += " Then run rm -rf /."
	}, []string{"watch/vms-data", "action.text", "a person is asked", "rm -rf /"}},
	{"a person is asked to do one more thing", func(t *testing.T, p *plan.Plan) {
		addStep(p, plan.Step{ID: "end/more", Title: "More", Action: plan.Action{Parameters: &plan.Manual{Text: "Run rm -rf / on azar03."}}})
	}, []string{"end/more", "added", "it is done now", "rm -rf / on azar03"}},
	{"a script with a configuration is added", func(t *testing.T, p *plan.Plan) {
		addStep(p, plan.Step{ID: "end/more", Title: "More", Action: plan.Action{Parameters: &plan.Script{Queue: 1, Path: "a.py", Config: "close: dome", Accept: []string{"DONE"}}}})
	}, []string{"end/more", "added", "a.py", "close: dome"}},
	{"other commands are given for doing it by hand", func(t *testing.T, p *plan.Plan) {
		s := mustStep(t, p, "watch/love01")
		s.ByHand = strings.Replace(s.ByHand, "    ./launch_love", "    rm -rf ~/love\n    ./launch_love", 1)
	}, []string{"watch/love01", "byHand", "other commands", "+ `rm -rf ~/love`"}},
	{"other Jobs are deleted by hand", func(t *testing.T, p *plan.Plan) {
		s := mustStep(t, p, "jobs/uws")
		s.ByHand = strings.Replace(s.ByHand, "-l 'csc-class=ocps'", "--all", 1)
	}, []string{"jobs/uws", "byHand", "other commands", "--all"}},
	{"a host is added", func(t *testing.T, p *plan.Plan) {
		p.Hosts = append(p.Hosts, plan.Host{Name: "elsewhere", Address: "elsewhere.example.org", Role: plan.BareMetal})
	}, []string{"elsewhere", "added", "commands may run there", "elsewhere.example.org"}},
	{"a CSC with an image from elsewhere is added", func(t *testing.T, p *plan.Plan) {
		p.CSCs = append(p.CSCs, plan.CSC{CSC: "Test:43", Image: "example.org/test:c0045"})
	}, []string{"Test:43", "added", "another registry", "example.org/test"}},
	{"what is ignored by the shutdown is left out", func(t *testing.T, p *plan.Plan) {
		a := mustStep(t, p, "offline/shutdown").Action.Parameters.(*plan.Script)
		a.Config = strings.Replace(a.Config, "- MTM1M3TS\n", "", 1)
	}, []string{"offline/shutdown", "action.config", "− `- MTM1M3TS`"}},
}

// noise changes what does not matter everywhere, and the cycle of every image.
func noise(p *plan.Plan) {
	p.Upgrade.Cycle = "c0046"
	for i := range p.CSCs {
		p.CSCs[i].Image = strings.Replace(p.CSCs[i].Image, "c0045", "c0046", 1)
	}
	for s := range p.AllSteps() {
		s.ByHand += "\n\nAsk in the control room."
		s.Takes += 60e9
	}
}

// TestBadEditsAreSeen checks that each bad edit is in the first 40 lines of what a pull
// request shows, alone and amid the changes of a new cycle.
func TestBadEditsAreSeen(t *testing.T) {
	for _, e := range badEdits {
		for _, amid := range []bool{false, true} {
			old, new := read(t, summitFull), read(t, summitFull)
			if amid {
				noise(new)
			}
			e.edit(t, new)
			c, err := Compare(old, new)
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			if err := c.Markdown(&b); err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(b.String(), "\n")
			seen := slices.ContainsFunc(lines[:min(40, len(lines))], func(line string) bool {
				return !slices.ContainsFunc(e.shown, func(s string) bool { return !strings.Contains(line, s) })
			})
			if !seen {
				t.Errorf("%s (amid other changes: %v): no line of the first 40 has all of %q:\n%s", e.name, amid, e.shown, b.String()[:min(4000, b.Len())])
			}
			if !amid && (len(c.Changes) > 3 || c.Changes[0].Weight != Danger) {
				t.Errorf("%s: it is shown as %d changes, the first of weight %q", e.name, len(c.Changes), c.Changes[0].Weight)
			}
		}
	}
}

func TestSamePlansAreTheSame(t *testing.T) {
	for _, name := range everyPlan(t) {
		c, err := Compare(read(t, name), read(t, name))
		if err != nil {
			t.Fatal(err)
		}
		if !c.Same() {
			t.Errorf("%s is not the same as itself: %+v", name, c.Changes)
		}
	}
}

// TestComparingIsFair wants two plans to differ in both directions alike.
func TestComparingIsFair(t *testing.T) {
	names := everyPlan(t)
	for i, a := range names[1:] {
		old, new := read(t, names[i]), read(t, a)
		there, err := Compare(old, new)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Compare(new, old)
		if err != nil {
			t.Fatal(err)
		}
		if there.Same() || len(there.Changes) != len(back.Changes) {
			t.Errorf("%s and %s: %d changes there, %d back", names[i], a, len(there.Changes), len(back.Changes))
		}
	}
}

func TestOrderWithoutEffect(t *testing.T) {
	old, new := read(t, summitFull), read(t, summitFull)
	slices.Reverse(new.CSCs)
	slices.Reverse(new.Hosts)
	for i := range new.Stages {
		if new.Stages[i].ID == "jobs" { // each in a namespace of its own
			slices.Reverse(new.Stages[i].Steps)
		}
	}
	a := mustStep(t, new, "watch/up").Action.Parameters.(*plan.AwaitState)
	slices.Reverse(a.Want[0].CSCs)
	c, err := Compare(old, new)
	if err != nil {
		t.Fatal(err)
	}
	if c.Same() || c.verdict() != "Same effect, different order." {
		t.Errorf("verdict %q, changes %+v", c.verdict(), c.Changes)
	}
}

func TestOrderOnOneResource(t *testing.T) {
	old, new := read(t, summitFull), read(t, summitFull)
	for i := range new.Stages {
		if s := new.Stages[i].Steps; new.Stages[i].ID == "enable" {
			s[0], s[1] = s[1], s[0] // both on one ScriptQueue, neither needs the other
		}
	}
	c, err := Compare(old, new)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Changes) != 1 || c.Changes[0].Weight != Effect || !strings.Contains(c.Changes[0].Why, "ScriptQueue:1") {
		t.Errorf("changes %+v", c.Changes)
	}
}

func TestMovedStep(t *testing.T) {
	old, new := read(t, summitFull), read(t, summitFull)
	moved := *mustStep(t, new, "jobs/uws")
	removeStep(new, "jobs/uws")
	moved.ID = "configuration/uws"
	moved.Timeout *= 2
	for i := range new.Stages {
		if new.Stages[i].ID == "configuration" {
			new.Stages[i].Steps = append(new.Stages[i].Steps, moved)
		}
	}
	c, err := Compare(old, new)
	if err != nil {
		t.Fatal(err)
	}
	var what []string
	for _, ch := range c.Changes {
		what = append(what, ch.What+" "+ch.Subject+" "+ch.Field)
	}
	want := []string{Moved + ` step "configuration/uws" `, Changed + ` step "configuration/uws" timeout`}
	if !slices.Equal(what, want) {
		t.Errorf("changes %q, want %q", what, want)
	}
	if len(c.NowTouched)+len(c.NoLongerDown) > 0 {
		t.Errorf("no CSC is touched that was not: %+v", c)
	}
}

func TestAffectedCSCs(t *testing.T) {
	old, new := read(t, summitIncremental), read(t, summitIncremental)
	removeStep(new, "jobs/mtmount")
	a := mustStep(t, new, "offline/cscs").Action.Parameters.(*plan.SetState)
	a.CSCs = append(slices.DeleteFunc(slices.Clone(a.CSCs), func(c string) bool { return c == "MTMount:0" }), "MTRotator:0")
	c, err := Compare(old, new)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(c.NowDown, []string{"MTRotator:0"}) || !slices.Equal(c.NoLongerDown, []string{"MTMount:0"}) || !slices.Equal(c.NowTouched, []string{"MTRotator:0"}) {
		t.Errorf("down %q, no longer down %q, touched %q", c.NowDown, c.NoLongerDown, c.NowTouched)
	}
}

// TestEveryFieldIsCompared changes each field of each step alone.
func TestEveryFieldIsCompared(t *testing.T) {
	name := summitFull
	data, err := plan.Encode(read(t, name))
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	original := read(t, name)
	tried := 0
	var visit func(v any, path string)
	try := func(path string) {
		if tried++; tried%61 != 0 { // a sample of them, for the test's time
			return
		}
		changed, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		var p plan.Plan
		if json.Unmarshal(changed, &p) != nil {
			return // a kind or a duration that is none
		}
		c, err := Compare(original, &p)
		if err != nil {
			t.Fatal(err)
		}
		if c.Same() {
			t.Errorf("a change of %s is not seen", path)
		}
	}
	visit = func(v any, path string) {
		switch x := v.(type) {
		case map[string]any:
			for k, e := range x {
				at := path + "." + k
				if s, ok := e.(string); ok {
					if at == ".format" {
						continue
					}
					x[k] = s + "x"
					if strings.HasSuffix(at, ".takes") || strings.HasSuffix(at, ".timeout") || strings.HasSuffix(at, ".lag") {
						x[k] = "7h"
					}
					try(at)
					x[k] = e
				}
				visit(e, at)
			}
		case []any:
			for i, e := range x {
				if s, ok := e.(string); ok {
					x[i] = s + "x"
					try(path)
					x[i] = e
				}
				visit(e, path)
			}
		}
	}
	visit(doc, "")
	if tried < 1000 {
		t.Errorf("%d fields were found, which can't be all", tried)
	}
}

func TestComparisonFormats(t *testing.T) {
	old, new := read(t, summitIncremental), read(t, summitIncremental)
	removeStep(new, "jobs/mtmount")
	mustStep(t, new, "offline/watcher").Action.Parameters.(*plan.SetState).Queue = 2
	mustStep(t, new, "begin/announce").Title = "Say <b>it</b> | now"
	new.Targets.Kubernetes.Context = "manke"
	slices.Reverse(new.Hosts)
	c, err := Compare(old, new)
	if err != nil {
		t.Fatal(err)
	}
	var text, coloured, markdown, data bytes.Buffer
	for _, err := range []error{c.Text(&text, Terminal{Width: 80}), c.Text(&coloured, Terminal{Width: 80, Colour: true}), c.Markdown(&markdown), c.JSON(&data)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	golden(t, "diff.txt", withoutDigests(c, text.Bytes()))
	golden(t, "diff.md", withoutDigests(c, markdown.Bytes()))
	golden(t, "diff.json", withoutDigests(c, data.Bytes()))
	if strings.Contains(text.String(), "\x1b") || !strings.Contains(coloured.String(), "\x1b[31m") {
		t.Error("colours stand where none are wanted, or don't where they are")
	}
	var again Comparison
	if err := json.Unmarshal(data.Bytes(), &again); err != nil || len(again.Changes) != len(c.Changes) {
		t.Errorf("the JSON form is read back as %d changes, %v", len(again.Changes), err)
	}
}

// withoutDigests keeps the golden files from changing with every recompiled
// plan.
func withoutDigests(c *Comparison, b []byte) []byte {
	s := strings.NewReplacer(c.Old.Digest, "OLD", c.New.Digest, "NEW", c.Old.Digest[:12], "OLD", c.New.Digest[:12], "NEW").Replace(string(b))
	return []byte(s)
}
