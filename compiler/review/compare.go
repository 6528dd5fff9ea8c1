package review

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/executor/plan"
)

// A Comparison is the difference between two plans, by meaning. It is its own JSON
// form.
type Comparison struct {
	Old PlanName `json:"old"`
	New PlanName `json:"new"`
	// Changes are sorted by weight, and within one by the plan's order.
	Changes []Change `json:"changes"`
	// NowDown and NoLongerDown are CSCs that only one of the two plans takes
	// down; NowTouched and NoLongerTouched are those that only one touches.
	NowDown         []string `json:"nowDown"`
	NoLongerDown    []string `json:"noLongerDown"`
	NowTouched      []string `json:"nowTouched"`
	NoLongerTouched []string `json:"noLongerTouched"`

	shaped bool // the changes that the requests ask for are marked
}

// A PlanName identifies a plan.
type PlanName struct {
	Title  string `json:"title"`
	Digest string `json:"digest"`
}

// Weight is how closely a change must be reviewed.
type Weight string

// The weights, the heaviest first.
const (
	Danger Weight = "danger" // it may allow damage, or removes a safeguard
	Effect Weight = "effect" // it changes what is done
	Minor  Weight = "minor"  // words, times, and order that has no effect
)

var weights = []Weight{Danger, Effect, Minor}

// What happened to a subject.
const (
	Added     = "added"
	Removed   = "removed"
	Moved     = "moved"     // to another stage, or renamed
	Changed   = "changed"   // a field of it
	Reordered = "reordered" // the same elements in another order
)

// A Change is one difference.
type Change struct {
	Weight  Weight `json:"weight"`
	What    string `json:"what"`    // Added, Removed and so on
	Subject string `json:"subject"` // such as `step "offline/watcher"`; its id is the new one
	Field   string `json:"field,omitempty"`
	Old     string `json:"old,omitempty"`
	New     string `json:"new,omitempty"`
	// Gone and Come are what a list lost and gained, or the lines of a text.
	Gone []string `json:"gone,omitempty"`
	Come []string `json:"come,omitempty"`
	Why  string   `json:"why,omitempty"` // what a reviewer must know about it
	// Asked says that the requests of the two plans ask for it; see [Comparison.Shape].
	Asked bool `json:"asked,omitempty"`
}

// Same reports whether the plans are the same.
func (c *Comparison) Same() bool { return len(c.Changes) == 0 }

// Count is the number of changes, with its noun.
func (c *Comparison) Count() string { return plan.Counted(len(c.Changes), "change") }

// Compare compares two plans. They must be valid.
func Compare(old, new *plan.Plan) (*Comparison, error) {
	c := &comparer{old: old, new: new, renamed: map[string]string{}}
	out := &c.Comparison
	for _, side := range []struct {
		name *PlanName
		plan *plan.Plan
	}{{&out.Old, old}, {&out.New, new}} {
		digest, err := plan.Digest(side.plan)
		if err != nil {
			return nil, fmt.Errorf("compare plans: %w", err)
		}
		*side.name = PlanName{title(side.plan), digest}
	}
	c.fields("plan", "", rest(old), rest(new))
	c.fields("upgrade", "", tree(old.Upgrade), tree(new.Upgrade))
	c.fields("targets", "", tree(old.Targets), tree(new.Targets))
	c.table("csc", keyed(old.CSCs, func(r plan.CSC) string { return r.CSC }), keyed(new.CSCs, func(r plan.CSC) string { return r.CSC }))
	c.table("host", keyed(old.Hosts, func(r plan.Host) string { return r.Name }), keyed(new.Hosts, func(r plan.Host) string { return r.Name }))
	c.stages()
	c.steps()
	c.effects()
	for i := range c.Changes {
		c.weigh(&c.Changes[i])
	}
	slices.SortStableFunc(c.Changes, func(a, b Change) int { return slices.Index(weights, a.Weight) - slices.Index(weights, b.Weight) })
	return out, nil
}

// rest returns the parts of a plan that are compared as they are, not by name.
func rest(p *plan.Plan) any {
	all, _ := tree(p).(map[string]any)
	for _, k := range []string{"upgrade", "targets", "cscs", "hosts", "stages", "final"} {
		delete(all, k)
	}
	return all
}

type comparer struct {
	Comparison
	old, new *plan.Plan
	renamed  map[string]string // ids of moved steps, old to new
}

func (c *comparer) add(ch Change) { c.Changes = append(c.Changes, ch) }

// effects compares what the two plans do to CSCs.
func (c *comparer) effects() {
	a, b := Summarize(c.old), Summarize(c.new)
	c.NowDown, c.NoLongerDown = without(b.Down, a.Down), without(a.Down, b.Down)
	c.NowTouched, c.NoLongerTouched = without(b.Touched, a.Touched), without(a.Touched, b.Touched)
}

// A row is an element with a name.
type row struct {
	name  string
	value any
}

func keyed[T any](list []T, name func(T) string) []row {
	out := make([]row, len(list))
	for i, e := range list {
		out[i] = row{name(e), tree(e)}
	}
	return out
}

// table compares two tables by their rows' names.
func (c *comparer) table(kind string, old, new []row) {
	find := func(rows []row, name string) (any, bool) {
		i := slices.IndexFunc(rows, func(r row) bool { return r.name == name })
		if i < 0 {
			return nil, false
		}
		return rows[i].value, true
	}
	for _, r := range old {
		subject := fmt.Sprintf("%s %q", kind, r.name)
		if now, ok := find(new, r.name); ok {
			c.fields(subject, "", r.value, now)
		} else {
			c.add(Change{What: Removed, Subject: subject, Old: brief(r.value)})
		}
	}
	for _, r := range new {
		if _, ok := find(old, r.name); !ok {
			c.add(Change{What: Added, Subject: fmt.Sprintf("%s %q", kind, r.name), New: brief(r.value)})
		}
	}
	c.order("plan", kind+"s", names(old), names(new))
}

func names(rows []row) []string {
	out := make([]string, len(rows))
	for i, r := range rows {
		out[i] = r.name
	}
	return out
}

// order reports that the common elements of two lists have a different order.
func (c *comparer) order(subject, field string, old, new []string) {
	a, b := common(old, new), common(new, old)
	if !slices.Equal(a, b) {
		c.add(Change{What: Reordered, Subject: subject, Field: field, Old: strings.Join(a, ", "), New: strings.Join(b, ", ")})
	}
}

// common returns the elements of a that are also in b.
func common(a, b []string) []string {
	var out []string
	for _, s := range a {
		if slices.Contains(b, s) {
			out = append(out, s)
		}
	}
	return out
}

func (c *comparer) stages() {
	ids := func(stages []plan.Stage) []string {
		var out []string
		for _, s := range stages {
			out = append(out, s.ID)
		}
		return out
	}
	was := ids(c.old.Stages)
	for _, s := range c.old.Stages {
		if i := slices.IndexFunc(c.new.Stages, func(n plan.Stage) bool { return n.ID == s.ID }); i >= 0 {
			a, b := s, c.new.Stages[i]
			a.Steps, b.Steps = nil, nil
			c.fields(fmt.Sprintf("stage %q", s.ID), "", tree(a), tree(b))
		} else {
			c.add(Change{What: Removed, Subject: fmt.Sprintf("stage %q", s.ID), Old: s.Title, Why: "its consent is removed too"})
		}
	}
	for _, s := range c.new.Stages {
		if !slices.Contains(was, s.ID) {
			c.add(Change{What: Added, Subject: fmt.Sprintf("stage %q", s.ID), New: s.Title + ": " + s.Consent})
		}
	}
	c.order("plan", "stages", was, ids(c.new.Stages))
}

// tree returns a value in its JSON form.
func tree(v any) any {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v) // no value of a valid plan
	}
	var out any
	if err := json.Unmarshal(data, &out); err != nil {
		return string(data)
	}
	return out
}

// fields compares two trees field by field.
func (c *comparer) fields(subject, path string, old, new any) {
	if a, ok := old.(map[string]any); ok {
		if b, ok := new.(map[string]any); ok {
			c.objects(subject, path, a, b)
			return
		}
	}
	if a, ok := old.([]any); ok {
		if b, ok := new.([]any); ok {
			c.arrays(subject, path, a, b)
			return
		}
	}
	a, b := brief(old), brief(new)
	if strings.Contains(a, "\n") && strings.Contains(b, "\n") && a != b {
		was, is := strings.Split(a, "\n"), strings.Split(b, "\n")
		if gone, come := multisetWithout(was, is), multisetWithout(is, was); len(gone)+len(come) > 0 {
			c.add(Change{What: Changed, Subject: subject, Field: path, Gone: gone, Come: come})
			return
		}
	}
	if a != b {
		c.add(Change{What: Changed, Subject: subject, Field: path, Old: a, New: b})
	}
}

func (c *comparer) objects(subject, path string, old, new map[string]any) {
	var all []string
	for k := range old {
		all = append(all, k)
	}
	for k := range new {
		if _, ok := old[k]; !ok {
			all = append(all, k)
		}
	}
	slices.Sort(all)
	for _, k := range all {
		a, b := old[k], new[k]
		// An absent list equals an empty one.
		if list, ok := b.([]any); ok && a == nil {
			a = list[:0]
		} else if list, ok := a.([]any); ok && b == nil {
			b = list[:0]
		}
		c.fields(subject, strings.TrimPrefix(path+"."+k, "."), a, b)
	}
}

// arrays compares lists: their elements, by name if they have one, and then their
// order.
func (c *comparer) arrays(subject, path string, old, new []any) {
	a, b := labels(old), labels(new)
	if len(old) > 0 && len(new) > 0 && byName(old, a) != byName(new, b) { // names that are not unique in one of them
		a, b = inFull(old), inFull(new)
	}
	gone, come := multisetWithout(a, b), multisetWithout(b, a)
	if len(gone)+len(come) > 0 {
		c.add(Change{What: Changed, Subject: subject, Field: path, Gone: written(gone, a, old), Come: written(come, b, new)})
	} else {
		c.order(subject, path, a, b)
	}
	for i, name := range a {
		if j := slices.Index(b, name); j >= 0 {
			if _, isObject := old[i].(map[string]any); isObject {
				c.fields(subject, fmt.Sprintf("%s[%s]", path, name), old[i], new[j])
			}
		}
	}
}

// written returns the labelled elements of a list, written out.
func written(labels, all []string, list []any) []string {
	var out []string
	for _, l := range labels {
		out = append(out, brief(list[slices.Index(all, l)]))
	}
	return out
}

// labels returns names of a list's elements. Objects are named by a field that
// identifies them, if all of them have one, or else by all their fields.
func labels(list []any) []string {
	var out []string
	for _, e := range list {
		object, isObject := e.(map[string]any)
		if !isObject {
			return inFull(list)
		}
		label := ""
		for _, key := range []string{"csc", "name", "title", "repository", "states"} {
			if v, ok := object[key]; ok {
				label = brief(v)
				if kind := object["kind"]; kind != nil {
					label = fmt.Sprintf("%v %s", kind, label)
				}
				break
			}
		}
		if label == "" || slices.Contains(out, label) {
			return inFull(list)
		}
		out = append(out, label)
	}
	return out
}

func inFull(list []any) []string {
	var out []string
	for _, e := range list {
		out = append(out, brief(e))
	}
	return out
}

// byName reports whether labels are names.
func byName(list []any, labels []string) bool { return !slices.Equal(labels, inFull(list)) }

// multisetWithout returns the elements that a has more often than b.
func multisetWithout(a, b []string) []string {
	left := slices.Clone(b)
	var out []string
	for _, s := range a {
		if i := slices.Index(left, s); i >= 0 {
			left = slices.Delete(left, i, i+1)
		} else {
			out = append(out, s)
		}
	}
	return out
}

// brief returns a value for people: texts as they are, lists with commas.
func brief(v any) string {
	switch t := v.(type) {
	case nil:
		return ""
	case string:
		return t
	case []any:
		var parts []string
		for _, e := range t {
			parts = append(parts, brief(e))
		}
		return strings.Join(parts, ", ")
	case map[string]any:
		var keys []string
		for k := range t {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		var parts []string
		for _, k := range keys {
			parts = append(parts, k+" "+brief(t[k]))
		}
		return strings.Join(parts, ", ")
	}
	return fmt.Sprint(v)
}
