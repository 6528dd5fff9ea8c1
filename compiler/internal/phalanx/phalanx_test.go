package phalanx_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lsst-ts/csu/compiler/internal/phalanx"
	"github.com/lsst-ts/csu/compiler/phalanxtest"
	"github.com/lsst-ts/csu/executor/exit"
)

const (
	mountain = "mtmount:\n  enabled: true\n  repository: reg.org/mtmount\n  revision: 6\n  claims: [data]\n"
	weather  = "x-common: &common\n  repository: reg.org/ess\n" +
		"tma-ess105:\n  <<: *common\n  enabled: true\n  classifier: ess105\n  revision: 0\n  sidecar: reg.org/obsenv\n" +
		"tma-ess106:\n  <<: *common\n  classifier: ess106\n" +
		"hvac:\n  enabled: true\n  repository: reg.org/hvac\n  env: {RUN_ARG: --state enabled --simulate}\n  port: 5000\n" +
		"dimm1:\n  enabled: true\n  repository: reg.org/dimm\n  entrypoint: |\n    run_dimm 1 --state=disabled\n"
	love = "commander:\n  enabled: true\n  class: commander\n  repository: reg.org/commander\n  revision: 3\nproducers: [mtmount, ess]\n"
)

// observatory is a Phalanx with CSCs of every kind and LOVE.
func observatory(t *testing.T) *phalanxtest.Clone {
	t.Helper()
	c := phalanxtest.New(t)
	c.Application("simonyitel", mountain, "mtmount")
	c.Application("envsys", weather, "tma-ess105", "tma-ess106", "hvac", "dimm1")
	c.Application("love", love, "commander")
	c.Write("applications/love/templates/producers.yaml", `{{- range .Values.producers }}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ . }}}
spec: {template: {spec: {containers: [{name: p, image: "reg.org/producer:{{ $.Values.global.tag }}"}]}}}
{{- end }}`)
	return c
}

func open(t *testing.T, dir, rev string) *phalanx.Revision {
	t.Helper()
	r, err := phalanx.Open(t.Context(), dir, rev)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// cscs returns the CSCs of the summit in one line each.
func cscs(t *testing.T, dir, rev string) []string {
	t.Helper()
	r := open(t, dir, rev)
	rendering, err := r.Render(t.Context(), "summit", "telescope")
	if err != nil {
		t.Fatal(err)
	}
	all, err := r.CSCs(rendering)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, c := range all {
		_, place, _ := strings.Cut(c.Place, ":")
		out = append(out, fmt.Sprintf("%s/%s %s %s %s %s %q own %v shared %v at %s",
			c.Job.Namespace, c.Job.Name, c.Label, c.CSCName, c.CSCClass, c.Image, c.Start, c.Own, c.Shared, place))
	}
	return out
}

func TestRender(t *testing.T) {
	t.Parallel()
	c := observatory(t)
	commit := c.Commit("First")
	rendering, err := open(t, c.Dir, "").Render(t.Context(), "summit", "telescope")
	if err != nil {
		t.Fatal(err)
	}
	var apps []string
	for _, a := range rendering.Applications {
		kinds := map[string]int{}
		for _, r := range a.Resources {
			kinds[r.Kind]++
		}
		apps = append(apps, fmt.Sprint(a.Name, " ", a.Project, " ", a.Namespace, " ", a.Path, " ", a.TargetRevision, " ", a.Parameters, " ", a.ValueFiles, " ", a.Commit == commit, " ", kinds))
	}
	want := []string{
		"envsys telescope envsys applications/envsys main [{global.namespace envsys false} {global.tag c0044 false}] [applications/envsys/values.yaml applications/envsys/values-summit.yaml] true map[ConfigMap:2 Job:3 Service:1 VaultSecret:1]",
		"love telescope love applications/love main [{global.namespace love false} {global.tag c0044 false}] [applications/love/values.yaml applications/love/values-summit.yaml] true map[ConfigMap:1 Deployment:2 Job:1 VaultSecret:1]",
		"sasquatch infrastructure sasquatch applications/sasquatch main [{brokers 3 false}] [applications/sasquatch/values.yaml] false map[]",
		"simonyitel telescope simonyitel applications/simonyitel main [{global.namespace simonyitel false} {global.tag c0044 false}] [applications/simonyitel/values.yaml applications/simonyitel/values-summit.yaml] true map[ConfigMap:1 Job:1 PersistentVolumeClaim:1 VaultSecret:1]",
	}
	if diff := cmp.Diff(want, apps); diff != "" {
		t.Errorf("Applications (-want +got):\n%s", diff)
	}
	producer, ok := rendering.Application("love")
	if i := slices.IndexFunc(producer.Resources, func(r phalanx.Resource) bool { return r.Kind == "Deployment" }); !ok || i < 0 ||
		!slices.Equal(producer.Resources[i].Images, []string{"reg.org/producer:c0044"}) || producer.Resources[i].Namespace != "love" || producer.Resources[i].Group != "apps" {
		t.Errorf("LOVE's first Deployment: %+v", producer.Resources[max(i, 0)])
	}
	if _, ok := rendering.Application("nublado"); ok {
		t.Error("an application that is switched off is rendered")
	}
}

func TestCSCs(t *testing.T) {
	t.Parallel()
	c := observatory(t)
	first := c.Commit("First")
	want := []string{
		`envsys/dimm1 dimm1 dimm1 dimm reg.org/dimm:c0044 "DISABLED" own [ConfigMap dimm1-entrypoint] shared [ConfigMap all-cscs VaultSecret envsys] at applications/envsys/values-summit.yaml:17`,
		`envsys/hvac hvac hvac hvac reg.org/hvac:c0044 "ENABLED" own [Service hvac-service] shared [ConfigMap all-cscs VaultSecret envsys] at applications/envsys/values-summit.yaml:12`,
		`envsys/tma-ess105 tma-ess105 ess105 ess reg.org/ess:c0044.000 "" own [] shared [ConfigMap all-cscs VaultSecret envsys] at applications/envsys/values-summit.yaml:3`,
		`love/commander commander commander commander reg.org/commander:c0044.003 "" own [] shared [ConfigMap all-cscs VaultSecret love] at applications/love/values-summit.yaml:1`,
		`simonyitel/mtmount mtmount mtmount mtmount reg.org/mtmount:c0044.006 "" own [PersistentVolumeClaim mtmount-data-pvc] shared [ConfigMap all-cscs VaultSecret simonyitel] at applications/simonyitel/values-summit.yaml:1`,
	}
	if diff := cmp.Diff(want, cscs(t, c.Dir, "")); diff != "" {
		t.Errorf("CSCs (-want +got):\n%s", diff)
	}

	// A later commit, and what is not committed, do not change an earlier one.
	c.Replace("applications/simonyitel/values-summit.yaml", "revision: 6", "revision: 7")
	c.Commit("Raise MTMount")
	c.Replace("applications/simonyitel/values-summit.yaml", "revision: 7", "revision: 8")
	if diff := cmp.Diff(want, cscs(t, c.Dir, first)); diff != "" {
		t.Errorf("the first commit (-want +got):\n%s", diff)
	}
	for _, rev := range []string{"", "main", "HEAD"} {
		if got := cscs(t, c.Dir, rev); !strings.Contains(got[4], "mtmount:c0044.007 ") {
			t.Errorf("revision %q: %s", rev, got[4])
		}
	}
	bare := filepath.Join(t.TempDir(), "bare.git")
	c.Git("clone", "--quiet", "--bare", c.Dir, bare)
	if got := cscs(t, bare, "main"); !strings.Contains(got[4], "mtmount:c0044.007 ") {
		t.Errorf("bare clone: %s", got[4])
	}
	if status := c.Git("status", "--porcelain"); status != "M applications/simonyitel/values-summit.yaml" {
		t.Errorf("the work tree has changed: %q", status)
	}
}

// TestHook: in a Git hook of another repository, git's variables point to that one.
func TestHook(t *testing.T) {
	c := observatory(t)
	c.Commit("First")
	other := phalanxtest.New(t)
	t.Setenv("GIT_DIR", filepath.Join(other.Dir, ".git"))
	t.Setenv("GIT_INDEX_FILE", filepath.Join(other.Dir, ".git", "index"))
	if got := cscs(t, c.Dir, "HEAD"); len(got) != 5 {
		t.Errorf("%d CSCs", len(got))
	}
}

// TestPinned: an Application that follows a revision of its own is rendered from it; in a
// clone that is the remote's branch, as Argo CD sees it.
func TestPinned(t *testing.T) {
	t.Parallel()
	c := observatory(t)
	c.Commit("First")
	c.Git("checkout", "--quiet", "-b", "tickets/DM-1")
	c.Replace("applications/simonyitel/values-summit.yaml", "revision: 6", "revision: 9")
	branch := c.Commit("On the branch")
	c.Git("checkout", "--quiet", "main")
	c.Replace("environments/values-summit.yaml", "tag: c0044\n", "tag: c0044\npins: {simonyitel: tickets/DM-1}\n")
	main := c.Commit("Pin simonyitel")

	check := func(name, dir string) {
		r := open(t, dir, main)
		rendering, err := r.Render(t.Context(), "summit", "telescope")
		if err != nil {
			t.Fatal(err)
		}
		for app, want := range map[string]string{"simonyitel": branch, "envsys": main} {
			if a, _ := rendering.Application(app); a.Commit != want {
				t.Errorf("%s: %s is rendered from %s, want %s", name, app, a.Commit, want)
			}
		}
		all, err := r.CSCs(rendering)
		if err != nil || all[4].Image != "reg.org/mtmount:c0044.009" || all[4].Place != branch[:9]+":applications/simonyitel" {
			t.Errorf("%s: %v, %+v", name, err, all[4])
		}
	}
	check("own branch", c.Dir)
	clone := filepath.Join(t.TempDir(), "clone")
	c.Git("clone", "--quiet", c.Dir, clone)
	check("remote branch", clone)

	c.Git("branch", "--quiet", "-D", "tickets/DM-1")
	_, err := open(t, c.Dir, main).Render(t.Context(), "summit", "telescope")
	if err == nil || exit.CodeOf(err) != exit.Input || !strings.Contains(err.Error(), `application "simonyitel" is pinned to revision "tickets/DM-1"`) || exit.HintOf(err) != "fetch that revision into the clone" {
		t.Errorf("a missing branch: %v", err)
	}
}

// TestValues: what Helm and Argo CD do with values and parameters.
func TestValues(t *testing.T) {
	t.Parallel()
	c := phalanxtest.New(t)
	c.Application("a", "list: [1, 2]\nmap: {keep: yes, over: 1}\n")
	c.Write("applications/a/values.yaml", "list: [0]\nmap: {over: 0, base: b}\nnumber: 7\n")
	c.Write("applications/a/.helmignore", "# none of these\nignored.yaml\nolder/\n")
	c.Write("applications/a/templates/ignored.yaml", "{{ fail }}")
	c.Write("applications/a/templates/older/x.yaml", "{{ fail }}")
	c.Write("applications/a/templates/NOTES.txt", "Read me")
	c.Write("applications/a/templates/x.yaml", "\ufeffapiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"+
		"data: {list: {{ toJson .Values.list | quote }}, map: {{ toJson .Values.map | quote }}, hosts: {{ .Values.hosts | quote }}, "+
		"typed: {{ kindOf .Values.typed }}, forced: {{ kindOf .Values.forced }}, release: {{ .Release.Name }}/{{ .Release.Namespace }}}\n")
	c.Write("applications/a/crds/crd.yaml", "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: crd}\n")
	c.Replace("environments/templates/a.yaml", "      parameters:\n", "      releaseName: r\n      parameters:\n"+
		"        - {name: hosts, value: 'a,b\\,c'}\n        - {name: typed, value: \"7\"}\n        - {name: forced, value: \"7\", forceString: true}\n")
	c.Commit("First")
	rendering, err := open(t, c.Dir, "").Render(t.Context(), "summit", "telescope")
	if err != nil {
		t.Fatal(err)
	}
	app, _ := rendering.Application("a")
	var names []string
	for _, r := range app.Resources {
		names = append(names, r.Namespace+" "+r.String())
		if r.Name == "x" {
			want := map[string]any{"list": "[1,2]", "map": `{"base":"b","keep":true,"over":1}`, "hosts": "a,b,c", "typed": "int64", "forced": "string", "release": "r/a"}
			if diff := cmp.Diff(want, r.Object["data"]); diff != "" {
				t.Errorf("values (-want +got):\n%s", diff)
			}
		}
	}
	if want := []string{"a ConfigMap all-cscs", "a ConfigMap x", " CustomResourceDefinition crd", "a VaultSecret a"}; !slices.Equal(names, want) {
		t.Errorf("resources %q, want %q", names, want)
	}
}

// TestMissing: a chart from elsewhere is not fetched, but named.
func TestMissing(t *testing.T) {
	t.Parallel()
	c := phalanxtest.New(t)
	c.Application("a", "")
	c.Replace("applications/a/Chart.yaml", "dependencies:\n", "dependencies:\n- {name: redis, version: 1.2.3, repository: 'https://charts.example.org'}\n- {name: mongo, version: 1.0.0, condition: mongo.enabled, repository: 'https://charts.example.org'}\n")
	c.Write("applications/a/values.yaml", "mongo: {enabled: false}\n")
	c.Commit("First")
	rendering, err := open(t, c.Dir, "").Render(t.Context(), "summit", "telescope")
	if err != nil {
		t.Fatal(err)
	}
	if app, _ := rendering.Application("a"); !slices.Equal(app.Missing, []string{"redis 1.2.3 from https://charts.example.org"}) || len(app.Resources) != 2 {
		t.Errorf("missing %q, %d resources", app.Missing, len(app.Resources))
	}
}

// TestRefused: what cannot be rendered is refused with its place.
func TestRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(*phalanxtest.Clone)
		want  string
	}{
		"values file missing": {func(c *phalanxtest.Clone) { c.Git("rm", "--quiet", "-f", "applications/envsys/values.yaml") },
			`:applications/envsys: render application "envsys": no values file applications/envsys/values.yaml`},
		"values no YAML": {func(c *phalanxtest.Clone) { c.Write("applications/love/values-summit.yaml", "a: [") },
			`read applications/love/values-summit.yaml: `},
		"chart missing": {func(c *phalanxtest.Clone) { c.Git("rm", "--quiet", "-f", "applications/envsys/Chart.yaml") },
			`:applications/envsys: load chart: Chart.yaml file is missing`},
		"dependency missing": {func(c *phalanxtest.Clone) { c.Git("rm", "--quiet", "-rf", "charts/shared") },
			`:charts/shared: load chart: Chart.yaml file is missing`},
		"template wrong": {func(c *phalanxtest.Clone) { c.Write("applications/love/templates/x.yaml", "{{ .Values.a.b }}") },
			`love/templates/x.yaml`},
		"manifest no YAML": {func(c *phalanxtest.Clone) { c.Write("applications/love/templates/x.yaml", "a: [") },
			`love/templates/x.yaml: `},
		"object without a kind": {func(c *phalanxtest.Clone) { c.Write("applications/love/templates/x.yaml", "a: b") },
			`love/templates/x.yaml: an object without kind or name`},
		"symbolic link": {func(c *phalanxtest.Clone) {
			if err := os.Symlink("values.yaml", filepath.Join(c.Dir, "applications/love/link.yaml")); err != nil {
				t.Error(err)
			}
		}, `link.yaml is a symbolic link or a submodule`},
		"circle": {func(c *phalanxtest.Clone) {
			c.Write("charts/shared/Chart.yaml", "apiVersion: v2\nname: shared\nversion: 1.0.0\ndependencies:\n- {name: shared, version: 1.0.0, repository: 'file://../shared'}\n")
		}, `charts depend on each other more than 10 deep`},
		"not Helm": {func(c *phalanxtest.Clone) {
			c.Replace("environments/templates/love.yaml", "    helm:\n", "    kustomize: {}\n    helm:\n      valuesObject: {a: 1}\n")
		}, `application "love": its source has kustomize, helm.valuesObject, which csu cannot render`},
		"parameter wrong": {func(c *phalanxtest.Clone) {
			c.Replace("environments/templates/love.yaml", "parameters:\n", "parameters:\n        - {name: 'a[x', value: b}\n")
		}, `parameter "a[x": `},
		"environments wrong": {func(c *phalanxtest.Clone) { c.Write("environments/templates/x.yaml", "{{ fail \"no\" }}") },
			`:environments: render environment "summit": `},
		"label missing": {func(c *phalanxtest.Clone) {
			c.Replace("charts/csc/templates/_helpers.tpl", "csc-name: {{ include \"name\" . }}\n", "")
		}, `:applications/envsys/values-summit.yaml:17: Job "dimm1": has the label csc-class, but not csc and csc-name`},
		"container unknown": {func(c *phalanxtest.Clone) {
			c.Replace("charts/csc/templates/job.yaml", "- name: {{ include \"class\" . }}", "- name: main")
		}, `Job "tma-ess105": none of its 2 containers has the name of its class, "ess"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clone := observatory(t)
			clone.Git("add", "--all")
			c.spoil(clone)
			clone.Commit("Spoilt")
			r := open(t, clone.Dir, "")
			rendering, err := r.Render(t.Context(), "summit", "telescope")
			if err == nil {
				_, err = r.CSCs(rendering)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v\nwant %s", err, c.want)
			}
		})
	}
}

// TestUnusable: what is no Phalanx is refused as unusable input, with a remedy.
func TestUnusable(t *testing.T) {
	t.Parallel()
	c := observatory(t)
	c.Commit("First")
	empty := t.TempDir()
	none := filepath.Join(t.TempDir(), "none")
	other := filepath.Join(t.TempDir(), "other")
	if out, err := exec.Command("git", "init", "--quiet", other).CombinedOutput(); err != nil {
		t.Fatal(string(out))
	}
	for _, o := range []struct{ dir, rev, want string }{
		{none, "", "no such file or directory"},
		{empty, "", "not a git repository"},
		{other, "", `revision "HEAD" of Phalanx in`},
		{c.Dir, "tickets/DM-2", `revision "tickets/DM-2" of Phalanx in`},
		{c.Dir, "--all", `revision "--all" of Phalanx in`},
		{c.Dir, "HEAD:environments", `no such commit`},
	} {
		_, err := phalanx.Open(t.Context(), o.dir, o.rev)
		if err == nil || !strings.Contains(err.Error(), o.want) || exit.CodeOf(err) != exit.Input || exit.HintOf(err) == "" {
			t.Errorf("%s at %q: %v (code %d, hint %q)\nwant %s", o.dir, o.rev, err, exit.CodeOf(err), exit.HintOf(err), o.want)
		}
	}
	_, err := open(t, c.Dir, "").Render(t.Context(), "sumit", "telescope")
	if err == nil || exit.CodeOf(err) != exit.Input || !strings.Contains(err.Error(), `has no environments/values-sumit.yaml; environments are summit`) {
		t.Errorf("unknown environment: %v", err)
	}
	c.Git("rm", "--quiet", "-f", "environments/Chart.yaml")
	c.Commit("No environments")
	if _, err := phalanx.Open(t.Context(), c.Dir, ""); err == nil || !strings.Contains(err.Error(), "is not Phalanx: it has no environments/Chart.yaml") {
		t.Errorf("no environments: %v", err)
	}
}

// TestDamaged: an object that the clone lacks, as in a partial clone, is not fetched.
func TestDamaged(t *testing.T) {
	t.Parallel()
	c := observatory(t)
	c.Commit("First")
	object := c.Git("rev-parse", "HEAD:charts/csc/values.yaml")
	if err := os.Remove(filepath.Join(c.Dir, ".git", "objects", object[:2], object[2:])); err != nil {
		t.Fatal(err)
	}
	_, err := open(t, c.Dir, "").Render(t.Context(), "summit", "telescope")
	if err == nil || !strings.Contains(err.Error(), "object is missing: "+object) {
		t.Errorf("%v", err)
	}
}
