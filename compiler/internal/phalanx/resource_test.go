package phalanx

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/releaseutil"
)

// TestDocuments compares with Helm's own splitting.
func TestDocuments(t *testing.T) {
	t.Parallel()
	for _, file := range []string{
		"", "\n", "a: 1", "---\na: 1\n", "a: 1\n---\nb: 2\n", "a: 1\n--- # comment\nb: 2", "---\n---\na: 1\n---\n\n---\n", "a: |\n  x\n  ---\n  y\n---\nb: 2\n",
		"a: 1 --- b\n", "\n\n---\n\na: 1\n\n\n---   \nb: 2", "a: 1\r\n---\r\nb: 2\r\n", "a: 1\n---", "# only\n---\n# comments\n",
	} {
		helm := releaseutil.SplitManifests(file)
		var want []string
		for i := range len(helm) {
			// Helm leaves the second of two markers in front of its document.
			want = append(want, strings.TrimSpace(strings.TrimPrefix(helm[fmt.Sprintf("manifest-%d", i)], "---")))
		}
		want = slices.DeleteFunc(want, func(s string) bool { return s == "" })
		if got := documents(file); !slices.Equal(got, want) {
			t.Errorf("%q: %q, Helm has %q", file, got, want)
		}
	}
}
