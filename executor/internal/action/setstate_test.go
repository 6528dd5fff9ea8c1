package action

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lsst-ts/csu/executor/internal/efd"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
)

// moves runs set_summary_state.py like the standard script: in order, until a CSC
// does not reach its state.
func (s *site) moves(stuck ...string) func(command) (int, string) {
	return func(c command) (int, string) {
		if c.Cmd == "cmd_resume" {
			return s.ends(0, 0)(c)
		}
		for line := range strings.Lines(c.Params.Config) {
			entry, ok := strings.CutPrefix(strings.TrimSpace(line), "- [")
			if !ok {
				continue
			}
			name, state, _ := strings.Cut(strings.TrimSuffix(entry, "]"), ", ")
			for _, other := range stuck {
				if name == other {
					return s.ends(efd.ProcessDone, efd.ScriptFailed)(c)
				}
			}
			if state == "OFFLINE" {
				s.stop(name)
			}
			s.state(name, state, s.now())
		}
		return s.ends(efd.ProcessDone, efd.ScriptDone)(c)
	}
}

func configs(adds []command) []string {
	var all []string
	for _, c := range adds {
		all = append(all, c.Params.Config)
	}
	return all
}

func TestSetStateInGroups(t *testing.T) {
	t.Parallel()
	s := newQueueSite(t)
	s.alive("STANDBY", "ESS:104", "ESS:105", "GIS:0", "Watcher:0")
	s.alive("ENABLED", "HVAC:0")
	s.queue = s.moves()
	d := &plan.SetState{Queue: 1, State: plan.Enabled, CSCs: []string{"ESS:104", "HVAC:0", "ESS:105", "GIS:0", "Watcher:0"}, GroupSize: 3}
	y := newTry(t, s.systems, d)
	expect(t, y.perform(t), Done, "all 5 CSCs are ENABLED")
	adds, _ := s.added()
	want := []string{
		"data:\n- [ESS:104, ENABLED]\n- [ESS:105, ENABLED]\n- [GIS, ENABLED]\nmute_alarms: false\n",
		"data:\n- [Watcher, ENABLED]\nmute_alarms: false\n",
	}
	if diff := cmp.Diff(want, configs(adds)); diff != "" {
		t.Errorf("configurations (-want +got):\n%s", diff)
	}
	if adds[0].Params.Descr != y.Identity+"/g1" || adds[1].Params.Descr != y.Identity+"/g2" {
		t.Errorf("identities %q and %q, want one per group", adds[0].Params.Descr, adds[1].Params.Descr)
	}
	expect(t, y.probe(t), Done)

	again := newTry(t, s.systems, d)
	expect(t, again.perform(t), Done, "nothing to do")
	if adds, _ := s.added(); len(adds) != 2 {
		t.Errorf("%d scripts, want none if all CSCs are in the state", len(adds)-2)
	}
}

func TestSetStateGoesOnAfterAGroupThatFailed(t *testing.T) {
	t.Parallel()
	s := newQueueSite(t)
	s.alive("STANDBY", "ESS:104", "ESS:105", "GIS:0", "Watcher:0")
	s.queue = s.moves("ESS:104")
	ess104 := row("ESS:104")
	ess104.Principal = "ESS principal"
	d := &plan.SetState{Queue: 1, State: plan.Enabled, CSCs: []string{"ESS:104", "ESS:105", "GIS:0", "Watcher:0"}, GroupSize: 2}
	y := newTry(t, s.systems, d, ess104, row("ESS:105"))
	y.answers = []operator.Choice{operator.Yes}
	expect(t, y.perform(t), Failed, "2 of 4 CSCs are ENABLED", "ESS:104: STANDBY since", "ESS principal", "ESS:105: STANDBY", "ended FAILED")
	if len(y.asked) != 1 || y.asked[0].Topic != operator.QueuePaused || !strings.Contains(y.asked[0].Reading, "set_summary_state.py, FAILED") {
		t.Errorf("asked %+v, want whether the paused queue may be resumed", y.asked)
	}
	expect(t, y.probe(t), Failed, "2 of 4")

	// If the operator declines to resume the queue, no script follows.
	single := *d
	single.GroupSize = 1
	no := newTry(t, s.systems, &single)
	no.answers = []operator.Choice{operator.No}
	before, _ := s.added()
	expect(t, no.perform(t), Failed, "the operator declined to resume it")
	if adds, _ := s.added(); len(adds) != len(before)+1 {
		t.Errorf("%d scripts after a no, want only the first group's", len(adds)-len(before))
	}
}

func TestSetStateTakesSilentCSCsLast(t *testing.T) {
	t.Parallel()
	s := newQueueSite(t)
	s.alive("STANDBY", "ESS:105", "GIS:0")
	s.state("ESS:104", "STANDBY", s.now().Add(-time.Hour))
	y := newTry(t, s.systems, &plan.SetState{Queue: 1, State: plan.Enabled, CSCs: []string{"ESS:104", "ESS:105", "GIS:0"}, GroupSize: 5})
	y.prepare(t)
	reading, err := Of(y.Step.Action.Parameters).Reading(t.Context(), y.Attempt)
	if err != nil || !strings.Contains(reading, "ESS:104: silent") || !strings.Contains(reading, "GIS:0: STANDBY since") {
		t.Errorf("reading = %q, %v, want the state of each CSC", reading, err)
	}
	const want = `{"before":{"ESS:104":"silent","ESS:105":"STANDBY","GIS:0":"STANDBY"},"groups":[["ESS:105","GIS:0"],["ESS:104"]]}`
	if string(y.Evidence) != want {
		t.Errorf("evidence %s, want %s", y.Evidence, want)
	}
}

func TestSetStateIsJudgedByWhereTheCSCsAre(t *testing.T) {
	t.Parallel()
	s := newQueueSite(t)
	s.alive("STANDBY", "GIS:0")
	s.queue = func(c command) (int, string) {
		s.state("GIS:0", "ENABLED", s.now())
		return s.ends(efd.ProcessDone, efd.ScriptFailed)(c)
	}
	y := newTry(t, s.systems, &plan.SetState{Queue: 1, State: plan.Enabled, CSCs: []string{"GIS:0"}})
	expect(t, y.perform(t), Done, "GIS:0 is ENABLED", "ended FAILED")

	// And the other way round: the script ends DONE, but the CSC is in FAULT.
	s.content(1, true, true, 0)
	s.alive("FAULT", "Watcher:0")
	s.queue = s.ends(efd.ProcessDone, efd.ScriptDone)
	y = newTry(t, s.systems, &plan.SetState{Queue: 1, State: plan.Enabled, CSCs: []string{"Watcher:0"}})
	expect(t, y.perform(t), Failed, "Watcher:0: FAULT")
}

func TestQueuesTakeThemselvesDown(t *testing.T) {
	t.Parallel()
	for name, last := range map[string]efd.ProcessState{"no last event": efd.ProcessRunning, "terminated": efd.ProcessTerminated} {
		s := newQueueSite(t)
		s.alive("ENABLED", "ScriptQueue:2", "ScriptQueue:3")
		s.content(1, true, true, 0)
		s.queue = func(c command) (int, string) {
			status, body := s.moves()(c)
			s.script(c, s.seqNum, last, efd.ScriptRunning)
			return status, body
		}
		d := &plan.SetState{Queue: 1, State: plan.Offline, CSCs: []string{"ScriptQueue:3", "ScriptQueue:2", "ScriptQueue:1"}}
		y := newTry(t, s.systems, d)
		got := y.perform(t)
		expect(t, got, Done, "all 3 CSCs are OFFLINE")
		if strings.Contains(got.Text, "read the script's log") {
			t.Errorf("%s: %s, want no problem reported: a queue that goes down terminates its script", name, got.Text)
		}
		adds, _ := s.added()
		if diff := cmp.Diff([]string{"data:\n- [ScriptQueue:3, OFFLINE]\n- [ScriptQueue:2, OFFLINE]\n- [ScriptQueue:1, OFFLINE]\nmute_alarms: false\n"}, configs(adds)); diff != "" {
			t.Errorf("%s: configurations (-want +got):\n%s", name, diff)
		}
		expect(t, y.probe(t), Done)
	}
}

func TestSetStateDoesNotBeginWhereNothingIsKnown(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	y := newTry(t, s.systems, &plan.SetState{Queue: 1, State: plan.Offline, CSCs: []string{"GIS:0"}}, row("GIS:0"))
	_, err := Of(y.Step.Action.Parameters).Prepare(t.Context(), y.Attempt)
	if err == nil || !strings.Contains(err.Error(), "GIS:0: unknown") {
		t.Errorf("prepare = %v, want an error: silence without a witness is not OFFLINE", err)
	}
}

func TestSetStateProbe(t *testing.T) {
	t.Parallel()
	s := newQueueSite(t)
	s.alive("STANDBY", "GIS:0")
	d := &plan.SetState{Queue: 1, State: plan.Enabled, CSCs: []string{"GIS:0"}}
	y := newTry(t, s.systems, d)
	y.prepare(t)
	expect(t, y.probe(t), NotDone, "no script was added", "GIS:0: STANDBY")

	s.queue = s.ends(efd.ProcessRunning, efd.ScriptRunning)
	y.Limit = 10 * time.Second
	expect(t, Of(d).Perform(t.Context(), y.Attempt), Running, "RUNNING")
	expect(t, y.probe(t), Running)

	y.Systems = blind(s.systems)
	expect(t, y.probe(t), Unknown)
	y.Systems = s.systems

	s.state("GIS:0", "ENABLED", s.now())
	adds, _ := s.added()
	s.script(adds[0], 1, efd.ProcessDone, efd.ScriptDone)
	expect(t, Of(d).Await(t.Context(), y.Attempt), Done)
	expect(t, y.probe(t), Done)

	// LOVE refused, so csu knows that nothing was started.
	s.alive("STANDBY", "Watcher:0")
	s.queue = func(command) (int, string) { return http.StatusForbidden, "" }
	refused := newTry(t, s.systems, &plan.SetState{Queue: 1, State: plan.Enabled, CSCs: []string{"Watcher:0"}})
	refused.Identity = "r7k/stage/step/2"
	expect(t, refused.perform(t), NotDone, "LOVE refused it")
	expect(t, refused.probe(t), NotDone)
}

// After a crash between two scripts, or while one ran, the rest may follow without
// a question, unless a CSC of a script that was added is not in the state.
func TestSetStateCutShort(t *testing.T) {
	t.Parallel()
	s := newQueueSite(t)
	s.alive("STANDBY", "ESS:104", "GIS:0", "Watcher:0")
	s.queue = s.ends(efd.ProcessRunning, efd.ScriptRunning)
	d := &plan.SetState{Queue: 1, State: plan.Enabled, CSCs: []string{"ESS:104", "GIS:0", "Watcher:0"}, GroupSize: 1}
	y := newTry(t, s.systems, d)
	y.prepare(t)
	y.Limit = 10 * time.Second
	expect(t, Of(d).Perform(t.Context(), y.Attempt), Running, "RUNNING")

	adds, _ := s.added()
	s.script(adds[0], 1, efd.ProcessDone, efd.ScriptDone)
	expect(t, Of(d).Await(t.Context(), y.Attempt), Failed, "0 of 3 CSCs are ENABLED")
	s.state("ESS:104", "ENABLED", s.now())
	expect(t, Of(d).Await(t.Context(), y.Attempt), CutShort, "no script was added for GIS:0, Watcher:0")
	expect(t, y.probe(t), CutShort, "no script was added for GIS:0, Watcher:0")

	// The next script was about to be added, but did not reach LOVE.
	if err := y.Note(queueNote{Event: noteAdd, Identity: y.Identity + "/g2", At: s.now().Add(-time.Hour)}); err != nil {
		t.Fatal(err)
	}
	expect(t, y.probe(t), CutShort, "no script was added for GIS:0, Watcher:0")
}
