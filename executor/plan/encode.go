package plan

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// Encode returns the plan's canonical bytes: fixed field order, two-space
// indent, one array element per line, no HTML escapes, a newline at the end.
// The plan must be valid; see [Plan.Validate].
func Encode(p *Plan) ([]byte, error) {
	c := *p
	c.CSCs = present(p.CSCs)
	c.Hosts = make([]Host, len(p.Hosts))
	for i, h := range p.Hosts {
		h.Users = present(h.Users)
		c.Hosts[i] = h
	}
	c.Doubts = present(p.Doubts)
	c.Targets.Pages = present(p.Targets.Pages)
	c.Stages = make([]Stage, len(p.Stages))
	for i, s := range p.Stages {
		s.Source = present(s.Source)
		s.Steps = presentSteps(s.Steps)
		c.Stages[i] = s
	}
	c.Final = presentSteps(p.Final)
	compact, err := marshal(&c)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, compact, "", "  "); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// Digest returns the plan's digest, the SHA-256 of its canonical bytes in
// hexadecimal.
func Digest(p *Plan) (string, error) {
	b, err := Encode(p)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

// present makes an absent list an empty one, which is written as [] and not as
// null.
func present[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

func presentSteps(steps []Step) []Step {
	out := make([]Step, len(steps))
	for i, s := range steps {
		s.Source = present(s.Source)
		s.Needs = present(s.Needs)
		out[i] = s
	}
	return out
}

// marshal is json.Marshal without escapes for HTML: a plan is read by people.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
