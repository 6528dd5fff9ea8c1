package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
)

// filled is a plan's template of answers with one answer to every question.
func filled(t *testing.T, p *plan.Plan, choice operator.Choice) string {
	t.Helper()
	var template bytes.Buffer
	if err := answersTemplate(&template, p); err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(template.String(), `"choice": ""`, `"choice": "`+string(choice)+`"`)
	name := filepath.Join(t.TempDir(), "answers.json")
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestAnswersTemplate: with a yes to every question of its template, each plan is rehearsed
// to its end without another question.
func TestAnswersTemplate(t *testing.T) {
	t.Parallel()
	plans, err := filepath.Glob("../../plans/*.json")
	if err != nil || len(plans) != 9 {
		t.Fatalf("%d plans, %v", len(plans), err)
	}
	for _, name := range plans {
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			p := readPlan(t, name)
			out, err := csu(t, "rehearse", name, "--answers", filled(t, p, operator.Yes)).CombinedOutput()
			if err != nil {
				t.Fatalf("%v:\n%s", err, out)
			}
			prints(t, string(out), "^The rehearsal is complete")
			most, perhaps := len(questions(p)), 0
			for _, q := range questions(p) {
				if q.Topic == operator.QueuePaused {
					perhaps++
				}
			}
			if got := strings.Count(string(out), "Answered in advance, by "); got > most || got < most-perhaps {
				t.Errorf("csu asked %d questions, and the template has %d, %d of them only asked if a queue is paused", got, most, perhaps)
			}
		})
	}
}

// TestAnswersTemplateOpen: what has no answer yet is asked.
func TestAnswersTemplateOpen(t *testing.T) {
	t.Parallel()
	p := readPlan(t, incremental)
	out, err := csu(t, "rehearse", incremental, "--answers", filled(t, p, "")).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "no terminal to ask on") || strings.Contains(string(out), "Answered in advance") {
		t.Errorf("%v:\n%s", err, out)
	}
}

// TestAnswersToAnotherText: an answer to a question that the plan does not ask is refused,
// since somebody has reviewed it.
func TestAnswersToAnotherText(t *testing.T) {
	t.Parallel()
	p := readPlan(t, incremental)
	all := questions(p)
	all[0].Text += " And more."
	all[0].Choice = operator.Yes
	data, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "answers.json")
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := csu(t, "rehearse", incremental, "--answers", name).CombinedOutput()
	if err == nil {
		t.Fatalf("csu took it:\n%s", out)
	}
	prints(t, string(out), `^error: read answers ".*": "begin": the plan asks another question; the answer is to doubt "MTM1M3TS stays`, "^hint: write the questions anew with csu exec .* --answers-template")
}
