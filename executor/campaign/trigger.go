package campaign

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/lsst-ts/csu/executor/journal/journaltest"
	"github.com/lsst-ts/csu/executor/plan"
)

// Position is where at a boundary a life ends.
type Position string

// The positions.
const (
	Before Position = "before"
	Middle Position = "middle"
	After  Position = "after"
)

var positions = []Position{Before, Middle, After}

// What a trigger is about.
const (
	OnRecord  = "record"  // a record of the journal
	OnRequest = "request" // the Nth request after that record is not sent
	OnAnswer  = "answer"  // the Nth answer after that record is lost
	OnEffect  = "effect"  // an effect at the site
	OnDisk    = "disk"    // the Nth such operation on the disk fails; the life goes on, if it can
)

var abouts = []string{OnRecord, OnRequest, OnAnswer, OnEffect, OnDisk}

// Trigger is what ends a life. The zero value never fires.
type Trigger struct {
	On string
	// Key is a record's step and event, an effect's [key], or the name of a disk
	// fault; "" is any record.
	Key string
	// N is which occurrence in this life, from 1.
	N  int
	At Position // of records and effects; of an effect not Before
	// Further is how many requests or answers after the record, from 1.
	Further int
}

// String is what [ParseTrigger] reads.
func (t Trigger) String() string {
	switch t.On {
	case "":
		return "none"
	case OnRequest, OnAnswer:
		return fmt.Sprintf("%s|%s|%d|%d", t.On, t.Key, t.N, t.Further)
	case OnDisk:
		return fmt.Sprintf("%s|%s|%d|", t.On, t.Key, t.N)
	}
	return fmt.Sprintf("%s|%s|%d|%s", t.On, t.Key, t.N, t.At)
}

// ParseTrigger reads what String writes, and reports what is wrong with it for any
// plan.
func ParseTrigger(s string) (t Trigger, err error) {
	if s == "none" {
		return t, nil
	}
	wrong := func(format string, args ...any) (Trigger, error) {
		return Trigger{}, fmt.Errorf("trigger %q: %w", s, fmt.Errorf(format, args...))
	}
	parts := strings.Split(s, "|")
	if len(parts) != 4 {
		return wrong("it has %d parts between strokes, not 4: what|which|count|where", len(parts))
	}
	t.On, t.Key = parts[0], parts[1]
	if t.N, err = strconv.Atoi(parts[2]); err != nil || t.N < 1 {
		return wrong("its count is %q, not 1 or more", parts[2])
	}
	where := parts[3]
	switch t.On {
	case OnRecord:
		if t.At = Position(where); !slices.Contains(positions, t.At) {
			return wrong("it is at %q, not before, in the middle or after: before, middle, after", where)
		}
	case OnEffect:
		// Before an effect is before the request that causes it.
		if t.At = Position(where); t.At != Middle && t.At != After {
			return wrong("it is at %q; an effect has the places middle, done with its answer lost, and after", where)
		}
	case OnRequest, OnAnswer:
		if t.Further, err = strconv.Atoi(where); err != nil || t.Further < 1 {
			return wrong("it counts %q requests or answers from the record on, not 1 or more", where)
		}
	case OnDisk:
		if _, known := diskFaults[t.Key]; !known {
			return wrong("there is no failure of the disk %q%s", t.Key, plan.DidYouMean(t.Key, slices.Sorted(maps.Keys(diskFaults))))
		}
		if where != "" {
			return wrong("a failure of the disk has no place, and %q is given", where)
		}
	default:
		return wrong("it is about %q%s; it can be about %s", t.On, plan.DidYouMean(t.On, abouts), strings.Join(abouts, ", "))
	}
	return t, nil
}

// Check reports what is wrong with a trigger for the plan: a record of a step that the
// plan does not have, an effect of a kind that csu does not cause itself.
func (t Trigger) Check(p *plan.Plan) error {
	switch t.On {
	case OnEffect:
		for kind := range direct {
			if strings.HasPrefix(t.Key, kind+" ") {
				return nil
			}
		}
		return fmt.Errorf("trigger %q: csu has no such effect; it has: %s", t, strings.Join(slices.Sorted(maps.Keys(direct)), ", "))
	case OnRecord, OnRequest, OnAnswer:
		if t.Key == "" {
			return nil
		}
		about, _, both := strings.Cut(t.Key, " ")
		if !both {
			return fmt.Errorf("trigger %q: %q is no step or stage with an event of the journal, such as \"offline/cscs started\"", t, t.Key)
		}
		known := append([]string{""}, p.StageIDs()...) // "" is the run itself
		for st := range p.AllSteps() {
			known = append(known, st.ID)
		}
		if !slices.Contains(known, about) {
			return fmt.Errorf("trigger %q: the plan has no step or stage %q%s", t, about, plan.DidYouMean(about, known))
		}
	}
	return nil
}

// Sentence describes the trigger for people.
func (t Trigger) Sentence() string {
	which := fmt.Sprintf("its record %d", t.N)
	if about, event, ok := strings.Cut(t.Key, " "); ok {
		which = fmt.Sprintf("the record %q of %s", event, cmp.Or(about, "the run")) + nth(t.N)
	}
	switch t.On {
	case OnRecord:
		return map[Position]string{
			Before: "before it wrote ", Middle: "in the middle of writing ", After: "when it had written ",
		}[t.At] + which
	case OnRequest:
		return fmt.Sprintf("before it sent request %d after %s", t.Further, which)
	case OnAnswer:
		return fmt.Sprintf("before it got answer %d after %s", t.Further, which)
	case OnEffect:
		if t.At == Middle {
			return "when this had happened, before it was told: " + t.Key + nth(t.N)
		}
		return "when this had happened, after it was told: " + t.Key + nth(t.N)
	case OnDisk:
		return fmt.Sprintf("of its disk: %s%s", t.Key, nth(t.N))
	}
	return "of nothing"
}

func nth(n int) string {
	if n == 1 {
		return ""
	}
	return fmt.Sprintf(", number %d in this life", n)
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

// ofDisk reports whether an error is one of the disk faults.
func ofDisk(err error) bool {
	return errors.Is(err, io.ErrShortWrite) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EIO)
}
