package executor

import (
	"encoding/json"
	"fmt"

	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/plan"
)

// inventory records, when the run begins, which Jobs its deletions may take, by
// their UIDs. A journal that is out of date, or a plan that is carried out twice,
// would find Jobs that were made since; of those the operator is asked. Where the
// cluster does not answer, the inventory is made when it does. A run that was resumed
// without one makes none: its journal may be old, and the Jobs new.
func (r *run) inventory() error {
	if r.state.Inventory != nil || !r.begun || r.state.Aborting || r.o.Systems == nil || r.o.Systems.Cluster == nil {
		return nil
	}
	found := map[string]action.Inventory{}
	for step := range r.o.Plan.AllSteps() {
		d, ok := step.Action.Parameters.(*plan.Delete)
		if !ok || d.Objects != plan.Jobs {
			continue
		}
		var jobs action.Inventory
		var err error
		r.beside(func() { jobs, err = action.TakeInventory(r.ctx, r.o.Systems, d) })
		if r.ctx.Err() != nil {
			return nil // interrupted; drive sees that
		}
		if err != nil {
			r.notice("cannot record yet which Jobs the run may delete: %v", err)
			return nil
		}
		found[step.ID] = jobs
	}
	if len(found) == 0 {
		return nil
	}
	evidence, err := json.Marshal(found)
	if err != nil {
		return fmt.Errorf("record which Jobs the run may delete: %w", err)
	}
	_, err = r.record(journal.Record{Event: journal.Inventoried, Evidence: evidence})
	return err
}
