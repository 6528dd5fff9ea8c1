package rehearsal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/lsst-ts/csu/executor/plan"
)

const (
	setStatePath = "set_summary_state.py"
	shutdownPath = "system_wide_shutdown.py"
)

// knowsScript reports whether the script exists. The two that change summary states
// and those that the plan runs do.
func (s *Site) knowsScript(path string, standard bool) bool {
	if standard && (path == setStatePath || path == shutdownPath) {
		return true
	}
	for step := range s.plan.AllSteps() {
		if a, ok := step.Action.Parameters.(*plan.Script); ok && a.Path == path && a.Standard == standard {
			return true
		}
	}
	return false
}

// errHalfway is the error of a script with the fault script-fails.
var errHalfway = errors.New("it failed halfway")

// configure parses a script's configuration and returns the function that runs it.
func (s *Site) configure(sc *script) (func(context.Context) error, error) {
	if s.strikesOnce(scriptConfFails, sc.path) {
		return nil, errors.New("invalid configuration")
	}
	run, err := s.program(sc)
	if err != nil || sc.path == setStatePath || !s.strikesOnce(scriptFails, sc.path) {
		return run, err
	}
	return func(ctx context.Context) error {
		if err := s.clk.Sleep(ctx, 30*time.Second); err != nil {
			return err
		}
		return errHalfway
	}, nil
}

func (s *Site) program(sc *script) (func(context.Context) error, error) {
	switch {
	case sc.standard && sc.path == setStatePath:
		return s.setSummaryState(sc)
	case sc.standard && sc.path == shutdownPath:
		return s.systemWideShutdown(sc)
	}
	var any map[string]any
	if err := yaml.Unmarshal([]byte(sc.config), &any); err != nil {
		return nil, err
	}
	takes := s.between("run "+sc.path, time.Minute, 6*time.Minute)
	return func(ctx context.Context) error { return s.clk.Sleep(ctx, takes) }, nil
}

// target is an entry of set_summary_state.py's data.
type target struct {
	component string
	index     int
	all       bool // the index is *
	state     state
}

// setSummaryState is set_summary_state.py. It processes its entries in order and stops
// at the first failure.
func (s *Site) setSummaryState(sc *script) (func(context.Context) error, error) {
	var config struct {
		Data         [][]string `json:"data"`
		MuteAlarms   *bool      `json:"mute_alarms"`
		MuteDuration *float64   `json:"mute_duration"`
	}
	if err := yaml.UnmarshalStrict([]byte(sc.config), &config); err != nil {
		return nil, err
	}
	if len(config.Data) == 0 {
		return nil, errors.New("data is empty")
	}
	var targets []target
	for _, entry := range config.Data {
		t, err := s.parseTarget(entry)
		if err != nil {
			return nil, err
		}
		targets = append(targets, t)
	}
	fails := len(targets) > 1 && s.strikesOnce(scriptFails, sc.path)
	mute := config.MuteAlarms == nil || *config.MuteAlarms
	return func(ctx context.Context) error {
		if mute {
			if err := s.muteAlarms(ctx); err != nil {
				return err
			}
		}
		for i, t := range targets {
			if fails && i >= len(targets)/2 {
				return errHalfway
			}
			for _, c := range s.instances(t) {
				if err := s.bring(ctx, c, t.state, sc.descr); err != nil {
					return err
				}
			}
		}
		return nil
	}, nil
}

func (s *Site) parseTarget(entry []string) (target, error) {
	if len(entry) < 2 || len(entry) > 3 {
		return target{}, fmt.Errorf("data entry %q has %d elements, not 2 or 3", entry, len(entry))
	}
	t := target{}
	component, index, indexed := strings.Cut(entry[0], ":")
	t.component = component
	switch n, err := strconv.Atoi(index); {
	case indexed && index == "*":
		t.all = true
	case indexed && err != nil:
		return target{}, fmt.Errorf("data entry %q: %q is not a SAL index", entry, index)
	default:
		t.index = n
	}
	if !slices.ContainsFunc(s.cscs, func(c *csc) bool { return c.component == component }) {
		return target{}, fmt.Errorf("data entry %q: no component %q in the interface", entry, component)
	}
	state, ok := stateOf(entry[1])
	if !ok || state == fault || entry[1] == plan.OfflineAvailable {
		return target{}, fmt.Errorf("data entry %q: a CSC cannot be sent to state %q", entry, entry[1])
	}
	t.state = state
	return t, nil
}

// instances returns the CSCs of a target. A CSC that the site does not have answers no
// command. It is called without the lock.
func (s *Site) instances(t target) []*csc {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []*csc
	for _, c := range s.cscs {
		if c.component == t.component && (t.all && c.lives() || !t.all && c.index == t.index) {
			found = append(found, c)
		}
	}
	if len(found) == 0 && !t.all {
		name := fmt.Sprintf("%s:%d", t.component, t.index)
		found = append(found, &csc{row: &plan.CSC{CSC: name}, component: t.component, index: t.index})
	}
	return found
}

// muteAlarms is the first action of set_summary_state.py, unless its configuration says
// otherwise. It is called without the lock.
func (s *Site) muteAlarms(ctx context.Context) error {
	if err := s.clk.Sleep(ctx, time.Second); err != nil {
		return err
	}
	s.mu.Lock()
	watcher := s.find("Watcher")
	ready := watcher != nil && watcher.lives() && watcher.state == enabled
	s.mu.Unlock()
	if ready {
		return nil
	}
	if err := s.clk.Sleep(ctx, ackLimit); err != nil {
		return err
	}
	return fmt.Errorf("mute the Watcher's alarms: %w", errNoAck)
}

// bring sends a CSC the commands that lead to a state. It is called without the lock.
func (s *Site) bring(ctx context.Context, c *csc, to state, by string) error {
	s.mu.Lock()
	from := c.state
	if !c.lives() {
		from = s.efd.lastState(c)
	}
	s.mu.Unlock()
	if from == 0 {
		return fmt.Errorf("%s: no summary state was ever seen", c.row.CSC)
	}
	for _, name := range commandsTo(from, to) {
		if err := s.command(ctx, c, name, by); err != nil {
			return err
		}
	}
	return nil
}

// systemWideShutdown is system_wide_shutdown.py: it sends the CSCs that it
// hears to OFFLINE, and fails at the end if one has not said so. The model follows
// lsst-ts/ts_standardscripts at 08656ba.
func (s *Site) systemWideShutdown(sc *script) (func(context.Context) error, error) {
	var config struct {
		User      string   `json:"user"`
		Reason    string   `json:"reason"`
		Ignore    []string `json:"ignore"`
		StartWith []string `json:"start_with"`
		EndWith   []string `json:"end_with"`
	}
	if err := yaml.UnmarshalStrict([]byte(sc.config), &config); err != nil {
		return nil, err
	}
	if config.User == "" || config.Reason == "" {
		return nil, errors.New("user and reason are required")
	}
	return func(ctx context.Context) error {
		// It listens to heartbeats for a while.
		if err := s.clk.Sleep(ctx, 10*time.Second); err != nil {
			return err
		}
		var failed []string
		for _, c := range s.shutdownOrder(config.Ignore, config.StartWith, config.EndWith) {
			// What a CSC answers is not looked at; where it is, is.
			err := s.bring(ctx, c, offline, sc.descr)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			s.mu.Lock()
			said := s.efd.lastState(c)
			s.mu.Unlock()
			if err != nil || said != offline {
				failed = append(failed, c.row.CSC)
			}
		}
		if len(failed) > 0 {
			return fmt.Errorf("these CSCs did not reach OFFLINE: %s", strings.Join(failed, ", "))
		}
		return nil
	}, nil
}

// shutdownOrder are the CSCs that live, without the ScriptQueues, in the order in
// which they are sent down: component after component, each with all its indices.
// Without the lock. The script compares its lists with names of components: an
// entry "MTM1M3TS:0" names nothing, and that CSC goes down. In which order it
// discovers components is chance; here it is that of the plan's table.
func (s *Site) shutdownOrder(ignore, first, last []string) []*csc {
	s.mu.Lock()
	defer s.mu.Unlock()
	rank := func(c *csc) int {
		if i := slices.Index(first, c.component); i >= 0 {
			return i - len(first)
		}
		return 1 + slices.Index(last, c.component)
	}
	var order []*csc
	discovered := map[string]int{}
	for i, c := range s.cscs {
		if c.component != "" && c.component != "ScriptQueue" && c.component != "Script" && c.lives() && !slices.Contains(ignore, c.component) {
			order = append(order, c)
			if _, known := discovered[c.component]; !known {
				discovered[c.component] = i
			}
		}
	}
	slices.SortStableFunc(order, func(a, b *csc) int {
		return cmp.Or(rank(a)-rank(b), discovered[a.component]-discovered[b.component])
	})
	return order
}
