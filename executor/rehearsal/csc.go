package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/plan"
)

// state is a summary state by SAL's number.
type state int

const (
	disabled state = iota + 1
	enabled
	fault
	offline
	standby
)

var stateNames = map[state]string{
	disabled: plan.Disabled, enabled: plan.Enabled, fault: plan.Fault, offline: plan.Offline, standby: plan.Standby,
}

func (s state) String() string { return stateNames[s] }

// stateOf returns the summary state of a plan's word; a bridge that is
// OFFLINE_AVAILABLE says OFFLINE.
func stateOf(name string) (state, bool) {
	if name == plan.OfflineAvailable {
		return offline, true
	}
	for s, n := range stateNames {
		if n == name {
			return s, true
		}
	}
	return 0, false
}

// transitions are the state commands of SAL and where each leads from where.
var transitions = map[string]map[state]state{
	"start":        {standby: disabled},
	"enable":       {disabled: enabled},
	"disable":      {enabled: disabled},
	"standby":      {disabled: standby, fault: standby},
	"exitControl":  {standby: offline},
	"enterControl": {offline: standby},
}

// commandsTo are the commands that bring a CSC from one state to another, none
// where it is there already.
func commandsTo(from, to state) []string {
	ladder := []state{offline, standby, disabled, enabled}
	up := []string{"enterControl", "start", "enable"}
	down := []string{"exitControl", "standby", "disable"}
	var commands []string
	if from == fault {
		commands, from = append(commands, "standby"), standby
	}
	i, j := slices.Index(ladder, from), slices.Index(ladder, to)
	if i < 0 || j < 0 {
		return nil
	}
	for ; i < j; i++ {
		commands = append(commands, up[i])
	}
	for ; i > j; i-- {
		commands = append(commands, down[i-1])
	}
	return commands
}

// span is a time in which a CSC's process lived; one that lives has no end.
type span struct{ from, to time.Time }

// csc is a Commandable SAL Component with what it has said so far.
type csc struct {
	row       *plan.CSC
	component string // "" for a Job that speaks no SAL
	index     int
	state     state // last summary state it said
	// says tells whether it reports OFFLINE before it ends (P11).
	says  bool
	alive []span
	queue *queue // of a ScriptQueue
	// pods counts how often its pod began or ended, where the cluster is real.
	pods   int
	podRan bool // before the upgrade its pod ran, heard or silent
}

func newCSC(row *plan.CSC) *csc {
	c := &csc{row: row}
	component, index, found := strings.Cut(row.CSC, ":")
	if n, err := strconv.Atoi(index); found && err == nil {
		c.component, c.index = component, n
	}
	return c
}

func (c *csc) lives() bool {
	return len(c.alive) > 0 && c.alive[len(c.alive)-1].to.IsZero()
}

// up starts the CSC's process, which comes up in its state.
func (s *Site) up(c *csc) {
	if c.lives() {
		s.effect(Effect{System: SystemCSC, Kind: CSCDuplicate, Subject: c.row.CSC})
		return
	}
	if s.strikes(cscNeverHeard, c.row.CSC) {
		return // its process runs, and says nothing
	}
	first, ok := stateOf(c.row.ComesUp)
	switch {
	case c.row.Bridge:
		first = offline
	case !ok:
		first = standby
	}
	c.alive = append(c.alive, span{from: s.clk.Now()})
	s.effect(Effect{System: SystemCSC, Kind: CSCUp, Subject: c.row.CSC, Detail: first.String()})
	s.say(c, first)
	if c.queue != nil {
		c.queue.open()
	}
}

// down ends the CSC's process at once, without a word.
func (s *Site) down(c *csc, why string) { s.downAt(c, why, s.clk.Now()) }

// downAt is down for a process whose time to end has come before: a busy machine
// may come to it late, and the CSC's heartbeats must not go on until then.
func (s *Site) downAt(c *csc, why string, at time.Time) {
	if !c.lives() {
		return
	}
	c.alive[len(c.alive)-1].to = at
	s.effect(Effect{System: SystemCSC, Kind: CSCDown, Subject: c.row.CSC, Detail: why})
	if c.queue != nil {
		c.queue.close()
	}
}

// say publishes a summary state.
func (s *Site) say(c *csc, now state) {
	c.state = now
	if c.component == "" {
		return
	}
	s.efd.add(measurement(c.component, "logevent_summaryState"), s.clk.Now(), fields{"salIndex": c.index, "summaryState": int(now)})
	if c.queue != nil {
		c.queue.changed()
	}
}

// errNoAck is what comes of a command to a CSC that doesn't live.
var errNoAck = errors.New("no acknowledgement")

// command sends a state command to a CSC and waits for its acknowledgement.
// It is called without the lock.
func (s *Site) command(ctx context.Context, c *csc, name, by string) error {
	s.mu.Lock()
	takes, lives := s.between("command "+c.row.CSC+name, time.Second, 4*time.Second), c.lives()
	s.mu.Unlock()
	if !lives {
		takes = ackLimit
	}
	if err := s.clk.Sleep(ctx, takes); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch to, ok := transitions[name][c.state]; {
	case !c.lives():
		return fmt.Errorf("%s: %s: %w", c.row.CSC, name, errNoAck)
	case !ok:
		return fmt.Errorf("%s: %s is not allowed in state %s", c.row.CSC, name, c.state)
	case s.strikes(cscStuck, c.row.CSC), s.strikes(cscStaysStandby, c.row.CSC) && c.state == standby:
		return fmt.Errorf("%s: %s failed", c.row.CSC, name)
	case s.strikesOnce(cscFaults, c.row.CSC):
		s.change(c, fault, by)
		return fmt.Errorf("%s: %s failed: it is in FAULT", c.row.CSC, name)
	default:
		s.change(c, to, by)
		return nil
	}
}

// change brings a CSC into another state. One that goes OFFLINE ends, except a
// camera bridge, which goes on speaking.
func (s *Site) change(c *csc, to state, by string) {
	s.effect(Effect{System: SystemCSC, Kind: StateChanged, Subject: c.row.CSC, Detail: fmt.Sprintf("%s -> %s", c.state, to), Identity: by})
	if to != offline || c.row.Bridge {
		s.say(c, to)
		return
	}
	if c.says {
		s.say(c, offline)
	} else {
		c.state = offline // what it is; what it last said stays in the EFD
	}
	if c.queue != nil {
		// It closes with its state: what runs on it ends before it falls silent.
		c.queue.close()
	}
	began, takes := len(c.alive), s.between("end "+c.row.CSC, time.Second, 3*time.Second)
	ends := s.clk.Now().Add(takes)
	s.after(takes, func() {
		if len(c.alive) != began || !c.lives() {
			return
		}
		s.downAt(c, "OFFLINE", ends)
		s.ended(c)
	})
}

// ackLimit is how long a commander waits for an acknowledgement.
const ackLimit = 10 * time.Second

// find returns the CSC of that name; the index may be left out for one without
// an index.
func (s *Site) find(name string) *csc {
	if c := s.byName[name]; c != nil {
		return c
	}
	return s.byName[name+":0"]
}

// measurement is the name that a topic has in the EFD.
func measurement(component, topic string) string { return "lsst.sal." + component + "." + topic }
