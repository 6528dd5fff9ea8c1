package verify

import (
	"fmt"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/lsst-ts/csu/executor/plan"
)

func textRules() []Rule {
	return []Rule{
		{"plain-text", []string{"P2", "P12"},
			"The operator consents to what a text shows, so it shows everything it has: no control, format or bidirectional characters, no letters that look like others, nothing pushed out of sight by blank space. " +
				"Names, addresses and commands are plain ASCII.", plainText},
		{"messages", []string{"P16", "P35", "P42", "P53"},
			"A message names the site and is one line of plain words: it mentions no person, channel or group, and has no links.", messages},
	}
}

// prose are the fields that people read. All others are names, addresses and
// commands.
var prose = set([]string{
	"title", "consent", "doubts", "doubt", "byHand", "text", "reason", "view", "mirror", "machine", "principal", "principals",
})

// lined are the fields that may have several lines.
var lined = set([]string{"consent", "doubts", "doubt", "byHand", "text", "config"})

func plainText(v *view, f *findings) {
	const remedy = "remove it, or correct the text in its source and recompile the plan"
	whole := *v.Plan
	whole.Stages, whole.Final = nil, nil
	each(reflect.ValueOf(whole), "", func(field, text string) {
		if why := unplain(field, text); why != "" {
			f.plan(remedy, "its field %s: %s: %+q", field, why, brief(text))
		}
	})
	for i := range v.Stages {
		s := v.Stages[i]
		s.Steps = nil
		each(reflect.ValueOf(s), "", func(field, text string) {
			if why := unplain(field, text); why != "" {
				f.stage(&v.Stages[i], remedy, "its field %s: %s: %+q", field, why, brief(text))
			}
		})
	}
	for _, n := range v.steps {
		each(reflect.ValueOf(*n.Step), "", func(field, text string) {
			if why := unplain(field, text); why != "" {
				f.step(n, remedy, "its field %s: %s: %+q", field, why, brief(text))
			}
		})
	}
}

// each visits every string below v, with the name of the field that holds it.
func each(v reflect.Value, field string, visit func(field, text string)) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			each(v.Elem(), field, visit)
		}
	case reflect.Slice:
		for i := range v.Len() {
			each(v.Index(i), field, visit)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			each(v.Field(i), name, visit)
		}
	case reflect.String:
		visit(field, v.String())
	}
}

// lastLetter is the last letter of the Latin alphabets that texts may use (Latin
// Extended-B). Letters behind it include those that look like these.
const lastLetter = 0x24f

// unplain says what a field's text must not have, or "".
func unplain(field, text string) string {
	for _, r := range text {
		switch {
		case ' ' <= r && r <= '~', r == '\n' && lined[field]:
		case r == '\n':
			return "it has more than one line"
		case r == utf8.RuneError:
			return "it is not valid UTF-8"
		case !unicode.IsPrint(r):
			return fmt.Sprintf("it has the invisible character %U", r)
		case r > unicode.MaxASCII && !prose[field]:
			return fmt.Sprintf("it has the character %U, but names and commands are ASCII", r)
		case r > lastLetter && (unicode.IsLetter(r) || unicode.IsMark(r)):
			return fmt.Sprintf("it has the letter %U, which may look like another", r)
		}
	}
	if strings.Contains(text, "\n\n\n") || strings.Contains(text, strings.Repeat(" ", 20)) {
		return "blank space pushes a part of it out of sight"
	}
	return ""
}

func messages(v *view, f *findings) {
	for _, n := range v.steps {
		a, ok := n.Action.Parameters.(*plan.Announce)
		if !ok {
			continue
		}
		if i := strings.IndexAny(a.Text, "<>@"); i >= 0 {
			f.step(n, "remove it", "its message has %q, with which Slack mentions people or hides an address", a.Text[i:i+1])
		}
		if strings.Contains(a.Text, "\n") {
			f.step(n, "write one line", "its message has several lines")
		}
		if !v.says(a.Text, v.Site) {
			f.step(n, "name the site", "its message does not name the site %q, although other sites' people may read it", v.Site)
		}
		for _, address := range addressIn.FindAllString(a.Text, -1) {
			f.step(n, "remove it", "its message has the address %q", address)
		}
	}
}

// words splits a text at what no name has.
func words(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-_.", r) || r == ' '
	})
}
