// Package page is the look that csu's pages share. They are self-contained: a page loads
// nothing, and the browser is told so.
package page

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
)

// Style is the style sheet of every page.
//
//go:embed page.css
var Style string

// Policy returns the content security policy of a page that has this style and script and
// loads nothing; script is "" for none.
func Policy(style, script string) string {
	source := "'none'"
	if script != "" {
		source = hashed(script)
	}
	return fmt.Sprintf("default-src 'none'; img-src data:; style-src %s; script-src %s; base-uri 'none'; form-action 'none'", hashed(style), source)
}

// ServedPolicy is [Policy] for a page that its server tells what happens.
func ServedPolicy(style, script string) string {
	return Policy(style, script) + "; connect-src 'self'"
}

// hashed returns a text's hash as the source of a policy.
func hashed(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
