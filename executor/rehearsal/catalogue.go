package rehearsal

import (
	"os"
	"slices"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/plan"
)

// The names of the faults.
const (
	cscStuck         = "csc-stuck"
	cscStaysStandby  = "csc-stays-standby"
	cscFaults        = "csc-faults"
	cscNeverHeard    = "csc-never-heard"
	cscSaysStandby   = "csc-says-standby"
	podNeverStarts   = "pod-never-starts"
	imagePullSlow    = "image-pull-slow"
	hostUnreachable  = "host-unreachable"
	hostHangs        = "host-hangs"
	hostDrops        = "host-drops"
	hostDiskFull     = "host-disk-full"
	hostKeyChanged   = "host-key-changed"
	hostCommandFails = "host-command-fails"
	hostCommandHangs = "host-command-hangs"
	queuePaused      = "queue-paused"
	scriptLoadFails  = "script-load-fails"
	scriptConfFails  = "script-configure-fails"
	scriptFails      = "script-fails"
	loveTokenExpires = "love-token-expires"
	loveAckLost      = "love-ack-lost"
	loveDown         = "love-down"
	efdLags          = "efd-lags"
	efdDown          = "efd-down"
	efdError         = "efd-error"
	efdSpoils        = "efd-spoils"
	syncFails        = "sync-fails"
	syncBlocked      = "sync-blocked"
	syncTakenOver    = "sync-taken-over"
	syncOverlooked   = "sync-overlooked"
	apiAway          = "api-away"
	registryRefuses  = "registry-refuses"
	registryOther    = "registry-other-level"
	slackBusy        = "slack-busy"
	slackDown        = "slack-down"
	laptopSleeps     = "laptop-sleeps"
	networkLost      = "network-lost"
)

// efdLate is how late data arrive while the EFD lags.
const efdLate = time.Minute

// slackRefusals is how many messages in a row a busy Slack refuses.
const slackRefusals = 2

var catalogue = []entry{
	{Fault: Fault{cscStuck, "CSC", "The CSC fails every state command."}, usual: sentCSC},
	{Fault: Fault{cscStaysStandby, "CSC", "The CSC stays in STANDBY: it fails every command to leave it."}, usual: sentCSC},
	{Fault: Fault{cscFaults, "CSC", "The CSC goes to FAULT on its first state command."}, usual: sentCSC},
	{Fault: Fault{cscNeverHeard, "CSC", "The CSC sends no heartbeats after it is started again."}, usual: syncedCSC},
	{Fault: Fault{cscSaysStandby, "CSC", "The CSC goes OFFLINE without reporting it: its last summary state remains STANDBY."}, usual: sentCSC},
	{Fault: Fault{podNeverStarts, "CSC", "The pod of the CSC's new Job never starts."}, usual: syncedCSC,
		end: func(s *Site, subject string) { s.cluster.startPods(s.byName[subject]) }},
	{Fault: Fault{imagePullSlow, "CSC", "Pulling the CSC's image takes twenty minutes."}, usual: syncedCSC},

	{Fault: Fault{hostUnreachable, "host", "The host refuses every connection."}, usual: firstHost},
	{Fault: Fault{hostHangs, "host", "The host accepts connections but never answers."}, usual: firstHost,
		end: func(s *Site, subject string) { s.hosts[subject].disconnect() }},
	{Fault: Fault{hostDrops, "host", "The host drops its connections once the first command has started, and accepts none for two minutes."}, usual: firstHost},
	{Fault: Fault{hostDiskFull, "host", "The host's disk is full."}, usual: firstHost,
		end: func(s *Site, subject string) { _ = os.Remove(s.hosts[subject].fullDisk()) }}, // if it is there
	{Fault: Fault{hostKeyChanged, "host", "The host presents a different key from the one in known_hosts."}, usual: firstHost},
	{Fault: Fault{hostCommandFails, "host", "Every command that the plan runs on the host exits with status 1."}, usual: firstHost},
	{Fault: Fault{hostCommandHangs, "host", "The first command that the plan runs on the host hangs until it is killed."}, usual: firstHost},

	{Fault: Fault{queuePaused, "", "The ScriptQueues are paused when the upgrade begins."}},
	{Fault: Fault{scriptLoadFails, "path", "The first run of the script fails to load."}, usual: firstScript},
	{Fault: Fault{scriptConfFails, "path", "The first run of the script fails to configure."}, usual: firstScript},
	{Fault: Fault{scriptFails, "path", "The first run of the script (of set_summary_state.py, the first with several CSCs) fails halfway and pauses its queue."}, usual: firstScript},

	{Fault: Fault{loveTokenExpires, "", "LOVE forgets its tokens after the first script is added."}, usual: hasScript, on: []moment{ScriptAdded},
		begin: func(s *Site, _ string) {
			clear(s.love.tokens)
			s.strikesOnce(loveTokenExpires, "")
		}},
	{Fault: Fault{loveAckLost, "command", "LOVE carries out the first such command but answers 504."},
		usual: func(p *plan.Plan) string {
			if hasScript(p) == "" {
				return ""
			}
			return "add"
		}},
	{Fault: Fault{loveDown, "", "LOVE is down for ten minutes, starting at its first command."}, usual: hasScript, on: []moment{loveCommanded}, lasts: 10 * time.Minute},

	{Fault: Fault{efdLags, "", "The EFD lags by a minute for an hour, starting at the first script."}, usual: hasScript, on: []moment{ScriptAdded}, lasts: time.Hour,
		begin: func(s *Site, _ string) { s.efd.reached = s.efd.horizon(s.clk.Now()) }},
	{Fault: Fault{efdDown, "", "The EFD is down for four hours, starting at the first script."}, usual: hasScript, on: []moment{ScriptAdded}, lasts: 4 * time.Hour},
	{Fault: Fault{efdError, "", "The EFD answers every query with status 200 and an error for two minutes, starting at the first script."}, usual: hasScript, on: []moment{ScriptAdded}, lasts: 2 * time.Minute},
	{Fault: Fault{efdSpoils, "", "Every ninth answer of the EFD is spoilt: an overload told with status 200, an answer that is missing or doubled, or times in the future."}},

	{Fault: Fault{syncFails, "application", "The first sync of the application fails."}, usual: firstApplication},
	{Fault: Fault{syncBlocked, "application", "A sync window blocks the sync of the application."}, usual: firstApplication,
		end: func(s *Site, subject string) {
			if a := s.cluster.applications[subject]; a.running() {
				s.cluster.carryOut(a)
			}
		}},
	{Fault: Fault{syncTakenOver, "application", "Another operation replaces the first sync of the application."}, usual: firstApplication},
	{Fault: Fault{syncOverlooked, "application", "Argo CD overlooks the first sync of the application until it is asked for a refresh."}, usual: firstApplication},
	{Fault: Fault{apiAway, "", "The API server is down for two minutes, starting when the first Job is deleted or the first sync starts."}, usual: hasCluster,
		on: []moment{JobDeleted, SyncStarted}, lasts: 2 * time.Minute,
		begin: func(s *Site, _ string) { s.apiGate.shut() },
		end:   func(s *Site, _ string) { s.apiGate.open() }},

	{Fault: Fault{registryRefuses, "", "The registry refuses changes for ten minutes, starting at the first change."}, usual: hasRegistry, on: []moment{registryAsked}, lasts: 10 * time.Minute},
	{Fault: Fault{registryOther, "level", "The registry is at a different compatibility level when the upgrade begins."},
		usual: func(p *plan.Plan) string {
			if hasRegistry(p) == "" {
				return ""
			}
			return "BACKWARD"
		},
		begin: func(s *Site, subject string) { s.registry.level = subject }},

	{Fault: Fault{slackBusy, "", "Slack answers 429 to the first two messages, and requires a second between any two."}},
	{Fault: Fault{slackDown, "", "Slack is down for ten minutes, starting at the first hand-over, or at the first message if the plan has no hand-over."}, on: []moment{messageArrives}, lasts: 10 * time.Minute},

	{Fault: Fault{laptopSleeps, "", "The operator's laptop sleeps for an hour, starting at the first script, command or sync; in a shell with job control, csu then needs fg to continue."},
		on: []moment{ScriptAdded, CommandRun, SyncStarted}, lasts: time.Hour,
		begin: (*Site).fallAsleep, end: (*Site).wakeUp},
	{Fault: Fault{networkLost, "", "The operator's laptop loses the network for an hour, starting at the first script, command or sync: every connection is cut."},
		on: []moment{ScriptAdded, CommandRun, SyncStarted}, lasts: time.Hour,
		begin: func(s *Site, _ string) { s.eachGate((*gate).shut) },
		end:   func(s *Site, _ string) { s.eachGate((*gate).open) }},
}

// subjects returns the subjects that a plan has, by their kind.
func subjects(p *plan.Plan) map[string][]string {
	all := map[string][]string{
		"CSC": {}, "host": {}, "application": {}, "path": {},
		"command": {"add", "resume"}, "level": plan.Levels,
	}
	add := func(kind, name string) {
		if !slices.Contains(all[kind], name) {
			all[kind] = append(all[kind], name)
		}
	}
	for i := range p.CSCs {
		add("CSC", p.CSCs[i].CSC)
	}
	for i := range p.Hosts {
		add("host", p.Hosts[i].Name)
	}
	for step := range p.AllSteps() {
		switch a := step.Action.Parameters.(type) {
		case *plan.SetState:
			add("path", setStatePath)
		case *plan.Script:
			add("path", a.Path)
		case *plan.Sync:
			add("application", a.Application)
		}
	}
	return all
}

// firstOf calls pick with the actions of kind D in the plan's order, and returns
// the first result that is not "".
func firstOf[D plan.Parameters](p *plan.Plan, pick func(D) string) string {
	for step := range p.AllSteps() {
		if a, ok := step.Action.Parameters.(D); ok {
			if found := pick(a); found != "" {
				return found
			}
		}
	}
	return ""
}

// ordinary returns the first CSC that no other part of the upgrade depends on.
func ordinary(cscs []string) string {
	for _, name := range cscs {
		component, _, _ := strings.Cut(name, ":")
		if component != "Watcher" && component != "ScriptQueue" && plan.ValidCSC(name) {
			return name
		}
	}
	return ""
}

func sentCSC(p *plan.Plan) string {
	return firstOf(p, func(a *plan.SetState) string { return ordinary(a.CSCs) })
}

func syncedCSC(p *plan.Plan) string {
	return firstOf(p, func(a *plan.Sync) string { return ordinary(a.CSCs) })
}

func firstHost(p *plan.Plan) string { return firstOf(p, func(a *plan.SSH) string { return a.Host }) }

func firstApplication(p *plan.Plan) string {
	return firstOf(p, func(a *plan.Sync) string { return a.Application })
}

func firstScript(p *plan.Plan) string {
	for step := range p.AllSteps() {
		switch a := step.Action.Parameters.(type) {
		case *plan.SetState:
			return setStatePath
		case *plan.Script:
			return a.Path
		}
	}
	return ""
}

// hasScript, hasCluster and hasRegistry return "" if the plan has no step that a
// fault of the queues, the cluster or the registry applies to.
func hasScript(p *plan.Plan) string { return firstScript(p) }

func hasCluster(p *plan.Plan) string {
	if a := firstApplication(p); a != "" {
		return a
	}
	return firstOf(p, func(a *plan.Delete) string { return string(a.Objects) })
}

func hasRegistry(p *plan.Plan) string {
	return firstOf(p, func(a *plan.Compatibility) string { return a.Set })
}
