package ground_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/lsst-ts/csu/executor/ground"
)

// A test that waits for csu fails at once if csu has ended or asks something else, and
// shows what csu printed.
func TestNoWaitOutlastsCSU(t *testing.T) {
	t.Parallel()
	waits := map[string]func(testing.TB, *terminal){
		"an answer": func(t testing.TB, s *terminal) { s.answer(t, "Take this run over?", "yes") },
		"an event":  func(t testing.TB, s *terminal) { s.await(t, "a step runs", nil) },
	}
	for name, csu := range map[string]struct{ script, why string }{
		"asks something else": {`echo "Is it done?"; printf "1 yes, 2 no > "; read answer`, "csu waits for the answer to another question"},
		"has ended":           {`echo "Is it done?"; exit 3`, "csu has ended with exit status 3"},
	} {
		for what, wait := range waits {
			session := ground.NewSession(t.Context())
			err := session.Do(func(t testing.TB) { wait(t, atTerminal(t, exec.Command("/bin/sh", "-c", csu.script))) })
			if err == nil || !strings.Contains(err.Error(), csu.why) || !strings.Contains(err.Error(), "Is it done?") {
				t.Errorf("csu %s: the wait for %s = %v, want %q and the output", name, what, err, csu.why)
			}
			if err := session.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// What csu asks, a person answers once.
func TestAQuestionIsAnswered(t *testing.T) {
	t.Parallel()
	const csu = `for question in "Is it done?" "Is it all?"; do echo "$question"; printf "1 yes, 2 no > "; read answer; echo "$answer, then."; done`
	s := atTerminal(t, exec.Command("/bin/sh", "-c", csu))
	s.answer(t, "Is it done?", "yes")
	s.answer(t, "Is it all?", "no")
	s.await(t, "csu has ended", s.ended)
	if said := s.said(); !strings.Contains(said, "yes, then.") || !strings.Contains(said, "no, then.") {
		t.Errorf("the output is %q, want both answers in it", said)
	}
}
