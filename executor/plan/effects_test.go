package plan

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func effectsPlan() *Plan {
	return &Plan{
		Targets: Targets{ArgoCD: ArgoCD{Namespace: "argocd"}, Registry: Registry{Namespace: "sasquatch"}},
		CSCs: []CSC{
			{CSC: "Watcher:0", Job: &Job{Namespace: "obssys"}},
			{CSC: "love-commander", Job: &Job{Namespace: "love"}},
			{CSC: "MTVMS:1", Host: "crio"},
			{CSC: "ScriptQueue:1", Job: &Job{Namespace: "obssys"}},
		},
	}
}

// What each kind does, in the words that everything else draws on.
func TestEffects(t *testing.T) {
	p := effectsPlan()
	jobs := func(namespace string, verbs ...string) []Request {
		return requests("batch", "jobs", namespace, verbs...)
	}
	pods := func(namespace string) Request {
		return Request{Verb: "list", Resource: "pods", Namespace: namespace}
	}
	for _, c := range []struct {
		action Parameters
		want   Effects
	}{
		{&Manual{}, Effects{ReadOnly: true, ByPerson: true, Resource: "the terminal"}},
		{&Manual{CSCs: []string{"Watcher:0"}, Applications: []string{"love"}}, Effects{
			ReadOnly: true, ByPerson: true, Resource: "the terminal", EFD: true, Reads: []string{"Watcher:0"}, Refreshes: []string{"love"}, Requests: onApplications(p, "get", "patch")}},
		{&Announce{Channel: "#s"}, Effects{Resource: "#s", Posts: "#s", Irreversible: "a message is posted to #s"}},
		{&Script{Queue: 2, Path: "auxtel/track.py"}, Effects{Resource: "ScriptQueue:2", LOVE: true, EFD: true, Queue: 2}},
		{&Script{Queue: 1, Path: ShutdownScript, Config: "user: a\nreason: b\nignore: [MTVMS]\n"}, Effects{
			Resource: "ScriptQueue:1", LOVE: true, EFD: true, Queue: 1, Commands: []string{"Watcher:0"}, State: Offline, Down: []Down{{"Watcher:0", ByCommand}}}},
		{&Script{Queue: 1, Path: ShutdownScript, Config: "no configuration"}, Effects{ // more may go down than was meant
			Resource: "ScriptQueue:1", LOVE: true, EFD: true, Queue: 1, Commands: []string{"Watcher:0", "MTVMS:1"}, State: Offline,
			Down: []Down{{"Watcher:0", ByCommand}, {"MTVMS:1", ByCommand}}}},
		{&SetState{Queue: 3, State: Offline, CSCs: []string{"MTVMS:1"}}, Effects{
			Resource: "ScriptQueue:3", LOVE: true, EFD: true, Queue: 3, Commands: []string{"MTVMS:1"}, State: Offline,
			Down: []Down{{"MTVMS:1", ByCommand}}, Sees: []Want{{[]string{Offline}, []string{"MTVMS:1"}}}}},
		{&SetState{Queue: 3, State: Enabled, CSCs: []string{"MTVMS:1"}}, Effects{
			Resource: "ScriptQueue:3", LOVE: true, EFD: true, Queue: 3, Commands: []string{"MTVMS:1"}, State: Enabled, Sees: []Want{{[]string{Enabled}, []string{"MTVMS:1"}}}}},
		{&AwaitState{Want: []Want{{[]string{Standby}, []string{"MTVMS:1"}}}}, Effects{ReadOnly: true, EFD: true, Sees: []Want{{[]string{Standby}, []string{"MTVMS:1"}}}}},
		{&SSH{Host: "crio", User: "admin", Purpose: Stop, Service: "vms"}, Effects{
			Resource: "host crio", Host: "crio", User: "admin", Stopped: "vms on crio", Down: []Down{{"MTVMS:1", ByService}}}},
		{&SSH{Host: "crio", User: "admin", Purpose: Start, Service: "vms", Silent: []string{"MTVMS:1"}}, Effects{
			Resource: "host crio", Host: "crio", User: "admin", EFD: true, Reads: []string{"MTVMS:1"}, Started: "vms on crio", Starts: []string{"MTVMS:1"}}},
		{&SSH{Host: "a", User: "admin", Purpose: Update, Service: "vms"}, Effects{
			Resource: "host a", Host: "a", User: "admin", Updated: "vms on a", Irreversible: "vms is updated, and csu cannot restore the previous version"}},
		{&SSH{Host: "crio", User: "admin", Purpose: Build, Service: "vms"}, Effects{
			Resource: "host crio", Host: "crio", User: "admin", Begun: "the build of vms on crio"}},
		{&SSH{Host: "crio", User: "admin", Purpose: AwaitBuild, Service: "vms", Build: "builds/crio"}, Effects{
			Resource: "host crio", Host: "crio", User: "admin", Ended: "the build of vms on crio"}},
		{&Reboot{Host: "crio", User: "root"}, Effects{
			Resource: "host crio", Host: "crio", User: "root", Rebooted: "crio", Down: []Down{{"MTVMS:1", ByReboot}}, Irreversible: "crio is rebooted"}},
		{&Delete{Objects: Jobs, Namespace: "obssys", CSCs: []string{"Watcher:0"}}, Effects{
			Resource: "namespace obssys", Jobs: "obssys", Down: []Down{{"Watcher:0", ByDeletion}}, Requests: append(jobs("obssys", "get", "list", "delete"), pods("obssys"))}},
		{&Delete{Objects: Namespaces, Selector: "a=b"}, Effects{
			Resource: "namespaces", Namespaces: "a=b", Requests: requests("", "namespaces", "", "get", "list", "delete"),
			Irreversible: `the namespaces with label "a=b" are deleted, with their sessions and all unsaved work`}},
		{&Sync{Application: "obssys", CSCs: []string{"Watcher:0", "love-commander"}}, Effects{
			Resource: "application obssys", Syncs: "obssys", Updated: "application obssys", Starts: []string{"Watcher:0", "love-commander"},
			Sees:     []Want{{CSCs: []string{"love-commander"}}},
			Requests: append(append(append(onApplications(p, "get", "patch", "update"), jobs("obssys", "get")...), pods("obssys")), append(jobs("love", "get"), pods("love"))...)}},
		{&Compatibility{Expect: "FORWARD", Set: "NONE"}, Effects{
			Resource: "schema registry", LevelBefore: "FORWARD", Level: "NONE",
			Requests: []Request{pods("sasquatch"), {Verb: "create", Resource: "pods", Subresource: "exec", Namespace: "sasquatch"},
				{Verb: "get", Resource: "pods", Subresource: "exec", Namespace: "sasquatch"}},
			Irreversible: "schemas registered while the compatibility level is NONE remain after it is set back to FORWARD"}},
	} {
		if diff := cmp.Diff(c.want, c.action.Effects(p)); diff != "" {
			t.Errorf("%s %+v (-want +got):\n%s", c.action.Kind(), c.action, diff)
		}
	}
}

// visited returns the kind whose method was called.
type visited struct{}

func (visited) Manual(*Manual) Kind               { return KindManual }
func (visited) Announce(*Announce) Kind           { return KindAnnounce }
func (visited) Script(*Script) Kind               { return KindScript }
func (visited) SetState(*SetState) Kind           { return KindSetState }
func (visited) AwaitState(*AwaitState) Kind       { return KindAwaitState }
func (visited) SSH(*SSH) Kind                     { return KindSSH }
func (visited) Reboot(*Reboot) Kind               { return KindReboot }
func (visited) Delete(*Delete) Kind               { return KindDelete }
func (visited) Sync(*Sync) Kind                   { return KindSync }
func (visited) Compatibility(*Compatibility) Kind { return KindCompatibility }

func TestVisitReachesEveryKind(t *testing.T) {
	for _, k := range Kinds {
		if got := Visit(parametersOf(k), Visitor[Kind](visited{})); got != k {
			t.Errorf("a visit of %q calls the method of %q", k, got)
		}
	}
	if got := Visit(nil, Visitor[Kind](visited{})); got != "" {
		t.Errorf("a visit of no kind calls the method of %q", got)
	}
}

// A kind that is added in name only does not build: neither this package, without
// what the kind does, nor what must have an answer for each kind.
func TestHalfAddedKindDoesNotBuild(t *testing.T) {
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	action, err := os.ReadFile("action.go")
	if err != nil {
		t.Fatal(err)
	}
	// In name, and listed.
	list, visitor := "var newParameters = []func() Parameters{\n", "type Visitor[T any] interface {\n"
	named := replaced(t, string(action), list, list+"\tfunc() Parameters { return new(Imaginary) },\n")
	named += "\n// Imaginary does nothing.\ntype Imaginary struct{}\n\n// Kind implements [Parameters].\nfunc (*Imaginary) Kind() Kind { return \"imaginary\" }\n"
	// With its effects, and visited.
	visited := named + "\n// Effects implements [Parameters].\nfunc (*Imaginary) Effects(*Plan) Effects { return Effects{} }\n"
	visited = replaced(t, visited, visitor, visitor+"\tImaginary(*Imaginary) T\n")
	for _, c := range []struct {
		name, source string
		build        string
		more         map[string]string // appended to files, by their names from the root
		want         []string
	}{
		{"in name only", named, "./executor/plan", nil, []string{"*Imaginary does not implement Parameters (missing method Effects)"}},
		{"without an answer of those who need one", visited, "./...", nil, []string{"performers does not implement", "describer does not implement", "doer does not implement", "missing method Imaginary"}},
		// The rules build on the review.
		{"without an answer of the rules", visited, "./compiler/verify", map[string]string{
			"compiler/review/describe.go": "func (describer) Imaginary(*plan.Imaginary) string { return \"\" }",
			"compiler/review/novelty.go":  "func (doer) Imaginary(*plan.Imaginary) []string { return nil }",
		}, []string{"limitsOf does not implement", "mentioned does not implement", "hands does not implement", "missing method Imaginary"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			changed := filepath.Join(t.TempDir(), "action.go")
			if err := os.WriteFile(changed, []byte(c.source), 0o644); err != nil {
				t.Fatal(err)
			}
			overlay := map[string]string{absolute(t, "action.go"): changed}
			for name, text := range c.more {
				original := absolute(t, filepath.Join("../..", name))
				source, err := os.ReadFile(original)
				if err != nil {
					t.Fatal(err)
				}
				overlay[original] = filepath.Join(t.TempDir(), filepath.Base(name))
				if err := os.WriteFile(overlay[original], append(source, "\n"+text+"\n"...), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			data, err := json.Marshal(map[string]any{"Replace": overlay})
			if err != nil {
				t.Fatal(err)
			}
			replacing := filepath.Join(t.TempDir(), "overlay.json")
			if err := os.WriteFile(replacing, data, 0o644); err != nil {
				t.Fatal(err)
			}
			build := exec.Command(goTool, "build", "-overlay", replacing, c.build)
			build.Dir = "../.."
			out, err := build.CombinedOutput()
			if err == nil {
				t.Fatal("it builds")
			}
			for _, want := range c.want {
				if !strings.Contains(string(out), want) {
					t.Errorf("the build does not say %q:\n%s", want, out)
				}
			}
		})
	}
}

func absolute(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func replaced(t *testing.T, source, old, with string) string {
	t.Helper()
	if strings.Count(source, old) != 1 {
		t.Fatalf("%q is there %d times, want once", old, strings.Count(source, old))
	}
	return strings.Replace(source, old, with, 1)
}
