// Package render shows the report of a run: as a page and as Markdown.
package render

import (
	"fmt"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/timeline"
)

// lasting returns a duration for people, in whole seconds.
func lasting(d time.Duration) string {
	d = d.Round(time.Second)
	if d < 0 {
		d = 0
	}
	return plan.Duration(d).String()
}

func seconds(s timeline.Seconds) string { return lasting(time.Duration(s)) }

// clock returns the time of day.
func clock(t time.Time) string { return t.UTC().Format(time.TimeOnly) }

func moment(t time.Time) string { return t.UTC().Format(time.DateTime) + " UTC" }

func title(r *timeline.Report) string {
	return fmt.Sprintf("Report: %s upgrade of %s, %s", r.Plan.Type, r.Plan.Site, r.Plan.Date)
}

// ending says how the run ended.
func ending(r *timeline.Report) string {
	switch {
	case r.End != "" && len(r.Left) > 0:
		return string(r.End) + ", with something left"
	case r.End != "":
		return string(r.End)
	case len(r.Run.Sessions) == 0:
		return "not begun"
	}
	return "still open"
}

// what names a cause of the critical path.
func what(a timeline.Activity, stage, step, topic string) string {
	where := step
	if where == "" {
		where = stage
	}
	switch a {
	case timeline.Working:
		return step
	case timeline.Checking:
		return "csu checked " + step + ", which the operator had done"
	case timeline.Waiting:
		if where == "" {
			return "Question: " + topic
		}
		return fmt.Sprintf("Question about %s: %s", where, topic)
	case timeline.Absent:
		return "No csu was running"
	}
	return "csu between steps and questions (connections, checks before a stage)"
}

func segmentText(s timeline.Segment) string {
	text := what(s.Activity, s.Stage, s.Step, s.Topic)
	if s.Attempt > 1 {
		text += fmt.Sprintf(", attempt %d", s.Attempt)
	}
	return text
}

// compared says how a cost compares with what is usual.
func compared(c timeline.Cost) string {
	if c.Activity != timeline.Working {
		return ""
	}
	text := "usually " + seconds(c.Usual)
	if c.Attempts > 1 {
		text += fmt.Sprintf("; %d attempts", c.Attempts)
	}
	return text
}

// attempts says what became of a step.
func attempts(s timeline.Step) string {
	var parts []string
	for _, a := range s.Attempts {
		text := a.Outcome + " after " + lasting(a.Length())
		if a.Outcome == "not started" {
			text = a.Outcome
		}
		if a.Outcome == "running" {
			text = "running for " + lasting(a.Length())
		}
		parts = append(parts, text)
	}
	last := timeline.Attempt{}
	if n := len(s.Attempts); n > 0 {
		last = s.Attempts[n-1]
	}
	if s.Phase != last.Outcome && !(s.Phase == "started" && last.Outcome == "running") {
		parts = append(parts, s.Phase)
	}
	return strings.Join(parts, ", ")
}

// waited says how long a question waited; at most that long where the journal does not say
// when it was asked.
func waited(w timeline.Wait) string {
	if !w.Exact {
		return "≤ " + lasting(w.Length())
	}
	return lasting(w.Length())
}

// answered says what an answer was.
func answered(w timeline.Wait) string {
	switch {
	case w.Settled != "":
		return w.Settled
	case w.Choice == "":
		return "open"
	}
	return fmt.Sprintf("%s: %s", w.By, w.Choice)
}

func about(stage, step string) string {
	if step != "" {
		return step
	}
	if stage != "" {
		return stage
	}
	return "the run"
}

// plain reports whether a decision is a consent that was simply given.
func plain(d timeline.Decision) bool {
	switch operator.Topic(d.Topic) {
	case operator.StageConsent, operator.StepConsent, operator.Doubt, operator.Manual:
		return operator.Choice(d.Choice) == operator.Yes
	}
	return false
}

func percent(share float64) string { return fmt.Sprintf("%.0f %%", 100*share) }
