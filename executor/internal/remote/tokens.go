package remote

import (
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/user"
	"regexp"
	"strings"
)

// tokens are the values of ssh's % tokens. ssh -G prints most settings before it
// replaces them (OpenSSH 9.2, ssh.c, default_client_percent_dollar_expand).
type tokens map[byte]string

// tokensOf returns the tokens of e; see TOKENS in ssh_config(5) of OpenSSH 9.6.
// Before 9.6, %j was unknown and %C did not depend on the jump host.
func tokensOf(e *endpoint, alias string, self *user.User) tokens {
	here, err := os.Hostname()
	if err != nil {
		here = "localhost"
	}
	short, _, _ := strings.Cut(here, ".")
	jump := ""
	if alias == "" {
		alias = e.name
	}
	if e.jump != nil {
		jump = e.jump.request.name
	}
	hash := sha1.Sum([]byte(here + e.host + e.port + e.user + jump))
	return tokens{
		'%': "%", 'C': hex.EncodeToString(hash[:]), 'd': self.HomeDir, 'h': e.host, 'i': self.Uid, 'j': jump,
		'k': alias, 'L': short, 'l': here, 'n': e.name, 'p': e.port, 'r': e.user, 'u': self.Username,
	}
}

// percent replaces the tokens in s.
func (t tokens) percent(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		i++
		if i == len(s) {
			return "", fmt.Errorf("%q ends with %%", s)
		}
		value, ok := t[s[i]]
		if !ok {
			return "", fmt.Errorf("%q has the unknown token %%%c", s, s[i])
		}
		b.WriteString(value)
	}
	return b.String(), nil
}

var environment = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)

// dollar replaces ${NAME} by environment variables, and the tokens.
func (t tokens) dollar(s string) (string, error) {
	var unset error
	s = environment.ReplaceAllStringFunc(s, func(v string) string {
		value, ok := os.LookupEnv(v[2 : len(v)-1])
		if !ok {
			unset = fmt.Errorf("%q uses the environment variable %s, which is not set", s, v)
		}
		return strings.ReplaceAll(value, "%", "%%") // its value has no tokens
	})
	if unset != nil {
		return "", unset
	}
	return t.percent(s)
}

// path expands the name of a file. ~ is the home directory of the account, as in
// ssh, which does not use $HOME (OpenSSH 9.2, misc.c, tilde_expand).
func (t tokens) path(s string) (string, error) {
	if rest, ok := strings.CutPrefix(s, "~"); ok {
		name, rest, _ := strings.Cut(rest, "/")
		home := t['d']
		if name != "" {
			other, err := user.Lookup(name)
			if err != nil {
				return "", err
			}
			home = other.HomeDir
		}
		s = strings.ReplaceAll(strings.TrimSuffix(home, "/"), "%", "%%") + "/" + strings.TrimLeft(rest, "/")
	}
	return t.dollar(s)
}

// words splits a command into its arguments as ssh does, without a shell
// (OpenSSH 9.2, misc.c, argv_split).
func words(s string) ([]string, error) {
	var out []string
	for i := 0; i < len(s); i++ {
		if s[i] == ' ' || s[i] == '\t' {
			continue
		}
		var word strings.Builder
		var quote byte
		for ; i < len(s); i++ {
			c := s[i]
			switch {
			case c == '\\' && i+1 < len(s) && (strings.IndexByte(`'"\`, s[i+1]) >= 0 || quote == 0 && s[i+1] == ' '):
				i++
				word.WriteByte(s[i])
				continue
			case quote == 0 && (c == '"' || c == '\''):
				quote = c
				continue
			case quote != 0 && c == quote:
				quote = 0
				continue
			}
			if quote == 0 && (c == ' ' || c == '\t') {
				break
			}
			word.WriteByte(c)
		}
		if quote != 0 {
			return nil, errors.New("it has a quote without an end")
		}
		out = append(out, word.String())
	}
	return out, nil
}
