package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
)

// screenAtTerminal is a screen in a terminal of 80 columns, and the person at it.
func screenAtTerminal(t *testing.T) (*screen, *session) {
	t.Helper()
	master, slave, err := openTerminal()
	if err != nil {
		t.Fatal(err)
	}
	s := &session{keys: master, ended: make(chan struct{})}
	drained := s.drain()
	t.Cleanup(func() {
		master.Close() // ends the screen's reading
		<-drained
		slave.Close()
	})
	return newScreen(&console{in: slave, out: edge{slave}, raw: slave, terminal: true, width: 80}, "Ada Operator", "", time.Now), s
}

// put puts a question and returns where its answer comes.
func put(t *testing.T, view *screen, q operator.Question) <-chan operator.Answer {
	t.Helper()
	answers := make(chan operator.Answer, 1)
	go func() {
		a, err := view.Ask(t.Context(), q)
		if err != nil && t.Context().Err() == nil {
			t.Errorf("Ask = %v", err)
		}
		answers <- a
	}()
	return answers
}

func failureOf(step string) operator.Question {
	return operator.Question{
		Topic: operator.Failed, Stage: "hosts", Step: step, Title: "Update the host", Text: "it failed: exit status 1", Reading: "By hand: git pull",
		Choices: []operator.Choice{operator.Retry, operator.ByHand, operator.Skip, operator.Stop, operator.Abort},
	}
}

func event(at string, kind operator.EventKind, step string) operator.Event {
	when, err := time.Parse(time.TimeOnly, at)
	if err != nil {
		panic(err)
	}
	return operator.Event{Time: when, Kind: kind, Stage: "hosts", Step: step, Title: "title of " + step}
}

// TestScreenCallsTheOperator: the terminal's bell rings while nobody answers, and leaves
// what is half typed as it is.
func TestScreenCallsTheOperator(t *testing.T) {
	t.Parallel()
	view, s := screenAtTerminal(t)
	view.ring = 20 * time.Millisecond
	answers := put(t, view, failureOf("hosts/azar03"))
	s.reads(t, "? refresh >", "\a\a")
	s.types(t, "3 not nee")
	s.reads(t, "\a")
	s.types(t, "ded\n")
	if a := <-answers; a.Choice != operator.Skip || a.Reason != "not needed" {
		t.Errorf("the answer is %+v", a)
	}
}

// TestScreenSetsAside: the names that csu proposes and the principal are taken with Enter; a
// stranger is refused, and without a reason nothing is set aside.
func TestScreenSetsAside(t *testing.T) {
	t.Parallel()
	view, s := screenAtTerminal(t)
	q := failureOf("hosts/azar03")
	q.Choices = append(q.Choices, operator.SetAside)
	q.CSCs = []operator.CSC{{Name: "MTMount:0", Principal: "mount team", Missing: true}, {Name: "ESS:105"}}
	answers := put(t, view, q)
	s.reads(t, "? refresh >")
	s.types(t, "set aside\n")
	s.reads(t, "which CSCs? (Enter: MTMount:0)")
	s.types(t, "ESS:106\n")
	s.reads(t, `"ESS:106" is not a CSC of this step. Its CSCs: MTMount:0, ESS:105`)
	s.types(t, "\n")
	s.reads(t, "why are they set aside?")
	s.types(t, "\n")
	s.reads(t, "why are they set aside?")
	s.types(t, "\n")
	s.reads(t, "Nothing was set aside.")
	s.types(t, "6 motor broken\n")
	s.reads(t, "which CSCs?")
	s.types(t, "MTMount, ESS:105\n")
	s.reads(t, "who was told? (Enter: mount team)")
	s.types(t, "\n")
	if a := <-answers; a.Choice != operator.SetAside || a.Reason != "motor broken" || a.Told != "mount team" || len(a.CSCs) != 2 || q.Allows(a) != nil {
		t.Errorf("the answer is %+v", a)
	}
}

// TestScreenLooksAgain: an empty line has the evidence read again. The question then ends
// without an answer, and so does one that is withdrawn: what is half typed, and the key
// that the operator was about to press, answer nothing.
func TestScreenLooksAgain(t *testing.T) {
	t.Parallel()
	view, s := screenAtTerminal(t)
	ask := func(typed string) {
		t.Helper()
		ctx, end := context.WithCancel(t.Context())
		defer end()
		q := failureOf("hosts/azar03")
		q.Refresh = end
		ended := make(chan error, 1)
		go func() {
			_, err := view.Ask(ctx, q)
			ended <- err
		}()
		s.reads(t, "? refresh >")
		s.types(t, typed)
		if !strings.HasSuffix(typed, "\n") {
			s.reads(t, typed)
			end()
		}
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("%q: Ask = %v", typed, err)
		}
	}
	ask("\n")
	ask("?\n")
	ask("3 not nee")
	answers := put(t, view, failureOf("hosts/azar01"))
	s.reads(t, "? refresh >")
	s.types(t, "\n")
	s.reads(t, "? refresh >")
	s.types(t, "1\n")
	if a := <-answers; a.Choice != operator.Retry || a.Reason != "" {
		t.Errorf("the answer is %+v", a)
	}
}

// TestScreenFailureAmongOthers: while one failure is asked about, another step
// fails and others end. None of that comes between what is typed: ? shows it and
// puts the question again. The prompt names the step that the answer is
// for, and what still runs is named.
func TestScreenFailureAmongOthers(t *testing.T) {
	t.Parallel()
	const prompt = "hosts/azar03: 1 retry, 2 by hand, 3 skip, 4 stop, 5 abort, ? refresh >"
	view, s := screenAtTerminal(t)
	view.usual = map[string]plan.Duration{"hosts/m1m3-crio-vms": plan.Duration(75 * time.Minute)}
	for _, step := range []string{"hosts/azar03", "hosts/m1m3-crio-vms", "hosts/azar01"} {
		view.Tell(event("03:12:05", operator.StepStarted, step))
	}
	view.Tell(event("03:13:00", operator.StepFailed, "hosts/azar03"))
	view.Tell(operator.Event{Kind: operator.StepProgress, Step: "hosts/m1m3-crio-vms", Text: "2 of 9 files"})
	answers := put(t, view, failureOf("hosts/azar03"))
	s.reads(t, `Not done: step "hosts/azar03"`,
		"Still running: hosts/m1m3-crio-vms since 03:12:05 (usually 1h15m): 2 of 9 files", "Still running: hosts/azar01 since 03:12:05", prompt)

	s.types(t, "3") // and is not yet sent
	view.Tell(event("03:14:00", operator.StepFailed, "hosts/azar01"))
	s.reads(t, "3")
	if got := s.text(); strings.TrimSpace(got) != "" {
		t.Errorf("behind what is typed stands %q", got)
	}
	s.types(t, "\x7f")
	news := []string{"03:14:00 failed hosts/azar01"}
	for _, key := range []string{"?\n", "\n"} {
		s.types(t, key)
		s.reads(t, append(news, `Not done: step "hosts/azar03"`, "How to do it by hand", "1 retry", "Still running: hosts/m1m3-crio-vms since 03:12:05", prompt)...)
		news = nil // it is told once
	}
	view.Tell(event("03:15:00", operator.StepDone, "hosts/m1m3-crio-vms"))
	s.types(t, "?\n")
	s.reads(t, "03:15:00 done hosts/m1m3-crio-vms", `Not done: step "hosts/azar03"`, prompt)
	s.mu.Lock()
	last := s.screen.String()[strings.LastIndex(s.screen.String(), "Not done:"):]
	s.mu.Unlock()
	if strings.Contains(last, "Still running") {
		t.Errorf("nothing runs any more, and the terminal shows:\n%s", last)
	}
	s.types(t, "3\n")
	s.reads(t, "hosts/azar03: why is it skipped?")
	view.Tell(event("03:16:00", operator.StepFailed, "hosts/azar02"))
	s.types(t, "not needed\n")
	s.reads(t, "03:16:00 failed hosts/azar02")
	if a := <-answers; a.Choice != operator.Skip || a.Reason != "not needed" {
		t.Errorf("the answer is %+v", a)
	}
}

// TestScreenRepeatedNotice: of a notice that is told again and again while a question
// is open, the last is shown.
func TestScreenRepeatedNotice(t *testing.T) {
	t.Parallel()
	view, s := screenAtTerminal(t)
	answers := put(t, view, failureOf("hosts/azar03"))
	s.reads(t, "? refresh >")
	notice := func(at, text string) {
		e := event(at, operator.Notice, "")
		e.Stage, e.Title, e.Text = "", "", text
		view.Tell(e)
	}
	notice("03:14:00", "the cluster has not answered since 03:13:10; nothing is sent")
	for _, at := range []string{"03:15:00", "03:16:00", "03:17:00"} {
		notice(at, "the cluster still does not answer (since 03:13:10)")
		view.Tell(event(at, operator.StepDone, "hosts/azar01"))
	}
	s.types(t, "4\n")
	<-answers
	s.reads(t, "03:14:00 notice the cluster has not answered since 03:13:10; nothing is sent "+
		"03:15:00 done hosts/azar01 title of hosts/azar01 03:16:00 done hosts/azar01 title of hosts/azar01 "+
		"03:17:00 notice the cluster still does not answer (since 03:13:10) 03:17:00 done hosts/azar01")
}

// TestScreenPromptOnTwoLines: an id that leaves no room to type has its own line,
// and no half of the prompt stays behind when the question ends by itself.
func TestScreenPromptOnTwoLines(t *testing.T) {
	t.Parallel()
	view, s := screenAtTerminal(t)
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := view.Ask(ctx, failureOf("configuration/auxtel-ill-control-docker-compose-ops"))
		ended <- err
	}()
	s.reads(t, "configuration/auxtel-ill-control-docker-compose-ops: 1 retry, 2 by hand, 3 skip, 4 stop, 5 abort, ? refresh >")
	view.Tell(event("03:14:00", operator.StepFailed, "hosts/azar01"))
	end()
	s.reads(t, "\x1b[1A \x1b[J03:14:00 failed hosts/azar01")
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Ask = %v, want %v", err, context.Canceled)
	}
}

// TestScreenEndedQuestion: a question that ends without an answer takes its prompt
// with it, so that what is told next has a line of its own.
func TestScreenEndedQuestion(t *testing.T) {
	t.Parallel()
	view, s := screenAtTerminal(t)
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := view.Ask(ctx, failureOf("hosts/azar03"))
		ended <- err
	}()
	s.reads(t, "? refresh >")
	end()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Ask = %v, want %v", err, context.Canceled)
	}
	view.Tell(event("03:14:00", operator.StepDone, "hosts/azar01"))
	s.reads(t, "\x1b[J03:14:00 done hosts/azar01")
	s.types(t, "1\n")
	s.reads(t, `(No question is open: ignored "1".)`)
}

// TestPromptFits keeps the prompt and a word typed behind it within the width.
func TestPromptFits(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"", "a/b", "configuration/azar03-docker-compose-ops"} {
		for _, choices := range [][]operator.Choice{
			{operator.Yes, operator.No},
			{operator.KeepWaiting, operator.Happened, operator.NotHappened, operator.Stop, operator.Abort},
		} {
			got := promptText(operator.Question{Step: id, Choices: choices}, 80)
			if !strings.HasPrefix(got, id) || !strings.HasSuffix(got, "> ") {
				t.Errorf("the prompt is %q, want it to begin with %q and to end with \"> \"", got, id)
			}
			for _, line := range strings.Split(got, "\n") {
				if len(line)+len("not happened") > 80 {
					t.Errorf("the line %q leaves no room to type", line)
				}
			}
		}
	}
	if got := promptText(operator.Question{Stage: "begin", Choices: []operator.Choice{operator.Yes}}, 80); got != "begin: 1 yes, ? refresh > " {
		t.Errorf("the prompt of a stage's question is %q", got)
	}
}

// TestPromptMeaning: an operator who stops csu or aborts while steps run is told that
// these finish first.
func TestPromptMeaning(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		topic  operator.Topic
		choice operator.Choice
		want   string
	}{
		{operator.Failed, operator.Stop, "stop csu: nothing new starts; running steps finish; you can resume later"},
		{operator.InDoubt, operator.Stop, "stop csu: nothing new starts; running steps finish; you can resume later"},
		{operator.Failed, operator.Abort, "abort the upgrade for good: running steps finish first, then only the final steps run"},
		{operator.InDoubt, operator.Abort, "abort the upgrade for good: running steps finish first, then only the final steps run"},
		{operator.StageConsent, operator.Abort, "abort the upgrade for good: only the final steps still run"},
		{operator.Aborting, operator.Abort, "abort the upgrade for good: only the final steps still run"},
	} {
		if got := meaning(x.topic, x.choice); got != x.want {
			t.Errorf("meaning(%q, %q) = %q, want %q", x.topic, x.choice, got, x.want)
		}
	}
}

// TestCommandsAreNotWrapped: what a person copies from a question is one line, as
// wide as it is; the words around it are wrapped.
func TestCommandsAreNotWrapped(t *testing.T) {
	t.Parallel()
	q := failureOf("hosts/m1m3-crio-vms")
	command := "    cd ~/ts_cRIOcpp && . ~/kafka.env && . ~/ts_sal/setupKafka.env && . ~/kafka.env && make clean && make"
	q.Reading = "By hand: log in to the cRIO as admin, in a session of its own, and type these commands:\n" + command
	got := questionText(q, 60)
	if !strings.Contains(got, "\n    "+command+"\n") {
		t.Errorf("the command is not one line:\n%s", got)
	}
	if !strings.Contains(got, "By hand: log in to the cRIO as admin, in a session of\n") {
		t.Errorf("the words before it are not wrapped:\n%s", got)
	}
}
