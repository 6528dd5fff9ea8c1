package load

import (
	"fmt"
	"testing"
)

// TestApprovals: the rule is read whatever else is wrong with a site, and where it is wrong
// itself, nobody reads that none is needed.
func TestApprovals(t *testing.T) {
	const full = "site: approvals: full: "
	for text, want := range map[string]string{
		"":               "map[]",
		full + "lead: 2": "map[full:{map[lead:2] false}]",
		full + "lead: 2\nsite: hosts: x: nosuch: 1":                              "map[full:{map[lead:2] false}]",
		full + "lead: 2\nsite: timeZone: 7":                                      "map[full:{map[lead:2] false}]",
		"site: approvals: notByAuthor: true\n" + full + "{lead: 1, \"M1M3\": 1}": "map[full:{map[M1M3:1 lead:1] true}]",
		full + "lead: 0":                      "",
		full + "lead: int":                    "",
		full + "lead: 1\n" + full + "lead: 2": "",
		full + "lead: nosuch":                 "",
		"site: approvals: fool: lead: 1":      "",
		"site: 1":                             "",
		"site: approvals: 1":                  "",
		"site: {":                             "",
	} {
		got, err := newProject(root, map[string]string{"sites/summit/approvals.cue": "package site\n\n" + text + "\n"}).approvals("summit")
		if want == "" && (err == nil || got != nil) || want != "" && (err != nil || fmt.Sprint(got) != want) {
			t.Errorf("%s\ngot %v, want %q; %v", text, got, want, err)
		}
	}
	if got, err := Approvals(root, "nosuch"); got != nil || err != nil {
		t.Errorf("a site that is not there: %v, %v", got, err)
	}
}
