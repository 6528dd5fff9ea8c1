package executor

import (
	"cmp"
	"fmt"

	"github.com/lsst-ts/csu/executor/exit"
)

// RefusedError reports that a guard does not let the run begin or continue.
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

// ExitCode returns [exit.Refused].
func (e *RefusedError) ExitCode() exit.Code { return exit.Refused }

// Hint returns the remedy, or that of the cause.
func (e *RefusedError) Hint() string { return cmp.Or(e.Remedy, exit.HintOf(e.Err)) }

func refuse(remedy, format string, args ...any) *RefusedError {
	return &RefusedError{Reason: fmt.Sprintf(format, args...), Remedy: remedy}
}

// refusedBy returns a refusal with the reason and the remedy of err.
func refusedBy(err error) *RefusedError { return &RefusedError{Err: err} }

// withoutLedger returns the error of a command that could not read or write the site's
// ledger. It keeps the exit code and the remedy of the cause. Without a remedy, the
// cause is most likely a cluster that does not answer.
func withoutLedger(what string, cause error) error {
	return &exit.Error{
		Class:  exit.CodeOf(cause),
		Remedy: cmp.Or(exit.HintOf(cause), "check that the cluster is reachable, then run the command again"),
		Err:    fmt.Errorf("%s: %w", what, cause),
	}
}

// InputError reports unusable input, such as an unknown stage or a missing credential.
type InputError struct {
	Reason string
	Remedy string // may be empty
}

func (e *InputError) Error() string { return e.Reason }

// ExitCode returns [exit.Input].
func (e *InputError) ExitCode() exit.Code { return exit.Input }

// Hint returns the remedy.
func (e *InputError) Hint() string { return e.Remedy }

// AnswerError reports an answer that the question does not allow.
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

// ExitCode returns [exit.Input]: the answer may come from a file of answers.
func (e *AnswerError) ExitCode() exit.Code { return exit.Input }
