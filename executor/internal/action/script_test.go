package action

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/internal/efd"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
)

func shutdown(accept ...string) *plan.Script {
	return &plan.Script{Queue: 1, Path: "system_wide_shutdown.py", Standard: true, Config: "user: ann\n", Accept: accept}
}

// newQueueSite returns a site whose ScriptQueue:1 is ready.
func newQueueSite(t *testing.T) *site {
	s := newSite(t)
	s.alive("ENABLED", "ScriptQueue:1")
	s.content(1, true, true, 0)
	return s
}

func TestScriptIsJudgedByItsEnd(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		process efd.ProcessState
		state   efd.ScriptState
		accept  []string
		want    Verdict
		says    string
	}{
		"done":             {efd.ProcessDone, efd.ScriptDone, []string{"DONE"}, Done, "ended DONE"},
		"failed":           {efd.ProcessDone, efd.ScriptFailed, []string{"DONE"}, Failed, "ScriptQueue:1 is now paused"},
		"failed, accepted": {efd.ProcessDone, efd.ScriptFailed, []string{"DONE", "FAILED"}, Done, "ended FAILED, which this step accepts"},
		"not loaded":       {efd.ProcessLoadFailed, efd.ScriptUnknown, []string{"DONE", "FAILED"}, Failed, "LOADFAILED"},
		"not configured":   {efd.ProcessConfigureFailed, efd.ScriptConfigureFailed, []string{"DONE"}, Failed, "CONFIGURE_FAILED"},
		"terminated":       {efd.ProcessTerminated, efd.ScriptRunning, []string{"DONE"}, Failed, "TERMINATED"},
		"stopped":          {efd.ProcessDone, efd.ScriptStopped, []string{"DONE"}, Failed, "STOPPED"},
		"waits":            {efd.ProcessConfigured, efd.ScriptConfigured, []string{"DONE"}, Running, "CONFIGURED"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newQueueSite(t)
			s.queue = s.ends(test.process, test.state)
			y := newTry(t, s.systems, shutdown(test.accept...))
			y.Limit = 20 * time.Second
			expect(t, y.perform(t), test.want, test.says)
			expect(t, y.probe(t), test.want, test.says)
			adds, _ := s.added()
			if len(adds) != 1 {
				t.Fatalf("added %d scripts, want one", len(adds))
			}
			c := adds[0]
			if c.Params.Descr != y.Identity || c.Params.ExecutionID != y.Identity || c.Params.Location != 2 || !c.Params.IsStandard || c.Params.Config != "user: ann\n" {
				t.Errorf("added %+v, want the script at the end of the queue under its identity", c)
			}
		})
	}
}

// A script that failed says why: the operator need not look for its log elsewhere.
func TestScriptThatFailedSaysWhy(t *testing.T) {
	t.Parallel()
	s := newQueueSite(t)
	ends := s.ends(efd.ProcessDone, efd.ScriptFailed)
	s.queue = func(c command) (int, string) {
		index := 100001 + s.seqNum
		s.point("Script", "logevent_state", s.now(), fmt.Sprintf(`salIndex=%di,state=10i,reason="Error in run: no mirror"`, index))
		s.point("Script", "logevent_logMessage", s.now(), fmt.Sprintf(`salIndex=%di,level=40i,message="M1M3 does not answer",traceback=""`, index))
		return ends(c)
	}
	y := newTry(t, s.systems, shutdown("DONE"))
	y.Limit = 20 * time.Second
	for _, f := range []Finding{y.perform(t), y.probe(t)} {
		expect(t, f, Failed, "its reason: Error in run: no mirror", "it logged: ", "UTC ERROR M1M3 does not answer", "read the script's log in LOVE")
	}
}

func TestScriptIsNotAddedToAQueueThatWouldNotRunIt(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		site func(*site)
		says string
	}{
		"not enabled":        {func(s *site) { s.alive("DISABLED", "ScriptQueue:1"); s.content(1, false, true, 0) }, "not ENABLED"},
		"silent":             {func(s *site) { s.alive("ENABLED", "GIS:0"); s.content(1, true, true, 0) }, "silent"},
		"nothing heard":      {func(s *site) { s.content(1, true, true, 0) }, "unknown"},
		"content not known":  {func(s *site) { s.alive("ENABLED", "ScriptQueue:1") }, "no record of the content"},
		"paused, unattended": {func(s *site) { s.alive("ENABLED", "ScriptQueue:1"); s.content(1, true, false, 7) }, "paused"},
	} {
		s := newSite(t)
		s.queue = s.ends(efd.ProcessDone, efd.ScriptDone)
		test.site(s)
		y := newTry(t, s.systems, shutdown("DONE"), row("ScriptQueue:1"), row("GIS:0"))
		expect(t, y.perform(t), NotDone, test.says)
		expect(t, y.probe(t), NotDone)
		if adds, resumes := s.added(); len(adds)+resumes > 0 {
			t.Errorf("%s: %d adds and %d resumes, want none", name, len(adds), resumes)
		}
	}
}

func TestPausedQueueIsResumedOnlyIfTheOperatorSaysSo(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		answer  operator.Choice
		want    Verdict
		resumes int
	}{{operator.Yes, Done, 1}, {operator.No, NotDone, 0}} {
		s := newQueueSite(t)
		s.queue = s.ends(efd.ProcessDone, efd.ScriptDone)
		old := command{Queue: 1}
		old.Params.Path, old.Params.Descr = "auxtel/take_image.py", "of another user"
		s.script(old, s.command(old), efd.ProcessDone, efd.ScriptFailed)
		s.content(1, true, false, 100001)
		y := newTry(t, s.systems, shutdown("DONE"))
		y.answers = []operator.Choice{test.answer}
		expect(t, y.perform(t), test.want)
		adds, resumes := s.added()
		if resumes != test.resumes || len(adds) != test.resumes {
			t.Errorf("%s: %d adds and %d resumes, want %d of each", test.answer, len(adds), resumes, test.resumes)
		}
		if len(y.asked) != 1 || y.asked[0].Topic != operator.QueuePaused || !strings.Contains(y.asked[0].Reading, "auxtel/take_image.py, FAILED") {
			t.Errorf("%s: asked %+v, want one question that shows the queue's current script", test.answer, y.asked)
		}
	}
}

func TestAddWithoutAcknowledgementIsLookedForInTheEFD(t *testing.T) {
	t.Parallel()
	const timeout = `{"ack":"Command time out."}`
	for name, test := range map[string]struct {
		queue func(*site, command) (int, string)
		want  Verdict
		says  string
	}{
		"refused by LOVE": {func(*site, command) (int, string) { return http.StatusForbidden, `{"detail":"no permission"}` }, NotDone, "no permission"},
		"refused by the queue": {func(s *site, c command) (int, string) {
			s.command(c)
			return http.StatusInternalServerError, ""
		}, NotDone, "no script resulting from it"},
		"never sent":                {func(*site, command) (int, string) { return http.StatusGatewayTimeout, timeout }, NotDone, "no such command"},
		"sent, and the queue hangs": {func(s *site, c command) (int, string) { s.command(c); return http.StatusGatewayTimeout, timeout }, Unknown, "check ScriptQueue:1"},
		"added, and the answer lost": {func(s *site, c command) (int, string) {
			s.ends(efd.ProcessDone, efd.ScriptDone)(c)
			return http.StatusGatewayTimeout, timeout
		}, Done, "ended DONE"},
	} {
		s := newQueueSite(t)
		s.queue = func(c command) (int, string) { return test.queue(s, c) }
		y := newTry(t, s.systems, shutdown("DONE"))
		expect(t, y.perform(t), test.want, test.says)
		if adds, _ := s.added(); len(adds) != 1 {
			t.Errorf("%s: LOVE was asked %d times, want once", name, len(adds))
		}
	}
}

func TestEFDThatLagsBehindDoesNotSayThatAScriptIsNotThere(t *testing.T) {
	t.Parallel()
	s := newSiteAt(t, 15) // faster, and the events would be too old to be found at the end
	s.alive("ENABLED", "ScriptQueue:1")
	s.content(1, true, true, 0)
	s.queue = func(command) (int, string) {
		// The EFD stops ingesting data. The last heartbeat is half a minute ahead,
		// less than csu needs to be certain.
		s.silence("ScriptQueue:1")
		s.point("ScriptQueue", "logevent_heartbeat", s.now().Add(commandLimit), "salIndex=1i")
		return http.StatusGatewayTimeout, `{"ack":"Command time out."}`
	}
	y := newTry(t, s.systems, shutdown("DONE"))
	expect(t, y.perform(t), Unknown, "too early to tell")
	expect(t, y.probe(t), Unknown)
}

// A laptop may sleep between the record of the intent and the command, which then
// reaches LOVE long after the record.
func TestScriptWhoseCommandMayHaveComeLate(t *testing.T) {
	t.Parallel()
	s := newSiteAt(t, 30)
	s.state("ScriptQueue:1", "ENABLED", s.now().Add(-time.Hour))
	s.point("ScriptQueue", "logevent_heartbeat", s.now(), "salIndex=1i")
	s.content(1, true, true, 0)
	y := newTry(t, s.systems, shutdown("DONE"))
	if err := y.Note(queueNote{Event: noteAdd, Identity: y.Identity, At: s.now().Add(-time.Hour)}); err != nil {
		t.Fatal(err)
	}
	expect(t, y.probe(t), Unknown, "too early to tell")
	s.alive("ENABLED", "ScriptQueue:1")
	expect(t, y.probe(t), NotDone, "no such script")
}

func TestScriptProbe(t *testing.T) {
	t.Parallel()
	s := newQueueSite(t)
	s.queue = s.ends(efd.ProcessRunning, efd.ScriptRunning)
	y := newTry(t, s.systems, shutdown("DONE"))
	y.Limit = 10 * time.Second
	expect(t, y.perform(t), Running, "RUNNING")
	expect(t, Of(y.Step.Action.Parameters).Await(t.Context(), y.Attempt), Running)
	adds, _ := s.added()
	s.script(adds[0], 1, efd.ProcessDone, efd.ScriptDone)
	expect(t, y.probe(t), Done)
	expect(t, Of(y.Step.Action.Parameters).Await(t.Context(), y.Attempt), Done)

	// Only the intent: csu ended between the record and the command.
	lost := newTry(t, s.systems, shutdown("DONE"))
	lost.Identity = "r7k/stage/step/2"
	q := script{shutdown("DONE")}.queueing(lost.Attempt)
	if err := q.note(queueNote{Event: noteAdd, Identity: lost.Identity}); err != nil {
		t.Fatal(err)
	}
	expect(t, lost.probe(t), NotDone, "no such script")

	// Without the EFD the outcome is unknown.
	dead := blind(s.systems)
	y.Systems, lost.Systems = dead, dead
	expect(t, y.probe(t), Unknown)
	expect(t, lost.probe(t), Unknown)
	fresh := newTry(t, dead, shutdown("DONE"))
	expect(t, fresh.perform(t), NotDone, "no script was added")
}

func TestScriptIsFoundByTheIndexThatLOVEGave(t *testing.T) {
	t.Parallel()
	s := newQueueSite(t)
	s.queue = func(c command) (int, string) {
		// The EFD has lost the command, and the queue's events have no identities.
		s.script(c, 7, efd.ProcessDone, efd.ScriptDone)
		return http.StatusOK, `{"ack":"100007"}`
	}
	y := newTry(t, s.systems, shutdown("DONE"))
	expect(t, y.perform(t), Done, "script 100007")
	expect(t, y.probe(t), Done)
	reading, err := Of(y.Step.Action.Parameters).Reading(t.Context(), y.Attempt)
	if err != nil || !strings.HasPrefix(reading, "ScriptQueue:1, as of ") || !strings.HasSuffix(reading, "it is empty") {
		t.Errorf("reading = %q, %v, want an empty queue", reading, err)
	}
}

func TestScriptInAPausedQueueSaysSo(t *testing.T) {
	t.Parallel()
	s := newQueueSite(t)
	waits := s.ends(efd.ProcessConfigured, efd.ScriptConfigured)
	s.queue = func(c command) (int, string) {
		status, body := waits(c)
		// Another user's script fails in the meantime.
		s.point("ScriptQueue", "logevent_queue", s.now().Add(time.Second), "salIndex=1i,enabled=true,running=false,currentSalIndex=99i,length=0i,pastLength=0i")
		return status, body
	}
	y := newTry(t, s.systems, shutdown("DONE"))
	y.Limit = 10 * time.Second
	expect(t, y.perform(t), Running)
	if progress := strings.Join(y.progress, "\n"); !strings.Contains(progress, "ScriptQueue:1 is paused and does not run the script") || !strings.Contains(progress, "script 99") {
		t.Errorf("progress %q, want the paused queue and its current script", progress)
	}
}
