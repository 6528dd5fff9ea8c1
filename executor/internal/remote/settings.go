package remote

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// request is what ssh is asked about: the arguments of its command line.
type request struct {
	name, address string // the plan's; address is "" for a jump host
	user, port    string // "" for those of ssh config
	jumps         string // "" for those of ssh config, else a list as in ProxyJump
}

// settings is the answer of ssh -G: the values of each setting, by its name in
// lower case. A value has its tokens and ~ unexpanded.
type settings map[string][]string

// askSSH returns the settings of ssh for name. ssh itself reads the operator's
// and the system's configuration, runs Match exec and canonicalizes the name.
func (p *Pool) askSSH(ctx context.Context, r request, name string) (settings, error) {
	args := []string{"-G"}
	for _, option := range []struct{ flag, value string }{
		{"-F", p.cfg.SSHConfigFile}, {"-l", r.user}, {"-p", r.port}, {"-J", r.jumps},
	} {
		if option.value != "" {
			args = append(args, option.flag, option.value)
		}
	}
	// Settings may depend on both: csu never lets ssh ask, and runs commands.
	return sshG(ctx, append(args, "-o", "BatchMode=yes", "--", name, "true")...)
}

func sshG(ctx context.Context, args ...string) (settings, error) {
	out, err := ask(ctx, "ssh", args...)
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return nil, &ConfigError{Problem: "ssh is not installed, and csu asks it how to reach each host; install OpenSSH's client", Err: err}
	case err != nil:
		return nil, &ConfigError{Problem: "\"ssh " + strings.Join(args, " ") + "\"", Err: err}
	}
	s := settings{}
	for lines := bufio.NewScanner(strings.NewReader(out)); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), " ")
		s[strings.ToLower(key)] = append(s[strings.ToLower(key)], value)
	}
	if s.get("hostname") == "" || s.get("port") == "" || s.get("user") == "" {
		return nil, &ConfigError{Problem: "\"ssh " + strings.Join(args, " ") + "\" printed no host name, port or user"}
	}
	return s, nil
}

// defaults returns the settings of ssh without any configuration. ssh -G does
// not tell what is configured from what is not.
func (p *Pool) defaults(ctx context.Context) (settings, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bare == nil {
		bare, err := sshG(ctx, "-F", "none", "-G", "--", "host", "true")
		if err != nil {
			return nil, err
		}
		p.bare = bare
	}
	return p.bare, nil
}

// sameFor reports whether the settings of two names differ only in the names.
func (s settings) sameFor(other settings) bool {
	plain := func(s settings) settings {
		s = maps.Clone(s)
		delete(s, "host")
		delete(s, "hostname")
		return s
	}
	return maps.EqualFunc(plain(s), plain(other), slices.Equal)
}

// get returns the value of a setting, or "" if ssh does not print it.
func (s settings) get(key string) string {
	if v := s[key]; len(v) > 0 {
		return v[0]
	}
	return ""
}

func (s settings) is(key string) bool {
	v := s.get(key)
	return v == "yes" || v == "true"
}

// list returns a setting that is a list with commas, and whether ssh prints it.
func (s settings) list(key string) []string {
	if v := s.get(key); v != "" {
		return strings.Split(v, ",")
	}
	return nil
}

// seconds returns a setting in seconds; ssh prints others as "none".
func (s settings) seconds(key string, otherwise time.Duration) time.Duration {
	if n, err := strconv.Atoi(s.get(key)); err == nil && n > 0 {
		return time.Duration(n) * time.Second
	}
	return otherwise
}

// files returns a setting that is a list of files. ssh prints them with spaces
// between them and without quotes, so that a space may also be part of a name:
// then the longest name that exists counts.
func (s settings) files(key string, expand func(string) string) []string {
	fields := strings.Fields(s.get(key))
	var out []string
	for len(fields) > 0 {
		n := 1
		for i := len(fields); i > 1; i-- {
			if _, err := os.Stat(expand(strings.Join(fields[:i], " "))); err == nil {
				n = i
				break
			}
		}
		if name := strings.Join(fields[:n], " "); !strings.EqualFold(name, "none") {
			out = append(out, expand(name))
		}
		fields = fields[n:]
	}
	return out
}

// ordered reports whether ssh would order the host key algorithms by what is in
// known_hosts: only if they are its own, with some appended or removed
// (OpenSSH 9.2, sshconnect2.c, ssh_kex2).
func ordered(configured, own []string) bool {
	rest := slices.DeleteFunc(slices.Clone(own), func(a string) bool { return !slices.Contains(configured, a) })
	return len(configured) >= len(rest) && slices.Equal(configured[:len(rest)], rest)
}

// parseJump splits the last host off a ProxyJump as ssh -G prints it, and
// returns what ssh would be asked about it: the hosts before it are the way to
// it (OpenSSH 9.2, ssh.c, "construct a ProxyCommand").
func parseJump(list string) (request, error) {
	var r request
	spec := list
	if i := strings.LastIndex(list, ","); i >= 0 {
		r.jumps, spec = list[:i], list[i+1:]
	}
	if i := strings.LastIndex(spec, "@"); i >= 0 {
		r.user, spec = spec[:i], spec[i+1:]
	}
	r.name = spec
	if rest, ok := strings.CutPrefix(spec, "["); ok {
		r.name, rest, _ = strings.Cut(rest, "]")
		r.port = strings.TrimPrefix(rest, ":")
	} else if i := strings.LastIndex(spec, ":"); i >= 0 {
		r.name, r.port = spec[:i], spec[i+1:]
	}
	if !hostName.MatchString(r.name) || strings.HasPrefix(r.user, "-") {
		return r, &ConfigError{Problem: fmt.Sprintf("the jump host %q is not a host", spec)}
	}
	return r, nil
}
