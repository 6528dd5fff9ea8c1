package plan

import (
	"fmt"
	"slices"
)

// Manual is done by hand: csu shows the text and waits for the operator's confirmation.
type Manual struct {
	Text string `json:"text"`
	// CSCs are shown with their present states beside the text.
	CSCs []string `json:"cscs,omitempty"`
	// Applications are refreshed, and shown with their revision and what is out
	// of sync. Only read.
	Applications []string `json:"applications,omitempty"`
}

// Kind implements [Parameters].
func (*Manual) Kind() Kind { return KindManual }

// Effects implements [Parameters]. What the person does is not csu's.
func (a *Manual) Effects(p *Plan) Effects {
	e := Effects{ReadOnly: true, ByPerson: true, Resource: "the terminal", EFD: len(a.CSCs) > 0, Reads: a.CSCs, Refreshes: a.Applications}
	if len(a.Applications) > 0 {
		e.Requests = onApplications(p, "get", "patch")
	}
	return e
}

// Announce posts to a Slack channel.
type Announce struct {
	Channel string `json:"channel"`
	Text    string `json:"text"`
	// Handover says that others wait for this message. If it cannot be posted, the
	// operator is asked to tell them.
	Handover bool `json:"handover,omitempty"`
}

// Kind implements [Parameters].
func (*Announce) Kind() Kind { return KindAnnounce }

// Effects implements [Parameters].
func (a *Announce) Effects(*Plan) Effects {
	return Effects{Resource: a.Channel, Posts: a.Channel, Irreversible: "a message is posted to " + a.Channel}
}

// Script adds a SAL script to a ScriptQueue through LOVE.
type Script struct {
	Queue    int      `json:"queue"`
	Path     string   `json:"path"`
	Standard bool     `json:"standard"`
	Config   string   `json:"config"` // YAML
	Accept   []string `json:"accept"` // the ends that count as done: DONE, FAILED
}

// Kind implements [Parameters].
func (*Script) Kind() Kind { return KindScript }

// Effects implements [Parameters]. A configuration of [ShutdownScript] that cannot
// be read counts as one that ignores nothing: more is named than may go down.
func (a *Script) Effects(p *Plan) Effects {
	e := Effects{Resource: queueOf(a.Queue), LOVE: true, EFD: true, Queue: a.Queue}
	if config, runs, _ := a.Shutdown(); runs { // the rule shutdown-script reports the error
		e.Commands, e.State = config.Reaches(p), Offline
		e.Down = down(ByCommand, e.Commands)
	}
	return e
}

// SetState runs set_summary_state.py for those of its CSCs that are not in the
// state yet.
type SetState struct {
	Queue int    `json:"queue"`
	State string `json:"state"`
	// CSCs in the order in which the script takes them.
	CSCs []string `json:"cscs"`
	// GroupSize is how many CSCs one script takes, since it stops at its first
	// failure (P41). 0: all in one.
	GroupSize  int  `json:"groupSize,omitempty"`
	MuteAlarms bool `json:"muteAlarms"`
}

// Kind implements [Parameters].
func (*SetState) Kind() Kind { return KindSetState }

// Effects implements [Parameters].
func (a *SetState) Effects(*Plan) Effects {
	e := Effects{
		Resource: queueOf(a.Queue), LOVE: true, EFD: true, Queue: a.Queue,
		Commands: a.CSCs, State: a.State, Sees: []Want{{States: []string{a.State}, CSCs: a.CSCs}},
	}
	if a.State == Offline {
		e.Down = down(ByCommand, a.CSCs)
	}
	return e
}

// AwaitState watches the EFD until every CSC is in one of its states.
type AwaitState struct {
	Want []Want `json:"want"`
}

// Kind implements [Parameters].
func (*AwaitState) Kind() Kind { return KindAwaitState }

// Effects implements [Parameters].
func (a *AwaitState) Effects(*Plan) Effects {
	return Effects{ReadOnly: true, EFD: true, Sees: a.Want}
}

// Want is a set of CSCs and the states that are accepted for them.
type Want struct {
	States []string `json:"states"`
	CSCs   []string `json:"cscs"`
}

// Summary states as plans name them. Offline is a CSC that is down: silent,
// with a witness, or saying so itself. OfflineAvailable is a camera bridge that
// is up and says OFFLINE.
const (
	Disabled         = "DISABLED"
	Enabled          = "ENABLED"
	Fault            = "FAULT"
	Offline          = "OFFLINE"
	Standby          = "STANDBY"
	OfflineAvailable = "OFFLINE_AVAILABLE"
)

// Purpose is what an ssh action does to a service.
type Purpose string

// The purposes.
const (
	Stop   Purpose = "stop"
	Update Purpose = "update"
	Start  Purpose = "start"
	// Build begins a build that takes long. The step is done once the host has begun it.
	Build Purpose = "build"
	// AwaitBuild waits for the end of a build that an earlier step has begun.
	AwaitBuild Purpose = "await-build"
)

// SSH runs commands on a host, in a detached process with a name.
type SSH struct {
	Host     string   `json:"host"`
	User     string   `json:"user"`
	Purpose  Purpose  `json:"purpose"`
	Service  string   `json:"service"`  // what is stopped, updated or started, for people and for pairing
	Commands []string `json:"commands"` // run in order by a POSIX sh, ended by the first that fails
	// Check is run afterwards, until it exits with 0.
	Check string `json:"check,omitempty"`
	// Silent are CSCs that must be silent before anything is run: a second
	// daemon must not start beside one that runs (P45). If all of them speak,
	// the step is done without running anything.
	Silent []string `json:"silent,omitempty"`
	// Build is the step that began the build for which [AwaitBuild] waits. The
	// commands are the same: they run again if the build was lost, after a question.
	Build string `json:"build,omitempty"`
}

// Kind implements [Parameters].
func (*SSH) Kind() Kind { return KindSSH }

// Effects implements [Parameters].
func (a *SSH) Effects(p *Plan) Effects {
	e := Effects{Resource: "host " + a.Host, EFD: len(a.Silent) > 0, Reads: a.Silent, Host: a.Host, User: a.User}
	service := a.Service + " on " + a.Host
	switch a.Purpose {
	case Stop:
		e.Stopped, e.Down = service, down(ByService, p.On(a.Host))
	case Start:
		e.Started, e.Starts = service, p.On(a.Host)
	case Update:
		e.Updated = service
		e.Irreversible = a.Service + " is updated, and csu cannot restore the previous version"
	case Build:
		e.Begun = "the build of " + service
	case AwaitBuild:
		e.Ended = "the build of " + service
	}
	return e
}

// Reboot reboots a host and waits until it answers with another boot id.
type Reboot struct {
	Host    string `json:"host"`
	User    string `json:"user"`
	Command string `json:"command"`
}

// Kind implements [Parameters].
func (*Reboot) Kind() Kind { return KindReboot }

// Effects implements [Parameters].
func (a *Reboot) Effects(p *Plan) Effects {
	return Effects{
		Resource: "host " + a.Host, Host: a.Host, User: a.User, Rebooted: a.Host,
		Down: down(ByReboot, p.On(a.Host)), Irreversible: a.Host + " is rebooted",
	}
}

// Objects is what a delete action deletes.
type Objects string

// What can be deleted.
const (
	Jobs       Objects = "jobs"
	Namespaces Objects = "namespaces"
)

// Delete deletes what a label selector finds, and waits until that is gone.
type Delete struct {
	Objects   Objects `json:"objects"`
	Namespace string  `json:"namespace,omitempty"` // jobs only
	Selector  string  `json:"selector"`
	// CSCs are those whose Jobs the selector finds, all of them.
	CSCs []string `json:"cscs,omitempty"`
}

// Kind implements [Parameters].
func (*Delete) Kind() Kind { return KindDelete }

// Effects implements [Parameters].
func (a *Delete) Effects(*Plan) Effects {
	if a.Objects == Namespaces {
		return Effects{
			Resource: "namespaces", Requests: requests("", "namespaces", "", "get", "list", "delete"), Namespaces: a.Selector,
			Irreversible: fmt.Sprintf("the namespaces with label %q are deleted, with their sessions and all unsaved work", a.Selector),
		}
	}
	return Effects{
		Resource: "namespace " + a.Namespace, Jobs: a.Namespace, Down: down(ByDeletion, a.CSCs),
		Requests: append(requests("batch", "jobs", a.Namespace, "get", "list", "delete"), requests("", "pods", a.Namespace, "list")...),
	}
}

// Sync has Argo CD sync an application, or some of its resources.
type Sync struct {
	Application string `json:"application"`
	// Revision is the branch that the application must follow.
	Revision  string     `json:"revision"`
	Resources []Resource `json:"resources,omitempty"` // empty: the whole application
	// CSCs are those whose Jobs must run their image of the table afterwards.
	CSCs []string `json:"cscs,omitempty"`
}

// Kind implements [Parameters].
func (*Sync) Kind() Kind { return KindSync }

// Effects implements [Parameters]. A CSC that speaks no SAL is seen by its image
// alone; where the others are is for a step that watches them.
func (a *Sync) Effects(p *Plan) Effects {
	e := Effects{
		Resource: "application " + a.Application, Syncs: a.Application, Updated: "application " + a.Application,
		Starts: a.CSCs, Requests: onApplications(p, "get", "patch", "update"),
	}
	if silent := slices.DeleteFunc(slices.Clone(a.CSCs), ValidCSC); len(silent) > 0 {
		e.Sees = []Want{{CSCs: silent}}
	}
	for _, name := range a.CSCs {
		if c, ok := p.CSC(name); ok && c.Job != nil {
			e.Requests = append(e.Requests, requests("batch", "jobs", c.Job.Namespace, "get")...)
			e.Requests = append(e.Requests, requests("", "pods", c.Job.Namespace, "list")...)
		}
	}
	return e
}

// Resource is a Kubernetes object of an application.
type Resource struct {
	Group     string `json:"group,omitempty"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// Compatibility sets the schema registry's global level.
type Compatibility struct {
	Expect string `json:"expect"` // the level before; another one is a failure
	Set    string `json:"set"`
}

// Kind implements [Parameters].
func (*Compatibility) Kind() Kind { return KindCompatibility }

// Effects implements [Parameters]. The registry is spoken to by exec in its pod,
// which over a websocket is a GET for older API servers.
func (a *Compatibility) Effects(p *Plan) Effects {
	namespace := p.Targets.Registry.Namespace
	e := Effects{Resource: "schema registry", LevelBefore: a.Expect, Level: a.Set, Requests: requests("", "pods", namespace, "list")}
	for _, verb := range []string{"create", "get"} {
		e.Requests = append(e.Requests, Request{Verb: verb, Resource: "pods", Subresource: "exec", Namespace: namespace})
	}
	if a.Set == "NONE" {
		e.Irreversible = fmt.Sprintf("schemas registered while the compatibility level is NONE remain after it is set back to %s", a.Expect)
	}
	return e
}
