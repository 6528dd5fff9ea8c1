// Package early relaxes the garbage collector before the packages that csu depends on
// initialise. They allocate some megabytes, and rendering Phalanx allocates 170, of which
// little lives: with Go's default the collector takes a fifth of csu's start and a third
// of a rendering. csu's live heap is small, so that this costs at most a few hundred
// megabytes.
//
// Go initialises packages in the order of their import paths as soon as what they import
// is initialised. This one imports nothing but the standard library, so it comes before
// the large ones: Kubernetes' schemes and Helm's schema validator.
package early

import (
	"os"
	"runtime/debug"
)

func init() {
	if _, set := os.LookupEnv("GOGC"); !set {
		debug.SetGCPercent(400)
	}
}
