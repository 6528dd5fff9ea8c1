package plan

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Validate returns what makes the plan unusable: duplicate or dangling ids, needs that
// form a circle, parameters that no executor could carry out. Whether the plan is a good
// one is for compiler/verify to decide.
func (p *Plan) Validate() []Problem {
	v := validator{plan: p, steps: map[string]bool{}}
	v.head()
	v.tables()
	stages := map[string]bool{}
	for i := range p.Stages {
		v.stage(&p.Stages[i], stages)
	}
	for i := range p.Final {
		v.step(&p.Final[i], "final")
	}
	v.undoes()
	v.doubts()
	return v.problems
}

type validator struct {
	plan     *Plan
	steps    map[string]bool
	problems []Problem
}

func (v *validator) add(subject, format string, args ...any) {
	v.problems = append(v.problems, Problem{Subject: subject, Text: fmt.Sprintf(format, args...)})
}

var (
	wordPattern   = regexp.MustCompile(`^[a-z0-9]+([a-z0-9.-]*[a-z0-9])?$`)
	cscPattern    = regexp.MustCompile(`^[A-Z][A-Za-z0-9]*:(0|[1-9][0-9]*)$`)
	sourcePattern = regexp.MustCompile(`^P[1-9][0-9]?$`)
)

var weekdays = []string{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"}

// ValidCSC reports whether s is a SAL name with an index, such as "MTMount:0".
func ValidCSC(s string) bool { return cscPattern.MatchString(s) }

func (v *validator) head() {
	p := v.plan
	if p.Format != Format {
		v.add("", "the format is %q, not %q", p.Format, Format)
	}
	if !wordPattern.MatchString(p.Site) {
		v.add("", "the site %q is not a name of small letters, digits and hyphens", p.Site)
	}
	if !slices.Contains(Types, p.Type) {
		v.add("", "unknown upgrade type %q (full, incremental or recovery)", p.Type)
	}
	if _, err := time.Parse(time.DateOnly, p.Upgrade.Date); err != nil {
		v.add("", "the upgrade's date %q is not of the form 2026-11-24", p.Upgrade.Date)
	}
	for _, t := range p.Facts.Telescopes {
		if t.Name != "auxtel" && t.Name != "maintel" {
			v.add("", "unknown telescope %q (auxtel or maintel)", t.Name)
		}
	}
	if b := p.Facts.Begins; b != nil {
		for _, day := range slices.Concat(b.Only, b.Never) {
			if !slices.Contains(weekdays, day) {
				v.add("", "unknown day of the week %q%s", day, DidYouMean(day, weekdays))
			}
		}
	}
	if a := p.Facts.Approvals; a != nil {
		v.approvals(a)
	}
	if p.Upgrade.Attempt < 1 {
		v.add("", "the upgrade's attempt is %d: it counts from 1", p.Upgrade.Attempt)
	}
	if len(p.Stages) == 0 {
		v.add("", "the plan has no stages")
	}
}

var rolePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9 ._-]*$`)

func (v *validator) approvals(a *Approvals) {
	if len(a.Roles) == 0 {
		v.add("", "the approvals name no role")
	}
	for i, n := range a.Roles {
		switch {
		case !rolePattern.MatchString(n.Role):
			v.add("", "the approvals' role %q is not a name of letters, digits, spaces, dots, hyphens and underscores", n.Role)
		case n.Count < 1:
			v.add("", "the approvals' role %q needs %d people: at least 1", n.Role, n.Count)
		case i > 0 && a.Roles[i-1].Role >= n.Role:
			v.add("", "the approvals' roles are not sorted, or name %q twice", n.Role)
		}
	}
}

func (v *validator) tables() {
	seen := map[string]bool{}
	for _, c := range v.plan.CSCs {
		subject := fmt.Sprintf("csc %q", c.CSC)
		if c.CSC == "" || c.Speaks() && !ValidCSC(c.CSC) {
			v.add(subject, "this is not a SAL name with its index, such as \"MTMount:0\"")
		}
		if seen[c.CSC] {
			v.add(subject, "it is in the table twice")
		}
		seen[c.CSC] = true
		for _, state := range []string{c.ComesUp, c.Expect, c.Keeps} {
			if state != "" && !slices.Contains(States, state) {
				v.add(subject, "unknown summary state %q%s", state, DidYouMean(state, States))
			}
		}
		if (c.Job == nil) == (c.Host == "") {
			v.add(subject, "it must run either as a job or on a host")
		}
	}
	hosts := map[string]bool{}
	for _, h := range v.plan.Hosts {
		subject := fmt.Sprintf("host %q", h.Name)
		if hosts[h.Name] {
			v.add(subject, "it is in the table twice")
		}
		hosts[h.Name] = true
		if h.Role != "" && !slices.Contains(Roles, h.Role) {
			v.add(subject, "unknown role %q (camera, bare-metal, ess, crio or machine)", h.Role)
		}
		for _, u := range h.Users {
			if !slices.Contains([]string{"login", "sudo", "own"}, u.Via) {
				v.add(subject, "user %q: unknown way %q (login, sudo or own)", u.Name, u.Via)
			}
		}
	}
}

func (v *validator) doubts() {
	for _, d := range v.plan.Doubts {
		switch {
		case d.Text == "":
			v.add("", "one of the doubts has no text")
		case d.Host == "" && (d.Service != "" || d.Purpose != ""), len(d.CSCs) == 0 && d.State != "":
			v.add("", "the doubt %q names a service or a purpose without a host, or a state without CSCs", d.Text)
		case d.Step != "" && !v.steps[d.Step]:
			v.add("", "the doubt %q is about %q, which is no step", d.Text, d.Step)
		case d.State != "" && !slices.Contains(States, d.State):
			v.add("", "the doubt %q: unknown summary state %q%s", d.Text, d.State, DidYouMean(d.State, States))
		case d.Purpose != "" && !slices.Contains(purposes, string(d.Purpose)):
			v.add("", "the doubt %q: unknown purpose %q%s", d.Text, d.Purpose, DidYouMean(string(d.Purpose), purposes))
		}
		v.source("one of the doubts", d.Source, false)
	}
}

func (v *validator) stage(s *Stage, seen map[string]bool) {
	subject := fmt.Sprintf("stage %q", s.ID)
	if !wordPattern.MatchString(s.ID) || s.ID == "final" {
		v.add(subject, "a stage's id is a word of small letters, digits and hyphens, and not \"final\"")
	}
	if seen[s.ID] {
		v.add(subject, "two stages have this id")
	}
	seen[s.ID] = true
	v.source(subject, s.Source, true)
	if s.Title == "" {
		v.add(subject, "it has no title")
	}
	if len(s.Steps) == 0 {
		v.add(subject, "it has no step")
	}
	within := map[string]*Step{}
	for i := range s.Steps {
		v.step(&s.Steps[i], s.ID)
		within[s.Steps[i].ID] = &s.Steps[i]
	}
	for i := range s.Steps {
		for _, need := range s.Steps[i].Needs {
			if within[need] == nil {
				v.add(fmt.Sprintf("step %q", s.Steps[i].ID), "it needs %q, which is no step of its stage", need)
			}
		}
	}
	if circle := findCircle(s.Steps, within); circle != nil {
		v.add(fmt.Sprintf("step %q", circle[0]), "its needs form a circle: %s", strings.Join(circle, " needs "))
	}
}

// findCircle returns the ids along a circle of needs, the first one again at
// the end, or nil.
func findCircle(steps []Step, within map[string]*Step) []string {
	const (
		onPath = 1
		clear  = 2
	)
	state := map[string]int{}
	var path []string
	var visit func(id string) []string
	visit = func(id string) []string {
		s := within[id]
		if s == nil || state[id] == clear {
			return nil
		}
		if state[id] == onPath {
			return append(slices.Clone(path[slices.Index(path, id):]), id)
		}
		state[id] = onPath
		path = append(path, id)
		for _, need := range s.Needs {
			if c := visit(need); c != nil {
				return c
			}
		}
		path = path[:len(path)-1]
		state[id] = clear
		return nil
	}
	for i := range steps {
		if c := visit(steps[i].ID); c != nil {
			return c
		}
	}
	return nil
}

func (v *validator) step(s *Step, stage string) {
	subject := fmt.Sprintf("step %q", s.ID)
	prefix, name, _ := strings.Cut(s.ID, "/")
	if prefix != stage || !wordPattern.MatchString(name) {
		v.add(subject, "a step's id is its stage's, a slash, and a word of small letters, digits, dots and hyphens: %q", stage+"/…")
	}
	if v.steps[s.ID] {
		v.add(subject, "two steps have this id")
	}
	v.steps[s.ID] = true
	v.source(subject, s.Source, true)
	if s.Title == "" {
		v.add(subject, "it has no title")
	}
	if s.ByHand == "" {
		v.add(subject, "it does not say how it is done by hand")
	}
	if r := s.Spread; r != nil && (r.From < 1 || r.Low < 0 || r.Low > s.Takes || s.Takes > r.High) {
		v.add(subject, "it usually takes %s, which does not fit its range from %s to %s of %d attempts", s.Takes, r.Low, r.High, r.From)
	}
	if s.Timeout <= 0 || time.Duration(s.Timeout) > 24*time.Hour {
		v.add(subject, "its time limit is %s: it must be more than nothing and at most 24h", s.Timeout)
	}
	if s.OnFailure != Ask && s.OnFailure != Report {
		v.add(subject, "unknown onFailure %q (ask or report)", s.OnFailure)
	}
	if stage == "final" && len(s.Needs) > 0 {
		v.add(subject, "a final step can't need another one: the final steps run in their order")
	}
	if stage == "final" && s.Undoes == "" {
		v.add(subject, "a final step must name the step that it undoes")
	}
	if stage != "final" && s.Undoes != "" {
		v.add(subject, "only final steps undo something")
	}
	if s.Action.Parameters != nil {
		v.action(subject, s.Action.Parameters)
	} else {
		v.add(subject, "it has no action")
	}
}

func (v *validator) source(subject string, source []string, wanted bool) {
	if wanted && len(source) == 0 {
		v.add(subject, "it does not say which numbers of the procedure it carries out")
	}
	for _, s := range source {
		if !sourcePattern.MatchString(s) {
			v.add(subject, "its source %q is not a number of the procedure, such as \"P14\"", s)
		}
	}
}

func (v *validator) undoes() {
	for i := range v.plan.Final {
		s := &v.plan.Final[i]
		undone := s.Undoes != "" && v.steps[s.Undoes] && !strings.HasPrefix(s.Undoes, "final/")
		if s.Undoes != "" && !undone {
			v.add(fmt.Sprintf("step %q", s.ID), "it undoes %q, which is no step of a stage", s.Undoes)
		}
	}
}

// Ends are the final states of a script.
var Ends = []string{"DONE", "FAILED", "STOPPED", "TERMINATED", "LOADFAILED", "CONFIGURE_FAILED"}

// States are the summary states that plans name.
var States = []string{Disabled, Enabled, Fault, Offline, Standby, OfflineAvailable}

var purposes = []string{string(Stop), string(Update), string(Start), string(Build), string(AwaitBuild)}

// Levels are the compatibility levels of a schema registry.
var Levels = []string{"NONE", "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE"}

func (v *validator) action(subject string, doer Parameters) {
	need := func(value, name string) {
		if value == "" {
			v.add(subject, "action %q: the field %q is empty", doer.Kind(), name)
		}
	}
	oneOf := func(value, what string, known []string) {
		if !slices.Contains(known, value) {
			v.add(subject, "action %q: unknown %s %q%s", doer.Kind(), what, value, DidYouMean(value, known))
		}
	}
	some := func(n int, name string) {
		if n == 0 {
			v.add(subject, "action %q: the list %q is empty", doer.Kind(), name)
		}
	}
	queue := func(n int) {
		if n < 1 || n > 3 {
			v.add(subject, "action %q: there is no ScriptQueue:%d (1 MTQueue, 2 ATQueue, 3 OCSQueue)", doer.Kind(), n)
		}
	}
	switch a := doer.(type) {
	case *Manual:
		need(a.Text, "text")
	case *Announce:
		need(a.Channel, "channel")
		need(a.Text, "text")
	case *Script:
		queue(a.Queue)
		need(a.Path, "path")
		some(len(a.Accept), "accept")
		for _, end := range a.Accept {
			oneOf(end, "end", Ends)
		}
	case *SetState:
		queue(a.Queue)
		some(len(a.CSCs), "cscs")
		oneOf(a.State, "summary state", []string{Disabled, Enabled, Offline, Standby})
		if a.GroupSize < 0 {
			v.add(subject, "action %q: the group size is %d", doer.Kind(), a.GroupSize)
		}
	case *AwaitState:
		some(len(a.Want), "want")
		for _, w := range a.Want {
			some(len(w.CSCs), "cscs")
			some(len(w.States), "states")
			for _, state := range w.States {
				oneOf(state, "summary state", States)
			}
		}
	case *SSH:
		need(a.Host, "host")
		need(a.User, "user")
		need(a.Service, "service")
		some(len(a.Commands), "commands")
		oneOf(string(a.Purpose), "purpose", purposes)
		if (a.Purpose == AwaitBuild) != (a.Build != "") {
			v.add(subject, "action %q: the field %q names the step that began the build, for the purpose %q alone", doer.Kind(), "build", AwaitBuild)
		}
	case *Reboot:
		need(a.Host, "host")
		need(a.User, "user")
		need(a.Command, "command")
	case *Delete:
		oneOf(string(a.Objects), "objects", []string{string(Jobs), string(Namespaces)})
		need(a.Selector, "selector")
		if (a.Objects == Jobs) != (a.Namespace != "") {
			v.add(subject, "action %q: jobs are deleted in a namespace, namespaces are not", doer.Kind())
		}
	case *Sync:
		need(a.Application, "application")
		need(a.Revision, "revision")
		for _, r := range a.Resources {
			need(r.Kind, "kind")
			need(r.Name, "name")
		}
	case *Compatibility:
		oneOf(a.Expect, "level", Levels)
		oneOf(a.Set, "level", Levels)
	}
}
