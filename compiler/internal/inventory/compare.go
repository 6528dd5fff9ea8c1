package inventory

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/lsst-ts/csu/compiler/internal/model"
)

// Difference is what one inventory says of a CSC and another does not.
type Difference struct {
	CSC      string // "" for the cycle of all
	What     string // such as "revision"
	Old, New string // "none" where there is nothing
}

// none is shown where one of two sides has nothing.
const none = "none"

// Compare returns the differences between the CSCs of the cluster in a site's definition
// and an inventory, in the order of the inventory; what it no longer has comes last.
func Compare(site *model.Site, now *Inventory) []Difference {
	var out []Difference
	if site.Cycle != now.Cycle {
		out = append(out, Difference{What: "cycle", Old: site.Cycle, New: now.Cycle})
	}
	for _, a := range slices.Sorted(maps.Keys(union(site.Shared, now.Shared))) {
		if old, new := resources(site.Shared[a]), resources(now.Shared[a]); old != new {
			out = append(out, Difference{What: "shared in " + a, Old: orNone(old), New: orNone(new)})
		}
	}
	seen := map[string]bool{}
	for i := range now.CSCs {
		c := &now.CSCs[i]
		seen[c.Name()] = true
		old, ok := site.CSC(c.Name())
		if !ok || old.Job == "" {
			out = append(out, Difference{c.Name(), "instance", none, describe(c, now.Cycle)})
			continue
		}
		out = append(out, compare(old, c)...)
	}
	for i := range site.CSCs {
		if c := &site.CSCs[i]; c.Job != "" && !seen[c.Name()] {
			out = append(out, Difference{c.Name(), "instance", describe(c, site.Cycle), none})
		}
	}
	return out
}

// describe says in a few words what a CSC is.
func describe(c *model.CSC, cycle string) string {
	return "Job " + c.Job + ", " + c.Image + ":" + c.Tag(cycle)
}

// compare returns what differs between two entries of one CSC.
func compare(old, now *model.CSC) []Difference {
	var out []Difference
	add := func(what, a, b string) {
		if a != b {
			out = append(out, Difference{now.Name(), what, orNone(a), orNone(b)})
		}
	}
	add("application", old.Application, now.Application)
	add("Job", old.Job, now.Job)
	add("label csc", old.Label, now.Label)
	add("label csc-name", old.CSCName, now.CSCName)
	add("label csc-class", old.CSCClass, now.CSCClass)
	add("image", old.Image, now.Image)
	add("revision", revision(old), revision(now))
	add("starts in", old.ComesUp, now.ComesUp)
	add("resources", resources(old.Resources), resources(now.Resources))
	return out
}

func orNone(s string) string {
	if s == "" {
		return none
	}
	return s
}

func revision(c *model.CSC) string {
	if !c.Pinned {
		return none
	}
	return strconv.Itoa(c.Revision)
}

// union returns the keys of both.
func union(a, b map[string][]model.Resource) map[string][]model.Resource {
	out := maps.Clone(b)
	maps.Copy(out, a)
	return out
}

func resources(of []model.Resource) string {
	var all []string
	for _, r := range of {
		all = append(all, r.String())
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}
