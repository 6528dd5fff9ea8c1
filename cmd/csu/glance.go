package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/live"
	"github.com/lsst-ts/csu/executor/systems"
	"github.com/lsst-ts/csu/executor/timeline"
)

// A glance is what csu status sees of a run: its journal or, without one, the cluster's copy.
type glance struct {
	*looker
	cmd     *statusCommand
	console *console
	held    bool // a csu is at work on the journal

	asked  time.Time // when the ledger was asked last
	copied *live.View
	note   string
	next   string
}

// ledgerEvery is how often a glance asks the site's ledger: the csu at work renews it each
// minute.
const ledgerEvery = 10 * time.Second

// here returns the view of the journal that is here; nil if there is none.
func (g *glance) here() (*live.View, error) {
	err := g.read()
	if errors.Is(err, fs.ErrNotExist) || err == nil && g.log.State().Records == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if g.held, err = journal.Held(g.journal); err != nil {
		return nil, err
	}
	var now *live.Now
	if g.held {
		now = live.Read(g.journal)
	}
	s := g.log.State()
	v := g.view(g.held, now)
	if !g.held && !s.Released && systems.UsesCluster(g.plan) {
		if time.Since(g.asked) >= ledgerEvery {
			g.note, g.next = g.cmd.fromLedger(g.plan, g.digest, g.journal, s)
			g.asked = time.Now()
		}
	} else {
		g.note, g.next = "", ""
	}
	v.Note, v.Next = g.note, cmp.Or(g.next, g.console.next(g.cmd, s, g.held))
	return v, nil
}

// look returns the view of the journal that is here or, without one, of the cluster's copy.
func (g *glance) look() (*live.View, error) {
	v, err := g.here()
	if v != nil || err != nil {
		return v, err
	}
	if g.copied != nil && time.Since(g.asked) < ledgerEvery {
		return g.copied, nil
	}
	if g.copied, err = g.elsewhere(); err != nil {
		return nil, err
	}
	g.asked = time.Now()
	return g.copied, nil
}

// elsewhere returns the view of the cluster's copy of the journal.
func (g *glance) elsewhere() (*live.View, error) {
	empty := timeline.NewLog(g.plan, g.digest)
	g.log = empty
	start := fmt.Sprintf("csu exec %s%s", g.cmd.Plan, g.cmd.flags())
	if !systems.UsesCluster(g.plan) {
		v := g.view(false, nil)
		v.Next = start
		return v, nil
	}
	l, err := g.cmd.ledger(g.plan)
	if err != nil {
		return nil, fail(exitFailed, "check that the cluster is reachable", "there is no journal %q here, and the site's ledger cannot be read: %w", shown(g.journal), err)
	}
	lines, _, err := journal.Unpack(l.Copy)
	h := l.Holder
	mine := h != nil && h.Digest == g.digest
	if err != nil || l.Head.Digest != g.digest {
		v := g.view(false, nil)
		v.Next = start
		switch {
		case h != nil && !mine:
			v.Note = fmt.Sprintf("%s is taken by run %s of plan %q, led by %s on %s since %s.", g.plan.Site, h.Run, h.Plan, h.Operator, h.Host, utc(h.Since))
			v.Next = fmt.Sprintf("wait until that run has ended, or ask %s", h.Operator)
		case mine:
			v.Note = fmt.Sprintf("Run %s of this plan is led by %s on %s; the site's ledger has no copy of its journal.", h.Run, h.Operator, h.Host)
			v.Next = fmt.Sprintf("ask %s", h.Operator)
		}
		return v, nil
	}
	log := timeline.NewLog(g.plan, g.digest)
	if err := journal.Lines("the cluster's copy", strings.NewReader(string(lines)), log.Take); err != nil {
		return nil, err
	}
	g.log, g.size = log, -1
	working := mine && h.Process != "" && h.To == ""
	v := g.view(working, nil)
	copied := l.Head.Time
	if mine {
		copied = h.Renewed
	}
	copied = copied.UTC()
	v.Copied = &copied
	switch {
	case working:
		v.Note = fmt.Sprintf("Its csu on %s was heard last at %s by its clock.", h.Host, utc(h.Renewed))
		v.Next = fmt.Sprintf("ask %s; to resume the run here after its csu has ended: %s", h.Operator, g.cmd.takeover())
	case log.State().Ended == "":
		v.Next = "to resume the run here: " + g.cmd.takeover()
	default:
		v.Next = "nothing; its journal is where the plan was carried out"
	}
	return v, nil
}

// watch shows the run until Ctrl-C: on a terminal on the whole screen, each second anew;
// elsewhere each time that a record was added.
func (g *glance) watch() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	f, isFile := g.console.raw.(*os.File)
	terminal := isFile && term.IsTerminal(int(f.Fd()))
	zone, colour := zoneOf(g.plan), g.console.style().Colour
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, syscall.SIGWINCH, syscall.SIGCONT)
	defer signal.Stop(resized)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	w := g.console.raw
	if terminal {
		io.WriteString(w, "\x1b[?1049h\x1b[?25l") // another screen, without a cursor
		defer io.WriteString(w, "\x1b[?25h\x1b[?1049l")
	}
	records, phase := -1, live.Phase("")
	for {
		v, err := g.look()
		switch {
		case err != nil && (!terminal || records < 0):
			return err
		case terminal:
			width, height, sizeErr := term.GetSize(int(f.Fd()))
			if sizeErr != nil {
				width, height = 80, 24
			}
			var lines []string
			if err != nil { // the cluster is away for a moment
				lines = strings.Split(wrap("", harmless(err.Error()), width), "\n")
			} else {
				lines = panelOf(v, width, height-1, zone, colour)
				records = v.Records
			}
			io.WriteString(w, "\x1b[H"+strings.Join(lines, "\x1b[K\r\n")+"\x1b[K\x1b[J")
		case v.Records != records || v.Phase != phase:
			records, phase = v.Records, v.Phase
			for _, l := range panelOf(v, 1<<15, 0, zone, false) {
				fmt.Fprintln(w, l)
			}
			fmt.Fprintln(w)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-resized:
		case <-tick.C:
		}
	}
}
