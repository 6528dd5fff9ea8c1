package rehearsal

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	clusterapi "github.com/lsst-ts/csu/executor/internal/cluster"
	efdapi "github.com/lsst-ts/csu/executor/internal/efd"
	loveapi "github.com/lsst-ts/csu/executor/internal/love"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/sitemap"
)

// step returns a step with an action. Its other fields do not matter here.
func step(id string, d plan.Parameters) plan.Step {
	return plan.Step{ID: id, Title: id, Source: []string{"P1"}, Action: plan.Action{Parameters: d}, Timeout: plan.Duration(time.Hour), OnFailure: plan.Ask, ByHand: "by hand"}
}

func jobCSC(name, application, class, image, comesUp, expect string) plan.CSC {
	component, index, _ := strings.Cut(name, ":")
	job := strings.ToLower(component)
	if index != "0" {
		job += index
	}
	return plan.CSC{
		CSC: name, Image: image, ComesUp: comesUp, Expect: expect,
		Job: &plan.Job{Application: application, Namespace: application, Name: job, Label: job, CSCName: job, CSCClass: class},
	}
}

// smallPlan returns an incremental upgrade of a site with a few CSCs.
func smallPlan() *plan.Plan {
	const images = "ts-dockerhub.lsst.org/"
	mount := jobCSC("MTMount:0", "simonyitel", "mtmount", images+"mtmount:c0045.007", plan.Standby, plan.Standby)
	mount.Before = images + "mtmount:c0045.006"
	return &plan.Plan{
		Format: plan.Format, Site: "summit", Type: plan.Incremental,
		Upgrade: plan.Upgrade{Date: "2026-11-24", Attempt: 1, Cycle: "c0045", Reason: "test", Queue: 1, Changed: []plan.Change{{CSC: "MTMount:0", Revision: 7}}},
		Targets: plan.Targets{
			Kubernetes: plan.Kubernetes{Context: "yagan", Server: "https://yagan.cp.lsst.org"},
			ArgoCD:     plan.ArgoCD{Namespace: "argocd", Project: "telescope", AppOfApps: "science-platform"},
			EFD:        plan.EFD{Database: "efd", Lag: plan.Duration(10 * time.Second)},
			Registry:   plan.Registry{Namespace: "sasquatch", Selector: "app=sasquatch-schema-registry"},
		},
		CSCs: []plan.CSC{
			jobCSC("Watcher:0", "obssys", "watcher", images+"watcher:c0045", plan.Standby, plan.Enabled),
			jobCSC("ScriptQueue:1", "obssys", "scriptqueue", images+"scriptqueue:c0045", plan.Enabled, plan.Enabled),
			jobCSC("ScriptQueue:2", "obssys", "scriptqueue", images+"scriptqueue:c0045", plan.Enabled, plan.Enabled),
			jobCSC("ScriptQueue:3", "obssys", "scriptqueue", images+"scriptqueue:c0045", plan.Enabled, plan.Enabled),
			mount,
			jobCSC("ESS:105", "envsys", "ess", images+"ess:c0045", plan.Standby, plan.Enabled),
			jobCSC("ESS:106", "envsys", "ess", images+"ess:c0045", plan.Standby, plan.Enabled),
			{CSC: "MTVMS:1", Host: "m1m3-crio-vms", ComesUp: plan.Standby, Expect: plan.Standby},
			{CSC: "MTCamera:0", Host: "lsstcam-mcm", ComesUp: plan.OfflineAvailable, Expect: plan.OfflineAvailable, Bridge: true},
		},
		Hosts: []plan.Host{
			{Name: "m1m3-crio-vms", Address: "m1m3-crio-vms.cp.lsst.org", Users: []plan.User{{Name: "admin", Via: "login"}}},
			{Name: "lsstcam-mcm", Address: "lsstcam-mcm.cp.lsst.org", Users: []plan.User{{Name: "operator", Via: "own"}}},
			{Name: "azar03", Address: "azar03.cp.lsst.org", Users: []plan.User{{Name: "dco", Via: "sudo"}, {Name: "operator", Via: "own"}}},
		},
		Stages: []plan.Stage{{ID: "all", Title: "all", Consent: "all", Source: []string{"P2"}, Steps: []plan.Step{
			step("all/test", &plan.Script{Queue: 1, Path: "auxtel/track_target.py", Standard: true, Accept: []string{"DONE"}}),
			step("all/stop-vms", &plan.SSH{Host: "m1m3-crio-vms", User: "admin", Purpose: plan.Stop, Service: "ts-VMS", Commands: []string{"/etc/init.d/ts-VMS stop"}}),
			step("all/update-vms", &plan.SSH{Host: "m1m3-crio-vms", User: "admin", Purpose: plan.Update, Service: "ts-VMS", Commands: []string{
				"cd ~/ts_xml && git pull", "cd ~/ts_xml && . ~/kafka.env && salgeneratorKafka generate cpp MTVMS",
				"cd ~/ts_vms && make clean && make", "cp ~/ts_vms/ts-VMSd /usr/sbin/ts-VMSd",
			}}),
			step("all/start-vms", &plan.SSH{Host: "m1m3-crio-vms", User: "admin", Purpose: plan.Start, Service: "ts-VMS", Commands: []string{"/etc/init.d/ts-VMS start"}}),
			step("all/stop-bridge", &plan.SSH{Host: "lsstcam-mcm", User: "operator", Purpose: plan.Stop, Service: "ocs-bridge.service",
				Commands: []string{"sudo systemctl stop ocs-bridge.service"}, Check: "! systemctl is-active --quiet ocs-bridge.service"}),
			step("all/stop-gc", &plan.SSH{Host: "azar03", User: "dco", Purpose: plan.Stop, Service: "GenericCameras", Commands: []string{"./shutdown_gc"}}),
			step("all/reboot", &plan.Reboot{Host: "azar03", User: "operator", Command: "sudo reboot"}),
			step("all/nublado", &plan.Delete{Objects: plan.Namespaces, Selector: "argocd.argoproj.io/instance=nublado-users"}),
			step("all/sync", &plan.Sync{Application: "simonyitel", Revision: "main", CSCs: []string{"MTMount:0"}, Resources: []plan.Resource{
				{Group: "batch", Kind: "Job", Namespace: "simonyitel", Name: "mtmount"}, {Kind: "ConfigMap", Namespace: "simonyitel", Name: "mtmount-env"},
			}}),
		}}},
	}
}

// start starts a site and closes it when the test ends.
func start(t *testing.T, p *plan.Plan, faults ...string) *Site {
	t.Helper()
	return startAt(t, Config{Plan: p, Faults: faults})
}

// startAt starts a site with a seed of its own, in a folder of its own.
func startAt(t *testing.T, c Config) *Site {
	t.Helper()
	c.Digest, c.Dir, c.Seed = "d", t.TempDir(), 1
	s, err := Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// waitLimit is how long, in real time, a test waits for a condition: far longer than a
// busy machine takes.
const waitLimit = 5 * time.Minute

// until waits until a condition holds. It reports whether it did within waitLimit.
func until(pause time.Duration, holds func() bool) bool {
	for began := time.Now(); time.Since(began) < waitLimit; time.Sleep(pause) {
		if holds() {
			return true
		}
	}
	return false
}

// eventually waits until a condition of the model holds.
func (s *Site) eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	found := until(5*time.Millisecond, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return holds()
	})
	if !found {
		t.Fatalf("timed out waiting until %s\n%s", what, s.tail(15))
	}
}

// tail formats the last effects of the record.
func (s *Site) tail(n int) string {
	var b strings.Builder
	all := s.Record()
	for _, e := range all[max(0, len(all)-n):] {
		fmt.Fprintln(&b, e.Time.Format(time.TimeOnly), e.System, e.Kind, e.Subject, e.Detail, e.Identity)
	}
	return b.String()
}

// seen returns the effects of a kind, as "subject detail".
func (s *Site) seen(kind string) []string {
	var found []string
	for _, e := range s.Record() {
		if e.Kind == kind {
			found = append(found, strings.TrimSpace(e.Subject+" "+e.Detail))
		}
	}
	return found
}

func (s *Site) loveClient() *loveapi.Client {
	return loveapi.New(s.Map.LOVE, s.Map.Credentials["CSU_LOVE_USERNAME"], s.Map.Credentials["CSU_LOVE_PASSWORD"], nil)
}

func (s *Site) efdClient() *efdapi.Client {
	return efdapi.New(s.Map.EFD, "efd", s.Map.Credentials["CSU_EFD_USERNAME"], s.Map.Credentials["CSU_EFD_PASSWORD"], nil, s.clk, 10*time.Second)
}

func (s *Site) clusterClient(t *testing.T) *clusterapi.Cluster {
	t.Helper()
	c, err := clusterapi.Connect(s.Map.Kubeconfig, "yagan")
	if err != nil {
		t.Fatal(err)
	}
	c.SetClock(s.clk)
	return c
}

func (s *Site) csc(name string) *csc { return s.byName[name] }

func TestMapPointsToTheSite(t *testing.T) {
	s := start(t, smallPlan())
	m, err := sitemap.Read(filepath.Join(s.dir, MapFile))
	if err != nil {
		t.Fatal(err)
	}
	if m.Digest != "d" || m.Speed != DefaultSpeed || !m.Epoch.Equal(time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)) {
		t.Errorf("the map has digest %q, speed %v, epoch %v", m.Digest, m.Speed, m.Epoch)
	}
	for _, url := range []string{m.LOVE, m.EFD, m.Slack, m.Record} {
		r, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
	}
	who, err := loveapi.New(m.LOVE, m.Credentials["CSU_LOVE_USERNAME"], m.Credentials["CSU_LOVE_PASSWORD"], nil).Check(t.Context())
	if err != nil || !who.ExecuteCommands {
		t.Errorf("Check = %+v, %v", who, err)
	}
}

func TestCSCsAreSeenBeforeTheUpgrade(t *testing.T) {
	s := start(t, smallPlan())
	for name, want := range map[string]string{
		"Watcher:0": "ENABLED", "MTMount:0": "STANDBY", "ESS:105": "ENABLED", "ScriptQueue:1": "ENABLED", "MTCamera:0": "OFFLINE", "MTVMS:1": "STANDBY",
	} {
		got := look(t, s, name)
		if got.State != want || !got.Heard {
			t.Errorf("%s is %s, heard %v; want %s, heard", name, got.State, got.Heard, want)
		}
	}
}

func look(t *testing.T, s *Site, name string) efdapi.Sight {
	t.Helper()
	c, err := efdapi.ParseCSC(name)
	if err != nil {
		t.Fatal(err)
	}
	sights, err := s.efdClient().Look(t.Context(), []efdapi.CSC{c})
	if err != nil {
		t.Fatal(err)
	}
	return sights[0]
}

func TestRecoveryStartsAfterTheITUpgrade(t *testing.T) {
	p := smallPlan()
	p.Type = plan.Recovery
	mount, _ := p.CSC("MTMount:0")
	mount.Before = "" // a recovery changes no image
	s := start(t, p)
	for _, name := range []string{"ScriptQueue:1", "MTVMS:1"} {
		if got := look(t, s, name); got.Heard {
			t.Errorf("%s is heard", name)
		}
	}
	ended, known, err := s.clusterClient(t).PodEnded(t.Context(), "obssys", "scriptqueue1")
	if !ended || !known || err != nil {
		t.Errorf("PodEnded = %v, %v, %v", ended, known, err)
	}
	if got := s.cluster.jobs["simonyitel/mtmount"].image(); got != "ts-dockerhub.lsst.org/mtmount:c0045.007" {
		t.Errorf("MTMount's Job has the image %q", got)
	}
}

// A site runs the images that the plan says ran before the upgrade. A CSC that the upgrade
// adds has no Job yet, and one that it removes is no longer in Phalanx.
func TestImagesBeforeTheUpgrade(t *testing.T) {
	t.Parallel()
	p := smallPlan()
	p.CSCs[0].Before = "ts-dockerhub.lsst.org/watcher:test42"
	removed, added := p.CSCs[5].CSC, p.CSCs[6].CSC
	p.CSCs[5].Before, p.CSCs[5].Image = p.CSCs[5].Image, ""
	p.Upgrade.Removed, p.Upgrade.Added = []string{removed}, []string{added}
	s := start(t, p)
	for job, want := range map[string]string{
		"simonyitel/mtmount":  "ts-dockerhub.lsst.org/mtmount:c0045.006",
		"obssys/watcher":      "ts-dockerhub.lsst.org/watcher:test42",
		"obssys/scriptqueue1": "ts-dockerhub.lsst.org/scriptqueue:c0045", // the upgrade leaves it as it is
		"envsys/ess105":       "ts-dockerhub.lsst.org/ess:c0045",
		"envsys/ess106":       "",
	} {
		s.mu.Lock()
		got := ""
		if j := s.cluster.jobs[job]; j != nil {
			got = j.image()
		}
		s.mu.Unlock()
		if got != want {
			t.Errorf("before the upgrade %s runs %q, want %q", job, got, want)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if got, want := s.cluster.applications["envsys"].wanted, map[string]string{added: "ts-dockerhub.lsst.org/ess:c0045"}; !maps.Equal(got, want) {
		t.Errorf("Phalanx has %v in envsys, want %v", got, want)
	}
}

func TestRecordIsInTheFile(t *testing.T) {
	s, err := Start(context.Background(), Config{Plan: smallPlan(), Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	s.down(s.csc("ESS:105"), "test")
	s.mu.Unlock()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	effects, err := ReadRecord(filepath.Join(s.dir, RecordFile))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(effects, s.Record()) {
		t.Errorf("the file has %+v, the site %+v", effects, s.Record())
	}
	if last := effects[len(effects)-1]; last.Kind != CSCDown || last.Subject != "ESS:105" || last.Seq != len(effects) {
		t.Errorf("the last effect is %+v", last)
	}
}

func TestUnknownFaultsAreRefused(t *testing.T) {
	for _, test := range []struct{ fault, want string }{
		{"csc-stuk=MTMount:0", `did you mean "csc-stuck"`},
		{"csc-stuck=", `csc-stuck=CSC`},
		{"queue-paused=1", `takes no subject`},
		{"registry-refuses", `the plan has nothing that it applies to`},
		{"love-ack-lost=ad", `no command "ad" (did you mean "add"?)`},
		{"laptop-sleeps", `cannot stop the executor's process`},
		{"csc-stuck=MTMont:0", `no CSC "MTMont:0"`},
		{"host-unreachable=azar2", `no host "azar2"`},
	} {
		_, err := Start(t.Context(), Config{Plan: smallPlan(), Dir: t.TempDir(), Faults: []string{test.fault}})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("fault %q: %v, want an error with %s", test.fault, err, test.want)
		}
	}
}

// For each of the project's plans most CSCs of the site live, except for a recovery,
// before which most do not.
func TestEveryPlanMakesASite(t *testing.T) {
	names, err := filepath.Glob("../../plans/*.json")
	if err != nil || len(names) == 0 {
		t.Fatalf("no plans: %v", err)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			p, _, err := plan.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			s := start(t, p)
			heard := 0
			s.mu.Lock()
			for _, c := range s.cscs {
				if c.component != "" && c.lives() {
					heard++
				}
			}
			s.mu.Unlock()
			if most := heard > len(p.CSCs)/2; most == (p.Type == plan.Recovery) {
				t.Errorf("%d of %d CSCs live before a %s upgrade", heard, len(p.CSCs), p.Type)
			}
		})
	}
}
