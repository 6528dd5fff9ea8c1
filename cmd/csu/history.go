package main

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/lsst-ts/csu/executor/custody"
	"github.com/lsst-ts/csu/executor/journal"
)

// carriedOut searches the repository's whole history, all branches, for a journal
// of the plan whose run is over, and names it.
func carriedOut(file, digest string) (string, error) {
	abs, err := filepath.Abs(file)
	if err != nil {
		return "", fmt.Errorf("plan %q: %w", file, err)
	}
	dir, name := filepath.Dir(abs), filepath.Base(abs)+".journal"
	git := func(args ...string) ([]byte, error) {
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		return cmd.Output()
	}
	out, err := git("log", "--all", "--full-history", "--format=%H", "--", name)
	if err != nil {
		return "", custody.ErrNoHistory // no git, no repository
	}
	unreadable := error(nil)
	for commit := range strings.FieldsSeq(string(out)) {
		lines, err := git("show", commit+":./"+name)
		if err != nil {
			continue // the commit that removed it
		}
		ended := ""
		err = journal.Lines(name, bytes.NewReader(lines), func(r *journal.Record) error {
			switch {
			case r.Event == journal.RunBegun && r.Run.Digest != digest:
				return errOtherPlan
			case r.Event == journal.Complete, r.Event == journal.Aborted:
				ended = fmt.Sprintf("commit %.12s has its journal, %s on %s", commit, r.Event, r.Time.UTC().Format("2006-01-02 15:04")+" UTC")
			}
			return nil
		})
		if err != nil && !errors.Is(err, errOtherPlan) {
			unreadable = fmt.Errorf("%w: the journal in commit %.12s: %w", custody.ErrNoHistory, commit, err)
		}
		if ended != "" {
			return ended, nil
		}
	}
	return "", unreadable
}

var errOtherPlan = errors.New("it belongs to another plan")
