package main

import (
	"testing"
)

// TestKeys: of what a terminal sends, only visible text and the keys that edit a line
// remain; no part of another key's sequence becomes text.
func TestKeys(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		name string
		sent []string
		want string
	}{
		{"text", []string{"1 agreed, Größe 望\n"}, "1 agreed, Größe 望\n"},
		{"carriage return", []string{"yes\r"}, "yes\n"},
		{"two Enters", []string{"yes\n\n"}, "yes\n"},
		{"arrows", []string{"\x1b[A\x1b[B\x1b[C\x1b[D"}, "\x1b[A\x1b[B\x1b[C\x1b[D"},
		{"arrows in application mode", []string{"\x1bOA\x1bOD"}, "\x1b[A\x1b[D"},
		{"Home and End", []string{"\x1b[H\x1b[1~\x1b[7~\x1bOH\x1b[F\x1b[4~\x1b[8~\x1bOF"}, "\x1b[H\x1b[H\x1b[H\x1b[H\x1b[F\x1b[F\x1b[F\x1b[F"},
		{"Delete", []string{"\x1b[3~\x7f\x08"}, "\x1b[3~\x7f\x08"},
		{"by words", []string{"\x1b[1;5C\x1b[1;3D"}, "\x1b[1;3C\x1b[1;3D"},
		{"function keys", []string{"\x1bOP\x1b[15~\x1b[[A\x1b[24;2~a"}, "a"},
		{"Alt and a key", []string{"\x1bb\x1b\u00f6a"}, "a"},
		{"mouse and focus", []string{"\x1b[<0;10;5M\x1b[Ia"}, "a"},
		{"Escape, then a choice", []string{"\x1b", "1\n"}, "1\n"},
		{"Escape and a choice at once, which is Alt", []string{"\x1b1"}, ""},
		{"a sequence in parts", []string{"\x1b", "[", "1;", "5C", "a"}, "\x1b[1;3Ca"},
		{"a character in parts", []string{"\xe6\x9c", "\x9b"}, "望"},
		{"control characters", []string{"a\x00\x03\x0c\x12\x16\x1a\x1c\x1db"}, "ab"},
		{"editing", []string{"\x01\x02\x04\x05\x06\x0b\x0e\x10\x14\x15\x17"}, "\x01\x02\x04\x05\x06\x0b\x0e\x10\x14\x15\x17"},
		{"what is not seen", []string{"a\u202e\u200b\u009b\xff\u00a0b"}, "ab"},
		{"no sequence", []string{"\x1b[1\x15yes\n"}, "\x15yes\n"},
		{"paste", []string{"\x1b[200~not\r\nneeded\tnow\x1b[201~"}, "not  needed now"},
		{"paste in parts", []string{"\x1b[20", "0~yes\n", "yes\n\x1b[2", "01~", "\n"}, "yes yes \n"},
		{"keys in a paste", []string{"\x1b[200~a\x1b[A\x03\x15b\x1b[201~"}, "a[Ab"},
		{"paste that ends twice", []string{"\x1b[200~a\x1b[201~\x1b[201~b"}, "ab"},
	} {
		var k keys
		got := ""
		for _, part := range x.sent {
			out, several := k.take([]byte(part))
			if several {
				t.Errorf("%s: taken for several lines", x.name)
			}
			got += string(out)
		}
		if got != x.want {
			t.Errorf("%s: %q gives %q, want %q", x.name, x.sent, got, x.want)
		}
	}
}

// TestKeysSeveralLines: where the terminal does not mark a paste, lines that come at once are
// no answers.
func TestKeysSeveralLines(t *testing.T) {
	t.Parallel()
	for _, sent := range []string{"yes\nyes\n", "1\r\n2\r\n", "yes\nn", "yes\n\nyes"} {
		var k keys
		if out, several := k.take([]byte(sent)); !several || len(out) > 0 {
			t.Errorf("%q gives %q, several lines: %t", sent, out, several)
		}
		if out, several := k.take([]byte("no\n")); several || string(out) != "no\n" {
			t.Errorf("after %q, \"no\" gives %q, several lines: %t", sent, out, several)
		}
	}
}

// FuzzKeys: whatever a terminal sends, the line gets visible text, editing keys and known
// sequences, however it is cut into reads.
func FuzzKeys(f *testing.F) {
	f.Add([]byte("yes\n"), 2)
	f.Add([]byte("\x1b[200~a\nb\x1b[201~\x1bOA\x1b[1;5C"), 3)
	known := map[string]bool{}
	for _, s := range sequences {
		known[s] = true
	}
	f.Fuzz(func(t *testing.T, sent []byte, cut int) {
		var k keys
		for _, part := range [][]byte{sent[:min(max(cut, 0), len(sent))], sent[min(max(cut, 0), len(sent)):]} {
			out, _ := k.take(part)
			for len(out) > 0 {
				size := 0
				for s := range known {
					if len(out) >= len(s) && string(out[:len(s)]) == s {
						size = max(size, len(s))
					}
				}
				if size == 0 {
					var plain keys
					text, n := plain.next(out, false)
					if n == 0 || text != string(out[:n]) {
						t.Fatalf("%q gives %q", sent, out)
					}
					size = n
				}
				out = out[size:]
			}
			if len(k.held) > longest {
				t.Fatalf("%q: %d bytes are held back", sent, len(k.held))
			}
		}
	})
}
