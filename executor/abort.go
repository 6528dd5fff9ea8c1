package executor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
)

// Abort gives up the run in the journal: its final steps are run, what is in
// doubt is left so, and the journal is closed. Where a final step fails, the
// journal stays open and Abort can be repeated. With [Options.Confirm] the
// operator is shown [State.AbortText] first and asked; unless they choose to
// abort, nothing is done, and nothing recorded but that the journal's last line
// was cut off, if it was; the result is [Kept]. The errors are those of [Run].
func Abort(ctx context.Context, o Options) (Result, error) {
	o.Resume, o.Until = true, ""
	r, err := newRun(ctx, o)
	if err != nil {
		return Result{}, err
	}
	defer r.release()
	r.abort = true
	if err := r.guard(); err != nil {
		return Result{}, err
	}
	err = r.open()
	changed := "nothing was changed"
	if r.torn != "" {
		changed += " but the journal: " + r.torn
	}
	switch kept := (Result{RunID: r.state.Run.ID, State: r.state, End: Kept}); {
	case errors.Is(err, errKept):
		kept.Text = "Nothing was given up, and " + changed + "."
		return kept, nil
	case errors.Is(err, errEnding):
		kept.End, kept.Text = Interrupted, "Interrupted: nothing was given up, and "+changed+"."
		return kept, nil
	case err != nil:
		return Result{}, r.shut(err)
	}
	return r.finish(r.drive())
}

// errKept says that the operator did not want the run to be given up after all.
var errKept = errors.New("the run is not given up")

// agree has the operator see what an abort will do, and agree to it. The
// journal is locked meanwhile, so that it stays as they see it, but the answer is
// recorded only when the abort begins: one that is not wanted leaves no trace.
func (r *run) agree(seen *sighting) error {
	reading := r.state.AbortText()
	if seen != nil && seen.ledger.Holder != nil && seen.ledger.Holder.To != "" {
		reading = fmt.Sprintf("The run was handed over to %s, who was told to resume it.\n", seen.ledger.Holder.To) + reading
	}
	q := operator.Question{
		Topic: operator.GivingUp,
		Text: fmt.Sprintf("Run %s of the %s upgrade of %s, begun %s UTC.",
			r.state.Run.ID, r.o.Plan.Type, r.o.Plan.Site, r.state.Begin.UTC().Format("2006-01-02 15:04")),
		Reading: reading,
		Choices: []operator.Choice{operator.Abort, operator.No},
	}
	a, err := r.askNow(q)
	switch {
	case err != nil:
		return err
	case a.Choice != operator.Abort:
		return errKept
	}
	return nil
}

// kept closes the journal of a run that is not given up after all, and returns
// why. The loss of the journal's last line is recorded here, or nobody would hear
// of it again.
func (r *run) kept(why error) error {
	var failed error
	if r.torn != "" {
		if _, failed = r.record(r.resumed()); failed == nil {
			_, failed = r.record(journal.Record{Event: journal.Stopped, Text: "an abort was asked for and not confirmed: " + why.Error()})
		}
	}
	if failed = errors.Join(failed, r.journal.Close()); failed != nil {
		return fmt.Errorf("%v; %w", why, failed)
	}
	return why
}

// AbortText says what an abort would do now, and what it would leave as it is;
// in lines.
func (s *State) AbortText() string {
	var lines []string
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	owed := s.Owed()
	if len(owed) == 0 {
		say("No final step has to run.")
	} else {
		say("These final steps run now:")
	}
	for _, st := range owed {
		say("  %s: %s; %s", st.Step.ID, st.Step.Title, s.because(st.Step))
	}
	if open := slices.DeleteFunc(s.In(Started, InDoubt), func(st *StepState) bool { return final(st.Step) }); len(open) > 0 {
		say("These steps are in doubt and are left so; look by hand what became of them:")
		for _, st := range open {
			say("  %s: %s", st.Step.ID, st.Step.Title)
		}
	}
	if down := s.Down(); len(down) > 0 {
		say("These stay down: %s.", plan.CSCList(down))
	}
	if stopped := s.stopped(); len(stopped) > 0 {
		say("These services stay stopped until somebody starts them: %s.", strings.Join(stopped, ", "))
	}
	whole, parts := s.updated()
	if len(whole) > 0 {
		say("These stay updated: %s.", strings.Join(whole, ", "))
	}
	if len(parts) > 0 {
		say("These may be updated in part and stay so: %s.", strings.Join(parts, ", "))
	}
	if channels := s.told(); len(channels) > 0 {
		say("csu posts nothing of it: tell those in %s, who were told that the upgrade began.", strings.Join(channels, ", "))
	}
	say("Nothing else is touched. The journal is closed, and this plan can't be run again.")
	return strings.Join(lines, "\n")
}

// because says why a final step has to run.
func (s *State) because(final *plan.Step) string {
	undone := s.Steps[final.Undoes]
	switch {
	case undone.Phase.Happened():
		return fmt.Sprintf("%s, which it undoes, is %s", final.Undoes, undone.Phase)
	case undone.Phase.Open():
		return fmt.Sprintf("%s, which it undoes, is in doubt", final.Undoes)
	}
	return fmt.Sprintf("%s, which it undoes, was begun and is %s", final.Undoes, undone.Phase)
}

// stopped returns the services on hosts that the run has stopped, or has begun to,
// and has not seen started again.
func (s *State) stopped() []string {
	var names []string
	for step := range s.Plan.AllSteps() {
		e, st := step.Effects(s.Plan), s.Steps[step.ID]
		switch {
		case e.Stopped != "" && (st.Phase.Happened() || st.Phase.Open() || st.touched):
			names = append(names, e.Stopped)
		case e.Started != "" && st.Phase.Happened():
			names = slices.DeleteFunc(names, func(stopped string) bool { return stopped == e.Started })
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// told returns the channels in which the run has posted something, and of whose
// messages it has not posted the last.
func (s *State) told() []string {
	some, last := map[string]bool{}, map[string]bool{}
	for step := range s.Plan.AllSteps() {
		if channel := step.Effects(s.Plan).Posts; channel != "" {
			posted := s.Steps[step.ID].Phase.Happened()
			some[channel] = some[channel] || posted
			last[channel] = posted
		}
	}
	maps.DeleteFunc(some, func(channel string, posted bool) bool { return !posted || last[channel] })
	return slices.Sorted(maps.Keys(some))
}

// updated returns the applications that were synced and the services that were
// updated on hosts: those that were seen to be done, and those that were only begun.
// Those of which nothing happened are neither.
func (s *State) updated() (whole, parts []string) {
	add := func(names *[]string, name string) {
		if !slices.Contains(*names, name) {
			*names = append(*names, name)
		}
	}
	for step := range s.Plan.AllSteps() {
		e, st := step.Effects(s.Plan), s.Steps[step.ID]
		switch {
		case e.Updated == "":
		case st.Phase.Happened():
			add(&whole, e.Updated)
		case st.touched:
			add(&parts, e.Updated)
		}
	}
	// An application of which one sync is done and another was begun is only
	// known to be updated in part.
	whole = slices.DeleteFunc(whole, func(name string) bool { return slices.Contains(parts, name) })
	return whole, parts
}
