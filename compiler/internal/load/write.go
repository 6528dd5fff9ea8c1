package load

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/format"
	"cuelang.org/go/cue/parser"

	"github.com/lsst-ts/csu/compiler/internal/model"
	"github.com/lsst-ts/csu/executor/exit"
)

// noRequests is a site's upgrade.cue without any request.
const noRequests = `// The next upgrades of the site.
package site

import "github.com/lsst-ts/csu/schema"

upgrade: schema.#Upgrades & {
}
`

// WithRequest returns the site's upgrade.cue with another request for the type, whose
// value is given as CUE; all else in the file stays. It also returns its path below the
// root, and the request. Its error has all that is wrong with the request.
func WithRequest(root, name, typ, value string) (file, text string, req *model.Request, err error) {
	file = filepath.Join("sites", name, requests)
	old, err := os.ReadFile(filepath.Join(root, file))
	if errors.Is(err, fs.ErrNotExist) {
		old, err = []byte(noRequests), nil
	}
	if err != nil {
		return file, "", nil, fmt.Errorf("read the requests: %w", err)
	}
	text, err = withField(file, string(old), typ, value)
	if err != nil {
		return file, "", nil, err
	}
	p := newProject(root, map[string]string{filepath.ToSlash(file): text})
	site, err := p.site(name)
	if err != nil {
		return file, text, nil, err
	}
	req, err = p.request(site, typ, "")
	return file, text, req, err
}

// withField replaces or adds a field of the struct upgrade in the text of a file.
func withField(file, text, field, value string) (string, error) {
	f, err := parser.ParseFile(file, text, parser.ParseComments)
	if err != nil {
		return "", exit.Unusable("correct the file, or remove it", "%s cannot be read: %w", file, err)
	}
	var upgrade *ast.StructLit
	for _, d := range f.Decls {
		if one, ok := d.(*ast.Field); ok {
			if name, ok := label(one); ok && name == "upgrade" {
				upgrade = structOf(one.Value)
			}
		}
	}
	if upgrade == nil {
		return "", exit.Unusable("write it as upgrade: schema.#Upgrades & {...}, as other sites do", "%s has no struct upgrade", file)
	}
	from := upgrade.Rbrace.Offset()
	to, before := from, "\n\t"
	for _, d := range upgrade.Elts {
		if one, ok := d.(*ast.Field); ok {
			if name, ok := label(one); ok && name == field {
				from, to, before = one.Pos().Offset(), one.End().Offset(), ""
			}
		}
	}
	after := ""
	if from == to {
		after = "\n"
	}
	out, err := format.Source([]byte(text[:from] + before + field + ": " + value + after + text[to:]))
	if err != nil {
		return "", fmt.Errorf("write the request into %s: %w", file, err)
	}
	return string(out), nil
}

// structOf returns the struct that is written in a value such as schema.#Upgrades & {...}.
func structOf(value ast.Expr) *ast.StructLit {
	switch v := value.(type) {
	case *ast.StructLit:
		return v
	case *ast.BinaryExpr:
		if s := structOf(v.Y); s != nil {
			return s
		}
		return structOf(v.X)
	}
	return nil
}
