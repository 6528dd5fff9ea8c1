package executor

import "fmt"

// RefusedError says that a guard does not let the run begin or go on. Nothing
// was started because of it.
type RefusedError struct {
	Reason string
	Hint   string // what can be done about it; may be empty
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

func refuse(hint, format string, args ...any) *RefusedError {
	return &RefusedError{Reason: fmt.Sprintf(format, args...), Hint: hint}
}

// InputError says that what csu was given can't be used: an unknown stage, a
// credential that is missing.
type InputError struct {
	Reason string
	Hint   string
}

func (e *InputError) Error() string { return e.Reason }

// AnswerError says that an answer is none that its question allows.
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
