package review

import (
	"fmt"
	"io"
	"strings"

	"github.com/lsst-ts/csu/executor/plan"
)

// Markdown writes the plan as a complete runbook: a person could follow it by
// hand.
func Markdown(w io.Writer, p *plan.Plan) error {
	m := &markdown{w: w}
	m.f("# %s\n\n%s\n\n", title(p), p.Upgrade.Reason)
	m.f("| | |\n|---|---|\n")
	for _, l := range Summarize(p).lines() {
		m.f("| %s | %s |\n", l[0], cell(l[1]))
	}
	m.f("\n")
	m.before(p)
	for i := range p.Stages {
		m.stage(i+1, &p.Stages[i])
	}
	if len(p.Final) > 0 {
		m.f("## At the end, and when the run is aborted\n\nThese undo what earlier steps did. The run is not complete while they are outstanding.\n\n")
		for i := range p.Final {
			m.step("", &p.Final[i])
		}
	}
	m.expected(p)
	return m.err
}

type markdown struct {
	w   io.Writer
	err error
}

func (m *markdown) f(format string, args ...any) {
	if m.err == nil {
		_, m.err = fmt.Fprintf(m.w, format, args...)
	}
}

// cell keeps text from ending a table's cell.
func cell(s string) string { return strings.NewReplacer("|", "\\|", "\n", " ").Replace(s) }

func (m *markdown) before(p *plan.Plan) {
	t := p.Targets
	m.f("## Before you begin\n\n")
	m.f("You lead this deployment; nothing is done without your consent (P2). See that you have access to all of these (P1):\n\n")
	m.f("- LOVE: %s, with the right to send commands; its view %q shows the summary states (P13)\n", t.LOVE.URL, t.LOVE.View)
	m.f("- Kubernetes: context `%s` (%s), API server %s. Before any command, `kubectl config current-context` must show `%s` (P20)\n",
		t.Kubernetes.Context, t.Kubernetes.Kubeconfig, t.Kubernetes.Server, t.Kubernetes.Context)
	m.f("- Argo CD: %s\n- Slack: %s\n", t.ArgoCD.URL, t.Slack.Channel)
	for _, page := range t.Pages {
		m.f("- %s: %s\n", page.Title, page.URL)
	}
	m.f("\nThe Chronograf dashboards Heartbeats and AT, MT, Envsys, Calibration Systems and Observatory Systems Summary State Monitor give the overview (P13). " +
		"LOVE is preferred; when it does not work, Nublado is the fallback (P12).\n\n")
	if len(p.Upgrade.Branches) > 0 {
		m.f("Branches that are deployed:\n\n")
		for _, b := range p.Upgrade.Branches {
			m.f("- %s: `%s`\n", b.Repository, b.Branch)
		}
		m.f("\n")
	}
	hosts := touched(p)
	if len(hosts) == 0 {
		return
	}
	m.f("Hosts that are logged in to:\n\n| host | address | users | principal |\n|---|---|---|---|\n")
	for _, h := range hosts {
		var users []string
		for _, u := range h.Users {
			users = append(users, fmt.Sprintf("%s (%s)", u.Name, map[string]string{"login": "log in as it", "sudo": "sudo from your own", "own": "your own"}[u.Via]))
		}
		m.f("| %s | %s | %s | %s |\n", h.Name, h.Address, strings.Join(users, ", "), h.Principal)
	}
	m.f("\n")
}

// touched returns the hosts that steps name.
func touched(p *plan.Plan) []plan.Host {
	names := map[string]bool{}
	for _, n := range Summarize(p).Hosts {
		names[n] = true
	}
	var out []plan.Host
	for _, h := range p.Hosts {
		if names[h.Name] {
			out = append(out, h)
		}
	}
	return out
}

func (m *markdown) stage(n int, s *plan.Stage) {
	m.f("## %d. %s\n\n`%s` %s\n\n", n, s.Title, s.ID, numbers(s.Source))
	m.f("**Consent:** %s\n\n", s.Consent)
	if len(s.Principals) > 0 {
		m.f("**Agreed by:** %s\n\n", strings.Join(s.Principals, ", "))
	}
	for _, d := range s.Doubts {
		m.f("**Doubt:** %s\n\n", oneLine(d))
	}
	for i := range s.Steps {
		m.step(fmt.Sprintf("%d.%d ", n, i+1), &s.Steps[i])
	}
}

func (m *markdown) step(number string, s *plan.Step) {
	m.f("### %s%s\n\n`%s` %s: %s\n\n", number, s.Title, s.ID, numbers(s.Source), oneLine(Describe(s.Action.Doer)))
	if s.Undoes != "" {
		m.f("Undoes `%s`.\n\n", s.Undoes)
	}
	var needs []string
	for _, n := range s.Needs {
		needs = append(needs, "`"+n+"`")
	}
	if len(needs) > 0 {
		m.f("After %s. ", strings.Join(needs, ", "))
	}
	m.f("Within %s; if it fails, %s.\n\n", s.Timeout, onFailure(*s))
	if s.Consent != "" {
		m.f("**Consent:** %s\n\n", oneLine(s.Consent))
	}
	if len(s.Principals) > 0 {
		m.f("**Agreed by:** %s\n\n", strings.Join(s.Principals, ", "))
	}
	if s.Doubt != "" {
		m.f("**Doubt:** %s\n\n", oneLine(s.Doubt))
	}
	m.f("**By hand:** %s\n\n", handText(s.ByHand))
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// handText keeps the indented blocks of a text as they are and sets them apart.
func handText(s string) string {
	if strings.HasPrefix(s, "    ") {
		return "\n\n" + s
	}
	return s
}

func (m *markdown) expected(p *plan.Plan) {
	down := map[string]bool{}
	for _, c := range Summarize(p).Down {
		down[c] = true
	}
	m.f("## Where the CSCs end\n\n| CSC | runs | comes up | ends in | image | principal |\n|---|---|---|---|---|---|\n")
	for _, c := range p.CSCs {
		if !down[c.CSC] {
			continue
		}
		runs := "host " + c.Host
		if c.Job != nil {
			runs = c.Job.Namespace + "/" + c.Job.Name
		}
		image := c.Image
		if i := strings.LastIndex(image, "/"); i >= 0 {
			image = image[i+1:]
		}
		m.f("| %s | %s | %s | %s | %s | %s |\n", c.CSC, runs, c.ComesUp, c.Expect, image, c.Principal)
	}
	m.f("\n")
}
