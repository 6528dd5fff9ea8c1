package campaign

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestRealPlans(t *testing.T) {
	files, _ := filepath.Glob("../../plans/*.json")
	c := newCampaign(t)
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".json")
		t.Run(name, func(t *testing.T) {
			_, list, err := c.refs.of(trial{plan: name, seed: 1}, func(name string) (*reference, error) {
				p, digest := load(t, name)
				return &reference{plan: p, digest: digest}, nil
			})
			t.Log(len(list), err)
		})
	}
}
