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
	person *person
	lives  int

	fs   journal.FS
	name string            // of the journal
	disk *journaltest.Disk // nil where the journal is on a real disk
}

// speed is how fast time runs at the sites: fast, and yet so slow that the
// second's fraction that a busy machine needs for a request is not, at the site,
// longer than csu's limits for what may still be on its way.
const speed = 1200

// newWorld starts a simulated site in a folder.
func newWorld(p *plan.Plan, digest, dir string, seed int64, faults ...string) (*world, error) {
	s, err := rehearsal.Start(context.Background(), rehearsal.Config{Plan: p, Digest: digest, Dir: dir, Speed: speed, Seed: seed, Faults: faults})
	if err != nil {
		return nil, err
	}
	w := &world{plan: p, digest: digest, dir: dir, site: s, name: journalName, disk: &journaltest.Disk{}}
	w.fs = w.disk
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
		Plan: w.plan, Digest: w.digest, PlanFile: "plan.json", Journal: w.name, FS: mortal{l, w.fs},
		SiteMap: filepath.Join(dir, rehearsal.MapFile), Systems: systems, Operator: w.person, Name: "Ana", Version: "test",
		Clock: systems.Clock, Lease: executor.NewLease(w.plan, systems), Resume: w.begun(),
	}
	if w.disk != nil {
		w.disk.Fault = l.fault
	}
	res, err := executor.Run(ctx, o)
	if w.disk != nil {
		w.disk.Fault = nil // of what the test itself reads
	}
	if err == nil && l.struck {
		err = errors.New("the disk failed, and nobody said so")
	}
	if !l.died() && ctx.Err() != nil {
		err = errors.Join(err, fmt.Errorf("the life did not end within %s", lifeLimit))
	}
	fired := l.fired()
	l.die()
	return res, fired, err
}

// begun tells whether the disk has a journal with a record.
func (w *world) begun() bool {
	found := false
	err := journal.Read(w.fs, w.name, func(*journal.Record) error { found = true; return nil })
	return err == nil && found
}

// complete tells whether the run is over, as far as the disk knows.
func (w *world) complete() bool {
	s, err := executor.ReadState(w.fs, w.name, w.plan, w.digest)
	return err == nil && s.Ended == executor.Completed
}

func (w *world) records() (records []journal.Record, err error) {
	err = journal.Read(w.fs, w.name, func(r *journal.Record) error { records = append(records, *r); return nil })
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
	w.disk.Fault = nil
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
	for range 40 {
		if n := len(w.site.Record()); n != last {
			quiet, last = 0, n
		} else if quiet++; quiet == 3 {
			return
		}
		time.Sleep(time.Minute / speed) // of the real time
	}
}
