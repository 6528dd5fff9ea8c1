package phalanx

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"

	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/strvals"
	"sigs.k8s.io/yaml"

	"github.com/lsst-ts/csu/executor/exit"
)

// Rendering is what a revision of Phalanx deploys to an environment.
type Rendering struct {
	Commit       string
	Environment  string
	Applications []Application // sorted by name
}

// Application is an Argo CD Application.
type Application struct {
	Name           string
	Namespace      string // of what it deploys, where a resource names none
	Project        string
	Path           string // folder of its chart
	TargetRevision string // that Argo CD follows
	Parameters     []Parameter
	ValueFiles     []string // paths in the repository, in the order in which they are merged

	// Commit is what the resources are rendered from. It is not the rendering's where
	// the environment pins the Application to a revision of its own. "" if the
	// resources were not asked for.
	Commit string
	// Missing names the charts that the Application depends on and that are not in
	// Phalanx; their resources are missing from Resources.
	Missing   []string
	Resources []Resource // sorted by kind, namespace and name

	release string // name of the Helm release
	unknown []string
}

// Parameter is a Helm parameter of an Application.
type Parameter struct {
	Name, Value string
	ForceString bool
}

// Application returns the named Application.
func (r *Rendering) Application(name string) (*Application, bool) {
	i, ok := slices.BinarySearchFunc(r.Applications, name, func(a Application, name string) int { return strings.Compare(a.Name, name) })
	if !ok {
		return nil, false
	}
	return &r.Applications[i], true
}

// Render renders the Applications of an environment, and the resources of those that
// belong to one of the projects.
func (r *Revision) Render(ctx context.Context, environment string, projects ...string) (*Rendering, error) {
	apps, err := r.applications(ctx, environment)
	if err != nil {
		return nil, err
	}
	var wanted []*Application
	for i := range apps {
		if a := &apps[i]; slices.Contains(projects, a.Project) {
			wanted = append(wanted, a)
		}
	}
	if err := r.resources(ctx, wanted, usual(apps)); err != nil {
		return nil, err
	}
	return &Rendering{Commit: r.Commit, Environment: environment, Applications: apps}, nil
}

// applications renders the chart of the environments.
func (r *Revision) applications(ctx context.Context, environment string) ([]Application, error) {
	values := environments + "/values-" + environment + ".yaml"
	if _, ok := r.tree.files[values]; !ok {
		return nil, exit.Unusable("", "environment %q: %.9s of Phalanx has no %s; environments are %s", environment, r.Commit, values, strings.Join(r.Environments(), ", "))
	}
	if err := r.charts.load(ctx, []string{environments}); err != nil {
		return nil, err
	}
	all := &Application{Path: environments, ValueFiles: []string{values}, release: environments}
	if err := r.render(all); err != nil {
		return nil, fmt.Errorf("%.9s:%s: render environment %q: %w", r.Commit, environments, environment, err)
	}
	var apps []Application
	for i := range all.Resources {
		o := &all.Resources[i]
		if o.Group != "argoproj.io" || o.Kind != "Application" {
			continue
		}
		a, err := application(o)
		if err != nil {
			return nil, fmt.Errorf("%.9s:%s: Application %q: %w", r.Commit, o.Template, o.Name, err)
		}
		apps = append(apps, a)
	}
	slices.SortFunc(apps, func(a, b Application) int { return strings.Compare(a.Name, b.Name) })
	return apps, nil
}

// usual returns the revision that most Applications follow. One that follows another
// is pinned.
func usual(apps []Application) string {
	count := map[string]int{}
	for _, a := range apps {
		count[a.TargetRevision]++
	}
	names := slices.Sorted(maps.Keys(count))
	if len(names) == 0 {
		return ""
	}
	return slices.MaxFunc(names, func(a, b string) int { return count[a] - count[b] })
}

// resources renders the Applications, those that are pinned from their own revision.
func (r *Revision) resources(ctx context.Context, apps []*Application, usual string) error {
	at := map[string]*Revision{usual: r}
	dirs := map[*Revision][]string{}
	for _, a := range apps {
		if at[a.TargetRevision] == nil {
			pinned, err := r.pinned(ctx, a)
			if err != nil {
				return err
			}
			at[a.TargetRevision] = pinned
		}
		from := at[a.TargetRevision]
		a.Commit = from.Commit
		dirs[from] = append(dirs[from], a.Path)
	}
	for from, paths := range dirs {
		if err := from.charts.load(ctx, paths); err != nil {
			return err
		}
	}
	return parallel(apps, func(a *Application) error {
		if len(a.unknown) > 0 {
			return fmt.Errorf("application %q: its source has %s, which csu cannot render", a.Name, strings.Join(a.unknown, ", "))
		}
		if err := at[a.TargetRevision].render(a); err != nil {
			return fmt.Errorf("%.9s:%s: render application %q: %w", a.Commit, a.Path, a.Name, err)
		}
		return nil
	})
}

// pinned returns the revision that an Application follows instead of the usual one.
func (r *Revision) pinned(ctx context.Context, a *Application) (*Revision, error) {
	// In a clone the remote's branch is what Argo CD sees, not the local one.
	for _, rev := range []string{"refs/remotes/origin/" + a.TargetRevision, a.TargetRevision} {
		if other, err := r.At(ctx, rev); err == nil {
			return other, nil
		}
	}
	return nil, exit.Unusable("fetch that revision into the clone", "application %q is pinned to revision %q, which the clone of Phalanx does not have", a.Name, a.TargetRevision)
}

// parallel calls do for each Application, as many at once as there are processors,
// and returns all errors in order.
func parallel(apps []*Application, do func(*Application) error) error {
	errs := make([]error, len(apps))
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(apps)) {
		wg.Go(func() {
			for i := range next {
				errs[i] = do(apps[i])
			}
		})
	}
	for i := range apps {
		next <- i
	}
	close(next)
	wg.Wait()
	return errors.Join(errs...)
}

// render fills the Application's resources as "helm template" prints them, which is
// how Argo CD renders a chart: first the values files in order, then all parameters.
func (r *Revision) render(a *Application) error {
	values, err := r.values(a)
	if err != nil {
		return err
	}
	ch, err := r.charts.instance(a.Path)
	if err != nil {
		return err
	}
	// The same calls in the same order as in Helm's action.Install (v3.22.0).
	if err := chartutil.ProcessDependenciesWithMerge(ch, values); err != nil {
		return fmt.Errorf("process dependencies: %w", err)
	}
	release := chartutil.ReleaseOptions{Name: a.release, Namespace: a.Namespace, Revision: 1, IsInstall: true}
	// Helm would check the values with a chart's values.schema.json, which may refer to
	// the network.
	all, err := chartutil.ToRenderValuesWithSchemaValidation(ch, values, release, nil, true)
	if err != nil {
		return fmt.Errorf("compose values: %w", err)
	}
	a.Missing = missing(ch)
	files, err := engine.Render(ch, all)
	if err != nil {
		return err
	}
	for _, crd := range ch.CRDObjects() {
		files[crd.Filename] = string(crd.File.Data)
	}
	a.Resources, err = resources(files, a.Namespace)
	return err
}

// comma is a comma that separates parameters, which Argo CD takes literally.
var comma = regexp.MustCompile(`(^|[^\\]),`)

// values returns the values that the Application gives to its chart.
func (r *Revision) values(a *Application) (map[string]any, error) {
	out := map[string]any{}
	for _, name := range a.ValueFiles {
		data, ok := r.file(name)
		if !ok {
			return nil, fmt.Errorf("no values file %s", name)
		}
		one := map[string]any{}
		if err := yaml.Unmarshal(data, &one); err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		out = merge(out, one)
	}
	for _, forced := range []bool{false, true} { // as Helm orders --set and --set-string
		for _, p := range a.Parameters {
			if p.ForceString != forced {
				continue
			}
			parse := strvals.ParseInto
			if forced {
				parse = strvals.ParseIntoString
			}
			if err := parse(p.Name+"="+comma.ReplaceAllString(p.Value, `$1\,`), out); err != nil {
				return nil, fmt.Errorf("parameter %q: %w", p.Name, err)
			}
		}
	}
	return out, nil
}

// merge puts the values over others. Maps are merged, everything else is replaced.
// This is Helm's own merge of values files, which it does not export.
func merge(under, over map[string]any) map[string]any {
	out := maps.Clone(under)
	for k, v := range over {
		if m, ok := v.(map[string]any); ok {
			if below, ok := out[k].(map[string]any); ok {
				v = merge(below, m)
			}
		}
		out[k] = v
	}
	return out
}

// application reads an Application.
func application(o *Resource) (Application, error) {
	var doc struct {
		Spec struct {
			Destination struct{ Namespace string }
			Project     string
			Source      map[string]any
			Sources     []any
		}
	}
	if err := o.into(&doc); err != nil {
		return Application{}, err
	}
	a := Application{Name: o.Name, Namespace: doc.Spec.Destination.Namespace, Project: doc.Spec.Project, release: o.Name}
	if len(doc.Spec.Sources) > 0 {
		a.unknown = append(a.unknown, "several sources")
	}
	helm, _ := doc.Spec.Source["helm"].(map[string]any)
	a.Path, _ = doc.Spec.Source["path"].(string)
	a.Path = path.Clean(a.Path)
	a.TargetRevision, _ = doc.Spec.Source["targetRevision"].(string)
	var rendered struct {
		Parameters  []Parameter
		ValueFiles  []string
		ReleaseName string
	}
	if err := convert(helm, &rendered); err != nil {
		return Application{}, err
	}
	a.Parameters = rendered.Parameters
	if rendered.ReleaseName != "" {
		a.release = rendered.ReleaseName
	}
	for _, f := range rendered.ValueFiles {
		a.ValueFiles = append(a.ValueFiles, path.Join(a.Path, f))
	}
	for _, k := range slices.Sorted(maps.Keys(doc.Spec.Source)) {
		if !slices.Contains([]string{"path", "repoURL", "targetRevision", "helm"}, k) {
			a.unknown = append(a.unknown, k)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(helm)) {
		if !slices.Contains([]string{"parameters", "valueFiles", "releaseName"}, k) {
			a.unknown = append(a.unknown, "helm."+k)
		}
	}
	return a, nil
}
