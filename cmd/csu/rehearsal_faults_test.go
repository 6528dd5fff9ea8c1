package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/rehearsal"
)

// TestShutdownThatFails: CSCs that system_wide_shutdown.py has left are sent to
// OFFLINE one by one, before the ScriptQueues (P10); where it has left all of
// them, the Watcher is the first all the same (P8).
func TestShutdownThatFails(t *testing.T) {
	t.Parallel()
	u := named(t, "tucson-teststand/full")
	p := u.compile(t)
	r := carryOut(t, u, p, startSite(t, p, "script-fails=system_wide_shutdown.py"), "journal", nil)
	for _, holds := range []func(*testing.T, *rehearsed){wentDownInOrder, wereDownBeforeTheQueues, allAreWhereTheyShouldBe} {
		holds(t, r)
	}
	by := map[string]int{}
	for _, i := range r.changes("", plan.Offline) {
		_, step, _ := strings.Cut(r.effects[i].Identity, "/")
		step, _, _ = strings.Cut(step, "/1")
		by[step]++
	}
	if all := len(goingDown(p)); by["offline/rest"] != all || by["offline/queues"] != 3 {
		t.Errorf("sent to OFFLINE by: %v; there are %d to send, and 3 queues", by, all)
	}
	// One to a script.
	scripts := 0
	for _, i := range r.where(rehearsal.ScriptAdded, "") {
		if strings.Contains(r.effects[i].Identity, "/offline/rest/") {
			scripts++
		}
	}
	if scripts != by["offline/rest"] {
		t.Errorf("%d CSCs were sent to OFFLINE by %d scripts", by["offline/rest"], scripts)
	}
	r.question(t, "offline/rest", operator.QueuePaused) // which the script that failed has paused
}

// TestDeadESS: one ESS that does not follow keeps neither GIS nor the Watcher
// down, nor the ESS of other scripts; those that are left are told at the end
// (P41).
func TestDeadESS(t *testing.T) {
	t.Parallel()
	u := named(t, "summit/recovery")
	p := u.compile(t)
	r := carryOut(t, u, p, startSite(t, p, "csc-stuck=ESS:105"), "journal", map[string]operator.Choice{"enable/seen": operator.Skip})
	_, a := stepAs[*plan.SetState](t, p, "enable/ess")
	script := a.CSCs[:a.GroupSize] // the one that stops at ESS:105
	var astray []string
	for _, csc := range rehearsal.Summarize(p, r.whole).Astray {
		name, _, _ := strings.Cut(csc, " ")
		astray = append(astray, name)
	}
	slices.Sort(astray)
	equal(t, u, "what is not where it should be", astray, script[slices.Index(script, "ESS:105"):])
	watcherWasEnabledLast(t, r)
	says(t, u, "what was told", r.question(t, "enable/seen", operator.Failed).Text, "ESS:105")
}

// TestCRIOsThatSpeak: a cRIO service whose CSC is heard is not started, so that
// no second daemon runs (P45). The site has been through one recovery.
func TestCRIOsThatSpeak(t *testing.T) {
	t.Parallel()
	u := named(t, "summit/recovery")
	p := u.compile(t)
	site := startSite(t, p)
	carryOut(t, u, p, site, "first", nil)
	second := *p
	second.Upgrade.Attempt++ // a plan is carried out once
	r := carryOut(t, u, &second, site, "second", nil)
	crios := []string{"m1m3-crio-ss", "m1m3-crio-ts", "m1m3-crio-vms", "m2-crio-vms01"}
	for i, e := range r.effects {
		if e.System == rehearsal.SystemHost && slices.Contains(crios, e.Subject) || e.Kind == rehearsal.CSCDuplicate {
			t.Errorf("in the second recovery: %s", r.tell(i))
		}
	}
	allAreWhereTheyShouldBe(t, r)
	watchersJobWentFirst(t, r)
}
