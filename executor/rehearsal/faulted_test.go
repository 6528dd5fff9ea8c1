package rehearsal

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/lsst-ts/csu/executor"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
)

// timed returns a step with a time limit.
func timed(id string, limit time.Duration, d plan.Parameters, needs ...string) plan.Step {
	s := step(id, d)
	s.Timeout, s.Needs = plan.Duration(limit), needs
	s.ByHand = "Do " + id + " as the procedure says."
	return s
}

// chain makes each step need the one before it, so that it is always the same step
// that is running when a fault begins.
func chain(steps ...plan.Step) []plan.Step {
	for i := range steps[1:] {
		steps[i+1].Needs = []string{steps[i].ID}
	}
	return steps
}

// faultyPlan returns a small upgrade with every kind of action that a fault can affect.
func faultyPlan() *plan.Plan {
	p := smallPlan()
	offline := func(id string, cscs ...string) plan.Step {
		return timed(id, 3*time.Minute, &plan.SetState{Queue: 1, State: plan.Offline, CSCs: cscs})
	}
	jobs := func(id, namespace, selector string, cscs ...string) plan.Step {
		return timed(id, 15*time.Minute, &plan.Delete{Objects: plan.Jobs, Namespace: namespace, Selector: selector, CSCs: cscs})
	}
	sync := func(id, application string, csc string) plan.Step {
		row, _ := p.CSC(csc)
		return timed(id, 30*time.Minute, &plan.Sync{Application: application, Revision: "main", CSCs: []string{csc}, Resources: []plan.Resource{
			{Group: "batch", Kind: "Job", Namespace: row.Job.Namespace, Name: row.Job.Name}, {Kind: "ConfigMap", Namespace: row.Job.Namespace, Name: row.Job.Name + "-env"},
		}})
	}
	stage := func(id string, steps ...plan.Step) plan.Stage {
		return plan.Stage{ID: id, Title: id, Consent: "May " + id + " begin?", Source: []string{"P2"}, Steps: steps}
	}
	said := func(id, text string, handover bool) plan.Step {
		s := timed(id, 2*time.Minute, &plan.Announce{Channel: "#summit", Text: text, Handover: handover})
		s.OnFailure = plan.Report
		if handover {
			s.OnFailure = plan.Ask
		}
		return s
	}
	watcher, cscs := offline("down/watcher", "Watcher:0"), offline("down/cscs", "MTMount:0", "ESS:105")
	cscs.Needs = []string{"down/watcher"}
	heard := timed("up/seen", 10*time.Minute, &plan.AwaitState{Want: []plan.Want{{States: []string{plan.Standby}, CSCs: []string{"Watcher:0", "MTMount:0", "ESS:105", "MTVMS:1"}}}})
	enable := timed("up/enable", 8*time.Minute, &plan.SetState{Queue: 1, State: plan.Enabled, CSCs: []string{"ESS:105", "Watcher:0"}}, "up/seen")
	vms := func(id string, purpose plan.Purpose, command string, needs ...string) plan.Step {
		return timed(id, 10*time.Minute, &plan.SSH{Host: "m1m3-crio-vms", User: "admin", Purpose: purpose, Service: "ts-VMS", Commands: []string{command}}, needs...)
	}
	p.Stages = []plan.Stage{
		stage("down", said("down/announce", "The upgrade begins.", false), watcher, cscs),
		stage("clean", chain(
			vms("clean/vms", plan.Stop, "/etc/init.d/ts-VMS stop"),
			jobs("clean/mtmount", "simonyitel", "csc-class=mtmount", "MTMount:0"),
			jobs("clean/ess", "envsys", "csc-name=ess105", "ESS:105"),
			jobs("clean/watcher", "obssys", "csc-class=watcher", "Watcher:0"),
			timed("clean/none", 2*time.Minute, &plan.Compatibility{Expect: "FORWARD", Set: "NONE"}),
			said("clean/handover", "Stage 1 is yours.", true))...),
		stage("new", chain(
			vms("new/update", plan.Update, "cd ~/ts_vms && git pull"),
			vms("new/start", plan.Start, "/etc/init.d/ts-VMS start"),
			sync("new/simonyitel", "simonyitel", "MTMount:0"), sync("new/envsys", "envsys", "ESS:105"), sync("new/obssys", "obssys", "Watcher:0"))...),
		stage("up", heard, enable),
		stage("end", said("end/announce", "The upgrade is complete.", false)),
	}
	forward := timed("final/forward", 2*time.Minute, &plan.Compatibility{Expect: "NONE", Set: "FORWARD"})
	forward.Undoes = "clean/none"
	p.Final = []plan.Step{forward}
	return p
}

// faulted is a run with a fault: what the operator does, and a check of the site's
// record beside the checks of every run.
type faulted struct {
	fault   string // with its subject, unless it is the usual one
	replies []reply
	holds   func(*practice)
}

func failed(step string, choice operator.Choice, do func(*practice), says ...string) reply {
	return reply{topic: operator.Failed, step: step, says: says, do: do, choice: choice}
}

func doubted(step string, choice operator.Choice, do func(*practice), says ...string) reply {
	return reply{topic: operator.InDoubt, step: step, says: says, do: do, choice: choice}
}

func resumed(step string) reply {
	return reply{topic: operator.QueuePaused, step: step, choice: operator.Yes}
}

// all does several things in order.
func all(deeds ...func(*practice)) func(*practice) {
	return func(r *practice) {
		for _, do := range deeds {
			do(r)
		}
	}
}

// locked returns something done by hand at the site. It calls do with the lock.
func locked(do func(s *Site)) func(*practice) {
	return func(r *practice) {
		r.site.mu.Lock()
		defer r.site.mu.Unlock()
		do(r.site)
	}
}

// kill ends a CSC's process by hand.
func kill(name string) func(*practice) {
	return locked(func(s *Site) {
		c := s.byName[name]
		s.down(c, "ended by hand")
		s.processEnded(c)
	})
}

// minute waits until the EFD has ingested what was done by hand.
func minute(r *practice) { _ = r.site.clk.Sleep(r.t.Context(), time.Minute) }

// killCommand kills the command that hangs on the host, but not the shell that started
// it.
func killCommand(r *practice) {
	h := r.site.hosts["m1m3-crio-vms"]
	pids, err := h.processes()
	if err != nil {
		r.t.Error(err)
	}
	killed := 0
	for _, pid := range pids {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err == nil && bytes.Contains(line, []byte("/etc/init.d/ts-VMS\x00stop")) {
			killed++
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				r.t.Error(err)
			}
		}
	}
	if killed != 1 {
		r.t.Errorf("%d commands hang, want one", killed)
	}
}

// trustKey puts the host's key into known_hosts by hand.
func trustKey(r *practice) {
	var known strings.Builder
	for name, h := range r.site.hosts {
		address := h.listener.Addr().String()
		names := []string{address, name, fmt.Sprintf("%s:%d", name, h.listener.Addr().(*net.TCPAddr).Port)}
		known.WriteString(knownhosts.Line(names, h.signer.PublicKey()) + "\n")
	}
	if err := os.WriteFile(filepath.Join(r.site.dir, "known_hosts"), []byte(known.String()), 0o600); err != nil {
		r.t.Error(err)
	}
}

// times checks the number of effects of a kind in the record.
func times(n int, kind, subject, detail string) func(*practice) {
	return func(r *practice) {
		r.t.Helper()
		seen := 0
		for _, e := range r.site.Record() {
			if e.Kind == kind && e.Subject == subject && strings.Contains(e.Detail, detail) {
				seen++
			}
		}
		if seen != n {
			r.t.Errorf("%d effects %q %s %s, want %d", seen, kind, subject, detail, n)
		}
	}
}

const vmsStop = "ts-VMS stop"

var faultedRuns = []faulted{
	{fault: cscStuck, replies: []reply{
		failed("down/cscs", operator.Retry, all(kill("MTMount:0"), minute), "MTMount:0: STANDBY", "ESS:105: ENABLED", "ended FAILED"),
		resumed("down/cscs"),
	}, holds: times(0, StateChanged, "MTMount:0", "OFFLINE")},
	{fault: cscStaysStandby, replies: []reply{
		failed("down/cscs", operator.ByHand, all(kill("MTMount:0"), kill("ESS:105"), minute), "MTMount:0: STANDBY"),
		resumed("up/enable"),
	}, holds: times(3, ScriptAdded, "ScriptQueue:1", setStatePath)},
	{fault: cscFaults, replies: []reply{
		failed("down/cscs", operator.Retry, nil, "MTMount:0: FAULT"),
		resumed("down/cscs"),
	}, holds: times(1, StateChanged, "MTMount:0", "-> OFFLINE")},
	{fault: cscNeverHeard, replies: []reply{
		failed("up/seen", operator.Retry, all(mend(cscNeverHeard), locked(func(s *Site) { s.up(s.byName["MTMount:0"]) })), "1 of 4", "MTMount:0: "),
	}, holds: times(1, CSCUp, "MTMount:0", "STANDBY")},
	{fault: cscSaysStandby, holds: times(1, StateChanged, "MTMount:0", "STANDBY -> OFFLINE")},
	{fault: podNeverStarts, replies: []reply{
		failed("new/simonyitel", operator.Retry, mend(podNeverStarts), "MTMount:0", "CreateContainerConfigError"),
	}, holds: times(1, JobCreated, "simonyitel/mtmount", "")},
	{fault: imagePullSlow, holds: times(1, JobCreated, "simonyitel/mtmount", "")},

	{fault: hostUnreachable, replies: []reply{
		failed("clean/vms", operator.Retry, mend(hostUnreachable), "nothing of it happened", "m1m3-crio-vms"),
	}, holds: times(1, CommandRun, "m1m3-crio-vms", vmsStop)},
	{fault: hostHangs, replies: []reply{
		failed("clean/vms", operator.ByHand, locked(func(s *Site) { h := s.hosts["m1m3-crio-vms"]; h.stop(h.services["ts-VMS"]) }), "nothing of it happened", "m1m3-crio-vms"),
		failed("new/update", operator.Retry, mend(hostHangs), "nothing of it happened", "m1m3-crio-vms"),
	}, holds: times(0, CommandRun, "m1m3-crio-vms", vmsStop)},
	{fault: hostDrops, holds: times(1, CommandRun, "m1m3-crio-vms", vmsStop)},
	{fault: hostDiskFull, replies: []reply{
		failed("clean/vms", operator.Retry, mend(hostDiskFull), "nothing of it happened", "No space left on device"),
	}, holds: times(1, CommandRun, "m1m3-crio-vms", vmsStop)},
	{fault: hostKeyChanged, replies: []reply{
		failed("clean/vms", operator.Retry, trustKey, "nothing of it happened", "known_hosts"),
	}, holds: times(1, CommandRun, "m1m3-crio-vms", vmsStop)},
	{fault: hostCommandFails, replies: []reply{
		failed("clean/vms", operator.Retry, mend(hostCommandFails), "exit status 1"),
	}, holds: times(2, CommandRun, "m1m3-crio-vms", vmsStop)},
	{fault: hostCommandHangs, replies: []reply{
		doubted("clean/vms", operator.KeepWaiting, nil, "is still running after its time limit of 10m"),
		doubted("clean/vms", operator.KeepWaiting, killCommand, "is still running after its time limit of 10m"),
		failed("clean/vms", operator.Retry, nil, "exit status 137"),
	}, holds: times(2, CommandRun, "m1m3-crio-vms", vmsStop)},

	{fault: queuePaused, replies: []reply{resumed("down/watcher")}, holds: times(1, QueueResumed, "ScriptQueue:1", "")},
	{fault: scriptLoadFails, replies: []reply{failed("down/watcher", operator.Retry, nil, "ended LOADFAILED")},
		holds: times(1, StateChanged, "Watcher:0", "-> OFFLINE")},
	{fault: scriptConfFails, replies: []reply{failed("down/watcher", operator.Retry, nil, "ended CONFIGURE_FAILED")},
		holds: times(1, StateChanged, "Watcher:0", "-> OFFLINE")},
	{fault: scriptFails, replies: []reply{failed("down/cscs", operator.Retry, nil, "1 of 2", "ended FAILED"), resumed("down/cscs")},
		holds: times(1, StateChanged, "MTMount:0", "-> OFFLINE")},

	{fault: loveTokenExpires, holds: all(times(3, ScriptAdded, "ScriptQueue:1", setStatePath), func(r *practice) {
		if n := len(r.site.love.tokens); n != 1 {
			r.t.Errorf("LOVE has given %d tokens since it forgot the first", n)
		}
	})},
	{fault: loveAckLost, holds: times(3, ScriptAdded, "ScriptQueue:1", setStatePath)},
	{fault: loveDown, replies: []reply{failed("down/watcher", operator.Retry, outlast(loveDown), "nothing of it happened", "503")},
		holds: times(3, ScriptAdded, "ScriptQueue:1", setStatePath)},

	{fault: efdLags, replies: []reply{failed("down/cscs", operator.Retry, mend(efdLags), "nothing of it happened", "the states of these are unknown")},
		holds: times(3, ScriptAdded, "ScriptQueue:1", setStatePath)},
	{fault: efdDown, replies: []reply{doubted("down/watcher", operator.KeepWaiting, mend(efdDown), "cannot determine", "503")},
		holds: times(3, ScriptAdded, "ScriptQueue:1", setStatePath)},
	{fault: efdError, holds: times(3, ScriptAdded, "ScriptQueue:1", setStatePath)},
	{fault: efdSpoils, holds: all(times(3, ScriptAdded, "ScriptQueue:1", setStatePath), func(r *practice) {
		if n := r.site.efd.spoilt; n < 3 {
			r.t.Errorf("%d answers were spoilt, want several", n)
		}
	})},

	{fault: syncFails, replies: []reply{failed("new/simonyitel", operator.Retry, nil, "etcdserver: request timed out")},
		holds: times(2, SyncStarted, "simonyitel", "")},
	{fault: syncBlocked, replies: []reply{doubted("new/simonyitel", operator.KeepWaiting, mend(syncBlocked), "is still running after its time limit", "blocked by sync window")},
		holds: times(1, SyncStarted, "simonyitel", "")},
	{fault: syncTakenOver, replies: []reply{
		doubted("new/simonyitel", operator.NotHappened, func(r *practice) {
			if slices.ContainsFunc(r.identities(SyncStarted), func(own string) bool { return strings.HasPrefix(own, "new/simonyitel/") }) {
				r.t.Error("the sync happened")
			}
		}, "somebody.else"),
		failed("new/simonyitel", operator.Retry, nil),
	}, holds: times(1, JobCreated, "simonyitel/mtmount", "")},
	{fault: syncOverlooked, holds: times(1, SyncStarted, "simonyitel", "")},
	{fault: apiAway, holds: times(1, JobDeleted, "simonyitel/mtmount", "")},

	{fault: registryRefuses, replies: []reply{failed("clean/none", operator.Retry, outlast(registryRefuses), "still FORWARD", "READONLY")},
		holds: times(1, LevelChanged, "global", "FORWARD -> NONE")},
	{fault: registryOther, replies: []reply{
		failed("clean/none", operator.Retry, locked(func(s *Site) { s.registry.level = "FORWARD" }), "it is BACKWARD, not FORWARD"),
	}, holds: times(1, LevelChanged, "global", "NONE -> FORWARD")},

	{fault: slackBusy, holds: times(3, MessagePosted, "#summit", "")},
	{fault: slackDown, replies: []reply{
		doubted("clean/handover", operator.NotHappened, times(0, MessagePosted, "#summit", "Stage 1"), "#summit"),
		failed("clean/handover", operator.ByHand, all(locked(func(s *Site) { s.react("Stage 1 is yours.") }), outlast(slackDown))),
	}, holds: times(0, MessagePosted, "#summit", "Stage 1")},

	{fault: networkLost, replies: []reply{doubted("down/watcher", operator.KeepWaiting, mend(networkLost))},
		holds: times(3, ScriptAdded, "ScriptQueue:1", setStatePath)},
}

// lasting are the faults that nothing ends in these runs. Either the run completes in
// spite of them, or they only affect the site before the upgrade.
var lasting = map[string]bool{
	cscStuck: true, cscStaysStandby: true, cscSaysStandby: true, hostKeyChanged: true, queuePaused: true, registryOther: true, slackBusy: true, efdSpoils: true,
}

// remedies are what the operator does about a fault if ending it is not enough.
var remedies = map[string]func(*practice){
	cscNeverHeard:    all(mend(cscNeverHeard), locked(func(s *Site) { s.up(s.byName["MTMount:0"]) })),
	hostKeyChanged:   trustKey,
	hostCommandHangs: killCommand,
	registryOther:    locked(func(s *Site) { s.registry.level = "FORWARD" }),
}

// TestFaultsWithAResume stops the run at the first question and resumes it. The step
// that had failed or was in doubt is probed again, and the run completes.
func TestFaultsWithAResume(t *testing.T) {
	for _, test := range faultedRuns {
		if len(test.replies) == 0 {
			continue
		}
		t.Run(test.fault, func(t *testing.T) {
			t.Parallel()
			r := newPractice(t, faultyPlan(), test.fault)
			r.otherwise = func(_ *practice, q operator.Question) reply {
				if q.Topic == operator.QueuePaused { // this question has no choice to stop
					return reply{choice: operator.Yes}
				}
				return reply{choice: operator.Stop}
			}
			if got := r.run(); got.End != executor.Halted {
				if test.fault == queuePaused && got.End == executor.Completed {
					return
				}
				t.Fatalf("the run ended %q, want %q\n%s", got.End, executor.Halted, r.seen.String())
			}
			if test.fault == networkLost { // a run is not resumed without the site's ledger
				mend(networkLost)(r)
			}
			remedied, asked := false, map[string]int{}
			r.otherwise = func(r *practice, q operator.Question) reply {
				if q.Topic == operator.QueuePaused {
					return reply{choice: operator.Yes}
				}
				if !remedied {
					remedied = true
					remedy := mend(test.fault)
					if own := remedies[test.fault]; own != nil {
						remedy = own
					}
					remedy(r)
				}
				switch asked[q.Step+string(q.Topic)]++; {
				case q.Topic == operator.Failed:
					return reply{choice: operator.Retry}
				case asked[q.Step+string(q.Topic)] == 1:
					return reply{choice: operator.KeepWaiting}
				}
				return reply{choice: operator.NotHappened} // the fault leaves the step in doubt for good
			}
			r.complete()
		})
	}
}

// TestEveryFaultIsRun checks that a test runs a plan with each fault of the catalogue,
// and that each fault's text is a sentence.
func TestEveryFaultIsRun(t *testing.T) {
	run := map[string]bool{laptopSleeps: true} // TestLaptopSleeps
	for _, test := range faultedRuns {
		run[test.fault] = true
	}
	for _, f := range Faults() {
		if !run[f.Name] {
			t.Errorf("no test runs a plan with %s", f.Name)
		}
		if !strings.HasSuffix(f.Text, ".") || strings.ToUpper(f.Text[:1]) != f.Text[:1] || strings.Contains(f.Text, "\n") {
			t.Errorf("%s: %q is not a sentence", f.Name, f.Text)
		}
		if f.Subject != "" && f.Subject != "command" && f.Subject != "level" && subjects(faultyPlan())[f.Subject] == nil {
			t.Errorf("%s: unknown kind of subject %q", f.Name, f.Subject)
		}
	}
}

// Without a subject, a fault applies to the first one in the plan. The same plan always
// gives the same subject.
func TestUsualSubjects(t *testing.T) {
	var names, got []string
	for _, f := range Faults() {
		if f.Subject != "" {
			names = append(names, f.Name)
		}
	}
	for range 2 {
		chosen, err := chooseFaults(faultyPlan(), names)
		if err != nil {
			t.Fatal(err)
		}
		got = nil
		for _, f := range chosen {
			got = append(got, f.String())
		}
		want := []string{
			"csc-stuck=MTMount:0", "csc-stays-standby=MTMount:0", "csc-faults=MTMount:0", "csc-never-heard=MTMount:0", "csc-says-standby=MTMount:0",
			"pod-never-starts=MTMount:0", "image-pull-slow=MTMount:0",
			"host-unreachable=m1m3-crio-vms", "host-hangs=m1m3-crio-vms", "host-drops=m1m3-crio-vms", "host-disk-full=m1m3-crio-vms",
			"host-key-changed=m1m3-crio-vms", "host-command-fails=m1m3-crio-vms", "host-command-hangs=m1m3-crio-vms",
			"script-load-fails=set_summary_state.py", "script-configure-fails=set_summary_state.py", "script-fails=set_summary_state.py",
			"love-ack-lost=add", "sync-fails=simonyitel", "sync-blocked=simonyitel", "sync-taken-over=simonyitel", "sync-overlooked=simonyitel", "registry-other-level=BACKWARD",
		}
		if !slices.Equal(got, want) {
			t.Errorf("faults %q, want %q", got, want)
		}
	}
}

// TestFaults runs a plan to its end with each fault of the catalogue.
func TestFaults(t *testing.T) {
	for _, test := range faultedRuns {
		t.Run(test.fault, func(t *testing.T) {
			t.Parallel()
			r := newPractice(t, faultyPlan(), test.fault)
			r.replies = slices.Clone(test.replies)
			r.complete()
			if test.holds != nil {
				test.holds(r)
			}
			if f := r.site.faults[0]; f.phase == pending || f.phase == active && !lasting[f.Name] {
				t.Errorf("%s has not begun or is not over", f)
			}
			name, _, _ := strings.Cut(test.fault, "=")
			r.golden(name, r.site.faults[0].String()+": "+r.site.faults[0].Text)
		})
	}
}
