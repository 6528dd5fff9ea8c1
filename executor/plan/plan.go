// Package plan is the language between csu's two halves: the compiler writes
// plans, people review them, the executor replays them.
//
// The words:
//
//   - a plan is everything that one upgrade of one site does, frozen;
//   - a stage is a barrier: it starts when the stage before it is finished and
//     the operator has consented;
//   - a step is one action with its time limit, its source in the procedure and
//     the text for doing it by hand;
//   - a final step undoes what another step did, at the end of the run or when
//     it is aborted;
//   - targets are the systems that the plan talks to; cscs and hosts are the
//     plan's own tables of the site, with everything that a step names;
//   - a doubt is a doubtful fact of the sources, with what rests on it. Stages
//     and steps ask about it.
//
// A plan in memory and a plan in a file are one struct. [Encode] is canonical
// and [Decode] accepts canonical bytes only, so that a plan has one digest.
package plan

import "strings"

// Format is the version of the plan's form. It is raised whenever an executor that
// knows only the old form would do something else, or less, with a plan of the new one:
// a new field, a new kind, a new meaning. Other versions are not read: the plan is
// compiled again.
const Format = "csu-plan/2"

// Type is the type of an upgrade.
type Type string

// The upgrade types of the procedure.
const (
	Full        Type = "full"        // a whole cycle
	Incremental Type = "incremental" // a few CSCs, compatible in schema
	Recovery    Type = "recovery"    // after an upgrade of the OS or Kubernetes
)

// Types are all upgrade types.
var Types = []Type{Full, Incremental, Recovery}

// Plan is a frozen upgrade.
type Plan struct {
	Format  string  `json:"format"`
	Site    string  `json:"site"`
	Type    Type    `json:"type"`
	Upgrade Upgrade `json:"upgrade"`
	Facts   Facts   `json:"facts"`
	Targets Targets `json:"targets"`
	CSCs    []CSC   `json:"cscs"`
	// Shared are the resources that the pods of several CSCs name, such as a ConfigMap
	// for all CSCs of an application.
	Shared []Resource `json:"shared,omitempty"`
	Hosts  []Host     `json:"hosts"`
	Doubts []Doubt    `json:"doubts"`
	Stages []Stage    `json:"stages"`
	Final  []Step     `json:"final"`
}

// Upgrade is the request that the plan was compiled from.
type Upgrade struct {
	Date    string `json:"date"`    // day of the deployment at the site, YYYY-MM-DD
	Attempt int    `json:"attempt"` // 1, and one more after each abort
	Cycle   string `json:"cycle"`   // image tag of the cycle, such as c0045
	Reason  string `json:"reason"`  // given to the scripts that want one
	Queue   int    `json:"queue"`   // SAL index of the ScriptQueue that runs the scripts
	// Phalanx is the commit of lsst-sqre/phalanx that the plan deploys, 40 hexadecimal
	// digits. It is left out if the request does not name one.
	Phalanx string `json:"phalanx,omitempty"`

	// From is the cycle that was deployed before, where the upgrade changes it. One that is
	// above Cycle makes the upgrade a rollback.
	From          string   `json:"from,omitempty"`
	Revisions     []Change `json:"revisions,omitempty"` // full: revisions that the new cycle already has
	BreaksSchema  bool     `json:"breaksSchema,omitempty"`
	SyncSasquatch bool     `json:"syncSasquatch,omitempty"`
	CriosDone     bool     `json:"criosDone,omitempty"`
	CriosFirst    bool     `json:"criosFirst,omitempty"` // the builds on the cRIOs begin before anything else (P29)

	Changed      []Change `json:"changed,omitempty"`      // incremental: what changes
	Added        []string `json:"added,omitempty"`        // incremental: CSCs that the site gets
	Removed      []string `json:"removed,omitempty"`      // incremental: CSCs that the site loses
	Applications []string `json:"applications,omitempty"` // incremental: synced beside it
	Hosts        []string `json:"hosts,omitempty"`        // incremental: updated beside those of the changed CSCs
	QueuesStay   bool     `json:"queuesStay,omitempty"`   // incremental: the ScriptQueues stay up

	StartBridges              bool     `json:"startBridges,omitempty"` // csu starts the camera bridges, not the camera team (P34)
	IntegrationTestingFollows bool     `json:"integrationTestingFollows,omitempty"`
	Branches                  []Branch `json:"branches,omitempty"`
}

// Change is a CSC that changes, and why.
type Change struct {
	CSC      string `json:"csc"`
	Revision int    `json:"revision,omitempty"` // of its image within the cycle; 0 also where the request gives none
	Why      Why    `json:"why,omitempty"`
}

// Branch is the branch of a configuration repository that is deployed.
type Branch struct {
	Repository string `json:"repository"`
	Branch     string `json:"branch"`
}

// Facts are what the site definition says of the site as a whole and the procedure
// depends on. What depends on a CSC or a host is in its row.
type Facts struct {
	// Domain is the DNS domain of the site's hosts, FQDN the host name of its Phalanx
	// environment. The plan talks to no host outside of them (P1, P20).
	Domain string `json:"domain"`
	FQDN   string `json:"fqdn"`
	// ImageRegistry is the host name in front of every image's name (P32, P33).
	ImageRegistry string `json:"imageRegistry"`
	// CSCs and Doubts are how many rows these tables have, so that a row that is
	// taken out with everything that names it is missed (P2, P18).
	CSCs     int     `json:"cscs"`
	Doubts   int     `json:"doubts"`
	TimeZone string  `json:"timeZone"`         // of the site, such as America/Santiago
	Begins   *Begins `json:"begins,omitempty"` // when deployments of the plan's type begin (P54)
	// TestStand: the site is tested after a recovery and an incremental upgrade (P48, P49).
	TestStand bool `json:"testStand,omitempty"`
	// TrackingOnly: its telescopes only track; no test takes images (P52).
	TrackingOnly bool `json:"trackingOnly,omitempty"`
	// EnableIfNecessary: CSCs are enabled only if that is necessary, and not when
	// integration testing follows (P41).
	EnableIfNecessary bool `json:"enableIfNecessary,omitempty"`
	// EnableAll: a recovery ends with all CSCs ENABLED (P55).
	EnableAll  bool        `json:"enableAll,omitempty"`
	ClosedLoop *ClosedLoop `json:"closedLoop,omitempty"`
	Telescopes []Telescope `json:"telescopes,omitempty"` // that are tested (P50, P51)
	// Approvals says who must have approved the plan before it is carried out; nil if
	// the site asks for no approvals. A csu that does not know the field refuses it, as
	// every unknown one.
	Approvals *Approvals `json:"approvals,omitempty"`
}

// Approvals says who must have approved a plan.
type Approvals struct {
	Roles       []Need `json:"roles"`                 // sorted by name
	NotByAuthor bool   `json:"notByAuthor,omitempty"` // the authors of the plan's commits do not count
}

// Need is how many people must approve in a role.
type Need struct {
	Role  string `json:"role"`
	Count int    `json:"count"` // at least 1
}

// Begins says when deployments begin. Without days it is any day.
type Begins struct {
	At    string   `json:"at"`              // local time, such as 09:00
	Only  []string `json:"only,omitempty"`  // the days of the week on which they begin
	Never []string `json:"never,omitempty"` // the days on which they don't
}

// ClosedLoop is a mirror that must be in closed-loop control before the control
// system goes down (P4), and again before the machine that runs its EUI is
// rebooted (P5).
type ClosedLoop struct {
	CSC     string `json:"csc"`
	Mirror  string `json:"mirror"`  // such as M2
	Machine string `json:"machine"` // that runs its EUI, such as Hexrot VM
}

// Telescope is a telescope with a test of its own.
type Telescope struct {
	Name     string   `json:"name"`     // auxtel (P50) or maintel (P51)
	Consists []string `json:"consists"` // of these applications and CSCs, whose change calls for the test (P49)
}

// Targets are the systems that the plan talks to.
type Targets struct {
	Kubernetes Kubernetes `json:"kubernetes"`
	ArgoCD     ArgoCD     `json:"argocd"`
	LOVE       LOVE       `json:"love"`
	EFD        EFD        `json:"efd"`
	Registry   Registry   `json:"registry"`
	Slack      Slack      `json:"slack"`
	Pages      []Page     `json:"pages"` // for people: dashboards, Nublado, Rancher, Foreman
}

// Kubernetes names the one cluster that the plan may touch (P20).
type Kubernetes struct {
	Context string `json:"context"`
	// Server is the API server's address; compared with the kubeconfig's by
	// scheme, host and port, and by path where it has one.
	Server     string `json:"server"`
	Kubeconfig string `json:"kubeconfig"` // name of the site's kubeconfig file, for people
}

// ArgoCD says where the Applications are.
type ArgoCD struct {
	Namespace string `json:"namespace"`
	Project   string `json:"project"` // of the control system's applications
	URL       string `json:"url"`
	AppOfApps string `json:"appOfApps"` // the application that renders the others (P30)
}

// LOVE is the operators' interface, through which scripts are queued.
type LOVE struct {
	URL  string `json:"url"`
	View string `json:"view"` // name of the summary-state view (P13)
}

// EFD is the InfluxDB 1.x that records events and commands.
type EFD struct {
	URL      string   `json:"url"`
	Database string   `json:"database"`
	Lag      Duration `json:"lag"` // how late records may arrive
}

// Registry is the schema registry, reached by exec into one of its pods.
type Registry struct {
	Namespace string `json:"namespace"`
	Selector  string `json:"selector"`
	Container string `json:"container,omitempty"`
}

// Slack is where the upgrade is announced.
type Slack struct {
	Channel string `json:"channel"`
}

// Page is an address for people.
type Page struct {
	Title string `json:"title"`
	URL   string `json:"url"`
}

// CSC is a row of the table of CSCs. The table has all CSCs of the site. Selectors must
// not match the untouched ones, and a rehearsal checks that they are unharmed.
type CSC struct {
	// CSC is the SAL name with its index, such as "MTMount:0". A job of the CSC
	// chart that speaks no SAL has its Job's name, without a colon.
	CSC  string `json:"csc"`
	Job  *Job   `json:"job,omitempty"`  // where it runs in the cluster,
	Host string `json:"host,omitempty"` // or the host that runs it
	// Image runs after the upgrade; "" if the upgrade removes the CSC. Before ran until then,
	// where it is another; "" also if the upgrade adds the CSC.
	Image   string `json:"image,omitempty"`
	Before  string `json:"before,omitempty"`
	ComesUp string `json:"comesUp,omitempty"` // summary state after a start
	Expect  string `json:"expect,omitempty"`  // summary state at the end of the upgrade
	Keeps   string `json:"keeps,omitempty"`   // the summary state that it keeps through every upgrade (P6)
	Bridge  bool   `json:"bridge,omitempty"`  // a camera OCS bridge, which still sends events when OFFLINE (P11)
	// Principal is the role that must have agreed before it is touched (P3).
	Principal string `json:"principal,omitempty"`
}

// Job is a Kubernetes Job of the CSC chart with the labels that tell it apart.
type Job struct {
	Application string `json:"application"` // of Argo CD
	Namespace   string `json:"namespace"`
	Name        string `json:"name"`
	Label       string `json:"label"` // label csc: the alias in the chart
	CSCName     string `json:"cscName"`
	CSCClass    string `json:"cscClass"`
	// Resources are what its chart renders for it beside the Job.
	Resources []Resource `json:"resources,omitempty"`
}

// Host is a row of the table of hosts.
type Host struct {
	Name      string `json:"name"`
	Address   string `json:"address"`
	Role      Role   `json:"role"`
	Users     []User `json:"users"`
	Principal string `json:"principal,omitempty"`
	Checkout  bool   `json:"checkout,omitempty"` // has a configuration checkout (P23)
	Restart   bool   `json:"restart,omitempty"`  // a recovery restarts its services (P46)
	Reboot    bool   `json:"reboot,omitempty"`   // a recovery reboots it (P47)
}

// Role is what a host is for; the procedure treats each role at its own place.
type Role string

// The roles.
const (
	Camera    Role = "camera"     // runs an OCS bridge (P15, P34)
	BareMetal Role = "bare-metal" // T&S services (P17, P23, P36)
	ESS       Role = "ess"        // ESS controller (P28)
	CRIO      Role = "crio"       // cRIO (P29, P45)
	Machine   Role = "machine"    // only ever rebooted or looked at (P47)
)

// Roles are all roles of hosts.
var Roles = []Role{Camera, BareMetal, ESS, CRIO, Machine}

// User is an account that commands run as on a host.
type User struct {
	Name string `json:"name"`
	// Via is how it is reached: "login" as that user, "sudo" from the
	// operator's own account, or "own" for the operator's own account.
	Via string `json:"via"`
}

// Stage is a group of steps behind one consent.
type Stage struct {
	ID         string   `json:"id"`
	Title      string   `json:"title"`
	Consent    string   `json:"consent"`              // what the operator consents to
	Principals []string `json:"principals,omitempty"` // whose agreement the consent confirms (P3)
	Doubts     []string `json:"doubts,omitempty"`     // doubtful facts that the operator is asked about here
	Source     []string `json:"source"`               // numbers of the procedure
	Steps      []Step   `json:"steps"`
}

// OnFailure is what happens when a step fails.
type OnFailure string

// What follows a failure.
const (
	Ask    OnFailure = "ask"    // nothing new starts; the operator chooses
	Report OnFailure = "report" // the failure is reported; the run continues
)

// Step is one action.
type Step struct {
	ID         string   `json:"id"` // stage/name
	Title      string   `json:"title"`
	Source     []string `json:"source"`               // numbers of the procedure
	Needs      []string `json:"needs"`                // ids of steps of the same stage that must be finished before
	Consent    string   `json:"consent,omitempty"`    // asked when the step is about to start
	Principals []string `json:"principals,omitempty"` // whose agreement that consent confirms (P3)
	Doubt      string   `json:"doubt,omitempty"`      // why a fact it rests on is doubtful; asked before its stage begins
	Action     Action   `json:"action"`
	// Takes is how long it usually takes; only people use it.
	Takes Duration `json:"takes"`
	// Spread is how long it took in the past, at a site whose durations were learned; nil
	// elsewhere. Takes is then the median. A csu that does not know this field refuses the
	// plan by its name, so that plans without it keep their format.
	Spread  *Spread  `json:"spread,omitempty"`
	Timeout Duration `json:"timeout"`
	// OnFailure also holds for a step whose time ran out.
	OnFailure OnFailure `json:"onFailure"`
	ByHand    string    `json:"byHand"`           // what a person would do instead (P12)
	Undoes    string    `json:"undoes,omitempty"` // final steps: the id of the step that this one undoes
}

// Spread is a range in which 80 % of past attempts ended.
type Spread struct {
	Low  Duration `json:"low"`  // 10th percentile
	High Duration `json:"high"` // 90th percentile
	From int      `json:"from"` // number of attempts
}

// Final reports whether the step is one of the plan's final steps.
func (s *Step) Final() bool { return s.Undoes != "" }

// Stage returns the id of the step's stage; "" for a final step.
func (s *Step) Stage() string {
	if s.Final() {
		return ""
	}
	stage, _, _ := strings.Cut(s.ID, "/")
	return stage
}

// LedgerName is the name of the ConfigMap in the site's cluster that says which run
// may continue.
func (p *Plan) LedgerName() string { return "csu-" + p.Site }

// Step returns the step with the id, final steps included.
func (p *Plan) Step(id string) (*Step, bool) {
	for s := range p.AllSteps() {
		if s.ID == id {
			return s, true
		}
	}
	return nil, false
}

// StageIDs returns the ids of the stages, in their order.
func (p *Plan) StageIDs() []string {
	var ids []string
	for i := range p.Stages {
		ids = append(ids, p.Stages[i].ID)
	}
	return ids
}

// AllSteps yields every step in the plan's order, the final ones last.
func (p *Plan) AllSteps() func(yield func(*Step) bool) {
	return func(yield func(*Step) bool) {
		for i := range p.Stages {
			for j := range p.Stages[i].Steps {
				if !yield(&p.Stages[i].Steps[j]) {
					return
				}
			}
		}
		for i := range p.Final {
			if !yield(&p.Final[i]) {
				return
			}
		}
	}
}

// Closing returns the message that announces the end: the last step of the last stage, if
// it is one; otherwise nil.
func (p *Plan) Closing() *Step {
	if len(p.Stages) == 0 {
		return nil
	}
	steps := p.Stages[len(p.Stages)-1].Steps
	if len(steps) == 0 {
		return nil
	}
	last := &steps[len(steps)-1]
	if _, ok := last.Action.Parameters.(*Announce); !ok {
		return nil
	}
	return last
}

// Brings returns what a sync that is limited to some resources brings back with the
// CSCs, each once: their Jobs with what their charts render, then what is shared in
// their namespaces.
func (p *Plan) Brings(cscs []string) []Resource {
	var out []Resource
	namespaces := map[string]bool{}
	for _, name := range cscs {
		c, ok := p.CSC(name)
		if !ok || c.Job == nil {
			continue
		}
		namespaces[c.Job.Namespace] = true
		out = append(append(out, c.Job.Resource()), c.Job.Resources...)
	}
	for _, r := range p.Shared {
		if namespaces[r.Namespace] {
			out = append(out, r)
		}
	}
	return out
}

// Resource returns the Job as a resource of its application.
func (j *Job) Resource() Resource {
	return Resource{Group: "batch", Kind: "Job", Namespace: j.Namespace, Name: j.Name}
}

// CSC returns the row of the named CSC.
func (p *Plan) CSC(name string) (*CSC, bool) {
	for i := range p.CSCs {
		if p.CSCs[i].CSC == name {
			return &p.CSCs[i], true
		}
	}
	return nil, false
}

// Host returns the row of the named host.
func (p *Plan) Host(name string) (*Host, bool) {
	for i := range p.Hosts {
		if p.Hosts[i].Name == name {
			return &p.Hosts[i], true
		}
	}
	return nil, false
}

// User returns the host's account of that name.
func (h *Host) User(name string) (User, bool) {
	for _, u := range h.Users {
		if u.Name == name {
			return u, true
		}
	}
	return User{}, false
}

// Speaks reports whether the CSC has a SAL component, and so is recorded in the EFD.
func (c *CSC) Speaks() bool {
	for _, r := range c.CSC {
		if r == ':' {
			return true
		}
	}
	return false
}
