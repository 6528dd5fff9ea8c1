package load

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// root is the project's root, from this package's folder.
const root = "../../.."

// badInput is a mistake in the project's own sites or upgrades, as a txtar file
// below testdata/problems: what is edited or added, and the problems that are
// reported for it.
type badInput struct {
	archive *txtar.Archive
	file    string
	site    string
	request string // type, if it is about an upgrade
	other   string // file that holds the upgrade, if not the site's
	goOnly  bool   // the stock cue command does not find it
	overlay map[string]string
	want    string
}

func readBadInput(t *testing.T, file string) *badInput {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	in := &badInput{archive: archive, file: file, site: "summit", overlay: map[string]string{}}
	for line := range strings.Lines(string(archive.Comment)) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "#":
		case "site":
			in.site = rest
		case "request":
			in.request = rest
		case "file":
			in.other = rest
		case "go":
			in.goOnly = true
		default:
			t.Fatalf("%s: unknown line %q", file, line)
		}
	}
	for _, f := range archive.Files {
		path, isEdit := strings.CutPrefix(f.Name, "edit ")
		switch {
		case f.Name == "want":
			in.want = string(f.Data)
		case isEdit:
			in.overlay[path] = edited(t, path, string(f.Data))
		default:
			in.overlay[path] = string(f.Data)
		}
	}
	return in
}

// edited returns a file of the project with replacements made, one a line:
// "old => new", where \n and \t stand for what they do in Go. Each old text must
// be there.
func edited(t *testing.T, path, edits string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	escapes := strings.NewReplacer(`\n`, "\n", `\t`, "\t")
	for line := range strings.Lines(edits) {
		before, after, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " => ")
		before, after = escapes.Replace(before), escapes.Replace(after)
		if !ok || !strings.Contains(text, before) {
			t.Fatalf("%s: nothing to replace for %q", path, line)
		}
		text = strings.Replace(text, before, after, 1)
	}
	return text
}

// problems loads the bad input and returns what is reported.
func (in *badInput) problems(t *testing.T) *Problems {
	t.Helper()
	p := newProject(root, in.overlay)
	_, err := p.site(in.site)
	if in.request != "" {
		site, siteErr := newProject(root, nil).site(in.site)
		if siteErr != nil {
			t.Fatal(siteErr)
		}
		other := in.other
		if other != "" {
			other = filepath.Join(p.root, other)
		}
		_, err = p.request(site, in.request, other)
	}
	var problems *Problems
	if !errors.As(err, &problems) {
		t.Fatalf("load: %v, want problems", err)
	}
	return problems
}

func TestProblems(t *testing.T) {
	files, err := filepath.Glob("testdata/problems/*.txtar")
	if err != nil || len(files) < 25 {
		t.Fatalf("%d bad inputs, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			in := readBadInput(t, file)
			problems := in.problems(t)
			var lines strings.Builder
			for _, one := range problems.All {
				lines.WriteString(one.String() + "\n")
				if one.Pos.File == "" || one.Pos.Line == 0 || one.Pos.Column == 0 {
					t.Errorf("no place in %q", one)
				}
				if filepath.IsAbs(one.Pos.File) || strings.Contains(one.String(), problemsRoot(t)) {
					t.Errorf("a path of this machine in %q", one)
				}
				if one.Subject == "" || one.Text == "" || one.Remedy == "" {
					t.Errorf("no subject, cause or remedy in %+v", one)
				}
			}
			if os.Getenv("CSU_UPDATE") != "" {
				in.update(t, lines.String())
				return
			}
			if diff := cmp.Diff(in.want, lines.String()); diff != "" {
				t.Errorf("problems (-want +got; CSU_UPDATE=1 renews them):\n%s", diff)
			}
		})
	}
}

// problemsRoot is the root as this machine knows it.
func problemsRoot(t *testing.T) string {
	t.Helper()
	abs, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	return abs
}

// update writes what was reported into the file.
func (in *badInput) update(t *testing.T, got string) {
	t.Helper()
	var files []txtar.File
	for _, f := range in.archive.Files {
		if f.Name != "want" {
			files = append(files, f)
		}
	}
	in.archive.Files = append(files, txtar.File{Name: "want", Data: []byte(got)})
	if err := os.WriteFile(in.file, txtar.Format(in.archive), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestProblemsOfStockCUE checks that the stock cue command, which knows nothing of
// the checks in Go, also refuses what it can.
func TestProblemsOfStockCUE(t *testing.T) {
	files, err := filepath.Glob("testdata/problems/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		in := readBadInput(t, file)
		if in.request != "" {
			continue // those checks are against a site, which the file does not see
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			p := newProject(root, in.overlay)
			files, err := p.siteFiles(in.site)
			if err != nil {
				t.Fatal(err)
			}
			src := p.read(in.site, aSite, files)
			if found := len(src.cue)+len(src.cross) > 0; found == in.goOnly {
				t.Errorf("CUE itself finds a problem: %v, want %v", found, !in.goOnly)
			}
			for _, one := range src.cross {
				if !strings.Contains(one.String(), "; ") {
					t.Errorf("no remedy in %q", one)
				}
			}
		})
	}
}

func TestProblemsError(t *testing.T) {
	p := &Problems{Input: "site summit", All: []Problem{
		{Subject: "CSC ESS:105", Text: "is wrong", Remedy: "correct it"},
		{Subject: "CSC ESS:106", Text: "is wrong too"},
	}}
	p.All[0].Pos.File, p.All[0].Pos.Line, p.All[0].Pos.Column = "sites/summit/cscs.cue", 3, 5
	want := "load site summit: 2 problems\n" +
		"sites/summit/cscs.cue:3:5: CSC ESS:105: is wrong; correct it\n" +
		"CSC ESS:106: is wrong too"
	if diff := cmp.Diff(want, p.Error()); diff != "" {
		t.Errorf("Error (-want +got):\n%s", diff)
	}
}

func TestSuggest(t *testing.T) {
	hosts := []string{"azar02", "azar03", "love01", "m2-ess01"}
	for name, want := range map[string]string{
		"azar3":   ` (did you mean "azar03"?)`,
		"m2-es01": ` (did you mean "m2-ess01"?)`,
		"loev01":  ` (did you mean "love01"?)`,
		"dimm":    "",
		"4":       "",
	} {
		if got := suggest(name, hosts); got != want {
			t.Errorf("suggest %q: %q, want %q", name, got, want)
		}
	}
	cscs := []string{"MTMount:0", "MTM1M3:0", "ESS:105", "ESS:106", "GIS:0", "GenericCamera:101"}
	for name, want := range map[string]string{
		"MTMout:0":          ` (did you mean "MTMount:0"?)`,
		"MTMount:1":         ` (did you mean "MTMount:0"?)`,
		"MTMount":           ` (did you mean "MTMount:0"?)`,
		"GenericCamara:101": ` (did you mean "GenericCamera:101"?)`,
		"ESS:107":           "", // which index was meant can't be known
	} {
		if got := suggestCSC(name, cscs); got != want {
			t.Errorf("suggestCSC %q: %q, want %q", name, got, want)
		}
	}
}
