package campaign

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/lsst-ts/csu/executor/internal/clock"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/rehearsal"
)

// onDisk gives lives that are processes a journal and a plan on the real disk.
// Such a life takes what is done by hand for done (--consent all).
func (w *world) onDisk() error {
	dir := filepath.Join(w.dir, "csu")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	data, err := plan.Encode(w.Plan)
	if err != nil {
		return err
	}
	w.disk, w.fs, w.name = nil, journal.Disk, filepath.Join(dir, journalName)
	w.person.trusting = true
	return os.WriteFile(filepath.Join(dir, "plan.json"), data, 0o644)
}

// spawn runs one life as a process, and returns whether it was killed. A life that would
// have to ask ends by itself. The last life is not a process, and asks the simulated
// operator.
func (w *world) spawn(ctx context.Context, t Trigger, program string) (killed bool, err error) {
	w.lives++
	dir := filepath.Dir(w.name)
	ctx, cancel := w.limited(ctx)
	defer cancel()
	l := &life{site: w.site, trigger: t}
	defer func() { w.late = errors.Join(w.late, l.bury()) }()
	m, err := Relayed(w.site.Map, dir, l.relay)
	if err != nil {
		return false, err
	}
	mapFile := filepath.Join(dir, rehearsal.MapFile)
	if err := m.Write(mapFile); err != nil {
		return false, err
	}
	cmd := exec.CommandContext(ctx, program, "exec", filepath.Join(dir, "plan.json"), "--site-map", mapFile,
		"--consent", "all", "--operator", personName, "--skip-preflight", "the site is simulated")
	if w.begun() {
		cmd.Args = append(cmd.Args, "--resume")
	}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	before, err := w.written()
	if err != nil {
		return false, err
	}
	if err := l.begin(cmd); err != nil {
		return false, err
	}
	watching, done := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { defer close(ended); l.watch(watching, w.name, before) }()
	err = cmd.Wait()
	done()
	<-ended
	killed = l.died()
	var exit *exec.ExitError
	switch {
	case killed, err == nil:
		return killed, nil
	case errors.As(err, &exit) && (exit.ExitCode() == 1 || exit.ExitCode() == 3) && bytes.Contains(said.Bytes(), []byte("an operator must look before deciding this")):
		return false, nil
	}
	return false, fmt.Errorf("%w\n%s", err, said.String())
}

// begin starts the process of the life. What it sends is held until the life can
// be ended, however long that takes.
func (l *life) begin(cmd *exec.Cmd) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return err
	}
	l.end = func() { _ = cmd.Process.Kill() } // it may have ended by itself
	return nil
}

// written is how long the journal's whole lines are; 0 where there is no journal.
func (w *world) written() (int, error) {
	data, err := os.ReadFile(w.name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	return bytes.LastIndexByte(data, '\n') + 1, nil
}

// watch fires or arms a trigger according to the records that were added to the journal's
// file, which it sees some time after they were written.
func (l *life) watch(ctx context.Context, name string, before int) {
	for l.trigger.On == OnRecord || l.trigger.On == OnRequest || l.trigger.On == OnAnswer {
		count := 0
		if data, err := os.ReadFile(name); err == nil {
			for line := range bytes.Lines(data[min(before, len(data)):]) {
				var r journal.Record
				if json.Unmarshal(line, &r) == nil && (l.trigger.Key == "" || recordKey(&r) == l.trigger.Key) {
					count++
				}
			}
		}
		switch {
		case count >= l.trigger.N && l.trigger.On == OnRecord:
			l.die()
			return
		case count >= l.trigger.N:
			l.arm()
			return
		}
		if clock.Real().Sleep(ctx, time.Millisecond) != nil {
			return
		}
	}
}
