package review

import (
	"fmt"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/plan"
)

// Meanwhile says to those who do not lead the deployment how long it takes at least, and
// what nobody can use meanwhile (P53). Announcements say it, and a rule compares them with
// it.
func Meanwhile(p *plan.Plan) string {
	text := ""
	if takes := EstimatePlan(p).Takes; takes > 0 {
		text = fmt.Sprintf("It takes at least %s.", takes-takes%plan.Duration(time.Minute))
	}
	if gone := unavailable(p); len(gone) > 0 {
		text += fmt.Sprintf(" Unavailable meanwhile: %s.", strings.Join(gone, ", "))
	}
	return strings.TrimSpace(text)
}

// unavailable returns what everybody uses and the plan takes down, for a part of the time
// or all of it.
func unavailable(p *plan.Plan) []string {
	var queues, watcher, love, nublado bool
	for step := range p.AllSteps() {
		e := step.Effects(p)
		for _, csc := range e.DownBy() {
			queues = queues || plan.Component(csc) == "ScriptQueue"
			watcher = watcher || plan.Component(csc) == "Watcher"
			row, ok := p.CSC(csc)
			love = love || ok && row.Job != nil && row.Job.Application == "love"
		}
		love = love || e.Syncs == "love" || strings.HasPrefix(e.Stopped, "LOVE on ")
		nublado = nublado || e.Namespaces != ""
	}
	all := []struct {
		name string
		gone bool
	}{{"the ScriptQueues", queues}, {"the Watcher", watcher}, {"LOVE", love}, {"Nublado", nublado}}
	var names []string
	for _, a := range all {
		if a.gone {
			names = append(names, a.name)
		}
	}
	return names
}
