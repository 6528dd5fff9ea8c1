package main

import (
	"bytes"
	"strings"
)

// firstDifference returns the first line in which two texts differ.
func firstDifference(a, b []byte) (number int, inA, inB string) {
	as, bs := bytes.Split(a, []byte("\n")), bytes.Split(b, []byte("\n"))
	for i := 0; i < len(as) || i < len(bs); i++ {
		var x, y []byte
		if i < len(as) {
			x = as[i]
		}
		if i < len(bs) {
			y = bs[i]
		}
		if !bytes.Equal(x, y) {
			return i + 1, strings.TrimSpace(string(x)), strings.TrimSpace(string(y))
		}
	}
	return 0, "", ""
}
