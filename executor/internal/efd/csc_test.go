package efd

import "testing"

func TestParseCSC(t *testing.T) {
	for in, want := range map[string]CSC{
		"MTMount:0":   {"MTMount", 0},
		"MTMount":     {"MTMount", 0},
		"MTHexapod:2": {"MTHexapod", 2},
		"ESS:303":     {"ESS", 303},
	} {
		got, err := ParseCSC(in)
		if err != nil || got != want {
			t.Errorf("ParseCSC(%q) = %v, %v, want %v", in, got, err, want)
		}
		if again, err := ParseCSC(got.String()); err != nil || again != got {
			t.Errorf("ParseCSC(%q) = %v, %v, want the CSC whose String it is", got.String(), again, err)
		}
	}
}

func TestParseCSCRefusesInvalidNames(t *testing.T) {
	for _, in := range []string{"", ":1", "MTMount:", "MTMount:-1", "MTMount:01", "MTMount:+1", "MTMount:x", "MT Mount", "MTMount:1:2", `X" ; DROP DATABASE efd --`, "1MTMount", "Mönt"} {
		if got, err := ParseCSC(in); err == nil {
			t.Errorf("ParseCSC(%q) = %v, want an error", in, got)
		}
	}
}
