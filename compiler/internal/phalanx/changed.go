package phalanx

import "slices"

// Changed returns the files that another revision has otherwise, or only one of the two
// has, sorted.
func (r *Revision) Changed(other *Revision) []string {
	var out []string
	for name, object := range r.tree.files {
		if other.tree.files[name] != object {
			out = append(out, name)
		}
	}
	for name := range other.tree.files {
		if _, ok := r.tree.files[name]; !ok {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}
