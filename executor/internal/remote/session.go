package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/lsst-ts/csu/executor/secret"
)

// outputLimit limits how much of a script's output is kept. Scripts print
// little; one that prints more is broken and must not fill the memory.
const outputLimit = 1 << 20

// session is one channel of a connection, for one script.
type session struct {
	host     string // for messages
	login    string
	channel  ssh.Channel
	requests <-chan *ssh.Request
	conn     *conn
}

// end returns the channel.
func (s *session) end() {
	s.channel.Close()
	<-s.conn.slots
}

// outcome is the result of a script.
type outcome struct {
	host, login    string
	stdout, stderr string
	ended          bool // the server reported how it ended
	status         int
	signal         string
}

// execute sends the exec request and waits for its end. Every error other than
// a refused request is a [*LostError].
func (s *session) execute(ctx context.Context, command string) (*outcome, error) {
	type answer struct {
		outcome *outcome
		err     error
	}
	answers := make(chan answer, 1)
	go func() {
		o, err := s.exchange(command)
		answers <- answer{o, err}
	}()
	select {
	case a := <-answers:
		return a.outcome, a.err
	case <-ctx.Done():
		return nil, &LostError{Host: s.host, Err: ctx.Err()}
	}
}

func (s *session) exchange(command string) (*outcome, error) {
	o := &outcome{host: s.host, login: s.login}
	var work sync.WaitGroup
	work.Go(func() { o.follow(s.requests) })
	accepted, err := s.channel.SendRequest("exec", true, ssh.Marshal(struct{ Command string }{command}))
	if err != nil {
		return nil, &LostError{Host: s.host, Err: err}
	}
	if !accepted {
		return nil, &AuthError{Host: s.host, User: s.login, Reason: "the server lets this account log in but runs no commands for it"}
	}
	// The script has no input. If this fails, the connection is breaking, which
	// the reads below will notice.
	_ = s.channel.CloseWrite()
	var stdout, stderr limited
	work.Go(func() { io.Copy(&stdout, s.channel) })
	work.Go(func() { io.Copy(&stderr, s.channel.Stderr()) })
	work.Wait()
	if !o.ended {
		return nil, &LostError{Host: s.host, Err: errors.New("the connection ended before the script did")}
	}
	if stdout.over {
		return nil, &LostError{Host: s.host, Err: fmt.Errorf("the script printed more than %d bytes, so its output is incomplete", outputLimit)}
	}
	o.stdout, o.stderr = stdout.buf.String(), stderr.buf.String()
	return o, nil
}

// follow reads how the script ended, until the channel closes.
func (o *outcome) follow(requests <-chan *ssh.Request) {
	for r := range requests {
		switch r.Type {
		case "exit-status":
			var m struct{ Status uint32 }
			if ssh.Unmarshal(r.Payload, &m) == nil {
				o.ended, o.status = true, int(m.Status)
			}
		case "exit-signal":
			var m struct {
				Signal     string
				CoreDumped bool
				Message    string
				Language   string
			}
			if ssh.Unmarshal(r.Payload, &m) == nil {
				o.ended, o.status, o.signal = true, -1, m.Signal
			}
		}
		if r.WantReply {
			// If the answer cannot be sent, the connection is gone, which ends
			// this loop.
			_ = r.Reply(false, nil)
		}
	}
}

// verdict returns the script's output, or an error.
func (o *outcome) verdict(t Target, m mark) (string, error) {
	stdout, begun := m.after(o.stdout)
	stderr, marked := m.after(o.stderr)
	if !marked {
		stderr = o.stderr
	}
	stderr = strings.TrimSpace(tail(stderr))
	switch {
	case !begun && t.Via == ViaSudo:
		return "", &SudoError{Host: o.host, User: t.User, Status: o.status, Stderr: stderr}
	case !begun:
		reason := "the login shell of this account did not run the script"
		if said := oneLine(strings.TrimSpace(tail(o.stdout)) + "\n" + stderr); said != "" {
			reason += ": " + said
		}
		return "", &AuthError{Host: o.host, User: o.login, Reason: reason}
	case o.status != 0 || o.signal != "":
		return "", &ExitError{Status: o.status, Signal: o.signal, Stderr: stderr}
	}
	return stdout, nil
}

// tailLimit is how much of a command's output is shown, in bytes.
const tailLimit = 4096

// tail returns the end of s.
func tail(s string) string {
	s = secret.Redact(s) // here, since half a secret is not found later
	if len(s) > tailLimit {
		s = s[len(s)-tailLimit:]
	}
	return strings.ToValidUTF8(s, "")
}

// limited keeps the first outputLimit bytes and discards the rest, so that the
// script does not block.
type limited struct {
	buf  bytes.Buffer
	over bool
}

func (l *limited) Write(p []byte) (int, error) {
	room := outputLimit - l.buf.Len()
	if len(p) > room {
		l.over = true
		l.buf.Write(p[:room])
	} else {
		l.buf.Write(p)
	}
	return len(p), nil
}
