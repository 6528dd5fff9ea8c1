package verify

import (
	"testing"

	"github.com/lsst-ts/csu/executor/plan"
)

func TestSelector(t *testing.T) {
	ess := jobLabels(&plan.Job{Label: "ess105", CSCName: "ess105", CSCClass: "ess"})
	for selector, want := range map[string]bool{
		"csc":                           true,
		"csc-class=ess":                 true,
		"csc-class==ess":                true,
		"csc-class=es":                  false,
		"csc-class=ess,csc-name=ess105": true,
		"csc-class=ess,csc-name=ess104": false,
		"csc-class,csc-name=ess105":     true,
	} {
		r, err := parseSelector(selector)
		if err != nil {
			t.Errorf("%q: %v", selector, err)
		} else if got := matches(r, ess); got != want {
			t.Errorf("%q: matches %v, want %v", selector, got, want)
		}
	}
}

// TestSelectorRefused: what can't be read must not be taken for something that
// finds less than it does.
func TestSelectorRefused(t *testing.T) {
	for _, selector := range []string{
		"!csc", "csc-class!=ess", "csc-class in (ess)", "csc-class notin (gis)", "csc-class,csc-class!=watcher", "csc-class = ess", "csc-class=", "csc-class=ess, csc-name=ess105",
		"", ",", "csc,", "app=ess", "!app", "app in (a)", "csc-class in ess", "csc-class in (", "csc-class in (a", "csc-class in a)", "csc-class=a=b",
		"csc-class>1", "csc-class=-a", "csc-class=a b", "csc-class in (a) csc", "csc-class(", "((", "))", "=", "!=", "csc-class in (a,b", "csc-class exists",
	} {
		if r, err := parseSelector(selector); err == nil {
			t.Errorf("%q is read as %+v", selector, r)
		}
	}
}

// TestSelectorAbsent: a Job without the label is never matched, as Kubernetes has it.
func TestSelectorAbsent(t *testing.T) {
	none := jobLabels(&plan.Job{})
	for _, selector := range []string{"csc", "csc=a", "csc-class"} {
		r, err := parseSelector(selector)
		if err != nil {
			t.Fatal(err)
		}
		if matches(r, none) {
			t.Errorf("%q matches a Job without labels", selector)
		}
	}
}
