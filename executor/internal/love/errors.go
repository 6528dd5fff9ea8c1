package love

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/executor/secret"
)

// RefusedError reports that LOVE refused a command, which was therefore not
// carried out.
type RefusedError struct {
	Operation string
	Status    int    // of HTTP; 200 if the acknowledgement itself says that the command failed
	Message   string // LOVE's, may be empty
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("%s: LOVE refused it (%s)%s", e.Operation, statusText(e.Status), colon(e.Message))
}

// NoAckError reports that a command was sent, or may have been, and that its
// result is unknown.
type NoAckError struct {
	Operation string
	Status    int    // of HTTP; 0 if there was no answer
	Message   string // LOVE's, may be empty
	Err       error  // of the connection; nil if there was an answer
}

func (e *NoAckError) Error() string {
	switch {
	case e.Err != nil:
		return fmt.Sprintf("%s: sent, but the answer was lost: %v", e.Operation, e.Err)
	case e.Status == http.StatusInternalServerError && e.Message == "":
		return fmt.Sprintf("%s: sent, but not acknowledged: %s without a reason, which may mean that the component refused the command (is it ENABLED?)", e.Operation, statusText(e.Status))
	default:
		return fmt.Sprintf("%s: sent, but not acknowledged: %s%s", e.Operation, statusText(e.Status), colon(e.Message))
	}
}

func (e *NoAckError) Unwrap() error { return e.Err }

// UnreachableError reports that LOVE could not be reached, or gave no token. No
// command was sent.
type UnreachableError struct {
	Operation string
	Address   string
	Err       error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("%s: nothing was sent: cannot reach LOVE at %s: %v", e.Operation, e.Address, e.Err)
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// AuthError reports that LOVE does not know the user, or does not let them send
// commands. No command was carried out.
type AuthError struct {
	Operation string
	Username  string
	Status    int    // of HTTP; 0 if no request was refused
	Message   string // may be empty
}

func (e *AuthError) Error() string {
	if e.Status == 0 {
		return fmt.Sprintf("%s: LOVE user %q%s", e.Operation, e.Username, colon(e.Message))
	}
	return fmt.Sprintf("%s: LOVE refuses the user %q (%s)%s", e.Operation, e.Username, statusText(e.Status), colon(e.Message))
}

func statusText(code int) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", code, http.StatusText(code)))
}

func colon(message string) string {
	if message == "" {
		return ""
	}
	return ": " + message
}

// maxMessage limits how much of LOVE's answer goes into an error, in bytes.
const maxMessage = 500

// said returns what LOVE's JSON says. It ignores anything other than JSON, such
// as a proxy's page, or a Django page that shows the settings.
func said(r reply) string {
	var v any
	if json.Unmarshal(r.body, &v) != nil {
		return ""
	}
	text := secret.Redact(strings.Join(texts(v), "; ")) // here, since half a secret is not found later
	if len(text) > maxMessage {
		text = strings.ToValidUTF8(text[:maxMessage], "") + "..."
	}
	return text
}

// texts returns the strings in a JSON value: {"ack": "..."}, {"detail": "..."},
// {"non_field_errors": ["..."]}.
func texts(v any) []string {
	var all []string
	switch v := v.(type) {
	case string:
		if s := strings.TrimSpace(v); s != "" {
			all = append(all, s)
		}
	case []any:
		for _, e := range v {
			all = append(all, texts(e)...)
		}
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			all = append(all, texts(v[k])...)
		}
	}
	return all
}
