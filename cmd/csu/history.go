package main

import (
	"errors"
	"fmt"
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
	folder, name := worktree(filepath.Dir(abs)), filepath.Base(abs)+".journal"
	out, err := folder.git("log", "--all", "--full-history", "--format=%H", "--", name)
	if err != nil {
		return "", custody.ErrNoHistory // no git, no repository
	}
	unreadable := error(nil)
	for commit := range strings.FieldsSeq(out) {
		lines, err := folder.git("show", commit+":./"+name)
		if err != nil {
			continue // the commit that removed it
		}
		ended := ""
		err = journal.Lines(name, strings.NewReader(lines), func(r *journal.Record) error {
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
