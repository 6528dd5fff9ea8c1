// Package compiler turns the CUE definition of a site and an upgrade request
// into a frozen plan, without a network and without a credential.
package compiler

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/lsst-ts/csu/compiler/internal/load"
	"github.com/lsst-ts/csu/compiler/internal/model"
	"github.com/lsst-ts/csu/compiler/internal/procedure"
	"github.com/lsst-ts/csu/compiler/verify"
	"github.com/lsst-ts/csu/executor/exit"
	"github.com/lsst-ts/csu/executor/plan"
)

// Request says what to compile.
type Request struct {
	Root    string // the project's root
	Site    string
	Type    plan.Type
	Upgrade string // file with the upgrades to take; "" is the site's upgrade.cue
}

// Warning is something unusual about a plan that was made all the same.
type Warning struct {
	Place, Subject, Text, Remedy string
}

// String returns the warning in one line, without its remedy.
func (w Warning) String() string { return line(w.Place, w.Subject, w.Text) }

// RefusedError says why a request can't be compiled: all its problems, each
// with place, subject and remedy.
type RefusedError struct {
	Problems []Warning
}

func (e *RefusedError) Error() string {
	var lines []string
	for _, p := range e.Problems {
		lines = append(lines, p.String()+"\n    "+p.Remedy)
	}
	return strings.Join(lines, "\n")
}

// ExitCode says that the input is unusable.
func (e *RefusedError) ExitCode() exit.Code { return exit.Input }

// RulesError says that the plan that came out breaks the rules: a fault of csu
// or of the site definition, never of the operator.
type RulesError struct {
	Violations []verify.Violation
}

func (e *RulesError) Error() string {
	lines := []string{"the compiled plan breaks the rules for plans; it was not written:"}
	for _, v := range e.Violations {
		lines = append(lines, v.String())
	}
	return strings.Join(lines, "\n")
}

// ExitCode says that the compilation failed.
func (e *RulesError) ExitCode() exit.Code { return exit.Failed }

// FindRoot returns the project's root: dir or the closest folder above it that
// holds cue.mod.
func FindRoot(dir string) (string, error) { return load.FindRoot(dir) }

// Sites returns the names of the sites of the project, sorted.
func Sites(root string) ([]string, error) { return load.Sites(root) }

// Compile loads the site and the request, and returns the plan. The sources'
// problems come as they are reported by their loader, all together; what the
// procedure does not allow as a [*RefusedError].
func Compile(r Request) (*plan.Plan, []Warning, error) {
	p, _, warnings, err := compile(r)
	return p, warnings, err
}

// Trace compiles, and returns the plan with where its values come from. Its
// errors are those of [Compile].
func Trace(r Request) (*plan.Plan, *Provenance, error) {
	p, from, _, err := compile(r)
	return p, from, err
}

func compile(r Request) (*plan.Plan, *Provenance, []Warning, error) {
	site, req, err := load.Upgrade(r.Root, r.Site, string(r.Type), r.Upgrade)
	if err != nil {
		return nil, nil, nil, err
	}
	p, problems := procedure.Compile(site, req)
	if len(problems) > 0 {
		return nil, nil, nil, &RefusedError{texts(problems)}
	}
	if invalid := p.Validate(); len(invalid) > 0 {
		var all []error
		for _, i := range invalid {
			all = append(all, errors.New(i.String()))
		}
		return nil, nil, nil, fmt.Errorf("the compiled plan is not a valid one; it was not written: %w", errors.Join(all...))
	}
	if violations := verify.Check(p); len(violations) > 0 {
		return nil, nil, nil, &RulesError{violations}
	}
	return p, newProvenance(site, req, p), warnings(p, req), nil
}

// FileName is the name of a plan in the folder plans.
func FileName(p *plan.Plan) string {
	name := fmt.Sprintf("%s-%s-%s", p.Upgrade.Date, p.Site, p.Type)
	if p.Upgrade.Attempt > 1 {
		name += fmt.Sprintf("-attempt%d", p.Upgrade.Attempt)
	}
	return filepath.Join("plans", name+".json")
}

// warnings are what is unusual about the plan, at the place of the request.
func warnings(p *plan.Plan, req *model.Request) []Warning {
	var out []Warning
	for _, w := range verify.Warnings(p) {
		out = append(out, Warning{req.Pos.String(), fmt.Sprintf("upgrade %q", req.Type), fmt.Sprintf("%s (%s)", w.Reason, w.Number), w.Remedy})
	}
	return out
}

func texts(problems []procedure.Problem) []Warning {
	var out []Warning
	for _, p := range problems {
		out = append(out, Warning{Place: p.Pos.String(), Subject: p.Subject, Text: p.Text, Remedy: p.Remedy})
	}
	return out
}

func line(place, subject, text string) string {
	var b strings.Builder
	if place != "" {
		b.WriteString(place + ": ")
	}
	if subject != "" {
		b.WriteString(subject + ": ")
	}
	b.WriteString(text)
	return b.String()
}
