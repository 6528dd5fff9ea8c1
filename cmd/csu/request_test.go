package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lsst-ts/csu/compiler/phalanxtest"
)

// TestRequestOfARange: each class of merges gives its request, and the request a plan.
func TestRequestOfARange(t *testing.T) {
	t.Parallel()
	root := copyProject(t)
	c := deploying(t, ofSummit(t, "../../plans/2026-12-03-summit-recovery.json"))
	c.Application("csc-versions", "", "none")
	first := c.Commit("The versions")
	if code, out, errs := printed(t, "--root", root, "site", "import", "--site", "summit", "--phalanx", c.Dir); code != 0 {
		t.Fatalf("import: exit code %d\n%s%s", code, out, errs)
	}
	file := filepath.Join(root, "sites/summit/upgrade.cue")
	original, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const values = "applications/envsys/values-summit.yaml"
	line := func(c *phalanxtest.Clone, job string) string {
		for l := range strings.Lines(c.Git("show", "HEAD:"+values)) {
			if strings.HasPrefix(l, job+":") {
				return strings.TrimSuffix(l, "\n")
			}
		}
		t.Fatalf("no %s", job)
		return ""
	}
	edit := func(job, old, now string) func(*testing.T) {
		return func(t *testing.T) { l := line(c, job); c.Replace(values, l, strings.Replace(l, old, now, 1)) }
	}
	for _, x := range []struct {
		name   string
		change func(*testing.T)
		table  string // lines of the output, separated by |
		fields string // lines of the request, separated by |
		title  string // of the plan
	}{
		{"raised", edit("eas", "revision: 9", "revision: 10"), "EAS:0 raised eas:c0044.009 eas:c0044.010", `{csc: "EAS:0", revision: 10},`, "incremental upgrade,"},
		{"lowered", edit("eas", "revision: 9", "revision: 0"), "EAS:0 lowered eas:c0044.009 eas:c0044.000", `{csc: "EAS:0", revision: 0, why: "rollback"},`, "rollback of EAS,"},
		{"unpinned", edit("eas", ", revision: 9", ""), "EAS:0 unpinned eas:c0044.009 eas:c0044", `{csc: "EAS:0", why: "unpinned"},`, "incremental upgrade of EAS,"},
		{"pinned", func(t *testing.T) {
			c.Replace("applications/control-system-test/values-summit.yaml", "class: test", "class: test, revision: 0")
		}, "Test:42 pinned test:c0044 test:c0044.000", `{csc: "Test:42", revision: 0},`, "incremental upgrade,"},
		{"configuration", edit("eas", "enabled: true", "enabled: true, env: {RUN_ARG: --state disabled}, claims: [data]"), "EAS:0 configuration eas:c0044.009 eas:c0044.009",
			`{csc: "EAS:0", why: "configuration", comesUp: "DISABLED", resources: [{kind: "PersistentVolumeClaim", name: "eas-data-pvc"}]},`, "new configuration of EAS,"},
		{"renumbered", edit("camera-ess111", "classifier: ess111", "classifier: ess131"), "ESS:131 added ess:c0044.006|ESS:111 removed ess:c0044.006",
			`"ESS:131": {application: "envsys", job: "camera-ess111", cscName: "ess131"|removed: ["ESS:111"]`, "addition of ESS:131 with removal of ESS:111,"},
		{"LOVE", func(t *testing.T) {
			c.Write("applications/love/templates/manager.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: manager}\nspec: {}\n")
			c.Write("applications/nublado/values.yaml", "a: 1\n")
			c.Write("docs/index.md", "Text.\n")
		}, "love synced|Beside the control system:|- application nublado (1 file)|- 1 file of other sites and of no application", `applications: ["love"]`, "upgrade of LOVE,"},
		{"versions", func(t *testing.T) {
			c.Write("applications/csc-versions/templates/versions.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: versions}\n")
		}, "csc-versions synced", `applications: ["csc-versions"]`, "sync of csc-versions,"},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Cleanup(func() {
				c.Git("reset", "--quiet", "--hard", first)
				if err := os.WriteFile(file, original, 0o644); err != nil {
					t.Fatal(err)
				}
			})
			x.change(t)
			commit := c.Commit("Change: " + x.name)
			code, out, errs := printed(t, "--root", root, "plan", "request", "--site", "summit", "--phalanx", c.Dir, "--to", "main", "--date", "2026-11-24")
			if code != 0 {
				t.Fatalf("exit code %d\n%s%s", code, out, errs)
			}
			words := strings.Join(strings.Fields(out), " ")
			for want := range strings.SplitSeq(x.table, "|") {
				if !strings.Contains(words, want) {
					t.Errorf("want %q in\n%s", want, out)
				}
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for want := range strings.SplitSeq(x.fields+`|phalanx: "`+commit, "|") {
				if !strings.Contains(string(text), want) {
					t.Errorf("want %q in\n%s", want, text)
				}
			}
			if strings.Contains(string(text), `"Revision 7 of`) || !strings.Contains(string(text), `reason: "Phalanx `+first[:9]) || !strings.Contains(string(text), "Recovery after") {
				t.Errorf("the other requests, or the reason:\n%s", text)
			}
			p := filepath.Join(t.TempDir(), "p.json")
			if code, out, errs := printed(t, "--root", root, "plan", "compile", "--site", "summit", "--type", "incremental", "-o", p); code != 0 {
				t.Fatalf("compile: exit code %d\n%s%s\n%s", code, out, errs, text)
			}
			if _, out, _ := printed(t, "plan", "show", p); !strings.HasPrefix(out, "summit: "+x.title) {
				t.Errorf("want the title %q:\n%.300s", x.title, out)
			}
			if code, out, errs := printed(t, "--root", root, "plan", "request", "--site", "summit", "--phalanx", c.Dir, "--to", "main", "--date", "2026-11-24"); code != 0 || !strings.Contains(out, "unchanged, it has this incremental request") {
				t.Errorf("again: exit code %d\n%s%s", code, out, errs)
			}
		})
	}
}

// TestRequestOfAWholeCycle: a range that changes the cycle gives a full request, or says
// what it cannot say; and what needs a full one without a new cycle is not written.
func TestRequestOfAWholeCycle(t *testing.T) {
	t.Parallel()
	root := copyProject(t)
	c := deploying(t, ofSummit(t, "../../plans/2026-12-03-summit-recovery.json"))
	first := c.Git("rev-parse", "HEAD")
	run := func(args ...string) (int, string, string) {
		t.Helper()
		return printed(t, append([]string{"--root", root, "plan", "request", "--site", "summit", "--phalanx", c.Dir, "--date", "2026-12-15"}, args...)...)
	}
	code, out, errs := run("--to", "main")
	if code != exitInput || !strings.Contains(errs, "is not what 650a0ef2c") && !strings.Contains(errs, `revision "650a0ef2c`) {
		t.Errorf("a commit that the clone does not have: exit code %d\n%s%s", code, out, errs)
	}
	code, out, errs = run("--from", first, "--to", "main")
	if code != exitInput || !strings.Contains(errs, "the inventory of summit is not what "+first[:9]) || !strings.Contains(errs, "hint: run csu site import --site summit") {
		t.Errorf("another inventory: exit code %d\n%s%s", code, out, errs)
	}
	if code, out, errs := printed(t, "--root", root, "site", "import", "--site", "summit", "--phalanx", c.Dir); code != 0 {
		t.Fatalf("import: exit code %d\n%s%s", code, out, errs)
	}
	code, out, errs = run("--to", "main")
	if code != 0 || !strings.HasSuffix(out, "summit: nothing of the control system changes; no request is written\n") {
		t.Errorf("an empty range: exit code %d\n%s%s", code, out, errs)
	}
	if code, _, errs := run("--to", "main", "--date", "soon"); code != exitInput || !strings.Contains(errs, `--date "soon" is not a date`) {
		t.Errorf("no date: exit code %d\n%s", code, errs)
	}

	c.Replace("charts/csc/templates/job.yaml", "      containers:", "      terminationGracePeriodSeconds: 60\n      containers:")
	c.Commit("For all")
	code, out, errs = run("--to", "main")
	if code != exitFailed || !strings.Contains(out, "- the configuration of every CSC changes, as a change of charts/csc does") || !strings.Contains(errs, "upgrade.cue is not written: the range needs a full upgrade") {
		t.Errorf("a change for all: exit code %d\n%s%s", code, out, errs)
	}
	c.Git("reset", "--quiet", "--hard", first)

	c.Replace("environments/values-summit.yaml", "c0044", "c0043")
	c.Replace("applications/envsys/values-summit.yaml", "eas: {enabled: true", "eas: {enabled: false")
	c.Commit("Back")
	code, out, errs = run("--to", "main")
	if code != 0 || !strings.Contains(out, "- the cycle goes from c0044 to c0043") || !strings.Contains(out, "- EAS: added or removed with the cycle") || !strings.Contains(out, "full request for 2026-12-15") {
		t.Errorf("another cycle: exit code %d\n%s%s", code, out, errs)
	}
	text, err := os.ReadFile(filepath.Join(root, "sites/summit/upgrade.cue"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), `cycle:  "c0043"`) || !strings.Contains(string(text), `"MTMount:0":         6`) || strings.Contains(string(text), "breaksSchema") {
		t.Errorf("the request:\n%s", text)
	}
	code, out, errs = printed(t, "--root", root, "plan", "compile", "--site", "summit", "--type", "full", "-o", filepath.Join(t.TempDir(), "p.json"))
	if code != 0 {
		t.Errorf("compile: exit code %d\n%s%s", code, out, errs)
	}
}
