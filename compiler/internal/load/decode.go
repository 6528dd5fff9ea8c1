package load

import (
	"strings"
	"time"

	"github.com/lsst-ts/csu/compiler/internal/model"
)

// decodeSite returns the source's site. It omits what CUE has refused, except for
// names, so that lists that refer to them are still correct.
func decodeSite(s *source) *model.Site {
	root := path{"site"}
	f := s.parts(root)
	site := &model.Site{
		Pos: s.places.of(root), Places: s.places,
		Name: f.text("name"), TestStand: f.flag("testStand"), TrackingOnly: f.flag("trackingOnly"),
		TimeZone: f.text("timeZone"), Environment: f.text("environment"),
		Commit:        s.parts(root.with("inventory")).text("commit"),
		Cycle:         s.parts(root.with("inventory")).text("cycle"),
		Domain:        f.text("domain"),
		FQDN:          f.text("fqdn"),
		ImageRegistry: f.text("imageRegistry"),
		Targets:       s.targets(root.with("targets")),
		Begins:        map[string]model.Begins{},
		Shared:        map[string][]model.Resource{},
	}
	shared := root.with("inventory", "shared")
	for _, application := range s.names(shared) {
		site.Shared[application] = rendered(s.parts(shared), application)
	}
	for _, typ := range s.names(root.with("deployments")) {
		b := s.whole(root.with("deployments", typ))
		site.Begins[typ] = model.Begins{At: b.text("at"), Only: b.texts("only"), Never: b.texts("never")}
	}
	site.Approvals = s.approvals(root.with("approvals"))
	if c := s.whole(root.with("closedLoop")); c.exists() {
		site.ClosedLoop = &model.ClosedLoop{
			Pos: s.places.of(c.at), CSC: c.text("csc"), Mirror: c.text("mirror"), Machine: c.prose("machine"), Help: c.text("help"),
		}
	}
	for _, name := range s.names(root.with("applications")) {
		at := root.with("applications", name)
		site.Applications = append(site.Applications, model.Application{
			Pos: s.places.of(at), Name: name, Namespace: s.parts(at).text("namespace"),
		})
	}
	site.Others = f.texts("otherApplications")
	for _, name := range s.names(root.with("cscs")) {
		site.CSCs = append(site.CSCs, s.csc(root.with("cscs", name), name))
	}
	for _, name := range s.names(root.with("outside")) {
		site.CSCs = append(site.CSCs, s.outsideCSC(root.with("outside", name), name))
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
	for _, l := range s.whole(root).structs("learned") {
		from, _ := l.number("from")
		site.Learned = append(site.Learned, model.Learned{
			Kind: l.text("kind"), Purpose: l.text("purpose"), Target: l.text("target"), From: from,
			P10: l.seconds("p10"), P50: l.seconds("p50"), P90: l.seconds("p90"),
		})
	}
	return site
}

// approvals returns what each upgrade type needs, of those that need any.
func (s *source) approvals(at path) map[string]model.Approvals {
	out := map[string]model.Approvals{}
	for _, typ := range types {
		a := model.Approvals{Roles: map[string]int{}, NotByAuthor: s.parts(at).flag("notByAuthor")}
		f := s.whole(at.with(typ))
		for _, role := range s.names(at.with(typ)) {
			a.Roles[role], _ = f.number(role)
		}
		if len(a.Roles) > 0 {
			out[typ] = a
		}
	}
	return out
}

func (s *source) targets(at path) model.Targets {
	f := s.whole(at)
	kubernetes, argocd, love, efd := f.in("kubernetes"), f.in("argocd"), f.in("love"), f.in("efd")
	registry, slack := f.in("registry"), f.in("slack")
	pages := []model.Page{}
	for _, p := range f.structs("pages") {
		pages = append(pages, model.Page{Title: p.text("title"), URL: p.text("url")})
	}
	return model.Targets{
		Context: kubernetes.text("context"), Server: kubernetes.text("server"), Kubeconfig: kubernetes.text("kubeconfig"),
		ServerDoubt:     kubernetes.prose("doubt"),
		ArgoCDNamespace: argocd.text("namespace"), ArgoCDProject: argocd.text("project"), ArgoCDURL: argocd.text("url"),
		AppOfApps: argocd.text("appOfApps"),
		LOVEURL:   love.text("url"), LOVEView: love.text("view"),
		EFDURL: efd.text("url"), EFDDatabase: efd.text("database"), EFDLag: duration(efd.text("lag")),
		RegistryNamespace: registry.text("namespace"), RegistrySelector: registry.text("selector"), RegistryContainer: registry.text("container"),
		SlackChannel:    slack.text("channel"),
		NubladoSelector: f.in("nublado").text("selector"),
		Pages:           pages,
	}
}

// csc decodes a CSC of the cluster, or a Job that speaks no SAL.
func (s *source) csc(at path, name string) model.CSC {
	f := s.whole(at)
	csc := named(name)
	csc.Pos = s.places.of(at)
	csc.Application, csc.Label, csc.Image = f.text("application"), f.text("label"), f.text("image")
	if csc.Component != "" {
		csc.Job = f.text("job")
	}
	csc.CSCName, csc.CSCClass = f.text("cscName"), f.text("cscClass")
	csc.Revision, csc.Pinned = f.number("revision")
	csc.Resources = rendered(f, "resources")
	csc.ComesUp, csc.Principal = f.text("comesUp"), f.text("principal")
	csc.Doubt, csc.Note = f.prose("doubt"), f.prose("note")
	return csc
}

// rendered decodes a list of resources that Phalanx renders.
func rendered(f fields, name string) []model.Resource {
	var out []model.Resource
	for _, r := range f.structs(name) {
		out = append(out, model.Resource{Group: r.text("group"), Kind: r.text("kind"), Name: r.text("name")})
	}
	return out
}

// outsideCSC decodes a CSC that a host runs.
func (s *source) outsideCSC(at path, name string) model.CSC {
	f := s.whole(at)
	csc := named(name)
	csc.Pos = s.places.of(at)
	csc.Host, csc.Bridge = f.text("host"), f.flag("bridge")
	csc.ComesUp, csc.Principal = f.text("comesUp"), f.text("principal")
	csc.Doubt, csc.Note = f.prose("doubt"), f.prose("note")
	return csc
}

// named returns a CSC with only its name: its SAL name, or that of its Job.
func named(name string) model.CSC {
	component, index, ok := splitName(name)
	if !ok {
		return model.CSC{Job: name}
	}
	return model.CSC{Component: component, Index: index}
}

func (s *source) host(at path, name string) model.Host {
	// Read each part separately: a mistake in a service must not hide the users
	// from the checks of other services.
	f := s.parts(at)
	host := model.Host{
		Pos: s.places.of(at), Name: name, Address: f.text("address"), Role: model.Role(f.text("role")),
		Principal: f.text("principal"), Serves: f.texts("serves"), Doubt: f.prose("doubt"), Note: f.prose("note"),
	}
	for _, u := range f.structs("users") {
		host.Users = append(host.Users, model.User{Name: u.text("name"), Via: u.text("via")})
	}
	if c := s.whole(at.with("checkout")); c.exists() {
		host.Checkout = &model.Checkout{
			Pos: s.places.of(c.at), Repository: c.text("repository"), Branch: c.text("branch"),
			User: c.text("user"), Limit: duration(c.text("limit")),
		}
	}
	for _, service := range s.names(at.with("services")) {
		host.Services = append(host.Services, s.service(at.with("services", service), service))
	}
	return host
}

func (s *source) service(at path, name string) model.Service {
	f := s.parts(at)
	return model.Service{
		Pos: s.places.of(at), Name: name, CSCs: f.texts("cscs"), Keep: f.prose("keep"),
		Stop:        s.commands(at.with("stop")),
		Build:       s.commands(at.with("build")),
		Update:      s.commands(at.with("update")),
		Start:       s.commands(at.with("start")),
		StartByHand: f.prose("startByHand"),
	}
}

// commands returns nil if there are none.
func (s *source) commands(at path) *model.Commands {
	f := s.whole(at)
	if !f.exists() {
		return nil
	}
	return &model.Commands{
		Pos: s.places.of(at), User: f.text("user"), Run: f.texts("run"), Check: f.text("check"),
		Doubt: f.prose("doubt"), Consent: f.prose("consent"),
		Limit: duration(f.text("limit")), Takes: duration(f.text("takes")),
	}
}

func (s *source) states(at path) model.States {
	f := s.parts(at)
	st := model.States{
		Enable: f.texts("enable"), IfNecessary: f.flag("ifNecessary"), EnableAll: f.flag("enableAll"),
		Absent: f.texts("absent"), Notes: f.texts("notes"),
	}
	for i, n := range st.Notes {
		st.Notes[i] = unwrap(n)
	}
	for _, name := range s.names(at.with("keep")) {
		one := at.with("keep", name)
		f := s.parts(one)
		st.Keep = append(st.Keep, model.KeptState{
			Pos: s.places.of(one), CSC: name, State: f.text("state"), Doubt: f.prose("doubt"),
		})
	}
	return st
}

func (s *source) sequence(at path, name string) model.TestSequence {
	f := s.parts(at)
	seq := model.TestSequence{
		Pos: s.places.of(at), Name: name,
		Title: f.text("title"), Note: f.prose("note"), Telescope: f.texts("telescope"),
	}
	for _, step := range f.structs("steps") {
		queue, _ := step.number("queue")
		seq.Steps = append(seq.Steps, model.TestStep{
			Pos: seq.Pos, ID: step.text("id"), Title: step.text("title"),
			Queue: queue, Script: step.text("script"), Config: step.text("config"),
			Text: step.prose("text"), Doubt: step.prose("doubt"),
			Images: step.flag("images"), Limit: duration(step.text("limit")),
		})
	}
	return seq
}

func (s *source) recovery(at path) model.Recovery {
	f := s.parts(at)
	rec := model.Recovery{StartCRIOs: f.texts("startCRIOs"), Restart: f.texts("restart")}
	for _, name := range s.names(at.with("reboot")) {
		one := at.with("reboot", name)
		reboot := s.parts(one)
		rec.Reboot = append(rec.Reboot, model.Reboot{
			Pos: s.places.of(one), Host: name,
			User: reboot.text("user"), Command: reboot.text("command"), Doubt: reboot.prose("doubt"),
		})
	}
	return rec
}

// durations returns how long actions usually take, by their kinds.
func (s *source) durations(at path) map[string]time.Duration {
	f := s.whole(at)
	usual := map[string]time.Duration{}
	for _, kind := range s.names(at) {
		usual[kind] = duration(f.text(kind))
	}
	return usual
}

// unwrap joins the lines of prose: their breaks only wrap the text in the file.
func unwrap(text string) string { return strings.Join(strings.Fields(text), " ") }

// duration parses a duration that the schema has checked.
func duration(text string) time.Duration {
	d, _ := time.ParseDuration(text)
	return d
}
