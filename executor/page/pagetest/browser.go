// Package pagetest opens csu's pages in a real browser, for tests.
package pagetest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// A Browser is a headless Chromium with one page, spoken to in the DevTools
// protocol.
type Browser struct {
	t        *testing.T
	conn     *websocket.Conn
	last     int
	Requests []string // addresses that the page asked for
	Errors   []string // that the console showed
	loaded   string   // the loader of the document that was loaded last
}

// patience is how long is waited for what has to come. It is used up only where
// something is wrong, however slow the machine.
const patience = 5 * time.Minute

// Start starts a browser, which ends with the test.
func Start(t *testing.T) *Browser {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("the page is opened in a real browser: install the Debian package chromium (apt-get install chromium): %v", err)
	}
	profile := t.TempDir()
	cmd := exec.Command(program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--remote-debugging-port=0", "--remote-allow-origins=*",
		"--user-data-dir="+profile, "about:blank")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // its children end with it
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatalf("start chromium: %v", err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // it may have ended by itself
		_ = cmd.Wait()                                      // killed
	})
	b := &Browser{t: t}
	address := b.address(filepath.Join(profile, "DevToolsActivePort"), &said)
	dialer := websocket.Dialer{HandshakeTimeout: patience}
	b.conn, _, err = dialer.Dial(address, nil)
	if err != nil {
		t.Fatalf("speak to chromium: %v", err)
	}
	t.Cleanup(func() { b.conn.Close() })
	for _, domain := range []string{"Page", "Runtime", "Network", "Log"} {
		b.Call(domain+".enable", nil, nil)
	}
	b.Call("Page.setLifecycleEventsEnabled", map[string]any{"enabled": true}, nil)
	return b
}

// address waits until chromium has written its port, and returns where its page
// is spoken to.
func (b *Browser) address(portFile string, said fmt.Stringer) string {
	b.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		if data, err := os.ReadFile(portFile); err == nil {
			if port, _, ok := strings.Cut(string(data), "\n"); ok {
				return b.page(port)
			}
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("chromium did not start within %s: %s", patience, said)
		}
	}
}

func (b *Browser) page(port string) string {
	b.t.Helper()
	req, err := http.NewRequest(http.MethodPut, "http://127.0.0.1:"+port+"/json/new?about:blank", nil)
	if err != nil {
		b.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatalf("open a page in chromium: %v", err)
	}
	defer resp.Body.Close()
	var target struct {
		URL string `json:"webSocketDebuggerUrl"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&target); err != nil || target.URL == "" {
		b.t.Fatalf("open a page in chromium: %v", err)
	}
	return target.URL
}

type message struct {
	ID     int             `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// Call sends a command and waits for its result.
func (b *Browser) Call(method string, params, result any) {
	b.t.Helper()
	b.last++
	if err := b.conn.WriteJSON(map[string]any{"id": b.last, "method": method, "params": params}); err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
	for {
		m := b.read()
		if m.ID != b.last {
			continue
		}
		if m.Error != nil {
			b.t.Fatalf("%s: %s", method, m.Error.Message)
		}
		if result != nil {
			if err := json.Unmarshal(m.Result, result); err != nil {
				b.t.Fatalf("%s: %v", method, err)
			}
		}
		return
	}
}

// read takes one message and keeps what events say.
func (b *Browser) read() message {
	b.t.Helper()
	if err := b.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		b.t.Fatal(err)
	}
	var m message
	if err := b.conn.ReadJSON(&m); err != nil {
		b.t.Fatalf("read from chromium: %v", err)
	}
	switch m.Method {
	case "Page.lifecycleEvent":
		var p struct{ LoaderID, Name string }
		if err := json.Unmarshal(m.Params, &p); err != nil {
			b.t.Fatal(err)
		}
		if p.Name == "load" {
			b.loaded = p.LoaderID
		}
	case "Network.requestWillBeSent":
		var p struct {
			Request struct{ URL string }
		}
		if err := json.Unmarshal(m.Params, &p); err != nil {
			b.t.Fatal(err)
		}
		b.Requests = append(b.Requests, p.Request.URL)
	case "Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled":
		b.Errors = append(b.Errors, string(m.Params))
	}
	return m
}

// Open loads an address and waits until it is there. Another fragment of the
// same page loads nothing. The empty page that was there before may be said to be
// loaded only now.
func (b *Browser) Open(address string) {
	b.t.Helper()
	var r struct{ LoaderID string }
	b.Call("Page.navigate", map[string]any{"url": address}, &r)
	for r.LoaderID != "" && b.loaded != r.LoaderID {
		b.read()
	}
}

// Eval runs an expression in the page and reads its value.
func (b *Browser) Eval(expression string, value any) {
	b.t.Helper()
	var r struct {
		Result    struct{ Value json.RawMessage }
		Exception *struct{ Text string } `json:"exceptionDetails"`
	}
	b.Call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &r)
	if r.Exception != nil {
		b.t.Fatalf("%s: %s", expression, r.Exception.Text)
	}
	if value != nil {
		if err := json.Unmarshal(r.Result.Value, value); err != nil {
			b.t.Fatalf("%s gives %s: %v", expression, r.Result.Value, err)
		}
	}
}

// Holds wants an expression to be true.
func (b *Browser) Holds(what, expression string) {
	b.t.Helper()
	var ok bool
	if b.Eval("Boolean("+expression+")", &ok); !ok {
		b.t.Errorf("%s: %s does not hold", what, expression)
	}
}

// Comes wants an expression to become true: the page follows a link when the
// browser gets to it.
func (b *Browser) Comes(what, expression string) {
	b.t.Helper()
	for limit := time.Now().Add(patience); time.Now().Before(limit); time.Sleep(10 * time.Millisecond) {
		var ok bool
		if b.Eval("Boolean("+expression+")", &ok); ok {
			return
		}
	}
	b.t.Errorf("%s: %s does not come to hold", what, expression)
}

// Size gives the page a size in pixels.
func (b *Browser) Size(width, height int) {
	b.t.Helper()
	b.Call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false}, nil)
}

// Screenshot returns a picture of what the page shows, as PNG.
func (b *Browser) Screenshot() []byte {
	b.t.Helper()
	var r struct{ Data []byte }
	b.Call("Page.captureScreenshot", map[string]any{"format": "png"}, &r)
	return r.Data
}

// Quiet wants no error on the console and nothing loaded but these addresses.
func (b *Browser) Quiet(addresses ...string) {
	b.t.Helper()
	for _, r := range b.Requests {
		if !slices.Contains(addresses, r) {
			b.t.Errorf("the page asks for %q", r)
		}
	}
	for _, e := range b.Errors {
		b.t.Errorf("the console shows %s", e)
	}
	if len(b.Requests) == 0 {
		b.t.Error("not even the page itself was asked for: the test sees no requests")
	}
}
