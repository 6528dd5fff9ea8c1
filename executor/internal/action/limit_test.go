package action

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lsst-ts/csu/executor/internal/clock"
	"github.com/lsst-ts/csu/executor/internal/cluster"
	"github.com/lsst-ts/csu/executor/internal/efd"
	"github.com/lsst-ts/csu/executor/internal/registry"
	"github.com/lsst-ts/csu/executor/internal/slack"
	"github.com/lsst-ts/csu/executor/plan"
)

// slowly answers each request after a time.
type slowly struct {
	takes  time.Duration
	answer func(*http.Request) (status int, body string)
}

func (s slowly) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := clock.Real().Sleep(r.Context(), s.takes); err != nil {
		return nil, err
	}
	status, body := s.answer(r)
	header := http.Header{"Content-Type": {"application/json"}}
	if status == http.StatusTooManyRequests {
		header.Set("Retry-After", "7")
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

// nothing is the answer of an EFD without data.
func nothing(r *http.Request) (int, string) {
	var results []string
	for i := range strings.Split(r.FormValue("q"), ";\n") {
		results = append(results, fmt.Sprintf(`{"statement_id":%d}`, i))
	}
	return http.StatusOK, `{"results":[` + strings.Join(results, ",") + `]}`
}

// slowPod is a registryPod whose answers take time.
type slowPod struct {
	registryPod
	takes time.Duration
}

func (p *slowPod) Exec(ctx context.Context, a, b, c string, argv []string) (string, error) {
	if err := clock.Real().Sleep(ctx, p.takes); err != nil {
		return "", err
	}
	return p.registryPod.Exec(ctx, a, b, c, argv)
}

// keeps runs f, which must take the attempt's limit and no more than a tenth longer.
func keeps(t *testing.T, y *try, f func(context.Context, *Attempt) Finding, want Verdict, says string) {
	t.Helper()
	began := y.Systems.Clock.Now()
	expect(t, f(t.Context(), y.Attempt), want, says)
	if took := y.Systems.Clock.Since(began); took < y.Limit || took > y.Limit+y.Limit/10 {
		t.Errorf("it took %v, want the limit of %v or a tenth more", took, y.Limit)
	}
}

// A wait keeps to its limit if each look takes half of it, and if nothing answers. Time
// is that of the bubble, so the machine's speed does not matter.
func TestWatchKeepsToItsLimit(t *testing.T) {
	for name, c := range map[string]struct {
		takes time.Duration
		want  Verdict
		says  string
	}{
		"at once":        {0, Running, "look"},
		"half the limit": {30 * time.Minute, Running, "look 2"},
		"no answer":      {1000 * time.Hour, Unknown, "nothing answered within 1h"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				y := newTry(t, &Systems{Clock: clock.Real()}, &plan.Manual{})
				y.Limit = time.Hour
				looks := 0
				keeps(t, y, func(ctx context.Context, a *Attempt) Finding {
					return a.watch(ctx, a.limit(), 5*time.Second, func(ctx context.Context) (Finding, bool) {
						looks++
						if err := clock.Real().Sleep(ctx, c.takes); err != nil {
							return Found(Unknown, "%v", err), false
						}
						return Found(Running, "look %d", looks), false
					})
				}, c.want, c.says)
			})
		})
	}
}

// Requests to the EFD take a quarter of the limit, and a look makes two.
func TestSlowEFD(t *testing.T) {
	awaiting := &plan.AwaitState{Want: []plan.Want{{States: []string{plan.Standby}, CSCs: []string{"MTMount:0"}}}}
	running := &plan.Script{Queue: 1, Path: "x.py", Standard: true, Accept: []string{"DONE"}}
	setting := &plan.SetState{Queue: 1, State: plan.Standby, CSCs: []string{"MTMount:0"}}
	for name, c := range map[string]struct {
		d     plan.Parameters
		takes time.Duration
		want  Verdict
		says  string
	}{
		"await-state":            {awaiting, 15 * time.Second, Failed, "MTMount:0: unknown"},
		"await-state, no answer": {awaiting, time.Hour, Failed, "cannot determine the states"},
		"script":                 {running, 15 * time.Second, Unknown, "the EFD has no event"},
		"script, no answer":      {running, time.Hour, Unknown, "cannot determine what became of it"},
		"set-state":              {setting, 15 * time.Second, Running, "has not ended"},
		"set-state, no answer":   {setting, time.Hour, Running, "has not ended"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				clk := clock.Real()
				hc := &http.Client{Transport: slowly{c.takes, nothing}}
				y := newTry(t, &Systems{Clock: clk, EFD: efd.New("http://efd", "efd", "", "", hc, clk, testLag)}, c.d, row("MTMount:0"), row("ESS:105"))
				y.Limit = time.Minute
				note, err := json.Marshal(queueNote{Event: noteAdd, Identity: y.Identity, At: clk.Now()})
				if err != nil {
					t.Fatal(err)
				}
				y.Notes = []json.RawMessage{note}
				keeps(t, y, Of(c.d).Await, c.want, c.says)
			})
		})
	}
}

// The registry's answers take half the limit. The request's own answer was lost.
func TestSlowRegistry(t *testing.T) {
	lost := &cluster.LostError{Op: "exec", Err: errors.New("connection reset")}
	for name, c := range map[string]struct {
		takes time.Duration
		want  Verdict
	}{
		"slow":      {15 * time.Second, NotDone},
		"no answer": {time.Hour, Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pod := &slowPod{registryPod: registryPod{level: "FORWARD"}}
				pod.put = func(*registryPod, string) error { pod.takes = c.takes; return lost }
				y := newTry(t, &Systems{Clock: clock.Real(), Registry: registry.New(pod, "sasquatch", "app=x", "")}, &plan.Compatibility{Expect: "FORWARD", Set: "NONE"})
				y.Limit = 30 * time.Second
				y.prepare(t)
				keeps(t, y, Of(y.Step.Action.Parameters).Perform, c.want, "")
			})
		})
	}
}

// Slack's rate limit asks for one wait after another.
func TestAnnounceWaitsNoLongerThanItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clk := clock.Real()
		busy := slowly{0, func(*http.Request) (int, string) {
			return http.StatusTooManyRequests, `{"ok":false,"error":"ratelimited"}`
		}}
		client, err := slack.New("xoxb-token", "", "http://slack/api", &http.Client{Transport: busy}, clk)
		if err != nil {
			t.Fatal(err)
		}
		y := newTry(t, &Systems{Clock: clk, Slack: client}, &plan.Announce{Channel: "#summit", Text: "It begins."})
		y.Limit = 30 * time.Second
		began := clk.Now()
		expect(t, Of(y.Step.Action.Parameters).Perform(t.Context(), y.Attempt), Failed, "rate limit")
		if took := clk.Since(began); took != 28*time.Second {
			t.Errorf("it took %v, want four waits of 7 s", took)
		}
	})
}

// The look at the end takes what the EFD says, however late, and asks a few times where it
// says nothing: nobody looks after it.
func TestSlowEFDAtTheEnd(t *testing.T) {
	for name, c := range map[string]struct {
		takes time.Duration
		fails int
		says  string // in the error; "" if the states are known
	}{
		"slow":              {15 * time.Second, 0, ""},
		"no answer at once": {time.Second, 2, ""},
		"no answer":         {time.Second, 1000, "not now"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked := 0
				clk := clock.Real()
				hc := &http.Client{Transport: slowly{c.takes, func(r *http.Request) (int, string) {
					if asked++; asked <= c.fails {
						return http.StatusBadRequest, `{"error":"not now"}`
					}
					return nothing(r)
				}}}
				y := newTry(t, &Systems{Clock: clk, EFD: efd.New("http://efd", "efd", "", "", hc, clk, testLag)},
					&plan.AwaitState{Want: []plan.Want{{States: []string{plan.Standby}, CSCs: []string{"MTMount:0"}}}}, row("MTMount:0"))
				astray, err := LookAtEnd(t.Context(), y.Systems, y.Plan, []string{"MTMount:0"})
				switch {
				case c.says == "" && (err != nil || len(astray) != 1):
					t.Errorf("got %v, %v, want the CSC", astray, err)
				case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)):
					t.Errorf("got %v, %v, want an error", astray, err)
				}
				// And of a CSC that it waits for.
				asked = 0
				astray, err = LookAtEnd(t.Context(), y.Systems, y.Plan, nil)
				if c.says == "" && (err != nil || len(astray) != 1) {
					t.Errorf("waiting: got %v, %v, want the CSC", astray, err)
				}
			})
		})
	}
}
