package timeline

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/state"
)

// A bar is a time with a cause.
type bar struct {
	Span
	activity    Activity
	stage, step string // ids; both are "" for the whole run's
	number      int    // of an attempt
	open        bool
	held        bool // of an attempt: it was in doubt, or found open by a resume, so that nothing else started
	inside      *bar // of a wait: the attempt that has asked

	attempt Attempt // of an attempt
	wait    Wait    // of a wait
}

// A Log takes in the records of a journal in their order. The records must be those that
// [state.State.Check] allows.
type Log struct {
	plan    *plan.Plan
	digest  string
	state   *state.State
	effects map[string]plan.Effects // by step
	order   map[string]int          // of stages; the final steps, of stage "", come last
	last    time.Time               // of the record before
	now     time.Time               // of the record
	bars    []*bar
	tries   map[string][]*bar    // attempts, by step
	looks   map[string]*bar      // open checks, by step
	since   map[string]time.Time // by step: the last record of it that a question may follow
	stages  map[string]*Span     // from the first question or step to the last record
	begun   map[string]time.Time // when the stages had their consents
	open    *bar                 // the question that waits for its answer; nil if none does
	asked   time.Time            // when the last question was answered or settled

	run       Run
	trouble   []Event
	decisions []Decision
	guards    []string
	before    map[string]string // states of CSCs
}

// NewLog returns the log of a run before its first record. digest is the plan's.
func NewLog(p *plan.Plan, digest string) *Log {
	l := &Log{
		plan: p, digest: digest, state: state.New(p), effects: map[string]plan.Effects{}, order: map[string]int{"": len(p.Stages)},
		tries: map[string][]*bar{}, looks: map[string]*bar{}, since: map[string]time.Time{},
		stages: map[string]*Span{}, begun: map[string]time.Time{}, before: map[string]string{},
	}
	for i := range p.Stages {
		l.order[p.Stages[i].ID] = i
	}
	for st := range p.AllSteps() {
		l.effects[st.ID] = st.Effects(p)
	}
	return l
}

// Read returns the log of the journal in a file, while an executor may be writing it. A
// journal of another plan is a [*state.OtherPlanError].
func Read(fsys journal.FS, name string, p *plan.Plan, digest string) (*Log, error) {
	l := NewLog(p, digest)
	if err := journal.Read(fsys, name, l.Take); err != nil {
		return nil, err
	}
	return l, nil
}

// State returns what the records say about the run.
func (l *Log) State() *state.State { return l.state }

// Take takes in the next record. An error says why it cannot follow.
func (l *Log) Take(r *journal.Record) error {
	take := l.state.Take(l.digest)
	if r.Event == journal.Answered {
		if err := l.state.Check(r); err != nil {
			return err
		}
	}
	l.last, l.now = l.now, later(l.now, r.Time)
	if r.Event == journal.Answered {
		l.answer(r)
	}
	if err := take(r); err != nil {
		return err
	}
	switch r.Event {
	case journal.RunBegun, journal.Resumed:
		l.begin(r)
	case journal.Guarded:
		l.guards = append(l.guards, r.Text)
	case journal.Asked:
		l.ask(r)
	case journal.Withdrawn:
		l.settle(l.now, "settled: "+r.Text)
	case journal.StageBegun:
		l.begun[r.Stage] = l.now
		l.inStage(r.Stage, l.now)
	case journal.StageDone:
		l.inStage(r.Stage, l.now)
	case journal.NotBegun, journal.Started, journal.Suspected, journal.Outcome, journal.Doubtful, journal.Left:
		l.attempt(r)
	case journal.Confirmed:
		l.confirm(r)
	case journal.Complete, journal.Aborted:
		l.settle(l.now, unanswered)
	case journal.Stopped, journal.Aborting:
		if r.Event == journal.Stopped {
			l.settle(l.now, unanswered)
		}
		l.trouble = append(l.trouble, Event{Time: l.now, What: map[journal.Event]string{journal.Stopped: "stopped", journal.Aborting: "aborting"}[r.Event], Text: r.Text})
	}
	if r.Step != "" {
		l.since[r.Step] = l.now
		l.inStage(r.Stage, l.now)
	}
	return nil
}

// begin takes in which csu carries the run out, and the time without one before it.
func (l *Log) begin(r *journal.Record) {
	l.run.ID, l.run.Rehearsal = r.Run.ID, l.run.Rehearsal || r.Run.SiteMap != ""
	l.run.Sessions = append(l.run.Sessions, Session{Begun: l.now, Operator: r.Run.Operator, Host: r.Run.Host, Version: r.Run.Version})
	if r.Event == journal.RunBegun {
		return
	}
	l.settle(l.last, unanswered)
	l.bars = append(l.bars, &bar{Span: Span{l.last, l.now}, activity: Absent})
	text := "by " + r.Run.Operator
	if r.Run.Host != "" {
		text += " on " + r.Run.Host
	}
	l.trouble = append(l.trouble, Event{Time: l.now, What: "resumed", Text: text})
	for _, st := range l.state.In(state.Started, state.InDoubt) {
		if b := l.running(st.Step.ID); b != nil {
			b.held = true
		}
	}
}

// inStage extends a stage's time; "" is the final steps'.
func (l *Log) inStage(id string, t time.Time) {
	switch s := l.stages[id]; {
	case s == nil:
		l.stages[id] = &Span{t, t}
	case t.Before(s.Begun):
		s.Begun = t
	case t.After(s.Ended):
		s.Ended = t
	}
}

// running returns the open attempt of a step; nil if it has none.
func (l *Log) running(step string) *bar {
	all := l.tries[step]
	if n := len(all); n > 0 && all[n-1].open {
		return all[n-1]
	}
	return nil
}

func (l *Log) start(r *journal.Record) *bar {
	b := &bar{
		Span: Span{l.now, l.now}, activity: Working, stage: r.Stage, step: r.Step, number: r.Attempt, open: true,
		attempt: Attempt{Number: r.Attempt, Outcome: "running"},
	}
	l.bars = append(l.bars, b)
	l.tries[r.Step] = append(l.tries[r.Step], b)
	return b
}

// attempt takes in a record about an attempt.
func (l *Log) attempt(r *journal.Record) {
	event := func(what string) {
		l.trouble = append(l.trouble, Event{l.now, what, r.Stage, r.Step, r.Attempt, r.Text})
	}
	switch r.Event {
	case journal.Started:
		l.states(r.Evidence)
		l.start(r)
	case journal.NotBegun:
		event("not started")
		l.start(r)
		l.end(r.Step, "not started", r.Text)
	case journal.Suspected:
		event("suspected")
		b := l.running(r.Step)
		if b == nil || b.number != r.Attempt {
			l.end(r.Step, "not happened", "") // another csu went on with a later attempt
			b = l.start(r)
		}
		b.held = true
	case journal.Doubtful:
		event("in doubt")
		b := l.running(r.Step)
		if b == nil {
			return
		}
		b.held, b.attempt.Text = true, r.Text
		if b.attempt.InDoubt == nil {
			since := l.now
			b.attempt.InDoubt = &since
		}
		if phase := l.state.Steps[r.Step].Phase; phase.Finished() {
			l.end(r.Step, cmp.Or(map[state.Phase]string{state.PerhapsSent: "perhaps sent"}[phase], "in doubt"), r.Text)
		}
	case journal.Outcome:
		if r.Verdict != "done" {
			event(r.Verdict)
		}
		l.end(r.Step, r.Verdict, r.Text)
	case journal.Left:
		l.end(r.Step, "left in doubt", r.Text)
	}
}

// end closes the open attempt of a step, if it has one.
func (l *Log) end(step, outcome, text string) {
	b := l.running(step)
	if b == nil {
		return
	}
	b.Ended, b.open = l.now, false
	b.attempt.Outcome = outcome
	if text != "" {
		b.attempt.Text = text
	}
}

// answer takes in an answer before the state does, since what it means depends on the
// phase in which the question was asked.
func (l *Log) answer(r *journal.Record) {
	a := r.Answer
	l.decisions = append(l.decisions, Decision{
		Time: l.now, Stage: r.Stage, Step: r.Step, Topic: a.Topic, Question: a.Text, Shown: a.Shown,
		Choice: a.Choice, Reason: a.Reason, By: a.By, Via: a.Via,
	})
	b := l.question(r, a.Topic)
	b.Ended, b.open = l.now, false
	b.wait.Choice, b.wait.By, b.wait.Reason = a.Choice, a.By, a.Reason
	l.open, l.asked = nil, l.now
	if r.Stage != "" {
		l.inStage(r.Stage, b.Begun)
		l.inStage(r.Stage, l.now)
	}
	if r.Step == "" {
		return
	}
	choice := operator.Choice(a.Choice)
	if choice == operator.Happened || choice == operator.NotHappened {
		l.end(r.Step, a.Choice, "")
	}
	st := l.state.Steps[r.Step]
	if a.Checked || st != nil && st.Phase == state.Claimed && choice == operator.KeepWaiting {
		l.looks[r.Step] = &bar{Span: Span{l.now, l.now}, activity: Checking, stage: r.Stage, step: r.Step, open: true, held: true}
		l.bars = append(l.bars, l.looks[r.Step])
	}
}

// confirm takes in what csu sees of a step that the operator says is done.
func (l *Log) confirm(r *journal.Record) {
	if b := l.looks[r.Step]; b != nil && b.open {
		b.Ended, b.open = l.now, false
	}
	if r.Verdict != "done" {
		l.trouble = append(l.trouble, Event{l.now, "not seen", r.Stage, r.Step, r.Attempt, r.Text})
	}
}

// states takes in the states of CSCs that an attempt has read before it began.
func (l *Log) states(evidence json.RawMessage) {
	var e struct{ Before map[string]string }
	if json.Unmarshal(evidence, &e) != nil {
		return // evidence of another kind
	}
	for c, s := range e.Before {
		if l.before[c] == "" {
			l.before[c] = s
		}
	}
}

// Options are what a report needs besides the journal.
type Options struct {
	// Now is the time of the run's clock; zero if no csu is running, or if that is not
	// known. Then the report ends with the last record.
	Now time.Time
	// Usual is how long the plan is expected to take.
	Usual time.Duration
}

// Report returns the report of the records that were taken in. A log without a record
// gives a report without times.
func (l *Log) Report(o Options) *Report {
	p, s := l.plan, l.state
	r := &Report{
		Schema: Schema, Run: l.run, Begun: s.Begin.UTC(), Until: l.now.UTC(), End: s.Ended, Usual: Seconds(o.Usual),
		Plan:    Subject{Site: p.Site, Type: string(p.Type), Date: p.Upgrade.Date, Attempt: p.Upgrade.Attempt, Cycle: p.Upgrade.Cycle, Reason: p.Upgrade.Reason, Digest: l.digest},
		Trouble: list(l.trouble), Decisions: list(l.decisions), Guards: list(l.guards),
	}
	r.Run.Sessions = list(r.Run.Sessions)
	if s.Ended == "" && o.Now.After(r.Until) {
		r.Until = o.Now.UTC()
	}
	r.Took = Seconds(r.Until.Sub(r.Begun))
	bars := l.until(r.Until)
	steps := stepsOf(bars)
	for i := range p.Stages {
		r.Stages = append(r.Stages, l.stage(&p.Stages[i], i, steps, r.Until))
	}
	for i := range p.Final {
		r.Final = append(r.Final, l.step(&p.Final[i], steps))
	}
	for _, b := range bars {
		switch b.activity {
		case Waiting:
			b.wait.Span = utc(b.Span)
			r.Waits = append(r.Waits, b.wait)
		case Absent:
			r.Absences = append(r.Absences, utc(b.Span))
		}
	}
	for st := range p.AllSteps() {
		r.Steps++
		if s.Steps[st.ID].Phase.Finished() {
			r.Finished++
		}
	}
	var waits []Span
	for _, w := range r.Waits {
		waits = append(waits, w.Span)
	}
	r.Asked, r.Away = Seconds(covered(waits)), Seconds(covered(r.Absences))
	r.Stages, r.Final, r.Waits, r.Absences = list(r.Stages), list(r.Final), list(r.Waits), list(r.Absences)
	r.Critical = list(l.critical(bars, Span{r.Begun, r.Until}))
	r.Costs = list(l.costs(r.Critical, r.Took))
	r.CSCs = list(l.cscs())
	r.Left = list(l.left())
	return r
}

// list returns an empty list instead of nil, which JSON writes as null.
func list[T any](l []T) []T {
	if l == nil {
		return []T{}
	}
	return slices.Clone(l)
}

// until returns copies of the bars in which those that are open end at a time.
func (l *Log) until(t time.Time) []*bar {
	copies := map[*bar]*bar{}
	out := make([]*bar, 0, len(l.bars))
	for _, b := range l.bars {
		c := *b
		if c.open {
			c.Ended = t
		}
		copies[b] = &c
		out = append(out, &c)
	}
	for _, c := range out {
		c.inside = copies[c.inside]
	}
	return out
}

// stepsOf returns the attempts by step.
func stepsOf(bars []*bar) map[string][]Attempt {
	steps := map[string][]Attempt{}
	for _, b := range bars {
		if b.activity == Working {
			a := b.attempt
			a.Span = utc(b.Span)
			if a.InDoubt != nil {
				since := a.InDoubt.UTC()
				a.InDoubt = &since
			}
			steps[b.step] = append(steps[b.step], a)
		}
	}
	return steps
}

func (l *Log) stage(s *plan.Stage, i int, steps map[string][]Attempt, until time.Time) Stage {
	out := Stage{ID: s.ID, Title: s.Title, State: "not started", Steps: []Step{}}
	for j := range s.Steps {
		out.Steps = append(out.Steps, l.step(&s.Steps[j], steps))
	}
	st := l.state.Stages[i]
	if span := l.stages[s.ID]; span != nil {
		begun, ended := span.Begun.UTC(), span.Ended.UTC()
		if !st.Done && l.state.Ended == "" {
			ended = until
		}
		out.Begun, out.Ended = &begun, &ended
	}
	switch {
	case st.Done:
		out.State = "done"
	case st.Begun:
		out.State = "under way"
	}
	return out
}

func (l *Log) step(s *plan.Step, attempts map[string][]Attempt) Step {
	kind := ""
	if s.Action.Parameters != nil {
		kind = string(s.Action.Kind())
	}
	return Step{ID: s.ID, Title: s.Title, Kind: kind, Phase: string(l.state.Steps[s.ID].Phase), Usual: Seconds(s.Takes), Attempts: list(attempts[s.ID])}
}

func utc(s Span) Span { return Span{s.Begun.UTC(), s.Ended.UTC()} }

// covered returns how much time the spans cover, where they overlap counted once.
func covered(spans []Span) time.Duration {
	sorted := slices.Clone(spans)
	slices.SortFunc(sorted, func(a, b Span) int { return a.Begun.Compare(b.Begun) })
	var sum time.Duration
	var end time.Time
	for _, s := range sorted {
		if s.Begun.Before(end) {
			s.Begun = end
		}
		if s.Ended.After(s.Begun) {
			sum += s.Length()
			end = s.Ended
		}
	}
	return sum
}
