// Package secret knows the secrets that this process uses, and replaces them in what csu
// is about to print or to write. The screen, the journal, errors and files each have one
// place where that happens, so a client need not ask what a server may echo.
//
// A secret is found in whatever form it comes back: as it is, escaped for JSON, a URL,
// HTML or Go, each character by itself, and as the HTTP header that csu sends.
package secret

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Least is the length of the shortest value that can be kept secret: a shorter one is
// found by chance in many texts. [Know] ignores it; package systems refuses it where a
// variable has it.
const Least = 4

// Replacement is what is shown instead of a secret.
const Replacement = "***"

// value is a secret.
type value struct {
	text    string
	pattern *regexp.Regexp // of its forms, at the beginning of a text
}

var known struct {
	sync.RWMutex
	values []value
}

// TooShort reports whether a value, unless it is "", is too short to be kept secret.
func TooShort(value string) bool {
	return value != "" && utf8.RuneCountInString(strings.TrimSpace(value)) < Least
}

// Know adds secrets to those that [Redact] replaces from now on.
func Know(texts ...string) {
	known.Lock()
	defer known.Unlock()
	for _, text := range texts {
		text = strings.TrimSpace(text) // as servers trim it
		if text == "" || TooShort(text) || slices.ContainsFunc(known.values, func(v value) bool { return v.text == text }) {
			continue
		}
		var pattern strings.Builder
		for rest := text; len(rest) > 0; {
			r, size := utf8.DecodeRuneInString(rest)
			pattern.WriteString(forms(r, rest[:size]))
			rest = rest[size:]
		}
		known.values = append(known.values, value{text, regexp.MustCompile(`\A` + pattern.String())})
	}
}

// KnowLogin adds a password, and the header by which HTTP sends it (Basic).
func KnowLogin(username, password string) {
	if password == "" {
		return
	}
	login := []byte(username + ":" + password)
	Know(password, base64.RawStdEncoding.EncodeToString(login), base64.RawURLEncoding.EncodeToString(login))
}

// KnowURL adds the user and the password in a URL, which need not be a valid one.
func KnowURL(address string) {
	_, rest, found := strings.Cut(address, "://")
	if !found {
		return
	}
	authority, _, _ := strings.Cut(rest, "/")
	at := strings.LastIndexByte(authority, '@')
	if at < 0 {
		at = strings.LastIndexByte(rest, '@') // a password with a slash makes the URL invalid
	}
	if at < 0 {
		return
	}
	user, password, has := strings.Cut(rest[:at], ":")
	if !has {
		user, password = "", user // a token instead of a user
	}
	KnowLogin(user, password)
	plainUser, err := url.PathUnescape(user)
	if err != nil {
		return
	}
	if plain, err := url.PathUnescape(password); err == nil {
		KnowLogin(plainUser, plain)
	}
}

// Redact replaces every known secret in a text.
func Redact(s string) string {
	known.RLock()
	defer known.RUnlock()
	if len(known.values) == 0 {
		return s
	}
	var b strings.Builder
	done := 0
	for i := 0; i < len(s); {
		longest := 0 // of a secret that contains another one, nothing must remain
		for _, v := range known.values {
			if v.mayBegin(s[i:]) {
				// No form of a character is longer than 64 bytes, unless spaces are.
				longest = max(longest, len(v.pattern.FindString(s[i:min(len(s), i+64*len(v.text))])))
			}
		}
		if longest == 0 {
			i++
			continue
		}
		b.WriteString(s[done:i] + Replacement)
		i += longest
		done = i
	}
	return b.String() + s[done:]
}

// mayBegin reports whether a text can begin with a form of the secret, by its first
// characters. A search with the patterns alone would be too slow for a journal.
func (v value) mayBegin(s string) bool {
	first := v.text[0]
	if s[0] == first && len(s) > 1 && (s[1] == v.text[1] || strings.IndexByte("\\%&+ \t\r\n\v\f", s[1]) >= 0) {
		return true
	}
	switch s[0] {
	case '%':
		return len(s) > 2 && strings.EqualFold(s[1:3], fmt.Sprintf("%02x", first))
	case '\\':
		rest := strings.TrimLeft(s, `\`)
		return rest == "" || first == '\\' || rest[0] == first || strings.IndexByte("uUxX", rest[0]) >= 0
	}
	return s[0] == '&'
}

// forms is a pattern of the forms that a character may have; bytes is how the secret
// has it.
func forms(r rune, bytes string) string {
	var percent strings.Builder
	for _, b := range []byte(bytes) {
		fmt.Fprintf(&percent, "%%(?i:%02x)", b)
	}
	all := []string{
		regexp.QuoteMeta(string(r)),
		percent.String(),                            // URL
		fmt.Sprintf(`\\+(?i:[ux]0*%x)`, r),          // JSON, Go; escaped more than once
		fmt.Sprintf(`&#(?:0*%d|(?i:x0*%x));`, r, r), // HTML
	}
	if high, low := utf16.EncodeRune(r); high != unicode.ReplacementChar {
		all = append(all, fmt.Sprintf(`\\+(?i:u%x)\\+(?i:u%x)`, high, low))
	}
	switch {
	case r == '\\':
		all = append(all, `\\+`)
	case unicode.IsSpace(r): // in a URL; and when the text is wrapped, or made one line
		short := map[rune]string{'\n': `|\\+n`, '\r': `|\\+r`, '\t': `|\\+t`}[r]
		all = append(all, `\+|\s+`+short)
	case unicode.IsPunct(r) || unicode.IsSymbol(r):
		all = append(all, `\\+`+regexp.QuoteMeta(string(r)))
	}
	if name := map[rune]string{'<': "lt", '>': "gt", '&': "amp", '"': "quot", '\'': "apos"}[r]; name != "" {
		all = append(all, "&"+name+";")
	}
	return "(?:" + strings.Join(all, "|") + ")"
}
