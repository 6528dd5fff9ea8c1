package review

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/visible"
)

// brevity is the length in characters from which a runbook has repeated remarks only
// once. A comment of a pull request may have 65,536, including a comparison.
const brevity = 56_000

// Markdown writes the plan for a pull request: the summary and the graph of the
// stages, then the complete runbook, which can be followed by hand. Long lists of
// CSCs are written once, under a name; in a long plan so are repeated remarks.
func Markdown(w io.Writer, p *plan.Plan) error {
	p = shown(p)
	text, err := runbook(p, false)
	if err == nil && utf8.RuneCountInString(text) > brevity {
		text, err = runbook(p, true)
	}
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, text)
	return err
}

// runbook returns the whole document. If once is true, repeated remarks are written
// once.
func runbook(p *plan.Plan, once bool) (string, error) {
	var b strings.Builder
	m := &markdown{w: &b, plan: p, lists: newLists(p), estimate: EstimateWithRange(p), abridged: once, said: map[string]string{}, notes: map[string]string{}, numbers: map[string]string{}}
	for i, s := range p.Stages {
		m.numbers[s.ID] = fmt.Sprintf("stage %d", i+1)
		for j := range s.Steps {
			m.numbers[s.Steps[j].ID] = fmt.Sprintf("%d.%d", i+1, j+1)
		}
	}
	m.summary()
	m.graph()
	m.before()
	for i := range p.Stages {
		m.stage(i+1, &p.Stages[i], &m.estimate.Stages[i])
	}
	if len(p.Final) > 0 {
		m.f("## When the run ends or is aborted\n\nThese steps undo what earlier steps did. The run is not complete until they are done.\n\n")
		for i := range p.Final {
			m.step("", &p.Final[i])
		}
	}
	m.named()
	m.table()
	return b.String(), m.err
}

type markdown struct {
	w        io.Writer
	err      error
	plan     *plan.Plan
	lists    *lists
	turns    map[string][]turn // of the current stage
	numbers  map[string]string // of stages and steps, such as "stage 2" and "2.1", by id
	estimate Estimate
	said     map[string]string // long texts of steps, and the first step that has them
	abridged bool              // repeated texts are written once
	at       string            // id of the current step
	notes    map[string]string // names of repeated remarks, by text
}

func (m *markdown) f(format string, args ...any) {
	if m.err == nil {
		_, m.err = fmt.Fprintf(m.w, format, args...)
	}
}

// openDetails opens a collapsed section; closeDetails closes it.
func (m *markdown) openDetails(summary string) {
	m.f("<details><summary>%s</summary>\n\n", inHTML(summary))
}
func (m *markdown) closeDetails() { m.f("\n</details>\n\n") }

func (m *markdown) summary() {
	p, s := m.plan, Summarize(m.plan)
	m.f("# %s\n\nReason: %s\n\n", visible.Markdown(oneLine(title(p))), inMarkdown(p.Upgrade.Reason))
	m.f("| | |\n|---|---|\n")
	for _, f := range s.facts(m.estimate, m.lists.refer) {
		m.f("| %s | %s |\n", f.label, inCell(f.text))
	}
	m.f("\n")
	if len(s.Irreversible) > 0 {
		m.f("**Irreversible**\n\n")
		m.asked(s.Irreversible)
	}
	if len(s.Doubts) > 0 {
		m.f("**Doubts**, in full where they are asked\n\n")
		m.asked(s.Doubts)
	}
	var own []Asked
	for _, c := range s.Consents {
		if strings.Contains(c.Where, "/") {
			text := "asks the operator"
			if len(c.Principals) > 0 {
				text = "requires agreement from " + strings.Join(c.Principals, ", ")
			}
			own = append(own, Asked{Where: c.Where, Text: text})
		}
	}
	if len(own) > 0 {
		m.f("**Steps with their own consent**, besides that of each stage\n\n")
		m.asked(own)
	}
}

// asked lists what is asked, each text once, and collapses a long list.
func (m *markdown) asked(all []Asked) {
	matters := grouped(all)
	collapsed := len(matters) > few
	if collapsed {
		m.openDetails(fmt.Sprintf("all %d", len(all)))
	}
	for _, a := range matters {
		var places []string
		for _, p := range a.Places {
			if m.numbers[p] == "" {
				places = append(places, codeSpan(p)) // a final step
				continue
			}
			places = append(places, m.numbers[p])
		}
		m.f("- %s: %s\n", strings.Join(places, ", "), inMarkdown(strings.TrimSpace(inBrief(a.Text))))
	}
	if collapsed {
		m.closeDetails()
	} else {
		m.f("\n")
	}
}

// graph draws the stages and lists the critical path of each. In a long plan it lists the
// stages only: a comment holds only so much, and csu plan show has the rest.
func (m *markdown) graph() {
	title, head, final := ", and the critical path", "| stage | time | critical path |\n|---|---|---|\n", " one after the other |"
	if m.abridged {
		title, head, final = "", "| stage | time |\n|---|---|\n", ""
	} else {
		m.drawing()
	}
	m.openDetails(fmt.Sprintf("Expected time of each stage, %s in total%s", about(m.estimate.Takes), title))
	m.f("%s", head)
	for i, e := range m.estimate.Stages {
		m.f("| %d. %s | %s |", i+1, codeCell(e.ID), about(e.Takes))
		if !m.abridged {
			m.f(" %s |", codeCell(criticalNames(e)))
		}
		m.f("\n")
	}
	if len(m.plan.Final) > 0 {
		m.f("| at the end, or on abort | %s |%s\n", about(m.estimate.Final), final)
	}
	m.f("\nTimes are what the steps usually take, without waiting for consents, answers and people.\n")
	m.closeDetails()
}

func (m *markdown) drawing() {
	m.f("```mermaid\nflowchart TD\n")
	var chain []string
	for i, s := range m.plan.Stages {
		node := fmt.Sprintf("s%d", i+1)
		chain = append(chain, node)
		m.f("  %s[\"%d. %s<br/>%s, %s\"]\n", node, i+1, inMermaid(s.Title), plan.Counted(len(s.Steps), "step"), about(m.estimate.Stages[i].Takes))
	}
	if len(chain) > 1 {
		m.f("  %s\n", strings.Join(chain, " --> "))
	}
	for i := range m.plan.Final {
		f := &m.plan.Final[i]
		m.f("  f%d([\"%s\"])\n", i+1, inMermaid(f.Title))
		undone, _, _ := strings.Cut(f.Undoes, "/")
		if at := slices.IndexFunc(m.plan.Stages, func(s plan.Stage) bool { return s.ID == undone }); at >= 0 {
			m.f("  s%d -. undone by .-> f%d\n", at+1, i+1)
		}
	}
	m.f("```\n\n")
}

func (m *markdown) before() {
	p, t := m.plan, m.plan.Targets
	m.f("## Before you begin\n\n")
	m.f("You lead this deployment: csu, the program that carries out this plan, does nothing without your consent (P2). " +
		"P1 to P55 are the items of the deployment procedure, which csu's ARCHITECTURE.md lists. A principal is the person or team responsible for a system. " +
		"A doubt is about the sources of this plan, the procedure and its page about the site: answer yes only once you have checked it.\n\n" +
		"Check that you have access to all of these (P1):\n\n")
	m.f("- LOVE: %s, with the right to send commands; its view %s shows the summary states (P13)\n", inMarkdown(t.LOVE.URL), codeSpan(t.LOVE.View))
	m.f("- Kubernetes: context %s (%s), API server %s. Before any command, `kubectl config current-context` must show %s (P20)\n",
		codeSpan(t.Kubernetes.Context), inMarkdown(t.Kubernetes.Kubeconfig), inMarkdown(t.Kubernetes.Server), codeSpan(t.Kubernetes.Context))
	m.f("- Slack: %s\n", inMarkdown(t.Slack.Channel))
	if !slices.ContainsFunc(t.Pages, func(g plan.Page) bool { return g.URL == t.ArgoCD.URL }) {
		m.f("- Argo CD: %s\n", inMarkdown(t.ArgoCD.URL))
	}
	for _, page := range t.Pages {
		if page.URL == t.LOVE.URL {
			continue
		}
		m.f("- %s: %s\n", inMarkdown(page.Title), inMarkdown(page.URL))
	}
	m.f("\nUse LOVE; if it does not work, use Nublado (P12).\n\n")
	if len(p.Upgrade.Branches) > 0 {
		m.f("Deployed branches:\n\n")
		for _, b := range p.Upgrade.Branches {
			m.f("- %s: %s\n", inMarkdown(b.Repository), codeSpan(b.Branch))
		}
		m.f("\n")
	}
	if hosts := touchedHosts(p); len(hosts) > 0 {
		m.openDetails(fmt.Sprintf("%s that steps log in to", plan.Counted(len(hosts), "host")))
		if domain := domainOf(hosts); domain != "" {
			m.f("A host's address is its name followed by %s.\n\n|host|account|principal|\n|---|---|---|\n", codeSpan(domain))
			for _, h := range hosts {
				m.f("|%s|%s|%s|\n", inCell(h.Name), inCell(accounts(h)), inCell(h.Principal))
			}
		} else {
			m.f("|host|address|account|principal|\n|---|---|---|---|\n")
			for _, h := range hosts {
				m.f("|%s|%s|%s|%s|\n", inCell(h.Name), inCell(h.Address), inCell(accounts(h)), inCell(h.Principal))
			}
		}
		m.closeDetails()
	}
	if len(m.lists.order) > 0 {
		m.f("Named lists of CSCs, such as list L1, are at the end.\n\n")
	}
	if m.abridged {
		m.remarks()
	}
	m.f("Below its title, each step has its id, the items of the procedure that it carries out, its usual time and its time limit. " +
		"Steps of a stage run at the same time, except those that say which others they come after: they need the other step, " +
		"or use the same host, namespace, ScriptQueue or application (named in brackets), where steps run one at a time. " +
		"When a step fails or exceeds its time limit, csu starts no further steps and asks you how to continue, unless the step says otherwise.\n\n")
}

// remarks writes the remarks on doing things by hand that many steps repeat.
func (m *markdown) remarks() {
	times := map[string]int{}
	var order []string
	for s := range m.plan.AllSteps() {
		for _, b := range blocks(s.ByHand) {
			text := b.Paragraph()
			if b.Code || len(text) < 80 {
				continue
			}
			if times[text]++; times[text] == 3 {
				order = append(order, text)
			}
		}
	}
	if len(order) > 0 {
		m.f("Instructions that many steps share:\n\n")
		defer m.f("\n")
	}
	for i, text := range order {
		m.notes[text] = fmt.Sprintf("instruction R%d", i+1)
		m.f("- **%s**: %s\n", m.notes[text], inMarkdown(text))
	}
}

// touchedHosts returns the hosts that steps name.
func touchedHosts(p *plan.Plan) []plan.Host {
	names := Summarize(p).Hosts
	var out []plan.Host
	for _, h := range p.Hosts {
		if slices.Contains(names, h.Name) {
			out = append(out, h)
		}
	}
	return out
}

// domainOf returns what follows the host's name in every address, or "" if that
// differs.
func domainOf(hosts []plan.Host) string {
	domain := ""
	for i, h := range hosts {
		rest, ok := strings.CutPrefix(h.Address, h.Name)
		if !ok || i > 0 && rest != domain {
			return ""
		}
		domain = rest
	}
	return domain
}

func accounts(h plan.Host) string {
	var users []string
	for _, u := range h.Users {
		switch u.Via {
		case "login":
			users = append(users, u.Name+", direct login")
		case "sudo":
			users = append(users, u.Name+", through sudo")
		default:
			users = append(users, "your own")
		}
	}
	return strings.Join(users, "; ")
}

// named writes the lists that the document refers to.
func (m *markdown) named() {
	if len(m.lists.order) == 0 {
		return
	}
	m.f("## Lists\n\n")
	for _, l := range m.lists.order {
		m.f("**%s**, %s: %s\n\n", l.name, plan.Counted(len(l.cscs), "CSC"), inMarkdown(l.brief))
	}
}

// table writes where each CSC runs and its final state. Most Jobs and images are
// named like their CSC: only the others are written out.
func (m *markdown) table() {
	touched := Summarize(m.plan).Touched
	if len(touched) == 0 {
		return
	}
	m.f("## Where the CSCs run, and their final states\n\n")
	m.openDetails(plan.Counted(len(touched), "CSC") + " that this plan touches")
	usual := m.usualTag(touched)
	m.f("A CSC with one state comes up in it and stays in it. Unless given, the Job is named after the CSC in lower case with its index, "+
		"the image after the CSC in lower case, and the tag is %s. Images are from %s.\n\n", codeSpan(usual), codeSpan(m.lists.registry))
	m.f("|runs in|first state, final state|principal|CSCs|\n|---|---|---|---|\n")
	var order []string
	rows := map[string][]string{}
	for _, name := range touched {
		c, _ := m.plan.CSC(name)
		states := c.ComesUp + ", " + c.Expect
		if c.ComesUp == c.Expect {
			states = c.Expect
		}
		place := "host " + c.Host
		if c.Job != nil {
			place = c.Job.Namespace
		}
		row := fmt.Sprintf("|%s|%s|%s|", inCell(place), inCell(states), inCell(c.Principal))
		if rows[row] == nil {
			order = append(order, row)
		}
		rows[row] = append(rows[row], inCell(plan.CSCList([]string{c.CSC})+m.unusual(c, usual)))
	}
	for _, row := range order {
		m.f("%s%s|\n", row, strings.Join(rows[row], ", "))
	}
	m.closeDetails()
}

// usualTag returns the tag that most of the CSCs' images have, or the cycle if there is
// none: pinned CSCs begin a new cycle at revision 0.
func (m *markdown) usualTag(cscs []string) string {
	count, jobs := map[string]int{}, 0
	for _, name := range cscs {
		if c, _ := m.plan.CSC(name); c.Job != nil {
			count[c.Image[strings.LastIndexByte(c.Image, ':')+1:]]++
			jobs++
		}
	}
	for tag, n := range count {
		if 2*n > jobs {
			return tag
		}
	}
	return m.plan.Upgrade.Cycle
}

// unusual returns the names of a CSC's Job and image in brackets if they differ
// from the default that [markdown.table] describes.
func (m *markdown) unusual(c *plan.CSC, tag string) string {
	if c.Job == nil {
		return ""
	}
	name, index, _ := strings.Cut(strings.ToLower(c.CSC), ":")
	var parts []string
	if c.Job.Name != name+strings.TrimPrefix(index, "0") {
		parts = append(parts, "Job "+c.Job.Name)
	}
	if c.Image != m.lists.registry+"/"+name+":"+tag {
		parts = append(parts, strings.TrimPrefix(c.Image, m.lists.registry+"/"))
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}
