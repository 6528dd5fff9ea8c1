package verify

import (
	"cmp"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/plan"
)

func tableRules() []Rule {
	return []Rule{
		{"complete-tables", []string{"P2", "P18", "P20"},
			"The tables have as many CSCs and doubts as the plan's facts say. A CSC that is missing may be matched by a selector unseen, and a doubt that is missing is not asked. What belongs to a Job is in its namespace, once; only a CSC that the request adds has the Job of one that it removes.", completeTables},
		{"request", []string{"P54"},
			"The request has a day from 2026 to 2099, an attempt from 1 to 50, a cycle's tag and a reason, and Phalanx's commit in full: a slip of the hand gives others.", request},
		{"listed-in-order", []string{"P8", "P9", "P10", "P41"},
			"A set-state step names its CSCs in the order of the table, as the script takes them: to OFFLINE the Watcher first, and the ScriptQueues from the last index down, the one that runs the script at the end; to ENABLED also by name and index.", listedInOrder},
	}
}

func completeTables(v *view, f *findings) {
	const remedy = "recompile the plan; a CSC or a doubt is taken out in its source"
	if len(v.CSCs) != v.Facts.CSCs {
		f.plan(remedy, "the table has %d CSCs, but the site has %d", len(v.CSCs), v.Facts.CSCs)
	}
	known := map[plan.Resource]string{}
	for _, r := range v.Shared {
		known[r] = "several CSCs"
	}
	for i := range v.CSCs {
		c := &v.CSCs[i]
		if c.Job == nil {
			continue
		}
		for _, r := range append([]plan.Resource{c.Job.Resource()}, c.Job.Resources...) {
			if r.Namespace != c.Job.Namespace {
				f.plan("recompile the plan", "the %s %q of %s is in namespace %q, but its Job is in %q", r.Kind, r.Name, c.CSC, r.Namespace, c.Job.Namespace)
			}
			if other := known[r]; other != "" && !v.renumbered(other, c.CSC) {
				f.plan("recompile the plan", "the %s %q of %s also belongs to %s", r.Kind, r.Name, c.CSC, other)
			}
			known[r] = c.CSC
		}
	}
	if len(v.Doubts) != v.Facts.Doubts {
		f.plan(remedy, "the table has %d doubts, but there are %d about this plan", len(v.Doubts), v.Facts.Doubts)
	}
}

// renumbered reports whether the request removes one of two CSCs and adds the other, which
// then may run as the Job of the first.
func (v *view) renumbered(a, b string) bool {
	return v.removed(a) && v.added(b) || v.removed(b) && v.added(a)
}

var commitHash = regexp.MustCompile(`^[0-9a-f]{40}$`)

// mostAttempts is more than any upgrade was tried.
const mostAttempts = 50

func request(v *view, f *findings) {
	u := &v.Upgrade
	if day, err := time.Parse(time.DateOnly, u.Date); err != nil || day.Year() < 2026 || day.Year() > 2099 {
		f.plan("correct the request and recompile the plan", "the date is %q, want a day from 2026-01-01 to 2099-12-31", u.Date)
	}
	if u.Attempt < 1 || u.Attempt > mostAttempts {
		f.plan("correct the request and recompile the plan", "the attempt is %d, want 1 to %d", u.Attempt, mostAttempts)
	}
	if !cycleClaim.MatchString(u.Cycle) || len(u.Cycle) != len("c0045") {
		f.plan("correct the request and recompile the plan", "the cycle is %q, want a tag such as c0045", u.Cycle)
	}
	if u.Phalanx != "" && !commitHash.MatchString(u.Phalanx) {
		f.plan("correct the request and recompile the plan", "the commit of Phalanx is %q, want 40 hexadecimal digits", u.Phalanx)
	}
	if strings.TrimSpace(u.Reason) == "" {
		f.plan("correct the request and recompile the plan", "the request gives no reason, which the scripts want")
	}
}

func listedInOrder(v *view, f *findings) {
	row := map[string]int{}
	for i := range v.CSCs {
		row[v.CSCs[i].CSC] = i
	}
	for _, n := range v.steps {
		a, ok := n.Action.Parameters.(*plan.SetState)
		if !ok {
			continue
		}
		want := slices.SortedStableFunc(slices.Values(a.CSCs), func(x, y string) int {
			if a.State == plan.Offline {
				return cmp.Or(cmp.Compare(offlineRank(x, a.Queue), offlineRank(y, a.Queue)), row[x]-row[y])
			}
			return row[x] - row[y]
		})
		if slices.Equal(a.CSCs, want) || a.State != plan.Offline && slices.IsSortedFunc(a.CSCs, plan.CompareCSCs) {
			continue
		}
		for i := range want {
			if a.CSCs[i] != want[i] {
				f.step(n, "list the CSCs in the table's order", "it has %s where %s belongs: the script takes them in the order of the list", a.CSCs[i], want[i])
				break
			}
		}
	}
}

// offlineRank orders CSCs that go to OFFLINE: the Watcher, the others, the
// ScriptQueues from the last index down, the one that runs the script.
func offlineRank(csc string, queue int) int {
	switch {
	case csc == watcher:
		return 0
	case !isQueue(csc):
		return 1
	case csc == queueOf(queue):
		return math.MaxInt
	}
	_, index, _ := strings.Cut(csc, ":")
	n, _ := strconv.Atoi(index) // what is no number is refused when the plan is decoded
	return math.MaxInt - 1 - n
}
