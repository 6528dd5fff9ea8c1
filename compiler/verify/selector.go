package verify

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/lsst-ts/csu/executor/plan"
)

// A requirement is one part of a label selector.
type requirement struct {
	key   string
	value string // "" where the label must be there, with any value
}

var (
	equality = regexp.MustCompile(`^([^\s=!]+)==?([^\s=!]+)$`)
	presence = regexp.MustCompile(`^([^\s=!(),]+)$`)
	label    = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$`)
)

// jobLabels returns the labels of the CSC chart that the plan's table has.
func jobLabels(j *plan.Job) map[string]string {
	return map[string]string{"csc": j.Label, "csc-name": j.CSCName, "csc-class": j.CSCClass}
}

// parseSelector parses a label selector of the forms that the procedure has (P18,
// P21): labels with their values, or the presence of a label. It refuses all others.
// What they match besides the Jobs of the plan's table is unknown: csc-class!=ess
// also matches every Job without the label. It refuses labels that the table does
// not have for the same reason.
func parseSelector(selector string) ([]requirement, error) {
	var out []requirement
	for _, part := range strings.Split(selector, ",") {
		r := requirement{key: part}
		if m := equality.FindStringSubmatch(part); m != nil {
			r = requirement{m[1], m[2]}
		} else if !presence.MatchString(part) {
			return nil, fmt.Errorf("%q is neither a label with its value nor a label", part)
		}
		if _, ok := jobLabels(&plan.Job{})[r.key]; !ok {
			return nil, fmt.Errorf("label %q is not in the plan's table (which has csc, csc-name and csc-class)", r.key)
		}
		if r.value != "" && !label.MatchString(r.value) {
			return nil, fmt.Errorf("%q is not a label value", r.value)
		}
		out = append(out, r)
	}
	return out, nil
}

func matches(requirements []requirement, labels map[string]string) bool {
	for _, r := range requirements {
		if value := labels[r.key]; value == "" || r.value != "" && r.value != value {
			return false
		}
	}
	return true
}
