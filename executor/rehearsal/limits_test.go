package rehearsal

import (
	"fmt"
	"maps"
	"testing"
	"time"

	loveapi "github.com/lsst-ts/csu/executor/internal/love"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
)

// neverPlan returns a plan in which what each step waits for never happens at the
// site of [neverSite]. All steps run at once.
func neverPlan(limit time.Duration) *plan.Plan {
	p := smallPlan()
	p.Stages[0].Steps = nil
	for id, a := range map[string]plan.Parameters{
		"await-state": &plan.AwaitState{Want: []plan.Want{{States: []string{plan.Enabled}, CSCs: []string{"MTMount:0"}}}},
		"script":      &plan.Script{Queue: 2, Path: "auxtel/track_target.py", Standard: true, Accept: []string{"DONE"}},
		"set-state":   &plan.SetState{Queue: 1, State: plan.Offline, CSCs: []string{"Watcher:0"}},
		"ssh":         &plan.SSH{Host: "m1m3-crio-vms", User: "admin", Purpose: plan.Update, Service: "ts-VMS", Commands: []string{"sleep 1000000"}},
		"reboot":      &plan.Reboot{Host: "azar03", User: "operator", Command: "sleep 1000000"},
		"delete":      &plan.Delete{Objects: plan.Jobs, Namespace: "envsys", Selector: "csc-name=ess105", CSCs: []string{"ESS:105"}},
		"sync": &plan.Sync{Application: "simonyitel", Revision: "main", CSCs: []string{"MTMount:0"}, Resources: []plan.Resource{
			{Group: "batch", Kind: "Job", Namespace: "simonyitel", Name: "mtmount"},
		}},
	} {
		p.Stages[0].Steps = append(p.Stages[0].Steps, timed("all/"+id, limit, a))
	}
	return p
}

// neverSite returns a site of the plan at which a sync window blocks the sync, a pod
// of the deleted Job never ends, and the queues are busy for hours.
func neverSite(t *testing.T, p *plan.Plan, speed float64) *practice {
	t.Helper()
	r := atSpeed(t, p, 1, speed, syncBlocked)
	s := r.site
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, pod := range maps.Clone(s.cluster.pods) {
		if ownedBy(pod, s.cluster.jobs["envsys/ess105"]) {
			s.cluster.pods[name+" is never removed"] = pod
		}
	}
	for _, index := range []int{1, 2} {
		for i := range 100 {
			if _, err := s.queues[index].add(addRequest{IsStandard: true, Path: "auxtel/track_target.py", Location: loveapi.Last}, fmt.Sprint("busy", i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return r
}

// TestLimits holds each kind to its time limit, by the site's time in the journal. The
// other kinds do not wait for the site: an announcement, a compatibility level and a
// manual step.
func TestLimits(t *testing.T) {
	for speed, limit := range map[float64]time.Duration{60: 15 * time.Minute, 300: time.Hour} {
		t.Run(fmt.Sprint(speed), func(t *testing.T) {
			t.Parallel()
			p := neverPlan(limit)
			r := neverSite(t, p, speed)
			r.otherwise = func(*practice, operator.Question) reply { return reply{choice: operator.Stop} }
			r.run()
			began, took := map[string]time.Time{}, map[string]time.Duration{}
			err := journal.Read(journal.Disk, r.journal, func(rec *journal.Record) error {
				switch rec.Event {
				case journal.Started:
					began[rec.Step] = rec.Time
				case journal.Outcome, journal.Doubtful:
					if took[rec.Step] == 0 {
						took[rec.Step] = rec.Time.Sub(began[rec.Step])
						t.Logf("%s: %s, %s after %s", rec.Step, rec.Verdict, rec.Text, took[rec.Step])
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, step := range p.Stages[0].Steps {
				if got := took[step.ID]; got < limit || got > limit+limit/10 {
					t.Errorf("step %q took %s, its limit is %s\n%s", step.ID, got, limit, r.seen.String())
				}
			}
		})
	}
}
