package procedure

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/lsst-ts/csu/compiler/internal/model"
	"github.com/lsst-ts/csu/executor/plan"
)

// doubts fills the plan's table of doubts: those on which a step rests, and
// those that the operator is asked about although no step rests on them. The
// functions that make the steps decide which step asks them.
func (b *builder) doubts() {
	b.doubt(plan.Doubt{Text: b.site.Targets.ServerDoubt})
	b.doubt(plan.Doubt{Text: b.lowerCycle()})
	if doubt := b.queuesStay(); doubt != "" {
		b.doubt(plan.Doubt{Text: doubt, CSCs: []string{b.req.Changed[0].CSC}})
	}
	b.doubtsOfCSCs()
	for _, h := range b.site.Hosts {
		b.doubtsOfHost(&h)
	}
	for _, h := range b.hosts {
		if b.asksAbout(h) {
			b.plan.Doubts = append(b.plan.Doubts, plan.Doubt{Text: sentence(h.Doubt), Host: h.Name})
		}
		for i := range h.Services {
			if s := &h.Services[i]; b.runsProtected(s) {
				b.doubt(plan.Doubt{Text: s.Keep, Source: []string{"P17"}})
			}
		}
	}
	if plan.Type(b.req.Type) == plan.Recovery {
		for _, r := range b.site.Recovery.Reboot {
			b.doubt(plan.Doubt{Text: r.Doubt, Host: r.Host})
		}
	}
	for _, note := range b.site.States.Notes {
		b.doubt(plan.Doubt{Text: note, Source: []string{"P41"}})
	}
	for _, seq := range b.site.Testing {
		for _, t := range seq.Steps {
			b.doubt(plan.Doubt{Text: t.Doubt, Step: "testing-" + seq.Name + "/" + t.ID})
		}
	}
}

// askFirst lets the first stage, whichever that is, ask about what the whole plan rests on.
func (b *builder) askFirst() {
	first := &b.plan.Stages[0]
	for _, doubt := range []string{b.lowerCycle(), b.site.Targets.ServerDoubt} {
		if doubt != "" {
			first.Doubts = append(first.Doubts, doubt)
		}
	}
}

// lowerCycle asks about what an earlier cycle may not get along with; "" if the upgrade is
// none.
func (b *builder) lowerCycle() string {
	u := &b.plan.Upgrade
	if !u.LowersCycle() {
		return ""
	}
	asked := "The request says that they are."
	if !u.BreaksSchema {
		asked = "The request says that they are not (breaksSchema)."
	}
	return fmt.Sprintf("This upgrade goes back from cycle %s to cycle %s. The schema registry and sasquatch stay at %[1]s: the topics keep the schemas that the later cycle registered, and sasquatch its connectors. "+
		"Are the schemas of %[2]s incompatible with those? %s Does sasquatch have to go back, too, and is that planned?", u.From, u.Cycle, asked)
}

// queuesStay asks whether the ScriptQueues may stay up; "" if they do not.
func (b *builder) queuesStay() string {
	if !b.req.QueuesStay || b.quiet() || len(b.req.Changed) == 0 {
		return ""
	}
	return fmt.Sprintf("The ScriptQueues stay up, as the request says, and keep the interface of %s that they have. Does its interface stay as it is?", oneCSC(b.req.Changed[0].CSC))
}

// doubt adds a doubt to the table if a step rests on it.
func (b *builder) doubt(d plan.Doubt) {
	if d.Text == "" || slices.ContainsFunc(b.plan.Doubts, func(x plan.Doubt) bool { return reflect.DeepEqual(x, d) }) {
		return
	}
	for s := range b.plan.AllSteps() {
		if b.plan.RestsOn(s, &d) {
			b.plan.Doubts = append(b.plan.Doubts, d)
			return
		}
	}
}

// doubtsOfCSCs adds the doubts about the CSCs themselves, with CSCs of one text
// in one row, and about the states that some CSCs keep.
func (b *builder) doubtsOfCSCs() {
	for _, k := range b.site.States.Keep {
		b.doubt(plan.Doubt{Text: k.Doubt, CSCs: []string{k.CSC}, State: k.State})
	}
	var texts []string
	about := map[string][]string{}
	for i := range b.site.CSCs {
		if c := &b.site.CSCs[i]; c.Doubt != "" && b.goesDown(c.Name()) {
			texts = union(texts, []string{c.Doubt})
			about[c.Doubt] = append(about[c.Doubt], c.Name())
		}
	}
	for _, text := range texts {
		b.doubt(plan.Doubt{Text: text, CSCs: about[text]})
	}
}

func (b *builder) doubtsOfHost(h *model.Host) {
	if h.Role == model.Camera {
		// How its bridge is made available.
		b.doubt(plan.Doubt{Text: h.Doubt, CSCs: cscsOn(h), State: plan.OfflineAvailable})
	} else {
		b.doubt(plan.Doubt{Text: h.Doubt, Host: h.Name})
	}
	for _, s := range h.Services {
		for purpose, c := range s.Commands() {
			if plan.Purpose(purpose) == plan.Start && b.updatesCRIO(h.Name) {
				continue // it follows the update, as the page has it; what is doubtful about its name is asked at the stop
			}
			b.doubt(plan.Doubt{Text: c.Doubt, Host: h.Name, Service: s.Name, Purpose: plan.Purpose(purpose)})
		}
	}
}
