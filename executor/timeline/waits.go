package timeline

import (
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/operator"
)

// unanswered is why a question has no answer when csu ends while it is open. A resumed run
// asks again.
const unanswered = "not answered: csu ended"

// ask takes in that a question was put. Only one is open at a time.
func (l *Log) ask(r *journal.Record) {
	l.settle(l.now, unanswered)
	l.open = &bar{
		Span: Span{l.now, l.now}, activity: Waiting, stage: r.Stage, step: r.Step, open: true,
		wait: Wait{Stage: r.Stage, Step: r.Step, Topic: r.Question.Topic, Exact: true},
	}
	if r.Step != "" {
		l.open.inside = l.running(r.Step)
	}
	l.bars = append(l.bars, l.open)
	if r.Stage != "" {
		l.inStage(r.Stage, l.now)
	}
}

// settle ends the wait for the open question, if there is one, without an answer.
func (l *Log) settle(at time.Time, why string) {
	if l.open == nil {
		return
	}
	l.open.Ended, l.open.open = later(l.open.Begun, at), false
	l.open.wait.Settled = why
	l.open, l.asked = nil, later(l.asked, at)
}

// question returns the wait that an answer ends: of the question that is open, or one that
// is taken to have begun when what preceded it ended.
func (l *Log) question(r *journal.Record, topic string) *bar {
	if b := l.open; b != nil && b.stage == r.Stage && b.step == r.Step && b.wait.Topic == topic {
		return b
	}
	l.settle(l.now, unanswered) // csu asks one question at a time: it has no such journal
	b := &bar{
		Span: Span{l.askedAt(r), l.now}, activity: Waiting, stage: r.Stage, step: r.Step,
		wait: Wait{Stage: r.Stage, Step: r.Step, Topic: topic},
	}
	if strings.HasPrefix(r.Answer.Via, operator.InAdvance) {
		b.wait.Exact = true // it waited for nobody
	}
	if r.Step != "" {
		b.inside = l.running(r.Step)
	}
	l.bars = append(l.bars, b)
	return b
}

// askedAt returns since when the question of an answer waited, if the journal does not
// say when it was asked, as journals of format csu-journal/2: since the end of what preceded it. That is the last record of
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
