package rehearsal

import (
	"slices"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/plan"
)

// cameraTeam is whose doing the restart of the camera bridges is in the record.
const cameraTeam = "camera team"

// heard is what people at the site do when they read a message: the camera team
// restarts its bridges when they are handed over to it (P34, P35), where the
// plan leaves that to a person.
func (s *Site) heard(text string) {
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

// bridgesByHand are the bridges that the manual steps of a stage are about and
// that no step starts.
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
