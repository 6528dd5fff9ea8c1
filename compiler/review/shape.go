package review

import (
	"slices"
	"strings"
	"unicode"

	"github.com/lsst-ts/csu/executor/plan"
)

// Shape marks the changes that the requests of the two plans ask for, so that the rest, the
// difference in shape, is shown first: what two nights of one type should have in common. The
// plans are those of the comparison. A change counts as asked for if every word in which it
// differs is one of the requests', or of a CSC, host or application that only one of them
// touches. It hides nothing.
func (c *Comparison) Shape(old, new *plan.Plan) {
	a := &asking{known: map[string]bool{}, cscs: map[string]bool{}, steps: map[string]*plan.Step{}}
	for _, p := range []*plan.Plan{old, new} {
		a.request(p.Upgrade)
		for s := range p.AllSteps() {
			a.steps[s.ID] = s
		}
	}
	for _, csc := range slices.Concat(c.NowTouched, c.NoLongerTouched) {
		a.csc(csc, old, new)
	}
	a.differing(old.Upgrade, new.Upgrade, old, new)
	a.words(differing(old.What(), new.What())...)
	c.shaped = true
	for i := range c.Changes {
		ch := &c.Changes[i]
		if kind, id := subject(ch.Subject); kind == "step" && (ch.What == Added || ch.What == Removed) && a.step(a.steps[id], new) {
			ch.Asked = true
			a.words(id) // steps that need it name it
		}
	}
	for i := range c.Changes {
		c.Changes[i].Asked = c.Changes[i].Asked || a.asks(&c.Changes[i])
	}
}

// Beyond is the number of changes that the requests do not ask for.
func (c *Comparison) Beyond() int {
	n := 0
	for _, ch := range c.Changes {
		if !ch.Asked {
			n++
		}
	}
	return n
}

// asking is what two requests ask for.
type asking struct {
	known map[string]bool // words
	cscs  map[string]bool // that only one of them touches, or that they give other revisions
	steps map[string]*plan.Step
}

// words adds the words of a text.
func (a *asking) words(texts ...string) {
	for _, t := range texts {
		for _, w := range pieces(t) {
			a.known[w] = true
		}
		a.known[t] = true
	}
}

func (a *asking) request(u plan.Upgrade) {
	a.words(u.Date, u.Cycle, u.From, u.Reason)
	for _, b := range u.Branches {
		a.words(b.Branch)
	}
}

// csc adds a CSC, and where it runs.
func (a *asking) csc(name string, plans ...*plan.Plan) {
	a.cscs[name] = true
	a.words(name)
	for _, p := range plans {
		row, ok := p.CSC(name)
		if !ok {
			continue
		}
		a.words(row.Host, row.Before, row.Image)
		if row.Job != nil {
			a.words(row.Job.Name)
		}
	}
}

// differing adds what only one of the requests names.
func (a *asking) differing(old, new plan.Upgrade, plans ...*plan.Plan) {
	was, is := slices.Concat(old.Changed, old.Revisions), slices.Concat(new.Changed, new.Revisions)
	for _, ch := range slices.Concat(was, is) {
		if !slices.Contains(was, ch) || !slices.Contains(is, ch) {
			a.csc(ch.CSC, plans...)
		}
	}
	for _, names := range [][2][]string{{old.Applications, new.Applications}, {old.Hosts, new.Hosts}} {
		a.words(slices.Concat(without(names[0], names[1]), without(names[1], names[0]))...)
	}
}

// step reports whether a step that only one of the plans has is only about what only one of
// the requests asks for.
func (a *asking) step(s *plan.Step, p *plan.Plan) bool {
	if s == nil {
		return false
	}
	e := s.Effects(p)
	cscs := cscsOf(e)
	for _, c := range cscs {
		if !a.cscs[c] {
			return false
		}
	}
	return len(cscs) > 0 || e.Host != "" && a.known[e.Host] || e.Syncs != "" && a.known[e.Syncs]
}

// asks reports whether the requests ask for a change.
func (a *asking) asks(ch *Change) bool {
	kind, name := subject(ch.Subject)
	switch {
	case kind == "upgrade":
		return true
	case ch.What == Moved, ch.What == Reordered:
		return false
	case kind == "csc" && (ch.Field == "image" || ch.Field == "before"):
		return repository(ch.Old) == repository(ch.New)
	case ch.What == Added || ch.What == Removed:
		return kind == "csc" && a.cscs[name]
	}
	words := differing(ch.Old, ch.New)
	if len(ch.Gone) == len(ch.Come) {
		for i := range ch.Gone { // lines of a text, which differ in some of their words
			words = append(words, differing(ch.Gone[i], ch.Come[i])...)
		}
	} else {
		for _, t := range slices.Concat(ch.Gone, ch.Come) {
			words = append(words, pieces(t)...)
		}
	}
	return !slices.ContainsFunc(words, func(w string) bool {
		return !a.known[w] && !blank(w) && !(counts(ch.Field) && number(w))
	})
}

// differing returns the words that only one of two texts has in its place: those outside
// of their longest common subsequence.
func differing(a, b string) []string {
	x, y := pieces(a), pieces(b)
	common := make([][]int, len(x)+1) // length of the longest one of x[i:] and y[j:]
	for i := range common {
		common[i] = make([]int, len(y)+1)
	}
	for i := len(x) - 1; i >= 0; i-- {
		for j := len(y) - 1; j >= 0; j-- {
			common[i][j] = max(common[i+1][j], common[i][j+1])
			if x[i] == y[j] {
				common[i][j] = common[i+1][j+1] + 1
			}
		}
	}
	var out []string
	i, j := 0, 0
	for i < len(x) && j < len(y) {
		switch {
		case x[i] == y[j]:
			i, j = i+1, j+1
		case common[i+1][j] >= common[i][j+1]:
			out, i = append(out, x[i]), i+1
		default:
			out, j = append(out, y[j]), j+1
		}
	}
	return slices.Concat(out, x[i:], y[j:])
}

// counts reports whether a field is a text, in which CSCs are counted and their indices are
// listed. Elsewhere a number has a meaning of its own.
func counts(field string) bool {
	at := strings.LastIndexAny(field, ".]") + 1
	return slices.Contains([]string{"title", "consent", "text", "byHand", "cscs", "reason"}, field[at:])
}

func blank(w string) bool {
	return !strings.ContainsFunc(w, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) })
}

func number(w string) bool {
	return w != "" && !strings.ContainsFunc(w, func(r rune) bool { return !unicode.IsDigit(r) })
}

// repository returns an image without its tag.
func repository(image string) string {
	name, _ := plan.CutTag(image)
	return name
}
