package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/build"
	"cuelang.org/go/cue/load"
	"cuelang.org/go/mod/modfile"
	"cuelang.org/go/mod/module"

	"github.com/lsst-ts/csu/compiler/internal/model"
)

// Limits on a CUE file. A stack overflow in the parser cannot be recovered, so
// files that are absurdly large or deep are refused first.
const (
	maxSize  = 1 << 20 // bytes
	maxDepth = 300     // brackets, labels and operands inside each other
)

// source is one built CUE instance with the places in its files.
type source struct {
	input   string // what it is, for reports
	value   cue.Value
	found   map[string]cue.Value // below value, by path
	ordered map[string][]string  // names of fields in their order, by path
	places  *places
	files   []*ast.File
	schema  []*ast.File
	leaves  map[model.Pos]string // strings and numbers, as the files have them; nil until one is asked for
	// usable: it was parsed and built, so its parts can be checked even if some of
	// them are wrong.
	usable   bool
	valid    bool      // CUE has found nothing wrong
	fallback model.Pos // for CUE's errors without a position
	fromGo   []Problem // found by checks in Go
	cue      []cueProblem
	cross    []Problem // found by #Cross in CUE; the checks in Go find them too
}

// kind is what files contain: a field, and its definition in the schema.
type kind struct{ field, definition string }

var (
	aSite    = kind{"site", "#Site"}
	upgrades = kind{"upgrade", "#Upgrades"}
)

// marker is a field of the definitions of all kinds.
var marker = cue.ParsePath("#follows")

// read builds the files as one instance of the kind and validates it. The source
// has the problems.
func (p *project) read(input string, what kind, files []string) *source {
	src := &source{input: input, found: map[string]cue.Value{}, ordered: map[string][]string{}, places: newPlaces(p.naming)}
	src.guard(func() { p.build(src, what, files) })
	return src
}

// guard runs an evaluation of CUE. CUE is a large evaluator: if it panics on some
// input, that is a problem with the input and must not crash csu.
func (s *source) guard(evaluate func()) {
	defer func() {
		if r := recover(); r != nil {
			s.usable = false
			s.fromGo = append(s.fromGo, Problem{
				Pos: s.fallback, Subject: s.input,
				Text:   fmt.Sprintf("CUE cannot evaluate it: %v", r),
				Remedy: "undo the last change to its files",
			})
		}
	}()
	evaluate()
}

// build fills the source from the files.
func (p *project) build(src *source, what kind, files []string) {
	if len(files) == 0 {
		src.fromGo = append(src.fromGo, Problem{Subject: src.input, Text: "no files", Remedy: "add them"})
		return
	}
	src.fallback = model.Pos{File: p.relative(files[0]), Line: 1, Column: 1}
	for _, f := range files {
		if prob, ok := p.tooLarge(f); ok {
			src.fromGo = append(src.fromGo, prob)
		}
	}
	if len(src.fromGo) > 0 {
		return
	}
	inst := p.instance(files)
	src.files = inst.Files
	for _, f := range inst.Files {
		src.places.add(f)
	}
	if inst.Err != nil {
		src.addCUE(inst.Err)
		return
	}
	schema := p.schemaOf(inst)
	if schema.Err != nil {
		src.addCUE(schema.Err)
		return
	}
	p.schema = schema
	src.schema = schema.Files
	src.value = p.context.BuildInstance(inst)
	// The files refer to the schema themselves, so that the stock cue command
	// checks them. If they do not, apply it here.
	field := cue.ParsePath(what.field)
	if v := src.value.LookupPath(field); v.Exists() && !v.LookupPath(marker).Exists() {
		src.value = src.value.FillPath(field, p.context.BuildInstance(schema).LookupPath(cue.ParsePath(what.definition)))
	}
	src.usable = true
	err := src.value.Validate(cue.Concrete(true))
	src.valid = err == nil
	if err != nil {
		src.addCUE(err)
		// If a reference is unresolved, CUE builds nothing at all.
		src.usable = src.value.LookupPath(field).Exists()
	}
}

// schemaPackage is the folder of the schema, and the last element of its import
// path.
const schemaPackage = "schema"

// schemaOf returns the schema's package: the one that the instance imports or, if
// it imports none, the cached one or a newly loaded one.
func (p *project) schemaOf(inst *build.Instance) *build.Instance {
	for _, imported := range inst.Imports {
		if imported.Dir == filepath.Join(p.root, schemaPackage) {
			return imported
		}
	}
	if p.schema != nil {
		return p.schema
	}
	return p.load([]string{"./" + schemaPackage}, true)
}

// instance loads the files as one package. If they import only the schema, it uses
// the cached one.
func (p *project) instance(files []string) *build.Instance {
	if p.schema != nil {
		inst := p.load(files, false)
		if inst.Err == nil && slices.Equal(inst.ImportPaths, []string{p.schema.ImportPath}) {
			inst.Imports = []*build.Instance{p.schema}
			return inst
		}
	}
	return p.load(files, true)
}

// load loads the files, or a folder, as one package, with or without its imports.
func (p *project) load(files []string, imports bool) *build.Instance {
	overlay := make(map[string]load.Source, len(p.overlay))
	for path, text := range p.overlay {
		overlay[path] = load.FromString(text)
	}
	insts := load.Instances(files, &load.Config{
		Dir:         p.root,
		ModuleRoot:  p.root,
		Overlay:     overlay,
		Registry:    offline{},
		Env:         []string{},
		SkipImports: !imports,
	})
	return insts[0] // arguments that are files give one instance
}

// tooLarge reports a file that must not reach CUE's parser.
func (p *project) tooLarge(file string) (Problem, bool) {
	prob := Problem{Pos: model.Pos{File: p.relative(file), Line: 1, Column: 1}, Subject: filepath.Base(file)}
	text, err := p.text(file)
	switch {
	case err != nil:
		if inner := new(fs.PathError); errors.As(err, &inner) {
			err = inner.Err // the position names the file
		}
		prob.Text, prob.Remedy = fmt.Sprintf("cannot read it: %v", err), "use a CUE file that can be read"
	case len(text) > maxSize:
		prob.Text, prob.Remedy = fmt.Sprintf("is larger than %d bytes", maxSize), "split it into several files"
	case depth(text) > maxDepth:
		prob.Text, prob.Remedy = fmt.Sprintf("is nested more than %d levels deep", maxDepth), "close open brackets, or reduce the nesting"
	default:
		return Problem{}, false
	}
	return prob, true
}

// text returns a file's content, from the overlay if it is there.
func (p *project) text(file string) ([]byte, error) {
	if text, ok := p.overlay[file]; ok {
		return []byte(text), nil
	}
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", filepath.Base(file))
	}
	if info.Size() > maxSize {
		return make([]byte, maxSize+1), nil // only its size matters
	}
	return os.ReadFile(file)
}

// depth returns an upper bound on how deep a parser descends: into brackets, and
// along chains of labels and operands. It treats strings and comments as code, so
// it may be too large but never too small. The files of this project reach a tenth
// of the limit.
func depth(text []byte) int {
	var open []int // depth at each bracket that is open
	run, most := 0, 0
	var before byte // last character that is not a space
	for _, c := range text {
		switch c {
		case ' ', '\t', '\r':
			continue
		case '(', '[', '{':
			run++
			open = append(open, run)
		case ')', ']', '}':
			run = 0
			if n := len(open); n > 0 {
				run, open = open[n-1], open[:n-1]
			}
		case ':', '&', '|', '+', '-', '*', '/', '!', '=', '~', '<', '>':
			run++
		case ',', '\n':
			if c == ',' || !bytes.ContainsRune([]byte(":&|+-*/!=~<>"), rune(before)) {
				run = 0
				if n := len(open); n > 0 {
					run = open[n-1]
				}
			}
			if c == '\n' {
				continue
			}
		}
		before = c
		most = max(most, run)
	}
	return most
}

// problems returns the problems of the source, or nil.
func (s *source) problems() error {
	all := slices.Clone(s.fromGo)
	for _, one := range s.cue {
		all = append(all, one.Problem)
	}
	if len(all) == 0 {
		all = s.cross // what only CUE's own cross-checks found
	}
	if len(all) == 0 {
		return nil
	}
	return &Problems{Input: s.input, All: sorted(all)}
}

// report adds a problem at the position of a path.
func (s *source) report(at path, subject, text, remedy string) {
	pos := s.places.of(at)
	if pos.File == "" {
		pos = s.fallback // nothing of the path is written anywhere
	}
	s.fromGo = append(s.fromGo, Problem{Pos: pos, Subject: subject, Text: text, Remedy: remedy})
}

// offline is an empty registry.
type offline struct{}

var errOffline = errors.New("csu fetches no modules; put the package below the project's root")

func (offline) ModFile(context.Context, module.Version) (*modfile.File, error) {
	return nil, errOffline
}

func (offline) Fetch(context.Context, module.Version) (module.SourceLoc, error) {
	return module.SourceLoc{}, errOffline
}

func (offline) ModuleVersions(context.Context, string) ([]string, error) {
	return nil, errOffline
}
