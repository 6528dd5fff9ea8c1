package plan

import (
	"bytes"
	"errors"
	"testing"
)

// FuzzDecode: whatever is accepted encodes to the same bytes again, and what is
// refused is refused with one of the two errors.
func FuzzDecode(f *testing.F) {
	canonical := encoded(f, sample())
	f.Add(canonical)
	for _, c := range refusals {
		f.Add(bytes.Replace(canonical, []byte(c.old), []byte(c.new), 1))
	}
	f.Add([]byte(`{"format":"csu-plan/2"}`))
	f.Add([]byte(`{"format":"csu-plan/2","stages":[{"steps":[{"action":{"kind":"ssh"}}]}],"final":[{}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Decode("fuzz", data)
		if err != nil {
			var not *NotAPlanError
			var invalid *InvalidError
			if !errors.As(err, &not) && !errors.As(err, &invalid) {
				t.Fatalf("an error of type %T: %v", err, err)
			}
			if p != nil {
				t.Fatal("a plan beside an error")
			}
			return
		}
		again, err := Encode(p)
		if err != nil {
			t.Fatalf("it is accepted and can't be encoded: %v", err)
		}
		if !bytes.Equal(again, data) {
			t.Fatalf("it is accepted and encodes to other bytes:\n%s\nwas\n%s", again, data)
		}
	})
}
