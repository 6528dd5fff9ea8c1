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

// state is a summary state, numbered as in SAL.
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

// stateOf returns the summary state for a state in a plan. A bridge that is
// OFFLINE_AVAILABLE publishes OFFLINE.
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

// transitions maps each state command of SAL to the states that it leads from and to.
var transitions = map[string]map[state]state{
	"start":        {standby: disabled},
	"enable":       {disabled: enabled},
	"disable":      {enabled: disabled},
	"standby":      {disabled: standby, fault: standby},
	"exitControl":  {standby: offline},
	"enterControl": {offline: standby},
}

// commandsTo returns the commands that bring a CSC from one state to another.
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

// span is the lifetime of a CSC's process. It has no end while the process lives.
type span struct{ from, to time.Time }

// csc is a Commandable SAL Component.
type csc struct {
	row       *plan.CSC
	component string // "" for a Job that does not use SAL
	index     int
	state     state // its summary state
	// reportsOffline means that it publishes OFFLINE before its process ends (P11).
	reportsOffline bool
	alive          []span
	queue          *queue // of a ScriptQueue
	// podChanges counts the starts and ends of its pod, if the cluster is real.
	podChanges int
	podRan     bool // its pod ran before the upgrade, whether it was heard or silent
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

// up starts the CSC's process.
func (s *Site) up(c *csc) {
	if c.lives() {
		s.effect(Effect{System: SystemCSC, Kind: CSCDuplicate, Subject: c.row.CSC})
		return
	}
	if s.strikes(cscNeverHeard, c.row.CSC) {
		return // its process runs but publishes nothing
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
	s.publish(c, first)
	if c.queue != nil {
		c.queue.open()
	}
}

// down ends the CSC's process at once. The CSC publishes nothing.
func (s *Site) down(c *csc, why string) { s.downAt(c, why, s.clk.Now()) }

// downAt is down for a process that should have ended at a time in the past. A busy
// machine may call it late, and the CSC must have no heartbeats after that time.
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

// publish sets and publishes a CSC's summary state.
func (s *Site) publish(c *csc, now state) {
	c.state = now
	if c.component == "" {
		return
	}
	s.efd.add(measurement(c.component, "logevent_summaryState"), s.clk.Now(), fields{"salIndex": c.index, "summaryState": int(now)})
	if c.queue != nil {
		c.queue.changed()
	}
}

// errNoAck is the result of a command to a CSC whose process does not live.
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

// change changes a CSC's state. A CSC that goes OFFLINE ends its process, except for
// a camera bridge, which keeps sending heartbeats.
func (s *Site) change(c *csc, to state, by string) {
	s.effect(Effect{System: SystemCSC, Kind: StateChanged, Subject: c.row.CSC, Detail: fmt.Sprintf("%s -> %s", c.state, to), Identity: by})
	if to != offline || c.row.Bridge {
		s.publish(c, to)
		return
	}
	if c.reportsOffline {
		s.publish(c, offline)
	} else {
		c.state = offline // the EFD keeps the last state it published
	}
	if c.queue != nil {
		// The queue closes when its state changes, before it falls silent.
		c.queue.close()
	}
	began, takes := len(c.alive), s.between("end "+c.row.CSC, time.Second, 3*time.Second)
	ends := s.clk.Now().Add(takes)
	s.after(takes, func() {
		if len(c.alive) != began || !c.lives() {
			return
		}
		s.downAt(c, "OFFLINE", ends)
		s.processEnded(c)
	})
}

// ackLimit is how long a commander waits for an acknowledgement.
const ackLimit = 10 * time.Second

// find returns the CSC of that name. The index 0 may be left out.
func (s *Site) find(name string) *csc {
	if c := s.byName[name]; c != nil {
		return c
	}
	return s.byName[name+":0"]
}

// measurement returns the name of a topic in the EFD.
func measurement(component, topic string) string { return "lsst.sal." + component + "." + topic }
