package rehearsal

import (
	"slices"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/plan"
)

// cameraTeam is the identity in the record of a restart by the camera team.
const cameraTeam = "camera team"

// react simulates how people at the site react to a message. The camera team restarts
// its bridges when they are handed over to it (P34, P35), unless the plan starts them
// itself.
func (s *Site) react(text string) {
	for i := range s.plan.Stages {
		stage := &s.plan.Stages[i]
		handover := slices.ContainsFunc(stage.Steps, func(st plan.Step) bool {
			a, ok := st.Action.Parameters.(*plan.Announce)
			return ok && a.Handover && strings.Contains(text, a.Text)
		})
		if !handover {
			continue
		}
		for _, c := range s.bridgesByHand(stage) {
			s.after(s.between("restart "+c.row.CSC, 2*time.Minute, 8*time.Minute), func() { s.restartBridge(c) })
		}
	}
}

// bridgesByHand returns the bridges that the manual steps of a stage name and that no
// step starts.
func (s *Site) bridgesByHand(stage *plan.Stage) []*csc {
	var found []*csc
	for i := range stage.Steps {
		m, ok := stage.Steps[i].Action.Parameters.(*plan.Manual)
		if !ok {
			continue
		}
		for _, name := range m.CSCs {
			if c := s.byName[name]; c != nil && c.row.Bridge && !s.starts(c.row.Host) && !slices.Contains(found, c) {
				found = append(found, c)
			}
		}
	}
	return found
}

func (s *Site) starts(host string) bool {
	for step := range s.plan.AllSteps() {
		if a, ok := step.Action.Parameters.(*plan.SSH); ok && a.Host == host && a.Purpose == plan.Start {
			return true
		}
	}
	return false
}

func (s *Site) restartBridge(c *csc) {
	h := s.hosts[c.row.Host]
	if h == nil {
		return
	}
	for _, v := range h.services {
		if slices.Contains(v.cscs, c) && !v.running {
			h.start(v, cameraTeam)
		}
	}
}
