package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/state"
)

// read reads the journal.
func (v *verification) read() {
	s := state.New(v.l.plan)
	take := s.Take(v.l.digest)
	answered := map[string]consented{}
	v.unread = journal.Read(journal.Disk, v.l.journal, func(r *journal.Record) error {
		if r.Event == journal.Elided {
			v.gone++
			if len(s.In(state.Started, state.InDoubt)) == 0 {
				v.hollow++ // a note belongs to a running attempt
			}
		}
		if err := take(r); err != nil {
			return err
		}
		v.observe(r, answered)
		return nil
	})
	if v.unread == nil && s.Records > 0 {
		v.state = s
	}
}

// observe takes from a record what the state does not keep.
func (v *verification) observe(r *journal.Record, answered map[string]consented) {
	v.head = journal.Head{Seq: r.Seq, Hash: r.Hash}
	if r.Run != nil {
		v.runs = append(v.runs, r)
		if len(v.stages) == 0 && (r.Run.Approved != nil || v.begun == nil) {
			v.begun = r.Run
		}
	}
	switch r.Event {
	case journal.Guarded:
		if slices.ContainsFunc(exceptions, func(e exception) bool { return strings.Contains(r.Text, e.text) }) {
			v.despite = append(v.despite, r.Text)
		}
	case journal.Answered:
		if operator.Topic(r.Answer.Topic) == operator.StageConsent && operator.Choice(r.Answer.Choice) == operator.Yes {
			answered[r.Stage] = consented{r.Stage, r.Time, r.Answer}
		}
	case journal.StageBegun:
		a := answered[r.Stage]
		a.stage = r.Stage
		v.stages = append(v.stages, a)
	}
}

// An exception is a guard that let a run continue although its check failed or was left
// out.
type exception struct {
	text string // in the journal's record
	what string // in the verdict
}

var exceptions = []exception{
	{nevertheless, "without a review"},
	{continues, "although a check failed after it had begun"},
	{" continued without preflight: ", "without preflight"}, // as the executor records it
}

// excepted returns what the run did without, for the verdict; "" for nothing.
func (v *verification) excepted() string {
	var all []string
	for _, e := range exceptions {
		if v.passed(e.text) {
			all = append(all, e.what)
		}
	}
	if all == nil {
		return ""
	}
	return "; it ran " + strings.Join(all, " and ")
}

// passed reports whether the run has passed a guard all the same.
func (v *verification) passed(text string) bool {
	return slices.ContainsFunc(v.despite, func(t string) bool { return strings.Contains(t, text) })
}

// run verifies that the journal is that of these bytes, and whole.
func (v *verification) run() {
	v.paragraph("\nRun")
	switch {
	case errors.Is(v.unread, fs.ErrNotExist):
		v.says(unchecked, "the plan was not carried out here: there is no journal %s", shown(v.l.journal))
		return
	case v.unread != nil:
		v.says(failed, "%v", v.unread)
		return
	case v.state == nil:
		v.says(unchecked, "the plan was not carried out: journal %s has no record", shown(v.l.journal))
		return
	}
	s := v.state
	v.says(passed, "run %s carried out these bytes: its journal %s has their digest", s.Run.ID, shown(v.l.journal))
	v.says(passed, "the journal's chain is whole: %s, the last has the hash %s", plan.Counted(v.head.Seq, "record"), v.head.Hash)
	v.contents()
	for _, text := range v.despite {
		v.says(unchecked, "the run passed a guard all the same: %s", text)
	}
	if s.Run.SiteMap != "" {
		v.says(unchecked, "it is a rehearsal; the times of its journal are the simulated site's")
	}
	switch s.Ended {
	case "":
		v.says(unchecked, "it has not ended: the last record is of %s", utc(s.Last))
	default:
		v.says(passed, "it ended as %s at %s", s.Ended, utc(s.Last))
	}
	if text, err := os.ReadFile(v.l.journal); err == nil && !bytes.HasSuffix(text, []byte("\n")) {
		v.says(unchecked, "the journal's last line is torn and does not count: csu was stopped while it wrote the line, or is writing it now")
	}
	v.explain = append(v.explain,
		"# the chain: each record has the SHA-256 of its own text before the hash, and the hash of the record before; the last one's:",
		fmt.Sprintf(`tail -n 1 %s | sed 's/,"hash":"[0-9a-f]*"}$//' | tr -d '\n' | sha256sum`, shown(v.l.journal)))
}

// contents verifies that the journal still says how each step ended. A copy of a journal
// leaves out the notes of attempts that have an outcome, and keeps their hashes, so that its
// chain is whole; that alone would also hold for a journal of nothing but hashes.
func (v *verification) contents() {
	s := v.state
	if v.gone > 0 {
		v.says(unchecked, "the content of %s is gone: not checked", plan.Counted(v.gone, "record"))
	}
	if v.hollow > 0 {
		v.says(failed, "the content of %s is gone while no step was running: csu leaves out only the notes of running steps", plan.Counted(v.hollow, "record"))
	}
	if s.Ended == "" {
		return
	}
	for _, id := range v.unsettled() {
		v.says(failed, "step %s has no outcome, although the run has ended: it is %s", id, s.Steps[id].Phase)
	}
	if n := len(v.l.plan.Stages) - len(v.stages); n > 0 && s.Ended == journal.Complete {
		v.says(failed, "the run is complete, but the journal does not say that %d of its stages began", n)
	}
}

// unsettled returns the steps of a run that has ended of which the journal does not say
// how they ended: after an abort, those that were begun or still had to run.
func (v *verification) unsettled() []string {
	var out []string
	s := v.state
	owed := s.Owed()
	for step := range v.l.plan.AllSteps() {
		st := s.Steps[step.ID]
		open := st.Phase.Open() || slices.Contains(owed, st)
		if open || s.Ended == journal.Complete && !step.Final() && !st.Phase.Finished() {
			out = append(out, step.ID)
		}
	}
	return out
}

// consents prints who consented to each stage.
func (v *verification) consents() {
	if v.state == nil {
		return
	}
	v.paragraph("\nConsents")
	for _, s := range v.stages {
		if s.Answer == nil {
			v.says(failed, "stage %s began without a consent", s.stage)
			continue
		}
		v.says(passed, "%s: %s, %s, %s", s.stage, s.By, utc(s.at), s.Via)
	}
	if n := len(v.l.plan.Stages) - len(v.stages); n > 0 {
		v.says(unchecked, "stages that did not begin: %d", n)
	}
}

// builds prints which csu was at work.
func (v *verification) builds() {
	v.paragraph("\ncsu")
	for _, r := range v.runs {
		what := "began the run"
		if r.Event == journal.Resumed {
			what = "resumed it"
		}
		sums := "its modules were not recorded"
		if a := r.Run.Approved; a != nil && a.Modules != "" {
			sums = "modules " + a.Modules
		}
		v.says(unchecked, "version %s %s for %s on %s, %s; %s", r.Run.Version, what, r.Run.Operator, filepath.Base(r.Run.Host), utc(r.Time), sums)
	}
	v.says(unchecked, "version %s verifies this; modules %s", version(), modules())
	v.says(unchecked, "the plan does not say which csu compiled it: this one compiles it again")
}

// cluster compares the journal with what the cluster keeps.
func (v *verification) cluster(cmd *verifyCommand) {
	v.paragraph("\nCluster")
	if !cmd.Online {
		v.says(unchecked, "not checked: whether the cluster keeps the same head of the journal (--online)")
		return
	}
	if v.state == nil {
		v.says(unchecked, "not checked: there is no journal to compare")
		return
	}
	status := &statusCommand{Plan: cmd.Plan, SiteMap: cmd.SiteMap}
	l, err := status.ledger(v.l.plan)
	if err != nil {
		v.says(failed, "cannot read the site's ledger: %v", err)
		return
	}
	head := journal.Head{}
	if ended := l.Ended(v.l.digest); ended != nil {
		head = ended.Head
	} else if l.Head.Digest == v.l.digest {
		head = l.Head.Head
	}
	_, has := journal.Upto(journal.Disk, v.l.journal, head)
	newest := v.head.Seq
	if v.state.Released {
		newest-- // the ledger was released before that was recorded
	}
	switch {
	case head.Seq == 0:
		v.says(failed, "the site's ledger does not know this run")
	case !has:
		v.says(failed, "the cluster keeps record %d with the hash %s, which this journal does not have", head.Seq, head.Hash)
	case head.Seq < newest:
		v.says(failed, "the cluster keeps record %d, but this journal has %s: the others are not confirmed", head.Seq, plan.Counted(v.head.Seq, "record"))
	default:
		v.says(passed, "the cluster keeps the same head: record %d with the hash %s", head.Seq, head.Hash)
	}
}
