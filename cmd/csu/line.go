package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/lsst-ts/csu/executor/secret"
)

// errNoAnswer says that the terminal was closed while csu asked.
var errNoAnswer = errors.New("no answer: the terminal was closed")

// errInterrupted says that csu was interrupted while it asked, by a command that runs nothing.
var errInterrupted = fail(exitInterrupted, "", "interrupted")

// editor is the line at which an answer is typed. Only while there is one the terminal
// shows and edits nothing by itself. Ctrl-C stays the kernel's work: it reaches csu whatever
// it is doing. Ctrl-Z is a key meanwhile, so that csu can give the terminal back before it
// stops.
type editor struct {
	terminal *term.Terminal
	prompt   func(width int) string
	above    int // lines of the prompt above the one that is edited
	keys     keys
	typed    *io.PipeReader // what the terminal edits the line with
	feed     *io.PipeWriter
	suspend  chan struct{} // Ctrl-Z was typed
	mode     unix.Termios  // of the terminal when no line is edited
}

// readLine returns the next line that is typed behind the prompt, or ctx's
// error. What was typed before, when nothing was asked, is no answer: an operator
// who presses a key twice must not consent to what comes next.
func (s *screen) readLine(ctx context.Context, prompt func(width int) string) (string, error) {
	s.listen()
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGCONT, syscall.SIGWINCH)
	if !s.stoppable { // nobody else would give the terminal back
		signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	}
	defer signal.Stop(signals)
	e, err := s.edit(prompt)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errNoAnswer, err)
	}
	ended := false // without an answer
	defer func() { s.leave(e, ended) }()
	type result struct {
		line string
		err  error
	}
	results := make(chan result, 1)
	go func() {
		line, err := e.terminal.ReadLine()
		e.typed.Close() // what comes after the line is nobody's
		results <- result{line, err}
	}()
	var resized <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			_, _ = io.WriteString(e.feed, clearLine) // fails if a line was typed just now, which is too late
			e.feed.CloseWithError(ctx.Err())
			<-results
			ended = true
			return "", ctx.Err()
		case r := <-results:
			if errors.Is(r.err, errInterrupted) {
				fmt.Fprintln(s.out)
				return "", r.err
			}
			if r.err != nil {
				return "", fmt.Errorf("%w: %w", errNoAnswer, r.err)
			}
			return r.line, nil
		case <-e.suspend:
			s.suspend(e, signals)
			s.redraw(e)
		case got := <-signals:
			switch got {
			case syscall.SIGCONT: // after a SIGSTOP, or the laptop's sleep
				s.redraw(e)
			case syscall.SIGWINCH: // one of many while a window is dragged
				resized = time.After(resizeSettles)
			default:
				e.feed.CloseWithError(errInterrupted)
			}
		case <-resized:
			s.redraw(e)
		}
	}
}

// resizeSettles is how long a terminal must keep its size before the question is put in it
// once more.
const resizeSettles = 200 * time.Millisecond

// edit begins to edit a line.
func (s *screen) edit(prompt func(width int) string) (*editor, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.readErr != nil {
		return nil, s.readErr
	}
	e := &editor{prompt: prompt, suspend: make(chan struct{}, 1)}
	e.typed, e.feed = io.Pipe()
	if err := control(s.in, func(fd int) error {
		mode, err := unix.IoctlGetTermios(fd, readMode)
		if err == nil {
			e.mode = *mode
			err = setEditing(fd, flushMode, e.mode)
		}
		return err
	}); err != nil {
		return nil, fmt.Errorf("set the terminal's mode: %w", err)
	}
	e.terminal = term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{e.typed, s.raw}, "")
	e.terminal.History = &s.recalled
	e.terminal.SetBracketedPasteMode(true)
	_, _ = io.WriteString(s.raw, e.fit(s))
	s.editor = e
	return e, nil
}

// fit gives the prompt the terminal's width, and returns the lines above the one that is
// edited. The caller holds the lock.
func (e *editor) fit(s *screen) (above string) {
	height := s.measure()
	prompt := harmless(e.prompt(s.width))
	at := strings.LastIndex(prompt, "\n") + 1
	e.above = strings.Count(prompt[:at], "\n")
	_ = e.terminal.SetSize(s.width, height) // fails only where nothing can be written
	e.terminal.SetPrompt(prompt[at:])
	return prompt[:at]
}

// setEditing sets a mode in which csu shows and edits what is typed. Everything else stays
// as it is.
func setEditing(fd int, request uint, mode unix.Termios) error {
	mode.Lflag &^= unix.ICANON | unix.ECHO | unix.IEXTEN
	mode.Cc[unix.VMIN], mode.Cc[unix.VTIME], mode.Cc[unix.VSUSP] = 1, 0, noCharacter
	return unix.IoctlSetTermios(fd, request, &mode)
}

// rest gives the terminal back its own mode.
func (s *screen) rest(e *editor) {
	e.terminal.SetBracketedPasteMode(false)
	_ = control(s.in, func(fd int) error { return unix.IoctlSetTermios(fd, setMode, &e.mode) }) // fails if the terminal is gone
}

// leave ends the editing, and removes the prompt of a question that has ended without an
// answer, so that nothing is printed behind it.
func (s *screen) leave(e *editor, ended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.editor = nil
	s.rest(e)
	if !ended {
		return
	}
	if e.above > 0 {
		fmt.Fprintf(s.raw, "\x1b[%dA", e.above)
	}
	fmt.Fprint(s.raw, "\r\x1b[J")
}

// suspend stops csu and what it has started, as Ctrl-Z does where no line is edited, and
// returns when it continues. If there is no shell that could let it continue, the kernel
// does not stop it.
func (s *screen) suspend(e *editor, signals <-chan os.Signal) {
	s.mu.Lock()
	fmt.Fprintln(s.raw)
	s.rest(e)
	s.mu.Unlock()
	// The signal must keep its default: a Go program that has once asked for it is never
	// stopped by it again.
	if syscall.Kill(0, syscall.SIGTSTP) != nil {
		return
	}
	// A signal to itself may reach a process a little later. One tick may have been due
	// while it was stopped.
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range 3 {
		select {
		case <-tick.C:
		case got := <-signals:
			if got == syscall.SIGCONT {
				return
			}
		}
	}
}

// redraw puts the open question once more, with what is half typed: others may have written
// to the terminal or changed its mode, or it has another size.
func (s *screen) redraw(e *editor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = control(s.in, func(fd int) error { return setEditing(fd, setMode, e.mode) }) // fails if the terminal is gone
	e.terminal.SetBracketedPasteMode(true)
	above := e.fit(s)
	_, _ = io.WriteString(e.terminal, harmless(s.asked(*s.open))+above)
}

// listen begins to read what is typed, for as long as csu runs: a read that has
// begun can't be taken back when its question ends.
func (s *screen) listen() { s.reading.Do(func() { go s.read() }) }

func (s *screen) read() {
	buf := make([]byte, 4096)
	for {
		n, err := s.in.Read(buf)
		s.mu.Lock()
		e := s.editor
		if e == nil && n > 0 {
			s.unasked(strings.TrimRight(string(buf[:n]), "\r\n"))
		}
		if e == nil && err == io.EOF && s.measure() > 0 { // not the terminal's end but Ctrl-D
			s.unasked("Ctrl-D")
			err = nil
		}
		s.readErr = err
		s.mu.Unlock()
		if e != nil {
			e.takes(buf[:n], err)
		}
		if err != nil {
			return
		}
	}
}

// takes edits the line with what the terminal has sent.
func (e *editor) takes(read []byte, err error) {
	if bytes.IndexByte(read, ctrlZ) >= 0 && !e.keys.paste {
		select {
		case e.suspend <- struct{}{}:
		default:
		}
	}
	keys, several := e.keys.take(read)
	if several {
		keys = []byte(clearLine)
		_, _ = io.WriteString(e.terminal, "Several lines came at once; none of them is taken as an answer.\n")
	}
	if len(keys) > 0 {
		_, _ = e.feed.Write(keys) // fails if the line has ended, and these came too late
	}
	if err != nil {
		e.feed.CloseWithError(err)
	}
}

// unasked answers what is typed while no question is open. The caller holds the lock.
func (s *screen) unasked(line string) {
	s.block = append(s.block, 1) // the terminal has shown what was typed, and the line's end
	s.hide()
	if line == detailsKey && len(s.running) > 0 {
		s.text("", s.details())
	} else {
		fmt.Fprintf(s.out, "(No question is open: ignored %q.)\n", line)
	}
	s.draw()
}

// control calls f with the descriptor of a file, whose way of reading stays as it is.
func control(f *os.File, use func(fd int) error) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = use(int(fd)) }); err != nil {
		return err
	}
	return failed
}

// measure takes the terminal's present width and returns its height, 0 if it is gone.
func (s *screen) measure() (height int) {
	_ = control(s.in, func(fd int) error {
		width, high, err := term.GetSize(fd)
		if err == nil && width > 0 {
			s.width = width
		}
		if err == nil {
			height = max(1, high)
		}
		return err
	})
	return height
}

// recalled has the reasons and remarks that were typed, the newest last, for the keys Up and
// Down. Choices are not kept: an answer to one question, repeated by two keys, must not
// become the answer to another. Nothing of it is on any disk.
type recalled struct{ lines []string }

// Add implements [term.History]: the screen itself says what is kept.
func (*recalled) Add(string) {}

// Len implements [term.History].
func (r *recalled) Len() int { return len(r.lines) }

// At implements [term.History].
func (r *recalled) At(i int) string { return r.lines[len(r.lines)-1-i] }

func (r *recalled) keep(text string) {
	if text = secret.Redact(text); text == "" {
		return
	}
	r.lines = append(slices.DeleteFunc(r.lines, func(l string) bool { return l == text }), text)
}
