package review

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/executor/plan"
)

// lists names long sets of CSCs, so that a document writes each of them out once.
type lists struct {
	byText   map[string]*list
	order    []*list
	rank     map[string]int // of a CSC in the plan's table
	registry string         // of most images
}

type list struct {
	name  string
	cscs  []string
	brief string // written out, or relative to another list if that is much shorter
}

func newLists(p *plan.Plan) *lists {
	l := &lists{byText: map[string]*list{}, rank: map[string]int{}}
	registries := map[string]int{}
	for i, c := range p.CSCs {
		l.rank[c.CSC] = i
		if j := strings.LastIndexByte(c.Image, '/'); j > 0 {
			registries[c.Image[:j]]++
			if r := c.Image[:j]; registries[r] > registries[l.registry] {
				l.registry = r
			}
		}
	}
	return l
}

// longList is the length in characters from which a set has a name.
const longList = 100

// refer returns a set of CSCs in the table's order, or its name.
func (l *lists) refer(cscs []string) string {
	sorted := slices.Clone(cscs)
	slices.SortStableFunc(sorted, func(a, b string) int { return l.rank[a] - l.rank[b] })
	text := plan.CSCList(sorted)
	if len(text) >= longList {
		return l.named(sorted, text, l.brief(sorted, text))
	}
	if len(cscs) > 3 {
		return fmt.Sprintf("%d CSCs: %s", len(cscs), text)
	}
	return text
}

// ordered is refer for sets whose order matters.
func (l *lists) ordered(cscs []string) string {
	text := plan.CSCOrder(cscs)
	if len(text) >= longList {
		return l.named(cscs, text, text)
	}
	return text
}

func (l *lists) named(cscs []string, text, brief string) string {
	known := l.byText[text]
	if known == nil {
		known = &list{name: fmt.Sprintf("list L%d", len(l.order)+1), cscs: slices.Clone(cscs), brief: brief}
		l.byText[text] = known
		l.order = append(l.order, known)
	}
	return fmt.Sprintf("%d CSCs, %s", len(cscs), known.name)
}

// brief describes a set by its difference from an earlier list, if that is less
// than half as long.
func (l *lists) brief(cscs []string, text string) string {
	best := text
	for _, other := range l.order {
		said := "those of " + other.name
		if less := without(other.cscs, cscs); len(less) > 0 {
			said += " without " + plan.CSCList(less)
		}
		if more := without(cscs, other.cscs); len(more) > 0 {
			said += ", and " + plan.CSCList(more)
		}
		if len(said) < len(text)/2 && len(said) < len(best) {
			best = said
		}
	}
	return best
}

// without returns the elements of a that are not in b.
func without(a, b []string) []string {
	var out []string
	for _, s := range a {
		if !slices.Contains(b, s) {
			out = append(out, s)
		}
	}
	return out
}

// abridge replaces lists that a step's text writes out by their names.
func (l *lists) abridge(e plan.Effects, text string) string {
	for _, set := range sets(e) {
		if written := plan.CSCList(set); len(written) >= longList && strings.Contains(text, written) {
			text = strings.ReplaceAll(text, written, l.refer(set))
		}
	}
	return text
}

// sets returns the sets of CSCs that a step is about.
func sets(e plan.Effects) [][]string {
	all := [][]string{e.Reads, e.Commands, e.DownBy(), e.Starts}
	for _, w := range e.Sees {
		all = append(all, w.CSCs)
	}
	return slices.DeleteFunc(all, func(set []string) bool { return len(set) == 0 })
}
