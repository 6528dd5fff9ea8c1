package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/plan/plantest"
	"github.com/lsst-ts/csu/executor/timeline"
)

const hostile = "</title><script>alert(1)</script> | `x` **b** @channel \u202e\x1b[2J"

// reports returns the reports of a run whose texts are hostile: before its first record,
// after each one, and of a run that was forgotten for days.
func reports(t *testing.T) []*timeline.Report {
	t.Helper()
	p := plantest.Plan(&plan.Manual{Text: "Look."}, &plan.Manual{Text: "Look."})
	p.Upgrade.Reason = hostile
	p.Stages[0].Title = hostile
	l := timeline.NewLog(p, "d")
	out := []*timeline.Report{l.Report(timeline.Options{})}
	at := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for n, r := range []journal.Record{
		{Event: journal.RunBegun, Run: &journal.Run{ID: hostile, Digest: "d", Operator: hostile, Host: hostile, Version: hostile}},
		{Event: journal.Guarded, Text: hostile},
		{Event: journal.Answered, Stage: "all", Answer: &journal.Answer{Topic: "stage consent", Text: hostile, Choice: "yes", Reason: hostile, By: hostile, Via: "terminal"}},
		{Event: journal.StageBegun, Stage: "all"},
		{Event: journal.Started, Stage: "all", Step: "all/1", Attempt: 1, Evidence: json.RawMessage(`{"before":{"MTMount:0":"` + "ENABLED<" + `"}}`)},
		{Event: journal.Doubtful, Stage: "all", Step: "all/1", Attempt: 1, Verdict: "unknown", Text: hostile},
		{Event: journal.Outcome, Stage: "all", Step: "all/1", Attempt: 1, Verdict: "failed", Text: hostile},
		{Event: journal.Answered, Stage: "all", Step: "all/1", Answer: &journal.Answer{Topic: "failed", Text: hostile, Choice: "skip", Reason: hostile, By: hostile, Via: "terminal"}},
		{Event: journal.Started, Stage: "all", Step: "all/2", Attempt: 1},
		{Event: journal.Stopped, Text: hostile},
	} {
		r.Seq, r.Time = n+1, at
		if err := l.Take(&r); err != nil {
			t.Fatal(err)
		}
		out = append(out, l.Report(timeline.Options{Usual: time.Hour}))
		at = at.Add(37 * time.Second)
	}
	return append(out, l.Report(timeline.Options{Now: at.Add(100 * time.Hour)}))
}

var (
	idIn   = regexp.MustCompile(` id="([^"]*)"`)
	linkTo = regexp.MustCompile(` href="#([^"]*)"`)
	script = regexp.MustCompile(`(?i)<script|\son[a-z]+=|javascript:`)
)

// TestHostileText: what a journal says is shown as it is. It opens no element, ends no
// cell, mentions nobody and hides nothing.
func TestHostileText(t *testing.T) {
	for n, r := range reports(t) {
		page := written(t, HTML, r)
		if found := script.FindString(page); found != "" {
			t.Errorf("report %d: the page has %q", n, found)
		}
		ids := map[string]int{}
		for _, m := range idIn.FindAllStringSubmatch(page, -1) {
			ids[m[1]]++
		}
		for id, times := range ids {
			if times > 1 {
				t.Errorf("report %d: the page has the id %q %d times", n, id, times)
			}
		}
		for _, m := range linkTo.FindAllStringSubmatch(page, -1) {
			if ids[m[1]] == 0 {
				t.Errorf("report %d: a link leads to %q, which is not there", n, m[1])
			}
		}
		if strings.Contains(page, "NaN") || strings.Contains(page, "Inf") {
			t.Errorf("report %d: a bar has no place", n)
		}
		text := written(t, Markdown, r)
		cells := 0
		for line := range strings.Lines(text) {
			bars := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|")
			if !strings.HasPrefix(line, "|") {
				cells = 0
				continue
			}
			if cells == 0 {
				cells = bars
			}
			if bars != cells {
				t.Errorf("report %d: a row has %d bars, its table %d: %s", n, bars, cells, line)
			}
		}
		if strings.Contains(text, "<script") && !strings.Contains(text, `\<script`) || strings.Contains(text, " @channel") {
			t.Errorf("report %d: the text is markup:\n%s", n, text)
		}
		for _, out := range []string{page, text} {
			if strings.ContainsAny(out, "\x1b\u202e") {
				t.Errorf("report %d: a character that hides others is written as it is", n)
			}
		}
	}
}

func written(t *testing.T, write func(io.Writer, *timeline.Report) error, r *timeline.Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// failing is a writer that is full.
type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, fmt.Errorf("the disk is full") }

func TestWriteFails(t *testing.T) {
	r := reports(t)[3]
	for name, write := range map[string]func(io.Writer, *timeline.Report) error{"html": HTML, "markdown": Markdown} {
		if err := write(failing{}, r); err == nil || !strings.Contains(err.Error(), "write the report: the disk is full") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTicks: an axis has a few round times, whatever it spans.
func TestTicks(t *testing.T) {
	from := time.Date(2026, 11, 24, 12, 3, 17, 0, time.UTC)
	for _, span := range []time.Duration{0, time.Second, 50 * time.Second, 7 * time.Minute, time.Hour, 9 * time.Hour, 30 * time.Hour, 2000 * time.Hour} {
		a := newAxis(timeline.Span{Begun: from, Ended: from.Add(span)})
		if n := len(a.ticks()); n > 6 || span > time.Minute && n < 2 {
			t.Errorf("%s: %d ticks", span, n)
		}
	}
}
