// Package inventory derives the CSCs of a site's cluster from Phalanx, writes them as
// the site's cscs.cue, and compares them with a site and with a plan.
package inventory

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/lsst-ts/csu/compiler/internal/model"
	"github.com/lsst-ts/csu/compiler/internal/phalanx"
)

// Inventory is what a revision of Phalanx deploys at a site.
type Inventory struct {
	Commit      string // of Phalanx
	Environment string
	Cycle       string
	CSCs        []model.CSC // by application, then by Job
	// Shared are the resources that the pods of an application's CSCs name beside what
	// their own charts render, by application.
	Shared map[string][]model.Resource

	Rendering *phalanx.Rendering
	found     []phalanx.CSC // of which CSCs are made, in the same order
}

// Problem is something in Phalanx that an inventory cannot say.
type Problem struct {
	Place, Subject, Text, Remedy string
}

// Of renders the site's environment and returns its inventory, or the problems with it.
// Of the site it uses what is not its inventory.
func Of(ctx context.Context, rev *phalanx.Revision, site *model.Site, names *model.Names) (*Inventory, []Problem, error) {
	rendering, err := rev.Render(ctx, site.Environment, site.Targets.ArgoCDProject)
	if err != nil {
		return nil, nil, err
	}
	found, err := rev.CSCs(rendering)
	if err != nil {
		return nil, nil, err
	}
	out := &Inventory{Commit: rev.Commit, Environment: site.Environment, Shared: map[string][]model.Resource{}, Rendering: rendering, found: found}
	d := deriver{site: site, names: names, byClass: map[string]string{}, places: map[string]string{}}
	for component := range names.Components {
		d.byClass[strings.ToLower(component)] = component
	}
	for i := range found {
		one := &found[i]
		csc, cycle := d.csc(one)
		if out.Cycle == "" {
			out.Cycle = cycle
		}
		if cycle != "" && cycle != out.Cycle {
			d.refuse(one, "use one cycle for all CSCs, or leave the site as it is until they have it", "has an image of cycle %s, but the first CSC has one of %s", cycle, out.Cycle)
		}
		out.CSCs = append(out.CSCs, csc)
		for _, r := range inNamespace(one.Shared, one.Job.Namespace) {
			if !slices.Contains(out.Shared[one.Application], r) {
				out.Shared[one.Application] = append(out.Shared[one.Application], r)
			}
		}
	}
	for _, shared := range out.Shared {
		slices.SortFunc(shared, func(a, b model.Resource) int { return strings.Compare(a.String(), b.String()) })
	}
	if len(found) == 0 {
		d.problems = append(d.problems, Problem{
			Place: fmt.Sprintf("%.9s", rev.Commit), Subject: "environment " + site.Environment,
			Text:   fmt.Sprintf("no Application of the project %q has a CSC", site.Targets.ArgoCDProject),
			Remedy: "correct the site's environment or its targets.argocd.project",
		})
	}
	return out, d.problems, nil
}

// A deriver makes CSCs of the inventory from those of Phalanx.
type deriver struct {
	site     *model.Site
	names    *model.Names
	byClass  map[string]string // component by label csc-class
	places   map[string]string // of the CSCs so far, by name
	problems []Problem
}

func (d *deriver) refuse(c *phalanx.CSC, remedy, format string, args ...any) {
	d.problems = append(d.problems, Problem{Place: c.Place, Subject: "Job " + c.Job.Name, Text: fmt.Sprintf(format, args...), Remedy: remedy})
}

// csc returns a CSC and the cycle of its image.
func (d *deriver) csc(c *phalanx.CSC) (model.CSC, string) {
	out := model.CSC{Application: c.Application, Job: c.Job.Name, Label: c.Label, CSCName: c.CSCName, CSCClass: c.CSCClass}
	if !slices.Contains(d.names.Quiet, c.CSCClass) {
		out.Component, out.Index = d.name(c)
		out.ComesUp = d.comesUp(c)
	}
	if other, twice := d.places[out.Name()]; twice {
		d.refuse(c, "switch one of them off in Phalanx", "is %s, like what is at %s", out.Name(), other)
	}
	d.places[out.Name()] = c.Place
	if a, ok := d.site.Application(c.Application); ok && a.Namespace != "" && a.Namespace != c.Job.Namespace {
		d.refuse(c, "correct the namespace of the application in the site's files",
			"is in the namespace %q, but the site's application %q has the namespace %q", c.Job.Namespace, c.Application, a.Namespace)
	}
	cycle := d.image(c, &out)
	out.Resources = inNamespace(c.Own, c.Job.Namespace)
	return out, cycle
}

// inNamespace returns those resources that are in a namespace.
func inNamespace(resources []*phalanx.Resource, namespace string) []model.Resource {
	var out []model.Resource
	for _, r := range resources {
		if r.Namespace == namespace {
			out = append(out, model.Resource{Group: r.Group, Kind: r.Kind, Name: r.Name})
		}
	}
	return out
}

// name returns the SAL component and index of a CSC.
func (d *deriver) name(c *phalanx.CSC) (string, int) {
	component, ok := d.byClass[c.CSCClass]
	if !ok {
		d.refuse(c, "add the SAL component to #Components in schema/components.cue; or the class to #Quiet there, if the Job does not speak SAL",
			"no SAL component has the name of its class, %q", c.CSCClass)
		return c.CSCClass, 0
	}
	digits, ok := strings.CutPrefix(c.CSCName, c.CSCClass)
	if n, err := strconv.Atoi(digits); ok && err == nil && digits == strconv.Itoa(n) {
		return component, n
	}
	if !ok || digits != "" {
		d.refuse(c, "correct its classifier in Phalanx", "its label csc-name is %q, which is not its class %q with an index", c.CSCName, c.CSCClass)
		return component, 0
	}
	for _, word := range slices.Sorted(maps.Keys(d.names.Instances[component])) {
		if slices.Contains(c.Arguments, word) {
			return component, d.names.Instances[component][word]
		}
	}
	return component, 0 // the schema refuses it where the component has an index
}

// comesUp returns the summary state that a CSC reaches by itself.
func (d *deriver) comesUp(c *phalanx.CSC) string {
	switch c.Start {
	case "":
		return standby
	case standby, "DISABLED", "ENABLED":
		return c.Start
	}
	d.refuse(c, "correct --state in Phalanx", "is started with --state %s, but the inventory knows STANDBY, DISABLED and ENABLED", strings.ToLower(c.Start))
	return standby
}

const standby = "STANDBY"

var tag = regexp.MustCompile(`^(c[0-9]{4})(?:\.([0-9]{3}))?$`)

// image sets the CSC's image and revision, and returns the cycle.
func (d *deriver) image(c *phalanx.CSC, out *model.CSC) string {
	name, ok := strings.CutPrefix(c.Image, d.site.ImageRegistry+"/")
	if !ok {
		d.refuse(c, "correct the site's imageRegistry, or the repository in Phalanx", "its image is %q, but the site's images are in the registry %q", c.Image, d.site.ImageRegistry)
		return ""
	}
	name, version, _ := strings.Cut(name, ":")
	out.Image = name
	m := tag.FindStringSubmatch(version)
	if m == nil {
		d.refuse(c, "deploy the image of a cycle", "its image is %q, whose tag is neither a cycle, such as c0044, nor a revision of one, such as c0044.003", c.Image)
		return ""
	}
	if m[2] != "" {
		out.Pinned = true
		out.Revision, _ = strconv.Atoi(m[2])
	}
	return m[1]
}
