package phalanx

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/ignore"
)

// charts loads the charts of a commit as Helm loads them from a folder, and adds the
// dependencies that are in the repository, as "helm dependency build" does. It parses each
// folder once.
type charts struct {
	*Revision
	parsed map[string]*chart.Chart // by folder
	local  map[string][]string     // folders of a chart's local dependencies, each once, by the chart's folder
}

// localRepository is how Chart.yaml names a dependency in the same repository.
const localRepository = "file://"

// load parses the charts in the folders, and all charts that they depend on.
func (c *charts) load(ctx context.Context, dirs []string) error {
	for len(dirs) > 0 {
		if err := c.fetch(ctx, dirs); err != nil {
			return err
		}
		var next []string
		for _, dir := range dirs {
			if c.parsed[dir] != nil {
				continue
			}
			ch, err := c.parse(dir)
			if err != nil {
				return fmt.Errorf("%.9s:%s: load chart: %w", c.Commit, dir, err)
			}
			c.parsed[dir] = ch
			next = append(next, c.dependencies(dir, ch)...)
		}
		dirs = next
	}
	return nil
}

// dependencies notes the local dependencies of the chart in a folder and of the
// charts below it, and returns their folders.
func (c *charts) dependencies(dir string, ch *chart.Chart) []string {
	var dirs []string
	seen := map[string]bool{}
	for _, d := range ch.Metadata.Dependencies {
		relative, local := strings.CutPrefix(d.Repository, localRepository)
		if at := path.Join(dir, relative); local && !seen[at] {
			seen[at] = true
			dirs = append(dirs, at)
		}
	}
	c.local[dir] = dirs
	for _, below := range ch.Dependencies() {
		dirs = append(dirs, c.dependencies(path.Join(dir, "charts", below.Name()), below)...)
	}
	return dirs
}

// parse reads the chart in a folder, without its dependencies elsewhere.
func (c *charts) parse(dir string) (*chart.Chart, error) {
	rules := ignore.Empty()
	if object, ok := c.tree.files[path.Join(dir, ignore.HelmIgnore)]; ok {
		var err error
		if rules, err = ignore.Parse(bytes.NewReader(c.repository.blob(object))); err != nil {
			return nil, fmt.Errorf("read %s: %w", ignore.HelmIgnore, err)
		}
	}
	rules.AddDefaults()
	var files []*loader.BufferedFile
	for _, name := range c.tree.below(dir) {
		relative := strings.TrimPrefix(name, dir+"/")
		if ignored(rules, relative) {
			continue
		}
		if c.tree.links[name] {
			return nil, fmt.Errorf("%s is a symbolic link or a submodule, which csu does not follow", relative)
		}
		// Helm removes a byte order mark, as it does from files of a folder.
		data := bytes.TrimPrefix(c.repository.blob(c.tree.files[name]), []byte("\xef\xbb\xbf"))
		files = append(files, &loader.BufferedFile{Name: relative, Data: data})
	}
	return loader.LoadFiles(files)
}

// ignored reports whether .helmignore excludes a file or a folder above it.
func ignored(rules *ignore.Rules, name string) bool {
	for i, c := range name {
		if c == '/' && rules.Ignore(name[:i], entry{name[:i], true}) {
			return true
		}
	}
	return rules.Ignore(name, entry{name, false})
}

// instance returns a chart of its own to render, since rendering changes its
// dependencies: a copy with copies of what it depends on.
func (c *charts) instance(dir string) (*chart.Chart, error) {
	ch := c.parsed[dir]
	if ch == nil {
		return nil, fmt.Errorf("no chart in %s", dir)
	}
	return c.copy(dir, ch, 0)
}

// maxDepth bounds how deep charts depend on each other, so that a circle ends.
const maxDepth = 10

func (c *charts) copy(dir string, ch *chart.Chart, depth int) (*chart.Chart, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("charts depend on each other more than %d deep", maxDepth)
	}
	out, about := *ch, *ch.Metadata
	about.Dependencies = nil
	for _, d := range ch.Metadata.Dependencies {
		one := *d
		about.Dependencies = append(about.Dependencies, &one)
	}
	out.Metadata = &about
	out.SetDependencies()
	for _, below := range ch.Dependencies() {
		one, err := c.copy(path.Join(dir, "charts", below.Name()), below, depth+1)
		if err != nil {
			return nil, err
		}
		out.AddDependency(one)
	}
	for _, at := range c.local[dir] {
		other := c.parsed[at]
		if other == nil {
			return nil, fmt.Errorf("%s: depends on %s, which is not there", dir, at)
		}
		one, err := c.copy(at, other, depth+1)
		if err != nil {
			return nil, err
		}
		out.AddDependency(one)
	}
	return &out, nil
}

// missing names the enabled dependencies of a chart that are not in the repository,
// such as those from a Helm registry.
func missing(ch *chart.Chart) []string {
	var out []string
	have := map[string]bool{}
	for _, d := range ch.Dependencies() {
		have[d.Name()] = true
		out = append(out, missing(d)...)
	}
	for _, d := range ch.Metadata.Dependencies {
		if !have[d.Name] {
			out = append(out, d.Name+" "+d.Version+" from "+d.Repository)
		}
	}
	return out
}

// entry is a file or folder of a commit for .helmignore, which asks only for name and
// kind.
type entry struct {
	name string
	dir  bool
}

func (e entry) Name() string     { return path.Base(e.name) }
func (entry) Size() int64        { return 0 }
func (entry) ModTime() time.Time { return time.Time{} }
func (e entry) IsDir() bool      { return e.dir }
func (entry) Sys() any           { return nil }
func (e entry) Mode() fs.FileMode {
	if e.dir {
		return fs.ModeDir
	}
	return 0
}
