package efd

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
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

// QueryError reports that the EFD did not run a query: an error inside an answer
// of status 200, or status 400. Unless the query itself is at fault, the read has
// been retried already. The text is the server's, without the query, which would
// make the same trouble look different at every poll.
type QueryError struct {
	Message string // the server's
	refused bool   // by status 400
	at      int    // the statement's index
}

func (e *QueryError) Error() string { return "read the EFD: " + e.Message }

// lasting are the beginnings of the errors that another try cannot mend. All the
// others may pass, since csu's statements are always the same: an overloaded or
// restarting InfluxDB says "max-concurrent-queries limit exceeded(20, 20)", "query
// interrupted", "query-timeout limit exceeded", "query engine shutdown", "engine is
// closed", "shard is disabled", "timeout", or what the operating system says, such
// as "too many open files", each with status 200.
//
// The texts are those of influxdata/influxdb at 09783cb (branch 1.8) and ea88f9e
// (1.6): query/executor.go, query/compile.go, tsdb/shard.go, tsdb/store.go,
// coordinator/statement_executor.go.
var lasting = []string{"database not found", "database name required", "retention policy not found", "undefined function"}

// passing reports whether another try may help.
func (e *QueryError) passing() bool {
	return !e.refused && !slices.ContainsFunc(lasting, func(s string) bool { return strings.HasPrefix(e.Message, s) })
}

// Hint returns the remedy.
func (e *QueryError) Hint() string {
	if e.passing() {
		return "the EFD is overloaded or restarting: wait a minute, then try again"
	}
	return "check the name of the EFD's database in the site's files"
}

// notExecuted is InfluxDB's error for the statements after one that failed. It also
// replaces the error of the statement that failed, unless that is the last one.
const notExecuted = "not executed"

// withoutQuery cuts the query off an error's text: InfluxDB reports a panic as
// "SELECT … [panic:…]".
func withoutQuery(message string) string {
	if i := strings.Index(message, "[panic:"); i >= 0 {
		return "the server failed on the query " + message[i:]
	}
	return message
}

// FormatError reports that the answer does not have the form of InfluxDB or of
// the topic: another server answered, a field is missing, the answer was truncated,
// or it is not the answer to what was asked. The read has been retried already,
// unless it is about one field of a topic.
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

// AheadError reports a time that lies in the future, by more than clocks may differ.
// Nothing can be said of what has such a time: whatever came later would look older.
type AheadError struct {
	Measurement string
	By          time.Duration // ahead of this machine's clock
}

func (e *AheadError) Error() string {
	return fmt.Sprintf("read the EFD: %q: a time is %s ahead of this machine's clock", e.Measurement, e.By.Round(time.Second))
}

// Hint returns the remedy.
func (e *AheadError) Hint() string {
	return "set this machine's clock (ntp), or that of the machine that writes this topic"
}
