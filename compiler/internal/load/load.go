// Package load reads the project's CUE: sites and upgrade requests become values
// of package model, complete and checked. It is the only package that knows CUE.
//
// The words: a problem is something in the sources that must be corrected; its
// subject is what it is about, such as a CSC; its remedy is what to do. All problems
// of an input are reported together.
//
// It never fetches anything: a module that is not below the root is a problem.
package load

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/build"
	"cuelang.org/go/cue/cuecontext"
	cueerrors "cuelang.org/go/cue/errors"

	"github.com/lsst-ts/csu/compiler/internal/model"
	"github.com/lsst-ts/csu/executor/exit"
)

// requests is the file of a site with its upgrade requests. It is read separately,
// so that a wrong request does not make the site unusable.
const requests = "upgrade.cue"

// ErrNoRoot is returned by FindRoot if there is no project.
var ErrNoRoot = exit.Unusable("run csu inside the project, or give its folder with --root", "no cue.mod in this folder or above")

// NoSiteError reports an unknown site.
type NoSiteError struct {
	Name  string
	Sites []string // all sites of the project
}

// Error implements error.
func (e *NoSiteError) Error() string {
	return fmt.Sprintf("no site %q%s; sites are %s", e.Name, suggest(e.Name, e.Sites), quoted(e.Sites))
}

// ExitCode returns the code for unusable input.
func (e *NoSiteError) ExitCode() exit.Code { return exit.Input }

// FindRoot returns the project's root: dir, or the closest folder above it that
// holds cue.mod. Its error is [ErrNoRoot] where there is none.
func FindRoot(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find the project's root: %w", err)
	}
	for d := abs; ; d = filepath.Dir(d) {
		info, err := os.Stat(filepath.Join(d, "cue.mod", "module.cue"))
		if err == nil && info.Mode().IsRegular() {
			return d, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("find the project's root: %w", err)
		}
		if d == filepath.Dir(d) {
			return "", fmt.Errorf("find the project's root from %q: %w", dir, ErrNoRoot)
		}
	}
}

// Sites returns the names of the sites below root, sorted.
func Sites(root string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(root, "sites"))
	if err != nil {
		return nil, exit.Unusable("", "list the sites: %w", err)
	}
	var sites []string
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		files, err := os.ReadDir(filepath.Join(root, "sites", e.Name()))
		if err != nil {
			return nil, fmt.Errorf("list the sites: %w", err)
		}
		if slices.ContainsFunc(files, func(f fs.DirEntry) bool { return isCUE(f.Name()) }) {
			sites = append(sites, e.Name())
		}
	}
	return sites, nil
}

// Site loads sites/<name> below root and checks it. Its error is a [*Problems] with all
// that is wrong, or a [*NoSiteError].
func Site(root, name string) (*model.Site, error) { return newProject(root, nil).site(name) }

// Upgrade loads sites/<name> below root, and the request for the upgrade type from
// file, or from the site's upgrade.cue if file is "". It reads the schema once for
// both. Its error is a [*Problems] with all problems, or a [*NoSiteError].
func Upgrade(root, name, typ, file string) (*model.Site, *model.Request, error) {
	p := newProject(root, nil)
	site, err := p.site(name)
	if err != nil {
		return nil, nil, err
	}
	req, err := p.request(site, typ, file)
	if err != nil {
		return nil, nil, err
	}
	return site, req, nil
}

// Requested returns the upgrade types that a site's upgrade.cue has a request for.
// Whether the requests are right is for [Upgrade].
func Requested(root, site string) ([]string, error) {
	p := newProject(root, nil)
	file := filepath.Join(p.root, "sites", site, requests)
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	src := p.read("upgrades of "+site, upgrades, []string{file})
	var asked []string
	if src.usable {
		src.guard(func() {
			written := src.names(path{"upgrade"})
			asked = slices.DeleteFunc(slices.Clone(types), func(t string) bool { return !slices.Contains(written, t) })
		})
	}
	if !src.usable {
		return nil, src.problems()
	}
	return asked, nil
}

// Approvals returns the approvals that a site asks for, by upgrade type; none for a site
// that does not exist. It checks nothing else of the site, so that it can read the rules of
// sources that another csu compiles.
func Approvals(root, site string) (map[string]model.Approvals, error) {
	return newProject(root, nil).approvals(site)
}

func (p *project) approvals(site string) (map[string]model.Approvals, error) {
	if _, err := os.Stat(filepath.Join(p.root, "sites", site)); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	files, err := p.siteFiles(site)
	if err != nil {
		return nil, err
	}
	src := p.read("site "+site, aSite, files)
	var out map[string]model.Approvals
	if src.usable {
		src.guard(func() {
			rules := src.value.LookupPath(cue.ParsePath(aSite.field + ".approvals"))
			if !rules.Exists() {
				src.usable = src.valid // a schema without approvals
				return
			}
			whole := slices.ContainsFunc(cueerrors.Errors(src.value.Validate()), func(e cueerrors.Error) bool { return len(e.Path()) < 2 })
			if src.usable = !whole && rules.Validate(cue.Concrete(true)) == nil; src.usable {
				out = src.approvals(path{aSite.field, "approvals"})
			}
		})
	}
	if src.usable && len(src.fromGo) == 0 {
		return out, nil
	}
	if err := src.problems(); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("the approvals of site %q cannot be read", site)
}

// project is the CUE module below a root. It caches the schema.
type project struct {
	*naming
	overlay map[string]string // files that replace those on the disk, by absolute path
	context *cue.Context
	schema  *build.Instance // nil until something is read
}

// naming returns the names of files in reports.
type naming struct {
	root  string
	given map[string]string // names of files outside the root as they were given, by absolute path
}

// newProject returns the project below root. The overlay's paths are relative to
// it.
func newProject(root string, overlay map[string]string) *project {
	if abs, err := filepath.Abs(root); err == nil {
		root = abs
	}
	p := &project{
		naming:  &naming{root: root, given: map[string]string{}},
		overlay: map[string]string{}, context: cuecontext.New(),
	}
	for path, text := range overlay {
		p.overlay[filepath.Join(root, filepath.FromSlash(path))] = text
	}
	return p
}

// relative returns the path for reports: relative to the root with slashes, or as
// it was given if it is outside.
func (n *naming) relative(path string) string {
	rel, err := filepath.Rel(n.root, path)
	if err != nil || !filepath.IsLocal(rel) {
		if given, ok := n.given[path]; ok {
			return given
		}
		return path
	}
	return filepath.ToSlash(rel)
}

// site loads and checks one site.
func (p *project) site(name string) (*model.Site, error) {
	sites, err := Sites(p.root)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(sites, name) {
		return nil, &NoSiteError{Name: name, Sites: sites}
	}
	files, err := p.siteFiles(name)
	if err != nil {
		return nil, err
	}
	src := p.read("site "+name, aSite, files)
	var site *model.Site
	if src.usable {
		src.guard(func() {
			site = decodeSite(src)
			checkSite(src, site, name)
		})
	}
	if err := src.problems(); err != nil {
		return nil, err
	}
	return site, nil
}

// siteFiles returns the files that define a site, sorted: all except its requests.
func (p *project) siteFiles(name string) ([]string, error) {
	dir := filepath.Join(p.root, "sites", name)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("load site %q: %w", name, err)
	}
	var files []string
	for _, e := range entries {
		if isCUE(e.Name()) && e.Name() != requests {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	for path := range p.overlay {
		if filepath.Dir(path) == dir && isCUE(filepath.Base(path)) && filepath.Base(path) != requests && !slices.Contains(files, path) {
			files = append(files, path)
		}
	}
	slices.Sort(files)
	return files, nil
}

// isCUE reports whether a file of that name belongs to a package, as the cue
// command sees it.
func isCUE(name string) bool {
	return strings.HasSuffix(name, ".cue") && !strings.HasPrefix(name, ".") && !strings.HasPrefix(name, "_") &&
		!strings.HasSuffix(name, "_tool.cue") && !strings.HasSuffix(name, "_test.cue")
}
