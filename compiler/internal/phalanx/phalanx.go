// Package phalanx renders what Argo CD would apply to a site, from a clone of
// lsst-sqre/phalanx at any revision, with Helm's own library.
//
// The words: an environment is a site in Phalanx. The chart in the folder environments,
// with the environment's values, renders one Argo CD Application for each application
// that is switched on. An Application names a folder with a chart, values files and
// Helm parameters; from these come its resources. A CSC is a Job with the labels csc,
// csc-name and csc-class; see [Rendering.CSCs].
//
// Nothing here knows an application, a chart or a template of Phalanx. It needs no
// network, reads only what is committed, and never touches a work tree.
package phalanx

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"helm.sh/helm/v3/pkg/chart"

	"github.com/lsst-ts/csu/executor/exit"
)

// environments is the folder of the chart that renders the Applications.
const environments = "environments"

// Revision is a commit of Phalanx. It is not safe for concurrent use.
type Revision struct {
	Commit  string    // 40 hexadecimal digits
	Subject string    // first line of its message
	Date    time.Time // of the commit

	repository *repository
	tree       *tree
	charts     *charts
}

// Open returns the revision, such as a branch, a tag or a commit, of the clone in a
// folder; "" is HEAD. Its error is unusable input if there is no such clone or revision,
// or if it has no environments.
func Open(ctx context.Context, dir, rev string) (*Revision, error) {
	r := &repository{dir: dir, blobs: map[string][]byte{}}
	if err := r.check(ctx); err != nil {
		return nil, err
	}
	if rev == "" {
		rev = "HEAD"
	}
	return open(ctx, r, rev)
}

// At returns another revision of the same clone. What both have is read once.
func (r *Revision) At(ctx context.Context, rev string) (*Revision, error) {
	return open(ctx, r.repository, rev)
}

func open(ctx context.Context, repo *repository, rev string) (*Revision, error) {
	commit, err := repo.commit(ctx, rev)
	if err != nil {
		return nil, exit.Unusable("fetch it into the clone, or name another revision", "revision %q of Phalanx in %q: no such commit", rev, repo.dir)
	}
	r := &Revision{Commit: commit, repository: repo}
	about, err := repo.git(ctx, nil, "log", "-1", "--no-show-signature", "--format=%cI%x00%s", commit)
	if err != nil {
		return nil, fmt.Errorf("read %.9s of Phalanx: %w", commit, err)
	}
	date, subject, _ := strings.Cut(strings.TrimSuffix(string(about), "\n"), "\x00")
	r.Subject = subject
	if r.Date, err = time.Parse(time.RFC3339, date); err != nil {
		return nil, fmt.Errorf("read %.9s of Phalanx: date: %w", commit, err)
	}
	if r.tree, err = repo.tree(ctx, commit); err != nil {
		return nil, fmt.Errorf("read %.9s of Phalanx: %w", commit, err)
	}
	if _, ok := r.tree.files[environments+"/Chart.yaml"]; !ok {
		return nil, exit.Unusable("give the folder of a clone of Phalanx with --phalanx", "%q at %.9s is not Phalanx: it has no %s/Chart.yaml", repo.dir, commit, environments)
	}
	r.charts = &charts{Revision: r, parsed: map[string]*chart.Chart{}, local: map[string][]string{}}
	return r, nil
}

// Environments returns the names of the environments, sorted.
func (r *Revision) Environments() []string {
	var out []string
	for _, name := range r.tree.below(environments) {
		if env, ok := strings.CutPrefix(name, environments+"/values-"); ok && !strings.Contains(env, "/") && path.Ext(env) == ".yaml" {
			out = append(out, strings.TrimSuffix(env, ".yaml"))
		}
	}
	slices.Sort(out)
	return out
}

// fetch reads all files below the folders.
func (r *Revision) fetch(ctx context.Context, dirs []string) error {
	var objects []string
	for _, dir := range dirs {
		for _, name := range r.tree.below(dir) {
			if object, ok := r.tree.files[name]; ok {
				objects = append(objects, object)
			}
		}
	}
	if err := r.repository.read(ctx, objects); err != nil {
		return fmt.Errorf("read %.9s of Phalanx: %w", r.Commit, err)
	}
	return nil
}

// file returns a file that was fetched.
func (r *Revision) file(name string) ([]byte, bool) {
	object, ok := r.tree.files[name]
	if !ok {
		return nil, false
	}
	return r.repository.blob(object), true
}
