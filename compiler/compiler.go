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

// Request is what to compile.
type Request struct {
	Root    string // the project's root
	Site    string
	Type    plan.Type
	Upgrade string // file with the requests; "" for the site's upgrade.cue
}

// Warning is something unusual about a plan that was compiled anyway.
type Warning struct {
	Place, Subject, Text, Remedy string
}

// String returns the warning in one line, without its remedy.
func (w Warning) String() string { return line(w.Place, w.Subject, w.Text) }

// RefusedError has the reasons why a request cannot be compiled, each with place,
// subject and remedy.
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

// ExitCode returns the code for unusable input.
func (e *RefusedError) ExitCode() exit.Code { return exit.Input }

// RulesError reports that the compiled plan breaks the rules. That is a defect of
// csu or of the site definition, never of the operator.
type RulesError struct {
	Violations []verify.Violation
}

func (e *RulesError) Error() string {
	lines := []string{"the compiled plan breaks the rules and was not written:"}
	for _, v := range e.Violations {
		lines = append(lines, v.String())
	}
	return strings.Join(lines, "\n")
}

// ExitCode returns the code for a failed compilation.
func (e *RulesError) ExitCode() exit.Code { return exit.Failed }

// FindRoot returns the project's root: dir or the closest folder above it that
// contains cue.mod.
func FindRoot(dir string) (string, error) { return load.FindRoot(dir) }

// Sites returns the names of the sites of the project, sorted.
func Sites(root string) ([]string, error) { return load.Sites(root) }

// Requested returns the upgrade types that a site's upgrade.cue has a request for. If
// that cannot be read, its error has all the problems.
func Requested(root, site string) ([]plan.Type, error) {
	names, err := load.Requested(root, site)
	var out []plan.Type
	for _, n := range names {
		out = append(out, plan.Type(n))
	}
	return out, err
}

// Approvals returns who must approve an upgrade of a type at a site; nil if none is
// needed, or if there is no such site. Nothing else of the site need be right.
func Approvals(root, site string, typ plan.Type) (*plan.Approvals, error) {
	rules, err := load.Approvals(root, site)
	if err != nil {
		return nil, err
	}
	return procedure.Approvals(rules, string(typ)), nil
}

// Compile loads the site and the request, and returns the plan. If the sources are
// wrong, its error has all their problems. If the procedure does not allow the
// request, its error is a [*RefusedError].
func Compile(r Request) (*plan.Plan, []Warning, error) {
	p, _, warnings, err := compile(r)
	return p, warnings, err
}

// Trace compiles like [Compile], and also returns where the plan's values come
// from.
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
		return nil, nil, nil, fmt.Errorf("the compiled plan is invalid and was not written: %w", errors.Join(all...))
	}
	if violations := verify.Check(p); len(violations) > 0 {
		return nil, nil, nil, &RulesError{violations}
	}
	return p, newProvenance(site, req, p), warnings(p, req), nil
}

// FileName returns the name of a plan's file in the folder plans.
func FileName(p *plan.Plan) string {
	name := fmt.Sprintf("%s-%s-%s", p.Upgrade.Date, p.Site, p.Type)
	if p.Upgrade.Attempt > 1 {
		name += fmt.Sprintf("-attempt%d", p.Upgrade.Attempt)
	}
	return filepath.Join("plans", name+".json")
}

// warnings returns what is unusual about the plan, at the request's position.
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
