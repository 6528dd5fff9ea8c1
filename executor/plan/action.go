package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
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

// Parameters are one kind's: *Manual, *Announce and so on.
type Parameters interface {
	Kind() Kind
	// Effects returns what the action does, in the plan whose tables it refers to.
	Effects(*Plan) Effects
}

// A Visitor has one method for each kind. Code that must handle every kind is a Visitor,
// so that the Go compiler finds the places to extend for a new kind.
type Visitor[T any] interface {
	Manual(*Manual) T
	Announce(*Announce) T
	Script(*Script) T
	SetState(*SetState) T
	AwaitState(*AwaitState) T
	SSH(*SSH) T
	Reboot(*Reboot) T
	Delete(*Delete) T
	Sync(*Sync) T
	Compatibility(*Compatibility) T
}

// Visit calls the visitor's method for the action's kind and returns its result;
// the zero value if there are no parameters.
func Visit[T any](of Parameters, v Visitor[T]) (result T) {
	switch p := of.(type) {
	case *Manual:
		return v.Manual(p)
	case *Announce:
		return v.Announce(p)
	case *Script:
		return v.Script(p)
	case *SetState:
		return v.SetState(p)
	case *AwaitState:
		return v.AwaitState(p)
	case *SSH:
		return v.SSH(p)
	case *Reboot:
		return v.Reboot(p)
	case *Delete:
		return v.Delete(p)
	case *Sync:
		return v.Sync(p)
	case *Compatibility:
		return v.Compatibility(p)
	}
	return result
}

// newParameters are the empty parameters of each kind, in the order in which the
// kinds are documented.
var newParameters = []func() Parameters{
	func() Parameters { return new(Manual) },
	func() Parameters { return new(Announce) },
	func() Parameters { return new(Script) },
	func() Parameters { return new(SetState) },
	func() Parameters { return new(AwaitState) },
	func() Parameters { return new(SSH) },
	func() Parameters { return new(Reboot) },
	func() Parameters { return new(Delete) },
	func() Parameters { return new(Sync) },
	func() Parameters { return new(Compatibility) },
}

// Kinds are all kinds, in the order in which they are documented.
var Kinds = func() []Kind {
	var all []Kind
	for _, parameters := range newParameters {
		all = append(all, parameters().Kind())
	}
	return all
}()

// parametersOf returns the empty parameters of a kind, nil for an unknown one.
func parametersOf(k Kind) Parameters {
	if i := slices.Index(Kinds, k); i >= 0 {
		return newParameters[i]()
	}
	return nil
}

// Action is what a step does. In a file it is one object, its kind first.
type Action struct{ Parameters }

// MarshalJSON writes the kind and then the kind's own fields.
func (a Action) MarshalJSON() ([]byte, error) {
	if a.Parameters == nil || reflect.ValueOf(a.Parameters).IsNil() {
		return nil, fmt.Errorf("encode action: it has no kind")
	}
	kind, err := marshal(a.Kind())
	if err != nil {
		return nil, err
	}
	fields, err := marshal(a.Parameters)
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
	a.Parameters = parametersOf(head.Kind)
	if a.Parameters == nil {
		return fmt.Errorf("unknown kind %q", head.Kind)
	}
	return json.Unmarshal(data, a.Parameters)
}
