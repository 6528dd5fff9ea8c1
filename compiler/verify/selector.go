package verify

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/executor/plan"
)

// A requirement is one part of a label selector.
type requirement struct {
	key    string
	op     string // "=", "!=", "in", "notin", "exists" or "absent"
	values []string
}

var (
	setBased = regexp.MustCompile(`^(\S+)\s+(in|notin)\s*\(([^()]*)\)$`)
	equality = regexp.MustCompile(`^([^\s=!]+)\s*(==|=|!=)\s*([^\s=!]*)$`)
	presence = regexp.MustCompile(`^(!?)\s*([^\s=!(),]+)$`)
	label    = regexp.MustCompile(`^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$`)
)

// jobLabels returns the labels of the CSC chart that the plan's table has.
func jobLabels(j *plan.Job) map[string]string {
	return map[string]string{"csc": j.Label, "csc-name": j.CSCName, "csc-class": j.CSCClass}
}

// parseSelector parses a Kubernetes label selector. It refuses labels that the
// plan's table does not have, since what they match is unknown.
func parseSelector(selector string) ([]requirement, error) {
	var out []requirement
	for _, part := range splitSelector(selector) {
		r, err := parseRequirement(strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// splitSelector splits at the commas outside parentheses.
func splitSelector(s string) []string {
	var out []string
	depth, start := 0, 0
	for i, r := range s {
		switch r {
		case '(':
			depth++
		case ')':
			depth--
		case ',':
			if depth == 0 {
				out = append(out, s[start:i])
				start = i + 1
			}
		}
	}
	return append(out, s[start:])
}

func parseRequirement(s string) (requirement, error) {
	var r requirement
	if m := setBased.FindStringSubmatch(s); m != nil {
		r = requirement{key: m[1], op: m[2]}
		for _, v := range strings.Split(m[3], ",") {
			r.values = append(r.values, strings.TrimSpace(v))
		}
	} else if m := equality.FindStringSubmatch(s); m != nil {
		r = requirement{m[1], strings.Replace(m[2], "==", "=", 1), []string{m[3]}}
	} else if m := presence.FindStringSubmatch(s); m != nil {
		r = requirement{key: m[2], op: "exists"}
		if m[1] != "" {
			r.op = "absent"
		}
	} else {
		return r, fmt.Errorf("cannot parse requirement %q", s)
	}
	if _, ok := jobLabels(&plan.Job{})[r.key]; !ok {
		return r, fmt.Errorf("label %q is not in the plan's table (which has csc, csc-name and csc-class)", r.key)
	}
	for _, v := range r.values {
		if !label.MatchString(v) {
			return r, fmt.Errorf("%q is not a label value", v)
		}
	}
	return r, nil
}

func matches(requirements []requirement, labels map[string]string) bool {
	for _, r := range requirements {
		value := labels[r.key]
		ok := false
		switch r.op {
		case "=", "in":
			ok = value != "" && slices.Contains(r.values, value)
		case "!=", "notin":
			ok = !slices.Contains(r.values, value)
		case "exists":
			ok = value != ""
		case "absent":
			ok = value == ""
		}
		if !ok {
			return false
		}
	}
	return true
}
