package main

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/lsst-ts/csu/executor/campaign"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/rehearsal"
	"github.com/lsst-ts/csu/executor/sitemap"
)

const yesNo = "1 yes, 2 no, ? refresh >"

// onAnotherMachine is another machine with the same plan and site: a folder of its own,
// where the journal would be.
func (r *served) onAnotherMachine(t *testing.T) *served {
	t.Helper()
	dir := t.TempDir()
	m, err := sitemap.Read(r.siteMap)
	if err != nil {
		t.Fatal(err)
	}
	o := &served{plan: r.plan, dir: dir, siteMap: filepath.Join(dir, rehearsal.MapFile), journal: filepath.Join(dir, filepath.Base(r.journal)), held: r.held}
	if err := m.Write(o.siteMap); err != nil {
		t.Fatal(err)
	}
	return o
}

// copyJournal brings the journal here as it is on the other machine.
func (r *served) copyJournal(t *testing.T, from string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.journal, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// wantWhole wants no effect twice at the site, and every CSC in its place.
func (r *served) wantWhole(t *testing.T) {
	t.Helper()
	harm, err := harmed(readPlan(t, r.plan), r.held.record)
	if err != nil {
		t.Fatal(err)
	}
	if len(harm) > 0 {
		t.Errorf("the site was harmed:\n%s", strings.Join(harm, "\n"))
	}
}

// takesOver starts a takeover at a terminal, and agrees to it up to the question
// whether a csu has worked without the cluster. What --consent all answers is not
// among that.
func (r *served) takesOver(t *testing.T, former bool, shows []string, flags ...string) *session {
	t.Helper()
	s := atTerminal(t, csu(t, append([]string{"takeover", r.plan, "--site-map", r.siteMap, "--operator", "Bob Operator", "--consent", "all", "--reason", "a test"}, flags...)...))
	s.reads(t, append([]string{"Take this run over?", "Led by Ada Operator on", "1 yes take over the run and resume it here", "2 no leave the run as it is and stop csu", yesNo}, shows...)...)
	s.types(t, "yes\n")
	if former {
		title := []string{"Is the other csu stopped?", "Confirm that the csu of Ada Operator on"}
		if slices.Contains(flags, "--force") {
			title = []string{"Take the run from a csu that may be at work?", "The csu of Ada Operator on"}
		}
		s.reads(t, append(title, "1 yes confirmed: resume the run here", "2 no stop csu; nothing was started", yesNo)...)
		s.types(t, "yes\n")
	}
	s.reads(t, "Has another csu worked without the cluster?", "1 yes it may have, or I do not know", "2 no no csu has worked on it without the cluster", yesNo)
	return s
}

// TestAtWorkElsewhere: while a csu waits at a question, no other machine gets at its
// run, with the journal of the same minute or without any. Those who ask are told
// who leads it.
func TestAtWorkElsewhere(t *testing.T) {
	t.Parallel()
	ada := newServed(t)
	first := ada.atWork(t)
	bob := ada.onAnotherMachine(t)
	for !strings.Contains(bob.run(t, exitComplete, "status"), ": 2 of 27 steps") { // outcomes go with the next renewal
	}
	prints(t, bob.run(t, exitComplete, "status"),
		"^Journal .* does not exist or is empty", `^The site's ledger says: run [0-9a-f]+ of this plan is led by Ada Operator on \S+\. Its csu is running, or did not stop properly; last heard from at`,
		`^As of record [0-9]+, .* 2 of [0-9]+ steps are finished; its next stage is "offline"\.$`, `^Next: csu exec .* where its journal is, or, here, csu takeover .*: stop it first with csu handover \S+ --site-map \S+ --to NAME$`)
	prints(t, bob.run(t, exitRefused, "exec", "--consent", "all"),
		`^error: this plan is already being carried out: run [0-9a-f]+ of "Ada Operator" on \S+ has reached record [0-9]+, stage "offline"`, "^hint: ask .*csu takeover")
	prints(t, bob.run(t, exitRefused, "exec", "--consent", "all", "--resume"), "has reached record [0-9]+", "csu takeover")
	prints(t, bob.run(t, exitRefused, "unlock", "--reason", "I think it is dead"),
		`^error: another csu is at work on this run: that of "Ada Operator" on \S+, last heard from at .*; it has reached record [0-9]+, stage "offline"`,
		`^hint: ask "Ada Operator" to stop it, or have it stopped with csu handover \S+ --site-map \S+ --to NAME; csu takeover \S+ --site-map \S+ --reason TEXT --force`)
	prints(t, bob.run(t, exitRefused, "takeover", "--reason", "impatience", "--consent", "all"),
		`the csu of "Ada Operator" on \S+ may still be at work on this run; csu watches the ledger for up to 20s for a sign of it`, "^error: another csu is at work on this run")
	if _, err := os.Stat(bob.journal); err == nil {
		t.Error("what was refused has left a journal")
	}
	bob.copyJournal(t, ada.journal)
	prints(t, bob.run(t, exitComplete, "status"), `^The csu of Ada Operator on \S+ may be running it, with another copy of this journal`, "^Next: ask Ada Operator")
	prints(t, bob.run(t, exitRefused, "exec", "--consent", "all", "--resume"), `^error: another csu is at work on this run: that of "Ada Operator"`)
	prints(t, bob.run(t, exitRefused, "abort", "--yes"), "^error: another csu is at work on this run")
	if n := ada.count(t, rehearsal.LedgerClaimed); n != 1 {
		t.Errorf("the ledger was claimed %d times, want once", n)
	}
	first.types(t, "no\n")
	first.wantExit(t, exitFailed)
	ada.start(t, "--consent", "all", "--resume").wantExit(t, exitComplete)
	ada.wantWhole(t)
}

// TestTakeoverForced: a csu that is at work is displaced. It starts nothing more and
// says who has the run, and its journal is refused.
func TestTakeoverForced(t *testing.T) {
	t.Parallel()
	ada := newServed(t)
	first := ada.atWork(t)
	bob := ada.onAnotherMachine(t)
	no := atTerminal(t, csu(t, "takeover", bob.plan, "--site-map", bob.siteMap, "--reason", "a test", "--force"))
	no.reads(t, "Take this run over?", yesNo)
	no.types(t, "no\n")
	no.wantExit(t, exitRefused)
	no.reads(t, "error: the run was not taken over")
	no = atTerminal(t, csu(t, "takeover", bob.plan, "--site-map", bob.siteMap, "--reason", "a test", "--force"))
	no.reads(t, "Take this run over?", yesNo)
	no.types(t, "yes\n")
	no.reads(t, "Take the run from a csu that may be at work?", yesNo)
	no.types(t, "no\n")
	no.wantExit(t, exitRefused)
	no.reads(t, "error: the other csu must be stopped first", "hint: ask Ada Operator to stop it")
	if _, err := os.Stat(bob.journal); err == nil {
		t.Error("what was refused has left a journal")
	}

	second := bob.takesOver(t, true, []string{"Its csu may still be at work on it: --force skips the check."}, "--force", "--until", "jobs")
	second.types(t, "no\n")
	second.wantExit(t, exitComplete)
	first.wantExit(t, exitRefused)
	first.reads(t, `error: this run was taken over by "Bob Operator" on`, "nothing more will be started here", `hint: ask "Bob Operator"; to have the run handed back: csu handover`)
	if strings.Contains(first.text(), "lacks the last records") {
		t.Errorf("the displaced csu speaks of the ledger's records: %s", first.text())
	}
	prints(t, ada.run(t, exitRefused, "exec", "--resume", "--consent", "all"),
		`^error: this journal is out of date: it ends at record [0-9]+, but run [0-9a-f]+ has continued under "Bob Operator" on \S+ to record [0-9]+, stage "configuration"`)
	prints(t, ada.run(t, exitRefused, "abort", "--yes"), "^error: this journal is out of date")
	bob.start(t, "--consent", "all", "--resume").wantExit(t, exitComplete)
	prints(t, ada.run(t, exitRefused, "exec", "--resume", "--consent", "all"), `^error: this plan has already been carried out: run [0-9a-f]+ of`)
	ada.wantWhole(t)
}

// TestTakeoverOfDead: the first machine is gone in the middle of a step. After the
// wait for a sign of it, the run is resumed from the cluster's copy.
func TestTakeoverOfDead(t *testing.T) {
	t.Parallel()
	ada := newServed(t)
	m := ada.held.at("offline/cscs", "/offline/cscs/")
	x := ada.start(t, "--consent", "all", "--operator", "Ada Operator")
	x.await(t, m)
	if err := x.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-x.ended
	ada.held.release()
	if err := os.Remove(ada.journal); err != nil {
		t.Fatal(err)
	}
	bob := ada.onAnotherMachine(t)
	second := bob.takesOver(t, true, []string{"There was no sign of its csu for 20s. It may have crashed, hang, or be at work", "call Ada Operator", "under way or in doubt: offline/cscs"})
	second.types(t, "no\n")
	second.wantExit(t, exitComplete)
	if s := bob.state(t); s.Ended != journal.Complete {
		t.Errorf("the run has ended as %q", s.Ended)
	}
	ada.wantWhole(t)
}

// TestHandover: a csu that waits at a question is stopped from another machine, and
// the run is taken over there without a wait.
func TestHandover(t *testing.T) {
	t.Parallel()
	ada := newServed(t)
	first := ada.atWork(t)
	bob := ada.onAnotherMachine(t)
	prints(t, bob.run(t, exitComplete, "handover", "--to", "Bob Operator", "--operator", "Ada Operator"),
		`^Asked the csu of Ada Operator on \S+ to hand over\.`, "^The run is handed over. Bob Operator resumes it with:", `^  csu takeover .* --site-map .* --reason "handed over by Ada Operator"$`)
	first.wantExit(t, exitFailed)
	first.reads(t, "handed over to Bob Operator at the request of Ada Operator", "error: the run was stopped for a handover", "hint: resume it with csu takeover")
	prints(t, ada.run(t, exitRefused, "exec", "--resume", "--consent", "all"), `^error: this run was handed over to "Bob Operator"$`)
	second := bob.takesOver(t, false, []string{"It was handed over to Bob Operator."})
	second.types(t, "no\n")
	second.wantExit(t, exitComplete)
	ada.wantWhole(t)
}

// TestLostJournal: whatever becomes of the journal's file while csu runs, csu stops
// before the next effect. The run is then resumed, and nothing happens twice.
func TestLostJournal(t *testing.T) {
	t.Parallel()
	must := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, way := range map[string]struct {
		lose func(t *testing.T, r *served)
		says string
		// back is what the operator does before the resume.
		back func(t *testing.T, r *served)
		// behind has what is in the journal's place refused before that.
		behind bool
	}{
		"deleted": {
			lose: func(t *testing.T, r *served) { must(t, os.Remove(r.journal)) },
			says: "the file was deleted or moved",
		},
		"moved": {
			lose: func(t *testing.T, r *served) { must(t, os.Rename(r.journal, r.journal+".old")) },
			says: "the file was deleted or moved",
		},
		"truncated": {
			lose:   func(t *testing.T, r *served) { must(t, os.Truncate(r.journal, 0)) },
			says:   "another program changed the file",
			back:   func(t *testing.T, r *served) { must(t, os.Rename(r.journal+".saved-1", r.journal)) },
			behind: true,
		},
		"replaced": {
			lose: func(t *testing.T, r *served) {
				data, err := os.ReadFile(r.journal)
				must(t, err)
				first, _, _ := strings.Cut(string(data), "\n")
				must(t, os.WriteFile(r.journal+".new", []byte(first+"\n"), 0o644))
				must(t, os.Rename(r.journal+".new", r.journal))
			},
			says:   "another file is in its place",
			back:   func(t *testing.T, r *served) { must(t, os.Rename(r.journal+".saved-1", r.journal)) },
			behind: true,
		},
		"folder renamed": {
			lose: func(t *testing.T, r *served) { must(t, os.Rename(r.dir, r.dir+"-old")) },
			says: "the file was deleted or moved",
			back: func(t *testing.T, r *served) { must(t, os.Rename(r.dir+"-old", r.dir)) },
		},
	} {
		after := func(t *testing.T, r *served, printed string) {
			t.Helper()
			for _, text := range []string{way.says, "csu records nothing more", "--resume"} {
				if !strings.Contains(printed, text) {
					t.Errorf("csu does not say %q:\n%s", text, printed)
				}
			}
			if way.behind {
				prints(t, r.run(t, exitRefused, "exec", "--resume", "--consent", "all"), `"Ada Operator" on \S+ .*to record [0-9]+|"Ada Operator" on \S+ has reached record [0-9]+`, "csu takeover")
			}
			if way.back != nil {
				way.back(t, r)
			}
			r.start(t, "--consent", "all", "--resume", "--operator", "Ada Operator").wantExit(t, exitComplete)
			r.wantWhole(t)
		}
		t.Run(name+" at a question", func(t *testing.T) {
			t.Parallel()
			r := newServed(t).onAnotherMachine(t)
			s := r.atWork(t)
			way.lose(t, r)
			s.types(t, "yes\n")
			<-s.ended
			printed := s.text()
			s.wantExit(t, exitFailed)
			after(t, r, printed)
		})
		t.Run(name+" at work", func(t *testing.T) {
			t.Parallel()
			r := newServed(t).onAnotherMachine(t)
			r.held.journal = r.journal
			m := r.held.at("offline/cscs", "/offline/cscs/")
			x := r.start(t, "--consent", "all", "--operator", "Ada Operator")
			x.await(t, m)
			way.lose(t, r)
			r.held.release()
			x.wantExit(t, exitFailed)
			after(t, r, strings.Join(strings.Fields(x.printed()), " "))
		})
	}
}

// valve is the way to the API server, which can be shut. Then connections are
// refused, as by a machine whose server is down.
type valve struct {
	at, to string // addresses

	mu       sync.Mutex
	listener net.Listener // nil while it is shut
	kept     int          // a socket that keeps the port from others while it is shut; 0 for none
	passing  []io.Closer
}

// open lets connections pass.
func (v *valve) open(t *testing.T) {
	t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.kept != 0 {
		syscall.Close(v.kept)
		v.kept = 0
	}
	var err error
	if v.listener, err = net.Listen("tcp", v.at); err != nil {
		t.Fatal(err)
	}
	v.at = v.listener.Addr().String()
	go v.relay(v.listener)
}

// shut ends all connections and lets none pass any more.
func (v *valve) shut() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.listener != nil {
		port := v.listener.Addr().(*net.TCPAddr).Port
		v.listener.Close()
		// A bound socket that does not listen refuses connections.
		if fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0); err == nil {
			_ = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
			if syscall.Bind(fd, &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}) != nil {
				syscall.Close(fd)
			} else {
				v.kept = fd
			}
		}
	}
	v.listener = nil
	for _, c := range v.passing {
		c.Close() // it may have ended by itself
	}
	v.passing = nil
}

func (v *valve) relay(listener net.Listener) {
	for {
		csu, err := listener.Accept()
		if err != nil {
			return
		}
		site, err := net.Dial("tcp", v.to)
		if err != nil {
			csu.Close()
			continue
		}
		v.mu.Lock()
		v.passing = append(v.passing, csu, site)
		if v.listener != listener { // it was shut meanwhile
			csu.Close()
			site.Close()
		}
		v.mu.Unlock()
		go pass(csu, site, func() {})
		go pass(site, csu, func() {})
	}
}

// newValve is newServed with a valve in the way to the API server.
func newValve(t *testing.T) (*served, *valve) {
	t.Helper()
	r, v := newServed(t), &valve{at: "127.0.0.1:0"}
	t.Cleanup(func() {
		v.shut()
		if v.kept != 0 {
			syscall.Close(v.kept)
		}
	})
	m, err := sitemap.Read(r.siteMap)
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig, err := os.ReadFile(m.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	files := filepath.Join(r.dir, "valve")
	if err := os.Mkdir(files, 0o755); err != nil {
		t.Fatal(err)
	}
	m, err = campaign.Relayed(*m, files, func(to string) (string, error) {
		if !strings.Contains(string(kubeconfig), to) {
			return to, nil
		}
		v.to = to
		v.open(t)
		return v.at, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	r.siteMap = filepath.Join(r.dir, "valve-"+rehearsal.MapFile)
	if err := m.Write(r.siteMap); err != nil {
		t.Fatal(err)
	}
	return r, v
}

// TestNotReleased: the API server goes away after the last effect. The run is
// complete but not released; a resume releases it, and that only once.
func TestNotReleased(t *testing.T) {
	t.Parallel()
	r, v := newValve(t)
	m := r.held.at("end/announce", `"message posted"`, "(cycle c0044) is complete")
	x := r.start(t, "--consent", "all", "--operator", "Ada Operator")
	x.await(t, m)
	v.shut()
	r.held.release()
	x.wantExit(t, exitFailed)
	prints(t, x.printed(), "^error: the upgrade is complete, but its site is not yet released: ",
		"^hint: check that the cluster is reachable, then resume with csu exec .* --resume --site-map ")
	prints(t, r.run(t, exitComplete, "status"), "^Cannot read the site's ledger", "^Next: csu exec .* --resume --site-map .*: the run has ended, but its site is not yet released")
	prints(t, r.run(t, exitFailed, "exec", "--resume", "--consent", "all"), "^error: the run is over, but the site's ledger does not say so yet", "^hint: check that the cluster is reachable, then run the command again$")
	v.open(t)
	prints(t, r.run(t, exitComplete, "status"), "^Next: csu exec .* --resume --site-map .*: the run has ended, but its site is not yet released")
	prints(t, r.run(t, exitComplete, "exec", "--resume", "--operator", "Ada Operator"), "^The rehearsal is complete. Nothing real was changed.$")
	prints(t, r.run(t, exitRefused, "exec", "--resume"), "is complete: it cannot be run again")
	prints(t, r.run(t, exitComplete, "status"), "^Next: nothing; the run is complete")
	if n := r.count(t, rehearsal.LedgerReleased); n != 1 {
		t.Errorf("the site was released %d times, want once", n)
	}
	r.wantWhole(t)
}

// TestOutage: the API server goes away in the middle. csu asks before it continues
// without the ledger, which --consent all does not answer, and keeps saying that it
// does; when the API server is back, it says so.
func TestOutage(t *testing.T) {
	t.Parallel()
	r, v := newValve(t)
	s := atTerminal(t, csu(t, "exec", r.plan, "--site-map", r.siteMap, "--operator", "Ada Operator", "--answers", doubtsAnswered(t)))
	s.reads(t, `Consent needed for stage "begin"`, at)
	v.shut()
	s.types(t, "yes\n")
	const prompt = "1 yes, 2 stop, ? refresh >"
	s.reads(t, "The cluster does not answer", "Continue without the site's ledger?", "Answer yes only if you know that no other csu is at work.",
		"Current state:", "1 yes continue without the site's ledger until the cluster answers", "2 stop stop csu", prompt)
	s.types(t, "stop\n")
	s.wantExit(t, exitFailed)
	s.reads(t, "Ada Operator stopped the run while the cluster did not answer; resume with --resume")
	if st := r.state(t).Steps["begin/announce"]; st.Phase.Finished() {
		t.Errorf("the announcement that was not sent is %s", st.Phase)
	}

	printed := r.run(t, exitRefused, "exec", "--resume", "--consent", "all", "--operator", "Ada Operator")
	prints(t, printed, "^The cluster does not answer", "^error: outage: no terminal to ask on")

	s = atTerminal(t, csu(t, "exec", r.plan, "--site-map", r.siteMap, "--operator", "Ada Operator", "--resume", "--skip-preflight", "a test"))
	s.reads(t, "The cluster does not answer", prompt)
	s.types(t, "yes\n")
	s.reads(t, `Consent needed for stage "offline"`, at)
	for saw := false; !saw; {
		s.types(t, "?\n")
		s.reads(t, at)
		s.mu.Lock()
		saw = strings.Contains(strings.Join(strings.Fields(s.screen.String()), " "), "the run continues WITHOUT THE SITE'S LEDGER")
		s.mu.Unlock()
	}
	v.open(t)
	if err := awaitFile(r.journal, "the cluster answers again, and the site's ledger is still this run's"); err != nil {
		t.Fatal(err)
	}
	s.types(t, "?\n")
	s.reads(t, "the cluster answers again, and the site's ledger is still this run's (epoch", at)
	s.types(t, "no\n")
	s.wantExit(t, exitFailed)
	r.start(t, "--consent", "all", "--resume", "--operator", "Ada Operator").wantExit(t, exitComplete)
	if n := r.count(t, rehearsal.MessagePosted); n != 2 {
		t.Errorf("%d messages were posted, want both announcements", n)
	}
	r.wantWhole(t)
}
