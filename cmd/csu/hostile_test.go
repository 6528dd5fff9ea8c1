package main

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/lsst-ts/csu/compiler/review"
	"github.com/lsst-ts/csu/compiler/verify"
	"github.com/lsst-ts/csu/executor"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/live"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/preflight"
	"github.com/lsst-ts/csu/executor/report"
	"github.com/lsst-ts/csu/executor/state"
	"github.com/lsst-ts/csu/executor/timeline"
)

// hostile clears the screen, moves the cursor, hides and reverses what follows, and
// forges a line of an event, a hint and a result.
const hostile = "x\x1b[2J\x1b[1;1H\r\b\u009b2J\u202egnihtyreve\u2066\u200b\u00ad\n" + forged + "\nhint: forged\nok      forged"

const forged = "12:00:00  done       forged"

// own are the sequences that csu itself sends to a terminal, which ends lines with a
// carriage return: to remove lines, and to have pastes marked.
var own = regexp.MustCompile(`(\r?\x1b\[[0-9]+A)?\r?\x1b\[J|\x1b\[\?2004[hl]|\r+\n`)

// wantHarmless checks every character that was written, and that no line is forged.
func wantHarmless(t *testing.T, where, written string) {
	t.Helper()
	written = own.ReplaceAllStringFunc(written, func(s string) string {
		if strings.HasSuffix(s, "\n") {
			return "\n"
		}
		return ""
	})
	if !utf8.ValidString(written) {
		t.Errorf("%s: not UTF-8: %q", where, written)
	}
	for i, r := range written {
		if r != '\n' && !unicode.IsPrint(r) {
			t.Errorf("%s: %U is written: %q", where, r, written[max(0, i-60):min(len(written), i+60)])
			break
		}
	}
	if line := regexp.MustCompile(`(?m)^(12:00:00|hint: forged|ok +forged).*`).FindString(written); line != "" {
		t.Errorf("%s: the line %q is forged", where, line)
	}
	if !strings.Contains(written, `\u202e`) || !strings.Contains(written, "forged") {
		t.Errorf("%s: the text is not shown, so this test shows nothing: %q", where, written)
	}
}

// hostilePlan is a plan whose every text is hostile.
func hostilePlan(t *testing.T) *plan.Plan {
	t.Helper()
	p := readPlan(t, incremental)
	spoil(reflect.ValueOf(p).Elem())
	return p
}

func spoil(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		if v.String() != "" {
			v.SetString(v.String() + hostile)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				spoil(v.Field(i))
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			spoil(v.Index(i))
		}
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() && (v.Kind() == reflect.Pointer || v.Elem().Kind() == reflect.Pointer) {
			spoil(v.Elem())
		}
	}
}

// hostileView is a view of a run all of whose texts are hostile.
func hostileView() *live.View {
	v := &live.View{
		Phase: live.InDoubt, Stage: &live.Stage{Number: 1, Of: 2, Usual: 1e9}, Waits: &live.Wait{Choices: []string{""}}, Running: []live.Running{{Sign: &live.Sign{}}},
		Trouble: []live.Step{{}}, Decided: []live.Step{{}}, Owed: []live.Step{{}}, Down: []report.Fall{{}, {By: "step"}, {Early: true}}, Aside: []string{""},
		Events: []timeline.Event{{}}, End: &live.End{}, Records: 1,
	}
	var fill func(v reflect.Value)
	fill = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.String:
			v.SetString(hostile)
		case reflect.Struct:
			for i := range v.NumField() {
				if v.Field(i).CanSet() {
					fill(v.Field(i))
				}
			}
		case reflect.Slice:
			for i := range v.Len() {
				fill(v.Index(i))
			}
		case reflect.Pointer:
			if !v.IsNil() {
				fill(v.Elem())
			}
		}
	}
	fill(reflect.ValueOf(v).Elem())
	return v
}

// TestHostileTexts: whatever a plan, a server, a ledger or a name says, each way to
// print it writes no character that is not visible, and no line that csu has not
// written.
func TestHostileTexts(t *testing.T) {
	t.Parallel()
	p := hostilePlan(t)
	s := state.New(p)
	s.Run = journal.Run{ID: hostile, Operator: hostile, SiteMap: hostile}
	for i, st := range []state.Phase{state.Started, state.InDoubt, state.Failed, state.NotDone, state.Skipped} {
		step := s.Steps[p.Stages[1].Steps[0].ID]
		if i > 0 {
			step = s.Steps[p.Stages[3].Steps[i-1].ID]
		}
		step.Phase, step.Attempt, step.Text, step.Reason = st, 1, hostile, hostile
	}
	l := &loaded{plan: p, file: hostile, digest: hostile, journal: "/nonexistent/journal"}
	remedied := fail(exitInput, hostile, "read: %w", errors.New(hostile))
	for name, print := range map[string]func(c *console){
		"status":       func(c *console) { c.status(hostileView(), &statusCommand{Plan: hostile}, s, false) },
		"status, held": func(c *console) { c.status(&live.View{}, &statusCommand{Plan: "p"}, s, true) },
		"status --watch": func(c *console) {
			for _, l := range panelOf(hostileView(), 100, 0, nil, false) {
				fmt.Fprintln(c.raw, l)
			}
		},
		"dry run":           func(c *console) { _ = c.dryRun(l, "") },
		"heading":           func(c *console) { c.heading(l, hostile, "banner") },
		"rehearsed heading": func(c *console) { c.heading(&loaded{plan: p, mapFile: hostile}, hostile, "banner") },
		"ending": func(c *console) {
			_ = c.ending(l, executor.Result{End: executor.Interrupted, Text: hostile, State: s, Down: []string{hostile}, Owed: s.Owed()}, nil)
		},
		"checks": func(c *console) {
			c.checks([]preflight.Check{{Subject: hostile, Result: preflight.NotReady, Text: hostile, Remedy: hostile}}, true)
		},
		"error": func(c *console) { c.report(remedied) },
		"violations": func(c *console) {
			for _, v := range verify.Check(p) {
				_ = line(c.err, "%s: %s", hostile, v)
			}
		},
		"plan show": func(c *console) { _ = review.Text(c.raw, p, review.Terminal{Width: 80}) },
		"plan diff": func(c *console) {
			if comparison, err := review.Compare(readPlan(t, incremental), p); err == nil {
				_ = comparison.Text(c.raw, review.Terminal{Width: 80})
			}
		},
		"events": func(c *console) {
			view := newScreen(c, hostile, "banner", time.Now)
			for _, kind := range []operator.EventKind{operator.StageStarted, operator.StepStarted, operator.StepProgress, operator.StepFailed, operator.StepInDoubt, operator.Notice} {
				view.Tell(operator.Event{Kind: kind, Stage: hostile, Step: hostile, Title: hostile, Text: hostile})
			}
		},
		"question that is shown": func(c *console) { newScreen(c, hostile, "", time.Now).show(hostileQuestion(), hostile) },
	} {
		var out bytes.Buffer
		c := &console{out: edge{&out}, err: edge{&out}, raw: &out, width: 80}
		print(c)
		wantHarmless(t, name, out.String())
	}
}

func hostileQuestion() operator.Question {
	return operator.Question{
		Topic: operator.Failed, Stage: "hosts", Step: "hosts/azar03", Title: hostile, Text: hostile, Principals: []string{hostile},
		Reading: hostile + "\n    " + hostile, Choices: []operator.Choice{operator.Retry, operator.Abort}, AbortText: hostile,
	}
}

// TestNames: a name that is recorded and announced has no character that others do not
// see.
func TestNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Ada\nOperator", "Ada\x1b[2J", "Ada\u202e", "Ada\u200b"} {
		out, err := csu(t, "handover", incremental, "--to", name).CombinedOutput()
		wantRefusedName(t, "--to", name, string(out), err)
		out, err = csu(t, "rehearse", incremental, "--operator", name).CombinedOutput()
		wantRefusedName(t, "--operator", name, string(out), err)
	}
	for _, name := range []string{"Ada Operator", "Ángela Núñez-O'Brien (anunez)", "望遠鏡"} {
		if got, err := operatorName(name); got != name || err != nil {
			t.Errorf("operatorName(%q) = %q, %v", name, got, err)
		}
	}
}

func wantRefusedName(t *testing.T, flag, name, said string, err error) {
	t.Helper()
	var ended interface{ ExitCode() int }
	if !errors.As(err, &ended) || ended.ExitCode() != exitInput || !strings.Contains(said, fmt.Sprintf("error: %s: ", flag)) || !strings.Contains(said, "\nhint: give a name") {
		t.Errorf("%s %q: %v, it says:\n%s", flag, name, err, said)
	}
}
