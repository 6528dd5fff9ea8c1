package report

import (
	"fmt"
	"strings"

	"github.com/lsst-ts/csu/executor/state"
)

// Waiting describes the question that is open, or was when csu ended; "" if there is none.
func Waiting(s *state.State) string {
	r := s.Asked
	if r == nil {
		return ""
	}
	about := ""
	switch {
	case r.Step != "":
		about = fmt.Sprintf(" at %s", r.Step)
	case r.Stage != "":
		about = fmt.Sprintf(" at stage %q", r.Stage)
	}
	text, more, _ := strings.Cut(r.Question.Text, "\n")
	if more != "" {
		text = strings.TrimRight(text, ":") + " …"
	}
	return fmt.Sprintf("%s%s: %s", r.Question.Topic, about, text)
}
