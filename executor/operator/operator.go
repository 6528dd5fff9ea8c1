// Package operator is the interface between a run and the person who leads it:
// the questions that csu asks, the possible answers, and the events that it
// reports.
package operator

import (
	"context"
	"fmt"
	"slices"
	"strings"
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
	Manual       Topic = "manual"        // a manual step; is it done
	Handover     Topic = "hand-over"     // a message that someone is waiting for could not be posted
	QueuePaused  Topic = "queue paused"  // may the paused ScriptQueue be resumed, with what is in it
	Failed       Topic = "failed"        // a step failed; how to continue
	InDoubt      Topic = "in doubt"      // it is unknown whether a step happened
	Unseen       Topic = "not seen"      // the operator says that a step is done, but csu sees that it is not
	Aborting     Topic = "giving up"     // shall the whole run be aborted now, with the effects listed
	Unexpected   Topic = "unexpected"    // may objects that did not exist when the run began be deleted
	BuildLost    Topic = "build lost"    // shall a build that was lost or failed be done again
	Revision     Topic = "revision"      // may a revision of Phalanx be deployed for which the plan was not made
	Outage       Topic = "outage"        // the cluster is away; may the run continue without the site's ledger
	Alone        Topic = "only run"      // is this the plan's only run, which csu cannot determine
	OtherDay     Topic = "other day"     // may the run begin today, which is not the plan's day or not one for it
	TakingOver   Topic = "takeover"      // shall the run be taken over
	Unlocking    Topic = "unlock"        // shall the run lose the site
	Former       Topic = "former csu"    // has the csu that was at work stopped
	FormerOutage Topic = "former outage" // may that csu have continued without the cluster
)

// Choice is an answer that a question allows.
type Choice string

// The choices.
const (
	Yes         Choice = "yes"          // continue; for a manual step: it is done
	No          Choice = "no"           // do not continue: the run stops here and can be resumed
	Retry       Choice = "retry"        // do the step again, as a new attempt
	ByHand      Choice = "by hand"      // it was done by hand
	Skip        Choice = "skip"         // leave it undone; needs a reason
	Accept      Choice = "accept"       // count it as done although csu does not see it; needs a reason
	SetAside    Choice = "set aside"    // leave CSCs out of the rest of the run; needs their names, a reason and who was told
	Stop        Choice = "stop"         // end csu; resume later
	Abort       Choice = "abort"        // abort the upgrade: run the final steps, then close the journal
	KeepWaiting Choice = "keep waiting" // check again, for as long as the step's time limit
	Happened    Choice = "happened"     // the operator has seen that it is done
	NotHappened Choice = "not happened" // the operator has seen that it is neither done nor under way
)

// Question is a question that only the operator can decide.
type Question struct {
	Topic      Topic
	Stage      string // id
	Step       string // id; "" for a stage's; both are "" for the whole run's
	Title      string
	Text       string   // the plan's own words, or what happened
	Principals []string // whose agreement a yes confirms (P3)
	Reading    string   // what csu reads at this moment, or the evidence; may have several lines
	Choices    []Choice // in the order offered
	AbortText  string   // what an abort would do, if it is one of the choices; may have several lines
	// Checked says that csu looks for the result of the step before it counts an answer
	// that the step is done.
	Checked bool
	CSCs    []CSC // that may be set aside
	// Since is when the question was put first; the zero time if that is now.
	Since time.Time
	// Refresh has the evidence read again. Ask's context then ends, and the question is
	// put again if it is still to be decided. It is nil if there is no evidence.
	Refresh func()
}

// CSC is a CSC that may be set aside.
type CSC struct {
	Name, Principal string
	Missing         bool // csu does not see it as the step wants it
}

// Agreement returns the sentence about whose agreement a yes confirms; "" if nobody's.
func (q *Question) Agreement() string {
	if len(q.Principals) == 0 {
		return ""
	}
	return fmt.Sprintf("A yes confirms that these have agreed: %s.", strings.Join(q.Principals, ", "))
}

// Allows returns an [*AnswerError] if the answer is not one that the question allows.
func (q *Question) Allows(a Answer) error {
	reason := ""
	switch {
	case !slices.Contains(q.Choices, a.Choice):
		var names []string
		for _, c := range q.Choices {
			names = append(names, string(c))
		}
		reason = "is not one of " + strings.Join(names, ", ")
	case a.Choice.NeedsReason() && strings.TrimSpace(a.Reason) == "":
		reason = "needs a reason"
	case a.Choice == SetAside && (len(a.CSCs) == 0 || strings.TrimSpace(a.Told) == ""):
		reason = "needs the names of CSCs, and who was told"
	case a.Choice == SetAside && q.strange(a.CSCs) != "":
		reason = "names " + q.strange(a.CSCs) + ", which this step does not concern"
	default:
		return nil
	}
	return &AnswerError{Stage: q.Stage, Step: q.Step, Topic: q.Topic, Choice: a.Choice, Reason: reason}
}

// strange returns the first of the CSCs that may not be set aside; "" if all may.
func (q *Question) strange(cscs []string) string {
	for _, name := range cscs {
		if !slices.ContainsFunc(q.CSCs, func(c CSC) bool { return c.Name == name }) {
			return name
		}
	}
	return ""
}

// NeedsReason reports whether the choice must be given with a reason.
func (c Choice) NeedsReason() bool { return c == Skip || c == Accept || c == SetAside }

// AnswerError reports an answer that the question does not allow.
type AnswerError struct {
	Stage, Step string // ids, as in the question
	Topic       Topic
	Choice      Choice
	Reason      string
}

func (e *AnswerError) Error() string {
	at := ""
	switch {
	case e.Step != "":
		at = fmt.Sprintf(" at %q", e.Step)
	case e.Stage != "":
		at = fmt.Sprintf(" at %q", e.Stage)
	}
	return fmt.Sprintf("answer to %q%s: the answer %q %s", e.Topic, at, e.Choice, e.Reason)
}

// ExitCode returns [exit.Input]: the answer may come from a file of answers.
func (e *AnswerError) ExitCode() exit.Code { return exit.Input }

// Answer is a decision, who made it, and how it reached csu.
type Answer struct {
	Choice Choice
	Reason string   // required where [Choice.NeedsReason]; otherwise may be empty
	CSCs   []string // of SetAside: which
	Told   string   // of SetAside: who was told, the CSCs' principals by their roles
	By     string   // the operator's name
	Via    string   // "terminal", or [InAdvance] and a flag or the answers file's name
}

// InAdvance begins the Via of an answer that was given before the question.
const InAdvance = "in advance, by "

// EventKind is what an event reports.
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

// Event is something that is reported to the operator as it happens.
type Event struct {
	Time  time.Time
	Kind  EventKind
	Stage string
	Step  string
	Title string
	Text  string
}

// Operator answers questions and is told of events. Ask and Tell may be called
// from several goroutines. The executor asks one question at a time.
type Operator interface {
	// Ask returns one of the question's choices. It returns [*UnattendedError]
	// if no one can answer, and ctx's error when the run is interrupted or the question
	// is withdrawn: what was typed by then answers nothing.
	Ask(ctx context.Context, q Question) (Answer, error)
	Tell(e Event)
}

// Prepared is an [Operator] who has given some answers before their questions come up.
// Such a question does not wait, and is not put.
type Prepared interface {
	Beforehand(q Question) (a Answer, given bool)
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
