package rehearsal

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// rootVariable marks the processes of a simulated host: they inherit it, be
// they ever so detached.
const rootVariable = "CSU_REHEARSAL_HOST_ROOT"

// environment is what a command of the user finds.
func (h *host) environment(user string) []string {
	tools := "/usr/local/bin:/usr/bin:/bin"
	if h.bare() {
		tools = h.tools()
	}
	return []string{
		rootVariable + "=" + h.root,
		"CSU_REHEARSAL_HOST=" + h.row.Name,
		"CSU_REHEARSAL_CALLS=" + h.site.calls.dir,
		"HOME=" + h.home(user), "USER=" + user, "LOGNAME=" + user, "SHELL=/bin/sh", "LANG=C.UTF-8",
		"PATH=" + filepath.Join(h.root, "bin") + ":" + tools,
	}
}

// processes are those of the host that are alive now.
func (h *host) processes() ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("this machine has no /proc, in which the hosts' processes could be found")
	}
	if err != nil {
		return nil, err
	}
	mark := []byte(rootVariable + "=" + h.root + "\x00")
	var found []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		// One that has ended meanwhile, or is another user's, is none of ours.
		environment, err := os.ReadFile(filepath.Join("/proc", e.Name(), "environ"))
		if err == nil && bytes.Contains(environment, mark) {
			found = append(found, pid)
		}
	}
	return found, nil
}

// dying is how long, in real time, the processes of a host are given to be gone
// after they were killed: a busy machine comes to that late.
const dying = time.Minute

// killAll kills the host's processes, until none starts another.
func (h *host) killAll() error {
	for began := time.Now(); time.Since(began) < dying; {
		found, err := h.processes()
		if err != nil || len(found) == 0 {
			return err
		}
		for _, pid := range found {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("kill process %d of host %q: %w", pid, h.row.Name, err)
			}
		}
		time.Sleep(10 * time.Millisecond) // real processes, real time
	}
	return fmt.Errorf("processes of host %q start again as fast as they are killed", h.row.Name)
}
