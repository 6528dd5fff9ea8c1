package executor

import (
	"cmp"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/internal/owner"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/report"
	"github.com/lsst-ts/csu/executor/state"
)

// task is a step of the schedule.
type task struct {
	step     *plan.Step
	state    *state.Step
	index    int // in the schedule
	resource string
	unmet    int // needs that are not finished
	neededBy []*task

	working   bool // a goroutine is working on it
	holds     hold // why nothing may start because of it
	permitted bool // it was consented to in this process
	tried     bool // it was started in this process
	// fresh: the step is simply started again, since the attempt that the last executor
	// had left open is known to have had no effect, or since CSCs were set aside that the
	// failed one had waited for.
	fresh bool
}

// A hold is why nothing may start because of a step. There may be several.
type hold uint8

const (
	unsure    hold = 1 << iota // it is in doubt and being checked
	undecided                  // it has failed, and the operator has not decided about it
)

// schedule runs the steps of a stage, or the final steps. It belongs to the owner.
type schedule struct {
	r       *run
	final   bool
	tasks   []*task
	ready   []*task        // in the plan's order
	failed  []*task        // waiting for the operator's decision
	asked   *task          // the operator is being asked about it; nil for none
	left    int            // tasks not finished
	holding int            // tasks with holds
	running int            // goroutines, of steps and of the question
	inUse   map[string]int // goroutines, by resource
}

// newSchedule returns the schedule of a stage's steps, or of the final steps, which run
// one after the other.
func newSchedule(r *run, steps []plan.Step, final bool) *schedule {
	s := &schedule{r: r, final: final, inUse: map[string]int{}}
	byID := make(map[string]*task, len(steps))
	for i := range steps {
		step := &steps[i]
		t := &task{step: step, state: r.State.Steps[step.ID], index: i, resource: step.Effects(r.Plan).Resource}
		s.tasks = append(s.tasks, t)
		byID[step.ID] = t
	}
	for i, t := range s.tasks {
		needs := t.step.Needs
		if final && i > 0 {
			needs = []string{s.tasks[i-1].step.ID}
		}
		for _, need := range needs {
			if n := byID[need]; !n.state.Phase.Finished() {
				t.unmet++
				n.neededBy = append(n.neededBy, t)
			}
		}
	}
	return s
}

// run runs the steps and reports whether all are finished; if not, the run is ending.
func (s *schedule) run() bool {
	s.sort()
	for s.left > 0 {
		ending := s.ending()
		if !ending && !s.suspended() {
			s.start()
		}
		if !ending && s.asked == nil && len(s.failed) > 0 {
			s.decide()
		}
		switch {
		case s.r.Ctx.Err() != nil:
			s.leave()
			return false
		case s.running > 0:
			s.r.Wait(nil)
		case ending:
			return false
		case s.left > 0:
			s.r.Stop(owner.Halt{End: Halted, Err: fmt.Errorf("schedule of step %q: %d steps are left, but none can start", s.tasks[0].step.ID, s.left)})
			return false
		}
	}
	return true
}

// ending reports whether no step may start any more.
func (s *schedule) ending() bool { return s.r.Halted() || s.r.State.Aborting && !s.final }

// suspended reports whether no step may start at the moment.
func (s *schedule) suspended() bool { return s.holding > 0 }

// hold sets or releases a hold of a step.
func (s *schedule) hold(t *task, h hold, on bool) {
	before := t.holds
	if t.holds &^= h; on {
		t.holds |= h
	}
	switch {
	case before == 0 && t.holds != 0:
		s.holding++
	case before != 0 && t.holds == 0:
		s.holding--
	}
}

// mayStart reports whether a step may start now.
func (s *schedule) mayStart() bool { return !s.ending() && !s.suspended() }

// sort sorts the steps by their phases. Steps in doubt are checked before anything new
// starts.
func (s *schedule) sort() {
	var open, claimed []*task
	for _, t := range s.tasks {
		if !t.state.Phase.Finished() {
			s.left++
		}
	}
	for _, t := range s.tasks {
		phase := t.state.Phase
		switch {
		case phase.Finished():
		case s.final && !s.r.State.Needed(t.step):
			s.notNeeded(t)
		case phase.Open():
			open = append(open, t)
		case phase == state.Claimed && t.unmet == 0:
			claimed = append(claimed, t)
		case phase == state.Failed && !s.final: // a final step that failed in an earlier csu is simply retried
			s.fail(t)
		default:
			s.queue(t)
		}
	}
	for _, t := range open {
		s.hold(t, unsure, true)
		s.launch(t, (*work).resume)
	}
	for _, t := range claimed {
		s.hold(t, unsure, true)
		s.launch(t, (*work).confirm)
	}
}

// notNeeded finishes a final step that has nothing to undo.
func (s *schedule) notNeeded(t *task) {
	text := fmt.Sprintf("step %q was never started", t.step.Undoes)
	if _, err := s.r.Record(journal.Record{Event: journal.NotNeeded, Step: t.step.ID, Text: text}); err == nil {
		s.r.TellStep(operator.StepSkipped, t.step, "not needed: %s", text)
		s.finish(t)
	}
}

// start starts the steps that are ready and whose resource is free.
func (s *schedule) start() {
	rest := s.ready[:0]
	for _, t := range s.ready {
		if t.resource != "" && s.inUse[t.resource] > 0 {
			rest = append(rest, t)
			continue
		}
		f := (*work).attempt
		if t.state.Phase == state.Claimed { // its doubt was answered so, before the stage
			f = (*work).confirm
		}
		s.launch(t, f)
	}
	clear(s.ready[len(rest):])
	s.ready = rest
}

// launch starts a goroutine that works on a step. A panic in it leaves the step in doubt
// and stops the run, resumable.
func (s *schedule) launch(t *task, f func(*work)) {
	t.working = true
	s.running++
	s.inUse[t.resource]++
	w := s.r.workOn(t.step)
	w.s, w.t = s, t
	go func() {
		defer func() {
			p, stack := recover(), []byte(nil)
			if p != nil {
				stack = debug.Stack()
			}
			s.r.Do(func() {
				if p != nil {
					s.panicked(t, &PanicError{Step: t.step.ID, Value: p, Stack: stack})
				}
				s.settle(t)
			})
		}()
		f(w)
	}()
}

func (s *schedule) panicked(t *task, err *PanicError) {
	if t.state.Phase.Open() {
		_, failed := s.r.Record(journal.Record{
			Event: journal.Doubtful, Stage: t.step.Stage(), Step: t.step.ID, Attempt: t.state.Attempt,
			Verdict: string(action.Unknown), Via: viaPerform, Text: err.Error(),
		})
		if failed != nil {
			return
		}
	}
	s.r.TellStep(operator.StepInDoubt, t.step, "%v", err)
	s.r.Stop(owner.Halt{End: Halted, Err: err})
}

// settle decides how to continue with a step whose goroutine has ended.
func (s *schedule) settle(t *task) {
	t.working = false
	s.hold(t, unsure, false)
	s.running--
	s.inUse[t.resource]--
	if s.asked == t {
		s.asked = nil
	}
	switch phase := t.state.Phase; {
	case phase.Finished():
		s.hold(t, undecided, false)
		s.finish(t)
	case phase.Open(), phase == state.Claimed, s.ending():
		// The next executor checks it.
	case phase == state.Pending, (phase == state.NotDone || phase == state.Failed) && t.fresh, s.final && !t.tried:
		s.hold(t, undecided, false)
		s.queue(t)
	default:
		s.fail(t)
	}
}

func (s *schedule) finish(t *task) {
	s.left--
	for _, w := range t.neededBy {
		w.unmet--
		s.queue(w)
	}
}

// queue inserts a step into the ready ones, in the plan's order, if it can start. A step
// that another csu may have begun is checked before its needs are met; only after that
// does it wait for them.
func (s *schedule) queue(t *task) {
	if t.unmet > 0 || t.working || t.holds&undecided != 0 || t.state.Phase.Open() || t.state.Phase.Finished() {
		return
	}
	if s.final && !s.r.State.Needed(t.step) {
		return // sort finishes it without starting it
	}
	i, queued := slices.BinarySearchFunc(s.ready, t, func(a, b *task) int { return cmp.Compare(a.index, b.index) })
	if !queued {
		s.ready = slices.Insert(s.ready, i, t)
	}
}

func (s *schedule) fail(t *task) {
	s.hold(t, undecided, true)
	s.failed = append(s.failed, t)
}

// decide asks the operator how to continue after a failure, the first one in the plan's
// order. Running steps continue, since the decision must not wait for an hour of
// compiling on another host. Nothing new starts until every failure is decided.
func (s *schedule) decide() {
	first := slices.MinFunc(s.failed, func(a, b *task) int { return cmp.Compare(a.index, b.index) })
	s.failed = slices.DeleteFunc(s.failed, func(t *task) bool { return t == first })
	s.asked = first
	s.launch(first, (*work).decide)
}

// leave gives the steps of an interrupted run a moment to return.
func (s *schedule) leave() {
	gone := make(chan struct{})
	timer := time.AfterFunc(owner.Patience, func() { close(gone) })
	defer timer.Stop()
	for s.running > 0 && !s.r.Wait(gone) {
	}
}

// final runs the final steps and closes the run if every stage is done or the run is
// being aborted.
func (r *run) final() {
	if r.Halted() || !r.State.Aborting && r.State.Stage() != nil {
		return
	}
	r.OpenQuestions() // an abort has closed them
	if r.State.Aborting && !r.leaveOpen() {
		return
	}
	s := newSchedule(r, r.Plan.Final, true)
	if !s.run() {
		for _, t := range s.tasks {
			if !t.state.Phase.Finished() {
				r.owe(t.step)
				return
			}
		}
	}
	if r.Ctx.Err() != nil || r.Halt != nil && r.Halt.End == NotRun {
		return
	}
	last := journal.Record{Event: journal.Aborted, Text: report.DownText(r.State)}
	if !r.State.Aborting {
		if err := r.lookAtEnd(); err != nil {
			return
		}
		last.Event = journal.Complete
		if r.State.Look != nil {
			last.Text = strings.Join(report.Exceptions(r.State), "\n")
		}
	}
	if _, err := r.Record(last); err != nil {
		return
	}
	r.Halt = nil // an interrupt is too late now
	r.unreleased = r.custody.Release()
}

// leaveOpen records which steps an abort leaves in doubt.
func (r *run) leaveOpen() bool {
	for _, st := range r.State.In(state.Started, state.InDoubt) {
		if st.Step.Final() {
			continue
		}
		_, err := r.Record(journal.Record{Event: journal.Left, Stage: st.Step.Stage(), Step: st.Step.ID, Attempt: st.Attempt, Text: st.Text})
		if err != nil {
			return false
		}
		r.TellStep(operator.StepInDoubt, st.Step, "the abort leaves it in doubt: check by hand what became of attempt %d", st.Attempt)
	}
	return true
}

// owe reports that a final step is not done, and what to do.
func (r *run) owe(step *plan.Step) {
	h := owner.Halt{End: Halted}
	if r.Halt != nil {
		h = *r.Halt
	}
	var unattended *operator.UnattendedError
	if errors.As(h.Err, &unattended) {
		h.Err = nil // the failure is what is reported, not that no operator was there to ask
	}
	if h.End == NotRun || h.End == Interrupted || r.Ctx.Err() != nil {
		return
	}
	again := "resume with --resume, or abort the run"
	if r.State.Aborting {
		again = "repeat csu abort"
	}
	text := fmt.Sprintf("final step %q is not done: %s", step.ID, r.State.Steps[step.ID].Text)
	if h.Text != "" {
		text += "; " + h.Text
	}
	h.Text = text + "; the journal stays open; " + again
	r.Halt = &h
}

// A PanicError reports a defect of csu in a step, which is now in doubt.
type PanicError struct {
	Step  string
	Value any
	Stack []byte
}

func (e *PanicError) Error() string {
	return fmt.Sprintf("step %q: csu panicked: %v", e.Step, e.Value)
}

// Hint returns the remedy.
func (e *PanicError) Hint() string {
	return "report the defect with its stack, and resume with csu exec PLAN --resume, which checks what became of the step"
}
