package verify

import (
	"encoding/json"
	"fmt"
	"strings"
)

// shutdownScript is the standard script that sends every CSC to OFFLINE (P7).
const shutdownScript = "system_wide_shutdown.py"

// setStateScript is what set-state steps run; as a script step it would be
// invisible to the rules about states.
const setStateScript = "set_summary_state.py"

// A shutdown is the configuration of system_wide_shutdown.py. CSCs stand with
// their index.
type shutdown struct {
	user, reason               string
	startWith, ignore, endWith []string
	problem                    string // why the configuration can't be judged; "" if it can
}

// parseShutdown reads the configuration. It knows as much of YAML as such a
// configuration needs: names with a string, or with a list of strings on lines
// of their own or in brackets. More than that can't be judged, and is said to be
// a problem.
func parseShutdown(config string) *shutdown {
	s := &shutdown{}
	strs := map[string]*string{"user": &s.user, "reason": &s.reason}
	lists := map[string]*[]string{"start_with": &s.startWith, "ignore": &s.ignore, "end_with": &s.endWith}
	seen := map[string]bool{}
	var open *[]string // the list whose items follow
	var text *string   // the string that indented lines go on with
	fail := func(line int, format string, args ...any) *shutdown {
		s.problem = fmt.Sprintf("line %d: ", line+1) + fmt.Sprintf(format, args...)
		return s
	}
	for i, line := range strings.Split(config, "\n") {
		trimmed := strings.TrimSpace(line)
		item, isItem := strings.CutPrefix(trimmed, "- ")
		switch {
		case trimmed == "" || strings.HasPrefix(trimmed, "#"):
		case isItem && open != nil:
			name, err := scalar(item)
			if err != nil {
				return fail(i, "%v", err)
			}
			*open = append(*open, indexed(name))
		case line[0] == ' ' && text != nil:
			*text = strings.TrimSpace(*text + " " + trimmed)
		default:
			key, value, ok := strings.Cut(line, ":")
			if !ok || strings.TrimSpace(key) != key || value != "" && value[0] != ' ' {
				return fail(i, "it is not of the form \"name: value\"")
			}
			if seen[key] {
				return fail(i, "%q stands there twice", key)
			}
			seen[key] = true
			open, text = nil, nil
			value = strings.TrimSpace(value)
			switch {
			case strs[key] != nil:
				v, err := scalar(value)
				if err != nil {
					return fail(i, "%v", err)
				}
				text = strs[key]
				*text = v
			case lists[key] == nil:
				return fail(i, "the script has no parameter %q that this rule knows", key)
			case value == "":
				open = lists[key]
			default:
				names, err := flow(value)
				if err != nil {
					return fail(i, "%v", err)
				}
				*lists[key] = names
			}
		}
	}
	return s
}

// flow reads a list in brackets.
func flow(value string) ([]string, error) {
	inner, open := strings.CutPrefix(value, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	if !open || !closed {
		return nil, fmt.Errorf("%q is not a list", value)
	}
	var out []string
	for _, item := range strings.Split(inner, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		name, err := scalar(item)
		if err != nil {
			return nil, err
		}
		out = append(out, indexed(name))
	}
	return out, nil
}

// scalar reads a string, quoted or not.
func scalar(value string) (string, error) {
	value = strings.TrimSpace(value)
	switch {
	case strings.HasPrefix(value, `"`):
		var s string
		if err := json.Unmarshal([]byte(value), &s); err != nil {
			return "", fmt.Errorf("the string %s is not closed or has an unknown escape", value)
		}
		return s, nil
	case strings.HasPrefix(value, `'`):
		if len(value) < 2 || !strings.HasSuffix(value, `'`) {
			return "", fmt.Errorf("the string %s is not closed", value)
		}
		return strings.ReplaceAll(value[1:len(value)-1], "''", "'"), nil
	case value != "" && strings.IndexByte("[]{}&*!|>%@`", value[0]) >= 0:
		return "", fmt.Errorf("%q is not a plain string", value)
	}
	return value, nil
}

// indexed gives a CSC its index: the script takes Watcher for Watcher:0.
func indexed(csc string) string {
	if strings.Contains(csc, ":") {
		return csc
	}
	return csc + ":0"
}
