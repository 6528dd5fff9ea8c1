package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/lsst-ts/csu/executor/live"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/visible"
)

// screen shows a run: a line per event and, on a terminal, below them what runs
// and since when.
type screen struct {
	in        *os.File
	out       io.Writer // for texts
	raw       io.Writer // for what moves the cursor
	name      string    // the operator's, for answers
	terminal  bool
	width     int
	banner    string // shown with every stage of a rehearsed run
	now       func() time.Time
	zone      *time.Location           // the site's; nil where the times of no site are shown
	stoppable bool                     // somebody else takes the signals that stop csu
	usual     map[string]plan.Duration // how long each step usually takes, by its id; nil where that is not known
	limits    map[string]plan.Duration // of each step, by its id
	takes     map[string]plan.Duration // how long each stage takes, by its id
	numbers   map[string]int           // of the stages, from 1, by their ids
	look      func() *live.View        // returns the run as it is now, nil if that is not known; may be nil
	ring      time.Duration            // how long a question is open when the terminal's bell rings, again and again

	mu      sync.Mutex
	running []runningStep
	backlog []operator.Event   // what has happened while a question is open
	view    *live.View         // the run as it was a second ago, at most; nil if that is not known
	block   []int              // the widths of the lines below the events
	height  int                // of the terminal; 0 if that is not known
	said    int                // lines that were printed
	failure failure            // that was printed last
	asking  bool               // there is no block meanwhile
	open    *operator.Question // nil while no question is put
	since   time.Time          // when it was put first
	editor  *editor            // where an answer is typed now; nil otherwise
	readErr error              // why nothing can be read any more
	reading sync.Once

	recalled recalled // of the goroutine that asks
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
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGCONT, syscall.SIGWINCH)
	defer signal.Stop(changed)
	for {
		select {
		case <-ctx.Done():
			s.mu.Lock()
			s.hide()
			if s.editor != nil { // its question does not end before csu does
				s.rest(s.editor)
			}
			s.mu.Unlock()
			return
		case got := <-changed:
			s.mu.Lock()
			if got == syscall.SIGCONT {
				s.block = nil // what was shown is now somewhere above what the shell has written
			}
			s.redrawBlock()
			s.mu.Unlock()
		case <-tick.C:
			var view *live.View
			if s.look != nil {
				view = s.look()
			}
			s.mu.Lock()
			s.view = view
			s.redrawBlock()
			s.mu.Unlock()
		}
	}
}

// redrawBlock writes the block anew, for the terminal's present size. The caller holds the
// lock.
func (s *screen) redrawBlock() {
	if !s.asking {
		s.height = s.measure()
		s.hide()
		s.draw()
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
	if e.Kind == operator.StageStarted || e.Kind == operator.StageFinished {
		head += atSite(e.Time, s.zone)
	}
	s.text("", visible.Line(head))
	text := strings.TrimSpace(e.Text)
	if text != "" && text != e.Title {
		s.text("            ", text)
	}
	if e.Kind == operator.StepFailed {
		s.failure = failure{e.Step, text, s.said}
	}
}

// failure is one that was printed, after so many lines.
type failure struct {
	step, text string
	said       int
}

// once returns a question without the text of a failure that is still on the screen above
// it. Only its first put may leave it out.
func (s *screen) once(q operator.Question) operator.Question {
	f, room := s.failure, max(s.height, 24)/2
	if q.Topic == operator.Failed && f.step == q.Step && f.text != "" && s.terminal && s.said-f.said < room {
		q.Text = strings.Replace(q.Text, f.text, "see above", 1)
	}
	return q
}

// text prints lines: wrapped on a terminal; elsewhere as they are, for those who
// search them.
func (s *screen) text(indent, text string) {
	if s.terminal {
		text = wrap(indent, text, s.width)
	} else {
		text = indent + strings.ReplaceAll(text, "\n", "\n"+indent)
	}
	s.said += 1 + strings.Count(text, "\n")
	fmt.Fprintln(s.out, text)
}

// hide removes the block. If the terminal has become narrower since, it has broken the lines
// of the block.
func (s *screen) hide() {
	rows := 0
	for _, cells := range s.block {
		rows += max(1, (cells+s.width-1)/max(1, s.width))
	}
	if rows > 0 {
		fmt.Fprintf(s.raw, "\r\x1b[%dA\x1b[J", rows)
		s.block = nil
	}
}

// Ask implements [operator.Operator]. It is only called on a terminal.
func (s *screen) Ask(ctx context.Context, q operator.Question) (operator.Answer, error) {
	s.mu.Lock()
	if s.open, s.since = &q, q.Since; s.since.IsZero() {
		s.since = s.now()
	}
	s.mu.Unlock()
	s.put(true)
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
		s.asking, s.open = false, nil
		s.catchUp()
		s.draw()
		s.mu.Unlock()
	}()
	for {
		line, err := s.readLine(ctx, func(width int) string { return promptText(q, width) })
		if err != nil {
			return operator.Answer{}, err
		}
		bell.Reset(s.ring) // somebody is there
		if line = strings.TrimSpace(line); line == "" || line == again {
			if q.Refresh == nil {
				s.put(false)
				continue
			}
			s.say("csu looks again.")
			q.Refresh()
			<-ctx.Done() // the question is put again with what is seen now
			return operator.Answer{}, ctx.Err()
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
		case operator.SetAside:
			complete, err := s.readAside(ctx, q, &a)
			if err != nil {
				return operator.Answer{}, err
			}
			if !complete {
				s.say("Nothing was set aside.")
				continue
			}
		case operator.Abort:
			if q.AbortText != "" {
				s.say("%s", hanging(q.AbortText))
			}
			line, err := s.readLine(ctx, func(int) string { return "This cannot be undone. Type abort again to confirm: " })
			if err != nil {
				return operator.Answer{}, err
			}
			if strings.TrimSpace(line) != string(operator.Abort) {
				s.say("Nothing was aborted.")
				continue
			}
		}
		s.recalled.keep(a.Reason)
		return a, nil
	}
}

// put prints what has happened since the question was put before, the question,
// and what runs meanwhile. What was printed right above the question for the first time is
// not said again.
func (s *screen) put(first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hide()
	s.asking = true
	s.catchUp()
	q := *s.open
	if first {
		q = s.once(q)
	}
	text := s.asked(q)
	s.said += strings.Count(text, "\n")
	fmt.Fprint(s.out, text)
}

// asked is a question as it is printed, with what runs meanwhile.
func (s *screen) asked(q operator.Question) string {
	text := fmt.Sprintf("\n%s\n\n", questionText(q, s.width))
	if s.zone != nil {
		text += wrap("", s.openSince(), s.width) + "\n\n"
	}
	if running := stillRunning(q, s.running, s.width); running != "" {
		text += running + "\n\n"
	}
	return text
}

// openSince says when the question was put and, at a stage's consent, when the stage will
// end.
func (s *screen) openSince() string {
	text := "Asked at " + s.since.UTC().Format(time.TimeOnly) + " UTC" + atSite(s.since, s.zone)
	now := s.now()
	if waited := now.Sub(s.since).Truncate(time.Minute); waited > 0 {
		text += fmt.Sprintf(", %s ago", plan.Duration(waited))
	}
	text += "."
	if n := s.numbers[s.open.Stage]; n > 0 {
		text += fmt.Sprintf(" Stage %d of %d", n, len(s.numbers))
		if takes := s.takes[s.open.Stage]; takes > 0 {
			text += fmt.Sprintf(", which usually takes %s", takes)
		}
		text += "."
	}
	if takes := s.takes[s.open.Stage]; takes > 0 && s.open.Topic == operator.StageConsent {
		end := now.Add(time.Duration(takes))
		text += fmt.Sprintf(" If it starts now, the stage ends at about %s UTC%s.", end.UTC().Format("15:04"), atSite(end, s.zone))
	}
	return text
}

// readReason asks why a step is left out or counts as done, once more where nothing is
// typed, and returns "" where that is all there is to say.
func (s *screen) readReason(ctx context.Context, q operator.Question, c operator.Choice) (string, error) {
	why := "why is it skipped?"
	switch c {
	case operator.Accept:
		why = "why does it count as done?"
	case operator.SetAside:
		why = "why are they set aside?"
	}
	for asked := false; ; asked = true {
		line, err := s.readLine(ctx, func(width int) string { return promptAbout(q, why, width) })
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
