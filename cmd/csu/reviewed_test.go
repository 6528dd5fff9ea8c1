package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/plan"
)

// night is the plan that the tests of the review carry out, and day another one.
const (
	night = "plans/2026-12-15-summit-full.json"
	day   = "plans/2026-11-24-summit-incremental.json"
)

var (
	// Edits that the rules let pass: csu says the same twice, and talks to the site's domain.
	otherCommand = source{night, `./launch_love`, `./launch_love --all`}
	otherLOVE    = source{night, `https://summit-lsp.lsst.codes/love`, `https://love.cp.lsst.org/love`}
	otherReason  = source{day, `Revision 7 of MTMount`, `Revision 8 of MTMount`}
	badSelector  = source{day, `"csc-name=ess105"`, `"csc-class=ess"`}
	otherLag     = source{"sites/summit/site.cue", `lag:      "30s"`, `lag:      "31s"`}
)

// newClone returns a clone of a shared repository that has the project.
func newClone(t *testing.T) *repository {
	t.Helper()
	r := newProject(t)
	origin := t.TempDir()
	r.git(t, "clone", "-q", "--bare", ".", origin)
	r.git(t, "remote", "add", "origin", origin)
	r.git(t, "fetch", "-q", "origin")
	return r
}

// csu runs csu in the repository, and returns its exit code and what it printed.
func (r *repository) csu(t *testing.T, env []string, args ...string) (int, string) {
	t.Helper()
	cmd := csu(t, args...)
	cmd.Dir = r.dir
	home := t.TempDir()
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "KUBECONFIG=" + filepath.Join(home, "no-kubeconfig"),
		"GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_CONFIG_NOSYSTEM=1", "GIT_CEILING_DIRECTORIES=" + os.TempDir(),
	}, env...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// refuses runs csu, which must refuse by a guard, and say all of this.
func (r *repository) refuses(t *testing.T, env []string, command string, says ...string) {
	t.Helper()
	r.ends(t, exitRefused, env, command, says...)
}

func (r *repository) ends(t *testing.T, want int, env []string, command string, says ...string) string {
	t.Helper()
	code, out := r.csu(t, env, strings.Fields(command)...)
	if code != want {
		t.Errorf("csu %s: exit code %d, want %d:\n%s", command, code, want, out)
	}
	for _, s := range says {
		if !regexp.MustCompile(`(?m)` + s).MatchString(out) {
			t.Errorf("csu %s does not say %q:\n%s", command, s, out)
		}
	}
	return out
}

// love answers as a LOVE does to whom csu gives its password, and counts the requests.
func love(t *testing.T) (url string, env []string, requests *atomic.Int32) {
	t.Helper()
	requests = &atomic.Int32{}
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		w.WriteHeader(http.StatusForbidden)
	}))
	t.Cleanup(s.Close)
	dir := t.TempDir()
	files := map[string]string{
		"certificate": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})),
		"kubeconfig":  kubeconfig,
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return s.URL, append(secrets(), "SSL_CERT_FILE="+filepath.Join(dir, "certificate"), "KUBECONFIG="+filepath.Join(dir, "kubeconfig")), requests
}

// kubeconfig is one of the plan's cluster.
const kubeconfig = `apiVersion: v1
kind: Config
clusters: [{name: yagan, cluster: {server: "https://rancher.cp.lsst.org"}}]
users: [{name: a, user: {token: t}}]
contexts: [{name: yagan, context: {cluster: yagan, user: a}}]
current-context: yagan
`

func secrets() []string {
	return []string{"CSU_LOVE_USERNAME=ada", "CSU_LOVE_PASSWORD=rosebud", "CSU_EFD_USERNAME=ada", "CSU_EFD_PASSWORD=rosebud", "CSU_SLACK_TOKEN=rosebud"}
}

// TestUnreviewedPlanSendsNoSecret: a plan that was edited talks to nobody, committed or
// not, and says where it differs from what was reviewed.
func TestUnreviewedPlanSendsNoSecret(t *testing.T) {
	t.Parallel()
	url, env, requests := love(t)
	r, hostile := newClone(t), newClone(t)
	hostile.edit(t, source{night, `"./launch_love"`, `"rm -rf ~; ./launch_love"`})
	hostile.edit(t, source{night, otherLOVE.old, url + "/love"})
	r.edit(t, otherCommand)
	r.edit(t, otherLOVE)
	for _, committed := range []bool{false, true} {
		if committed {
			r.commit(t, "An edit")
			hostile.commit(t, "An edit")
		}
		for _, command := range []string{"exec --dry-run ", "exec ", "preflight --stage offline ", "announce --day-before --yes ", "announce --hour-before --yes "} {
			hostile.refuses(t, env, command+night, `rm -rf`, `target love.url is on the host "127.0.0.1"`, `^error: plan "`+night+`" breaks the rules in [0-9]+ places$`)
			r.refuses(t, env, command+night,
				`^  +.*step watch/love01, action.*: other commands run`, `love\.url`, regexp.QuoteMeta(otherLOVE.new),
				`^error: plan "`+night+`" is not what the sources of commit [0-9a-f]{12} give: [0-9]+ changes$`,
				`^hint: compile the plan again, commit it with its sources and have it reviewed; csu plan check `+night+` shows every difference`)
		}
	}
	if n := requests.Load(); n > 0 {
		t.Errorf("the address in the edited plan received %d requests", n)
	}
}

// TestReviewed: what each state of the repository lets through.
func TestReviewed(t *testing.T) {
	t.Parallel()
	const passes = "" // the guard; the command fails later since it has no secrets
	notGiven := `is not what the sources of commit [0-9a-f]{12} give: [0-9]+ changes?$`
	request := source{"sites/summit/upgrade.cue", `"2026-12-15"`, `"2026-12-22"`}
	for name, x := range map[string]struct {
		change          func(t *testing.T, r *repository)
		plan            string // night if it is ""
		env             []string
		preflight, exec string // what the refusal says
		hint            string
	}{
		"merged":                        {change: func(*testing.T, *repository) {}},
		"sources edited, not committed": {change: func(t *testing.T, r *repository) { r.edit(t, otherLag) }},
		"sources moved on": {change: func(t *testing.T, r *repository) {
			r.edit(t, source{"sites/summit/upgrade.cue", `cycle:  "c0045"`, `cycle:  "c0046"`})
			r.commit(t, "The next cycle")
			r.git(t, "push", "-q", "origin", "main")
		}},
		"sources that no longer compile": {change: func(t *testing.T, r *repository) {
			r.git(t, "rm", "-q", "-r", "sites/summit")
			r.commit(t, "The summit is gone")
		}},
		"sources that never compiled": {change: func(t *testing.T, r *repository) {
			r.edit(t, source{night, `"reason": "`, `"reason": "Not `})
			r.write(t, "sites/summit/upgrade.cue", "package summit\nupgrade: 1\n")
			r.commit(t, "Half of it")
		}, preflight: `cannot be compared with the sources of commit [0-9a-f]{12}: load full upgrade of sites/summit/upgrade.cue: `, exec: "cannot be compared", hint: "correct the sources"},
		"no sources": {change: func(t *testing.T, r *repository) {
			r.git(t, "checkout", "-q", "--orphan", "other")
			r.git(t, "rm", "-q", "-r", "--cached", ".")
			r.git(t, "add", night)
			r.git(t, "commit", "-q", "-m", "The plan only")
		}, preflight: `sources of commit .*: it has no file \*\.cue`, exec: `it has no file \*\.cue`, hint: "check that the commit has the sources"},
		"not committed": {change: func(t *testing.T, r *repository) { r.edit(t, request); r.compile(t) }, plan: "plans/2026-12-22-summit-full.json",
			preflight: notGiven, exec: notGiven, hint: "compile the plan again, commit it with its sources"},
		"on a branch here": {change: func(t *testing.T, r *repository) {
			r.git(t, "switch", "-q", "-c", "deployment")
			r.edit(t, request)
			r.compile(t)
			r.commit(t, "A request")
		}, plan: "plans/2026-12-22-summit-full.json", exec: `is not in origin/main \(last fetched [0-9-]+ [0-9:]+ UTC\)$`, hint: "have the plan reviewed and merged, then run git fetch"},
		"on a branch of origin": {change: func(t *testing.T, r *repository) {
			r.git(t, "switch", "-q", "-c", "deployment")
			r.edit(t, request)
			r.compile(t)
			r.commit(t, "A request")
			r.git(t, "push", "-q", "origin", "deployment")
		}, plan: "plans/2026-12-22-summit-full.json", exec: `is not in origin/main`},
		"compiled again here": {change: func(t *testing.T, r *repository) {
			r.edit(t, source{"sites/summit/hosts.cue", otherCommand.old, otherCommand.new})
			r.compile(t)
			r.commit(t, "Another command")
		}, exec: `is not the one in origin/main \(last fetched .*\)$`, hint: "run git pull; csu plan diff " + night + " --against origin/main shows the differences"},
		"compiled again in origin": {change: func(t *testing.T, r *repository) {
			r.edit(t, source{"sites/summit/hosts.cue", otherCommand.old, otherCommand.new})
			r.compile(t)
			r.commit(t, "Another command")
			r.git(t, "push", "-q", "origin", "main")
			r.git(t, "reset", "-q", "--hard", "HEAD~")
		}, exec: `is not the one in origin/main`, hint: "run git pull; "},
		"merged, the plan first": {change: func(t *testing.T, r *repository) {
			r.edit(t, request)
			r.compile(t)
			r.git(t, "switch", "-q", "-c", "deployment")
			r.git(t, "add", "plans")
			r.git(t, "commit", "-q", "-m", "The plan")
			r.commit(t, "Its request")
			r.git(t, "switch", "-q", "main")
			r.git(t, "merge", "-q", "--no-ff", "deployment")
			r.edit(t, otherLag)
			r.edit(t, source{"sites/summit/upgrade.cue", `"2026-12-22"`, `"2026-12-29"`})
			r.commit(t, "The next one")
			r.git(t, "push", "-q", "origin", "main")
		}, plan: "plans/2026-12-22-summit-full.json"},
		"merged into sources that had moved on": {change: func(t *testing.T, r *repository) {
			r.git(t, "switch", "-q", "-c", "deployment")
			r.edit(t, request)
			r.compile(t)
			r.commit(t, "The plan")
			r.git(t, "switch", "-q", "main")
			r.edit(t, source{"sites/summit/hosts.cue", otherCommand.old, otherCommand.new})
			r.commit(t, "Another command")
			r.git(t, "merge", "-q", "--no-ff", "deployment")
			r.git(t, "push", "-q", "origin", "main")
		}, plan: "plans/2026-12-22-summit-full.json"},
		"the default branch has another name": {change: func(t *testing.T, r *repository) {
			r.git(t, "push", "-q", "origin", "main:trunk")
			r.git(t, "remote", "set-head", "origin", "trunk")
			r.git(t, "update-ref", "-d", "refs/remotes/origin/main")
		}},
		"the default branch is master": {change: func(t *testing.T, r *repository) {
			r.git(t, "push", "-q", "origin", "main:master")
			r.git(t, "update-ref", "-d", "refs/remotes/origin/main")
			r.git(t, "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/gone")
		}},
		"never fetched since the clone": {change: func(t *testing.T, r *repository) {
			r.edit(t, source{"sites/summit/hosts.cue", otherCommand.old, otherCommand.new})
			r.compile(t)
			r.commit(t, "Another command")
			if err := os.Remove(filepath.Join(r.dir, ".git/FETCH_HEAD")); err != nil {
				t.Fatal(err)
			}
		}, exec: `is not the one in origin/main \(no fetch since the clone\)$`},
		"no origin": {change: func(t *testing.T, r *repository) { r.git(t, "remote", "remove", "origin") },
			exec: `cannot be found in origin's default branch: the repository has no remote "origin"$`, hint: "clone the project's shared repository"},
		"origin was not fetched": {change: func(t *testing.T, r *repository) { r.git(t, "update-ref", "-d", "refs/remotes/origin/main") },
			exec: `neither origin/HEAD nor origin/main nor origin/master was fetched$`, hint: "run git fetch origin"},
		"a link among the sources": {change: func(t *testing.T, r *repository) {
			if err := os.Symlink("site.cue", filepath.Join(r.dir, "sites/summit/link.cue")); err != nil {
				t.Fatal(err)
			}
			r.edit(t, source{night, `"reason": "`, `"reason": "Not `})
			r.commit(t, "A link")
		}, preflight: `cannot be compared with the sources of commit [0-9a-f]{12}: .*link.cue`, exec: `link.cue`, hint: "check that the sources are plain files"},
		"no temporary folder": {change: func(*testing.T, *repository) {}, env: []string{"TMPDIR=/nosuch"},
			preflight: `cannot be compared with the sources of commit [0-9a-f]{12}: .*/nosuch`, exec: "/nosuch", hint: "check that the sources are plain files, and that csu can write to TMPDIR"},
		"no commit": {change: func(t *testing.T, r *repository) {
			r.git(t, "checkout", "-q", "--orphan", "other")
		}, preflight: "the repository has no commit$", exec: "the repository has no commit$", hint: "commit the request and the plan"},
		"no repository": {change: func(t *testing.T, r *repository) {
			if err := os.RemoveAll(filepath.Join(r.dir, ".git")); err != nil {
				t.Fatal(err)
			}
		}, preflight: "the project's folder is not a Git repository$", exec: "the project's folder is not a Git repository$", hint: "run csu in a clone of the project"},
		"another's clone": {change: func(*testing.T, *repository) {}, env: []string{"GIT_TEST_ASSUME_DIFFERENT_OWNER=1"},
			preflight: "the clone belongs to another account", exec: "the clone belongs to another account", hint: "use a clone of your own account; if this one is yours or you trust its owner, run git config --global --add safe.directory "},
		"no git": {change: func(*testing.T, *repository) {}, env: []string{"PATH="},
			preflight: `cannot be compared with its sources: csu cannot use git here: exec: "git": executable file not found`, exec: "executable file not found", hint: "install git"},
		"no project": {change: func(t *testing.T, r *repository) { r.git(t, "mv", "cue.mod", "other.mod"); r.commit(t, "No module") },
			preflight: "no cue.mod in this folder or above$", exec: "no cue.mod in this folder or above$", hint: inProject},
		"another project": {change: func(t *testing.T, r *repository) {
			for _, dir := range []string{"cue.mod", "schema", "sites"} {
				if err := os.CopyFS(filepath.Join(r.dir, "other", dir), os.DirFS(filepath.Join(r.dir, dir))); err != nil {
					t.Fatal(err)
				}
			}
		}, plan: night + " --root other", preflight: "it is not in the project's folder", exec: "it is not in the project's folder", hint: inProject},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newClone(t)
			x.change(t, r)
			file := cmp.Or(x.plan, night)
			for _, command := range []struct{ args, refusal string }{{"preflight ", x.preflight}, {"exec ", x.exec}, {"announce --day-before ", x.exec}} {
				switch {
				case command.refusal != passes:
					r.refuses(t, x.env, command.args+file, `^error: plan ".*`+command.refusal, "^hint: "+regexp.QuoteMeta(x.hint))
				case strings.HasPrefix(command.args, "preflight"):
					// Of a stage without hosts, which are real ones.
					r.refuses(t, x.env, command.args+file+" --stage begin", "^NOT OK +credentials: missing credentials")
				case strings.HasPrefix(command.args, "announce"):
					r.refuses(t, x.env, command.args+file, "^error: (the plan is for|post the announcement: no terminal)")
				default:
					r.ends(t, exitInput, x.env, command.args+file, "^error: missing credentials")
				}
			}
		})
	}
}

// TestReviewedInClones: other ways to have the project on a disk.
func TestReviewedInClones(t *testing.T) {
	t.Parallel()
	t.Run("with Windows' line ends", func(t *testing.T) {
		t.Parallel()
		r := newClone(t)
		r.git(t, "config", "core.autocrlf", "true")
		r.git(t, "rm", "-q", "-r", "--cached", ".")
		r.git(t, "reset", "-q", "--hard")
		r.ends(t, exitInput, nil, "exec "+night, "^error: missing credentials")
		// As before the project had attributes, which keep the plans.
		data, err := os.ReadFile(filepath.Join(r.dir, night))
		if err != nil {
			t.Fatal(err)
		}
		r.write(t, night, strings.ReplaceAll(string(data), "\n", "\r\n"))
		r.ends(t, exitInput, nil, "exec "+night, "lines end like those of Windows", "git config core.autocrlf false")
	})
	r := newClone(t)
	r.edit(t, otherLag)
	r.edit(t, source{"sites/summit/upgrade.cue", `cycle:  "c0045"`, `cycle:  "c0046"`})
	r.commit(t, "The next cycle")
	clone := func(args ...string) *repository {
		dir := filepath.Join(t.TempDir(), "clone")
		r.git(t, append(append([]string{"clone", "-q"}, args...), "file://"+r.dir, dir)...)
		return &repository{dir}
	}
	const passes = "^error: missing credentials"

	shallow := clone("--depth=1")
	shallow.refuses(t, nil, "preflight "+night, `is not what the sources give now, and this shallow clone may lack the commit that brought it`, "^hint: run git fetch --unshallow$")
	shallow.git(t, "fetch", "-q", "--unshallow")
	shallow.ends(t, exitInput, nil, "exec "+night, passes)

	// Without network, whatever the clone lacks.
	r.git(t, "config", "uploadpack.allowFilter", "true")
	clone("--filter=blob:none").refuses(t, nil, "exec "+night, `cannot be compared with the sources of commit [0-9a-f]{12}: git: .*transport 'file' not allowed`, "^hint: check that the commit has the sources; check that the clone is complete")
	partial := clone("--filter=blob:none", "--no-checkout")
	for _, dir := range []string{"cue.mod", "plans"} {
		if err := os.CopyFS(filepath.Join(partial.dir, dir), os.DirFS(filepath.Join(r.dir, dir))); err != nil {
			t.Fatal(err)
		}
	}
	partial.refuses(t, nil, "exec "+night, `cannot be read at [0-9a-f]{40}: git: `, "^hint: check that the clone is complete")

	r.git(t, "checkout", "-q", "HEAD~", "--", "sites")
	r.commit(t, "The cycle before")
	clone("--depth=1").refuses(t, nil, "preflight --stage begin "+night, "^NOT OK +credentials: missing credentials")
	// Whether the plan needed approvals when it came, a shallow clone does not show.
	clone("--depth=1").refuses(t, nil, "exec "+night, "may need approvals that this shallow clone does not show", "^hint: run git fetch --unshallow$")

	// A work tree beside the clone, a plan that is reached through a link, from elsewhere.
	r.git(t, "worktree", "add", "-q", "--detach", filepath.Join(r.dir, "beside"))
	r.ends(t, exitInput, nil, "exec beside/"+night, passes)
	elsewhere := &repository{t.TempDir()}
	if err := os.Symlink(filepath.Join(r.dir, "plans"), filepath.Join(elsewhere.dir, "plans")); err != nil {
		t.Fatal(err)
	}
	elsewhere.ends(t, exitInput, nil, "exec "+night, passes)

	// A project that is a folder of a larger repository.
	larger := &repository{t.TempDir()}
	for _, dir := range []string{"cue.mod", "schema", "sites", "plans"} {
		if err := os.CopyFS(filepath.Join(larger.dir, "csu", dir), os.DirFS(filepath.Join(r.dir, dir))); err != nil {
			t.Fatal(err)
		}
	}
	larger.write(t, "bad.cue", "not: CUE: at all: [")
	larger.git(t, "init", "-q", "-b", "main", ".")
	larger.commit(t, "The base")
	larger.git(t, "update-ref", "refs/remotes/origin/main", "HEAD")
	larger.ends(t, exitInput, nil, "exec csu/"+night, passes)
	larger.ends(t, exitInput, nil, "exec csu/"+night+" --root csu", passes)
	larger.refuses(t, nil, "exec csu/"+night+" --root nosuch", "cannot be compared with its sources: .*nosuch")
}

// TestUnreviewed: a plan that was not reviewed runs if a reason is given, which the
// journal records. The rules hold all the same.
func TestUnreviewed(t *testing.T) {
	r := newClone(t)
	r.edit(t, otherCommand)
	r.edit(t, otherLOVE)
	r.refuses(t, nil, "exec "+night, "^hint: .*; to carry the plan out all the same, give --unreviewed REASON$")
	r.refuses(t, nil, "exec --unreviewed= "+night, "^hint: .*--unreviewed REASON$")
	if code, out := r.csu(t, nil, "exec", "--unreviewed", " ", night); code != exitRefused {
		t.Errorf("an empty reason: exit code %d:\n%s", code, out)
	}
	r.ends(t, exitInput, nil, "exec --unreviewed GitHub-is-down "+night,
		`^warning: plan ".*" is not what the sources of commit [0-9a-f]{12} give: [0-9]+ changes; the plan runs nevertheless: GitHub-is-down$`, "watch/love01", "^error: missing credentials")
	r.ends(t, exitComplete, nil, "exec --dry-run --unreviewed GitHub-is-down "+night, "^warning: ")

	t.Run("journal", func(t *testing.T) {
		_, env, _ := love(t)
		for _, e := range env {
			name, value, _ := strings.Cut(e, "=")
			t.Setenv(name, value)
		}
		for reason, want := range map[string]string{
			"":               `^origin/main has the plan at commit [0-9a-f]{12} \(last fetched .* UTC\), and the sources of commit [0-9a-f]{12} give the plan$`,
			"GitHub is down": `^plan ".*" is not what the sources of commit [0-9a-f]{12} give: [0-9]+ changes; it is carried out nevertheless: GitHub is down$`,
		} {
			if reason == "" {
				r.git(t, "stash", "-q")
			}
			var out bytes.Buffer
			c := &console{out: &out, err: &out, width: 100}
			l, err := c.load(filepath.Join(r.dir, night), runFlags{}, guard{merged: true, unreviewed: reason, canForce: true})
			if err != nil {
				t.Fatal(err)
			}
			err = c.carryOut(l, runFlags{}, "", func(_ context.Context, o executor.Options) (executor.Result, error) {
				if len(o.Reviewed) != 1 || !regexp.MustCompile(want).MatchString(o.Reviewed[0]) {
					t.Errorf("for the journal: %q, want %q", o.Reviewed, want)
				}
				return executor.Result{End: executor.Reached}, nil
			})
			if err != nil || !strings.Contains(out.String(), "Review: "+strings.Join(l.reviewed, "\n")) {
				t.Errorf("%v:\n%s", err, out.String())
			}
			if reason == "" {
				r.git(t, "stash", "pop", "-q")
			}
		}
	})

	r.edit(t, badSelector)
	r.refuses(t, nil, "exec --unreviewed GitHub-is-down "+day, "^error: plan .* breaks the rules in")
}

// begin writes the journal of a run of a plan that has begun its first stage, or is at
// its first question.
func (r *repository) begin(t *testing.T, file, siteMap string, stage bool) {
	t.Helper()
	p, _, err := plan.ReadFile(filepath.Join(r.dir, file))
	if err != nil {
		t.Fatal(err)
	}
	digest, err := plan.Digest(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(r.dir, file+".journal")); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	at := time.Date(2026, 12, 15, 12, 0, 0, 0, time.UTC)
	j, err := journal.Create(journal.Disk, filepath.Join(r.dir, file+".journal"), journal.Record{Event: journal.RunBegun, Time: at, Run: &journal.Run{Format: journal.Format, ID: "r1", Digest: digest, SiteMap: siteMap}})
	if err != nil {
		t.Fatal(err)
	}
	if stage {
		if _, err := j.Append(journal.Record{Event: journal.StageBegun, Time: at, Stage: p.Stages[0].ID}); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestReviewOfBegunRun: what has become stricter since does not stop a run that has
// begun, and is said. A plan that is another one since its journal stops.
func TestReviewOfBegunRun(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		change func(t *testing.T, r *repository)
		says   string
	}{
		"sources": {func(t *testing.T, r *repository) { r.edit(t, otherReason) }, "is not what the sources of commit [0-9a-f]{12} give: 1 change"},
		"origin":  {func(t *testing.T, r *repository) { r.git(t, "remote", "remove", "origin") }, `the repository has no remote "origin"`},
		"rules":   {func(t *testing.T, r *repository) { r.edit(t, badSelector) }, "breaks the rules in [0-9]+ places?"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newClone(t)
			x.change(t, r)
			r.begin(t, day, "", false)
			r.refuses(t, nil, "exec "+day, x.says) // nothing of it has begun
			r.begin(t, day, "site-map.json", true)
			r.refuses(t, nil, "exec --resume "+day, x.says) // a rehearsal
			r.begin(t, day, "", true)
			warning := "^warning: plan .* " + x.says + "; this does not stop a run that has begun$"
			for _, command := range []string{"exec --resume ", "exec ", "abort ", "takeover --reason x ", "preflight "} {
				want := warning
				if name == "origin" && command == "preflight " {
					want = "" // it does not ask
				}
				code, missing := exitInput, "^error: missing credentials"
				if command == "preflight " {
					code, missing = exitRefused, "^NOT OK  credentials: missing credentials"
				}
				r.ends(t, code, nil, command+day, want, missing)
			}
			for _, command := range []string{"handover --to Bob ", "unlock --reason x "} {
				r.ends(t, exitInput, nil, command+day, warning, "^error: read kubeconfig")
			}
			if out := r.ends(t, exitComplete, nil, "status "+day, "^Run r1 of "); strings.Contains(out, "warning") {
				t.Errorf("csu status warns of a plan that it only reads:\n%s", out)
			}
			r.ends(t, exitComplete, nil, "exec --dry-run --resume "+day, warning)
			r.edit(t, source{day, `"reason": "`, `"reason": "Not `})
			for _, command := range []string{"exec --resume ", "exec --dry-run ", "preflight "} {
				r.refuses(t, nil, command+day, "^error: .*this journal belongs to another plan")
			}
		})
	}
}
