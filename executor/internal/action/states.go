package action

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/internal/clock"
	"github.com/lsst-ts/csu/executor/internal/efd"
	"github.com/lsst-ts/csu/executor/plan"
)

// statePause is the time between two polls of the CSCs' states.
const statePause = 5 * time.Second

// observation is what csu knows about the state of a CSC.
type observation struct {
	row      *plan.CSC
	sight    efd.Sight
	presence efd.Presence
	// podEnded means that the CSC's pod has ended. It is read only if the EFD
	// leaves the state unknown.
	podEnded bool
}

// observe reads the states of the CSCs. An error means that the EFD could not be
// read.
func observe(ctx context.Context, a *Attempt, names []string) ([]observation, error) {
	cscs, err := parseCSCs(names)
	if err != nil {
		return nil, err
	}
	client := a.Systems.EFD
	now := a.Systems.Clock.Now()
	sights, err := client.Look(ctx, cscs)
	if err != nil {
		return nil, err
	}
	all := sights
	if noneHeard(sights) {
		// Another CSC must show that the EFD is ingesting data.
		others, err := client.Look(ctx, others(a.Plan, names))
		if err != nil {
			return nil, err
		}
		all = append(all[:len(all):len(all)], others...)
	}
	found := make([]observation, len(names))
	for i, name := range names {
		row, ok := a.Plan.CSC(name)
		if !ok {
			row = &plan.CSC{CSC: name}
		}
		found[i] = observation{row: row, sight: sights[i], presence: efd.Judge(sights[i], all, now, client.Lag())}
		if found[i].presence == efd.Unknown {
			found[i].podEnded = podEnded(ctx, a, row)
		}
	}
	return found, nil
}

func parseCSCs(names []string) ([]efd.CSC, error) {
	cscs := make([]efd.CSC, len(names))
	for i, name := range names {
		csc, err := efd.ParseCSC(name)
		if err != nil {
			return nil, err
		}
		cscs[i] = csc
	}
	return cscs, nil
}

// noneHeard reports whether none of the CSCs is heard.
func noneHeard(sights []efd.Sight) bool {
	for _, s := range sights {
		if s.Heard {
			return false
		}
	}
	return true
}

// others returns the plan's CSCs that can be heard through SAL, except the named
// ones.
func others(p *plan.Plan, names []string) []efd.CSC {
	named := map[string]bool{}
	for _, name := range names {
		named[name] = true
	}
	var cscs []efd.CSC
	for i := range p.CSCs {
		if named[p.CSCs[i].CSC] || !p.CSCs[i].Speaks() {
			continue
		}
		if csc, err := efd.ParseCSC(p.CSCs[i].CSC); err == nil { // a name that is not a CSC's is not in the EFD
			cscs = append(cscs, csc)
		}
	}
	return cscs
}

// podEnded reports whether the CSC's pod is known to have ended. It is not an
// error if the cluster does not answer, since the EFD is the primary source.
func podEnded(ctx context.Context, a *Attempt, row *plan.CSC) bool {
	if a.Systems.Cluster == nil || row.Job == nil {
		return false
	}
	ended, known, err := a.Systems.Cluster.PodEnded(ctx, row.Job.Namespace, row.Job.Name)
	return err == nil && known && ended
}

// known reports whether the CSC's state is known.
func (o observation) known() bool { return o.presence != efd.Unknown || o.podEnded }

// in reports whether the CSC is known to be in the state. If not, it may be in
// another state or in an unknown one: see known.
func (o observation) in(state string) bool {
	switch state {
	case plan.Offline:
		// A camera bridge still sends heartbeats when it is OFFLINE (P11).
		return o.presence == efd.Silent || o.podEnded || (o.row.Bridge && o.sight.State == plan.Offline)
	case plan.OfflineAvailable:
		return o.presence == efd.Speaking && o.sight.State == plan.Offline
	}
	return o.presence == efd.Speaking && o.sight.State == state
}

func (o observation) inOneOf(states []string) bool {
	for _, state := range states {
		if o.in(state) {
			return true
		}
	}
	return false
}

// state describes the CSC's state in a word or two.
func (o observation) state() string {
	switch {
	case o.podEnded:
		return "its pod has ended"
	case o.presence == efd.Unknown:
		return "unknown"
	case o.presence == efd.Silent && o.sight.State != plan.Offline:
		return "silent"
	case o.sight.State == "":
		return "no summary state"
	}
	return o.sight.State
}

// String describes the CSC's state, since when it has been in it, and whom to tell
// (P38).
func (o observation) String() string {
	text := o.row.CSC + ": " + o.seen()
	if o.row.Principal != "" {
		text += " (" + o.row.Principal + ")"
	}
	return text
}

// seen describes the CSC's state, and since when it has been in it.
func (o observation) seen() string {
	var b strings.Builder
	switch {
	case o.podEnded:
		b.WriteString("its pod has ended")
	case o.sight.Ahead > 0:
		fmt.Fprintf(&b, "unknown: its times in the EFD are %s ahead of this machine's clock", o.sight.Ahead.Round(time.Second))
	case o.presence == efd.Unknown:
		b.WriteString("unknown: neither it nor any other CSC is heard, so the EFD may be down or late")
	case o.presence == efd.Silent && o.sight.State != plan.Offline:
		b.WriteString("silent")
		if !o.sight.HeartbeatAt.IsZero() {
			b.WriteString(", last heard at " + timestamp(o.sight.HeartbeatAt))
		}
		if o.sight.State != "" {
			fmt.Fprintf(&b, ", last state %s at %s", o.sight.State, timestamp(o.sight.StateAt))
		}
	case o.presence == efd.Silent:
		fmt.Fprintf(&b, "OFFLINE and silent since %s", timestamp(o.sight.StateAt))
	case o.sight.State == "":
		b.WriteString("heard, but its summary state is unknown")
	default:
		fmt.Fprintf(&b, "%s since %s", o.sight.State, timestamp(o.sight.StateAt))
	}
	return b.String()
}

// timestamp formats a time so that the operator can compare it with LOVE and
// Chronograf.
func timestamp(t time.Time) string {
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}

// lines lists the observations, one per line.
func lines(found []observation) string {
	text := make([]string, len(found))
	for i, p := range found {
		text[i] = p.String()
	}
	return strings.Join(text, "\n")
}

// lines lists the observations, one per line, each with the expected states.
func (w want) lines(found []observation) string {
	text := make([]string, len(found))
	for i, p := range found {
		text[i] = fmt.Sprintf("%s; expected %s", p, strings.Join(w.states[p.row.CSC], " or "))
	}
	return strings.Join(text, "\n")
}

// want lists CSCs with the states that each may be in.
type want struct {
	names  []string
	states map[string][]string // by name
}

func wantAll(names []string, states ...string) want {
	w := want{names: names, states: map[string][]string{}}
	for _, name := range names {
		w.states[name] = states
	}
	return w
}

// missing returns the observations of CSCs that are not in a wanted state.
func (w want) missing(found []observation) []observation {
	var missing []observation
	for _, p := range found {
		if !p.inOneOf(w.states[p.row.CSC]) {
			missing = append(missing, p)
		}
	}
	return missing
}

// missingTwice returns the CSCs that are not in a wanted state. If there are none,
// it reads the states again after the EFD's lag, since the EFD may not yet have
// ingested a change.
func (w want) missingTwice(ctx context.Context, a *Attempt) ([]observation, error) {
	missing, err := w.missingNow(ctx, a)
	if err != nil || len(missing) > 0 {
		return missing, err
	}
	if err := a.Systems.Clock.Sleep(ctx, a.Systems.EFD.Lag()); err != nil {
		return nil, err
	}
	return w.missingNow(ctx, a)
}

// missingAgain is the second reading of missingTwice, which is part of a limit.
func (w want) missingAgain(ctx context.Context, a *Attempt, limit *clock.Limit) ([]observation, error) {
	if err := a.Systems.Clock.Sleep(ctx, a.Systems.EFD.Lag()); err != nil {
		return nil, err
	}
	ctx, cancel := limit.Context(ctx)
	defer cancel()
	return w.missingNow(ctx, a)
}

func (w want) missingNow(ctx context.Context, a *Attempt) ([]observation, error) {
	found, err := observe(ctx, a, w.names)
	if err != nil {
		return nil, err
	}
	return w.missing(found), nil
}

// await waits until every CSC is in a wanted state, for at most the given part of
// limit, and returns those that are not. Its error is ctx's, or the EFD's if the
// last poll could not read it.
func (w want) await(ctx context.Context, a *Attempt, limit *clock.Limit, most time.Duration) ([]observation, error) {
	var missing []observation
	blind := errors.New("the EFD has not answered")
	report, outer := a.reporter(), ctx
	err := limit.PollFor(ctx, statePause, most, func(ctx context.Context) (bool, error) {
		found, err := w.missingNow(ctx, a)
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		if err == nil && len(found) == 0 {
			// If that is so at the limit, the second reading comes after it.
			found, err = w.missingAgain(outer, a, limit)
		}
		if outer.Err() != nil {
			return false, outer.Err()
		}
		blind = err
		if err != nil {
			report.say(err.Error())
			return false, nil
		}
		missing = found
		report.say(w.progress(missing))
		return len(missing) == 0, nil
	})
	switch {
	case err == nil:
		return nil, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case blind != nil:
		return nil, blind
	}
	return missing, nil
}

// count says how many CSCs are in a wanted state.
func (w want) count(missing []observation) string {
	if len(w.names) == 1 {
		return fmt.Sprintf("%s is %sin the expected state", w.names[0], map[bool]string{true: "not "}[len(missing) > 0])
	}
	return fmt.Sprintf("%d of %d CSCs are in the expected state", len(w.names)-len(missing), len(w.names))
}

// progress is count with the names of the others, if they are few.
func (w want) progress(missing []observation) string {
	text := w.count(missing)
	if len(missing) == 0 || len(missing) > 6 {
		return text
	}
	var names []string
	for _, p := range missing {
		names = append(names, fmt.Sprintf("%s (%s)", p.row.CSC, p.state()))
	}
	return text + "; not yet: " + strings.Join(names, ", ")
}
