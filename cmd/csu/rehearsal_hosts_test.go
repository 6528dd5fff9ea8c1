package main

import (
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/rehearsal"
)

// What the record has to show of the hosts: the camera bridges, the services on
// bare metal, the ESS controllers and the cRIOs.

// bridges are the cameras of the bridges that an upgrade stops, by host.
func (r *rehearsed) bridges() map[string]string {
	all := map[string]string{"auxtel-mcm": "ATCamera:0", "lsstcam-mcm": "MTCamera:0", "comcam-mcm": "CCCamera:0"}
	for host, csc := range all {
		c, ok := r.plan.CSC(csc)
		if !ok || r.plan.Type == plan.Incremental && !slices.Contains(strings.Fields(concerned[r.name]), c.CSC) {
			delete(all, host)
		}
	}
	return all
}

// message returns the place at which a text was posted.
func (r *rehearsed) message(t *testing.T, words string) int {
	t.Helper()
	for _, i := range r.where(rehearsal.MessagePosted, "") {
		if strings.Contains(r.effects[i].Detail, words) {
			return i
		}
	}
	t.Fatalf("%s: nothing was posted that says %q", r.name, words)
	return 0
}

func bridgesWereStopped(t *testing.T, r *rehearsed) {
	stage1 := r.message(t, "stage 1 may begin")
	for host, csc := range r.bridges() {
		stop := r.first(t, rehearsal.ServiceStop, host)
		r.precedes(t, r.offline(t, csc), stop)
		r.precedes(t, stop, r.first(t, rehearsal.CSCDown, csc))
		r.precedes(t, stop, stage1)
	}
	if q := r.question(t, "cameras-down/stage-1-heard", operator.Manual); q.after < r.effects[stage1].Seq {
		t.Errorf("%s: it was asked whether stage 1 was heard of before it was told", r.name)
	}
}

func bridgesWereStarted(t *testing.T, r *rehearsed) {
	stage2, heard := r.message(t, "stage 2"), r.question(t, "watch/stage-2-heard", operator.Manual)
	done := r.question(t, "watch/stage-1-done", operator.Manual)
	r.precedes(t, r.message(t, "stage 1 may begin"), stage2)
	if done.after >= r.effects[stage2].Seq || heard.after < r.effects[stage2].Seq {
		t.Errorf("%s: stage 2 was told when %d effects were recorded, stage 1 reported done at %d, stage 2 heard of at %d", r.name, r.effects[stage2].Seq, done.after, heard.after)
	}
	for host, csc := range r.bridges() {
		start := r.where(rehearsal.ServiceStart, host)
		if len(start) != 1 {
			t.Errorf("%s: the bridge on %s was started %d times", r.name, host, len(start))
			continue
		}
		r.precedes(t, stage2, start[0])
		r.precedes(t, start[0], r.first(t, rehearsal.CSCUp, csc))
		byCSU := slices.ContainsFunc(r.where(rehearsal.CommandRun, host), func(i int) bool {
			return strings.HasPrefix(r.effects[i].Detail, "systemctl start ") && r.effects[i].Seq > heard.after
		})
		if byCSU != r.plan.Upgrade.StartBridges {
			t.Errorf("%s: csu started the bridge on %s: %v", r.name, host, byCSU)
		}
	}
}

const (
	essUpdate = "shutdown_controller; update_repo docker-compose-ops/ summit; launch_controller"
	laserRPI  = "shutdown_ess; shutdown_audiotrigger; update_repo docker-compose-ops/ summit; launch_ess; launch_audiotrigger"
	azar03    = "shutdown_gc; update_repo docker-compose-ops summit; launch_gc"
	spectro   = "shutdown_fiberspec; update_repo docker-compose-ops summit; launch_fiberspec"
	love01    = "shutdown_love; update_repo LOVE-integration-tools deploy/summit; launch_love"
	vmsData   = "systemctl stop docker.vmslogger" // a person starts it
)

// crioUpdate is what is run on a cRIO whose service is stopped with the others on bare
// metal.
func crioUpdate(service, binary string, components ...string) string {
	return service + " stop; " + crioBuild(components...) + copied(service, binary)
}

// keptUpdate is what is run on a cRIO whose CSC keeps its state: all that takes long is done
// before the stop.
func keptUpdate(service, binary string, components ...string) string {
	return crioBuild(components...) + service + " stop; " + copied(service, binary)
}

func crioBuild(components ...string) string {
	generate := ""
	for _, c := range components {
		generate += "salgeneratorKafka generate cpp " + c + "; "
	}
	return "git checkout main; git pull; pip3 install .; " + generate + "git pull; git pull; make clean; make; make clean; make; "
}

func copied(service, binary string) string {
	return "cp " + binary + " " + binary + "; " + service + " start"
}

// commands are what an upgrade runs, by host.
func (r *rehearsed) commands() map[string]string {
	want := map[string]string{}
	switch {
	case r.is("summit/full*"):
		want = map[string]string{
			"azar03": azar03, "tel-hw1": "update_repo docker-compose-ops summit", "love01": love01, "vms-data": vmsData,
			"auxtel-ill-control": azar03, "flat-fiberspecred": spectro, "flat-fiberspecblue": spectro, "laser-rpi": laserRPI,
			"m1m3-crio-vms": "ts-VMS stop; ts-VMS start", "m2-crio-vms01": "ts-VMS stop; ts-VMS start",
		}
		for _, host := range strings.Split(essHosts, ",") {
			if host != "laser-rpi" {
				want[host] = essUpdate
			}
		}
		if !r.plan.Upgrade.CriosDone {
			want["m1m3-crio-vms"], want["m2-crio-vms01"] = crioUpdate("ts-VMS", "ts-VMSd", "MTVMS"), crioUpdate("ts-VMS", "ts-VMSd", "MTVMS")
			want["m1m3-crio-ss"] = keptUpdate("ts-M1M3support", "ts-M1M3supportd", "MTM1M3", "MTMount")
			want["m1m3-crio-ts"] = keptUpdate("ts-M1M3thermal", "ts-M1M3thermald", "MTM1M3TS")
		}
	case r.is("summit/incremental"):
		want = map[string]string{"azar03": azar03, "auxtel-ess01": essUpdate}
	case r.is("summit/incremental+vms"):
		want["m1m3-crio-vms"] = crioUpdate("ts-VMS", "ts-VMSd", "MTVMS")
	case r.is("summit/incremental+m1m3"):
		want["m1m3-crio-ss"] = keptUpdate("ts-M1M3support", "ts-M1M3supportd", "MTM1M3", "MTMount")
	case r.is("summit/incremental+hosts"):
		want = map[string]string{
			"laser-rpi": laserRPI, "vms-data": vmsData, "love01": love01, "tel-hw1": "update_repo docker-compose-ops summit",
			"m2-crio-vms01": crioUpdate("ts-VMS", "ts-VMSd", "MTVMS"),
		}
	case r.is("summit/recovery"):
		want = map[string]string{
			"m1m3-crio-ss": "ts-M1M3support start", "m1m3-crio-ts": "ts-M1M3thermal start",
			"m1m3-crio-vms": "ts-VMS start", "m2-crio-vms01": "ts-VMS start",
			"azar03": "shutdown_gc; launch_gc", "azar02": "systemctl reboot",
		}
	}
	if r.plan.Type != plan.Recovery {
		for host := range r.bridges() {
			unit := map[string]string{"auxtel-mcm": "ats-ocs-bridge", "lsstcam-mcm": "ocs-bridge", "comcam-mcm": "comcam-ocs-bridge"}[host] + ".service"
			if r.site() == "base-teststand" && host == "lsstcam-mcm" {
				unit = "lsstcam-" + unit
			}
			want[host] = "systemctl stop " + unit
			if r.plan.Upgrade.StartBridges {
				want[host] += "; systemctl start " + unit
			}
		}
	}
	return want
}

func hostsWereServed(t *testing.T, r *rehearsed) {
	got := map[string][]string{}
	for _, i := range r.where(rehearsal.CommandRun, "") {
		words := strings.Fields(r.effects[i].Detail)
		for w := range words {
			if strings.HasPrefix(words[w], "/") {
				words[w] = path.Base(words[w])
			}
		}
		if line := strings.Join(words, " "); !strings.Contains(line, "is-active") { // which only looks
			got[r.effects[i].Subject] = append(got[r.effects[i].Subject], line)
		}
	}
	want := r.commands()
	for host := range got {
		equal(t, r.upgrade, "the commands on "+host, strings.Join(got[host], "; "), want[host])
	}
	for host := range want {
		if got[host] == nil {
			t.Errorf("%s: nothing was run on %s", r.name, host)
		}
	}
	if r.plan.Type == plan.Recovery {
		return
	}
	syncs, syncsOver := r.first(t, rehearsal.SyncStarted, ""), r.last(t, rehearsal.SyncEnded, "")
	for _, i := range r.where(rehearsal.CommandRun, "") {
		host, line := r.effects[i].Subject, r.effects[i].Detail
		if host == "m1m3-crio-ss" || host == "m1m3-crio-ts" || strings.HasSuffix(host, "-mcm") {
			continue // a unit of their own, see P6; the bridges, see P15 and P34
		}
		ess := slices.Contains(strings.Split(essHosts, ","), host)
		builds := strings.Contains(host, "crio") && !strings.HasSuffix(line, " stop") // in the background, beside the syncs
		if starts := strings.HasPrefix(line, "launch_") || strings.HasSuffix(line, " start"); starts && !ess {
			r.precedes(t, syncsOver, i)
		} else if !builds {
			r.precedes(t, i, syncs)
		}
	}
	// Nothing is stopped on a host before its CSC is OFFLINE.
	for _, c := range r.plan.CSCs {
		if c.Host != "" && !strings.HasPrefix(c.CSC, "MTM1M3") {
			for _, i := range r.where(rehearsal.ServiceStop, c.Host) {
				r.precedes(t, r.offline(t, c.CSC), i)
			}
		}
	}
	if again := r.where(rehearsal.CSCDuplicate, ""); len(again) > 0 {
		t.Errorf("%s: started while it ran: %s", r.name, r.tell(again[0]))
	}
}

// protectedAreBuiltBefore: what takes long on a cRIO is done while its service runs (P6,
// P29). executor/rehearsal has a test of how long the service is down.
func protectedAreBuiltBefore(t *testing.T, r *rehearsed) {
	for csc, host := range map[string]string{"MTM1M3:0": "m1m3-crio-ss", "MTM1M3TS:0": "m1m3-crio-ts"} {
		if r.is("summit/incremental+m1m3") && host == "m1m3-crio-ts" {
			continue
		}
		stop, start := r.first(t, rehearsal.ServiceStop, host), r.first(t, rehearsal.ServiceStart, host)
		r.precedes(t, stop, start)
		r.precedes(t, start, r.first(t, rehearsal.CSCUp, csc))
		for _, i := range r.where(rehearsal.CommandRun, host) {
			if strings.Contains(r.effects[i].Detail, "salgeneratorKafka") || strings.HasPrefix(r.effects[i].Detail, "make") {
				r.precedes(t, i, stop)
			}
		}
	}
}
