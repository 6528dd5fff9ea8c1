package main

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/campaign"
	"github.com/lsst-ts/csu/executor/rehearsal"
	"github.com/lsst-ts/csu/executor/sitemap"
)

// held stands between csu and its simulated site: every answer of the site passes
// through it. From the moment that a test is about it passes none on, so that csu
// is at that moment for as long as the test wants, however slow the machine.
type held struct {
	journal, record string // files

	mu      sync.Mutex
	moment  *moment // that is waited for, or is now; nil for none
	passing []io.Closer
	over    bool
}

// A moment is when a step is under way: its begin is in the journal and, where
// that says when, its effect in the site's record.
type moment struct {
	step, effect *search
	begun        chan struct{} // closed when it is there
	past         chan struct{} // closed when answers pass again
}

// await waits until the moment is there.
func (m *moment) await(t *testing.T, ended <-chan struct{}, said func() string) {
	t.Helper()
	select {
	case <-m.begun:
	case <-ended:
		t.Fatalf("csu ended before %s was under way:\n%s", m.step.words, said())
	case <-time.After(patience):
		t.Fatalf("after %s %s is not under way:\n%s", patience, m.step.words, said())
	}
}

// at has csu held when the step is under way: effect are words of a line of the
// site's record; without any the step's begin is enough.
func (h *held) at(step string, effect ...string) *moment {
	m := &moment{
		step:   &search{file: h.journal, words: []string{`"event":"started"`, `"step":"` + step + `"`}},
		effect: &search{file: h.record, words: effect, found: len(effect) == 0},
		begun:  make(chan struct{}), past: make(chan struct{}),
	}
	h.release()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.moment = m
	return m
}

// release lets csu go on.
func (h *held) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.moment != nil {
		close(h.moment.past)
		h.moment = nil
	}
}

// wait returns when an answer may be passed on. What makes a step's end known to
// csu is an answer that the site gives later than the effect, and the effect is
// in the record before that.
func (h *held) wait() {
	h.mu.Lock()
	m := h.moment
	if m == nil || !m.step.look() || !m.effect.look() {
		h.mu.Unlock()
		return
	}
	select {
	case <-m.begun:
	default:
		close(m.begun)
	}
	h.mu.Unlock()
	<-m.past
}

// end lets nothing pass any more.
func (h *held) end() {
	h.release()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.over = true
	for _, c := range h.passing {
		c.Close() // it may have ended by itself
	}
}

// ends has something end with h.
func (h *held) ends(c io.Closer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.passing = append(h.passing, c)
	if h.over {
		c.Close()
	}
}

// relay listens in place of one of the site's servers.
func (h *held) relay(to string) (at string, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	h.ends(listener)
	go func() {
		for {
			csu, err := listener.Accept()
			if err != nil {
				return
			}
			h.ends(csu)
			site, err := net.Dial("tcp", to)
			if err != nil { // the site has shut this way in
				csu.Close()
				continue
			}
			h.ends(site)
			go pass(csu, site, func() {})
			go pass(site, csu, h.wait)
		}
	}()
	return listener.Addr().String(), nil
}

// pass copies what comes from one side, each part when it may go on.
func pass(from, to net.Conn, wait func()) {
	defer from.Close()
	defer to.Close()
	part := make([]byte, 1<<16)
	for {
		n, err := from.Read(part)
		wait()
		if _, failed := to.Write(part[:n]); failed != nil || err != nil {
			return
		}
	}
}

// hold puts a held between csu and the site of a folder; csu comes by it with the
// site map that is returned. The journal is that of a plan's file in this folder.
func hold(t *testing.T, dir, planFile string) (h *held, siteMap string) {
	t.Helper()
	h = &held{journal: filepath.Join(dir, filepath.Base(planFile)+".journal"), record: filepath.Join(dir, rehearsal.RecordFile)}
	t.Cleanup(h.end)
	m, err := sitemap.Read(filepath.Join(dir, rehearsal.MapFile))
	if err != nil {
		t.Fatal(err)
	}
	files := filepath.Join(dir, "held")
	if err := os.Mkdir(files, 0o755); err != nil {
		t.Fatal(err)
	}
	if m, err = campaign.Relayed(*m, files, h.relay); err != nil {
		t.Fatal(err)
	}
	siteMap = filepath.Join(dir, "held-"+rehearsal.MapFile)
	if err := m.Write(siteMap); err != nil {
		t.Fatal(err)
	}
	return h, siteMap
}

// search looks for a line that has all the words, in a file that grows.
type search struct {
	file  string
	words []string
	read  int64 // up to where there is no such line
	found bool
}

func (s *search) look() bool {
	if s.found {
		return true
	}
	f, err := os.Open(s.file)
	if err != nil {
		return false // it is not there yet
	}
	defer f.Close()
	text, err := io.ReadAll(io.NewSectionReader(f, s.read, 1<<40))
	if err != nil {
		return false
	}
	whole := text[:bytes.LastIndexByte(text, '\n')+1]
	s.read += int64(len(whole))
	for line := range bytes.Lines(whole) {
		if !slices.ContainsFunc(s.words, func(word string) bool { return !bytes.Contains(line, []byte(word)) }) {
			s.found = true
		}
	}
	return s.found
}
