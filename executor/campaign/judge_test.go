package campaign

import (
	"slices"
	"strings"
	"testing"

	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/rehearsal"
)

// undone returns effects without those of a kind.
func undone(effects []rehearsal.Effect, kind string) []rehearsal.Effect {
	return slices.DeleteFunc(slices.Clone(effects), func(e rehearsal.Effect) bool { return e.Kind == kind })
}

// twice returns effects with the first of a kind once more, at the end.
func twice(effects []rehearsal.Effect, kind string) []rehearsal.Effect {
	i := slices.IndexFunc(effects, func(e rehearsal.Effect) bool { return e.Kind == kind })
	return append(slices.Clone(effects), effects[i])
}

// TestJudge: each thing that must not be at the end of a run is found there, by
// both judges where it must not be after a fault either.
func TestJudge(t *testing.T) {
	p, digest, err := load("wide")
	if err != nil {
		t.Fatal(err)
	}
	w, err := newWorld(t.Context(), Setting{Plan: p, Digest: digest, Seed: 1}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer w.site.Close()
	if _, _, err := w.live(t.Context(), Trigger{}); err != nil {
		t.Fatal(err)
	}
	if err := w.settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	well, err := w.over()
	if err != nil {
		t.Fatal(err)
	}
	ref, err := NewReference(w.Setting, well)
	if err != nil {
		t.Fatal(err)
	}
	for name, problems := range map[string][]string{"Judge": ref.Judge(well), "JudgeFaulted": ref.JudgeFaulted(well)} {
		if len(problems) > 0 {
			t.Errorf("%s of what is well: %q", name, problems)
		}
	}
	for _, test := range []struct {
		name   string
		change func(*Finished)
		want   string
		strict bool // a run at a site where something went wrong may have it
	}{
		{"a command twice", func(f *Finished) { f.Effects = twice(f.Effects, rehearsal.CommandRun) }, "happened 2 times", false},
		{"a message twice", func(f *Finished) { f.Effects = twice(f.Effects, rehearsal.MessagePosted) }, "happened 2 times", false},
		{"a script twice", func(f *Finished) { f.Effects = twice(f.Effects, rehearsal.ScriptAdded) }, "was used twice", false},
		{"no reboot", func(f *Finished) { f.Effects = undone(f.Effects, rehearsal.Rebooted) }, "left out: happened 0 times", false},
		{"a CSC that comes up twice", func(f *Finished) { f.Effects = twice(f.Effects, rehearsal.CSCUp) }, "happened 2 times", true},
		{"a CSC elsewhere", func(f *Finished) {
			f.Effects = append(slices.Clone(f.Effects), rehearsal.Effect{Kind: rehearsal.StateChanged, Subject: "ESS:106", Detail: "STANDBY -> FAULT"})
		}, `csc ESS:106 is "FAULT"`, false},
		{"a queue left paused", func(f *Finished) {
			f.Effects = append(slices.Clone(f.Effects), rehearsal.Effect{Kind: rehearsal.QueuePaused, Subject: "ScriptQueue:1"})
		}, `queue ScriptQueue:1 is "queue paused", and "" undisturbed`, false},
		{"the order", func(f *Finished) { f.Effects = slices.Clone(f.Effects); slices.Reverse(f.Effects) }, "had an effect before", false},
		{"no intent", func(f *Finished) {
			f.Records = slices.DeleteFunc(slices.Clone(f.Records), func(r journal.Record) bool { return r.Event == journal.Started })
		}, "had an effect before its started record", false},
		{"a step left open", func(f *Finished) {
			f.Records = slices.DeleteFunc(slices.Clone(f.Records), func(r journal.Record) bool { return r.Event == journal.Outcome })
		}, "was left open", false},
		{"by hand twice", func(f *Finished) { f.Hands = append(slices.Clone(f.Hands), f.Hands[0]) }, "was done by hand 2 times", false},
		{"no end", func(f *Finished) { s := *f.State; s.Ended = journal.Stopped; f.State = &s }, "the journal ends", false},
	} {
		f := well
		test.change(&f)
		for name, problems := range map[string][]string{"Judge": ref.Judge(f), "JudgeFaulted": ref.JudgeFaulted(f)} {
			found := slices.ContainsFunc(problems, func(p string) bool { return strings.Contains(p, test.want) })
			if want := name == "Judge" || !test.strict; found != want {
				t.Errorf("%s of %s: %q, want %q: %v", name, test.name, problems, test.want, want)
			}
		}
	}
}
