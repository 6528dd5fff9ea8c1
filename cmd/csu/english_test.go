package main

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A phrase is one that reads like a translation, and what to write instead.
type phrase struct {
	pattern string // of lower-case text in which every line break is a space; without groups that capture
	except  string // pattern of the text after it for which it is good English; "" for none
	instead string
}

var phrases = []phrase{
	{`tells? whether\b`, "", "reports whether"},
	{`look(?:s|ed|ing)? whether\b`, "", "checks whether"},
	{`is told, and the run goes on\b`, "", "is reported; the run continues"},
	{`let finish\b`, "", "running steps finish"},
	{`tak(?:e|es|en|ing) (?:it |this |the run )?up\b`, `^ (to|with)\b`, "resume"},
	{`held against\b`, "", "compared with"},
	{`stands (?:in|at)\b`, `^ (for|the way)\b`, "is in, is at"},
	{`(?:come|comes|came|coming) to (?:its|their) end\b`, "", "ends, finishes"},
	{`could not be had\b`, "", "cannot acquire"},
	{`see to it that\b`, "", "make sure that, check that"},
	{`(?:is|are|was|were|be|been) given up\b`, "", "is aborted, is abandoned"},
	{`g(?:ive|ives|ave) up the run\b`, "", "aborts the run"},
	{`(?:in|up to) its time\b`, "", "before the deadline"},
	{`can't be told\b`, "", "cannot determine"},
	{`not waited for\b`, "", "without waiting for"},
	{`is not begun\b`, "", "not started"},
	{`of ours\b`, "", "our"},
	{`that which\b`, "", "the thing's name"},
	{`whoever\b`, "", "the role's name: the operator, the caller, another run"},
	{`somebody who\b`, "", "the role's name: the operator, the principal"},
}

// allowed are the places at which a phrase is right, at most ten.
var allowed = []struct{ file, pattern, reason string }{}

// pending are the files, folders (with a slash), and files of one folder (with a
// slash and an asterisk) whose text still has such phrases.
var pending = []string{
	"ARCHITECTURE.md",
	"Makefile",
	"README.md",
	"cmd/",
	"compiler/",
	"executor/internal/action/",
	"executor/rehearsal/",
	"schema/",
	"sites/",
}

// prose are the kinds of files that people read or write.
var prose = []string{".cue", ".go", ".golden", ".md", ".sh", ".txt", ".txtar", ".yaml", ".yml"}

// TestEnglish checks that the project's texts use the words of its field and of
// Go. The list has only phrases that hardly ever are right.
func TestEnglish(t *testing.T) {
	if len(allowed) > 10 {
		t.Errorf("%d places are allowed, want at most 10: rewrite the text", len(allowed))
	}
	used := make([]bool, len(allowed))
	for _, file := range proseFiles(t) {
		text, err := os.ReadFile(filepath.Join("..", "..", file))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range unidiomatic(string(text)) {
			i := slices.IndexFunc(allowed, func(a struct{ file, pattern, reason string }) bool {
				return a.file == file && a.pattern == f.pattern
			})
			switch {
			case i >= 0:
				used[i] = true
			case !isPending(file):
				t.Errorf("%s:%d: %q: write %q", file, f.line, f.text, f.instead)
			}
		}
	}
	for i, a := range allowed {
		if !used[i] {
			t.Errorf("%s no longer has %q: remove it from the list", a.file, a.pattern)
		}
	}
}

func isPending(file string) bool {
	return slices.ContainsFunc(pending, func(p string) bool {
		if folder, ok := strings.CutSuffix(p, "/*"); ok {
			return path.Dir(file) == folder
		}
		return file == p || strings.HasSuffix(p, "/") && strings.HasPrefix(file, p)
	})
}

// proseFiles returns the files of the project that TestEnglish reads, without
// inputs of fuzzers, the logs of the proving ground, and this file.
func proseFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		file, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		switch file = filepath.ToSlash(file); {
		case entry.IsDir() && (file == ".git" || file == "bin" || file == "executor/ground/testdata" || entry.Name() == "fuzz"):
			return fs.SkipDir
		case entry.IsDir(), file == "cmd/csu/english_test.go":
		case file == "Makefile" || slices.Contains(prose, filepath.Ext(file)):
			files = append(files, file)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 500 {
		t.Fatalf("%d files, want those of the whole project", len(files))
	}
	return files
}

// A finding is a phrase in a text.
type finding struct {
	line          int
	text, pattern string
	instead       string
}

// unidiomatic returns the phrases in a text, also those that a line break
// divides.
func unidiomatic(text string) []finding {
	var joined strings.Builder
	var starts []int // of each line, in joined
	for line := range strings.SplitSeq(text, "\n") {
		starts = append(starts, joined.Len())
		line = strings.TrimLeft(strings.TrimSpace(line), "/# \t")
		if line == "" {
			joined.WriteString("\n") // no phrase goes on in the next paragraph
			continue
		}
		joined.WriteString(strings.ToLower(line) + " ")
	}
	all := joined.String()
	var found []finding
	for _, at := range anyPhrase.FindAllStringSubmatchIndex(all, -1) {
		p := phrases[slices.IndexFunc(at[2:], func(i int) bool { return i >= 0 })/2]
		if p.except != "" && regexp.MustCompile(p.except).MatchString(all[at[1]:]) {
			continue
		}
		line, first := slices.BinarySearch(starts, at[0])
		if first {
			line++
		}
		found = append(found, finding{line, all[at[0]:at[1]], p.pattern, p.instead})
	}
	return found
}

// anyPhrase has a group for each of the phrases. One pass over a text with it is
// much quicker than one for each.
var anyPhrase = func() *regexp.Regexp {
	var groups []string
	for _, p := range phrases {
		groups = append(groups, "("+p.pattern+")")
	}
	return regexp.MustCompile(`\b(?:` + strings.Join(groups, "|") + ")")
}()

func TestUnidiomatic(t *testing.T) {
	for text, want := range map[string]string{
		"package x\n\n// open Tells\n// whether it is open.\nfunc open() {}": "3: tells whether",
		"It was\n\ntold; she tells\n\nwhether":                               "",
		"# What is held\n# against it is given up.":                          "1: held against, 2: is given up",
		"It takes up to 30 s. The run is taken up again.":                    "1: taken up",
		"kwok stands in for the kubelet; the value stands in the table":      "1: stands in",
		`t.Errorf("whoever asks")`:                                           "1: whoever",
	} {
		var got []string
		for _, f := range unidiomatic(text) {
			got = append(got, fmt.Sprintf("%d: %s", f.line, f.text))
		}
		if s := strings.Join(got, ", "); s != want {
			t.Errorf("unidiomatic(%q) = %q, want %q", text, s, want)
		}
	}
}
