package plan

import "slices"

// Doubt is a doubtful fact of the sources, and what of the plan rests on it: the
// steps for which all that it names is true. One that names nothing is about
// every step. It is asked in words by the step itself, by its stage, or before.
type Doubt struct {
	Text string `json:"text"`
	// CSCs: what moves one of them or looks at it. With State only what brings
	// them there or awaits them there.
	CSCs  []string `json:"cscs,omitempty"`
	State string   `json:"state,omitempty"`
	// Host: what runs something there. With Service and Purpose only that. A
	// host outside the table is one that no step touches; a person is asked.
	Host    string   `json:"host,omitempty"`
	Service string   `json:"service,omitempty"`
	Purpose Purpose  `json:"purpose,omitempty"`
	Source  []string `json:"source,omitempty"` // what carries out one of these numbers
	Step    string   `json:"step,omitempty"`   // this step alone
}

// RestsOn tells whether the step rests on the doubtful fact.
func (p *Plan) RestsOn(s *Step, d *Doubt) bool {
	switch {
	case d.Step != "" && d.Step != s.ID:
		return false
	case len(d.Source) > 0 && !slices.ContainsFunc(d.Source, func(n string) bool { return slices.Contains(s.Source, n) }):
		return false
	case d.Host != "" && !runsOn(s.Action.Parameters, d):
		return false
	case len(d.CSCs) > 0 && !slices.ContainsFunc(d.CSCs, func(c string) bool { return p.concerns(s.Action.Parameters, c, d.State) }):
		return false
	}
	return true
}

func runsOn(doer Parameters, d *Doubt) bool {
	switch a := doer.(type) {
	case *SSH:
		return a.Host == d.Host && (d.Service == "" || a.Service == d.Service) && (d.Purpose == "" || a.Purpose == d.Purpose)
	case *Reboot:
		return a.Host == d.Host && d.Service == "" && d.Purpose == ""
	}
	return false
}

// concerns tells whether an action moves the CSC or looks at it; with a state,
// whether it brings it there or awaits it there.
func (p *Plan) concerns(doer Parameters, csc, state string) bool {
	switch a := doer.(type) {
	case *SetState:
		return slices.Contains(a.CSCs, csc) && (state == "" || a.State == state)
	case *AwaitState:
		return slices.ContainsFunc(a.Want, func(w Want) bool {
			return slices.Contains(w.CSCs, csc) && (state == "" || slices.Contains(w.States, state))
		})
	case *Delete:
		return state == "" && slices.Contains(a.CSCs, csc)
	case *Sync:
		return state == "" && slices.Contains(a.CSCs, csc)
	case *SSH:
		c, ok := p.CSC(csc)
		return state == "" && ok && c.Host == a.Host
	case *Reboot:
		c, ok := p.CSC(csc)
		return state == "" && ok && c.Host == a.Host
	}
	return false
}
