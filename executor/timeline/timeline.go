// Package timeline is a run as the time that it took: every attempt, every wait for a
// person and every time without a csu as a bar, the critical path as it really was, and
// what was decided, went wrong and is left. It is made from the plan and the journal
// alone, during or after the run, and shown as a page, as Markdown or as JSON.
//
// The words:
//
//   - a bar is an attempt of a step, a wait for an answer, a check of what an operator
//     says is done, or a time in which no csu was running;
//   - the critical path goes from the end of the run back to its beginning, from each bar
//     to the one whose end allowed it to begin. Its segments follow one another without a
//     gap, so that they add up to the duration of the run;
//   - what lies between two bars of the path is csu's own time: connections, the check
//     before a stage, a look at the site.
//
// A clock that is set back, or that of another machine after a takeover, may give a record
// an earlier time than the one before it. It then counts as that one's time, so that no bar
// ends before it begins.
package timeline

import (
	"math"
	"strconv"
	"time"

	"github.com/lsst-ts/csu/executor/journal"
)

// Schema is the version of the JSON form of a [Report]. It is raised whenever a field
// changes its meaning or goes; a field may be added without that.
const Schema = "csu-report/1"

// Seconds is a duration, in JSON as a number of seconds rounded to milliseconds.
type Seconds time.Duration

// MarshalJSON implements [json.Marshaler].
func (s Seconds) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, math.Round(time.Duration(s).Seconds()*1000)/1000, 'f', -1, 64), nil
}

// A Report is what a run was. Times are RFC 3339 in UTC. Lists are never null.
type Report struct {
	Schema string  `json:"schema"`
	Plan   Subject `json:"plan"`
	Run    Run     `json:"run"`

	Begun time.Time `json:"begun"`
	// Until is the time of the last record, or the time of the report if csu was running.
	Until time.Time `json:"until"`
	// End is "complete" or "aborted"; "" for a run that is open.
	End journal.Event `json:"end"`
	// Took is the time from Begun to Until.
	Took Seconds `json:"took"`
	// Usual is how long the plan expects to take if nothing fails and every question is
	// answered at once.
	Usual Seconds `json:"usual"`
	// Asked is the time in which at least one question waited for its answer, Away that
	// in which no csu was running.
	Asked Seconds `json:"asked"`
	Away  Seconds `json:"away"`
	// Finished and Steps count the plan's steps.
	Finished int `json:"finished"`
	Steps    int `json:"steps"`

	Stages    []Stage    `json:"stages"`   // all of the plan's
	Final     []Step     `json:"final"`    // the final steps
	Waits     []Wait     `json:"waits"`    // in the order in which the questions ended, an open one last
	Absences  []Span     `json:"absences"` // times in which no csu was running
	Critical  []Segment  `json:"critical"` // from the beginning to the end
	Costs     []Cost     `json:"costs"`    // what cost most of the critical path, at most five
	Trouble   []Event    `json:"trouble"`  // failures, doubts and interruptions
	Decisions []Decision `json:"decisions"`
	CSCs      []CSC      `json:"cscs"` // those whose state the run has read or changed
	Left      []Left     `json:"left"` // what is not as the plan wants it
	Guards    []string   `json:"guards"`
}

// Subject is the plan of the run.
type Subject struct {
	Site    string `json:"site"`
	Type    string `json:"type"`
	Date    string `json:"date"`
	Attempt int    `json:"attempt"`
	Cycle   string `json:"cycle"`
	Reason  string `json:"reason"`
	Digest  string `json:"digest"`
}

// Run says who carried the plan out.
type Run struct {
	ID string `json:"id"`
	// Sessions are the executors of the run, one after the other.
	Sessions []Session `json:"sessions"`
	// Rehearsal says that the site was a simulated one.
	Rehearsal bool `json:"rehearsal"`
}

// Session is one executor.
type Session struct {
	Begun    time.Time `json:"begun"`
	Operator string    `json:"operator"`
	Host     string    `json:"host"`
	Version  string    `json:"version"` // of csu
}

// Span is a time.
type Span struct {
	Begun time.Time `json:"begun"`
	Ended time.Time `json:"ended"`
}

// Length returns how long it is.
func (s Span) Length() time.Duration { return s.Ended.Sub(s.Begun) }

// Stage is one of the plan's stages. Its times are zero until it is reached, and Ended is
// the report's Until while it is open.
type Stage struct {
	ID    string     `json:"id"`
	Title string     `json:"title"`
	State string     `json:"state"`           // not started, under way, done
	Begun *time.Time `json:"begun,omitempty"` // when its first question was asked, or its first step started
	Ended *time.Time `json:"ended,omitempty"`
	Steps []Step     `json:"steps"`
}

// Step is one of the plan's steps.
type Step struct {
	ID       string    `json:"id"`
	Title    string    `json:"title"`
	Kind     string    `json:"kind"`
	Phase    string    `json:"phase"` // as csu status says it
	Usual    Seconds   `json:"usual"`
	Attempts []Attempt `json:"attempts"`
}

// Attempt is one attempt of a step.
type Attempt struct {
	Span
	Number int `json:"number"` // from 1
	// Outcome is "done", "failed", "not done", "cut short", "not started", "in doubt",
	// "happened" or "not happened" (according to the operator), "left in doubt",
	// "perhaps sent", or "running".
	Outcome string `json:"outcome"`
	Text    string `json:"text"`
	// InDoubt is since when its outcome was not known; absent if it always was.
	InDoubt *time.Time `json:"inDoubt,omitempty"`
}

// Wait is the time for which a question waited for its answer.
type Wait struct {
	Span
	Stage  string `json:"stage"` // id; "" for the whole run's
	Step   string `json:"step"`  // id; "" for a stage's
	Topic  string `json:"topic"`
	Choice string `json:"choice"` // "" if it has no answer
	By     string `json:"by"`
	Reason string `json:"reason"`
	// Settled says how the question ended without an answer; "" if it was answered or is
	// open.
	Settled string `json:"settled"`
	// Exact says that the journal records when csu asked, or that the answer was given
	// beforehand. Otherwise the wait is taken to
	// begin when what preceded the question ended, and may be too long.
	Exact bool `json:"exact"`
}

// Activity is what a segment of the critical path is.
type Activity string

// The activities.
const (
	Working  Activity = "step"    // an attempt of a step
	Waiting  Activity = "answer"  // a question waited for its answer
	Checking Activity = "check"   // csu looked for what the operator says is done
	Absent   Activity = "away"    // no csu was running
	Between  Activity = "between" // csu's own time between two bars
)

// Segment is a part of the critical path.
type Segment struct {
	Span
	Activity Activity `json:"activity"`
	Stage    string   `json:"stage"`
	Step     string   `json:"step"`
	Attempt  int      `json:"attempt"` // 0 if it is none of an attempt
	Topic    string   `json:"topic"`   // of a wait
}

// Cost is what one cause took of the critical path.
type Cost struct {
	Activity Activity `json:"activity"`
	Stage    string   `json:"stage"`
	Step     string   `json:"step"`
	Topic    string   `json:"topic"`
	Took     Seconds  `json:"took"`
	Usual    Seconds  `json:"usual"`    // of a step; 0 for anything else
	Attempts int      `json:"attempts"` // how many of the step's are on the path
	Share    float64  `json:"share"`    // of the whole run, 0 to 1
}

// Event is something that went wrong, or that interrupted the run.
type Event struct {
	Time    time.Time `json:"time"`
	What    string    `json:"what"` // failed, not started, in doubt, suspected, not seen, stopped, resumed, aborting
	Stage   string    `json:"stage"`
	Step    string    `json:"step"`
	Attempt int       `json:"attempt"`
	Text    string    `json:"text"`
}

// Decision is an answer of the operator.
type Decision struct {
	Time     time.Time `json:"time"`
	Stage    string    `json:"stage"`
	Step     string    `json:"step"`
	Topic    string    `json:"topic"`
	Question string    `json:"question"`
	Shown    string    `json:"shown"` // the evidence, and who had to agree
	Choice   string    `json:"choice"`
	Reason   string    `json:"reason"` // or remark
	By       string    `json:"by"`
	Via      string    `json:"via"`
}

// CSC is what the run has seen of a CSC.
type CSC struct {
	CSC    string `json:"csc"`
	Before string `json:"before"` // summary state that the run read first; "" if it read none
	After  string `json:"after"`  // summary state that the run saw last
	Expect string `json:"expect"` // summary state that it should end in; "" for any
	Image  string `json:"image"`  // that the run has deployed; "" for none
}

// Left is something that is not as the plan wants it.
type Left struct {
	What string `json:"what"` // down, not ready, stopped, in part, set aside, left out, not seen, skipped, failed, perhaps sent, in doubt, owed, open
	Step string `json:"step"` // "" if it is about no single step
	Text string `json:"text"`
}
