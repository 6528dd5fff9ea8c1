package campaign

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/lsst-ts/csu/executor"
	"github.com/lsst-ts/csu/executor/custody"
	"github.com/lsst-ts/csu/executor/internal/clock"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/journal/journaltest"
	"github.com/lsst-ts/csu/executor/ledger"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/rehearsal"
	"github.com/lsst-ts/csu/executor/state"
	"github.com/lsst-ts/csu/executor/systems"
)

// Setting is the plan and the site of a run.
type Setting struct {
	Plan   *plan.Plan
	Digest string
	Seed   int64   // of the simulated site's random choices
	Speed  float64 // seconds of the site in a second; 0 is [Speed]
}

// Speed is how fast time runs at the sites. A busy machine needs a fraction of a second
// for a request; at this speed that is still shorter, in the site's time, than csu's
// limits for what may be on its way.
const Speed = 1200

// world is what the lives of a case share.
type world struct {
	Setting
	dir    string // the site's folder
	site   *rehearsal.Site
	clock  *clock.Clock // the site's
	person *person
	lives  int
	late   error // the site was not through with what a life had sent

	// adjust, where it is not nil, changes the options of each life.
	adjust func(*executor.Options)

	fs   journal.FS
	name string            // of the journal
	disk *journaltest.Disk // nil where the journal is on a real disk
}

// newWorld starts a simulated site in a folder.
func newWorld(ctx context.Context, s Setting, dir string) (*world, error) {
	if s.Speed == 0 {
		s.Speed = Speed
	}
	site, err := rehearsal.Start(ctx, rehearsal.Config{Plan: s.Plan, Digest: s.Digest, Dir: dir, Speed: s.Speed, Seed: s.Seed})
	if err != nil {
		return nil, err
	}
	w := &world{Setting: s, dir: dir, site: site, name: journalName, disk: &journaltest.Disk{}}
	w.clock = clock.Fast(site.Map.Epoch, site.Map.Real, site.Map.Speed)
	w.fs = w.disk
	w.person = newPerson(w)
	return w, nil
}

// A life that hangs ends after lifeLimit of the site's time, which is beyond every
// run, and not before lifeLeast of real time, however busy the machine.
const (
	lifeLimit = 60 * time.Hour
	lifeLeast = 10 * time.Minute
)

// limited ends a life that hangs.
func (w *world) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, max(lifeLeast, time.Duration(float64(lifeLimit)/w.Speed)))
}

// live runs one life, and returns how it ended and whether the trigger fired.
func (w *world) live(ctx context.Context, t Trigger) (executor.Result, bool, error) {
	w.lives++
	dir := filepath.Join(w.dir, fmt.Sprintf("life-%d", w.lives))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return executor.Result{}, false, err
	}
	ctx, cancel := w.limited(ctx)
	defer cancel()
	l := &life{site: w.site, trigger: t, end: cancel}
	defer func() { w.late = errors.Join(w.late, l.bury()) }()
	m, err := Relayed(w.site.Map, dir, l.relay)
	if err != nil {
		return executor.Result{}, false, err
	}
	systems, err := systems.Connect(w.Plan, m, nil)
	if err != nil {
		return executor.Result{}, false, err
	}
	defer systems.Remote.Close()
	o := executor.Options{
		Plan: w.Plan, Digest: w.Digest, PlanFile: "plan.json", Journal: w.name, FS: mortal{l, w.fs},
		SiteMap: filepath.Join(dir, rehearsal.MapFile), Systems: systems, Operator: w.person, OperatorName: personName, Version: "campaign",
		Clock: systems.Clock, Ledger: custody.NewLedger(w.Plan, systems), Timing: ledger.Rehearsed(w.Speed), Resume: w.begun(),
	}
	if w.adjust != nil {
		w.adjust(&o)
	}
	if w.disk != nil {
		w.disk.Fault = l.fault
	}
	res, err := executor.Run(ctx, o)
	if w.disk != nil {
		w.disk.Fault = nil // of what the campaign itself reads
	}
	if err == nil && l.struck {
		err = errors.New("the disk failed, and nobody said so")
	}
	if !l.died() && ctx.Err() != nil {
		err = errors.Join(err, fmt.Errorf("the life did not end within %s of the site's time, nor within %s of real time", lifeLimit, lifeLeast))
	}
	return res, l.fired(), err
}

// begun reports whether the disk has a journal with a record.
func (w *world) begun() bool {
	found := false
	err := journal.Read(w.fs, w.name, func(*journal.Record) error { found = true; return nil })
	return err == nil && found
}

// complete reports whether the run is over and the site released, as far as the
// disk knows.
func (w *world) complete() bool {
	s, err := state.Read(w.fs, w.name, w.Plan, w.Digest)
	return err == nil && s.Ended == journal.Complete && (s.Released || !systems.UsesCluster(w.Plan))
}

func (w *world) records() (records []journal.Record, err error) {
	err = journal.Read(w.fs, w.name, func(r *journal.Record) error { records = append(records, *r); return nil })
	return records, err
}

// over returns the finished run for the judge.
func (w *world) over() (f Finished, err error) {
	f = Finished{Effects: w.site.Record(), Trusting: w.person.trusting, Hands: w.person.hands}
	if f.Records, err = w.records(); err == nil {
		f.State, err = state.Read(w.fs, w.name, w.Plan, w.Digest)
	}
	return f, err
}

// journal returns the journal as a reader sees it; nil if there is none.
func (w *world) journal() []byte {
	if w.disk != nil {
		data, _ := w.disk.Content(w.name)
		return data
	}
	data, err := os.ReadFile(w.name)
	if err != nil {
		return nil
	}
	return data
}

// Crash is what the end of a life does to the disk.
type Crash string

// The crashes.
const (
	Killed  Crash = "killed"  // the process ended: what was written stays
	Power   Crash = "power"   // the machine stopped: what was not synced is gone
	Partial Crash = "partial" // the machine stopped, and of what was not synced some bytes stay
	Process Crash = "process" // csu exec is a process of its own, and is killed; its journal is on the real disk
)

// crashes are all kinds; a case draws one of crashing.
var (
	crashes  = []Crash{Killed, Power, Partial, Process}
	crashing = crashes[:3]
)

func (w *world) crash(how Crash) {
	w.disk.Fault = nil
	switch how {
	case Power:
		w.disk.Crash(0)
	case Partial:
		w.disk.Crash(60)
	default:
		w.disk.Kill()
	}
}

// settle waits until nothing moves at the site any more.
func (w *world) settle(ctx context.Context) error {
	quiet, last := 0, -1
	for range 40 {
		if n := len(w.site.Record()); n != last {
			quiet, last = 0, n
		} else if quiet++; quiet == 3 {
			break
		}
		if err := w.clock.Sleep(ctx, time.Minute); err != nil {
			return err
		}
	}
	return nil
}
