package remote

import (
	"context"
	_ "embed" // the scripts
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/internal/clock"
	"github.com/lsst-ts/csu/executor/internal/gate"
)

// The scripts that keep a detached command; see the package comment.
var (
	//go:embed start.sh
	startScript string
	//go:embed alive.sh
	aliveScript string
	//go:embed run.sh
	runScript string
	//go:embed look.sh
	lookScript string
	//go:embed forbid.sh
	forbidScript string
)

// A start that has not reached its pid file is checked again every settlePause,
// and abandoned after settleLimit. Normally it takes milliseconds.
const (
	settlePause = time.Second
	settleLimit = 15 * time.Second
)

// Status is what is known about a detached command. If Known is set, so is
// exactly one of Running, Exited and Gone.
type Status struct {
	Known      bool   // something was started under this name
	Running    bool   // the wrapper or the script is running
	Exited     bool   // it has ended by itself
	ExitStatus int    // if Exited
	Gone       bool   // it has no exit status and never will: killed, or the host was rebooted
	NotStarted bool   // with Gone: the script never began and never will
	Output     string // the end of its output, 4 KiB at most
	BootID     string // the host's current one
	StartedIn  string // the host's boot id when it was started, if known
}

var commandName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,199}$`)

func checkName(name string) error {
	if !commandName.MatchString(name) {
		return &ConfigError{Problem: fmt.Sprintf("%q is not a name for a detached command: want letters, digits, \".\", \"_\" and \"-\", starting with a letter, a digit or \"_\"", name)}
	}
	return nil
}

// Start starts a POSIX sh script detached under name, in the account's home
// directory. It returns as soon as the script is running.
//
// It returns [ErrExists] if the name has been used before, by any run. After a
// [*LostError] it is unknown whether the script was started; [Pool.Look] finds
// out. After any other error it was not started.
func (p *Pool) Start(ctx context.Context, t Target, name, script string) error {
	if err := checkName(name); err != nil {
		return err
	}
	fail := func(err error) error { return fmt.Errorf("start %q on %s: %w", name, t, err) }
	out, err := p.run(ctx, t, assign("name", name)+assign("script", script)+assign("run", aliveScript+runScript)+startScript, gate.Pass)
	var exit *ExitError
	if errors.As(err, &exit) {
		// start.sh exits with 0, so something must have killed it.
		return fail(&LostError{Host: t.Host, Err: err})
	}
	if err != nil {
		return fail(err)
	}
	reason, verdict := lastLine(out)
	switch verdict {
	case "started":
		return nil
	case "exists":
		return fail(ErrExists)
	case "failed":
		return fail(fmt.Errorf("nothing was started: %s", oneLine(reason)))
	default:
		return fail(&LostError{Host: t.Host, Err: fmt.Errorf("unexpected answer %q", oneLine(tail(out)))})
	}
}

// Look returns what is known about the detached command name. It only reads,
// except that it ends a start that hangs; see the package comment.
func (p *Pool) Look(ctx context.Context, t Target, name string) (Status, error) {
	return p.look(ctx, t, name, "")
}

// Forbid is like Look, for a command that was apparently not started. If the
// name is unused, Forbid takes it and reports NotStarted. A start whose
// connection was lost may still reach the host, minutes later if the network
// was down, and must then find the name taken. If the name cannot be taken (a
// full disk, no home directory), Known is not set.
func (p *Pool) Forbid(ctx context.Context, t Target, name string) (Status, error) {
	return p.look(ctx, t, name, forbidScript)
}

// look runs first, then look.sh.
func (p *Pool) look(ctx context.Context, t Target, name, first string) (Status, error) {
	if err := checkName(name); err != nil {
		return Status{}, err
	}
	var s Status
	var starting bool
	look := func(fence string) (err error) {
		out, err := p.run(ctx, t, assign("name", name)+assign("fence", fence)+first+aliveScript+lookScript, nil)
		if err == nil {
			s, starting, err = parseStatus(out)
		}
		return err
	}
	err := p.cfg.Clock.Poll(ctx, settlePause, settleLimit, func(context.Context) (bool, error) {
		err := look("")
		return !starting, err
	})
	if errors.Is(err, clock.ErrLimit) {
		if err = look("yes"); err == nil && starting {
			// The wrapper has claimed the pid file but failed to write its pid.
			// It ends without running the script, unless the write hangs.
			s.Gone = true
		}
	}
	if err != nil {
		return Status{}, fmt.Errorf("look at %q on %s: %w", name, t, err)
	}
	return s, nil
}

// parseStatus parses the output of look.sh.
func parseStatus(out string) (s Status, starting bool, err error) {
	boots, rest, _ := strings.Cut(out, "\n")
	state, output, found := strings.Cut(rest, "\n")
	if !found {
		return Status{}, false, fmt.Errorf("unexpected answer %q", oneLine(tail(out)))
	}
	boot, was, _ := strings.Cut(boots, " ")
	s = Status{Known: true, BootID: boot, StartedIn: was, Output: tail(output)}
	switch word, arg, _ := strings.Cut(state, " "); word {
	case "unknown":
		s.Known = false
	case "starting":
		return s, true, nil
	case "running":
		s.Running = true
	case "gone":
		s.Gone = true
	case "never":
		s.Gone, s.NotStarted = true, true
	case "exited":
		s.Exited = true
		if s.ExitStatus, err = strconv.Atoi(arg); err != nil {
			return Status{}, false, fmt.Errorf("unexpected exit status %q", arg)
		}
	default:
		return Status{}, false, fmt.Errorf("unexpected state %q", state)
	}
	return s, false, nil
}

// assign returns a variable assignment for a script.
func assign(name, value string) string { return name + "=" + quote(value) + "\n" }

// lastLine separates the last line of a script's output, its result, from the
// lines before.
func lastLine(out string) (before, last string) {
	out = strings.TrimRight(out, "\n")
	if i := strings.LastIndexByte(out, '\n'); i >= 0 {
		return out[:i], out[i+1:]
	}
	return "", out
}
