package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/lsst-ts/csu/compiler/phalanxtest"
	"github.com/lsst-ts/csu/executor/plan"
)

// deploying returns a clone of a Phalanx that deploys the CSCs of a plan, committed.
func deploying(t *testing.T, p *plan.Plan) *phalanxtest.Clone {
	t.Helper()
	c := phalanxtest.New(t)
	c.Replace("environments/values-summit.yaml", "c0044", p.Upgrade.Cycle)
	values, aliases := map[string]string{}, map[string][]string{}
	for _, row := range p.CSCs {
		if row.Job == nil {
			continue
		}
		repository, tag, _ := strings.Cut(row.Image, ":")
		text := fmt.Sprintf("%s: {enabled: true, repository: %s, classifier: %s, class: %s", row.Job.Name, repository, row.Job.CSCName, row.Job.CSCClass)
		if _, revision, pinned := strings.Cut(tag, "."); pinned {
			n, err := strconv.Atoi(revision)
			if err != nil {
				t.Fatal(err)
			}
			text += fmt.Sprintf(", revision: %d", n)
		}
		if row.ComesUp != "" && row.ComesUp != plan.Standby {
			text += ", env: {RUN_ARG: --state " + strings.ToLower(row.ComesUp) + "}"
		}
		app := row.Job.Application
		values[app] += text + "}\n"
		aliases[app] = append(aliases[app], row.Job.Name)
	}
	for app := range values {
		c.Application(app, values[app], aliases[app]...)
	}
	for _, app := range []string{"nublado"} { // synced by a full upgrade
		c.Write("environments/templates/"+app+".yaml", "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: "+app+"}\n"+
			"spec: {project: rsp, destination: {namespace: "+app+"}, source: {path: applications/"+app+", targetRevision: main, helm: {}}}\n")
	}
	c.Commit("The observatory")
	return c
}

// ofSummit returns a plan of the summit.
func ofSummit(t *testing.T, file string) *plan.Plan {
	t.Helper()
	p, _, err := plan.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// printed runs csu and returns its exit code, and what it prints on standard output and
// standard error.
func printed(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	cmd := csu(t, args...)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	err := cmd.Run()
	var exited *exec.ExitError
	if errors.As(err, &exited) {
		return exited.ExitCode(), o.String(), e.String()
	}
	if err != nil {
		t.Fatal(err)
	}
	return 0, o.String(), e.String()
}

const summitFull = "../../plans/2026-12-15-summit-full.json"

// withBareTags returns the file of the summit's full plan as csu compiled it while it took
// the tags of a new cycle to be bare.
func withBareTags(t *testing.T) string {
	t.Helper()
	p := ofSummit(t, summitFull)
	for i := range p.CSCs {
		p.CSCs[i].Image = strings.TrimSuffix(p.CSCs[i].Image, ".000")
	}
	return written(t, p)
}

// TestCheckRendering: the summit's full plan with the bare tags of a new cycle is refused
// with one line for its 99 images; the plan as it is now is what Phalanx deploys.
func TestCheckRendering(t *testing.T) {
	t.Parallel()
	c := deploying(t, ofSummit(t, summitFull))
	code, out, errs := printed(t, "plan", "check", summitFull, "--phalanx", c.Dir)
	if code != exitComplete || !strings.Contains(out, "follows the rules, is what Phalanx deploys at "+c.Git("rev-parse", "HEAD")[:9]) {
		t.Errorf("the plan of today: exit code %d\n%s%s", code, out, errs)
	}

	before := withBareTags(t)
	code, out, errs = printed(t, "plan", "check", before, "--rules", "--phalanx", c.Dir)
	lines := strings.Split(errs, "\n")
	if code != exitFailed || out != "" || len(lines) != 4 || !strings.HasPrefix(lines[0], before+": image tag of 99 CSCs, ATAOS, ") ||
		!strings.HasSuffix(lines[0], ": the plan has c0045, Phalanx deploys c0045.000") || !strings.Contains(lines[1], "(2026-08-21, The observatory): 1 finding") {
		t.Errorf("the plan before: exit code %d\n%s%s", code, out, errs)
	}
	if code, out, errs := printed(t, "plan", "check", before, "--rules"); code != exitComplete {
		t.Errorf("the plan before follows the rules: exit code %d\n%s%s", code, out, errs)
	}
}

// copyProject copies the sources of the project.
func copyProject(t *testing.T) (root string) {
	t.Helper()
	root = t.TempDir()
	for _, dir := range []string{"cue.mod", "schema", "sites"} {
		if err := os.CopyFS(filepath.Join(root, dir), os.DirFS(filepath.Join("../..", dir))); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// TestImport: an import makes the inventory what Phalanx deploys, drift finds what has
// changed since, and what the inventory cannot be changes nothing.
func TestImport(t *testing.T) {
	t.Parallel()
	root := copyProject(t)
	file := filepath.Join(root, "sites/summit/cscs.cue")
	read := func() string {
		t.Helper()
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	c := deploying(t, ofSummit(t, "../../plans/2026-12-03-summit-recovery.json"))
	site := func(verb string, more ...string) (int, string, string) {
		t.Helper()
		return printed(t, append([]string{"--root", root, "site", verb, "--site", "summit", "--phalanx", c.Dir}, more...)...)
	}
	first := c.Git("rev-parse", "HEAD")

	// The test's charts do not make the same ConfigMaps, Services and Secrets.
	code, out, errs := site("import")
	if want := "cscs.cue: rewritten, 104 CSCs of Phalanx " + first[:9] + " (2026-08-21, The observatory), 13 differences\n"; code != 0 || !strings.HasSuffix(out, want) || strings.Count(out, " resources ") != 5 || strings.Count(out, " shared in ") != 8 {
		t.Fatalf("first import: exit code %d\n%s%s", code, out, errs)
	}
	text := read()
	if !strings.Contains(text, `commit: "`+first+`"`) {
		t.Errorf("the commit is not in the inventory:\n%s", text)
	}
	if code, out, errs := site("drift"); code != 0 || out != "summit: no difference in 104 CSCs from Phalanx "+first[:9]+" (2026-08-21, The observatory)\n" {
		t.Errorf("drift after the import: exit code %d\n%s%s", code, out, errs)
	}
	code, out, errs = site("import")
	if code != 0 || !strings.Contains(out, "unchanged, 104 CSCs") || read() != text {
		t.Errorf("second import: exit code %d\n%s%s", code, out, errs)
	}

	// Phalanx moves on.
	c.Replace("applications/simonyitel/values-summit.yaml", "class: mtmount, revision: 6", "class: mtmount, revision: 7")
	c.Replace("applications/auxtel/values-summit.yaml", "atbuilding: {enabled: true", "atbuilding: {enabled: false")
	c.Replace("applications/control-system-test/values-summit.yaml", "class: test", "class: test, revision: 0, entrypoint: run")
	c.Replace("applications/obssys/values-summit.yaml", "--state enabled", "--state standby")
	second := c.Commit("Tonight")
	table := "CSC                       summit (" + first[:9] + ")                    Phalanx (" + second[:9] + ")\n" +
		"Test:42        revision   none                                  0\n" +
		"Test:42        resources  none                                  ConfigMap test42-entrypoint\n" +
		"ScriptQueue:2  starts in  ENABLED                               STANDBY\n" +
		"MTMount:0      revision   6                                     7\n" +
		"ATBuilding:0   instance   Job atbuilding, atbuilding:c0044.000  none\n"
	code, out, errs = site("drift")
	if out != table || code != exitFailed || !strings.Contains(errs, "5 differences") || !strings.Contains(errs, "hint: if that revision is deployed, run csu site import") {
		t.Errorf("drift: exit code %d\n%s%s\nwant\n%s", code, out, errs, table)
	}
	if code, out, errs := site("drift", "--rev", first); code != 0 {
		t.Errorf("drift from the first commit: exit code %d\n%s%s", code, out, errs)
	}
	if read() != text {
		t.Error("drift has changed the inventory")
	}
	code, out, errs = site("import")
	if code != 0 || !strings.HasSuffix(out, "(2026-08-21, Tonight), 5 differences\n") || !strings.Contains(out, "MTMount:0      revision   6 ") {
		t.Errorf("import: exit code %d\n%s%s", code, out, errs)
	}
	text = read()
	if !strings.Contains(text, `"MTMount:0": {application: "simonyitel", job: "mtmount", cscName: "mtmount", cscClass: "mtmount", image: "mtmount", revision: 7}`) || strings.Contains(text, "ATBuilding") {
		t.Errorf("the inventory:\n%s", text)
	}

	// What it cannot be.
	c.Replace("applications/simonyitel/values-summit.yaml", "classifier: mtmount, class: mtmount", "classifier: mtmont, class: mtmont")
	third := c.Commit("Misspelt")
	line := 1 + slices.IndexFunc(strings.Split(c.Git("show", "HEAD:applications/simonyitel/values-summit.yaml"), "\n"), func(l string) bool { return strings.HasPrefix(l, "mtmount:") })
	code, out, errs = site("import")
	if want := fmt.Sprintf(`%s:applications/simonyitel/values-summit.yaml:%d: Job mtmount: no SAL component has the name of its class, "mtmont"`, third[:9], line); code != exitInput || out != "" || !strings.Contains(errs, want) || !strings.Contains(errs, "add the SAL component to #Components in schema/components.cue") {
		t.Errorf("unknown component: exit code %d\n%s%s\nwant %s", code, out, errs, want)
	}
	c.Git("reset", "--quiet", "--hard", second)
	for _, x := range []struct{ app, job, want string }{
		{"simonyitel", "mtm2", ": CSC MTM2:0: is not in the inventory that "},
		{"obssys", "watcher", "CSC Watcher:0: is missing, but every upgrade needs it"},
	} {
		c.Replace("applications/"+x.app+"/values-summit.yaml", x.job+": {enabled: true", x.job+": {enabled: false")
		c.Commit("Without " + x.job)
		code, out, errs = site("import")
		if code != exitInput || out != "" || !strings.Contains(errs, x.want) {
			t.Errorf("without %s: exit code %d\n%s%s", x.job, code, out, errs)
		}
		c.Git("reset", "--quiet", "--hard", second)
	}
	if read() != text {
		t.Error("a refused import has changed the inventory")
	}

	// An inventory that is lost, or cannot be read.
	for _, spoilt := range []string{"", "package site\nsite: cscs: {"} {
		if err := os.WriteFile(file, []byte(spoilt), 0o644); err != nil {
			t.Fatal(err)
		}
		if spoilt == "" {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}
		code, out, errs = site("import", "--rev", second)
		if code != 0 || read() != text || (spoilt != "") != strings.Contains(errs, "warning: the inventory that was there cannot be compared") {
			t.Errorf("inventory %q: exit code %d\n%s%s", spoilt, code, out, errs)
		}
	}
}

// TestPhalanxFlags: what is missing is named with its remedy.
func TestPhalanxFlags(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		args []string
		want string
	}{
		{[]string{"site", "import", "--site", "summit"}, "error: --phalanx is missing\nhint: clone https://github.com/lsst-sqre/phalanx and add --phalanx DIR"},
		{[]string{"site", "drift", "--site", "summit", "--rev", "main"}, "error: --phalanx is missing\nhint: clone"},
		{[]string{"plan", "check", summitFull, "--rev", "main"}, "error: --rev names a revision of Phalanx, but --phalanx is missing\nhint: add --phalanx DIR"},
		{[]string{"site", "drift", "--site", "summit", "--phalanx", t.TempDir()}, "not a git repository"},
		{[]string{"site", "drift", "--site", "sumit", "--phalanx", t.TempDir()}, `no site "sumit" (did you mean "summit"?)`},
		{[]string{"site", "import", "--site", "sumit", "--phalanx", t.TempDir()}, `no site "sumit" (did you mean "summit"?)`},
	} {
		code, out, errs := printed(t, x.args...)
		if code != exitInput || out != "" || !strings.Contains(errs, x.want) {
			t.Errorf("csu %s: exit code %d\n%s%s\nwant %s", strings.Join(x.args, " "), code, out, errs, x.want)
		}
	}
}
