package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/ledger"
	"github.com/lsst-ts/csu/executor/live"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/state"
)

// TestStatusOfFailures: who looks on from elsewhere sees that csu waits for an
// answer, and what had failed before it is tried again.
func TestStatusOfFailures(t *testing.T) {
	p := &plan.Plan{Stages: []plan.Stage{{ID: "hosts", Title: "Hosts", Steps: []plan.Step{{ID: "hosts/ess01"}, {ID: "hosts/azar03"}, {ID: "hosts/love01"}}}}}
	s := state.New(p)
	again, failed := s.Steps["hosts/ess01"], s.Steps["hosts/azar03"]
	again.Phase, again.Attempt, again.Text = state.Pending, 1, "exit status 1"
	failed.Phase, failed.Attempt, failed.Text = state.Failed, 1, "exit status 2"
	for held, next := range map[bool]string{
		true:  "Next: csu is running the plan; this command does not disturb it.",
		false: "Next: csu exec plan.json --resume, or csu abort plan.json",
	} {
		got := statusText(s, held)
		for _, want := range []string{
			"Failed:\n  hosts/azar03  failed (attempt 1, ", "To be retried:\n  hosts/ess01  pending (attempt 1, ", "      exit status 1\n", next,
		} {
			if !strings.Contains(got, want) {
				t.Errorf("held %t: status does not say %q:\n%s", held, want, got)
			}
		}
		if strings.Contains(got, "love01") {
			t.Errorf("held %t: status names a step that was not begun:\n%s", held, got)
		}
	}
}

// TestStatusOfSuspected: steps that another csu may have carried out are one line,
// and those that this journal has as begun are named.
func TestStatusOfSuspected(t *testing.T) {
	s := atHosts()
	for _, id := range []string{"hosts/ess01", "hosts/azar03"} {
		s.Steps[id].Phase, s.Steps[id].Suspected, s.Steps[id].Text = state.InDoubt, true, "another csu may have continued with this"
	}
	s.Steps["hosts/love01"].Phase = state.Started
	got := statusText(s, false)
	for _, want := range []string{
		"In doubt (started, and no csu is running this plan now):\n  hosts/love01  started",
		"\n2 unfinished steps are checked before their stages continue, because another csu may have worked without the cluster.\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("status does not say %q:\n%s", want, got)
		}
	}
	for _, not := range []string{"hosts/ess01", "hosts/azar03", "another csu may have gone on"} {
		if strings.Contains(got, not) {
			t.Errorf("status says %q:\n%s", not, got)
		}
	}
}

// TestStatusOfAQuestion: who looks on learns whether csu works or waits, for whom, since
// when and for what; and what was asked last when csu died.
func TestStatusOfAQuestion(t *testing.T) {
	at := time.Date(2026, 11, 24, 3, 12, 5, 0, time.UTC)
	for name, c := range map[string]struct {
		asked      journal.Record
		held, dead string
	}{
		"stage": {journal.Record{Stage: "hosts", Question: &journal.Question{Topic: "stage consent", Text: "Two hosts are updated.\n"}},
			"csu has been waiting for Ada Operator since 2026-11-24 03:12:05 UTC: stage consent at stage \"hosts\": Two hosts are updated.\n",
			"Asked last, at 2026-11-24 03:12:05 UTC, and not answered: stage consent at stage \"hosts\": Two hosts are updated.\n"},
		"step": {journal.Record{Stage: "hosts", Step: "hosts/azar03", Question: &journal.Question{Topic: "failed", Text: "it failed:\nexit status 1"}},
			"UTC: failed at hosts/azar03: it failed …\n", "not answered: failed at hosts/azar03: it failed …\n"},
		"run": {journal.Record{Question: &journal.Question{Topic: "outage", Text: "Continue without the site's ledger?"}},
			"UTC: outage: Continue without the site's ledger?\n", "not answered: outage: Continue"},
	} {
		s := atHosts()
		s.Run.Operator = "Ada Operator"
		c.asked.Event, c.asked.Time = journal.Asked, at
		s.Apply(&c.asked)
		for held, wants := range map[bool][]string{
			true:  {c.held, "Next: csu is running the plan and waits at the terminal of Ada Operator; this command does not disturb it."},
			false: {c.dead, "Next: csu exec plan.json --resume, or csu abort plan.json"},
		} {
			got := statusText(s, held)
			for _, want := range wants {
				if !strings.Contains(got, want) {
					t.Errorf("%s, held %t: status does not say %q:\n%s", name, held, want, got)
				}
			}
		}
		s.Apply(&journal.Record{Event: journal.Answered, Stage: "hosts", Answer: &journal.Answer{Choice: "yes"}})
		if got := statusText(s, true); strings.Contains(got, "waiting") || !strings.Contains(got, "Next: csu is running the plan; this command does not disturb it.") {
			t.Errorf("%s, answered: status says\n%s", name, got)
		}
	}
}

// TestStatusElsewhere: what the ledger has beside the journal that is here, with
// commands that can be copied.
func TestStatusElsewhere(t *testing.T) {
	cmd := &statusCommand{Plan: "plans/p.json", SiteMap: "site/map.json"}
	takeover, handover := "csu takeover plans/p.json --site-map site/map.json --reason TEXT", "csu handover plans/p.json --site-map site/map.json --to NAME"
	here, there := journal.Place{Path: "here"}, journal.Place{Path: "there"}
	const atWork = "The csu of Bob on b1 may be running it, with another copy of this journal; last heard from at 2026-11-24 03:00:00 UTC by its clock."
	for name, c := range map[string]struct {
		has, over  bool
		change     func(h *ledger.Holder)
		note, next []string
		not        string // in neither
	}{
		"the same process": {true, false, func(h *ledger.Holder) { h.Journal = here }, nil, nil, "Bob"},
		"at work":          {true, false, nil, []string{atWork}, []string{"ask Bob; csu exec plans/p.json --resume --site-map site/map.json continues only if that csu has stopped"}, "out of date"},
		"handed over":      {true, false, func(h *ledger.Holder) { h.Process, h.To = "", "Cleo" }, []string{"It was handed over to Cleo."}, []string{"Cleo resumes it with " + takeover}, "at work"},
		"out of date":      {false, false, func(h *ledger.Holder) { h.Process = "" }, []string{"this journal is out of date: it ends at record 5, "}, []string{"with " + takeover + "; "}, "at work"},
		"out of date, and at work": {false, false, nil, []string{"this journal is out of date: it ends at record 5, ", "\n" + atWork},
			[]string{"with " + takeover + "; ", "; a takeover is refused while that csu is running: stop it first with " + handover}, "PLAN"},
		"over, and behind": {false, true, nil, []string{"this journal is out of date: it ends at record 5, ", "\n" + atWork}, nil, "handover"},
		"another run":      {true, false, func(h *ledger.Holder) { h.Run = "r2" }, []string{"the site belongs to run r2"}, []string{`ask "Bob"`}, "may be at work"},
	} {
		h := ledger.Holder{Run: "r1", Digest: "d", Operator: "Bob", Host: "b1", Process: "x", Journal: there, Renewed: time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC)}
		if c.change != nil {
			c.change(&h)
		}
		l := &ledger.Ledger{Holder: &h, Head: ledger.Head{Run: "r1", Digest: "d", Head: journal.Head{Seq: 9}}}
		claim := ledger.Claim{Run: "r1", Digest: "d", Seq: 5, Has: func(journal.Head) bool { return c.has }}
		note, next := cmd.compareWith(l, claim, here, c.over)
		for got, wants := range map[*string][]string{&note: c.note, &next: c.next} {
			for _, want := range wants {
				if !strings.Contains(*got, want) {
					t.Errorf("%s: %q is not in %q", name, want, *got)
				}
			}
		}
		if strings.Contains(note+next, c.not) || len(c.note) == 0 && note+next != "" {
			t.Errorf("%s: it says %q and %q", name, note, next)
		}
	}
}

// atHosts is a run whose second stage is next.
func atHosts() *state.State {
	s := state.New(&plan.Plan{Stages: []plan.Stage{
		{ID: "begin", Title: "Begin", Steps: []plan.Step{{ID: "begin/kept"}}},
		{ID: "hosts", Title: "Hosts", Steps: []plan.Step{{ID: "hosts/ess01"}, {ID: "hosts/azar03"}, {ID: "hosts/love01"}}},
	}})
	s.Stages[0].Begun, s.Stages[0].Done = true, true
	s.Steps["begin/kept"].Phase = state.Done
	return s
}

func statusText(s *state.State, held bool) string {
	var out bytes.Buffer
	c := &console{out: &out}
	cmd := &statusCommand{Plan: "plan.json"}
	v := &live.View{Next: c.next(cmd, s, held)}
	c.status(v, cmd, s, held)
	return out.String()
}
