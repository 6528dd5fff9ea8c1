package plan

import (
	"fmt"
	"slices"
	"strings"
)

// Names returns the CSCs that the step waits for or acts on, each once. A manual step
// shows the states of its CSCs.
func (s *Step) Names(p *Plan) []string {
	e := s.Effects(p)
	names := e.Touches()
	if a, ok := s.Action.Parameters.(*SSH); ok {
		names = p.On(a.Host) // what is updated on it concerns them, too
	}
	for _, w := range append(e.Sees, Want{CSCs: e.Reads}) {
		for _, c := range w.CSCs {
			if !slices.Contains(names, c) {
				names = append(names, c)
			}
		}
	}
	return names
}

// A Rest is what remains of a step without the CSCs that were set aside.
type Rest struct {
	Step *Step    // with the others alone
	Out  []string // those that it leaves out
	In   []string // those that it cannot leave out
	None bool     // nothing is left to do
}

// Said returns how a step is narrowed, as a sentence without its full stop; "" if it
// is as planned.
func (r *Rest) Said() string {
	var parts []string
	if len(r.Out) > 0 {
		parts = append(parts, "without "+CSCList(r.Out)+", set aside")
	}
	if len(r.In) > 0 {
		parts = append(parts, fmt.Sprintf("%s cannot be left out: the script compares names of components, without their index", CSCList(r.In)))
	}
	return strings.Join(parts, "; ")
}

// Without returns the step without the CSCs that were set aside. This is the one place
// where a step is narrowed; what is sent follows from the plan and these names alone.
//
// A service on a host is left alone if all CSCs of the host were set aside. A reboot and
// what a person does stay as planned, and so does a script but for [ShutdownScript].
func (s *Step) Without(p *Plan, aside []string) Rest {
	r := Rest{Step: s}
	gone := func(c string) bool { return slices.Contains(aside, c) }
	for _, c := range s.Names(p) {
		if gone(c) {
			r.Out = append(r.Out, c)
		}
	}
	if len(r.Out) == 0 {
		return r
	}
	rest := func(cscs []string) []string { return slices.DeleteFunc(slices.Clone(cscs), gone) }
	narrow := *s
	switch a := s.Action.Parameters.(type) {
	case *SetState:
		c := *a
		c.CSCs = rest(a.CSCs)
		narrow.Action.Parameters, r.None = &c, len(c.CSCs) == 0
	case *AwaitState:
		var c AwaitState
		for _, w := range a.Want {
			if cscs := rest(w.CSCs); len(cscs) > 0 {
				c.Want = append(c.Want, Want{States: w.States, CSCs: cscs})
			}
		}
		narrow.Action.Parameters, r.None = &c, len(c.Want) == 0
	case *Delete:
		c := *a
		c.CSCs = rest(a.CSCs)
		narrow.Action.Parameters, r.None = &c, len(c.CSCs) == 0
	case *Sync:
		c := *a
		c.CSCs = rest(a.CSCs)
		c.Resources = slices.DeleteFunc(slices.Clone(a.Resources), func(o Resource) bool { return p.Runs(o, r.Out) })
		narrow.Action.Parameters = &c
		r.None = len(c.CSCs) == 0 && len(a.Resources) > 0 // a whole application is more than its CSCs
	case *SSH:
		r.None = len(rest(p.On(a.Host))) == 0
		if !r.None {
			r.Out = nil
		}
	case *Script:
		r.Out, r.In, narrow.Action.Parameters = a.without(p, r.Out)
	default:
		r.Out = nil
	}
	r.Step = &narrow
	return r
}

// Runs reports whether the object is the Job of one of the CSCs.
func (p *Plan) Runs(o Resource, cscs []string) bool {
	return slices.ContainsFunc(cscs, func(name string) bool {
		c, ok := p.CSC(name)
		return ok && c.Job != nil && o == c.Job.Resource()
	})
}

// without makes [ShutdownScript] ignore CSCs where that can be said in its
// configuration: it ignores components by name, so all CSCs of a name must be out.
func (a *Script) without(p *Plan, cscs []string) (out, in []string, rest Parameters) {
	config, runs, err := a.Shutdown()
	if !runs || err != nil {
		return nil, nil, a
	}
	kept := map[string]bool{} // names of components of which one stays in
	for _, c := range config.Reaches(p) {
		kept[Component(c)] = kept[Component(c)] || !slices.Contains(cscs, c)
	}
	for _, c := range cscs {
		name := Component(c)
		if kept[name] {
			in = append(in, c)
			continue
		}
		out = append(out, c)
		same := func(entry string) bool { return entry == name }
		config.StartWith = slices.DeleteFunc(config.StartWith, same)
		config.EndWith = slices.DeleteFunc(config.EndWith, same)
		if !slices.Contains(config.Ignore, name) {
			config.Ignore = append(config.Ignore, name)
		}
	}
	if len(out) == 0 {
		return nil, in, a
	}
	narrow := *a
	narrow.Config = config.Encode()
	return out, in, &narrow
}
