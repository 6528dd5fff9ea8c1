// Command ground prepares a machine for the tests against real servers, and
// starts these servers for a person.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/lsst-ts/csu/executor/ground"
	"github.com/lsst-ts/csu/executor/plan"
)

const usage = `usage:
  ground prepare     install the Debian packages that are missing, as root, and build the tools
  ground serve PLAN  start all servers of the plan's site, until Ctrl-C

Run both inside the project's source.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, arguments []string, out, errs io.Writer) error {
	switch {
	case len(arguments) == 1 && arguments[0] == "prepare":
		return prepare(ctx, errs)
	case len(arguments) == 2 && arguments[0] == "serve":
		return serve(ctx, arguments[1], out, errs)
	}
	fmt.Fprint(errs, usage)
	return fmt.Errorf("unknown arguments %q", strings.Join(arguments, " "))
}

// prepare makes the machine ready to run the tests.
func prepare(ctx context.Context, errs io.Writer) error {
	if missing := ground.MissingPackages(); len(missing) > 0 {
		if os.Getuid() != 0 {
			return fmt.Errorf("the tests need Debian packages that are not installed: %s\nhint: %s", strings.Join(missing, ", "), ground.InstallHint(missing))
		}
		fmt.Fprintf(errs, "ground: installing the Debian packages %s\n", strings.Join(missing, ", "))
		for _, argv := range [][]string{{"apt-get", "update", "--quiet"}, ground.InstallCommand(missing)} {
			if err := install(ctx, argv, errs); err != nil {
				return err
			}
		}
		if missing := ground.MissingPackages(); len(missing) > 0 {
			return fmt.Errorf("still missing after apt-get: %s", strings.Join(missing, ", "))
		}
	}
	_, err := ground.BuildTools(ctx, errs)
	return err
}

func install(ctx context.Context, argv []string, errs io.Writer) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	cmd.Stdout, cmd.Stderr = errs, errs
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(argv, " "), err)
	}
	return nil
}

// serve starts the plan's site and keeps it running until ctx ends.
func serve(ctx context.Context, file string, out, errs io.Writer) (err error) {
	p, _, err := plan.ReadFile(file)
	if err != nil {
		return err
	}
	if missing := ground.MissingPackages(); len(missing) > 0 {
		return fmt.Errorf("the ground needs Debian packages that are not installed: %s\nhint: %s", strings.Join(missing, ", "), ground.InstallHint(missing))
	}
	if _, err := ground.BuildTools(ctx, errs); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "csu-site-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	session := ground.NewSession(ctx)
	defer func() { err = errors.Join(err, session.Close()) }()
	fmt.Fprintf(errs, "ground: starting the servers of %s\n", file)
	var site *ground.Site
	if err := session.Do(func(t testing.TB) {
		site = ground.StartSite(t, p, dir)
		site.ArgoCD.Deployment.Upgrade(t)
	}); err != nil {
		if ctx.Err() != nil {
			return nil // interrupted while the servers were starting
		}
		return err
	}
	fmt.Fprintf(out, `The proving ground of %[1]s is up, with the site as it is before the upgrade.

  site map    %[2]s
  kubectl     KUBECONFIG=%[3]s kubectl get jobs -A       (with the operator's permissions)
              KUBECONFIG=%[4]s kubectl get applications -n argocd   (as administrator)
  ssh         ssh -F %[5]s %[6]s
  EFD         %[7]s, database %[8]s
  deployment  %[9]s
              the plan's images are committed, but not yet synced by Argo CD

  csu         csu exec %[1]s --site-map %[2]s --consent all

The CSCs, LOVE, Slack and the effects of the hosts' commands are simulated; their
time runs faster than this machine's.
Ctrl-C ends the ground and removes its files.
`, file, filepath.Join(dir, "site-map.json"), filepath.Join(dir, "kubeconfig"), site.Cluster.AdminKubeconfig,
		filepath.Join(dir, "ssh_config"), anyHost(p), site.Simulator.EFDURL, site.EFD.Database, site.ArgoCD.Deployment.URL)
	<-ctx.Done()
	return nil
}

func anyHost(p *plan.Plan) string {
	if len(p.Hosts) == 0 {
		return "HOST"
	}
	return p.Hosts[0].Name
}
