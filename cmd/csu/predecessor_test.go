package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lsst-ts/csu/executor/exit"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/plan"
)

// TestPredecessor: a new plan is compared with the last plan of its site and type that was
// carried out to its end, by its committed journal, and otherwise with the last that was
// committed. What was aborted, or ran from other bytes, was not carried out.
func TestPredecessor(t *testing.T) {
	r := newRepository(t)
	at := func(day string) { t.Setenv("GIT_COMMITTER_DATE", day+"T12:00:00Z") }
	put := func(name, date string, change func(p *plan.Plan)) (digest string) {
		t.Helper()
		p := readPlan(t, incremental)
		p.Upgrade.Date = date
		if change != nil {
			change(p)
		}
		data, err := plan.Encode(p)
		if err != nil {
			t.Fatal(err)
		}
		if digest, err = plan.Digest(p); err != nil {
			t.Fatal(err)
		}
		r.write(t, name, string(data))
		return digest
	}
	ran := func(name, digest string, events ...journal.Event) {
		t.Helper()
		r.run(t, digest, events...)
		if err := os.Rename(filepath.Join(r.dir, "plan.json.journal"), filepath.Join(r.dir, name+".journal")); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(r.dir, "new.json")
	want := func(name, why string) {
		t.Helper()
		_, got, because, err := beforeIt(file, readPlan(t, file))
		if err != nil || got != name || because != why {
			t.Errorf("it is compared with %q, %s (%v), want %q, %s", got, because, err, name, why)
		}
	}
	put("new.json", "2027-01-19", nil)
	put("elsewhere.json", "2027-01-12", func(p *plan.Plan) { p.Site = "base-teststand" })
	at("2026-10-01")
	r.commit(t, "Only a plan of another site")
	_, _, _, err := beforeIt(file, readPlan(t, file))
	if err == nil || exit.CodeOf(err) != exit.Input || !strings.Contains(err.Error(), "no other incremental plan of summit is committed beside it") || !strings.Contains(exit.HintOf(err), "csu plan diff OLD NEW") {
		t.Errorf("without another plan: %v (%s)", err, exit.HintOf(err))
	}

	first := put("first.json", "2026-11-24", nil)
	at("2026-11-20")
	r.commit(t, "The first")
	want("first.json", "the last that was committed, on 2026-11-20")
	second := put("a-second.json", "2026-12-08", nil)
	at("2026-12-01")
	r.commit(t, "The second")
	want("a-second.json", "the last that was committed, on 2026-12-01")
	ran("a-second.json", second, journal.Aborting, journal.Aborted)
	ran("first.json", second, journal.Complete) // of other bytes
	r.commit(t, "Neither was carried out")
	want("a-second.json", "the last that was committed, on 2026-12-01")
	ran("first.json", first, journal.Complete)
	r.commit(t, "The first was carried out")
	want("first.json", "the last that was carried out, on 2026-11-24")

	var out bytes.Buffer
	c := &console{out: &out, raw: &out, width: 400}
	err = (&diffCommand{Plans: []string{file}, Format: "text"}).Run(c)
	if exit.CodeOf(err) != exit.Failed {
		t.Errorf("csu plan diff: %v", err)
	}
	for _, text := range []string{
		"Compared with first.json, the last that was carried out, on 2026-11-24.\n", "Difference in shape: 0 changes beyond what the requests ask for.", ", as the requests ask:",
	} {
		if !strings.Contains(out.String(), text) {
			t.Errorf("csu plan diff does not say %q:\n%s", text, out.String())
		}
	}
	put("new.json", "2027-01-19", func(p *plan.Plan) { p.Stages[0].Consent = "Go?" })
	out.Reset()
	_ = (&diffCommand{Plans: []string{file}, Format: "text"}).Run(c) // the plans differ
	before, after, found := strings.Cut(out.String(), ", as the requests ask:")
	if !found || !strings.Contains(before, "1 change beyond") || !strings.Contains(before, "Go?") || strings.Contains(after, "Go?") {
		t.Errorf("the difference in shape does not come first:\n%s", out.String())
	}
}
