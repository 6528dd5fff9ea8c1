package rehearsal

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/executor/plan"
)

// Fault is something that can go wrong at a simulated site.
type Fault struct {
	Name    string
	Subject string // what "name=subject" names; "" where it takes none
	Text    string
}

// Faults are those that a site knows.
func Faults() []Fault {
	list := make([]Fault, 0, len(catalogue))
	for _, f := range catalogue {
		list = append(list, f.Fault)
	}
	return list
}

// faults are those that were asked for, by the place in the model that looks
// at them.
type faults struct {
	stuck       map[string]bool // CSCs that fail every state command
	scripts     map[string]bool // paths of scripts that fail half way
	commands    map[string]bool // hosts on which every command fails
	unreachable map[string]bool // hosts that take no connection
	paused      bool            // the ScriptQueues are paused at the start
	lostAcks    map[string]bool // commands of LOVE that are carried out without an acknowledgement
}

type faultEntry struct {
	Fault
	arm func(f *faults, subject string)
}

var catalogue = []faultEntry{
	{Fault{"csc-stuck", "CSC", "the CSC fails every state command"},
		func(f *faults, subject string) { f.stuck[subject] = true }},
	{Fault{"script-fails", "path", "the script fails half way, and with that pauses its queue"},
		func(f *faults, subject string) { f.scripts[subject] = true }},
	{Fault{"queue-paused", "", "the ScriptQueues are paused when the upgrade begins"},
		func(f *faults, _ string) { f.paused = true }},
	{Fault{"love-ack-lost", "command", "LOVE answers 504 to the first such command although it is carried out: add, resume"},
		func(f *faults, subject string) { f.lostAcks[subject] = true }},
	{Fault{"host-command-fails", "host", "every command of the plan on the host ends with status 1"},
		func(f *faults, subject string) { f.commands[subject] = true }},
	{Fault{"host-unreachable", "host", "the host takes no connection"},
		func(f *faults, subject string) { f.unreachable[subject] = true }},
}

// chooseFaults arms the faults that were asked for; their subjects must be the
// plan's.
func chooseFaults(p *plan.Plan, names []string) (*faults, error) {
	f := &faults{
		stuck: map[string]bool{}, scripts: map[string]bool{}, commands: map[string]bool{},
		unreachable: map[string]bool{}, lostAcks: map[string]bool{},
	}
	var known []string
	for _, e := range catalogue {
		known = append(known, e.Name)
	}
	for _, asked := range names {
		name, subject, _ := strings.Cut(asked, "=")
		i := slices.Index(known, name)
		if i < 0 {
			return nil, fmt.Errorf("unknown fault %q%s", name, plan.DidYouMean(name, known))
		}
		entry := catalogue[i]
		if (entry.Subject == "") != (subject == "") {
			return nil, fmt.Errorf("fault %q: it is asked for as %q", asked, strings.TrimSuffix(name+"="+entry.Subject, "="))
		}
		if err := checkSubject(p, entry.Fault, subject); err != nil {
			return nil, err
		}
		entry.arm(f, subject)
	}
	return f, nil
}

func checkSubject(p *plan.Plan, f Fault, subject string) error {
	known := true
	switch f.Subject {
	case "CSC":
		_, known = p.CSC(subject)
	case "host":
		_, known = p.Host(subject)
	}
	if !known {
		return fmt.Errorf("fault %q: the plan's table has no %s %q", f.Name, f.Subject, subject)
	}
	return nil
}
