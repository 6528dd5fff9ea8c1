package compiler

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lsst-ts/csu/executor/plan"
)

// TestMutationsOfBuilds applies the structural catalogue to what plans of other requests do
// on the cRIOs: builds that begin before anything else, and those of an incremental upgrade.
func TestMutationsOfBuilds(t *testing.T) {
	for _, c := range []struct {
		name, request string
		typ           plan.Type
		at            string // a step that the plan must have
	}{
		{"builds first", `full: {date: "2026-12-15", cycle: "c0045", reason: "test", criosFirst: true}`, plan.Full, "builds/m1m3-crio-ts"},
		{"a cRIO alone", `incremental: {date: "2026-11-24", reason: "test", changed: [{csc: "MTVMS:1"}]}`, plan.Incremental, "crios/m1m3-crio-vms-built"},
		{"a CSC that keeps its state", `incremental: {date: "2026-11-24", reason: "test", changed: [{csc: "MTM1M3TS:0"}]}`, plan.Incremental, "crios/m1m3-crio-ts-built"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "upgrade.cue")
			text := "package site\n\nimport \"github.com/lsst-ts/csu/schema\"\n\nupgrade: schema.#Upgrades & {\n\t" + c.request + "\n}\n"
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			p, _, err := Compile(Request{Root: "..", Site: "summit", Type: c.typ, Upgrade: file})
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := p.Step(c.at); !ok {
				t.Fatalf("the plan has no step %q: correct this test", c.at)
			}
			var catalogue []operator
			for _, op := range structural() {
				catalogue = append(catalogue, operator{op.name, true, onCRIOs(op.places)})
			}
			mutate(t, p, catalogue, newScores())
		})
	}
}

// onCRIOs leaves the places that are about builds and the updates of cRIOs.
func onCRIOs(places func(*plan.Plan) []place) func(*plan.Plan) []place {
	return func(p *plan.Plan) []place {
		return slices.DeleteFunc(places(p), func(pl place) bool { return !strings.HasPrefix(pl.at, "builds") && !strings.HasPrefix(pl.at, "crios") })
	}
}

// builds are the mutations of what runs on hosts: its purposes, and the two steps that
// begin a build and wait for it. What an editor would change with them changes, too.
func builds(add adder) {
	for _, purpose := range []plan.Purpose{plan.Stop, plan.Update, plan.Start, plan.Build, plan.AwaitBuild} {
		add("another purpose: "+string(purpose), eachAction(func(a *plan.SSH) bool { return a.Purpose != purpose }, func(p *plan.Plan, s *plan.Step, a *plan.SSH) {
			if a.Purpose, a.Build = purpose, ""; purpose == plan.AwaitBuild {
				awaits(s, a, s.ID)
			}
		}))
	}
	add("wait for another build", eachAwait(func(p *plan.Plan, s *plan.Step, a *plan.SSH) {
		for o := range p.AllSteps() {
			if b, ok := o.Action.Parameters.(*plan.SSH); ok && b.Purpose == plan.Build && o.ID != a.Build {
				awaits(s, a, o.ID)
				return
			}
		}
		awaits(s, a, s.ID) // the plan has no other
	}))
	add("wait for what is no build", eachAwait(func(p *plan.Plan, s *plan.Step, a *plan.SSH) { awaits(s, a, updateOf(p, a).ID) }))
	add("wait for a build where it begins", eachAwait(func(p *plan.Plan, s *plan.Step, a *plan.SSH) {
		begins, stage := a.Build, stageOf(p, a.Build)
		moveTo(p, s.ID, stage)
		moved, _ := p.Step(stage + "/moved")
		moved.Needs = []string{begins}
	}))
	add("drop a build with its wait", eachAwait(func(p *plan.Plan, s *plan.Step, a *plan.SSH) { withoutBuild(p, s.ID, a) }))
	add("build with the update, in the foreground", eachAwait(func(p *plan.Plan, s *plan.Step, a *plan.SSH) {
		u := updateOf(p, a)
		b := u.Action.Parameters.(*plan.SSH)
		old := "    " + strings.Join(b.Commands, "\n    ")
		b.Commands = slices.Concat(a.Commands, b.Commands)
		u.ByHand = strings.Replace(u.ByHand, old, "    "+strings.Join(b.Commands, "\n    "), 1)
		withoutBuild(p, s.ID, a)
	}))
	add("build in the foreground, beside the others", eachAwait(func(p *plan.Plan, s *plan.Step, a *plan.SSH) {
		begins, _ := p.Step(a.Build)
		begins.Action.Parameters.(*plan.SSH).Purpose, begins.Timeout = plan.Update, s.Timeout
		takeOut(p, s.ID, false)
	}))
	add("build again with the update", eachAwait(func(p *plan.Plan, s *plan.Step, a *plan.SSH) {
		u := updateOf(p, a)
		b := u.Action.Parameters.(*plan.SSH)
		b.Purpose, b.Commands = plan.AwaitBuild, a.Commands
		awaits(u, b, a.Build)
	}))
}

// awaits lets a step wait for the build that another step begins.
func awaits(s *plan.Step, a *plan.SSH, begins string) {
	a.Purpose, a.Build = plan.AwaitBuild, begins
	s.ByHand = fmt.Sprintf("Log in as in step %s and look at the build below ~/.csu, or do that step.", begins)
}

// eachAwait is a place for each step that waits for a build.
func eachAwait(change func(p *plan.Plan, s *plan.Step, a *plan.SSH)) func(*plan.Plan) []place {
	return eachAction(func(a *plan.SSH) bool { return a.Purpose == plan.AwaitBuild }, change)
}

func stageOf(p *plan.Plan, id string) string {
	i, _ := find(p, id)
	return p.Stages[i].ID
}

// updateOf returns the step that copies what was built.
func updateOf(p *plan.Plan, built *plan.SSH) *plan.Step {
	for s := range p.AllSteps() {
		if a, ok := s.Action.Parameters.(*plan.SSH); ok && a.Purpose == plan.Update && a.Host == built.Host && a.Service == built.Service {
			return s
		}
	}
	return nil
}

// withoutBuild takes out a build, the step that waits for it, its doubt, and its host where
// the stage's consent lists the hosts.
func withoutBuild(p *plan.Plan, waits string, a *plan.SSH) {
	stage := stageOf(p, a.Build)
	takeOut(p, waits, false)
	takeOut(p, a.Build, false)
	p.Doubts = slices.DeleteFunc(p.Doubts, func(d plan.Doubt) bool { return d.Purpose == plan.Build && d.Host == a.Host && d.Service == a.Service })
	p.Facts.Doubts = len(p.Doubts)
	for i := range p.Stages {
		if s := &p.Stages[i]; s.ID == stage {
			s.Consent = strings.NewReplacer(a.Host+", ", "", ", "+a.Host, "").Replace(s.Consent)
		}
	}
}
