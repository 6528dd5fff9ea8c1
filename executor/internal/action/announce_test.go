package action

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/lsst-ts/csu/executor/internal/clock"
	"github.com/lsst-ts/csu/executor/internal/slack"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
)

func TestAnnounce(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status   int
		body     string
		handover bool
		answers  []operator.Choice
		want     Verdict
		says     string
	}{
		"posted":                 {200, `{"ok":true,"ts":"1.2"}`, true, nil, Done, "posted to #summit-announce"},
		"refused":                {200, `{"ok":false,"error":"channel_not_found"}`, false, nil, Failed, "channel_not_found"},
		"refused, passed on":     {200, `{"ok":false,"error":"channel_not_found"}`, true, []operator.Choice{operator.Yes}, Done, "ann told those waiting by hand"},
		"refused, not passed on": {200, `{"ok":false,"error":"channel_not_found"}`, true, []operator.Choice{operator.No}, NotDone, "has not told"},
		"refused, no terminal":   {200, `{"ok":false,"error":"channel_not_found"}`, true, nil, NotDone, "no terminal"},
		"lost":                   {500, ``, true, []operator.Choice{operator.Yes}, Unknown, "check whether the message is in #summit-announce"},
	} {
		t.Run(name, func(t *testing.T) {
			posts := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				posts++
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			}))
			defer server.Close()
			client, err := slack.New("xoxb-token", "", server.URL, server.Client(), clock.Real())
			if err != nil {
				t.Fatal(err)
			}
			y := newTry(t, &Systems{Clock: clock.Real(), Slack: client}, &plan.Announce{Channel: "#summit-announce", Text: "Stage 1 may begin.", Handover: test.handover})
			y.answers = test.answers
			expect(t, y.perform(t), test.want, test.says)
			expect(t, y.probe(t), Unknown, "Stage 1 may begin.")
			if posts != 1 {
				t.Errorf("%d posts, want one: a message is never sent again", posts)
			}
			for _, q := range y.asked {
				if q.Topic != operator.Handover || q.Title != "a step" || !strings.Contains(q.Text, "Stage 1 may begin.") {
					t.Errorf("asked %+v, want the operator to hand over the text", q)
				}
			}
		})
	}
	without, err := slack.New("", "", "", nil, clock.Real())
	if err != nil {
		t.Fatal(err)
	}
	y := newTry(t, &Systems{Clock: clock.Real(), Slack: without}, &plan.Announce{Channel: "#x", Text: "It begins."})
	expect(t, y.perform(t), Failed, "by hand:\nIt begins.")
}

func TestManual(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.alive("STANDBY", "MTM2:0")
	m2 := row("MTM2:0")
	m2.Principal = "M2 principal"
	d := &plan.Manual{Text: "Switch M2 to closed loop.", CSCs: []string{"MTM2:0"}}
	for answer, want := range map[operator.Choice]struct {
		verdict Verdict
		says    string
	}{operator.Yes: {Done, "confirmed by ann"}, operator.No: {NotDone, "ann says"}} {
		y := newTry(t, s.systems, d, m2)
		y.answers = []operator.Choice{answer}
		y.Step.Principals = []string{"M2 principal"}
		expect(t, y.perform(t), want.verdict, want.says)
		q := y.asked[0]
		if q.Topic != operator.Manual || q.Text != d.Text || len(q.Principals) != 1 ||
			!strings.HasPrefix(q.Reading, "MTM2:0: STANDBY since ") || !strings.HasSuffix(q.Reading, "(M2 principal)") {
			t.Errorf("asked %+v, want the plan's text, the principals and where the CSC is", q)
		}
	}
	y := newTry(t, s.systems, d, m2)
	// An unanswered question can be asked again.
	expect(t, y.perform(t), NotDone, "no terminal")
	expect(t, y.probe(t), NotDone)
}
