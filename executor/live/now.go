// Package live is a run as it is now: what its journal says, with what csu shows beside it.
// csu status, csu watch and the status line of csu exec show the same [View].
//
// What a step reports while it runs, and the evidence of an open question, are no records of
// the journal. A running csu keeps them in a small file beside it, which nothing else reads.
// The file is not synced, and an error in writing it is ignored: without it, a view has only
// what the journal says.
package live

import (
	"encoding/json"
	"maps"
	"os"
	"sync"
	"time"

	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/secret"
)

// FileOf returns the name of the file beside a journal.
func FileOf(journal string) string { return journal + ".now" }

// Now is what a running csu shows, beside what its journal says.
type Now struct {
	Time  time.Time       `json:"time"` // of the run's clock, at most two seconds ago
	Signs map[string]Sign `json:"signs,omitempty"`
	Asked *Asked          `json:"asked,omitempty"`
}

// Sign is what a running step has reported last.
type Sign struct {
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

// Asked is the question that is open.
type Asked struct {
	Topic   string    `json:"topic"`
	Stage   string    `json:"stage,omitempty"`
	Step    string    `json:"step,omitempty"`
	Since   time.Time `json:"since"`
	Text    string    `json:"text,omitempty"`
	Reading string    `json:"reading,omitempty"`
	Choices []string  `json:"choices,omitempty"`
}

// every is how often the file is written, in real time.
const every = time.Second

// stale is the age at which a file says nothing any more: its csu hangs, or was killed.
const stale = 10 * time.Second

// Recorder keeps the file while csu carries out a run. A nil Recorder keeps nothing.
type Recorder struct {
	file  string
	clock func() time.Time
	end   chan struct{}
	ended chan struct{}

	mu  sync.Mutex
	now Now
}

// Record begins to keep the file beside a journal, until End is called. clock is the run's.
func Record(journal string, clock func() time.Time) *Recorder {
	r := &Recorder{
		file: FileOf(journal), clock: clock, end: make(chan struct{}), ended: make(chan struct{}),
		now: Now{Signs: map[string]Sign{}},
	}
	go r.keep()
	return r
}

func (r *Recorder) keep() {
	defer close(r.ended)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.write()
		case <-r.end:
			_ = os.Remove(r.file)
			return
		}
	}
}

// write replaces the file as a whole, so that no reader sees a part of it.
func (r *Recorder) write() {
	r.mu.Lock()
	r.now.Time = r.clock().UTC()
	data, err := json.Marshal(r.now)
	r.mu.Unlock()
	if err != nil {
		return
	}
	part := r.file + "~"
	if os.WriteFile(part, append(data, '\n'), 0o644) == nil && os.Rename(part, r.file) == nil {
		return
	}
	_ = os.Remove(part)
}

// End removes the file.
func (r *Recorder) End() {
	if r != nil {
		close(r.end)
		<-r.ended
	}
}

// Tell takes in an event.
func (r *Recorder) Tell(e operator.Event) {
	if r == nil || e.Step == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch e.Kind {
	case operator.StepProgress:
		r.now.Signs[e.Step] = Sign{e.Time.UTC(), secret.Redact(e.Text)}
	case operator.StepStarted, operator.StepDone, operator.StepFailed, operator.StepSkipped, operator.StepInDoubt:
		delete(r.now.Signs, e.Step)
	}
}

// Ask takes in that a question is put. The caller calls answered when it is open no more.
func (r *Recorder) Ask(q operator.Question) (answered func()) {
	if r == nil {
		return func() {}
	}
	since := q.Since
	if since.IsZero() {
		since = r.clock()
	}
	asked := &Asked{Topic: string(q.Topic), Stage: q.Stage, Step: q.Step, Since: since.UTC(), Text: secret.Redact(q.Text), Reading: secret.Redact(q.Reading)}
	for _, c := range q.Choices {
		asked.Choices = append(asked.Choices, string(c))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now.Asked = asked
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.now.Asked == asked {
			r.now.Asked = nil
		}
	}
}

// Present returns what the file would say now.
func (r *Recorder) Present() *Now {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now
	now.Time = r.clock().UTC()
	now.Signs = maps.Clone(r.now.Signs)
	return &now
}

// Read returns what the csu at work on a journal shows; nil if that is not known.
func Read(journal string) *Now {
	file := FileOf(journal)
	info, err := os.Stat(file)
	if err != nil || time.Since(info.ModTime()) > stale {
		return nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	var n Now
	if json.Unmarshal(data, &n) != nil {
		return nil
	}
	return &n
}
