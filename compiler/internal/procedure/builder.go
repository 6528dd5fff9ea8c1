package procedure

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lsst-ts/csu/compiler/internal/model"
	"github.com/lsst-ts/csu/executor/plan"
)

// The time limits of steps for which the site definition gives none. They are
// generous, since containers are pulled slowly (P27), but every step has one.
const (
	limitPost     = 2 * time.Minute  // a Slack message
	limitLook     = 5 * time.Minute  // states that CSCs should be in already
	limitScript   = 3 * time.Minute  // one run of set_summary_state.py
	limitShutdown = 20 * time.Minute // system_wide_shutdown.py over about 100 CSCs
	limitRest     = time.Hour        // the few CSCs that the shutdown left, one by one (P10)
	limitHost     = 10 * time.Minute // stopping, starting or updating a service
	limitDelete   = 15 * time.Minute // until Jobs and pods are gone
	limitSync     = 60 * time.Minute // until the images are pulled and run
	limitComeUp   = 30 * time.Minute // P39
	limitReboot   = 30 * time.Minute
	limitManual   = 12 * time.Hour // a person
	limitTest     = 30 * time.Minute
)

// builder builds a plan.
type builder struct {
	site     *model.Site
	before   map[string]model.CSC // what runs before the upgrade, by name
	req      *model.Request
	cscs     map[string]*model.CSC // of the site, by name
	plan     *plan.Plan
	problems []Problem

	down   []string          // CSCs that this upgrade takes down, in the site's order
	hosts  []*model.Host     // hosts that it affects, in the site's order
	expect map[string]string // final states that differ from the site's
}

func (b *builder) subject() string { return fmt.Sprintf("upgrade %q", b.req.Type) }

func (b *builder) refuse(pos model.Pos, remedy, format string, args ...any) {
	b.problems = append(b.problems, Problem{pos, b.subject(), fmt.Sprintf(format, args...), remedy})
}

// csc returns the named CSC of the site.
func (b *builder) csc(name string) (*model.CSC, bool) {
	c, ok := b.cscs[name]
	return c, ok
}

// removed reports whether the upgrade removes the CSC.
func (b *builder) removed(csc string) bool { return slices.Contains(b.req.Removed, csc) }

// added returns the CSCs that the upgrade adds, in the order of the request.
func (b *builder) added() []string { return b.plan.Upgrade.Added }

func (b *builder) goesDown(csc string) bool { return slices.Contains(b.down, csc) }

// protected returns the state that a CSC keeps through the upgrade (P6).
func (b *builder) protected(csc string) (model.KeptState, bool) {
	for _, k := range b.site.States.Keep {
		if k.CSC == csc {
			return k, true
		}
	}
	return model.KeptState{}, false
}

// stage collects the steps of one stage.
type stage struct {
	b *builder
	plan.Stage
}

func (b *builder) stage(id, title string, source ...string) *stage {
	return &stage{b, plan.Stage{ID: id, Title: title, Source: source}}
}

// add appends a step, completes its id and returns the id.
func (s *stage) add(step plan.Step) string {
	step.ID = s.ID + "/" + step.ID
	if step.OnFailure == "" {
		step.OnFailure = plan.Ask
	}
	s.b.estimate(&step)
	s.Steps = append(s.Steps, step)
	return step.ID
}

// estimate says how long a step usually takes: as past runs took, as its command says, or
// as its kind takes at the site. A time that the procedure has set stays.
func (b *builder) estimate(step *plan.Step) {
	_, command := step.Action.Parameters.(*plan.SSH)
	if step.Takes != 0 && !command {
		return
	}
	class, times, ok := plan.ClassOf(step.Action.Parameters, b.role)
	i := slices.IndexFunc(b.site.Learned, func(l model.Learned) bool {
		return ok && plan.Class{Kind: plan.Kind(l.Kind), Purpose: l.Purpose, Target: l.Target} == class
	})
	switch {
	case i >= 0:
		l, n := b.site.Learned[i], time.Duration(times)
		step.Takes, step.Spread = plan.Learned(n*l.P10, n*l.P50, n*l.P90, l.From)
	case step.Takes == 0:
		step.Takes = b.takes(step.Action.Parameters)
	}
}

// role returns what a host is for; "" for an unknown one.
func (b *builder) role(host string) plan.Role {
	for i := range b.site.Hosts {
		if b.site.Hosts[i].Name == host {
			return plan.Role(b.site.Hosts[i].Role)
		}
	}
	return ""
}

// takes returns how long an action usually takes at the site.
func (b *builder) takes(d plan.Parameters) plan.Duration {
	usual := b.site.Durations[string(d.Kind())]
	if a, ok := d.(*plan.SetState); ok && a.GroupSize > 0 {
		usual *= time.Duration((len(a.CSCs) + a.GroupSize - 1) / a.GroupSize)
	}
	return plan.Duration(usual)
}

// after returns the step with others added to its needs.
func after(step plan.Step, needs ...string) plan.Step {
	for _, n := range needs {
		if n != "" && !slices.Contains(step.Needs, n) {
			step.Needs = append(step.Needs, n)
		}
	}
	return step
}

// close adds the stage to the plan, unless it has no steps. Its consent is the
// given text; the principals of what its steps touch are found in the tables
// (P2, P3).
func (s *stage) close(consent string) {
	if len(s.Steps) == 0 {
		return
	}
	s.Consent = consent
	for i := range s.Steps {
		step := &s.Steps[i]
		touched := s.b.principalsOf(step.Action.Parameters)
		if step.Consent == "" {
			s.Principals = union(s.Principals, touched)
			continue
		}
		if step.Principals = union(step.Principals, touched); len(step.Principals) > 0 {
			step.Source = union(step.Source, []string{"P3"})
		}
	}
	s.Source = s.cited()
	if len(s.Principals) > 0 {
		s.Source = union(s.Source, []string{"P3"})
	}
	s.b.plan.Stages = append(s.b.plan.Stages, s.Stage)
}

// cited returns the stage's own numbers, followed by those of its steps.
func (s *stage) cited() []string {
	out := slices.Clone(s.Source)
	for _, step := range s.Steps {
		out = union(out, step.Source)
	}
	return out
}

// union appends to a the elements of b that it lacks.
func union(a, b []string) []string {
	for _, s := range b {
		if s != "" && !slices.Contains(a, s) {
			a = append(a, s)
		}
	}
	return a
}

// principalsOf returns the roles that must have agreed before an action (P3).
func (b *builder) principalsOf(d plan.Parameters) []string {
	var out []string
	cscs := func(names ...string) {
		for _, n := range names {
			if c, ok := b.csc(n); ok {
				out = union(out, []string{c.Principal})
			}
		}
	}
	host := func(name string) {
		if h, ok := b.site.Host(name); ok {
			out = union(out, []string{h.Principal})
		}
	}
	switch a := d.(type) {
	case *plan.SetState:
		cscs(a.CSCs...)
	case *plan.Delete:
		cscs(a.CSCs...)
	case *plan.Sync:
		cscs(a.CSCs...)
	case *plan.Script:
		if a.Path == shutdownScript {
			cscs(b.shutdownCSCs()...)
		}
	case *plan.SSH:
		host(a.Host)
		for i := range b.site.CSCs {
			if c := &b.site.CSCs[i]; c.Host == a.Host {
				cscs(c.Name())
			}
		}
	case *plan.Reboot:
		host(a.Host)
	}
	return out
}

// slug converts a name to the form of a step's id.
func slug(name string) string {
	var out strings.Builder
	for _, r := range strings.ToLower(name) {
		if (r >= 'a' && r <= 'z') || (r >= '0' && r <= '9') {
			out.WriteRune(r)
		} else if out.Len() > 0 && !strings.HasSuffix(out.String(), "-") {
			out.WriteByte('-')
		}
	}
	return strings.Trim(out.String(), "-")
}

// branch returns the branch that the request gives for a repository, or
// otherwise.
func (b *builder) branch(repository, otherwise string) string {
	for _, br := range b.req.Branches {
		if br.Repository == repository {
			return br.Branch
		}
	}
	return otherwise
}
