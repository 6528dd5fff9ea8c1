package action

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/internal/efd"
	"github.com/lsst-ts/csu/executor/plan"
)

// statePause is the time between two looks at CSCs.
const statePause = 5 * time.Second

// place is where a CSC is, as far as can be told.
type place struct {
	row      *plan.CSC
	sight    efd.Sight
	presence efd.Presence
	// podEnded: the pod that ran it has ended. It is asked only where the EFD
	// does not tell.
	podEnded bool
}

// places looks where the CSCs are. Its error means that the EFD did not tell
// anything.
func places(ctx context.Context, a *Attempt, names []string) ([]place, error) {
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
	if wantsWitness(sights) {
		others, err := client.Look(ctx, others(a.Plan, names))
		if err != nil {
			return nil, err
		}
		all = append(all[:len(all):len(all)], others...)
	}
	found := make([]place, len(names))
	for i, name := range names {
		row, ok := a.Plan.CSC(name)
		if !ok {
			row = &plan.CSC{CSC: name}
		}
		found[i] = place{row: row, sight: sights[i], presence: efd.Judge(sights[i], all, now, client.Lag())}
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

// wantsWitness tells whether none of the CSCs is heard, so that another one
// must show that the EFD takes data in.
func wantsWitness(sights []efd.Sight) bool {
	for _, s := range sights {
		if s.Heard {
			return false
		}
	}
	return true
}

// others are the plan's CSCs that are heard through SAL, without the named ones.
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
		if csc, err := efd.ParseCSC(p.CSCs[i].CSC); err == nil { // one that is none is no witness
			cscs = append(cscs, csc)
		}
	}
	return cscs
}

// podEnded tells whether the CSC's pod is known to have ended. A cluster that
// can't be asked knows nothing; that is no fault, since the EFD is what is
// asked first.
func podEnded(ctx context.Context, a *Attempt, row *plan.CSC) bool {
	if a.Systems.Cluster == nil || row.Job == nil {
		return false
	}
	ended, known, err := a.Systems.Cluster.PodEnded(ctx, row.Job.Namespace, row.Job.Name)
	return err == nil && known && ended
}

// known tells whether it can be told where the CSC is.
func (p place) known() bool { return p.presence != efd.Unknown || p.podEnded }

// in tells whether the CSC was seen to be in the state. Not being seen there is
// not the same as being seen elsewhere: see known.
func (p place) in(state string) bool {
	switch state {
	case plan.Offline:
		// A camera bridge goes on speaking when it is OFFLINE (P11).
		return p.presence == efd.Silent || p.podEnded || (p.row.Bridge && p.sight.State == plan.Offline)
	case plan.OfflineAvailable:
		return p.presence == efd.Speaking && p.sight.State == plan.Offline
	}
	return p.presence == efd.Speaking && p.sight.State == state
}

func (p place) inOneOf(states []string) bool {
	for _, state := range states {
		if p.in(state) {
			return true
		}
	}
	return false
}

// state is one word for where the CSC is.
func (p place) state() string {
	switch {
	case p.podEnded:
		return "its pod has ended"
	case p.presence == efd.Unknown:
		return "unknown"
	case p.presence == efd.Silent && p.sight.State != plan.Offline:
		return "silent"
	case p.sight.State == "":
		return "without a summary state"
	}
	return p.sight.State
}

// String says where the CSC is, since when, and whom to tell (P38).
func (p place) String() string {
	var b strings.Builder
	b.WriteString(p.row.CSC + ": ")
	switch {
	case p.podEnded:
		b.WriteString("its pod has ended")
	case p.presence == efd.Unknown:
		b.WriteString("unknown: neither it nor any other CSC is heard, so that it may be the EFD that is silent or late")
	case p.presence == efd.Silent && p.sight.State != plan.Offline:
		b.WriteString("silent")
		if !p.sight.HeartbeatAt.IsZero() {
			b.WriteString(", last heard at " + hour(p.sight.HeartbeatAt))
		}
		if p.sight.State != "" {
			fmt.Fprintf(&b, ", its last state was %s at %s", p.sight.State, hour(p.sight.StateAt))
		}
	case p.presence == efd.Silent:
		fmt.Fprintf(&b, "OFFLINE and silent since %s", hour(p.sight.StateAt))
	case p.sight.State == "":
		b.WriteString("it is heard, but its summary state is not known")
	default:
		fmt.Fprintf(&b, "%s since %s", p.sight.State, hour(p.sight.StateAt))
	}
	if p.row.Principal != "" {
		b.WriteString(" (" + p.row.Principal + ")")
	}
	return b.String()
}

// hour writes a time as an operator compares it with LOVE and Chronograf.
func hour(t time.Time) string {
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}

// lines writes the places one to a line.
func lines(found []place) string {
	text := make([]string, len(found))
	for i, p := range found {
		text[i] = p.String()
	}
	return strings.Join(text, "\n")
}

// lines writes the places one to a line, each with where it is wanted.
func (w want) lines(found []place) string {
	text := make([]string, len(found))
	for i, p := range found {
		text[i] = fmt.Sprintf("%s; expected in %s", p, strings.Join(w.states[p.row.CSC], " or "))
	}
	return strings.Join(text, "\n")
}

// want is what is waited for: CSCs, each with the states that will do.
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

// missing returns those of the places that are not where they are wanted.
func (w want) missing(found []place) []place {
	var missing []place
	for _, p := range found {
		if !p.inOneOf(w.states[p.row.CSC]) {
			missing = append(missing, p)
		}
	}
	return missing
}

// look returns those of the CSCs that are not where they are wanted, if there
// are none only after a second look that much later: the first one may have
// met a state from before a change that the EFD has yet to take in.
func (w want) look(ctx context.Context, a *Attempt) ([]place, error) {
	missing, err := w.glance(ctx, a)
	if err != nil || len(missing) > 0 {
		return missing, err
	}
	if err := a.Systems.Clock.Sleep(ctx, a.Systems.EFD.Lag()); err != nil {
		return nil, err
	}
	return w.glance(ctx, a)
}

func (w want) glance(ctx context.Context, a *Attempt) ([]place, error) {
	found, err := places(ctx, a, w.names)
	if err != nil {
		return nil, err
	}
	return w.missing(found), nil
}

// await looks until every CSC is where it is wanted, at most for limit, and
// returns those that are not. Its error is that of ctx, or of the EFD where the
// last look met none.
func (w want) await(ctx context.Context, a *Attempt, p *patience, limit time.Duration) ([]place, error) {
	var missing []place
	var blind error
	report := a.reporter()
	err := p.within(ctx, statePause, limit, func(ctx context.Context) (bool, error) {
		found, err := w.look(ctx, a)
		if ctx.Err() != nil {
			return false, ctx.Err()
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

// progress says how many are there, and names the others while they are few.
func (w want) progress(missing []place) string {
	text := fmt.Sprintf("%d of %d there", len(w.names)-len(missing), len(w.names))
	if len(missing) == 0 || len(missing) > 6 {
		return text
	}
	var names []string
	for _, p := range missing {
		names = append(names, fmt.Sprintf("%s (%s)", p.row.CSC, p.state()))
	}
	return text + ", not yet " + strings.Join(names, ", ")
}
