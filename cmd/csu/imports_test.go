package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/lsst-ts/csu/"

// An importRule says who may import what, and why.
type importRule struct {
	what   string   // import path, or its beginning where it ends with a slash
	only   []string // packages of this module that may; a trailing slash means all below
	reason string
}

var importRules = []importRule{
	{"cuelang.org/go/", []string{"compiler/internal/load"},
		"CUE is the compiler's input; another importer would let the sources steer what a frozen plan says"},
	{"helm.sh/helm/", []string{"compiler/internal/phalanx"},
		"Helm is large, and what it renders must not depend on who asks"},
	{module + "compiler/phalanxtest", nil,
		"only tests make a Phalanx of their own"},
	{"k8s.io/", []string{"executor/internal/cluster", "executor/internal/cluster/", "executor/internal/argocd", "executor/internal/registry", "executor/rehearsal", "executor/ground", "executor/ground/"},
		"one package per system spoken to: the cluster's API is spoken in these alone"},
	{"golang.org/x/crypto/ssh", []string{"executor/internal/remote", "executor/rehearsal", "executor/ground", "executor/ground/"},
		"one package per system spoken to: host keys are checked in one place"},
	{"golang.org/x/crypto/ssh/", []string{"executor/internal/remote", "executor/rehearsal", "executor/ground", "executor/ground/"},
		"one package per system spoken to: host keys are checked in one place"},
	{"github.com/slack-go/slack", []string{"executor/internal/slack"},
		"one package per system spoken to"},
	{"github.com/alecthomas/kong", []string{"cmd/csu"},
		"the command line is cmd's alone"},
	{module + "cmd/", []string{"cmd/csu"},
		"imports go down only: nothing imports the command"},
	{module + "compiler", []string{"cmd/csu"},
		"the executor obeys a plan, however it came about, and never sees the compiler"},
	{module + "compiler/", []string{"cmd/csu", "compiler", "compiler/"},
		"the executor obeys a plan, however it came about, and never sees the compiler"},
	{module + "executor", []string{"cmd/csu", "executor/campaign"},
		"the compiler writes the language between the halves and knows nothing of the executor"},
	{module + "executor/internal/", []string{"executor", "executor/"},
		"the systems are spoken to by actions alone"},
	{module + "executor/internal/owner", []string{"executor", "executor/custody"},
		"steps and systems report to the run's owner; only the run and its custodian see it"},
	{module + "executor/custody", []string{"executor", "executor/campaign", "cmd/csu"},
		"who may continue a run is decided before the run, and not by its steps"},
	{module + "executor/journal", []string{"executor", "executor/custody", "executor/internal/owner", "executor/journal/", "executor/state", "executor/ledger", "executor/ledger/", "executor/timeline", "executor/campaign", "cmd/csu"},
		"the journal is the executor's, and its ledger's; others read it through its State or its Timeline"},
	{module + "executor/rehearsal", []string{"cmd/csu", "executor/campaign", "executor/ground"},
		"the executor must not be able to tell a simulated site from a real one"},
	{module + "executor/campaign", nil,
		"the campaign is a maintainers' tool: only tests use it, and the released csu does not contain it"},
}

// alone are packages that may import the standard library and nothing else but
// what is named.
var alone = map[string][]string{
	"executor/plan":           {"executor/exit", "sigs.k8s.io/yaml"}, // the configuration of a script is YAML
	"executor/operator":       {"executor/exit"},
	"executor/journal":        {"executor/plan", "executor/exit", "executor/secret", "golang.org/x/sys/unix"}, // for the lock of an open file
	"executor/sitemap":        {"executor/plan", "executor/exit"},
	"executor/internal/clock": nil,
	"compiler/internal/model": nil,
	"compiler/verify":         {"executor/plan", "compiler/review"},
	"cmd/csu/internal/early":  nil,
	"compiler/approval":       {"executor/plan", "executor/exit"},
	"compiler/review":         {"executor/page", "executor/plan", "executor/visible"},
	"executor/page":           nil,
	"executor/exit":           nil,
	"executor/secret":         nil,
	"executor/visible":        nil,
}

// TestImportsGoDownOnly enforces the directions of ARCHITECTURE.md.
func TestImportsGoDownOnly(t *testing.T) {
	all := packages(t)
	for _, p := range all {
		for _, imported := range p.Imports {
			for _, r := range importRules {
				if matches(imported, r.what) && !slices.ContainsFunc(r.only, func(who string) bool { return matches(p.name(), who) }) {
					t.Errorf("%s imports %s: %s", p.name(), imported, r.reason)
				}
			}
			allowed, restricted := alone[p.name()]
			if restricted && strings.Contains(strings.SplitN(imported, "/", 2)[0], ".") && !slices.Contains(allowed, strings.TrimPrefix(imported, module)) {
				t.Errorf("%s imports %s: it stands on the standard library%s alone", p.name(), imported, strings.Join(append([]string{""}, allowed...), " and "))
			}
		}
	}
	if len(all) < 15 {
		t.Errorf("go list found %d packages, which can't be all", len(all))
	}
	for name := range alone {
		if !slices.ContainsFunc(all, func(p listed) bool { return p.name() == name }) {
			t.Errorf("there is no package %q any more: correct this test", name)
		}
	}
}

// matches reports whether an import path is the named one, or below it where the
// name ends with a slash.
func matches(path, what string) bool {
	return path == what || strings.HasSuffix(what, "/") && strings.HasPrefix(path, what)
}

type listed struct {
	ImportPath string
	Imports    []string
}

func (l listed) name() string { return strings.TrimPrefix(l.ImportPath, module) }

func packages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "./...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var l listed
		if err := dec.Decode(&l); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		all = append(all, l)
	}
}
