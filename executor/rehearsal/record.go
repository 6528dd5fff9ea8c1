package rehearsal

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/lsst-ts/csu/executor/secret"
)

// The systems of a site, as effects name them.
const (
	SystemQueue    = "queue"
	SystemCSC      = "csc"
	SystemHost     = "host"
	SystemCluster  = "cluster"
	SystemArgoCD   = "argocd"
	SystemRegistry = "registry"
	SystemSlack    = "slack"
	SystemFault    = "fault"
)

// The kinds of effects, by system.
const (
	ScriptAdded    = "script added"   // subject: queue; identity: the script's description
	ScriptEnded    = "script ended"   // detail: path and end
	QueuePaused    = "queue paused"   // detail: why
	QueueResumed   = "queue resumed"  //
	CSCFound       = "found"          // not an effect: the CSC before the upgrade; detail: state, or "silent"
	StateChanged   = "state changed"  // subject: CSC; detail: "OLD -> NEW"
	CSCUp          = "up"             // its process is up and heard; detail: state
	CSCDown        = "down"           // its process has ended; detail: why
	CSCDuplicate   = "second process" // it was started while it was running, which does harm
	CommandRun     = "command"        // subject: host; detail: argv; identity: account
	ServiceStop    = "service stopped"
	ServiceStart   = "service started"
	Rebooted       = "rebooted"
	HostUp         = "host up"
	JobCreated     = "job created" // subject: namespace/name; detail: image; identity: UID
	PodHeld        = "pod held"    // subject: namespace/name; detail: the object that it needs
	JobDeleted     = "job deleted" // identity: UID
	NamespaceGone  = "namespace deleted"
	LedgerClaimed  = "ledger claimed"  // by a csu; identity: the run; detail: the epoch
	LedgerReleased = "ledger released" // identity: the run that had the site
	SyncStarted    = "sync started"    // subject: application; identity: the operation's info
	SyncEnded      = "sync ended"      // detail: phase and message
	LevelChanged   = "level changed"   // subject: "global" or the subject; detail: "OLD -> NEW"
	MessagePosted  = "message posted"  // subject: channel; detail: text
	FaultBegan     = "fault began"     // subject: the fault; detail: its sentence
	FaultOver      = "fault over"      //
	FaultFailed    = "fault failed"    // the fault could not be simulated; detail: why
)

// Effect is one thing that happened at the site.
type Effect struct {
	Seq      int       `json:"seq"`
	Time     time.Time `json:"time"` // the site's time
	System   string    `json:"system"`
	Kind     string    `json:"kind"`
	Subject  string    `json:"subject"`
	Detail   string    `json:"detail,omitempty"`
	Identity string    `json:"identity,omitempty"` // of the operation that caused it, or a UID
	Detached string    `json:"detached,omitempty"` // a command: csu's name for the detached commands that it is one of
}

// recorder keeps the effects, in memory and as JSON lines in a file.
type recorder struct {
	mu      sync.Mutex
	now     func() time.Time
	file    *os.File
	effects []Effect
	err     error // the first failure to write
}

func newRecorder(name string, now func() time.Time) (*recorder, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("create the site's record: %w", err)
	}
	return &recorder{now: now, file: f}, nil
}

// add records an effect. If the line cannot be written, [recorder.close] returns the
// error, since the effect has happened anyway.
func (r *recorder) add(e Effect) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.Seq = len(r.effects) + 1
	e.Time = r.now().UTC()
	e.Subject, e.Detail, e.Identity = secret.Redact(e.Subject), secret.Redact(e.Detail), secret.Redact(e.Identity)
	r.effects = append(r.effects, e)
	line, err := json.Marshal(e)
	if err == nil {
		_, err = r.file.Write(append(line, '\n'))
	}
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("write the site's record: %w", err)
	}
}

func (r *recorder) all() []Effect {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.effects)
}

func (r *recorder) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.file.Close(); err != nil && r.err == nil {
		r.err = fmt.Errorf("close the site's record: %w", err)
	}
	return r.err
}

// ReadRecord reads the record that a site has written, record.jsonl in its folder. It
// ignores an incomplete last line, which a killed site may leave.
func ReadRecord(name string) ([]Effect, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read the site's record: %w", err)
	}
	defer f.Close()
	var effects []Effect
	lines := bufio.NewReader(f)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return effects, nil // the end, or an incomplete line
		}
		var e Effect
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("read the site's record %q: line %d: %w", name, n, err)
		}
		effects = append(effects, e)
	}
}
