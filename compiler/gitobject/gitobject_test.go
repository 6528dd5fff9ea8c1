package gitobject

import (
	"fmt"
	"strings"
	"testing"
)

func TestFiles(t *testing.T) {
	out := "100644 blob aa\ta b\n.cue\x00100755 blob bb\tc\x00120000 blob cc\tlink\x00160000 commit dd\tmodule\x00"
	want := `["a b\n.cue" "aa" true] ["c" "bb" true] ["link" "cc" false] ["module" "dd" false]`
	var got []string
	for _, f := range Files([]byte(out)) {
		got = append(got, fmt.Sprintf("[%q %q %v]", f.Name, f.Object, f.Plain))
	}
	if strings.Join(got, " ") != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestContents(t *testing.T) {
	for out, want := range map[string]string{
		"":                               "",
		"aa blob 3\nx\ny\nbb blob 0\n\n": `aa "x\ny" bb "" `,
		"aa missing\n":                   "git cat-file: object is missing: aa missing",
		"aa blob three\nabc\n":           "git cat-file: size of object aa: ",
		"aa blob 3\nx":                   "git cat-file: object aa: unexpected EOF",
	} {
		got := ""
		err := Contents([]byte(out), func(object string, data []byte) { got += fmt.Sprintf("%s %q ", object, data) })
		if err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%q: got %q, want %q", out, got, want)
		}
	}
}
