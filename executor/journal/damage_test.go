package journal_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"testing"

	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/journal/journaltest"
)

// bytesOf returns the sample journal of a run.
func bytesOf(t testing.TB, id string) []byte {
	var d journaltest.Disk
	write(t, &d, "j", id, sample())
	data, _ := d.Content("j")
	return data
}

// TestCutAtEveryByte checks that the whole lines count, that the torn one is
// kept, and that the journal can be continued.
func TestCutAtEveryByte(t *testing.T) {
	data := bytesOf(t, "0")
	for n := range len(data) + 1 {
		var d journaltest.Disk
		d.Put("j", data[:n])
		whole := bytes.LastIndexByte(data[:n], '\n') + 1
		lines := bytes.Count(data[:n], []byte("\n"))
		j, torn, got, err := reopen(&d, "j")
		if lines == 0 {
			if !errors.Is(err, journal.ErrEmpty) {
				t.Fatalf("cut at %d: %v", n, err)
			}
			continue
		}
		if err != nil || len(got) != lines {
			t.Fatalf("cut at %d: %d records of %d, %v", n, len(got), lines, err)
		}
		if (torn != "") != (whole < n) {
			t.Fatalf("cut at %d: torn %q", n, torn)
		}
		if kept, _ := d.Content("j.torn-1"); !bytes.Equal(kept, data[whole:n]) {
			t.Fatalf("cut at %d: kept %q", n, kept)
		}
		if _, err := j.Append(sample()[1]); err != nil {
			t.Fatalf("cut at %d: %v", n, err)
		}
		if got, err := read(&d, "j"); err != nil || len(got) != lines+1 {
			t.Fatalf("cut at %d: then %d records, %v", n, len(got), err)
		}
	}
}

func TestTornLinesAreAllKept(t *testing.T) {
	var d journaltest.Disk
	d.Put("j", bytesOf(t, "0"))
	for i := 1; i <= 3; i++ {
		data, _ := d.Content("j")
		tail := fmt.Appendf(nil, "{\"seq\":%d", i)
		d.Put("j", append(data, tail...))
		j, torn, _, err := reopen(&d, "j")
		if err != nil || torn != fmt.Sprint("j.torn-", i) {
			t.Fatalf("torn %q, %v", torn, err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		if kept, _ := d.Content(torn); !bytes.Equal(kept, tail) {
			t.Errorf("%s holds %q", torn, kept)
		}
	}
}

// damaged checks that Open and Read refuse a journal at the line and leave the
// file unchanged.
func damaged(t *testing.T, what string, data []byte, lines ...int) {
	t.Helper()
	var d journaltest.Disk
	d.Put("j", data)
	_, _, _, openErr := reopen(&d, "j")
	_, readErr := read(&d, "j")
	for _, err := range []error{openErr, readErr} {
		var damage *journal.DamageError
		if !errors.As(err, &damage) {
			t.Fatalf("%s: %v", what, err)
		}
		if !slices.Contains(lines, damage.Line) || damage.Reason == "" {
			t.Errorf("%s: found at line %d (%s), want %v", what, damage.Line, damage.Reason, lines)
		}
	}
	if after, _ := d.Content("j"); !bytes.Equal(after, data) {
		t.Errorf("%s: the file was changed", what)
	}
}

func TestEveryFlippedByteIsFound(t *testing.T) {
	data := bytesOf(t, "0")
	for i := range data {
		line := 1 + bytes.Count(data[:i], []byte("\n"))
		flips := []byte{'\n', '}', 0}
		for _, bit := range []int{0, 5, 7} {
			flips = append(flips, data[i]^1<<bit)
		}
		for _, b := range flips {
			if b == data[i] {
				continue
			}
			bad := bytes.Clone(data)
			bad[i] = b
			damaged(t, fmt.Sprintf("byte %d, %q for %q", i, b, data[i]), bad, line)
		}
	}
}

func TestLinesOutOfPlace(t *testing.T) {
	lines := bytes.SplitAfter(bytesOf(t, "0"), []byte("\n"))
	lines = lines[:len(lines)-1]
	other := bytes.SplitAfter(bytesOf(t, "1"), []byte("\n"))
	join := func(l ...[][]byte) []byte { return bytes.Join(slices.Concat(l...), nil) }
	for i := range lines {
		damaged(t, fmt.Sprint("doubled ", i+1), join(lines[:i+1], lines[i:]), i+2)
		if i+1 < len(lines) {
			damaged(t, fmt.Sprint("removed ", i+1), join(lines[:i], lines[i+1:]), i+1)
			swapped := slices.Clone(lines)
			swapped[i], swapped[i+1] = swapped[i+1], swapped[i]
			damaged(t, fmt.Sprint("swapped ", i+1), join(swapped), i+1)
		}
		spliced := slices.Clone(lines)
		spliced[i] = other[i]
		damaged(t, fmt.Sprint("another run's line ", i+1), join(spliced), i+1, i+2)
		damaged(t, fmt.Sprint("another run's lines from ", i+1), join(lines[:i+1], other[i+1:]), i+2, len(lines)+1)
		if i == len(lines)-2 {
			break // no line follows the last one
		}
	}
	damaged(t, "empty line", join(lines[:2], [][]byte{{'\n'}}, lines[2:]), 3)
	damaged(t, "not a journal", []byte("{}\n"), 1)
	damaged(t, "long line", bytes.Repeat([]byte("x"), 20<<20), 1)
}

// TestFailedWriteEndsTheJournal checks that, whatever fails, no record is
// acknowledged after it, and that all acknowledged records are there
// afterwards.
func TestFailedWriteEndsTheJournal(t *testing.T) {
	for _, kind := range []string{journaltest.Write, journaltest.Sync} {
		for _, written := range []int{0, 1, 100} {
			var d journaltest.Disk
			j, err := journal.Create(&d, "j", first("0"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := j.Append(sample()[0]); err != nil {
				t.Fatal(err)
			}
			d.Fault = func(op journaltest.Op) journaltest.Fault {
				if op.Kind == kind {
					return journaltest.Fault{Err: syscall.EIO, Written: written}
				}
				return journaltest.Fault{}
			}
			var failed *journal.FailedError
			if _, err := j.Append(sample()[1]); !errors.As(err, &failed) || !errors.Is(err, syscall.EIO) || failed.Op != kind {
				t.Fatalf("%s: Append = %v", kind, err)
			}
			d.Fault = nil
			if _, err := j.Append(sample()[1]); !errors.As(err, &failed) {
				t.Errorf("%s: the next Append = %v", kind, err)
			}
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			if _, _, got, err := reopen(&d, "j"); err != nil || len(got) < 2 {
				t.Errorf("%s, %d written: %d records, %v", kind, written, len(got), err)
			}
		}
	}
}

// story writes a journal, resumes it, and continues until the disk fails. It
// returns the acknowledged records.
func story(d *journaltest.Disk) (acknowledged []journal.Record) {
	j, err := journal.Create(d, "j", first("0"))
	if err != nil {
		return nil
	}
	acknowledged = append(acknowledged, first("0"))
	for i, r := range sample()[:6] {
		if i == 3 { // killed and resumed
			d.Kill()
			if j, _, _, err = reopen(d, "j"); err != nil {
				return acknowledged
			}
		}
		if _, err := j.Append(r); err != nil {
			return acknowledged
		}
		acknowledged = append(acknowledged, r)
	}
	return acknowledged
}

// TestCrashAtEveryOperation loses everything that was not synced at every
// operation, except for every possible number of bytes that reached the disk
// anyway. All acknowledged records must be there.
func TestCrashAtEveryOperation(t *testing.T) {
	var whole journaltest.Disk
	if got := story(&whole); len(got) != 7 {
		t.Fatalf("undisturbed: %d records", len(got))
	}
	for n := 1; n <= whole.Ops(); n++ {
		for kept := 0; kept < 420; kept += 7 {
			var d journaltest.Disk
			d.Fault = func(op journaltest.Op) journaltest.Fault {
				if op.N >= n {
					return journaltest.Fault{Err: journaltest.ErrCrashed, Written: len(op.Data)}
				}
				return journaltest.Fault{}
			}
			acknowledged := story(&d)
			d.Fault = nil
			d.Crash(kept)
			_, _, got, err := reopen(&d, "j")
			if len(acknowledged) == 0 {
				continue // the journal may or may not exist, and no effect rests on it
			}
			if err != nil {
				t.Fatalf("operation %d, %d bytes kept: %v", n, kept, err)
			}
			same(t, fmt.Sprintf("operation %d, %d bytes kept", n, kept), acknowledged, got)
		}
	}
}

// same checks that got begins with the acknowledged records.
func same(t *testing.T, what string, acknowledged, got []journal.Record) {
	t.Helper()
	if len(got) < len(acknowledged) {
		t.Fatalf("%s: %d records of %d", what, len(got), len(acknowledged))
	}
	for i, r := range acknowledged {
		if got[i].Event != r.Event {
			t.Fatalf("%s: record %d is %q, want %q", what, i+1, got[i].Event, r.Event)
		}
	}
}

// After a failed sync the last record is only in the cache, marked clean. If
// the run is resumed and then the machine crashes, the journal would have a
// hole, unless that record was written again.
func TestFailedSyncThenCrash(t *testing.T) {
	var whole journaltest.Disk
	story(&whole)
	for n := 1; n <= whole.Ops(); n++ {
		var d journaltest.Disk
		d.Fault = func(op journaltest.Op) journaltest.Fault {
			if op.N == n && op.Kind == journaltest.Sync {
				return journaltest.Fault{Err: syscall.EIO}
			}
			return journaltest.Fault{}
		}
		story(&d)
		d.Fault = nil
		d.Kill()
		j, _, before, err := reopen(&d, "j")
		if errors.Is(err, journal.ErrEmpty) {
			continue
		}
		if err != nil {
			t.Fatalf("sync %d: %v", n, err)
		}
		if _, err := j.Append(sample()[6]); err != nil {
			t.Fatalf("sync %d: %v", n, err)
		}
		d.Crash(0)
		_, _, after, err := reopen(&d, "j")
		if err != nil || len(after) != len(before)+1 {
			t.Fatalf("sync %d: %d records after %d and one more, %v", n, len(after), len(before), err)
		}
	}
}

// TestReadWhileItGrows checks that a reader sees only whole lines, whatever is
// at the end.
func TestReadWhileItGrows(t *testing.T) {
	data := bytesOf(t, "0")
	for n := range len(data) {
		var d journaltest.Disk
		d.Put("j", data[:n])
		got, err := read(&d, "j")
		if want := bytes.Count(data[:n], []byte("\n")); err != nil || len(got) != want {
			t.Fatalf("at %d bytes: %d records of %d, %v", n, len(got), want, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(bytesOf(f, "0"))
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var d journaltest.Disk
		d.Put("j", data)
		got, err := read(&d, "j")
		if err != nil {
			return
		}
		// Whatever is accepted is what csu writes: writing it again gives the
		// same bytes.
		var again journaltest.Disk
		var j *journal.Journal
		for i, r := range got {
			if r.Event == journal.Elided {
				return // appears only in copies; see FuzzUnpack
			}
			if i == 0 {
				j, err = journal.Create(&again, "j", r)
			} else {
				_, err = j.Append(r)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		written, _ := again.Content("j")
		if whole := data[:bytes.LastIndexByte(data, '\n')+1]; !bytes.Equal(written, whole) {
			t.Errorf("accepted %q, written again %q", whole, written)
		}
	})
}
