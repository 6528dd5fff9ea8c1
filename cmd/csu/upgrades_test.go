package main

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/lsst-ts/csu/compiler"
	"github.com/lsst-ts/csu/executor/plan"
)

// An upgrade is one that the tests compile and rehearse. Its name is site/type,
// as its plan in plans has them; a variant of it, with a request of its own, has
// a word appended.
type upgrade struct {
	name    string
	request string // the fields of a variant's request; "" takes the site's upgrade.cue

	once     sync.Once
	plan     *plan.Plan
	warnings []compiler.Warning
	err      error
}

// upgrades are the nine of plans and the variants, which ask for what the nine
// don't.
var upgrades = []*upgrade{
	{name: "summit/full"},
	{name: "summit/incremental"},
	{name: "summit/recovery"},
	{name: "tucson-teststand/full"},
	{name: "tucson-teststand/incremental"},
	{name: "tucson-teststand/recovery"},
	{name: "base-teststand/full"},
	{name: "base-teststand/incremental"},
	{name: "base-teststand/recovery"},

	{name: "summit/full+options", request: `
		date: "2026-12-15", cycle: "c0045", queue: 2
		criosDone: true, startBridges: true, syncSasquatch: true, integrationTestingFollows: true`},
	{name: "summit/incremental+m2", request: `
		date: "2026-11-24", changed: [{csc: "MTM2:0", revision: 1}]`},
	{name: "summit/incremental+camera", request: `
		date: "2026-11-24", changed: [{csc: "MTCamera:0"}]`},
	{name: "summit/incremental+bridges", request: `
		date: "2026-11-24", queue: 2, startBridges: true
		changed: [{csc: "ATCamera:0"}, {csc: "MTCamera:0"}]`},
	{name: "summit/incremental+vms", request: `
		date: "2026-11-24", changed: [{csc: "MTVMS:1"}]`},
	{name: "summit/incremental+m1m3", request: `
		date: "2026-11-24", changed: [{csc: "MTM1M3:0"}]`},
	{name: "summit/incremental+hosts", request: `
		date: "2026-11-24", changed: [{csc: "ESS:404", revision: 7}]
		hosts: ["laser-rpi", "vms-data", "love01", "tel-hw1", "m2-crio-vms01"]`},
	{name: "summit/incremental+index", request: `
		date: "2026-11-24", changed: [{csc: "MTHexapod:1", revision: 2}], applications: ["love"]`},
	{name: "tucson-teststand/full+enable", request: `
		date: "2026-12-01", cycle: "c0045", startBridges: true`},
	{name: "tucson-teststand/incremental+camera", request: `
		date: "2026-11-24", changed: [{csc: "ATCamera:0"}]`},
	{name: "tucson-teststand/incremental+ess", request: `
		date: "2026-11-24", changed: [{csc: "ESS:105"}]`},
	{name: "base-teststand/incremental+queues", request: `
		date: "2026-11-24", changed: [{csc: "ScriptQueue:1"}, {csc: "Watcher:0"}]`},
	{name: "tucson-teststand/recovery+testing", request: `
		date: "2026-12-02", integrationTestingFollows: true`},
	{name: "base-teststand/recovery+testing", request: `
		date: "2026-12-02", integrationTestingFollows: true`},
}

// concerned are the CSCs that the incremental upgrades take down between the
// Watcher and the ScriptQueues.
var concerned = map[string]string{
	"summit/incremental":                  "ESS:105 MTMount:0 GenericCamera:101 GenericCamera:102 GenericCamera:103",
	"summit/incremental+m2":               "MTM2:0",
	"summit/incremental+camera":           "MTCamera:0",
	"summit/incremental+bridges":          "ATCamera:0 MTCamera:0",
	"summit/incremental+vms":              "MTVMS:1",
	"summit/incremental+hosts":            "ESS:404 MTVMS:2",
	"summit/incremental+index":            "MTHexapod:1",
	"tucson-teststand/incremental":        "Electrometer:101 MTMount:0",
	"tucson-teststand/incremental+camera": "ATCamera:0",
	"tucson-teststand/incremental+ess":    "ESS:105",
	"base-teststand/incremental":          "ATDome:0 MTMount:0",
}

// root is the project's folder, seen from this package's.
const root = "../.."

func (u *upgrade) variant() bool { return u.request != "" }

// site and kind are the parts of the name.
func (u *upgrade) site() string { return path.Dir(u.name) }

func (u *upgrade) kind() string {
	kind, _, _ := strings.Cut(path.Base(u.name), "+")
	return kind
}

// is reports whether one of the patterns, separated by blanks, is the upgrade's
// name, and none that begins with an exclamation mark is.
func (u *upgrade) is(patterns string) bool {
	found := false
	for _, p := range strings.Fields(patterns) {
		without, not := strings.CutPrefix(p, "!")
		if ok, err := path.Match(without, u.name); err != nil {
			panic(err)
		} else if ok && not {
			return false
		} else if ok {
			found = true
		}
	}
	return found
}

// compile returns the upgrade's plan, which is compiled once.
func (u *upgrade) compile(t *testing.T) *plan.Plan {
	t.Helper()
	u.once.Do(func() {
		r := compiler.Request{Root: root, Site: u.site(), Type: plan.Type(u.kind())}
		if u.variant() {
			r.Upgrade = writeRequest(t, u.kind(), u.request)
		}
		u.plan, u.warnings, u.err = compiler.Compile(r)
	})
	if u.err != nil {
		t.Fatalf("compile %s: %v", u.name, u.err)
	}
	return u.plan
}

// writeRequest writes an upgrade file with one request.
func writeRequest(t *testing.T, kind, fields string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "upgrade.cue")
	text := fmt.Sprintf("package site\n\nimport \"github.com/lsst-ts/csu/schema\"\n\nupgrade: schema.#Upgrades & {%s: {\n\treason: \"a variant of the tests\"\n%s\n}}\n", kind, fields)
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}
