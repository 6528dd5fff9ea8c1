package review

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/plan"
)

const love = "watch/love01"

// changedPlan is a plan of the project, changed.
func changedPlan(t *testing.T, name string, change func(p *plan.Plan)) ChangedPlan {
	t.Helper()
	old, now := read(t, name), read(t, name)
	change(now)
	file := "plans/" + name + ".json"
	return ChangedPlan{File: file, New: now, Old: map[string]*plan.Plan{file: old}}
}

// addedPlan is a plan of the project as a new one, changed, beside the project's.
func addedPlan(t *testing.T, name string, change func(p *plan.Plan)) ChangedPlan {
	t.Helper()
	c := changedPlan(t, name, change)
	c.Added = true
	c.File = strings.Replace(c.File, "2026", "2027", 1)
	return c
}

func launch(command string) func(p *plan.Plan) {
	return func(p *plan.Plan) {
		if s, ok := p.Step(love); ok {
			s.Action.Parameters.(*plan.SSH).Commands = []string{command}
		}
	}
}

// screen returns the lines of a comment that a reviewer sees first, and checks its size.
func screen(t *testing.T, comment string) string {
	t.Helper()
	if len(comment) > mostBytes {
		t.Errorf("the comment has %d bytes, more than %d", len(comment), mostBytes)
	}
	lines := strings.Split(comment, "\n")
	return strings.Join(lines[:min(screenLines, len(lines))], "\n")
}

// TestDangersComeFirst: the first screen has the dangerous change of any plan, however
// many plans are changed beside it.
func TestDangersComeFirst(t *testing.T) {
	for _, add := range []bool{false, true} {
		r := PullRequest{Base: "main"}
		for _, name := range everyPlan(t) {
			change := func(p *plan.Plan) {
				p.Targets.EFD.Lag += plan.Duration(time.Second)
				if name == summitFull {
					launch("rm -rf ~/love; ./launch_love")(p)
				}
			}
			if add {
				r.Plans = append(r.Plans, addedPlan(t, name, change))
			} else {
				r.Plans = append(r.Plans, changedPlan(t, name, change))
			}
		}
		comment, reasons := r.Markdown()
		first := screen(t, comment)
		if !strings.Contains(first, "rm -rf ~/love") || len(reasons) > 0 {
			t.Errorf("added: %v, reasons %q:\n%s", add, reasons, first)
		}
		for i := range r.Plans {
			file := r.Plans[i].File
			if !strings.Contains(first, fmt.Sprintf("\n%d. `%s`: ", i+1, file)) {
				t.Errorf("no verdict on %s:\n%s", file, first)
			}
			if !strings.Contains(comment, fmt.Sprintf("# Changes in plan %d: `%s`\n", i+1, file)) {
				t.Errorf("no changes of %s", file)
			}
			named := strings.Contains(comment, "The runbook of `"+file+"` is left out")
			if shown := strings.Contains(comment, fmt.Sprintf("<summary>Runbook of plan %d, ", i+1)); shown == named {
				t.Errorf("the runbook of %s is shown: %v, named as left out: %v", file, shown, named)
			}
		}
		changes, runbooks := strings.LastIndex(comment, "# Changes in plan"), strings.Index(comment, "Runbook of plan")
		if changes > runbooks {
			t.Error("a runbook comes before the changes of a plan")
		}
	}
}

// TestOneDangerOfManyPlans: a change that several plans have is shown once.
func TestOneDangerOfManyPlans(t *testing.T) {
	r := PullRequest{Plans: []ChangedPlan{changedPlan(t, summitFull, launch("x")), changedPlan(t, summitIncremental, func(*plan.Plan) {}), changedPlan(t, summitFull, launch("x"))}}
	comment, _ := r.Markdown()
	if n := strings.Count(screen(t, comment), "\n- plans 1, 3: **step `"+love); n != 1 {
		t.Errorf("shown %d times:\n%s", n, screen(t, comment))
	}
}

// TestDangersThatDoNotFit: the check fails and names the plan, whether there are too
// many dangerous changes or one is too long.
func TestDangersThatDoNotFit(t *testing.T) {
	many := func(p *plan.Plan) {
		i := 0
		for s := range p.AllSteps() {
			if a, ok := s.Action.Parameters.(*plan.SSH); ok {
				i++
				a.Commands = []string{fmt.Sprintf("rm -rf ~/%d", i)}
			}
		}
	}
	for name, change := range map[string]func(p *plan.Plan){"many": many, "long": launch(strings.Repeat("true; ", 2000) + "rm -rf ~")} {
		for _, c := range []ChangedPlan{changedPlan(t, summitFull, change), addedPlan(t, summitFull, change)} {
			r := PullRequest{Plans: []ChangedPlan{changedPlan(t, summitIncremental, launch("x")), c}}
			comment, reasons := r.Markdown()
			want := "dangerous changes of " + c.File + " do not fit into the first 60 lines"
			if !slices.Contains(reasons, want) || !strings.Contains(screen(t, comment), "**The check fails:** dangerous changes of plan 2 do not fit") {
				t.Errorf("%s: reasons %q:\n%s", name, reasons, screen(t, comment))
			}
		}
	}
}

// TestTheFirstScreenIsNotLonger: what the first screen has is in the first lines, at the
// width at which they are wrapped, also when it is full.
func TestTheFirstScreenIsNotLonger(t *testing.T) {
	r := PullRequest{Base: strings.Repeat("b", 1000)}
	for i := range verdictLines + 5 {
		c := changedPlan(t, summitIncremental, func(p *plan.Plan) { p.Targets.Slack.Channel = fmt.Sprintf("#c%d", i) })
		c.File = fmt.Sprintf("plans/%d.json", i)
		c.Fails = "broken"
		r.Plans = append(r.Plans, c)
	}
	comment, reasons := r.Markdown()
	first, _, _ := strings.Cut(comment, "\n# ")
	top := strings.Split(comment[:strings.Index(comment, "\n# Not passing")], "\n")
	if h := height(top); h > screenLines+1 { // with the blank line before what follows
		t.Errorf("the first screen takes %d lines:\n%s", h, first)
	}
	for _, want := range []string{"plans/44.json does not pass", "the verdicts on plans/40.json, ", "dangerous changes of "} {
		if !strings.Contains(strings.Join(reasons, "\n"), want) {
			t.Errorf("no reason %q in %q", want, reasons)
		}
	}
	screen(t, comment)
}

// TestChangesThatDoNotFit: changes that do not fit into the comment fail the check, and
// those of other plans are shown all the same.
func TestChangesThatDoNotFit(t *testing.T) {
	long := changedPlan(t, summitFull, func(p *plan.Plan) {
		for s := range p.AllSteps() {
			s.Title, s.ByHand = strings.Repeat(s.ID, 20), s.ByHand+"\n\n"+strings.Repeat(s.ID+" ", 20)
		}
	})
	r := PullRequest{Base: "main", Plans: []ChangedPlan{long, changedPlan(t, summitIncremental, launch("x"))}}
	comment, reasons := r.Markdown()
	want := []string{"the changes of " + long.File + " do not fit into the comment"}
	if !slices.Equal(reasons, want) || !strings.Contains(screen(t, comment), "(run csu plan diff PLAN --against main).") {
		t.Errorf("reasons %q, want %q:\n%s", reasons, want, screen(t, comment))
	}
	if strings.Contains(comment, "# Changes in plan 1") || !strings.Contains(comment, "# Changes in plan 2") {
		t.Error("the changes of plan 2 alone are expected")
	}
}

// TestVerdicts: each plan has its verdict, and what a check prints is below.
func TestVerdicts(t *testing.T) {
	fails := changedPlan(t, summitIncremental, launch("x"))
	fails.Fails = "plans/x.json: breaks a rule\n" + strings.Repeat("again ", 1000)
	first := addedPlan(t, summitFull, func(*plan.Plan) {})
	first.Old = nil
	invalid := changedPlan(t, summitFull, func(p *plan.Plan) { p.Stages[0].Steps[0].Action.Parameters = nil })
	r := PullRequest{
		Requests: []Finding{{Subject: "summit, full", Text: "the sources give no plan", Details: "sites/summit/x.cue:1:1: wrong"}},
		Plans: []ChangedPlan{
			{File: "plans/removed.json", Removed: true},
			{File: "plans/unreadable.json", Fails: "not a plan"},
			{File: "plans/new.json", Added: true, Fails: "not a plan"},
			fails, first, invalid,
		},
	}
	comment, reasons := r.Markdown()
	for _, want := range []string{
		"**The check fails:** 5 plans missing or not passing (see below); dangerous changes of plan 5 do not fit",
		"\n- **summit, full:** the sources give no plan\n",
		"\n1. `plans/removed.json`: removed\n",
		"\n2. `plans/unreadable.json`: **does not pass**\n",
		"\n3. `plans/new.json`: new; **does not pass**\n",
		"\n4. `plans/2026-11-24-summit-incremental.json`: **does not pass**; 0 changes to review first, 0 others\n",
		"\n5. `plans/2027-12-15-summit-full.json`: new, and the first full plan of summit; ",
		"\n6. `plans/2026-12-15-summit-full.json`: **does not pass**\n",
		"\n# Not passing: summit, full\n\n    sites/summit/x.cue:1:1: wrong\n",
		"\n    plans/x.json: breaks a rule\n    again again",
		"\n    (cut here)\n",
	} {
		if !strings.Contains(comment, want) {
			t.Errorf("no %q in\n%s", want, comment[:3000])
		}
	}
	for _, want := range []string{"summit, full: the sources give no plan", "plans/unreadable.json does not pass", fails.File + " does not pass"} {
		if !slices.Contains(reasons, want) {
			t.Errorf("no reason %q in %q", want, reasons)
		}
	}
	if comment, reasons := (&PullRequest{Base: "main"}).Markdown(); comment != "# Review of the plans, compared with `main`\n\nNo plan is changed.\n" || reasons != nil {
		t.Errorf("without a change: %q, %q", comment, reasons)
	}
}

// TestNovelties: what csu talks to and does there is new where no plan before has it,
// whichever step or CSC it belongs to.
func TestNovelties(t *testing.T) {
	for _, x := range []struct {
		name string
		edit func(p *plan.Plan)
		want string
	}{
		{"a target", func(p *plan.Plan) { p.Targets.LOVE.URL = "https://x" }, `targets: love.url https://x`},
		{"a page", func(p *plan.Plan) { p.Targets.Pages[0].URL = "https://x" }, `targets: pages.url https://x`},
		{"an address", func(p *plan.Plan) { p.Hosts[0].Address = "x" }, fmt.Sprintf("host %q: address x", read(t, summitFull).Hosts[0].Name)},
		{"a user", func(p *plan.Plan) { p.Hosts[0].Users[0].Name = "root" }, fmt.Sprintf("host %q: users.name root", read(t, summitFull).Hosts[0].Name)},
		{"a registry", func(p *plan.Plan) { p.CSCs[0].Image = "localhost:5000/x:c0045.001" }, fmt.Sprintf("csc %q: image localhost:5000/x", read(t, summitFull).CSCs[0].CSC)},
		{"a revision", func(p *plan.Plan) { p.CSCs[0].Image += "9" }, ""},
		{"a state", func(p *plan.Plan) { p.CSCs[0].Expect = "FAULT" }, ""},
		{"a principal", func(p *plan.Plan) {
			i := slices.IndexFunc(p.Hosts, func(h plan.Host) bool { return h.Name == "auxtel-ill-control" })
			p.Hosts[i].Principal = ""
		}, `host "auxtel-ill-control": no principal`},
		{"a state that is kept", func(p *plan.Plan) {
			c, _ := p.CSC("MTM1M3:0")
			c.Keeps = ""
		}, `csc "MTM1M3:0": no state that it keeps`},
		{"a command", launch("x"), `step "` + love + `": on love01 as dco: x`},
		{"a check", func(p *plan.Plan) { mustStep(t, p, love).Action.Parameters.(*plan.SSH).Check = "x" }, `step "` + love + `": on love01 as dco, check: x`},
		{"a command by hand", func(p *plan.Plan) { mustStep(t, p, love).ByHand += "\n\nOr `x`." }, "step \"" + love + "\": by hand: Or `x`."},
		{"a selector", func(p *plan.Plan) { mustStep(t, p, "jobs/uws").Action.Parameters.(*plan.Delete).Selector = "a=b" },
			`step "jobs/uws": deletes the Jobs in namespace uws with selector "a=b"`},
		{"namespaces", func(p *plan.Plan) { mustStep(t, p, "jobs/nublado").Action.Parameters.(*plan.Delete).Selector = "a=b" },
			`step "jobs/nublado": csu deletes the namespaces with label "a=b" and waits until they are gone.`},
		{"a branch", func(p *plan.Plan) { mustStep(t, p, "deploy/love").Action.Parameters.(*plan.Sync).Revision = "x" }, `step "deploy/love": Argo CD syncs love at x`},
		{"a channel", func(p *plan.Plan) { mustStep(t, p, "begin/announce").Action.Parameters.(*plan.Announce).Channel = "#x" }, `step "begin/announce": posts to #x`},
		{"a message", func(p *plan.Plan) { mustStep(t, p, "begin/announce").Action.Parameters.(*plan.Announce).Text = "x" }, ""},
		{"what a person is told", func(p *plan.Plan) {
			mustStep(t, p, "watch/vms-data").Action.Parameters.(*plan.Manual).Text += "\n\nx"
		}, `step "watch/vms-data": a person is told: x`},
		{"a script", func(p *plan.Plan) { mustStep(t, p, "offline/shutdown").Action.Parameters.(*plan.Script).Path = "x.py" },
			`step "offline/shutdown": csu adds the standard script x.py to ScriptQueue:1`},
		{"a configuration", func(p *plan.Plan) {
			mustStep(t, p, "offline/shutdown").Action.Parameters.(*plan.Script).Config += "x: 1\n"
		}, `step "offline/shutdown": configuration of system_wide_shutdown.py: x: 1`},
		{"another state", func(p *plan.Plan) {
			a := mustStep(t, p, "offline/rest").Action.Parameters.(*plan.SetState)
			a.State, a.MuteAlarms = "FAULT", true
		}, `step "offline/rest": sends CSCs to FAULT on ScriptQueue:1, with alarms muted`},
		{"a level", func(p *plan.Plan) {
			mustStep(t, p, "final/forward").Action.Parameters.(*plan.Compatibility).Set = "FULL"
		}, `step "final/forward": csu sets the schema registry from NONE to FULL and reads it back.`},
		{"a step elsewhere", func(p *plan.Plan) { mustStep(t, p, love).ID = "watch/elsewhere" }, ""},
	} {
		p := read(t, summitFull)
		x.edit(p)
		var got []string
		for _, ch := range novelties(p, []*plan.Plan{read(t, summitFull)}) {
			for _, text := range ch.Come {
				got = append(got, ch.Subject+": "+text)
			}
		}
		if x.want == "" && len(got) > 0 || x.want != "" && (len(got) == 0 || !strings.HasPrefix(got[0], x.want)) {
			t.Errorf("%s: %q, want %q", x.name, got, x.want)
		}
	}
	p := read(t, "2026-12-03-summit-recovery")
	a := mustStep(t, p, "reboot/azar02").Action.Parameters.(*plan.Reboot)
	a.Command = "x"
	if got := novelties(p, []*plan.Plan{read(t, "2026-12-03-summit-recovery")}); len(got) != 1 || got[0].Come[0] != "on azar02 as "+a.User+", reboot: x" {
		t.Errorf("a reboot: %+v", got)
	}
}
