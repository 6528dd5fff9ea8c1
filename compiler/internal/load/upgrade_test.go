package load

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/lsst-ts/csu/compiler/internal/model"
)

// TestUpgrade checks that a request that is read with the site's schema is the
// same, and wrong in the same words, as one that is read with its own.
func TestUpgrade(t *testing.T) {
	alone, err := Site(root, "summit")
	if err != nil {
		t.Fatal(err)
	}
	const good = `reason: "a test", date: "2026-12-15", cycle: "c0045"`
	for _, test := range []struct {
		name  string
		right bool
		text  string
	}{
		{"imports the schema", true, "package site\nimport \"github.com/lsst-ts/csu/schema\"\nupgrade: schema.#Upgrades & {full: {" + good + "}}\n"},
		{"imports more", true, "package site\nimport (\n\"strings\"\n\"github.com/lsst-ts/csu/schema\"\n)\nupgrade: schema.#Upgrades & {full: {" + good + ", branches: a: strings.ToLower(\"MAIN\")}}\n"},
		{"imports nothing", true, "package site\nupgrade: full: {" + good + "}\n"},
		{"imports what is not", false, "package site\nimport \"github.com/lsst-ts/csu/nothing\"\nupgrade: nothing.#X & {full: {" + good + "}}\n"},
		{"is not CUE", false, "package site\nupgrade: {\n"},
		{"imports and is unused", false, "package site\nimport \"github.com/lsst-ts/csu/schema\"\nupgrade: full: {" + good + "}\n"},
		{"says what nobody sees", false, "package site\nupgrade: full: {reason: \"a\x7f test\", date: \"2026-12-15\", cycle: \"c0045\"}\n"},
		{"turns its text around", false, "package site\nupgrade: full: {reason: \"a\\u202e test\", date: \"2026-12-15\", cycle: \"c0045\"}\n"},
		{"has a noncharacter", false, "package site\nupgrade: full: {reason: \"a\\uffff test\", date: \"2026-12-15\", cycle: \"c0045\"}\n"},
		{"has accents and a line break", true, "package site\nupgrade: full: {reason: \"Ñandú\\n\\ttest — 望遠鏡\", date: \"2026-12-15\", cycle: \"c0045\"}\n"},
		{"is wrong", false, "package site\nimport \"github.com/lsst-ts/csu/schema\"\nupgrade: schema.#Upgrades & {full: {" + good + ", cylce: \"c0045\", queue: 7}}\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "upgrade.cue")
			if err := os.WriteFile(file, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			want, wantErr := Request(root, alone, "full", file)
			_, got, err := Upgrade(root, "summit", "full", file)
			if (err == nil) != test.right || (wantErr == nil) != test.right || err != nil && err.Error() != wantErr.Error() {
				t.Fatalf("Upgrade: %v; Request: %v", err, wantErr)
			}
			if !reflect.DeepEqual(withoutPlaces(got), withoutPlaces(want)) {
				t.Errorf("Upgrade has %+v, Request %+v", got, want)
			}
		})
	}
}

func withoutPlaces(r *model.Request) model.Request {
	if r == nil {
		return model.Request{}
	}
	out := *r
	out.Places = nil
	return out
}
