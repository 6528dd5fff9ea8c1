package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lsst-ts/csu/compiler"
	"github.com/lsst-ts/csu/executor/plan"
)

// A source is a change of a file of the project.
type source struct{ file, old, new string }

// lags change all plans of the test stands, harmlessly.
var lags = []source{
	{"sites/tucson-teststand/site.cue", `lag:      "30s"`, `lag:      "31s"`},
	{"sites/base-teststand/site.cue", `lag:      "30s"`, `lag:      "31s"`},
}

// hiding are pull requests that hide a dangerous change behind others. All but one are
// such as the rules let pass, since no other would compile.
var hiding = []struct {
	name    string
	sources []source
	edits   []source // of plans, after they are compiled
	shown   []string // in one line of the first screen
	fails   string   // what the check says; "" if it passes
}{
	{"a command behind the lag of a test stand", append(lags[:1:1], source{"sites/summit/hosts.cue", `"./launch_love"`, `"mv ~/love ~/old; ./launch_love"`}), nil,
		[]string{"watch/love01", "other commands run", "mv ~/love ~/old; ./launch_love"}, ""},
	{"a command in a new plan", append(lags[:2:2],
		source{"sites/summit/hosts.cue", `"./launch_love"`, `"mv ~/love ~/old; ./launch_love"`},
		source{"sites/summit/upgrade.cue", `"2026-12-15"`, `"2026-12-22"`}), nil,
		[]string{"watch/love01", "other commands run", "mv ~/love ~/old; ./launch_love"}, ""},
	{"a command in a new plan for other CSCs", append(lags[:2:2],
		source{"sites/summit/hosts.cue", `				run: ["./launch_gc"]`, `				run: ["mv ~/gc ~/old; ./launch_gc"]`},
		source{"sites/summit/upgrade.cue", `"2026-11-24"`, `"2026-12-01"`},
		source{"sites/summit/upgrade.cue", `{csc: "MTMount:0", revision: 7}`, `{csc: "ATDome:0", revision: 3}`},
		source{"sites/summit/upgrade.cue", `{csc: "GenericCamera:101"}`, `{csc: "FiberSpectrograph:3"}`},
		source{"sites/summit/upgrade.cue", `applications: ["control-system-test"]`, ``}), nil,
		[]string{"watch/auxtel-ill-control", "no incremental plan of summit has had this", "on auxtel-ill-control as dco: mv ~/gc ~/old; ./launch_gc"}, ""},
	{"a check behind a new cycle", append(lags[:2:2],
		source{"sites/summit/upgrade.cue", `cycle:  "c0045"`, `cycle:  "c0046"`},
		source{"sites/summit/hosts.cue", `check: "! systemctl is-active --quiet docker.vmslogger"`, `check: "true"`}), nil,
		[]string{"services-down/vms-data", "action.check", "checked differently", "`true`"}, ""},
	{"the cluster", append(lags[:2:2], source{"sites/summit/site.cue", `server:     "https://rancher.\(domain)"`, `server:     "https://rancher2.cp.lsst.org"`}), nil,
		[]string{"targets", "kubernetes.server", "another system", "https://rancher2.cp.lsst.org"}, ""},
	{"the channel", append(lags[:2:2], source{"sites/summit/site.cue", `channel: "#summit-announce"`, `channel: "#elsewhere"`}), nil,
		[]string{"targets", "slack.channel", "#elsewhere"}, ""},
	{"a page", append(lags[:2:2], source{"sites/summit/site.cue", `{title: "Nublado", url: "\(base)/"}`, `{title: "Nublado", url: "https://nublado.cp.lsst.org/"}`}), nil,
		[]string{"targets", "pages", "another page", "https://nublado.cp.lsst.org/"}, ""},
	{"the registry of all images", append(lags[:2:2], source{"sites/summit/site.cue", `imageRegistry: "ts-dockerhub.lsst.org"`, `imageRegistry: "example.org"`}), nil,
		[]string{"CSCs", "image", "another image runs", "example.org"}, ""},
	{"an account", append(lags[:2:2],
		source{"sites/summit/hosts.cue", `		users: [dco]
		checkout: {repository: "LOVE`, `		users: [dco, {name: "admin", via: "own"}]
		checkout: {repository: "LOVE`},
		source{"sites/summit/hosts.cue", `start: {user: "dco", run: ["./launch_love"]`, `start: {user: "admin", run: ["./launch_love"]`}), nil,
		[]string{"watch/love01", "action.user", "`dco` → `admin`"}, ""},
	{"a selector", append(lags[:2:2], source{"sites/summit/cscs.cue", `cscName: "ess105"`, `cscName: "ess"`}), nil,
		[]string{"jobs/ess", "added", `selector "csc-name=ess"`}, ""},
	{"a reboot", append(lags[:2:2], source{"sites/summit/states.cue", `command: "sudo systemctl reboot"`, `command: "sudo reboot"`}), nil,
		[]string{"reboot/azar02", "action.command", "sudo reboot"}, ""},
	{"what a person is told", append(lags[:2:2], source{"sites/summit/hosts.cue", "Start the VMS data logger on vms-data again. No", "Run sudo chmod -R a+w /data on vms-data. No"}), nil,
		[]string{"watch/vms-data", "a person is asked", "chmod -R a+w /data"}, ""},
	{"a command that the sources do not have", lags[:2:2],
		[]source{{"plans/2026-12-15-summit-full.json", `"./launch_love"`, `"rm -rf ~; ./launch_love"`}},
		[]string{"watch/love01", "rm -rf ~; ./launch_love"}, "plans/2026-12-15-summit-full.json does not pass"},
	{"a long command", append(lags[:2:2], source{"sites/summit/hosts.cue", `"./launch_love"`, `"` + strings.Repeat("true; ", 1500) + `mv ~/love ~/old; ./launch_love"`}), nil,
		[]string{"The check fails", "dangerous changes of plan 7 do not fit"}, "dangerous changes of plans/2026-12-15-summit-full.json do not fit into the first 60 lines"},
	{"a request without its plan", append(lags[:2:2], source{"sites/summit/hosts.cue", `"./launch_love"`, `"mv ~/love ~/old; ./launch_love"`}),
		[]source{{"plans/2026-12-15-summit-full.json", "", ""}},
		[]string{"summit, full", "the plan that the sources give is not in plans/"}, "summit, full: the plan that the sources give is not in plans/"},
}

// TestReviewHidesNothing runs .ci/review on the pull requests as CI does.
func TestReviewHidesNothing(t *testing.T) {
	t.Parallel()
	csu, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range hiding {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			r := newProject(t)
			r.git(t, "checkout", "-q", "-b", "change")
			for _, s := range h.sources {
				r.edit(t, s)
			}
			r.compile(t)
			for _, s := range h.edits {
				if s.old == "" {
					r.git(t, "checkout", "-q", "main", "--", s.file)
					continue
				}
				r.edit(t, s)
			}
			r.commit(t, "A pull request")

			cmd := exec.Command(filepath.Join(r.dir, ".ci/review"), "main")
			cmd.Env = append(os.Environ(), "CSU="+csu)
			var comment, said bytes.Buffer
			cmd.Stdout, cmd.Stderr = &comment, &said
			err := cmd.Run()
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			if fails := err != nil; fails != (h.fails != "") || fails && (exit.ExitCode() != exitFailed || !strings.Contains(said.String(), h.fails)) {
				t.Errorf("the check: %v, want failure %q:\n%s", err, h.fails, said.String())
			}
			lines := strings.Split(comment.String(), "\n")
			if !slices.ContainsFunc(lines[:min(60, len(lines))], func(l string) bool {
				return !slices.ContainsFunc(h.shown, func(s string) bool { return !strings.Contains(l, s) })
			}) {
				t.Errorf("no line of the first 60 has all of %q:\n%s", h.shown, comment.String()[:min(8000, comment.Len())])
			}
			if comment.Len() > 65_000 || len(lines) < 20 {
				t.Errorf("the comment has %d bytes in %d lines", comment.Len(), len(lines))
			}
		})
	}
}

// newProject returns a repository with the project's sources and plans as its base.
func newProject(t *testing.T) *repository {
	t.Helper()
	r := &repository{t.TempDir()}
	for _, dir := range []string{"cue.mod", "schema", "sites", "plans", ".ci"} {
		if err := os.CopyFS(filepath.Join(r.dir, dir), os.DirFS(filepath.Join("../..", dir))); err != nil {
			t.Fatal(err)
		}
	}
	attributes, err := os.ReadFile("../../.gitattributes")
	if err != nil {
		t.Fatal(err)
	}
	r.write(t, ".gitattributes", string(attributes))
	r.git(t, "init", "-q", "-b", "main", ".")
	r.commit(t, "The base")
	return r
}

func (r *repository) edit(t *testing.T, s source) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(r.dir, s.file))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(data, []byte(s.old)) {
		t.Fatalf("%s does not have %q any more: correct this test", s.file, s.old)
	}
	r.write(t, s.file, strings.ReplaceAll(string(data), s.old, s.new))
}

// compile writes the plan of every request, as make plans does.
func (r *repository) compile(t *testing.T) {
	t.Helper()
	sites, err := compiler.Sites(r.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, site := range sites {
		types, err := compiler.Requested(r.dir, site)
		if err != nil {
			t.Fatal(err)
		}
		for _, typ := range types {
			p, _, err := compiler.Compile(compiler.Request{Root: r.dir, Site: site, Type: typ})
			if err != nil {
				t.Fatal(err)
			}
			data, err := plan.Encode(p)
			if err != nil {
				t.Fatal(err)
			}
			r.write(t, compiler.FileName(p), string(data))
		}
	}
}
