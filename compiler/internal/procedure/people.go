package procedure

import (
	"fmt"
	"strings"

	"github.com/lsst-ts/csu/compiler/internal/model"
	"github.com/lsst-ts/csu/compiler/review"
	"github.com/lsst-ts/csu/executor/plan"
)

// manual makes a step that is done by hand.
func manual(id, title, text string, cscs, applications []string, source ...string) plan.Step {
	return plan.Step{
		ID: id, Title: title, Source: source,
		Action:  plan.Action{Parameters: &plan.Manual{Text: text, CSCs: cscs, Applications: applications}},
		Timeout: plan.Duration(limitManual),
		ByHand:  text,
	}
}

// announce makes a step that posts to the site's channel. An upgrade never waits
// for Slack, so a failure is only reported. A handover is different: its
// recipients wait for the message, so a failure asks the operator.
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

// what returns the upgrade's name in messages.
func (b *builder) what() string { return b.plan.What() }

// sayMeanwhile completes the announcement of the start with what is known only when the
// plan is: how long it takes, and what is unavailable meanwhile.
func (b *builder) sayMeanwhile() {
	for step := range b.plan.AllSteps() {
		if a, ok := step.Action.Parameters.(*plan.Announce); ok && step.ID == startID {
			said := b.announce("", "", strings.TrimSpace(a.Text+" "+review.Meanwhile(b.plan)), false)
			step.Action, step.ByHand = said.Action, said.ByHand
		}
	}
}

// startID is the step that announces the start of the deployment.
const startID = "begin/announce"

// begin adds the stage before anything goes down: the announcement (P53), M2
// (P4, P5) and the CSCs that keep their states (P6).
func (b *builder) begin() {
	s := b.stage("begin", "Before anything goes down", "P2")
	please := "Please do not use the control system until we announce the end."
	if b.quiet() {
		please = "The control system stays up."
	}
	s.add(b.announce("announce", "Announce the start of the deployment",
		fmt.Sprintf("%s: %s begins now. %s", b.site.Name, b.what(), please), false, "P53"))
	b.askForM2(s)
	if cscs := b.protectedCSCs(); len(cscs) > 0 && plan.Type(b.req.Type) != plan.Recovery && !b.quiet() {
		step := b.awaitStates("kept", "Check the CSCs that keep their states", cscs, func(name string) []string {
			k, _ := b.protected(name)
			return []string{k.State}
		}, limitLook, "P6")
		s.add(step)
	}
	if !b.quiet() {
		s.Doubts = append(s.Doubts, b.protectedDoubts()...)
	}
	consent := b.moves() + fmt.Sprintf("You are leading %s at %s, and everyone concerned has agreed. From now on, nothing may be done there without your consent. "+
		"Nothing goes down in this stage. Every step says how to do it by hand if csu or LOVE fails.", b.what(), b.site.Name)
	if plan.Type(b.req.Type) == plan.Recovery {
		consent += " While the cluster is unreachable, csu runs without the site's ledger: make sure that no one else runs an upgrade."
	}
	s.close(consent)
}

// moves says what runs before the upgrade and after it, for the first consent: of a full
// upgrade the cycle, of an incremental one every CSC that changes.
func (b *builder) moves() string {
	switch plan.Type(b.req.Type) {
	case plan.Full:
		return fmt.Sprintf("%s → %s. ", b.site.Cycle, b.req.Cycle)
	case plan.Recovery:
		return ""
	}
	rows := plan.Plan{Upgrade: b.plan.Upgrade}
	for i := range b.site.CSCs {
		rows.CSCs = append(rows.CSCs, b.row(&b.site.CSCs[i]))
	}
	var all []string
	for _, m := range rows.Moves() {
		all = append(all, m.String())
	}
	if len(all) == 0 {
		return ""
	}
	return strings.Join(all, "; ") + ". "
}

// protectedDoubts returns the doubts about the CSCs that keep their states, each
// text once.
func (b *builder) protectedDoubts() []string {
	fate := func(k model.KeptState) string {
		csc := plan.CSCList([]string{k.CSC})
		switch {
		case plan.Type(b.req.Type) == plan.Recovery:
			return fmt.Sprintf("csu starts %s if it is silent, and brings it to %s", csc, k.State)
		case b.updatesProtected(k.CSC):
			return fmt.Sprintf("%s stays %s until csu updates it in stage %q, with its principal's agreement, and brings it back to %s", csc, k.State, criosStage, k.State)
		}
		return fmt.Sprintf("%s stays %s", csc, k.State)
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

// askForM2 adds the questions about the mirror's closed loop before the control
// system goes down (P4). At the summit that mirror is M2.
func (b *builder) askForM2(s *stage) {
	m2 := b.site.ClosedLoop
	if m2 == nil {
		return
	}
	id, csc, who := slug(m2.Mirror), plan.CSCList([]string{m2.CSC}), b.principal(m2.CSC)
	help := ""
	if m2.Help != "" {
		help = fmt.Sprintf(" Ask for help in %s.", m2.Help)
	}
	var step plan.Step
	switch {
	case plan.Type(b.req.Type) == plan.Recovery:
		s.add(b.m2Step(manual(id+"-closed-loop", "Confirm that "+m2.Mirror+" was in closed loop before IT started",
			fmt.Sprintf("Confirm with the %s that %s was switched to closed-loop control from its EUI (engineering user interface) before IT started. If not, agree with the principal on what to do before you continue.", who, m2.Mirror)+help,
			nil, nil, "P4")))
		step = manual(id+"-vm", fmt.Sprintf("Make sure that the %s is not rebooted yet", m2.Machine),
			fmt.Sprintf("%s's EUI runs on the %s. %s must be back in ENABLED before that machine is rebooted, or %s leaves closed loop. ", m2.Mirror, m2.Machine, csc, m2.Mirror)+
				fmt.Sprintf("Ask IT: if they have rebooted it already or are about to, the %s decides what to do. Make sure that it is not rebooted until this plan releases it.", who),
			nil, nil, "P5")
	case b.goesDown(m2.CSC):
		step = manual(id+"-closed-loop", "Switch "+m2.Mirror+" to closed-loop control",
			fmt.Sprintf("Make sure that %s is switched to closed-loop control from its EUI (engineering user interface) before %s goes down.", m2.Mirror, csc)+help, []string{m2.CSC}, nil, "P4")
	default:
		return
	}
	s.add(b.m2Step(step))
}

// m2Step makes the step ask for the agreement of the mirror's principal.
func (b *builder) m2Step(step plan.Step) plan.Step {
	who := b.principal(b.site.ClosedLoop.CSC)
	step.Consent = fmt.Sprintf("Consent when you can do this together with the %s.", who)
	step.Principals = []string{who}
	return step
}

// principal returns the principal of a CSC, or else that of its host.
func (b *builder) principal(csc string) string {
	c, ok := b.csc(csc)
	if !ok {
		return "" // reported by the loader
	}
	if h, ok := b.site.Host(c.Host); ok && c.Principal == "" {
		return h.Principal
	}
	return c.Principal
}

// protectedCSCs returns the CSCs that keep their states.
func (b *builder) protectedCSCs() []string {
	var out []string
	for _, k := range b.site.States.Keep {
		out = append(out, k.CSC)
	}
	return out
}

// end adds the last stage.
func (b *builder) end() {
	s := b.stage("end", "End of the deployment")
	text := fmt.Sprintf("This is the last stage: you check the site, then csu announces that %s is complete.", b.what())
	if !b.site.TestStand {
		text += " The procedure requires no minimal testing at this site: test what you consider necessary before you consent."
	}
	cscs := b.seenAgain()
	checked := s.add(manual("look", "Check the site once more", "Check LOVE's view "+fmt.Sprintf("%q", b.site.Targets.LOVEView)+
		" and the Chronograf dashboards "+dashboards+". "+
		"Make sure that every CSC that does not work has been reported on "+b.site.Targets.SlackChannel+" and to its principal.", cscs, nil, "P13", "P38", "P40"))
	switch {
	case b.req.IntegrationTestingFollows:
		s.add(after(b.announce("announce", "Announce integration testing",
			fmt.Sprintf("%s: %s is complete. Integration testing follows; please do not use the control system until it is over.", b.site.Name, b.what()), false, "P53"), checked))
	case plan.Type(b.req.Type) == plan.Full:
		s.add(after(b.announce("announce", "Announce that Nublado is available",
			fmt.Sprintf("%s: %s is complete. Nublado is available again.", b.site.Name, b.what()), false, "P42"), checked))
	default:
		s.add(after(b.announce("announce", "Announce the end of the deployment",
			fmt.Sprintf("%s: %s is complete.", b.site.Name, b.what()), false, "P53"), checked))
	}
	if len(b.plan.Final) > 0 {
		text += " Afterwards csu sets the schema registry back to FORWARD without asking again."
	}
	s.close(text)
}

// sentence capitalizes the first letter.
func sentence(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
