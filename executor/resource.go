package executor

import (
	"fmt"

	"github.com/lsst-ts/csu/executor/plan"
)

// resource names what only one step at a time may use; "" where steps don't get
// into each other's way.
func resource(d plan.Doer) string {
	switch a := d.(type) {
	case *plan.Manual:
		return "terminal"
	case *plan.Announce:
		return "channel/" + a.Channel
	case *plan.Script:
		return fmt.Sprintf("queue/%d", a.Queue)
	case *plan.SetState:
		return fmt.Sprintf("queue/%d", a.Queue)
	case *plan.SSH:
		return "host/" + a.Host
	case *plan.Reboot:
		return "host/" + a.Host
	case *plan.Delete:
		if a.Objects == plan.Namespaces {
			return "namespaces"
		}
		return "namespace/" + a.Namespace
	case *plan.Sync:
		return "application/" + a.Application
	case *plan.Compatibility:
		return "registry"
	}
	return "" // await-state only reads
}
