package rehearsal

import (
	"slices"
	"time"

	"github.com/lsst-ts/csu/executor/plan"
)

// cameraTeamTakes is how long the camera team needs for its stage 2.
const cameraTeamTakes = 6 * time.Minute

// heard has the site's people act on a message: when the camera team is told
// that stage 2 may begin (P35), it starts the bridges that are stopped (P34),
// unless the plan has csu start them.
func (s *Site) heard(text string) {
	if s.plan.Upgrade.StartBridges {
		return
	}
	for step := range s.plan.AllSteps() {
		a, ok := step.Action.Doer.(*plan.Announce)
		if ok && a.Text == text && slices.Contains(step.Source, "P35") {
			s.after(cameraTeamTakes, s.startBridges)
			return
		}
	}
}

func (s *Site) startBridges() {
	for _, row := range s.plan.Hosts { // in the table's order: a rehearsal can be repeated
		h := s.hosts[row.Name]
		for _, v := range h.services {
			if !v.running && slices.ContainsFunc(v.cscs, func(c *csc) bool { return c.row.Bridge }) {
				h.start(v)
			}
		}
	}
}
