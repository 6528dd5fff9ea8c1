package phalanx

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// Resource is an object that Argo CD would apply.
type Resource struct {
	Group, Version, Kind, Namespace, Name string
	Labels                                map[string]string
	Images                                []string       // of its containers, sorted, each once
	Object                                map[string]any // all of it, as from JSON
	Template                              string         // path below its chart's folder, such as envsys/charts/hvac/templates/job.yaml
}

// String returns kind and name, such as "ConfigMap hvac-configfile".
func (r *Resource) String() string { return r.Kind + " " + r.Name }

// into decodes the object into a struct.
func (r *Resource) into(v any) error { return convert(r.Object, v) }

// convert decodes a value of JSON into a struct.
func convert(from, into any) error {
	data, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}

// clusterScoped are the kinds of Kubernetes (v1.33) that have no namespace and that charts
// create. Argo CD gives every other object the Application's.
var clusterScoped = []string{
	"APIService", "ClusterRole", "ClusterRoleBinding", "CSIDriver", "CustomResourceDefinition", "IngressClass",
	"MutatingWebhookConfiguration", "Namespace", "PersistentVolume", "PriorityClass", "RuntimeClass", "StorageClass",
	"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "ValidatingWebhookConfiguration",
}

// resources reads rendered files.
func resources(files map[string]string, namespace string) ([]Resource, error) {
	var out []Resource
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if path.Base(name) == "NOTES.txt" || strings.TrimSpace(files[name]) == "" {
			continue
		}
		for _, manifest := range documents(files[name]) {
			object := map[string]any{}
			if err := yaml.Unmarshal([]byte(manifest), &object); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			if len(object) == 0 {
				continue // only comments
			}
			one, err := resource(object, name, namespace)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			out = append(out, one)
		}
	}
	slices.SortStableFunc(out, func(a, b Resource) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return out, nil
}

// documents splits a rendered file as Helm does: a line that begins with three hyphens
// begins a document. (Helm's releaseutil.SplitManifests takes a regular expression for
// it, which is slow on LOVE's hundreds of Deployments.)
func documents(file string) []string {
	var out []string
	from := 0
	cut := func(to int) {
		if text := strings.TrimSpace(file[from:to]); text != "" {
			out = append(out, text)
		}
	}
	for at := 0; at < len(file); {
		end := strings.IndexByte(file[at:], '\n')
		if end < 0 {
			end = len(file) - at - 1
		}
		if strings.HasPrefix(file[at:], "---") {
			cut(at)
			from = at + len("---")
		}
		at += end + 1
	}
	cut(len(file))
	return out
}

func resource(object map[string]any, template, namespace string) (Resource, error) {
	out := Resource{Object: object, Template: template}
	metadata, _ := object["metadata"].(map[string]any)
	out.Kind, _ = object["kind"].(string)
	out.Name, _ = metadata["name"].(string)
	out.Namespace, _ = metadata["namespace"].(string)
	out.Version, _ = object["apiVersion"].(string)
	if group, version, ok := strings.Cut(out.Version, "/"); ok {
		out.Group, out.Version = group, version
	}
	if out.Kind == "" || out.Name == "" {
		return out, errors.New("an object without kind or name")
	}
	if labels, ok := metadata["labels"].(map[string]any); ok {
		out.Labels = map[string]string{}
		for k, v := range labels {
			out.Labels[k] = fmt.Sprint(v)
		}
	}
	if out.Namespace == "" && !slices.Contains(clusterScoped, out.Kind) {
		out.Namespace = namespace
	}
	out.Images = images(object["spec"], nil)
	slices.Sort(out.Images)
	out.Images = slices.Compact(out.Images)
	return out, nil
}

// images collects the images of the containers in a pod template, wherever a kind has
// its own.
func images(v any, into []string) []string {
	switch v := v.(type) {
	case []any:
		for _, one := range v {
			into = images(one, into)
		}
	case map[string]any:
		for k, below := range v {
			if containers, ok := below.([]any); ok && (k == "containers" || k == "initContainers") {
				for _, c := range containers {
					if c, ok := c.(map[string]any); ok {
						if image, ok := c["image"].(string); ok {
							into = append(into, image)
						}
					}
				}
				continue
			}
			into = images(below, into)
		}
	}
	return into
}
