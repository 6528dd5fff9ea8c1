package action

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
)

func building(purpose plan.Purpose, commands ...string) *plan.SSH {
	d := run("", commands...)
	if d.Purpose = purpose; purpose == plan.AwaitBuild {
		d.Build = "builds/crio"
	}
	return d
}

// until is a build that ends when its file is there.
func until(file string) string {
	return "echo at work >>$HOME/work; while [ ! -e $HOME/" + file + " ]; do sleep 0.05; done"
}

// begin begins a build, and returns an attempt of the step that awaits it.
func (h *host) begin(t *testing.T, name string, commands ...string) *try {
	t.Helper()
	first := h.try(t, "csu-r7k/builds/"+name+"/1", building(plan.Build, commands...))
	expect(t, first.perform(t), Done, "has begun", "goes on by itself")
	expect(t, first.probe(t), Done, "has begun")
	y := h.try(t, "csu-r7k/crios/"+name+"/1", building(plan.AwaitBuild, commands...))
	y.Begun, y.Step.Takes = first.Identity, plan.Duration(75*time.Minute)
	return y
}

func (h *host) write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(h.Home, file), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// reboot ends a build, and has its files say that it began in another boot.
func (h *host) reboot(t *testing.T, identity string) {
	t.Helper()
	for _, name := range []string{"pid", "child"} { // the wrapper first, so that it writes no status
		text, err := os.ReadFile(filepath.Join(h.Home, ".csu", commandName(identity), name))
		if err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(strings.Fields(string(text))[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	h.write(t, filepath.Join(".csu", commandName(identity), "boot"), "another boot id\n")
}

// works counts how often a build was begun on the host.
func (h *host) works(t *testing.T) int {
	t.Helper()
	out, err := os.ReadFile(filepath.Join(h.Home, "work"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.Count(string(out), "at work")
}

// A build goes on after its step; the step that awaits it finds it by its name, after a
// csu that died and after a connection that was lost.
func TestBuildIsFoundAgain(t *testing.T) {
	h := newHost(t)
	y := h.begin(t, "crio", until("go"))
	y.prepare(t)
	y.Limit = 40 * time.Second
	do := Of(y.Step.Action.Parameters)
	expect(t, do.Perform(t.Context(), y.Attempt), Running, "the commands are running")
	expect(t, y.probe(t), Running)
	expect(t, do.Look(t.Context(), y.Attempt), NotDone, "running")
	if err := h.PowerOff(); err != nil {
		t.Fatal(err)
	}
	expect(t, y.probe(t), Unknown, "cannot determine what became of the build")
	if err := h.PowerOn(); err != nil {
		t.Fatal(err)
	}
	h.write(t, "go", "")
	y.Limit = 3 * time.Hour
	expect(t, do.Await(t.Context(), y.Attempt), Done, "exit status 0")
	expect(t, y.probe(t), Done)
	expect(t, do.Look(t.Context(), y.Attempt), Done)
	if n := h.works(t); n != 1 || len(y.asked) > 0 {
		t.Errorf("it was built %d times, with %d questions", n, len(y.asked))
	}
}

func TestLostBuildIsAskedAbout(t *testing.T) {
	for name, lose := range map[string]func(t *testing.T, h *host) *try{
		"the host was rebooted": func(t *testing.T, h *host) *try {
			y := h.begin(t, "crio", until("go"))
			h.reboot(t, y.Begun)
			h.write(t, "go", "")
			return y
		},
		"exit status 3": func(t *testing.T, h *host) *try {
			h.write(t, "go", "")
			return h.begin(t, "crio", until("go"), "[ -e $HOME/fixed ] || { touch $HOME/fixed; exit 3; }")
		},
		"was killed": func(t *testing.T, h *host) *try {
			h.write(t, "go", "")
			return h.begin(t, "crio", until("go"), "[ -e $HOME/fixed ] || { touch $HOME/fixed; kill -9 $PPID; kill -9 $$; }")
		},
		"knows no build": func(t *testing.T, h *host) *try {
			h.write(t, "go", "")
			y := h.try(t, "csu-r7k/crios/crio/1", building(plan.AwaitBuild, until("go")))
			y.Begun = "" // a person did the step that begins it
			return y
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			y := lose(t, h)
			expect(t, y.perform(t), NotDone, name) // nobody is there to be asked
			y.answers = []operator.Choice{operator.No}
			expect(t, y.perform(t), Failed, name, "declined to build again")
			expect(t, y.probe(t), NotDone, name)
			y.answers = []operator.Choice{operator.Yes}
			before := h.works(t)
			expect(t, y.perform(t), Done, "exit status 0")
			expect(t, y.probe(t), Done)
			q := y.asked[len(y.asked)-1]
			if q.Topic != operator.BuildLost || !strings.Contains(q.Text, name) || !strings.Contains(q.Text, "Build again?") {
				t.Errorf("the question was %q: %s", q.Topic, q.Text)
			}
			if n := h.works(t) - before; n != 1 || len(y.asked) != 3 {
				t.Errorf("it was built again %d times, after %d questions", n, len(y.asked))
			}
		})
	}
}

// A csu that dies while it builds again finds that build, and no other attempt builds
// beside it.
func TestBuildAgainIsFoundAgain(t *testing.T) {
	h := newHost(t)
	y := h.begin(t, "crio", until("go"))
	h.reboot(t, y.Begun)
	h.write(t, "go", "")
	y.prepare(t)
	if err := y.Note(sshNote{Again: commandName(y.Identity)}); err != nil { // and died before the start
		t.Fatal(err)
	}
	expect(t, y.probe(t), NotDone, "not started")
	if err := os.Remove(filepath.Join(h.Home, "go")); err != nil {
		t.Fatal(err)
	}

	second := h.try(t, "csu-r7k/crios/crio/2", y.Step.Action.Parameters)
	second.Begun, second.answers = y.Begun, []operator.Choice{operator.Yes}
	second.prepare(t)
	second.Limit = 40 * time.Second
	do := Of(second.Step.Action.Parameters)
	expect(t, do.Perform(t.Context(), second.Attempt), Running)
	expect(t, second.probe(t), Running)

	third := h.try(t, "csu-r7k/crios/crio/3", y.Step.Action.Parameters) // the operator has waited long enough, and tries again
	third.Begun = y.Begun
	h.write(t, "go", "")
	expect(t, third.perform(t), Done)
	expect(t, do.Await(t.Context(), second.Attempt), Done)
	if n := h.works(t); n != 2 || len(third.asked) > 0 {
		t.Errorf("it was built %d times, and the third attempt asked %d questions", n, len(third.asked))
	}
}

func TestBuildOnAHostThatIsNotReached(t *testing.T) {
	h := newHost(t)
	d := building(plan.AwaitBuild, "true")
	d.Host = "azar02"
	y := h.try(t, "csu-r7k/crios/crio/1", d)
	y.Begun = "csu-r7k/builds/crio/1"
	expect(t, Of(d).Perform(t.Context(), y.Attempt), Unknown, "azar02")
	expect(t, y.probe(t), Unknown)
	expect(t, Of(d).Await(t.Context(), y.Attempt), Unknown)
	expect(t, Of(d).Look(t.Context(), y.Attempt), Unknown, "done by hand")
	d.User = "root"
	expect(t, Of(d).Perform(t.Context(), y.Attempt), NotDone, `no account "root"`)
	expect(t, y.probe(t), Unknown, `no account "root"`)
}
