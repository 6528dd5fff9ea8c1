package rehearsal

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"time"
)

// rootVariable marks the processes of a simulated host. Detached processes inherit it
// too.
const rootVariable = "CSU_REHEARSAL_HOST_ROOT"

// environment returns the environment of the user's commands.
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

// processes returns the host's living processes.
func (h *host) processes() ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("find the hosts' processes: this machine has no /proc")
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
		// If it cannot be read, the process has ended or is another user's.
		environment, err := os.ReadFile(filepath.Join("/proc", e.Name(), "environ"))
		if err == nil && bytes.Contains(environment, mark) {
			found = append(found, pid)
		}
	}
	return found, nil
}

// detachedScript matches the script of csu's detached commands in the command line of the
// shell that runs it.
var detachedScript = regexp.MustCompile(`/\.csu/([^/\x00]+)/script\x00`)

// detachedAs returns csu's name for the detached commands that a process is one of; "" if
// it is none of them. It follows the process's parents, which wait for it.
func detachedAs(pid string) string {
	for pid != "" && pid != "0" {
		line, err := os.ReadFile(filepath.Join("/proc", pid, "cmdline"))
		if err != nil {
			return ""
		}
		if found := detachedScript.FindSubmatch(line); found != nil {
			return string(found[1])
		}
		stat, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
		if err != nil {
			return ""
		}
		// After the name, which may have spaces and parentheses: the state and the parent.
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(fields) < 2 {
			return ""
		}
		pid = string(fields[1])
	}
	return ""
}

// killLimit is how long, in real time, the processes of a host may take to disappear
// after they were killed. A busy machine is slow at that.
const killLimit = time.Minute

// killAll kills the host's processes until none is left.
func (h *host) killAll() error {
	for began := time.Now(); time.Since(began) < killLimit; {
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
	return fmt.Errorf("kill the processes of host %q: some are still there after %s", h.row.Name, killLimit)
}
