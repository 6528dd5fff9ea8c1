package verify

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/lsst-ts/csu/executor/plan"
)

func sourceRules() []Rule {
	return []Rule{
		{"sources", allNumbers(),
			"Every instruction of the procedure that applies to the plan is carried out by a step of a suitable kind, which cites it.", sources},
	}
}

// lastNumber is the procedure's last number.
const lastNumber = 55

// An instruction is a number of the procedure, with the plans to which it applies
// and the kinds of steps that can carry it out.
type instruction struct {
	number string
	types  []plan.Type // empty: all
	when   func(*view) bool
	kinds  []plan.Kind // of the step that carries it; empty: any step or stage
}

var fullOnly, incrementalOnly, recoveryOnly = []plan.Type{plan.Full}, []plan.Type{plan.Incremental}, []plan.Type{plan.Recovery}

// instructions are the numbers that steps carry out, in the procedure's order.
// P12, P13, P26, P27, P38 and others are in [withoutStep].
var instructions = []instruction{
	{number: "P3", when: (*view).touchesPrincipals},
	{number: "P4", when: (*view).asksForM2, kinds: []plan.Kind{plan.KindManual}},
	{number: "P5", types: recoveryOnly, when: (*view).hasClosedLoop, kinds: []plan.Kind{plan.KindSetState}},
	{number: "P6", when: func(v *view) bool { return len(v.protectedStates()) > 0 && v.movesCSCs() }, kinds: []plan.Kind{plan.KindAwaitState}},
	{number: "P7", types: fullOnly, kinds: []plan.Kind{plan.KindScript}},
	{number: "P8", types: []plan.Type{plan.Full, plan.Incremental}, when: (*view).movesCSCs, kinds: []plan.Kind{plan.KindScript, plan.KindSetState}},
	{number: "P9", types: []plan.Type{plan.Full, plan.Incremental}, when: (*view).takesQueuesDown, kinds: []plan.Kind{plan.KindSetState}},
	{number: "P10", types: fullOnly, kinds: []plan.Kind{plan.KindSetState}},
	{number: "P11", types: []plan.Type{plan.Full, plan.Incremental}, when: (*view).movesCSCs, kinds: []plan.Kind{plan.KindAwaitState, plan.KindSetState}},
	{number: "P14", types: incrementalOnly, when: (*view).movesCSCs, kinds: []plan.Kind{plan.KindSetState}},
	{number: "P15", when: (*view).stopsBridges, kinds: []plan.Kind{plan.KindSSH}},
	{number: "P16", when: (*view).stopsBridges, kinds: []plan.Kind{plan.KindAnnounce}},
	{number: "P17", types: fullOnly, when: (*view).stopsServices, kinds: []plan.Kind{plan.KindSSH}},
	{number: "P18", types: []plan.Type{plan.Full, plan.Recovery}, kinds: []plan.Kind{plan.KindDelete}},
	{number: "P19", types: fullOnly, kinds: []plan.Kind{plan.KindDelete}},
	{number: "P21", types: incrementalOnly, when: func(v *view) bool { return len(v.down()) > 0 }, kinds: []plan.Kind{plan.KindDelete}},
	{number: "P22", types: []plan.Type{plan.Full, plan.Incremental}, kinds: []plan.Kind{plan.KindManual}},
	{number: "P23", types: fullOnly, when: (*view).updatesCheckouts, kinds: []plan.Kind{plan.KindSSH}},
	{number: "P24", types: fullOnly, when: (*view).breaksSchema, kinds: []plan.Kind{plan.KindCompatibility}},
	{number: "P25", types: fullOnly, when: (*view).breaksSchema, kinds: []plan.Kind{plan.KindCompatibility}},
	{number: "P28", types: fullOnly, when: func(v *view) bool { return v.hasHost(func(h *plan.Host) bool { return h.Role == plan.ESS }) }, kinds: []plan.Kind{plan.KindSSH}},
	{number: "P29", types: fullOnly, when: func(v *view) bool { return len(v.onCRIOs()) > 0 && !v.Upgrade.CriosDone }, kinds: []plan.Kind{plan.KindSSH}},
	{number: "P30", types: fullOnly, kinds: []plan.Kind{plan.KindSync}},
	{number: "P31", types: fullOnly, when: func(v *view) bool { return v.Upgrade.SyncSasquatch }, kinds: []plan.Kind{plan.KindSync}},
	{number: "P32", types: []plan.Type{plan.Full, plan.Recovery}, kinds: []plan.Kind{plan.KindSync}},
	{number: "P33", types: incrementalOnly, kinds: []plan.Kind{plan.KindSync}},
	{number: "P34", when: (*view).stopsBridges, kinds: []plan.Kind{plan.KindManual, plan.KindSSH}},
	{number: "P35", when: (*view).stopsBridges, kinds: []plan.Kind{plan.KindAnnounce}},
	{number: "P36", types: fullOnly, when: (*view).stopsServices, kinds: []plan.Kind{plan.KindSSH}},
	{number: "P37", when: (*view).seesCSCs, kinds: []plan.Kind{plan.KindAwaitState}},
	{number: "P39", when: (*view).seesCSCs, kinds: []plan.Kind{plan.KindAwaitState, plan.KindManual}},
	{number: "P40", kinds: []plan.Kind{plan.KindAnnounce, plan.KindManual}},
	{number: "P41", types: []plan.Type{plan.Full, plan.Recovery}, when: (*view).enables, kinds: []plan.Kind{plan.KindSetState}},
	{number: "P42", types: fullOnly, when: func(v *view) bool { return !v.Upgrade.IntegrationTestingFollows }, kinds: []plan.Kind{plan.KindAnnounce}},
	{number: "P43", types: incrementalOnly, when: (*view).movesCSCs, kinds: []plan.Kind{plan.KindSetState, plan.KindAwaitState}},
	{number: "P44", types: recoveryOnly, kinds: []plan.Kind{plan.KindDelete}},
	{number: "P44", types: recoveryOnly, kinds: []plan.Kind{plan.KindSync}},
	{number: "P45", types: recoveryOnly, when: func(v *view) bool { return len(v.onCRIOs()) > 0 }, kinds: []plan.Kind{plan.KindSSH}},
	{number: "P46", types: recoveryOnly, when: func(v *view) bool { return v.hasHost(func(h *plan.Host) bool { return h.Restart }) }, kinds: []plan.Kind{plan.KindSSH}},
	{number: "P47", types: recoveryOnly, when: func(v *view) bool { return v.hasHost(func(h *plan.Host) bool { return h.Reboot }) }, kinds: []plan.Kind{plan.KindReboot}},
	{number: "P48", types: recoveryOnly, when: (*view).testsSomething, kinds: []plan.Kind{plan.KindScript}},
	{number: "P49", types: incrementalOnly, when: func(v *view) bool { return v.Facts.TestStand }, kinds: []plan.Kind{plan.KindManual}},
	{number: "P50", when: func(v *view) bool { return v.Facts.TestStand && v.Type != plan.Full && v.tests("P50") }, kinds: []plan.Kind{plan.KindScript}},
	{number: "P51", when: func(v *view) bool { return v.Facts.TestStand && v.Type != plan.Full && v.tests("P51") }, kinds: []plan.Kind{plan.KindScript}},
	{number: "P52", when: func(v *view) bool { return v.Facts.TrackingOnly && v.Type != plan.Full && v.testsSomething() }},
	{number: "P53", kinds: []plan.Kind{plan.KindAnnounce}},
	{number: "P55", types: recoveryOnly, when: func(v *view) bool { return v.Facts.EnableAll && !v.Upgrade.IntegrationTestingFollows }, kinds: []plan.Kind{plan.KindSetState}},
}

// withoutStep are the numbers that no step carries out, and what enforces them.
var withoutStep = map[string]string{
	"P1":  "the preflight before each stage",
	"P2":  "the consent of every stage (rule consent), and the lock of the executor",
	"P12": "the text for doing it by hand that every step has",
	"P13": "the texts of the stages, which name the view and the dashboards",
	"P20": "the executor, which compares context and API server with the targets",
	"P26": "the compiler, which refuses the request, and rule registry-back",
	"P27": "the rule time-limits",
	"P38": "the texts of the steps that report",
	"P54": "a warning, see Warnings",
}

func allNumbers() []string {
	var out []string
	for i := range lastNumber {
		out = append(out, "P"+strconv.Itoa(i+1))
	}
	return out
}

func sources(v *view, f *findings) {
	known := allNumbers()
	check := func(numbers []string, add func(string)) {
		for _, s := range numbers {
			if !slices.Contains(known, s) {
				add(s)
			}
		}
	}
	for i := range v.Stages {
		s := &v.Stages[i]
		check(s.Source, func(number string) {
			f.stage(s, "cite a number from P1 to P"+strconv.Itoa(lastNumber), "cites %s, which is not in the procedure", number)
		})
	}
	for _, n := range v.steps {
		check(n.Source, func(number string) {
			f.step(n, "cite a number from P1 to P"+strconv.Itoa(lastNumber), "cites %s, which is not in the procedure", number)
		})
	}
	for _, in := range instructions {
		if in.applies(v) && !in.carried(v) {
			f.plan("add the step, or cite the number in the step that does it", "no step%s carries out %s, which applies to this plan", in.of(), in.number)
		}
	}
}

func (in *instruction) of() string {
	if len(in.kinds) == 0 {
		return " or stage"
	}
	var out []string
	for _, k := range in.kinds {
		out = append(out, string(k))
	}
	return fmt.Sprintf(" of kind %s", strings.Join(out, " or "))
}

func (in *instruction) applies(v *view) bool {
	return (len(in.types) == 0 || slices.Contains(in.types, v.Type)) && (in.when == nil || in.when(v))
}

func (in *instruction) carried(v *view) bool {
	if len(in.kinds) == 0 && slices.ContainsFunc(v.Stages, func(s plan.Stage) bool { return slices.Contains(s.Source, in.number) }) {
		return true
	}
	return v.any(func(n *node) bool {
		return n.cites(in.number) && (len(in.kinds) == 0 || slices.Contains(in.kinds, n.kind()))
	})
}

func (v *view) touchesPrincipals() bool {
	return v.any(func(n *node) bool { return len(v.principalsOf(n)) > 0 })
}

func (v *view) asksForM2() bool {
	m2 := v.Facts.ClosedLoop
	return m2 != nil && (v.Type != plan.Incremental || v.any(func(n *node) bool { return n.down[m2.CSC] }))
}

// movesCSCs reports whether the plan takes down something that speaks SAL.
func (v *view) movesCSCs() bool { return !v.Quiet() }

func (v *view) takesQueuesDown() bool {
	return v.movesCSCs() && !(v.Type == plan.Incremental && v.Upgrade.QueuesStay)
}

// seesCSCs reports whether CSCs come up that have a state.
func (v *view) seesCSCs() bool {
	return v.movesCSCs() || slices.ContainsFunc(v.Upgrade.Added, func(name string) bool {
		c, ok := v.CSC(name)
		return ok && c.Speaks()
	})
}

func (v *view) hasClosedLoop() bool { return v.Facts.ClosedLoop != nil }

func (v *view) hasHost(cond func(*plan.Host) bool) bool {
	for i := range v.Hosts {
		if cond(&v.Hosts[i]) {
			return true
		}
	}
	return false
}

// stopsServices reports whether a CSC that does not keep its state runs on bare
// metal or a cRIO (P17, P36).
func (v *view) stopsServices() bool {
	return v.hasHost(func(h *plan.Host) bool {
		return (h.Role == plan.BareMetal || h.Role == plan.CRIO) && slices.ContainsFunc(v.On(h.Name), func(c string) bool { return v.protectedStates()[c] == "" })
	})
}

// updatesCheckouts reports whether a host has a checkout that is updated with the
// configuration rather than with the host's services (P23).
func (v *view) updatesCheckouts() bool {
	return v.hasHost(func(h *plan.Host) bool {
		protected := slices.ContainsFunc(v.On(h.Name), func(c string) bool { return v.protectedStates()[c] != "" })
		return h.Checkout && h.Role != plan.ESS && h.Role != plan.CRIO && !protected
	})
}

// testsSomething reports whether the test of a telescope applies (P48).
func (v *view) testsSomething() bool {
	return v.Facts.TestStand && (v.tests("P50") || v.tests("P51"))
}

func (v *view) breaksSchema() bool { return v.Upgrade.BreaksSchema }

// stopsBridges reports whether the upgrade affects camera bridges: in a full upgrade
// those of the site, in an incremental one those that it stops.
func (v *view) stopsBridges() bool {
	hosts := v.bridgeHosts()
	switch v.Type {
	case plan.Full:
		return len(hosts) > 0
	case plan.Incremental:
		affected := v.affectedHosts()
		return slices.ContainsFunc(hosts, func(h string) bool { return slices.Contains(affected, h) })
	}
	return false
}

// enables reports whether the plan brings the site's list to ENABLED (P41).
func (v *view) enables() bool {
	return !v.Facts.EnableIfNecessary || !v.Upgrade.IntegrationTestingFollows
}
