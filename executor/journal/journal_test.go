package journal_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/journal/journaltest"
)

var began = time.Date(2026, 11, 24, 12, 0, 0, 123456789, time.UTC)

func first(id string) journal.Record {
	return journal.Record{Event: journal.RunBegun, Time: began, Run: &journal.Run{
		Format: journal.Format, ID: id, Digest: strings.Repeat("ab", 32), Plan: "p.json", Operator: "Ana", Version: "v1", PID: 4711,
	}}
}

// sample returns the records of a small run after the first.
func sample() []journal.Record {
	at := func(s int) time.Time { return began.Add(time.Duration(s) * time.Second) }
	return []journal.Record{
		{Event: journal.Answered, Time: at(1), Stage: "offline", Answer: &journal.Answer{Topic: "stage consent", Text: "May it go <down> & out?", Choice: "yes", By: "Ana", Via: "terminal"}},
		{Event: journal.StageBegun, Time: at(2), Stage: "offline"},
		{Event: journal.Started, Time: at(3), Stage: "offline", Step: "offline/watcher", Attempt: 1, Identity: "csu-0/offline/watcher/1", Evidence: json.RawMessage(`{"state":"ENABLED","hash":"x"}`)},
		{Event: journal.Noted, Time: at(4), Stage: "offline", Step: "offline/watcher", Attempt: 1, Evidence: json.RawMessage(`{"script":100012}`)},
		{Event: journal.Outcome, Time: at(5), Stage: "offline", Step: "offline/watcher", Attempt: 1, Verdict: "done", Via: "perform", Text: "all are OFFLINE \u2028 “quoted”\n\x01"},
		{Event: journal.StageDone, Time: at(6), Stage: "offline"},
		{Event: journal.Complete, Time: at(7)},
	}
}

func write(t testing.TB, fsys journal.FS, name, id string, records []journal.Record) {
	t.Helper()
	j, err := journal.Create(fsys, name, first(id))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if _, err := j.Append(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

func read(fsys journal.FS, name string) ([]journal.Record, error) {
	var got []journal.Record
	err := journal.Read(fsys, name, func(r *journal.Record) error {
		got = append(got, *r)
		return nil
	})
	return got, err
}

func reopen(fsys journal.FS, name string) (j *journal.Journal, torn string, got []journal.Record, err error) {
	j, torn, err = journal.Open(fsys, name, func(r *journal.Record) error {
		got = append(got, *r)
		return nil
	})
	return j, torn, got, err
}

func TestRoundTripOnDisk(t *testing.T) {
	name := filepath.Join(t.TempDir(), "p.journal")
	write(t, journal.Disk, name, "0", sample()[:4])
	j, torn, got, err := reopen(journal.Disk, name)
	if err != nil || torn != "" || len(got) != 5 {
		t.Fatalf("Open = %d records, torn %q, error %v", len(got), torn, err)
	}
	for _, r := range sample()[4:] {
		if _, err := j.Append(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Append(sample()[0]); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("Append after Close = %v", err)
	}
	got, err = read(journal.Disk, name)
	if err != nil {
		t.Fatal(err)
	}
	want := append([]journal.Record{first("0")}, sample()...)
	prev := ""
	for i := range want {
		want[i].Seq, want[i].Prev, want[i].Hash = i+1, prev, got[i].Hash
		prev = got[i].Hash
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("records differ (-want +got):\n%s", diff)
	}
}

func TestHashIsLastInTheLine(t *testing.T) {
	var d journaltest.Disk
	write(t, &d, "j", "0", sample())
	data, _ := d.Content("j")
	for i, line := range strings.Split(strings.TrimSuffix(string(data), "\n"), "\n") {
		if tail := line[len(line)-75:]; !strings.HasPrefix(tail, `,"hash":"`) || !strings.HasSuffix(tail, `"}`) {
			t.Errorf("line %d ends %q", i+1, tail)
		}
	}
}

func TestTextThatIsNoUTF8(t *testing.T) {
	var d journaltest.Disk
	bad := "output: \xff\xfe"
	run := *first("0").Run
	run.Host, run.Process, run.Settle = "host\xff", "\xff", true
	write(t, &d, "j", "0", []journal.Record{{Event: journal.Outcome, Time: began, Text: bad}, {Event: journal.Resumed, Time: began, Run: &run}})
	got, err := read(&d, "j")
	if err != nil || got[1].Text != "output: \uFFFD" || got[2].Run.Host != "host\uFFFD" || got[2].Run.Process != "\uFFFD" || !got[2].Run.Settle {
		t.Errorf("read %+v, %v", got, err)
	}
}

func TestUnreadableRecordIsNotWritten(t *testing.T) {
	var d journaltest.Disk
	j, err := journal.Create(&d, "j", first("0"))
	if err != nil {
		t.Fatal(err)
	}
	before, _ := d.Content("j")
	for what, r := range map[string]journal.Record{
		"end of JSON":    {Event: journal.Noted, Evidence: json.RawMessage("{")},
		"strange":        {Event: "strange"},
		"only in copies": {Event: journal.Elided, Original: strings.Repeat("ab", 32)},
		"elided record":  {Event: journal.Guarded, Original: strings.Repeat("ab", 32)},
		"cannot be":      first("0"),
		"missing run":    {Event: journal.Resumed},
		"answer":         {Event: journal.Answered},
		"outside of r":   {Event: journal.Guarded, Time: time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)},
		"more than a":    {Event: journal.Guarded, Text: strings.Repeat("x", 17<<20)},
	} {
		if r.Time.IsZero() {
			r.Time = began
		}
		if _, err := j.Append(r); err == nil || !strings.HasPrefix(err.Error(), `journal "j": record "`) || !strings.Contains(err.Error(), what) {
			t.Errorf("Append of a record that cannot be read back, %q: %v", what, err)
		}
	}
	if after, _ := d.Content("j"); !bytes.Equal(before, after) {
		t.Error("Append wrote something")
	}
	if _, err := j.Append(sample()[1]); err != nil {
		t.Errorf("Append of a good record afterwards = %v", err)
	}
}

func TestCreate(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "p.journal")
	write(t, journal.Disk, name, "0", nil)
	var exists *journal.ExistsError
	if _, err := journal.Create(journal.Disk, name, first("1")); !errors.As(err, &exists) {
		t.Errorf("Create over a journal = %v", err)
	}
	if _, err := journal.Create(journal.Disk, filepath.Join(dir, "none", "p.journal"), first("1")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Create in no folder = %v", err)
	}
	if _, err := journal.Create(journal.Disk, filepath.Join(dir, "q"), sample()[0]); err == nil {
		t.Error("Create without a run")
	}
	if _, err := journal.Create(journal.Disk, dir, first("1")); err == nil {
		t.Error("Create on a folder")
	}
	// The remains of a killed Create: no record, or half of one.
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for i, remains := range [][]byte{nil, whole[:40], whole[:len(whole)-1]} {
		name := filepath.Join(dir, fmt.Sprint("remains", i))
		if err := os.WriteFile(name, remains, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, _, _, err := reopen(journal.Disk, name); !errors.Is(err, journal.ErrEmpty) {
			t.Errorf("Open of %d bytes = %v", len(remains), err)
		}
		write(t, journal.Disk, name, "2", sample())
		if got, err := read(journal.Disk, name); err != nil || len(got) != 8 || got[0].Run.ID != "2" {
			t.Errorf("after %d bytes: %d records, %v", len(remains), len(got), err)
		}
	}
}

func TestSecondExecutorIsRefused(t *testing.T) {
	name := filepath.Join(t.TempDir(), "p.journal")
	j, err := journal.Create(journal.Disk, name, first("0"))
	if err != nil {
		t.Fatal(err)
	}
	var locked *journal.LockedError
	if _, _, _, err := reopen(journal.Disk, name); !errors.As(err, &locked) || locked.PID != 4711 || locked.Operator != "Ana" {
		t.Errorf("Open = %v", err)
	}
	if _, err := journal.Create(journal.Disk, name, first("1")); !errors.As(err, &locked) {
		t.Errorf("Create = %v", err)
	}
	if got, err := read(journal.Disk, name); err != nil || len(got) != 1 {
		t.Errorf("Read while it is open = %d records, %v", len(got), err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j, _, _, err = reopen(journal.Disk, name)
	if err != nil {
		t.Fatalf("Open after Close = %v", err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestVisitEndsOpenAndLeavesTheFile(t *testing.T) {
	var d journaltest.Disk
	write(t, &d, "j", "0", sample())
	data, _ := d.Content("j")
	data = append(data, "{\"seq\":9"...)
	d.Put("j", data)
	stop := errors.New("stop")
	if _, _, err := journal.Open(&d, "j", func(*journal.Record) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("Open = %v", err)
	}
	if after, _ := d.Content("j"); !bytes.Equal(after, data) {
		t.Error("the file was changed")
	}
}

// TestLong opens a journal of 100,000 lines, as status and resume do while
// people wait.
func TestLong(t *testing.T) {
	name := filepath.Join(t.TempDir(), "p.journal")
	writeLong(t, name, 100_000)
	start := time.Now()
	n := 0
	if err := journal.Read(journal.Disk, name, func(*journal.Record) error { n++; return nil }); err != nil {
		t.Fatal(err)
	}
	if n != 100_001 {
		t.Errorf("read %d records", n)
	}
	took := time.Since(start)
	t.Logf("%d lines in %v", n, took)
	if took > time.Minute { // generous: the machine may be busy, and the race detector on
		t.Errorf("reading took %v", took)
	}
}

// unsynced is the disk without syncs, for creating long journals quickly.
type unsynced struct{ journal.FS }

type unsyncedFile struct{ journal.File }

func (u unsynced) OpenFile(name string, flag int, perm fs.FileMode) (journal.File, error) {
	f, err := u.FS.OpenFile(name, flag, perm)
	return unsyncedFile{f}, err
}

func (unsyncedFile) Sync() error { return nil }

func writeLong(t testing.TB, name string, lines int) {
	j, err := journal.Create(unsynced{journal.Disk}, name, first("0"))
	if err != nil {
		t.Fatal(err)
	}
	note := sample()[3]
	for range lines {
		if _, err := j.Append(note); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkRead100k(b *testing.B) {
	name := filepath.Join(b.TempDir(), "p.journal")
	writeLong(b, name, 100_000)
	b.ReportAllocs()
	for b.Loop() {
		if err := journal.Read(journal.Disk, name, func(*journal.Record) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	j, err := journal.Create(journal.Disk, filepath.Join(b.TempDir(), "p.journal"), first("0"))
	if err != nil {
		b.Fatal(err)
	}
	defer j.Close()
	for b.Loop() {
		if _, err := j.Append(sample()[2]); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRead10k reads the journal of a long run, as status and resume do
// while people wait.
func BenchmarkRead10k(b *testing.B) {
	name := filepath.Join(b.TempDir(), "p.journal")
	writeLong(b, name, 10_000)
	b.ReportAllocs()
	for b.Loop() {
		if err := journal.Read(journal.Disk, name, func(*journal.Record) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAppendUnsynced measures Append without the disk.
func BenchmarkAppendUnsynced(b *testing.B) {
	j, err := journal.Create(unsynced{journal.Disk}, filepath.Join(b.TempDir(), "p.journal"), first("0"))
	if err != nil {
		b.Fatal(err)
	}
	defer j.Close()
	for b.Loop() {
		if _, err := j.Append(sample()[2]); err != nil {
			b.Fatal(err)
		}
	}
}
