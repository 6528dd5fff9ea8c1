package journal

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// Held tells whether an executor has the journal open now. It takes no lock to
// find out, not even for a moment: an executor that starts meanwhile must not
// be turned away because somebody looked.
//
// Where the system does not list its locks, the process that the last run or
// resume record names is looked for instead, which is less sure.
func Held(name string) (bool, error) {
	info, err := os.Stat(name)
	if err != nil {
		return false, fmt.Errorf("look at journal %q: %w", name, err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	locks, err := os.Open("/proc/locks")
	if err != nil || !ok {
		return recordedProcessRuns(name)
	}
	defer locks.Close()
	inode := fmt.Sprintf(":%d", stat.Ino)
	lines := bufio.NewScanner(locks)
	for lines.Scan() {
		// "7: FLOCK  ADVISORY  WRITE 3112 fe:00:1837 0 EOF"; a line with "->" waits.
		f := strings.Fields(lines.Text())
		if len(f) >= 6 && f[1] == "FLOCK" && f[3] == "WRITE" && strings.HasSuffix(f[5], inode) {
			return true, nil
		}
	}
	if err := lines.Err(); err != nil {
		return false, fmt.Errorf("look at journal %q: %w", name, err)
	}
	return false, nil
}

func recordedProcessRuns(name string) (bool, error) {
	pid := 0
	err := Read(Disk, name, func(r *Record) error {
		if r.Run != nil {
			pid = r.Run.PID
		}
		return nil
	})
	if err != nil || pid == 0 {
		return false, err
	}
	// Signal 0 only asks; a process of somebody else exists too.
	err = syscall.Kill(pid, 0)
	return err == nil || err == syscall.EPERM, nil
}
