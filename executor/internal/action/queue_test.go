package action

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/lsst-ts/csu/executor/internal/efd"
	"github.com/lsst-ts/csu/executor/operator"
)

// later makes something happen while the attempt's questions wait for their turn.
func (y *try) later(happens func()) {
	ask := y.Ask
	y.Ask = func(ctx context.Context, question func(context.Context) (operator.Question, bool)) (operator.Answer, error) {
		happens()
		return ask(ctx, question)
	}
}

// The operator is shown what the queue holds when the question is asked, and is not
// asked at all if the queue runs again.
func TestPausedQueueIsReadWhenItIsAskedAbout(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		happens func(*site)
		want    Verdict
		says    string
		shown   string // "" if there is no question
		resumes int
	}{
		"another script":     {func(s *site) { s.content(1, true, false, 100008) }, Done, "ended DONE", "script 100008", 1},
		"resumed by others":  {func(s *site) { s.content(1, true, true, 0) }, Done, "ended DONE", "", 0},
		"disabled by others": {func(s *site) { s.content(1, false, false, 0) }, NotDone, "not ENABLED", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := newQueueSite(t)
			s.queue = s.ends(efd.ProcessDone, efd.ScriptDone)
			s.content(1, true, false, 100007)
			y := newTry(t, s.systems, shutdown("DONE"))
			y.answers = []operator.Choice{operator.Yes}
			y.later(func() { test.happens(s) })
			expect(t, y.perform(t), test.want, test.says)
			adds, resumes := s.added()
			if resumes != test.resumes || (len(adds) == 1) != (test.want == Done) {
				t.Errorf("%d adds and %d resumes, want %d resumes", len(adds), resumes, test.resumes)
			}
			shown := slices.ContainsFunc(y.asked, func(q operator.Question) bool {
				return strings.Contains(q.Reading, test.shown) && !strings.Contains(q.Reading, "100007")
			})
			if len(y.asked) != test.resumes || shown != (test.shown != "") {
				t.Errorf("asked %+v, want %d questions that show %q", y.asked, test.resumes, test.shown)
			}
		})
	}
}
