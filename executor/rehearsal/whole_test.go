package rehearsal

import (
	"cmp"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	runstate "github.com/lsst-ts/csu/executor/state"
)

// whole is a run of one of the project's plans with a fault: what the operator is asked
// and answers, and what shows that the fault has struck.
type whole struct {
	fault   string
	answers []response
	// struck reports whether the site and the journal show that the fault has struck.
	// It must be false for an undisturbed run.
	struck func(*Carried) bool
	// seen must be in the messages to the operator, beside the fault's subject, if
	// there are any messages.
	seen  string
	lives int // how often the run is started or resumed; 0 means once
}

// response is the operator's answer to questions about a step.
type response struct {
	reply         // its step is a pattern
	often    bool // answers every such question, not only one
	optional bool // there may be no such question
	answered int
}

// asked is an answer to one question that must be asked.
func asked(r reply) response { return response{reply: r} }

// eachTime is an answer to one or more questions that must be asked.
func eachTime(r reply) response { return response{reply: r, often: true} }

// anyTime is an answer to questions that may be asked.
func anyTime(r reply) response { return response{reply: r, often: true, optional: true} }

// Carried is a completed run of a whole plan.
type Carried struct {
	Plan    *plan.Plan
	Digest  string
	Effects []Effect
	Records []journal.Record
	State   *runstate.State
	Hands   []Hand
	// Lives is how often the run was started or resumed.
	Lives int
	site  *Site
	seen  string // what the operator saw when something went wrong
}

// Hand is a manual step that was done.
type Hand struct {
	Step string
	At   int // number of effects in the record at that time
}

const (
	ownCSC  = "ESS:105" // what the usual subjects are in the plans below
	ownHost = "azar03"
	ownStop = "services-down/azar03"
	ownSync = "deploy/control-system-test"
)

var wholes = []whole{
	{fault: cscStuck, struck: happened(ScriptEnded, "FAILED"), answers: []response{
		asked(failed("offline/cscs", operator.Retry, mend(cscStuck), ownCSC+": ENABLED", "ended FAILED")), anyTime(resumed("offline/*")),
	}},
	{fault: cscStaysStandby, struck: happened(ScriptEnded, "FAILED"), answers: []response{
		asked(failed("offline/cscs", operator.ByHand, all(kill(ownCSC), minute), ownCSC+": STANDBY")),
		asked(failed("enable/seen", operator.Retry, all(mend(cscStaysStandby), enableByHand), ownCSC+": STANDBY")), anyTime(resumed("*/*")),
	}},
	{fault: cscFaults, struck: happened(StateChanged, "-> FAULT"), answers: []response{
		asked(failed("offline/cscs", operator.Retry, nil, ownCSC+": FAULT")), anyTime(resumed("offline/*")),
	}},
	{fault: cscNeverHeard, struck: unfinished("watch/up"), answers: []response{
		asked(failed("watch/up", operator.Retry, all(mend(cscNeverHeard), locked(func(s *Site) { s.up(s.byName[ownCSC]) })), ownCSC+": OFFLINE and silent")),
	}},
	{fault: cscSaysStandby, struck: func(c *Carried) bool { return !c.published(ownCSC, plan.Offline) }},
	{fault: podNeverStarts, struck: unfinished("deploy/envsys"), answers: []response{
		asked(failed("deploy/envsys", operator.Retry, mend(podNeverStarts), ownCSC, "CreateContainerConfigError")),
	}},
	{fault: imagePullSlow, struck: outlasted(imagePullSlow, "deploy/envsys")},

	{fault: hostUnreachable, struck: unfinished(ownStop), answers: []response{
		asked(failed(ownStop, operator.Retry, mend(hostUnreachable), "nothing of it happened", "cannot reach")),
	}},
	{fault: hostHangs, struck: unfinished(ownStop), answers: []response{
		asked(failed(ownStop, operator.Retry, mend(hostHangs), "nothing of it happened", "no login within")),
	}},
	{fault: hostDrops, struck: outlasted(hostDrops, ownStop)},
	{fault: hostDiskFull, struck: unfinished(ownStop), answers: []response{
		asked(failed(ownStop, operator.Retry, mend(hostDiskFull), "nothing of it happened", "No space left on device")),
	}},
	// The operator stops the run while others check whether the key can be trusted.
	{fault: hostKeyChanged, struck: unfinished(ownStop), lives: 2, answers: []response{
		asked(failed(ownStop, operator.Stop, trustKey, "nothing of it happened", "known_hosts")),
	}},
	{fault: hostCommandFails, struck: unfinished(ownStop), answers: []response{
		asked(failed(ownStop, operator.Retry, mend(hostCommandFails), "exit status 1")),
	}},
	{fault: hostCommandHangs, struck: unfinished(ownStop), answers: []response{
		asked(doubted(ownStop, operator.KeepWaiting, mend(hostCommandHangs), "is still running after its time limit of 10m")),
		anyTime(doubted(ownStop, operator.NotHappened, nil)), anyTime(failed(ownStop, operator.Retry, nil)),
	}},

	{fault: queuePaused, struck: happened(QueueResumed, ""), answers: []response{asked(resumed("offline/watcher"))}, seen: "ScriptQueue:1 is paused"},
	{fault: scriptLoadFails, struck: happened(ScriptEnded, "LOADFAILED"), answers: []response{asked(failed("offline/watcher", operator.Retry, nil, "ended LOADFAILED"))}},
	{fault: scriptConfFails, struck: happened(ScriptEnded, "CONFIGURE_FAILED"), answers: []response{asked(failed("offline/watcher", operator.Retry, nil, "ended CONFIGURE_FAILED"))}},
	{fault: scriptFails, struck: happened(ScriptEnded, "FAILED"), answers: []response{
		asked(failed("offline/queues", operator.Retry, nil, "1 of 3", "ended FAILED")), asked(resumed("offline/queues")),
	}},

	{fault: loveTokenExpires, struck: func(c *Carried) bool { // another script needs another token
		forgot := c.at(FaultBegan, "")
		return forgot >= 0 && slices.ContainsFunc(c.Effects[forgot:], func(e Effect) bool { return e.Kind == ScriptAdded })
	}},
	{fault: loveAckLost, struck: happened(FaultOver, "")},
	{fault: loveDown, struck: unfinished("offline/watcher"), seen: "503 Service Unavailable", answers: []response{
		asked(failed("offline/watcher", operator.Retry, outlast(loveDown), "nothing of it happened")),
	}},

	{fault: efdLags, struck: unfinished("offline/cscs"), seen: "heard", answers: []response{
		asked(failed("offline/cscs", operator.Retry, mend(efdLags), "nothing of it happened")),
	}},
	{fault: efdDown, struck: unfinished("offline/watcher"), seen: "read the EFD", answers: []response{
		asked(doubted("offline/watcher", operator.KeepWaiting, mend(efdDown), "cannot determine", "503")),
	}},
	{fault: efdError, struck: outlasted(efdError, "offline/watcher")},
	{fault: efdSpoils, struck: func(c *Carried) bool { return c.site.efd.spoilt >= len(spoils) }},

	{fault: syncFails, struck: happened(SyncEnded, "Failed"), answers: []response{
		asked(failed(ownSync, operator.Retry, nil, "etcdserver: request timed out")),
	}},
	{fault: syncBlocked, struck: unfinished(ownSync), answers: []response{
		asked(doubted(ownSync, operator.KeepWaiting, mend(syncBlocked), "blocked by sync window")),
	}},
	{fault: syncTakenOver, struck: unfinished(ownSync), answers: []response{
		asked(doubted(ownSync, operator.NotHappened, nil, "is by somebody.else")), asked(failed(ownSync, operator.Retry, nil)),
	}},
	{fault: syncOverlooked, struck: func(c *Carried) bool { // until csu asks for a refresh, two minutes later
		overlooked := c.at(FaultOver, "")
		synced := slices.IndexFunc(c.Effects, func(e Effect) bool { return e.Kind == SyncStarted && ownSync == "deploy/"+e.Subject })
		return overlooked >= 0 && synced > overlooked && c.Effects[synced].Time.Sub(c.Effects[overlooked].Time) > 2*time.Minute
	}},
	{fault: apiAway, struck: outlasted(apiAway, "jobs/*"), answers: []response{
		// The steps run in parallel, so any of them may come first. A step that deletes
		// several Jobs may have deleted some of them.
		anyTime(reply{topic: operator.Failed, step: "jobs/*", either: []string{"nothing of it happened", "a retry deletes only what is left"}, do: outlast(apiAway), choice: operator.Retry}),
		anyTime(doubted("jobs/*", operator.KeepWaiting, outlast(apiAway))),
	}},

	{fault: registryRefuses, struck: unfinished("schema/none"), seen: "the registry is in mode READONLY", answers: []response{
		asked(failed("schema/none", operator.Retry, outlast(registryRefuses), "still FORWARD")), anyTime(resumed("offline/*")),
	}},
	{fault: registryOther, struck: unfinished("schema/none"), answers: []response{
		asked(failed("schema/none", operator.Retry, locked(func(s *Site) { s.registry.level = "FORWARD" }), "it is BACKWARD, not FORWARD")), anyTime(resumed("offline/*")),
	}},

	{fault: slackBusy, struck: func(c *Carried) bool { return c.site.refusedMessages == slackRefusals }},
	{fault: slackDown, struck: unfinished("begin/announce"), seen: "check whether the message is in #summit-announce"},

	{fault: laptopSleeps, struck: outlasted(laptopSleeps, "offline/watcher")},
	{fault: networkLost, struck: unfinished("offline/watcher"), seen: "does not answer", answers: []response{
		eachTime(doubted("offline/watcher", operator.KeepWaiting, mend(networkLost))),
	}},
}

// enableByHand enables the CSC in LOVE.
var enableByHand = locked(func(s *Site) {
	s.change(s.byName[ownCSC], disabled, "by hand")
	s.change(s.byName[ownCSC], enabled, "by hand")
})

// happened reports whether the record has such an effect.
func happened(kind, detail string) func(*Carried) bool {
	return func(c *Carried) bool { return c.at(kind, detail) >= 0 }
}

// unfinished reports whether the step's first attempt did not succeed.
func unfinished(step string) func(*Carried) bool {
	return func(c *Carried) bool {
		for _, r := range c.Records {
			switch {
			case r.Step != step:
			case r.Event == journal.NotBegun || r.Event == journal.Doubtful:
				return true
			case r.Event == journal.Outcome:
				return r.Verdict != "done"
			}
		}
		return false
	}
}

// outlasted reports whether the fault ended while steps that match the pattern were
// running: they were started before and done after that.
func outlasted(fault, step string) func(*Carried) bool {
	return func(c *Carried) bool {
		end := slices.IndexFunc(c.Effects, func(e Effect) bool { return e.Kind == FaultOver && strings.HasPrefix(e.Subject, fault) })
		if end < 0 {
			return false
		}
		var from, to time.Time
		for _, r := range c.Records {
			if is, _ := path.Match(step, r.Step); !is {
				continue
			}
			if r.Event == journal.Started && from.IsZero() {
				from = r.Time
			}
			if r.Event == journal.Outcome && r.Verdict == "done" {
				to = r.Time
			}
		}
		at := c.Effects[end].Time
		return from.Before(at) && at.Before(to)
	}
}

// at returns the index of the first such effect, or -1.
func (c *Carried) at(kind, detail string) int {
	return slices.IndexFunc(c.Effects, func(e Effect) bool { return e.Kind == kind && strings.Contains(e.Detail, detail) })
}

// published reports whether the CSC has published the state.
func (c *Carried) published(name, wanted string) bool {
	c.site.mu.Lock()
	defer c.site.mu.Unlock()
	is := c.site.byName[name]
	return slices.ContainsFunc(c.site.efd.points[measurement(is.component, "logevent_summaryState")], func(p point) bool {
		return p.fields["salIndex"] == is.index && state(p.fields["summaryState"].(int)).String() == wanted
	})
}

// wholePlans returns the files of the project's plans, the one with the fewest steps first.
var wholePlans = sync.OnceValues(func() ([]string, error) {
	files, err := filepath.Glob(filepath.Join("..", "..", "plans", "*.json"))
	if err != nil {
		return nil, err
	}
	steps := map[string]int{}
	for _, f := range files {
		p, _, err := plan.ReadFile(f)
		if err != nil {
			return nil, err
		}
		for range p.AllSteps() {
			steps[f]++
		}
	}
	slices.SortFunc(files, func(a, b string) int { return cmp.Compare(steps[a], steps[b]) })
	return files, nil
})

// WholePlans returns the project's plans with the faults to run them with. Each fault is
// assigned to the plan with the fewest steps that it applies to.
func WholePlans(t *testing.T) map[string][]string {
	t.Helper()
	files, err := wholePlans()
	if err != nil {
		t.Fatal(err)
	}
	chosen := map[string][]string{}
	for _, f := range Faults() {
		if !slices.ContainsFunc(wholes, func(w whole) bool { return w.fault == f.Name }) {
			t.Errorf("no whole plan is run with %s", f.Name)
			continue
		}
		i := slices.IndexFunc(files, func(file string) bool {
			p, _, err := plan.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			return CheckFaults(p, []string{f.Name}) == nil
		})
		if i < 0 {
			t.Errorf("%s applies to none of the project's plans", f.Name)
			continue
		}
		chosen[files[i]] = append(chosen[files[i]], f.Name)
	}
	return chosen
}

// CarryThrough runs the plan in the file to its end with a fault, or with none if fault
// is "". It reports missing and unexpected questions to the operator.
func CarryThrough(t *testing.T, file, fault string) *Carried {
	t.Helper()
	p, _, err := plan.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if fault == laptopSleeps {
		dir := t.TempDir()
		site, _ := asleep(t, p, dir)
		c := &Carried{Plan: p, site: site, Lives: 1}
		c.read(t, filepath.Join(dir, "journal"))
		return c
	}
	w := whole{answers: []response{anyTime(resumed("offline/*"))}}
	var faults []string
	if fault != "" {
		w, faults = wholes[slices.IndexFunc(wholes, func(w whole) bool { return w.fault == fault })], []string{fault}
	}
	c := &Carried{Plan: p}
	r := newPractice(t, p, faults...)
	c.site = r.site
	answers := slices.Clone(w.answers)
	r.otherwise = func(r *practice, q operator.Question) reply { return choose(r, answers, q) }
	r.manual = func(step string) {
		if !slices.ContainsFunc(c.Hands, func(h Hand) bool { return h.Step == step }) {
			c.Hands = append(c.Hands, Hand{step, len(r.site.Record())})
		}
	}
	got := executor.Result{End: executor.Halted}
	for ; got.End == executor.Halted && c.Lives < 3; c.Lives++ {
		got = r.run()
	}
	if got.End != executor.Completed {
		t.Fatalf("the run ended %q: %s\n%s\n%s", got.End, got.Text, r.seen.String(), r.site.tail(20))
	}
	for _, a := range answers {
		if a.answered == 0 && !a.optional {
			t.Errorf("no question %q about %s\n%s", a.topic, a.step, r.seen.String())
		}
	}
	if c.Lives != max(1, w.lives) {
		t.Errorf("the run was started or resumed %d times, want %d", c.Lives, max(1, w.lives))
	}
	c.seen = r.seen.String()
	c.read(t, r.journal)
	return c
}

// choose returns the first remaining answer to the question.
func choose(r *practice, answers []response, q operator.Question) reply {
	for i := range answers {
		a := &answers[i]
		if is, _ := path.Match(a.step, q.Step); is && a.topic == q.Topic && (a.often || a.answered == 0) {
			a.answered++
			return a.reply
		}
	}
	r.t.Errorf("unexpected question %q about %s:\n%s\n%s", q.Topic, q.Step, q.Text, q.Reading)
	return reply{choice: operator.Stop}
}

// read reads the journal and the record of the run.
func (c *Carried) read(t *testing.T, name string) {
	t.Helper()
	var err error
	if c.Digest, err = plan.Digest(c.Plan); err != nil {
		t.Fatal(err)
	}
	if err = journal.Read(journal.Disk, name, func(r *journal.Record) error { c.Records = append(c.Records, *r); return nil }); err != nil {
		t.Fatal(err)
	}
	if c.State, err = runstate.Read(journal.Disk, name, c.Plan, c.Digest); err != nil {
		t.Fatal(err)
	}
	c.Effects = c.site.Record()
}

// CheckStruck checks that the fault has struck, that the undisturbed run does not look
// the same, and that the messages to the operator name the fault's subject.
func (c *Carried) CheckStruck(t *testing.T, undisturbed *Carried) {
	t.Helper()
	f := c.site.faults[0]
	w := wholes[slices.IndexFunc(wholes, func(w whole) bool { return w.fault == f.Name })]
	if !w.struck(c) {
		t.Errorf("%s has not struck\n%s", f, c.seen)
	}
	if w.struck(undisturbed) {
		t.Errorf("the undisturbed run looks as if %s had struck", f)
	}
	silent := w.seen == "" && len(w.answers) == 0
	switch {
	case silent && c.seen != "" && c.seen != undisturbed.seen:
		t.Errorf("the operator should not notice %s, but saw:\n%s\nundisturbed:\n%s", f, c.seen, undisturbed.seen)
	case !silent && !(strings.Contains(c.seen, f.subject) && strings.Contains(c.seen, w.seen)):
		t.Errorf("with %s the operator did not see %q and %q:\n%s", f, f.subject, w.seen, c.seen)
	}
	if f.phase == pending {
		t.Errorf("%s has not begun", f)
	}
}
