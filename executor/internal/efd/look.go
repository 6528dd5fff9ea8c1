package efd

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// Sight is what one look shows of a CSC.
type Sight struct {
	CSC CSC
	// State is the last summary state within 30 days: "DISABLED", "ENABLED",
	// "FAULT", "OFFLINE" or "STANDBY". It is empty if there is none, or if the
	// CSC wrote a number that is not a summary state.
	State       string
	StateAt     time.Time // when it wrote State; zero if there is none
	HeartbeatAt time.Time // its newest heartbeat within the lag and 5 minutes; zero if none
	Heard       bool      // HeartbeatAt is no older than the lag and 15 s
	// Ahead is how far a time of the CSC is in the future, if it is further than
	// clocks may differ. Then the CSC's state is unknown, and the rest is empty.
	Ahead time.Duration
}

// freshness is added to the lag. Heartbeats come every second, and an
// occasional slow flush must not make a CSC seem silent.
const freshness = 15 * time.Second

// summaryState returns the name of a value of SAL's State.
func summaryState(n int) string {
	switch n {
	case 1:
		return "DISABLED"
	case 2:
		return "ENABLED"
	case 3:
		return "FAULT"
	case 4:
		return "OFFLINE"
	case 5:
		return "STANDBY"
	}
	return ""
}

// Look reads the last summary state and the newest heartbeat of each CSC and
// returns a Sight for each, in the same order. If the EFD knows nothing of a
// CSC, that is not an error: its Sight is empty.
func (c *Client) Look(ctx context.Context, cscs []CSC) ([]Sight, error) {
	sights := make([]Sight, 0, len(cscs))
	// The state and the heartbeat of a CSC are in the same request.
	for chunk := range slices.Chunk(cscs, maxStatements/2) {
		now := c.clk.Now()
		var statements []selection
		for _, csc := range chunk {
			if err := checkComponent(csc.Component); err != nil {
				return nil, fmt.Errorf("read the EFD: %w", err)
			}
			statements = append(statements,
				selection{component: csc.Component, topic: "logevent_summaryState", fields: []string{"summaryState"}, where: []string{is("salIndex", csc.Index)}, since: now.Add(-lookBack), newest: true},
				c.heartbeat(csc, now))
		}
		rows, asked, err := c.ask(ctx, statements...)
		if err != nil {
			return nil, err
		}
		for i, csc := range chunk {
			s, err := c.sight(csc, rows[2*i], rows[2*i+1], asked)
			if err != nil {
				return nil, err
			}
			sights = append(sights, s)
		}
	}
	return sights, nil
}

func (c *Client) heartbeat(csc CSC, now time.Time) selection {
	return selection{component: csc.Component, topic: "logevent_heartbeat", fields: []string{"salIndex"}, where: []string{is("salIndex", csc.Index)}, since: now.Add(-c.lag - heartbeatLookBack), newest: true}
}

func (c *Client) sight(csc CSC, states, heartbeats []row, asked time.Time) (Sight, error) {
	s := Sight{CSC: csc}
	for _, r := range slices.Concat(states, heartbeats) {
		s.Ahead = max(s.Ahead, r.ahead)
	}
	if s.Ahead > 0 {
		return s, nil
	}
	var err error
	if len(states) > 0 {
		n, err := states[0].integer("summaryState")
		if err != nil {
			return Sight{}, err
		}
		s.State = summaryState(n)
		if s.StateAt, err = states[0].time(); err != nil {
			return Sight{}, err
		}
	}
	if len(heartbeats) > 0 {
		if s.HeartbeatAt, err = heartbeats[0].time(); err != nil {
			return Sight{}, err
		}
		s.Heard = !s.HeartbeatAt.Before(asked.Add(-c.lag - freshness))
	}
	return s, nil
}

// Fresh returns the time of the newest heartbeat of all the CSCs, or zero if
// none of them was heard within the lag and 5 minutes. As long as other CSCs
// are running, it shows how recent the EFD's data are.
func (c *Client) Fresh(ctx context.Context, cscs []CSC) (time.Time, error) {
	now := c.clk.Now()
	var statements []selection
	for _, csc := range cscs {
		if err := checkComponent(csc.Component); err != nil {
			return time.Time{}, fmt.Errorf("read the EFD: %w", err)
		}
		statements = append(statements, c.heartbeat(csc, now))
	}
	rows, _, err := c.ask(ctx, statements...)
	if err != nil {
		return time.Time{}, err
	}
	return newestTime(rows)
}

func newestTime(rows [][]row) (time.Time, error) {
	var newest time.Time
	for _, r := range slices.Concat(rows...) {
		at, err := r.time()
		if err != nil {
			return time.Time{}, err
		}
		if at.After(newest) {
			newest = at
		}
	}
	return newest, nil
}

// Alive returns, sorted, the CSCs of these components that are heard, whatever
// their indices.
func (c *Client) Alive(ctx context.Context, components []string) ([]CSC, error) {
	now := c.clk.Now()
	var statements []selection
	for _, name := range components {
		if err := checkComponent(name); err != nil {
			return nil, fmt.Errorf("read the EFD: %w", err)
		}
		// The indices are the question here, so there is no filter by salIndex.
		statements = append(statements, selection{component: name, topic: "logevent_heartbeat", fields: []string{"salIndex"}, since: now.Add(-c.lag - freshness)})
	}
	rows, _, err := c.ask(ctx, statements...)
	if err != nil {
		return nil, err
	}
	var alive []CSC
	for i, name := range components {
		for _, r := range rows[i] {
			index, err := r.integer("salIndex")
			if err != nil {
				return nil, err
			}
			alive = append(alive, CSC{Component: name, Index: index})
		}
	}
	slices.SortFunc(alive, func(a, b CSC) int {
		return cmp.Or(cmp.Compare(a.Component, b.Component), cmp.Compare(a.Index, b.Index))
	})
	return slices.Compact(alive), nil
}
