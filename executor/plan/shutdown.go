package plan

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// ShutdownScript is the standard script that sends CSCs to OFFLINE (P7).
const ShutdownScript = "system_wide_shutdown.py"

// scriptQueue is the component that [ShutdownScript] never takes down.
const scriptQueue = "ScriptQueue"

// A Shutdown is the configuration of [ShutdownScript], as the script reads it (lsst-ts/ts_standardscripts at 08656ba,
// python/lsst/ts/standardscripts/system_wide_shutdown.py).
//
// The script discovers the components that are heard, with all their indices, and
// removes Script and ScriptQueue. StartWith, Ignore and EndWith are compared with
// the NAME of a component: an entry stands for all its indices, and "Watcher:0"
// names nothing. Later versions take "Name:index" in ignore alone, and fail where
// the component has no index; so csu writes names only, and refuses anything else.
type Shutdown struct {
	User      string   `json:"user"`
	Reason    string   `json:"reason"`
	StartWith []string `json:"start_with,omitempty"`
	Ignore    []string `json:"ignore,omitempty"`
	EndWith   []string `json:"end_with,omitempty"`
}

// ParseShutdown reads a configuration of [ShutdownScript]. Its error says why the
// script would fail on it, or would do something else than it says.
func ParseShutdown(config string) (Shutdown, error) {
	var s Shutdown
	if err := yaml.UnmarshalStrict([]byte(config), &s); err != nil {
		return Shutdown{}, fmt.Errorf("parse the configuration of %s: %w", ShutdownScript, err)
	}
	if s.User == "" || s.Reason == "" {
		return Shutdown{}, fmt.Errorf("parse the configuration of %s: it needs a user and a reason", ShutdownScript)
	}
	for _, list := range []struct {
		key   string
		names []string
	}{{"start_with", s.StartWith}, {"ignore", s.Ignore}, {"end_with", s.EndWith}} {
		for _, name := range list.names {
			if before, _, indexed := strings.Cut(name, ":"); indexed {
				return Shutdown{}, fmt.Errorf("parse the configuration of %s: %s names %q: the script compares names of components, such as %q, without an index",
					ShutdownScript, list.key, name, before)
			}
		}
	}
	return s, nil
}

// Encode returns the configuration as the script reads it.
func (s Shutdown) Encode() string {
	text, err := yaml.Marshal(s)
	if err != nil { // strings always marshal
		panic(fmt.Sprintf("encode the configuration of %s: %v", ShutdownScript, err))
	}
	return string(text)
}

// Reaches returns the CSCs of the plan's table that the script sends to OFFLINE,
// in its order: the components of StartWith, those of neither list, those of
// EndWith. Components are one after the other, with all their indices; the order
// between those of neither list is the one in which the script discovers them,
// and here that in which the table names them first.
func (s Shutdown) Reaches(p *Plan) []string {
	var first, middle, last []string
	var discovered []string
	for i := range p.CSCs {
		c := &p.CSCs[i]
		name := Component(c.CSC)
		switch {
		case !c.Speaks() || name == scriptQueue || name == "Script" || slices.Contains(s.Ignore, name):
		case slices.Contains(s.StartWith, name):
			first = append(first, c.CSC)
		case slices.Contains(s.EndWith, name):
			last = append(last, c.CSC)
		default:
			middle = append(middle, c.CSC)
			discovered = append(discovered, name)
		}
	}
	byList := func(list []string) func(a, b string) int {
		return func(a, b string) int { return slices.Index(list, Component(a)) - slices.Index(list, Component(b)) }
	}
	slices.SortStableFunc(first, byList(s.StartWith))
	slices.SortStableFunc(middle, byList(discovered))
	slices.SortStableFunc(last, byList(s.EndWith))
	return slices.Concat(first, middle, last)
}

// Component returns the name of a CSC's SAL component: ESS for ESS:105.
func Component(csc string) string {
	name, _, _ := strings.Cut(csc, ":")
	return name
}

// Shutdown returns the configuration of a step that runs [ShutdownScript], and
// whether it does; the error is that of [ParseShutdown].
func (a *Script) Shutdown() (s Shutdown, runs bool, err error) {
	if path.Base(a.Path) != ShutdownScript {
		return Shutdown{}, false, nil
	}
	s, err = ParseShutdown(a.Config)
	return s, true, err
}

// CheckConfig says why a script cannot read its configuration: it is not a mapping
// in YAML, or has a key twice, of which only one would count.
func (a *Script) CheckConfig() error {
	if err := yaml.UnmarshalStrict([]byte(a.Config), &map[string]any{}); err != nil {
		return fmt.Errorf("parse the configuration of %s: %s", a.Path, strings.Join(strings.Fields(err.Error()), " "))
	}
	return nil
}
