package review

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/lsst-ts/csu/executor/plan"
)

// A PullRequest is what a pull request does to the plans, for one comment on it.
type PullRequest struct {
	Base     string // the revision that plans are compared with, for commands
	Requests []Finding
	Signers  []Finding // the lists of signers that csu refuses
	Plans    []ChangedPlan
	// Approved are the unchanged plans whose approvals a pull request changes.
	Approved []Finding
}

// A Finding is why a request has no plan or a list of signers is refused.
type Finding struct {
	Subject string // such as "summit, full"
	Text    string // in a sentence, with code in backticks
	Details string // as csu prints them; may be ""
}

// A ChangedPlan is a plan that a pull request adds, changes or removes.
type ChangedPlan struct {
	File    string
	New     *plan.Plan // nil if it is removed or cannot be read
	Removed bool
	Added   bool
	// Old are the plans that it is compared with: the same file before, or for an added
	// plan all of its site and type, by file.
	Old map[string]*plan.Plan
	// Last is the one of Old that an added plan is compared with, and LastWhy says why, such
	// as "the last that was carried out"; "" for the most similar one.
	Last, LastWhy string
	// Fails says why the plan does not pass, as csu prints it; "" if it passes.
	Fails string
	// Approvals says who has approved the plan and who is missing, in a sentence; "" if it
	// needs no approvals.
	Approvals string
}

// dangers is the number of dangerous changes.
func (c *Comparison) dangers() int {
	n := 0
	for _, ch := range c.Changes {
		if ch.Weight == Danger {
			n++
		}
	}
	return n
}

// A reviewer is sure to read the first screen of a comment, and GitHub accepts 65,536
// characters.
const (
	screenLines  = 60
	screenWidth  = 120 // from which a line is wrapped
	verdictLines = 40
	mostBytes    = 65_000
	mostDetails  = 4_000 // of a check that fails
)

// Markdown returns the comment, and the reasons why the check fails.
//
// What matters comes first: the verdict on every plan, and every dangerous change of
// any plan. Then come the checks that fail, all changes of each plan by meaning, and
// the runbooks. If a dangerous change does not fit into the first screen or the changes
// of a plan into the comment, the check fails. A runbook that does not fit is named.
func (r *PullRequest) Markdown() (comment string, reasons []string) {
	d := &discussion{PullRequest: r}
	d.compare()
	verdicts := d.verdicts()
	// The title takes two of the lines, what fails seven, the heading three.
	first := d.first(screenLines - 12 - height(verdicts))
	top := strings.Join(slices.Concat(verdicts, []string{"", "## " + heads[Danger], ""}, first), "\n")
	d.left = mostBytes - len(top) - 3_000 // for the title and what fails

	notes := 0
	for i := range r.Plans {
		notes += len(leftOut(r.Plans[i].File))
	}
	d.left -= notes
	d.details()
	d.changes()
	d.left += notes
	d.runbooks()

	if len(first) == 0 {
		top = strings.Join(verdicts, "\n")
	}
	comment = fmt.Sprintf("# Review of the plans, compared with %s\n\n", codeSpan(shortened(r.Base, screenWidth/2))) + d.headline() + "\n\n" + top + "\n\n" + strings.Join(d.sections, "")
	return strings.TrimSpace(comment) + "\n", d.reasons
}

// A discussion is a comment in the making.
type discussion struct {
	*PullRequest
	comparisons []*Comparison // of the plans; nil if it has none
	like        []string      // the files that the plans are compared with
	sections    []string      // after the first screen
	left        int           // bytes
	reasons     []string      // why the check fails, with the files of the plans
	said        []string      // the same in short, with their numbers
}

// put adds a section if it fits.
func (d *discussion) put(section string) bool {
	if len(section) > d.left {
		return false
	}
	d.left -= len(section)
	d.sections = append(d.sections, section)
	return true
}

// fail says why the check fails, because of the plans with these numbers.
func (d *discussion) fail(plans []int, of, what, remedy string) {
	if len(plans) == 0 {
		return
	}
	var files []string
	for _, n := range plans {
		files = append(files, d.Plans[n-1].File)
	}
	d.reasons = append(d.reasons, fmt.Sprintf("%s %s %s", of, strings.Join(files, ", "), what))
	d.said = append(d.said, fmt.Sprintf("%s %s %s (%s)", of, numbered(plans), what, remedy))
}

// compare compares every plan that can be compared: an added one with the most similar
// old one, and if there is none with nothing, so that all of it is a change.
func (d *discussion) compare() {
	d.comparisons = make([]*Comparison, len(d.Plans))
	d.like = make([]string, len(d.Plans))
	for i := range d.Plans {
		p := &d.Plans[i]
		old := p.Old
		if len(old) == 0 && p.Added && p.New != nil {
			old = map[string]*plan.Plan{"": {Format: p.New.Format, Site: p.New.Site, Type: p.New.Type}}
		}
		if p.New == nil {
			continue
		}
		if last := old[p.Last]; p.Last != "" && last != nil {
			old = map[string]*plan.Plan{p.Last: last}
		}
		for _, file := range slices.Sorted(maps.Keys(old)) {
			c, err := Compare(old[file], p.New)
			if err != nil {
				p.Fails = strings.TrimSpace(p.Fails + "\n" + err.Error())
				continue
			}
			if best := d.comparisons[i]; best == nil || c.dangers() <= best.dangers() { // the last of those alike
				d.comparisons[i], d.like[i] = c, file
			}
		}
		if c := d.comparisons[i]; p.Added && c != nil && d.like[i] != "" {
			c.Shape(old[d.like[i]], p.New)
		}
	}
}

// verdicts returns a line for each request without a plan, and for each plan.
func (d *discussion) verdicts() []string {
	var out []string
	for _, f := range slices.Concat(d.Requests, d.Signers) {
		out = append(out, fmt.Sprintf("- **%s:** %s", inMarkdown(f.Subject), inMarkdown(f.Text)))
		d.reasons = append(d.reasons, f.Subject+": "+f.Text)
	}
	for _, f := range d.Approved {
		out = append(out, fmt.Sprintf("- %s: %s", codeSpan(f.Subject), inMarkdown(f.Text)))
	}
	failing := len(d.Requests)
	var unnamed []int
	for i := range d.Plans {
		p := &d.Plans[i]
		if p.Fails != "" {
			failing++
			d.reasons = append(d.reasons, p.File+" does not pass")
		}
		line := fmt.Sprintf("%d. %s: %s", i+1, codeSpan(p.File), d.verdict(i))
		if len(unnamed) > 0 || height(append(out, line)) > verdictLines {
			unnamed = append(unnamed, i+1)
			continue
		}
		out = append(out, line)
	}
	if failing > 0 {
		d.said = append(d.said, plan.Counted(failing, "plan")+" missing or not passing (see below)")
	}
	if n := len(d.Signers); n > 0 {
		d.said = append(d.said, plan.Counted(n, "list")+" of signers refused (see below)")
	}
	d.fail(unnamed, "the verdicts on", fmt.Sprintf("do not fit into %d lines", verdictLines), "change fewer plans at once")
	return out
}

func (d *discussion) verdict(i int) string {
	p, c := &d.Plans[i], d.comparisons[i]
	if p.Removed {
		return "removed"
	}
	var parts []string
	switch {
	case p.Added && d.like[i] != "" && d.like[i] == p.Last:
		parts = append(parts, fmt.Sprintf("new; compared with %s, %s", codeSpan(d.like[i]), p.LastWhy))
	case p.Added && d.like[i] != "":
		parts = append(parts, "new; most similar to "+codeSpan(d.like[i]))
	case p.Added && c != nil:
		parts = append(parts, fmt.Sprintf("new, and the first %s plan of %s", p.New.Type, p.New.Site))
	case p.Added:
		parts = append(parts, "new")
	}
	if p.Fails != "" {
		parts = append(parts, "**does not pass**")
	}
	switch {
	case c == nil:
	case p.Added && d.like[i] != "":
		parts = append(parts, fmt.Sprintf("%s, %d beyond what the requests ask for", c.Count(), c.Beyond()))
	case p.Added:
		parts = append(parts, c.Count())
	default:
		parts = append(parts, plan.Counted(c.dangers(), "change")+" to review first, "+plan.Counted(len(c.Changes)-c.dangers(), "other"))
	}
	if p.Approvals != "" {
		parts = append(parts, inMarkdown(p.Approvals))
	}
	return strings.Join(parts, "; ")
}

// A danger is a dangerous change, and the numbers of the plans that have it.
type danger struct {
	text    string
	plans   []int
	reaches bool
}

// first returns the dangerous changes that fit into the lines, and fails if some do
// not.
func (d *discussion) first(room int) []string {
	out, hidden := fit(d.dangers(false), room)
	if len(hidden) > 0 {
		out, hidden = fit(d.dangers(true), room)
	}
	d.fail(hidden, "dangerous changes of", fmt.Sprintf("do not fit into the first %d lines", screenLines), "read all changes below")
	return out
}

// fit returns a line for each dangerous change that fits into the room, and the numbers
// of the plans with one that does not.
func fit(dangers []danger, room int) (lines []string, hidden []int) {
	for _, x := range dangers {
		line := "- " + numbered(x.plans) + ": " + x.text
		if h := height([]string{line}); h <= room {
			room -= h
			lines = append(lines, line)
			continue
		}
		for _, n := range x.plans {
			if !slices.Contains(hidden, n) {
				hidden = append(hidden, n)
			}
		}
	}
	slices.Sort(hidden)
	return lines, hidden
}

// dangers returns the dangerous changes of all plans, each once. Those of what csu
// talks to and of what it does there come first. A new plan may differ from every other
// in nearly all that it does: then only its novelties are to be seen first.
func (d *discussion) dangers(novel bool) []danger {
	var out []danger
	at := map[string]int{}
	for i, c := range d.comparisons {
		if c == nil {
			continue
		}
		if p := &d.Plans[i]; p.Added && novel {
			c = &Comparison{Changes: novelties(p.New, slices.Collect(maps.Values(p.Old)))}
		}
		for _, b := range c.bundled(Danger) {
			reaches := b.reaches()
			text := b.markdown()
			j, seen := at[text]
			if !seen {
				j = len(out)
				at[text] = j
				out = append(out, danger{text: text, reaches: reaches})
			}
			out[j].plans = append(out[j].plans, i+1)
		}
	}
	rank := func(x danger) int {
		if x.reaches {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(out, func(a, b danger) int { return rank(a) - rank(b) })
	return out
}

// reaches reports whether a change is about a system that csu talks to, or about what
// csu or a person does there.
func (ch *Change) reaches() bool {
	kind, _ := subject(ch.Subject)
	switch kind {
	case "targets", "host":
		return true
	case "csc":
		return ch.Field == "" || ch.Field == "image"
	case "step":
		return ch.Field == "" || ch.Field == "byHand" || strings.HasPrefix(ch.Field, "action.")
	}
	return false
}

// numbered names plans by their numbers in the verdicts.
func numbered(plans []int) string {
	var all []string
	for _, n := range plans {
		all = append(all, fmt.Sprint(n))
	}
	if len(all) == 1 {
		return "plan " + all[0]
	}
	return "plans " + strings.Join(all, ", ")
}

// height is how many lines of the screen lines of text take.
func height(lines []string) int {
	h := 0
	for _, l := range lines {
		h += max(1, (utf8.RuneCountInString(l)+screenWidth-1)/screenWidth)
	}
	return h
}

// headline says whether the check passes.
func (d *discussion) headline() string {
	switch {
	case len(d.said) > 0:
		return "**The check fails:** " + shortened(strings.Join(d.said, "; "), 5*screenWidth) + "."
	case len(d.Plans) == 0:
		return "No plan is changed."
	}
	return "Every plan that is changed follows the rules, and the sources compile to it."
}

// details writes what the failing checks print. The verdicts say which they are.
func (d *discussion) details() {
	one := func(title, text string) {
		if text == "" {
			return
		}
		if len(text) > mostDetails {
			text = strings.ToValidUTF8(text[:mostDetails], "") + "\n(cut here)"
		}
		lines := strings.Split(strings.TrimSpace(text), "\n")
		d.put(fmt.Sprintf("# Not passing: %s\n\n%s\n", title, typed(lines)))
	}
	for _, f := range slices.Concat(d.Requests, d.Signers) {
		one(inMarkdown(f.Subject), f.Details)
	}
	for _, p := range d.Plans {
		one(codeSpan(p.File), p.Fails)
	}
}

// changes writes all changes of each plan, and fails if those of one do not fit.
func (d *discussion) changes() {
	var out []int
	for i, c := range d.comparisons {
		if c == nil {
			continue
		}
		var b strings.Builder
		m := &markdown{w: &b}
		m.f("# Changes in plan %d: %s\n\n", i+1, codeSpan(d.Plans[i].File))
		m.changes(c)
		if !d.put(b.String() + "\n") {
			out = append(out, i+1)
		}
	}
	d.fail(out, "the changes of", "do not fit into the comment", "run csu plan diff PLAN --against "+d.Base)
}

// leftOut names a runbook that is left out.
func leftOut(file string) string {
	return fmt.Sprintf("The runbook of %s is left out: read it with `csu plan show --format markdown`.\n\n", codeSpan(file))
}

// runbooks writes the runbook of each plan that is there after the pull request, those
// of plans with the most dangerous changes first.
func (d *discussion) runbooks() {
	var order []int
	for i := range d.Plans {
		if d.Plans[i].New != nil {
			order = append(order, i)
		}
	}
	dangers := func(i int) int {
		if d.comparisons[i] == nil {
			return 0
		}
		return d.comparisons[i].dangers()
	}
	slices.SortStableFunc(order, func(i, j int) int { return dangers(j) - dangers(i) })
	for at, i := range order {
		p := &d.Plans[i]
		var b strings.Builder
		m := &markdown{w: &b}
		m.openDetails("Runbook of plan " + fmt.Sprint(i+1) + ", " + p.File)
		m.err = Markdown(&b, p.New)
		m.closeDetails()
		rest := 0 // for the notes on those that follow
		for _, j := range order[at+1:] {
			rest += len(leftOut(d.Plans[j].File))
		}
		d.left -= rest
		fits := m.err == nil && d.put(b.String())
		d.left += rest
		if !fits {
			d.put(leftOut(p.File))
		}
	}
}
