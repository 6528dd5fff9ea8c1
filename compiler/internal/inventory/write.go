package inventory

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/lsst-ts/csu/compiler/internal/model"
)

// CUE returns the inventory as the site's cscs.cue. The same inventory always gives
// the same bytes.
func (i *Inventory) CUE() string {
	var b strings.Builder
	fmt.Fprintf(&b, `// The CSCs that run in the site's cluster: what phalanx (lsst-sqre/phalanx,
// environment %s, commit %.9s) deploys with charts/csc, by application
// and Job. "csu site import" rewrites this file as a whole; what the site adds about a
// CSC is in other files.
package site

site: inventory: {
	commit: %q
	cycle:  %q
`, i.Environment, i.Commit, i.Commit, i.Cycle)
	if len(i.Shared) > 0 {
		b.WriteString("\tshared: {\n")
		for _, a := range slices.Sorted(maps.Keys(i.Shared)) {
			fmt.Fprintf(&b, "\t\t%q: %s\n", a, list(i.Shared[a]))
		}
		b.WriteString("\t}\n")
	}
	b.WriteString("}\n\nsite: cscs: {\n")
	for n := range i.CSCs {
		c := &i.CSCs[n]
		if n > 0 && i.CSCs[n-1].Application != c.Application {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "\t%q: {%s}\n", c.Name(), strings.Join(fields(c), ", "))
	}
	b.WriteString("}\n")
	return b.String()
}

// fields returns the fields of a CSC, without those that have their defaults.
func fields(c *model.CSC) []string {
	var out []string
	add := func(name, value string) {
		if value != "" {
			out = append(out, name+": "+strconv.Quote(value))
		}
	}
	add("application", c.Application)
	add("job", c.Job)
	if c.Label != c.Job {
		add("label", c.Label)
	}
	add("cscName", c.CSCName)
	add("cscClass", c.CSCClass)
	add("image", c.Image)
	if c.Pinned {
		out = append(out, "revision: "+strconv.Itoa(c.Revision))
	}
	if c.ComesUp != standby {
		add("comesUp", c.ComesUp)
	}
	if len(c.Resources) > 0 {
		out = append(out, "resources: "+list(c.Resources))
	}
	return out
}

// list returns resources as a list of CUE.
func list(resources []model.Resource) string {
	var all []string
	for _, r := range resources {
		one := fmt.Sprintf("kind: %q, name: %q", r.Kind, r.Name)
		if r.Group != "" {
			one = fmt.Sprintf("group: %q, ", r.Group) + one
		}
		all = append(all, "{"+one+"}")
	}
	return "[" + strings.Join(all, ", ") + "]"
}
