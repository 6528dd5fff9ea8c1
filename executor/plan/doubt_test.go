package plan

import (
	"slices"
	"testing"
)

func TestRestsOn(t *testing.T) {
	p := sample()
	for _, c := range []struct {
		name  string
		doubt Doubt
		want  []string
	}{
		{"the step", Doubt{Step: "deploy/up"}, []string{"deploy/up"}},
		{"a number", Doubt{Source: []string{"P99", "P3"}}, nil},
		{"a host", Doubt{Host: "azar03"}, []string{"offline/stop", "offline/reboot"}},
		{"a service", Doubt{Host: "azar03", Service: "gc"}, []string{"offline/stop"}},
		{"another purpose", Doubt{Host: "azar03", Service: "gc", Purpose: Start}, nil},
		{"a CSC in the cluster", Doubt{CSCs: []string{"Watcher:0"}}, []string{"offline/watcher", "offline/jobs", "deploy/sync", "deploy/up"}},
		{"a CSC on a host", Doubt{CSCs: []string{"GenericCamera:101"}}, []string{"offline/stop", "offline/reboot"}},
		{"a state", Doubt{CSCs: []string{"Watcher:0", "GenericCamera:101"}, State: Standby}, []string{"deploy/up"}},
		{"a state to be brought to", Doubt{CSCs: []string{"Watcher:0"}, State: Offline}, []string{"offline/watcher"}},
		{"both", Doubt{CSCs: []string{"Watcher:0"}, Host: "azar03"}, nil},
	} {
		var got []string
		for s := range p.AllSteps() {
			if p.RestsOn(s, &c.doubt) {
				got = append(got, s.ID)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
	for s := range p.AllSteps() {
		if !p.RestsOn(s, &Doubt{Text: "Perhaps."}) {
			t.Errorf("%s does not rest on what is about every step", s.ID)
		}
	}
}
