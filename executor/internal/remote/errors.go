package remote

import (
	"errors"
	"fmt"
	"strings"
)

// ErrExists is returned by [Pool.Start] if the name has been used before.
var ErrExists = errors.New("it was started before: look at its status instead of starting it again")

// ConfigError reports that the target or the operator's ssh config cannot be
// used. Nothing was run.
type ConfigError struct {
	File    string // "" if the problem is not in a file
	Line    int    // 0 if unknown
	Problem string // with the remedy
	Err     error  // cause, or nil
}

func (e *ConfigError) Error() string {
	s := e.Problem
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	switch {
	case e.File == "":
		return s
	case e.Line == 0:
		return fmt.Sprintf("%s: %s", e.File, s)
	default:
		return fmt.Sprintf("%s:%d: %s", e.File, e.Line, s)
	}
}

func (e *ConfigError) Unwrap() error { return e.Err }

// UnreachableError reports that no session was opened: no name, no route, no
// answer, or a server that refused one. Nothing was run.
type UnreachableError struct {
	Host string // as in "azar03 (azar03.cp.lsst.org:22)"
	Err  error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("cannot reach %s, nothing was run there: %v", e.Host, e.Err)
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// AuthError reports that the host did not let the operator log in. Nothing was
// run.
type AuthError struct {
	Host    string   // as in "azar03 (azar03.cp.lsst.org:22)"
	User    string   // the account to log in to
	Offered []string // the keys that were offered
	Notes   []string // why other keys were not offered
	Accepts []string // the methods that the server accepts, if it said so
	Reason  string   // set if the login succeeded but the account runs no commands
	// Unsupported are settings of ssh config for other ways to log in that the
	// server accepts, but csu lacks.
	Unsupported []string
}

func (e *AuthError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "log in to %s as %q: ", e.Host, e.User)
	if e.Reason != "" {
		b.WriteString(e.Reason)
		return b.String()
	}
	if len(e.Offered) == 0 {
		b.WriteString("no key to offer; start ssh-agent and load a key with ssh-add, or name one as IdentityFile in ssh config")
	} else {
		fmt.Fprintf(&b, "the host refused %s; authorize one of these public keys for this account", strings.Join(e.Offered, ", "))
	}
	for _, note := range e.Notes {
		b.WriteString("; " + note)
	}
	if len(e.Accepts) > 0 {
		fmt.Fprintf(&b, "; the server accepts %s, but csu uses publickey", strings.Join(e.Accepts, ", "))
	}
	for _, setting := range e.Unsupported {
		fmt.Fprintf(&b, "; csu does not support %s, which your ssh config has for this host", setting)
		if provider, ok := strings.CutPrefix(setting, "PKCS11Provider "); ok {
			fmt.Fprintf(&b, ": load its keys into the agent with \"ssh-add -s %s\"", provider)
		}
	}
	return b.String()
}

// HostKeyError reports that a host did not prove its identity. Nothing was run,
// and no key was offered to it.
type HostKeyError struct {
	Host    string      // as in "azar03 (azar03.cp.lsst.org:22)"
	Entry   string      // the host's name in known_hosts
	Shown   string      // type and SHA-256 fingerprint of the key that the host showed; "" if it did not get that far
	Files   []string    // the known_hosts files
	Known   []KnownLine // the lines that name the host; empty for an unknown host
	Revoked bool        // the key shown is marked @revoked in known_hosts
	Login   string      // the argument for ssh that makes the host known
	Command string      // KnownHostsCommand, or ""
	DNS     bool        // VerifyHostKeyDNS, which csu does not support
	Err     error       // another cause, or nil
}

// KnownLine is a line of a known_hosts file.
type KnownLine struct {
	File string
	Line int
	Key  string // type and SHA-256 fingerprint
}

func (e *HostKeyError) Error() string {
	files := strings.Join(e.Files, ", ")
	head := "host key of " + e.Host + ": "
	switch {
	case e.Shown == "":
		return fmt.Sprintf("%snot checked: %v", head, e.Err)
	case e.Revoked:
		return fmt.Sprintf("%sthe host shows %s, which %s marks as revoked; stop and ask the host's administrator", head, e.Shown, e.lines())
	case len(e.Known) == 0 && e.Err == nil:
		return head + e.unknown(files)
	case e.Err != nil:
		return fmt.Sprintf("%sthe host shows %s, which is not accepted: %v; ask the host's administrator, or correct %s", head, e.Shown, e.Err, files)
	default:
		return fmt.Sprintf("%sthe host shows %s, but the known key is %s; this may be an attack, or the host was reinstalled: do not continue until its administrator confirms the new fingerprint, then remove the old lines with \"ssh-keygen -f %s -R '%s'\"",
			head, e.Shown, e.lines(), e.Known[0].File, e.Entry)
	}
}

// unknown says what to do about a host without a known key.
func (e *HostKeyError) unknown(files string) string {
	s := fmt.Sprintf("unknown: the host shows %s, and no line of %s names %s", e.Shown, files, e.Entry)
	if e.Command != "" {
		s += fmt.Sprintf(", nor does KnownHostsCommand %q", e.Command)
	}
	if e.DNS {
		s += "; csu does not support VerifyHostKeyDNS"
	}
	return s + fmt.Sprintf("; compare the fingerprint with the one that the host's administrator gives you, then connect once with \"ssh %s\" to accept it", e.Login)
}

func (e *HostKeyError) Unwrap() error { return e.Err }

func (e *HostKeyError) lines() string {
	var all []string
	for _, k := range e.Known {
		all = append(all, fmt.Sprintf("%s:%d (%s)", k.File, k.Line, k.Key))
	}
	return strings.Join(all, ", ")
}

// LostError reports that the connection broke, or an answer timed out, after
// the script was sent. It is unknown whether the script ran.
type LostError struct {
	Host string
	Err  error
}

func (e *LostError) Error() string {
	return fmt.Sprintf("lost the connection to %s after the script was sent; it is unknown whether it ran: %v", e.Host, e.Err)
}

func (e *LostError) Unwrap() error { return e.Err }

// SudoError reports that sudo asked for a password or refused. Nothing was run.
type SudoError struct {
	Host   string
	User   string // the account requested
	Status int    // sudo's exit status
	Stderr string // what sudo said
}

func (e *SudoError) Error() string {
	s := fmt.Sprintf("sudo to %q on %s was refused; nothing was run (exit status %d)", e.User, e.Host, e.Status)
	if said := oneLine(e.Stderr); said != "" {
		s += ": " + said
	}
	return s + fmt.Sprintf("; \"sudo -n -iu %s /bin/sh\" must work there without a password and without a terminal", e.User)
}

// ExitError reports that a script ended with an exit status other than 0.
type ExitError struct {
	Status int    // exit status; -1 if a signal ended the script
	Signal string // the signal's name without SIG, if there was one
	Stderr string // the end of its error output
}

func (e *ExitError) Error() string {
	s := fmt.Sprintf("exit status %d", e.Status)
	if e.Signal != "" {
		s = "ended by signal " + e.Signal
	}
	if said := oneLine(e.Stderr); said != "" {
		s += ": " + said
	}
	return s
}

// oneLine joins the lines of s; of many, only the last ones.
func oneLine(s string) string {
	lines := strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' })
	if len(lines) > 5 {
		lines = append([]string{"..."}, lines[len(lines)-5:]...)
	}
	return strings.Join(lines, "; ")
}
