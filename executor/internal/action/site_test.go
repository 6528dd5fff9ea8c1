package action

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	stdsync "sync"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/ground"
	"github.com/lsst-ts/csu/executor/internal/clock"
	"github.com/lsst-ts/csu/executor/internal/efd"
	"github.com/lsst-ts/csu/executor/internal/love"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
)

const testLag = 10 * time.Second

// site has a real InfluxDB as the EFD, a LOVE, and a model of the ScriptQueues.
// Time runs 60 times faster than real time.
type site struct {
	t       testing.TB
	db      *ground.InfluxDB
	systems *Systems

	mu       stdsync.Mutex
	commands []command                     // that LOVE received
	queue    func(c command) (int, string) // carries out a command and returns status and body
	seqNum   int

	beats   stdsync.Mutex
	beating map[efd.CSC]bool // send heartbeats
}

// command is a command that LOVE received.
type command struct {
	Queue  int    `json:"salindex"`
	Cmd    string `json:"cmd"`
	Params struct {
		Path, Config, Descr, ExecutionID string
		IsStandard                       bool
		Location                         int
	} `json:"params"`
}

func newSite(t testing.TB) *site {
	t.Helper()
	return newSiteAt(t, 60)
}

// newSiteAt is newSite with a different speed of time.
func newSiteAt(t testing.TB, speed float64) *site {
	t.Helper()
	s := &site{t: t, db: ground.StartInfluxDB(t, false), beating: map[efd.CSC]bool{}}
	now := time.Now()
	clk := clock.Fast(now, now, speed)
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.systems = &Systems{
		Clock: clk,
		LOVE:  love.New(server.URL+"/love", "operator", "a password", server.Client()),
		EFD:   efd.New(s.db.URL, s.db.Database, "", "", &http.Client{Transport: beforehand(s.beat)}, clk, testLag),
	}
	return s
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/get-token/") {
		_, _ = io.WriteString(w, `{"token":"t","permissions":{"execute_commands":true}}`)
		return
	}
	var c command
	if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
		s.t.Errorf("LOVE received a malformed command: %v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commands = append(s.commands, c)
	status, body := s.queue(c)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// added returns the scripts that LOVE was asked to add, and the number of resume
// commands.
func (s *site) added() (adds []command, resumes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.commands {
		switch c.Cmd {
		case "cmd_add":
			adds = append(adds, c)
		case "cmd_resume":
			resumes++
		}
	}
	return adds, resumes
}

// point writes a message of a topic with a time.
func (s *site) point(component, topic string, at time.Time, fields string) {
	s.t.Helper()
	s.db.Write(s.t, fmt.Sprintf("lsst.sal.%s.%s %s %d", component, topic, fields, at.UnixNano()))
}

func (s *site) now() time.Time { return s.systems.Clock.Now() }

// beforehand calls itself before each request.
type beforehand func()

func (b beforehand) RoundTrip(r *http.Request) (*http.Response, error) {
	b()
	return http.DefaultTransport.RoundTrip(r)
}

// beat writes the heartbeats that are due. Before each query, since at this speed a busy
// machine would make every CSC seem silent.
func (s *site) beat() {
	s.beats.Lock()
	defer s.beats.Unlock()
	for c := range s.beating {
		s.point(c.Component, "logevent_heartbeat", s.now().Add(time.Duration(c.Index)), fmt.Sprintf("salIndex=%di", c.Index))
	}
}

// stop ends the heartbeats of a CSC.
func (s *site) stop(csc string) {
	s.beats.Lock()
	defer s.beats.Unlock()
	c, err := efd.ParseCSC(csc)
	if err != nil {
		s.t.Error(err)
	}
	delete(s.beating, c)
}

// silence ends the heartbeats of a CSC and forgets those of its component.
func (s *site) silence(csc string) {
	s.stop(csc)
	component, _, _ := strings.Cut(csc, ":")
	s.db.Execute(s.t, fmt.Sprintf("DROP MEASUREMENT %q", "lsst.sal."+component+".logevent_heartbeat"))
}

var stateNumbers = map[string]int{"DISABLED": 1, "ENABLED": 2, "FAULT": 3, "OFFLINE": 4, "STANDBY": 5}

// state writes a summary state.
func (s *site) state(csc, state string, at time.Time) {
	s.t.Helper()
	c, err := efd.ParseCSC(csc)
	if err != nil {
		s.t.Fatal(err)
	}
	s.point(c.Component, "logevent_summaryState", at, fmt.Sprintf("salIndex=%di,summaryState=%di", c.Index, stateNumbers[state]))
}

// alive makes CSCs heard for the whole test, in a state.
func (s *site) alive(state string, cscs ...string) {
	s.t.Helper()
	for _, csc := range cscs {
		c, err := efd.ParseCSC(csc)
		if err != nil {
			s.t.Fatal(err)
		}
		s.beats.Lock()
		s.beating[c] = true
		s.beats.Unlock()
		s.state(csc, state, s.now().Add(-time.Hour+time.Duration(c.Index)))
	}
}

// command writes the command_add message of an add and returns its sequence number.
func (s *site) command(c command) int {
	s.seqNum++
	s.point("ScriptQueue", "command_add", s.now(), fmt.Sprintf("salIndex=%di,private_seqNum=%di,path=%q,descr=%q", c.Queue, s.seqNum, c.Params.Path, c.Params.Descr))
	return s.seqNum
}

// script writes an event of the script that a command added.
func (s *site) script(c command, seqNum int, process efd.ProcessState, state efd.ScriptState) {
	s.point("ScriptQueue", "logevent_script", s.now(), fmt.Sprintf(
		`salIndex=%di,scriptSalIndex=%di,cmdId=%di,path=%q,isStandard=true,executionId="",processState=%di,scriptState=%di`,
		c.Queue, 100000+seqNum, seqNum, c.Params.Path, process, state))
}

// content writes the content of a queue.
func (s *site) content(queue int, enabled, running bool, current int) {
	s.point("ScriptQueue", "logevent_queue", s.now(), fmt.Sprintf("salIndex=%di,enabled=%t,running=%t,currentSalIndex=%di,length=0i,pastLength=0i", queue, enabled, running, current))
}

// ends returns a queue whose scripts end at once.
func (s *site) ends(process efd.ProcessState, state efd.ScriptState) func(command) (int, string) {
	return func(c command) (int, string) {
		if c.Cmd == "cmd_resume" {
			s.content(c.Queue, true, true, 0)
			return http.StatusOK, `{"ack":"Done"}`
		}
		seqNum := s.command(c)
		s.script(c, seqNum, process, state)
		if process == efd.ProcessDone && state == efd.ScriptFailed {
			s.content(c.Queue, true, false, 100000+seqNum)
		}
		return http.StatusOK, fmt.Sprintf(`{"ack":"%d"}`, 100000+seqNum)
	}
}

// try is an attempt with its progress messages, questions and answers.
type try struct {
	*Attempt
	progress []string
	asked    []operator.Question
	answers  []operator.Choice
}

// newTry returns an attempt at a step of a plan with the CSCs.
func newTry(t testing.TB, systems *Systems, d plan.Parameters, rows ...plan.CSC) *try {
	t.Helper()
	step := plan.Step{ID: "stage/step", Title: "a step", Action: plan.Action{Parameters: d}}
	p := &plan.Plan{CSCs: rows, Stages: []plan.Stage{{ID: "stage", Steps: []plan.Step{step}}}}
	y := &try{}
	y.Attempt = &Attempt{
		Plan: p, Step: &p.Stages[0].Steps[0], Systems: systems, Operator: "ann",
		Identity: "csu-r7k/stage/step/1", Limit: 2 * time.Minute, Started: systems.Clock.Now(),
		Note: func(v any) error {
			raw, err := json.Marshal(v)
			y.Notes = append(y.Notes, raw)
			return err
		},
		Progress: func(format string, args ...any) { y.progress = append(y.progress, fmt.Sprintf(format, args...)) },
		Ask: func(ctx context.Context, question func(context.Context) (operator.Question, bool)) (operator.Answer, error) {
			q, wanted := question(ctx)
			if !wanted {
				return operator.Answer{}, errors.New("nothing left to ask")
			}
			y.asked = append(y.asked, q)
			if len(y.answers) == 0 {
				return operator.Answer{}, &operator.UnattendedError{Question: q, Want: "a terminal"}
			}
			choice := y.answers[0]
			y.answers = y.answers[1:]
			return operator.Answer{Choice: choice, By: "ann", Via: "terminal"}, nil
		},
	}
	return y
}

// prepare sets the evidence and fails the test if Prepare fails.
func (y *try) prepare(t testing.TB) {
	t.Helper()
	evidence, err := Of(y.Step.Action.Parameters).Prepare(t.Context(), y.Attempt)
	if err != nil {
		t.Fatalf("prepare: %v", err)
	}
	if y.Evidence, err = json.Marshal(evidence); err != nil {
		t.Fatal(err)
	}
}

// perform prepares and performs.
func (y *try) perform(t testing.TB) Finding {
	t.Helper()
	y.prepare(t)
	return Of(y.Step.Action.Parameters).Perform(t.Context(), y.Attempt)
}

func (y *try) probe(t testing.TB) Finding {
	t.Helper()
	return Of(y.Step.Action.Parameters).Probe(t.Context(), y.Attempt)
}

// expect fails the test unless the finding has the verdict and contains the texts.
func expect(t testing.TB, got Finding, want Verdict, says ...string) {
	t.Helper()
	if got.Verdict != want {
		t.Errorf("verdict = %q (%s), want %q", got.Verdict, got.Text, want)
		return
	}
	for _, text := range says {
		if !strings.Contains(got.Text, text) {
			t.Errorf("finding %q: %s\nwant it to contain %q", got.Verdict, got.Text, text)
		}
	}
}

// row returns a CSC of the plan.
func row(csc string) plan.CSC { return plan.CSC{CSC: csc, Host: "azar03"} }

// blind returns systems with an EFD that does not answer.
func blind(systems *Systems) *Systems {
	b := *systems
	now := time.Now()
	b.Clock = clock.Fast(now, now, 1000)
	b.EFD = efd.New("http://127.0.0.1:1", "efd", "", "", nil, b.Clock, testLag)
	return &b
}
