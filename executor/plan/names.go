package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Counted returns a number with its noun.
func Counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if strings.HasSuffix(noun, "s") {
		noun += "e" // class, classes
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// CSCList names CSCs briefly for people: the indices of one component together and
// ascending, and no index where a component has none.
func CSCList(cscs []string) string { return cscList(cscs, true) }

// CSCOrder is CSCList where the order of the indices matters.
func CSCOrder(cscs []string) string { return cscList(cscs, false) }

func cscList(cscs []string, ascending bool) string {
	var order []string
	indices := map[string][]string{}
	for _, c := range cscs {
		name, index, _ := strings.Cut(c, ":")
		if _, seen := indices[name]; !seen {
			order = append(order, name)
		}
		indices[name] = append(indices[name], index)
	}
	var out []string
	for _, name := range order {
		if all := indices[name]; len(all) == 1 && (all[0] == "0" || all[0] == "") {
			out = append(out, name)
		} else {
			if ascending {
				slices.SortFunc(all, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b)) })
			}
			out = append(out, name+":"+strings.Join(all, ","))
		}
	}
	return strings.Join(out, ", ")
}

// CompareCSCs compares CSCs by name, then numerically by index.
func CompareCSCs(a, b string) int {
	nameA, indexA, _ := strings.Cut(a, ":")
	nameB, indexB, _ := strings.Cut(b, ":")
	return cmp.Or(strings.Compare(nameA, nameB), cmp.Compare(len(indexA), len(indexB)), strings.Compare(indexA, indexB))
}
