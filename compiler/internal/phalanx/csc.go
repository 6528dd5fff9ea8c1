package phalanx

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// The labels of a CSC's Job. csu's selectors rest on them, too.
const (
	labelCSC   = "csc"       // the Job's own
	labelName  = "csc-name"  // class and index
	labelClass = "csc-class" // SAL component, in small letters
)

// CSC is a Job with the labels of a CSC, and what belongs to it.
type CSC struct {
	Application              string // of Argo CD
	Job                      *Resource
	Label, CSCName, CSCClass string
	Image                    string
	Arguments                []string // words of its command line
	// Start is the summary state that it is started with, in capitals; "" if its
	// command line gives none.
	Start string
	// Own are the other resources that the Job's chart renders for it alone; Shared are
	// further ones that its pods name, such as a ConfigMap for all CSCs of the
	// Application. Both in the order of the Application.
	Own, Shared []*Resource
	Place       string // where Phalanx configures it
}

// CSCs returns all CSCs whose Applications were rendered, by Application, then by Job.
func (r *Revision) CSCs(of *Rendering) ([]CSC, error) {
	var out []CSC
	for i := range of.Applications {
		a := &of.Applications[i]
		for j := range a.Resources {
			job := &a.Resources[j]
			if job.Group != "batch" || job.Kind != "Job" || job.Labels[labelClass] == "" {
				continue
			}
			one, err := r.csc(a, job)
			if err != nil {
				return nil, fmt.Errorf("%s: Job %q: %w", r.place(a, job), job.Name, err)
			}
			out = append(out, one)
		}
	}
	return out, nil
}

func (r *Revision) csc(a *Application, job *Resource) (CSC, error) {
	c := CSC{
		Application: a.Name, Job: job, Place: r.place(a, job),
		Label: job.Labels[labelCSC], CSCName: job.Labels[labelName], CSCClass: job.Labels[labelClass],
	}
	if c.Label == "" || c.CSCName == "" {
		return c, fmt.Errorf("has the label %s, but not %s and %s", labelClass, labelCSC, labelName)
	}
	var p pod
	if err := job.into(&p); err != nil {
		return c, err
	}
	main, err := p.main(c.CSCClass)
	if err != nil {
		return c, err
	}
	c.Image = main.Image
	c.Own, c.Shared = belonging(a, job, p)
	commands := main.commands(slices.Concat(c.Own, c.Shared))
	c.Start = start(commands)
	c.Arguments = strings.Fields(strings.Join(commands, " "))
	return c, nil
}

// place returns where the values of a Job's chart are: the last values file that has
// them, with the line, or else the Application's chart.
func (r *Revision) place(a *Application, job *Resource) string {
	commit := a.Commit[:min(9, len(a.Commit))]
	chart, _, _ := strings.Cut(job.Template, "/templates/")
	alias := chart[strings.LastIndexByte(chart, '/')+1:]
	from := r
	if a.Commit != r.Commit {
		return commit + ":" + a.Path
	}
	for _, file := range slices.Backward(a.ValueFiles) {
		data, _ := from.file(file)
		for i, line := range bytes.Split(data, []byte("\n")) {
			if key, _, ok := bytes.Cut(line, []byte(":")); ok && strings.Trim(string(key), `"'`) == alias {
				return fmt.Sprintf("%s:%s:%d", commit, file, i+1)
			}
		}
	}
	return commit + ":" + a.Path + "/Chart.yaml"
}

// pod is what a Job's template says of its pods.
type pod struct {
	Spec struct {
		Template struct {
			Metadata struct{ Labels map[string]string }
			Spec     struct {
				Containers, InitContainers []container
				Volumes                    []struct {
					ConfigMap             struct{ Name string }
					PersistentVolumeClaim struct{ ClaimName string }
					Secret                struct{ SecretName string }
				}
				ImagePullSecrets []struct{ Name string }
			}
		}
	}
}

type container struct {
	Name, Image   string
	Command, Args []string
	Env           []struct {
		Name, Value string
		ValueFrom   struct {
			ConfigMapKeyRef, SecretKeyRef struct{ Name string }
		}
	}
	EnvFrom []struct {
		ConfigMapRef, SecretRef struct{ Name string }
	}
}

// main returns the container that runs the CSC: the one with the name of its class, or
// the only one.
func (p *pod) main(class string) (*container, error) {
	all := p.Spec.Template.Spec.Containers
	for i := range all {
		if all[i].Name == class || len(all) == 1 {
			return &all[i], nil
		}
	}
	return nil, fmt.Errorf("none of its %d containers has the name of its class, %q", len(all), class)
}

// started finds the summary state on the command line of a CSC (ts_salobj's option
// --state).
var started = regexp.MustCompile(`(?:^|\s)--state[ =]+([A-Za-z]+)`)

// commands returns what makes up the container's command line: its command, its
// variables (RUN_ARG, which the image's start script passes on), and its start script.
func (c *container) commands(belonging []*Resource) []string {
	texts := []string{strings.Join(c.Command, " "), strings.Join(c.Args, " ")}
	for _, e := range c.Env {
		texts = append(texts, e.Value)
	}
	for _, r := range belonging {
		data, ok := r.Object["data"].(map[string]any)
		if r.Kind != "ConfigMap" || !ok {
			continue
		}
		for _, file := range slices.Sorted(maps.Keys(data)) {
			if text, ok := data[file].(string); ok && strings.HasSuffix(file, ".sh") {
				texts = append(texts, text)
			}
		}
	}
	return texts
}

// start returns the summary state that the first of the commands gives, if any.
func start(commands []string) string {
	for _, c := range commands {
		if m := started.FindStringSubmatch(c); m != nil {
			return strings.ToUpper(m[1])
		}
	}
	return ""
}

// belonging returns the resources of the Application that belong to a Job: those from
// its own chart, if the chart is a dependency, and those that its pods name or that
// select them.
func belonging(a *Application, job *Resource, p pod) (own, shared []*Resource) {
	named := p.names()
	chart := dependency(job.Template)
	for i := range a.Resources {
		r := &a.Resources[i]
		switch {
		case r == job:
		case chart != "" && dependency(r.Template) == chart:
			own = append(own, r)
		case r.Namespace == job.Namespace && (named[r.Kind+" "+r.Name] || r.selects(p.Spec.Template.Metadata.Labels)):
			shared = append(shared, r)
		}
	}
	return own, shared
}

// dependency returns the folder of the chart that a template is in; "" for the
// Application's own.
func dependency(template string) string {
	chart, _, _ := strings.Cut(template, "/templates/")
	if !strings.Contains(chart, "/charts/") {
		return ""
	}
	return chart
}

// names returns the ConfigMaps, Secrets and claims that a pod names, as kind and name.
// Phalanx has Secrets made from VaultSecrets of the same name.
func (p *pod) names() map[string]bool {
	out := map[string]bool{}
	add := func(name string, kinds ...string) {
		for _, k := range kinds {
			out[k+" "+name] = true
		}
	}
	spec := p.Spec.Template.Spec
	for _, v := range spec.Volumes {
		add(v.ConfigMap.Name, "ConfigMap")
		add(v.PersistentVolumeClaim.ClaimName, "PersistentVolumeClaim")
		add(v.Secret.SecretName, "Secret", "VaultSecret")
	}
	for _, s := range spec.ImagePullSecrets {
		add(s.Name, "Secret", "VaultSecret")
	}
	for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
		for _, e := range c.EnvFrom {
			add(e.ConfigMapRef.Name, "ConfigMap")
			add(e.SecretRef.Name, "Secret", "VaultSecret")
		}
		for _, e := range c.Env {
			add(e.ValueFrom.ConfigMapKeyRef.Name, "ConfigMap")
			add(e.ValueFrom.SecretKeyRef.Name, "Secret", "VaultSecret")
		}
	}
	return out
}

// selects reports whether the resource is a Service that selects pods with the labels.
func (r *Resource) selects(labels map[string]string) bool {
	spec, _ := r.Object["spec"].(map[string]any)
	selector, _ := spec["selector"].(map[string]any)
	if r.Kind != "Service" || len(selector) == 0 {
		return false
	}
	for k, v := range selector {
		if labels[k] != v {
			return false
		}
	}
	return true
}
