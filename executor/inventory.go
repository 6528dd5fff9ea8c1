package executor

import (
	"encoding/json"
	"fmt"

	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/journal"
)

// inventory records, when the run begins, which Jobs its deletions may delete, by their
// UIDs. With an outdated journal, or a plan that is carried out twice, the deletions
// would find newer Jobs; the operator is asked before those are deleted. If the cluster
// does not answer, a later call makes the inventory. A run that was resumed without
// one gets none: its journal may be old, and the Jobs new.
func (r *run) inventory() error {
	if r.State.Inventory != nil || !r.First || r.State.Aborting || r.o.Systems == nil || r.o.Systems.Cluster == nil {
		return nil
	}
	var found map[string]action.Inventory
	var err error
	r.Beside(func() { found, err = action.Inventories(r.Ctx, r.o.Systems, r.Plan) })
	switch {
	case r.Ctx.Err() != nil:
		return nil // interrupted; drive sees that
	case err != nil:
		r.Notice("cannot record yet which Jobs the run may delete: %v", err)
		return nil
	case len(found) == 0:
		return nil
	}
	evidence, err := json.Marshal(found)
	if err != nil {
		return fmt.Errorf("record which Jobs the run may delete: %w", err)
	}
	_, err = r.Record(journal.Record{Event: journal.Inventoried, Evidence: evidence})
	return err
}
