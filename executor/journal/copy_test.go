package journal_test

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/journal/journaltest"
)

// unpacks checks that a copy contains the lines.
func unpacks(t *testing.T, c journal.Copy, want []byte) {
	t.Helper()
	lines, head, err := journal.Unpack(c.Packed)
	if err != nil {
		t.Fatalf("Unpack: %v", err)
	}
	if head != c.Head {
		t.Fatalf("the copy's head is %v, that of its lines %v", c.Head, head)
	}
	if !bytes.Equal(lines, want) {
		t.Fatalf("unpacked %d bytes:\n%.2000s\nwant %d bytes:\n%.2000s", len(lines), lines, len(want), want)
	}
}

// TestCopies checks that each copy is the journal as it was then, even after
// later records, and whether or not there were copies before.
func TestCopies(t *testing.T) {
	for every := 1; every <= 3; every++ {
		var d journaltest.Disk
		j, err := journal.Create(&d, "j", first("0"))
		if err != nil {
			t.Fatal(err)
		}
		var copies []journal.Copy
		var packed, contents [][]byte
		records := slices.Concat(sample()[:6], sample()[:6], manyNotes(400), sample())
		for i, r := range records {
			if _, err := j.Append(r); err != nil {
				t.Fatal(err)
			}
			if i%every != 0 {
				continue
			}
			data, _ := d.Content("j")
			c := j.Copy()
			if again := j.Copy(); again.Head != c.Head || !bytes.Equal(again.Packed, c.Packed) {
				t.Fatal("two copies of the same records differ")
			}
			if c.Elided != 0 || c.Head != j.Head() || c.Head.Seq != i+2 {
				t.Fatalf("copy after record %d: %d elided, head %v", i+2, c.Elided, c.Head)
			}
			copies, packed, contents = append(copies, c), append(packed, bytes.Clone(c.Packed)), append(contents, data)
		}
		for i, c := range copies {
			if !bytes.Equal(c.Packed, packed[i]) {
				t.Fatalf("copy %d has changed since", i)
			}
			// Appending to the result must not change the journal's own data.
			_ = append(c.Packed, "xxxxxxxxxxxxxxxx"...)
			unpacks(t, c, contents[i])
		}
		data, _ := d.Content("j")
		unpacks(t, j.Copy(), data)
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		again, _, _, err := reopen(&d, "j")
		if err != nil {
			t.Fatal(err)
		}
		unpacks(t, again.Copy(), data)
		if again.Head() != j.Head() {
			t.Errorf("after reopening, the head is %v, want %v", again.Head(), j.Head())
		}
	}
}

// manyNotes returns notes that fill more than one member of a copy.
func manyNotes(n int) []journal.Record {
	notes := make([]journal.Record, n)
	for i := range notes {
		notes[i] = sample()[3]
		notes[i].Text = fmt.Sprint("note ", i)
		notes[i].Time = began.Add(time.Duration(i) * time.Minute)
	}
	return notes
}

func TestHas(t *testing.T) {
	var d journaltest.Disk
	j, err := journal.Create(&d, "j", first("0"))
	if err != nil {
		t.Fatal(err)
	}
	heads := []journal.Head{{}, j.Head()}
	for _, r := range sample() {
		written, err := j.Append(r)
		if err != nil {
			t.Fatal(err)
		}
		heads = append(heads, journal.Head{Seq: written.Seq, Hash: written.Hash})
	}
	if j.Head() != heads[8] {
		t.Errorf("Head = %v, want %v", j.Head(), heads[8])
	}
	for i, h := range heads {
		if h.Seq != i || !j.Has(h) {
			t.Errorf("the journal lacks its own record %v", h)
		}
		for _, other := range []journal.Head{{h.Seq, strings.Repeat("0", 64)}, {h.Seq + 1, h.Hash}, {h.Seq - 1, h.Hash}, {-h.Seq, h.Hash + "0"}} {
			if other != (journal.Head{}) && j.Has(other) {
				t.Errorf("the journal has %v", other)
			}
		}
	}
}

// TestCopyOfAFullUpgrade uses the records of a rehearsal of the summit's full upgrade, whose journal has 218
// kB. With a copy after each record, none reaches 30 kB.
func TestCopyOfAFullUpgrade(t *testing.T) {
	file, err := os.Open(filepath.Join("testdata", "summit-full.journal.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	in, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	var d journaltest.Disk
	var j *journal.Journal
	largest, records := 0, 0
	for dec := json.NewDecoder(in); ; records++ {
		var r journal.Record
		if err := dec.Decode(&r); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if j == nil {
			r.Run.Format = journal.Format // whatever it was when the records were made
			j, err = journal.Create(&d, "j", r)
		} else {
			_, err = j.Append(r)
		}
		if err != nil {
			t.Fatal(err)
		}
		largest = max(largest, len(j.Copy().Packed))
	}
	data, _ := d.Content("j")
	c := j.Copy()
	unpacks(t, c, data)
	t.Logf("%d records, %d bytes, copied in %d; largest copy %d", records, len(data), len(c.Packed), largest)
	if largest > 30_000 || c.Elided != 0 {
		t.Errorf("a copy has %d bytes", largest)
	}
}

// chance generates texts that compress to about half their size.
type chance struct{ *rand.Rand }

func newChance() chance { return chance{rand.New(rand.NewPCG(1, 2))} }

func (c chance) text(n int) string {
	b := make([]byte, n/2)
	for i := range b {
		b[i] = byte(c.Uint32())
	}
	return hex.EncodeToString(b)
}

// attempt returns the records of an attempt with one long and one short note.
func (c chance) attempt(n, noted int) []journal.Record {
	id := journal.Record{Time: began, Stage: "offline", Step: "offline/watcher", Attempt: n}
	started, long, short, outcome := id, id, id, id
	started.Event, long.Event, short.Event, outcome.Event = journal.Started, journal.Noted, journal.Noted, journal.Outcome
	long.Evidence = fmt.Appendf(nil, `{"output":%q}`, c.text(noted))
	short.Evidence = json.RawMessage(`{"started":true}`)
	outcome.Verdict = "done"
	return []journal.Record{started, long, short, outcome}
}

func TestElidedNotes(t *testing.T) {
	c := newChance()
	var d journaltest.Disk
	j, err := journal.Create(&d, "j", first("0"))
	if err != nil {
		t.Fatal(err)
	}
	add := func(records ...journal.Record) {
		t.Helper()
		for _, r := range records {
			if _, err := j.Append(r); err != nil {
				t.Fatal(err)
			}
		}
	}
	open := c.attempt(1, 20_000)[:3] // no outcome
	add(open...)
	elided := 0
	for n := 2; n < 200; n++ {
		add(c.attempt(n, 20_000)...)
		copied := j.Copy()
		if len(copied.Packed) > journal.CopyLimit+20_000 {
			t.Fatalf("after attempt %d the copy has %d bytes", n, len(copied.Packed))
		}
		if copied.Elided < elided {
			t.Fatalf("after attempt %d %d records are elided, want %d", n, copied.Elided, elided)
		}
		elided = copied.Elided
	}
	if elided < 150 {
		t.Fatalf("%d records are elided", elided)
	}
	copied := j.Copy()
	lines, head, err := journal.Unpack(copied.Packed)
	if err != nil || head != j.Head() {
		t.Fatalf("Unpack: head %v, %v; want %v", head, err, j.Head())
	}
	// The journal itself, and the file that Save writes, have everything.
	data, _ := d.Content("j")
	d.Remove("j")
	if name, err := j.Save(); err != nil || name != "j" {
		t.Fatalf("Save = %q, %v", name, err)
	}
	if saved, _ := d.Content("j"); !bytes.Equal(saved, data) {
		t.Error("the saved journal differs from the one written")
	}
	original, err := read(&d, "j")
	if err != nil {
		t.Fatal(err)
	}
	// The restored journal can be continued.
	if err := journal.Restore(&d, "k", lines); err != nil {
		t.Fatal(err)
	}
	k, torn, got, err := reopen(&d, "k")
	if err != nil || torn != "" || len(got) != len(original) {
		t.Fatalf("Open of the restored journal: %d records of %d, %v", len(got), len(original), err)
	}
	if held, err := read(&d, "k"); err != nil || len(held) != len(original) {
		t.Fatalf("Read of the restored journal: %d records of %d, %v", len(held), len(original), err)
	}
	n := 0
	for i, r := range got {
		if !k.Has(journal.Head{Seq: original[i].Seq, Hash: original[i].Hash}) {
			t.Fatalf("the restored journal lacks record %d", i+1)
		}
		if r.Event != journal.Elided {
			continue
		}
		n++
		if r.Original != original[i].Hash || !r.Time.Equal(original[i].Time) || r.Step != "" || r.Evidence != nil {
			t.Errorf("record %d is %+v", i+1, r)
		}
		if o := original[i]; o.Event != journal.Noted || o.Attempt == 1 || len(o.Evidence) < 1000 {
			t.Errorf("record %d was elided: event %q, attempt %d, evidence %.20s", i+1, o.Event, o.Attempt, o.Evidence)
		}
	}
	if n != elided {
		t.Errorf("%d records are elided, the copy reports %d", n, elided)
	}
	if written, err := k.Append(open[2]); err != nil || written.Prev != head.Hash {
		t.Fatalf("Append to the restored journal = %+v, %v", written, err)
	}
	data, _ = d.Content("k")
	copied = k.Copy()
	unpacks(t, copied, data)
	if copied.Elided != n {
		t.Errorf("the restored journal's copy has %d elided records, want %d", copied.Elided, n)
	}
}

// TestNoCopyOfAJournalThatIsTooLarge checks that the run continues without a
// copy.
func TestNoCopyOfAJournalThatIsTooLarge(t *testing.T) {
	c := newChance()
	var d journaltest.Disk
	j, err := journal.Create(&d, "j", first("0"))
	if err != nil {
		t.Fatal(err)
	}
	copies := 0
	for n := 1; n <= 250; n++ {
		r := sample()[4]
		r.Attempt, r.Text = n, c.text(10_000) // not a note
		if _, err := j.Append(r); err != nil {
			t.Fatal(err)
		}
		copied := j.Copy()
		if copied.Head != j.Head() || copied.Head.Seq != n+1 {
			t.Fatalf("head %v after %d records", copied.Head, n+1)
		}
		if copied.Packed == nil {
			if copied.Elided != n+1 {
				t.Fatalf("%d of %d records are elided", copied.Elided, n+1)
			}
			continue
		}
		copies++
		if len(copied.Packed) > journal.MostCopy || copies != n {
			t.Fatalf("copy %d has %d bytes", copies, len(copied.Packed))
		}
	}
	if copies < 150 || copies > 200 {
		t.Errorf("%d copies", copies)
	}
	data, _ := d.Content("j")
	d.Remove("j")
	if _, err := j.Save(); err != nil {
		t.Fatal(err)
	}
	if saved, _ := d.Content("j"); !bytes.Equal(saved, data) {
		t.Error("the saved journal differs from the one written")
	}
}

// TestCopyAfterEachOf10000 checks that the effort is proportional to the number
// of records.
func TestCopyAfterEachOf10000(t *testing.T) {
	c := newChance()
	j, err := journal.Create(unsynced{journal.Disk}, filepath.Join(t.TempDir(), "p.journal"), first("0"))
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	var took, append time.Duration
	largest, made := 0, 0
	for n := range 10_000 / 4 {
		for _, r := range c.attempt(n+1, 200) {
			start := time.Now()
			if _, err := j.Append(r); err != nil {
				t.Fatal(err)
			}
			append += time.Since(start)
			start = time.Now()
			packed := j.Copy().Packed
			took += time.Since(start)
			if packed != nil {
				made++
			}
			largest = max(largest, len(packed))
		}
		if (n+1)%500 == 0 {
			t.Logf("%d records: Append %v, Copy %v, the largest %d bytes", 4*(n+1), append, took, largest)
		}
	}
	if made < 10_000 {
		t.Errorf("%d copies of 10,000", made)
	}
	if took > time.Minute { // generous: the machine may be busy, and the race detector on
		t.Errorf("10,000 copies took %v", took)
	}
}
