package campaign

import (
	"bytes"
	"fmt"

	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/timeline"
	"github.com/lsst-ts/csu/executor/timeline/timelinetest"
)

// mostReports is how many reports are made of one journal.
const mostReports = 60

// misreported returns what is wrong with the reports of a journal that is cut after some
// of its records, or after all.
func misreported(p *plan.Plan, digest string, content []byte) []string {
	every := 1 + bytes.Count(content, []byte("\n"))/mostReports
	l, n := timeline.NewLog(p, digest), 0
	problem := func() string { return timelinetest.Wrong(l.Report(timeline.Options{})) }
	err := journal.Lines("journal", bytes.NewReader(content), func(r *journal.Record) error {
		n++
		if err := l.Take(r); err != nil || n%every != 0 {
			return err
		}
		if text := problem(); text != "" {
			return fmt.Errorf("the report after record %d: %s", n, text)
		}
		return nil
	})
	if err != nil {
		return []string{err.Error()}
	}
	if text := problem(); n > 0 && text != "" {
		return []string{"the report: " + text}
	}
	return nil
}
