package executor

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
)

// leaving is how long an interrupted run waits, in real time, for its steps to
// notice; what then still hangs is in doubt like the others.
const leaving = 3 * time.Second

// stage carries a stage out, or what is left of it. It returns early when the
// run is ending.
func (r *run) stage(s *StageState) {
	if s.Done {
		return
	}
	id := s.Stage.ID
	if !s.Begun {
		if err := r.inventory(); err != nil {
			return
		}
		if !r.consented(s) {
			return
		}
		if r.record(journal.Record{Event: journal.StageBegun, Stage: id}) != nil {
			return
		}
	}
	r.tell(operator.StageStarted, id, "", "%s", s.Stage.Title)
	if !newSchedule(r, s.Stage).run() {
		return
	}
	if r.record(journal.Record{Event: journal.StageDone, Stage: id}) == nil {
		r.tell(operator.StageFinished, id, "", "every step is finished")
	}
}

// consented has the operator agree to the stage and answer its doubts. What was
// answered before a crash stays answered.
func (r *run) consented(s *StageState) bool {
	if r.o.Preflight != nil {
		if err := r.o.Preflight(r.ctx, s.Stage, r.state); err != nil {
			refused := &RefusedError{Reason: fmt.Sprintf("preflight of stage %q", s.Stage.ID), Err: err}
			var hinted *RefusedError
			if errors.As(err, &hinted) {
				refused.Remedy = hinted.Remedy
			}
			r.stop(halt{end: Halted, err: refused})
			return false
		}
	}
	choices := []operator.Choice{operator.Yes, operator.No, operator.Abort}
	if s.Consent == nil {
		q := operator.Question{
			Topic: operator.StageConsent, Stage: s.Stage.ID, Title: s.Stage.Title, Text: s.Stage.Consent,
			Principals: s.Stage.Principals, Choices: choices,
		}
		if a, err := r.ask(r.ctx, q); err != nil || a.Choice != operator.Yes {
			return false
		}
	}
	for _, doubt := range s.Stage.Doubts {
		if _, answered := s.Doubts[doubt]; answered {
			continue
		}
		q := operator.Question{Topic: operator.Doubt, Stage: s.Stage.ID, Title: s.Stage.Title, Text: doubt, Choices: choices}
		if a, err := r.ask(r.ctx, q); err != nil || a.Choice != operator.Yes {
			return false
		}
	}
	return true
}

// task is a step of the stage that is under way.
type task struct {
	step     *plan.Step
	state    *StepState
	index    int // in the stage
	resource string
	unmet    int     // needs that are not finished
	wanted   []*task // those that need it
	launched bool    // its goroutine runs
	// fresh says that what the last executor had left open is known not to have
	// happened, so that the step is simply started.
	fresh bool
}

// schedule runs the steps of a stage. Only its own goroutine touches it.
type schedule struct {
	r       *run
	tasks   []*task
	ready   []*task // in the stage's order
	failed  []*task // those that wait for the operator's decision
	asked   *task   // the one of them that the operator is asked about; nil where none is
	left    int     // tasks not finished
	running int     // goroutines: of steps, and of the question
	busy    map[string]int
	ended   chan *task
}

func newSchedule(r *run, stage *plan.Stage) *schedule {
	s := &schedule{r: r, busy: map[string]int{}, ended: make(chan *task, len(stage.Steps))}
	byID := make(map[string]*task, len(stage.Steps))
	for i := range stage.Steps {
		step := &stage.Steps[i]
		t := &task{step: step, state: r.state.Steps[step.ID], index: i, resource: step.Effects(r.o.Plan).Resource}
		s.tasks = append(s.tasks, t)
		byID[step.ID] = t
	}
	for _, t := range s.tasks {
		for _, need := range t.step.Needs {
			if n := byID[need]; !n.state.Phase.Finished() {
				t.unmet++
				n.wanted = append(n.wanted, t)
			}
		}
	}
	return s
}

// run returns whether every step is finished; if not, the run is ending.
func (s *schedule) run() bool {
	s.takeUp()
	for s.left > 0 {
		ending, suspended := s.r.standing()
		if !ending && !suspended {
			s.start()
		}
		if !ending && s.asked == nil && len(s.failed) > 0 {
			s.decide()
		}
		if s.running == 0 {
			switch {
			case ending:
				return false
			case s.r.ctx.Err() != nil:
				s.leave()
				return false
			default:
				s.r.stop(halt{end: Halted, err: fmt.Errorf("stage of step %q: %d steps are left, and none can start", s.tasks[0].step.ID, s.left)})
				return false
			}
		}
		select {
		case t := <-s.ended:
			s.settle(t)
		case <-s.r.changed:
		case <-s.r.ctx.Done():
			s.leave()
			return false
		}
	}
	return true
}

// standing tells whether the run is ending, and whether nothing may start for the
// moment.
func (r *run) standing() (ending, suspended bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.halt != nil || r.state.Aborting, len(r.failing) > 0 || r.holds > 0
}

// takeUp sorts the steps by where they stand. What is in doubt is looked into
// before anything new starts.
func (s *schedule) takeUp() {
	var open []*task
	for _, t := range s.tasks {
		phase := t.state.Phase
		if phase.Finished() {
			continue
		}
		s.left++
		switch {
		case phase.Open():
			open = append(open, t)
		case phase == Failed:
			s.fail(t)
		case t.unmet == 0:
			s.ready = append(s.ready, t)
		}
	}
	for _, t := range open {
		s.r.hold()
		s.launch(t, s.r.resume)
	}
}

// start starts the steps that are ready and whose resource is free.
func (s *schedule) start() {
	rest := s.ready[:0]
	for _, t := range s.ready {
		if t.resource != "" && s.busy[t.resource] > 0 {
			rest = append(rest, t)
			continue
		}
		s.launch(t, s.r.attempt)
	}
	clear(s.ready[len(rest):])
	s.ready = rest
}

func (s *schedule) launch(t *task, do func(*task)) {
	t.launched = true
	s.running++
	s.busy[t.resource]++
	go func() {
		do(t)
		s.ended <- t
	}()
}

// settle takes in where a step stands whose goroutine has ended.
func (s *schedule) settle(t *task) {
	t.launched = false
	s.running--
	s.busy[t.resource]--
	asked := t == s.asked
	if asked {
		s.asked = nil
	}
	switch phase := s.r.phase(t.state); {
	case phase.Finished():
		s.r.goOn(t.step.ID)
		s.finish(t)
	case asked && phase != Pending:
		// Nothing was decided: the run is ending.
	case phase == Failed, phase == NotDone && !t.fresh:
		s.fail(t)
	case phase == Pending, phase == NotDone:
		s.r.goOn(t.step.ID)
		s.queue(t)
	}
	// What is left is open: the run is ending, and the next one looks into it.
}

func (s *schedule) finish(t *task) {
	s.left--
	for _, w := range t.wanted {
		w.unmet--
		s.queue(w)
	}
}

// queue puts a step among the ready ones, at its place in the plan, if it can start.
// A step that another csu may have begun is looked into before its needs are met,
// and waits for them after that.
func (s *schedule) queue(t *task) {
	phase := s.r.phase(t.state)
	if t.unmet > 0 || t.launched || slices.Contains(s.failed, t) || phase != Pending && phase != NotDone {
		return
	}
	i, _ := slices.BinarySearchFunc(s.ready, t, func(a, b *task) int { return cmp.Compare(a.index, b.index) })
	s.ready = slices.Insert(s.ready, i, t)
}

func (s *schedule) fail(t *task) {
	s.failed = append(s.failed, t)
	s.r.suspend(t.step.ID)
}

// decide has the operator say how to go on after a failure, the first one in the
// plan's order. What runs goes on meanwhile, so that a decision needs not wait for
// an hour of compiling elsewhere; nothing new starts before all are decided.
func (s *schedule) decide() {
	first := slices.MinFunc(s.failed, func(a, b *task) int { return cmp.Compare(a.index, b.index) })
	s.failed = slices.DeleteFunc(s.failed, func(t *task) bool { return t == first })
	s.asked = first
	s.launch(first, func(t *task) { s.r.decide(t.step) })
}

// leave gives the steps a moment to see that the run was interrupted.
func (s *schedule) leave() {
	s.r.interrupted()
	patience := time.NewTimer(leaving)
	defer patience.Stop()
	for s.running > 0 {
		select {
		case <-s.ended:
			s.running--
		case <-patience.C:
			return
		}
	}
}

func (r *run) phase(st *StepState) Phase {
	r.mu.Lock()
	defer r.mu.Unlock()
	return st.Phase
}

// suspend keeps new steps from starting until it is decided on the one that has
// failed.
func (r *run) suspend(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failing[id] = true
}

// goOn says that it is decided on a step, if it had failed at all.
func (r *run) goOn(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.failing, id)
}

// hold keeps new steps from starting while one is in doubt.
func (r *run) hold() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.holds++
}

func (r *run) release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.holds--
	r.wake()
}
