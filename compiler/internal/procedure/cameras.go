package procedure

import (
	"fmt"
	"strings"

	"github.com/lsst-ts/csu/compiler/internal/model"
	"github.com/lsst-ts/csu/executor/plan"
)

// bridges visits the camera OCS bridges that the upgrade affects.
func (b *builder) bridges(visit func(h *model.Host, s *model.Service)) {
	for _, h := range b.hosts {
		if h.Role != model.Camera {
			continue
		}
		for i := range h.Services {
			visit(h, &h.Services[i])
		}
	}
}

// bridged returns the cameras' CSCs.
func (b *builder) bridged() []string {
	var out []string
	b.bridges(func(_ *model.Host, s *model.Service) { out = append(out, s.CSCs...) })
	return out
}

// camerasDown adds the stage that stops the bridges (P15) and hands over to the
// camera team for their stage 1 (P16).
func (b *builder) camerasDown() {
	s := b.stage("cameras-down", "Stop the camera bridges")
	var stopped []string
	b.bridges(func(h *model.Host, svc *model.Service) {
		stopped = append(stopped, s.add(b.ssh(slug(h.Name), fmt.Sprintf("%s: stop %s", h.Name, svc.Name), h, svc.Name, plan.Stop, svc.Stop, "P15")))
	})
	if len(stopped) == 0 {
		return
	}
	posted := s.add(after(b.announce("stage-1", "Tell the camera team that camera stage 1 may begin",
		fmt.Sprintf("%s: the bridges of %s are stopped. Camera team: camera stage 1 may begin.", b.site.Name, plan.CSCList(b.bridged())), true, "P16"), stopped...))
	s.add(after(manual("stage-1-heard", "Confirm that the camera team knows about camera stage 1",
		"Confirm that the camera team knows that camera stage 1 may begin. In it they install the release and restart their subsystems, but not the bridges.", nil, nil, "P16"), posted))
	s.close(fmt.Sprintf("csu stops the OCS bridges of %s, then tells the camera team on %s that camera stage 1 may begin.", plan.CSCList(b.bridged()), b.site.Targets.SlackChannel))
}

// camerasUp adds the steps of the cameras' stage 2 (P35), in which the bridges are
// started (P34), by the camera team unless the request asks csu to do it. It returns
// what they do; "" if there are none.
func (b *builder) camerasUp(s *stage) string {
	cscs := b.bridged()
	if len(cscs) == 0 {
		return ""
	}
	done := s.add(manual("stage-1-done", "Wait for the end of camera stage 1",
		"Wait until the camera team reports that camera stage 1 is done.", nil, nil, "P35"))
	posted := s.add(after(b.announce("stage-2", "Tell the camera team that camera stage 2 may begin",
		fmt.Sprintf("%s: camera team: camera stage 2 (restart of the bridges of %s) may begin.", b.site.Name, plan.CSCList(cscs)), true, "P35"), done))
	acknowledged := s.add(after(manual("stage-2-heard", "Confirm that the camera team knows about camera stage 2",
		"Confirm that the camera team knows that camera stage 2 may begin.", nil, nil, "P35"), posted))
	var started []string
	if b.req.StartBridges {
		b.bridges(func(h *model.Host, svc *model.Service) {
			if svc.Start != nil {
				started = append(started, s.add(after(b.ssh(slug(h.Name), fmt.Sprintf("%s: start %s", h.Name, svc.Name), h, svc.Name, plan.Start, svc.Start, "P34"), acknowledged)))
			}
		})
	} else {
		started = append(started, s.add(after(manual("bridges", "Start the bridges (camera team)", b.startBridgesText(), nil, nil, "P34"), acknowledged)))
	}
	put := manual("available", "Put the bridges into OFFLINE_AVAILABLE", b.availableText(), cscs, nil, "P34")
	b.bridges(func(h *model.Host, _ *model.Service) { put.Doubt = joinDoubts(put.Doubt, without(h.Doubt, put.Doubt)) })
	available := s.add(after(put, started...))
	s.add(after(b.awaitStates("seen", "Check that the bridges are in OFFLINE_AVAILABLE", cscs, func(string) []string {
		return []string{plan.OfflineAvailable}
	}, limitComeUp, "P34", "P37"), available))
	who := "The camera team starts the bridges."
	if b.req.StartBridges {
		who = "csu starts the bridges."
	}
	return fmt.Sprintf("When the camera team reports that camera stage 1 is done, csu tells them on %s that camera stage 2 may begin. %s You then put each bridge into OFFLINE_AVAILABLE with them.", b.site.Targets.SlackChannel, who)
}

func (b *builder) startBridgesText() string {
	var lines []string
	b.bridges(func(h *model.Host, svc *model.Service) {
		if svc.Start != nil {
			lines = append(lines, logIn(h, svc.Start.User, append(append([]string{}, svc.Start.Run...), "systemctl status "+svc.Name)))
		}
	})
	return "The camera team starts the bridges, which this plan stopped, and checks that they are running:\n\n" + strings.Join(lines, "\n\n")
}

func (b *builder) availableText() string {
	var lines []string
	b.bridges(func(h *model.Host, svc *model.Service) {
		lines = append(lines, fmt.Sprintf("%s on %s (%s)", strings.Join(svc.CSCs, ", "), h.Name, svc.Name))
	})
	return "With the camera team, put each bridge into OFFLINE_AVAILABLE with ccs-shell: `set target <name>-ocs-bridge`, `setAvailable --withLock`, `exit`.\n\n" +
		indent(strings.Join(lines, "\n"))
}

// without returns doubt, or "" if the others already contain it.
func without(doubt, others string) string {
	if strings.Contains(others, doubt) {
		return ""
	}
	return doubt
}
