// Package action carries out the steps of a plan, with one file per action kind.
//
// Terms:
//
//   - An attempt is one try at a step. It has an identity, which csu writes
//     wherever the kind allows, so that the attempt's effects can be found again.
//   - Evidence is the state before the attempt that its probe will need. It is
//     in the journal before anything is changed.
//   - A finding is what csu knows about an attempt: a verdict and the reason for it.
package action

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/internal/argocd"
	"github.com/lsst-ts/csu/executor/internal/clock"
	"github.com/lsst-ts/csu/executor/internal/cluster"
	"github.com/lsst-ts/csu/executor/internal/efd"
	"github.com/lsst-ts/csu/executor/internal/love"
	"github.com/lsst-ts/csu/executor/internal/registry"
	"github.com/lsst-ts/csu/executor/internal/remote"
	"github.com/lsst-ts/csu/executor/internal/slack"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
)

// Systems are the clients of everything that actions talk to.
type Systems struct {
	Clock    *clock.Clock
	LOVE     *love.Client
	EFD      *efd.Client
	Remote   *remote.Pool
	Cluster  *cluster.Cluster
	ArgoCD   *argocd.Client
	Registry *registry.Registry
	Slack    *slack.Client
	Phalanx  *Phalanx
}

// Verdict is what became of an attempt.
type Verdict string

// The verdicts.
const (
	Done    Verdict = "done"     // it succeeded, and csu has seen the result
	Failed  Verdict = "failed"   // it failed; some of it may have taken effect
	NotDone Verdict = "not done" // nothing happened, and nothing is under way
	// CutShort is found only by Probe and Await, after a crash: everything that
	// was started succeeded, and a new attempt does only the rest.
	CutShort Verdict = "cut short"
	Running  Verdict = "running" // it was started and has not ended
	Unknown  Verdict = "unknown" // csu cannot determine it: the operator decides
)

// Finding is a verdict and the reason for it.
type Finding struct {
	Verdict Verdict
	// Text tells the operator what happened and, where it matters, what to do.
	// It contains no secrets.
	Text string
}

// Found returns a finding with a formatted text.
func Found(v Verdict, format string, args ...any) Finding {
	return Finding{v, fmt.Sprintf(format, args...)}
}

// Attempt is one try at a step.
type Attempt struct {
	Plan *plan.Plan
	Step *plan.Step // without the CSCs that were set aside
	// Aside are the CSCs that the step leaves out, since they were set aside.
	Aside    []string
	Systems  *Systems
	Operator string // the operator's name
	// Identity is run id/step id/attempt. It is never reused.
	Identity string
	// Limit is how long Perform and Await may wait, in the run's time.
	Limit time.Duration

	// Started and Evidence come from the journal's started record. They are set
	// before Perform, Probe and Await.
	Started  time.Time
	Evidence json.RawMessage
	// Suspected means that another csu may have made or continued this attempt,
	// recording it in a journal that is not here. Probe and Await must do without
	// its notes.
	Suspected bool
	// Inventory is an [Inventory] of what the run may delete in this step. It is
	// nil if it was not recorded when the run began.
	Inventory json.RawMessage
	// Glance makes Look return what it sees at once, for an operator who waits for it.
	Glance bool
	// Begun is the identity of the attempt that began the build for whose end the step
	// waits; "" if no attempt was made.
	Begun string
	// Notes are the values recorded with Note in this attempt, the newest last.
	Notes []json.RawMessage

	// Note adds v to the evidence in the journal: something learned while the
	// action runs, or a further effect that is about to happen. The record is on
	// disk when Note returns.
	Note func(v any) error
	// Progress reports progress to the operator. It is not recorded.
	Progress func(format string, args ...any)
	// Ask asks the operator a yes-or-no question and records it with its answer.
	// Questions are asked one at a time and may wait for hours, so Ask calls
	// question only when its turn comes, and the reading is fresh. If question
	// returns false there is nothing left to ask, and Ask returns an error. Ask
	// fills in the question's stage and step. Whether to retry the step, do it by
	// hand or skip it is not asked here but once the attempt has its outcome.
	Ask func(ctx context.Context, question func(ctx context.Context) (q operator.Question, wanted bool)) (operator.Answer, error)
}

// unrecorded reports whether another csu may have made this attempt and the
// journal has no evidence of the state before it.
func (a *Attempt) unrecorded() bool { return a.Suspected && len(a.Evidence) == 0 }

// earlierAttempt reports whether both identities are of the same step, and
// identity is of an earlier attempt.
func earlierAttempt(identity, than string) bool {
	step, number := cutAttempt(identity)
	thanStep, thanNumber := cutAttempt(than)
	return step == thanStep && number < thanNumber
}

// cutAttempt splits an identity into the step and the number of the attempt.
func cutAttempt(identity string) (step string, number int) {
	i := strings.LastIndexByte(identity, '/')
	if i < 0 {
		return identity, 0
	}
	number, err := strconv.Atoi(identity[i+1:])
	if err != nil {
		return identity, 0
	}
	return identity[:i], number
}

// Performer carries out one kind of action.
//
// Its methods return when ctx is done; Probe determines what was left open.
type Performer interface {
	// Prepare reads the state that Probe will need. It changes nothing; an error
	// means that the attempt was not started.
	Prepare(ctx context.Context, a *Attempt) (evidence any, err error)
	// Perform carries out the action and waits for it to end.
	Perform(ctx context.Context, a *Attempt) Finding
	// Probe determines what became of an attempt whose outcome is unknown. It
	// changes nothing, except that what it finds not done can no longer happen.
	Probe(ctx context.Context, a *Attempt) Finding
	// Await continues to wait for an attempt that Probe found running.
	Await(ctx context.Context, a *Attempt) Finding
	// Look determines whether the result of the step is there, even if csu has not
	// brought it about: Done, NotDone, or Unknown if csu cannot see it. It changes nothing.
	Look(ctx context.Context, a *Attempt) Finding
	// Reading returns what the operator sees when asked for consent to the step,
	// such as the number of namespaces or what is out of sync. It is "" if there
	// is nothing to read. Reading changes nothing.
	Reading(ctx context.Context, a *Attempt) (string, error)
	// Traits returns the traits of the kind.
	Traits() Traits
}

// Traits are what the executor needs to know about a kind of action.
type Traits struct {
	// Unrepeatable means that an action that may have happened must not be
	// repeated. If such a step may fail, it stays in doubt and the run continues.
	Unrepeatable bool
	// Observes means that the action only reads, so an interrupted attempt has
	// had no effect.
	Observes bool
	// Identified means that Probe finds an attempt by its identity, even if the
	// journal does not have it.
	Identified bool
}

// Of returns the Performer of a step's action.
func Of(d plan.Parameters) Performer { return plan.Visit(d, plan.Visitor[Performer](performers{})) }

// performers returns the Performer of each kind.
type performers struct{}

func (performers) Manual(d *plan.Manual) Performer         { return manual{d} }
func (performers) Announce(d *plan.Announce) Performer     { return announce{d} }
func (performers) Script(d *plan.Script) Performer         { return script{d} }
func (performers) SetState(d *plan.SetState) Performer     { return setState{d} }
func (performers) AwaitState(d *plan.AwaitState) Performer { return awaitState{d} }
func (performers) SSH(d *plan.SSH) Performer {
	if d.Purpose == plan.AwaitBuild {
		return awaitBuild{sshCommand{d: d}}
	}
	return sshCommand{d: d}
}
func (performers) Reboot(d *plan.Reboot) Performer               { return reboot{d} }
func (performers) Delete(d *plan.Delete) Performer               { return deletion{d} }
func (performers) Sync(d *plan.Sync) Performer                   { return sync{d} }
func (performers) Compatibility(d *plan.Compatibility) Performer { return compatibility{d} }

// Identity returns the name by which a step's attempt can be found wherever it has
// effects.
func Identity(run string, step *plan.Step, attempt int) string {
	return fmt.Sprintf("csu-%s/%s/%d", run, step.ID, attempt)
}
