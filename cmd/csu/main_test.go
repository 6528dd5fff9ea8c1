package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/rehearsal"
)

// TestMain lets the scripts run csu from the test's own binary.
func TestMain(m *testing.M) {
	testscript.Main(suite{m}, map[string]func(){"csu": func() { os.Exit(run(os.Args[1:])) }})
}

// suite removes what [binary] has built when all tests have run.
type suite struct{ *testing.M }

func (s suite) Run() int {
	defer func() { os.RemoveAll(built) }()
	return s.M.Run()
}

var built string // the folder of the built binary

// TestScript runs the scripts, one per behaviour of the command line. With
// CSU_UPDATE=1 it renews the output that they compare with.
//
// Beside testscript's own they have these commands:
//
//	exits CODE PROGRAM [ARG...]  run it; it must end with the exit code
//	project                      copy the CUE module, its schema and sites, here
//	edit FILE OLD NEW            replace the first OLD, which must be there; \n and \t are as in Go
//	await FILE [TEXT]            wait until the file is there and has the text
//	undoubled DIR                the site of the folder has recorded no effect twice, and nothing is down
//
// PLANS is the folder of the project's plans.
func TestScript(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("CSU_UPDATE") != "",
		Setup: func(env *testscript.Env) error {
			env.Setenv("PLANS", filepath.Join(root, "plans"))
			for _, s := range []string{
				"HOME=" + env.WorkDir, "KUBECONFIG=" + filepath.Join(env.WorkDir, "no-kubeconfig"), "SSH_AUTH_SOCK=",
				"GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_CONFIG_NOSYSTEM=1",
				"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.org",
			} {
				name, value, _ := strings.Cut(s, "=")
				env.Setenv(name, value)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits,
			"project": func(ts *testscript.TestScript, neg bool, args []string) {
				for _, dir := range []string{"cue.mod", "schema", "sites"} {
					ts.Check(os.CopyFS(ts.MkAbs(dir), os.DirFS(filepath.Join(root, dir))))
				}
			},
			"edit":  edit,
			"await": await,
			"undoubled": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) != 1 {
					ts.Fatalf("usage: undoubled DIR")
				}
				p, _, err := plan.ReadFile(ts.MkAbs("plan.json"))
				ts.Check(err)
				harm, err := harmed(p, filepath.Join(ts.MkAbs(args[0]), rehearsal.RecordFile))
				ts.Check(err)
				if len(harm) > 0 {
					ts.Fatalf("%s", strings.Join(harm, "\n"))
				}
			},
		},
	})
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func edit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: edit FILE OLD NEW")
	}
	escapes := strings.NewReplacer(`\n`, "\n", `\t`, "\t")
	from, to := escapes.Replace(args[1]), escapes.Replace(args[2])
	text := ts.ReadFile(args[0])
	if !strings.Contains(text, from) {
		ts.Fatalf("%s does not have %q", args[0], from)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Replace(text, from, to, 1)), 0o644))
}

func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: await FILE [TEXT]")
	}
	text := strings.Join(args[1:], "")
	if err := awaitFile(ts.MkAbs(args[0]), text); err != nil {
		ts.Fatalf("%v", err)
	}
}

// patience is how long a test waits for what has to come. It is used up only
// where something is wrong, however slow the machine.
const patience = 5 * time.Minute

// awaitFile waits until a file is there and has the text.
func awaitFile(name, text string) error {
	limit := time.Now().Add(patience)
	for {
		data, err := os.ReadFile(name)
		if err == nil && bytes.Contains(data, []byte(text)) {
			return nil
		}
		if time.Now().After(limit) {
			return fmt.Errorf("after %s %q has no %q: %w", patience, name, text, errors.Join(err, errors.New("last read: "+string(data[max(0, len(data)-2000):]))))
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// binary builds csu as it is installed, once.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "csu-test-")
	if err != nil {
		return "", err
	}
	built = dir
	name := filepath.Join(dir, "csu")
	// Without the revision: asking git for it fails where the repository is another user's.
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", name, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build csu: %w\n%s", err, out)
	}
	return name, nil
})

// csu returns the command that runs the built binary.
func csu(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	name, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return exec.Command(name, args...)
}

// serve keeps the simulated site of a plan up as a process of its own for as
// long as the test runs, and returns its folder.
func serve(t *testing.T, planFile string, speed int, flags ...string) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "site")
	cmd := csu(t, append([]string{"rehearse", "--serve", "--dir", dir, fmt.Sprintf("--speed=%d", speed), planFile}, flags...)...)
	var printed bytes.Buffer
	cmd.Stdout, cmd.Stderr = &printed, &printed
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		defer context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })()
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Errorf("end the simulated site: %v", err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("the simulated site: %v\n%s", err, printed.String())
		}
	})
	if err := awaitFile(filepath.Join(dir, rehearsal.MapFile), ""); err != nil {
		t.Fatalf("%v\n%s", err, printed.String())
	}
	return dir
}

// TestNaming: a hint's commands name the plan, and its names are left alone.
func TestNaming(t *testing.T) {
	const hint = `ask "MAX PLANCK"; csu takeover PLAN --reason TEXT, or move /NIGHT PLANS/j and csu exec PLAN --resume`
	const want = `ask "MAX PLANCK"; csu takeover p.json --site-map m --reason TEXT, or move /NIGHT PLANS/j and csu exec p.json --site-map m --resume`
	if got := naming(hint, "p.json --site-map m"); got != want {
		t.Errorf("naming = %s", got)
	}
	if got := naming(hint, ""); got != hint {
		t.Errorf("naming of none = %s", got)
	}
}
