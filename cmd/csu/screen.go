package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/secret"
	"github.com/lsst-ts/csu/executor/visible"
)

// screen shows a run: a line per event and, on a terminal, below them what runs
// and since when.
type screen struct {
	in       io.Reader
	out      io.Writer // for texts
	raw      io.Writer // for what moves the cursor
	name     string    // the operator's, for answers
	terminal bool
	width    int
	banner   string // shown with every stage of a rehearsed run
	now      func() time.Time
	usual    map[string]plan.Duration // how long each step usually takes, by its id; nil where that is not known
	ring     time.Duration            // how long a question is open when the terminal's bell rings, again and again

	mu      sync.Mutex
	running []runningStep
	backlog []operator.Event // what has happened while a question is open
	shown   int              // lines of the block below the events
	asking  bool             // there is no block meanwhile
	prompt  string           // where an answer is typed now; "" otherwise
	line    chan<- string    // takes the answer that is waited for; nil otherwise
	readErr error            // why nothing can be read any more
	reading sync.Once
}

type runningStep struct {
	id, title, progress string
	since               time.Time
	usual               plan.Duration
}

func newScreen(c *console, name, banner string, now func() time.Time) *screen {
	return &screen{in: c.in, out: c.out, raw: c.raw, name: name, terminal: c.terminal, width: c.width, banner: banner, now: now, ring: bellAfter}
}

// bellAfter is how long csu waits for an answer before it calls the operator back, who may
// be on the phone or at another screen.
const bellAfter = 2 * time.Minute

// refresh keeps the durations in the block true until ctx ends, and takes in what
// is typed.
func (s *screen) refresh(ctx context.Context) {
	if !s.terminal {
		return
	}
	s.listen()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			s.mu.Lock()
			s.hide()
			s.mu.Unlock()
			return
		case <-tick.C:
			s.mu.Lock()
			if s.prompt == "" {
				s.hide()
				s.draw()
			}
			s.mu.Unlock()
		}
	}
}

// Tell implements [operator.Operator]. While a question is open at the terminal,
// what happens is kept until it is answered or put again: a line that comes in
// would hide what is half typed, and not what the terminal takes for an answer. Of
// what is told again and again meanwhile only the last is kept.
func (s *screen) Tell(e operator.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.follow(e)
	inBlock := e.Kind == operator.StepProgress && s.terminal
	if s.asking {
		if !inBlock {
			s.backlog = append(slices.DeleteFunc(s.backlog, func(k operator.Event) bool {
				return k.Kind == operator.Notice && e.Kind == operator.Notice && k.Step == e.Step && k.Text == e.Text
			}), e)
		}
		return
	}
	s.hide()
	defer s.draw()
	if !inBlock {
		s.print(e)
	}
}

// follow keeps in mind what runs.
func (s *screen) follow(e operator.Event) {
	i := slices.IndexFunc(s.running, func(r runningStep) bool { return r.id == e.Step })
	switch e.Kind {
	case operator.StepStarted:
		if i < 0 && e.Step != "" {
			s.running = append(s.running, runningStep{id: e.Step, title: e.Title, since: e.Time, usual: s.usual[e.Step]})
		}
	case operator.StepProgress:
		if i >= 0 {
			s.running[i].progress = e.Text
		}
	case operator.StepDone, operator.StepFailed, operator.StepSkipped, operator.StepInDoubt:
		if i >= 0 {
			s.running = slices.Delete(s.running, i, i+1)
		}
	}
}

// catchUp prints what has happened since the question was put.
func (s *screen) catchUp() {
	for _, e := range s.backlog {
		s.print(e)
	}
	s.backlog = nil
}

func (s *screen) print(e operator.Event) {
	what := e.Step
	if what == "" {
		what = e.Stage
	}
	if e.Kind == operator.StageStarted {
		fmt.Fprintln(s.out)
		if s.banner != "" {
			fmt.Fprintln(s.out, s.banner)
		}
	}
	head := fmt.Sprintf("%s  %-10s %s", e.Time.UTC().Format(time.TimeOnly), e.Kind, what)
	if e.Title != "" {
		head += "  " + e.Title
	}
	s.text("", visible.Line(head))
	if text := strings.TrimSpace(e.Text); text != "" && text != e.Title {
		s.text("            ", text)
	}
}

// text prints lines: wrapped on a terminal; elsewhere as they are, for those who
// search them.
func (s *screen) text(indent, text string) {
	if s.terminal {
		text = wrap(indent, text, s.width)
	} else {
		text = indent + strings.ReplaceAll(text, "\n", "\n"+indent)
	}
	fmt.Fprintln(s.out, text)
}

// hide removes the block, or the line at which an answer is typed.
func (s *screen) hide() {
	if s.prompt != "" {
		if lines := strings.Count(s.prompt, "\n"); lines > 0 {
			fmt.Fprintf(s.raw, "\x1b[%dA", lines)
		}
		fmt.Fprint(s.raw, "\r\x1b[J")
	}
	if s.shown > 0 {
		fmt.Fprintf(s.raw, "\r\x1b[%dA\x1b[J", s.shown)
		s.shown = 0
	}
}

// draw writes the block of what runs.
func (s *screen) draw() {
	if !s.terminal || s.asking || len(s.running) == 0 {
		return
	}
	now := s.now()
	for _, r := range s.running {
		line := fmt.Sprintf("   …  %s  %s", r.id, now.Sub(r.since).Truncate(time.Second))
		if r.progress != "" {
			line += "  " + strings.ReplaceAll(r.progress, "\n", " ")
		} else {
			line += "  " + r.title
		}
		line = visible.Line(secret.Redact(line))
		if cells := []rune(line); len(cells) > s.width-1 {
			line = string(cells[:s.width-2]) + "…"
		}
		fmt.Fprintln(s.out, line)
		s.shown++
	}
}

// Ask implements [operator.Operator]. It is only called on a terminal.
func (s *screen) Ask(ctx context.Context, q operator.Question) (operator.Answer, error) {
	s.put(q)
	bell := time.NewTicker(s.ring)
	defer bell.Stop()
	answered := make(chan struct{})
	defer close(answered)
	go func() {
		for {
			select {
			case <-bell.C:
				s.mu.Lock()
				fmt.Fprint(s.raw, "\a")
				s.mu.Unlock()
			case <-answered:
				return
			}
		}
	}()
	defer func() {
		s.mu.Lock()
		s.asking, s.prompt = false, ""
		s.catchUp()
		s.draw()
		s.mu.Unlock()
	}()
	for {
		line, err := s.readLine(ctx, promptText(q, s.width))
		if err != nil {
			return operator.Answer{}, err
		}
		bell.Reset(s.ring) // somebody is there
		if line = strings.TrimSpace(line); line == "" || line == again {
			s.put(q)
			continue
		}
		choice, remark, ok := answerFrom(line, q.Choices)
		if !ok {
			s.say("%q is not one of the choices; type a number, which a remark may follow, or a word.", line)
			continue
		}
		a := operator.Answer{Choice: choice, Reason: remark, By: s.name, Via: "terminal"}
		switch choice {
		case operator.Skip, operator.Accept:
			if a.Reason == "" {
				if a.Reason, err = s.readReason(ctx, q, choice); err != nil {
					return operator.Answer{}, err
				}
			}
			if a.Reason == "" {
				s.say("Nothing was %s.", map[operator.Choice]string{operator.Skip: "skipped", operator.Accept: "accepted"}[choice])
				continue
			}
		case operator.Abort:
			if q.AbortText != "" {
				s.say("%s", hanging(q.AbortText))
			}
			line, err := s.readLine(ctx, "This cannot be undone. Type abort again to confirm: ")
			if err != nil {
				return operator.Answer{}, err
			}
			if strings.TrimSpace(line) != string(operator.Abort) {
				s.say("Nothing was aborted.")
				continue
			}
		}
		return a, nil
	}
}

// put prints what has happened since the question was put before, the question,
// and what runs meanwhile.
func (s *screen) put(q operator.Question) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hide()
	s.asking = true
	s.catchUp()
	fmt.Fprintf(s.out, "\n%s\n\n", questionText(q, s.width))
	if running := stillRunning(q, s.running, s.width); running != "" {
		fmt.Fprintf(s.out, "%s\n\n", running)
	}
}

// readReason asks why a step is left out or counts as done, once more where nothing is
// typed, and returns "" where that is all there is to say.
func (s *screen) readReason(ctx context.Context, q operator.Question, c operator.Choice) (string, error) {
	why := "why is it skipped?"
	if c == operator.Accept {
		why = "why does it count as done?"
	}
	for asked := false; ; asked = true {
		line, err := s.readLine(ctx, promptAbout(q, why, s.width))
		if line = strings.TrimSpace(line); line != "" || asked || err != nil {
			return line, err
		}
		s.say("The journal records the reason, so that later readers know why. Enter an empty line again to return to the choices.")
	}
}

// show prints a question that is not put here, and what became of it.
func (s *screen) show(q operator.Question, note string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hide()
	defer s.draw()
	width := s.width
	if !s.terminal {
		width = math.MaxInt // as it is, for those who search it
	}
	q.Choices = nil
	fmt.Fprintf(s.out, "\n%s\n%s\n", questionText(q, width), wrap("  ", note, width))
}

func (s *screen) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintln(s.out, wrap("", fmt.Sprintf(format, args...), s.width))
}

// errNoAnswer says that the terminal was closed while csu asked.
var errNoAnswer = errors.New("no answer: the terminal was closed")

// readLine returns the next line that is typed behind the prompt, or ctx's
// error. What was typed before, when nothing was asked, is no answer: an operator
// who presses a key twice must not consent to what comes next.
func (s *screen) readLine(ctx context.Context, prompt string) (string, error) {
	s.listen()
	line := make(chan string, 1)
	s.mu.Lock()
	if s.readErr != nil {
		s.mu.Unlock()
		return "", fmt.Errorf("%w: %w", errNoAnswer, s.readErr)
	}
	s.line, s.prompt = line, prompt
	fmt.Fprint(s.out, prompt)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.line, s.prompt = nil, ""
		s.mu.Unlock()
	}()
	select {
	case <-ctx.Done():
		s.mu.Lock()
		s.hide() // nothing is to be printed behind it
		s.prompt = ""
		s.mu.Unlock()
		return "", ctx.Err()
	case text, ok := <-line:
		if !ok {
			return "", fmt.Errorf("%w: %w", errNoAnswer, s.readErr)
		}
		return text, nil
	}
}

// listen begins to read what is typed, for as long as csu runs: a read that has
// begun can't be taken back when its question ends.
func (s *screen) listen() { s.reading.Do(func() { go s.read() }) }

func (s *screen) read() {
	in := bufio.NewScanner(s.in)
	for in.Scan() {
		s.mu.Lock()
		if s.line != nil {
			s.line <- in.Text()
			s.line, s.prompt = nil, ""
		} else {
			s.shown++ // the terminal has shown what was typed, and the line's end
			s.hide()
			fmt.Fprintf(s.out, "(No question is open: ignored %q.)\n", in.Text())
			s.draw()
		}
		s.mu.Unlock()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.readErr = in.Err(); s.readErr == nil {
		s.readErr = io.EOF
	}
	if s.line != nil {
		close(s.line)
		s.line = nil
	}
}
