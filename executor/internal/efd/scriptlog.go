package efd

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// LogMessage is a message that a script has logged.
type LogMessage struct {
	At    time.Time
	Level int // a Python logging level
	// Message is the message, and for an exception the last line of its traceback.
	Message string
}

// warning is the Python logging level WARNING.
const warning = 30

// String returns the time, the name of the level and the message.
func (m LogMessage) String() string {
	level := fmt.Sprintf("level %d", m.Level)
	for n, name := range map[int]string{30: "WARNING", 40: "ERROR", 50: "CRITICAL"} {
		if m.Level == n {
			level = name
		}
	}
	return fmt.Sprintf("%s UTC %s %s", m.At.UTC().Format(time.DateTime), level, m.Message)
}

// ScriptLog returns what a script with this SAL index has said of itself since then: the
// reason for its last state, or "", and the newest messages of level WARNING and above,
// at most so many, the oldest first.
//
// The events are Script.logevent_state and logevent_logMessage of lsst-ts/ts_xml at
// 6f618fe (Script_Events.xml, SALGenerics.xml). A script that fails in its run says so in
// both (lsst-ts/ts_salobj at 067c83b, base_script.py, do_run).
func (c *Client) ScriptLog(ctx context.Context, index int, since time.Time, most int) (reason string, messages []LogMessage, err error) {
	since = c.bound(since)
	rows, _, err := c.ask(ctx,
		selection{component: "Script", topic: "logevent_state", fields: []string{"reason"}, where: []string{is("salIndex", index)}, since: since, newest: true},
		selection{
			component: "Script", topic: "logevent_logMessage", fields: []string{"level", "message", "traceback"},
			where: []string{is("salIndex", index), fmt.Sprintf("level >= %d", warning)}, since: since,
		},
	)
	if err != nil {
		return "", nil, err
	}
	if len(rows[0]) > 0 {
		if reason, err = rows[0][0].text("reason"); err != nil {
			return "", nil, fmt.Errorf("log of script %d: %w", index, err)
		}
	}
	for _, r := range rows[1][max(0, len(rows[1])-most):] {
		m, err := readMessage(r)
		if err != nil {
			return "", nil, fmt.Errorf("log of script %d: %w", index, err)
		}
		messages = append(messages, m)
	}
	return reason, messages, nil
}

func readMessage(r row) (m LogMessage, err error) {
	if m.At, err = r.time(); err != nil {
		return m, err
	}
	if m.Level, err = r.integer("level"); err != nil {
		return m, err
	}
	if m.Message, err = r.text("message"); err != nil {
		return m, err
	}
	traceback, err := r.text("traceback")
	if err != nil {
		return m, err
	}
	if traceback = strings.TrimSpace(traceback); traceback != "" {
		m.Message += ": " + traceback[strings.LastIndexByte(traceback, '\n')+1:]
	}
	return m, nil
}
