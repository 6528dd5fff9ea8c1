package rehearsal

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	registryapi "github.com/lsst-ts/csu/executor/internal/registry"
)

func TestRegistryLevel(t *testing.T) {
	s := start(t, smallPlan())
	r := registryapi.New(s.clusterClient(t), "sasquatch", "app=sasquatch-schema-registry", "")
	if level, err := r.Level(t.Context()); level != "FORWARD" || err != nil {
		t.Fatalf("Level = %q, %v", level, err)
	}
	if err := r.SetLevel(t.Context(), "NONE"); err != nil {
		t.Fatal(err)
	}
	if level, err := r.Level(t.Context()); level != "NONE" || err != nil {
		t.Errorf("Level = %q, %v", level, err)
	}
	if err := r.SetLevel(t.Context(), "SIDEWARD"); err == nil {
		t.Error("SetLevel of an unknown level succeeded")
	}
	if got := s.seen(LevelChanged); !slices.Equal(got, []string{"global FORWARD -> NONE"}) {
		t.Errorf("level changes %q, want one to NONE", got)
	}
}

func TestCurl(t *testing.T) {
	for _, test := range []struct {
		name   string
		argv   []string
		stdout string
		exit   int
	}{
		{"the manual's read", []string{"curl", registryListeners + "/config"}, `{"compatibilityLevel":"FORWARD"}`, 0},
		{"the manual's change", []string{"curl", "-s", "-X", "PUT", "-H", "Content-Type: application/vnd.schemaregistry.v1+json", "--data", `{  "compatibility": "NONE" }`, registryListeners + "/config"},
			`{"compatibility":"NONE"}`, 0},
		{"a subject without a level", []string{"curl", "-sS", "-w", `\n%{http_code}`, registryListeners + "/config/a"},
			"{\"error_code\":40408,\"message\":\"Subject 'a' does not have subject-level compatibility configured\"}\n404", 0},
		{"with -f", []string{"curl", "-sf", registryListeners + "/config/a"}, "", 22},
		{"another port", []string{"curl", "http://0.0.0.0:8082/config"}, "", 7},
		{"unknown option", []string{"curl", "--frobnicate"}, "", 2},
		{"no argument", []string{"curl", "-X"}, "", 2},
		{"another program", []string{"wget"}, "", 127},
	} {
		record, err := newRecorder(filepath.Join(t.TempDir(), RecordFile), time.Now)
		if err != nil {
			t.Fatal(err)
		}
		g := registry{site: &Site{record: record}, level: "FORWARD", subjects: map[string]string{}}
		stdout, _, exit := g.run(test.argv)
		if stdout != test.stdout || exit != test.exit {
			t.Errorf("%s: %q, exit %d; want %q, exit %d", test.name, stdout, exit, test.stdout, test.exit)
		}
	}
}
