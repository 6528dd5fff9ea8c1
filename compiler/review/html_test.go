package review

import (
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lsst-ts/csu/executor/page/pagetest"
	"github.com/lsst-ts/csu/executor/plan"
)

// pageFile writes a plan's page and returns its address.
func pageFile(t *testing.T, p *plan.Plan) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "plan.html")
	text := rendered(t, func(w io.Writer) error { return HTML(w, p) })
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return (&url.URL{Scheme: "file", Path: file}).String()
}

func TestPageInABrowser(t *testing.T) {
	p := read(t, summitFull)
	address := pageFile(t, p)
	b := pagetest.Start(t)
	b.Call("Emulation.setDeviceMetricsOverride", map[string]any{"width": 1400, "height": 900, "deviceScaleFactor": 1, "mobile": false}, nil)

	b.Open(address + "#offline/queues")
	b.Comes("a deep link opens its step", `document.getElementById("offline/queues").open`)
	b.Holds("a deep link opens no other", `document.querySelectorAll("details.step[open]").length === 1`)
	b.Comes("a deep link shows its step below the header", `(() => {
		const top = document.getElementById("offline/queues").getBoundingClientRect().top;
		return top >= document.querySelector("header").getBoundingClientRect().bottom - 2 && top < innerHeight / 2;
	})()`)

	b.Eval(`document.querySelector('.graph a[href="#deploy/love"]').dispatchEvent(new MouseEvent("click", {bubbles: true}))`, nil)
	b.Comes("a box of the graph leads to its step", `document.getElementById("deploy/love").open && location.hash === "#deploy/love"`)

	b.Eval(`document.querySelector("#_close").click()`, nil)
	b.Holds("everything is closed", `document.querySelectorAll("details.step[open]").length === 0`)
	b.Eval(`document.querySelector("[id='offline/rest'] summary").click()`, nil)
	b.Holds("a click opens a step", `document.getElementById("offline/rest").open`)
	b.Eval(`document.querySelector("#_open").click()`, nil)
	b.Holds("everything is open", `document.querySelectorAll("details.step:not([open])").length === 0`)

	search(b, "azar03")
	b.Holds("a search shows the steps on a host", `visible("services-down/azar03") && visible("watch/azar03")`)
	b.Holds("a search hides the others", `!visible("offline/queues") && !visible("schema")`)
	b.Holds("a search says how much it found", `document.getElementById("_found").textContent.endsWith(" steps")`)
	search(b, "p24 registry")
	b.Holds("a search takes numbers of the procedure and several words", `visible("schema/none") && !visible("services-down/azar03")`)
	search(b, "ESS:105")
	b.Holds("a search takes CSCs", `visible("enable/ess") && visible("_csc:ESS:105") && !visible("_csc:ATAOS:0")`)
	b.Open(address + "#services-down/azar03")
	b.Comes("a link to what a search hides ends the search", `visible("services-down/azar03") && document.getElementById("_search").value === ""`)
	b.Holds("every link leads somewhere", `Array.from(document.querySelectorAll('a[href^="#"]')).every((a) => document.getElementById(decodeURIComponent(a.getAttribute("href").slice(1))))`)
	b.Holds("every id is there once", `(() => { const ids = Array.from(document.querySelectorAll("[id]"), (e) => e.id); return new Set(ids).size === ids.length; })()`)
	b.Holds("nothing is wider than the page", `document.documentElement.scrollWidth <= innerWidth`)

	var steps int
	b.Eval(`document.querySelectorAll("details.step").length`, &steps)
	want := 0
	for range p.AllSteps() {
		want++
	}
	if steps != want {
		t.Errorf("the page has %d steps, the plan %d", steps, want)
	}
	b.Quiet(address)
}

// search types into the page's search.
func search(b *pagetest.Browser, words string) {
	b.Eval(`window.visible = (id) => { const e = document.getElementById(id); return e.offsetParent !== null; };
		(() => { const s = document.getElementById("_search"); s.value = "`+words+`"; s.dispatchEvent(new Event("input")); })()`, nil)
}

func TestTextNeverBreaksThePage(t *testing.T) {
	p := read(t, summitFull)
	withHostileText(p)
	address := pageFile(t, p)
	b := pagetest.Start(t)
	b.Open(address)
	b.Holds("there is one script", `document.scripts.length === 1`)
	b.Holds("there is no image", `document.images.length === 0`)
	b.Holds("the text is shown as it is", `document.querySelector("h1").textContent.includes("<script>alert(1)</script>")`)
	b.Holds("what hides is shown", `document.querySelector(".stage .consent").textContent.includes("\\u202e")`)
	b.Holds("the page works", `document.querySelectorAll("details.step").length > 100`)
	b.Quiet(address)
	if text := rendered(t, func(w io.Writer) error { return HTML(w, p) }); strings.ContainsAny(text, "\x1b\u202e") {
		t.Error("a character that hides or moves others is written as it is")
	}
}

func TestDrawing(t *testing.T) {
	for _, name := range everyPlan(t) {
		p := read(t, name)
		e := EstimatePlan(p)
		for i := range p.Stages {
			s := &p.Stages[i]
			g := draw(s, e.Stages[i])
			at := map[string]box{}
			needs := 0
			for _, b := range g.Boxes {
				at[b.ID] = b
				if b.X < 0 || b.Y < 0 || b.X+b.W > g.Width || b.Y+b.H > g.Height {
					t.Errorf("%s: the box of %s is outside of its drawing", name, b.ID)
				}
				for _, o := range g.Boxes {
					if o.ID != b.ID && o.X < b.X+b.W && b.X < o.X+o.W && o.Y < b.Y+b.H && b.Y < o.Y+o.H {
						t.Errorf("%s: the boxes of %s and %s lie over each other", name, b.ID, o.ID)
					}
				}
			}
			for _, step := range s.Steps {
				for _, n := range step.Needs {
					needs++
					if at[n].X+at[n].W >= at[step.ID].X {
						t.Errorf("%s: %s is not left of %s, which needs it", name, n, step.ID)
					}
				}
			}
			if len(g.Boxes) != len(s.Steps) || len(g.Lines) != needs {
				t.Errorf("%s: stage %s has %d boxes and %d lines, and %d steps and %d needs", name, s.ID, len(g.Boxes), len(g.Lines), len(s.Steps), needs)
			}
		}
	}
}
