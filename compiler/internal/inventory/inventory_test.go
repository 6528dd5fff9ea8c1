package inventory

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lsst-ts/csu/compiler/internal/model"
	"github.com/lsst-ts/csu/compiler/internal/phalanx"
	"github.com/lsst-ts/csu/compiler/phalanxtest"
	"github.com/lsst-ts/csu/executor/plan"
)

var names = &model.Names{
	Components: map[string]bool{"MTMount": false, "ESS": true, "HVAC": false, "MTVMS": true, "MTM2": false},
	Instances:  map[string]map[string]int{"MTVMS": {"M1M3": 1, "M2": 2}},
	Quiet:      []string{"commander"},
}

func summit() *model.Site {
	s := &model.Site{Name: "summit", Environment: "summit", ImageRegistry: "reg.org"}
	s.Targets.ArgoCDProject = "telescope"
	for _, a := range []string{"envsys", "simonyitel", "love"} {
		s.Applications = append(s.Applications, model.Application{Name: a, Namespace: a})
	}
	return s
}

const (
	mountain = "mtmount: {enabled: true, repository: reg.org/mtmount, revision: 6}\n" +
		"mtm2-sim: {enabled: true, repository: reg.org/m2, classifier: mtm2, class: mtm2}\n" +
		"mtvms-m1m3: {enabled: true, repository: reg.org/sim/vms, class: mtvms, classifier: mtvms, env: {RUN_ARG: M1M3}}\n" +
		"mtvms-m2: {enabled: true, repository: reg.org/sim/vms, class: mtvms, classifier: mtvms, env: {RUN_ARG: M2}}\n"
	weather = "tma-ess105: {enabled: true, repository: reg.org/ess, classifier: ess105, revision: 0, claims: [data]}\n" +
		"hvac: {enabled: true, repository: reg.org/hvac, env: {RUN_ARG: --state enabled}, port: 5000, entrypoint: run_hvac}\n"
	love = "commander: {enabled: true, class: commander, repository: reg.org/commander, revision: 3}\n"
)

func observatory(t *testing.T) *phalanxtest.Clone {
	t.Helper()
	c := phalanxtest.New(t)
	c.Application("simonyitel", mountain, "mtmount", "mtm2-sim", "mtvms-m1m3", "mtvms-m2")
	c.Application("envsys", weather, "tma-ess105", "hvac")
	c.Application("love", love, "commander")
	return c
}

// derive returns what is committed in the clone, as the inventory of the site.
func derive(t *testing.T, c *phalanxtest.Clone, site *model.Site) (*Inventory, []Problem) {
	t.Helper()
	rev, err := phalanx.Open(t.Context(), c.Dir, "")
	if err != nil {
		t.Fatal(err)
	}
	now, problems, err := Of(t.Context(), rev, site, names)
	if err != nil {
		t.Fatal(err)
	}
	return now, problems
}

// right is derive where there must be no problem.
func right(t *testing.T, c *phalanxtest.Clone) *Inventory {
	t.Helper()
	now, problems := derive(t, c, summit())
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return now
}

func TestCUE(t *testing.T) {
	t.Parallel()
	c := observatory(t)
	commit := c.Commit("First")
	want := fmt.Sprintf(`// The CSCs that run in the site's cluster: what phalanx (lsst-sqre/phalanx,
// environment summit, commit %.9s) deploys with charts/csc, by application
// and Job. "csu site import" rewrites this file as a whole; what the site adds about a
// CSC is in other files.
package site

site: inventory: {
	commit: %q
	cycle:  "c0044"
	shared: {
		"envsys": [{kind: "ConfigMap", name: "all-cscs"}, {group: "ricoberger.de", kind: "VaultSecret", name: "envsys"}]
		"love": [{kind: "ConfigMap", name: "all-cscs"}, {group: "ricoberger.de", kind: "VaultSecret", name: "love"}]
		"simonyitel": [{kind: "ConfigMap", name: "all-cscs"}, {group: "ricoberger.de", kind: "VaultSecret", name: "simonyitel"}]
	}
}

site: cscs: {
	"HVAC:0": {application: "envsys", job: "hvac", cscName: "hvac", cscClass: "hvac", image: "hvac", comesUp: "ENABLED", resources: [{kind: "ConfigMap", name: "hvac-entrypoint"}, {kind: "Service", name: "hvac-service"}]}
	"ESS:105": {application: "envsys", job: "tma-ess105", cscName: "ess105", cscClass: "ess", image: "ess", revision: 0, resources: [{kind: "PersistentVolumeClaim", name: "tma-ess105-data-pvc"}]}

	"commander": {application: "love", job: "commander", cscName: "commander", cscClass: "commander", image: "commander", revision: 3}

	"MTM2:0": {application: "simonyitel", job: "mtm2-sim", cscName: "mtm2", cscClass: "mtm2", image: "m2"}
	"MTMount:0": {application: "simonyitel", job: "mtmount", cscName: "mtmount", cscClass: "mtmount", image: "mtmount", revision: 6}
	"MTVMS:1": {application: "simonyitel", job: "mtvms-m1m3", cscName: "mtvms", cscClass: "mtvms", image: "sim/vms"}
	"MTVMS:2": {application: "simonyitel", job: "mtvms-m2", cscName: "mtvms", cscClass: "mtvms", image: "sim/vms"}
}
`, commit, commit)
	if diff := cmp.Diff(want, right(t, c).CUE()); diff != "" {
		t.Errorf("cscs.cue (-want +got):\n%s", diff)
	}
	for range 3 { // Helm ranges over maps
		if again := right(t, c).CUE(); again != want {
			t.Fatal("the same revision gives other bytes")
		}
	}
}

// TestProblems: what an inventory cannot say is refused with its place in Phalanx.
func TestProblems(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		old, now, want string // in the values of simonyitel
	}{
		"unknown component":  {"repository: reg.org/mtmount,", "repository: reg.org/mtmount, class: mtmont,", `applications/simonyitel/values-summit.yaml:1: Job mtmount: no SAL component has the name of its class, "mtmont"`},
		"name of another":    {"repository: reg.org/mtmount,", "repository: reg.org/mtmount, classifier: mount, class: mtmount,", `its label csc-name is "mount", which is not its class "mtmount" with an index`},
		"padded index":       {"repository: reg.org/mtmount,", "repository: reg.org/mtmount, classifier: ess01, class: ess,", `its label csc-name is "ess01"`},
		"twice":              {"RUN_ARG: M2", "RUN_ARG: M1M3", `applications/simonyitel/values-summit.yaml:4: Job mtvms-m2: is MTVMS:1, like what is at`},
		"foreign registry":   {"reg.org/mtmount", "other.org/mtmount", `its image is "other.org/mtmount:c0044.006", but the site's images are in the registry "reg.org"`},
		"state unknown":      {"RUN_ARG: M2", "RUN_ARG: M2 --state fault", `is started with --state fault, but the inventory knows STANDBY, DISABLED and ENABLED`},
		"tag of no cycle":    {"reg.org/m2", "reg.org/m2:dev", `its image is "reg.org/m2:dev:c0044", whose tag is neither a cycle`},
		"revision too large": {"revision: 6", "revision: 1000", `its image is "reg.org/mtmount:c0044.1000", whose tag is neither a cycle`},
		"two cycles":         {"mtmount: {", "mtmount: {tag: c0045, ", `has an image of cycle c0045, but the first CSC has one of c0044`},
		"other namespace":    {"mtmount: {", "mtmount: {namespace: elsewhere, ", `is in the namespace "elsewhere", but the site's application "simonyitel" has the namespace "simonyitel"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clone := observatory(t)
			clone.Replace("applications/simonyitel/values-summit.yaml", c.old, c.now)
			clone.Commit("Spoilt")
			_, problems := derive(t, clone, summit())
			if len(problems) != 1 {
				t.Fatalf("%d problems: %v", len(problems), problems)
			}
			p := problems[0]
			if text := p.Place + ": " + p.Subject + ": " + p.Text; !strings.Contains(text, c.want) || p.Remedy == "" {
				t.Errorf("%s; %s\nwant %s", text, p.Remedy, c.want)
			}
		})
	}
}

// TestNothing: an environment without a CSC is no inventory.
func TestNothing(t *testing.T) {
	t.Parallel()
	c := observatory(t)
	c.Commit("First")
	site := summit()
	site.Targets.ArgoCDProject = "telescop"
	_, problems := derive(t, c, site)
	if len(problems) != 1 || problems[0].Text != `no Application of the project "telescop" has a CSC` {
		t.Errorf("%v", problems)
	}
}

// TestCompare: each kind of difference is named, once.
func TestCompare(t *testing.T) {
	t.Parallel()
	c := observatory(t)
	c.Commit("First")
	before := right(t, c)
	site := summit()
	site.Cycle, site.Shared, site.CSCs = before.Cycle, before.Shared, append(slices.Clone(before.CSCs), model.CSC{Component: "MTM1M3", Host: "crio", ComesUp: "STANDBY"})
	if got := Compare(site, before); len(got) > 0 {
		t.Errorf("compared with itself: %v", got)
	}

	c.Replace("environments/values-summit.yaml", "c0044", "c0045")
	c.Write("applications/simonyitel/values-summit.yaml", "mtmount: {enabled: true, repository: reg.org/mount, revision: 7, env: {RUN_ARG: --state disabled}}\n"+
		"mtm2-sim: {enabled: true, repository: reg.org/m2, classifier: mtm2, class: mtm2, revision: 0}\n"+
		"mtvms-m1m3: {enabled: true, repository: reg.org/sim/vms, class: mtvms, classifier: mtvms1, entrypoint: run}\n")
	c.Write("applications/envsys/values-summit.yaml", "hvac: {enabled: true, repository: reg.org/hvac}\ntma-ess105: {enabled: true, repository: reg.org/ess, classifier: ess106}\n")
	c.Commit("Second")
	want := []Difference{
		{"", "cycle", "c0044", "c0045"},
		{"HVAC:0", "starts in", "ENABLED", "STANDBY"},
		{"HVAC:0", "resources", "ConfigMap hvac-entrypoint, Service hvac-service", "none"},
		{"ESS:106", "instance", "none", "Job tma-ess105, ess:c0045"},
		{"MTM2:0", "revision", "none", "0"},
		{"MTMount:0", "image", "mtmount", "mount"},
		{"MTMount:0", "revision", "6", "7"},
		{"MTMount:0", "starts in", "STANDBY", "DISABLED"},
		{"MTVMS:1", "label csc-name", "mtvms", "mtvms1"},
		{"MTVMS:1", "resources", "none", "ConfigMap mtvms-m1m3-entrypoint"},
		{"ESS:105", "instance", "Job tma-ess105, ess:c0044.000", "none"},
		{"MTVMS:2", "instance", "Job mtvms-m2, sim/vms:c0044", "none"},
	}
	if diff := cmp.Diff(want, Compare(site, right(t, c))); diff != "" {
		t.Errorf("differences (-want +got):\n%s", diff)
	}
}

// planOf returns a plan that is what the inventory deploys.
func planOf(i *Inventory) *plan.Plan {
	p := &plan.Plan{Site: "summit", Type: plan.Incremental, Upgrade: plan.Upgrade{Cycle: i.Cycle}, Targets: plan.Targets{ArgoCD: plan.ArgoCD{AppOfApps: "science-platform"}}}
	for n := range i.CSCs {
		c := &i.CSCs[n]
		p.CSCs = append(p.CSCs, plan.CSC{
			CSC: c.Name(), Image: "reg.org/" + c.Image + ":" + c.Tag(i.Cycle), ComesUp: c.ComesUp,
			Job: &plan.Job{Application: c.Application, Namespace: c.Application, Name: c.Job, Label: c.Label, CSCName: c.CSCName, CSCClass: c.CSCClass},
		})
	}
	p.CSCs = append(p.CSCs, plan.CSC{CSC: "MTM1M3:0", Host: "crio"})
	sync := func(id string, s *plan.Sync) plan.Step {
		return plan.Step{ID: id, Action: plan.Action{Parameters: s}}
	}
	p.Stages = []plan.Stage{{ID: "deploy", Steps: []plan.Step{
		sync("a", &plan.Sync{Application: "science-platform", Revision: "main"}),
		sync("b", &plan.Sync{Application: "sasquatch", Revision: "main"}),
		sync("c", &plan.Sync{Application: "envsys", Revision: "main", CSCs: []string{"ESS:105"}, Resources: []plan.Resource{
			{Group: "batch", Kind: "Job", Namespace: "envsys", Name: "tma-ess105"},
			{Kind: "PersistentVolumeClaim", Namespace: "envsys", Name: "tma-ess105-data-pvc"},
			{Kind: "ConfigMap", Namespace: "envsys", Name: "all-cscs"},
			{Group: "ricoberger.de", Kind: "VaultSecret", Namespace: "envsys", Name: "envsys"},
		}}),
	}}}
	return p
}

// TestCheckPlan: each mistake in a plan gives one finding, also if it is in many rows.
func TestCheckPlan(t *testing.T) {
	t.Parallel()
	c := observatory(t)
	c.Commit("First")
	now := right(t, c)
	row := func(p *plan.Plan, name string) *plan.CSC {
		return &p.CSCs[slices.IndexFunc(p.CSCs, func(c plan.CSC) bool { return c.CSC == name })]
	}
	sync := func(p *plan.Plan, n int) *plan.Sync { return p.Stages[0].Steps[n].Action.Parameters.(*plan.Sync) }
	for name, c := range map[string]struct {
		spoil func(*plan.Plan)
		want  string
	}{
		"right": {func(*plan.Plan) {}, ""},
		"image tag": {func(p *plan.Plan) { row(p, "MTMount:0").Image = "reg.org/mtmount:c0044.007" },
			"image tag of MTMount: the plan has c0044.007, Phalanx deploys c0044.006"},
		"bare tags": {func(p *plan.Plan) {
			for _, n := range []string{"MTVMS:1", "MTM2:0", "MTVMS:2", "HVAC:0"} {
				row(p, n).Image += ".000"
			}
		}, "image tag of 4 CSCs, HVAC, MTM2, MTVMS:1,2: the plan has c0044.000, Phalanx deploys c0044"},
		"repository": {func(p *plan.Plan) { row(p, "ESS:105").Image = "reg.org/eas:c0044.000" }, "image of ESS:105: the plan has reg.org/eas, Phalanx deploys reg.org/ess"},
		"cycle":      {func(p *plan.Plan) { p.Upgrade.Cycle = "c0045" }, "cycle: the plan is for c0045, Phalanx deploys c0044"},
		"removed":    {func(p *plan.Plan) { p.CSCs[0].CSC = "ESS:107"; p.CSCs[1].CSC = "ESS:108" }, "in the plan, but not deployed by Phalanx: ESS:107,108|deployed by Phalanx, but not in the plan: ESS:105, HVAC"},
		"Job":        {func(p *plan.Plan) { row(p, "ESS:105").Job.Name = "ess105" }, "Job of ESS:105: the plan has ess105, Phalanx deploys tma-ess105"},
		"label":      {func(p *plan.Plan) { row(p, "ESS:105").Job.Label = "ess105" }, "label csc of ESS:105: the plan has ess105, Phalanx deploys tma-ess105"},
		"csc-name":   {func(p *plan.Plan) { row(p, "ESS:105").Job.CSCName = "ess" }, "label csc-name of ESS:105: the plan has ess, Phalanx deploys ess105"},
		"csc-class":  {func(p *plan.Plan) { row(p, "ESS:105").Job.CSCClass = "es" }, "label csc-class of ESS:105: the plan has es, Phalanx deploys ess"},
		"moved":      {func(p *plan.Plan) { row(p, "ESS:105").Job.Application = "love" }, "application of ESS:105: the plan has love, Phalanx deploys envsys"},
		"state":      {func(p *plan.Plan) { row(p, "HVAC:0").ComesUp = "STANDBY" }, "state after the start of HVAC: the plan has STANDBY, Phalanx deploys ENABLED"},
		"application": {func(p *plan.Plan) { sync(p, 1).Application = "nublado" },
			"application nublado: the plan syncs it, but the environment summit does not have it"},
		"revision": {func(p *plan.Plan) { sync(p, 2).Revision = "tickets/DM-1" },
			`application envsys: the plan syncs revision "tickets/DM-1", but the environment summit makes it follow "main"`},
		"claim missing": {func(p *plan.Plan) { sync(p, 2).Resources = slices.Delete(sync(p, 2).Resources, 1, 2) },
			"application envsys: the plan brings back the Job, but not what belongs to it: PersistentVolumeClaim tma-ess105-data-pvc"},
		"shared missing": {func(p *plan.Plan) { sync(p, 2).Resources = sync(p, 2).Resources[:2] },
			"application envsys: the plan brings back the Job, but not what belongs to it: ConfigMap all-cscs, VaultSecret envsys"},
		"resource unknown": {func(p *plan.Plan) {
			sync(p, 2).Resources = append(sync(p, 2).Resources, plan.Resource{Kind: "ConfigMap", Namespace: "envsys", Name: "tma-ess105-configfile"})
		}, "application envsys: the plan syncs what Phalanx does not render: ConfigMap tma-ess105-configfile"},
	} {
		t.Run(name, func(t *testing.T) {
			p := planOf(now)
			c.spoil(p)
			if got := strings.Join(CheckPlan(p, now), "|"); got != c.want {
				t.Errorf("%s\nwant %s", got, c.want)
			}
		})
	}
}
