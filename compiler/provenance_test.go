package compiler

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/lsst-ts/csu/compiler/internal/model"
	"github.com/lsst-ts/csu/executor/plan"
)

// at returns what the sources have at a place, to the end of the line.
func at(t *testing.T, place string) string {
	t.Helper()
	parts := strings.Split(place, ":")
	if len(parts) != 3 {
		t.Fatalf("%q is not file:line:column", place)
	}
	data, err := os.ReadFile(filepath.Join("..", parts[0]))
	if err != nil {
		t.Fatal(err)
	}
	line, _ := strconv.Atoi(parts[1])
	column, _ := strconv.Atoi(parts[2])
	lines := strings.Split(string(data), "\n")
	if line < 1 || line > len(lines) || column < 1 || column > len(lines[line-1]) {
		t.Fatalf("there is nothing at %s", place)
	}
	return lines[line-1][column-1:]
}

// TestProvenance: the places of values are where those are written.
func TestProvenance(t *testing.T) {
	_, full, err := Trace(Request{Root: "..", Site: "summit", Type: plan.Full})
	if err != nil {
		t.Fatal(err)
	}
	_, incremental, err := Trace(Request{Root: "..", Site: "summit", Type: plan.Incremental})
	if err != nil {
		t.Fatal(err)
	}
	_, recovery, err := Trace(Request{Root: "..", Site: "summit", Type: plan.Recovery})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		from           *Provenance
		subject, field string
		says           []string
		file           string
		want           string // how what is written there begins
	}{
		{full, "targets", "kubernetes.context", nil, "site.cue", `"yagan"`},
		{full, "targets", "efd.lag", nil, "site.cue", `"30s"`},
		{full, "targets", "pages[Kafdrop].url", nil, "site.cue", `[`},
		{full, "upgrade", "breaksSchema", nil, "upgrade.cue", `true`},
		{full, "upgrade", "revisions[MTMount:0].revision", nil, "upgrade.cue", `revisions: {`},
		{incremental, "upgrade", "changed[ESS:105].revision", nil, "upgrade.cue", `7}`},
		{incremental, `csc "MTMount:0"`, "image", nil, "upgrade.cue", `{csc: "MTMount:0"`},
		{full, `csc "MTMount:0"`, "image", nil, "upgrade.cue", `1`},
		{full, `csc "MTM1M3:0"`, "host", nil, "outside.cue", `"m1m3-crio-ss"`},
		{full, `csc "MTM1M3:0"`, "expect", nil, "states.cue", `"MTM1M3:0": {state: "DISABLED"`},
		{full, `csc "ATAOS:0"`, "job.cscName", nil, "cscs.cue", `"ataos"`},
		{full, `host "azar03"`, "users[dco].via", nil, "hosts.cue", `[dco]`},
		{full, `host "azar03"`, "address", nil, "hosts.cue", `azar03: {`},
		{full, `step "services-down/azar03"`, "action.commands", nil, "hosts.cue", `["./shutdown_gc"]`},
		{full, `step "services-down/azar03"`, "", nil, "hosts.cue", `stop: {`},
		{full, `step "watch/azar03"`, "timeout", nil, "hosts.cue", `"30m"`},
		{full, `step "services-down/auxtel-ill-control"`, "doubt", nil, "hosts.cue", `"""`},
		{full, `step "builds/m1m3-crio-vms"`, "doubt", nil, "crios.cue", `"`},
		{full, `step "hosts/laser-rpi-stop"`, "doubt", nil, "hosts.cue", `"""`},
		{full, `step "configuration/azar03-docker-compose-ops"`, "action.commands", nil, "hosts.cue", `composeOps`},
		{recovery, `step "reboot/azar02"`, "action.command", nil, "states.cue", `"sudo systemctl reboot"`},
		{full, `step "deploy/love"`, "action.revision", nil, "upgrade.cue", `full: {`},
		{full, `step "offline/rest"`, "action.cscs", []string{"GIS:0"}, "cscs.cue", `"GIS:0"`},
		{full, `step "offline/shutdown"`, "action.config", []string{"reason: Upgrade of the control system to cycle 45"}, "upgrade.cue", `"Upgrade of`},
		{full, `step "offline/announce"`, "action.channel", nil, "", ""},
		{full, `step "begin/announce"`, "action.channel", nil, "site.cue", `"#summit-announce"`},
	} {
		places := c.from.Of(c.subject, c.field, c.says...)
		if c.want == "" {
			if len(places) > 0 {
				t.Errorf("%s, %s: %q", c.subject, c.field, places)
			}
			continue
		}
		found := slices.ContainsFunc(places, func(p string) bool {
			return strings.HasPrefix(p, "sites/summit/"+c.file+":") && strings.HasPrefix(at(t, p), c.want)
		})
		if !found {
			t.Errorf("%s, %s: %q, none of which is %s with %s", c.subject, c.field, places, c.file, c.want)
		}
	}
}

// paths gives the place of each field as its path.
type paths struct{}

func (paths) At(path ...string) model.Pos {
	return model.Pos{File: strings.Join(path, "/"), Line: 1, Column: 1}
}

// TestProvenanceOfBuilds: a build's commands and doubt are those of its service, and so are
// those of the step that waits for it.
func TestProvenanceOfBuilds(t *testing.T) {
	build := &model.Commands{Run: []string{"make"}, Doubt: "Is it this branch?"}
	site := &model.Site{Places: paths{}, Hosts: []model.Host{{Name: "crio", Services: []model.Service{{Name: "vms", Build: build}}}}}
	ssh := func(id string, purpose plan.Purpose) plan.Step {
		return plan.Step{ID: id, Doubt: build.Doubt, Action: plan.Action{Parameters: &plan.SSH{Host: "crio", Service: "vms", Purpose: purpose, Commands: build.Run}}}
	}
	p := &plan.Plan{Stages: []plan.Stage{{Steps: []plan.Step{ssh("builds/crio", plan.Build), ssh("crios/crio-built", plan.AwaitBuild)}}}}
	from := newProvenance(site, &model.Request{Places: paths{}, Reason: "Cycle 45"}, p)
	for _, subject := range []string{`step "builds/crio"`, `step "crios/crio-built"`} {
		for field, want := range map[string]string{"action.commands": "run", "doubt": "doubt"} {
			if got := from.Of(subject, field); !slices.Equal(got, []string{"site/hosts/crio/services/vms/build/" + want + ":1:1"}) {
				t.Errorf("%s, %s: %q, want the %s of the build", subject, field, got, want)
			}
		}
	}
	if got := from.Of("plan", "doubts", build.Doubt); !slices.Equal(got, []string{"site/hosts/crio/services/vms/build/doubt:1:1"}) {
		t.Errorf("the doubt in the table: %q", got)
	}
}

// TestProvenanceIsComplete: for every row of the tables, for the targets, and for
// what runs on hosts, some place is known.
func TestProvenanceIsComplete(t *testing.T) {
	for _, site := range []string{"summit", "tucson-teststand", "base-teststand"} {
		p, from, err := Trace(Request{Root: "..", Site: site, Type: plan.Full})
		if err != nil {
			t.Fatal(err)
		}
		known := func(subject, field string, says ...string) {
			t.Helper()
			places := from.Of(subject, field, says...)
			if len(places) == 0 {
				t.Errorf("%s: %s, %s: no place is known", site, subject, field)
			}
			for _, place := range places {
				at(t, place)
			}
		}
		for _, c := range p.CSCs {
			for _, field := range []string{"", "image", "job.label", "expect", "principal"} {
				known(fmt.Sprintf("csc %q", c.CSC), field)
			}
		}
		for _, h := range p.Hosts {
			known(fmt.Sprintf("host %q", h.Name), "address")
		}
		for _, field := range []string{"kubernetes.server", "argocd.url", "love.view", "efd.url", "registry.selector", "slack.channel", "pages"} {
			known("targets", field)
		}
		for s := range p.AllSteps() {
			if _, ok := s.Action.Parameters.(*plan.SSH); ok {
				known(fmt.Sprintf("step %q", s.ID), "action.commands")
			}
			if s.Doubt != "" {
				known(fmt.Sprintf("step %q", s.ID), "doubt", s.Doubt)
			}
		}
		for _, s := range p.Stages {
			for _, d := range s.Doubts {
				known(fmt.Sprintf("stage %q", s.ID), "doubts", d)
			}
		}
		for _, d := range p.Doubts {
			known("plan", "doubts", d.Text)
		}
	}
}
