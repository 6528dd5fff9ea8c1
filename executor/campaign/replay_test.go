package campaign

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lsst-ts/csu/executor/plan"
)

// The flags with which TestCampaign replays one case; -seed is the site's seed.
var (
	planName = flag.String("plan", "", "replay a case of this plan, a purpose-made one or a file of plans/ without .json")
	crash    = flag.String("crash", string(Killed), "what the death does to the disk in a replay: killed, power, partial or process")
	triggers = flag.String("triggers", "", "replay the case with these triggers, one per life, with semicolons between them; none is a life without a crash")
)

// replayLine returns the shell command that replays the case in the module's root.
func (c Case) replayLine(plan string, seed int64) string {
	dies := c.Dies
	if len(dies) == 0 {
		dies = []Trigger{{}}
	}
	var texts []string
	for _, d := range dies {
		texts = append(texts, d.String())
	}
	return fmt.Sprintf("go test ./executor/campaign -run '^TestCampaign$' -plan %s -seed %d -crash %s -triggers %s",
		plan, seed, c.How, "'"+strings.ReplaceAll(strings.Join(texts, ";"), "'", `'\''`)+"'")
}

// parseCase reads a case from the values of -crash and -triggers, and checks it against
// the plan.
func parseCase(p *plan.Plan, how, texts string) (Case, error) {
	c := Case{How: Crash(how)}
	if !slices.Contains(crashes, c.How) {
		return c, fmt.Errorf("crash %q: want one of %q", how, crashes)
	}
	for text := range strings.SplitSeq(texts, ";") {
		t, err := ParseTrigger(text)
		if err == nil {
			err = t.Check(p)
		}
		if err == nil && t.On == OnDisk && c.How == Process {
			err = fmt.Errorf("trigger %q: the disk of a process is the machine's own and cannot be made to fail", t)
		}
		if err != nil {
			return c, err
		}
		c.Dies = append(c.Dies, t)
	}
	return c, nil
}

// replay carries out the case of the flags, logs how each life ended, and reports what
// was wrong and which triggers were not reached.
func (c *campaign) replay() {
	c.t.Helper()
	p, _, err := load(*planName)
	if err != nil {
		c.t.Fatalf("-plan: %v", err)
	}
	a, err := parseCase(p, *crash, *triggers)
	if err != nil {
		c.t.Fatal(err)
	}
	ref := c.reference(*planName, *seed)
	v, dir := c.run(a, ref)
	for i, l := range v.Lives {
		switch {
		case l.Reached:
			c.t.Logf("life %d died %s", i+1, l.Trigger.Sentence())
		case l.Trigger.On != "":
			c.t.Errorf("life %d did not reach its trigger %s", i+1, l.Trigger)
		}
	}
	for _, d := range a.Dies[min(len(v.Lives), len(a.Dies)):] {
		c.t.Errorf("the run ended before the life that was to reach the trigger %s", d)
	}
	c.t.Logf("%d lives, %d questions about what was in doubt", len(v.Lives), v.Asked)
	c.report(trial{plan: *planName, seed: *seed, Case: a}, ref, v, dir)
}

// printed is a command that the campaign has printed, as a maintainer runs it.
func printed(line string) *exec.Cmd {
	cmd := exec.Command("sh", "-c", line)
	cmd.Dir = filepath.Join("..", "..")
	return cmd
}

// printedFor is printed with a test binary that is built already: "go test" would load
// all packages and link it anew for each command, which takes longer than the case.
func printedFor(tests, line string) *exec.Cmd {
	cmd := exec.Command("sh", "-c", `go() { [ "$1 $2 $3" = "test ./executor/campaign -run" ] && shift 3 && "$TESTS" -test.v -test.run "$@"; }; `+line)
	cmd.Env = append(os.Environ(), "TESTS="+tests)
	return cmd
}

// TestReplay: the command that is printed for a case replays this case, and fails where
// a trigger is not reached.
func TestReplay(t *testing.T) {
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		how   Crash
		dies  []Trigger
		says  []string
		fails bool
	}{
		{Power, []Trigger{
			{On: OnEffect, Key: "command azar03 shutdown_gc", N: 1, At: Middle},
			{On: OnDisk, Key: "EIO sync", N: 2},
		}, []string{
			"life 1 died when this had happened, before it was told: command azar03 shutdown_gc\n",
			"life 2 died of its disk: EIO sync, number 2 in this life\n",
			"3 lives, ",
		}, false},
		{Process, []Trigger{{On: OnRecord, Key: "offline/cscs started", N: 1, At: After}},
			[]string{"life 1 died when it had written the record \"started\" of offline/cscs\n", "2 lives, "}, false},
		{Killed, []Trigger{{On: OnRecord, Key: "offline/cscs started", N: 40, At: After}},
			[]string{"life 1 did not reach its trigger record|offline/cscs started|40|after\n", "1 lives, "}, true},
	} {
		line := Case{test.how, test.dies}.replayLine(upgrade, 1)
		cmd := printedFor(own, line)
		if test.how == Power { // once as it is printed, with go test itself
			cmd = printed(line)
			cmd.Env = append(cmd.Environ(), "GOFLAGS=-v") // to see how the lives ended
		}
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		if (err != nil) != test.fails {
			t.Errorf("%s: %v\n%s", line, err, out)
		}
		for _, text := range test.says {
			if !strings.Contains(string(out), text) {
				t.Errorf("%s: it did not say %q:\n%s", line, text, out)
			}
		}
	}
}

// TestReplayLine: a shell takes the command apart into the flags of the case.
func TestReplayLine(t *testing.T) {
	p := talkPlan()
	want := Case{Partial, []Trigger{
		{On: OnEffect, Key: "message posted #camera It's $HOME, `over` \"there\"\\: -x --y", N: 2, At: Middle},
		{On: OnAnswer, Key: "talk/asked started", N: 1, Further: 2},
		{},
		{On: OnDisk, Key: "EIO sync dir", N: 1},
		{On: OnRecord, N: 3, At: Before},
	}}
	line := want.replayLine("talk", 12)
	out, err := exec.Command("sh", "-c", "go() { printf '%s\n' \"$@\"; }; "+line).Output()
	if err != nil {
		t.Fatal(err)
	}
	args := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	const texts = 11
	if start := []string{"test", "./executor/campaign", "-run", "^TestCampaign$", "-plan", "talk", "-seed", "12", "-crash", "partial", "-triggers"}; len(args) != texts+1 || !slices.Equal(args[:texts], start) {
		t.Fatalf("%s: the shell sees %q", line, args)
	}
	got, err := parseCase(p, args[9], args[texts])
	if err != nil {
		t.Fatal(err)
	}
	if got.How != want.How || !slices.Equal(got.Dies, want.Dies) {
		t.Errorf("%s is read as %+v, want %+v", line, got, want)
	}
}

// TestBadReplays: a case that cannot be replayed is refused.
func TestBadReplays(t *testing.T) {
	for _, test := range []struct{ how, triggers, want string }{
		{"pwer", "none", `crash "pwer": want one of ["killed" "power" "partial" "process"]`},
		{"power", "none;record|talk/askd started|1|after", `the plan has no step or stage "talk/askd" (did you mean "talk/asked"?)`},
		{"power", "none;", `trigger ""`},
		{"process", "disk|EIO sync|1|", "the disk of a process is the machine's own"},
	} {
		if _, err := parseCase(talkPlan(), test.how, test.triggers); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("-crash %s -triggers %s: %v, want %q", test.how, test.triggers, err, test.want)
		}
	}
}
