package campaign

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/lsst-ts/csu/executor"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/journal/journaltest"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/rehearsal"
)

// world is what the lives of a case share.
type world struct {
	plan   *plan.Plan
	digest string
	dir    string // the site's folder
	site   *rehearsal.Site
	disk   *journaltest.Disk
	person *person
	lives  int
}

// newWorld starts a simulated site in a folder.
func newWorld(p *plan.Plan, digest, dir string, seed int64, faults ...string) (*world, error) {
	s, err := rehearsal.Start(context.Background(), rehearsal.Config{Plan: p, Digest: digest, Dir: dir, Seed: seed, Faults: faults})
	if err != nil {
		return nil, err
	}
	w := &world{plan: p, digest: digest, dir: dir, site: s, disk: &journaltest.Disk{}}
	w.person = newPerson(w)
	return w, nil
}

// lifeLimit is how long, in real time, a life may take. It is beyond every run
// of the campaign; one that hangs ends there.
const lifeLimit = 3 * time.Minute

// live runs one life, and returns how it ended and whether the trigger fired.
func (w *world) live(t trigger) (executor.Result, bool, error) {
	w.lives++
	dir := filepath.Join(w.dir, fmt.Sprintf("life-%d", w.lives))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return executor.Result{}, false, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), lifeLimit)
	defer cancel()
	l := &life{site: w.site, trigger: t, end: cancel}
	m, err := l.through(w.site.Map, dir)
	if err != nil {
		return executor.Result{}, false, err
	}
	systems, err := executor.Connect(w.plan, m, nil)
	if err != nil {
		return executor.Result{}, false, err
	}
	defer systems.Remote.Close()
	o := executor.Options{
		Plan: w.plan, Digest: w.digest, PlanFile: "plan.json", Journal: journalName, FS: mortal{l, w.disk},
		SiteMap: filepath.Join(dir, rehearsal.MapFile), Systems: systems, Operator: w.person, Name: "Ana", Version: "test",
		Clock: systems.Clock, Lease: executor.NewLease(w.plan, systems), Resume: w.begun(),
	}
	res, err := executor.Run(ctx, o)
	if !l.died() && ctx.Err() != nil {
		err = errors.Join(err, fmt.Errorf("the life did not end within %s", lifeLimit))
	}
	fired := l.died()
	l.die()
	return res, fired, err
}

// begun tells whether the disk has a journal with a record.
func (w *world) begun() bool {
	found := false
	err := journal.Read(w.disk, journalName, func(*journal.Record) error { found = true; return nil })
	return err == nil && found
}

// complete tells whether the run is over, as far as the disk knows.
func (w *world) complete() bool {
	s, err := executor.ReadState(w.disk, journalName, w.plan, w.digest)
	return err == nil && s.Ended == executor.Completed
}

func (w *world) records() (records []journal.Record, err error) {
	err = journal.Read(w.disk, journalName, func(r *journal.Record) error { records = append(records, *r); return nil })
	return records, err
}

// crash is what the end of a life does to the disk.
type crash string

const (
	killed  crash = "killed"  // the process ended: what was written stays
	power   crash = "power"   // the machine stopped: what was not synced is gone
	partial crash = "partial" // the machine stopped, and of what was not synced some bytes stay
)

func (w *world) crash(how crash) {
	switch how {
	case power:
		w.disk.Crash(0)
	case partial:
		w.disk.Crash(60)
	default:
		w.disk.Kill()
	}
}

// settle waits until nothing moves at the site any more.
func (w *world) settle() {
	quiet, last := 0, -1
	for range 200 {
		if n := len(w.site.Record()); n != last {
			quiet, last = 0, n
		} else if quiet++; quiet == 6 {
			return
		}
		time.Sleep(10 * time.Millisecond) // of the real time; at the site it is half a minute
	}
}
