package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/lsst-ts/csu/executor/operator"
)

// screen shows a run: a line per event and, on a terminal, below them what runs
// and since when.
type screen struct {
	out      io.Writer
	name     string // the operator's, for answers
	terminal bool
	width    int
	banner   string // shown with every stage of a rehearsed run
	now      func() time.Time

	mu      sync.Mutex
	running []runningStep
	shown   int  // lines of the block below the events
	asking  bool // the block is hidden
	lines   chan string
	readErr error
}

type runningStep struct {
	id, title, progress string
	since               time.Time
}

func newScreen(c *console, name, banner string, now func() time.Time) *screen {
	return &screen{out: c.out, name: name, terminal: c.terminal, width: c.width, banner: banner, now: now}
}

// refresh keeps the durations in the block true until ctx ends.
func (s *screen) refresh(ctx context.Context) {
	if !s.terminal {
		return
	}
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
			s.hide()
			s.draw()
			s.mu.Unlock()
		}
	}
}

// Tell implements [operator.Operator].
func (s *screen) Tell(e operator.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hide()
	defer s.draw()
	i := slices.IndexFunc(s.running, func(r runningStep) bool { return r.id == e.Step })
	switch e.Kind {
	case operator.StepStarted:
		if i < 0 && e.Step != "" {
			s.running = append(s.running, runningStep{id: e.Step, title: e.Title, since: e.Time})
		}
	case operator.StepProgress:
		if i >= 0 {
			s.running[i].progress = e.Text
		}
		if s.terminal {
			return // it stands in the block
		}
	case operator.StepDone, operator.StepFailed, operator.StepSkipped, operator.StepInDoubt:
		if i >= 0 {
			s.running = slices.Delete(s.running, i, i+1)
		}
	}
	s.print(e)
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
	head := fmt.Sprintf("%s  %-10s %s", e.Time.Format("15:04:05"), e.Kind, what)
	if e.Title != "" {
		head += "  " + e.Title
	}
	fmt.Fprintln(s.out, head)
	if text := strings.TrimSpace(e.Text); text != "" && text != e.Title {
		for _, line := range strings.Split(text, "\n") {
			fmt.Fprintf(s.out, "            %s\n", line)
		}
	}
}

// hide removes the block.
func (s *screen) hide() {
	if s.shown > 0 {
		fmt.Fprintf(s.out, "\x1b[%dA\x1b[J", s.shown)
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
		if cells := []rune(line); len(cells) > s.width-1 {
			line = string(cells[:s.width-2]) + "…"
		}
		fmt.Fprintln(s.out, line)
		s.shown++
	}
}

// Ask implements [operator.Operator]. It is only called on a terminal.
func (s *screen) Ask(ctx context.Context, q operator.Question) (operator.Answer, error) {
	s.mu.Lock()
	s.hide()
	s.asking = true
	fmt.Fprintf(s.out, "\n%s\n", questionText(q))
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.asking = false
		s.draw()
		s.mu.Unlock()
	}()
	for {
		s.prompt(q.Choices)
		line, err := s.readLine(ctx)
		if err != nil {
			return operator.Answer{}, err
		}
		choice, ok := choose(line, q.Choices)
		if !ok {
			fmt.Fprintf(s.out, "%q is none of these.\n", line)
			continue
		}
		a := operator.Answer{Choice: choice, By: s.name, Via: "terminal"}
		if choice == operator.Skip {
			fmt.Fprint(s.out, "Why is it left out? ")
			if a.Reason, err = s.readLine(ctx); err != nil {
				return operator.Answer{}, err
			}
			if strings.TrimSpace(a.Reason) == "" {
				fmt.Fprintln(s.out, "Skipping wants a reason, which the journal keeps.")
				continue
			}
		}
		return a, nil
	}
}

// prompt lists the choices with their numbers.
func (s *screen) prompt(choices []operator.Choice) {
	var parts []string
	for i, c := range choices {
		parts = append(parts, fmt.Sprintf("%d %s", i+1, c))
	}
	fmt.Fprintf(s.out, "%s > ", strings.Join(parts, "   "))
}

// choose takes a choice by its number, its word or the word's beginning where
// that is not ambiguous.
func choose(line string, choices []operator.Choice) (operator.Choice, bool) {
	line = strings.ToLower(strings.TrimSpace(line))
	if line == "" {
		return "", false
	}
	if n, err := strconv.Atoi(line); err == nil {
		if n < 1 || n > len(choices) {
			return "", false
		}
		return choices[n-1], true
	}
	var found []operator.Choice
	for _, c := range choices {
		if string(c) == line {
			return c, true
		}
		if strings.HasPrefix(string(c), line) {
			found = append(found, c)
		}
	}
	if len(found) == 1 {
		return found[0], true
	}
	return "", false
}

// readLine returns the next line that is typed, or ctx's error.
func (s *screen) readLine(ctx context.Context) (string, error) {
	s.mu.Lock()
	if s.lines == nil {
		s.lines = make(chan string)
		go s.read()
	}
	lines := s.lines
	s.mu.Unlock()
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case line, ok := <-lines:
		if !ok {
			return "", fmt.Errorf("read an answer from the terminal: %w", s.readErr)
		}
		return line, nil
	}
}

// read hands over what is typed for as long as csu runs: a read that has begun
// can't be taken back when its question ends.
func (s *screen) read() {
	defer close(s.lines)
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		s.lines <- in.Text()
	}
	s.readErr = in.Err()
	if s.readErr == nil {
		s.readErr = io.EOF
	}
}
