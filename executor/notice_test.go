package executor

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/internal/gate"
	"github.com/lsst-ts/csu/executor/ledger/ledgertest"
	"github.com/lsst-ts/csu/executor/operator"
)

// outageNotices are what the operator was told of the cluster that does not answer.
func (p *person) outageNotices() (texts []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.told {
		if e.Kind == operator.Notice && (strings.HasPrefix(e.Text, "the cluster has not answered") || strings.HasPrefix(e.Text, "the cluster still")) {
			texts = append(texts, e.Text)
		}
	}
	return texts
}

// TestOutageNotices: what an outage means is told in full once for each outage, and
// after that in a line with each renewal that fails.
func TestOutageNotices(t *testing.T) {
	b := twoStages(t)
	var away atomic.Bool
	b.ledger.Fault = func(string) ledgertest.Outcome {
		if away.Load() {
			return ledgertest.Away
		}
		return ""
	}
	goOn := func(more int) {
		n := len(b.person.outageNotices())
		b.until("notices", func() bool {
			b.time.Advance(time.Minute, nil)
			return len(b.person.outageNotices()) >= n+more
		})
	}
	var sent []error
	b.sending("one/b", func() { away.Store(true); goOn(3) }, &sent)
	b.world.script["two/c"] = behaviour{perform: func(ctx context.Context, a *action.Attempt) action.Finding {
		goOn(2)
		away.Store(false)
		b.time.Advance(time.Minute, nil)
		if err := gate.Pass(ctx); err != nil {
			t.Error(err)
		}
		away.Store(true)
		goOn(1)
		away.Store(false)
		return b.world.effect(a, action.Done)
	}}
	b.must(Completed)
	var full []int
	texts := b.person.outageNotices()
	for i, text := range texts {
		since := strings.Contains(text, " since ") || strings.Contains(text, "(since ")
		switch short := strings.HasPrefix(text, "the cluster still does not answer (since "); {
		case !short:
			full = append(full, i)
		case len(text) > 100 || strings.Contains(text, "\n") || strings.Contains(text, "the API server"):
			t.Errorf("a later notice is %q", text)
		}
		if !since {
			t.Errorf("since when is not in %q", text)
		}
	}
	if len(full) != 2 || full[0] != 0 {
		t.Errorf("in full were the notices %v of %q", full, texts)
	}
	const without = "; the run continues WITHOUT THE SITE'S LEDGER"
	if strings.Contains(texts[1], without) || !strings.HasSuffix(texts[full[len(full)-1]-1], without) {
		t.Errorf("when the run continues without the ledger is not in %q", texts)
	}
}
