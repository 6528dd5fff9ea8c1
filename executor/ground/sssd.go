package ground

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// sssdProxy is a stand-in for SSSD's sss_ssh_knownhostsproxy, which a Rubin host
// has as the ProxyCommand for all hosts. It has the host keys of the directory
// written to a file, which is replaced as a whole, and then forwards. The real
// one says what went wrong as this one does, on its standard error.
const sssdProxy = `#!/bin/bash
# usage: sss_ssh_knownhostsproxy -p PORT HOST
cp %[1]q/directory %[1]q/pubconf/.known_hosts.$$ && mv %[1]q/pubconf/.known_hosts.$$ %[1]q/pubconf/known_hosts || exit 1
exec 3<>"/dev/tcp/$3/$2" || exit 1
exec 4<&0
cat <&4 >&3 3<&- &
exec cat <&3 3<&- 4<&-
`

// clientOptions are those of a Rubin host for all hosts (lsst-it/lsst-control,
// hieradata/common.yaml, ssh::client_options), with the stand-in's paths.
const clientOptions = `Host *
  GlobalKnownHostsFile %[1]s/pubconf/known_hosts
  PubkeyAuthentication yes
  ProxyCommand %[1]s/sss_ssh_knownhostsproxy -p %%p %%h
  GSSAPIAuthentication yes
`

// writeSSSD writes the stand-in below dir, with the directory's host keys, and
// returns the client options that use it.
func writeSSSD(t testing.TB, dir, keys string) string {
	t.Helper()
	dir = filepath.Join(dir, "sssd")
	if err := os.MkdirAll(filepath.Join(dir, "pubconf"), 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "directory"), []byte(keys))
	proxy := filepath.Join(dir, "sss_ssh_knownhostsproxy")
	writeFile(t, proxy, fmt.Appendf(nil, sssdProxy, dir))
	if err := os.Chmod(proxy, 0o755); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(clientOptions, dir)
}
