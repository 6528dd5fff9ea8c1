package journal

import "github.com/lsst-ts/csu/executor/exit"

// What the errors mean to the command line: their exit codes and remedies.

// ExitCode says that a guard refused.
func (e *ExistsError) ExitCode() exit.Code { return exit.Refused }

// Hint returns the remedy.
func (e *ExistsError) Hint() string {
	return "see how far its run has come with csu status PLAN, and resume it with csu exec PLAN --resume"
}

// ExitCode says that a guard refused.
func (e *LockedError) ExitCode() exit.Code { return exit.Refused }

// Hint returns the remedy.
func (e *LockedError) Hint() string {
	return "wait until that csu has ended, or see how far it has come with csu status PLAN"
}

// ExitCode says that the run failed.
func (e *FailedError) ExitCode() exit.Code { return exit.Failed }

// Hint returns the remedy.
func (e *FailedError) Hint() string {
	return "mend the disk, then resume with csu exec PLAN --resume; csu finds out what became of the steps that were running"
}

// ExitCode says that the run failed.
func (e *LostFileError) ExitCode() exit.Code { return exit.Failed }

// ExitCode says that the input is unusable.
func (e *DamageError) ExitCode() exit.Code { return exit.Input }

// Hint returns the remedy.
func (e *DamageError) Hint() string {
	return "restore the journal from a copy; csu has not changed it"
}

// ExitCode says that the input is unusable.
func (e *CopyError) ExitCode() exit.Code { return exit.Input }

// Hint returns the remedy.
func (e *CopyError) Hint() string {
	return "bring the journal here from the machine where the run was last resumed, then run the command again"
}
