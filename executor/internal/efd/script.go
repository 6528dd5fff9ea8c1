package efd

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ProcessState is the state of a script's process as seen by the ScriptQueue
// (SAL's ScriptProcessState).
type ProcessState int

// The process states that a script event may carry.
const (
	ProcessUnknown ProcessState = iota
	ProcessLoading
	ProcessConfigured
	ProcessRunning
	ProcessDone
	ProcessLoadFailed
	ProcessConfigureFailed
	ProcessTerminated
)

func (s ProcessState) String() string {
	names := []string{"UNKNOWN", "LOADING", "CONFIGURED", "RUNNING", "DONE", "LOADFAILED", "CONFIGURE_FAILED", "TERMINATED"}
	return name(names, int(s))
}

// ScriptState is the state that a script itself reports (SAL's ScriptState).
type ScriptState int

// The script states that a script event may carry.
const (
	ScriptUnknown ScriptState = iota
	ScriptUnconfigured
	ScriptConfigured
	ScriptRunning
	ScriptPaused
	ScriptEnding
	ScriptStopping
	ScriptFailing
	ScriptDone
	ScriptStopped
	ScriptFailed
	ScriptConfigureFailed
)

func (s ScriptState) String() string {
	names := []string{"UNKNOWN", "UNCONFIGURED", "CONFIGURED", "RUNNING", "PAUSED", "ENDING", "STOPPING", "FAILING", "DONE", "STOPPED", "FAILED", "CONFIGURE_FAILED"}
	return name(names, int(s))
}

func name(names []string, n int) string {
	if n < 0 || n >= len(names) {
		return fmt.Sprintf("%d", n)
	}
	return names[n]
}

// ScriptEvent is an event logevent_script about a script of a ScriptQueue.
//
// A script's Index is not unique: a restarted ScriptQueue counts from the
// beginning again.
type ScriptEvent struct {
	Index        int // SAL index of the script
	Path         string
	Standard     bool
	ProcessState ProcessState
	ScriptState  ScriptState
	ExecutionID  string // empty if the ScriptQueue does not pass it on
	CmdID        int    // private_seqNum of the command that added the script
	At           time.Time

	// When the script's process, configuration and run began and ended, by the
	// clock of the ScriptQueue; zero for "not yet".
	ProcessStart, ConfigureStart, ConfigureEnd, RunStart, ProcessEnd time.Time

	// These two are set by FindScript, even if it found no script. CommandedAt
	// is when the EFD recorded the command that added the script; zero if it
	// has no such command. EFDTime is the newest heartbeat of any ScriptQueue;
	// zero if none was heard. It shows how recent the EFD's data on the
	// ScriptQueues are.
	CommandedAt, EFDTime time.Time
}

// Ended reports whether the script's process has ended, in whatever way.
func (e ScriptEvent) Ended() bool {
	switch e.ProcessState {
	case ProcessDone, ProcessLoadFailed, ProcessConfigureFailed, ProcessTerminated:
		return true
	}
	return false
}

// Succeeded reports whether the script ran to the end without an error. A
// process state of DONE is not enough: a failed script has it as well.
func (e ScriptEvent) Succeeded() bool {
	return e.ProcessState == ProcessDone && e.ScriptState == ScriptDone
}

// Outcome is "DONE", "FAILED", "STOPPED", "TERMINATED", "LOADFAILED" or
// "CONFIGURE_FAILED", and empty while the script has not ended. If the process
// ended in the middle of the script, the outcome is FAILED.
func (e ScriptEvent) Outcome() string {
	if !e.Ended() {
		return ""
	}
	if e.ProcessState != ProcessDone {
		return e.ProcessState.String()
	}
	switch e.ScriptState {
	case ScriptDone, ScriptStopped, ScriptConfigureFailed:
		return e.ScriptState.String()
	}
	return ScriptFailed.String()
}

var scriptFields = []string{
	"scriptSalIndex", "path", "isStandard", "processState", "scriptState", "executionId", "cmdId",
	"timestampProcessStart", "timestampConfigureStart", "timestampConfigureEnd", "timestampRunStart", "timestampProcessEnd",
}

func scripts(queue int, since time.Time, newest bool, where ...string) selection {
	return selection{
		component: "ScriptQueue", topic: "logevent_script", fields: scriptFields,
		where: append([]string{is("salIndex", queue)}, where...), since: since, newest: newest,
	}
}

func readScript(r row) (e ScriptEvent, err error) {
	if e.At, err = r.time(); err != nil {
		return ScriptEvent{}, err
	}
	if e.Path, err = r.text("path"); err != nil {
		return ScriptEvent{}, err
	}
	if e.Standard, err = r.flag("isStandard"); err != nil {
		return ScriptEvent{}, err
	}
	if _, ok := r.fields["executionId"]; ok {
		if e.ExecutionID, err = r.text("executionId"); err != nil {
			return ScriptEvent{}, err
		}
	}
	var process, script int
	for field, to := range map[string]*int{"scriptSalIndex": &e.Index, "processState": &process, "scriptState": &script, "cmdId": &e.CmdID} {
		if *to, err = r.integer(field); err != nil {
			return ScriptEvent{}, err
		}
	}
	e.ProcessState, e.ScriptState = ProcessState(process), ScriptState(script)
	for field, to := range map[string]*time.Time{
		"timestampProcessStart": &e.ProcessStart, "timestampConfigureStart": &e.ConfigureStart, "timestampConfigureEnd": &e.ConfigureEnd,
		"timestampRunStart": &e.RunStart, "timestampProcessEnd": &e.ProcessEnd,
	} {
		if *to, err = r.tai(field); err != nil {
			return ScriptEvent{}, err
		}
	}
	return e, nil
}

// Script reads the newest event, since then, of the script with this SAL index.
// It returns false if there is none, which means "not yet" until the lag has
// passed.
func (c *Client) Script(ctx context.Context, queue, index int, since time.Time) (ScriptEvent, bool, error) {
	rows, _, err := c.ask(ctx, scripts(queue, c.bound(since), true, is("scriptSalIndex", index)))
	if err != nil || len(rows[0]) == 0 {
		return ScriptEvent{}, false, err
	}
	e, err := readScript(rows[0][0])
	if err != nil {
		return ScriptEvent{}, false, fmt.Errorf("ScriptQueue:%d: script %d: %w", queue, index, err)
	}
	return e, true, nil
}

// bound allows for the skew of other machines' clocks, and keeps an unset time
// within InfluxDB's range.
func (c *Client) bound(since time.Time) time.Time {
	since = since.Add(-skew)
	if oldest := c.clk.Now().Add(-lookBack); since.Before(oldest) {
		return oldest
	}
	return since
}

// FindScript finds the script that was added to the queue under this identity
// since then, and returns its newest event.
//
// It searches the recorded commands for the identity as a word of descr; the
// script is the one whose cmdId is the private_seqNum of that command. Only if
// there is no such command does it search the scripts for one with the identity
// as executionId. That is weaker evidence: LOVE's commander keeps a parameter
// that was given once and uses it for others' commands that omit it, so that
// scripts added later may carry it too. The first one is returned.
//
// If no script is found, CommandedAt of the returned event says whether the
// command was recorded, and EFDTime how recent the EFD's data are. Until the
// lag has passed after the time of the command, "not found" means "not yet".
func (c *Client) FindScript(ctx context.Context, queue int, identity string, since time.Time) (ScriptEvent, bool, error) {
	if strings.TrimSpace(identity) == "" {
		return ScriptEvent{}, false, fmt.Errorf("find a script of ScriptQueue:%d: the identity is empty", queue)
	}
	since = c.bound(since)
	rows, _, err := c.ask(ctx,
		selection{component: "ScriptQueue", topic: "command_add", fields: []string{"descr", "path", "private_seqNum"}, where: []string{is("salIndex", queue)}, since: since},
		scripts(queue, since, false, says("executionId", identity)),
		// Of any queue, since the one in question may be down.
		selection{component: "ScriptQueue", topic: "logevent_heartbeat", fields: []string{"salIndex"}, since: c.clk.Now().Add(-c.lag - heartbeatLookBack), newest: true},
	)
	if err != nil {
		return ScriptEvent{}, false, err
	}
	seen := ScriptEvent{}
	if seen.EFDTime, err = newestTime(rows[2:]); err != nil {
		return seen, false, err
	}
	commands, err := addedUnder(identity, rows[0])
	if err != nil {
		return seen, false, err
	}
	var e ScriptEvent
	var found bool
	if len(commands) > 0 {
		seen.CommandedAt = commands[len(commands)-1].at
		e, found, err = c.scriptOf(ctx, queue, commands)
	} else {
		e, found, err = firstScript(rows[1])
	}
	if err != nil || !found {
		return seen, false, err
	}
	e.EFDTime = seen.EFDTime
	return e, true, nil
}

// command is an add command that the EFD recorded.
type command struct {
	seqNum int
	path   string
	at     time.Time
}

// addedUnder returns the commands, oldest first, that have the identity as a
// word of their descr.
func addedUnder(identity string, rows []row) ([]command, error) {
	var commands []command
	for _, r := range rows {
		descr, ok := r.fields["descr"].(string)
		if !ok || !carries(descr, identity) {
			continue
		}
		var k command
		var err error
		if k.seqNum, err = r.integer("private_seqNum"); err != nil {
			return nil, err
		}
		if k.path, err = r.text("path"); err != nil {
			return nil, err
		}
		if k.at, err = r.time(); err != nil {
			return nil, err
		}
		commands = append(commands, k)
	}
	return commands, nil
}

// carries reports whether the text contains the identity as a whole word:
// attempt 1 must not be found in the text of attempt 12.
func carries(text, identity string) bool {
	if text == identity {
		return true
	}
	words := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \t\r\n()[]{}<>,;'\"", r) })
	return slices.Contains(words, identity)
}

// scriptOf returns the newest event of the script that one of the commands
// added, starting with the last command. A sequence number is unique only to
// its sender, and only for a time, so the path and the time must match as well.
func (c *Client) scriptOf(ctx context.Context, queue int, commands []command) (ScriptEvent, bool, error) {
	var statements []selection
	for _, k := range commands {
		statements = append(statements, scripts(queue, k.at.Add(-skew), true, is("cmdId", k.seqNum), says("path", k.path)))
	}
	rows, _, err := c.ask(ctx, statements...)
	if err != nil {
		return ScriptEvent{}, false, err
	}
	for i, k := range slices.Backward(commands) {
		if len(rows[i]) == 0 {
			continue
		}
		e, err := readScript(rows[i][0])
		e.CommandedAt = k.at
		return e, err == nil, err
	}
	return ScriptEvent{}, false, nil
}

// firstScript returns the newest event of the script whose first event is the
// oldest.
func firstScript(rows []row) (ScriptEvent, bool, error) {
	var first, newest ScriptEvent
	for i, r := range rows {
		e, err := readScript(r)
		if err != nil {
			return ScriptEvent{}, false, err
		}
		if i == 0 {
			first = e
		}
		if e.Index == first.Index && e.CmdID == first.CmdID {
			newest = e
		}
	}
	return newest, len(rows) > 0, nil
}
