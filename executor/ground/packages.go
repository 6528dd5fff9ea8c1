package ground

import (
	"fmt"
	"os/exec"
	"strings"
)

// debianPackages are the servers and programs of the proving ground that Debian
// has, by the package that holds them.
var debianPackages = []struct{ pkg, program string }{
	{"redis-server", "redis-server"},
	{"influxdb", influxBinary},
	{"openssh-server", sshdProgram},
	{"openssh-client", "ssh"},
	{"git", "git"},
	{"curl", "curl"},
	{"chromium", "chromium"}, // for the page that plan show writes
}

// MissingPackages returns the Debian packages that the proving ground needs and
// that this machine lacks.
func MissingPackages() []string {
	var missing []string
	for _, p := range debianPackages {
		if _, err := exec.LookPath(p.program); err != nil {
			missing = append(missing, p.pkg)
		}
	}
	return missing
}

// debianProgram returns the path of a program of [debianPackages].
func debianProgram(program string) (string, error) {
	path, err := exec.LookPath(program)
	if err == nil {
		return path, nil
	}
	for _, p := range debianPackages {
		if p.program == program {
			return "", fmt.Errorf("%s is not installed: install the Debian package %q, or run make prepare", program, p.pkg)
		}
	}
	return "", err
}

// InstallCommand is what installs Debian packages.
func InstallCommand(packages []string) []string {
	return append([]string{"apt-get", "install", "--yes", "--no-install-recommends"}, packages...)
}

// InstallHint is the same, for a person who is not root.
func InstallHint(packages []string) string {
	return "sudo " + strings.Join(InstallCommand(packages), " ")
}
