package campaign

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"path/filepath"
	"sync"
	"time"

	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/journal/journaltest"
	"github.com/lsst-ts/csu/executor/rehearsal"
)

// journalName is the name of the journal on the disks of the campaign.
const journalName = "plan.json.journal"

// life is one executor.
type life struct {
	site    *rehearsal.Site
	trigger Trigger

	mu     sync.Mutex
	dead   bool
	end    context.CancelFunc
	owned  []io.Closer    // listeners and connections
	count  int            // of records, requests or answers on the way to the trigger
	armed  bool           // the trigger's record is on the disk, or its effect was answered
	passed int            // requests or answers since
	struck bool           // the disk has failed
	served sync.WaitGroup // connections to the site
}

// owns takes something that ends with the life; false if it has ended.
func (l *life) owns(c io.Closer) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
		c.Close()
		return false
	}
	l.owned = append(l.owned, c)
	return true
}

// serves takes a connection and the one to the site to which it is passed on;
// false if the life has ended.
func (l *life) serves(client net.Conn, server *net.TCPConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
		return false
	}
	l.owned = append(l.owned, client, serving{server})
	l.served.Add(1)
	return true
}

// patience is how long, in real time, the site may take for what a life has sent.
const patience = 5 * time.Minute

// bury ends the life and waits until the site is through with what it has sent.
// csu allows for commands that LOVE still holds when it is started again, half a
// minute of them; at the site's speed that is so short a time that a machine which
// stalls would bring them in later.
func (l *life) bury() error {
	l.die()
	through := make(chan struct{})
	go func() { defer close(through); l.served.Wait() }()
	select {
	case <-through:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("the site is not through with what a life has sent, %s after its end", patience)
	}
}

// die ends the life at once.
func (l *life) die() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dieLocked()
}

func (l *life) dieLocked() {
	if l.dead {
		return
	}
	l.dead = true
	// The end comes first: a process that saw its connections end would record what it
	// concludes from that.
	if l.end != nil {
		l.end()
	}
	for _, c := range l.owned {
		c.Close()
	}
}

// fired reports whether the trigger has fired.
func (l *life) fired() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dead || l.struck
}

func (l *life) died() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dead
}

// request decides what becomes of data on its way to a system.
func (l *life) request() (pass bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.dead:
	case l.trigger.On == OnRequest && l.armed:
		if l.passed++; l.passed == l.trigger.Further {
			l.dieLocked()
		}
	case l.trigger.On == OnEffect && l.armed:
		l.dieLocked()
	}
	return !l.dead
}

// answer decides what becomes of data on its way back. An effect that is in the site's
// record by then happened before its answer is delivered.
func (l *life) answer() (pass bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.dead:
	case l.trigger.On == OnAnswer && l.armed:
		if l.passed++; l.passed == l.trigger.Further {
			l.dieLocked()
		}
	case l.trigger.On == OnEffect && !l.armed && countOf(l.site.Record(), l.trigger.Key) >= l.trigger.N:
		if l.trigger.At == Middle {
			l.dieLocked()
		}
		l.armed = true
	}
	return !l.dead
}

func countOf(effects []rehearsal.Effect, of string) (n int) {
	for _, e := range effects {
		if key(e) == of {
			n++
		}
	}
	return n
}

// writing decides what becomes of a record on its way into the journal: how many of its
// bytes get there, and whether the life ends when they have.
func (l *life) writing(line []byte) (at Position, fires bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.trigger.On == OnEffect && l.armed {
		return Before, true
	}
	if l.armed || l.trigger.On == OnEffect || l.trigger.On == OnDisk || l.trigger.On == "" {
		return "", false
	}
	var r journal.Record
	if json.Unmarshal(line, &r) != nil || l.trigger.Key != "" && recordKey(&r) != l.trigger.Key {
		return "", false
	}
	if l.count++; l.count != l.trigger.N {
		return "", false
	}
	if l.trigger.On == OnRecord {
		return l.trigger.At, true
	}
	return After, false
}

// fault decides whether an operation on the disk fails.
func (l *life) fault(op journaltest.Op) (f journaltest.Fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fails, known := diskFaults[l.trigger.Key]
	if l.trigger.On != OnDisk || !known || fails.kind != op.Kind {
		return f
	}
	if l.count++; l.count != l.trigger.N {
		return f
	}
	l.struck = true
	f.Err = fails.err
	if fails.half {
		f.Written = len(op.Data) / 2
	}
	return f
}

// recordKey names a record within a run.
func recordKey(r *journal.Record) string {
	about := r.Step
	if about == "" {
		about = r.Stage
	}
	return about + " " + string(r.Event)
}

// arm is called when the record of a request or an answer is on the disk.
func (l *life) arm() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.armed = true
}

// mortal is a disk under a life's journal.
type mortal struct {
	*life
	disk journal.FS
}

func (m mortal) OpenFile(name string, flag int, perm fs.FileMode) (journal.File, error) {
	if m.died() {
		return nil, journaltest.ErrCrashed
	}
	f, err := m.disk.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &mortalFile{File: f, life: m.life, journal: filepath.Base(name) == journalName}, nil
}

func (m mortal) Rename(from, to string) error {
	if m.died() {
		return journaltest.ErrCrashed
	}
	return m.disk.Rename(from, to)
}

func (m mortal) SyncDir(dir string) error {
	if m.died() {
		return journaltest.ErrCrashed
	}
	return m.disk.SyncDir(dir)
}

type mortalFile struct {
	journal.File
	life    *life
	journal bool
	then    func() // when what was written is on the disk
}

func (f *mortalFile) WriteAt(p []byte, off int64) (int, error) {
	if f.life.died() {
		return 0, journaltest.ErrCrashed
	}
	if !f.journal {
		return f.File.WriteAt(p, off)
	}
	at, fires := f.life.writing(p)
	switch {
	case !fires && at == After:
		f.then = f.life.arm
	case !fires:
	case at == Before:
		f.life.die()
		return 0, journaltest.ErrCrashed
	case at == Middle:
		n, _ := f.File.WriteAt(p[:len(p)/2], off)
		f.life.die()
		return n, journaltest.ErrCrashed
	default:
		f.then = f.life.die
	}
	return f.File.WriteAt(p, off)
}

func (f *mortalFile) Truncate(size int64) error {
	if f.life.died() {
		return journaltest.ErrCrashed
	}
	return f.File.Truncate(size)
}

func (f *mortalFile) Sync() error {
	if f.life.died() {
		return journaltest.ErrCrashed
	}
	if err := f.File.Sync(); err != nil {
		return err
	}
	if f.then != nil {
		f.then()
		f.then = nil
	}
	if f.life.died() {
		return journaltest.ErrCrashed
	}
	return nil
}
