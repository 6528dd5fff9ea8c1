package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
)

// Kind names what an action does.
type Kind string

// The kinds, a closed set.
const (
	KindManual        Kind = "manual"
	KindAnnounce      Kind = "announce"
	KindScript        Kind = "script"
	KindSetState      Kind = "set-state"
	KindAwaitState    Kind = "await-state"
	KindSSH           Kind = "ssh"
	KindReboot        Kind = "reboot"
	KindDelete        Kind = "delete"
	KindSync          Kind = "sync"
	KindCompatibility Kind = "compatibility"
)

// Kinds are all kinds, in the order in which they are documented.
var Kinds = []Kind{
	KindManual, KindAnnounce, KindScript, KindSetState, KindAwaitState,
	KindSSH, KindReboot, KindDelete, KindSync, KindCompatibility,
}

// Doer is one kind's parameters: *Manual, *Announce and so on.
type Doer interface{ Kind() Kind }

// Action is what a step does. In a file it is one object, its kind first.
type Action struct{ Doer }

// Manual is done by a person; csu shows the text and asks.
type Manual struct {
	Text string `json:"text"`
	// CSCs are shown with their present states beside the text.
	CSCs []string `json:"cscs,omitempty"`
	// Applications are refreshed, and shown with their revision and what is out
	// of sync. Only read.
	Applications []string `json:"applications,omitempty"`
}

// Announce posts to a Slack channel.
type Announce struct {
	Channel string `json:"channel"`
	Text    string `json:"text"`
	// Handover: somebody waits for this message, so that the operator is asked
	// to tell them where it can't be posted.
	Handover bool `json:"handover,omitempty"`
}

// Script adds a SAL script to a ScriptQueue through LOVE.
type Script struct {
	Queue    int      `json:"queue"`
	Path     string   `json:"path"`
	Standard bool     `json:"standard"`
	Config   string   `json:"config"` // YAML
	Accept   []string `json:"accept"` // the ends that count as done: DONE, FAILED
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

// AwaitState watches the EFD until every CSC is in one of its states.
type AwaitState struct {
	Want []Want `json:"want"`
}

// Want is a set of CSCs and the states that will do for them.
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
)

// SSH runs commands on a host, in a detached process with a name.
type SSH struct {
	Host     string   `json:"host"`
	User     string   `json:"user"`
	Purpose  Purpose  `json:"purpose"`
	Service  string   `json:"service"`  // what is stopped, updated or started, for people and for pairing
	Commands []string `json:"commands"` // run in order by a POSIX sh, ended by the first that fails
	// Check is run afterwards, and must come to exit with 0.
	Check string `json:"check,omitempty"`
	// Silent are CSCs that must be silent before anything is run: a second
	// daemon must not start beside one that runs (P45). If all of them speak,
	// the step is done without running anything.
	Silent []string `json:"silent,omitempty"`
}

// Reboot reboots a host and waits until it answers with another boot id.
type Reboot struct {
	Host    string `json:"host"`
	User    string `json:"user"`
	Command string `json:"command"`
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

// Sync has Argo CD sync an application, or some of its resources.
type Sync struct {
	Application string `json:"application"`
	// Revision is the branch that the application must follow.
	Revision  string     `json:"revision"`
	Resources []Resource `json:"resources,omitempty"` // empty: the whole application
	// CSCs are those whose Jobs must run their image of the table afterwards.
	CSCs []string `json:"cscs,omitempty"`
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

// Kind implements [Doer].
func (*Manual) Kind() Kind        { return KindManual }
func (*Announce) Kind() Kind      { return KindAnnounce }
func (*Script) Kind() Kind        { return KindScript }
func (*SetState) Kind() Kind      { return KindSetState }
func (*AwaitState) Kind() Kind    { return KindAwaitState }
func (*SSH) Kind() Kind           { return KindSSH }
func (*Reboot) Kind() Kind        { return KindReboot }
func (*Delete) Kind() Kind        { return KindDelete }
func (*Sync) Kind() Kind          { return KindSync }
func (*Compatibility) Kind() Kind { return KindCompatibility }

// newDoer returns the empty parameters of a kind, nil for an unknown one.
func newDoer(k Kind) Doer {
	switch k {
	case KindManual:
		return new(Manual)
	case KindAnnounce:
		return new(Announce)
	case KindScript:
		return new(Script)
	case KindSetState:
		return new(SetState)
	case KindAwaitState:
		return new(AwaitState)
	case KindSSH:
		return new(SSH)
	case KindReboot:
		return new(Reboot)
	case KindDelete:
		return new(Delete)
	case KindSync:
		return new(Sync)
	case KindCompatibility:
		return new(Compatibility)
	}
	return nil
}

// MarshalJSON writes the kind and then the kind's own fields.
func (a Action) MarshalJSON() ([]byte, error) {
	if a.Doer == nil || reflect.ValueOf(a.Doer).IsNil() {
		return nil, fmt.Errorf("encode action: it has no kind")
	}
	kind, err := marshal(a.Kind())
	if err != nil {
		return nil, err
	}
	fields, err := marshal(a.Doer)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString(`{"kind":`)
	b.Write(kind)
	if rest := fields[1:]; len(rest) > 1 { // more than the closing brace
		b.WriteByte(',')
		b.Write(rest)
	} else {
		b.WriteByte('}')
	}
	return b.Bytes(), nil
}

// UnmarshalJSON reads what MarshalJSON writes. Unknown fields are found by
// [Decode], which knows their place.
func (a *Action) UnmarshalJSON(data []byte) error {
	var head struct {
		Kind Kind `json:"kind"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return err
	}
	a.Doer = newDoer(head.Kind)
	if a.Doer == nil {
		return fmt.Errorf("unknown kind %q", head.Kind)
	}
	return json.Unmarshal(data, a.Doer)
}
