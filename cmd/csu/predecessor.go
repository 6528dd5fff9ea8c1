package main

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/plan"
)

// predecessor returns which of the plans of a commit a new one of their site and type is
// compared with, and why: the last that was carried out to its end, as its journal beside it
// says, or, if none was, the last that was committed. "" if there is no plan.
func (r worktree) predecessor(commit string, plans map[string]*plan.Plan) (name, why string, err error) {
	var carried, committed time.Time
	last := ""
	for _, file := range slices.Sorted(maps.Keys(plans)) {
		switch ended := r.endedAt(commit, file, plans[file]); {
		case ended.After(carried):
			carried, name = ended, file
		case name != "":
			continue
		}
		out, err := r.git("log", "-1", "--format=%ct", commit, "--", file)
		if err != nil {
			return "", "", fmt.Errorf("find when %q was committed: git: %w", file, err)
		}
		seconds, err := strconv.ParseInt(strings.TrimSpace(out), 10, 64)
		if err != nil {
			return "", "", fmt.Errorf("find when %q was committed: git: %w", file, err)
		}
		if at := time.Unix(seconds, 0); !at.Before(committed) { // of those of one commit, the last by name, which begins with its day
			committed, last = at, file
		}
	}
	switch {
	case name != "":
		return name, "the last that was carried out, on " + carried.UTC().Format(time.DateOnly), nil
	case last != "":
		return last, "the last that was committed, on " + committed.UTC().Format(time.DateOnly), nil
	}
	return "", "", nil
}

// endedAt returns when a run of the plan was complete, by the journal beside it; the zero time
// if there is no such journal.
func (r worktree) endedAt(commit, file string, p *plan.Plan) time.Time {
	lines, err := r.git("show", commit+":./"+file+".journal")
	if err != nil {
		return time.Time{}
	}
	digest, err := plan.Digest(p)
	if err != nil {
		return time.Time{}
	}
	var ended time.Time
	err = journal.Lines(file+".journal", strings.NewReader(lines), func(rec *journal.Record) error {
		switch {
		case rec.Event == journal.RunBegun && rec.Run.Digest != digest:
			return errOtherPlan
		case rec.Event == journal.Complete:
			ended = rec.Time
		}
		return nil
	})
	if err != nil {
		return time.Time{}
	}
	return ended
}

// beforeIt returns the plan that a plan's file is compared with if nothing else is said: its
// predecessor in the repository, at HEAD.
func beforeIt(file string, p *plan.Plan) (old *plan.Plan, name, why string, err error) {
	const remedy = "run csu plan diff OLD NEW, or csu plan diff --against REV PLAN; csu plan show shows a new plan"
	dir, base := filepath.Split(file)
	if dir == "" {
		dir = "."
	}
	r := worktree(dir)
	names, err := r.at("HEAD", ".")
	if err != nil {
		return nil, "", "", fail(exitInput, remedy, "find the plan before %q: %w", shown(file), err)
	}
	plans := map[string]*plan.Plan{}
	for _, n := range names {
		if n == base || strings.Contains(n, "/") || !strings.HasSuffix(n, ".json") {
			continue
		}
		data, err := r.git("show", "HEAD:./"+n)
		if err != nil {
			return nil, "", "", fmt.Errorf("read %q at HEAD: git: %w", n, err)
		}
		// A plan that this csu cannot read is none that it can compare with.
		if other, err := plan.Decode(n, []byte(data)); err == nil && other.Site == p.Site && other.Type == p.Type {
			plans[n] = other
		}
	}
	if name, why, err = r.predecessor("HEAD", plans); err != nil {
		return nil, "", "", err
	}
	if name == "" {
		return nil, "", "", fail(exitInput, remedy, "find the plan before %q: no other %s plan of %s is committed beside it", shown(file), p.Type, p.Site)
	}
	return plans[name], name, why, nil
}
