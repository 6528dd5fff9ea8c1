package plan

import (
	"strings"
	"time"
)

// Class is what the duration of an action depends on: its kind, what it is for, and what
// it is done to. The durations of past attempts are kept by class.
type Class struct {
	Kind    Kind
	Purpose string // a script's path, a state, what is deleted, what an ssh action does; "" where a kind has one purpose
	Target  string // an application, or the role of a host; "" where that makes no difference
}

// String names the class for people.
func (c Class) String() string {
	return strings.TrimSpace(strings.Join([]string{string(c.Kind), c.Purpose, c.Target}, " "))
}

// ClassOf returns the class of an action, and of how many runs of one script it consists,
// one after the other; 1 for anything else. role returns what a host is for. What a person
// does has no class: its duration is theirs.
func ClassOf(d Parameters, role func(host string) Role) (c Class, times int, ok bool) {
	c, times = Class{Kind: d.Kind()}, 1
	switch a := d.(type) {
	case *Manual:
		return Class{}, 0, false
	case *Script:
		c.Purpose = a.Path
	case *SetState:
		c.Purpose = a.State
		if a.GroupSize > 0 {
			times = max(1, (len(a.CSCs)+a.GroupSize-1)/a.GroupSize)
		}
	case *AwaitState:
		states := map[string]bool{}
		for _, w := range a.Want {
			for _, s := range w.States {
				states[s] = true
			}
		}
		if states[Offline] && len(states) == 1 {
			c.Purpose = Offline
		}
	case *SSH:
		if a.Purpose == AwaitBuild {
			return Class{}, 0, false // it lasts as long as the build is not done when it is waited for
		}
		c.Purpose, c.Target = string(a.Purpose), string(role(a.Host))
	case *Reboot:
		c.Target = string(role(a.Host))
	case *Delete:
		c.Purpose = string(a.Objects)
	case *Sync:
		c.Target = a.Application
		if len(a.Resources) > 0 {
			c.Purpose = "in part"
		}
	}
	return c, times, true
}

// Class is [ClassOf] the step in its plan.
func (s *Step) Class(p *Plan) (c Class, times int, ok bool) {
	if s.Action.Parameters == nil {
		return Class{}, 0, false
	}
	return ClassOf(s.Action.Parameters, func(host string) Role {
		if h, ok := p.Host(host); ok {
			return h.Role
		}
		return ""
	})
}

// Learned returns the usual duration of a step and its spread from percentiles of past
// attempts, in whole seconds.
func Learned(p10, p50, p90 time.Duration, from int) (Duration, *Spread) {
	takes := Duration(max(time.Second, p50.Round(time.Second)))
	return takes, &Spread{
		Low:  min(takes, Duration(p10.Truncate(time.Second))),
		High: max(takes, Duration((p90 + time.Second - 1).Truncate(time.Second))), From: from,
	}
}
