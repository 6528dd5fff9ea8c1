// Package custody decides which csu may continue a run, and keeps the site's ledger for
// it: claims, outages of the cluster, takeovers, handovers, unlocking.
package custody

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"

	"github.com/lsst-ts/csu/executor/exit"
	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/internal/owner"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/ledger"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/state"
)

// Options say which run a custodian works for, and where its records are.
type Options struct {
	Digest   string // of the plan's bytes
	PlanFile string // its name, as shown to people
	Journal  string // the journal's path
	FS       journal.FS
	// SiteMap is the path of the site map; "" unless the run is a rehearsal.
	SiteMap string
	Version string // of csu
	// Ledger says in the site's cluster which run may continue; nil if the plan uses no
	// cluster.
	Ledger ledger.Store
	Timing ledger.Timing
	// Takeover continues a run that was begun elsewhere; nil for any other run.
	Takeover *Takeover
	// Abort says that the run is continued only to abort it.
	Abort bool
	// CarriedOut finds the end of a run of this plan in the record of past runs, and
	// returns a description of it, or "" if there is none. If it is nil, or returns
	// [ErrNoHistory], there is no such record.
	CarriedOut func() (string, error)
	// Approved is what to record of the plan's approvals; nil for none.
	Approved *journal.Approved
}

// ErrNoHistory reports that there is no record of past runs.
var ErrNoHistory = errors.New("there is no record of past runs here")

// Custodian keeps the site's ledger for a run. The methods with a Context in their
// parameters are called beside the run's owner, the others by the owner itself.
type Custodian struct {
	o    Options
	run  *owner.Run
	host string // this machine's name
	// process is the random id of this executor.
	process string

	seen     *sighting      // the ledger before the run continues; nil if there is none
	keeper   *ledger.Keeper // of the site's ledger; nil if there is none
	renewing chan struct{}  // closed when the ledger is no longer renewed
	endRenew context.CancelFunc
	alone    bool   // the operator has confirmed that this is the plan's only run
	doubted  bool   // another csu may have continued the run without the cluster
	settle   bool   // another csu may have requests under way
	handed   string // text of the record that handed over an idle run
	outage   outage
}

// New returns the custodian of a run whose ledger was not read yet.
func New(run *owner.Run, o Options) (*Custodian, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("read this machine's name: %w", err)
	}
	return &Custodian{run: run, o: o, host: host, process: rand.Text()}, nil
}

// OpenJournal opens the run's journal in its file. torn is where an incomplete last line
// was saved; "" if there was none.
func (c *Custodian) OpenJournal() (torn string, err error) {
	j, torn, err := journal.Open(c.o.FS, c.o.Journal, c.run.State.Take(c.o.Digest))
	if err != nil {
		return "", unwrapped(err)
	}
	c.run.Journal = j
	return torn, nil
}

// unwrapped is the error of a journal that cannot be read; that it belongs to another
// plan is no damage of the line that says so.
func unwrapped(err error) error {
	var other *state.OtherPlanError
	if errors.As(err, &other) {
		return other
	}
	return err
}

// Self describes this executor for the records that begin or resume the run with the
// id.
func (c *Custodian) Self(id string) *journal.Run {
	return &journal.Run{
		Format: journal.Format, ID: id, Digest: c.o.Digest, Plan: c.o.PlanFile,
		Operator: c.run.OperatorName, Version: c.o.Version, PID: os.Getpid(), SiteMap: c.o.SiteMap,
		Host: c.host, Process: c.process, Settle: c.settle, Doubted: c.doubted,
		Approved: c.o.Approved,
	}
}

// NewLedger returns the store of the site's ledger in its cluster, or nil if the plan
// uses no cluster.
func NewLedger(p *plan.Plan, s *action.Systems) ledger.Store {
	if s.Cluster == nil {
		return nil
	}
	return ledger.In(s.Cluster, p.LedgerName())
}

// sighting is the site's ledger as it was read before the run continues.
type sighting struct {
	ledger  ledger.Ledger
	version ledger.Version
	away    error // why it could not be read; nil if it was read
	// former is the process that was at work and did not stop properly; nil if there
	// was none, or if the lock on its journal shows that it is dead.
	former *ledger.Holder
}

// Look reads the site's ledger, if there is one.
func (c *Custodian) Look() (err error) {
	c.seen, err = c.look()
	return err
}

// HandedTo returns whom the run was handed over to, according to the ledger; "" for
// nobody.
func (c *Custodian) HandedTo() string {
	if c.seen == nil || c.seen.ledger.Holder == nil {
		return ""
	}
	return c.seen.ledger.Holder.To
}

// known returns the ledger before the run continues; nil if there is none, or if it
// could not be read.
func (c *Custodian) known() *ledger.Ledger {
	if c.seen == nil || c.seen.away != nil {
		return nil
	}
	return &c.seen.ledger
}

// look reads the site's ledger; it returns nil if there is none.
func (c *Custodian) look() (*sighting, error) {
	if c.o.Ledger == nil {
		return nil, nil
	}
	var l ledger.Ledger
	var v ledger.Version
	var err error
	c.run.Beside(func() { l, v, err = ledger.Read(c.run.Ctx, c.o.Ledger, c.o.Timing) })
	switch {
	case err == nil:
		return &sighting{ledger: l, version: v}, nil
	case c.run.Ctx.Err() != nil:
		return nil, owner.ErrEnding
	case !ledger.Away(err):
		return nil, exit.RefuseBy("", err)
	}
	return &sighting{away: err}, nil
}

// claim returns what entitles this process to the ledger; without a journal, what
// entitles it to begin a run.
func (c *Custodian) claim() ledger.Claim {
	claim := ledger.Claim{Run: c.run.State.Run.ID, Plan: c.o.PlanFile, Digest: c.o.Digest, Begun: c.run.State.Begun(), Alone: c.alone}
	if c.run.Journal != nil {
		claim.Has, claim.Seq = c.run.Journal.Has, c.run.Journal.Head().Seq
	}
	return claim
}

// update changes the ledger, beside the owner.
func (c *Custodian) update(change func(*ledger.Ledger) error) (err error) {
	c.run.Beside(func() { err = ledger.Update(c.run.Ctx, c.o.Ledger, c.o.Timing, change) })
	return err
}

// withoutLedger returns the error of a command that could not read or write the site's
// ledger. It keeps the exit code and the remedy of the cause. Without a remedy, the
// cause is most likely a cluster that does not answer.
func withoutLedger(what string, cause error) error {
	return &exit.Error{
		Class:  exit.CodeOf(cause),
		Remedy: cmp.Or(exit.HintOf(cause), "check that the cluster is reachable, then run the command again"),
		Err:    fmt.Errorf("%s: %w", what, cause),
	}
}
