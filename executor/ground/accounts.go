package ground

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
)

// accounts returns the environment in which sshd finds further accounts, beside
// the machine's own. They have the user id of own, so that sshd, run by anybody,
// can become them.
func (s *SSHD) accounts(own *user.User, names []string) []string {
	s.t.Helper()
	library, err := debianProgram(nssWrapper)
	if err != nil {
		s.t.Fatal(err)
	}
	passwd, err := os.ReadFile("/etc/passwd")
	if err != nil {
		s.t.Fatal(err)
	}
	group, err := os.ReadFile("/etc/group")
	if err != nil {
		s.t.Fatal(err)
	}
	more := bytes.NewBuffer(passwd)
	for _, name := range names {
		fmt.Fprintf(more, "%s:x:%s:%s:proving ground:%s:/bin/sh\n", name, own.Uid, own.Gid, s.Home)
	}
	s.write("passwd", more.Bytes(), 0o644)
	s.write("group", group, 0o644)
	return []string{
		"LD_PRELOAD=" + library,
		"NSS_WRAPPER_PASSWD=" + filepath.Join(s.dir, "passwd"),
		"NSS_WRAPPER_GROUP=" + filepath.Join(s.dir, "group"),
	}
}

// descendants are the processes that a process has started, and those that they
// have.
func descendants(pid int) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("look for the children of process %d: %w", pid, err)
	}
	parents := map[int]int{}
	for _, e := range entries {
		child, err := strconv.Atoi(e.Name())
		if err != nil {
			continue // not a process
		}
		stat, err := os.ReadFile(filepath.Join("/proc", e.Name(), "stat"))
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has ended
		}
		if err != nil {
			return nil, err
		}
		// pid (name) state parent ...; a name can hold anything.
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(fields) < 2 {
			return nil, fmt.Errorf("process %d has the state %q", child, stat)
		}
		if parents[child], err = strconv.Atoi(string(fields[1])); err != nil {
			return nil, fmt.Errorf("process %d has the state %q: %w", child, stat, err)
		}
	}
	found := []int{pid}
	for i := 0; i < len(found); i++ {
		for child, parent := range parents {
			if parent == found[i] && !slices.Contains(found, child) {
				found = append(found, child)
			}
		}
	}
	return found[1:], nil
}
