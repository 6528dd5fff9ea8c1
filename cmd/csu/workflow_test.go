package main

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// TestWorkflow holds the workflow files to GitHub's own rules for them.
func TestWorkflow(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../.github/workflows/*.yml")
	if err != nil || len(files) == 0 {
		t.Fatalf("workflow files: %v, %v", files, err)
	}
	if out, err := exec.Command("go", append([]string{"tool", "actionlint", "-shellcheck=", "-pyflakes="}, files...)...).CombinedOutput(); err != nil {
		t.Errorf("actionlint: %v\n%s", err, out)
	}
}
