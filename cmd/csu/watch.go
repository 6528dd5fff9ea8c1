package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/lsst-ts/csu/compiler/review"
	"github.com/lsst-ts/csu/executor/live"
	"github.com/lsst-ts/csu/executor/secret"
)

type watchCommand struct {
	Plan    string `arg:"" help:"The plan's file." placeholder:"PLAN" predictor:"plan"`
	Port    int    `default:"8091" help:"The port on the loopback interface; 0 for a free one." placeholder:"PORT"`
	SiteMap string `help:"Show the rehearsed run in the folder of this site map." placeholder:"FILE" predictor:"file"`
}

func (watchCommand) Help() string {
	return `Serves one page on the loopback interface: the plan with its run laid over it, brought up to date each second, for a room to look at. It shows what runs, who or what is waited for and since when, which CSCs are down, and when the run will end. Others see it through ssh -L. Read-only: nothing that a browser sends changes anything. Press Ctrl-C to stop; the run does not notice.

Example:

  csu watch plans/2026-11-24-summit-incremental.json`
}

func (cmd *watchCommand) Run(c *console) error {
	l, err := c.load(cmd.Plan, runFlags{SiteMap: cmd.SiteMap}, ofStatus)
	if err != nil {
		return err
	}
	var page bytes.Buffer
	if err := review.LiveHTML(&page, l.plan); err != nil {
		return err
	}
	g := &glance{cmd: &statusCommand{Plan: cmd.Plan, SiteMap: cmd.SiteMap}, console: c, looker: newLooker(l.plan, l.digest, l.journal)}
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", cmd.Port))
	if err != nil {
		return fail(exitFailed, "give another --port, or --port 0 for a free one", "serve the page: %w", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	w := newWatch(page.Bytes(), g.look)
	go w.follow(ctx, time.Second)
	server := &http.Server{Handler: w, ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	port := listener.Addr().(*net.TCPAddr).Port
	host, err := os.Hostname()
	if err != nil {
		host = "HOST"
	}
	c.paragraph("http://127.0.0.1:%d/ shows %s. On another machine: ssh -L %d:127.0.0.1:%d %s, then the same address. Press Ctrl-C to stop; the run does not notice.", port, cmd.Plan, port, port, host)
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the page: %w", err)
	}
	return nil
}

// A watch serves the page and tells its watchers what the run is. It looks at the run once
// for all of them, and each is told everything from the start, so that all show the same.
type watch struct {
	page []byte
	look func() (*live.View, error)

	mu       sync.Mutex
	view     []byte // the last event of kind view, and of trouble; nil before the first look
	watchers map[chan []byte]bool
}

func newWatch(page []byte, look func() (*live.View, error)) *watch {
	return &watch{page: page, look: look, watchers: map[chan []byte]bool{}}
}

// instant is what changes while nothing happens.
type instant struct {
	Now     time.Time `json:"now"`
	Elapsed any       `json:"elapsed"`
	End     *live.End `json:"end,omitempty"`
}

// follow looks at the run again and again until ctx ends.
func (w *watch) follow(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	var last []byte
	for {
		kind, data := "view", []byte(nil)
		v, err := w.look()
		if err != nil {
			kind = "trouble"
			data, _ = json.Marshal("csu watch cannot read the run: " + secret.Redact(err.Error())) // a text is always JSON
		} else {
			still := *v
			m := instant{still.Now, still.Elapsed, still.End}
			still.Now, still.Elapsed, still.End = time.Time{}, 0, nil
			same, stillErr := json.Marshal(still)
			data, err = json.Marshal(v)
			if stillErr != nil || err != nil {
				return // a view is always JSON
			}
			whole := data
			if bytes.Equal(same, last) {
				kind = "time"
				data, _ = json.Marshal(m) // as the view is
			}
			last = same
			w.tell(sent(kind, data), sent("view", whole))
		}
		if kind == "trouble" {
			last = nil
			w.tell(sent(kind, data), sent(kind, data))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func sent(kind string, data []byte) []byte {
	return fmt.Appendf(nil, "event: %s\ndata: %s\n\n", kind, data)
}

// tell sends an event to all watchers. One that does not keep up gets the whole view next
// time instead of what it has missed.
func (w *watch) tell(e, whole []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.view = whole
	for ch, behind := range w.watchers {
		if behind {
			select {
			case ch <- whole:
				w.watchers[ch] = false
			default:
			}
			continue
		}
		select {
		case ch <- e:
		default:
			w.watchers[ch] = true
		}
	}
}

// ServeHTTP serves the page and its events, to this machine only: a page of another site
// that a name server sends here does not get to see the run.
func (w *watch) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	switch {
	case host != "localhost" && (net.ParseIP(host) == nil || !net.ParseIP(host).IsLoopback()):
		http.Error(out, "csu watch serves this machine only: use 127.0.0.1, through ssh -L from elsewhere", http.StatusForbidden)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		out.Header().Set("Allow", "GET, HEAD")
		http.Error(out, "read-only", http.StatusMethodNotAllowed)
	case r.URL.Path == "/":
		h := out.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Frame-Options", "DENY")
		_, _ = out.Write(w.page) // the watcher has gone
	case r.URL.Path == "/events":
		w.events(out, r)
	default:
		http.NotFound(out, r)
	}
}

// events sends one watcher what the run is, for as long as it watches.
func (w *watch) events(out http.ResponseWriter, r *http.Request) {
	h := out.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Method == http.MethodHead {
		return
	}
	ch := make(chan []byte, 4)
	w.mu.Lock()
	if w.view != nil {
		ch <- w.view
	}
	w.watchers[ch] = w.view == nil
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.watchers, ch)
	}()
	rc := http.NewResponseController(out)
	for {
		select {
		case <-r.Context().Done():
			return
		case e := <-ch:
			_ = rc.SetWriteDeadline(time.Now().Add(10 * time.Second)) // a connection always has one
			if _, err := out.Write(e); err != nil || rc.Flush() != nil {
				return
			}
		}
	}
}
