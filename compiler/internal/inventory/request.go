package inventory

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/lsst-ts/csu/compiler/internal/model"
	"github.com/lsst-ts/csu/compiler/internal/phalanx"
	"github.com/lsst-ts/csu/executor/plan"
)

// Class is how a range of commits of Phalanx changes a CSC or an application.
type Class string

// The classes.
const (
	Raised        Class = "raised"
	Lowered       Class = "lowered"
	Pinned        Class = "pinned"
	Unpinned      Class = "unpinned"
	Configuration Class = "configuration"
	Added         Class = "added"
	Removed       Class = "removed"
	Synced        Class = "synced" // an application, in what does not belong to a CSC
)

// Change is what a range of commits changes.
type Change struct {
	Subject  string // a CSC, or an application
	Class    Class
	Old, New string // images without their registry, or ""
}

// Request is the upgrade that a range of commits of Phalanx asks for.
type Request struct {
	Phalanx string // the commit that the range ends with
	Cycle   string // the new one, if it changes; the upgrade is then a full one
	Changes []Change
	// Full says why the range needs a full upgrade; Left is what the request cannot say;
	// Beside is what the range holds beside the control system, as far as the site has it.
	Full, Left, Beside []string

	revisions, changed, removed, applications []string // lines of CUE
	added                                     []model.CSC
}

// Between compares what two revisions of Phalanx deploy at a site. known are the
// applications that the site's requests may name, project is that of the control system.
func Between(old, now *Inventory, known []string, project string) *Request {
	b := between{old: old, now: now, known: known, project: project, request: &Request{Phalanx: now.Commit}}
	b.cscs()
	b.applications()
	if old.Cycle != now.Cycle {
		b.request.Cycle = now.Cycle
		b.request.Full = append(b.request.Full, fmt.Sprintf("the cycle goes from %s to %s", old.Cycle, now.Cycle))
		b.full()
	}
	return b.request
}

// Empty reports whether nothing of the control system changes.
func (r *Request) Empty() bool { return len(r.Changes) == 0 && r.Cycle == "" }

// between is a comparison of two inventories.
type between struct {
	old, now   *Inventory
	known      []string
	project    string
	request    *Request
	configured int // CSCs whose configuration changes
}

// index returns the places of CSCs by name.
func (i *Inventory) index() map[string]int {
	out := map[string]int{}
	for n := range i.CSCs {
		out[i.CSCs[n].Name()] = n
	}
	return out
}

func (b *between) cscs() {
	before, after := b.old.index(), b.now.index()
	both := 0
	for n := range b.now.CSCs {
		c := &b.now.CSCs[n]
		was, ok := before[c.Name()]
		if !ok {
			b.change(c.Name(), Added, "", c.Image+":"+c.Tag(b.now.Cycle))
			b.request.added = append(b.request.added, *c)
			continue
		}
		both++
		b.csc(was, n)
	}
	for n := range b.old.CSCs {
		c := &b.old.CSCs[n]
		if _, ok := after[c.Name()]; !ok {
			b.change(c.Name(), Removed, c.Image+":"+c.Tag(b.old.Cycle), "")
			b.request.removed = append(b.request.removed, strconv.Quote(c.Name()))
		}
	}
	if b.configured > 0 && b.configured == both && b.old.Cycle == b.now.Cycle {
		b.request.Full = append(b.request.Full, "the configuration of every CSC changes, as a change of charts/csc does")
	}
}

func (b *between) change(subject string, class Class, old, now string) {
	b.request.Changes = append(b.request.Changes, Change{subject, class, old, now})
}

// csc compares a CSC that both have.
func (b *between) csc(was, is int) {
	old, now := &b.old.CSCs[was], &b.now.CSCs[is]
	for _, d := range compare(old, now) {
		if slices.Contains([]string{"application", "Job", "label csc", "label csc-name", "label csc-class"}, d.What) {
			b.request.Full = append(b.request.Full, fmt.Sprintf("%s of %s goes from %s to %s, which csu must be told by an import of the inventory after the upgrade", d.What, now.Name(), d.Old, d.New))
		}
	}
	configured := !same(&b.old.found[was], &b.now.found[is])
	if configured {
		b.configured++
	}
	class, line := b.classOf(old, now, configured)
	if class == "" {
		return
	}
	b.change(now.Name(), class, old.Image+":"+old.Tag(b.old.Cycle), now.Image+":"+now.Tag(b.now.Cycle))
	line = append([]string{"csc: " + strconv.Quote(now.Name())}, line...)
	if old.Image != now.Image {
		line = append(line, "image: "+strconv.Quote(now.Image))
	}
	if old.ComesUp != now.ComesUp {
		line = append(line, "comesUp: "+strconv.Quote(now.ComesUp))
	}
	if !slices.Equal(old.Resources, now.Resources) {
		line = append(line, "resources: "+list(now.Resources))
	}
	b.request.changed = append(b.request.changed, "{"+strings.Join(line, ", ")+"}")
}

// classOf returns how a CSC changes, "" if it does not, and what its line in the request
// says of its revision.
func (b *between) classOf(old, now *model.CSC, configured bool) (Class, []string) {
	revision := "revision: " + strconv.Itoa(now.Revision)
	switch {
	case b.old.Cycle != b.now.Cycle:
		return "", nil // all change
	case !old.Pinned && now.Pinned:
		return Pinned, []string{revision}
	case old.Pinned && !now.Pinned:
		return Unpinned, []string{`why: "unpinned"`}
	case now.Revision > old.Revision:
		return Raised, []string{revision}
	case now.Revision < old.Revision:
		return Lowered, []string{revision, `why: "rollback"`}
	case configured || old.Image != now.Image:
		return Configuration, []string{`why: "configuration"`}
	}
	return "", nil
}

// same reports whether two CSCs have the same configuration: all that is rendered for
// them, except their images.
func same(a, b *phalanx.CSC) bool {
	objects := func(c *phalanx.CSC) string {
		all := []map[string]any{c.Job.Object}
		for _, r := range slices.Concat(c.Own, c.Shared) {
			all = append(all, r.Object)
		}
		text, err := json.Marshal(all)
		if err != nil {
			return err.Error() // not of what was decoded from JSON
		}
		image, _ := json.Marshal(c.Image)
		return strings.ReplaceAll(string(text), string(image), `"image"`)
	}
	return objects(a) == objects(b)
}

// applications compares what the Applications have besides what belongs to CSCs.
func (b *between) applications() {
	before, after := b.old.rest(b.project), b.now.rest(b.project)
	for _, name := range slices.Sorted(maps.Keys(after)) {
		was, ok := before[name]
		if ok && was == after[name] {
			continue
		}
		if !slices.Contains(b.known, name) {
			b.request.Left = append(b.request.Left, fmt.Sprintf("application %s changes, but the site does not have it; add it to the site's otherApplications to name it in a request", name))
			continue
		}
		b.change(name, Synced, "", "")
		b.request.applications = append(b.request.applications, strconv.Quote(name))
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if _, ok := after[name]; !ok {
			b.request.Left = append(b.request.Left, fmt.Sprintf("application %s is no longer deployed; remove it in Argo CD", name))
		}
	}
}

// rest returns what belongs to no CSC in each Application of the project, as text. What
// several CSCs share is there.
func (i *Inventory) rest(project string) map[string]string {
	owned := map[*phalanx.Resource]bool{}
	for n := range i.found {
		owned[i.found[n].Job] = true
		for _, r := range i.found[n].Own {
			owned[r] = true
		}
	}
	out := map[string]string{}
	for n := range i.Rendering.Applications {
		a := &i.Rendering.Applications[n]
		if a.Project != project {
			continue
		}
		var all []map[string]any
		for m := range a.Resources {
			if r := &a.Resources[m]; !owned[r] {
				all = append(all, r.Object)
			}
		}
		text, err := json.Marshal(all)
		if err != nil {
			text = []byte(err.Error())
		}
		out[a.Name] = string(text)
	}
	return out
}

// full makes the request for a whole cycle of what changes.
func (b *between) full() {
	r := b.request
	before := b.old.index()
	for n := range b.now.CSCs {
		c := &b.now.CSCs[n]
		was, ok := before[c.Name()]
		if !ok {
			continue
		}
		old := &b.old.CSCs[was]
		switch {
		case old.Pinned && !c.Pinned:
			r.Left = append(r.Left, fmt.Sprintf("%s loses its revision with the new cycle; csu expects revision 0", c.Name()))
		case c.Pinned && (c.Revision > 0 || !old.Pinned):
			r.revisions = append(r.revisions, fmt.Sprintf("%q: %d", c.Name(), c.Revision))
		}
	}
	var names []string
	for _, c := range r.Changes {
		if c.Class == Added || c.Class == Removed {
			names = append(names, c.Subject)
		}
	}
	if len(names) > 0 {
		r.Left = append(r.Left, fmt.Sprintf("%s: added or removed with the cycle, which a full upgrade cannot say; do it in an incremental one", plan.CSCList(names)))
	}
}

// CUE returns the request as the value of its field in the site's upgrade.cue: the date is
// the day of the deployment, YYYY-MM-DD.
func (r *Request) CUE(date, reason string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "{\n\tdate:   %q\n", date)
	if r.Cycle != "" {
		fmt.Fprintf(&b, "\tcycle:  %q\n", r.Cycle)
	}
	fmt.Fprintf(&b, "\treason: %q\n\n\tphalanx: %q\n", reason, r.Phalanx)
	list := func(name, open, end string, lines []string) {
		if len(lines) > 0 {
			fmt.Fprintf(&b, "\n\t%s: %s\n\t\t%s,\n\t%s", name, open, strings.Join(lines, ",\n\t\t"), end)
		}
	}
	if r.Cycle != "" {
		list("revisions", "{", "}\n", r.revisions)
		b.WriteString("}")
		return b.String()
	}
	list("changed", "[", "]\n", r.changed)
	var added []string
	for i := range r.added {
		added = append(added, fmt.Sprintf("%q: {%s}", r.added[i].Name(), strings.Join(fields(&r.added[i]), ", ")))
	}
	list("added", "{", "}\n", added)
	if len(r.removed) > 0 {
		fmt.Fprintf(&b, "\n\tremoved: [%s]\n", strings.Join(r.removed, ", "))
	}
	if len(r.applications) > 0 {
		fmt.Fprintf(&b, "\n\tapplications: [%s]\n", strings.Join(r.applications, ", "))
	}
	b.WriteString("}")
	return b.String()
}
