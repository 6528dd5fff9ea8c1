package rehearsal

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/plan"
)

// Fault is something that can go wrong at a simulated site.
type Fault struct {
	Name    string
	Subject string // the kind of subject in "name=subject", such as "CSC"; "" if it takes none
	Text    string // a sentence for the operator
}

// Faults returns the faults that a site can simulate.
func Faults() []Fault {
	list := make([]Fault, 0, len(catalogue))
	for _, f := range catalogue {
		list = append(list, f.Fault)
	}
	return list
}

// entry is a fault of the catalogue with its implementation.
type entry struct {
	Fault
	// usual returns the subject to use if none is given, or "" if the plan has
	// none.
	usual func(*plan.Plan) string
	// on lists the moments that begin the fault. A fault without any begins at
	// the start.
	on []moment
	// lasts is how long the fault lasts, in the site's time. If it is 0, the fault
	// lasts until it has struck once or the operator ends it.
	lasts time.Duration
	// begin and end are called with the lock, if they are set.
	begin, end func(s *Site, subject string)
}

// moment is an event that may begin a fault: the kind of an effect, or one of
// these.
type moment = string

const (
	loveCommanded  moment = "LOVE gets a command"
	registryAsked  moment = "the registry is asked for another level"
	messageArrives moment = "Slack gets a message that counts" // see countsForSlack
)

// phase is how far a fault is.
type phase int

const (
	pending phase = iota
	active
	over
)

// chosenFault is a fault of this site.
type chosenFault struct {
	entry
	subject string
	phase   phase
}

func (f *chosenFault) String() string {
	if f.subject == "" {
		return f.Name
	}
	return f.Name + "=" + f.subject
}

// CheckFaults checks faults given as "name" or "name=subject". It reports unknown
// names, and subjects that the plan does not have.
func CheckFaults(p *plan.Plan, given []string) error {
	_, err := chooseFaults(p, given)
	return err
}

// chooseFaults returns the given faults, with subjects of the plan.
func chooseFaults(p *plan.Plan, given []string) ([]*chosenFault, error) {
	var known []string
	for _, e := range catalogue {
		known = append(known, e.Name)
	}
	var chosen []*chosenFault
	for _, text := range given {
		name, subject, hasSubject := strings.Cut(text, "=")
		i := slices.Index(known, name)
		if i < 0 {
			return nil, fmt.Errorf("unknown fault %q%s", name, plan.DidYouMean(name, known))
		}
		f := &chosenFault{entry: catalogue[i], subject: subject}
		switch {
		case f.Subject == "" && hasSubject:
			return nil, fmt.Errorf("fault %q takes no subject; use %q", text, name)
		case f.Subject != "" && hasSubject && subject == "":
			return nil, fmt.Errorf("fault %q: missing subject; use %s=%s", text, name, strings.ToUpper(f.Subject))
		case f.usual != nil && subject == "":
			if f.subject = f.usual(p); f.subject == "" {
				return nil, fmt.Errorf("fault %q: the plan has nothing that it applies to", text)
			}
		}
		if err := checkSubject(p, f); err != nil {
			return nil, err
		}
		if f.Subject == "" {
			f.subject = ""
		}
		if slices.ContainsFunc(chosen, func(c *chosenFault) bool { return c.String() == f.String() }) {
			return nil, fmt.Errorf("fault %q is given twice", f)
		}
		chosen = append(chosen, f)
	}
	return chosen, nil
}

func checkSubject(p *plan.Plan, f *chosenFault) error {
	known := subjects(p)[f.Subject]
	if known == nil || slices.Contains(known, f.subject) {
		return nil
	}
	return fmt.Errorf("fault %q: the plan has no %s %q%s", f.Name, f.Subject, f.subject, plan.DidYouMean(f.subject, known))
}

// moment begins the faults that are waiting for the moment m.
func (s *Site) moment(m moment) {
	for _, f := range s.faults {
		if f.phase == pending && slices.Contains(f.on, m) {
			s.beginFault(f)
		}
	}
}

// beginFaults begins the faults that do not wait for a moment.
func (s *Site) beginFaults() {
	for _, f := range s.faults {
		if len(f.on) == 0 {
			s.beginFault(f)
		}
	}
}

func (s *Site) beginFault(f *chosenFault) {
	f.phase = active
	s.effect(Effect{System: SystemFault, Kind: FaultBegan, Subject: f.String(), Detail: f.Text})
	if f.entry.begin != nil {
		f.entry.begin(s, f.subject)
	}
	if f.lasts > 0 {
		s.after(f.lasts, func() { s.endFault(f) })
	}
}

// endFault ends a fault if it is active.
func (s *Site) endFault(f *chosenFault) {
	if f.phase != active {
		return
	}
	f.phase = over
	s.effect(Effect{System: SystemFault, Kind: FaultOver, Subject: f.String()})
	if f.entry.end != nil {
		f.entry.end(s, f.subject)
	}
}

// activeFault returns the active fault of that name and subject, or nil.
func (s *Site) activeFault(name, subject string) *chosenFault {
	for _, f := range s.faults {
		if f.Name == name && f.phase == active && f.subject == subject {
			return f
		}
	}
	return nil
}

// hasFault reports whether the site has the fault for the subject and it is not
// over.
func (s *Site) hasFault(name, subject string) bool {
	return slices.ContainsFunc(s.faults, func(f *chosenFault) bool { return f.Name == name && f.phase != over && f.subject == subject })
}

// strikes reports whether the fault is active for the subject.
func (s *Site) strikes(name, subject string) bool { return s.activeFault(name, subject) != nil }

// strikesOnce is strikes for a fault that is over once it has struck.
func (s *Site) strikesOnce(name, subject string) bool {
	f := s.activeFault(name, subject)
	if f != nil {
		s.endFault(f)
	}
	return f != nil
}

// errNoLaptop is returned if the site cannot stop the executor.
var errNoLaptop = errors.New("fault \"laptop-sleeps\": this site cannot stop the executor's process; run csu rehearse without --serve")
