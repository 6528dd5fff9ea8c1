package rehearsal

import (
	"slices"
	"strings"

	"github.com/lsst-ts/csu/executor/plan"
)

// Summary summarizes a site's record of a rehearsed run.
type Summary struct {
	Down        []string // CSCs, in the order in which they first went down
	JobsDeleted []string // CSCs whose Jobs were deleted, in that order
	Scripts     int      // scripts added to ScriptQueues
	Commands    int      // commands run on hosts
	Syncs       int
	Seen        int      // CSCs of the plan that use SAL
	Astray      []string // CSCs that are not in their expected state at the end, with their states
}

// Summarize summarizes a record. It uses only the record and the plan's table of CSCs.
func Summarize(p *plan.Plan, effects []Effect) Summary {
	var s Summary
	byJob := map[string]string{}
	for _, c := range p.CSCs {
		if c.Job != nil {
			byJob[c.Job.Namespace+"/"+c.Job.Name] = c.CSC
		}
	}
	add := func(list *[]string, name string) {
		if !slices.Contains(*list, name) {
			*list = append(*list, name)
		}
	}
	state := map[string]string{}
	up := map[string]bool{}
	for _, e := range effects {
		switch e.Kind {
		case ScriptAdded:
			s.Scripts++
		case CommandRun:
			s.Commands++
		case SyncStarted:
			s.Syncs++
		case JobDeleted:
			if csc, ok := byJob[e.Subject]; ok {
				add(&s.JobsDeleted, csc)
			}
		case CSCFound:
			up[e.Subject], state[e.Subject] = e.Detail != "silent", e.Detail
		case CSCUp:
			up[e.Subject], state[e.Subject] = true, e.Detail
		case CSCDown:
			up[e.Subject] = false
			add(&s.Down, e.Subject)
		case StateChanged:
			_, now, _ := strings.Cut(e.Detail, " -> ")
			state[e.Subject] = now
			if now == plan.Offline {
				add(&s.Down, e.Subject)
			}
		}
	}
	for _, c := range p.CSCs {
		if !c.Speaks() {
			continue
		}
		s.Seen++
		now := plan.Offline
		if up[c.CSC] {
			now = state[c.CSC]
		}
		if now == plan.Offline && c.Bridge && up[c.CSC] {
			now = plan.OfflineAvailable
		}
		if now != c.Expect {
			s.Astray = append(s.Astray, c.CSC+" ("+now+", not "+c.Expect+")")
		}
	}
	return s
}
