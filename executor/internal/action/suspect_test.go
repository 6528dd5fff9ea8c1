package action

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/internal/clock"
	"github.com/lsst-ts/csu/executor/internal/cluster/kubetest"
	"github.com/lsst-ts/csu/executor/internal/efd"
	"github.com/lsst-ts/csu/executor/internal/registry"
	"github.com/lsst-ts/csu/executor/internal/remote"
	"github.com/lsst-ts/csu/executor/plan"
)

// suspect turns an attempt into one that another csu may have made, in a run that
// began an hour ago.
func (y *try) suspect() {
	y.Suspected, y.Evidence, y.Notes = true, nil, nil
	y.Started = y.Systems.Clock.Now().Add(-time.Hour)
}

// expectSuspect is expect for the probe of a suspected attempt. Its text must not
// speak of the journal or of evidence that does not exist.
func expectSuspect(t *testing.T, y *try, want Verdict, says ...string) {
	t.Helper()
	got := y.probe(t)
	expect(t, got, want, says...)
	for _, text := range []string{"JSON", "unexpected end", "the journal", "had not yet"} {
		if strings.Contains(got.Text, text) {
			t.Errorf("finding %q, want it not to contain %q", got.Text, text)
		}
	}
}

func TestSuspectedSync(t *testing.T) {
	// by returns an operation by bob, under an identity if there is one.
	by := func(identity string) kubetest.Object {
		o := kubetest.Object{"initiatedBy": kubetest.Object{"username": "bob"}, "sync": kubetest.Object{
			"resources": []any{kubetest.Object{"group": "batch", "kind": "Job", "namespace": "simonyitel", "name": "mtmount"}},
		}}
		if identity != "" {
			o["info"] = []any{kubetest.Object{"name": "csu", "value": identity}}
		}
		return o
	}
	const ours = "csu-r7k/stage/step/2"
	for name, c := range map[string]struct {
		waits  kubetest.Object // the operation that waits or runs
		last   kubetest.Object // the operation that ran last
		phase  string
		ago    time.Duration // since it started
		synced bool          // the history has a sync
		image  bool          // the image runs
		want   Verdict
		says   string
	}{
		"succeeded":                 {last: by(ours), phase: "Succeeded", image: true, want: Done, says: "MTMount:0 runs its image"},
		"succeeded, without images": {last: by(ours), phase: "Succeeded", want: Running, says: "not yet"},
		"failed":                    {last: by(ours), phase: "Failed", want: Failed, says: "ended Failed: it was tried"},
		"runs":                      {waits: by(ours), last: by(ours), phase: "Running", want: Running, says: "Argo CD is syncing"},
		"waits":                     {waits: by(ours), want: Running, says: "has not started"},
		"another, before the run":   {last: by(""), phase: "Succeeded", ago: 2 * time.Hour, want: NotDone, says: "before this run"},
		"another waits, and the last was before the run": {waits: by("csu-x/y/z/1"), last: by(""), phase: "Succeeded", ago: 2 * time.Hour, want: NotDone, says: "before this run"},
		"another, in the run":                            {last: by(""), phase: "Succeeded", ago: time.Minute, want: Unknown, says: `the last operation of "simonyitel" is by bob`},
		"another, at an unknown time":                    {last: by(""), phase: "Succeeded", ago: -1, want: Unknown, says: "is by bob"},
		"another waits":                                  {waits: by(""), want: Unknown, says: "is by bob"},
		"another step of the run":                        {last: by("csu-r7k/stage/other/1"), phase: "Succeeded", ago: time.Minute, want: Unknown, says: "is by bob (csu csu-r7k/stage/other/1)"},
		"the attempt before":                             {last: by("csu-r7k/stage/step/1"), phase: "Failed", ago: time.Minute, want: NotDone, says: "is still the earlier one by bob (csu csu-r7k/stage/step/1)"},
		"the attempt after":                              {last: by("csu-r7k/stage/step/10"), phase: "Failed", ago: time.Minute, want: Unknown, says: "is by bob"},
		"none":                                           {want: NotDone, says: "has had no operation"},
		"none any more":                                  {synced: true, want: Unknown, says: "Argo CD shows no operation of it now"},
		"another, before the run, and Argo CD's history": {last: by(""), phase: "Succeeded", ago: 2 * time.Hour, synced: true, want: NotDone, says: "before this run"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newArgo(t)
			a.outcome = func(kubetest.Object) kubetest.Object { return nil }
			y := a.try(t)
			y.Identity = ours
			y.suspect()
			uid := putJob(a.Server, "mtmount")
			if c.image {
				a.Put(pods+"mtmount-x", pod("mtmount", uid, "Running", "ts-dockerhub.lsst.org/mtmount:c0045"))
			}
			a.Edit(applications+"simonyitel", func(app kubetest.Object) {
				status := app["status"].(kubetest.Object)
				if c.waits != nil {
					app["operation"] = c.waits
				}
				if c.last != nil {
					state := succeeded(c.last)
					state["phase"], state["message"] = c.phase, "it was tried"
					if c.ago >= 0 {
						state["startedAt"] = y.Systems.Clock.Now().Add(-c.ago).UTC().Format(time.RFC3339)
					}
					status["operationState"] = state
				}
				if c.synced {
					status["history"] = []any{kubetest.Object{"id": 7, "revision": telescope, "deployedAt": "2026-11-24T09:00:00Z"}}
				}
			})
			expectSuspect(t, y, c.want, c.says)
		})
	}
	t.Run("no application", func(t *testing.T) {
		a := newArgo(t)
		a.Remove(applications + "simonyitel")
		a.Before = nil
		y := a.try(t)
		y.suspect()
		expectSuspect(t, y, Unknown, `there is no Argo CD application "simonyitel"`)
	})
}

func TestSuspectedDelete(t *testing.T) {
	for name, c := range map[string]struct {
		inventory  bool
		there      bool
		namespaces bool
		want       Verdict
		says       string
	}{
		"the Jobs of the inventory":      {inventory: true, there: true, want: NotDone, says: "all 1 jobs are still there"},
		"the Jobs of the inventory gone": {inventory: true, want: Done, says: "the Job and its pods are gone"},
		"Jobs":                           {there: true, want: Unknown, says: "simonyitel/mtmount; cannot determine whether this step should delete them"},
		"no Jobs":                        {want: Unknown, says: "pods of the deleted Jobs may still be running"},
		"namespaces":                     {there: true, namespaces: true, want: Unknown, says: "nublado-ann; cannot determine whether"},
		"no namespaces":                  {namespaces: true, want: Done, says: "no namespaces match"},
	} {
		t.Run(name, func(t *testing.T) {
			server, systems := newCluster(t)
			const namespace = "/api/v1/namespaces/nublado-ann"
			server.Put(namespace, kubetest.Object{"metadata": kubetest.Object{"labels": kubetest.Object{"user": "yes"}}})
			putJob(server, "mtmount")
			y := newDelete(t, systems)
			if c.namespaces {
				y = newTry(t, systems, &plan.Delete{Objects: plan.Namespaces, Selector: "user"})
			}
			y.suspect()
			if c.inventory {
				y.Evidence = y.Inventory // as the executor does
			}
			if !c.there {
				server.Remove(namespace)
				server.Remove(jobs + "mtmount")
			}
			expectSuspect(t, y, c.want, c.says)
			server.Faults = func(*http.Request) kubetest.Fault { return kubetest.Fault{Status: http.StatusForbidden} }
			expectSuspect(t, y, Unknown, "cannot determine")
		})
	}
}

// endless is a command that runs as long as the test's host exists.
const endless = `while [ -d "$HOME" ]; do sleep 0.1; done`

func TestSuspectedReboot(t *testing.T) {
	h := newHost(t)
	for name, c := range map[string]struct {
		command string // started there by another csu, if any
		boot    string // in which it was started, if not the current one
		forbid  bool   // an earlier probe has prevented it from starting
		host    string
		want    Verdict
		says    string
		await   Verdict // of Await
		awaited string
	}{
		"never":                 {want: NotDone, says: "never started"},
		"never, before a boot":  {forbid: true, boot: "another boot id", want: NotDone, says: "never started"},
		"rebooted":              {command: "true", boot: "another boot id", want: Done, says: "new boot id"},
		"runs":                  {command: endless, want: Running, says: "still runs on azar03", await: Running},
		"ended":                 {command: "false", want: Running, says: "still answers with its old boot id", await: Failed, awaited: "ended with exit status 1"},
		"a host that is not up": {host: "azar02", want: Unknown, says: "cannot determine whether azar02 was rebooted"},
	} {
		t.Run(name, func(t *testing.T) {
			d := &plan.Reboot{Host: cmp.Or(c.host, "azar03"), User: "operator", Command: "sudo reboot"}
			y := h.try(t, "csu-r7k/suspected/"+strings.ReplaceAll(strings.ReplaceAll(name, " ", "-"), ",", "")+"/1", d)
			y.Limit = 10 * time.Minute
			y.suspect()
			target := remote.Target{Host: "azar03", Via: remote.ViaOwn}
			if c.command != "" {
				if err := h.systems.Remote.Start(t.Context(), target, commandName(y.Identity), c.command+"\n"); err != nil {
					t.Fatal(err)
				}
			}
			if c.command == "false" || c.command == "true" {
				awaitFile(t, filepath.Join(h.Home, ".csu", commandName(y.Identity), "status"))
			}
			if c.forbid {
				if _, err := h.systems.Remote.Forbid(t.Context(), target, commandName(y.Identity)); err != nil {
					t.Fatal(err)
				}
			}
			if c.boot != "" {
				if err := os.WriteFile(filepath.Join(h.Home, ".csu", commandName(y.Identity), "boot"), []byte(c.boot+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			expectSuspect(t, y, c.want, c.says)
			if c.await != "" {
				expect(t, Of(d).Await(t.Context(), y.Attempt), c.await, c.awaited)
			}
		})
	}
	gone := h.try(t, "csu-r7k/suspected/goes-down/1", &plan.Reboot{Host: "azar03", User: "operator", Command: "sudo reboot"})
	gone.suspect()
	gone.Limit = time.Minute
	h.down(t)
	expect(t, Of(gone.Step.Action.Parameters).Await(t.Context(), gone.Attempt), Running, "it is rebooting")
}

func awaitFile(t *testing.T, path string) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			return
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("%s does not exist", path)
		}
	}
}

func TestSuspectedSSH(t *testing.T) {
	h := newHost(t)
	for name, c := range map[string]struct {
		command string // started there by another csu, if any
		check   string
		host    string
		want    Verdict
		says    string
	}{
		"never":                 {want: NotDone, says: "the commands were not started on"},
		"done":                  {command: "true", want: Done, says: "exit status 0"},
		"check fails":           {command: "true", check: "false", want: Failed, says: "but the check"},
		"failed":                {command: "exit 3", want: Failed, says: "exit status 3"},
		"runs":                  {command: endless, want: Running, says: "the commands are running on"},
		"a host that is not up": {host: "azar02", want: Unknown, says: "cannot determine what became of the commands"},
	} {
		t.Run(name, func(t *testing.T) {
			d := run(c.check, "never run")
			d.Host = cmp.Or(c.host, "azar03")
			y := h.try(t, "csu-r7k/suspected/ssh-"+strings.ReplaceAll(name, " ", "-")+"/1", d)
			y.suspect()
			if c.command != "" {
				if err := h.systems.Remote.Start(t.Context(), remote.Target{Host: "azar03", Via: remote.ViaOwn}, commandName(y.Identity), c.command+"\n"); err != nil {
					t.Fatal(err)
				}
				if c.want != Running {
					awaitFile(t, filepath.Join(h.Home, ".csu", commandName(y.Identity), "status"))
				}
			}
			expectSuspect(t, y, c.want, c.says)
		})
	}
}

// addedElsewhere writes the events of a script that another csu has added.
func (s *site) addedElsewhere(identity string, process efd.ProcessState, state efd.ScriptState) {
	var c command
	c.Queue, c.Params.Path, c.Params.Descr = 1, setStateScript, identity
	s.script(c, s.command(c), process, state)
}

func TestSuspectedScript(t *testing.T) {
	t.Parallel()
	s := newQueueSite(t)
	for i, c := range []struct {
		process efd.ProcessState // of a script that another csu has added, if any
		state   efd.ScriptState
		blind   bool
		want    Verdict
		says    string
	}{
		{want: NotDone, says: "has no such script and no such command"},
		{process: efd.ProcessRunning, state: efd.ScriptRunning, want: Running, says: "RUNNING"},
		{process: efd.ProcessDone, state: efd.ScriptDone, want: Done, says: "ended DONE"},
		{process: efd.ProcessDone, state: efd.ScriptFailed, want: Failed, says: "ended FAILED"},
		{blind: true, want: Unknown, says: "cannot determine what became of"},
	} {
		y := newTry(t, s.systems, shutdown("DONE"))
		y.Identity = fmt.Sprintf("csu-r7k/stage/suspected/%d", i+1)
		y.suspect()
		if c.process != 0 {
			s.addedElsewhere(y.Identity, c.process, c.state)
		}
		if c.blind {
			y.Systems = blind(s.systems)
		}
		expectSuspect(t, y, c.want, c.says)
	}
}

// That all CSCs are in the state does not prove that the step was done: an earlier
// step may still have to take them to another state.
func TestSuspectedSetState(t *testing.T) {
	t.Parallel()
	s := newQueueSite(t)
	s.alive("STANDBY", "GIS:0", "Watcher:0")
	s.alive("ENABLED", "ESS:104", "ESS:105")
	there, not := []string{"ESS:104", "ESS:105"}, []string{"GIS:0", "Watcher:0"}
	for i, c := range []struct {
		cscs    []string
		script  string           // suffix of the identity of a script that another csu has added
		process efd.ProcessState // of that script, if any
		state   efd.ScriptState
		blind   bool
		want    Verdict
		says    string
	}{
		{cscs: not, want: NotDone, says: "no script was added; 2 of 2 are not ENABLED"},
		{cscs: there, want: NotDone, says: "no script was added; all 2 CSCs are ENABLED"},
		{cscs: there, script: "/g1", process: efd.ProcessDone, state: efd.ScriptDone, want: Done, says: "all 2 CSCs are ENABLED"},
		{cscs: there, script: "/g2", process: efd.ProcessDone, state: efd.ScriptDone, want: Done, says: "all 2 CSCs are ENABLED"},
		{cscs: not, script: "/g2", process: efd.ProcessRunning, state: efd.ScriptRunning, want: Running, says: "RUNNING"},
		{cscs: not, script: "/g1", process: efd.ProcessDone, state: efd.ScriptFailed, want: Failed, says: "a retry takes only the rest"},
		{cscs: there, blind: true, want: Unknown, says: "cannot determine what became of"},
	} {
		y := newTry(t, s.systems, &plan.SetState{Queue: 1, State: plan.Enabled, CSCs: c.cscs})
		y.Identity = fmt.Sprintf("csu-r7k/stage/suspected/%d", i+1)
		y.suspect()
		if c.process != 0 {
			s.addedElsewhere(y.Identity+c.script, c.process, c.state)
		}
		if c.blind {
			y.Systems = blind(s.systems)
		}
		expectSuspect(t, y, c.want, c.says)
	}
	// If the operator says that the step was done by hand, the states confirm it.
	y := newTry(t, s.systems, &plan.SetState{Queue: 1, State: plan.Enabled, CSCs: there})
	expect(t, y.probe(t), Done)
}

// Without data from the ScriptQueues csu cannot know whether a script was added.
func TestSuspectedSetStateWithoutTheScriptQueues(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.alive("ENABLED", "ESS:104")
	y := newTry(t, s.systems, &plan.SetState{Queue: 1, State: plan.Enabled, CSCs: []string{"ESS:104"}})
	y.suspect()
	expectSuspect(t, y, Unknown, "the EFD hears no ScriptQueue", "ESS:104 is ENABLED")
}

func TestSuspectedCompatibility(t *testing.T) {
	for level, c := range map[string]struct {
		want Verdict
		says string
	}{
		"NONE":    {Done, "the level is NONE"},
		"FORWARD": {NotDone, "the level is FORWARD, not NONE"},
		"":        {Unknown, "no route"},
	} {
		p := registryPod{level: level}
		if level == "" {
			p.get = func() error { return errors.New("no route") }
		}
		now := time.Now()
		systems := &Systems{Clock: clock.Fast(now, now, 1000), Registry: registry.New(&p, "sasquatch", "app=x", "")}
		y := newTry(t, systems, &plan.Compatibility{Expect: "FORWARD", Set: "NONE"})
		y.suspect()
		expectSuspect(t, y, c.want, c.says)
	}
}

// Kinds without evidence give the same answer for a suspected attempt.
func TestSuspectedWithoutEvidence(t *testing.T) {
	_, systems := newCluster(t)
	for _, c := range []struct {
		d    plan.Parameters
		want Verdict
		says string
	}{
		{&plan.Announce{Channel: "#x", Text: "it begins"}, Unknown, "may or may not have been posted"},
		{&plan.Manual{Text: "Merge it."}, NotDone, "the operator has not confirmed that it is done"},
		{&plan.AwaitState{}, NotDone, "changed nothing"},
	} {
		y := newTry(t, systems, c.d)
		y.suspect()
		expectSuspect(t, y, c.want, c.says)
	}
}
