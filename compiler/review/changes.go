package review

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/executor/plan"
)

// JSON writes the comparison with every value in full.
func (c *Comparison) JSON(w io.Writer) error {
	out := *c
	if out.Changes == nil {
		out.Changes = []Change{}
	}
	for _, list := range []*[]string{&out.NowDown, &out.NoLongerDown, &out.NowTouched, &out.NoLongerTouched} {
		if *list == nil {
			*list = []string{}
		}
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(&out)
}

// A bundle is changes that differ only in their subjects.
type bundle struct {
	Change
	subjects []string
	varied   bool // their values are not the same, but the difference is
}

// bundled groups changes of one weight. Those with many subjects come last, so that
// single ones do not get lost among them.
func (c *Comparison) bundled(weight Weight) []bundle {
	var out []bundle
	at := map[string]int{}
	for _, ch := range c.Changes {
		if ch.Weight != weight {
			continue
		}
		kind, _ := subject(ch.Subject)
		_, was, is, _ := difference(ch.Old, ch.New)
		key := strings.Join([]string{ch.What, kind, ch.Field, was, is, strings.Join(ch.Gone, "\n"), strings.Join(ch.Come, "\n"), ch.Why}, "\x00")
		if i, seen := at[key]; seen && ch.What == Changed {
			out[i].subjects = append(out[i].subjects, ch.Subject)
			out[i].varied = out[i].varied || ch.Old != out[i].Old
			continue
		}
		at[key] = len(out)
		out = append(out, bundle{Change: ch, subjects: []string{ch.Subject}})
	}
	slices.SortStableFunc(out, func(a, b bundle) int { return min(len(a.subjects), 4)/4 - min(len(b.subjects), 4)/4 })
	return out
}

// difference splits two texts, between words, into their common beginning, the
// parts that differ, and their common end.
func difference(a, b string) (head, was, is, tail string) {
	x, y := pieces(a), pieces(b)
	i := 0
	for i < len(x) && i < len(y) && x[i] == y[i] {
		i++
	}
	j := 0
	for j < len(x)-i && j < len(y)-i && x[len(x)-1-j] == y[len(y)-1-j] {
		j++
	}
	return strings.Join(x[:i], ""), strings.Join(x[i:len(x)-j], ""), strings.Join(y[i:len(y)-j], ""), strings.Join(x[len(x)-j:], "")
}

// pieces splits a text into words and what is between them.
func pieces(s string) []string {
	isLetter := func(i int) bool {
		r := s[i]
		return r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r >= 0x80
	}
	isWord := func(i int) bool { // a full stop is none of its word
		return isLetter(i) || s[i] == '.' && i+1 < len(s) && isLetter(i+1)
	}
	var out []string
	start := 0
	for i := 1; i <= len(s); i++ {
		if i == len(s) || !isWord(i) || !isWord(i-1) {
			out = append(out, s[start:i])
			start = i
		}
	}
	return out
}

// around is how many characters are shown on each side of a difference, and whole
// is the length up to which a text is shown in full.
const (
	around = 40
	whole  = 120
)

// excerpts returns the two texts of a change; of long ones, only the part around
// the difference. The difference itself is never cut if it may matter.
func (b *bundle) excerpts() (was, is string) {
	if b.varied {
		_, was, is, _ := difference(b.Old, b.New)
		return was, is
	}
	if len(b.Old) <= whole && len(b.New) <= whole || b.Old == "" || b.New == "" {
		return b.limit(b.Old), b.limit(b.New)
	}
	head, was, is, tail := difference(b.Old, b.New)
	if r := []rune(head); len(r) > around {
		head = "…" + string(r[len(r)-around:])
	}
	if r := []rune(tail); len(r) > around {
		tail = string(r[:around]) + "…"
	}
	return head + b.limit(was) + tail, head + b.limit(is) + tail
}

func (ch *Change) limit(s string) string {
	if ch.Weight == Minor {
		return shortened(s, 2*whole)
	}
	return s
}

// list returns the elements that a list lost or gained.
func (ch *Change) list(items []string, write func(string) string) string {
	if strings.HasSuffix(ch.Field, "cscs") {
		return write(plan.CSCList(items))
	}
	var out []string
	for i, item := range items {
		if ch.Weight == Minor && i == 6 {
			out = append(out, fmt.Sprintf("and %d more", len(items)-i))
			break
		}
		out = append(out, write(ch.limit(item)))
	}
	return strings.Join(out, ", ")
}

// heads are the headings of the changes of each weight.
var heads = map[Weight]string{
	Danger: "Review these first",
	Effect: "Other changes in effect",
	Minor:  "Words, times and order",
}

// A part is the changes that are shown together, in the form of a comparison.
type part struct {
	Comparison
	asked string // what the requests have to do with it; "" if that is not known
}

// parts returns the changes as they are shown: of a comparison with [Comparison.Shape], those
// that the requests do not ask for come first.
func (c *Comparison) parts() []part {
	if !c.shaped {
		return []part{{*c, ""}}
	}
	beyond, asked := part{asked: "beyond what the requests ask for"}, part{asked: "as the requests ask"}
	for _, ch := range c.Changes {
		if ch.Asked {
			asked.Changes = append(asked.Changes, ch)
		} else {
			beyond.Changes = append(beyond.Changes, ch)
		}
	}
	return []part{beyond, asked}
}

// head is the heading of the changes of a weight.
func (p *part) head(weight Weight) string {
	if p.asked == "" {
		return heads[weight]
	}
	return heads[weight] + ", " + p.asked
}

// verdict summarizes in one line how the plans differ.
func (c *Comparison) verdict() string {
	if c.Same() {
		return "The plans are the same."
	}
	count := map[Weight]int{}
	order := true
	for _, ch := range c.Changes {
		count[ch.Weight]++
		order = order && ch.What == Reordered && ch.Weight == Minor
	}
	if order {
		return "Same effect, different order."
	}
	text := fmt.Sprintf("%s: %d to review first, %d others in effect, %d in words, times and order.",
		c.Count(), count[Danger], count[Effect], count[Minor])
	if c.shaped {
		text += fmt.Sprintf(" Difference in shape: %s beyond what the requests ask for.", plan.Counted(c.Beyond(), "change"))
	}
	return text
}

// effectsOf returns the CSCs that only one of the two plans affects.
func (c *Comparison) effectsOf() []fact {
	var out []fact
	for _, f := range []struct {
		label string
		cscs  []string
	}{{"Now taken down", c.NowDown}, {"No longer taken down", c.NoLongerDown}, {"Now touched", c.NowTouched}, {"No longer touched", c.NoLongerTouched}} {
		if len(f.cscs) > 0 {
			out = append(out, fact{f.label, countedCSCs(f.cscs)})
		}
	}
	return out
}

// Text writes the comparison for a terminal.
func (c *Comparison) Text(w io.Writer, on Terminal) error {
	t := newText(w, on)
	t.line("", plain, fmt.Sprintf("old: %s (%.12s)", c.Old.Title, c.Old.Digest))
	t.line("", plain, fmt.Sprintf("new: %s (%.12s)", c.New.Title, c.New.Digest))
	t.line("", bold, c.verdict())
	for _, f := range c.effectsOf() {
		t.line("  ", red, f.label+": "+f.text)
	}
	styles := map[Weight]style{Danger: red, Effect: yellow, Minor: dim}
	for _, part := range c.parts() {
		for _, weight := range weights {
			all := part.bundled(weight)
			if len(all) == 0 {
				continue
			}
			t.gap()
			t.line("", bold, part.head(weight)+":")
			for _, b := range all {
				t.line("  ", styles[weight], b.head(func(s string) string { return s }))
				b.values(t)
			}
		}
	}
	return t.err
}

// head returns the subject, the field and what happened.
func (b *bundle) head(code func(string) string) string {
	text := subjects(b.subjects, code)
	if b.Field != "" {
		text += ", " + code(b.Field)
	}
	if b.What != Changed {
		text += " " + b.What
	}
	if b.Why != "" {
		text += ": " + b.Why
	}
	return text
}

// subjects returns the subjects of a bundle, which have the same kind.
func subjects(all []string, code func(string) string) string {
	kind, first := subject(all[0])
	if first == "" || !strings.HasSuffix(all[0], `"`) {
		return all[0]
	}
	if kind == "csc" {
		kind = "CSC"
	}
	if len(all) == 1 {
		return kind + " " + code(first)
	}
	var names []string
	for _, s := range all {
		_, name := subject(s)
		names = append(names, name)
	}
	if kind == "CSC" {
		return fmt.Sprintf("%d CSCs (%s)", len(all), plan.CSCList(names))
	}
	for i := range names {
		names[i] = code(names[i])
	}
	return fmt.Sprintf("%d %ss (%s)", len(all), kind, strings.Join(names, ", "))
}

func (b *bundle) values(t *text) {
	put := func(sign string, how style, s string) {
		if s != "" {
			t.line("      ", how, sign+" "+oneLine(s))
		}
	}
	was, is := b.excerpts()
	same := func(s string) string { return s }
	put("-", red, was)
	put("+", green, is)
	put("-", red, b.list(b.Gone, same))
	put("+", green, b.list(b.Come, same))
}

// Markdown writes the comparison for a pull request, one line for each change, the
// dangerous ones first.
func (c *Comparison) Markdown(w io.Writer) error {
	m := &markdown{w: w}
	m.f("# Changes in the plan\n\n")
	m.changes(c)
	return m.err
}

// changes writes a comparison without its heading.
func (m *markdown) changes(c *Comparison) {
	m.f("%s (`%.12s` → `%.12s`)\n\n", inMarkdown(titles(c)), c.Old.Digest, c.New.Digest)
	m.f("**%s**\n\n", c.verdict())
	for _, f := range c.effectsOf() {
		m.f("- **%s:** %s\n", f.label, inMarkdown(f.text))
	}
	if len(c.effectsOf()) > 0 {
		m.f("\n")
	}
	for _, part := range c.parts() {
		for _, weight := range weights {
			m.bundles(part.head(weight), weight == Minor, part.bundled(weight))
		}
	}
}

// bundles writes the changes of one weight. Many minor ones are collapsed.
func (m *markdown) bundles(head string, minor bool, all []bundle) {
	if len(all) == 0 {
		return
	}
	m.f("## %s\n\n", head)
	collapsed := minor && len(all) > few
	if collapsed {
		m.openDetails(plan.Counted(len(all), "change"))
	}
	for _, b := range all {
		m.f("- %s\n", b.markdown())
	}
	if collapsed {
		m.closeDetails()
	} else {
		m.f("\n")
	}
}

func titles(c *Comparison) string {
	if c.Old.Title == c.New.Title {
		return c.New.Title
	}
	return c.Old.Title + " → " + c.New.Title
}

func (b bundle) markdown() string {
	code := func(s string) string { return codeSpan(oneLine(s)) }
	why := b.Why
	b.Why = ""
	text := "**" + b.head(code) + "**"
	if why != "" {
		text += " " + inMarkdown(why) + "."
	}
	was, is := b.excerpts()
	if was != "" || is != "" {
		text += " " + orNothing(was, code) + " → " + orNothing(is, code)
	}
	if len(b.Gone) > 0 {
		text += " − " + b.list(b.Gone, code)
	}
	if len(b.Come) > 0 {
		text += " + " + b.list(b.Come, code)
	}
	return text
}

func orNothing(s string, code func(string) string) string {
	if strings.TrimSpace(s) == "" {
		return "nothing"
	}
	return code(s)
}
