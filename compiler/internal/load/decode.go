package load

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"cuelang.org/go/cue"

	"github.com/lsst-ts/csu/compiler/internal/model"
)

// The forms of the CUE definitions, as far as they are not those of the model.
type (
	rawCSC struct {
		Application, Job, Label, CSCName, CSCClass, Image string
		Revision                                          *int
		Host, ComesUp, Principal                          string
		Bridge                                            bool
		Doubt, Note                                       string
	}
	rawHost struct {
		Address, Role, Principal string
		Users                    []struct{ Name, Via string }
		Checkout                 *rawCheckout
		Serves                   []string
		Doubt, Note              string
	}
	rawService struct {
		CSCs                []string
		Keep                string
		Stop, Update, Start *rawCommands
		StartByHand         string
	}
	rawCommands struct {
		User                         string
		Run                          []string
		Check, Doubt, Consent, Limit string
		Takes                        string
	}
	rawCheckout struct{ Repository, Branch, User, Limit string }
	rawTargets  struct {
		Kubernetes struct{ Context, Server, Kubeconfig, Doubt string }
		ArgoCD     struct{ Namespace, Project, URL, AppOfApps string }
		LOVE       struct{ URL, View string }
		EFD        struct{ URL, Database, Lag string }
		Registry   struct{ Namespace, Selector, Container string }
		Slack      struct{ Channel, M2Help string }
		Nublado    struct{ Selector string }
		Pages      []model.Page
	}
	rawStep struct {
		ID, Title, Script, Config, Text, Doubt, Limit string
		Queue                                         int
		Images                                        bool
	}
)

// decodeSite makes a site of what the source has. What is wrong in CUE is left
// out, except for its name: a list that names it is right.
func decodeSite(s *source) *model.Site {
	site := &model.Site{}
	root := path{"site"}
	site.Pos, site.Places = s.places.of(root), s.places.index()
	s.decode(root.with("name"), &site.Name)
	s.decode(root.with("testStand"), &site.TestStand)
	s.decode(root.with("environment"), &site.Environment)
	s.decode(root.with("inventory", "cycle"), &site.Cycle)
	s.decode(root.with("imageRegistry"), &site.ImageRegistry)
	site.Targets = s.targets(root.with("targets"))
	for _, name := range s.names(root.with("applications")) {
		at := root.with("applications", name)
		app := model.Application{Pos: s.places.of(at), Name: name}
		s.decode(at.with("namespace"), &app.Namespace)
		site.Applications = append(site.Applications, app)
	}
	for _, list := range []string{"cscs", "outside"} {
		for _, name := range s.names(root.with(list)) {
			site.CSCs = append(site.CSCs, s.csc(root.with(list, name), name))
		}
	}
	for _, name := range s.names(root.with("hosts")) {
		site.Hosts = append(site.Hosts, s.host(root.with("hosts", name), name))
	}
	site.States = s.states(root.with("states"))
	for _, name := range s.names(root.with("testing")) {
		site.Testing = append(site.Testing, s.sequence(root.with("testing", name), name))
	}
	site.Recovery = s.recovery(root.with("recovery"))
	site.Durations = s.durations(root.with("durations"))
	return site
}

// lookup returns the value at a path.
func (s *source) lookup(at path) cue.Value {
	v := s.value
	for _, label := range at {
		below := v.LookupPath(cue.MakePath(cue.Str(label)))
		if i, err := strconv.Atoi(label); err == nil && i >= 0 && !below.Exists() {
			below = v.LookupPath(cue.MakePath(cue.Index(i)))
		}
		v = below
	}
	return v
}

// wrong tells whether CUE has refused what is at a path, or below it.
func (s *source) wrong(at path) bool {
	return slices.ContainsFunc(s.cue, func(p cueProblem) bool { return slices.Equal(p.at, at) || p.at.below(at) })
}

// decode reads a value, if it is there and right. If it is wrong, CUE's
// validation has said so.
func (s *source) decode(at path, into any) {
	v := s.lookup(at)
	if !v.Exists() || v.Err() != nil {
		return
	}
	if err := v.Decode(into); err != nil && !s.wrong(at) {
		s.report(at, s.subject(at), "can't be read: "+err.Error(), "compare it with its definition below schema")
	}
}

// names returns the regular fields of a struct, in their order.
func (s *source) names(at path) []string {
	it, err := s.lookup(at).Fields(cue.All(), cue.Optional(false), cue.Hidden(false), cue.Definitions(false), cue.Attributes(false))
	if err != nil {
		return nil
	}
	var names []string
	for it.Next() {
		if sel := it.Selector(); sel.LabelType() == cue.StringLabel && sel.ConstraintType() == 0 {
			names = append(names, sel.Unquoted())
		}
	}
	return names
}

func (s *source) targets(at path) model.Targets {
	var r rawTargets
	s.decode(at, &r)
	return model.Targets{
		Context: r.Kubernetes.Context, Server: r.Kubernetes.Server, Kubeconfig: r.Kubernetes.Kubeconfig,
		ServerDoubt:     fold(r.Kubernetes.Doubt),
		ArgoCDNamespace: r.ArgoCD.Namespace, ArgoCDProject: r.ArgoCD.Project, ArgoCDURL: r.ArgoCD.URL,
		AppOfApps: r.ArgoCD.AppOfApps,
		LOVEURL:   r.LOVE.URL, LOVEView: r.LOVE.View,
		EFDURL: r.EFD.URL, EFDDatabase: r.EFD.Database, EFDLag: duration(r.EFD.Lag),
		RegistryNamespace: r.Registry.Namespace, RegistrySelector: r.Registry.Selector, RegistryContainer: r.Registry.Container,
		SlackChannel: r.Slack.Channel, M2HelpChannel: r.Slack.M2Help,
		NubladoSelector: r.Nublado.Selector,
		Pages:           r.Pages,
	}
}

func (s *source) csc(at path, name string) model.CSC {
	var r rawCSC
	s.decode(at, &r)
	csc := model.CSC{
		Pos:         s.places.of(at),
		Application: r.Application, Job: r.Job, Label: r.Label, CSCName: r.CSCName, CSCClass: r.CSCClass,
		Image: r.Image, Pinned: r.Revision != nil,
		Host: r.Host, ComesUp: r.ComesUp, Principal: r.Principal, Bridge: r.Bridge,
		Doubt: fold(r.Doubt), Note: fold(r.Note),
	}
	if r.Revision != nil {
		csc.Revision = *r.Revision
	}
	var ok bool
	if csc.Component, csc.Index, ok = splitName(name); !ok {
		csc.Job = name
	}
	return csc
}

func (s *source) host(at path, name string) model.Host {
	var r rawHost
	// Part by part: a mistake in a service must not hide the users from the
	// checks of the others.
	s.decode(at.with("address"), &r.Address)
	s.decode(at.with("role"), &r.Role)
	s.decode(at.with("users"), &r.Users)
	s.decode(at.with("principal"), &r.Principal)
	s.decode(at.with("checkout"), &r.Checkout)
	s.decode(at.with("serves"), &r.Serves)
	s.decode(at.with("doubt"), &r.Doubt)
	s.decode(at.with("note"), &r.Note)
	host := model.Host{
		Pos: s.places.of(at), Name: name, Address: r.Address, Role: model.Role(r.Role),
		Principal: r.Principal, Serves: r.Serves, Doubt: fold(r.Doubt), Note: fold(r.Note),
	}
	for _, u := range r.Users {
		host.Users = append(host.Users, model.User{Name: u.Name, Via: u.Via})
	}
	if c := r.Checkout; c != nil {
		host.Checkout = &model.Checkout{
			Pos: s.places.of(at.with("checkout")), Repository: c.Repository, Branch: c.Branch,
			User: c.User, Limit: duration(c.Limit),
		}
	}
	for _, service := range s.names(at.with("services")) {
		host.Services = append(host.Services, s.service(at.with("services", service), service))
	}
	return host
}

func (s *source) service(at path, name string) model.Service {
	var r rawService
	s.decode(at.with("cscs"), &r.CSCs)
	s.decode(at.with("keep"), &r.Keep)
	s.decode(at.with("stop"), &r.Stop)
	s.decode(at.with("update"), &r.Update)
	s.decode(at.with("start"), &r.Start)
	s.decode(at.with("startByHand"), &r.StartByHand)
	return model.Service{
		Pos: s.places.of(at), Name: name, CSCs: r.CSCs, Keep: fold(r.Keep),
		Stop:        s.commands(at.with("stop"), r.Stop),
		Update:      s.commands(at.with("update"), r.Update),
		Start:       s.commands(at.with("start"), r.Start),
		StartByHand: fold(r.StartByHand),
	}
}

func (s *source) commands(at path, r *rawCommands) *model.Commands {
	if r == nil {
		return nil
	}
	return &model.Commands{
		Pos: s.places.of(at), User: r.User, Run: r.Run, Check: r.Check,
		Doubt: fold(r.Doubt), Consent: fold(r.Consent), Limit: duration(r.Limit), Takes: duration(r.Takes),
	}
}

func (s *source) states(at path) model.States {
	var st model.States
	s.decode(at.with("enable"), &st.Enable)
	s.decode(at.with("ifNecessary"), &st.IfNecessary)
	s.decode(at.with("enableAll"), &st.EnableAll)
	s.decode(at.with("absent"), &st.Absent)
	s.decode(at.with("notes"), &st.Notes)
	for i, n := range st.Notes {
		st.Notes[i] = fold(n)
	}
	for _, name := range s.names(at.with("keep")) {
		one := at.with("keep", name)
		kept := model.KeptState{Pos: s.places.of(one), CSC: name}
		s.decode(one.with("state"), &kept.State)
		s.decode(one.with("doubt"), &kept.Doubt)
		kept.Doubt = fold(kept.Doubt)
		st.Keep = append(st.Keep, kept)
	}
	return st
}

func (s *source) sequence(at path, name string) model.TestSequence {
	seq := model.TestSequence{Pos: s.places.of(at), Name: name}
	var steps []rawStep
	s.decode(at.with("title"), &seq.Title)
	s.decode(at.with("note"), &seq.Note)
	s.decode(at.with("telescope"), &seq.Telescope)
	s.decode(at.with("steps"), &steps)
	seq.Note = fold(seq.Note)
	for _, r := range steps {
		seq.Steps = append(seq.Steps, model.TestStep{
			Pos: seq.Pos, ID: r.ID, Title: r.Title, Queue: r.Queue, Script: r.Script, Config: r.Config,
			Text: fold(r.Text), Doubt: fold(r.Doubt), Images: r.Images, Limit: duration(r.Limit),
		})
	}
	return seq
}

func (s *source) recovery(at path) model.Recovery {
	var rec model.Recovery
	s.decode(at.with("startCRIOs"), &rec.StartCRIOs)
	s.decode(at.with("restart"), &rec.Restart)
	for _, name := range s.names(at.with("reboot")) {
		one := at.with("reboot", name)
		reboot := model.Reboot{Pos: s.places.of(one), Host: name}
		s.decode(one.with("user"), &reboot.User)
		s.decode(one.with("command"), &reboot.Command)
		s.decode(one.with("doubt"), &reboot.Doubt)
		reboot.Doubt = fold(reboot.Doubt)
		rec.Reboot = append(rec.Reboot, reboot)
	}
	return rec
}

// fold makes one line of prose: its line breaks are only those of the file.
func fold(text string) string { return strings.Join(strings.Fields(text), " ") }

// duration returns what the schema has found to be a duration.
// durations returns how long actions usually take, by their kinds.
func (s *source) durations(at path) map[string]time.Duration {
	texts := map[string]string{}
	s.decode(at, &texts)
	usual := map[string]time.Duration{}
	for kind, text := range texts {
		usual[kind] = duration(text)
	}
	return usual
}

func duration(text string) time.Duration {
	d, _ := time.ParseDuration(text)
	return d
}
