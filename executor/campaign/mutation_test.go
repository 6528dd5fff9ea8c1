package campaign

import (
	"cmp"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mutation is a mistake in the executor that the campaign must find.
type mutation struct {
	name  string
	file  string // in the executor's folder
	right string // must occur there once
	wrong string
	finds string // what the campaign says of it
	test  string // that finds it; "" is TestSlice
}

// mutations are built into one binary, which takes the mistake's name from the
// environment.
var mutations = []mutation{
	{
		"missing fsync", "journal/journal.go",
		"	if err := j.file.Sync(); err != nil {\n		j.failed = &FailedError{j.name, \"sync\", err}",
		"	if os.Getenv(\"CSU_MUTATION\") == \"missing fsync\" {\n	} else if err := j.file.Sync(); err != nil {\n		j.failed = &FailedError{j.name, \"sync\", err}",
		// The machine stops, and with it goes the whole journal; the ledger knows of
		// the run.
		"its journal is not here", "",
	},
	{
		"intent after effect", "step.go",
		"	r.Do(func() { started = w.start() })\n",
		"	if os.Getenv(\"CSU_MUTATION\") == \"intent after effect\" {\n		w.a.Started = r.Clock.Now()\n		f := w.do.Perform(r.Ctx, w.a)\n		if r.Do(func() { started = w.start() }); started != nil {\n			w.conclude(f, viaPerform)\n		}\n		return\n	}\n	r.Do(func() { started = w.start() })\n",
		"by no step that was recorded as started", "",
	},
	{
		"a probe that always says yes", "step.go",
		"	f, via := w.do.Probe(w.r.Ctx, w.a), viaProbe\n",
		"	f, via := w.do.Probe(w.r.Ctx, w.a), viaProbe\n	if os.Getenv(\"CSU_MUTATION\") == \"a probe that always says yes\" {\n		f = action.Found(action.Done, \"it happened\")\n	}\n",
		"left out", "",
	},
	{
		"a lost final step", "schedule.go",
		"	s := newSchedule(r, r.Plan.Final, true)\n",
		"	s := newSchedule(r, r.Plan.Final, true)\n	if os.Getenv(\"CSU_MUTATION\") == \"a lost final step\" {\n		s = newSchedule(r, nil, true)\n	}\n",
		"step final/forward is pending at the end", "",
	},
	{
		"a resume that skips what is in doubt", "schedule.go",
		"	for _, t := range open {\n		s.hold(t, unsure, true)\n",
		"	for _, t := range open {\n		if os.Getenv(\"CSU_MUTATION\") == \"a resume that skips what is in doubt\" {\n			s.finish(t)\n			continue\n		}\n		s.hold(t, unsure, true)\n",
		"step level/none is started at the end", "",
	},
	{
		"gate not checked", "custody/keep.go",
		"func (c *Custodian) Pass(ctx context.Context) error { return c.Keep(ctx, 0) }",
		"func (c *Custodian) Pass(ctx context.Context) error {\n	if os.Getenv(\"CSU_MUTATION\") == \"gate not checked\" {\n		return nil\n	}\n	return c.Keep(ctx, 0)\n}",
		"passed the gate at", rivalsTest,
	},
	{
		"head not written before the effect", "step.go",
		"	if err := r.custody.Keep(r.Ctx, started.Seq); err != nil {\n		w.conclude(",
		"	seq := started.Seq\n	if os.Getenv(\"CSU_MUTATION\") == \"head not written before the effect\" {\n		seq = 0\n	}\n	if err := r.custody.Keep(r.Ctx, seq); err != nil {\n		w.conclude(",
		"and again by", rivalsTest,
	},
	{
		// Go's monotonic clock stops while a laptop sleeps, and hardly goes on while
		// the schedule's hours pass.
		"clock that stops asleep", "ledger/keeper.go",
		"	return &Keeper{store: store,",
		"	if began := time.Now(); os.Getenv(\"CSU_MUTATION\") == \"clock that stops asleep\" {\n		timing.Now = func() time.Duration { return time.Since(began) }\n	}\n	return &Keeper{store: store,",
		"passed the gate at", rivalsTest,
	},
}

// rivalsTest is the test of schedules of two csu.
const rivalsTest = "^TestRivals$"

// TestMutations makes mistakes in the executor, one at a time, in a copy that only the
// compiler sees. [TestSlice] or [TestRivals] must find each mistake, and the command
// that they print must show it again, and nothing where the mistake is not made.
func TestMutations(t *testing.T) {
	dir := t.TempDir()
	executor, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, m := range mutations {
		name := filepath.Join(executor, filepath.FromSlash(m.file))
		if texts[name] == "" {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			texts[name] = string(data)
			if !strings.Contains(texts[name], "\t\"os\"\n") {
				texts[name] = strings.Replace(texts[name], "import (\n", "import (\n\t\"os\"\n", 1)
			}
		}
		if n := strings.Count(texts[name], m.right); n != 1 {
			t.Fatalf("%s: the text to change occurs in %s %d times, want once", m.name, m.file, n)
		}
		texts[name] = strings.Replace(texts[name], m.right, m.wrong, 1)
	}
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for name, text := range texts {
		mutant := filepath.Join(dir, filepath.Base(name))
		overlay.Replace[name] = mutant
		if err := os.WriteFile(mutant, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	data, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	file, tests := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "mutants.test")
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
	with := func(mutation string, cmd *exec.Cmd) (string, error) {
		cmd.Env = append(cmd.Environ(), "CSU_MUTATION="+mutation, "GOFLAGS=-vet=off -overlay="+file, "TMPDIR="+dir) // TMPDIR: what failed is kept there
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := with("", exec.Command("go", "test", "-c", "-o", tests, ".")); err != nil {
		t.Fatalf("build the mutants: %v\n%s", err, out)
	}
	find := func(test string) *exec.Cmd {
		return exec.Command(tests, "-test.run", cmp.Or(test, "^TestSlice$"))
	}
	for _, test := range []string{"", rivalsTest} {
		if out, err := with("", find(test)); err != nil {
			t.Fatalf("without a mistake: %v\n%s", err, out)
		}
	}
	for _, m := range mutations {
		out, err := with(m.name, find(m.test))
		if err == nil || !strings.Contains(out, m.finds) {
			t.Errorf("%s: the campaign did not find it by %q: %v\n%s", m.name, m.finds, err, out)
			continue
		}
		_, line, _ := strings.Cut(out[strings.Index(out, m.finds):], "again: ")
		line, _, _ = strings.Cut(line, "\n")
		if strings.Contains(line, ";") {
			t.Errorf("%s: %s: one trigger is enough", m.name, line)
		}
		if out, err := with(m.name, printedFor(tests, line)); err == nil || !strings.Contains(out, m.finds) {
			t.Errorf("%s: %s: it did not show %q: %v\n%s", m.name, line, m.finds, err, out)
		}
		if out, err := with("", printedFor(tests, line)); err != nil {
			t.Errorf("without a mistake: %s: %v\n%s", line, err, out)
		}
	}
}
