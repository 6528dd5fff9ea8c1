package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/lsst-ts/csu/executor"
	"github.com/lsst-ts/csu/executor/plan"
)

// TestStatusOfFailures: who looks on from elsewhere sees that csu waits for an
// answer, and what had failed before it is tried again.
func TestStatusOfFailures(t *testing.T) {
	p := &plan.Plan{Stages: []plan.Stage{{ID: "hosts", Title: "Hosts", Steps: []plan.Step{{ID: "hosts/ess01"}, {ID: "hosts/azar03"}, {ID: "hosts/love01"}}}}}
	s := executor.NewState(p)
	again, failed := s.Steps["hosts/ess01"], s.Steps["hosts/azar03"]
	again.Phase, again.Attempt, again.Text = executor.Pending, 1, "exit status 1"
	failed.Phase, failed.Attempt, failed.Text = executor.Failed, 1, "exit status 2"
	for held, next := range map[bool]string{
		true:  "Next: a csu is at work on it, and waits at its terminal for an answer about hosts/azar03; ",
		false: "Next: csu exec plan.json --resume, or csu abort plan.json",
	} {
		var out bytes.Buffer
		(&console{out: &out}).status(&statusCommand{Plan: "plan.json"}, s, held, "", "")
		for _, want := range []string{
			"Failed:\n  hosts/azar03  failed (attempt 1, ", "To be tried again:\n  hosts/ess01  pending (attempt 1, ", "      exit status 1\n", next,
		} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("held %t: status does not say %q:\n%s", held, want, out.String())
			}
		}
		if strings.Contains(out.String(), "love01") {
			t.Errorf("held %t: status names a step that was not begun:\n%s", held, out.String())
		}
	}
}
