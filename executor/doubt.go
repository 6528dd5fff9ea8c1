package executor

import (
	"fmt"
	"strings"
)

// Open returns the steps that have an attempt whose outcome is not known, in the
// plan's order: those that this journal has as begun, and those that another csu may
// have carried out without the cluster.
func (s *State) Open() (begun, suspected []*StepState) {
	for _, st := range s.In(Started, InDoubt) {
		if st.Suspected {
			suspected = append(suspected, st)
		} else {
			begun = append(begun, st)
		}
	}
	return begun, suspected
}

// DoubtText says in a sentence how many steps another csu may have carried out
// without the cluster; "" where there is none.
func (s *State) DoubtText() string {
	const why = "looked into before its stage goes on, because another csu may have worked without the cluster."
	switch _, suspected := s.Open(); len(suspected) {
	case 0:
		return ""
	case 1:
		return "1 unfinished step is " + why
	default:
		return fmt.Sprintf("%d unfinished steps are %s", len(suspected), strings.Replace(why, "its stage goes", "their stages go", 1))
	}
}
