// Package exit says what csu's exit codes mean, and how an error names its own.
//
// An error that knows its class has a method ExitCode, one that knows a remedy has
// a method Hint. [CodeOf] and [HintOf] find them in a chain of errors. An error that
// has neither needs nothing from here: it counts as [Failed] and is printed without
// a hint.
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
	Failed      Code = 1 // failed, stopped or different
	Input       Code = 2 // unusable input
	Refused     Code = 3 // refused by a guard
	Interrupted Code = 130
)

// CodeOf returns the exit code for an error: [Complete] for nil, else that of the
// outermost error that knows its class, else [Failed].
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

// HintOf returns the remedy of the outermost error that knows one, in the
// imperative; "" where none does. An error with a method Hint may return "" to leave
// the remedy to its cause.
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

// Error gives a cause a class and, where there is one, a remedy, for what has no
// error type of its own.
type Error struct {
	Class  Code
	Remedy string // "" leaves it to the cause
	Err    error
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// ExitCode returns the class.
func (e *Error) ExitCode() Code { return e.Class }

// Hint returns the remedy.
func (e *Error) Hint() string { return e.Remedy }

// Unusable is the error of an input that cannot be used, for a reason as
// [fmt.Errorf] makes it.
func Unusable(hint, format string, args ...any) error {
	return &Error{Input, hint, fmt.Errorf(format, args...)}
}

// Refuse is the error of a guard that refuses, for a reason as [fmt.Errorf] makes it.
func Refuse(hint, format string, args ...any) error {
	return &Error{Refused, hint, fmt.Errorf(format, args...)}
}
