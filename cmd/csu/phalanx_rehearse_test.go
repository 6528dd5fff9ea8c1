package main

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/lsst-ts/csu/compiler/phalanxtest"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/rehearsal"
)

const summitIncremental = "../../plans/2026-11-24-summit-incremental.json"

// selected is what a step says of the resources to be selected by hand.
var selected = regexp.MustCompile(`selected: .*\. Wait`)

// asRendered returns a plan of the summit whose tables have the resources of [deploying]'s
// Phalanx.
func asRendered(t *testing.T, file string) *plan.Plan {
	t.Helper()
	p := ofSummit(t, file)
	p.Shared = nil
	for i := range p.CSCs {
		if job := p.CSCs[i].Job; job != nil {
			job.Resources = nil
			all := plan.Resource{Kind: "ConfigMap", Namespace: job.Namespace, Name: "all-cscs"}
			if !slices.Contains(p.Shared, all) {
				p.Shared = append(p.Shared, all, plan.Resource{Group: "ricoberger.de", Kind: "VaultSecret", Namespace: job.Namespace, Name: job.Namespace})
			}
		}
	}
	for step := range p.AllSteps() {
		if s, ok := step.Action.Parameters.(*plan.Sync); ok && len(s.Resources) > 0 {
			s.Resources = p.Brings(s.CSCs)
			var names []string
			for _, r := range s.Resources {
				names = append(names, r.Kind+" "+r.Name)
			}
			step.ByHand = selected.ReplaceAllString(step.ByHand, "selected: "+strings.Join(names, ", ")+". Wait")
		}
	}
	return p
}

// written writes a plan and returns its file.
func written(t *testing.T, p *plan.Plan) string {
	t.Helper()
	data, err := plan.Encode(p)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "plan.json")
	if err := plan.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestRehearseAgainstPhalanx: a rehearsal shows what the plan believes of Phalanx and
// Phalanx does not have.
func TestRehearseAgainstPhalanx(t *testing.T) {
	t.Parallel()
	const mount = "applications/simonyitel/values-summit.yaml"
	for name, test := range map[string]struct {
		file   string
		change func(c *phalanxtest.Clone) // after the plan's commit
		want   string                     // a regular expression; the run ends where it is asked about
	}{
		"an image": {summitIncremental, func(c *phalanxtest.Clone) {
			c.Replace(mount, "classifier: mtmount, class: mtmount, revision: 7", "classifier: mtmount, class: mtmount, revision: 6")
		},
			`image tag of MTMount: the plan has c0044\.007, Phalanx deploys c0044\.006`},
		"a claim": {summitIncremental, func(c *phalanxtest.Clone) {
			c.Replace(mount, "classifier: mtmount, class: mtmount,", "classifier: mtmount, class: mtmount, claims: [data],")
		},
			`application simonyitel: the plan brings back the Job, but not what belongs to it: PersistentVolumeClaim mtmount-data-pvc`},
		"a Job": {summitIncremental, func(c *phalanxtest.Clone) {
			c.Replace("applications/simonyitel/Chart.yaml", "alias: mtmount, condition: mtmount.enabled", "alias: mount, condition: mount.enabled")
			c.Replace(mount, "mtmount: {", "mount: {")
		}, `Job of MTMount: the plan has mtmount, Phalanx deploys mount`},
		"its configuration": {summitIncremental, func(c *phalanxtest.Clone) {
			c.Replace(mount, "classifier: mtmount, class: mtmount,", "classifier: mtmount, class: mtmount, env: {A: b},")
		},
			`differs from the plan's commit: application simonyitel: Job mtmount\n`},
		"the bare tags of a new cycle": {withBareTags(t), func(*phalanxtest.Clone) {},
			`image tag of 99 CSCs, .*: the plan has c0045, Phalanx deploys c0045\.000`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := asRendered(t, test.file)
			c := deploying(t, ofSummit(t, map[bool]string{true: summitIncremental, false: summitFull}[p.Type == plan.Incremental]))
			p.Upgrade.Phalanx = c.Git("rev-parse", "HEAD")
			test.change(c)
			now := c.Commit("Merged")
			code, out, errs := printed(t, "rehearse", written(t, p), "--phalanx", c.Dir, "--operator", "ann", "--consent", "all")
			said := strings.Join(strings.Fields(out), " ") + "\n"
			want := regexp.MustCompile(strings.ReplaceAll(test.want, `\n`, " "))
			if code == exitComplete || !want.MatchString(said) || !strings.Contains(said, "Argo CD has Phalanx "+now) {
				t.Errorf("exit code %d, want %s\n%s\n%s", code, test.want, out, errs)
			}
			if strings.Contains(said, "Sync simonyitel") {
				t.Errorf("csu went on after configuration/merged:\n%s", out)
			}
		})
	}
}

// TestRehearseAnotherRevision: where main has moved on, or the branch was squashed into
// it, and what the plan deploys is the same, csu goes on without asking.
func TestRehearseAnotherRevision(t *testing.T) {
	t.Parallel()
	p := asRendered(t, summitIncremental)
	c := deploying(t, p)
	first := c.Git("rev-parse", "HEAD")
	c.Git("checkout", "--quiet", "-b", "tickets/OSW-1")
	c.Write("applications/simonyitel/README.md", "more")
	p.Upgrade.Phalanx = c.Commit("The branch")
	c.Git("checkout", "--quiet", "-b", "merged", first)
	c.Git("merge", "--quiet", "--squash", "tickets/OSW-1")
	c.Commit("The branch, squashed")
	c.Replace("applications/auxtel/values-summit.yaml", "classifier: ataos, class: ataos, revision: 0", "classifier: ataos, class: ataos, revision: 1")
	now := c.Commit("Another CSC")

	code, out, errs := printed(t, "rehearse", written(t, p), "--phalanx", c.Dir, "--rev", "merged", "--operator", "ann", "--consent", "all")
	want := "Argo CD has Phalanx " + now[:9] + ", which deploys the same as the plan's commit " + p.Upgrade.Phalanx[:9]
	if code != exitComplete || !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
		t.Errorf("exit code %d, want %q\n%s\n%s", code, want, out, errs)
	}
}

// TestRehearseAgainstNoPhalanx: a clone that is none is refused before anything starts.
func TestRehearseAgainstNoPhalanx(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--phalanx", "nowhere"}, "open Phalanx: stat nowhere: no such file or directory"},
		{[]string{"--rev", "main"}, "--rev names a revision of Phalanx, but --phalanx is missing"},
	} {
		code, out, errs := printed(t, slices.Concat([]string{"rehearse", summitIncremental, "--operator", "ann"}, c.args)...)
		if code != exitInput || out != "" || !strings.Contains(errs, c.want) {
			t.Errorf("%v: exit code %d\n%s%s", c.args, code, out, errs)
		}
	}
}

// TestDriftFromTheCluster: what runs is compared with Phalanx in a third column.
func TestDriftFromTheCluster(t *testing.T) {
	t.Parallel()
	p := ofSummit(t, summitIncremental)
	site, err := rehearsal.Start(t.Context(), rehearsal.Config{Plan: p, Digest: "d", Dir: t.TempDir(), Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer site.Close()
	root, c := copyProject(t), deploying(t, p)
	drift := func(more ...string) (int, string, string) {
		t.Helper()
		return printed(t, append([]string{"--root", root, "site", "drift", "--site", "summit", "--phalanx", c.Dir}, more...)...)
	}
	if code, out, errs := printed(t, "--root", root, "site", "import", "--site", "summit", "--phalanx", c.Dir); code != exitComplete {
		t.Fatalf("import: exit code %d\n%s%s", code, out, errs)
	}
	c.Replace("applications/simonyitel/values-summit.yaml", "classifier: mtmount, class: mtmount, revision: 7", "classifier: mtmount, class: mtmount, revision: 8")
	c.Commit("Tonight")
	flags := []string{"--cluster", "--site-map", filepath.Join(site.Map.Dir, rehearsal.MapFile)}

	// Before the upgrade the simulated site runs the images before it.
	code, out, errs := drift(flags...)
	rows := strings.Split(strings.TrimSpace(out), "\n")
	for i, want := range []string{
		"CSC summit Phalanx runs now", "MTMount:0 revision 7 8 mtmount:c0044.006", "ESS:105 runs ess:c0044.007 ess:c0044.007 ess:c0044.006",
	} {
		if i >= len(rows) || strings.Join(strings.Fields(hashes.ReplaceAllString(rows[i], "")), " ") != want {
			t.Errorf("row %d: want %q of\n%s", i, want, out)
		}
	}
	if code != exitFailed || len(rows) != 3 || !strings.Contains(errs, ": 2 differences") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	if effects := site.Record(); slices.ContainsFunc(effects, func(e rehearsal.Effect) bool { return e.Kind != rehearsal.CSCFound }) {
		t.Errorf("drift did something: %+v", effects)
	}
	if code, _, errs := drift("--site-map", flags[2]); code != exitInput || !strings.Contains(errs, "--site-map names a simulated site, but --cluster is missing") {
		t.Errorf("without --cluster: exit code %d\n%s", code, errs)
	}
	site.Close()
	if code, out, errs := drift(flags...); code == exitComplete || out != "" || errs == "" {
		t.Errorf("with a cluster that is gone: exit code %d\n%s%s", code, out, errs)
	}
}

// hashes are the commits in the head of a table.
var hashes = regexp.MustCompile(`\([0-9a-f]{9}\)`)
