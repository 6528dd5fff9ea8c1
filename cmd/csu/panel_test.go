package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/live"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/timeline"
)

const full = "../../plans/2026-12-15-summit-full.json"

// watched is a run of the summit's full plan whose records are made here: each step takes what
// it usually takes, and each answer a minute.
type watched struct {
	t    *testing.T
	k    *looker
	now  time.Time
	seq  int
	show live.Now
}

func newWatched(t *testing.T) *watched {
	p := readPlan(t, full)
	digest, err := plan.Digest(p)
	if err != nil {
		t.Fatal(err)
	}
	n := &watched{t: t, k: newLooker(p, digest, ""), now: time.Date(2026, 12, 15, 12, 0, 0, 0, time.UTC), show: live.Now{Signs: map[string]live.Sign{}}}
	n.k.log = timeline.NewLog(p, digest)
	n.record(journal.Record{Event: journal.RunBegun, Run: &journal.Run{ID: "efa21d3c0edd", Digest: digest, Operator: "Ada Operator"}})
	return n
}

func (n *watched) record(r journal.Record) {
	n.t.Helper()
	n.seq++
	r.Seq, r.Time = n.seq, n.now
	if err := n.k.log.Take(&r); err != nil {
		n.t.Fatal(err)
	}
}

func (n *watched) pass(d time.Duration) { n.now = n.now.Add(d) }

func (n *watched) ask(stage, step string, topic operator.Topic, text, reading string, choices ...string) {
	n.record(journal.Record{Event: journal.Asked, Stage: stage, Step: step, Question: &journal.Question{Topic: string(topic), Text: text}})
	n.show.Asked = &live.Asked{Topic: string(topic), Stage: stage, Step: step, Text: text, Reading: reading, Choices: choices}
	n.pass(time.Minute)
}

func (n *watched) answer(stage, step string, topic operator.Topic, choice operator.Choice, reason string) {
	n.show.Asked = nil
	n.record(journal.Record{Event: journal.Answered, Stage: stage, Step: step, Answer: &journal.Answer{Topic: string(topic), Choice: string(choice), Reason: reason, By: "Ada Operator", Via: "terminal"}})
}

func (n *watched) begin(s *plan.Stage) {
	n.ask(s.ID, "", operator.StageConsent, s.Consent, "", "yes", "no", "abort")
	n.answer(s.ID, "", operator.StageConsent, operator.Yes, "")
	n.record(journal.Record{Event: journal.StageBegun, Stage: s.ID})
}

func (n *watched) start(s *plan.Step, attempt int) {
	n.record(journal.Record{Event: journal.Started, Stage: s.Stage(), Step: s.ID, Attempt: attempt})
}

func (n *watched) end(s *plan.Step, attempt int, verdict string, text string) {
	n.record(journal.Record{Event: journal.Outcome, Stage: s.Stage(), Step: s.ID, Attempt: attempt, Verdict: verdict, Text: text})
}

func (n *watched) stage(s *plan.Stage) {
	n.begin(s)
	for i := range s.Steps {
		n.start(&s.Steps[i], 1)
		n.pass(time.Duration(s.Steps[i].Takes))
		n.end(&s.Steps[i], 1, "done", "")
	}
	n.record(journal.Record{Event: journal.StageDone, Stage: s.ID})
}

// until carries out the stages before one, and returns that one.
func (n *watched) until(id string) *plan.Stage {
	for i := range n.k.plan.Stages {
		s := &n.k.plan.Stages[i]
		if s.ID == id {
			return s
		}
		n.stage(s)
	}
	n.t.Fatalf("the plan has no stage %q", id)
	return nil
}

// upTo carries out the steps of a stage before one, and returns that one.
func (n *watched) upTo(s *plan.Stage, id string) *plan.Step {
	for i := range s.Steps {
		if s.Steps[i].ID == id {
			return &s.Steps[i]
		}
		n.start(&s.Steps[i], 1)
		n.pass(time.Duration(s.Steps[i].Takes))
		n.end(&s.Steps[i], 1, "done", "")
	}
	n.t.Fatalf("stage %q has no step %q", s.ID, id)
	return nil
}

// see returns the run as csu status sees it.
func (n *watched) see() *live.View {
	n.show.Time = n.now
	return n.k.view(true, &n.show)
}

// failing is the step that fails in some of the nights.
const failing = "crios/m1m3-crio-ss-stop"

const badly = "the commands on \"m1m3-crio-ss\" as \"admin\" ended with exit status 1:\nts-M1M3support.service: Job for ts-M1M3support.service failed because the control process exited with error code.\nSee \"systemctl status ts-M1M3support.service\" for details."

// nights are runs at the moments that a room looks at them.
func nights(t *testing.T) map[string]*watched {
	all := map[string]*watched{}
	at := func(name string) *watched { all[name] = newWatched(t); return all[name] }

	n := at("shutdown")
	s := n.until("offline")
	n.begin(s)
	i := slices.IndexFunc(s.Steps, func(st plan.Step) bool { return st.ID == "offline/shutdown" })
	n.start(&s.Steps[i], 1)
	n.pass(6 * time.Minute)
	n.show.Signs["offline/shutdown"] = live.Sign{At: n.now.Add(-4 * time.Second), Text: "EFD: script 100017 on ScriptQueue:1 is RUNNING, 61 of 111 CSCs are OFFLINE"}

	n = at("work")
	s = n.until("deploy")
	n.begin(s)
	for i := range s.Steps[:7] {
		n.start(&s.Steps[i], 1)
		n.pass(20 * time.Second)
		n.show.Signs[s.Steps[i].ID] = live.Sign{At: n.now.Add(-time.Second), Text: "Argo CD: Syncing, 12 of 31 resources are in sync, waiting for Deployment/kafka-connect to become healthy"}
	}

	n = at("waiting")
	s = n.until("watch")
	n.ask(s.ID, "", operator.StageConsent, s.Consent, "", "yes", "no", "abort")

	n = at("in doubt")
	s = n.until("deploy")
	n.begin(s)
	n.start(&s.Steps[0], 1)
	n.pass(3 * time.Minute)
	n.record(journal.Record{Event: journal.Doubtful, Stage: s.ID, Step: s.Steps[0].ID, Attempt: 1, Verdict: "unknown", Text: "Argo CD did not answer, and its operation cannot be found"})
	n.ask(s.ID, s.Steps[0].ID, operator.InDoubt, "It is not known whether this happened.", "Argo CD: no operation with csu-efa21d3c0edd/"+s.Steps[0].ID+"/1", "keep waiting", "happened", "not happened", "stop", "abort")

	n = at("failed")
	s = n.until("crios")
	n.begin(s)
	stop := n.upTo(s, failing)
	n.start(stop, 1)
	n.pass(time.Minute)
	n.end(stop, 1, "failed", badly)
	n.ask(s.ID, stop.ID, operator.Failed, "it failed: "+badly, "By hand: log in and look", "retry", "by hand", "skip", "stop", "abort")

	n = at("finished")
	for i := range n.k.plan.Stages {
		s := &n.k.plan.Stages[i]
		if s.ID != "crios" {
			n.stage(s)
			continue
		}
		n.begin(s)
		for j := range s.Steps {
			n.start(&s.Steps[j], 1)
			if s.Steps[j].ID != failing {
				n.end(&s.Steps[j], 1, "done", "")
				continue
			}
			n.end(&s.Steps[j], 1, "failed", badly)
			n.ask(s.ID, s.Steps[j].ID, operator.Failed, "it failed", "")
			n.answer(s.ID, s.Steps[j].ID, operator.Failed, operator.Skip, "the M1M3 team does it in the morning")
		}
		n.record(journal.Record{Event: journal.StageDone, Stage: s.ID})
	}
	for i := range n.k.plan.Final {
		n.start(&n.k.plan.Final[i], 1)
		n.end(&n.k.plan.Final[i], 1, "done", "")
	}
	n.record(journal.Record{Event: journal.Complete})
	return all
}

var sizes = []struct{ width, height int }{{80, 24}, {120, 40}, {200, 60}}

// withinSize wants lines to fit, and no name or number to be broken where it need not be.
func withinSize(t *testing.T, name string, lines []string, width, height int) {
	t.Helper()
	if len(lines) > height {
		t.Errorf("%s: %d lines on a terminal of %d", name, len(lines), height)
	}
	for _, l := range lines {
		if n := len([]rune(l)); n > width {
			t.Errorf("%s: a line of %d cells on a terminal of %d: %q", name, n, width, l)
		}
	}
}

// TestWatchScreens: csu status --watch at each moment, in terminals of three sizes. What is
// waited for and what runs is never left out; escape sequences are there for colours only.
func TestWatchScreens(t *testing.T) {
	t.Parallel()
	for name, n := range nights(t) {
		v := n.see()
		if name == "finished" {
			v = n.k.view(false, nil)
		}
		v.Next = "csu is running the plan; this command does not disturb it."
		zone := zoneOf(n.k.plan)
		for _, size := range sizes {
			lines := panelOf(v, size.width, size.height-1, zone, false)
			withinSize(t, name, lines, size.width, size.height-1)
			text := strings.Join(lines, "\n") + "\n"
			if strings.Contains(text, "\x1b") {
				t.Errorf("%s: without colours there is an escape sequence", name)
			}
			golden(t, fmt.Sprintf("screens/watch-%s-%dx%d.txt", strings.ReplaceAll(name, " ", "-"), size.width, size.height), text)
		}
		coloured := strings.Join(panelOf(v, 80, 23, zone, true), "\n")
		plainly := strings.Join(panelOf(v, 80, 23, zone, false), "\n")
		if strings.Count(coloured, "\x1b[") != 2 || unstyled.Replace(coloured) != plainly {
			t.Errorf("%s: the colours change the text:\n%q\n%q", name, coloured, plainly)
		}
	}
}

var unstyled = strings.NewReplacer("\x1b[1;31m", "", "\x1b[1;32m", "", "\x1b[1;33m", "", "\x1b[1;35m", "", "\x1b[1;37m", "", "\x1b[0m", "")

// statusLine is what csu exec shows below its events, or the question that it puts.
func statusLine(n *watched, width, height int) string {
	var out bytes.Buffer
	s := newScreen(&console{out: &out, raw: &out, terminal: true, width: width}, "Ada Operator", "", func() time.Time { return n.now })
	s.follows(n.k.plan)
	s.height, s.view = height, n.see()
	for _, r := range s.view.Running {
		s.follow(operator.Event{Kind: operator.StepStarted, Step: r.ID, Title: r.Title, Time: r.Since})
		if r.Sign != nil {
			s.follow(operator.Event{Kind: operator.StepProgress, Step: r.ID, Text: r.Sign.Text, Time: r.Sign.At})
		}
	}
	if w := s.view.Waits; w != nil {
		q := operator.Question{Topic: operator.Topic(w.Topic), Stage: w.Stage, Step: w.Step, Text: w.Text, Reading: w.Reading, Since: w.Since}
		for _, c := range w.Choices {
			q.Choices = append(q.Choices, operator.Choice(c))
		}
		s.open, s.since = &q, w.Since
		if q.Topic == operator.Failed {
			s.Tell(operator.Event{Kind: operator.StepFailed, Stage: q.Stage, Step: q.Step, Time: w.Since, Text: badly})
		}
		s.put(true)
		fmt.Fprintln(&out, promptText(q, width))
		return out.String()
	}
	s.draw()
	return out.String()
}

// TestStatusLines: the lines below the events of csu exec, and its questions, at each moment
// and in terminals of three sizes.
func TestStatusLines(t *testing.T) {
	t.Parallel()
	for name, n := range nights(t) {
		if name == "finished" {
			lines := summaryOf(n.k.log.Report(timeline.Options{Usual: 6 * time.Hour}))
			golden(t, "screens/exec-finished.txt", strings.Join(lines, "\n")+"\n")
			continue
		}
		for _, size := range sizes {
			text := statusLine(n, size.width, size.height)
			withinSize(t, name, strings.Split(strings.TrimSpace(text), "\n"), size.width, 1000)
			golden(t, fmt.Sprintf("screens/exec-%s-%dx%d.txt", strings.ReplaceAll(name, " ", "-"), size.width, size.height), text)
		}
	}
}

// TestFailureIsPrintedOnce: a failure's text is not repeated by the question below it, but is
// in the question when it is put again.
func TestFailureIsPrintedOnce(t *testing.T) {
	t.Parallel()
	n := nights(t)["failed"]
	const telling = "failed because the control"
	text := strings.Join(strings.Fields(statusLine(n, 80, 24)), " ")
	if got := strings.Count(text, telling); got != 1 || !strings.Contains(text, "it failed: see above") {
		t.Errorf("the failure is printed %d times:\n%s", got, text)
	}
	var out bytes.Buffer
	s := newScreen(&console{out: &out, raw: &out, terminal: true, width: 80}, "Ada Operator", "", func() time.Time { return n.now })
	q := operator.Question{Topic: operator.Failed, Step: "crios/a", Text: "it failed: " + badly}
	s.open = &q
	s.print(operator.Event{Kind: operator.StepFailed, Step: "crios/a", Text: badly})
	s.put(true)
	s.put(false)
	if got := strings.Count(strings.Join(strings.Fields(out.String()), " "), telling); got != 2 {
		t.Errorf("put again, the failure is printed %d times, want 2:\n%s", got, out.String())
	}
	s.failure.said -= 100 // it has left the screen
	out.Reset()
	s.put(true)
	if !strings.Contains(strings.Join(strings.Fields(out.String()), " "), telling) {
		t.Errorf("a failure that has left the screen is not repeated:\n%s", out.String())
	}
}

// TestListsBreakAfterCommas: a list of indices that is wider than the terminal breaks behind
// a comma, and not within a number.
func TestListsBreakAfterCommas(t *testing.T) {
	t.Parallel()
	var list []string
	for i := range 60 {
		list = append(list, fmt.Sprint(100+i))
	}
	text := "Not seen back up: ESS:" + strings.Join(list, ",") + ", MTMount"
	for _, width := range []int{40, 80, 120} {
		for _, line := range strings.Split(wrap("", text, width), "\n") {
			if len(line) > width || !strings.HasSuffix(line, ",") && !strings.HasSuffix(line, "MTMount") && !strings.HasSuffix(line, "up:") {
				t.Errorf("at %d columns there is the line %q", width, line)
			}
		}
	}
}

// TestWatchWithoutTerminal: elsewhere than on a terminal, the run is written when a record
// was added, without any escape sequence; without a journal and a cluster csu says so.
func TestWatchWithoutTerminal(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "plan.json")
	data, err := os.ReadFile(full)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	c := &console{out: &out, raw: &out}
	n := newWatched(t)
	g := &glance{cmd: &statusCommand{Plan: file, Watch: true}, console: c, looker: newLooker(n.k.plan, n.k.digest, file+".journal")}
	if err := g.watch(); err == nil || !strings.Contains(err.Error(), "there is no journal") {
		t.Errorf("without a journal and a cluster: %v", err)
	}
}
