package love

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/lsst-ts/csu/executor/internal/gate"
)

// Positions for a script in its queue (SAL's Location).
const (
	First = 1
	Last  = 2
)

// Add describes a script to add to a ScriptQueue.
type Add struct {
	Queue       int    // SAL index of the ScriptQueue: 1 MTQueue, 2 ATQueue, 3 OCSQueue
	Path        string // below the root of the standard or external scripts
	Standard    bool
	Config      string // YAML
	Descr       string
	ExecutionID string
	Location    int // First or Last; 0 means Last
	LogLevel    int // as in Python; 0 means the script's own

	// Regular expressions; empty means none.
	PauseCheckpoint, StopCheckpoint string
}

// AddScript adds a script to its queue and returns the script's SAL index. The
// index is 0, without an error, if the acknowledgement does not name one.
//
// After a [RefusedError], an [UnreachableError] or an [AuthError] the script
// was not added. After a [NoAckError] that is in doubt.
func (c *Client) AddScript(ctx context.Context, a Add) (scriptIndex int, err error) {
	operation := fmt.Sprintf("add %q to ScriptQueue:%d", a.Path, a.Queue)
	location := a.Location
	if location == 0 {
		location = Last
	}
	switch {
	case a.Path == "":
		return 0, fmt.Errorf("%s: the script has no path", operation)
	case location != First && location != Last:
		return 0, fmt.Errorf("%s: location %d: want first (%d) or last (%d)", operation, location, First, Last)
	}
	ack, err := c.command(ctx, operation, a.Queue, "cmd_add", map[string]any{
		"isStandard":       a.Standard,
		"path":             a.Path,
		"config":           a.Config,
		"descr":            a.Descr,
		"executionId":      a.ExecutionID,
		"location":         location,
		"locationSalIndex": 0,
		"logLevel":         a.LogLevel,
		"pauseCheckpoint":  a.PauseCheckpoint,
		"stopCheckpoint":   a.StopCheckpoint,
		"block":            "",
		"blockSize":        0,
		"startBlock":       false,
	})
	if err != nil {
		return 0, err
	}
	index, err := strconv.Atoi(ack)
	if err != nil || index < 0 {
		return 0, nil // acknowledged nevertheless; the EFD has the index
	}
	return index, nil
}

// Resume lets the queue run, and clears a current script that has failed. The
// queue must be ENABLED. Its errors are those of [Client.AddScript].
func (c *Client) Resume(ctx context.Context, queue int) error {
	_, err := c.command(ctx, fmt.Sprintf("resume ScriptQueue:%d", queue), queue, "cmd_resume", map[string]any{})
	return err
}

// command sends a command to a ScriptQueue and returns the result in the
// acknowledgement.
func (c *Client) command(ctx context.Context, operation string, queue int, name string, params map[string]any) (string, error) {
	if queue < 1 {
		return "", fmt.Errorf("%s: the SAL index of a ScriptQueue must be 1 or more", operation)
	}
	body := map[string]any{"csc": "ScriptQueue", "salindex": queue, "cmd": name, "params": params}
	if _, err := c.authorize(ctx, operation, ""); err != nil {
		return "", err
	}
	// The gate comes after the login, which may have taken long.
	if err := gate.Pass(ctx); err != nil {
		return "", fmt.Errorf("%s: %w", operation, err)
	}
	r, err := c.authorized(ctx, operation, http.MethodPost, "cmd/", body, commandLimit)
	if err != nil {
		return "", err
	}
	switch {
	case r.err != nil && r.sent:
		return "", &NoAckError{Operation: operation, Err: r.err}
	case r.err != nil:
		return "", &UnreachableError{Operation: operation, Address: c.base, Err: r.err}
	case r.status == http.StatusOK:
		return c.acknowledged(operation, r)
	case r.status == http.StatusUnauthorized:
		return "", &AuthError{Operation: operation, Username: c.username, Status: r.status, Message: said(r)}
	case r.status >= 300 && r.status < 500 && r.status != http.StatusRequestTimeout:
		message := said(r)
		if message == "" && r.status != http.StatusForbidden {
			message = "is " + c.base + " the address of LOVE?"
		}
		return "", &RefusedError{Operation: operation, Status: r.status, Message: message}
	default:
		return "", &NoAckError{Operation: operation, Status: r.status, Message: said(r)}
	}
}

// acknowledged reads the acknowledgement of an answer with status 200. Today's
// commander answers 200 only for a completed command. Should another version
// pass on the words of a failed one, they are those of salobj: "Failed: " and
// the reason if the component refused it, "Aborted" or "Timeout" if it may have
// done half of it.
func (c *Client) acknowledged(operation string, r reply) (string, error) {
	var a struct {
		Ack any `json:"ack"`
	}
	d := json.NewDecoder(strings.NewReader(string(r.body)))
	d.UseNumber()
	if err := d.Decode(&a); err != nil {
		return "", &NoAckError{Operation: operation, Status: r.status, Message: "the answer is not JSON: is this LOVE's address?"}
	}
	var ack string
	switch v := a.Ack.(type) {
	case string:
		ack = strings.TrimSpace(v)
	case json.Number:
		ack = v.String()
	default:
		return "", &NoAckError{Operation: operation, Status: r.status, Message: "the answer has no acknowledgement: is this LOVE's address?"}
	}
	switch words := strings.ToLower(ack); {
	case strings.HasPrefix(words, "failed"), strings.HasPrefix(words, "command failed"):
		return "", &RefusedError{Operation: operation, Status: r.status, Message: said(r)}
	case words == "aborted", words == "timeout", strings.HasPrefix(words, "command time out"):
		return "", &NoAckError{Operation: operation, Status: r.status, Message: said(r)}
	}
	return ack, nil
}
