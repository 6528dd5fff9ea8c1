// Package action carries out the steps of a plan: one file per action kind.
//
// The words:
//
//   - an attempt is one try of a step; it has an identity, which is written
//     wherever the kind allows, so that what it did can be found again;
//   - evidence is what a probe will need; it is in the journal before anything
//     is touched;
//   - a finding is what is known of an attempt: its verdict and the text that
//     says why.
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
}

// Verdict is what is known of an attempt.
type Verdict string

// The verdicts.
const (
	Done    Verdict = "done"     // it happened, and what it is for has been seen
	Failed  Verdict = "failed"   // it is over and did not come to its end; parts of it may have happened
	NotDone Verdict = "not done" // nothing of it happened, nor is under way
	// CutShort is what only Probe and Await find, after a crash: what was begun
	// of it came to its end as it should, the rest was never begun, and a new
	// attempt takes that alone.
	CutShort Verdict = "cut short"
	Running  Verdict = "running" // it was started, and goes on
	Unknown  Verdict = "unknown" // nobody can tell: the operator decides
)

// Finding is a verdict and what it rests on.
type Finding struct {
	Verdict Verdict
	// Text says what happened, what is known and, where it matters, what can be
	// done; for the operator. It holds no secret.
	Text string
}

// Found makes a finding.
func Found(v Verdict, format string, args ...any) Finding {
	return Finding{v, fmt.Sprintf(format, args...)}
}

// Attempt is one try of a step.
type Attempt struct {
	Plan     *plan.Plan
	Step     *plan.Step
	Systems  *Systems
	Operator string // the operator's name
	// Identity is run id/step id/attempt, unique for all time.
	Identity string
	// Limit is how long Perform and Await may wait, in the run's time.
	Limit time.Duration

	// Started and Evidence are those of the journal's started record; set
	// before Perform, Probe and Await.
	Started  time.Time
	Evidence json.RawMessage
	// Suspected says that another csu may have made this attempt, or gone on with it,
	// in a journal that is not here: Probe and Await look without its notes.
	Suspected bool
	// Inventory is what the run may delete with this step, as an [Inventory]; nil
	// where that was not recorded when the run began.
	Inventory json.RawMessage
	// Notes are what Note has recorded in this attempt, the newest last.
	Notes []json.RawMessage

	// Note adds to the evidence in the journal, on the disk when it returns:
	// what has become known while the action runs, or a further effect that is
	// about to be made.
	Note func(v any) error
	// Progress tells the operator how far it is; not recorded.
	Progress func(format string, args ...any)
	// Ask puts a question to the operator, which is recorded with its answer.
	// Questions wait for each other, for hours perhaps: this one is made when it
	// is its turn, so that what it reads is new. Where question returns false,
	// nothing is left to be asked, and Ask returns an error. It fills in the
	// question's stage and step. It is for yes or no: whether the step is then
	// done again, by hand or not at all is asked when the attempt has its outcome.
	Ask func(ctx context.Context, question func(ctx context.Context) (q operator.Question, wanted bool)) (operator.Answer, error)
}

// unrecorded tells whether another csu may have made this attempt, and the journal
// has no evidence of how things were before it.
func (a *Attempt) unrecorded() bool { return a.Suspected && len(a.Evidence) == 0 }

// earlierAttempt tells whether an identity is that of an earlier attempt of the same
// step than the other one is.
func earlierAttempt(identity, than string) bool {
	step, number := cutAttempt(identity)
	thanStep, thanNumber := cutAttempt(than)
	return step == thanStep && number < thanNumber
}

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
// Its methods return when ctx ends; what is then open is for Probe.
type Performer interface {
	// Prepare reads what Probe will need. It changes nothing; its error means
	// that the attempt has not begun.
	Prepare(ctx context.Context, a *Attempt) (evidence any, err error)
	// Perform has the effect and waits for its end.
	Perform(ctx context.Context, a *Attempt) Finding
	// Probe looks what became of an attempt whose outcome is not known. It
	// changes nothing but this: what it finds not done can't happen any more.
	Probe(ctx context.Context, a *Attempt) Finding
	// Await goes on waiting for an attempt that Probe found running.
	Await(ctx context.Context, a *Attempt) Finding
	// Reading is what the operator is shown with the step's consent: how many
	// namespaces there are, what is out of sync. "" where there is nothing to
	// read. It changes nothing.
	Reading(ctx context.Context, a *Attempt) (string, error)
	// Traits are those of the kind.
	Traits() Traits
}

// Traits are what the executor has to know of a kind beside carrying it out.
type Traits struct {
	// Unrepeatable: what may have happened must not be done again. A step of it that
	// is in doubt, and may fail, is left at that.
	Unrepeatable bool
	// Observes: it only looks. A look that did not end has done nothing.
	Observes bool
	// Identified: Probe finds an attempt by its identity, also one that is not in
	// the journal.
	Identified bool
	// ConfirmsByHand: Probe sees what a person did as well as what csu did.
	// NeedsEvidence: for that it needs the evidence of an attempt.
	ConfirmsByHand, NeedsEvidence bool
}

// Of returns what carries out a step's action.
func Of(d plan.Parameters) Performer { return plan.Visit(d, plan.Visitor[Performer](performers{})) }

// performers has the performer of each kind.
type performers struct{}

func (performers) Manual(d *plan.Manual) Performer               { return manual{d} }
func (performers) Announce(d *plan.Announce) Performer           { return announce{d} }
func (performers) Script(d *plan.Script) Performer               { return script{d} }
func (performers) SetState(d *plan.SetState) Performer           { return setState{d} }
func (performers) AwaitState(d *plan.AwaitState) Performer       { return awaitState{d} }
func (performers) SSH(d *plan.SSH) Performer                     { return sshCommand{d} }
func (performers) Reboot(d *plan.Reboot) Performer               { return reboot{d} }
func (performers) Delete(d *plan.Delete) Performer               { return deletion{d} }
func (performers) Sync(d *plan.Sync) Performer                   { return sync{d} }
func (performers) Compatibility(d *plan.Compatibility) Performer { return compatibility{d} }
