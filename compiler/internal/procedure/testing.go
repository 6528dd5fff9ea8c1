package procedure

import (
	"fmt"
	"slices"

	"github.com/lsst-ts/csu/compiler/internal/model"
	"github.com/lsst-ts/csu/executor/plan"
)

// testChanged adds the minimal testing after an incremental upgrade at a test
// stand: the new topics, the states of the CSCs affected, and the telescopes
// whose components were (P49).
func (b *builder) testChanged() {
	if !b.site.TestStand {
		return
	}
	s := b.stage("testing", "Minimal testing of the changes")
	topics := s.add(manual("topics", "Check that all new topics exist",
		"Check in Kafdrop, or in the log of the schema-registry pod in namespace "+b.site.Targets.RegistryNamespace+", that all new topics exist.", nil, nil, "P49"))
	var cycled []string
	for _, name := range b.changedOrAdded() {
		c, _ := b.csc(name)
		if c.Component != "" && c.Job != "" && c.Component != scriptQueue && c.Name() != watcher {
			cycled = append(cycled, c.Name())
		}
	}
	last := topics
	for _, csc := range cycled {
		c, _ := b.csc(csc)
		up := b.setState(slug(csc+" enabled"), oneCSC(csc)+" to ENABLED, without FAULT", plan.Enabled, []string{csc}, 0, "P49")
		last = s.add(after(up, last))
		down := b.setState(slug(csc+" standby"), oneCSC(csc)+" back to STANDBY, without FAULT", plan.Standby, []string{csc}, 0, "P49")
		last = s.add(after(down, last))
		if end := b.expected(c); end != plan.Standby {
			last = s.add(after(b.setState(slug(csc+" end"), oneCSC(csc)+" to "+end, end, []string{csc}, 0, "P49"), last))
		}
	}
	if len(cycled) > 0 {
		s.add(after(manual("populated", "Check that the topics of the CSCs receive data",
			fmt.Sprintf("Check in Chronograf that the topics of %s receive data.", plan.CSCList(cycled)), cycled, nil, "P49"), last))
	}
	s.close("The test stand requires minimal testing. csu cycles the changed CSCs through their states.")
	for _, seq := range b.site.Testing {
		if b.affects(seq) {
			b.testSequence(seq, "P49")
		}
	}
}

// changedOrAdded returns the CSCs of the request that run afterwards.
func (b *builder) changedOrAdded() []string {
	var out []string
	for _, c := range b.req.Changed {
		out = append(out, c.CSC)
	}
	return append(out, b.added()...)
}

// affects reports whether the upgrade changed a component of the telescope.
func (b *builder) affects(seq model.TestSequence) bool {
	return slices.ContainsFunc(b.changedOrAdded(), func(name string) bool {
		c, ok := b.csc(name)
		return ok && (slices.Contains(seq.Telescope, c.Application) || slices.Contains(seq.Telescope, c.Name()))
	})
}

// testTelescopes adds the minimal testing after a recovery at a test stand:
// both telescopes (P48).
func (b *builder) testTelescopes() {
	if !b.site.TestStand {
		return
	}
	for _, seq := range b.site.Testing {
		b.testSequence(seq, "P48")
	}
}

// testNumbers are the numbers of the sequences (P50, P51).
var testNumbers = map[string]string{"auxtel": "P50", "maintel": "P51"}

// testSequence adds one telescope's sequence, whose scripts run one after the
// other. At a site that only tracks, the site definition leaves out the steps
// that take images (P52).
func (b *builder) testSequence(seq model.TestSequence, why string) {
	source := []string{why, testNumbers[seq.Name]}
	if b.site.TrackingOnly {
		source = append(source, "P52")
	}
	s := b.stage("testing-"+seq.Name, seq.Title)
	last := ""
	for _, t := range seq.Steps {
		if t.Script == "" {
			step := manual(t.ID, t.Title, t.Text, nil, nil, source...)
			step.Doubt = t.Doubt
			last = s.add(after(step, last))
			continue
		}
		hand := scriptByHand(t.Queue, t.Script, t.Config)
		if t.Text != "" {
			hand += "\n\n" + t.Text
		}
		limit := t.Limit
		if limit == 0 {
			limit = limitTest
		}
		last = s.add(after(plan.Step{
			ID: t.ID, Title: t.Title, Source: source, Doubt: t.Doubt,
			Action:  plan.Action{Parameters: &plan.Script{Queue: t.Queue, Path: t.Script, Standard: true, Config: t.Config, Accept: []string{"DONE"}}},
			Timeout: plan.Duration(limit),
			ByHand:  hand,
		}, last))
	}
	text := fmt.Sprintf("%s: csu runs the scripts one after the other. If one fails, check the telescope before you continue.", seq.Title)
	if seq.Note != "" {
		text += " " + seq.Note
	}
	s.close(text)
}
