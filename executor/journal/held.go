package journal

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
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
	lines := bufio.NewScanner(locks)
	for lines.Scan() {
		pid, device, inode := lockOf(lines.Text())
		if inode == fmt.Sprint(stat.Ino) && (device == deviceOf(uint64(stat.Dev)) || hasOpen(pid, info)) {
			return true, nil
		}
	}
	if err := lines.Err(); err != nil {
		return false, fmt.Errorf("look at journal %q: %w", name, err)
	}
	return false, nil
}

// lockOf returns which process holds which file, from a line of /proc/locks such
// as "7: FLOCK  ADVISORY  WRITE 3112 fe:00:1837 0 EOF"; nothing of other locks, and
// of those that wait, which have a "->".
func lockOf(line string) (pid, device, inode string) {
	f := strings.Fields(line)
	if len(f) < 6 || f[1] != "FLOCK" || f[3] != "WRITE" {
		return "", "", ""
	}
	end := strings.LastIndexByte(f[5], ':')
	return f[4], f[5][:max(end, 0)], f[5][end+1:]
}

// deviceOf writes a device number as /proc/locks does.
func deviceOf(dev uint64) string {
	major := dev>>8&0xfff | dev>>32&^0xfff
	minor := dev&0xff | dev>>12&0xffffff00
	return fmt.Sprintf("%02x:%02x", major, minor)
}

// hasOpen tells whether a process has the file open. Some file systems, such as
// btrfs and overlayfs, show another device in stat(2) than in /proc/locks. False
// where the process is somebody else's, whose files can't be seen.
func hasOpen(pid string, file os.FileInfo) bool {
	dir := filepath.Join("/proc", pid, "fd")
	open, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, fd := range open {
		if info, err := os.Stat(filepath.Join(dir, fd.Name())); err == nil && os.SameFile(info, file) {
			return true
		}
	}
	return false
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
