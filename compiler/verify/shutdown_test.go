package verify

import (
	"reflect"
	"testing"
)

func TestParseShutdown(t *testing.T) {
	for config, want := range map[string]shutdown{
		"": {},
		"user: csu\nreason: \"a: b\"\nstart_with: [Watcher]\n": {user: "csu", reason: "a: b", startWith: []string{"Watcher:0"}},
		"reason: it's done\n  and dusted\nignore:\n- MTM1M3\n- MTM1M3TS:0\nuser: 'o''neil'\n": {
			user: "o'neil", reason: "it's done and dusted", ignore: []string{"MTM1M3:0", "MTM1M3TS:0"}},
		"# a comment\nignore:\n  - \"MTM1M3\"\n\nend_with: []\nstart_with: [ Watcher , 'ESS:1' ]": {
			ignore: []string{"MTM1M3:0"}, startWith: []string{"Watcher:0", "ESS:1"}},
	} {
		if got := parseShutdown(config); !reflect.DeepEqual(*got, want) {
			t.Errorf("%q:\n got %+v\nwant %+v", config, *got, want)
		}
	}
}

func TestParseShutdownProblems(t *testing.T) {
	for config, want := range map[string]string{
		"user":                           `line 1: it is not of the form "name: value"`,
		"user:csu":                       `line 1: it is not of the form "name: value"`,
		"- Watcher":                      `line 1: it is not of the form "name: value"`,
		"user: a\nuser: b":               `line 2: "user" stands there twice`,
		"users: a":                       `line 1: the script has no parameter "users" that this rule knows`,
		"ignore: MTM1M3":                 `line 1: "MTM1M3" is not a list`,
		"ignore: [MTM1M3":                `line 1: "[MTM1M3" is not a list`,
		"user: \"csu":                    `line 1: the string "csu is not closed or has an unknown escape`,
		"user: 'csu":                     `line 1: the string 'csu is not closed`,
		"user: &a csu":                   `line 1: "&a csu" is not a plain string`,
		"ignore:\n- *all":                `line 2: "*all" is not a plain string`,
		"ignore: [a, 'b]":                `line 1: the string 'b is not closed`,
		"{\"user\": \"csu\"}":            `line 1: the script has no parameter "{\"user\"" that this rule knows`,
		"reason: a\nignore:\n\tMTM1M3\n": `line 3: it is not of the form "name: value"`,
	} {
		if got := parseShutdown(config).problem; got != want {
			t.Errorf("%q:\n got %s\nwant %s", config, got, want)
		}
	}
}
