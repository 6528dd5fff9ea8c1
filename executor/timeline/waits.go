package timeline

import (
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/operator"
)

// askedAt returns since when the question of an answer waited, if the journal does not
// say when it was asked: since the end of what preceded it. That is the last record of
// its step, or of the steps that its step needs; for a stage's question, any record. Only
// one question is open at a time, and none when a csu is resumed. An answer that was given
// beforehand, or before there was a journal, waited for nobody.
func (l *Log) askedAt(r *journal.Record) time.Time {
	if strings.HasPrefix(r.Answer.Via, operator.InAdvance) || r.Stage == "" && r.Step == "" {
		return l.now
	}
	t := l.last
	if r.Step != "" {
		t = l.ready(r.Step)
	}
	t = later(t, l.asked)
	if n := len(l.run.Sessions); n > 0 {
		t = later(t, l.run.Sessions[n-1].Begun)
	}
	if t.After(l.now) {
		t = l.now
	}
	return t
}

// ready returns the time of a step's last record; without one, the time at which the last
// of what it needs ended, or its stage began.
func (l *Log) ready(id string) time.Time {
	if t, ok := l.since[id]; ok {
		return t
	}
	step := l.state.Steps[id]
	if step == nil {
		return l.now
	}
	t := later(l.state.Begin, l.begun[step.Step.Stage()])
	for _, need := range step.Step.Needs {
		if n := l.since[need]; n.After(t) {
			t = n
		}
	}
	return t
}
