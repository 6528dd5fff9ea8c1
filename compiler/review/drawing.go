package review

import (
	"fmt"
	"slices"

	"github.com/lsst-ts/csu/executor/plan"
)

// A drawing is the graph of a stage's needs: a column for each depth, so that
// every line goes to the right.
type drawing struct {
	Width, Height int
	Boxes         []box
	Lines         []line
}

type box struct {
	ID, Label, Kind string
	Critical        bool
	X, Y, W, H      int
	TextX, TextY    int
}

type line struct {
	Path     string
	Critical bool
}

// The drawing's measures, in pixels. A label's letters are as wide as those of
// a monospaced font of 12 pixels.
const (
	boxHeight  = 26
	rowHeight  = 34
	gapWidth   = 48
	letter     = 7.25
	padding    = 12
	longestTag = 34 // letters of a label
)

// draw lays out the steps of a stage. Steps are to the left of those that need
// them and, if possible, in the same row as what they need.
func draw(s *plan.Stage, e StageEstimate) drawing {
	depth := map[string]int{}
	byID := map[string]*plan.Step{}
	for i := range s.Steps {
		byID[s.Steps[i].ID] = &s.Steps[i]
	}
	var deep func(id string) int
	deep = func(id string) int {
		if d, known := depth[id]; known {
			return d
		}
		d := 0
		for _, n := range byID[id].Needs {
			d = max(d, deep(n)+1)
		}
		depth[id] = d
		return d
	}
	var columns [][]*plan.Step
	for i := range s.Steps {
		d := deep(s.Steps[i].ID)
		for len(columns) <= d {
			columns = append(columns, nil)
		}
		columns[d] = append(columns[d], &s.Steps[i])
	}
	g := drawing{}
	rows := map[string]int{}
	at := map[string]box{}
	x := 2
	for _, column := range columns {
		place(column, rows)
		width := 0
		for _, step := range column {
			width = max(width, int(float64(len([]rune(tag(step, s.ID))))*letter)+2*padding)
		}
		for _, step := range column {
			y := 2 + rows[step.ID]*rowHeight
			b := box{ID: step.ID, Label: tag(step, s.ID), Kind: string(step.Action.Kind()), Critical: slices.Contains(e.Critical, step.ID),
				X: x, Y: y, W: width, H: boxHeight, TextX: x + padding, TextY: y + 17}
			at[step.ID] = b
			g.Boxes = append(g.Boxes, b)
			g.Height = max(g.Height, y+boxHeight+2)
		}
		x += width + gapWidth
	}
	g.Width = x - gapWidth + 2
	for i := range s.Steps {
		to := at[s.Steps[i].ID]
		for _, n := range s.Steps[i].Needs {
			from := at[n]
			g.Lines = append(g.Lines, line{curve(from, to), from.Critical && to.Critical})
		}
	}
	return g
}

// tag returns a step's name in its stage, shortened.
func tag(s *plan.Step, stage string) string {
	return shortened(s.ID[len(stage)+1:], longestTag)
}

// place assigns each step of a column a row: the average row of what it needs, or
// the next free one.
func place(column []*plan.Step, rows map[string]int) {
	want := func(s *plan.Step) int {
		sum := 0
		for _, n := range s.Needs {
			sum += rows[n]
		}
		if len(s.Needs) == 0 {
			return 0
		}
		return sum / len(s.Needs)
	}
	order := slices.Clone(column)
	slices.SortStableFunc(order, func(a, b *plan.Step) int { return want(a) - want(b) })
	next := 0
	for _, s := range order {
		rows[s.ID] = max(next, want(s))
		next = rows[s.ID] + 1
	}
}

func curve(from, to box) string {
	x1, y1 := from.X+from.W, from.Y+from.H/2
	x2, y2 := to.X, to.Y+to.H/2
	middle := x2 - gapWidth/2
	return fmt.Sprintf("M%d %dH%dC%d %d %d %d %d %d", x1, y1, x2-gapWidth, middle, y1, middle, y2, x2, y2)
}
