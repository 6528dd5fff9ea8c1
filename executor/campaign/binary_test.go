package campaign

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// built is the folder of the binary, "" before it is built.
var built string

// program builds csu as it is installed, once.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "csu-campaign-")
	if err != nil {
		return "", err
	}
	built = dir
	name := filepath.Join(dir, "csu")
	if out, err := exec.Command("go", "build", "-o", name, "../../cmd/csu").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build csu: %w\n%s", err, out)
	}
	return name, nil
})

// TestKilledProcesses kills the real csu with SIGKILL at boundaries that are
// drawn, while it carries out the project's own plans. The last life is led by a
// person, since only a person answers what is in doubt.
func TestKilledProcesses(t *testing.T) {
	names := []string{upgrade}
	n := 10
	if *full {
		names = append(names, "2026-12-03-summit-recovery", "2026-12-01-tucson-teststand-full")
		n = 300
	}
	if *drawn > 0 {
		n = *drawn
	}
	c := newCampaign(t)
	for i := range n {
		c.draw(names[i%len(names)], i/len(names), Process)
	}
	c.finish("killed processes")
}
