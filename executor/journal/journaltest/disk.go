// Package journaltest simulates a disk, for tests of what is written to a
// journal. It fails on demand, and a crash loses everything that was not
// synced.
//
// The words:
//
//   - writes go to the cache, which reads see;
//   - a sync writes the dirty bytes of the cache to the platter;
//   - a failed sync leaves the cache as it is and marks it clean, as Linux does,
//     so that no later sync writes those bytes to the platter;
//   - a file's name reaches the platter only with SyncDir.
package journaltest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"strings"
	"sync"

	"github.com/lsst-ts/csu/executor/journal"
)

// The operations that can fail.
const (
	Open     = "open"
	Write    = "write"
	Truncate = "truncate"
	Sync     = "sync"
	SyncDir  = "syncdir"
)

// Op is an operation about to be performed.
type Op struct {
	N    int    // from 1, over all files
	Kind string // Open, Write, ...
	File string // or folder
	Data []byte // of a Write
}

// Fault is how an operation fails. The zero value is no failure.
type Fault struct {
	Err error
	// Written is how many bytes of a failing Write reach the cache.
	Written int
}

// ErrCrashed is returned by handles from before a crash.
var ErrCrashed = errors.New("the machine crashed")

// Disk is a [journal.FS] in memory.
type Disk struct {
	// Fault decides the result of each operation; if nil, all succeed. It must
	// not call methods of the disk.
	Fault func(Op) Fault
	// Blind, unless nil, is returned by every lookup of a file's place. Lookups
	// do not count as operations, since they change nothing.
	Blind error

	mu    sync.Mutex
	ops   int
	boot  int
	made  int // files
	files map[string]*file
}

type file struct {
	id      int
	cache   []byte
	platter []byte
	dirty   []change
	named   bool // the name is on the platter
	locked  *handle
}

// change is a write, or, without data, a truncation.
type change struct {
	at   int64
	data []byte
}

// Ops returns how many operations were performed.
func (d *Disk) Ops() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ops
}

// Content returns what readers of the file see, or false if there is no file.
func (d *Disk) Content(name string) ([]byte, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.files[name]
	if f == nil {
		return nil, false
	}
	return append([]byte{}, f.cache...), true
}

// Put creates a file with that content, on the platter.
func (d *Disk) Put(name string, content []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.create(name)
	f.cache, f.platter, f.named = append([]byte{}, content...), append([]byte{}, content...), true
}

// create creates an empty file in place of any file of that name.
func (d *Disk) create(name string) *file {
	if d.files == nil {
		d.files = map[string]*file{}
	}
	d.made++
	d.files[name] = &file{id: d.made}
	return d.files[name]
}

// Remove deletes a file, as another program would. Open handles keep it.
func (d *Disk) Remove(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.files, name)
}

// Rename implements [journal.FS]. As another program might, it also renames a
// folder with all its files. The new name is on the platter at once.
func (d *Disk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, f := range maps.Clone(d.files) {
		rest, in := strings.CutPrefix(name, from)
		if in && (rest == "" || rest[0] == '/') {
			delete(d.files, name)
			d.files[to+rest] = f
		}
	}
	return nil
}

// Resize truncates a file, or extends it by zeros, as another program would.
func (d *Disk) Resize(name string, size int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.files[name]; f != nil {
		f.cache = append(f.cache, make([]byte, max(0, size-len(f.cache)))...)[:size]
		f.platter, f.dirty = append([]byte{}, f.cache...), nil
	}
}

// Crash stops the machine. What is not on the platter is lost, except for the
// oldest kept dirty bytes. All handles and locks are lost.
func (d *Disk) Crash(kept int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.boot++
	for name, f := range d.files {
		if !f.named {
			delete(d.files, name)
			continue
		}
		left := kept
		for _, c := range f.dirty {
			if len(c.data) > left {
				c.data = c.data[:left]
				if len(c.data) == 0 {
					break
				}
			}
			f.platter = c.apply(f.platter)
			left -= len(c.data)
		}
		f.cache, f.dirty, f.locked = append([]byte{}, f.platter...), nil, nil
	}
}

// Kill ends the process but not the machine. Its handles and locks are lost,
// its writes are not.
func (d *Disk) Kill() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.boot++
	for _, f := range d.files {
		f.locked = nil
	}
}

func (c change) apply(to []byte) []byte {
	if c.data == nil {
		return to[:min(c.at, int64(len(to)))]
	}
	if end := c.at + int64(len(c.data)); end > int64(len(to)) {
		to = append(to, make([]byte, end-int64(len(to)))...)
	}
	copy(to[c.at:], c.data)
	return to
}

// begin counts an operation and returns its fault.
func (d *Disk) begin(kind, name string, data []byte) Fault {
	d.ops++
	if d.Fault == nil {
		return Fault{}
	}
	return d.Fault(Op{N: d.ops, Kind: kind, File: name, Data: data})
}

// OpenFile implements [journal.FS].
func (d *Disk) OpenFile(name string, flag int, _ fs.FileMode) (journal.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.begin(Open, name, nil); f.Err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: f.Err}
	}
	f := d.files[name]
	switch {
	case f == nil && flag&os.O_CREATE == 0:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	case f != nil && flag&os.O_EXCL != 0:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrExist}
	case f == nil:
		f = d.create(name)
	}
	return &handle{disk: d, file: f, name: name, boot: d.boot}, nil
}

// SyncDir implements [journal.FS].
func (d *Disk) SyncDir(dir string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.begin(SyncDir, dir, nil); f.Err != nil {
		return f.Err
	}
	for _, f := range d.files {
		f.named = true
	}
	return nil
}

type handle struct {
	disk *Disk
	file *file
	name string
	boot int
}

// on calls do, if the handle is still valid.
func (h *handle) on(do func() error) error {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if h.boot != h.disk.boot {
		return ErrCrashed
	}
	return do()
}

func (h *handle) ReadAt(p []byte, off int64) (n int, err error) {
	err = h.on(func() error {
		if off < int64(len(h.file.cache)) {
			n = copy(p, h.file.cache[off:])
		}
		if n < len(p) {
			return io.EOF
		}
		return nil
	})
	return n, err
}

func (h *handle) WriteAt(p []byte, off int64) (n int, err error) {
	err = h.on(func() error {
		fault := h.disk.begin(Write, h.name, p)
		n = len(p)
		if fault.Err != nil {
			n = min(fault.Written, n)
		}
		if h.boot != h.disk.boot {
			return ErrCrashed
		}
		if n > 0 {
			c := change{off, append([]byte{}, p[:n]...)}
			h.file.cache = c.apply(h.file.cache)
			h.file.dirty = append(h.file.dirty, c)
		}
		return fault.Err
	})
	return n, err
}

func (h *handle) Truncate(size int64) error {
	return h.on(func() error {
		if f := h.disk.begin(Truncate, h.name, nil); f.Err != nil {
			return f.Err
		}
		c := change{at: size}
		h.file.cache = c.apply(h.file.cache)
		h.file.dirty = append(h.file.dirty, c)
		return nil
	})
}

func (h *handle) Sync() error {
	return h.on(func() error {
		f := h.disk.begin(Sync, h.name, nil)
		if f.Err == nil {
			for _, c := range h.file.dirty {
				h.file.platter = c.apply(h.file.platter)
			}
		}
		h.file.dirty = nil
		return f.Err
	})
}

func (h *handle) Size() (size int64, err error) {
	err = h.on(func() error {
		size = int64(len(h.file.cache))
		return nil
	})
	return size, err
}

// Place implements [journal.File].
func (h *handle) Place() (p journal.Place, size int64, err error) {
	err = h.on(func() error {
		f := h.disk.files[h.name]
		switch {
		case h.disk.Blind != nil:
			return h.disk.Blind
		case f == nil:
			return &fs.PathError{Op: "stat", Path: h.name, Err: fs.ErrNotExist}
		case f != h.file:
			return journal.ErrReplaced
		}
		p, size = journal.Place{Machine: fmt.Sprintf("%p", h.disk), Path: h.name, File: fmt.Sprint(f.id)}, int64(len(f.cache))
		return nil
	})
	return p, size, err
}

func (h *handle) Lock() error {
	return h.on(func() error {
		if h.file.locked != nil && h.file.locked != h {
			return journal.ErrLocked
		}
		h.file.locked = h
		return nil
	})
}

func (h *handle) Close() error {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if h.file.locked == h {
		h.file.locked = nil
	}
	return nil
}
