package plan

import (
	"fmt"
	"slices"
)

// Effects are what an action does to the observatory. Each kind returns them from its
// method Effects, next to its parameters in kinds.go, and nowhere else. The rules, the
// review, the executor and preflight use these.
//
// The rehearsed site and the campaign's judging have a model of their own, which
// follows the sources of the scripts and systems. A test compares what the site
// observed of each kind with these effects.
type Effects struct {
	// ReadOnly says that csu itself changes nothing: it reads, or a person acts.
	ReadOnly bool
	// ByPerson says that a person does it, and csu waits until they have.
	ByPerson bool
	// Resource names what only one step at a time may use; "" where steps do not
	// get in each other's way.
	Resource string

	// What the action talks to.

	LOVE, EFD  bool
	Queue      int       // SAL index of the ScriptQueue that runs a script; 0 for none
	Posts      string    // Slack channel
	Host, User string    // logged in to, and as whom
	Syncs      string    // the application that Argo CD syncs
	Refreshes  []string  // applications that are read, after a refresh
	Reads      []string  // CSCs whose states are read first: to show them, or since they must be silent
	Requests   []Request // to the Kubernetes API

	// What happens to CSCs.

	Down []Down // those that it takes down, in this order
	// Commands are the CSCs that it commands to State, one after the other;
	// OFFLINE among the states.
	Commands []string
	State    string
	Starts   []string // those whose Job or service it starts, in whatever state they come up
	// Sees are the states in which CSCs were seen when the action is done. No states
	// at all: the CSC was seen to run.
	Sees []Want

	// What happens to everything else.

	Stopped, Started string // a service on a host
	Updated          string // an application, or a service on a host
	// Begun goes on when the step is done, in later stages too, until the step that
	// has it as Ended has seen its end: a build on a host.
	Begun, Ended string
	Rebooted     string // a host
	Jobs         string // the namespace in which Jobs are deleted
	Namespaces   string // the selector of namespaces that are deleted
	LevelBefore  string // the level that the schema registry must have
	Level        string // the level that it gets

	// Irreversible is what no step undoes, as a sentence without its full stop; "" for
	// nothing.
	Irreversible string
}

// Means is how a CSC is taken down.
type Means string

// The means.
const (
	ByCommand  Means = "command"  // it is sent to OFFLINE
	ByDeletion Means = "deletion" // its Job is deleted
	ByService  Means = "service"  // its service on a host is stopped
	ByReboot   Means = "reboot"   // its host is rebooted
)

// Down is a CSC that is taken down.
type Down struct {
	CSC string
	By  Means
}

// Request is what is asked of the Kubernetes API, in the terms of RBAC.
type Request struct {
	Verb, Group, Resource, Subresource string
	Namespace, Name                    string
}

// Cluster reports whether the action talks to the Kubernetes API.
func (e *Effects) Cluster() bool { return len(e.Requests) > 0 }

// DownBy returns the CSCs that the action takes down by one of the means, in its
// order; with no means all of them.
func (e *Effects) DownBy(means ...Means) []string {
	var names []string
	for _, d := range e.Down {
		if len(means) == 0 || slices.Contains(means, d.By) {
			names = append(names, d.CSC)
		}
	}
	return names
}

// Touches returns the CSCs that the action takes down, commands or starts, each
// once.
func (e *Effects) Touches() []string {
	var names []string
	for _, name := range slices.Concat(e.DownBy(), e.Commands, e.Starts) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// Effects returns what the step does. p is the plan whose tables its action refers
// to. A step without an action, which no plan that was decoded has, does nothing.
func (s *Step) Effects(p *Plan) Effects {
	if s.Action.Parameters == nil {
		return Effects{}
	}
	return s.Action.Effects(p)
}

// down lists CSCs that are taken down by the same means.
func down(by Means, cscs []string) []Down {
	var all []Down
	for _, c := range cscs {
		all = append(all, Down{c, by})
	}
	return all
}

// On returns the CSCs that a host runs, in the order of the plan's table.
func (p *Plan) On(host string) []string {
	var names []string
	for i := range p.CSCs {
		if host != "" && p.CSCs[i].Host == host {
			names = append(names, p.CSCs[i].CSC)
		}
	}
	return names
}

func queueOf(index int) string { return fmt.Sprintf("%s:%d", scriptQueue, index) }

func requests(group, resource, namespace string, verbs ...string) []Request {
	var all []Request
	for _, verb := range verbs {
		all = append(all, Request{Verb: verb, Group: group, Resource: resource, Namespace: namespace})
	}
	return all
}

// onApplications are requests about Argo CD's applications: a refresh patches, a
// sync updates.
func onApplications(p *Plan, verbs ...string) []Request {
	return requests("argoproj.io", "applications", p.Targets.ArgoCD.Namespace, verbs...)
}
