package ledger

import "github.com/lsst-ts/csu/executor/exit"

// What the errors mean to the command line: their exit codes, and the remedies that
// are not beside their types.

// ExitCode says that a guard refused.
func (e *HeldError) ExitCode() exit.Code { return exit.Refused }

// ExitCode says that a guard refused.
func (e *EndedError) ExitCode() exit.Code { return exit.Refused }

// ExitCode says that a guard refused.
func (e *ElsewhereError) ExitCode() exit.Code { return exit.Refused }

// ExitCode says that a guard refused.
func (e *BehindError) ExitCode() exit.Code { return exit.Refused }

// ExitCode says that a guard refused.
func (e *UnknownError) ExitCode() exit.Code { return exit.Refused }

// Hint returns the remedy.
func (e *UnknownError) Hint() string {
	return "ask in the site's channel whether the run was continued elsewhere; if not, resume it with csu exec PLAN --resume"
}

// ExitCode says that a guard refused.
func (e *LiveError) ExitCode() exit.Code { return exit.Refused }

// ExitCode says that a guard refused.
func (e *DisplacedError) ExitCode() exit.Code { return exit.Refused }

// ExitCode says that a guard refused: what is not understood is not written over.
func (e *FormatError) ExitCode() exit.Code { return exit.Refused }

// ExitCode says that the command failed.
func (e *AwayError) ExitCode() exit.Code { return exit.Failed }

// Hint returns the remedy.
func (e *AwayError) Hint() string {
	return "check that the cluster is reachable, then run the command again"
}
