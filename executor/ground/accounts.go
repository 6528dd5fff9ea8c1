package ground

import (
	"bytes"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
)

// accounts returns the environment in which sshd finds further accounts,
// besides the machine's own. They have the user id of own, so that sshd can
// become them under any account that runs it.
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
