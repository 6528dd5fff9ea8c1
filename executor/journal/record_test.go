package journal

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

// What is encoded by hand is what the JSON package makes of it.
func TestPlainIsJSON(t *testing.T) {
	at := time.Date(2026, 11, 24, 12, 0, 3, 40_000_000, time.UTC)
	plain := 0
	for _, r := range []Record{
		{},
		{Seq: 1, Time: at, Event: RunBegun, Run: &Run{ID: "r"}},
		{Seq: 2, Time: at, Prev: "ab", Event: Started, Stage: "s", Step: "s/a", Attempt: 1, Identity: "csu-r/s/a/1", Evidence: json.RawMessage(`{ "a": [1, "<x>"] }`)},
		{Seq: 3, Time: at.Add(time.Nanosecond), Prev: "ab", Event: Outcome, Step: "s/a", Attempt: 12, Verdict: "done", Via: "probe", Reported: true, Text: "all <done> & well"},
		{Seq: 4, Time: at, Event: Outcome, Text: "two\nlines"},
		{Seq: 5, Time: at, Event: Outcome, Text: `a "quote" and \`},
		{Seq: 6, Time: at, Event: Outcome, Text: "Cerro Pach\u00f3n \u2028 \x7f"},
		{Seq: 7, Time: at, Event: Answered, Answer: &Answer{Choice: "yes"}},
		{Seq: 8, Time: time.Date(12, 1, 1, 0, 0, 0, 0, time.UTC), Event: Guarded},
		{Seq: 9, Time: at, Event: Noted, Evidence: json.RawMessage(`"\u2028 \ud83d"`)},
	} {
		want, err := marshal(&r)
		if err != nil {
			t.Fatal(err)
		}
		got, ok, err := appendPlain(nil, &r)
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			plain++
		}
		if ok && !bytes.Equal(got, want) {
			t.Errorf("by hand %s, by JSON %s", got, want)
		}
		back, ok := parsePlain(want)
		if !ok {
			continue
		}
		var byJSON Record
		if err := json.Unmarshal(append(want, '}'), &byJSON); err != nil || !reflect.DeepEqual(*back, byJSON) {
			t.Errorf("read by hand %+v, by JSON %+v, %v", *back, byJSON, err)
		}
	}
	if plain < 3 {
		t.Errorf("only %d of the records are plain", plain)
	}
	if _, _, err := appendPlain(nil, &Record{Time: at, Evidence: json.RawMessage(`{`)}); err == nil {
		t.Error("evidence that is no JSON is taken")
	}
}
