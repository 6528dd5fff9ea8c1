package efd

import (
	"fmt"
	"net/http"
)

// UnreachableError says that the EFD gave no answer: no connection, a broken
// one, or a status that tells of an outage. It has been tried again already.
// Nothing is known about any CSC.
type UnreachableError struct {
	Address string
	Status  int    // of HTTP; 0 if none came
	Message string // what the server said beside the status, may be empty
	Err     error  // of the connection; nil if a status came
}

func (e *UnreachableError) Error() string {
	switch {
	case e.Err != nil:
		return fmt.Sprintf("read the EFD: %s does not answer: %v", e.Address, e.Err)
	case e.Message != "":
		return fmt.Sprintf("read the EFD: %s is not available: %d %s: %s", e.Address, e.Status, http.StatusText(e.Status), e.Message)
	default:
		return fmt.Sprintf("read the EFD: %s is not available: %d %s", e.Address, e.Status, http.StatusText(e.Status))
	}
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// AuthError says that the EFD does not let this user read.
type AuthError struct {
	Username string // empty: none was given
	Status   int    // 401 or 403
	Message  string // what the server said, may be empty
}

func (e *AuthError) Error() string {
	who := fmt.Sprintf("the user %q", e.Username)
	if e.Username == "" {
		who = "a request without a user name"
	}
	if e.Message == "" {
		return fmt.Sprintf("read the EFD: it refuses %s (%d)", who, e.Status)
	}
	return fmt.Sprintf("read the EFD: it refuses %s (%d): %s", who, e.Status, e.Message)
}

// QueryError says that the EFD could not carry out a query: an error inside an
// answer of status 200, such as a database that it does not have, or a
// statement that it can't parse.
type QueryError struct {
	Statement string // empty: not known which
	Message   string // the server's

	// cutShort: the server gave the error of a statement that follows the one
	// that failed. InfluxDB 1.6 puts its "not executed" over the real error.
	cutShort bool
}

func (e *QueryError) Error() string {
	if e.Statement == "" {
		return "read the EFD: " + e.Message
	}
	return fmt.Sprintf("read the EFD: %s: in %s", e.Message, e.Statement)
}

// FormatError says that the answer is not what InfluxDB, or the topic's
// definition, promises: another server answered, a field is missing, the
// answer was cut off.
type FormatError struct {
	Measurement string // empty: the answer as a whole
	Reason      string
}

func (e *FormatError) Error() string {
	if e.Measurement == "" {
		return "read the EFD: " + e.Reason
	}
	return fmt.Sprintf("read the EFD: %q: %s", e.Measurement, e.Reason)
}
