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

// A start that has not got as far as its pid file is looked at again, every
// settlePause, before it is given up after settleLimit. Normally it takes
// milliseconds.
const (
	settlePause = time.Second
	settleLimit = 15 * time.Second
)

// Status tells what is known about a detached command. Of Running, Exited and
// Gone, one is set if Known is.
type Status struct {
	Known      bool   // something was started under this name
	Running    bool   // the wrapper or the script lives
	Exited     bool   // it has ended by itself
	ExitStatus int    // where it has exited
	Gone       bool   // no exit status, and none will come: killed, or the host was rebooted
	NotStarted bool   // with Gone: the script never began and never will
	Output     string // the end of its output, 4 KiB at most
	BootID     string // of the host, now
	StartedIn  string // the host's boot id when it was started, where that is known
}

var commandName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,199}$`)

func checkName(name string) error {
	if !commandName.MatchString(name) {
		return &ConfigError{Problem: fmt.Sprintf("%q can't name a detached command; want letters, digits, \".\", \"_\" and \"-\", the first a letter, a digit or \"_\"", name)}
	}
	return nil
}

// Start starts a POSIX sh script detached under name, in the home directory of
// the account. It returns as soon as the script runs.
//
// Errors: [ErrExists] where something was started under that name before, by
// whomever; [*LostError] where it is unknown whether it was started, which
// [Pool.Look] tells; with any other the script was not started.
func (p *Pool) Start(ctx context.Context, t Target, name, script string) error {
	if err := checkName(name); err != nil {
		return err
	}
	fail := func(err error) error { return fmt.Errorf("start %q on %s: %w", name, t, err) }
	out, err := p.run(ctx, t, assign("name", name)+assign("script", script)+assign("run", aliveScript+runScript)+startScript, gate.Pass)
	var exit *ExitError
	if errors.As(err, &exit) {
		// start.sh ends with 0; something has ended it.
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

// Look tells what is known about the detached command name. It only reads,
// but for a start that hangs, which it ends; see the package comment.
func (p *Pool) Look(ctx context.Context, t Target, name string) (Status, error) {
	return p.look(ctx, t, name, "")
}

// Forbid is Look for a command that seems not to have been started. It takes the
// name if nothing was started under it, and then reports NotStarted: a start
// whose connection was lost may still come to the host, after minutes where the
// network was away, and must find the name taken. Where the name can't be taken
// (a full disk, no home), Known is not set.
func (p *Pool) Forbid(ctx context.Context, t Target, name string) (Status, error) {
	return p.look(ctx, t, name, forbidScript)
}

// look runs first and then looks.
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
			// The wrapper has the claim and did not manage to write its pid.
			// It ends without running the script, unless the write hangs.
			s.Gone = true
		}
	}
	if err != nil {
		return Status{}, fmt.Errorf("look at %q on %s: %w", name, t, err)
	}
	return s, nil
}

// parseStatus reads what look.sh prints.
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

// assign sets a variable for a script.
func assign(name, value string) string { return name + "=" + quote(value) + "\n" }

// lastLine splits the verdict of a script from what it printed before.
func lastLine(out string) (before, last string) {
	out = strings.TrimRight(out, "\n")
	if i := strings.LastIndexByte(out, '\n'); i >= 0 {
		return out[:i], out[i+1:]
	}
	return "", out
}
