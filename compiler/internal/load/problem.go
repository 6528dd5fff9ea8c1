package load

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/compiler/internal/model"
	"github.com/lsst-ts/csu/executor/exit"
	"github.com/lsst-ts/csu/executor/plan"
)

// Problem is something in the sources that must be corrected.
type Problem struct {
	Pos     model.Pos
	Subject string // what it is about, such as "CSC ESS:105"
	Text    string // what is wrong
	Remedy  string // what to do about it
}

// String returns the problem in one line: place, subject, cause and remedy.
func (p Problem) String() string {
	var b strings.Builder
	for _, part := range []string{p.Pos.String(), p.Subject} {
		if part != "" {
			b.WriteString(part + ": ")
		}
	}
	b.WriteString(p.Text)
	if p.Remedy != "" {
		b.WriteString("; " + p.Remedy)
	}
	return b.String()
}

// Problems are all the problems of an input, in the order of its files.
type Problems struct {
	Input string // such as "site summit"
	All   []Problem
}

// Error returns a line with the number of problems, followed by one line for each.
func (p *Problems) Error() string {
	lines := []string{fmt.Sprintf("load %s: %s", p.Input, plan.Counted(len(p.All), "problem"))}
	for _, one := range p.All {
		lines = append(lines, one.String())
	}
	return strings.Join(lines, "\n")
}

// ExitCode returns the code for unusable input.
func (p *Problems) ExitCode() exit.Code { return exit.Input }

// sorted returns the problems in the order of the files, each once.
func sorted(all []Problem) []Problem {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b Problem) int {
		return cmp.Or(
			cmp.Compare(a.Pos.File, b.Pos.File),
			cmp.Compare(a.Pos.Line, b.Pos.Line),
			cmp.Compare(a.Pos.Column, b.Pos.Column),
			cmp.Compare(a.Text, b.Text),
		)
	})
	// A mistake in a value that several others use is reported for all of them.
	return slices.CompactFunc(all, func(a, b Problem) bool { return a.Pos == b.Pos && a.Text == b.Text })
}

// quoted returns names for a sentence.
func quoted(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	all := make([]string, len(names))
	for i, n := range names {
		all[i] = fmt.Sprintf("%q", n)
	}
	return strings.Join(all, ", ")
}

// suggest returns a question with the closest name, or "" if none is close.
func suggest(name string, names []string) string {
	best, least := "", 3
	switch {
	case len(name) < 3:
		return ""
	case len(name) < 5:
		least = 2
	}
	for _, n := range names {
		if d := distance(strings.ToLower(name), strings.ToLower(n)); n != name && d < least {
			best, least = n, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %q?)", best)
}

// suggestCSC is suggest for the name of a CSC. It corrects only the component: a
// wrong index cannot be guessed.
func suggestCSC(name string, names []string) string {
	component, index, _ := strings.Cut(name, ":")
	var alike []string
	for _, n := range names {
		switch c, i, _ := strings.Cut(n, ":"); {
		case c == component && i == "0":
			return suggest(name, []string{n})
		case c == component:
			return ""
		case i == index:
			alike = append(alike, n)
		}
	}
	return suggest(name, alike)
}

// distance returns the minimum number of letters to insert, delete, replace or
// swap with their neighbour to turn a into b. Names of more than a hundred letters
// are far from everything.
func distance(a, b string) int {
	if len(a) > 100 || len(b) > 100 {
		return 100
	}
	before, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next := make([]int, len(b)+1)
		next[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}
