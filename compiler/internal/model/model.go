// Package model has a site and an upgrade request as Go values: complete, checked
// by their schema, and with their positions in the CUE definitions. Package load
// creates them, package procedure reads them.
package model

import (
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"
)

// Pos is a place in a CUE file, its path relative to the project's root.
type Pos struct {
	File         string
	Line, Column int
}

// String returns file:line:column, or nothing for an unknown place.
func (p Pos) String() string {
	if p.File == "" {
		return ""
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Places knows where the fields of a source are written.
type Places interface {
	// At returns the position of the field at a path from the top of the file. If
	// the field comes from a reference or a default, it returns the position of
	// the closest enclosing field.
	At(path ...string) Pos
}

// Site is one of the observatory's sites.
type Site struct {
	Pos          Pos
	Places       Places               // of its definition, below "site"
	Name         string               // of its folder
	TestStand    bool                 // tested after a recovery and an incremental upgrade (P48, P49)
	TrackingOnly bool                 // its tests take no images (P52)
	TimeZone     string               // such as America/Santiago
	Begins       map[string]Begins    // by upgrade type: when deployments begin (P54)
	Approvals    map[string]Approvals // by upgrade type; without an entry no approval is needed
	ClosedLoop   *ClosedLoop
	Environment  string // of Phalanx
	Domain       string // DNS domain of the hosts
	FQDN         string // host name of Phalanx's environment
	Commit       string // of Phalanx that the inventory was taken from, 40 hexadecimal digits
	// Shared are the resources that the pods of an application's CSCs name beside what
	// their own charts render, by application.
	Shared        map[string][]Resource
	Cycle         string // deployed image tag
	ImageRegistry string // host name in front of an image's name
	Targets       Targets
	Applications  []Application // those with CSCs, and love; in the order of the inventory
	Others        []string      // further applications of the control system, which a request may name
	CSCs          []CSC         // inventory's order, then those outside the cluster
	Hosts         []Host
	States        States
	Testing       []TestSequence
	Recovery      Recovery
	Durations     map[string]time.Duration // by action kind: how long one usually takes
	Learned       []Learned
}

// Learned is how long the past attempts of one class of actions took.
type Learned struct {
	Kind, Purpose, Target string
	From                  int // number of attempts
	P10, P50, P90         time.Duration
}

// Begins is when deployments of a type begin. Without days, any day will do.
type Begins struct {
	At          string   // local time, such as 09:00
	Only, Never []string // days of the week
}

// Approvals says who must approve an upgrade before it is carried out.
type Approvals struct {
	Roles       map[string]int // people, by role
	NotByAuthor bool           // the authors of the plan's commits do not count
}

// ClosedLoop is a mirror that must be in closed-loop control before the control
// system goes down (P4), and again before the machine of its EUI is rebooted (P5).
type ClosedLoop struct {
	Pos     Pos
	CSC     string
	Mirror  string // such as M2
	Machine string // runs its EUI
	Help    string // channel in which to ask for help with it; "" for none
}

// Targets are the systems that an upgrade of the site talks to.
type Targets struct {
	Context, Server, Kubeconfig string // of the cluster
	ServerDoubt                 string // why Server is doubtful; "" if it is not
	ArgoCDNamespace             string
	ArgoCDProject               string
	ArgoCDURL                   string
	AppOfApps                   string // science-platform
	LOVEURL, LOVEView           string
	EFDURL, EFDDatabase         string
	EFDLag                      time.Duration
	RegistryNamespace           string
	RegistrySelector            string
	RegistryContainer           string
	SlackChannel                string
	NubladoSelector             string // label of the Nublado user namespaces (P19)
	Pages                       []Page
}

// Page is an address for the operator.
type Page struct{ Title, URL string }

// Names are the names that a CSC of any site can have.
type Names struct {
	Components map[string]bool // of SAL: whether it has an index
	// Instances are the indices of components whose Jobs do not carry them, by a word of
	// the Job's command line.
	Instances map[string]map[string]int
	Quiet     []string // labels csc-class of Jobs that do not speak SAL
}

// Application is an Argo CD application of the control system.
type Application struct {
	Pos       Pos
	Name      string
	Namespace string
}

// CSC is a Commandable SAL Component, or a Job of the CSC chart that does not
// speak SAL (love-commander: Component is empty).
type CSC struct {
	Pos       Pos
	Component string
	Index     int

	// In the cluster; all empty for a CSC on a host.
	Application string
	Job         string // name of the Job
	Label       string // label csc: the alias in the chart
	CSCName     string
	CSCClass    string
	Image       string     // without registry and tag
	Revision    int        // 0: the bare cycle tag or an explicit 000, see Pinned
	Pinned      bool       // a revision is set, so that the tag is <cycle>.<revision>
	Resources   []Resource // that its chart renders for it beside the Job, in its namespace

	Host      string // name of the host that runs it, outside the cluster
	ComesUp   string // summary state after a start
	Principal string // role that must agree before it is touched
	Bridge    bool   // camera OCS bridge
	Doubt     string // about what it is or where it runs
	Note      string // for the runbook
}

// Resource is a resource of Kubernetes in the namespace of an application.
type Resource struct{ Group, Kind, Name string }

// String returns kind and name, such as "ConfigMap mtoods-configfile".
func (r Resource) String() string { return r.Kind + " " + r.Name }

// Tag returns the tag of its image in a cycle, as charts/csc of Phalanx gives it
// (helpers.makeImage in charts/csc/templates/_helpers.tpl at 650a0ef2c): with the revision if
// there is one, 0 included.
func (c *CSC) Tag(cycle string) string {
	if c.Pinned {
		return fmt.Sprintf("%s.%03d", cycle, c.Revision)
	}
	return cycle
}

// Name returns the SAL name with its index, such as "MTMount:0", or the Job's
// name if it has no SAL component.
func (c *CSC) Name() string {
	if c.Component == "" {
		return c.Job
	}
	return c.Component + ":" + strconv.Itoa(c.Index)
}

// Role is what a host is for. Each role has its own part of the procedure.
type Role string

// The roles.
const (
	Camera    Role = "camera"     // mcm host with an OCS bridge (P15, P34)
	BareMetal Role = "bare-metal" // T&S services (P17, P23, P36)
	ESS       Role = "ess"        // ESS controller (P28)
	CRIO      Role = "crio"       // cRIO (P29, P45)
	Machine   Role = "machine"    // only rebooted or checked (P47)
)

// Host is a machine outside the cluster.
type Host struct {
	Pos       Pos
	Name      string
	Address   string
	Role      Role
	Users     []User
	Principal string
	Services  []Service
	Checkout  *Checkout // configuration checkout to update (P23); nil: none
	// Serves are CSCs in the cluster that talk to this host's service, such as
	// those of an ESS controller.
	Serves []string
	Doubt  string // about the host as a whole
	Note   string // for the runbook
}

// User is an account and how csu uses it: "login", "sudo" or "own".
type User struct{ Name, Via string }

// Service is something on a host that is stopped, updated and started.
type Service struct {
	Pos  Pos
	Name string
	CSCs []string // that it runs
	// Keep is why the service keeps running through an upgrade although a page
	// lists it among those to stop (P6); "" if it does not.
	Keep string
	// Each is nil if it is not documented.
	Stop, Update, Start *Commands
	// Build makes what Update copies, while the service runs. A cRIO that has Update has
	// it, and no other host.
	Build *Commands
	// StartByHand has instructions for the operator if it is not documented how
	// to start what Stop stops (P36).
	StartByHand string
}

// Commands returns the documented commands by their purpose.
func (s *Service) Commands() iter.Seq2[string, *Commands] {
	return func(yield func(string, *Commands) bool) {
		for _, of := range []struct {
			purpose  string
			commands *Commands
		}{{"stop", s.Stop}, {"build", s.Build}, {"update", s.Update}, {"start", s.Start}} {
			if of.commands != nil && !yield(of.purpose, of.commands) {
				return
			}
		}
	}
}

// Commands are run on a host for one purpose.
type Commands struct {
	Pos     Pos
	User    string
	Run     []string // POSIX sh, in order
	Check   string   // must eventually exit with 0 afterwards; "" for none
	Doubt   string   // why they are doubtful; "" if they are not
	Consent string   // asked besides the doubt, such as for "git checkout main" (P29)
	Limit   time.Duration
	Takes   time.Duration // usual time; 0 for the site's duration
}

// Checkout is a configuration checkout on a host.
type Checkout struct {
	Pos        Pos
	Repository string // path for update_repo
	Branch     string // the default
	User       string
	Limit      time.Duration
}

// States are the site's lists of summary states.
type States struct {
	// Enable is brought to ENABLED with set_summary_state.py (P41).
	Enable []string
	// IfNecessary: only if necessary, and not if integration testing follows.
	IfNecessary bool
	// Keep are the CSCs that keep their state through an upgrade (P6).
	Keep []KeptState
	// EnableAll: at the end of a recovery all CSCs go back to ENABLED (P55).
	EnableAll bool
	// Absent are CSCs that LOVE lists although nothing runs them.
	Absent []string
	Notes  []string // what the operator should know about these lists
}

// KeptState is a CSC that keeps its state, and why that is doubtful.
type KeptState struct {
	Pos   Pos
	CSC   string
	State string
	Doubt string
}

// TestSequence is a sequence of minimal testing (P50, P51).
type TestSequence struct {
	Pos       Pos
	Name      string // auxtel or maintel
	Title     string
	Note      string   // shown with the stage's consent
	Telescope []string // applications and CSCs whose change requires it
	Steps     []TestStep
}

// TestStep is a script to run, or a manual step.
type TestStep struct {
	Pos    Pos
	ID     string
	Title  string
	Queue  int
	Script string // path of a standard script, or "" for a manual step
	Config string // YAML
	Text   string // manual: instructions; script: what to know
	Doubt  string
	Images bool // takes or checks images: omitted if a site only tracks (P52)
	Limit  time.Duration
}

// Recovery is what the site's recovery does besides Jobs and syncs.
type Recovery struct {
	StartCRIOs []string // hosts whose service is started if its CSC is silent (P45)
	Restart    []string // hosts whose services are restarted (P46)
	Reboot     []Reboot // hosts that are rebooted (P47)
}

// Reboot is a host to reboot, and why the operator must confirm that it is the right
// one.
type Reboot struct {
	Pos     Pos
	Host    string
	User    string
	Command string
	Doubt   string
}

// Request is a request for an upgrade.
type Request struct {
	Pos     Pos
	Places  Places // of its file, below "upgrade"
	Type    string // full, incremental or recovery
	Date    string // YYYY-MM-DD
	Attempt int
	Cycle   string
	Reason  string
	Queue   int

	Revisions     []Change
	BreaksSchema  bool
	SyncSasquatch bool
	CriosDone     bool
	CriosFirst    bool // the builds on the cRIOs begin before anything else (P29)

	Changed      []Change
	Added        []CSC
	Removed      []string
	Applications []string
	Hosts        []string
	QueuesStay   bool

	StartBridges              bool
	IntegrationTestingFollows bool
	Branches                  []Branch
	Phalanx                   string // commit of Phalanx that is deployed; "" if the request does not name it
}

// Change is a CSC that changes.
type Change struct {
	Pos      Pos
	CSC      string
	Revision int
	// Pinned: a revision is given. A CSC on a host has none, nor does one whose
	// image is the bare cycle's, as at the test stands.
	Pinned bool
	Why    string // "" for a new revision, or rollback, configuration, unpinned

	// What else changes of its line in the inventory; empty or nil: nothing.
	Image, ComesUp string
	Resources      *[]Resource
}

// Branch is the branch of a configuration repository.
type Branch struct{ Repository, Branch string }

// CSC returns the named CSC of the site.
func (s *Site) CSC(name string) (*CSC, bool) {
	component, index, _ := strings.Cut(name, ":")
	n, err := strconv.Atoi(index)
	speaks := component != "" && err == nil && strconv.Itoa(n) == index
	for i := range s.CSCs {
		c := &s.CSCs[i]
		if speaks && c.Component == component && c.Index == n || c.Component == "" && c.Job == name {
			return c, true
		}
	}
	return nil, false
}

// Host returns the named host of the site.
func (s *Site) Host(name string) (*Host, bool) {
	for i := range s.Hosts {
		if s.Hosts[i].Name == name {
			return &s.Hosts[i], true
		}
	}
	return nil, false
}

// Application returns the named application of the site.
func (s *Site) Application(name string) (*Application, bool) {
	for i := range s.Applications {
		if s.Applications[i].Name == name {
			return &s.Applications[i], true
		}
	}
	return nil, false
}
