package plan

import (
	"fmt"
	"slices"
	"strings"
)

// Why is why a CSC is in a request.
type Why string

// The reasons.
const (
	NewRevision   Why = ""              // its image gets a higher revision, or its first one; on a host, or without a pin, it is built anew
	Rollback      Why = "rollback"      // its image gets a lower revision
	Configuration Why = "configuration" // only its configuration changes
	Unpinned      Why = "unpinned"      // its image loses its revision
)

// Because returns the CSCs that change for a reason.
func (u *Upgrade) Because(why Why) []string {
	var out []string
	for _, c := range u.Changed {
		if c.Why == why {
			out = append(out, c.CSC)
		}
	}
	return out
}

// LowersCycle reports whether the upgrade goes back to an earlier cycle.
func (u *Upgrade) LowersCycle() bool { return u.From != "" && u.Cycle < u.From }

// RollsBack reports whether a CSC or the whole site goes back to what it ran before.
func (u *Upgrade) RollsBack() bool { return u.LowersCycle() || len(u.Because(Rollback)) > 0 }

// loveApplication is the application of LOVE.
const loveApplication = "love"

// SyncsLOVE reports whether the request names LOVE as a whole.
func (u *Upgrade) SyncsLOVE() bool { return slices.Contains(u.Applications, loveApplication) }

// Quiet reports whether an incremental plan takes down nothing that speaks SAL: the Watcher
// and the ScriptQueues then stay up, too.
func (p *Plan) Quiet() bool {
	speaks := func(name string) bool { return strings.Contains(name, ":") }
	return p.Type == Incremental && len(p.Upgrade.Hosts) == 0 && !slices.ContainsFunc(p.Upgrade.Removed, speaks) &&
		!slices.ContainsFunc(p.Upgrade.Changed, func(c Change) bool { return speaks(c.CSC) })
}

// What names the upgrade in messages, such as "the rollback of MTMount (cycle c0044)".
func (p *Plan) What() string {
	u := &p.Upgrade
	switch {
	case p.Type == Recovery:
		return "the recovery of the control system after IT maintenance"
	case p.Type == Full && u.LowersCycle():
		return fmt.Sprintf("the rollback of the control system from cycle %s to cycle %s", u.From, u.Cycle)
	case p.Type == Full:
		return fmt.Sprintf("the upgrade of the control system to cycle %s", u.Cycle)
	}
	return fmt.Sprintf("%s (cycle %s)", u.incremental(), u.Cycle)
}

// Kind names the kind of upgrade in a heading, such as "incremental upgrade" or "rollback
// of MTMount". An upgrade that only raises CSCs needs no more words.
func (p *Plan) Kind() string {
	u := &p.Upgrade
	switch {
	case p.Type == Full && u.LowersCycle():
		return "rollback from cycle " + u.From
	case p.Type == Full:
		return "full upgrade"
	case p.Type == Recovery:
		return "recovery after an upgrade of the OS or Kubernetes"
	}
	raised := len(u.Because(NewRevision)) == len(u.Changed) && len(u.Changed) > 0
	if raised && len(u.Added)+len(u.Removed) == 0 && !u.SyncsLOVE() {
		return "incremental upgrade"
	}
	return strings.ReplaceAll(strings.TrimPrefix(u.incremental(), "the "), " the ", " ")
}

// incremental names what an incremental upgrade does.
func (u *Upgrade) incremental() string {
	var parts []string
	add := func(what string, names ...string) {
		if len(names) > 0 {
			parts = append(parts, what+" of "+CSCList(names))
		}
	}
	var raised []string
	for _, c := range u.Changed {
		if c.Why == NewRevision || c.Why == Unpinned {
			raised = append(raised, c.CSC)
		}
	}
	add("the incremental upgrade", raised...)
	add("the rollback", u.Because(Rollback)...)
	add("the new configuration", u.Because(Configuration)...)
	add("the addition", u.Added...)
	add("the removal", u.Removed...)
	switch {
	case u.SyncsLOVE():
		add("the upgrade", "LOVE")
	case len(parts) == 0 && len(u.Hosts) > 0:
		add("the update", u.Hosts...)
	case len(parts) == 0:
		add("the sync", u.Applications...)
	}
	return joined(parts)
}

// joined joins parts to one subject of a sentence.
func joined(parts []string) string {
	switch n := len(parts); n {
	case 0:
		return ""
	case 1:
		return parts[0]
	case 2:
		return parts[0] + " with " + parts[1]
	default:
		return parts[0] + " with " + strings.Join(parts[1:n-1], ", ") + " and " + parts[n-1]
	}
}

// Move is what CSCs run before an upgrade and after it.
type Move struct {
	CSCs     []string
	Old, New string // tags, such as c0044.006; "none" where there is no image
	Note     string // what they do not say, such as "rollback"
}

// String returns the move in the form "MTMount c0044.006 → c0044.007".
func (m Move) String() string { return CSCList(m.CSCs) + " " + m.Images() }

// Images returns the move without its CSCs.
func (m Move) Images() string {
	text := m.Old + " → " + m.New
	if m.Old == m.New {
		text = m.Old
	}
	if m.Note != "" {
		text += " (" + m.Note + ")"
	}
	return text
}

// Moves returns what the CSCs of the table run before the upgrade and after it, if that
// changes or their configuration does. CSCs that change alike are one move.
func (p *Plan) Moves() []Move {
	var out []Move
	for i := range p.CSCs {
		m, ok := p.move(&p.CSCs[i])
		if !ok {
			continue
		}
		same := slices.IndexFunc(out, func(o Move) bool { return o.Old == m.Old && o.New == m.New && o.Note == m.Note })
		if same < 0 {
			out = append(out, m)
		} else {
			out[same].CSCs = append(out[same].CSCs, m.CSCs...)
		}
	}
	return out
}

// move returns what a CSC runs before and after, and whether it changes.
func (p *Plan) move(c *CSC) (Move, bool) {
	const none = "none"
	m := Move{CSCs: []string{c.CSC}, Old: none, New: none}
	before, after := c.Before, c.Image
	u := &p.Upgrade
	i := slices.IndexFunc(u.Changed, func(x Change) bool { return x.CSC == c.CSC })
	switch {
	case slices.Contains(u.Added, c.CSC):
		m.Note = "added"
	case slices.Contains(u.Removed, c.CSC):
		m.Note = "removed"
	case i >= 0 && u.Changed[i].Why != NewRevision:
		m.Note = string(u.Changed[i].Why)
	case i < 0 && before == "", c.Job == nil:
		return m, false
	case before == "":
		m.Note = "new build"
	}
	if before == "" && m.Note != "added" {
		before = after
	}
	oldName, old := CutTag(before)
	newName, now := CutTag(after)
	if oldName != newName && before != "" && after != "" {
		old, now = before, after // another repository
	}
	if before != "" {
		m.Old = old
	}
	if after != "" {
		m.New = now
	}
	return m, true
}

// CutTag splits an image before its tag; "" if it has none.
func CutTag(image string) (name, tag string) {
	if i := strings.LastIndexByte(image, ':'); i > strings.LastIndexByte(image, '/') {
		return image[:i], image[i+1:]
	}
	return image, ""
}
