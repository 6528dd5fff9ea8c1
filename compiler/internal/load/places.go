package load

import (
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/token"

	"github.com/lsst-ts/csu/compiler/internal/model"
)

// path is a field in a value: its labels, list elements by their index.
type path []string

// with returns the path extended by labels.
func (p path) with(labels ...string) path {
	return append(slices.Clip(p), labels...)
}

// below reports whether the path is inside another path's value.
func (p path) below(other path) bool {
	return len(p) > len(other) && slices.Equal(p[:len(other)], other)
}

// key is the path as a key of a map; no label holds a NUL.
func (p path) key() string { return strings.Join(p, "\x00") }

// place is where a field is written.
type place struct {
	label, value token.Pos
	scalar       bool // the value is no struct
}

// places knows where each field of an instance is written. CUE's own positions
// often point to the schema or a reference instead of the place to change.
type places struct {
	naming *naming
	names  map[string]string // of the files, by that of the disk
	files  map[string]bool
	fields map[string][]place
}

func newPlaces(n *naming) *places {
	return &places{naming: n, names: map[string]string{}, files: map[string]bool{}, fields: map[string][]place{}}
}

// add records all fields of a file.
func (p *places) add(f *ast.File) {
	name := p.naming.relative(f.Filename)
	p.files[name], p.names[f.Filename] = true, name
	p.decls(nil, f.Decls)
}

func (p *places) decls(at path, decls []ast.Decl) {
	for _, d := range decls {
		switch d := d.(type) {
		case *ast.Field:
			name, ok := label(d)
			if !ok {
				continue
			}
			below := at.with(name)
			p.note(below, d.Label.Pos(), d.Value)
			p.expr(below, d.Value)
		case *ast.EmbedDecl:
			p.expr(at, d.Expr)
		}
	}
}

// expr records the fields inside a value.
func (p *places) expr(at path, e ast.Expr) {
	switch e := e.(type) {
	case *ast.StructLit:
		p.decls(at, e.Elts)
	case *ast.BinaryExpr:
		p.expr(at, e.X)
		p.expr(at, e.Y)
	case *ast.ParenExpr:
		p.expr(at, e.X)
	case *ast.ListLit:
		for i, elem := range e.Elts {
			if _, plain := elem.(*ast.Comprehension); plain {
				return // the number of its elements is unknown here
			}
			if _, open := elem.(*ast.Ellipsis); open {
				return
			}
			below := at.with(strconv.Itoa(i))
			p.note(below, elem.Pos(), elem)
			p.expr(below, elem)
		}
	}
}

func (p *places) note(at path, label token.Pos, value ast.Expr) {
	one := place{label: label, value: value.Pos()}
	switch value.(type) {
	case *ast.BasicLit, *ast.Interpolation, *ast.Ident, *ast.SelectorExpr, *ast.UnaryExpr, *ast.ListLit:
		one.scalar = true
	}
	key := at.key()
	p.fields[key] = append(p.fields[key], one)
}

// pos returns a position with the path that reports use.
func (p *places) pos(pos token.Pos) model.Pos {
	if !pos.IsValid() {
		return model.Pos{}
	}
	at := pos.Position()
	name, known := p.names[at.Filename]
	if !known {
		name = p.naming.relative(at.Filename)
	}
	return model.Pos{File: name, Line: at.Line, Column: at.Column}
}

// of returns where a field is written: its value, or its label if the value is
// not a scalar. If the field comes from a reference or a comprehension, it returns
// the closest enclosing field.
func (p *places) of(at path) model.Pos {
	for n := len(at); n > 0; n-- {
		if all := p.fields[at[:n].key()]; len(all) > 0 {
			if all[0].scalar {
				return p.pos(all[0].value)
			}
			return p.pos(all[0].label)
		}
	}
	return model.Pos{}
}

// At implements [model.Places].
func (p *places) At(at ...string) model.Pos { return p.of(at) }

// exact returns where a field is written, if it is.
func (p *places) exact(at path) (model.Pos, bool) {
	return p.of(at), len(p.fields[at.key()]) > 0
}

// all returns every place where a field is written.
func (p *places) all(at path) []place { return p.fields[at.key()] }

// label returns the name of a field, if it has a fixed one.
func label(f *ast.Field) (string, bool) {
	switch l := f.Label.(type) {
	case *ast.Ident, *ast.BasicLit:
		name, _, err := ast.LabelName(l)
		return name, err == nil
	}
	return "", false
}
