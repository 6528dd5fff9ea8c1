// Package exit defines csu's exit codes, and how an error chooses its own.
//
// An error with an exit code of its own has a method ExitCode, and an error with a
// remedy has a method Hint. [CodeOf] and [HintOf] find them in a chain of errors. An
// error without them counts as [Failed] and is printed without a hint.
package exit

import (
	"errors"
	"fmt"
)

// Code is an exit code of csu. It is a type of its own so that the ExitCode of an
// [os/exec.ExitError], which is another program's, is not mistaken for csu's.
type Code int

// The exit codes, as in README.md.
const (
	Complete    Code = 0
	Failed      Code = 1 // failed, stopped, or not as expected
	Input       Code = 2 // unusable input
	Refused     Code = 3 // refused by a guard
	Exceptions  Code = 4 // complete, but some CSCs were set aside or are not in their expected state
	Interrupted Code = 130
)

// CodeOf returns the exit code for an error: [Complete] for nil, otherwise that of the
// outermost error that has one, otherwise [Failed].
func CodeOf(err error) Code {
	var classed interface{ ExitCode() Code }
	switch {
	case err == nil:
		return Complete
	case errors.As(err, &classed):
		return classed.ExitCode()
	}
	return Failed
}

// HintOf returns the remedy of the outermost error that has one, in the imperative; ""
// if none has. A method Hint may return "" to leave the remedy to the cause.
func HintOf(err error) string {
	var hinted interface {
		error
		Hint() string
	}
	for errors.As(err, &hinted) {
		if hint := hinted.Hint(); hint != "" {
			return hint
		}
		err = errors.Unwrap(hinted)
	}
	return ""
}

// Error gives a cause an exit code and perhaps a remedy, if there is no error type for
// it.
type Error struct {
	Class  Code
	Remedy string // "" leaves the remedy to the cause
	Err    error
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// ExitCode returns the class.
func (e *Error) ExitCode() Code { return e.Class }

// Hint returns the remedy.
func (e *Error) Hint() string { return e.Remedy }

// Unusable returns an error about unusable input. The format is that of [fmt.Errorf].
func Unusable(hint, format string, args ...any) error {
	return &Error{Input, hint, fmt.Errorf(format, args...)}
}

// Refuse returns the error of a guard that refuses. The format is that of [fmt.Errorf].
func Refuse(hint, format string, args ...any) error {
	return &Error{Refused, hint, fmt.Errorf(format, args...)}
}

// RefuseBy returns the error of a guard that refuses for the reason that the cause
// gives, with the cause's own remedy if hint is "".
func RefuseBy(hint string, cause error) error { return &Error{Refused, hint, cause} }
