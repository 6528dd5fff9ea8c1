package ground

import (
	"cmp"
	"embed"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lsst-ts/csu/executor/plan"
)

// appOfApps is the application that renders the others.
const appOfApps = "science-platform"

//go:embed deployment
var deploymentFiles embed.FS

// Deployment is a Git repository on disk with a small copy of a site's
// applications, made from a plan: their Jobs with the labels of the CSCs,
// ConfigMaps beside them, and the app of apps. It stands in for Phalanx. It
// uses jsonnet instead of Helm, since Argo CD renders jsonnet by itself.
type Deployment struct {
	URL    string // file://...
	Branch string // that the Applications follow

	dir  string
	plan *plan.Plan
}

// environmentValues are the values of the app of apps.
type environmentValues struct {
	ArgoNamespace  string                   `json:"argoNamespace"`
	Project        string                   `json:"project"`
	RepoURL        string                   `json:"repoURL"`
	TargetRevision string                   `json:"targetRevision"`
	ImageTag       string                   `json:"imageTag"` // of the cycle
	Namespaces     []string                 `json:"namespaces"`
	Applications   []applicationEnvironment `json:"applications"`
}

type applicationEnvironment struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
}

// applicationValues are the values of an application.
type applicationValues struct {
	Application string      `json:"application"`
	Namespace   string      `json:"namespace"`
	Revision    string      `json:"revision"` // of its own ConfigMap
	CSCs        []cscValues `json:"cscs"`
}

type cscValues struct {
	Name       string   `json:"name"`
	Namespace  string   `json:"namespace"`
	Label      string   `json:"label"`
	CSCName    string   `json:"cscName"`
	CSCClass   string   `json:"cscClass"`
	Repository string   `json:"repository"`
	Revision   *string  `json:"revision,omitempty"` // appended to the tag of the cycle,
	Tag        string   `json:"tag,omitempty"`      // or the whole tag
	ConfigMaps []string `json:"configMaps"`
}

// newDeployment creates the repository as it is before the plan's upgrade.
func newDeployment(t testing.TB, p *plan.Plan) *Deployment {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "deployment")
	d := &Deployment{URL: "file://" + dir, Branch: "main", dir: dir, plan: p}
	for step := range p.AllSteps() {
		if s, ok := step.Action.Parameters.(*plan.Sync); ok && s.Revision != "" {
			d.Branch = s.Revision
			break
		}
	}
	d.copy(t, "charts/csc.libsonnet", "csc.libsonnet")
	d.copy(t, "environments/environment.jsonnet", "environment.jsonnet")
	for _, app := range d.applications() {
		d.copy(t, "applications/"+app+"/application.jsonnet", "application.jsonnet")
	}
	d.git(t, "init", "--quiet", "--initial-branch="+d.Branch)
	cycle, images := d.before()
	d.Commit(t, cycle, images)
	return d
}

func (d *Deployment) copy(t testing.TB, to, from string) {
	t.Helper()
	text, err := deploymentFiles.ReadFile("deployment/" + from)
	if err != nil {
		t.Fatal(err)
	}
	d.write(t, to, text)
}

func (d *Deployment) write(t testing.TB, name string, text []byte) {
	t.Helper()
	name = filepath.Join(d.dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, name, text)
}

func (d *Deployment) git(t testing.TB, arguments ...string) string {
	t.Helper()
	git, err := debianProgram("git")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(git, append([]string{"-C", d.dir, "-c", "user.name=ground", "-c", "user.email=ground@localhost", "-c", "commit.gpgSign=false"}, arguments...)...)
	// If a hook of another repository had started this, git would use that
	// repository.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(s string) bool { return strings.HasPrefix(s, "GIT_") })
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(arguments, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// applications returns the plan's applications except the app of apps.
func (d *Deployment) applications() []string {
	var names []string
	for i := range d.plan.CSCs {
		if job := d.plan.CSCs[i].Job; job != nil {
			names = append(names, job.Application)
		}
	}
	for step := range d.plan.AllSteps() {
		switch a := step.Action.Parameters.(type) {
		case *plan.Sync:
			names = append(names, a.Application)
		case *plan.Manual:
			names = append(names, a.Applications...)
		}
	}
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(name string) bool { return name == appOfApps })
}

// Upgrade commits the images of the plan, as people do when they prepare an
// upgrade, and returns the commit.
func (d *Deployment) Upgrade(t testing.TB) (commit string) {
	t.Helper()
	images := map[string]string{}
	for _, row := range d.plan.CSCs {
		images[row.CSC] = row.Image
	}
	return d.Commit(t, d.plan.Upgrade.Cycle, images)
}

// Commit commits the image of each CSC, and the cycle, whose tag the app of
// apps passes to the applications. An image of another cycle is kept as it is.
// It returns the commit, which is always a new one.
func (d *Deployment) Commit(t testing.TB, cycle string, images map[string]string) (commit string) {
	t.Helper()
	environment := environmentValues{
		ArgoNamespace: d.plan.Targets.ArgoCD.Namespace, Project: d.plan.Targets.ArgoCD.Project,
		RepoURL: d.URL, TargetRevision: d.Branch, ImageTag: cycle, Namespaces: []string{}, Applications: []applicationEnvironment{},
	}
	for _, name := range d.applications() {
		app := d.values(name, cycle, images)
		d.writeValues(t, "applications/"+name, app)
		environment.Applications = append(environment.Applications, applicationEnvironment{Name: name, Namespace: app.Namespace})
		environment.Namespaces = append(environment.Namespaces, app.Namespace)
		for _, csc := range app.CSCs {
			environment.Namespaces = append(environment.Namespaces, csc.Namespace)
		}
	}
	slices.Sort(environment.Namespaces)
	environment.Namespaces = slices.Compact(environment.Namespaces)
	d.writeValues(t, "environments", environment)
	d.git(t, "add", "--all")
	d.git(t, "commit", "--quiet", "--allow-empty", "--message", "Cycle "+cycle)
	return d.git(t, "rev-parse", "HEAD")
}

func (d *Deployment) writeValues(t testing.TB, dir string, values any) {
	t.Helper()
	text, err := json.MarshalIndent(values, "", "  ") // jsonnet reads JSON
	if err != nil {
		t.Fatal(err)
	}
	d.write(t, dir+"/values.libsonnet", append(text, '\n'))
}

func (d *Deployment) values(application, cycle string, images map[string]string) applicationValues {
	app := applicationValues{Application: application, Namespace: application, Revision: cycle, CSCs: []cscValues{}}
	for i := range d.plan.CSCs {
		row := &d.plan.CSCs[i]
		if row.Job == nil || row.Job.Application != application {
			continue
		}
		csc := cscValues{
			Name: row.Job.Name, Namespace: row.Job.Namespace, Label: row.Job.Label, CSCName: row.Job.CSCName, CSCClass: row.Job.CSCClass,
			ConfigMaps: []string{"configfile"},
		}
		if i%2 == 0 {
			// Not every one has all the ConfigMaps that a plan names.
			csc.ConfigMaps = append(csc.ConfigMaps, "entrypoint")
		}
		var tag string
		csc.Repository, tag = splitImage(cmp.Or(images[row.CSC], row.Image))
		if revision, ok := strings.CutPrefix(tag, cycle); ok {
			csc.Revision = &revision
		} else {
			csc.Tag = tag
		}
		app.Namespace = row.Job.Namespace
		app.CSCs = append(app.CSCs, csc)
	}
	return app
}

// splitImage splits an image's name at its tag, which is "latest" if missing.
func splitImage(image string) (repository, tag string) {
	i := strings.LastIndex(image, ":")
	if i < 0 || strings.Contains(image[i:], "/") {
		return image, "latest"
	}
	return image[:i], image[i+1:]
}

// before returns the cycle and the images before the plan's upgrade.
func (d *Deployment) before() (cycle string, images map[string]string) {
	images = map[string]string{}
	for _, row := range d.plan.CSCs {
		images[row.CSC] = cmp.Or(row.Before, row.Image)
	}
	return cmp.Or(d.plan.Upgrade.From, d.plan.Upgrade.Cycle), images
}

// Add commits a file besides those of the site.
func (d *Deployment) Add(t testing.TB, name, text string) (commit string) {
	t.Helper()
	d.write(t, name, []byte(text))
	d.git(t, "add", "--all")
	d.git(t, "commit", "--quiet", "--allow-empty", "--message", name)
	return d.git(t, "rev-parse", "HEAD")
}
