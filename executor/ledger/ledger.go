// Package ledger is the one object per site, in the site's cluster, that says
// which run may go on.
//
// The words:
//
//   - the ledger is a ConfigMap that is created beforehand and never deleted; csu
//     reads it and writes it as a whole, by compare-and-swap on its resource
//     version, so that what it says cannot tear;
//   - the holder is the run that has the site, with the process that is at work on
//     it, if one is;
//   - the epoch rises whenever a process claims the ledger: at the begin of a run,
//     with every resume and with every takeover;
//   - the head is the last record of the run's journal that the ledger knows, by
//     number and hash; the copy is the journal up to there, compressed;
//   - the finished runs are the plans that nobody may carry out again.
//
// No outside system refuses an old epoch, so that the ledger is a gate and not a
// fence: a process sends an effect only within [Timing.Fresh] of its last
// confirmed write, by a clock that counts the time asleep, and a process that takes
// over waits for that long and for the longest request before it looks at what was
// left. What had passed the gate before is found by its identity, or is in doubt.
package ledger

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/lsst-ts/csu/executor/journal"
)

// Format is the version of the ledger's form. It is raised whenever a csu that
// knows only the old form would misread the new one.
const Format = "csu-ledger/1"

// mostFinished is how many finished runs the ledger remembers.
const mostFinished = 50

// Ledger is what the object says. The zero value is that of an object that was
// created and never written.
type Ledger struct {
	Format string `json:"format"`
	Epoch  int    `json:"epoch"`
	// Holder is the run that has the site; nil where none has.
	Holder *Holder `json:"holder"`
	// Head is where the journal of the last run stood; the zero value before the
	// first run.
	Head Head `json:"head"`
	// Finished are the last runs that ended, the newest last.
	Finished []Finished `json:"finished"`
	// Copy is the journal up to Head, as [journal.Unpack] reads it; empty where it
	// has grown too large. It is kept beside this JSON.
	Copy []byte `json:"-"`
}

// Head is the last record that the ledger knows of a run's journal.
type Head struct {
	Run    string `json:"run"`    // id
	Plan   string `json:"plan"`   // name of the plan's file, for people
	Digest string `json:"digest"` // of the plan
	journal.Head
	Stage string    `json:"stage,omitempty"` // that the run was in, for people
	Time  time.Time `json:"time"`            // when the ledger came to have it, by the writer's clock
}

// Holder is the run that has the site, and who is at work on it.
type Holder struct {
	Run      string    `json:"run"`    // id
	Plan     string    `json:"plan"`   // name of the plan's file, for people
	Digest   string    `json:"digest"` // of the plan
	Operator string    `json:"operator"`
	Host     string    `json:"host"`
	Since    time.Time `json:"since"` // of this process's claim, by its clock
	// Process is the random id of the process that is at work; "" where the last
	// one ended by itself, having written down all it knew.
	Process string `json:"process,omitempty"`
	// Journal is the file that the process writes.
	Journal journal.Place `json:"journal"`
	// Renewed is when the holder last wrote, by its clock.
	Renewed time.Time `json:"renewed"`
	// Asked is the request that the process hand over; nil for none.
	Asked *Handover `json:"asked,omitempty"`
	// To is whom the run was handed over to; "" where it was not.
	To string `json:"to,omitempty"`
}

// Handover is the request to hand a run over.
type Handover struct {
	To string `json:"to"` // who goes on
	By string `json:"by"` // who asked
}

// Outcome is how a run ended, as far as the site is concerned.
type Outcome string

// The outcomes.
const (
	Complete Outcome = "complete"
	Aborted  Outcome = "aborted"
	Unlocked Outcome = "unlocked" // the site was taken from the run, which may not be over
)

// Finished is a run that no longer has the site.
type Finished struct {
	Digest   string    `json:"digest"` // of the plan
	Run      string    `json:"run"`
	Plan     string    `json:"plan"`
	Outcome  Outcome   `json:"outcome"`
	Operator string    `json:"operator"`
	Time     time.Time `json:"time"`
	Reason   string    `json:"reason,omitempty"` // why the site was taken from the run
	journal.Head
}

// Ended returns how the last run of a plan ended; nil where the ledger knows of
// none that did.
func (l *Ledger) Ended(digest string) *Finished {
	for i := len(l.Finished) - 1; i >= 0; i-- {
		if l.Finished[i].Digest == digest {
			return &l.Finished[i]
		}
	}
	return nil
}

// End takes the site from its holder.
func (l *Ledger) End(f Finished) {
	l.Holder = nil
	l.Finished = slices.DeleteFunc(slices.Clone(l.Finished), func(o Finished) bool { return o.Run == f.Run })
	l.Finished = append(l.Finished, f)
	l.Finished = l.Finished[max(0, len(l.Finished)-mostFinished):]
}

// encode returns the JSON form, which people may read with kubectl.
func (l *Ledger) encode() ([]byte, error) {
	l.Format = Format
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(l); err != nil {
		return nil, fmt.Errorf("encode the site's ledger: %w", err)
	}
	return b.Bytes(), nil
}

// decode reads what encode writes; no text at all is the zero value.
func decode(text []byte) (Ledger, error) {
	var l Ledger
	if len(text) == 0 {
		return l, nil
	}
	if err := json.Unmarshal(text, &l); err != nil {
		return l, &FormatError{err.Error()}
	}
	if l.Format != Format {
		return l, &FormatError{fmt.Sprintf("its format is %q, and this csu knows only %q", l.Format, Format)}
	}
	return l, nil
}

// FormatError reports that the object is not a ledger that this csu can read.
type FormatError struct{ Reason string }

func (e *FormatError) Error() string { return "read the site's ledger: " + e.Reason }

// Hint says what the operator can do.
func (e *FormatError) Hint() string {
	return "use the csu that wrote it; kubectl get configmap -n " + Namespace + " -o yaml shows what is there"
}
