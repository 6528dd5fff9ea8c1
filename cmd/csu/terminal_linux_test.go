package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/sitemap"
	"github.com/lsst-ts/csu/executor/state"
)

// at is the prompt at which the answer to a stage's consent or doubt is typed.
const at = "1 yes, 2 no, 3 abort, ? refresh >"

// TestTerminalConsent leads a run at a terminal: the consent is shown with what
// can be answered, the stage runs and shows what is under way, and a no at the
// next stage ends csu, to be resumed.
func TestTerminalConsent(t *testing.T) {
	t.Parallel()
	r := newServed(t)
	s := atTerminal(t, csu(t, "exec", r.plan, "--site-map", r.siteMap, "--operator", "Ada Operator"))
	s.reads(t,
		"REHEARSAL: a simulated site, nothing real is touched",
		"Operator: Ada Operator",
		`Doubt to confirm before stage "begin"`, "1 yes checked, and the answer is yes: continue", at)
	for range len(doubts(t, r)) - 1 {
		s.types(t, "1\n")
		s.reads(t, `Doubt to confirm before stage "begin"`, at)
	}
	s.types(t, "1\n")
	s.reads(t,
		`Consent needed for stage "begin": Before anything goes down`,
		"Nothing goes down in this stage.",
		"1 yes start this stage",
		"2 no stop csu: nothing of this stage starts; you can resume later",
		"3 abort abort the upgrade for good", at)
	r.wantSpeed(t, 1) // so that no fault heals while one reads
	s.types(t, "perhaps\n")
	s.reads(t, `"perhaps" is not one of the choices`, at)
	s.types(t, "4\n")
	s.reads(t, `"4" is not one of the choices`, at)
	s.types(t, "yes\n")
	s.reads(t, "stage begin Before anything goes down", "start begin/kept", "… begin/kept", "done begin/kept", "stage done begin",
		`Consent needed for stage "offline"`, at)
	s.types(t, "no\n")
	s.wantExit(t, exitFailed)
	s.reads(t, `Ada Operator stopped the run at stage "offline"`, "hint: resume with csu exec "+r.plan+" --resume")

	r.wantSpeed(t, servedSpeed)
	state := r.state(t)
	a := state.Stages[0].Consent
	if a == nil || a.By != "Ada Operator" || a.Via != "terminal" || a.Choice != string(operator.Yes) {
		t.Errorf("the journal has the consent %+v", a)
	}
	if state.Stages[1].Begun {
		t.Error("the stage has begun that was not consented to")
	}
}

// wantSpeed waits until the site's clock runs at a speed.
func (r *served) wantSpeed(t *testing.T, speed float64) {
	t.Helper()
	m, err := sitemap.Read(r.siteMap)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get(m.Clock)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	defer time.AfterFunc(patience, func() { resp.Body.Close() }).Stop()
	var rate struct{ Speed float64 }
	for rates := json.NewDecoder(resp.Body); rate.Speed != speed; {
		if err := rates.Decode(&rate); err != nil {
			t.Fatalf("the site's clock runs at %v, want %v: %v", rate.Speed, speed, err)
		}
	}
}

// TestTerminalFailure answers a failure: csu shows what a person would do and
// each choice's meaning; skipping wants a reason, which the journal keeps.
func TestTerminalFailure(t *testing.T) {
	t.Parallel()
	r := newServed(t, "--fault", "host-command-fails=azar03")
	s := atTerminal(t, csu(t, "exec", r.plan, "--site-map", r.siteMap, "--operator", "Ada Operator",
		"--consent", "begin,offline,services-down", "--answers", doubtsAnswered(t)))
	const prompt = "services-down/azar03: 1 retry, 2 by hand, 3 skip, 4 set aside, 5 stop, 6 abort, ? refresh >"
	s.reads(t, "failed services-down/azar03", `Not done: step "services-down/azar03"`, "How to do it by hand", "./shutdown_gc",
		"3 skip leave it undone and continue; csu asks for the reason", prompt)
	s.types(t, "skip\n")
	s.reads(t, "services-down/azar03: why is it skipped?")
	s.types(t, " \n")
	s.reads(t, "The journal records the reason", "services-down/azar03: why is it skipped?")
	s.types(t, "\n")
	s.reads(t, "Nothing was skipped.", prompt)
	s.types(t, "sk\n")
	s.reads(t, "services-down/azar03: why is it skipped?")
	s.types(t, "\n")
	s.reads(t, "The journal records the reason", "services-down/azar03: why is it skipped?")
	s.types(t, "stopped at the rack\n")
	s.reads(t, "skipped services-down/azar03", "skipped by Ada Operator: stopped at the rack", `Consent needed for stage "jobs"`, at)
	s.types(t, "no\n")
	s.wantExit(t, exitFailed)
	if st := r.state(t).Steps["services-down/azar03"]; st.Phase != state.Skipped || st.Reason != "stopped at the rack" {
		t.Errorf("the journal has the step as %s, reason %q", st.Phase, st.Reason)
	}
}

// TestTerminalTypedAhead: what is typed while nothing is asked consents to
// nothing.
func TestTerminalTypedAhead(t *testing.T) {
	t.Parallel()
	r := newServed(t)
	r.held.at("offline/watcher", "/offline/watcher/")
	s := atTerminal(t, csu(t, "exec", r.plan, "--site-map", r.siteMap, "--consent", "begin,offline", "--answers", doubtsAnswered(t)))
	s.reads(t, "start offline/watcher")
	s.types(t, "yes\n")
	s.reads(t, `(No question is open: ignored "yes".)`)
	r.held.release()
	s.reads(t, `Consent needed for stage "services-down"`, at)

	// A closed terminal is no answer either.
	s.types(t, "\x04")
	s.wantExit(t, exitFailed)
	s.reads(t, "error: no answer: the terminal was closed: EOF", "hint: resume with csu exec "+r.plan+" --resume")
	if r.state(t).Stages[2].Begun {
		t.Error("the stage has begun that nobody consented to")
	}
}

// TestTerminalAbort: giving up is confirmed, since it can't be taken back.
func TestTerminalAbort(t *testing.T) {
	t.Parallel()
	r := newServed(t)
	s := atTerminal(t, csu(t, "exec", r.plan, "--site-map", r.siteMap, "--consent", "begin", "--answers", doubtsAnswered(t)))
	s.reads(t, `Consent needed for stage "offline"`, at)
	s.types(t, "3\n")
	s.reads(t, "No final steps have to run.", "csu does not announce the abort. Announce it yourself in #summit-announce", "This cannot be undone. Type abort again to confirm:")
	s.types(t, "3\n")
	s.reads(t, "Nothing was aborted.", at)
	s.types(t, "a\n")
	s.reads(t, "Type abort again to confirm:")
	s.types(t, "abort\n")
	s.wantExit(t, exitComplete)
	s.reads(t, "The upgrade was aborted and its journal is closed.")
	if got := r.state(t).Ended; got != journal.Aborted {
		t.Errorf("the run has ended as %q", got)
	}
}

// TestTerminalAbortCommand: csu abort shows what it will do, and asks.
func TestTerminalAbortCommand(t *testing.T) {
	t.Parallel()
	r := newServed(t)
	s := atTerminal(t, csu(t, "exec", r.plan, "--site-map", r.siteMap, "--consent", "begin", "--answers", doubtsAnswered(t), "--until", "begin"))
	s.wantExit(t, exitComplete)
	before := r.state(t).Records
	for _, x := range []struct {
		keys, says string
		code       int
	}{
		{"1\n", "The run was not aborted, and nothing was changed.", exitFailed},
		{"\x03", "the run was not aborted, and nothing was changed.", exitInterrupted},
		{"2\n", "The upgrade was aborted and its journal is closed.", exitComplete},
	} {
		s := atTerminal(t, csu(t, "abort", r.plan, "--site-map", r.siteMap))
		s.reads(t, "You are about to abort the upgrade for good.", "What an abort does: No final steps have to run.",
			"1 no leave the run as it is; you can resume later", "2 abort abort the upgrade for good", "1 no, 2 abort, ? refresh >")
		s.types(t, x.keys)
		if x.code == exitComplete {
			s.reads(t, "Type abort again to confirm:")
			s.types(t, "abort\n")
		}
		s.wantExit(t, x.code)
		s.reads(t, x.says)
		if state := r.state(t); x.code != exitComplete && state.Records != before {
			t.Errorf("after %q the journal has %d records, not %d", x.keys, state.Records, before)
		}
	}
	if got := r.state(t).Ended; got != journal.Aborted {
		t.Errorf("the run has ended as %q", got)
	}
}

// TestTerminalInterrupt: Ctrl-C at a question ends csu, to be resumed.
func TestTerminalInterrupt(t *testing.T) {
	t.Parallel()
	r := newServed(t)
	s := atTerminal(t, csu(t, "exec", r.plan, "--site-map", r.siteMap))
	s.reads(t, `Doubt to confirm before stage "begin"`, at)
	s.types(t, "\x03")
	s.wantExit(t, exitInterrupted)
	s.reads(t, "No new steps start", "error: interrupted", "hint: resume with csu exec")
}

// TestTerminalAnnounce asks before it posts.
func TestTerminalAnnounce(t *testing.T) {
	t.Parallel()
	r := newServed(t)
	for _, x := range []struct {
		answer, says string
		code         int
	}{{"no", "nothing was posted", exitFailed}, {"yes", "posted", exitComplete}} {
		s := atTerminal(t, csu(t, "announce", r.plan, "--hour-before", "--site-map", r.siteMap))
		s.reads(t, "To #summit-announce: In one hour", "Post this announcement?", "1 yes, 2 no, ? refresh >")
		s.types(t, x.answer+"\n")
		s.wantExit(t, x.code)
		s.reads(t, x.says)
		posted := &search{file: r.held.record, words: []string{`"message posted"`}}
		if got := posted.look(); got != (x.answer == "yes") {
			t.Errorf("after %q it was posted: %t", x.answer, got)
		}
	}
}

// TestTerminalWidth: what csu says before and after a run, and csu status, is wrapped
// to the terminal, and so are errors and hints.
func TestTerminalWidth(t *testing.T) {
	t.Parallel()
	r := newServed(t)
	ada, bob := r.atWork(t), r.onAnotherMachine(t)
	sessions := map[string]*session{
		"status":           atTerminal(t, csu(t, "status", r.plan, "--site-map", r.siteMap)),
		"status elsewhere": atTerminal(t, csu(t, "status", bob.plan, "--site-map", bob.siteMap)),
		"exec elsewhere":   atTerminal(t, csu(t, "exec", bob.plan, "--site-map", bob.siteMap, "--operator", "Bob Operator")),
	}
	for _, s := range sessions {
		<-s.ended
	}
	// Where there is no terminal nothing is wrapped, for those who search it.
	prints(t, bob.run(t, exitComplete, "status"), "^Next: csu exec .* csu handover .* --to NAME$")
	ada.types(t, "no\n")
	ada.wantExit(t, exitFailed)
	sessions["exec"] = ada
	for name, s := range sessions {
		wrapped := false
		for _, line := range strings.Split(strings.ReplaceAll(s.screen.String(), "\r", ""), "\n") {
			wrapped = wrapped || strings.HasPrefix(line, "  ")
			if len([]rune(line)) > 80 && len(splitWords(strings.TrimSpace(line))) > 1 && !strings.Contains(line, "\x1b") {
				t.Errorf("%s: the terminal cuts %q", name, line)
			}
		}
		if !wrapped {
			t.Errorf("%s: no line is wrapped:\n%s", name, s.screen.String())
		}
	}
	prints(t, sessions["exec elsewhere"].screen.String(), "^error: this plan is already being carried out: ", "^hint: ask ")
}

// doubts are those of the first stage.
func doubts(t *testing.T, r *served) []string {
	t.Helper()
	return readPlan(t, r.plan).Stages[0].Doubts
}

// doubtsAnswered is a file that answers them.
func doubtsAnswered(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "answers.json")
	if err := os.WriteFile(name, []byte(`[{"at": "begin", "topic": "doubt", "choice": "yes"}]`), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestWrap keeps lines within the width, the indents that they have, and words
// whole.
func TestWrap(t *testing.T) {
	t.Parallel()
	for _, x := range []struct{ indent, text, want string }{
		{"", "", ""},
		{"  ", "one two", "  one two"},
		{"", "one two three four five", "one two three\n  four five"},
		{"  ", "one two three four", "  one two\n    three four"},
		{" ", "a:\n    b c", " a:\n     b c"},
		{"", "averyveryverylongword b", "averyveryverylongword\n  b"},
		{"", "ööö ööö ööö öö", "ööö ööö ööö öö"},
		{"", "run it: csu x p --map m", "run it: csu x\n  p --map m"},
		{"", "csu x plan.json --resume --map m", "csu x\n  plan.json --resume --map\n  m"},
	} {
		if got := wrap(x.indent, x.text, 14); got != x.want {
			t.Errorf("wrap(%q, %q) = %q, want %q", x.indent, x.text, got, x.want)
		}
		for _, line := range strings.Split(wrap(x.indent, x.text, 14), "\n") {
			if len([]rune(line)) > 14 && len(splitWords(strings.TrimSpace(line))) > 1 {
				t.Errorf("the line %q is too long", line)
			}
		}
	}
}

// TestChoose takes numbers, words and what they begin with, and nothing else. A remark
// may follow a number.
func TestChoose(t *testing.T) {
	t.Parallel()
	choices := []operator.Choice{operator.Retry, operator.ByHand, operator.Skip, operator.Stop}
	for line, want := range map[string]operator.Answer{
		"1": {Choice: operator.Retry}, " 4 ": {Choice: operator.Stop}, "by hand": {Choice: operator.ByHand}, "B": {Choice: operator.ByHand},
		"sk": {Choice: operator.Skip}, "STOP": {Choice: operator.Stop},
		"2  agreed with the M1M3 principal, 555-1234 ": {Choice: operator.ByHand, Reason: "agreed with the M1M3 principal, 555-1234"},
	} {
		if got, remark, ok := answerFrom(line, choices); !ok || got != want.Choice || remark != want.Reason {
			t.Errorf("answerFrom(%q) = %q, %q, %t, want %q, %q", line, got, remark, ok, want.Choice, want.Reason)
		}
	}
	for _, line := range []string{"", " ", "0", "5", "-1", "s", "yes", "1 2", "5 that one", "retry it"} {
		if got, _, ok := answerFrom(line, choices); ok {
			t.Errorf("answerFrom(%q) = %q, want none", line, got)
		}
	}
}
