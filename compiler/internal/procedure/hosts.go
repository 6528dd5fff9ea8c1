package procedure

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/lsst-ts/csu/compiler/internal/model"
	"github.com/lsst-ts/csu/executor/plan"
)

// ssh makes a step that runs commands on a host for a service.
func (b *builder) ssh(id, title string, h *model.Host, service string, purpose plan.Purpose, c *model.Commands, source ...string) plan.Step {
	limit := c.Limit
	if limit == 0 {
		limit = limitHost
	}
	return plan.Step{
		ID: id, Title: title, Source: source,
		Consent: c.Consent,
		Doubt:   joinDoubts(hostDoubt(h), c.Doubt),
		Action: plan.Action{Parameters: &plan.SSH{
			Host: h.Name, User: c.User, Purpose: purpose, Service: service, Commands: c.Run, Check: c.Check,
		}},
		Takes:   plan.Duration(c.Takes),
		Timeout: plan.Duration(limit),
		ByHand:  onHost(h, c),
	}
}

// long is the longest time for which commands run by hand may depend on an SSH
// connection; longer ones are detached from it (P29).
const long = 20 * time.Minute

// onHost describes how to run by hand what csu runs on a host.
func onHost(h *model.Host, c *model.Commands) string {
	if c.Takes < long {
		return logIn(h, c.User, c.Run)
	}
	return logIn(h, c.User, detached(c.Run)) + "\n\n" +
		"This keeps running if the connection drops: log in again and read " + detachedLog + " in the home directory. It is done when the log ends with \"finished\". " +
		"It stops at the first command that fails. The log numbers the commands that are done, so the next one is the one that failed."
}

const detachedLog = "csu-update.log"

// detached joins commands into one shell command that survives the session and
// stops at the first failure. It needs only a POSIX sh and busybox's nohup: a
// cRIO has neither setsid nor systemd nor screen. Each command has a subshell of
// its own, as when csu runs it, so that its directory and variables do not leak
// into the next. sh -e would not do, since it ignores a cd that fails before an
// &&. The log numbers the commands that are done; sh -x would log the secrets of
// the files that are sourced.
func detached(commands []string) []string {
	lines := []string{"nohup sh -c '("}
	for i, c := range commands {
		if i > 0 {
			lines = append(lines, fmt.Sprintf(") && echo %d && (", i))
		}
		lines = append(lines, strings.ReplaceAll(c, "'", `'\''`))
	}
	return append(lines, ") && echo finished' >"+detachedLog+" 2>&1 </dev/null &", "tail -f "+detachedLog)
}

func joinDoubts(doubts ...string) string { return strings.Join(union(nil, doubts), " ") }

// hostDoubt returns the doubt that every command on a host asks. A camera
// host's doubt is about making its bridge available, and that step asks it.
func hostDoubt(h *model.Host) string {
	if h.Role == model.Camera {
		return ""
	}
	return h.Doubt
}

// logIn describes how to log in to a host and run commands there.
func logIn(h *model.Host, user string, commands []string) string {
	var lines []string
	via := ""
	for _, u := range h.Users {
		if u.Name == user {
			via = u.Via
		}
	}
	switch via {
	case "login":
		lines = append(lines, fmt.Sprintf("ssh %s@%s", user, h.Address))
	case "sudo":
		lines = append(lines, "ssh "+h.Address, "sudo -iu "+user)
	default:
		lines = append(lines, "ssh "+h.Address)
	}
	text := indent(strings.Join(append(lines, commands...), "\n"))
	if h.Note != "" {
		text += "\n\n" + h.Note
	}
	return text
}

// updateCheckout makes the step that updates a configuration checkout (P23).
func (b *builder) updateCheckout(h *model.Host, source ...string) plan.Step {
	c := h.Checkout
	name := path.Clean(c.Repository)
	return b.ssh(slug(h.Name+" "+name), fmt.Sprintf("%s: update %s", h.Name, name), h, name, plan.Update, &model.Commands{
		User: c.User, Limit: c.Limit,
		Run: []string{fmt.Sprintf("./update_repo %s %s", c.Repository, b.branch(name, c.Branch))},
	}, source...)
}

// stopped visits the services that the plan stops on bare metal before the
// configuration is updated, and starts afterwards: T&S services, and the cRIO
// services that run no protected CSC (P6, P17, P36).
func (b *builder) stopped(visit func(h *model.Host, s *model.Service)) {
	for _, h := range b.hosts {
		if h.Role != model.BareMetal && h.Role != model.CRIO {
			continue
		}
		for i := range h.Services {
			if s := &h.Services[i]; s.Stop != nil && !b.runsProtected(s) {
				visit(h, s)
			}
		}
	}
}

// runsProtected reports whether a service runs a CSC that keeps its state (P6).
func (b *builder) runsProtected(s *model.Service) bool {
	return slices.ContainsFunc(s.CSCs, func(c string) bool { _, ok := b.protected(c); return ok })
}

// hostsProtected reports whether a host runs a CSC that keeps its state. Such a
// host is touched only in the unit of that CSC.
func (b *builder) hostsProtected(h *model.Host) bool {
	return slices.ContainsFunc(cscsOn(h), func(c string) bool { _, ok := b.protected(c); return ok })
}

// updatesProtected reports whether the plan stops, updates and starts a CSC that
// keeps its state, and brings it back, in the stage for such CSCs. It does if
// the CSC changes or its host is updated (P6).
func (b *builder) updatesProtected(csc string) bool {
	found := false
	b.protectedUnits(func(_ *model.Host, s *model.Service) { found = found || slices.Contains(s.CSCs, csc) })
	return found
}

// protectedUnits visits the services of protected CSCs that the plan updates.
func (b *builder) protectedUnits(visit func(h *model.Host, s *model.Service)) {
	t := plan.Type(b.req.Type)
	if t == plan.Recovery {
		return
	}
	for _, h := range b.hosts {
		if h.Role == model.CRIO && t == plan.Full && b.req.CriosDone {
			continue
		}
		for i := range h.Services {
			if s := &h.Services[i]; b.runsProtected(s) && (s.Update != nil || h.Checkout != nil) {
				visit(h, s)
			}
		}
	}
}

// servicesDown adds the stage that stops the services on bare metal (P17).
func (b *builder) servicesDown() {
	s := b.stage("services-down", "Stop the services on bare metal")
	var stopped []string
	b.stopped(func(h *model.Host, svc *model.Service) {
		stopped = append(stopped, fmt.Sprintf("%s on %s", svc.Name, h.Name))
		s.add(b.ssh(slug(h.Name), fmt.Sprintf("%s: stop %s", h.Name, svc.Name), h, svc.Name, plan.Stop, svc.Stop, "P17"))
	})
	for _, h := range b.hosts {
		for i := range h.Services {
			if svc := &h.Services[i]; b.runsProtected(svc) && svc.Keep != "" {
				s.Doubts = append(s.Doubts, fmt.Sprintf("%s on %s keeps running for now: %s", svc.Name, h.Name, svc.Keep))
			}
		}
	}
	s.close(fmt.Sprintf("csu stops these services: %s. This plan starts them again later.", strings.Join(stopped, ", ")))
}

// updateHosts adds the stage that updates ESS controllers (P28), and asks about hosts
// that may need an update.
func (b *builder) updateHosts() {
	s := b.stage("hosts", "")
	var controllers, asked []string
	for _, h := range b.hosts {
		switch {
		case b.hostsProtected(h):
		case h.Role == model.ESS:
			controllers = append(controllers, h.Name)
			b.updateController(s, h)
		case b.asksAbout(h):
			asked = append(asked, h.Name)
			s.add(manual(slug(h.Name), fmt.Sprintf("%s: ask whether it needs an update", h.Name), sentence(h.Doubt), nil, nil, "P28"))
		}
	}
	var text []string
	s.Title = "Update other machines"
	if len(controllers) > 0 {
		s.Title = "Update ESS controllers"
		text = append(text, fmt.Sprintf("csu updates these ESS controllers: %s.", strings.Join(controllers, ", ")))
	}
	if lost := slices.DeleteFunc(b.served(), b.goesDown); len(lost) > 0 {
		text = append(text, fmt.Sprintf("A CSC loses its sensors while its controller is down, and may go to FAULT: %s. If one does, bring it back to its final state before stage %q, which checks it.",
			plan.CSCList(lost), enableStage))
	}
	if len(asked) > 0 {
		text = append(text, fmt.Sprintf("You find out whether these machines need an update: %s.", strings.Join(asked, ", ")))
	}
	s.close(strings.Join(text, " "))
}

// served returns the CSCs in the cluster that talk to the ESS controllers that
// are updated. They are checked at the end although they were not taken down.
func (b *builder) served() []string {
	var out []string
	for _, h := range b.hosts {
		if h.Role == model.ESS {
			out = union(out, h.Serves)
		}
	}
	return out
}

// updateController adds stop, update and start of an ESS controller (P28).
func (b *builder) updateController(s *stage, h *model.Host) {
	last := ""
	step := func(what string, st plan.Step) {
		st.ID = slug(h.Name + " " + what)
		if last != "" {
			// The host's doubt is asked once, before the host is touched.
			st.Doubt = strings.TrimSpace(strings.TrimPrefix(st.Doubt, h.Doubt))
		}
		last = s.add(after(st, last))
	}
	for i := range h.Services {
		if svc := &h.Services[i]; svc.Stop != nil {
			step("stop", b.ssh("", fmt.Sprintf("%s: stop %s", h.Name, svc.Name), h, svc.Name, plan.Stop, svc.Stop, "P28"))
		}
	}
	if h.Checkout != nil {
		step("update", b.updateCheckout(h, "P28"))
	}
	for i := range h.Services {
		if svc := &h.Services[i]; svc.Start != nil {
			step("start", b.ssh("", fmt.Sprintf("%s: start %s", h.Name, svc.Name), h, svc.Name, plan.Start, svc.Start, "P28"))
		}
	}
}

// asksAbout reports whether the operator is asked about a machine that csu does
// not touch (P28).
func (b *builder) asksAbout(h *model.Host) bool {
	return plan.Type(b.req.Type) != plan.Recovery && h.Role == model.Machine && h.Doubt != "" && !b.reboots(h.Name)
}

func (b *builder) reboots(host string) bool {
	return slices.ContainsFunc(b.site.Recovery.Reboot, func(r model.Reboot) bool { return r.Host == host })
}

// servicesUp adds the steps that start the stopped services (P36), except those that wait
// for their build. A service with no start commands is started by hand. It returns the
// steps, and what they do.
func (b *builder) servicesUp(s *stage) (steps []string, consent string) {
	var started, byHand []string
	b.stopped(func(h *model.Host, svc *model.Service) {
		if b.updatesCRIO(h.Name) {
			return
		}
		name := fmt.Sprintf("%s on %s", svc.Name, h.Name)
		if svc.Start != nil {
			started = append(started, name)
			steps = append(steps, s.add(b.ssh(slug(h.Name), fmt.Sprintf("%s: start %s", h.Name, svc.Name), h, svc.Name, plan.Start, svc.Start, "P36")))
			return
		}
		byHand = append(byHand, name)
		steps = append(steps, s.add(manual(slug(h.Name), fmt.Sprintf("%s: start %s", h.Name, svc.Name),
			fmt.Sprintf("This plan stopped %s on %s. %s", svc.Name, h.Name, svc.StartByHand), nil, nil, "P36")))
	})
	var text []string
	if len(started) > 0 {
		text = append(text, fmt.Sprintf("csu starts these services, which it stopped: %s.", strings.Join(started, ", ")))
	}
	if len(byHand) > 0 {
		text = append(text, fmt.Sprintf("You start these by hand: %s.", strings.Join(byHand, ", ")))
	}
	return steps, strings.Join(text, " ")
}

// updateProtected adds the steps for CSCs that keep their state but must be updated, and
// returns the CSCs. Stop, update, start and the return to the state are one unit, with
// the principal's agreement (P6, P29).
func (b *builder) updateProtected(s *stage) (updated []string) {
	b.protectedUnits(func(h *model.Host, svc *model.Service) {
		last, who, agreed := "", b.principal(svc.CSCs[0]), false
		source := []string{"P6"}
		if h.Role == model.CRIO {
			source = append(source, "P29")
		}
		touch := func(id string, step plan.Step) {
			step.ID = slug(h.Name + " " + id)
			if !agreed { // one consent for the whole unit, so that no question keeps the service down
				step.Consent = strings.TrimSpace(fmt.Sprintf("The %s agrees that csu now stops %s on %s, updates it, starts it, and brings %s back to its state. It is down for minutes. %s", who, svc.Name, h.Name, plan.CSCList(svc.CSCs), step.Consent))
				agreed = true
			}
			if id == string(plan.Start) && b.updatesCRIO(h.Name) {
				step.Doubt = "" // see doubtsOfHost
			}
			last = s.add(after(step, last))
		}
		commands := func(purpose plan.Purpose, c *model.Commands) {
			if c != nil {
				touch(string(purpose), b.ssh("", fmt.Sprintf("%s: %s %s", h.Name, purpose, svc.Name), h, svc.Name, purpose, c, source...))
			}
		}
		if svc.Build != nil {
			last = s.add(b.awaitBuild(h, svc, source...))
		}
		commands(plan.Stop, svc.Stop)
		commands(plan.Update, svc.Update)
		if h.Checkout != nil {
			touch("checkout", b.updateCheckout(h, source...))
		}
		commands(plan.Start, svc.Start)
		for _, csc := range svc.CSCs {
			k, ok := b.protected(csc)
			if !ok {
				continue
			}
			step := b.setState(slug(csc), fmt.Sprintf("%s back to %s", oneCSC(csc), k.State), k.State, []string{csc}, 0, "P6")
			up := s.add(after(b.awaitStates(slug(csc+" up"), oneCSC(csc)+" comes up", []string{csc}, func(string) []string {
				c, _ := b.csc(csc)
				return []string{comesUp(c), k.State}
			}, limitComeUp, "P6", "P37"), last))
			back := s.add(after(step, up))
			s.add(after(b.awaitStates(slug(csc+" seen"), "Check that "+oneCSC(csc)+" is in "+k.State, []string{csc}, func(string) []string { return []string{k.State} }, limitLook, "P6"), back))
			updated = append(updated, csc)
		}
	})
	return updated
}

// restart makes the steps that stop and start a host's services (P46).
func (b *builder) restart(s *stage, h *model.Host, source ...string) (last string) {
	for i := range h.Services {
		svc := &h.Services[i]
		if svc.Stop == nil || svc.Start == nil {
			b.refuse(h.Pos, "give the service stop and start commands, or remove the host from recovery.restart",
				"host %q cannot be restarted: no commands to stop and start %s", h.Name, svc.Name)
			continue
		}
		stop := s.add(b.ssh(slug(h.Name+" stop"), fmt.Sprintf("%s: stop %s", h.Name, svc.Name), h, svc.Name, plan.Stop, svc.Stop, source...))
		last = s.add(after(b.ssh(slug(h.Name+" start"), fmt.Sprintf("%s: start %s", h.Name, svc.Name), h, svc.Name, plan.Start, svc.Start, source...), stop))
	}
	return last
}

// reboot makes the step that reboots a host (P47).
func (b *builder) reboot(r model.Reboot, h *model.Host, source ...string) plan.Step {
	return plan.Step{
		ID: slug(h.Name), Title: "Reboot " + h.Name, Source: source,
		Consent: fmt.Sprintf("csu reboots %s (%s) now. Confirm that this is the right machine.", h.Name, h.Address),
		Doubt:   joinDoubts(r.Doubt, h.Doubt),
		Action:  plan.Action{Parameters: &plan.Reboot{Host: h.Name, User: r.User, Command: r.Command}},
		Timeout: plan.Duration(limitReboot),
		ByHand:  logIn(h, r.User, []string{"cat /proc/sys/kernel/random/boot_id", r.Command}) + "\n\nThe reboot is done when the machine answers again and shows a different boot id.",
	}
}
