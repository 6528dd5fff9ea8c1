package campaign

import (
	"strings"
	"testing"
)

// TestTriggers: a trigger is read as it is written, and says in words what it
// is.
func TestTriggers(t *testing.T) {
	for text, sentence := range map[string]string{
		"none":                              "of nothing",
		"record|talk/asked started|1|after": `when it had written the record "started" of talk/asked`,
		"record| run|1|middle":              `in the middle of writing the record "run" of the run`,
		"record||7|before":                  "before it wrote its record 7",
		"request|talk/asked note|2|3":       `before it sent request 3 after the record "note" of talk/asked, number 2 in this life`,
		"answer||4|1":                       "before it got answer 1 after its record 4",
		"effect|rebooted azar03 |1|middle":  "when this had happened, before it was told: rebooted azar03 ",
		"effect|rebooted azar03 |1|after":   "when this had happened, after it was told: rebooted azar03 ",
		"disk|EIO sync|3|":                  "of its disk: EIO sync, number 3 in this life",
	} {
		d, err := ParseTrigger(text)
		if err != nil {
			t.Error(err)
			continue
		}
		if d.String() != text || d.Sentence() != sentence {
			t.Errorf("%q is %q, died %q, want %q", text, d, d.Sentence(), sentence)
		}
		if err := d.Check(talkPlan()); err != nil {
			t.Error(err)
		}
	}
}

// TestBadTriggers: what is wrong with a trigger is said, with what would be
// right.
func TestBadTriggers(t *testing.T) {
	for text, want := range map[string]string{
		"":                                    "it has 1 parts between strokes, not 4",
		"record|talk/asked started|1":         "it has 3 parts",
		"recrod|talk/asked started|1|after":   `it is about "recrod" (did you mean "record"?); it can be about record, request, answer, effect, disk`,
		"record|talk/asked started|0|after":   `its count is "0", not 1 or more`,
		"record|talk/asked started|one|after": `its count is "one"`,
		"record|talk/asked started|1|amid":    `it is at "amid"`,
		"effect|rebooted azar03 |1|before":    `it is at "before"; an effect has the places middle`,
		"request|talk/asked started|1|0":      `it counts "0" requests or answers`,
		"answer|talk/asked started|1|after":   `it counts "after" requests or answers`,
		"disk|EIO snc|1|":                     `no failure of the disk "EIO snc" (did you mean "EIO sync"?)`,
		"disk|EIO sync|1|after":               "a failure of the disk has no place",
		"record|talk/askd started|1|after":    `the plan has no step or stage "talk/askd" (did you mean "talk/asked"?)`,
		"record|talk/asked|1|after":           "is no step or stage with an event of the journal",
		"effect|rebootd azar03 |1|after":      "csu has no such effect; it has: command, job deleted,",
	} {
		d, err := ParseTrigger(text)
		if err == nil {
			err = d.Check(talkPlan())
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
