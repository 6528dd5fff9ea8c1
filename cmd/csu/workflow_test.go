package main

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// A workflow is what the tests read of a workflow file.
type workflow struct {
	On          map[string]any    `json:"true"` // on is true in YAML
	Permissions map[string]string `json:"permissions"`
	Jobs        map[string]struct {
		Permissions map[string]string `json:"permissions"`
		Uses        string            `json:"uses"`
		Env         map[string]string `json:"env"`
		Steps       []struct {
			Uses string            `json:"uses"`
			Run  string            `json:"run"`
			With map[string]any    `json:"with"`
			Env  map[string]string `json:"env"`
		} `json:"steps"`
	} `json:"jobs"`
}

// workflows returns the workflow files by name, and their texts.
func workflows(t *testing.T) (map[string]workflow, map[string]string) {
	t.Helper()
	files, err := filepath.Glob("../../.github/workflows/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("workflow files: %v, %v", files, err)
	}
	all, texts := map[string]workflow{}, map[string]string{}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var w workflow
		if err := yaml.Unmarshal(data, &w); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		all[filepath.Base(f)], texts[filepath.Base(f)] = w, string(data)
	}
	return all, texts
}

// TestWorkflow holds the workflow files to GitHub's own rules for them.
func TestWorkflow(t *testing.T) {
	t.Parallel()
	_, texts := workflows(t)
	args := []string{"tool", "actionlint", "-shellcheck=", "-pyflakes="}
	for name := range texts {
		args = append(args, filepath.Join("../../.github/workflows", name))
	}
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		t.Errorf("actionlint: %v\n%s", err, out)
	}
}

// TestWorkflowPermissions: the workflow that runs a pull request's code can only read,
// and keeps no credentials. The one that can write runs no code but its own.
func TestWorkflowPermissions(t *testing.T) {
	t.Parallel()
	all, texts := workflows(t)
	reading, writing := map[string]string{"contents": "read"}, map[string]string{"actions": "read", "pull-requests": "write"}
	for name, w := range all {
		if w.Permissions == nil {
			t.Errorf("%s: without permissions its jobs get the repository's default", name)
		}
		for job, j := range w.Jobs {
			where := name + ", job " + job
			permissions := w.Permissions
			if j.Permissions != nil {
				permissions = j.Permissions
			}
			runsChanges := name == "plans.yml"
			if want := map[bool]map[string]string{true: reading, false: writing}[runsChanges]; !maps.Equal(permissions, want) {
				t.Errorf("%s: permissions %v, want %v", where, permissions, want)
			}
			if j.Uses != "" {
				t.Errorf("%s: calls another workflow, whose permissions are not tested", where)
			}
			for _, s := range j.Steps {
				switch {
				case runsChanges && strings.HasPrefix(s.Uses, "actions/checkout@") && s.With["persist-credentials"] != false:
					t.Errorf("%s: the checkout keeps its credentials", where)
				case !runsChanges && s.Uses != "":
					t.Errorf("%s: uses %s; it may run its own commands only", where, s.Uses)
				case strings.Contains(s.Run, "${{"):
					t.Errorf("%s: a value is pasted into a command: give it as a variable", where)
				}
			}
		}
		if name == "plans.yml" && regexp.MustCompile(`secrets\.|github\.token|GITHUB_TOKEN`).MatchString(texts[name]) {
			t.Errorf("%s: gives the pull request's code a credential", name)
		}
		if regexp.MustCompile(`pull_request_target`).MatchString(texts[name]) {
			t.Errorf("%s: runs with write permission on a pull request", name)
		}
	}
}

// TestWorkflowPins: actions are pinned by commit, since a tag can be moved, and say
// which version that is.
func TestWorkflowPins(t *testing.T) {
	t.Parallel()
	all, texts := workflows(t)
	pinned := regexp.MustCompile(`uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+\n`)
	for name, w := range all {
		uses := 0
		for _, j := range w.Jobs {
			for _, s := range j.Steps {
				if s.Uses != "" {
					uses++
				}
			}
		}
		if n := len(pinned.FindAllString(texts[name], -1)); n != uses {
			t.Errorf("%s: %d of %d actions are pinned by commit, with the version in a comment", name, n, uses)
		}
	}
}

// TestWorkflowSeesEveryPullRequest: no filter keeps the review from a pull request that
// changes plans, and it is reviewed again when its base changes.
func TestWorkflowSeesEveryPullRequest(t *testing.T) {
	t.Parallel()
	all, _ := workflows(t)
	for name, want := range map[string]map[string]any{
		"plans.yml":   {"pull_request": map[string]any{"types": []any{"opened", "synchronize", "reopened", "edited"}}},
		"comment.yml": {"workflow_run": map[string]any{"workflows": []any{"plans"}, "types": []any{"completed"}}},
	} {
		if diff := cmp.Diff(want, all[name].On); diff != "" {
			t.Errorf("%s runs on something else; a filter of paths sees the first 300 files only (-want +got):\n%s", name, diff)
		}
	}
}

// TestComment runs the commands of comment.yml with a stand-in for gh: what they post is
// the text that the review has left, if that can be posted, on the pull request that was
// reviewed.
func TestComment(t *testing.T) {
	t.Parallel()
	all, _ := workflows(t)
	script := all["comment.yml"].Jobs["post"].Steps[0].Run
	const gh = `#!/bin/sh
case "$1 $2" in
"api repos/o/r/pulls/7") echo "$HEAD" ;;
"run download") [ "$3 $4 $5" = "12 --name comment" ] && eval "$ARTIFACT" ;;
"pr comment") [ "$*" = "pr comment 7 --edit-last --create-if-none --body-file comment.md" ] && cp comment.md posted ;;
*) exit 9 ;;
esac
`
	const footer = "\n---\nWritten by the code of this pull request at abc: review its changes of csu, too.\n"
	const none = "**The plans are not reviewed:** see [the run](https://x/12).\n" + footer
	for _, x := range []struct{ name, title, head, artifact, posted string }{
		{"a review", "plans of pull request 7", "abc", `printf 'a $(touch x) review\n' > comment.md`, "a $(touch x) review\n" + footer},
		{"no review", "plans of pull request 7", "abc", `false`, none},
		{"a link", "plans of pull request 7", "abc", `ln -s /etc/passwd comment.md`, none},
		{"too long", "plans of pull request 7", "abc", `head -c 65001 /dev/zero | tr '\0' x > comment.md`, none},
		{"the pull request has moved on", "plans of pull request 7", "def", `echo old > comment.md`, ""},
		{"not a number", "plans of pull request 7; x", "abc", `echo a > comment.md`, "refused"},
		{"no number", "", "abc", `echo a > comment.md`, "refused"},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			bin, dir := t.TempDir(), t.TempDir()
			if err := os.WriteFile(filepath.Join(bin, "gh"), []byte(gh), 0o755); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("bash", "-e", "-c", script) // as GitHub does
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "GH_REPO=o/r", "RUN=12", "URL=https://x/12", "COMMIT=abc", "TITLE="+x.title, "HEAD="+x.head, "ARTIFACT="+x.artifact)
			out, err := cmd.CombinedOutput()
			posted, readErr := os.ReadFile(filepath.Join(dir, "posted"))
			if x.posted == "refused" {
				if err == nil || readErr == nil {
					t.Errorf("not refused: %s", out)
				}
				return
			}
			if err != nil || string(posted) != x.posted {
				t.Errorf("%v: posted %q, want %q\n%s", err, posted, x.posted, out)
			}
		})
	}
}
