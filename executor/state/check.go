package state

import (
	"encoding/json"
	"fmt"

	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/operator"
)

// Check reports why a record cannot follow; nil if it can. It guards the writing of a
// journal as well as the reading.
func (s *State) Check(r *journal.Record) error {
	if s.Ended != "" && (r.Event != journal.Released || s.Released) {
		return fmt.Errorf("record %q follows the end of the run", r.Event)
	}
	if (s.Records == 0) != (r.Event == journal.RunBegun) {
		return fmt.Errorf("record %q is not allowed here", r.Event)
	}
	if r.Event == journal.Resumed && r.Run.ID != s.Run.ID {
		return fmt.Errorf("the resumed run has the id %q, not %q", r.Run.ID, s.Run.ID)
	}
	if r.Stage != "" && s.stages[r.Stage] == nil {
		return fmt.Errorf("record %q: the plan has no stage %q", r.Event, r.Stage)
	}
	st := s.Steps[r.Step]
	if st == nil && r.Step != "" {
		return fmt.Errorf("record %q: the plan has no step %q", r.Event, r.Step)
	}
	switch r.Event {
	case journal.StageBegun, journal.StageDone:
		if r.Stage == "" {
			return fmt.Errorf("record %q names no stage", r.Event)
		}
	case journal.Withdrawn:
		if st != nil && operator.Topic(r.Question.Topic) == operator.Failed {
			return st.checkAnswer(r, operator.Retry)
		}
	case journal.Answered:
		if operator.Choice(r.Answer.Choice) == operator.SetAside {
			if err := s.checkAside(r); err != nil {
				return err
			}
		}
		if st != nil {
			return st.checkAnswer(r, operator.Choice(r.Answer.Choice))
		}
	case journal.Looked:
		if err := json.Unmarshal(r.Evidence, &[]action.Astray{}); err != nil && r.Text == "" {
			return fmt.Errorf("record %q: %w", r.Event, err)
		}
	case journal.Released:
		if s.Ended == "" {
			return fmt.Errorf("record %q: the run is not over", r.Event)
		}
	case journal.Inventoried:
		if err := json.Unmarshal(r.Evidence, &map[string]json.RawMessage{}); err != nil {
			return fmt.Errorf("record %q: %w", r.Event, err)
		}
	case journal.NotBegun, journal.Started, journal.Suspected, journal.Noted, journal.Outcome, journal.Doubtful, journal.Confirmed, journal.NotNeeded, journal.Left:
		if st == nil {
			return fmt.Errorf("record %q names no step", r.Event)
		}
		return st.check(r)
	}
	return nil
}

func (st *Step) check(r *journal.Record) error {
	fits := true
	switch r.Event {
	case journal.Started:
		// The promise in one line: no open or finished step is started.
		fits = (st.Phase == Pending || st.Phase == NotDone || st.Phase == Failed) && r.Attempt == st.Attempt+1
	case journal.NotBegun:
		fits = !st.Phase.Open() && !st.Phase.Finished() && st.Phase != Claimed && r.Attempt == st.Attempt+1
	case journal.Suspected: // an open attempt, or a later one that the other csu may have made
		fits = !st.Phase.Finished() && st.Phase != Claimed && (r.Attempt > st.Attempt || r.Attempt == st.Attempt && st.Phase.Open())
	case journal.Noted, journal.Outcome, journal.Doubtful:
		fits = st.Phase.Open() && r.Attempt == st.Attempt
	case journal.Confirmed:
		fits = st.Phase == Claimed || st.Phase == ByHand // of an older csu
	case journal.NotNeeded:
		fits = (st.Attempt == 0 || !st.Step.Final()) && !st.Phase.Open() && !st.Phase.Finished() && st.Phase != Claimed
	case journal.Left:
		fits = st.Phase.Open()
	}
	if !fits {
		return fmt.Errorf("record %q of step %q, attempt %d, does not fit: attempt %d of the step is %s", r.Event, r.Step, r.Attempt, st.Attempt, st.Phase)
	}
	return nil
}

// checkAnswer checks that an answer fits the step's phase: a step in doubt must not be
// retried, and a step that is open or finished must not be skipped or done by hand.
func (st *Step) checkAnswer(r *journal.Record, choice operator.Choice) error {
	fits := true
	switch choice {
	case operator.Retry, operator.SetAside:
		fits = st.Phase == Failed || st.Phase == NotDone
	case operator.ByHand, operator.Skip:
		fits = !st.Phase.Open() && !st.Phase.Finished() && st.Phase != Claimed
	case operator.Happened:
		fits = st.Phase.Open()
	case operator.NotHappened:
		fits = st.Phase.Open() || st.Phase == Claimed
	case operator.Accept:
		fits = st.Phase == Claimed && !st.Step.Final() // it must be certain that the other step is undone
	}
	if !fits {
		return fmt.Errorf("answer %q to step %q does not fit: the step is %s", choice, r.Step, st.Phase)
	}
	return nil
}
