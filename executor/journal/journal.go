// Package journal is the record of a run. It allows the run to be resumed after any crash, and documents the
// deployment afterwards.
//
// A journal is an append-only file of JSON lines. Each line is a [Record] with its number, the time, the hash
// of the line before it and, as its last field, its own hash. When [Journal.Append] returns, the record is on
// disk. Intent is recorded before an effect, the outcome after it.
//
// What can happen to the file, and what csu does about it:
//
//   - A last line that was cut off while being written was never acknowledged:
//     [Open] keeps it beside the journal as <journal>.torn-N and removes it.
//   - Any other damage is a [*DamageError] that names the line.
//   - Lines missing at the end cannot be detected from the file alone. The
//     ledger's [Head] reveals them; see [Journal.Has].
//   - After a failed write or sync, the content of the disk is unknown. The
//     journal accepts no more records, so that nothing is started without one;
//     see [*FailedError].
//   - If another program deletes, moves, replaces or resizes the file while csu
//     has it open, csu notices before the next record: [*LostFileError]. The
//     journal accepts no more records, and [Journal.Save] writes what it had.
//
// The events are documented at their constants. A run's records are, in order: run and inventory; then for
// each stage answers (consent, doubts) and stage; for each attempt of a step perhaps answers (consent,
// doubt), started, notes, answers, and outcome or in-doubt; stage-done; for each final step the same, or
// not-needed; complete; released, if a ledger is held. After a crash, or after stopped, the next record is
// resume. If another executor may have begun steps that the journal does not know of, suspect follows for
// each of them. A run that is aborted goes from an answer "abort", or from abort, over left and the final
// steps to aborted.
//
// # Copies
//
// The ledger, a ConfigMap in the cluster, has a [Copy] of the journal, so that a colleague can take over on
// another machine. It is a gzip stream of the lines without their hashes, which [Unpack] recomputes. The head
// of the chain is stored with it and proves that it is complete.
//
// When a copy would grow beyond [CopyLimit], notes of attempts that have an outcome are elided, since nothing
// depends on them any more. Such a record keeps its number, its time and its hash, as a line of event elided,
// and the chain continues from that hash. Its content cannot be verified, and is only in the journal that was
// copied. Notes about as short as a hash stay, as eliding them would save nothing. Notes are elided again
// when the copy has doubled. If a copy is still larger than [MostCopy], there is none: the run continues, but
// only the machine that has the journal can resume it.
//
// A journal contains no secrets: evidence and texts are made without any.
package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// ErrEmpty reports that a journal has no record. No run has begun in it, since
// the first record is on disk before anything else happens.
var ErrEmpty = errors.New("the journal has no record: no run has begun in it")

// ExistsError reports that a journal cannot be created because it already
// exists.
type ExistsError struct{ Name string }

func (e *ExistsError) Error() string {
	return fmt.Sprintf("journal %q already exists; resume its run, or move the file away if that run does not count", e.Name)
}

// LockedError reports that another executor has the journal open.
type LockedError struct {
	Name     string
	Operator string // "" if unknown
	PID      int    // 0 if unknown
}

func (e *LockedError) Error() string {
	who := "another csu"
	if e.PID != 0 {
		who = fmt.Sprintf("another csu (process %d, operator %q)", e.PID, e.Operator)
	}
	return fmt.Sprintf("journal %q: %s is running this plan", e.Name, who)
}

// FailedError reports that a write to the journal, or its sync, failed. The
// content of the disk is then unknown, and the journal accepts no more records.
type FailedError struct {
	Name string
	Op   string // write, sync
	Err  error
}

func (e *FailedError) Error() string {
	return fmt.Sprintf("journal %q: %s: %v; csu cannot continue without its journal: repair the disk, then resume", e.Name, e.Op, e.Err)
}

// Unwrap returns the cause.
func (e *FailedError) Unwrap() error { return e.Err }

// ErrClosed is returned for records after [Journal.Close].
var ErrClosed = errors.New("the journal is closed")

// Journal is a journal open for appending, and locked. Its methods may be
// called from several goroutines.
type Journal struct {
	name  string
	fsys  FS
	file  File
	place Place

	mu     sync.Mutex
	size   int64
	has    memory
	failed error
}

// Create starts a journal with its first record, of event [RunBegun]. A file
// without any record counts as the remains of an interrupted Create. A journal
// with records is an [*ExistsError], one that is open elsewhere a
// [*LockedError].
func Create(fsys FS, name string, first Record) (*Journal, error) {
	if first.Event != RunBegun || first.Run == nil {
		return nil, fmt.Errorf("create journal %q: its first record must begin a run", name)
	}
	file, err := openLocked(fsys, name, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, err
	}
	j := &Journal{name: name, fsys: fsys, file: file}
	if err := j.begin(first); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return j, nil
}

func (j *Journal) begin(first Record) (err error) {
	if j.place, _, err = j.lookup(); err != nil {
		return err
	}
	x, err := scan(j.name, j.file, func([]byte, *Record) error { return &ExistsError{j.name} })
	var exists *ExistsError
	if errors.As(err, &exists) {
		return exists
	}
	if err != nil {
		return err
	}
	if _, err := cut(j.fsys, j.name, j.file, x); err != nil {
		return err
	}
	if _, err := j.Append(first); err != nil {
		return err
	}
	// The file's name must survive a crash as well as its content.
	if err := j.fsys.SyncDir(filepath.Dir(j.name)); err != nil {
		return fmt.Errorf("create journal %q: %w", j.name, err)
	}
	return nil
}

// Open opens a journal for further records, and calls visit for each record as
// [Read] does. An error of visit leaves the file unchanged. A torn last line is
// removed; torn is the name of the file that keeps it. A journal without any
// record is [ErrEmpty], one that is open elsewhere a [*LockedError].
func Open(fsys FS, name string, visit func(*Record) error) (j *Journal, torn string, err error) {
	file, err := openLocked(fsys, name, os.O_RDWR)
	if err != nil {
		return nil, "", err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, file.Close())
		}
	}()
	j = &Journal{name: name, fsys: fsys, file: file}
	if j.place, _, err = j.lookup(); err != nil {
		return nil, "", err
	}
	x, err := scan(name, file, func(line []byte, r *Record) error {
		if err := visit(r); err != nil {
			return err
		}
		j.has.add(line, r)
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	if x.records == 0 {
		return nil, "", fmt.Errorf("open journal %q: %w", name, ErrEmpty)
	}
	if torn, err = cut(fsys, name, file, x); err != nil {
		return nil, "", err
	}
	if err := renew(name, file, x); err != nil {
		return nil, "", err
	}
	if err := fsys.SyncDir(filepath.Dir(name)); err != nil {
		return nil, "", fmt.Errorf("open journal %q: %w", name, err)
	}
	j.size = x.whole
	return j, torn, nil
}

// openLocked opens the file and acquires its lock.
func openLocked(fsys FS, name string, flag int) (File, error) {
	file, err := fsys.OpenFile(name, flag, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	err = file.Lock()
	if err == nil {
		return file, nil
	}
	defer file.Close()
	if !errors.Is(err, ErrLocked) {
		return nil, fmt.Errorf("lock journal %q: %w", name, err)
	}
	locked := &LockedError{Name: name}
	// The journal itself says who is running it. If it cannot be read, the lock
	// is reason enough.
	_, _ = scan(name, file, func(_ []byte, r *Record) error {
		if r.Run != nil {
			locked.Operator, locked.PID = r.Run.Operator, r.Run.PID
		}
		return nil
	})
	return nil, locked
}

// cut moves a torn last line to a file of its own.
func cut(fsys FS, name string, file File, x extent) (kept string, err error) {
	if len(x.torn) == 0 {
		return "", nil
	}
	if kept, err = keep(fsys, name, x.torn); err != nil {
		return "", fmt.Errorf("keep the torn last line of journal %q: %w", name, err)
	}
	if err := file.Truncate(x.whole); err != nil {
		return "", fmt.Errorf("cut the torn last line off journal %q: %w", name, err)
	}
	if err := file.Sync(); err != nil {
		return "", fmt.Errorf("cut the torn last line off journal %q: %w", name, err)
	}
	return kept, nil
}

func keep(fsys FS, name string, data []byte) (string, error) {
	for n := 1; ; n++ {
		kept := fmt.Sprintf("%s.torn-%d", name, n)
		file, err := fsys.OpenFile(kept, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		_, err = file.WriteAt(data, 0)
		if err == nil {
			err = file.Sync()
		}
		if err := errors.Join(err, file.Close()); err != nil {
			return "", err
		}
		return kept, fsys.SyncDir(filepath.Dir(name))
	}
}

// renew writes the last record once more. An earlier sync of it may have failed, and then the record that was
// just read may only be in the system's cache, marked as written, so that no later sync would bring it to
// disk. The records before it were synced, or it would not have been written.
func renew(name string, file File, x extent) error {
	line := make([]byte, x.whole-x.last)
	if _, err := file.ReadAt(line, x.last); err != nil {
		return fmt.Errorf("open journal %q: %w", name, err)
	}
	if _, err := file.WriteAt(line, x.last); err != nil {
		return &FailedError{name, "write", err}
	}
	if err := file.Sync(); err != nil {
		return &FailedError{name, "sync", err}
	}
	return nil
}

// Append adds a record, given its event, time and content, and returns it as it is in the file. If there is
// no error, the record is durable. After a [*FailedError] or a [*LostFileError] every further call returns
// the same error.
func (j *Journal) Append(r Record) (*Record, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failed != nil {
		return nil, j.failed
	}
	line, written, err := j.next(r)
	if err != nil {
		return nil, fmt.Errorf("journal %q: record %q: %w", j.name, r.Event, err)
	}
	if err := j.inPlace(); err != nil {
		j.failed = err
		return nil, j.failed
	}
	if _, err := j.file.WriteAt(line, j.size); err != nil {
		j.failed = &FailedError{j.name, "write", err}
		return nil, j.failed
	}
	if err := j.file.Sync(); err != nil {
		j.failed = &FailedError{j.name, "sync", err}
		return nil, j.failed
	}
	j.size += int64(len(line))
	j.has.add(line, written)
	return written, nil
}

// next returns the record's line, and the record as a reader will see it. A
// line that cannot be read back would make the journal useless at the very
// moment when it is needed.
func (j *Journal) next(r Record) (line []byte, written *Record, err error) {
	if r.Event == Elided {
		return nil, nil, errors.New("such records appear only in copies")
	}
	x := extent{records: len(j.has.hashes), hash: j.has.hash(len(j.has.hashes))}
	r.Seq, r.Prev = x.records+1, x.hash
	clean(&r)
	if line, err = encode(&r); err != nil {
		return nil, nil, err
	}
	if len(line) > maxLine {
		return nil, nil, fmt.Errorf("%d bytes are more than a line may have", len(line))
	}
	if written, err = parse(line[:len(line)-1]); err != nil {
		return nil, nil, err
	}
	if reason := x.misplaced(written); reason != "" {
		return nil, nil, errors.New(reason)
	}
	return line, written, nil
}

// Close closes the file and releases its lock. The records stay in memory.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if errors.Is(j.failed, ErrClosed) {
		return nil
	}
	j.failed = ErrClosed
	if err := j.file.Close(); err != nil {
		return fmt.Errorf("close journal %q: %w", j.name, err)
	}
	return nil
}
