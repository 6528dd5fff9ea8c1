package rehearsal

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor"
	"github.com/lsst-ts/csu/executor/custody"
	"github.com/lsst-ts/csu/executor/ledger"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/sitemap"
	"github.com/lsst-ts/csu/executor/systems"
)

// practiceSpeed is slow enough that even on a busy machine a read takes little of the
// site's time.
const practiceSpeed = 900

// slower is how much slower time runs with faults that depend on the machine's speed.
// If a query takes half a minute, csu does not notice that the EFD is half a minute
// later than it allows for.
var slower = map[string]float64{efdLags: 6, laptopSleeps: 3}

// mended are the faults that the operator ends in these runs when asked. By themselves
// they would be over in seconds of real time, before a busy machine reaches the
// question.
var mended = []string{efdLags, efdDown, networkLost}

// reply is what the operator of a rehearsal does when asked.
type reply struct {
	topic  operator.Topic
	step   string
	says   []string // texts that the question or its reading must contain
	either []string // texts of which it must contain one
	do     func(*practice)
	choice operator.Choice
	reason string
	aside  []string // CSCs to set aside
	told   string
}

// practice is a rehearsal with an operator who answers yes to consents and manual
// steps, and gives the replies in order when something goes wrong.
type practice struct {
	t       *testing.T
	site    *Site
	plan    *plan.Plan
	journal string
	replies []reply
	// otherwise, if set, answers the questions that the replies do not.
	otherwise func(*practice, operator.Question) reply
	manual    func(step string) // called when a manual step is done, if set
	mu        sync.Mutex
	seen      strings.Builder // what the operator sees when something goes wrong
}

func newPractice(t *testing.T, p *plan.Plan, faults ...string) *practice {
	t.Helper()
	return seeded(t, p, 1, faults...)
}

func seeded(t *testing.T, p *plan.Plan, seed int64, faults ...string) *practice {
	t.Helper()
	speed := float64(practiceSpeed)
	for _, name := range faults {
		speed = min(speed, practiceSpeed/max(1, slower[name]))
	}
	return atSpeed(t, p, seed, speed, faults...)
}

func atSpeed(t *testing.T, p *plan.Plan, seed int64, speed float64, faults ...string) *practice {
	t.Helper()
	digest, err := plan.Digest(p)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Start(t.Context(), Config{Plan: p, Digest: digest, Dir: t.TempDir(), Speed: speed, Seed: seed, Faults: faults})
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	for _, f := range s.faults { // none of the mended ones has begun
		if slices.Contains(mended, f.Name) {
			f.lasts = 0
		}
	}
	s.mu.Unlock()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &practice{t: t, site: s, plan: p, journal: filepath.Join(t.TempDir(), "journal")}
}

func (r *practice) options() executor.Options {
	r.t.Helper()
	m, err := sitemap.Read(filepath.Join(r.site.dir, MapFile))
	if err != nil {
		r.t.Fatal(err)
	}
	systems, err := systems.Connect(r.plan, m, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return executor.Options{
		Plan: r.plan, Digest: m.Digest, PlanFile: "plan.json", Journal: r.journal, SiteMap: filepath.Join(m.Dir, MapFile),
		Systems: systems, Operator: r, OperatorName: "Ana", Version: "test", Clock: systems.Clock, Ledger: custody.NewLedger(r.plan, systems), Timing: ledger.Rehearsed(systems.Clock.Speed()),
		SkipPreflight: "a test",
	}
}

// run runs or resumes the plan and returns the result.
func (r *practice) run(change ...func(*executor.Options)) executor.Result {
	r.t.Helper()
	o := r.options()
	if _, err := os.Stat(r.journal); err == nil {
		o.Resume = true
	}
	for _, c := range change {
		c(&o)
	}
	ctx, cancel := context.WithTimeout(r.t.Context(), 20*time.Minute) // in case it hangs
	defer cancel()
	got, err := executor.Run(ctx, o)
	if err != nil {
		r.t.Fatalf("Run = %v\n%s\n%s", err, r.seen.String(), r.site.tail(20))
	}
	return got
}

// complete runs the plan, which must complete, and checks the site's record.
func (r *practice) complete() {
	r.t.Helper()
	got := r.run()
	if got.End != executor.Completed {
		r.t.Fatalf("the run ended %q: %s\n%s\n%s", got.End, got.Text, r.seen.String(), r.site.tail(20))
	}
	if len(r.replies) > 0 {
		r.t.Errorf("no question %q about %q\n%s", r.replies[0].topic, r.replies[0].step, r.seen.String())
	}
	r.nothingTwice()
}

// nothingTwice checks in the site's record that no attempt had its effect twice, and
// that every CSC is in its expected state.
func (r *practice) nothingTwice() {
	r.t.Helper()
	times := map[string]int{}
	for _, e := range r.site.Record() {
		switch e.Kind {
		case ScriptAdded, SyncStarted, JobDeleted, NamespaceGone, JobCreated:
			if e.Identity != "" {
				times[e.Kind+" "+e.Identity]++
			}
		case CSCDuplicate, FaultFailed:
			r.t.Errorf("%s: %s %s", e.Kind, e.Subject, e.Detail)
		}
	}
	for what, n := range times {
		if n > 1 {
			r.t.Errorf("effect %s happened %d times", what, n)
		}
	}
	if astray := Summarize(r.plan, r.site.Record()).Astray; len(astray) > 0 {
		r.t.Errorf("CSCs not in the expected state: %s", strings.Join(astray, ", "))
	}
}

// Ask implements [operator.Operator].
func (r *practice) Ask(ctx context.Context, q operator.Question) (operator.Answer, error) {
	r.mu.Lock()
	next := reply{choice: operator.Yes}
	expected := true
	switch q.Topic {
	case operator.StageConsent, operator.StepConsent, operator.Doubt, operator.Manual:
		if len(r.replies) > 0 && r.replies[0].topic == q.Topic && r.replies[0].step == q.Step {
			next, r.replies = r.replies[0], r.replies[1:]
		}
		if q.Topic == operator.Manual && r.manual != nil {
			r.manual(q.Step)
		}
	default:
		r.note("\n? %s: %s\n%s%s  [%s]\n", q.Topic, q.Step, indented(q.Text), indented(q.Reading), choices(q))
		expected = len(r.replies) > 0 && r.replies[0].topic == q.Topic && r.replies[0].step == q.Step
		if expected {
			next, r.replies = r.replies[0], r.replies[1:]
		}
	}
	r.mu.Unlock()
	if !expected && r.otherwise != nil {
		next, expected = r.otherwise(r, q), true
	}
	if !expected {
		r.t.Errorf("unexpected question %q about %q:\n%s", q.Topic, q.Step, r.seen.String())
		return operator.Answer{Choice: operator.Stop}, fmt.Errorf("no answer to the question %q about %q", q.Topic, q.Step)
	}
	text := q.Text + "\n" + q.Reading
	if len(next.either) > 0 && !slices.ContainsFunc(next.either, func(want string) bool { return strings.Contains(text, want) }) {
		r.t.Errorf("question %q about %q contains none of %q:\n%s", q.Topic, q.Step, next.either, text)
	}
	for _, want := range next.says {
		if !strings.Contains(text, want) {
			r.t.Errorf("question %q about %q does not contain %q:\n%s", q.Topic, q.Step, want, text)
		}
	}
	if next.do != nil {
		next.do(r)
	}
	if next.topic != "" {
		r.mu.Lock()
		r.note("> %s%s\n", next.choice, map[bool]string{true: ": " + next.reason}[next.reason != ""])
		r.mu.Unlock()
	}
	return operator.Answer{Choice: next.choice, Reason: next.reason, CSCs: next.aside, Told: next.told, By: "Ana", Via: "terminal"}, ctx.Err()
}

// Tell implements [operator.Operator].
func (r *practice) Tell(e operator.Event) {
	switch e.Kind {
	case operator.StepFailed, operator.StepInDoubt, operator.StepSkipped, operator.Notice:
		if strings.Contains(e.Text, "continued without preflight") {
			return
		}
		r.mu.Lock()
		r.note("! %s %s\n%s", e.Kind, e.Step, indented(e.Text))
		r.mu.Unlock()
	}
}

func (r *practice) note(format string, args ...any) { fmt.Fprintf(&r.seen, format, args...) }

func choices(q operator.Question) string {
	var names []string
	for _, c := range q.Choices {
		names = append(names, string(c))
	}
	return strings.Join(names, ", ")
}

func indented(text string) string {
	if text == "" {
		return ""
	}
	return "  " + strings.ReplaceAll(text, "\n", "\n  ") + "\n"
}

// varying matches what differs from one rehearsal to the next.
var varying = []struct {
	what *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC`), "TIME"},
	{regexp.MustCompile(`\[?127\.0\.0\.1\]?:\d+(->127\.0\.0\.1:\d+)?`), "ADDRESS"},
	{regexp.MustCompile(`csu-[0-9a-f]{12}`), "csu-RUN"},
	{regexp.MustCompile(`script \d{6}`), "script NUMBER"},
	{regexp.MustCompile(`for \d+[hms0-9.]+s?\b`), "for DURATION"},
	{regexp.MustCompile(`(/[A-Za-z0-9_.-]+)+/hosts/`), "FOLDER/hosts/"},
	{regexp.MustCompile(`(/[A-Za-z0-9_.-]+)+/known_hosts(:\d+)?`), "KNOWN_HOSTS"},
	{regexp.MustCompile(`SHA256:[A-Za-z0-9+/]+`), "FINGERPRINT"},
	{regexp.MustCompile(`[0-9a-f]{40}`), "COMMIT"},
	{regexp.MustCompile(`(ssh: handshake failed: |readLoopPeekFailLocked: |http: )?((dial|read|write) tcp ADDRESS: )?((connect|read|write): (connection reset by peer|broken pipe)|(unexpected )?EOF|use of closed network connection|server closed idle connection)`), "CONNECTION LOST"},
}

// transcript returns what the operator saw, with placeholders for what differs each time.
func (r *practice) transcript() string {
	r.mu.Lock()
	text := r.seen.String()
	r.mu.Unlock()
	for _, p := range varying {
		text = p.what.ReplaceAllString(text, p.with)
	}
	return text
}

// golden compares what the operator saw with a golden file. CSU_UPDATE=1 updates the
// file.
func (r *practice) golden(name, head string) {
	r.t.Helper()
	file := filepath.Join("testdata", "faults", name+".txt")
	got := head + "\n" + r.transcript()
	if os.Getenv("CSU_UPDATE") != "" {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			r.t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			r.t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		r.t.Fatal(err)
	}
	if got != string(want) {
		r.t.Errorf("%s is out of date (update it with CSU_UPDATE=1); the operator sees:\n%s", file, got)
	}
}

// What the operator does at the site by hand.

// mend ends a fault. For a host that hung, it also removes the short connection timeout
// from the ssh config, so that the host has the usual time to answer.
func mend(name string) func(*practice) {
	return func(r *practice) {
		r.site.mu.Lock()
		defer r.site.mu.Unlock()
		if name == hostHangs {
			r.forgetConnectTimeout()
		}
		for _, f := range r.site.faults {
			if f.Name == name {
				r.site.endFault(f)
			}
		}
	}
}

// forgetConnectTimeout removes the timeout from the site's ssh config. It replaces the
// file in one operation, since csu may be reading it.
func (r *practice) forgetConnectTimeout() {
	config, err := os.ReadFile(r.site.Map.SSHConfig)
	if err == nil {
		config = regexp.MustCompile(`(?m)^ *ConnectTimeout .*\n`).ReplaceAll(config, nil)
		err = os.WriteFile(r.site.Map.SSHConfig+".new", config, 0o600)
	}
	if err == nil {
		err = os.Rename(r.site.Map.SSHConfig+".new", r.site.Map.SSHConfig)
	}
	if err != nil {
		r.t.Error(err)
	}
}

// outlast waits until a fault is over.
func outlast(name string) func(*practice) {
	return func(r *practice) {
		r.wait("the end of "+name, func() bool { return !r.site.hasFault(name, "") })
	}
}

// wait waits until a condition of the model holds.
func (r *practice) wait(what string, holds func() bool) {
	for began := time.Now(); time.Since(began) < waitLimit; time.Sleep(5 * time.Millisecond) {
		r.site.mu.Lock()
		ok := holds()
		r.site.mu.Unlock()
		if ok {
			return
		}
	}
	r.t.Errorf("timed out waiting for %s\n%s", what, r.site.tail(15))
}

// count counts the effects of a kind and, unless it is "", of a subject.
func (r *practice) count(kind, subject string) int {
	n := 0
	for _, e := range r.site.Record() {
		if e.Kind == kind && (subject == "" || e.Subject == subject) {
			n++
		}
	}
	return n
}

// identities returns the identities of the effects of a kind, in order, without the run.
func (r *practice) identities(kind string) []string {
	var found []string
	for _, e := range r.site.Record() {
		if _, own, is := strings.Cut(e.Identity, "/"); e.Kind == kind && is {
			found = append(found, own)
		}
	}
	return slices.Clip(found)
}
