package load

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSites(t *testing.T) {
	got, err := Sites(root)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"base-teststand", "summit", "tucson-teststand"}, got); diff != "" {
		t.Errorf("Sites (-want +got):\n%s", diff)
	}
	if _, err := Sites(t.TempDir()); err == nil {
		t.Error("Sites of a folder without any: no error")
	}
}

// TestRequested: the requests are known however they are written; a site without the
// file has none.
func TestRequested(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"cue.mod", "schema"} {
		if err := os.CopyFS(filepath.Join(dir, d), os.DirFS(filepath.Join(root, d))); err != nil {
			t.Fatal(err)
		}
	}
	site := filepath.Join(dir, "sites", "x")
	if err := os.MkdirAll(site, 0o755); err != nil {
		t.Fatal(err)
	}
	if got, err := Requested(dir, "x"); got != nil || err != nil {
		t.Errorf("without upgrade.cue: %q, %v", got, err)
	}
	for _, c := range []struct{ text, want, err string }{
		{`{recovery: date: "2026-12-01", full: date: "2026-12-01"}`, "full recovery", ""},
		{`recovery: date: "tomorrow"`, "recovery", ""}, // that is for Upgrade to report
		{`{}`, "", ""},
		{`{`, "", "sites/x/upgrade.cue:"},
	} {
		text := "package site\n\nimport \"github.com/lsst-ts/csu/schema\"\n\nupgrade: schema.#Upgrades\nupgrade: " + c.text + "\n"
		if err := os.WriteFile(filepath.Join(site, "upgrade.cue"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := Requested(dir, "x")
		if strings.Join(got, " ") != c.want || (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %q, %v", c.text, got, err)
		}
	}
}

func TestNoSite(t *testing.T) {
	for name, want := range map[string]string{
		"sumit":     `no site "sumit" (did you mean "summit"?); sites are "base-teststand", "summit", "tucson-teststand"`,
		"..":        `no site ".."; sites are "base-teststand", "summit", "tucson-teststand"`,
		"../schema": `no site "../schema"; sites are "base-teststand", "summit", "tucson-teststand"`,
		"":          `no site ""; sites are "base-teststand", "summit", "tucson-teststand"`,
	} {
		_, err := Site(root, name)
		var noSite *NoSiteError
		if !errors.As(err, &noSite) || err.Error() != want {
			t.Errorf("Site %q: %v, want %s", name, err, want)
		}
	}
}

func TestFindRoot(t *testing.T) {
	want := problemsRoot(t)
	for _, dir := range []string{root, ".", "testdata/problems", root + "/sites/summit"} {
		if got, err := FindRoot(dir); err != nil || got != want {
			t.Errorf("FindRoot %q: %q, %v, want %q", dir, got, err, want)
		}
	}
	if _, err := FindRoot(t.TempDir()); !errors.Is(err, ErrNoRoot) {
		t.Errorf("FindRoot outside: %v, want %v", err, ErrNoRoot)
	}
}

// TestHostileFiles gives CUE's parser what would end the process rather than
// return an error, or what is no file at all.
func TestHostileFiles(t *testing.T) {
	const nest = 200_000
	for name, text := range map[string]string{
		"brackets":      "package site\n\nsite: " + strings.Repeat("[", nest) + strings.Repeat("]", nest) + "\n",
		"never closed":  "package site\n\nsite: hosts: " + strings.Repeat("{a:", nest),
		"signs":         "package site\n\nsite: name: " + strings.Repeat("!", nest) + "true\n",
		"interpolation": "package site\n\nsite: name: " + strings.Repeat(`"\(`, nest),
		"labels":        "package site\n\nsite: " + strings.Repeat("a: ", nest) + "1\n",
		"lines":         "package site\n\nsite:\n" + strings.Repeat("a:\n", nest) + "1\n",
		"both":          "package site\n\nsite: " + strings.Repeat(strings.Repeat("a: ", 199)+"{\n", 100) + "\n",
		"operands":      "package site\n\nsite: name: " + strings.Repeat("a & ", nest) + "a\n",
		"selectors":     "package site\n\nsite: name: a" + strings.Repeat(".a", nest) + "\n",
		"too large":     "package site\n\n//" + strings.Repeat("x", maxSize) + "\n",
		"not text":      "package site\n\x00\xff\xfe\n",
		"empty":         "",
		"self":          "package site\n\nsite: site\n",
		"mutual":        "package site\n\nsite: hosts: azar03: note: _a\n_a: _b\n_b: _a + \"\"\n",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newProject(root, map[string]string{"sites/summit/zz.cue": text}).site("summit")
			if name == "self" || name == "empty" { // which say nothing, and so are right
				if err != nil {
					t.Errorf("load: %v", err)
				}
				return
			}
			var problems *Problems
			if !errors.As(err, &problems) {
				t.Fatalf("load: %v, want problems", err)
			}
			for _, one := range problems.All {
				if one.Pos.File == "" || one.Subject == "" || one.Text == "" || one.Remedy == "" {
					t.Errorf("incomplete: %+v", one)
				}
			}
		})
	}
}

// TestDepth checks that the project's own files are far from the limit.
func TestDepth(t *testing.T) {
	for _, pattern := range []string{"sites/*/*.cue", "schema/*.cue", "schema/*/*.cue"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("no files %s: %v", pattern, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if d := depth(text); d > maxDepth/3 {
				t.Errorf("%s: depth %d, limit %d", file, d, maxDepth)
			}
		}
	}
}

func TestRequestOfAnotherFile(t *testing.T) {
	site, err := Site(root, "summit")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := write("next.cue", "upgrade: incremental: {\n\tdate: \"2027-01-12\"\n\treason: \"Revision 8\"\n\tchanged: [{csc: \"MTMount:0\", revision: 8}]\n}\n")
	req, err := Request(root, site, "incremental", good)
	if err != nil {
		t.Fatal(err)
	}
	// The defaults come from the schema although the file does not mention it.
	if req.Date != "2027-01-12" || req.Attempt != 1 || req.Queue != 1 || req.Cycle != site.Cycle || req.Changed[0].Revision != 8 {
		t.Errorf("request: %+v", req)
	}
	for name, file := range map[string]string{
		"missing":    filepath.Join(dir, "none.cue"),
		"other form": write("next.yaml", "upgrade: {}\n"),
		"folder":     dir + "/folder.cue",
		"no upgrade": write("empty.cue", "package site\n"),
	} {
		if name == "folder" {
			if err := os.Mkdir(file, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		_, err := Request(root, site, "incremental", file)
		var problems *Problems
		if !errors.As(err, &problems) || len(problems.All) != 1 || problems.All[0].Remedy == "" {
			t.Errorf("%s: %v, want one problem with its remedy", name, err)
		}
	}
	if _, err := Request(root, site, "ful", ""); err == nil || !strings.Contains(err.Error(), `did you mean "full"`) {
		t.Errorf("unknown type: %v", err)
	}
}

func BenchmarkSite(b *testing.B) {
	for b.Loop() {
		if _, err := Site(root, "summit"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRequest(b *testing.B) {
	site, err := Site(root, "summit")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := Request(root, site, "full", ""); err != nil {
			b.Fatal(err)
		}
	}
}
