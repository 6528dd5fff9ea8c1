package executor

import (
	"cmp"
	"fmt"

	"github.com/lsst-ts/csu/executor/exit"
)

// RefusedError says that a guard does not let the run begin or go on. Nothing
// was started because of it.
type RefusedError struct {
	Reason string
	Remedy string // "" leaves it to the cause
	Err    error  // the cause, or nil
}

func (e *RefusedError) Error() string {
	if e.Err != nil && e.Reason == "" {
		return e.Err.Error()
	}
	if e.Err != nil {
		return e.Reason + ": " + e.Err.Error()
	}
	return e.Reason
}

// Unwrap returns the cause.
func (e *RefusedError) Unwrap() error { return e.Err }

// ExitCode says that a guard refused.
func (e *RefusedError) ExitCode() exit.Code { return exit.Refused }

// Hint returns the remedy, or that of the cause.
func (e *RefusedError) Hint() string { return cmp.Or(e.Remedy, exit.HintOf(e.Err)) }

func refuse(remedy, format string, args ...any) *RefusedError {
	return &RefusedError{Reason: fmt.Sprintf(format, args...), Remedy: remedy}
}

// refusedBy is a refusal for the reason, and with the remedy, that an error carries.
func refusedBy(err error) *RefusedError { return &RefusedError{Err: err} }

// withoutLedger is the error of a command that needs the site's ledger, which was not
// read or written because of the cause. It keeps the cause's class and remedy; a
// cause that has neither is taken for a cluster that does not answer.
func withoutLedger(what string, cause error) error {
	return &exit.Error{
		Class:  exit.CodeOf(cause),
		Remedy: cmp.Or(exit.HintOf(cause), "check that the cluster is reachable, then run the command again"),
		Err:    fmt.Errorf("%s: %w", what, cause),
	}
}

// InputError says that what csu was given is unusable: an unknown stage, a
// missing credential.
type InputError struct {
	Reason string
	Remedy string // may be empty
}

func (e *InputError) Error() string { return e.Reason }

// ExitCode says that the input is unusable.
func (e *InputError) ExitCode() exit.Code { return exit.Input }

// Hint returns the remedy.
func (e *InputError) Hint() string { return e.Remedy }

// AnswerError says that the question does not allow the answer.
type AnswerError struct {
	Stage, Step string
	Topic       string
	Choice      string
	Reason      string
}

func (e *AnswerError) Error() string {
	at := ""
	switch {
	case e.Step != "":
		at = fmt.Sprintf(" at %q", e.Step)
	case e.Stage != "":
		at = fmt.Sprintf(" at %q", e.Stage)
	}
	return fmt.Sprintf("answer to %q%s: the answer %q %s", e.Topic, at, e.Choice, e.Reason)
}

// ExitCode says that the input, such as a file of answers, is unusable.
func (e *AnswerError) ExitCode() exit.Code { return exit.Input }
