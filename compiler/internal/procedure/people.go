package procedure

import (
	"fmt"
	"strings"

	"github.com/lsst-ts/csu/compiler/internal/model"
	"github.com/lsst-ts/csu/executor/plan"
)

// manual makes a step that a person does.
func manual(id, title, text string, cscs, applications []string, source ...string) plan.Step {
	return plan.Step{
		ID: id, Title: title, Source: source,
		Action:  plan.Action{Parameters: &plan.Manual{Text: text, CSCs: cscs, Applications: applications}},
		Timeout: plan.Duration(limitManual),
		ByHand:  text,
	}
}

// announce makes a step that posts to the site's channel. An upgrade never
// waits for Slack, so that a failure is only reported, unless somebody waits
// for the message.
func (b *builder) announce(id, title, text string, handover bool, source ...string) plan.Step {
	step := plan.Step{
		ID: id, Title: title, Source: source,
		Action:    plan.Action{Parameters: &plan.Announce{Channel: b.site.Targets.SlackChannel, Text: text, Handover: handover}},
		Timeout:   plan.Duration(limitPost),
		OnFailure: plan.Report,
		ByHand:    fmt.Sprintf("Write on %s: %q", b.site.Targets.SlackChannel, text),
	}
	if handover {
		step.OnFailure = plan.Ask
	}
	return step
}

// what names the upgrade in messages.
func (b *builder) what() string {
	switch plan.Type(b.req.Type) {
	case plan.Full:
		return fmt.Sprintf("the upgrade of the control system to cycle %s", b.req.Cycle)
	case plan.Incremental:
		var names []string
		for _, c := range b.req.Changed {
			names = append(names, c.CSC)
		}
		return fmt.Sprintf("the incremental upgrade of %s (cycle %s)", plan.CSCList(names), b.req.Cycle)
	}
	return "the recovery of the control system after the maintenance by IT"
}

// begin adds the stage before anything goes down: the announcement (P53), M2
// (P4, P5) and the CSCs that keep their states (P6).
func (b *builder) begin() {
	s := b.stage("begin", "Before anything goes down", "P2")
	s.add(b.announce("announce", "Say that the deployment begins",
		fmt.Sprintf("%s: %s begins now. Please keep off the control system until we say that it is over.", b.site.Name, b.what()), false, "P53"))
	b.askForM2(s)
	if kept := b.keptNow(); len(kept) > 0 && plan.Type(b.req.Type) != plan.Recovery {
		step := b.awaitStates("kept", "The CSCs that keep their states are in them", kept, func(name string) []string {
			k, _ := b.protected(name)
			return []string{k.State}
		}, limitLook, "P6")
		s.add(step)
	}
	s.Doubts = append(s.Doubts, b.keptDoubts()...)
	if b.site.Targets.ServerDoubt != "" {
		s.Doubts = append(s.Doubts, fmt.Sprintf("Kubernetes context %s, API server %s: %s", b.site.Targets.Context, b.site.Targets.Server, b.site.Targets.ServerDoubt))
	}
	consent := fmt.Sprintf("You lead %s at %s, with the consent of everybody who is concerned; from here on nothing is done there without yours. "+
		"Nothing goes down in this stage. Every step says how it is done by hand, should csu or LOVE not work.", b.what(), b.site.Name)
	if plan.Type(b.req.Type) == plan.Recovery {
		consent += " While the cluster does not answer, csu works without the site's ledger: make sure that nobody else runs an upgrade."
	}
	s.close(consent)
}

// keptDoubts returns what is contested of the CSCs that keep their states, each
// text once.
func (b *builder) keptDoubts() []string {
	fate := func(k model.KeptState) string {
		csc := plan.CSCList([]string{k.CSC})
		switch {
		case plan.Type(b.req.Type) == plan.Recovery:
			return fmt.Sprintf("%s is started where it is silent, and brought to %s", csc, k.State)
		case b.ownUnit(k.CSC):
			return fmt.Sprintf("%s stays %s until its own update, with its principal, and is brought back there", csc, k.State)
		}
		return fmt.Sprintf("%s is left alone, in %s", csc, k.State)
	}
	var doubts []string
	about := map[string][]string{}
	for _, k := range b.site.States.Keep {
		if k.Doubt != "" {
			doubts = union(doubts, []string{k.Doubt})
			about[k.Doubt] = append(about[k.Doubt], fate(k))
		}
	}
	for i, d := range doubts {
		doubts[i] = strings.Join(about[d], "; ") + ". " + d
	}
	return doubts
}

// askForM2 adds what is asked about the mirror's closed loop before the control
// system goes down (P4): at the summit about M2.
func (b *builder) askForM2(s *stage) {
	m2 := b.site.ClosedLoop
	if m2 == nil {
		return
	}
	id, csc, who := slug(m2.Mirror), plan.CSCList([]string{m2.CSC}), b.principal(m2.CSC)
	help := ""
	if m2.Help != "" {
		help = fmt.Sprintf(" Ask for help with this in %s.", m2.Help)
	}
	var step plan.Step
	switch {
	case plan.Type(b.req.Type) == plan.Recovery:
		s.add(b.m2Step(manual(id+"-closed-loop", m2.Mirror+" was in closed loop before IT began",
			fmt.Sprintf("Confirm with the %s that %s was switched to closed-loop control from its EUI before IT began. If it was not, agree with the principal what is to be done before you go on.", who, m2.Mirror)+help,
			nil, nil, "P4")))
		step = manual(id+"-vm", fmt.Sprintf("The %s has not been rebooted yet", m2.Machine),
			fmt.Sprintf("%s's EUI runs on the %s. %s must be back in ENABLED before that machine is rebooted, or %s leaves closed loop. ", m2.Mirror, m2.Machine, csc, m2.Mirror)+
				fmt.Sprintf("Ask IT: if it has been rebooted already, or they are about to, the %s decides what happens now. See to it that nobody reboots it until this plan releases it.", who),
			nil, nil, "P5")
	case b.goesDown(m2.CSC):
		step = manual(id+"-closed-loop", m2.Mirror+" is in closed-loop control",
			fmt.Sprintf("Have %s switched to closed-loop control from its EUI, before %s goes down.", m2.Mirror, csc)+help, []string{m2.CSC}, nil, "P4")
	default:
		return
	}
	s.add(b.m2Step(step))
}

// m2Step has the operator confirm that the principal of the mirror has agreed.
func (b *builder) m2Step(step plan.Step) plan.Step {
	who := b.principal(b.site.ClosedLoop.CSC)
	step.Consent = fmt.Sprintf("This is done together with the %s.", who)
	step.Principals = []string{who}
	return step
}

// principal returns who answers for a CSC: its own principal, or its host's.
func (b *builder) principal(csc string) string {
	c, ok := b.csc(csc)
	if !ok {
		return "" // the loader has said so
	}
	if h, ok := b.site.Host(c.Host); ok && c.Principal == "" {
		return h.Principal
	}
	return c.Principal
}

// keptNow are the CSCs that keep their states and whose state is looked at
// beforehand.
func (b *builder) keptNow() []string {
	var out []string
	for _, k := range b.site.States.Keep {
		out = append(out, k.CSC)
	}
	return out
}

// end adds the last stage.
func (b *builder) end() {
	s := b.stage("end", "End of the deployment")
	text := "The deployment ends here."
	if !b.site.TestStand {
		text += " The procedure asks for no minimal testing here: what is tested now is your decision."
	}
	cscs := b.seenAgain()
	looked := s.add(manual("look", "Look over the site once more", "Look at LOVE's view "+fmt.Sprintf("%q", b.site.Targets.LOVEView)+
		" and at the Chronograf dashboards (Heartbeats; AT, MT, Envsys, Calibration Systems and Observatory Systems Summary State Monitor). "+
		"What is left in non-working order is known to its principal and has been reported on "+b.site.Targets.SlackChannel+".", cscs, nil, "P13", "P38", "P40"))
	switch {
	case b.req.IntegrationTestingFollows:
		s.add(after(b.announce("announce", "Say that integration testing follows",
			fmt.Sprintf("%s: %s is over. Integration testing follows; please keep off until it is over.", b.site.Name, b.what()), false, "P53"), looked))
	case plan.Type(b.req.Type) == plan.Full:
		s.add(after(b.announce("announce", "Say that Nublado can be used again",
			fmt.Sprintf("%s: %s is over. Nublado can be used again.", b.site.Name, b.what()), false, "P42"), looked))
	default:
		s.add(after(b.announce("announce", "Say that the deployment is over",
			fmt.Sprintf("%s: %s is over.", b.site.Name, b.what()), false, "P53"), looked))
	}
	if len(b.plan.Final) > 0 {
		text += " After it the schema registry goes back to FORWARD, without a further question."
	}
	s.close(text)
}

// sentence makes the first letter a capital one.
func sentence(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
