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
	Subject string // what "name=subject" names, such as "CSC"; "" where it takes none
	Text    string // a sentence, for people
}

// Faults are those that a site knows.
func Faults() []Fault {
	list := make([]Fault, 0, len(catalogue))
	for _, f := range catalogue {
		list = append(list, f.Fault)
	}
	return list
}

// entry is a fault of the catalogue with what it does.
type entry struct {
	Fault
	// usual is the subject where none is asked for; "" where the plan has none,
	// which is the same as not known to subjects.
	usual func(*plan.Plan) string
	// on are the moments of which the first one begins the fault; a fault
	// without any is there from the start.
	on []moment
	// lasts is how long it stays, in the site's time; 0 is until something ends
	// it: that it has struck once, or a person.
	lasts time.Duration
	// begin and end are called with the lock; nil does nothing.
	begin, end func(s *Site, subject string)
}

// moment is when a fault may begin: the kind of an effect, or one of these.
type moment = string

const (
	loveCommanded  moment = "LOVE gets a command"
	registryAsked  moment = "the registry is asked for another level"
	messageArrives moment = "Slack gets a message that counts" // see countsForSlack
)

// phase is where a fault stands.
type phase int

const (
	ahead phase = iota
	underWay
	over
)

// mishap is a fault that was asked for.
type mishap struct {
	entry
	subject string
	phase   phase
}

func (f *mishap) String() string {
	if f.subject == "" {
		return f.Name
	}
	return f.Name + "=" + f.subject
}

// CheckFaults tells what is wrong with faults that are asked for as "name" or
// "name=subject": an unknown name, a subject that the plan does not have.
func CheckFaults(p *plan.Plan, asked []string) error {
	_, err := chooseFaults(p, asked)
	return err
}

// chooseFaults returns the faults that were asked for; their subjects are the
// plan's.
func chooseFaults(p *plan.Plan, asked []string) ([]*mishap, error) {
	var known []string
	for _, e := range catalogue {
		known = append(known, e.Name)
	}
	var chosen []*mishap
	for _, a := range asked {
		name, subject, given := strings.Cut(a, "=")
		i := slices.Index(known, name)
		if i < 0 {
			return nil, fmt.Errorf("there is no fault %q%s", name, plan.DidYouMean(name, known))
		}
		f := &mishap{entry: catalogue[i], subject: subject}
		switch {
		case f.Subject == "" && given:
			return nil, fmt.Errorf("fault %q takes no subject: ask for %q", a, name)
		case f.Subject != "" && given && subject == "":
			return nil, fmt.Errorf("fault %q: name what it befalls: %s=%s", a, name, strings.ToUpper(f.Subject))
		case f.usual != nil && subject == "":
			if f.subject = f.usual(p); f.subject == "" {
				return nil, fmt.Errorf("fault %q: the plan has nothing that it could befall", a)
			}
		}
		if err := checkSubject(p, f); err != nil {
			return nil, err
		}
		if f.Subject == "" {
			f.subject = ""
		}
		if slices.ContainsFunc(chosen, func(c *mishap) bool { return c.String() == f.String() }) {
			return nil, fmt.Errorf("fault %q is asked for twice", f)
		}
		chosen = append(chosen, f)
	}
	return chosen, nil
}

func checkSubject(p *plan.Plan, f *mishap) error {
	known := subjects(p)[f.Subject]
	if known == nil || slices.Contains(known, f.subject) {
		return nil
	}
	return fmt.Errorf("fault %q: the plan has no %s %q%s", f.Name, f.Subject, f.subject, plan.DidYouMean(f.subject, known))
}

// moment begins the faults that wait for it.
func (s *Site) moment(m moment) {
	for _, f := range s.faults {
		if f.phase == ahead && slices.Contains(f.on, m) {
			s.beginFault(f)
		}
	}
}

// beginFaults begins those that are there from the start.
func (s *Site) beginFaults() {
	for _, f := range s.faults {
		if len(f.on) == 0 {
			s.beginFault(f)
		}
	}
}

func (s *Site) beginFault(f *mishap) {
	f.phase = underWay
	s.effect(Effect{System: SystemFault, Kind: FaultBegan, Subject: f.String(), Detail: f.Text})
	if f.entry.begin != nil {
		f.entry.begin(s, f.subject)
	}
	if f.lasts > 0 {
		s.after(f.lasts, func() { s.endFault(f) })
	}
}

// endFault ends a fault that is under way.
func (s *Site) endFault(f *mishap) {
	if f.phase != underWay {
		return
	}
	f.phase = over
	s.effect(Effect{System: SystemFault, Kind: FaultOver, Subject: f.String()})
	if f.entry.end != nil {
		f.entry.end(s, f.subject)
	}
}

// suffers returns the fault of that name that is under way for the subject, or
// nil.
func (s *Site) suffers(name, subject string) *mishap {
	for _, f := range s.faults {
		if f.Name == name && f.phase == underWay && f.subject == subject {
			return f
		}
	}
	return nil
}

// knows tells whether the fault is there for the subject, ahead or under way.
func (s *Site) knows(name, subject string) bool {
	return slices.ContainsFunc(s.faults, func(f *mishap) bool { return f.Name == name && f.phase != over && f.subject == subject })
}

func (s *Site) strikes(name, subject string) bool { return s.suffers(name, subject) != nil }

// strikesOnce is strikes for a fault that is over when it has struck.
func (s *Site) strikesOnce(name, subject string) bool {
	f := s.suffers(name, subject)
	if f != nil {
		s.endFault(f)
	}
	return f != nil
}

// errNoLaptop is returned where the executor is not one that the site can stop.
var errNoLaptop = errors.New("fault \"laptop-sleeps\": this site does not know the process of the executor: rehearse with csu rehearse, without --serve")
