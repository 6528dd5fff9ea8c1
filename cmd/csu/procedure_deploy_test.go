package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lsst-ts/csu/compiler"
	"github.com/lsst-ts/csu/executor/plan"
)

// The checks of the rows P22 to P36.

// thirtyMinutes is the least that a sync is given (P27).
const thirtyMinutes = plan.Duration(30 * time.Minute)

// syncs are the applications that a plan syncs, in its order.
func syncs(p *plan.Plan) []string {
	var out []string
	for s := range p.AllSteps() {
		if a, ok := s.Action.Parameters.(*plan.Sync); ok {
			out = append(out, a.Application)
		}
	}
	return out
}

func syncsAreShownBefore(t *testing.T, u *upgrade, p *plan.Plan) {
	s, a := stepAs[*plan.Manual](t, p, "configuration/merged")
	shown, synced := slices.Sorted(slices.Values(a.Applications)), slices.Sorted(slices.Values(syncs(p)))
	equal(t, u, "what Argo CD is asked about in "+s.ID, shown, synced)
	says(t, u, s.ID, a.Text, "Merge the Phalanx branch", "may be out of sync")
	inOrder(t, u, p, "jobs", "configuration", "deploy")
}

func checkoutsAreUpdated(t *testing.T, u *upgrade, p *plan.Plan) {
	for _, id := range citing(p, "P23") {
		_, a := stepAs[*plan.SSH](t, p, id)
		want := "./update_repo docker-compose-ops summit"
		if a.Host == "love01" {
			want = "./update_repo LOVE-integration-tools deploy/summit"
		}
		equal(t, u, id, fmt.Sprint(a.Purpose, " as ", a.User, ": ", a.Commands), "update as dco: ["+want+"]")
		chained(t, u, p, "configuration/merged", id)
	}
	inOrder(t, u, p, "services-down", "configuration", "watch")
}

func registryIsReleased(t *testing.T, u *upgrade, p *plan.Plan) {
	_, a := stepAs[*plan.Compatibility](t, p, "schema/none")
	equal(t, u, "the level", *a, plan.Compatibility{Expect: "FORWARD", Set: "NONE"})
	inOrder(t, u, p, "offline", "schema", "hosts", "deploy")
}

func registryGoesBack(t *testing.T, u *upgrade, p *plan.Plan) {
	s, a := stepAs[*plan.Compatibility](t, p, "final/forward")
	equal(t, u, "the level", *a, plan.Compatibility{Expect: "NONE", Set: "FORWARD"})
	equal(t, u, "what "+s.ID+" undoes", s.Undoes, "schema/none")
	equal(t, u, "the final steps", len(p.Final), 1)
}

// TestIncompatibleIncrementalIsRefused: an upgrade that breaks the schemas'
// compatibility can't be incremental (P26), and no plan but a full one touches
// the registry.
func TestIncompatibleIncrementalIsRefused(t *testing.T) {
	t.Parallel()
	file := writeRequest(t, "incremental", `date: "2026-11-24", changed: [{csc: "MTMount:0", revision: 7}], breaksSchema: true`)
	_, _, err := compiler.Compile(compiler.Request{Root: root, Site: "summit", Type: plan.Incremental, Upgrade: file})
	var refused *compiler.RefusedError
	if !errors.As(err, &refused) || len(refused.Problems) != 1 {
		t.Fatalf("it was compiled, or refused for another reason: %v", err)
	}
	if p := refused.Problems[0]; !strings.Contains(p.Text, "(P26)") || !strings.Contains(p.Remedy, "full upgrade") {
		t.Errorf("it was refused with %q, %q", p.Text, p.Remedy)
	}
	for _, u := range upgrades {
		p := u.compile(t)
		for s := range p.AllSteps() {
			if _, ok := s.Action.Parameters.(*plan.Compatibility); ok && p.Type != plan.Full {
				t.Errorf("%s: %s sets the registry's level", u.name, s.ID)
			}
		}
	}
}

// TestUnknownUpdateIsRefused: a host is not concerned in an incremental upgrade
// where nobody has described how it is updated (P23, P28).
func TestUnknownUpdateIsRefused(t *testing.T) {
	t.Parallel()
	for request, want := range map[string]string{
		`hosts: ["dimm"], changed: [{csc: "ESS:404", revision: 7}]`:   `host "dimm" has no update`,
		`hosts: ["azar02"], changed: [{csc: "ESS:404", revision: 7}]`: `host "azar02" has no update`,
	} {
		file := writeRequest(t, "incremental", `date: "2026-11-24", `+request)
		_, _, err := compiler.Compile(compiler.Request{Root: root, Site: "summit", Type: plan.Incremental, Upgrade: file})
		var refused *compiler.RefusedError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", request, err, want)
		}
	}
}

func syncsHaveTime(t *testing.T, u *upgrade, p *plan.Plan) {
	for s := range p.AllSteps() {
		if _, ok := s.Action.Parameters.(*plan.Sync); ok && s.Timeout < thirtyMinutes {
			t.Errorf("%s: %s has only %s", u.name, s.ID, s.Timeout)
		}
	}
}

func controllersAreUpdated(t *testing.T, u *upgrade, p *plan.Plan) {
	for _, id := range citing(p, "P28") {
		host, isUpdate := strings.CutSuffix(id, "-update")
		if !isUpdate {
			continue
		}
		chained(t, u, p, host+"-stop", id, host+"-start")
		stop, start := []string{"./shutdown_controller"}, []string{"./launch_controller"}
		if host == "hosts/laser-rpi" {
			stop, start = []string{"./shutdown_ess", "./shutdown_audiotrigger"}, []string{"./launch_ess", "./launch_audiotrigger"}
		}
		for part, want := range map[string][]string{"-stop": stop, "-update": {"./update_repo docker-compose-ops/ summit"}, "-start": start} {
			_, a := stepAs[*plan.SSH](t, p, host+part)
			equal(t, u, host+part, fmt.Sprint(a.User, a.Commands), fmt.Sprint("dco", want))
		}
	}
	if s, ok := p.Step("hosts/dimm"); ok {
		equal(t, u, "what is done at dimm", s.Action.Kind(), plan.KindManual)
	}
}

func criosAreUpdated(t *testing.T, u *upgrade, p *plan.Plan) {
	generated := map[string][]string{
		"m1m3-crio-ss": {"MTM1M3", "MTMount"}, "m1m3-crio-ts": {"MTM1M3TS"}, "m1m3-crio-vms": {"MTVMS"}, "m2-crio-vms01": {"MTVMS"},
	}
	for _, id := range citing(p, "P29") {
		if id == "crios/up" {
			continue // a look
		}
		s, a := stepAs[*plan.SSH](t, p, id)
		text := strings.Join(a.Commands, "\n")
		switch a.Purpose {
		case plan.Build:
			if s.Timeout > thirtyMinutes {
				t.Errorf("%s: %s may take %s to begin", u.name, id, s.Timeout)
			}
		case plan.AwaitBuild:
			if s.Timeout < 3*thirtyMinutes {
				t.Errorf("%s: %s has only %s, and the SAL generation alone takes an hour", u.name, id, s.Timeout)
			}
			_, begun := stepAs[*plan.SSH](t, p, a.Build)
			equal(t, u, "what "+id+" would build again", fmt.Sprint(a.Host, a.User, a.Service, a.Commands), fmt.Sprint(begun.Host, begun.User, begun.Service, begun.Commands))
			inOrder(t, u, p, "configuration", "builds", "deploy", "watch", "crios")
			continue
		case plan.Update: // with the service down, nothing but the copy
			equal(t, u, "the number of commands of "+id, len(a.Commands), 1)
			says(t, u, id, text, "cp ~/", "/usr/sbin/")
			of := strings.TrimSuffix(id, "-update")
			if _, stops := p.Step(of + "-stop"); stops {
				chained(t, u, p, of+"-built", of+"-stop", id, of+"-start")
			} else {
				chained(t, u, p, of+"-built", id, of+"-start")
			}
			continue
		default:
			continue
		}
		for _, component := range generated[a.Host] {
			says(t, u, id, text, "salgeneratorKafka generate cpp "+component)
		}
		says(t, u, id, text, "git checkout main", "make clean && make")
		says(t, u, "the consent of "+id, s.Consent, "may be ahead of the deployed interface")
		says(t, u, id+" by hand", s.ByHand, "nohup sh -c '", ") && echo 1 && (", ">csu-update.log 2>&1 </dev/null &", "if the connection drops")
	}
	if p.Upgrade.CriosDone {
		t.Errorf("%s: the cRIOs are done already", u.name)
	}
	inOrder(t, u, p, "services-down", "configuration", "builds", "deploy", "crios")
}

func platformInOrder(t *testing.T, u *upgrade, p *plan.Plan) {
	chained(t, u, p, "platform/science-platform", "platform/nublado")
	inOrder(t, u, p, "configuration", "platform", "deploy")
}

func sasquatchIsAskedFor(t *testing.T, u *upgrade, p *plan.Plan) {
	s, a := stepAs[*plan.Sync](t, p, "platform/sasquatch")
	equal(t, u, "the application", a.Application, "sasquatch")
	says(t, u, "the consent of "+s.ID, s.Consent, "only if necessary", "out of sync")
	chained(t, u, p, "platform/nublado", "platform/sasquatch", "platform/efd-back")
}

func syncsInOrder(t *testing.T, u *upgrade, p *plan.Plan) {
	rest := []string{"auxtel", "calsys", "envsys", "obssys", "simonyitel", "uws"}
	want := append([]string{"control-system-test", "love"}, rest...)
	if p.Type == plan.Full {
		want = append(syncs(p)[:slices.Index(syncs(p), "control-system-test")], want...)
	} else {
		_, a := stepAs[*plan.Manual](t, p, "compare/look")
		equal(t, u, "what is compared", slices.Sorted(slices.Values(a.Applications)), slices.Sorted(slices.Values(want)))
		inOrder(t, u, p, "jobs", "compare", "deploy")
	}
	equal(t, u, "the order", syncs(p), want)
	for _, app := range rest {
		s, a := stepAs[*plan.Sync](t, p, "deploy/"+app)
		equal(t, u, "what "+s.ID+" needs", s.Needs, []string{"deploy/love"})
		if len(a.Resources) > 0 {
			t.Errorf("%s: %s syncs only a part", u.name, s.ID)
		}
	}
}

func onlyWhatWentDownIsSynced(t *testing.T, u *upgrade, p *plan.Plan) {
	var synced, deleted []string
	for _, id := range citing(p, "P33") {
		s, a := stepAs[*plan.Sync](t, p, id)
		synced = append(synced, a.CSCs...)
		if slices.Contains(p.Upgrade.Applications, a.Application) {
			equal(t, u, "the resources of "+s.ID+", which is synced as a whole", a.Resources, []plan.Resource(nil))
			continue
		}
		var want []plan.Resource
		shared := slices.Clone(p.Shared)
		for _, name := range a.CSCs {
			c, _ := p.CSC(name)
			want = append(want, plan.Resource{Group: "batch", Kind: "Job", Namespace: c.Job.Namespace, Name: c.Job.Name})
			want = append(want, c.Job.Resources...)
			shared = slices.DeleteFunc(shared, func(r plan.Resource) bool { return r.Namespace != c.Job.Namespace })
		}
		equal(t, u, "the resources of "+s.ID, a.Resources, append(want, shared...))
	}
	for _, id := range citing(p, "P21") {
		_, a := stepAs[*plan.Delete](t, p, id)
		deleted = append(deleted, a.CSCs...)
	}
	equal(t, u, "what comes back", slices.Sorted(slices.Values(synced)), slices.Sorted(slices.Values(deleted)))
}

func bridgesAreStarted(t *testing.T, u *upgrade, p *plan.Plan) {
	started := []string{"watch/bridges"}
	if p.Upgrade.StartBridges {
		started = nil
		for _, stop := range citing(p, "P15") {
			id := strings.Replace(stop, "cameras-down/", "watch/", 1)
			_, stopped := stepAs[*plan.SSH](t, p, stop)
			_, a := stepAs[*plan.SSH](t, p, id)
			equal(t, u, id, *a, plan.SSH{Host: stopped.Host, User: stopped.User, Purpose: plan.Start, Service: stopped.Service,
				Commands: []string{"sudo systemctl start " + stopped.Service}, Check: "systemctl is-active --quiet " + stopped.Service})
			started = append(started, id)
		}
	} else {
		s, a := stepAs[*plan.Manual](t, p, "watch/bridges")
		for _, stop := range citing(p, "P15") {
			_, stopped := stepAs[*plan.SSH](t, p, stop)
			says(t, u, s.ID, a.Text, "sudo systemctl start "+stopped.Service, "systemctl status "+stopped.Service)
		}
	}
	for _, id := range started {
		chained(t, u, p, "watch/stage-2-heard", id, "watch/available", "watch/seen")
	}
	_, available := stepAs[*plan.Manual](t, p, "watch/available")
	says(t, u, "watch/available", available.Text, "OFFLINE_AVAILABLE", "ccs-shell", "setAvailable --withLock")
	_, seen := stepAs[*plan.AwaitState](t, p, "watch/seen")
	equal(t, u, "where the bridges are seen", seen.Want, []plan.Want{{States: []string{plan.OfflineAvailable}, CSCs: available.CSCs}})
	equal(t, u, "the number of bridges", len(available.CSCs), len(citing(p, "P15")))
}

func stage2IsHandedOver(t *testing.T, u *upgrade, p *plan.Plan) {
	s, a := stepAs[*plan.Announce](t, p, "watch/stage-2")
	equal(t, u, "the channel", a.Channel, p.Targets.Slack.Channel)
	says(t, u, s.ID, a.Text, "stage 2", "may begin")
	if !a.Handover {
		t.Errorf("%s: nobody is asked if %s can't be posted", u.name, s.ID)
	}
	chained(t, u, p, "watch/stage-1-done", s.ID, "watch/stage-2-heard")
	inOrder(t, u, p, "cameras-down", "deploy", "watch")
}

func servicesAreStarted(t *testing.T, u *upgrade, p *plan.Plan) {
	for _, id := range citing(p, "P36") {
		_, stopped := stepAs[*plan.SSH](t, p, "services-down/"+strings.TrimSuffix(id[strings.Index(id, "/")+1:], "-start"))
		s, _ := stepAs[plan.Parameters](t, p, id)
		switch a := s.Action.Parameters.(type) {
		case *plan.SSH:
			equal(t, u, id, fmt.Sprint(a.Purpose, a.Host, a.Service), fmt.Sprint(plan.Start, stopped.Host, stopped.Service))
		case *plan.Manual: // no source says how it is started
			equal(t, u, "what is started by a person", stopped.Host, "vms-data")
			says(t, u, id, a.Text, "This plan stopped "+stopped.Service+" on vms-data")
		default:
			t.Errorf("%s: %s is of kind %s", u.name, id, s.Action.Kind())
		}
	}
	inOrder(t, u, p, "services-down", "deploy", "watch")
}
