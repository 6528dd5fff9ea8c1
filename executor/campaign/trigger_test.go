package campaign

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"syscall"

	"github.com/lsst-ts/csu/executor/journal/journaltest"
)

// position is where at a boundary a life ends.
type position string

const (
	before position = "before"
	middle position = "middle"
	after  position = "after"
)

var positions = []position{before, middle, after}

// what a trigger is about.
const (
	onRecord  = "record"  // a record of the journal
	onRequest = "request" // the Nth request after that record is not sent
	onAnswer  = "answer"  // the Nth answer after that record is lost
	onEffect  = "effect"  // an effect at the site
	onDisk    = "disk"    // the Nth such operation on the disk fails; the life goes on, if it can
)

// trigger is what a life dies of. The zero value never fires.
type trigger struct {
	On string
	// Key is a record's step and event, an effect's [key], or the name of a disk
	// fault; "" is any record.
	Key string
	// N is the how manieth in this life, from 1.
	N  int
	At position // of records and effects
	// After is how many requests or answers after the record, from 1.
	After int
}

func (t trigger) String() string {
	switch t.On {
	case "":
		return "none"
	case onRequest, onAnswer:
		return fmt.Sprintf("%s|%s|%d|%d", t.On, t.Key, t.N, t.After)
	case onDisk:
		return fmt.Sprintf("%s|%s|%d|", t.On, t.Key, t.N)
	}
	return fmt.Sprintf("%s|%s|%d|%s", t.On, t.Key, t.N, t.At)
}

// parseTrigger reads what String writes.
func parseTrigger(s string) (t trigger, err error) {
	if s == "none" {
		return t, nil
	}
	parts := strings.Split(s, "|")
	if len(parts) != 4 {
		return t, fmt.Errorf("trigger %q: it has %d parts, not 4", s, len(parts))
	}
	t.On, t.Key = parts[0], parts[1]
	if t.N, err = strconv.Atoi(parts[2]); err != nil {
		return t, fmt.Errorf("trigger %q: %w", s, err)
	}
	switch t.On {
	case onRecord, onEffect:
		t.At = position(parts[3])
	case onDisk:
	case onRequest, onAnswer:
		t.After, err = strconv.Atoi(parts[3])
	default:
		err = fmt.Errorf("it is about %q", t.On)
	}
	if err != nil {
		return t, fmt.Errorf("trigger %q: %w", s, err)
	}
	return t, nil
}

// diskFault is a way in which an operation on the disk fails.
type diskFault struct {
	kind string // of the operation
	err  error
	half bool // half of what is written gets there
}

// diskFaults by their names in triggers.
var diskFaults = map[string]diskFault{
	"short write":  {journaltest.Write, io.ErrShortWrite, true},
	"ENOSPC write": {journaltest.Write, syscall.ENOSPC, true},
	"EIO write":    {journaltest.Write, syscall.EIO, false},
	"EIO sync":     {journaltest.Sync, syscall.EIO, false},
	"EIO sync dir": {journaltest.SyncDir, syscall.EIO, false},
	"EIO open":     {journaltest.Open, syscall.EIO, false},
	"EIO truncate": {journaltest.Truncate, syscall.EIO, false},
}

// ofDisk tells whether an error is one of the disk faults.
func ofDisk(err error) bool {
	return errors.Is(err, io.ErrShortWrite) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EIO)
}
