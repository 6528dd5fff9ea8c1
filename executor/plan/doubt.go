package plan

import "slices"

// Doubt is a doubtful fact of the sources, and the steps that depend on it: those that
// match every field that is set. Without any, it concerns every step. The operator is
// asked about it by the step, by its stage, or before the run.
type Doubt struct {
	Text string `json:"text"`
	// CSCs matches steps that move or watch one of them; with State only steps that
	// bring them to that state or await it.
	CSCs  []string `json:"cscs,omitempty"`
	State string   `json:"state,omitempty"`
	// Host matches steps that run something there; with Service and Purpose only
	// steps for these. No step matches a host outside the table.
	Host    string   `json:"host,omitempty"`
	Service string   `json:"service,omitempty"`
	Purpose Purpose  `json:"purpose,omitempty"`
	Source  []string `json:"source,omitempty"` // matches steps that carry out one of these numbers
	Step    string   `json:"step,omitempty"`   // matches this step only
}

// RestsOn reports whether the step rests on the doubtful fact.
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

// concerns reports whether an action moves or watches the CSC; with a state, whether it
// brings the CSC to that state or awaits it.
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
