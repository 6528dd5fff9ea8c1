package render

import (
	"fmt"
	"time"

	"github.com/lsst-ts/csu/executor/timeline"
)

// A chart is a Gantt chart: rows on one time axis.
type chart struct {
	Ticks []tick
	Rows  []row
	axis  axis
}

type tick struct {
	X      string // in per cent of the width
	Label  string
	Anchor string
}

type row struct {
	ID, Label, Note string
	Link            string // id of an element
	Class           string
	Marks           []mark
}

// A mark is a bar, as wide as it took. Thin says that it is drawn as the line of the
// critical path below the bars.
type mark struct {
	X, W, Class, Title string
	Thin               bool
}

// axis maps times to the width of a chart.
type axis struct {
	from time.Time
	span time.Duration
}

// least is how wide the shortest bar is drawn, in per cent.
const least = 0.25

func newAxis(s timeline.Span) axis {
	a := axis{s.Begun, s.Length()}
	if a.span < time.Second {
		a.span = time.Second
	}
	return a
}

func (a axis) at(t time.Time) float64 {
	return max(0, min(100, 100*float64(t.Sub(a.from))/float64(a.span)))
}

func (a axis) mark(s timeline.Span, class, title string) mark {
	x := a.at(s.Begun)
	w := max(least, a.at(s.Ended)-x)
	return mark{X: fmt.Sprintf("%.3f%%", min(x, 100-least)), W: fmt.Sprintf("%.3f%%", w), Class: class, Title: fmt.Sprintf("%s, %s to %s (%s)", title, clock(s.Begun), clock(s.Ended), lasting(s.Length()))}
}

func (a axis) line(s timeline.Span, title string) mark {
	m := a.mark(s, "critical", title)
	m.Thin = true
	return m
}

// ticks returns at most six round times.
func (a axis) ticks() []tick {
	var step time.Duration
	for _, step = range []time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour} {
		if a.span/step < 6 {
			break
		}
	}
	for a.span/step >= 6 {
		step *= 2
	}
	layout := "15:04"
	if step < time.Minute {
		layout = time.TimeOnly
	}
	if step >= 24*time.Hour {
		layout = time.DateOnly
	}
	var out []tick
	end := a.from.Add(a.span)
	for t := a.from.Truncate(step); !t.After(end); t = t.Add(step) {
		if t.Before(a.from) {
			continue
		}
		anchor := "middle"
		if x := a.at(t); x < 4 {
			anchor = "start"
		} else if x > 96 {
			anchor = "end"
		}
		out = append(out, tick{fmt.Sprintf("%.3f%%", a.at(t)), t.UTC().Format(layout), anchor})
	}
	return out
}

// outcomeClass is the colour of an attempt.
func outcomeClass(a timeline.Attempt) string {
	switch a.Outcome {
	case "done", "happened":
		return "done"
	case "running":
		return "running"
	case "in doubt", "left in doubt", "perhaps sent":
		return "doubt"
	}
	return "failed"
}

// overview is the chart of the whole run: its critical path, what people were asked, and
// the stages.
func overview(r *timeline.Report) chart {
	c := chart{axis: newAxis(timeline.Span{Begun: r.Begun, Ended: r.Until})}
	c.Ticks = c.axis.ticks()
	path := row{Label: "Critical path", Note: lasting(time.Duration(r.Took)), Class: "path"}
	for _, s := range r.Critical {
		path.Marks = append(path.Marks, c.axis.mark(s.Span, string(s.Activity), segmentText(s)))
	}
	people := row{Label: "Waiting for answers", Note: seconds(r.Asked), Link: "waits"}
	for _, w := range r.Waits {
		if w.Length() > 0 {
			people.Marks = append(people.Marks, c.axis.mark(w.Span, "answer", fmt.Sprintf("%s: %s, %s", about(w.Stage, w.Step), w.Topic, answered(w))))
		}
	}
	c.Rows = append(c.Rows, path, people)
	if len(r.Absences) > 0 {
		away := row{Label: "No csu running", Note: seconds(r.Away)}
		for _, a := range r.Absences {
			away.Marks = append(away.Marks, c.axis.mark(a, "away", "no csu was running"))
		}
		c.Rows = append(c.Rows, away)
	}
	for _, s := range r.Stages {
		out := row{Label: s.ID, Note: s.State, Link: s.ID}
		if s.Begun != nil {
			span := timeline.Span{Begun: *s.Begun, Ended: *s.Ended}
			out.Note = lasting(span.Length())
			if s.State != "done" {
				out.Note += ", " + s.State
			}
			out.Marks = append(out.Marks, c.axis.mark(span, "stage", s.ID))
			out.Marks = append(out.Marks, c.critical(r, func(g timeline.Segment) bool { return g.Stage == s.ID })...)
		}
		c.Rows = append(c.Rows, out)
	}
	return c
}

// critical returns the lines of a row for what of the critical path is in it.
func (c *chart) critical(r *timeline.Report, in func(timeline.Segment) bool) []mark {
	return c.criticalIn(r, timeline.Span{Begun: r.Begun, Ended: r.Until}, in)
}

// criticalIn is critical for a row that shows a time only.
func (c *chart) criticalIn(r *timeline.Report, all timeline.Span, in func(timeline.Segment) bool) []mark {
	var out []mark
	for _, s := range r.Critical {
		if s.Begun.Before(all.Begun) {
			s.Begun = all.Begun
		}
		if s.Ended.After(all.Ended) {
			s.Ended = all.Ended
		}
		if in(s) && s.Length() > 0 {
			out = append(out, c.axis.line(s.Span, "on the critical path: "+segmentText(s)))
		}
	}
	return out
}

// stageChart is the chart of a stage's questions and steps; false if nothing of it has
// happened.
func stageChart(r *timeline.Report, id string, steps []timeline.Step) (chart, bool) {
	var all []timeline.Span
	for _, s := range steps {
		for _, a := range s.Attempts {
			all = append(all, a.Span)
		}
	}
	waits := map[string][]timeline.Wait{} // by step
	for _, w := range r.Waits {
		if w.Stage == id && (id != "" || w.Step != "") {
			waits[w.Step] = append(waits[w.Step], w)
			all = append(all, w.Span)
		}
	}
	if len(all) == 0 {
		return chart{}, false
	}
	span := all[0]
	for _, s := range all {
		if s.Begun.Before(span.Begun) {
			span.Begun = s.Begun
		}
		if s.Ended.After(span.Ended) {
			span.Ended = s.Ended
		}
	}
	c := chart{axis: newAxis(span)}
	c.Ticks = c.axis.ticks()
	c.waits(r, waits[""])
	for _, s := range steps {
		out := row{Label: s.ID, Note: "usually " + seconds(s.Usual)}
		if text := attempts(s); text != "" {
			out.Note = text + "; " + out.Note
		}
		for _, a := range s.Attempts {
			if a.Outcome != "not started" {
				out.Marks = append(out.Marks, c.axis.mark(timeline.Span{Begun: a.Begun, Ended: a.Begun.Add(time.Duration(s.Usual))}, "usual", "usual time"))
			}
			out.Marks = append(out.Marks, c.axis.mark(a.Span, outcomeClass(a), fmt.Sprintf("%s, attempt %d: %s", s.ID, a.Number, a.Outcome)))
			if a.InDoubt != nil {
				out.Marks = append(out.Marks, c.axis.mark(timeline.Span{Begun: *a.InDoubt, Ended: a.Ended}, "doubt", "in doubt"))
			}
		}
		out.Marks = append(out.Marks, c.critical(r, func(g timeline.Segment) bool {
			return g.Step == s.ID && (g.Activity == timeline.Working || g.Activity == timeline.Checking)
		})...)
		if len(s.Attempts) == 0 {
			out.Class = "idle"
		}
		c.Rows = append(c.Rows, out)
		c.waits(r, waits[s.ID])
	}
	return c, true
}

// waits adds a row for each question that somebody was waited for.
func (c *chart) waits(r *timeline.Report, waits []timeline.Wait) {
	for _, w := range waits {
		if w.Length() == 0 {
			continue
		}
		out := row{Label: "Question: " + w.Topic, Note: answered(w) + " after " + lasting(w.Length()), Class: "question"}
		if w.Choice == "" && w.Settled == "" {
			out.Note = "open for " + lasting(w.Length())
		}
		out.Marks = append(out.Marks, c.axis.mark(w.Span, "answer", out.Label+", "+answered(w)))
		out.Marks = append(out.Marks, c.criticalIn(r, w.Span, func(g timeline.Segment) bool {
			return g.Activity == timeline.Waiting && g.Stage == w.Stage && g.Step == w.Step && g.Topic == w.Topic
		})...)
		c.Rows = append(c.Rows, out)
	}
}
