package plan

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// refusals are edits of the sample's canonical bytes that make it unusable. old
// stands there once, or its first occurrence is meant.
var refusals = []struct {
	name     string
	old, new string
	notAPlan bool
}{
	{"an unknown format", `"csu-plan/2"`, `"csu-plan/3"`, true},
	{"no format", "  \"format\": \"csu-plan/2\",\n", "", true},
	{"a format of another type", `"csu-plan/2"`, `1`, true},
	{"a format that is null", `"csu-plan/2"`, `null`, true},
	{"a comma too many", `"type": "incremental",`, `"type": "incremental",,`, true},
	{"cut off", `"final": [`, "\x00", true},
	{"a format in capitals", `"format"`, `"FORMAT"`, false},

	{"an unknown field", `"attempt"`, `"atempt"`, false},
	{"an unknown field of a step", `"onFailure"`, `"onFailed"`, false},
	{"an unknown field of an action", `"handover"`, `"handOver"`, false},
	{"a field of another kind", `"kind": "announce",`, "\"kind\": \"announce\",\n          \"queue\": 1,", false},
	{"two unknown fields", `"cycle": "c0045"`, "\"cicle\": \"c0045\",\n    \"xyz\": 1", false},
	{"an unknown kind", `"set-state"`, `"set-sate"`, false},
	{"a kind that nothing is like", `"kind": "reboot"`, `"kind": "teleport"`, false},
	{"an action without a kind", "\"kind\": \"reboot\",\n", "\n", false},
	{"a kind that is a number", `"kind": "reboot"`, `"kind": 7`, false},
	{"an action that is a string", "\"action\": {\n            \"kind\": \"manual\",\n            \"text\": \"Look.\",\n            \"cscs\": [\n              \"Watcher:0\"\n            ],\n            \"applications\": [\n              \"obssys\"\n            ]\n          }", `"action": "manual"`, false},
	{"a field twice", "\"site\": \"summit\",\n", "\"site\": \"summit\",\n  \"site\": \"base-teststand\",\n", false},
	{"a field of an action twice", "\"host\": \"azar03\",\n            \"user\": \"dco\",\n            \"purpose\"", "\"host\": \"azar03\",\n            \"host\": \"azar02\",\n            \"user\": \"dco\",\n            \"purpose\"", false},
	{"a missing field", "    \"reason\": \"test\",\n", "", false},
	{"a missing field of an action", "            \"service\": \"gc\",\n", "", false},
	{"a string for a number", `"queue": 1,
    "changed"`, `"queue": "1",
    "changed"`, false},
	{"a fraction", `"attempt": 1`, `"attempt": 1.5`, false},
	{"a number beyond all bounds", `"attempt": 1`, `"attempt": 123456789012345678901234567890123456789012345`, false},
	{"a number for a string", `"reason": "test"`, `"reason": 5`, false},
	{"true for a string", `"reason": "test"`, `"reason": true`, false},
	{"a string for true", `"handover": true`, `"handover": "yes"`, false},
	{"an object for a list", "\"final\": [", "\"final\": {", true},
	{"a long string for a number", `"attempt": 1`, `"attempt": "` + strings.Repeat("long ", 20) + `"`, false},
	{"null", `"reason": "test"`, `"reason": null`, false},
	{"null in a list", "\"applications\": [\n      \"obssys\"", "\"applications\": [\n      null", false},
	{"an empty list that is null", `"needs": []`, `"needs": null`, false},
	{"nesting without end", `"reason": "test"`, `"reason": ` + strings.Repeat("[", 40) + strings.Repeat("]", 40), true},

	{"a duration in words", `"timeout": "5m"`, `"timeout": "five minutes"`, false},
	{"a duration in another form", `"timeout": "5m"`, `"timeout": "300s"`, false},
	{"a duration of parts of a second", `"lag": "1m30s"`, `"lag": "90.5s"`, false},
	{"a duration that is a number", `"timeout": "5m"`, `"timeout": 300`, false},
	{"a negative duration", `"timeout": "5m"`, `"timeout": "-5m"`, false},

	{"another indent", `  "site"`, `   "site"`, false},
	{"no newline at the end", "\n}\n", "\n}", false},
	{"a newline too many", "\n}\n", "\n}\n\n", false},
	{"another order", "\"site\": \"summit\",\n  \"type\": \"incremental\",", "\"type\": \"incremental\",\n  \"site\": \"summit\",", false},
	{"an escape that is not needed", `"reason": "test"`, `"reason": "tes\u0074"`, false},
	{"bytes that are no text", `"reason": "test"`, "\"reason\": \"tes\xff\"", false},
	{"a field that is left out where it is empty", `"csc": "GenericCamera:101"
      }`, `"csc": "GenericCamera:101",
        "revision": 0
      }`, false},
	{"something behind it", "\n}\n", "\n}\n{}\n", true},

	{"two steps of one id", `"id": "deploy/up"`, `"id": "deploy/sync"`, false},
	{"two stages of one id", `"id": "deploy",`, `"id": "offline",`, false},
	{"a need that is no step", `"offline/announce"
          ],`, `"offline/annonce"
          ],`, false},
	{"a circle", "\"id\": \"offline/announce\",\n          \"title\": \"Title of offline/announce\",\n          \"source\": [\n            \"P12\"\n          ],\n          \"needs\": []", "\"id\": \"offline/announce\",\n          \"title\": \"Title of offline/announce\",\n          \"source\": [\n            \"P12\"\n          ],\n          \"needs\": [\n            \"offline/watcher\"\n          ]", false},
	{"a step of another stage", `"id": "deploy/up"`, `"id": "offline/up"`, false},
	{"an unknown CSC name", `"csc": "Watcher:0",
      "job"`, `"csc": "Watcher:00",
      "job"`, false},
	{"a host twice in the table", `"name": "azar03",
      "address"`, `"name": "azar03",
      "address": "azar03.example.org",
      "users": []
    },
    {
      "name": "azar03",
      "address"`, false},
	{"a final step that undoes nothing", `"undoes": "deploy/none"`, `"undoes": "deploy/nine"`, false},
}

// TestRefusals compares every refusal, with its line, with
// testdata/refused.golden. CSU_UPDATE=1 writes the file.
func TestRefusals(t *testing.T) {
	canonical := string(encoded(t, sample()))
	var got strings.Builder
	for _, c := range refusals {
		at := strings.Index(canonical, c.old)
		if at < 0 {
			t.Fatalf("%s: the sample has no %q", c.name, c.old)
		}
		edited := canonical[:at] + c.new + canonical[at+len(c.old):]
		if c.new == "\x00" {
			edited = canonical[:at]
		}
		p, err := Decode("plan.json", []byte(edited))
		if err == nil || p != nil {
			t.Errorf("%s: it is accepted", c.name)
			continue
		}
		var not *NotAPlanError
		var invalid *InvalidError
		switch {
		case errors.As(err, &not):
			if !c.notAPlan {
				t.Errorf("%s: it is said not to be a plan: %v", c.name, err)
			}
		case errors.As(err, &invalid):
			if c.notAPlan {
				t.Errorf("%s: it is said to be a plan: %v", c.name, err)
			}
			if len(invalid.Problems) == 0 {
				t.Errorf("%s: there is no problem in it", c.name)
			}
		default:
			t.Errorf("%s: an error of type %T", c.name, err)
		}
		fmt.Fprintf(&got, "# %s\n%v\n\n", c.name, err)
	}
	golden := filepath.Join("testdata", "refused.golden")
	if os.Getenv("CSU_UPDATE") != "" {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("%s is not what Decode says now (CSU_UPDATE=1 renews it):\n%s", golden, got.String())
	}
}

func TestNotAPlan(t *testing.T) {
	for input, want := range map[string]string{
		"":                      `read plan "x.json": line 1: it is not JSON: unexpected end of JSON input`,
		"hello":                 `read plan "x.json": line 1: it is not JSON: invalid character 'h' looking for beginning of value`,
		"[]":                    `read plan "x.json": line 1: it is not an object, but the JSON kind "array"`,
		"null":                  `read plan "x.json": it has no field "format"`,
		"{}":                    `read plan "x.json": it has no field "format"`,
		"{\n\"format\": false}": `read plan "x.json": line 2: field "format" is a bool`,
		`{"format": "csu-journal/1"}`: `read plan "x.json": it has the format "csu-journal/1", and this csu knows only "csu-plan/2": ` +
			`compile the plan again with this csu, or use the csu it was compiled with`,
	} {
		_, err := Decode("x.json", []byte(input))
		var not *NotAPlanError
		if !errors.As(err, &not) {
			t.Errorf("%q: got %v, which is no NotAPlanError", input, err)
		} else if err.Error() != want {
			t.Errorf("%q:\n got %s\nwant %s", input, err, want)
		}
	}
}

func TestReadFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "plan.json")
	if _, _, err := ReadFile(name); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	data := encoded(t, sample())
	if err := WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
	p, read, err := ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if string(read) != string(data) || p.Site != "summit" {
		t.Errorf("it reads %d bytes of site %q, and %d of summit were written", len(read), p.Site, len(data))
	}
}

func TestDidYouMean(t *testing.T) {
	known := []string{"reboot", "sync", "set-state"}
	for name, want := range map[string]string{
		"rebot":                  ` (did you mean "reboot"?)`,
		"set_state":              ` (did you mean "set-state"?)`,
		"snc":                    ` (did you mean "sync"?)`,
		"teleport":               "",
		"":                       "",
		strings.Repeat("x", 100): "",
	} {
		if got := DidYouMean(name, known); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}
