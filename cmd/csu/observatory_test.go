package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lsst-ts/csu/compiler"
	"github.com/lsst-ts/csu/executor/plan"
)

// observatory copies an invented observatory, with the project's own schema, into
// a folder of its own: one site with other names, of which no Go code knows.
func observatory(t *testing.T) (root string) {
	t.Helper()
	root = t.TempDir()
	for from, to := range map[string]string{
		"../../cue.mod": "cue.mod", "../../schema": "schema", "../../compiler/testdata/observatory/sites": "sites",
	} {
		if err := os.CopyFS(filepath.Join(root, to), os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// rewrite replaces a text in a file, which must have it.
func rewrite(t *testing.T, file, old, new string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(data, []byte(old)) {
		t.Fatalf("%s lacks %q", file, old)
	}
	if err := os.WriteFile(file, bytes.Replace(data, []byte(old), []byte(new), 1), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestObservatory: the standing rules hold at another observatory by its
// definition alone. Each of its plans is compiled, which checks the rules, cites
// what applies there, uses none of our terms, and is rehearsed to its end.
func TestObservatory(t *testing.T) {
	t.Parallel()
	root := observatory(t)
	bare := observatory(t)
	// The CSC that keeps its state on bare metal, with a checkout, and not on a cRIO.
	hosts := filepath.Join(bare, "sites", "roque", "hosts.cue")
	rewrite(t, hosts, `role: "crio"`, "role: \"bare-metal\"\n\tcheckout: {repository: \"configurations\", branch: \"main\", user: \"daemon\"}")
	rewrite(t, hosts, `build: {user: "daemon", run: ["cd ~/tracker && git pull && make"], takes: "10m", limit: "1h"}`, "")
	rewrite(t, filepath.Join(bare, "sites", "roque", "states.cue"), `site: recovery: startCRIOs: ["metrology"]`, "site: recovery: {}")

	for _, c := range []struct {
		name, root string
		typ        plan.Type
		cites      string // that the site's facts call for
	}{
		{"full", root, plan.Full, "P4 P6 P29 P30"},
		{"incremental", root, plan.Incremental, "P4 P6"},
		{"recovery", root, plan.Recovery, "P4 P5 P6 P45"},
		{"full on bare metal", bare, plan.Full, "P4 P6"},
		{"incremental on bare metal", bare, plan.Incremental, "P4 P6"},
		{"recovery on bare metal", bare, plan.Recovery, "P4 P5 P6"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, warnings, err := compiler.Compile(compiler.Request{Root: c.root, Site: "roque", Type: c.typ})
			if err != nil {
				t.Fatal(err)
			}
			if len(warnings) > 0 {
				t.Errorf("warnings: %v", warnings)
			}
			for _, number := range strings.Fields(c.cites) {
				if len(citing(p, number)) == 0 {
					t.Errorf("no step cites %s", number)
				}
			}
			data, err := plan.Encode(p)
			if err != nil {
				t.Fatal(err)
			}
			for _, ours := range []string{"summit", "teststand", "lsst.org", "lsst.codes", "MTM2", "M1M3", "Hexrot", "Santiago", "science-platform"} {
				if bytes.Contains(data, []byte(ours)) {
					t.Errorf("the plan of another observatory says %q", ours)
				}
			}
			file := filepath.Join(t.TempDir(), "plan.json")
			if err := plan.WriteFile(file, data, 0o644); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
			defer cancel()
			cmd := csu(t, "rehearse", "--consent", "all", file)
			out, err := runWithin(ctx, cmd)
			if err != nil || !strings.Contains(out, "all 6 CSCs are in their expected state") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

func runWithin(ctx context.Context, cmd *exec.Cmd) (string, error) {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return "", err
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	err := cmd.Wait()
	return out.String(), err
}

// TestObservatoryDays: days, hours and the time zone are the site's.
func TestObservatoryDays(t *testing.T) {
	t.Parallel()
	root := observatory(t)
	request := filepath.Join(root, "sites", "roque", "upgrade.cue")
	rewrite(t, request, "2027-03-04", "2027-03-09") // a Tuesday
	p, warnings, err := compiler.Compile(compiler.Request{Root: root, Site: "roque", Type: plan.Full})
	if err != nil {
		t.Fatal(err)
	}
	want := "2027-03-09 is a Tuesday: full deployments at roque begin on a Monday, Thursday at 10:30 roque time (P54)"
	if len(warnings) != 1 || warnings[0].Text != want || !strings.HasPrefix(warnings[0].Place, "sites/roque/upgrade.cue:") {
		t.Errorf("warnings %v, want %q", warnings, want)
	}
	text, err := announcement(p, true)
	if err != nil || !strings.HasPrefix(text, "Tomorrow, Tuesday 9 March, at 10:30 roque time the control system is upgraded to cycle c0002 at roque.") {
		t.Errorf("%q, %v", text, err)
	}
	// A site's day is not the operator's: at 23:30 UTC it is the next one in Tokyo.
	late := time.Date(2027, 3, 7, 23, 30, 0, 0, time.UTC)
	if err := rightDay(p, true, late); err == nil {
		t.Error("on the islands it is still the 7th, and the announcement says tomorrow for the 9th")
	}
	p.Facts.TimeZone = "Asia/Tokyo"
	if err := rightDay(p, true, late); err != nil {
		t.Error(err)
	}
}

// TestNewSite: a folder below sites is a site: for compile, make plans, the help
// text, completion and the error that names the sites.
func TestNewSite(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, dir := range []string{"cue.mod", "schema", "sites"} {
		if err := os.CopyFS(filepath.Join(root, dir), os.DirFS(filepath.Join("../..", dir))); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(filepath.Join(root, "sites", "roque"), os.DirFS("../../compiler/testdata/observatory/sites/roque")); err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "Makefile"), makefile, 0o644); err != nil {
		t.Fatal(err)
	}
	in := func(cmd *exec.Cmd) string {
		t.Helper()
		cmd.Dir = root
		out, _ := cmd.CombinedOutput() // what it says is compared
		return string(out)
	}
	all := []string{"base-teststand", "roque", "summit", "tucson-teststand"}

	for _, typ := range plan.Types {
		if out := in(csu(t, "plan", "compile", "--site", "roque", "--type", string(typ), "-o", string(typ)+".json")); !strings.HasPrefix(out, string(typ)+".json\n") {
			t.Errorf("compile %s: %s", typ, out)
		}
	}
	help := strings.Join(strings.Fields(in(csu(t, "plan", "compile", "--help"))), " ")
	if !strings.Contains(help, "The site: base-teststand, roque, summit or tucson-teststand.") {
		t.Errorf("help: %s", help)
	}
	for _, line := range []string{"csu plan compile --site ", "csu plan compile --root " + root + " --site ", "csu plan compile --root=" + root + " --site "} {
		cmd := csu(t)
		dir := root
		if strings.Contains(line, "--root") {
			dir = t.TempDir()
		}
		cmd.Dir, cmd.Env = dir, append(cmd.Environ(), "COMP_LINE="+line, "COMP_POINT=")
		out, err := cmd.Output()
		if got := strings.Fields(string(out)); err != nil || !slices.Equal(got, all) {
			t.Errorf("completion of %q: %q, %v", line, got, err)
		}
	}
	if out := in(csu(t, "plan", "compile", "--site", "roqe", "--type", "full")); !strings.Contains(out, `no site "roqe" (did you mean "roque"?)`) {
		t.Errorf("unknown site: %s", out)
	}

	// The csu that make would build is the one that is tested.
	if err := os.Mkdir(filepath.Join(root, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(csu(t).Path, filepath.Join(root, "bin", "csu")); err != nil {
		t.Fatal(err)
	}
	in(exec.Command("make", "-s", "-o", "build", "plans"))
	plans, err := filepath.Glob(filepath.Join(root, "plans", "*-roque-*.json"))
	if err != nil || len(plans) != 3 {
		t.Errorf("make plans gives %q for the new site, %v", plans, err)
	}

	rewrite(t, filepath.Join(root, "sites", "roque", "site.cue"), `"roque"`, `"rock"`)
	if out := in(csu(t, "plan", "compile", "--site", "roque", "--type", "full")); !strings.Contains(out, `sites/roque/site.cue:8:15: name: is "rock" but the folder is "roque"; name the site like its folder`) {
		t.Errorf("another name than its folder's: %s", out)
	}
}
