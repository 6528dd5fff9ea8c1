package campaign

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/journal/journaltest"
	"github.com/lsst-ts/csu/executor/state"
)

// TestDiskFaults makes each operation on the disk fail in each way, and resumes the run
// with what the disk kept.
func TestDiskFaults(t *testing.T) {
	c := newCampaign(t)
	r := rand.New(rand.NewPCG(uint64(*seed), 5))
	faults := slices.Sorted(maps.Keys(diskFaults))
	every := 1
	if !*full {
		every = 29
	}
	i := 0
	for _, name := range slices.Sorted(maps.Keys(purposeMade)) {
		ref := c.reference(name, 1)
		for _, fault := range faults {
			// One write and one sync for each record; the folder is synced and the
			// file opened once. What has nothing to truncate is reached after a
			// record that was cut short, in a second life.
			n, dies := len(ref.records), []Trigger(nil)
			switch diskFaults[fault].kind {
			case journaltest.SyncDir, journaltest.Open:
				n = 1
			case journaltest.Truncate:
				n, dies = 1, []Trigger{{On: OnRecord, N: 5, At: Middle}}
			}
			for k := 1; k <= n; k++ {
				if i++; i%every != 0 && n > 1 {
					continue
				}
				d := Trigger{On: OnDisk, Key: fault, N: k}
				how := crashing[r.IntN(3)]
				if len(dies) > 0 {
					how = Killed
				}
				c.start(trial{plan: name, seed: 1, Case: Case{How: how, Dies: append(slices.Clone(dies), d)}}, boundary{kind: "disk", trigger: d})
			}
		}
	}
	c.finish("disk faults")
}

// TestDamagedJournals damages the journals of real runs in every place: what can
// be read of one is what it said before the damage, or it is refused.
func TestDamagedJournals(t *testing.T) {
	c := newCampaign(t)
	every := 1
	if !*full {
		every = 101
	}
	total := map[string]int{}
	for _, name := range slices.Sorted(maps.Keys(purposeMade)) {
		ref := c.reference(name, 1)
		other := c.reference(name, 2)
		d := damaged{t: t, ref: ref, name: name, whole: ref.journal, total: total}
		for n := 0; n < len(d.whole); n += every {
			d.cut(n)
		}
		for n := 0; n < len(d.whole); n += every {
			mask := []byte{1, 0x20, 0x80}[n%3]
			flipped := bytes.Clone(d.whole)
			flipped[n] ^= mask
			d.refused("byte flipped", fmt.Sprintf("byte %d by %#x", n, mask), flipped)
		}
		lines, foreign := bytes.SplitAfter(d.whole, []byte("\n")), bytes.SplitAfter(other.journal, []byte("\n"))
		lines, foreign = lines[:len(lines)-1], foreign[:len(foreign)-1]
		join := func(parts ...[][]byte) []byte { return bytes.Join(slices.Concat(parts...), nil) }
		for i := range lines {
			at := fmt.Sprintf("line %d", i+1)
			d.refused("line doubled", at, join(lines[:i+1], lines[i:]))
			if i+1 < len(lines) {
				d.refused("line removed", at, join(lines[:i], lines[i+1:]))
				d.refused("lines swapped", at, join(lines[:i], [][]byte{lines[i+1], lines[i]}, lines[i+2:]))
			}
			if i < len(foreign) {
				d.refused("line of another run in its place", at, join(lines[:i], foreign[i:i+1], lines[min(i+1, len(lines)-1):]))
				d.refused("line of another run put in", at, join(lines[:i+1], foreign[i:i+1], lines[i+1:]))
			}
			if i > 0 && i < len(foreign) {
				d.refused("end of another run", at, join(lines[:i], foreign[i:]))
			}
		}
	}
	sum := 0
	for _, what := range slices.Sorted(maps.Keys(total)) {
		t.Logf("%6d  %s", total[what], what)
		sum += total[what]
	}
	t.Logf("%d damaged journals", sum)
}

// damaged is a journal that is damaged again and again.
type damaged struct {
	t     *testing.T
	ref   *Reference
	name  string
	whole []byte
	total map[string]int
}

func (d *damaged) read(data []byte) (*state.State, error) {
	var disk journaltest.Disk
	disk.Put("j", data)
	return state.Read(&disk, "j", d.ref.Plan, d.ref.Digest)
}

// cut: the whole lines before the cut count, and nothing else.
func (d *damaged) cut(n int) {
	d.total["cut off at a byte"]++
	s, err := d.read(d.whole[:n])
	if want := bytes.Count(d.whole[:n], []byte("\n")); err != nil || s.Records != want {
		d.t.Errorf("plan %q, journal cut at byte %d: %v, %d records, want %d", d.name, n, err, s.Records, want)
	}
}

// refused: such a journal is refused with its line, and no run is resumed with it.
func (d *damaged) refused(what, where string, data []byte) {
	d.total[what]++
	_, err := d.read(data)
	var damage *journal.DamageError
	if !errors.As(err, &damage) || damage.Line == 0 {
		d.t.Errorf("plan %q, %s, %s: %v, want that the journal is damaged", d.name, what, where, err)
		return
	}
	var disk journaltest.Disk
	disk.Put("j", data)
	_, _, err = journal.Open(&disk, "j", func(*journal.Record) error { return nil })
	if !errors.As(err, &damage) {
		d.t.Errorf("plan %q, %s, %s: opened: %v", d.name, what, where, err)
	}
	if after, _ := disk.Content("j"); !bytes.Equal(after, data) {
		d.t.Errorf("plan %q, %s, %s: the refused journal was changed", d.name, what, where)
	}
}
