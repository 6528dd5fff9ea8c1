// Package state is what a journal says about its run: the phase of each step, the
// consents, which final steps must still run, and what is in doubt. A [State] depends
// only on the plan and the records of the journal.
package state

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"

	"github.com/lsst-ts/csu/executor/exit"
	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
)

// Phase is how far a step has come.
type Phase string

// The phases of a step.
const (
	Pending     Phase = "pending"
	Started     Phase = "started"
	InDoubt     Phase = "in doubt"
	Failed      Phase = "failed"
	NotDone     Phase = "not done"
	Done        Phase = "done"
	Reported    Phase = "failed, reported"
	PerhapsSent Phase = "perhaps sent"
	Claimed     Phase = "said to be done" // by the operator; csu has not seen it yet
	ByHand      Phase = "done by hand"
	Skipped     Phase = "skipped"
	NotNeeded   Phase = "not needed"
	LeftOut     Phase = "left out" // all its CSCs were set aside
	LeftInDoubt Phase = "left in doubt"
)

// Finished reports whether steps that need this one may start.
func (p Phase) Finished() bool {
	switch p {
	case Done, Reported, PerhapsSent, ByHand, Skipped, NotNeeded, LeftOut, LeftInDoubt:
		return true
	}
	return false
}

// Happened reports whether the step has had its effect, as seen by csu or according to
// the operator.
func (p Phase) Happened() bool { return p == Done || p == ByHand }

// Open reports whether the step has an attempt whose outcome is not known.
func (p Phase) Open() bool { return p == Started || p == InDoubt }

// Step is what the journal says about a step.
type Step struct {
	Step  *plan.Step
	Phase Phase
	// Attempt counts the attempts that were started; the other fields are those
	// of the last one.
	Attempt   int
	Identity  string
	Began     time.Time // when started was recorded
	Evidence  json.RawMessage
	Notes     []json.RawMessage
	Text      string    // what is known about the attempt, for people
	Since     time.Time // of the phase
	By, Via   string    // if an answer led to the phase: whose answer, and how it was given
	Reason    string    // of a skip
	Confirmed string    // whether csu sees a step that the operator says is done
	// Doubt is the answer by which the operator has confirmed the step's doubt; nil before.
	Doubt *journal.Answer
	// Accepted is the answer by which the operator has counted the step as done although
	// csu saw that it was not, which is what was shown; nil for any other step.
	Accepted *journal.Answer

	// Suspected says that another csu may have made the last attempt while the cluster
	// did not answer: this journal has no started record of it.
	Suspected bool

	tried   time.Time // when the last attempt was started, or could not be
	claimed Phase     // what the step becomes when csu has seen it done, or need not
	// touched: an attempt has had an effect, or may have had part of it;
	// earlier is the same for the attempts before the last one.
	touched, earlier bool
}

// Stage is what the journal says about a stage.
type Stage struct {
	Stage *plan.Stage
	// Consent is the answer that let the stage begin; nil before.
	Consent *journal.Answer
	// Doubts are the stage's doubts that were answered with yes.
	Doubts map[string]journal.Answer
	Begun  bool
	Done   bool
}

// State is how far a run has come: the fold of its journal over its plan.
type State struct {
	Plan  *plan.Plan
	Run   journal.Run // of the last run or resume record
	Begin time.Time   // of the first record
	Last  time.Time   // of the last record
	// Records is how many records the journal has.
	Records int
	Stages  []Stage
	Steps   map[string]*Step
	// Aborting says that the run is being aborted.
	Aborting bool
	// Ended is [journal.Complete] or [journal.Aborted], or "" for a run that is open.
	Ended journal.Event
	// Settle and Doubted are those of the last executors, until one of them has
	// continued the run; see [journal.Run].
	Settle, Doubted bool
	// Released says that the site's ledger records the end of the run.
	Released bool
	// Inventory has the Jobs that the run's deletions may delete, by step; nil if they
	// were not recorded.
	Inventory map[string]json.RawMessage
	// Asked is the record of the question that waits for an answer, or did when csu
	// ended; nil if none does. A resumed run asks again.
	Asked *journal.Record
	// Halt is the text of the last stopped record; "" if the run was resumed since.
	Halt string
	// Aside are the CSCs that were set aside, in that order.
	Aside []Aside
	// Look is the last look at the CSCs; nil if there was none.
	Look *Look

	stages map[string]*Stage
}

// New returns the state before the first record.
func New(p *plan.Plan) *State {
	s := &State{Plan: p, Steps: map[string]*Step{}, stages: map[string]*Stage{}}
	s.Stages = make([]Stage, len(p.Stages))
	for i := range p.Stages {
		s.Stages[i] = Stage{Stage: &p.Stages[i], Doubts: map[string]journal.Answer{}}
		s.stages[p.Stages[i].ID] = &s.Stages[i]
	}
	for st := range p.AllSteps() {
		s.Steps[st.ID] = &Step{Step: st, Phase: Pending}
	}
	return s
}

// Read folds the journal in a file over its plan, while an executor may be
// writing it. A journal of another plan is an [*OtherPlanError].
func Read(fsys journal.FS, name string, p *plan.Plan, digest string) (*State, error) {
	s := New(p)
	if err := journal.Read(fsys, name, s.Take(digest)); err != nil {
		return nil, err
	}
	return s, nil
}

// Take returns what takes in the records of a journal for the plan of that
// digest.
func (s *State) Take(digest string) func(*journal.Record) error {
	return func(r *journal.Record) error {
		if r.Event == journal.RunBegun && r.Run.Digest != digest {
			return &OtherPlanError{Journal: r.Run.Digest, Plan: digest}
		}
		if err := s.Check(r); err != nil {
			return err
		}
		s.Apply(r)
		return nil
	}
}

// OtherPlanError reports a journal that belongs to another plan. Its fields are the
// digests.
type OtherPlanError struct{ Journal, Plan string }

func (e *OtherPlanError) Error() string {
	return "this journal belongs to another plan, or the plan was edited after the run had begun: the plan has the digest " + short(e.Plan)
}

// ExitCode returns [exit.Refused].
func (e *OtherPlanError) ExitCode() exit.Code { return exit.Refused }

// Hint returns the remedy.
func (e *OtherPlanError) Hint() string {
	return "use the plan as it was when the run began (its digest is " + short(e.Journal) + "), or, if nothing of that run counts, move the journal away"
}

func short(digest string) string {
	if len(digest) > 12 {
		return digest[:12] + "…"
	}
	return digest
}

// Begun reports whether any part of the plan was begun, or may have been: a stage, a
// step, or an abort.
func (s *State) Begun() bool {
	for _, st := range s.Steps {
		if st.Phase != Pending || st.Attempt > 0 {
			return true
		}
	}
	return s.Aborting || s.Doubted || slices.ContainsFunc(s.Stages, func(st Stage) bool { return st.Begun })
}

// Touched reports whether an attempt has had an effect, or may have had part of it.
func (st *Step) Touched() bool { return st.touched }

// Stage returns the first stage that is not done, or nil if all are.
func (s *State) Stage() *Stage {
	for i := range s.Stages {
		if !s.Stages[i].Done {
			return &s.Stages[i]
		}
	}
	return nil
}

// In returns the steps in one of the phases, in the plan's order.
func (s *State) In(phases ...Phase) []*Step {
	var in []*Step
	for st := range s.Plan.AllSteps() {
		if slices.Contains(phases, s.Steps[st.ID].Phase) {
			in = append(in, s.Steps[st.ID])
		}
	}
	return in
}

// Owed returns the final steps that must still run before the journal can be
// closed: what they undo was begun, and they are not finished.
func (s *State) Owed() []*Step {
	var owed []*Step
	for i := range s.Plan.Final {
		st := s.Steps[s.Plan.Final[i].ID]
		if !st.Phase.Finished() && s.Needed(st.Step) {
			owed = append(owed, st)
		}
	}
	return owed
}

// Needed reports whether the step that a final step undoes was begun, even if it is in
// doubt or was done by hand.
func (s *State) Needed(final *plan.Step) bool {
	undone := s.Steps[final.Undoes]
	return undone != nil && (undone.Attempt > 0 || undone.Phase == ByHand || undone.Phase == Claimed)
}

// Apply applies a record that has passed Check.
func (s *State) Apply(r *journal.Record) {
	s.Records++
	s.Last = r.Time
	if s.Records == 1 {
		s.Begin = r.Time
	}
	switch r.Event {
	case journal.RunBegun, journal.Resumed, journal.Guarded, journal.Asked, journal.Withdrawn, journal.Answered, journal.Suspected, journal.Inventoried, journal.Stopped:
	default:
		s.Settle, s.Doubted = false, false
	}
	switch r.Event {
	case journal.RunBegun, journal.Resumed:
		s.Run = *r.Run
		s.Settle, s.Doubted = s.Settle || r.Run.Settle, s.Doubted || r.Run.Doubted
		s.Halt, s.Asked = "", nil
	case journal.StageBegun:
		s.stages[r.Stage].Begun = true
	case journal.StageDone:
		s.stages[r.Stage].Done = true
	case journal.Asked:
		s.Asked = r
	case journal.Withdrawn:
		s.withdraw(r)
	case journal.Answered:
		s.Asked = nil
		s.answer(r)
	case journal.Aborting:
		s.Aborting = true
	case journal.Stopped:
		s.Halt = r.Text
	case journal.Released:
		s.Released = true
	case journal.Looked:
		s.look(r)
	case journal.Inventoried:
		if err := json.Unmarshal(r.Evidence, &s.Inventory); err != nil {
			s.Inventory = nil // Check has excluded this
		}
	case journal.Complete, journal.Aborted:
		s.Ended, s.Asked = r.Event, nil
	default:
		if st := s.Steps[r.Step]; st != nil {
			st.apply(r)
		}
	}
}

// withdraw closes a question. A step that had failed is tried again: it was waiting for
// what has come about meanwhile.
func (s *State) withdraw(r *journal.Record) {
	s.Asked = nil
	if st := s.Steps[r.Step]; st != nil && operator.Topic(r.Question.Topic) == operator.Failed {
		st.enter(Pending, r)
	}
}

func (s *State) answer(r *journal.Record) {
	choice := operator.Choice(r.Answer.Choice)
	if choice == operator.Abort {
		s.Aborting = true
	}
	if choice == operator.SetAside {
		s.setAside(r)
	}
	if st := s.Steps[r.Step]; st != nil {
		st.answer(r, choice)
		return
	}
	stage := s.stages[r.Stage]
	if stage == nil || choice != operator.Yes {
		return
	}
	if operator.Topic(r.Answer.Topic) == operator.Doubt {
		stage.Doubts[r.Answer.Text] = *r.Answer
	} else {
		stage.Consent = r.Answer
	}
}

// enter changes the phase.
func (st *Step) enter(p Phase, r *journal.Record) {
	st.Phase, st.Since = p, r.Time
	st.By, st.Via, st.Reason = "", "", ""
	if r.Answer != nil {
		st.By, st.Via, st.Reason = r.Answer.By, r.Answer.Via, r.Answer.Reason
	}
}

func (st *Step) answer(r *journal.Record, choice operator.Choice) {
	says := func(p Phase) { // that it is done
		if st.claimed = p; r.Answer.Checked {
			p = Claimed
		}
		st.enter(p, r)
	}
	switch choice {
	case operator.Yes:
		if operator.Topic(r.Answer.Topic) == operator.Doubt {
			st.Doubt = r.Answer
		}
	case operator.ByHand:
		says(ByHand)
	case operator.Happened:
		says(Done)
	case operator.Accept:
		st.Accepted = r.Answer
		st.enter(st.claimed, r)
	case operator.Skip:
		st.enter(Skipped, r)
	case operator.Retry, operator.SetAside: // with the rest
		st.enter(Pending, r)
	case operator.NotHappened:
		if st.claimed != ByHand {
			st.touched = st.earlier
		}
		st.enter(NotDone, r)
	}
}

func (st *Step) apply(r *journal.Record) {
	switch r.Event {
	case journal.NotBegun:
		st.Text, st.tried = r.Text, r.Time
		st.enter(NotDone, r)
		if r.Reported {
			st.enter(Reported, r)
		}
	case journal.Started:
		st.begin(r)
		st.Suspected = false
		st.enter(Started, r)
	case journal.Suspected:
		if r.Attempt > st.Attempt {
			st.begin(r)
		}
		st.Identity, st.Suspected, st.Text = r.Identity, true, r.Text
		st.enter(InDoubt, r)
	case journal.Noted:
		st.Notes = append(st.Notes, r.Evidence)
	case journal.Outcome, journal.Doubtful:
		st.conclude(r)
	case journal.Confirmed:
		st.confirm(r)
	case journal.NotNeeded:
		st.enter(NotNeeded, r)
		if !st.Step.Final() {
			st.Text = r.Text
			st.enter(LeftOut, r)
		}
	case journal.Left:
		st.enter(LeftInDoubt, r)
	}
}

// confirm applies what csu sees of a step that the operator says is done. A final step
// must be seen done, since it must be certain that the other step is undone. The word of
// the operator counts for any other step that csu cannot see.
func (st *Step) confirm(r *journal.Record) {
	st.Confirmed = r.Text
	switch verdict := action.Verdict(r.Verdict); {
	case verdict == action.Done, verdict == action.Unknown && !st.Step.Final():
		if st.Phase == Claimed {
			st.Phase, st.Since = st.claimed, r.Time
		}
	case st.Step.Final():
		st.Text = r.Text
		st.enter(Failed, r)
	}
}

// begin makes the record's attempt the last one.
func (st *Step) begin(r *journal.Record) {
	if !st.Suspected || !st.Phase.Open() { // else the attempt before was never made
		st.earlier = st.touched
	}
	st.Attempt, st.Identity, st.Began, st.tried = r.Attempt, r.Identity, r.Time, r.Time
	st.Evidence, st.Notes, st.Text, st.Confirmed = r.Evidence, nil, "", ""
	st.Accepted, st.claimed = nil, ""
	st.touched = true
}

// conclude applies the outcome of an attempt.
func (st *Step) conclude(r *journal.Record) {
	verdict := action.Verdict(r.Verdict)
	st.Text = r.Text
	if verdict == action.NotDone {
		st.touched = st.earlier
	}
	switch {
	case verdict == action.Done:
		st.enter(Done, r)
	case r.Event == journal.Doubtful && r.Reported && action.Of(st.Step.Action.Parameters).Traits().Unrepeatable:
		st.enter(PerhapsSent, r)
	case r.Reported:
		st.enter(Reported, r)
	case r.Event == journal.Doubtful:
		st.enter(InDoubt, r)
	case verdict == action.NotDone, verdict == action.CutShort:
		st.enter(NotDone, r)
	default:
		st.enter(Failed, r)
	}
}

// Open returns the steps with an attempt whose outcome is not known, in the plan's
// order: those that this journal records as begun, and those that another csu may have
// carried out without the cluster.
func (s *State) Open() (begun, suspected []*Step) {
	for _, st := range s.In(Started, InDoubt) {
		if st.Suspected {
			suspected = append(suspected, st)
		} else {
			begun = append(begun, st)
		}
	}
	return begun, suspected
}

// BegunBy returns the identity of the attempt that began the build for whose end the step
// waits; "" for a step that waits for none, or if no attempt was made.
func (s *State) BegunBy(step *plan.Step) string {
	if a, ok := step.Action.Parameters.(*plan.SSH); ok && s.Steps[a.Build] != nil {
		return s.Steps[a.Build].Identity
	}
	return ""
}

// Of folds the lines of a journal over its plan.
func Of(p *plan.Plan, digest string, lines []byte) (*State, error) {
	s := New(p)
	return s, journal.Lines("the cluster's copy", bytes.NewReader(lines), s.Take(digest))
}
