package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lsst-ts/csu/compiler"
	"github.com/lsst-ts/csu/compiler/verify"
	"github.com/lsst-ts/csu/executor/plan"
)

// The checks of the rows P37 to P55.

// wants returns the states that a look wants of a CSC.
func wants(a *plan.AwaitState, csc string) []string {
	for _, w := range a.Want {
		if slices.Contains(w.CSCs, csc) {
			return w.States
		}
	}
	return nil
}

func allAreSeenUp(t *testing.T, u *upgrade, p *plan.Plan) {
	_, a := stepAs[*plan.AwaitState](t, p, "watch/up")
	brought := map[string]bool{} // by a sync, or by the start of services
	for s := range p.AllSteps() {
		switch x := s.Action.Parameters.(type) {
		case *plan.Sync:
			for _, csc := range x.CSCs {
				brought[csc] = true
			}
		case *plan.SSH:
			if strings.HasPrefix(s.ID, "watch/") {
				for _, c := range p.CSCs {
					brought[c.CSC] = brought[c.CSC] || c.Host == x.Host && !c.Bridge
				}
			}
		}
	}
	for _, c := range p.CSCs {
		want := []string(nil)
		if brought[c.CSC] && c.Speaks() {
			want = []string{c.ComesUp}
		}
		equal(t, u, "in what watch/up sees "+c.CSC, wants(a, c.CSC), want)
		own := plan.Standby
		switch {
		case !c.Speaks():
			own = ""
		case c.Bridge:
			own = plan.OfflineAvailable
		case regexp.MustCompile(`^(ScriptQueue:[123]|HVAC:0|WeatherForecast:0|DSM:[12])$`).MatchString(c.CSC):
			own = plan.Enabled
		case strings.HasPrefix(c.CSC, "MTAirCompressor:"):
			own = plan.Disabled
		}
		equal(t, u, "in what "+c.CSC+" comes up", c.ComesUp, own)
	}
}

func principalsAreTold(t *testing.T, u *upgrade, p *plan.Plan) {
	s, a := stepAs[*plan.Manual](t, p, "watch/report")
	says(t, u, s.ID, a.Text, "tell its principal")
	for _, name := range a.CSCs {
		c, _ := p.CSC(name)
		says(t, u, s.ID, a.Text, c.Principal)
	}
}

func watchEnds(t *testing.T, u *upgrade, p *plan.Plan) {
	s, _ := stepAs[*plan.AwaitState](t, p, "watch/up")
	equal(t, u, "the limit of "+s.ID, s.Timeout, plan.Duration(30*time.Minute))
	equal(t, u, "what happens then", s.OnFailure, plan.Ask)
}

func brokenIsReported(t *testing.T, u *upgrade, p *plan.Plan) {
	for _, id := range citing(p, "P40") {
		s, a := stepAs[*plan.Manual](t, p, id)
		says(t, u, s.ID, a.Text, "does not work", p.Targets.Slack.Channel)
	}
}

// enabledESS are the ESS of the site's enabled list that go down: all of the
// inventory.
func enabledESS(p *plan.Plan) []string {
	var out []string
	for _, c := range p.CSCs {
		if strings.HasPrefix(c.CSC, "ESS:") {
			out = append(out, c.CSC)
		}
	}
	slices.Sort(out)
	return out
}

func listIsEnabled(t *testing.T, u *upgrade, p *plan.Plan) {
	s, a := stepAs[*plan.SetState](t, p, "enable/ess")
	equal(t, u, s.ID, *a, plan.SetState{Queue: p.Upgrade.Queue, State: plan.Enabled, CSCs: enabledESS(p), GroupSize: 5})
	want := 38
	if u.site() == "summit" {
		want = 39
	}
	equal(t, u, "the number of ESS", len(a.CSCs), want)
	before := []string{"enable/ess"}
	if u.site() == "summit" {
		_, gis := stepAs[*plan.SetState](t, p, "enable/gis-0")
		equal(t, u, "GIS", gis.CSCs, []string{"GIS:0"})
		before = append(before, "enable/gis-0")
	}
	w, watcher := stepAs[*plan.SetState](t, p, "enable/watcher")
	equal(t, u, "the Watcher", watcher.CSCs, []string{"Watcher:0"})
	equal(t, u, "what the Watcher waits for", w.Needs, before)
	for _, id := range append(before, "enable/watcher") {
		s, _ := stepAs[plan.Parameters](t, p, id)
		equal(t, u, "what happens if "+id+" fails", s.OnFailure, plan.Report)
		if asks := s.Consent != ""; asks != (u.site() != "summit") {
			t.Errorf("%s: %s asks whether it is necessary: %v", u.name, id, asks)
		}
	}
	if s, _ := stepAs[*plan.AwaitState](t, p, "enable/seen"); s.OnFailure != plan.Ask {
		t.Errorf("%s: nobody is asked where the list is not ENABLED", u.name)
	}
}

func nubladoIsAnnounced(t *testing.T, u *upgrade, p *plan.Plan) {
	_, a := stepAs[*plan.Announce](t, p, "end/announce")
	says(t, u, "end/announce", a.Text, "Nublado is available again")
	equal(t, u, "the channel", a.Channel, p.Targets.Slack.Channel)
}

func eachComesBack(t *testing.T, u *upgrade, p *plan.Plan) {
	_, watcher := stepAs[*plan.SetState](t, p, "enable/watcher")
	equal(t, u, "the Watcher", fmt.Sprint(watcher.State, watcher.CSCs), "ENABLED[Watcher:0]")
	_, seen := stepAs[*plan.AwaitState](t, p, "enable/seen")
	down := []string{"Watcher:0", "ScriptQueue:1", "ScriptQueue:2", "ScriptQueue:3"}
	if s, ok := p.Step("offline/cscs"); ok {
		down = append(down, s.Action.Parameters.(*plan.SetState).CSCs...)
	}
	for _, csc := range down {
		c, _ := p.CSC(csc)
		equal(t, u, "in what "+csc+" is seen", wants(seen, csc), []string{c.Expect})
		if enabled := strings.HasPrefix(csc, "ESS:") || csc == "Watcher:0"; enabled && c.Expect != plan.Enabled {
			t.Errorf("%s: %s is on the enabled list and ends %s", u.name, csc, c.Expect)
		}
	}
}

func cleanThenSync(t *testing.T, u *upgrade, p *plan.Plan) {
	inOrder(t, u, p, "begin", "jobs", "compare", "deploy", "watch")
}

func silentCRIOsAreStarted(t *testing.T, u *upgrade, p *plan.Plan) {
	for host, csc := range map[string]string{"m1m3-crio-ss": "MTM1M3:0", "m1m3-crio-vms": "MTVMS:1", "m2-crio-vms01": "MTVMS:2", "m1m3-crio-ts": "MTM1M3TS:0"} {
		s, a := stepAs[*plan.SSH](t, p, "crios/"+host)
		equal(t, u, s.ID, fmt.Sprint(a.Purpose, a.Silent), fmt.Sprint(plan.Start, []string{csc}))
		up := "crios/" + strings.ToLower(strings.Replace(csc, ":", "-", 1))
		chained(t, u, p, s.ID, up)
		if _, kept := p.Step(up + "-back"); kept {
			chained(t, u, p, up, up+"-back", up+"-seen")
		}
	}
	for id, state := range map[string]string{"crios/mtm1m3-0": plan.Disabled, "crios/mtm1m3ts-0": plan.Enabled} {
		s, a := stepAs[*plan.SetState](t, p, id+"-back")
		equal(t, u, "where "+s.ID+" leads", a.State, state)
		_, seen := stepAs[*plan.AwaitState](t, p, id+"-seen")
		equal(t, u, "in what it is seen", seen.Want[0].States, []string{state})
	}
}

func azar03IsRestarted(t *testing.T, u *upgrade, p *plan.Plan) {
	chained(t, u, p, "restart/azar03-stop", "restart/azar03-start", "restart/azar03-up")
	_, a := stepAs[*plan.AwaitState](t, p, "restart/azar03-up")
	equal(t, u, "what comes up", a.Want, []plan.Want{{States: []string{plan.Standby}, CSCs: []string{"GenericCamera:101", "GenericCamera:102", "GenericCamera:103"}}})
}

func azar02IsRebooted(t *testing.T, u *upgrade, p *plan.Plan) {
	s, a := stepAs[*plan.Reboot](t, p, "reboot/azar02")
	equal(t, u, "the host", a.Host, "azar02")
	says(t, u, "the consent", s.Consent, "azar02", "Confirm that this is the right machine")
	if s.Doubt == "" {
		t.Errorf("%s: which machine is meant is not in doubt", u.name)
	}
	inOrder(t, u, p, "m2", "reboot")
}

// sequence checks that the steps of a test sequence follow each other in the
// procedure's order, each with its script.
func sequence(t *testing.T, u *upgrade, p *plan.Plan, stage string, queue int, order []string, scripts map[string]string) {
	t.Helper()
	i := slices.IndexFunc(p.Stages, func(s plan.Stage) bool { return s.ID == stage })
	if i < 0 {
		return
	}
	var got, want []string
	for _, s := range p.Stages[i].Steps {
		id := strings.TrimPrefix(s.ID, stage+"/")
		got = append(got, id)
		script, ok := s.Action.Parameters.(*plan.Script)
		if ok {
			equal(t, u, s.ID, fmt.Sprint(script.Queue, script.Path, script.Accept), fmt.Sprint(queue, scripts[id], []string{"DONE"}))
		} else if _, manual := s.Action.Parameters.(*plan.Manual); !manual || scripts[id] != "" {
			t.Errorf("%s: %s is of kind %s", u.name, s.ID, s.Action.Kind())
		}
	}
	for _, id := range order {
		if slices.Contains(got, id) {
			want = append(want, id)
		}
	}
	equal(t, u, "the order of "+stage, got, want)
	for k := range got {
		got[k] = stage + "/" + got[k]
	}
	chained(t, u, p, got...)
	inOrder(t, u, p, "enable", "testing", "testing-auxtel", "testing-maintel", "enable-all", "end")
}

func auxtelSequence(t *testing.T, u *upgrade, p *plan.Plan) {
	sequence(t, u, p, "testing-auxtel", 2,
		[]string{"enable-atcs", "enable-latiss", "housekeeping", "playlist", "on-sky", "track", "images", "ingestion", "stop-tracking", "standby"},
		map[string]string{
			"enable-atcs": "auxtel/enable_atcs.py", "enable-latiss": "auxtel/enable_latiss.py", "playlist": "run_command.py",
			"on-sky": "auxtel/prepare_for/onsky.py", "track": "auxtel/track_target.py", "images": "auxtel/take_image_latiss.py",
			"stop-tracking": "auxtel/stop_tracking.py", "standby": "auxtel/standby_atcs.py",
		})
}

func maintelSequence(t *testing.T, u *upgrade, p *plan.Plan) {
	sequence(t, u, p, "testing-maintel", 1,
		[]string{"enable-mtcs", "enable-lsstcam", "housekeeping", "playlist", "home", "compensation", "open-dome", "follow", "raise-m1m3", "track", "images", "ingestion", "rubintv", "stop-tracking"},
		map[string]string{
			"enable-mtcs": "maintel/enable_mtcs.py", "enable-lsstcam": "maintel/enable_lsstcam.py", "playlist": "run_command.py",
			"home": "maintel/home_both_axes.py", "compensation": "maintel/enable_hexapod_compensation_mode.py",
			"open-dome": "maintel/mtdome/open_dome.py", "follow": "maintel/mtdome/enable_dome_following.py",
			"raise-m1m3": "maintel/m1m3/raise_m1m3.py", "track": "maintel/track_target.py", "images": "maintel/take_image_lsstcam.py",
			"stop-tracking": "maintel/stop_tracking.py",
		})
	s, _ := stepAs[*plan.Script](t, p, "testing-maintel/raise-m1m3")
	says(t, u, s.ID+" by hand", s.ByHand, "low elevation", "point_azel.py", "80 degrees")
}

func sequencesInOrder(t *testing.T, u *upgrade, p *plan.Plan) {
	inOrder(t, u, p, "watch", "enable", "testing-auxtel", "testing-maintel", "end")
}

func changedAreCycled(t *testing.T, u *upgrade, p *plan.Plan) {
	_, topics := stepAs[*plan.Manual](t, p, "testing/topics")
	says(t, u, "testing/topics", topics.Text, "Kafdrop", "schema-registry pod")
	var cycled []string
	for _, id := range citing(p, "P49") {
		csc, up := strings.CutSuffix(strings.TrimPrefix(id, "testing/"), "-enabled")
		if !up {
			continue
		}
		_, to := stepAs[*plan.SetState](t, p, id)
		_, back := stepAs[*plan.SetState](t, p, "testing/"+csc+"-standby")
		equal(t, u, "the states of "+csc, to.State+back.State, plan.Enabled+plan.Standby)
		equal(t, u, "what is cycled", to.CSCs, back.CSCs)
		chained(t, u, p, id, "testing/"+csc+"-standby")
		cycled = append(cycled, to.CSCs...)
		row, _ := p.CSC(to.CSCs[0])
		if s, ok := p.Step("testing/" + csc + "-end"); ok {
			equal(t, u, s.ID, s.Action.Parameters.(*plan.SetState).State, row.Expect)
		} else {
			equal(t, u, "where "+csc+" ends", row.Expect, plan.Standby)
		}
	}
	if s, ok := p.Step("testing/populated"); ok {
		equal(t, u, "whose topics are looked at", slices.Sorted(slices.Values(s.Action.Parameters.(*plan.Manual).CSCs)), slices.Sorted(slices.Values(cycled)))
	}
}

func noImages(t *testing.T, u *upgrade, p *plan.Plan) {
	for s := range p.AllSteps() {
		if a, ok := s.Action.Parameters.(*plan.Script); ok && regexp.MustCompile(`image|latiss|lsstcam|run_command|play`).MatchString(a.Path+a.Config) {
			t.Errorf("%s: %s is about images: %s", u.name, s.ID, a.Path)
		}
	}
}

func beginningIsAnnounced(t *testing.T, u *upgrade, p *plan.Plan) {
	first := p.Stages[0].Steps[0]
	a, ok := first.Action.Parameters.(*plan.Announce)
	if first.ID != "begin/announce" || !ok {
		t.Fatalf("%s: the first step is %s", u.name, first.ID)
	}
	says(t, u, first.ID, a.Text, "begins now")
	equal(t, u, "the channel", a.Channel, map[string]string{"summit": "#summit-announce", "tucson-teststand": "#tucson-teststand", "base-teststand": "#base-teststand"}[u.site()])
	equal(t, u, "what happens if it can't be posted", first.OnFailure, plan.Report)
	for dayBefore, words := range map[bool]string{true: "Tomorrow", false: "In one hour"} {
		text, err := announcement(p, dayBefore)
		if err != nil {
			t.Fatal(err)
		}
		says(t, u, "what is announced beforehand", text, words, p.Site, p.Upgrade.Reason)
	}
}

// TestDatesAreWarnedAbout: the summit's full upgrades begin on a Tuesday,
// incremental ones never on a Friday (P54).
func TestDatesAreWarnedAbout(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		site, kind, date string
		want             string
	}{
		{"summit", "full", "2026-12-14", "2026-12-14 is a Monday"},
		{"summit", "full", "2026-12-15", ""},
		{"summit", "incremental", "2026-11-27", "2026-11-27 is a Friday"},
		{"summit", "incremental", "2026-11-26", ""},
		{"summit", "recovery", "2026-11-27", ""},
		{"tucson-teststand", "full", "2026-12-04", ""},
	} {
		fields := map[string]string{
			"full": `cycle: "c0045"`, "incremental": `changed: [{csc: "MTMount:0", revision: 7}]`, "recovery": "",
		}[test.kind]
		file := writeRequest(t, test.kind, fmt.Sprintf("date: %q\n%s", test.date, fields))
		p, warnings, err := compiler.Compile(compiler.Request{Root: root, Site: test.site, Type: plan.Type(test.kind), Upgrade: file})
		if err != nil {
			t.Fatal(err)
		}
		text := ""
		for _, w := range warnings {
			text += w.String() + w.Remedy
		}
		if test.want == "" && text != "" || !strings.Contains(text, test.want) || test.want != "" && !strings.Contains(text, "(P54)") {
			t.Errorf("%s %s on %s: warned of %q, want %q", test.site, test.kind, test.date, text, test.want)
		}
		if warned := len(verify.Warnings(p)) > 0; warned != (test.want != "") {
			t.Errorf("%s %s on %s: the rules warn: %v", test.site, test.kind, test.date, warned)
		}
	}
	for _, u := range upgrades {
		if u.compile(t); !u.variant() && len(u.warnings) > 0 {
			t.Errorf("%s: %v", u.name, u.warnings)
		}
	}
}

func allAreEnabled(t *testing.T, u *upgrade, p *plan.Plan) {
	_, set := stepAs[*plan.SetState](t, p, "enable-all/enabled")
	_, seen := stepAs[*plan.AwaitState](t, p, "enable-all/seen")
	var want []string
	for _, c := range p.CSCs {
		if c.Job != nil && c.Speaks() {
			want = append(want, c.CSC)
			equal(t, u, c.CSC+" at the end", c.Expect, plan.Enabled)
		}
	}
	equal(t, u, "what goes to ENABLED", *set, plan.SetState{Queue: 1, State: plan.Enabled, CSCs: want, GroupSize: 5})
	equal(t, u, "what is seen", seen.Want, []plan.Want{{States: []string{plan.Enabled}, CSCs: want}})
	inOrder(t, u, p, "testing-auxtel", "testing-maintel", "enable-all", "end")
}
