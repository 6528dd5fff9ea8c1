package cluster

import (
	"fmt"

	"github.com/lsst-ts/csu/executor/exit"
)

// What the errors mean to the command line and to preflight: exit codes and
// remedies.

// ExitCode says that the input is unusable.
func (e *KubeconfigError) ExitCode() exit.Code { return exit.Input }

// Hint returns the remedy.
func (e *KubeconfigError) Hint() string {
	return "csu reads the kubeconfig as kubectl does: set KUBECONFIG, and check it with kubectl config get-contexts"
}

// ExitCode says that a guard refused.
func (e *TargetError) ExitCode() exit.Code { return exit.Refused }

// Hint returns the remedy.
func (e *TargetError) Hint() string {
	return fmt.Sprintf("set KUBECONFIG to the kubeconfig of the site's cluster, with the context %s", e.WantContext)
}

// ExitCode says that the command failed: the site's administrators have not prepared
// the cluster.
func (e *MissingError) ExitCode() exit.Code { return exit.Failed }

// Hint returns the remedy.
func (e *NoPodError) Hint() string {
	return fmt.Sprintf("look at its pods: kubectl get pods -n %s -l %s", e.Namespace, e.Selector)
}
