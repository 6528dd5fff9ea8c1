package campaign

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/rehearsal"
)

// built is the folder of the binary, "" before it is built.
var built string

// binary builds csu as it is installed, once.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "csu-campaign-")
	if err != nil {
		return "", err
	}
	built = dir
	name := filepath.Join(dir, "csu")
	if out, err := exec.Command("go", "build", "-o", name, "../../cmd/csu").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build csu: %w\n%s", err, out)
	}
	return name, nil
})

// TestKilledProcesses kills the real csu with SIGKILL at boundaries that are
// drawn, while it carries out the project's own plans. The last life is led by a
// person, since only a person answers what is in doubt.
func TestKilledProcesses(t *testing.T) {
	names := []string{"2026-11-24-summit-incremental"}
	n := 10
	if *full {
		names = append(names, "2026-12-03-summit-recovery", "2026-12-01-tucson-teststand-full")
		n = 300
	}
	if *drawn > 0 {
		n = *drawn
	}
	c := newCampaign(t)
	r := rand.New(rand.NewPCG(uint64(*seed), 6))
	for i := range n {
		tr := trial{plan: names[i%len(names)], seed: 1 + r.Int64N(2), how: processes}
		_, list := c.reference(tr)
		for range 1 + r.IntN(3) {
			d := draw(r, list)
			for d.On == onDisk {
				d = draw(r, list)
			}
			tr.dies = append(tr.dies, d)
		}
		c.start(tr, boundary{"process", tr.dies[0]})
	}
	c.finish("killed processes")
}

// processes says that the lives of a case are processes of their own, on the
// machine's own disk.
const processes crash = "processes"

// files gives the lives a journal and a plan on the real disk.
func (w *world) files() (planFile string, err error) {
	dir := filepath.Join(w.dir, "csu")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	data, err := plan.Encode(w.plan)
	if err != nil {
		return "", err
	}
	w.disk, w.fs, w.name = nil, journal.Disk, filepath.Join(dir, journalName)
	w.person.trusting = true
	planFile = filepath.Join(dir, "plan.json")
	return planFile, os.WriteFile(planFile, data, 0o644)
}

// spawn runs one life as a process, and returns whether it was killed.
func (w *world) spawn(t trigger, planFile string) (killed bool, err error) {
	w.lives++
	name, err := binary()
	if err != nil {
		return false, err
	}
	dir := filepath.Dir(planFile)
	ctx, cancel := context.WithTimeout(context.Background(), lifeLimit)
	defer cancel()
	l := &life{site: w.site, trigger: t}
	defer l.die()
	m, err := l.through(w.site.Map, dir)
	if err != nil {
		return false, err
	}
	mapFile := filepath.Join(dir, rehearsal.MapFile)
	if err := m.Write(mapFile); err != nil {
		return false, err
	}
	cmd := exec.CommandContext(ctx, name, "exec", planFile, "--site-map", mapFile, "--consent", "all", "--operator", "Ana", "--skip-preflight", "the campaign's site is simulated")
	if w.begun() {
		cmd.Args = append(cmd.Args, "--resume")
	}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		return false, err
	}
	l.mu.Lock()
	l.end = func() { _ = cmd.Process.Kill() } // it may have ended by itself
	l.mu.Unlock()
	watching, done := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { defer close(ended); l.watch(watching, w.name) }()
	err = cmd.Wait()
	done()
	<-ended
	killed = l.died()
	var exit *exec.ExitError
	switch {
	case killed, err == nil:
		return killed, nil
	case errors.As(err, &exit) && (exit.ExitCode() == 1 || exit.ExitCode() == 3) && bytes.Contains(said.Bytes(), []byte("this is decided by somebody who looks")):
		return false, nil
	}
	return false, fmt.Errorf("%w\n%s", err, said.String())
}

// watch fires or arms a trigger by what stands in the journal's file, which is
// some time after it was written.
func (l *life) watch(ctx context.Context, name string) {
	before := 0
	if data, err := os.ReadFile(name); err == nil {
		before = len(data)
	}
	for ctx.Err() == nil && (l.trigger.On == onRecord || l.trigger.On == onRequest || l.trigger.On == onAnswer) {
		count := 0
		if data, err := os.ReadFile(name); err == nil {
			for line := range bytes.Lines(data[min(before, len(data)):]) {
				var r journal.Record
				if json.Unmarshal(line, &r) == nil && (l.trigger.Key == "" || recordKey(&r) == l.trigger.Key) {
					count++
				}
			}
		}
		if count >= l.trigger.N {
			if l.trigger.On == onRecord {
				l.die()
			} else {
				l.arm()
			}
			return
		}
		time.Sleep(time.Millisecond)
	}
}
