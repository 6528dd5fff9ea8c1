package efd

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// Queue is the content of a ScriptQueue according to its last event
// logevent_queue, which it sends at every change and in answer to showQueue.
type Queue struct {
	Known        bool // false if there is no event within 30 days; then the rest is empty
	Enabled      bool // the ScriptQueue's summary state is ENABLED
	Running      bool // false if paused: the queue accepts scripts but does not run them
	CurrentIndex int  // SAL index of the current script; 0 if none
	Indices      []int
	PastIndices  []int // the most recent first
	At           time.Time
}

// Queue reads the last event of the ScriptQueue with this SAL index.
func (c *Client) Queue(ctx context.Context, queue int) (Queue, error) {
	// All fields, because an array is stored as one field for each of its 400
	// elements.
	rows, _, err := c.ask(ctx, selection{component: "ScriptQueue", topic: "logevent_queue", where: []string{is("salIndex", queue)}, since: c.clk.Now().Add(-lookBack), newest: true})
	if err != nil {
		return Queue{}, err
	}
	if len(rows[0]) == 0 {
		return Queue{}, nil
	}
	q, err := readQueue(rows[0][0])
	if err != nil {
		return Queue{}, fmt.Errorf("ScriptQueue:%d: %w", queue, err)
	}
	return q, nil
}

func readQueue(r row) (q Queue, err error) {
	q.Known = true
	if q.At, err = r.time(); err != nil {
		return Queue{}, err
	}
	if q.Enabled, err = r.flag("enabled"); err != nil {
		return Queue{}, err
	}
	if q.Running, err = r.flag("running"); err != nil {
		return Queue{}, err
	}
	if q.CurrentIndex, err = r.integer("currentSalIndex"); err != nil {
		return Queue{}, err
	}
	if q.Indices, err = r.array("salIndices", "length"); err != nil {
		return Queue{}, err
	}
	if q.PastIndices, err = r.array("pastSalIndices", "pastLength"); err != nil {
		return Queue{}, err
	}
	return q, nil
}

// array reads the elements name0, name1, ... The field length says how many are
// in use. If that field is missing, the array ends at the first 0, which is no
// script's index.
func (r row) array(name, length string) ([]int, error) {
	n, err := r.optional(length)
	if err != nil {
		return nil, err
	}
	_, counted := r.fields[length]
	var elements []int
	for i := 0; !counted || i < n; i++ {
		field := name + strconv.Itoa(i)
		if _, ok := r.fields[field]; !ok && !counted {
			break
		}
		e, err := r.integer(field)
		if err != nil {
			return nil, err
		}
		if e == 0 && !counted {
			break
		}
		elements = append(elements, e)
	}
	return elements, nil
}
