package plan

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseShutdown(t *testing.T) {
	for config, want := range map[string]Shutdown{
		"user: csu\nreason: \"a: b\"\nstart_with: [Watcher]\n": {User: "csu", Reason: "a: b", StartWith: []string{"Watcher"}},
		"reason: it's done\n  and dusted\nignore:\n- MTM1M3\n- MTM1M3TS\nuser: 'o''neil'\n": {
			User: "o'neil", Reason: "it's done and dusted", Ignore: []string{"MTM1M3", "MTM1M3TS"}},
		"# a comment\n{user: a, reason: b, ignore: [\"MTM1M3\"], end_with: []}": {User: "a", Reason: "b", Ignore: []string{"MTM1M3"}, EndWith: []string{}},
	} {
		got, err := ParseShutdown(config)
		if err != nil {
			t.Errorf("%q: %v", config, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", config, diff)
		}
	}
}

// The script compares names of components: an entry with an index would have no
// effect, or fail, and csu must not believe otherwise.
func TestParseShutdownRefuses(t *testing.T) {
	const whole = "user: csu\nreason: test\n"
	for config, want := range map[string]string{
		"":                                    "it needs a user and a reason",
		"user: csu":                           "it needs a user and a reason",
		"user:csu":                            "cannot unmarshal string",
		"- Watcher":                           "cannot unmarshal array",
		whole + "user: b":                     `key "user" already set`,
		whole + "users: a":                    `unknown field "users"`,
		whole + "ignore: MTM1M3":              "cannot unmarshal string",
		whole + "ignore: [MTM1M3":             "line 3",
		whole + "ignore: [{a: b}]":            "cannot unmarshal object",
		whole + "ignore: [MTM1M3TS:0]":        `ignore names "MTM1M3TS:0": the script compares names of components, such as "MTM1M3TS", without an index`,
		whole + "ignore: [MTM1M3, 'ESS:105']": `ignore names "ESS:105"`,
		whole + "start_with: [Watcher:0]":     `start_with names "Watcher:0"`,
		whole + "end_with: [Watcher:0]":       `end_with names "Watcher:0"`,
	} {
		if got, err := ParseShutdown(config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %+v, %v; want an error with %q", config, got, err, want)
		}
	}
}

func TestShutdownReaches(t *testing.T) {
	p := &Plan{}
	for _, name := range []string{"ESS:1", "MTM1M3:0", "ScriptQueue:1", "ESS:105", "Watcher:0", "MTMount:0"} {
		p.CSCs = append(p.CSCs, CSC{CSC: name, Host: "a"})
	}
	for _, c := range []struct {
		s    Shutdown
		want string
	}{
		{Shutdown{}, "ESS:1 ESS:105 MTM1M3:0 Watcher:0 MTMount:0"},
		{Shutdown{StartWith: []string{"Watcher"}, Ignore: []string{"MTM1M3"}}, "Watcher:0 ESS:1 ESS:105 MTMount:0"},
		{Shutdown{StartWith: []string{"Watcher", "ESS"}}, "Watcher:0 ESS:1 ESS:105 MTM1M3:0 MTMount:0"},
		{Shutdown{EndWith: []string{"MTM1M3", "ESS"}}, "Watcher:0 MTMount:0 MTM1M3:0 ESS:1 ESS:105"},
	} {
		if got := c.s.Reaches(p); !slices.Equal(got, strings.Fields(c.want)) {
			t.Errorf("%+v reaches %v, want %s", c.s, got, c.want)
		}
	}
}

func TestCheckConfig(t *testing.T) {
	for config, fails := range map[string]bool{"": false, "a: 1\nb: {c: [2]}\n": false, "a: 1\na: 2\n": true, "a: {b: 1, b: 2}\n": true, "- a\n": true, "a: [\n": true} {
		if err := (&Script{Path: "x.py", Config: config}).CheckConfig(); (err != nil) != fails {
			t.Errorf("%q: %v", config, err)
		}
	}
}
