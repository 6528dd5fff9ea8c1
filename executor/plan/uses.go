package plan

import "fmt"

// Uses names what only one step at a time may use: the executor runs the
// others meanwhile. It is "" where steps don't get into each other's way.
func Uses(d Doer) string {
	switch a := d.(type) {
	case *Manual:
		return "the terminal"
	case *Announce:
		return a.Channel
	case *Script:
		return fmt.Sprintf("ScriptQueue:%d", a.Queue)
	case *SetState:
		return fmt.Sprintf("ScriptQueue:%d", a.Queue)
	case *SSH:
		return "host " + a.Host
	case *Reboot:
		return "host " + a.Host
	case *Delete:
		if a.Objects == Namespaces {
			return "namespaces"
		}
		return "namespace " + a.Namespace
	case *Sync:
		return "application " + a.Application
	case *Compatibility:
		return "schema registry"
	}
	return "" // await-state only reads
}
