// Package ledger is the one object per site, in the site's cluster, that says which run may proceed.
//
// The words:
//
//   - the ledger is a ConfigMap that is created beforehand and never deleted; csu
//     reads it and writes it as a whole, by compare-and-swap on its resource
//     version, so that it is always consistent;
//   - the holder is the run that has the site, with the process that is working
//     on it, if there is one;
//   - the epoch rises whenever a process claims the ledger: at the start of a
//     run, at every resume and at every takeover;
//   - the head is the last record of the run's journal that the ledger knows, by
//     number and hash; the copy is the journal up to there, compressed;
//   - the finished runs are the plans that must not be carried out again.
//
// No outside system refuses an old epoch, so the ledger is a gate and not a fence. A process sends an effect
// only within [Timing.Fresh] of its last confirmed write, by a clock that includes the time asleep. A process
// that takes over waits for that long and for the longest request before it looks at what was left. An effect
// that had passed the gate before is found by its identity, or is in doubt.
package ledger

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/visible"
)

// Format is the version of the ledger's format. It is raised whenever a csu
// that knows only the old format would misread the new one.
const Format = "csu-ledger/1"

// mostFinished is how many finished runs the ledger remembers.
const mostFinished = 50

// Ledger is the content of the object. The zero value is that of an object that
// was created and never written.
type Ledger struct {
	Format string `json:"format"`
	Epoch  int    `json:"epoch"`
	// Holder is the run that has the site, or nil.
	Holder *Holder `json:"holder"`
	// Head is the head of the last run's journal; the zero value before the
	// first run.
	Head Head `json:"head"`
	// Finished are the last runs that ended, newest last.
	Finished []Finished `json:"finished"`
	// Copy is the journal up to Head, as [journal.Unpack] reads it; empty if it
	// has grown too large. It is stored beside this JSON.
	Copy []byte `json:"-"`
}

// Head is the last record that the ledger knows of a run's journal.
type Head struct {
	Run    string `json:"run"`    // id
	Plan   string `json:"plan"`   // name of the plan's file, for people
	Digest string `json:"digest"` // of the plan
	journal.Head
	Stage string    `json:"stage,omitempty"` // the run's stage, for people
	Time  time.Time `json:"time"`            // when it was written to the ledger, by the writer's clock
}

// Holder is the run that has the site, and the process that is working on it.
type Holder struct {
	Run      string    `json:"run"`    // id
	Plan     string    `json:"plan"`   // name of the plan's file, for people
	Digest   string    `json:"digest"` // of the plan
	Operator string    `json:"operator"`
	Host     string    `json:"host"`
	Since    time.Time `json:"since"` // of this process's claim, by its clock
	// Process is the random id of the process that is at work. It is "" if the
	// last one ended by itself, after recording everything it knew.
	Process string `json:"process,omitempty"`
	// Journal is the file that the process writes.
	Journal journal.Place `json:"journal"`
	// Renewed is when the holder last wrote, by its clock.
	Renewed time.Time `json:"renewed"`
	// Asked is the request to the process to hand over, or nil.
	Asked *Handover `json:"asked,omitempty"`
	// To is whom the run was handed over to, or "".
	To string `json:"to,omitempty"`
}

// Handover is the request to hand a run over.
type Handover struct {
	To string `json:"to"` // who continues
	By string `json:"by"` // who asked
}

// Outcome is how a run ended, as far as the site is concerned.
type Outcome string

// The outcomes.
const (
	Complete Outcome = "complete"
	Aborted  Outcome = "aborted"
	Unlocked Outcome = "unlocked" // the site was taken from the run, which may not have ended
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

// Ended returns how the last run of a plan ended, or nil if the ledger knows of
// none.
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

// decode parses what encode writes; empty text is the zero value.
func decode(text []byte) (Ledger, error) {
	var l Ledger
	if len(text) == 0 {
		return l, nil
	}
	if err := json.Unmarshal(text, &l); err != nil {
		return l, &FormatError{err.Error()}
	}
	if l.Format != Format {
		return l, &FormatError{fmt.Sprintf("the format is %q, but this csu supports only %q", l.Format, Format)}
	}
	for _, text := range l.texts() {
		*text = visible.Line(*text) // it becomes part of csu's own sentences
	}
	return l, nil
}

// texts are what other people have written into the ledger, for people.
func (l *Ledger) texts() []*string {
	all := []*string{&l.Head.Run, &l.Head.Plan, &l.Head.Stage}
	if h := l.Holder; h != nil {
		all = append(all, &h.Run, &h.Plan, &h.Operator, &h.Host, &h.To)
		if h.Asked != nil {
			all = append(all, &h.Asked.To, &h.Asked.By)
		}
	}
	for i := range l.Finished {
		f := &l.Finished[i]
		all = append(all, &f.Run, &f.Plan, &f.Operator, &f.Reason)
	}
	return all
}

// FormatError reports that this csu cannot read the object as a ledger.
type FormatError struct{ Reason string }

func (e *FormatError) Error() string { return "read the site's ledger: " + e.Reason }

// Hint says what the operator can do.
func (e *FormatError) Hint() string {
	return "use the csu that wrote it; kubectl get configmap -n " + Namespace + " -o yaml shows what is there"
}
