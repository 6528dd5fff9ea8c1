package campaign

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/rehearsal"
	"github.com/lsst-ts/csu/executor/state"
)

// person leads the run: does what the manual steps ask for, and answers doubts by the
// site's real state, not by what csu shows.
type person struct {
	c *world

	// trusting: the manual steps were answered elsewhere, and are taken for done.
	trusting bool

	mu      sync.Mutex
	hands   []Hand   // what was done by hand
	failed  []string // questions about what has failed
	shown   map[string]int
	waited  map[string]int
	retried map[string]int
}

// mostRetries is how often the person retries a step that fails.
const mostRetries = 10

// personName is the operator's name in journals and the ledger.
const personName = "simulated operator"

func newPerson(c *world) *person {
	return &person{c: c, shown: map[string]int{}, waited: map[string]int{}, retried: map[string]int{}}
}

func (p *person) did(step string) bool {
	return slices.ContainsFunc(p.hands, func(h Hand) bool { return h.Step == step })
}

func (p *person) Tell(operator.Event) {}

func (p *person) Ask(ctx context.Context, q operator.Question) (operator.Answer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ctx.Err() != nil {
		return operator.Answer{}, ctx.Err()
	}
	answer := operator.Answer{Choice: operator.Yes, By: personName, Via: "rehearsal", Reason: "the site's record shows it"}
	switch q.Topic {
	case operator.Manual, operator.Handover:
		// Asked once more, after a crash, whether it is done, a person does not do
		// it once more.
		if !p.did(q.Step) {
			p.hands = append(p.hands, Hand{q.Step, len(p.c.site.Record())})
		}
	case operator.Failed:
		p.failed = append(p.failed, q.Step+": "+q.Text)
		if p.retried[q.Step]++; p.retried[q.Step] > mostRetries {
			return answer, fmt.Errorf("step %q fails again and again: %s", q.Step, q.Text)
		}
		answer.Choice = operator.Retry
	case operator.InDoubt:
		p.shown[q.Step]++
		if strings.TrimSpace(q.Reading) == "" {
			return answer, fmt.Errorf("step %q is in doubt, and no evidence is shown", q.Step)
		}
		var err error
		if answer.Choice, err = p.truth(q.Step); err != nil {
			return answer, err
		}
	}
	if !slices.Contains(q.Choices, answer.Choice) {
		return answer, fmt.Errorf("%s of %q: %q is not offered", q.Topic, q.Step, answer.Choice)
	}
	return answer, nil
}

// truth looks at the site for what became of the step's last attempt.
func (p *person) truth(id string) (operator.Choice, error) {
	s, err := state.Read(p.c.fs, p.c.name, p.c.Plan, p.c.Digest)
	if err != nil {
		return "", err
	}
	st := s.Steps[id]
	record := p.c.site.Record()
	seen := func(is func(rehearsal.Effect) bool) bool { return slices.ContainsFunc(record, is) }
	begun, over := false, false
	switch a := st.Step.Action.Parameters.(type) {
	case *plan.Manual:
		begun = p.did(id) || p.trusting
		over = begun
	case *plan.Announce:
		begun = p.did(id) || seen(func(e rehearsal.Effect) bool {
			return e.Kind == rehearsal.MessagePosted && e.Subject == a.Channel && e.Detail == a.Text
		})
		over = begun
	case *plan.Script:
		begun, over = p.script(record, st.Identity)
	case *plan.SetState:
		// It has a script for each group; a csu that died between two of them
		// learns by itself, given time, that the others were not added.
		begun, _ = p.script(record, st.Identity)
		is := finalState(record)
		over = begun && !slices.ContainsFunc(a.CSCs, func(name string) bool {
			now := is["csc "+name]
			return now != a.State && (now != "silent" || a.State != plan.Offline)
		})
	case *plan.Sync:
		begun = seen(func(e rehearsal.Effect) bool {
			return e.Kind == rehearsal.SyncStarted && strings.Contains(e.Identity, st.Identity)
		})
		over = seen(func(e rehearsal.Effect) bool {
			return e.Kind == rehearsal.SyncEnded && strings.Contains(e.Identity, st.Identity)
		})
	case *plan.SSH:
		identity := st.Identity
		if a.Build != "" {
			identity = s.Steps[a.Build].Identity
		}
		found, err := filepath.Glob(filepath.Join(p.c.dir, "hosts", a.Host, "home", "*", ".csu", strings.ReplaceAll(identity, "/", "_")))
		if err != nil {
			return "", err
		}
		if begun = len(found) > 0; begun {
			_, err := os.Stat(filepath.Join(found[0], "status"))
			over = err == nil || a.Purpose == plan.Build // which is done once it has begun
		}
	case *plan.Reboot:
		begun = seen(func(e rehearsal.Effect) bool {
			return e.Kind == rehearsal.Rebooted && e.Subject == a.Host && e.Time.After(st.Began)
		})
		over = begun && seen(func(e rehearsal.Effect) bool {
			return e.Kind == rehearsal.HostUp && e.Subject == a.Host && e.Time.After(st.Began)
		})
	case *plan.Compatibility:
		begun = seen(func(e rehearsal.Effect) bool { return e.Kind == rehearsal.LevelChanged && !e.Time.Before(st.Began) })
		over = begun
	default:
		return "", fmt.Errorf("step %q of kind %s can't be in doubt for its probe", id, a.Kind())
	}
	switch {
	case over:
		return operator.Happened, nil
	case !begun:
		return operator.NotHappened, nil
	}
	if p.waited[id]++; p.waited[id] > 50 {
		return "", fmt.Errorf("step %q: it is in doubt for ever", id)
	}
	return operator.KeepWaiting, nil
}

// script reports whether a script of the attempt was added, and whether one has ended.
func (p *person) script(record []rehearsal.Effect, identity string) (begun, over bool) {
	for _, e := range record {
		if strings.HasPrefix(e.Identity+"/", identity+"/") {
			begun = begun || e.Kind == rehearsal.ScriptAdded
			over = over || e.Kind == rehearsal.ScriptEnded
		}
	}
	return begun, over
}
