package phalanx

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Sources returns what an Application is rendered from, as one text: its place and
// parameters, and the object names of the files of its chart and of all charts in the
// repository that it depends on. Where two revisions have the same sources, they render
// the same.
func (r *Revision) Sources(ctx context.Context, a *Application) (string, error) {
	if _, chart := r.tree.files[a.Path+"/Chart.yaml"]; chart {
		if err := r.charts.load(ctx, []string{a.Path}); err != nil {
			return "", err
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %q %v\n", a.Path, a.Namespace, a.ValueFiles, a.Parameters)
	var dirs []string
	for next := []string{a.Path}; len(next) > 0; next = next[1:] {
		if !slices.Contains(dirs, next[0]) {
			dirs = append(dirs, next[0])
			next = append(next, r.charts.local[next[0]]...)
		}
	}
	for _, dir := range dirs {
		for _, name := range r.tree.below(dir) {
			fmt.Fprintf(&b, "%s %s\n", name, r.tree.files[name])
		}
	}
	return b.String(), nil
}
