package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/rehearsal"
)

// An observation is what the record of a simulated site has to show for numbers
// of the procedure.
type observation struct {
	numbers  string
	upgrades string // patterns, see upgrade.is
	holds    func(t *testing.T, r *rehearsed)
}

var observations = []observation{
	{"P2 P3", "*/*", consentsWereAsked},
	{"P4", "summit/full* summit/incremental+m2 summit/recovery", m2WasAskedAbout},
	{"P5 P47", "summit/recovery", rebootCameAfterM2},
	{"P6", "summit/*", protectedStayed},
	{"P7 P8 P9 P14", "*/full* */incremental*", wentDownInOrder},
	{"P11", "*/full* */incremental*", wereDownBeforeTheQueues},
	{"P15 P16", withBridges, bridgesWereStopped},
	{"P17 P23 P28 P29 P36", "*/*", hostsWereServed},
	{"P6 P29", "summit/full summit/incremental+m1m3", protectedAreBuiltBefore},
	{"P18 P21", "*/*", jobsWereDeleted},
	{"P18 P44", "*/recovery*", watchersJobWentFirst},
	{"P19", "*/*", sessionsWereEnded},
	{"P22", "*/full* */incremental*", argoCDWasShown},
	{"P24 P25", "*/*", registryWasSet},
	{"P30 P31 P32 P33 P44", "*/*", syncedInOrder},
	{"P34 P35", withBridges, bridgesWereStarted},
	{"P37 P39 P41 P43 P55", "*/*", allAreWhereTheyShouldBe},
	{"P41 P43", "*/*", watcherWasEnabledLast},
	{"P16 P35 P42 P53", "*/*", messagesWerePosted},
	{"P14 P33", "*/incremental*", othersWereLeftAlone},
	{"P45 P46", "summit/recovery", servicesWereStartedAgain},
	{"P48 P49 P50 P51 P52", "*/*", testScriptsWereRun},
}

// TestRehearsals: every plan is completed at the simulated site, and the
// site's own record shows what the procedure asks for.
func TestRehearsals(t *testing.T) {
	t.Parallel()
	for _, u := range upgrades {
		t.Run(u.name, func(t *testing.T) {
			t.Parallel()
			p := u.compile(t)
			r := carryOut(t, u, p, startSite(t, p), "journal", nil)
			for _, o := range observations {
				if u.is(o.upgrades) {
					t.Run(o.numbers, func(t *testing.T) { o.holds(t, r) })
				}
			}
		})
	}
}

func consentsWereAsked(t *testing.T, r *rehearsed) {
	var stages []string
	for _, q := range r.questions {
		if q.Topic == operator.StageConsent {
			stages = append(stages, q.Stage)
		}
	}
	var want []string
	for i := range r.plan.Stages {
		s := &r.plan.Stages[i]
		want = append(want, s.ID)
		equal(t, r.upgrade, "who agrees to "+s.ID, r.question(t, s.ID, operator.StageConsent).Principals, s.Principals)
		for _, st := range s.Steps {
			if st.Consent != "" {
				equal(t, r.upgrade, "who agrees to "+st.ID, r.question(t, st.ID, operator.StepConsent).Principals, st.Principals)
			}
			if st.Doubt != "" {
				says(t, r.upgrade, "the doubt", r.question(t, st.ID, operator.Doubt).Text, st.Doubt)
			}
		}
	}
	equal(t, r.upgrade, "the stages that were asked about", stages, want)
	// Before the first consent nothing has happened but the run's claim of the ledger.
	for _, e := range r.effects[:r.question(t, want[0], operator.StageConsent).after-r.effects[0].Seq+1] {
		if e.Kind != rehearsal.LedgerClaimed {
			t.Errorf("%s: before anything was asked: %+v", r.name, e)
		}
	}
}

func m2WasAskedAbout(t *testing.T, r *rehearsed) {
	q := r.question(t, "begin/m2-closed-loop", operator.Manual)
	for i, e := range r.effects {
		if e.Seq <= q.after && (e.Kind == rehearsal.CSCDown || e.Kind == rehearsal.StateChanged || e.Kind == rehearsal.JobDeleted) {
			t.Errorf("%s: before it was asked: %s", r.name, r.tell(i))
		}
	}
}

func rebootCameAfterM2(t *testing.T, r *rehearsed) {
	equal(t, r.upgrade, "what was rebooted", r.subjects(rehearsal.Rebooted), []string{"azar02"})
	equal(t, r.upgrade, "what came back", r.subjects(rehearsal.HostUp), []string{"azar02"})
	enabled := r.changes("MTM2:0", plan.Enabled)
	if len(enabled) != 1 {
		t.Fatalf("%s: MTM2 came to ENABLED %d times", r.name, len(enabled))
	}
	r.precedes(t, enabled[0], r.first(t, rehearsal.Rebooted, "azar02"))
	if q := r.question(t, "m2/vm", operator.Manual); q.after < r.effects[enabled[0]].Seq {
		t.Errorf("%s: the Hexrot VM was released before MTM2 was ENABLED", r.name)
	}
	q := r.question(t, "reboot/azar02", operator.StepConsent)
	if r.effects[r.first(t, rehearsal.Rebooted, "azar02")].Seq <= q.after {
		t.Errorf("%s: azar02 was rebooted before the consent", r.name)
	}
}

func protectedStayed(t *testing.T, r *rehearsed) {
	own := map[string]string{"MTM1M3:0": "", "MTM1M3TS:0": ""} // host of the unit in which they are touched
	switch {
	case r.is("summit/full"):
		own = map[string]string{"MTM1M3:0": "m1m3-crio-ss", "MTM1M3TS:0": "m1m3-crio-ts"}
	case r.is("summit/incremental+m1m3"):
		own["MTM1M3:0"] = "m1m3-crio-ss"
	case r.is("summit/recovery"):
		return // they are down already
	}
	for csc, host := range own {
		from := len(r.effects)
		if host != "" {
			commands := r.where(rehearsal.CommandRun, host)
			commands = slices.DeleteFunc(commands, func(i int) bool { return r.builds(r.effects[i]) }) // it touches no CSC
			if len(commands) == 0 {
				t.Fatalf("%s: only builds ran on %s", r.name, host)
			}
			from = commands[0]
			// The Watcher is down while CSCs go down, or it would raise alarms (P8).
			if enabled := r.changes("Watcher:0", plan.Enabled); len(enabled) == 0 || enabled[0] < from {
				t.Errorf("%s: %s was touched while the Watcher watched", r.name, csc)
			}
			r.precedes(t, r.first(t, rehearsal.ServiceStop, host), r.first(t, rehearsal.CSCDown, csc))
			if back := len(r.changes(csc, r.expect(csc))); back != 1 {
				t.Errorf("%s: %s came back to %s %d times", r.name, csc, r.expect(csc), back)
			}
		}
		for i, e := range r.effects[:from] {
			if e.Subject == csc {
				t.Errorf("%s: %s", r.name, r.tell(i))
			}
		}
	}
}

func (r *rehearsed) expect(csc string) string {
	c, _ := r.plan.CSC(csc)
	return c.Expect
}

func wentDownInOrder(t *testing.T, r *rehearsed) {
	queues := []string{"ScriptQueue:3", "ScriptQueue:2", "ScriptQueue:1"}
	if r.plan.Upgrade.Queue == 2 {
		queues = []string{"ScriptQueue:3", "ScriptQueue:1", "ScriptQueue:2"}
	}
	sent := r.sent()
	if len(sent) < 4 || sent[0] != "Watcher:0" || !slices.Equal(sent[len(sent)-3:], queues) {
		t.Fatalf("%s: went down: %q", r.name, sent)
	}
	var want []string
	if r.plan.Type == plan.Full {
		want = goingDown(r.plan)
	} else {
		want = strings.Fields("Watcher:0 " + concerned[r.name])
	}
	want = append(slices.DeleteFunc(want, func(csc string) bool { return r.offline(t, csc) < 0 }), queues...)
	equal(t, r.upgrade, "what was sent to OFFLINE", slices.Sorted(slices.Values(sent)), slices.Sorted(slices.Values(want)))
	// Nothing else moved before the Watcher was down, and nothing after the last
	// queue, before it was back.
	watcher := r.changes("Watcher:0", plan.Offline)[0]
	for i, e := range r.effects[:watcher] {
		if (e.Kind == rehearsal.StateChanged || e.Kind == rehearsal.CSCDown) && e.Subject != "Watcher:0" {
			t.Errorf("%s: before the Watcher was down: %s", r.name, r.tell(i))
		}
	}
	last := queues[2]
	up := r.first(t, rehearsal.CSCUp, last)
	for i := r.changes(last, plan.Offline)[0] + 1; i < up; i++ {
		if k := r.effects[i].Kind; k == rehearsal.ScriptAdded || k == rehearsal.StateChanged {
			t.Errorf("%s: while the queue that runs scripts was down: %s", r.name, r.tell(i))
		}
	}
	for _, kind := range []string{rehearsal.JobDeleted, rehearsal.ServiceStop, rehearsal.SyncStarted, rehearsal.NamespaceGone} {
		for _, i := range r.where(kind, "") {
			r.precedes(t, r.changes(last, plan.Offline)[0], i)
		}
	}
}

func wereDownBeforeTheQueues(t *testing.T, r *rehearsed) {
	queues := r.changes("ScriptQueue:3", plan.Disabled)[0]
	for _, csc := range r.sent() {
		c, _ := r.plan.CSC(csc)
		if c.Bridge || strings.HasPrefix(csc, "ScriptQueue:") {
			continue // a bridge goes on speaking until its service is stopped
		}
		r.precedes(t, r.first(t, rehearsal.CSCDown, csc), queues)
	}
}

func jobsWereDeleted(t *testing.T, r *rehearsed) {
	var cscs []string
	if r.plan.Type == plan.Incremental {
		cscs = strings.Fields("Watcher:0 ScriptQueue:1 ScriptQueue:2 ScriptQueue:3 " + concerned[r.name])
	} else {
		for _, c := range r.plan.CSCs {
			cscs = append(cscs, c.CSC)
		}
	}
	want := r.jobs(cscs...) // and not uws/uws-server-job, which is no CSC's
	equal(t, r.upgrade, "the Jobs deleted", slices.Sorted(slices.Values(r.subjects(rehearsal.JobDeleted))), want)
	equal(t, r.upgrade, "the Jobs created", slices.Sorted(slices.Values(r.subjects(rehearsal.JobCreated))), want)
	for _, name := range cscs {
		c, _ := r.plan.CSC(name)
		if c.Job == nil {
			continue
		}
		job := c.Job.Namespace + "/" + c.Job.Name
		created := r.first(t, rehearsal.JobCreated, job)
		r.precedes(t, r.first(t, rehearsal.JobDeleted, job), created)
		equal(t, r.upgrade, "the image of "+name, r.effects[created].Detail, c.Image)
		if r.plan.Type != plan.Recovery && c.Speaks() {
			r.precedes(t, r.offline(t, name), r.first(t, rehearsal.JobDeleted, job))
		}
	}
	if r.plan.Type == plan.Incremental {
		return
	}
	// Love-commander's goes right before love is synced. Builds go on meanwhile.
	commander := r.first(t, rehearsal.JobDeleted, "love/love-commander")
	r.precedes(t, r.first(t, rehearsal.SyncEnded, "control-system-test"), commander)
	for i := commander + 1; i < r.first(t, rehearsal.SyncStarted, "love"); i++ {
		if e := r.effects[i]; e.System != rehearsal.SystemCSC && !r.builds(e) {
			t.Errorf("%s: between love-commander's deletion and love's sync: %s", r.name, r.tell(i))
		}
	}
}

func watchersJobWentFirst(t *testing.T, r *rehearsed) {
	equal(t, r.upgrade, "the first Job deleted", r.subjects(rehearsal.JobDeleted)[0], "obssys/watcher")
	if sent := r.sent(); len(sent) > 0 {
		t.Errorf("%s: %q were sent to OFFLINE", r.name, sent)
	}
}

func sessionsWereEnded(t *testing.T, r *rehearsed) {
	gone := r.subjects(rehearsal.NamespaceGone)
	if r.plan.Type != plan.Full {
		equal(t, r.upgrade, "the namespaces deleted", gone, []string(nil))
		return
	}
	q := r.question(t, "jobs/nublado", operator.StepConsent)
	shown := regexp.MustCompile(`nublado-user\d+`).FindAllString(q.Reading, -1)
	if len(gone) < 3 {
		t.Errorf("%s: only %q were deleted", r.name, gone)
	}
	equal(t, r.upgrade, "the namespaces deleted, and those shown before", slices.Sorted(slices.Values(gone)), slices.Sorted(slices.Values(shown)))
	says(t, r.upgrade, "what was shown", q.Reading, fmt.Sprint(len(gone)))
	if r.effects[r.first(t, rehearsal.NamespaceGone, "")].Seq <= q.after {
		t.Errorf("%s: sessions were ended before the consent", r.name)
	}
}

func argoCDWasShown(t *testing.T, r *rehearsed) {
	q := r.question(t, "configuration/merged", operator.Manual)
	says(t, r.upgrade, "what was shown of Argo CD", q.Reading, syncs(r.plan)...)
	if r.effects[r.first(t, rehearsal.SyncStarted, "")].Seq <= q.after {
		t.Errorf("%s: something was synced before Phalanx was merged", r.name)
	}
}

func registryWasSet(t *testing.T, r *rehearsed) {
	var levels []string
	for _, i := range r.where(rehearsal.LevelChanged, "") {
		levels = append(levels, r.effects[i].Subject+" "+r.effects[i].Detail)
	}
	if !r.plan.Upgrade.BreaksSchema {
		equal(t, r.upgrade, "the registry's levels", levels, []string(nil))
		return
	}
	equal(t, r.upgrade, "the registry's levels", levels, []string{"global FORWARD -> NONE", "global NONE -> FORWARD"})
	released, back := r.first(t, rehearsal.LevelChanged, ""), r.last(t, rehearsal.LevelChanged, "")
	for _, kind := range []string{rehearsal.SyncStarted, rehearsal.ServiceStart, rehearsal.CSCUp} {
		r.precedes(t, released, r.first(t, kind, ""))
		r.precedes(t, r.last(t, kind, ""), back)
	}
	for _, e := range r.effects[back+1:] {
		if e.Kind != rehearsal.LedgerReleased {
			t.Errorf("%s: after the registry was back at FORWARD: %+v", r.name, e)
		}
	}
}

func syncedInOrder(t *testing.T, r *rehearsed) {
	got := r.subjects(rehearsal.SyncStarted)
	var ordered []string
	rest := []string{"auxtel", "calsys", "envsys", "obssys", "simonyitel", "uws"}
	switch r.plan.Type {
	case plan.Full:
		ordered = []string{"science-platform", "nublado", "control-system-test", "love"}
		if r.plan.Upgrade.SyncSasquatch {
			ordered = slices.Insert(ordered, 2, "sasquatch")
		}
	case plan.Recovery:
		ordered = []string{"control-system-test", "love"}
	case plan.Incremental:
		rest = strings.Fields("obssys " + map[string]string{
			"summit/incremental": "control-system-test envsys simonyitel", "summit/incremental+m2": "simonyitel", "summit/incremental+hosts": "envsys",
			"summit/incremental+index": "love simonyitel", "tucson-teststand/incremental": "calsys simonyitel", "tucson-teststand/incremental+ess": "envsys",
			"base-teststand/incremental": "auxtel simonyitel",
		}[r.name])
	}
	if len(got) < len(ordered) {
		t.Fatalf("%s: synced: %q", r.name, got)
	}
	equal(t, r.upgrade, "what was synced first", got[:len(ordered)], append([]string{}, ordered...))
	equal(t, r.upgrade, "what was synced then", slices.Sorted(slices.Values(got[len(ordered):])), slices.Sorted(slices.Values(rest)))
	for i, application := range got {
		if end := r.last(t, rehearsal.SyncEnded, application); !strings.HasPrefix(r.effects[end].Detail, "Succeeded") {
			t.Errorf("%s: %s", r.name, r.tell(end))
		} else if i < len(ordered) && i+1 < len(got) {
			r.precedes(t, end, r.first(t, rehearsal.SyncStarted, got[i+1]))
		}
	}
	for _, i := range r.where(rehearsal.JobDeleted, "") {
		if r.effects[i].Subject != "love/love-commander" {
			r.precedes(t, i, r.first(t, rehearsal.SyncStarted, ""))
		}
	}
	if r.plan.Upgrade.SyncSasquatch {
		q := r.question(t, "platform/sasquatch", operator.StepConsent)
		says(t, r.upgrade, "what is shown before sasquatch is synced", q.Reading, "sasquatch")
		if r.effects[r.first(t, rehearsal.SyncStarted, "sasquatch")].Seq <= q.after {
			t.Errorf("%s: sasquatch was synced before the consent", r.name)
		}
	}
}

func allAreWhereTheyShouldBe(t *testing.T, r *rehearsed) {
	s := rehearsal.Summarize(r.plan, r.whole)
	if len(s.Astray) > 0 {
		t.Errorf("%s: not where they should be: %q", r.name, s.Astray)
	}
	speaking := 0
	for _, c := range r.plan.CSCs {
		if c.Speaks() {
			speaking++
		}
	}
	equal(t, r.upgrade, "the CSCs that were looked at", s.Seen, speaking)
}

func watcherWasEnabledLast(t *testing.T, r *rehearsed) {
	left := r.is("tucson-teststand/full base-teststand/full tucson-teststand/recovery+testing base-teststand/recovery+testing")
	enabled := r.changes("Watcher:0", plan.Enabled)
	if left {
		equal(t, r.upgrade, "how often the Watcher came to ENABLED before integration testing", len(enabled), 0)
		return
	}
	if len(enabled) != 1 || r.expect("Watcher:0") != plan.Enabled {
		t.Fatalf("%s: the Watcher came to ENABLED %d times, and is expected in %s", r.name, len(enabled), r.expect("Watcher:0"))
	}
	for _, i := range r.changes("", plan.Enabled) {
		if strings.Contains(r.effects[i].Identity, "/enable/") && i != enabled[0] {
			r.precedes(t, i, enabled[0])
		}
	}
}

func messagesWerePosted(t *testing.T, r *rehearsed) {
	var got, want []string
	for _, i := range r.where(rehearsal.MessagePosted, "") {
		got = append(got, r.effects[i].Subject+" "+r.effects[i].Detail)
	}
	for s := range r.plan.AllSteps() {
		if a, ok := s.Action.Parameters.(*plan.Announce); ok {
			want = append(want, a.Channel+" "+a.Text)
		}
	}
	equal(t, r.upgrade, "the messages", strings.Join(got, "\n"), strings.Join(want, "\n"))
	for i, e := range r.effects[:r.first(t, rehearsal.MessagePosted, "")] {
		if e.Kind != rehearsal.LedgerClaimed {
			t.Errorf("%s: before the deployment was announced: %s", r.name, r.tell(i))
		}
	}
}

func othersWereLeftAlone(t *testing.T, r *rehearsed) {
	own := strings.Fields("Watcher:0 ScriptQueue:1 ScriptQueue:2 ScriptQueue:3 " + concerned[r.name])
	if r.is("summit/incremental+m1m3") {
		own = append(own, "MTM1M3:0") // in its own unit, see P6
	}
	for i, e := range r.effects {
		testing := strings.Contains(e.Identity, "/testing")
		if e.System == rehearsal.SystemCSC && !slices.Contains(own, e.Subject) && !testing {
			t.Errorf("%s: %s", r.name, r.tell(i))
		}
	}
}

func servicesWereStartedAgain(t *testing.T, r *rehearsed) {
	for host, csc := range map[string]string{"m1m3-crio-ss": "MTM1M3:0", "m1m3-crio-ts": "MTM1M3TS:0", "m1m3-crio-vms": "MTVMS:1", "m2-crio-vms01": "MTVMS:2"} {
		r.precedes(t, r.last(t, rehearsal.SyncEnded, ""), r.first(t, rehearsal.ServiceStart, host))
		r.precedes(t, r.first(t, rehearsal.ServiceStart, host), r.first(t, rehearsal.CSCUp, csc))
		r.precedes(t, r.changes("MTM2:0", plan.Enabled)[0], r.first(t, rehearsal.ServiceStart, host))
	}
	equal(t, r.upgrade, "how often MTM1M3 came to DISABLED", len(r.changes("MTM1M3:0", plan.Disabled)), 1)
	equal(t, r.upgrade, "how often MTM1M3 came to ENABLED", len(r.changes("MTM1M3:0", plan.Enabled)), 0)
	equal(t, r.upgrade, "how often MTM1M3TS came to ENABLED", len(r.changes("MTM1M3TS:0", plan.Enabled)), 1)
	r.precedes(t, r.first(t, rehearsal.ServiceStop, "azar03"), r.first(t, rehearsal.ServiceStart, "azar03"))
	for _, csc := range []string{"GenericCamera:101", "GenericCamera:102", "GenericCamera:103"} {
		r.precedes(t, r.first(t, rehearsal.ServiceStart, "azar03"), r.last(t, rehearsal.CSCUp, csc))
	}
}

func testScriptsWereRun(t *testing.T, r *rehearsed) {
	var got, want []string
	for _, i := range r.where(rehearsal.ScriptAdded, "") {
		if e := r.effects[i]; strings.Contains(e.Identity, "/testing-") {
			got = append(got, e.Subject+" "+e.Detail)
		}
	}
	for _, number := range []string{"P50", "P51"} {
		for s := range r.plan.AllSteps() {
			if a, ok := s.Action.Parameters.(*plan.Script); ok && slices.Contains(s.Source, number) {
				want = append(want, fmt.Sprintf("ScriptQueue:%d %s", a.Queue, a.Path))
			}
		}
	}
	equal(t, r.upgrade, "the test scripts", strings.Join(got, "\n"), strings.Join(want, "\n"))
	for _, i := range r.where(rehearsal.ScriptEnded, "") {
		if e := r.effects[i]; strings.Contains(e.Identity, "/testing") && !strings.HasSuffix(e.Detail, " DONE") {
			t.Errorf("%s: %s", r.name, r.tell(i))
		}
	}
	if r.site() != "summit" && r.kind() != "full" && len(got) == 0 && !r.is("tucson-teststand/incremental+ess base-teststand/incremental+queues") {
		t.Errorf("%s: no test script was run", r.name)
	}
}
