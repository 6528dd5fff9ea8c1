package live

import (
	"slices"
	"time"

	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/report"
	"github.com/lsst-ts/csu/executor/state"
	"github.com/lsst-ts/csu/executor/timeline"
)

// Schema is the version of the JSON form of a [View]. It is raised whenever a field changes
// its meaning or goes; a field may be added without that.
const Schema = "csu-status/1"

// Phase is what a run is doing as a whole.
type Phase string

// The phases.
const (
	NotBegun Phase = "not started"
	Working  Phase = "working"
	Waiting  Phase = "waiting" // for an answer
	InDoubt  Phase = "in doubt"
	Failed   Phase = "failed"
	Stopped  Phase = "stopped" // no csu is at work; it can be resumed
	Complete Phase = "complete"
	Excepted Phase = "complete, with exceptions"
	Aborted  Phase = "aborted"
)

// A View is a run as it is now. Times are RFC 3339 in UTC. Lists are never null.
type View struct {
	Schema    string           `json:"schema"`
	Plan      timeline.Subject `json:"plan"`
	Run       string           `json:"run"` // id
	Operator  string           `json:"operator"`
	Rehearsal bool             `json:"rehearsal"`

	// Copied is when the cluster's copy of the journal was written, by its csu's clock, if
	// that is all there is; nil for a view of the journal itself.
	Copied *time.Time `json:"copied,omitempty"`

	Phase Phase `json:"phase"`
	// Now is the time of the run's clock: of its csu if one is at work, otherwise of the last
	// record.
	Now time.Time `json:"now"`
	// Begun is the time of the first record, Last that of the last one.
	Begun   time.Time        `json:"begun"`
	Last    time.Time        `json:"last"`
	Records int              `json:"records"`
	Elapsed timeline.Seconds `json:"elapsed"` // seconds
	// End is when the run is expected to end if nothing fails and every question is answered
	// at once; nil if no csu is at work.
	End *End `json:"end,omitempty"`

	Finished int       `json:"finished"`
	Steps    int       `json:"steps"`
	Stage    *Stage    `json:"stage,omitempty"` // the first that is not done; nil if all are
	Stages   []Stage   `json:"stages"`
	States   []Step    `json:"states"` // of all steps, in the plan's order
	Waits    *Wait     `json:"waits,omitempty"`
	Running  []Running `json:"running"`
	Trouble  []Step    `json:"trouble"` // steps that failed, or are in doubt
	Decided  []Step    `json:"decided"` // skipped, by hand, left out, perhaps sent

	Down  []report.Fall `json:"down"`
	Aside []string      `json:"aside"`
	Owed  []Step        `json:"owed"` // final steps that must still run

	Events []timeline.Event `json:"events"` // the last ones, the newest first

	// Note is what the site's ledger adds, and Next what can be done next; "" if that was not
	// asked for.
	Note string `json:"note,omitempty"`
	Next string `json:"next,omitempty"`
}

// End is when a run is expected to end: in 80 % of the cases between Low and High, which are
// the same if the plan has no learned durations.
type End struct {
	Low  time.Time `json:"low"`
	High time.Time `json:"high"`
}

// Stage is one of the plan's stages.
type Stage struct {
	ID       string        `json:"id"`
	Title    string        `json:"title"`
	Number   int           `json:"number"` // from 1
	Of       int           `json:"of"`
	State    string        `json:"state"` // not started, under way, done
	Finished int           `json:"finished"`
	Steps    int           `json:"steps"`
	Usual    plan.Duration `json:"usual"` // as in the plan: "12m0s"
}

// Step is what has become of a step.
type Step struct {
	ID    string    `json:"id"`
	Title string    `json:"title"`
	Phase string    `json:"phase"`
	Since time.Time `json:"since,omitzero"`
	Text  string    `json:"text,omitempty"`
	By    string    `json:"by,omitempty"`
}

// Running is a step that is under way.
type Running struct {
	ID      string        `json:"id"`
	Title   string        `json:"title"`
	Attempt int           `json:"attempt"`
	Since   time.Time     `json:"since"`
	Usual   plan.Duration `json:"usual"`
	Limit   plan.Duration `json:"limit"`
	Sign    *Sign         `json:"sign,omitempty"` // what it has reported last
}

// Wait is the question that is open.
type Wait struct {
	For     string    `json:"for"` // the operator
	Topic   string    `json:"topic"`
	Stage   string    `json:"stage"`
	Step    string    `json:"step"`
	Since   time.Time `json:"since"`
	Text    string    `json:"text"`
	Reading string    `json:"reading,omitempty"` // the evidence
	Choices []string  `json:"choices,omitempty"`
}

// Options are what a view needs besides the journal.
type Options struct {
	// Held says that a csu is at work on the journal.
	Held bool
	// Now is what it shows; nil if that is not known.
	Now *Now
	// Clock is the present time of a real run.
	Clock time.Time
	// Usual is how long each stage usually takes, by its id.
	Usual map[string]plan.Duration
	// Left returns how long the rest of the run takes, in 80 % of the cases; nil if that is
	// not wanted.
	Left func(s *state.State, now time.Time) (low, high plan.Duration)
}

// mostEvents is how many events a view has.
const mostEvents = 12

// Of returns the view of a run. A log without a record gives a run that has not begun.
func Of(l *timeline.Log, o Options) *View {
	s := l.State()
	v := &View{
		Schema: Schema, Run: s.Run.ID, Operator: s.Run.Operator, Rehearsal: s.Run.SiteMap != "",
		Phase: phase(s, o.Held), Begun: s.Begin.UTC(), Last: s.Last.UTC(), Records: s.Records, Now: s.Last.UTC(),
		Stages: []Stage{}, States: []Step{}, Running: []Running{}, Trouble: []Step{}, Decided: []Step{}, Owed: []Step{},
		Down: report.Fallen(s), Aside: report.SetAside(s),
	}
	switch {
	case !o.Held || s.Ended != "":
	case o.Now != nil:
		v.Now = latest(v.Now, o.Now.Time)
	case !v.Rehearsal: // csu does not know the time of a simulated site
		v.Now = latest(v.Now, o.Clock.UTC())
	}
	v.Elapsed = timeline.Seconds(v.Now.Sub(v.Begun))
	v.stages(s, o)
	for st := range s.Plan.AllSteps() {
		v.step(s.Steps[st.ID], o)
	}
	for _, st := range s.Owed() {
		v.Owed = append(v.Owed, stepOf(st))
	}
	if o.Held && s.Asked != nil {
		v.Waits = wait(s, o.Now)
	}
	if working := o.Held && s.Ended == ""; working && o.Left != nil {
		low, high := o.Left(s, v.Now)
		v.End = &End{v.Now.Add(time.Duration(low)), v.Now.Add(time.Duration(high))}
	}
	r := l.Report(timeline.Options{})
	v.Plan, v.Events = r.Plan, Events(r, mostEvents)
	if v.Down == nil {
		v.Down = []report.Fall{}
	}
	if v.Aside == nil {
		v.Aside = []string{}
	}
	return v
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func phase(s *state.State, held bool) Phase {
	switch {
	case s.Records == 0:
		return NotBegun
	case s.Ended == journal.Aborted:
		return Aborted
	case s.Ended != "" && s.Excepted():
		return Excepted
	case s.Ended != "":
		return Complete
	case !held:
		return Stopped
	case s.Asked == nil:
		return Working
	}
	switch operator.Topic(s.Asked.Question.Topic) {
	case operator.InDoubt, operator.Unseen:
		return InDoubt
	case operator.Failed:
		return Failed
	}
	return Waiting
}

func (v *View) stages(s *state.State, o Options) {
	for i := range s.Stages {
		st := &s.Stages[i]
		out := Stage{ID: st.Stage.ID, Title: st.Stage.Title, Number: i + 1, Of: len(s.Stages), State: "not started", Steps: len(st.Stage.Steps), Usual: o.Usual[st.Stage.ID]}
		switch {
		case st.Done:
			out.State = "done"
		case st.Begun:
			out.State = "under way"
		}
		for j := range st.Stage.Steps {
			if s.Steps[st.Stage.Steps[j].ID].Phase.Finished() {
				out.Finished++
			}
		}
		v.Stages = append(v.Stages, out)
		if !st.Done && v.Stage == nil {
			v.Stage = &v.Stages[i]
		}
	}
	if v.Stage != nil {
		first := *v.Stage
		v.Stage = &first
	}
}

func stepOf(st *state.Step) Step {
	text := st.Text
	if st.Reason != "" {
		text = st.Reason
	}
	return Step{ID: st.Step.ID, Title: st.Step.Title, Phase: string(st.Phase), Since: st.Since.UTC(), Text: text, By: st.By}
}

func (v *View) step(st *state.Step, o Options) {
	v.Steps++
	if st.Phase.Finished() {
		v.Finished++
	}
	out := stepOf(st)
	switch st.Phase {
	case state.Started:
		if !o.Held {
			out.Phase = string(state.InDoubt)
			v.Trouble = append(v.Trouble, out)
			break
		}
		r := Running{ID: st.Step.ID, Title: st.Step.Title, Attempt: st.Attempt, Since: st.Began.UTC(), Usual: st.Step.Takes, Limit: st.Step.Timeout}
		if o.Now != nil {
			if sign, ok := o.Now.Signs[r.ID]; ok {
				r.Sign = &sign
			}
		}
		v.Running = append(v.Running, r)
	case state.InDoubt, state.LeftInDoubt, state.Failed, state.NotDone, state.Reported, state.Claimed:
		v.Trouble = append(v.Trouble, out)
	case state.Skipped, state.ByHand, state.LeftOut, state.PerhapsSent:
		v.Decided = append(v.Decided, out)
	}
	v.States = append(v.States, out)
}

// wait returns the question that is open, with its evidence where csu shows it.
func wait(s *state.State, now *Now) *Wait {
	r := s.Asked
	w := &Wait{For: s.Run.Operator, Topic: r.Question.Topic, Stage: r.Stage, Step: r.Step, Since: r.Time.UTC(), Text: r.Question.Text}
	if now == nil || now.Asked == nil {
		return w
	}
	if a := now.Asked; a.Topic == w.Topic && a.Stage == w.Stage && a.Step == w.Step {
		w.Text, w.Reading, w.Choices = a.Text, a.Reading, a.Choices
	}
	return w
}

// Events returns the last events of a run, the newest first: attempts that began or ended,
// answers, and what interrupted it.
func Events(r *timeline.Report, most int) []timeline.Event {
	var all []timeline.Event
	for _, s := range r.Stages {
		all = append(all, eventsOf(s.ID, s.Steps)...)
		if s.State == "done" && s.Ended != nil {
			all = append(all, timeline.Event{Time: *s.Ended, What: "stage done", Stage: s.ID, Text: s.Title})
		}
	}
	all = append(all, eventsOf("", r.Final)...)
	for _, d := range r.Decisions {
		text := d.By + ": " + d.Choice
		if d.Reason != "" {
			text += ", " + d.Reason
		}
		all = append(all, timeline.Event{Time: d.Time.UTC(), What: "answer", Stage: d.Stage, Step: d.Step, Text: text})
	}
	for _, e := range r.Trouble {
		switch e.What {
		case "stopped", "resumed", "aborting", "in doubt", "suspected", "not seen":
			e.Time = e.Time.UTC()
			all = append(all, e)
		}
	}
	slices.SortStableFunc(all, func(a, b timeline.Event) int { return b.Time.Compare(a.Time) })
	return append([]timeline.Event{}, all[:min(len(all), most)]...)
}

func eventsOf(stage string, steps []timeline.Step) []timeline.Event {
	var all []timeline.Event
	for _, s := range steps {
		for _, a := range s.Attempts {
			if a.Outcome != "running" {
				all = append(all, timeline.Event{Time: a.Ended, What: a.Outcome, Stage: stage, Step: s.ID, Attempt: a.Number, Text: a.Text})
			}
			if a.Outcome != "not started" {
				all = append(all, timeline.Event{Time: a.Begun, What: "start", Stage: stage, Step: s.ID, Attempt: a.Number, Text: s.Title})
			}
		}
	}
	return all
}
