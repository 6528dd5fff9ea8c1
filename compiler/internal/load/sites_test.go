package load

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lsst-ts/csu/compiler/internal/model"
)

// The numbers and names in these tests are counted by hand in the sources that
// the sites come from, not taken from the sites.

// loadSite loads a site that has to be right.
func loadSite(t *testing.T, name string) *model.Site {
	t.Helper()
	site, err := Site(root, name)
	if err != nil {
		t.Fatal(err)
	}
	return site
}

// where returns the names of the CSCs for which something holds, sorted.
func where(site *model.Site, holds func(*model.CSC) bool) []string {
	var names []string
	for i := range site.CSCs {
		if holds(&site.CSCs[i]) {
			names = append(names, site.CSCs[i].Name())
		}
	}
	slices.Sort(names)
	return names
}

func TestInventories(t *testing.T) {
	for _, want := range []struct {
		site                               string
		cluster, outside, ess, pinned      int
		hosts                              int
		context, channel, environment, dns string
	}{
		{"summit", 104, 13, 39, 103, 26, "yagan", "#summit-announce", "summit", "cp.lsst.org"},
		{"tucson-teststand", 104, 2, 38, 0, 2, "pillan", "#tucson-teststand", "tucson-teststand", "tu.lsst.org"},
		{"base-teststand", 105, 2, 38, 0, 2, "manke", "#base-teststand", "base", "ls.lsst.org"},
	} {
		t.Run(want.site, func(t *testing.T) {
			site := loadSite(t, want.site)
			got := map[string]int{
				"cluster": len(where(site, func(c *model.CSC) bool { return c.Application != "" && c.Host == "" })),
				"outside": len(where(site, func(c *model.CSC) bool { return c.Application == "" && c.Host != "" })),
				"ess":     len(where(site, func(c *model.CSC) bool { return c.Component == "ESS" })),
				"pinned":  len(where(site, func(c *model.CSC) bool { return c.Pinned })),
				"hosts":   len(site.Hosts),
			}
			wanted := map[string]int{"cluster": want.cluster, "outside": want.outside, "ess": want.ess, "pinned": want.pinned, "hosts": want.hosts}
			if diff := cmp.Diff(wanted, got); diff != "" {
				t.Errorf("counts (-want +got):\n%s", diff)
			}
			if site.Cycle != "c0044" || site.TestStand == (want.site == "summit") || site.Environment != want.environment {
				t.Errorf("cycle %q, test stand %v, environment %q", site.Cycle, site.TestStand, site.Environment)
			}
			if site.Targets.Context != want.context || site.Targets.SlackChannel != want.channel {
				t.Errorf("context %q, channel %q", site.Targets.Context, site.Targets.SlackChannel)
			}
			for _, h := range site.Hosts {
				if h.Address != h.Name+"."+want.dns {
					t.Errorf("host %s has the address %s", h.Name, h.Address)
				}
			}
			var applications []string
			for _, a := range site.Applications {
				applications = append(applications, a.Name)
			}
			if diff := cmp.Diff(strings.Fields("auxtel calsys control-system-test envsys love obssys simonyitel uws"), applications); diff != "" {
				t.Errorf("applications (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSelfEnabled(t *testing.T) {
	queues := []string{"ScriptQueue:1", "ScriptQueue:2", "ScriptQueue:3"}
	for name, want := range map[string][]string{
		"summit":           slices.Concat([]string{"HVAC:0"}, queues, []string{"WeatherForecast:0"}),
		"tucson-teststand": slices.Concat([]string{"DSM:1", "DSM:2", "HVAC:0"}, queues, []string{"WeatherForecast:0"}),
		"base-teststand":   slices.Concat([]string{"DSM:1", "DSM:2", "HVAC:0"}, queues, []string{"WeatherForecast:0"}),
	} {
		site := loadSite(t, name)
		if diff := cmp.Diff(want, where(site, func(c *model.CSC) bool { return c.ComesUp == "ENABLED" })); diff != "" {
			t.Errorf("%s: come up ENABLED (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff([]string{"MTAirCompressor:1", "MTAirCompressor:2"}, where(site, func(c *model.CSC) bool { return c.ComesUp == "DISABLED" })); diff != "" {
			t.Errorf("%s: come up DISABLED (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff([]string{"love-commander"}, where(site, func(c *model.CSC) bool { return c.Component == "" })); diff != "" {
			t.Errorf("%s: speak no SAL (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff([]string{"love-commander"}, where(site, func(c *model.CSC) bool { return c.ComesUp == "" })); diff != "" {
			t.Errorf("%s: have no state (-want +got):\n%s", name, diff)
		}
	}
}

func TestEnabledLists(t *testing.T) {
	for name, want := range map[string]struct {
		count       int
		has, hasNot []string
		ifNecessary bool
		enableAll   bool
	}{
		"summit":           {41, []string{"ESS:104", "ESS:302", "ESS:443", "GIS:0", "Watcher:0"}, []string{"ESS:107", "ESS:108", "ESS:118", "ESS:307"}, false, false},
		"tucson-teststand": {39, []string{"ESS:104", "Watcher:0"}, []string{"ESS:302", "GIS:0"}, true, true},
		"base-teststand":   {39, []string{"ESS:104", "Watcher:0"}, []string{"ESS:302", "GIS:0"}, true, false},
	} {
		states := loadSite(t, name).States
		if len(states.Enable) != want.count || states.IfNecessary != want.ifNecessary || states.EnableAll != want.enableAll {
			t.Errorf("%s: %d to enable, if necessary %v, all %v", name, len(states.Enable), states.IfNecessary, states.EnableAll)
		}
		for _, csc := range want.has {
			if !slices.Contains(states.Enable, csc) {
				t.Errorf("%s: %s is not enabled", name, csc)
			}
		}
		for _, csc := range want.hasNot {
			if slices.Contains(states.Enable, csc) {
				t.Errorf("%s: %s is enabled", name, csc)
			}
		}
	}
}

func TestOutside(t *testing.T) {
	for name, want := range map[string][]string{
		"summit": {
			"ATCamera:0 auxtel-mcm", "CCCamera:0 comcam-mcm",
			"FiberSpectrograph:101 flat-fiberspecred", "FiberSpectrograph:102 flat-fiberspecblue", "FiberSpectrograph:3 auxtel-ill-control",
			"GenericCamera:101 azar03", "GenericCamera:102 azar03", "GenericCamera:103 azar03",
			"MTCamera:0 lsstcam-mcm", "MTM1M3:0 m1m3-crio-ss", "MTM1M3TS:0 m1m3-crio-ts",
			"MTVMS:1 m1m3-crio-vms", "MTVMS:2 m2-crio-vms01",
		},
		"tucson-teststand": {"ATCamera:0 auxtel-mcm", "CCCamera:0 comcam-mcm"},
		"base-teststand":   {"ATCamera:0 auxtel-mcm", "MTCamera:0 lsstcam-mcm"},
	} {
		site := loadSite(t, name)
		var got []string
		for _, c := range site.CSCs {
			if c.Host != "" {
				got = append(got, c.Name()+" "+c.Host)
			}
			if c.Bridge != strings.HasSuffix(c.Component, "Camera") && c.Component != "GenericCamera" {
				t.Errorf("%s: %s: bridge %v", name, c.Name(), c.Bridge)
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestPrincipals(t *testing.T) {
	site := loadSite(t, "summit")
	got := map[string]string{}
	for _, name := range []string{"MTM2:0", "MTM1M3:0", "MTM1M3TS:0", "MTVMS:1", "MTVMS:2", "MTCamera:0", "FiberSpectrograph:3", "MTMount:0"} {
		csc, ok := site.CSC(name)
		if !ok {
			t.Fatalf("no CSC %s", name)
		}
		got[name] = csc.Principal
	}
	for _, name := range []string{"m2-crio-vms01", "auxtel-ess01", "azar02", "auxtel-mcm", "flat-fiberspecred", "azar03"} {
		host, ok := site.Host(name)
		if !ok {
			t.Fatalf("no host %s", name)
		}
		got[name] = host.Principal
	}
	want := map[string]string{
		"MTM2:0": "M2 principal", "MTM1M3:0": "M1M3 principal", "MTM1M3TS:0": "M1M3 principal",
		"MTVMS:1": "M1M3 principal", "MTVMS:2": "M1M3 principal", "MTCamera:0": "camera team",
		"FiberSpectrograph:3": "calibration systems", "MTMount:0": "",
		"m2-crio-vms01": "M1M3 principal", "auxtel-ess01": "ESS principal", "azar02": "IT",
		"auxtel-mcm": "camera team", "flat-fiberspecred": "calibration systems", "azar03": "",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("principals (-want +got):\n%s", diff)
	}
}

func TestCommands(t *testing.T) {
	sites := map[string]*model.Site{}
	for _, name := range []string{"summit", "tucson-teststand", "base-teststand"} {
		sites[name] = loadSite(t, name)
	}
	for _, want := range []struct{ site, host, purpose, user, via, run string }{
		{"summit", "lsstcam-mcm", "stop", "operator", "own", "sudo systemctl stop ocs-bridge.service"},
		{"summit", "comcam-mcm", "start", "operator", "own", "sudo systemctl start comcam-ocs-bridge.service"},
		{"base-teststand", "lsstcam-mcm", "stop", "operator", "own", "sudo systemctl stop lsstcam-ocs-bridge.service"},
		{"tucson-teststand", "auxtel-mcm", "start", "operator", "own", "sudo systemctl start ats-ocs-bridge.service"},
		{"summit", "azar03", "stop", "dco", "sudo", "./shutdown_gc"},
		{"summit", "azar03", "start", "dco", "sudo", "./launch_gc"},
		{"summit", "auxtel-ill-control", "stop", "dco", "sudo", "./shutdown_gc"},
		{"summit", "flat-fiberspecblue", "start", "dco", "sudo", "./launch_fiberspec"},
		{"summit", "laser-rpi", "stop", "dco", "sudo", "./shutdown_ess\n./shutdown_audiotrigger"},
		{"summit", "auxtel-lightning01", "start", "dco", "sudo", "./launch_controller"},
		{"summit", "vms-data", "stop", "operator", "own", "sudo systemctl stop docker.vmslogger"},
		{"summit", "m1m3-crio-ss", "start", "admin", "login", "/etc/init.d/ts-M1M3support start"},
		{"summit", "m2-crio-vms01", "stop", "admin", "login", "/etc/init.d/ts-VMS stop"},
	} {
		host, ok := sites[want.site].Host(want.host)
		if !ok || len(host.Services) != 1 {
			t.Errorf("%s: host %s: %+v", want.site, want.host, host)
			continue
		}
		got := maps.Collect(host.Services[0].Commands())[want.purpose]
		if got == nil || got.User != want.user || strings.Join(got.Run, "\n") != want.run {
			t.Errorf("%s: host %s: %s: %+v, want as %s: %s", want.site, want.host, want.purpose, got, want.user, want.run)
		}
		if !slices.Contains(host.Users, model.User{Name: want.user, Via: want.via}) {
			t.Errorf("%s: host %s: users %+v, want %s via %s", want.site, want.host, host.Users, want.user, want.via)
		}
	}
}

// TestCRIOUpdates checks the longest sequences of all against the manual.
func TestCRIOUpdates(t *testing.T) {
	site := loadSite(t, "summit")
	for host, want := range map[string]struct {
		components []string
		repository string
		binary     string
	}{
		"m1m3-crio-ss":  {[]string{"MTM1M3", "MTMount"}, "ts_m1m3support", "ts-M1M3supportd"},
		"m1m3-crio-ts":  {[]string{"MTM1M3TS"}, "ts_m1m3thermal", "ts-M1M3thermald"},
		"m1m3-crio-vms": {[]string{"MTVMS"}, "ts_vms", "ts-VMSd"},
		"m2-crio-vms01": {[]string{"MTVMS"}, "ts_vms", "ts-VMSd"},
	} {
		h, ok := site.Host(host)
		if !ok {
			t.Fatalf("no host %s", host)
		}
		service := h.Services[0]
		const env = ". ~/kafka.env && . ~/ts_sal/setupKafka.env && . ~/kafka.env"
		run := []string{"cd ~/ts_xml && git checkout main", "cd ~/ts_xml && git pull", "cd ~/ts_xml && pip3 install ."}
		for _, c := range want.components {
			run = append(run, fmt.Sprintf("cd ~/ts_xml && %s && salgeneratorKafka generate cpp %s", env, c))
		}
		run = append(run, "cd ~/ts_cRIOcpp && git pull", "cd ~/"+want.repository+" && git pull",
			"cd ~/ts_cRIOcpp && "+env+" && make clean && make",
			"cd ~/"+want.repository+" && "+env+" && make clean && make")
		if diff := cmp.Diff(run, service.Build.Run); diff != "" {
			t.Errorf("%s: build (-want +got):\n%s", host, diff)
		}
		// Only the copy needs the service down.
		if diff := cmp.Diff([]string{"cp ~/" + want.repository + "/" + want.binary + " /usr/sbin/" + want.binary}, service.Update.Run); diff != "" {
			t.Errorf("%s: update (-want +got):\n%s", host, diff)
		}
		if service.Build.Limit.Hours() != 3 || service.Build.Consent == "" || service.Stop == nil || service.Start == nil {
			t.Errorf("%s: %+v", host, service)
		}
		if kept := host == "m1m3-crio-ss" || host == "m1m3-crio-ts"; kept != (service.Keep != "") {
			t.Errorf("%s: kept %q", host, service.Keep)
		}
	}
	got := map[string]string{}
	for _, k := range site.States.Keep {
		got[k.CSC] = k.State
	}
	if diff := cmp.Diff(map[string]string{"MTM1M3:0": "DISABLED", "MTM1M3TS:0": "ENABLED"}, got); diff != "" {
		t.Errorf("kept states (-want +got):\n%s", diff)
	}
}

func TestESSControllers(t *testing.T) {
	got := map[string]string{}
	for _, h := range loadSite(t, "summit").Hosts {
		if h.Role == model.ESS {
			got[h.Name] = strings.Join(h.Serves, " ")
			if h.Checkout == nil || h.Checkout.Repository != "docker-compose-ops/" || h.Checkout.User != "dco" {
				t.Errorf("%s: checkout %+v", h.Name, h.Checkout)
			}
		}
	}
	want := map[string]string{
		"hexrot-ess01": "ESS:121", "m2hex-ess01": "ESS:122", "m2-ess01": "ESS:106", "m2-ess02": "ESS:112", "m1m3-ess01": "ESS:113",
		"laser-rpi": "ESS:404", "camera-ess01": "ESS:111", "auxtel-ess01": "ESS:201", "auxtel-ess02": "ESS:204", "auxtel-lightning01": "ESS:308",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("controllers (-want +got):\n%s", diff)
	}
}

// TestDoubts checks that each doubtful fact is told as one, where it is used.
func TestDoubts(t *testing.T) {
	site := loadSite(t, "summit")
	service := func(host string) *model.Service {
		t.Helper()
		h, ok := site.Host(host)
		if !ok || len(h.Services) != 1 {
			t.Fatalf("host %s: %+v", host, h)
		}
		return &h.Services[0]
	}
	host := func(name string) string {
		t.Helper()
		h, ok := site.Host(name)
		if !ok {
			t.Fatalf("no host %s", name)
		}
		return h.Doubt
	}
	csc := func(name string) string {
		t.Helper()
		c, ok := site.CSC(name)
		if !ok {
			t.Fatalf("no CSC %s", name)
		}
		return c.Doubt + c.Note
	}
	base, ok := loadSite(t, "base-teststand").Host("lsstcam-mcm")
	if !ok {
		t.Fatal("no lsstcam-mcm at the base test stand")
	}
	for what, one := range map[string]struct{ text, says string }{
		"API server":               {site.Targets.ServerDoubt, "Rancher"},
		"laser-rpi":                {host("laser-rpi"), "ESS:404"},
		"dimm":                     {host("dimm"), "ESS:307"},
		"tel-hw1":                  {host("tel-hw1"), "neither stops nor starts"},
		"azar02":                   {host("azar02"), "azar2"},
		"azar02's reboot":          {site.Recovery.Reboot[0].Doubt, "azar2"},
		"stop of illumination":     {service("auxtel-ill-control").Stop.Doubt, "./launch_fiberspec"},
		"start of illumination":    {service("auxtel-ill-control").Start.Doubt, "./launch_gc"},
		"M1M3 init script, stop":   {service("m1m3-crio-ss").Stop.Doubt, "ts-M1M3supportd"},
		"M1M3 init script, start":  {service("m1m3-crio-ss").Start.Doubt, "ts-M1M3supportd"},
		"thermal init script":      {service("m1m3-crio-ts").Start.Doubt, "ts-m1m3thermal"},
		"VMS start":                {service("m1m3-crio-vms").Start.Doubt, "only at the end of the cRIO update"},
		"VMS data logger":          {service("vms-data").StartByHand, "never starts it"},
		"M1M3 is kept":             {service("m1m3-crio-ss").Keep, "DISABLED"},
		"M1M3TS is kept":           {service("m1m3-crio-ts").Keep, "ENABLED"},
		"kept states":              {site.States.Keep[0].Doubt, "OFFLINE"},
		"unit of MTCamera":         {service("lsstcam-mcm").Stop.Doubt, "lsstcam-ocs-bridge.service"},
		"unit of MTCamera at base": {base.Services[0].Stop.Doubt, "ocs-bridge.service at the summit"},
		"setAvailable":             {host("auxtel-mcm"), "setAvailable"},
		"CCCamera":                 {csc("CCCamera:0"), "cycle 43"},
		"red or blue":              {csc("FiberSpectrograph:101"), "red"},
		"blue or red":              {csc("FiberSpectrograph:102"), "blue"},
		"MTVMS":                    {csc("MTVMS:1"), "OFFLINE"},
		"enabled list":             {strings.Join(site.States.Notes, "\n"), "renumbered"},
		"MTVMS:3":                  {strings.Join(site.States.Notes, "\n"), "MTVMS:3"},
	} {
		if !strings.Contains(one.text, one.says) || strings.Contains(one.text, "\t") {
			t.Errorf("%s: %q, want it to say %q", what, one.text, one.says)
		}
	}
	if diff := cmp.Diff([]string{"CCHeaderService:0", "CCOODS:0", "DSM:1", "DSM:2", "GCHeaderService:1", "MTVMS:3"}, site.States.Absent); diff != "" {
		t.Errorf("absent (-want +got):\n%s", diff)
	}
}

func TestRecovery(t *testing.T) {
	got := loadSite(t, "summit").Recovery
	if diff := cmp.Diff([]string{"m1m3-crio-ss", "m1m3-crio-vms", "m2-crio-vms01", "m1m3-crio-ts"}, got.StartCRIOs); diff != "" {
		t.Errorf("cRIOs (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"azar03"}, got.Restart); diff != "" || len(got.Reboot) != 1 || got.Reboot[0].Host != "azar02" {
		t.Errorf("restart %v, reboot %v", got.Restart, got.Reboot)
	}
	for _, name := range []string{"tucson-teststand", "base-teststand"} {
		if r := loadSite(t, name).Recovery; len(r.StartCRIOs)+len(r.Restart)+len(r.Reboot) > 0 {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestSequences(t *testing.T) {
	scripts := func(site, sequence string) []string {
		t.Helper()
		for _, seq := range loadSite(t, site).Testing {
			if seq.Name != sequence {
				continue
			}
			var got []string
			for _, step := range seq.Steps {
				what := step.Script
				if what == "" {
					what = "by hand: " + step.ID
				}
				got = append(got, what)
				if step.Script != "" && (step.Queue != 1) != (sequence == "auxtel") {
					t.Errorf("%s: %s: %s on queue %d", site, sequence, what, step.Queue)
				}
				if step.ID == "track" && sequence == "auxtel" && step.Config != "slew_icrs:\n  dec: -20\n  ra: 18\n" {
					t.Errorf("%s: configuration %q", what, step.Config)
				}
				if step.ID == "raise-m1m3" && !strings.Contains(step.Text, "80 degrees") {
					t.Errorf("%s: text %q", what, step.Text)
				}
			}
			return got
		}
		t.Fatalf("%s: no sequence %s", site, sequence)
		return nil
	}
	for _, want := range []struct {
		site, sequence string
		scripts        []string
	}{
		{"base-teststand", "auxtel", []string{
			"auxtel/enable_atcs.py", "auxtel/enable_latiss.py", "by hand: housekeeping", "run_command.py", "auxtel/prepare_for/onsky.py",
			"auxtel/track_target.py", "auxtel/take_image_latiss.py", "by hand: ingestion", "auxtel/stop_tracking.py", "auxtel/standby_atcs.py",
		}},
		{"base-teststand", "maintel", []string{
			"maintel/enable_mtcs.py", "maintel/enable_lsstcam.py", "by hand: housekeeping", "run_command.py", "maintel/home_both_axes.py",
			"maintel/enable_hexapod_compensation_mode.py", "maintel/mtdome/open_dome.py", "maintel/mtdome/enable_dome_following.py",
			"maintel/m1m3/raise_m1m3.py", "maintel/track_target.py", "maintel/take_image_lsstcam.py", "by hand: ingestion", "by hand: rubintv",
			"maintel/stop_tracking.py",
		}},
		{"tucson-teststand", "auxtel", []string{
			"auxtel/enable_atcs.py", "auxtel/prepare_for/onsky.py", "auxtel/track_target.py", "auxtel/stop_tracking.py", "auxtel/standby_atcs.py",
		}},
		{"tucson-teststand", "maintel", []string{
			"maintel/enable_mtcs.py", "maintel/home_both_axes.py", "maintel/enable_hexapod_compensation_mode.py", "maintel/mtdome/open_dome.py",
			"maintel/mtdome/enable_dome_following.py", "maintel/m1m3/raise_m1m3.py", "maintel/track_target.py", "maintel/stop_tracking.py",
		}},
	} {
		if diff := cmp.Diff(want.scripts, scripts(want.site, want.sequence)); diff != "" {
			t.Errorf("%s: %s (-want +got):\n%s", want.site, want.sequence, diff)
		}
	}
	if n := len(loadSite(t, "summit").Testing); n != 0 {
		t.Errorf("summit: %d sequences", n)
	}
}

func TestRequests(t *testing.T) {
	for _, name := range []string{"summit", "tucson-teststand", "base-teststand"} {
		site := loadSite(t, name)
		for _, typ := range types {
			req, err := Request(root, site, typ, "")
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if req.Type != typ || req.Date == "" || req.Reason == "" || req.Attempt != 1 || req.Queue != 1 || req.Pos.Line == 0 {
				t.Errorf("%s: %s: %+v", name, typ, req)
			}
			if newCycle := req.Cycle != site.Cycle; newCycle != (typ == "full") {
				t.Errorf("%s: %s to the cycle %s, deployed is %s", name, typ, req.Cycle, site.Cycle)
			}
		}
	}
}

// TestPlaces checks that what comes from a site says where it is written.
func TestPlaces(t *testing.T) {
	for _, name := range []string{"summit", "tucson-teststand", "base-teststand"} {
		site := loadSite(t, name)
		check := func(what string, pos model.Pos) {
			t.Helper()
			if !strings.HasPrefix(pos.File, "sites/"+name+"/") || pos.Line == 0 || pos.Column == 0 {
				t.Errorf("%s is at %v", what, pos)
			}
		}
		check(name, site.Pos)
		for i := range site.CSCs {
			check(site.CSCs[i].Name(), site.CSCs[i].Pos)
		}
		for _, h := range site.Hosts {
			check(h.Name, h.Pos)
			for i := range h.Services {
				check(h.Name+" "+h.Services[i].Name, h.Services[i].Pos)
				for what, c := range h.Services[i].Commands() {
					check(h.Name+" "+h.Services[i].Name+" "+what, c.Pos)
				}
			}
		}
		for _, seq := range site.Testing {
			check(seq.Name, seq.Pos)
		}
		for _, a := range site.Applications {
			check(a.Name, a.Pos)
		}
	}
}
