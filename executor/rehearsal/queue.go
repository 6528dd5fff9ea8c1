package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// processState is a script's process as its ScriptQueue sees it.
type processState int

const (
	processLoading processState = iota + 1
	processConfigured
	processRunning
	processDone
	processLoadFailed
	processConfigureFailed
	processTerminated
)

// scriptState is the state that a script reports.
type scriptState int

const (
	scriptUnknown         scriptState = 0
	scriptUnconfigured    scriptState = 1
	scriptConfigured      scriptState = 2
	scriptRunning         scriptState = 3
	scriptDone            scriptState = 8
	scriptStopped         scriptState = 9
	scriptFailed          scriptState = 10
	scriptConfigureFailed scriptState = 11
)

// queue is a ScriptQueue. It lives as long as its CSC's process.
type queue struct {
	site  *Site
	csc   *csc
	index int

	opened    bool
	running   bool // false: paused
	nextIndex int  // SAL index of the next script
	seq       int  // private_seqNum of the last command that LOVE sent it
	waiting   []*script
	current   *script
	past      []*script // the newest first
}

// script is a script that was added to a queue.
type script struct {
	queue       *queue
	index       int
	cmdID       int // private_seqNum of the command that added it
	path        string
	standard    bool
	config      string
	descr       string
	executionID string

	process processState
	state   scriptState
	// The times when its process, configuration and run started and ended.
	processStart, configureStart, configureEnd, runStart, processEnd time.Time

	run    func(ctx context.Context) error // set once the script is configured
	ctx    context.Context
	cancel context.CancelFunc
}

func newQueue(s *Site, c *csc) *queue {
	return &queue{site: s, csc: c, index: c.index, seq: int(s.between("seq "+c.row.CSC, 1000, 900000))}
}

func (q *queue) String() string { return "ScriptQueue:" + strconv.Itoa(q.index) }

// open opens the queue, empty, when its process starts.
func (q *queue) open() { q.openAt(q.site.clk.Now()) }

// openAt is open as of a time before the upgrade.
func (q *queue) openAt(at time.Time) {
	q.opened, q.running = true, true
	q.nextIndex = 100000*q.index + 1
	q.waiting, q.current, q.past = nil, nil, nil
	q.changedAt(at)
}

// close closes the queue and terminates its scripts. The last event of the running
// script may be lost.
func (q *queue) close() {
	if !q.opened {
		return
	}
	q.opened = false
	for _, sc := range slices.Concat([]*script{q.current}, q.waiting) {
		if sc == nil || sc.ended() {
			continue
		}
		lost := sc == q.current && q.site.chance("last event "+q.String(), 0.5)
		sc.terminate(!lost)
	}
	q.waiting, q.current = nil, nil
}

// changed publishes the content of the queue.
func (q *queue) changed() { q.changedAt(q.site.clk.Now()) }

func (q *queue) changedAt(at time.Time) {
	const elements = 400 // length of the arrays in the SAL interface
	f := fields{
		"salIndex": q.index, "enabled": q.opened && q.csc.state == enabled, "running": q.running,
		"currentSalIndex": 0, "length": len(q.waiting), "pastLength": len(q.past),
	}
	if q.current != nil {
		f["currentSalIndex"] = q.current.index
	}
	for name, list := range map[string][]*script{"salIndices": q.waiting, "pastSalIndices": q.past} {
		for i := range elements {
			index := 0
			if i < len(list) {
				index = list[i].index
			}
			f[name+strconv.Itoa(i)] = index
		}
	}
	q.site.efd.add(measurement("ScriptQueue", "logevent_queue"), at, f)
}

// addRequest holds the parameters of the command add that the queue uses.
type addRequest struct {
	IsStandard       bool    `json:"isStandard"`
	Path             string  `json:"path"`
	Config           string  `json:"config"`
	Descr            string  `json:"descr"`
	Location         int     `json:"location"`
	LocationSalIndex int     `json:"locationSalIndex"`
	LogLevel         float64 `json:"logLevel"`
	PauseCheckpoint  string  `json:"pauseCheckpoint"`
	StopCheckpoint   string  `json:"stopCheckpoint"`
	Block            string  `json:"block"`
	BlockSize        int     `json:"blockSize"`
	StartBlock       bool    `json:"startBlock"`
	ExecutionID      string  `json:"executionId"`
}

// refusal is the error of a command that a component acknowledged as failed.
type refusal struct{ reason string }

func (r *refusal) Error() string { return r.reason }

// command writes a command to the EFD and returns its private_seqNum.
func (q *queue) command(name, identity string, more fields) int {
	q.seq++
	f := fields{"salIndex": q.index, "private_seqNum": q.seq, "private_identity": identity}
	for k, v := range more {
		f[k] = v
	}
	q.site.efd.add(measurement("ScriptQueue", "command_"+name), q.site.clk.Now(), f)
	return q.seq
}

// add adds a script to the queue and starts its process.
func (q *queue) add(r addRequest, identity string) (int, error) {
	id := q.command("add", identity, fields{
		"path": r.Path, "isStandard": r.IsStandard, "config": r.Config, "descr": r.Descr, "location": r.Location,
		"locationSalIndex": r.LocationSalIndex, "logLevel": r.LogLevel, "executionId": r.ExecutionID, "block": r.Block,
	})
	if q.csc.state != enabled {
		return 0, &refusal{fmt.Sprintf("%s is %s, not ENABLED", q, q.csc.state)}
	}
	at := len(q.waiting)
	switch r.Location {
	case 1:
		at = 0
	case 2:
	case 3, 4:
		i := slices.IndexFunc(q.waiting, func(w *script) bool { return w.index == r.LocationSalIndex })
		if i < 0 {
			return 0, &refusal{fmt.Sprintf("no queued script %d", r.LocationSalIndex)}
		}
		at = i + r.Location - 3
	default:
		return 0, &refusal{fmt.Sprintf("unknown location %d", r.Location)}
	}
	sc := &script{
		queue: q, index: q.nextIndex, cmdID: id, path: r.Path, standard: r.IsStandard, config: r.Config, descr: r.Descr,
		process: processLoading, processStart: q.site.clk.Now(),
	}
	// The ScriptQueue of 2025-08 does not publish it; later versions do.
	if q.site.chance("executionId", 0.5) {
		sc.executionID = r.ExecutionID
	}
	sc.ctx, sc.cancel = context.WithCancel(q.site.ctx)
	q.nextIndex++
	q.waiting = slices.Insert(q.waiting, at, sc)
	q.site.effect(Effect{System: SystemQueue, Kind: ScriptAdded, Subject: q.String(), Detail: r.Path, Identity: r.Descr})
	sc.publish()
	q.changed()
	q.site.spawn(sc.load)
	return sc.index, nil
}

// pause keeps the queue from starting scripts.
func (q *queue) pause(why string) {
	q.running = false
	q.site.effect(Effect{System: SystemQueue, Kind: QueuePaused, Subject: q.String(), Detail: why})
	q.changed()
}

// resume resumes the queue. A failed current script leaves it.
func (q *queue) resume() error {
	if q.csc.state != enabled {
		return &refusal{fmt.Sprintf("%s is %s, not ENABLED", q, q.csc.state)}
	}
	if !q.running {
		q.site.effect(Effect{System: SystemQueue, Kind: QueueResumed, Subject: q.String()})
	}
	q.running = true
	if q.current != nil && q.current.ended() {
		q.retire(q.current)
		q.current = nil
	}
	q.changed()
	q.step()
	return nil
}

// stop stops the scripts with these indices, including the current one.
func (q *queue) stop(indices []int, terminate bool) {
	for _, sc := range slices.Concat([]*script{q.current}, q.waiting) {
		if sc == nil || sc.ended() || !slices.Contains(indices, sc.index) {
			continue
		}
		waiting := sc != q.current
		if terminate || sc.process != processRunning {
			sc.terminate(true)
		} else {
			sc.end(processDone, scriptStopped)
		}
		if waiting {
			q.waiting = slices.DeleteFunc(q.waiting, func(w *script) bool { return w == sc })
		} else {
			q.current = nil
		}
		q.retire(sc)
	}
	q.changed()
	q.step()
}

func (q *queue) retire(sc *script) { q.past = slices.Insert(q.past, 0, sc) }

// step starts the next script if it is ready.
func (q *queue) step() {
	for len(q.waiting) > 0 && q.waiting[0].ended() { // it failed to load or to configure
		q.retire(q.waiting[0])
		q.waiting = q.waiting[1:]
		q.changed()
	}
	if !q.opened || !q.running || q.csc.state != enabled || q.current != nil || len(q.waiting) == 0 || q.waiting[0].process != processConfigured {
		return
	}
	sc := q.waiting[0]
	q.current, q.waiting = sc, q.waiting[1:]
	sc.process, sc.state, sc.runStart = processRunning, scriptRunning, q.site.clk.Now()
	sc.publish()
	q.changed()
	q.site.spawn(sc.perform)
}

// load starts the script's process and configures it. It is called without the lock.
func (sc *script) load() {
	q, s := sc.queue, sc.queue.site
	wait := func(what string, low, high time.Duration) bool {
		s.mu.Lock()
		d := s.between(what, low, high)
		s.mu.Unlock()
		return s.clk.Sleep(sc.ctx, d) == nil
	}
	if !wait("load", 3*time.Second, 8*time.Second) {
		return
	}
	s.mu.Lock()
	switch {
	case sc.ended():
	case !s.knowsScript(sc.path, sc.standard), s.strikesOnce(scriptLoadFails, sc.path):
		sc.end(processLoadFailed, scriptUnknown)
		q.step()
	default:
		sc.state, sc.configureStart = scriptUnconfigured, s.clk.Now()
		sc.publish()
	}
	over := sc.ended()
	s.mu.Unlock()
	if over || !wait("configure", time.Second, 4*time.Second) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if sc.ended() {
		return
	}
	run, err := s.configure(sc)
	sc.configureEnd = s.clk.Now()
	if err != nil {
		sc.end(processConfigureFailed, scriptConfigureFailed)
	} else {
		sc.run, sc.process, sc.state = run, processConfigured, scriptConfigured
		sc.publish()
	}
	q.step()
}

// perform runs the script to its end. It is called without the lock.
func (sc *script) perform() {
	q, s := sc.queue, sc.queue.site
	s.awaitHeld(sc.ctx, Effect{System: SystemQueue, Kind: ScriptAdded, Subject: q.String(), Detail: sc.path, Identity: sc.descr})
	err := sc.run(sc.ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if sc.ended() || errors.Is(err, context.Canceled) {
		return
	}
	if err != nil {
		sc.logFailure(err)
		sc.end(processDone, scriptFailed)
		q.pause(fmt.Sprintf("script %d %s failed: %v", sc.index, sc.path, err))
		return
	}
	sc.end(processDone, scriptDone)
	q.retire(sc)
	q.current = nil
	q.changed()
	q.step()
}

func (sc *script) ended() bool { return !sc.processEnd.IsZero() }

// terminate ends the script's process. published says whether it publishes an event.
func (sc *script) terminate(published bool) {
	sc.cancel()
	sc.process, sc.processEnd = processTerminated, sc.queue.site.clk.Now()
	sc.noteEnd("TERMINATED")
	if published {
		sc.publish()
	}
}

func (sc *script) end(p processState, state scriptState) {
	sc.cancel()
	sc.process, sc.state, sc.processEnd = p, state, sc.queue.site.clk.Now()
	sc.publish()
	how := map[scriptState]string{scriptDone: "DONE", scriptStopped: "STOPPED", scriptFailed: "FAILED", scriptConfigureFailed: "CONFIGURE_FAILED"}[state]
	if p == processLoadFailed {
		how = "LOADFAILED"
	}
	sc.noteEnd(how)
}

func (sc *script) noteEnd(how string) {
	sc.queue.site.effect(Effect{System: SystemQueue, Kind: ScriptEnded, Subject: sc.queue.String(), Detail: sc.path + " " + how, Identity: sc.descr})
}

// publish publishes the script's event.
func (sc *script) publish() {
	s := sc.queue.site
	s.efd.add(measurement("ScriptQueue", "logevent_script"), s.clk.Now(), fields{
		"salIndex": sc.queue.index, "scriptSalIndex": sc.index, "cmdId": sc.cmdID, "path": sc.path, "isStandard": sc.standard,
		"processState": int(sc.process), "scriptState": int(sc.state), "executionId": sc.executionID,
		"timestampProcessStart": tai(sc.processStart), "timestampConfigureStart": tai(sc.configureStart), "timestampConfigureEnd": tai(sc.configureEnd),
		"timestampRunStart": tai(sc.runStart), "timestampProcessEnd": tai(sc.processEnd),
	})
}

// logFailure publishes what a script says of an error in its run: a message and the
// reason for its state (lsst-ts/ts_salobj at 067c83b, base_script.py, do_run).
func (sc *script) logFailure(err error) {
	s, now := sc.queue.site, sc.queue.site.clk.Now()
	s.efd.add(measurement("Script", "logevent_logMessage"), now, fields{
		"salIndex": sc.index, "name": "Script", "level": 40, "message": "Error in run",
		"traceback": "Traceback (most recent call last):\n  " + sc.path + "\nRuntimeError: " + err.Error() + "\n",
	})
	s.efd.add(measurement("Script", "logevent_state"), now, fields{
		"salIndex": sc.index, "state": int(scriptFailed), "reason": "Error in run: " + err.Error(),
	})
}

// tai returns a time as in SAL messages: TAI seconds since 1970, or 0 for "not yet".
func tai(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMicro())/1e6 + 37
}

// show publishes a script's event again.
func (q *queue) show(index int) error {
	for _, sc := range slices.Concat([]*script{q.current}, q.waiting, q.past) {
		if sc != nil && sc.index == index {
			sc.publish()
			return nil
		}
	}
	return &refusal{fmt.Sprintf("unknown script %d", index)}
}
