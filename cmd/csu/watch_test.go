package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lsst-ts/csu/compiler/review"
	"github.com/lsst-ts/csu/executor/live"
	"github.com/lsst-ts/csu/executor/page/pagetest"
)

// watcher is one who watches a run, and what they have seen.
type watcher struct {
	cancel context.CancelFunc
	ended  chan struct{}

	mu   sync.Mutex
	view map[string]any // as the page keeps it
}

// watchAt begins to watch at an address.
func watchAt(t *testing.T, address string) *watcher {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &watcher{cancel: cancel, ended: make(chan struct{})}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"events", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(w.ended)
		defer resp.Body.Close()
		kind := ""
		for lines := bufio.NewReader(resp.Body); ; {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			if k, ok := strings.CutPrefix(line, "event: "); ok {
				kind = strings.TrimSpace(k)
			}
			if data, ok := strings.CutPrefix(line, "data: "); ok {
				w.take(kind, data)
			}
		}
	}()
	return w
}

func (w *watcher) take(kind, data string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch kind {
	case "view":
		w.view = nil
		fallthrough
	case "time":
		_ = json.Unmarshal([]byte(data), &w.view) // merges; the test compares what comes of it
	}
}

func (w *watcher) seen() map[string]any {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.view
}

func (w *watcher) kill() {
	w.cancel()
	<-w.ended
}

// TestWatchers: twenty watchers, of whom one goes and another comes each second, and a csu
// watch that is killed, change nothing of a run. The last to come sees in the end what the first
// one sees.
func TestWatchers(t *testing.T) {
	t.Parallel()
	r := newServed(t)
	serve := func() (address string, kill func()) {
		cmd := csu(t, "watch", r.plan, "--site-map", r.siteMap, "--port", "0")
		said, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		kill = sync.OnceFunc(func() {
			_ = cmd.Process.Kill() // it runs until it is killed
			_ = cmd.Wait()
		})
		t.Cleanup(kill)
		line, err := bufio.NewReader(said).ReadString('\n')
		address = regexp.MustCompile(`http://127\.0\.0\.1:\d+/`).FindString(line)
		if err != nil || address == "" || !strings.Contains(line, "ssh -L ") {
			t.Fatalf("csu watch says %q, %v", line, err)
		}
		return address, kill
	}
	killed, kill := serve()
	address, _ := serve()
	doomed := watchAt(t, killed)
	var all []*watcher
	for range 20 {
		all = append(all, watchAt(t, address))
	}
	x := r.start(t, "--consent", "all")
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for n, running := 1, true; running; n++ {
		select {
		case <-x.ended:
			running = false
		case <-tick.C:
			if n == 3 {
				kill()
			}
			last := 1 + n%(len(all)-1) // the first stays
			all[last].kill()
			all[last] = watchAt(t, address)
		case <-time.After(patience):
			t.Fatalf("csu has not ended:\n%s", x.printed())
		}
	}
	x.wantExit(t, exitComplete)
	<-doomed.ended
	r.compare(t)
	first := all[0]
	for deadline := time.Now().Add(patience); first.seen()["phase"] != string(live.Complete); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the first watcher sees %v", first.seen()["phase"])
		}
	}
	for i, w := range all {
		for deadline := time.Now().Add(patience); !reflect.DeepEqual(w.seen(), first.seen()); time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("watcher %d does not see what the first one sees", i+1)
			}
		}
	}
	if left, err := filepath.Glob(r.journal + ".now*"); err != nil || len(left) > 0 {
		t.Errorf("csu leaves %q", left)
	}
}

// TestWatchServes: the page is served to this machine only, and nothing can be changed.
func TestWatchServes(t *testing.T) {
	t.Parallel()
	n := nights(t)["work"]
	w := newWatch([]byte("<p>the page"), func() (*live.View, error) { return n.see(), nil })
	server := httptest.NewServer(w)
	defer server.Close()
	for _, c := range []struct {
		method, path, host string
		code               int
	}{
		{"GET", "/", "", 200},
		{"GET", "/", "localhost:8091", 200},
		{"GET", "/", "[::1]:8091", 200},
		{"GET", "/", "evil.example.org", 403},
		{"GET", "/events", "evil.example.org:80", 403},
		{"HEAD", "/events", "", 200},
		{"POST", "/", "", 405},
		{"DELETE", "/events", "", 405},
		{"GET", "/../etc/passwd", "", 404},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, server.URL+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.host != "" {
			req.Host = c.host
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != c.code {
			t.Errorf("%s %s for %q: %d, %v, want %d", c.method, c.path, c.host, resp.StatusCode, err, c.code)
		}
	}
}

// TestWatchTrouble: watchers learn that the run cannot be read, and see it again afterwards.
func TestWatchTrouble(t *testing.T) {
	t.Parallel()
	n := nights(t)["work"]
	looks := 0
	w := newWatch(nil, func() (*live.View, error) {
		if looks++; looks == 2 {
			return nil, errors.New("the disk is gone")
		}
		return n.see(), nil
	})
	ch := make(chan []byte, 100)
	w.watchers[ch] = false
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go w.follow(ctx, time.Millisecond)
	for _, want := range []string{"event: view\n", "event: trouble\ndata: \"csu watch cannot read the run: the disk is gone\"", "event: view\n", "event: time\ndata: {\"now\":"} {
		if got := <-ch; !bytes.HasPrefix(got, []byte(want)) {
			t.Errorf("the watcher is told %.100q, want %q", got, want)
		}
	}
}

// tooWide lists what makes the page wider than the window.
const tooWide = `document.documentElement.scrollWidth <= window.innerWidth ? [] : Array.from(document.querySelectorAll("body *"))
	.filter((e) => e.getBoundingClientRect().right > window.innerWidth + 1 && !e.closest(".wide, .graph, pre"))
	.map((e) => e.tagName + "#" + e.id + "." + e.className + " " + Math.round(e.getBoundingClientRect().right)).slice(0, 12)`

// TestWatchPage opens the page in a browser, at each moment of a run, as wide as a screen and
// as a phone. It loads nothing but itself and its events, and shows who or what is waited
// for. CSU_SCREENSHOTS names a folder that gets a picture of each.
func TestWatchPage(t *testing.T) {
	n := nights(t)
	var mu sync.Mutex
	var shown *live.View
	look := func() (*live.View, error) {
		mu.Lock()
		defer mu.Unlock()
		return shown, nil
	}
	var page bytes.Buffer
	if err := review.LiveHTML(&page, n["work"].k.plan); err != nil {
		t.Fatal(err)
	}
	shown = n["work"].see()
	w := newWatch(page.Bytes(), look)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go w.follow(ctx, 20*time.Millisecond)
	server := httptest.NewServer(w)
	defer server.Close()
	defer server.CloseClientConnections() // the browser's
	b := pagetest.Start(t)
	b.Open(server.URL + "/")
	headings := map[live.Phase]string{live.Waiting: "waits for an answer", live.InDoubt: "waits: a step is in doubt", live.Failed: "waits: a step failed"}
	for name, c := range n {
		v := c.see()
		if name == "finished" {
			v = c.k.view(false, nil)
		}
		mu.Lock()
		shown = v
		mu.Unlock()
		b.Comes(name+" is shown", fmt.Sprintf(`document.getElementById("_phase").textContent.toLowerCase().startsWith(%q)`, cmp.Or(headings[v.Phase], string(v.Phase))))
		if v.Waits != nil {
			b.Comes(name+": whom csu waits for is shown", `document.querySelector(".question").textContent.includes("csu waits for Ada Operator since")`)
		}
		for _, r := range v.Running {
			b.Comes(name+": what runs is marked in the plan", fmt.Sprintf(`document.getElementById(%q).classList.contains("is-started")`, r.ID))
		}
		if v.End != nil {
			b.Holds(name+": the expected end is shown", `document.getElementById("_now").textContent.includes("expected end")`)
		}
		if v.Stage != nil {
			b.Holds(name+": its stage is marked", fmt.Sprintf(`decodeURIComponent(document.querySelector("nav a[aria-current]").hash) === "#%s"`, v.Stage.ID))
		}
		for _, width := range []int{1300, 390} {
			b.Size(width, 900)
			var wide []string
			if b.Eval(tooWide, &wide); len(wide) > 0 {
				t.Errorf("%s: at %d pixels these are too wide: %q", name, width, wide)
			}
			if dir := os.Getenv("CSU_SCREENSHOTS"); dir != "" {
				file := filepath.Join(dir, fmt.Sprintf("watch-%s-%d.png", strings.ReplaceAll(name, " ", "-"), width))
				if err := os.WriteFile(file, b.Screenshot(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	mu.Lock()
	shown = n["work"].see()
	mu.Unlock()
	step := shown.Running[0].ID
	b.Open(server.URL + "/#" + step)
	b.Comes("a link to a step opens it", fmt.Sprintf(`document.getElementById(%q).open`, step))
	b.Quiet(server.URL+"/", server.URL+"/events", server.URL+"/#"+step)
}
