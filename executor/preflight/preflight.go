// Package preflight checks that everything the plan needs is reachable and
// permitted, and that its preconditions hold (P1). It only reads.
//
// A check covers one thing that is needed. What the run itself has taken down
// is expected to be down; the caller says what that is.
package preflight

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lsst-ts/csu/executor/exit"
	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/systems"
)

// Result is the result of a check.
type Result string

// The results.
const (
	Ready    Result = "ok"
	Remark   Result = "note"   // worth knowing, but no obstacle
	NotReady Result = "NOT OK" // the plan would fail here
)

// Check is a check of one thing that is needed.
type Check struct {
	Subject string // such as "host azar03 as dco"
	Result  Result
	Text    string // what was found
	Remedy  string // what to do, if it is not ready
}

// Options say what to check.
type Options struct {
	Plan    *plan.Plan
	Systems *action.Systems
	// Stages are the ids of the stages whose needs are checked; none means all.
	Stages []string
	// Down are the CSCs that this run has taken down, which are not expected to
	// be heard.
	Down []string
	// RunID is the id of the run to be continued, or "".
	RunID string
	// Begun says that the run has begun. Then what the run itself changes, such
	// as the registry's level, is not judged.
	Begun bool
	// Rehearsed says that the cluster is a stand-in, whose address is not the
	// plan's.
	Rehearsed bool
	// Folder is where the journal will be.
	Folder string
	// Missing is why Systems lacks clients.
	Missing systems.Missing
	// Ends is when the run is expected to end; zero if that is unknown.
	Ends time.Time
}

// limit limits one check, in real time.
const limit = 25 * time.Second

// Run makes all checks that the plan's stages need, at the same time, and
// returns them in a fixed order. It changes nothing.
func Run(ctx context.Context, o Options) []Check {
	needs := needsOf(o.Plan, o.Stages)
	var looks []func(context.Context) []Check
	add := func(look func(context.Context) []Check) { looks = append(looks, look) }
	p := &preflight{o, needs}
	add(p.local)
	// where adds a check that needs a client; without says why there is none.
	where := func(without error, why, subject string, look func(context.Context) []Check) {
		if without != nil {
			look = func(context.Context) []Check { return []Check{remark(subject, "not checked: %s", why)} }
		}
		add(look)
	}
	if err := o.Missing.Credentials; err != nil {
		add(func(context.Context) []Check {
			return []Check{notReady("credentials", exit.HintOf(err), "%v", err)}
		})
	}
	const given = "credentials are missing"
	if needs.love {
		where(o.Missing.Credentials, given, "LOVE", p.love)
	}
	if needs.efd {
		where(o.Missing.Credentials, given, "EFD", p.efd)
	}
	for _, t := range needs.hosts {
		add(func(ctx context.Context) []Check { return p.host(ctx, t) })
	}
	var wrong error
	unusable := "nothing is sent to a wrong cluster"
	if needs.cluster() {
		if wrong = o.Missing.Cluster; wrong != nil {
			unusable = "the kubeconfig is unusable"
			add(func(context.Context) []Check { return []Check{notReady("cluster", exit.HintOf(wrong), "%v", wrong)} })
		} else {
			wrong = systems.Guard(o.Plan, o.Systems, o.Rehearsed)
			add(func(context.Context) []Check { return []Check{p.target(wrong)} })
		}
	}
	// inCluster adds a check that talks to the cluster. To a wrong one nothing is sent:
	// it would get the operator's credentials (P20).
	inCluster := func(subject string, look func(ctx context.Context, subject string) Check) {
		where(wrong, unusable, subject, func(ctx context.Context) []Check { return []Check{look(ctx, subject)} })
	}
	if needs.cluster() {
		inCluster("credential", p.login)
		inCluster("ledger", p.ledger)
		inCluster("permissions", p.permissions)
	}
	for _, app := range needs.applications {
		inCluster("application "+app, func(ctx context.Context, subject string) Check { return p.application(ctx, subject, app) })
	}
	if needs.level != "" {
		inCluster("schema registry", p.registry)
	}
	if needs.slack {
		where(o.Missing.Credentials, given, "Slack", p.slack)
	}
	found := make([][]Check, len(looks))
	var all sync.WaitGroup
	for i, look := range looks {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			found[i] = look(ctx)
		})
	}
	all.Wait()
	return append(slices.Concat(found...), p.logins()...)
}

// NotReadyError reports checks that failed. Their texts and remedies are shown by
// themselves; the error names their subjects.
type NotReadyError struct{ Checks []Check }

func (e *NotReadyError) Error() string {
	var subjects []string
	for _, c := range e.Checks {
		subjects = append(subjects, c.Subject)
	}
	return "not ready: " + strings.Join(subjects, ", ")
}

// ExitCode says that a guard refused.
func (e *NotReadyError) ExitCode() exit.Code { return exit.Refused }

// Hint returns the remedy.
func (e *NotReadyError) Hint() string {
	return "mend what is reported above and run the command again; csu exec and csu takeover continue without these checks with --skip-preflight REASON, which the journal keeps"
}

// Verdict returns a [*NotReadyError] with the checks that are not ready, or nil.
func Verdict(checks []Check) error {
	var bad []Check
	for _, c := range checks {
		if c.Result == NotReady {
			bad = append(bad, c)
		}
	}
	if len(bad) == 0 {
		return nil
	}
	return &NotReadyError{bad}
}

type preflight struct {
	Options
	needs needs
}

func ready(subject, format string, args ...any) Check {
	return Check{subject, Ready, fmt.Sprintf(format, args...), ""}
}

func remark(subject, format string, args ...any) Check {
	return Check{subject, Remark, fmt.Sprintf(format, args...), ""}
}

func notReady(subject, remedy, format string, args ...any) Check {
	return Check{subject, NotReady, fmt.Sprintf(format, args...), remedy}
}

// late replaces a timeout by a text that people understand.
func late(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no answer within %s: %w", limit, err)
	}
	return err
}
