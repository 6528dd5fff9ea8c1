package plan

import (
	"testing"
	"time"
)

// sample is a plan with every kind of action and every field. It makes no sense
// as an upgrade, which is not this package's business.
func sample() *Plan {
	step := func(id string, d Parameters) Step {
		return Step{
			ID: id, Title: "Title of " + id, Source: []string{"P12"}, Action: Action{d},
			Timeout: Duration(5 * time.Minute), OnFailure: Ask, ByHand: "By hand: <do> & see",
		}
	}
	asked := step("offline/watcher", &SetState{Queue: 1, State: Offline, CSCs: []string{"Watcher:0"}, GroupSize: 5})
	asked.Needs = []string{"offline/announce"}
	asked.Consent, asked.Principals, asked.Doubt = "Is it agreed?", []string{"camera team"}, "It may not be."
	back := step("final/forward", &Compatibility{Expect: "NONE", Set: "FORWARD"})
	back.Undoes = "deploy/none"
	return &Plan{
		Format: Format, Site: "summit", Type: Incremental,
		Upgrade: Upgrade{
			Date: "2026-11-24", Attempt: 1, Cycle: "c0045", Reason: "test", Queue: 1,
			Changed:      []Change{{CSC: "Watcher:0", Revision: 7}, {CSC: "GenericCamera:101"}},
			Applications: []string{"obssys"}, Hosts: []string{"azar03"},
			Branches: []Branch{{Repository: "phalanx", Branch: "main"}},
		},
		Facts: Facts{
			Domain: "example.org", FQDN: "site.example.org", ImageRegistry: "ts-dockerhub.lsst.org", CSCs: 2, Doubts: 2,
			TimeZone: "America/Santiago", Begins: &Begins{At: "09:00", Only: []string{"Tuesday"}, Never: []string{"Friday"}},
			TestStand: true, TrackingOnly: true, EnableIfNecessary: true, EnableAll: true,
			ClosedLoop: &ClosedLoop{CSC: "MTM2:0", Mirror: "M2", Machine: "Hexrot VM"},
			Telescopes: []Telescope{{Name: "auxtel", Consists: []string{"auxtel"}}},
			Approvals:  &Approvals{Roles: []Need{{"M1M3 principal", 1}, {"lead", 2}}, NotByAuthor: true},
		},
		Targets: Targets{
			Kubernetes: Kubernetes{Context: "yagan", Server: "https://yagan.example.org:6443", Kubeconfig: "yagan.yaml"},
			ArgoCD:     ArgoCD{Namespace: "argocd", Project: "telescope", URL: "https://site.example.org/argo-cd", AppOfApps: "science-platform"},
			LOVE:       LOVE{URL: "https://site.example.org/love", View: "SummaryState"},
			EFD:        EFD{URL: "https://site.example.org/influxdb", Database: "efd", Lag: Duration(90 * time.Second)},
			Registry:   Registry{Namespace: "sasquatch", Selector: "app=sasquatch-schema-registry"},
			Slack:      Slack{Channel: "#site-announce"},
			Pages:      []Page{{Title: "Nublado", URL: "https://site.example.org/"}},
		},
		CSCs: []CSC{
			{
				CSC: "Watcher:0", Job: &Job{Application: "obssys", Namespace: "obssys", Name: "watcher", Label: "watcher", CSCName: "watcher", CSCClass: "watcher"},
				Image: "ts-dockerhub.lsst.org/watcher:c0045.007", ComesUp: Standby, Expect: Enabled,
			},
			{CSC: "GenericCamera:101", Host: "azar03", ComesUp: Standby, Expect: Standby, Keeps: Standby, Principal: "camera team"},
		},
		Hosts: []Host{{Name: "azar03", Address: "azar03.example.org", Role: BareMetal, Users: []User{{Name: "dco", Via: "sudo"}}, Checkout: true, Restart: true, Reboot: true}},
		Doubts: []Doubt{
			{Text: "Perhaps."},
			{Text: "It may not be.", CSCs: []string{"Watcher:0"}, State: Offline, Host: "azar03", Service: "gc", Purpose: Stop, Source: []string{"P12"}, Step: "deploy/ask"},
		},
		Stages: []Stage{
			{
				ID: "offline", Title: "Down", Consent: "Now they go down.", Doubts: []string{"Perhaps."}, Source: []string{"P2"},
				Steps: []Step{
					step("offline/announce", &Announce{Channel: "#site-announce", Text: "news", Handover: true}),
					asked,
					step("offline/shutdown", &Script{Queue: 1, Path: "system_wide_shutdown.py", Standard: true, Config: "user: csu\n", Accept: []string{"DONE", "FAILED"}}),
					step("offline/stop", &SSH{Host: "azar03", User: "dco", Purpose: Stop, Service: "gc", Commands: []string{"./shutdown_gc"}, Check: "true"}),
					step("offline/reboot", &Reboot{Host: "azar03", User: "dco", Command: "sudo reboot"}),
					step("offline/jobs", &Delete{Objects: Jobs, Namespace: "obssys", Selector: "csc-name=watcher", CSCs: []string{"Watcher:0"}}),
				},
			},
			{
				ID: "deploy", Title: "Up", Consent: "Now they come up.", Principals: []string{"camera team"}, Source: []string{"P2"},
				Steps: []Step{
					step("deploy/none", &Compatibility{Expect: "FORWARD", Set: "NONE"}),
					step("deploy/sync", &Sync{Application: "obssys", Revision: "main", Resources: []Resource{{Group: "batch", Kind: "Job", Namespace: "obssys", Name: "watcher"}}, CSCs: []string{"Watcher:0"}}),
					step("deploy/up", &AwaitState{Want: []Want{{States: []string{Standby}, CSCs: []string{"Watcher:0"}}}}),
					step("deploy/ask", &Manual{Text: "Look.", CSCs: []string{"Watcher:0"}, Applications: []string{"obssys"}}),
				},
			},
		},
		Final: []Step{back},
	}
}

func encoded(t testing.TB, p *Plan) []byte {
	t.Helper()
	data, err := Encode(p)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
