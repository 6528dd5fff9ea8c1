// Package operator is the line between a run and the person who leads it: what
// csu asks, what can be answered, and what is told.
package operator

import (
	"context"
	"fmt"
	"time"

	"github.com/lsst-ts/csu/executor/exit"
)

// Topic is what a question is about.
type Topic string

// The topics.
const (
	StageConsent Topic = "stage consent" // may this stage begin (P2)
	StepConsent  Topic = "step consent"  // may this step begin
	Doubt        Topic = "doubt"         // the step rests on a doubtful fact
	Manual       Topic = "manual"        // a person does this; is it done
	Handover     Topic = "hand-over"     // a message could not be posted that somebody waits for
	QueuePaused  Topic = "queue paused"  // may the paused ScriptQueue be resumed, with what is in it
	Failed       Topic = "failed"        // a step failed; how to go on
	InDoubt      Topic = "in doubt"      // nobody knows whether a step happened
	GivingUp     Topic = "giving up"     // shall the whole run be given up now, with what that does
	Unexpected   Topic = "unexpected"    // may what the run did not find when it began be deleted
	Outage       Topic = "outage"        // the cluster is away; may the run go on without the site's ledger
	Alone        Topic = "only run"      // is this the plan's only run, where nothing can tell
	TakingOver   Topic = "takeover"      // shall the run be taken over
	Unlocking    Topic = "unlock"        // shall the site be taken from its run
	Former       Topic = "former csu"    // is the csu that was at work stopped
	FormerOutage Topic = "former outage" // may that csu have gone on without the cluster
)

// Choice is an answer that a question allows.
type Choice string

// The choices.
const (
	Yes         Choice = "yes"          // go on; for a manual step: it is done
	No          Choice = "no"           // do not go on: the run stops here and can be resumed
	Retry       Choice = "retry"        // do the step again, as a new attempt
	ByHand      Choice = "by hand"      // a person has done it
	Skip        Choice = "skip"         // leave it undone; wants a reason
	Stop        Choice = "stop"         // end csu; resume later
	Abort       Choice = "abort"        // give the upgrade up: final steps, then the journal is closed
	KeepWaiting Choice = "keep waiting" // look again, as long as the step's time limit
	Happened    Choice = "happened"     // the operator has seen that it is done
	NotHappened Choice = "not happened" // the operator has seen that it is not done, nor under way
)

// Question is one thing that only the operator can decide.
type Question struct {
	Topic      Topic
	Stage      string // id
	Step       string // id; "" for a stage's; both are "" for the whole run's
	Title      string
	Text       string   // the plan's own words, or what happened
	Principals []string // whose agreement a yes confirms (P3)
	Reading    string   // what csu reads at this moment, or the evidence; may have lines
	Choices    []Choice // in the order in which they are offered
	GivingUp   string   // what an abort would do, where it is one of the choices; in lines
}

// Answer is what was decided, by whom, and how it reached csu.
type Answer struct {
	Choice Choice
	Reason string // asked for with Skip; otherwise may be empty
	By     string // the operator's name
	Via    string // "terminal", or "beforehand, by" a flag or the answers file's name
}

// EventKind is what is told.
type EventKind string

// The kinds of events.
const (
	StageStarted  EventKind = "stage"
	StageFinished EventKind = "stage done"
	StepStarted   EventKind = "start"
	StepProgress  EventKind = "progress"
	StepDone      EventKind = "done"
	StepFailed    EventKind = "failed"
	StepSkipped   EventKind = "skipped"
	StepInDoubt   EventKind = "in doubt"
	Notice        EventKind = "notice"
)

// Event is something that the operator is told as it happens.
type Event struct {
	Time  time.Time
	Kind  EventKind
	Stage string
	Step  string
	Title string
	Text  string
}

// Operator answers and is told. Ask and Tell may be called from several
// goroutines; questions are put one at a time by the executor.
type Operator interface {
	// Ask returns one of the question's choices. It returns [*UnattendedError]
	// where nobody can answer, and ctx's error when the run is interrupted.
	Ask(ctx context.Context, q Question) (Answer, error)
	Tell(e Event)
}

// UnattendedError says that there was no terminal to ask a question on, and that it
// was not answered beforehand.
type UnattendedError struct {
	Question Question
	Want     string // the remedy, such as "give --consent offline, or run csu in a terminal"
}

func (e *UnattendedError) Error() string {
	what := ""
	switch {
	case e.Question.Step != "":
		what = fmt.Sprintf("step %q: ", e.Question.Step)
	case e.Question.Stage != "":
		what = fmt.Sprintf("stage %q: ", e.Question.Stage)
	}
	return fmt.Sprintf("%s%s: no terminal to ask on", what, e.Question.Topic)
}

// ExitCode says that a guard refused: nothing is done that the operator must decide.
func (e *UnattendedError) ExitCode() exit.Code { return exit.Refused }

// Hint returns the remedy.
func (e *UnattendedError) Hint() string { return e.Want }
