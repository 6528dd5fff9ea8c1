package secret_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/lsst-ts/csu/executor/secret"
)

// Every form in which a server, a library or csu itself may write a secret.
func TestRedactFindsEveryForm(t *testing.T) {
	t.Parallel()
	for _, password := range []string{
		`pä"s\s <w>&o/r+d' 😀%`, `\<w>o/r-p`, `%<w>o/r`, `&<w>o/r`, `"<w>o/r`, `<w>o/r`, `ä<w>o/r`, `😀<w>o/r`, `/<w>o/r`, `\\<w>o/r`,
	} {
		secret.KnowLogin("ann", password)
		wantEveryFormFound(t, password)
	}
}

func wantEveryFormFound(t *testing.T, password string) {
	t.Helper()
	quoted := func(v any) string {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	once := quoted(password)
	login := []byte("ann:" + password)
	for name, form := range map[string]string{
		"plain":           password,
		"JSON":            once,
		"JSON in JSON":    quoted(once),
		"thrice":          quoted(quoted(once)),
		"escaped JSON":    escapedJSON(password),
		"with slashes":    strings.ReplaceAll(once, "/", `\/`),
		"Go":              strconv.Quote(password),
		"ASCII Go":        strconv.QuoteToASCII(password),
		"Go of JSON":      strconv.Quote(once),
		"query":           url.QueryEscape(password),
		"small query":     strings.ToLower(url.QueryEscape(password)),
		"path":            url.PathEscape(password),
		"userinfo":        url.UserPassword("ann", password).String(),
		"JavaScript":      strings.ReplaceAll(url.QueryEscape(password), "+", "%20"),
		"HTML":            html.EscapeString(password),
		"wrapped":         strings.ReplaceAll(password, " ", "\n      "),
		"Basic":           "Basic " + base64.StdEncoding.EncodeToString(login),
		"Basic in a URL":  "Basic+" + url.QueryEscape(base64.StdEncoding.EncodeToString(login)),
		"Basic, for URLs": base64.URLEncoding.EncodeToString(login),
	} {
		got := secret.Redact("before " + form + " after")
		if !strings.HasPrefix(got, "before ") || !strings.HasSuffix(got, " after") || !strings.Contains(got, secret.Replacement) {
			t.Errorf("%s: %q becomes %q", name, form, got)
		}
		for _, part := range []string{"w>", "3Cw", "3cw", "o/r", "YW5u"} {
			if strings.Contains(got, part) {
				t.Errorf("%s: %q is left in %q", name, part, got)
			}
		}
	}
}

// escapedJSON escapes every character.
func escapedJSON(s string) string {
	var b strings.Builder
	for _, unit := range utf16.Encode([]rune(s)) {
		fmt.Fprintf(&b, `\u%04X`, unit)
	}
	return b.String()
}

func TestKnow(t *testing.T) {
	t.Parallel()
	secret.Know("", " ", "abc", " abc ", "longer-one", "longer-one-still", " trimmed\n")
	for in, want := range map[string]string{
		"":                           "",
		"abc is too short to be one": "abc is too short to be one",
		"a longer-one-still here":    "a *** here",
		"longer-one, longer-one":     "***, ***",
		"it was trimmed":             "it was ***",
		"Longer-one is another":      "Longer-one is another",
	} {
		if got := secret.Redact(in); got != want {
			t.Errorf("Redact(%q) = %q, want %q", in, got, want)
		}
	}
	for value, want := range map[string]bool{"": false, "a": true, "abc": true, "abc  ": true, "äöü": true, "abcd": false} {
		if got := secret.TooShort(value); got != want {
			t.Errorf("TooShort(%q) = %t, want %t", value, got, want)
		}
	}
}

func TestKnowURL(t *testing.T) {
	t.Parallel()
	for i, x := range []struct{ address, hidden string }{
		{"https://ann:userinfo-one@host:6443/path", "userinfo-one"},
		{"https://ann:userinfo-%40two@host/a@b", "userinfo-@two"},
		{"https://userinfo-token@host", "userinfo-token"},
		{"https://ann:userinfo/three@ho st", "userinfo/three"},
		{"http://ann:userinfo%zzfour@host", "userinfo%zzfour"},
		{"ht tp://ann%zz:userinfo-five@host", "userinfo-five"},
	} {
		secret.KnowURL(x.address)
		for _, text := range []string{x.address, fmt.Sprintf("%q", x.address), x.hidden} {
			if got := secret.Redact(text); strings.Contains(got, "userinfo") {
				t.Errorf("%d: %q becomes %q", i, text, got)
			}
		}
	}
	secret.KnowURL("https://user-name-only.example/x")
	secret.KnowURL("user-name@example.org")
	for _, text := range []string{"user-name-only.example", "user-name"} {
		if got := secret.Redact(text); got != text {
			t.Errorf("Redact(%q) = %q", text, got)
		}
	}
}
