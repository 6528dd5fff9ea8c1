package efd

import (
	"fmt"
	"net/http"
)

// UnreachableError reports that the EFD did not answer: no connection, a broken
// one, or a status that means an outage. The read has been retried already.
// Nothing is known about any CSC.
type UnreachableError struct {
	Address string
	Status  int    // of HTTP; 0 if there was no answer
	Message string // the server's; may be empty
	Err     error  // of the connection; nil if there was an answer
}

func (e *UnreachableError) Error() string {
	switch {
	case e.Err != nil:
		return fmt.Sprintf("read the EFD: %s does not answer: %v", e.Address, e.Err)
	case e.Message != "":
		return fmt.Sprintf("read the EFD: %s is unavailable: %d %s: %s", e.Address, e.Status, http.StatusText(e.Status), e.Message)
	default:
		return fmt.Sprintf("read the EFD: %s is unavailable: %d %s", e.Address, e.Status, http.StatusText(e.Status))
	}
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// AuthError reports that the EFD does not let this user read.
type AuthError struct {
	Username string // empty if none was given
	Status   int    // 401 or 403
	Message  string // the server's; may be empty
}

func (e *AuthError) Error() string {
	who := fmt.Sprintf("the user %q", e.Username)
	if e.Username == "" {
		who = "requests without a user name"
	}
	if e.Message == "" {
		return fmt.Sprintf("read the EFD: the server refuses %s (%d)", who, e.Status)
	}
	return fmt.Sprintf("read the EFD: the server refuses %s (%d): %s", who, e.Status, e.Message)
}

// QueryError reports that the EFD could not run a query: an error inside an
// answer of status 200, such as a missing database or a statement that does not
// parse.
type QueryError struct {
	Statement string // empty if unknown
	Message   string // the server's

	// cutShort reports whether the server gave the error of a statement after
	// the one that failed. InfluxDB 1.6 replaces the real error by its "not
	// executed".
	cutShort bool
}

func (e *QueryError) Error() string {
	if e.Statement == "" {
		return "read the EFD: " + e.Message
	}
	return fmt.Sprintf("read the EFD: %s: in %s", e.Message, e.Statement)
}

// FormatError reports that the answer does not have the form of InfluxDB or of
// the topic: another server answered, a field is missing, or the answer was
// truncated.
type FormatError struct {
	Measurement string // empty if it is about the whole answer
	Reason      string
}

func (e *FormatError) Error() string {
	if e.Measurement == "" {
		return "read the EFD: " + e.Reason
	}
	return fmt.Sprintf("read the EFD: %q: %s", e.Measurement, e.Reason)
}
