package remote

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// askLimit limits a program that only answers: ssh -G, whose Match blocks may
// run commands, a KnownHostsCommand, ssh-keygen.
const askLimit = 20 * time.Second

// offstage makes a program that csu starts keep away from csu's terminal. It gets
// a session of its own, and so no controlling terminal to ask or write on, and
// no standard input unless the caller sets one. Canceling ends its children too.
func offstage(cmd *exec.Cmd) *exec.Cmd {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second // for output that a child of a child holds open
	return cmd
}

// ask runs a program offstage and returns its standard output. The error has what
// it wrote to its standard error.
func ask(ctx context.Context, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, askLimit, fmt.Errorf("no answer within %v", askLimit))
	defer cancel()
	cmd := offstage(exec.CommandContext(ctx, name, args...))
	var out, said limited
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case errors.Is(err, exec.ErrWaitDelay): // it has ended; a child of it has not
		err = nil
	case err == nil && out.over:
		err = fmt.Errorf("it printed more than %d bytes", outputLimit)
	}
	if err != nil {
		return out.buf.String(), &saidError{Err: err, Said: said.buf.String()}
	}
	return out.buf.String(), nil
}

// saidError is the error of a program with what it said.
type saidError struct {
	Err  error
	Said string // its standard error
}

func (e *saidError) Error() string {
	if said := oneLine(tail(e.Said)); said != "" {
		return fmt.Sprintf("%v: %s", e.Err, said)
	}
	return e.Err.Error()
}

func (e *saidError) Unwrap() error { return e.Err }

// overheard keeps what a running program writes to its standard error.
type overheard struct {
	mu   sync.Mutex
	said limited
}

func (o *overheard) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.said.Write(p)
}

func (o *overheard) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return oneLine(tail(o.said.buf.String()))
}
