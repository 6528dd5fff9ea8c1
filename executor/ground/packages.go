package ground

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// nssWrapper is the library that gives sshd accounts which the machine lacks.
// Its folder is named after the architecture.
const nssWrapper = "/usr/lib/*/libnss_wrapper.so"

// debianPackages are the servers, programs and libraries of the proving ground
// that Debian provides, by package.
var debianPackages = []struct{ pkg, program string }{
	{"redis-server", "redis-server"},
	{"influxdb", influxBinary},
	{"openssh-server", sshdProgram},
	{"openssh-client", "ssh"},
	{"libnss-wrapper", nssWrapper},
	{"git", "git"},
	{"curl", "curl"},
	{"chromium", "chromium"}, // for the page that plan show writes
}

// MissingPackages returns the Debian packages that the proving ground needs but
// that are not installed.
func MissingPackages() []string {
	var missing []string
	for _, p := range debianPackages {
		if _, err := locate(p.program); err != nil {
			missing = append(missing, p.pkg)
		}
	}
	return missing
}

// debianProgram returns the path of a program of [debianPackages].
func debianProgram(program string) (string, error) {
	path, err := locate(program)
	if err == nil {
		return path, nil
	}
	for _, p := range debianPackages {
		if p.program == program {
			return "", fmt.Errorf("%s is not installed: install the Debian package %q, or run make servers", program, p.pkg)
		}
	}
	return "", err
}

// locate finds a program, or a library by a pattern for its path.
func locate(program string) (string, error) {
	if !strings.Contains(program, "*") {
		return exec.LookPath(program)
	}
	found, err := filepath.Glob(program)
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		return "", fmt.Errorf("%s: %w", program, os.ErrNotExist)
	}
	return found[0], nil
}

// InstallCommand returns the commands that install Debian packages.
func InstallCommand(packages []string) []string {
	return append([]string{"apt-get", "install", "--yes", "--no-install-recommends"}, packages...)
}

// InstallHint returns the same commands for a user who is not root.
func InstallHint(packages []string) string {
	return "sudo " + strings.Join(InstallCommand(packages), " ")
}
