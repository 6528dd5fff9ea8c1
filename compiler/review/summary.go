package review

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/executor/plan"
)

// Summary is what a reviewer asks first.
type Summary struct {
	Down       []string // CSCs that go down, in the order of the table
	Jobs       []string // CSCs whose Jobs are deleted
	Namespaces bool     // Nublado's user namespaces are deleted
	Synced     []string // applications
	Hosts      []string // touched
	Reboots    []string
	Scripts    int
	Manual     int // steps that a person does
	Consents   int // consents, those of stages and of steps
	Doubts     int
	Levels     []string // what the registry is set to
}

// Summarize reads a plan for its summary.
func Summarize(p *plan.Plan) Summary {
	var s Summary
	down := map[string]bool{}
	add := func(list *[]string, names ...string) {
		for _, n := range names {
			if !slices.Contains(*list, n) {
				*list = append(*list, n)
			}
		}
	}
	for i := range p.Stages {
		s.Consents++
		s.Doubts += len(p.Stages[i].Doubts)
	}
	for step := range p.AllSteps() {
		if step.Consent != "" {
			s.Consents++
		}
		if step.Doubt != "" {
			s.Doubts++
		}
		switch a := step.Action.Doer.(type) {
		case *plan.Manual:
			s.Manual++
		case *plan.Script:
			s.Scripts++
			if strings.HasSuffix(a.Path, "system_wide_shutdown.py") {
				for _, c := range p.CSCs {
					down[c.CSC] = down[c.CSC] || c.Speaks() && !strings.HasPrefix(c.CSC, "ScriptQueue:") && !strings.Contains(a.Config, "- "+strings.TrimSuffix(c.CSC, ":0")+"\n")
				}
				down["Watcher:0"] = true // it stands in the configuration to be the first
			}
		case *plan.SetState:
			s.Scripts++
			for _, c := range a.CSCs {
				down[c] = down[c] || a.State == plan.Offline
			}
		case *plan.SSH:
			add(&s.Hosts, a.Host)
			for _, c := range p.CSCs {
				down[c.CSC] = down[c.CSC] || c.Host == a.Host && a.Purpose == plan.Stop
			}
		case *plan.Reboot:
			add(&s.Hosts, a.Host)
			add(&s.Reboots, a.Host)
		case *plan.Delete:
			add(&s.Jobs, a.CSCs...)
			for _, c := range a.CSCs {
				down[c] = true
			}
			s.Namespaces = s.Namespaces || a.Objects == plan.Namespaces
		case *plan.Sync:
			add(&s.Synced, a.Application)
		case *plan.Compatibility:
			s.Levels = append(s.Levels, a.Set)
		}
	}
	for _, c := range p.CSCs {
		if down[c.CSC] {
			s.Down = append(s.Down, c.CSC)
		}
	}
	return s
}

// lines returns the summary as labelled lines.
func (s Summary) lines() [][2]string {
	var out [][2]string
	add := func(label, text string) {
		if text != "" {
			out = append(out, [2]string{label, text})
		}
	}
	add("Goes down", fmt.Sprintf("%d CSCs: %s", len(s.Down), plan.CSCList(s.Down)))
	deleted := ""
	if len(s.Jobs) > 0 {
		deleted = fmt.Sprintf("%d Jobs: %s", len(s.Jobs), plan.CSCList(s.Jobs))
	}
	if s.Namespaces {
		deleted += "; the Nublado user namespaces, with the sessions in them"
	}
	add("Is deleted", deleted)
	add("Is synced", strings.Join(s.Synced, ", "))
	add("Hosts touched", strings.Join(s.Hosts, ", "))
	add("Is rebooted", strings.Join(s.Reboots, ", "))
	add("Schema registry", strings.Join(s.Levels, ", then "))
	add("Is asked", fmt.Sprintf("%d consents, %d doubts, %d things that a person does", s.Consents, s.Doubts, s.Manual))
	return out
}
