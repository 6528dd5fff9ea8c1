package exit_test

import (
	"errors"
	"fmt"
	"os/exec"
	"testing"

	"github.com/lsst-ts/csu/executor/exit"
)

// advised knows a remedy and no class.
type advised struct{ remedy string }

func (*advised) Error() string  { return "advised" }
func (a *advised) Hint() string { return a.remedy }

// TestChain: code and hint come from the outermost error of a chain that knows
// them, each by itself; what nobody knows is a failure without a hint.
func TestChain(t *testing.T) {
	t.Parallel()
	plain := errors.New("plain")
	of := func(code exit.Code, hint string, err error) error {
		return &exit.Error{Class: code, Remedy: hint, Err: err}
	}
	git := exec.Command("sh", "-c", "exit 128").Run()
	if git == nil {
		t.Fatal("the shell did not fail")
	}
	for name, c := range map[string]struct {
		err  error
		code exit.Code
		hint string
	}{
		"none":                     {nil, exit.Complete, ""},
		"unclassified":             {fmt.Errorf("read: %w", plain), exit.Failed, ""},
		"another program's code":   {fmt.Errorf("git: %w", git), exit.Failed, ""},
		"input":                    {exit.Unusable("mend it", "read: %w", plain), exit.Input, "mend it"},
		"wrapped":                  {fmt.Errorf("begin: %w", of(exit.Refused, "wait", plain)), exit.Refused, "wait"},
		"the outermost wins":       {of(exit.Failed, "outer", of(exit.Refused, "inner", plain)), exit.Failed, "outer"},
		"no hint of its own":       {of(exit.Failed, "", of(exit.Refused, "inner", plain)), exit.Failed, "inner"},
		"hint without a class":     {&advised{"advice"}, exit.Failed, "advice"},
		"class below a hint":       {fmt.Errorf("%w: %w", &advised{"advice"}, of(exit.Input, "", plain)), exit.Input, "advice"},
		"an empty hint and a leaf": {&advised{}, exit.Failed, ""},
		"joined":                   {errors.Join(plain, of(exit.Refused, "first", plain), of(exit.Input, "second", plain)), exit.Refused, "first"},
	} {
		if code, hint := exit.CodeOf(c.err), exit.HintOf(c.err); code != c.code || hint != c.hint {
			t.Errorf("%s: code %d, hint %q; want %d, %q", name, code, hint, c.code, c.hint)
		}
	}
}
