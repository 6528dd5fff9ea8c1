package registry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/lsst-ts/csu/executor/internal/cluster"
	"github.com/lsst-ts/csu/executor/internal/registry"
)

// confluent answers like the Confluent schema registry (its ConfigResource).
type confluent struct {
	level string
	sets  []string // the levels that were set, in order
	fail  int      // an HTTP status to answer with, and the registry's error for it
	proxy bool     // the failure is a proxy's, in HTML
	other string   // the level that a PUT answers with, instead of the one set
}

var levels = []string{"NONE", "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE"}

func (c *confluent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	const mediaType = "application/vnd.schemaregistry.v1+json"
	answer := func(status int, body string) {
		w.Header().Set("Content-Type", mediaType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
	switch {
	case c.fail != 0 && c.proxy:
		w.WriteHeader(c.fail)
		_, _ = io.WriteString(w, "<html>\nBad Gateway\n</html>\n")
	case c.fail != 0:
		answer(c.fail, `{"error_code":50001,"message":"Failed to update compatibility level"}`)
	case r.URL.Path != "/config":
		answer(http.StatusNotFound, `{"error_code":404,"message":"HTTP 404 Not Found"}`)
	case r.Method == http.MethodGet:
		answer(http.StatusOK, fmt.Sprintf(`{"compatibilityLevel":%q}`, c.level))
	case r.Method == http.MethodPut && r.Header.Get("Content-Type") != mediaType:
		answer(http.StatusUnsupportedMediaType, `{"error_code":415,"message":"HTTP 415 Unsupported Media Type"}`)
	case r.Method == http.MethodPut:
		var request struct {
			Compatibility string `json:"compatibility"`
		}
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil || !slices.Contains(levels, request.Compatibility) {
			answer(http.StatusUnprocessableEntity, `{"error_code":42203,"message":"Invalid compatibility level. Valid values are none, backward, forward, full, backward_transitive, forward_transitive, and full_transitive"}`)
			return
		}
		c.level = request.Compatibility
		c.sets = append(c.sets, c.level)
		answer(http.StatusOK, fmt.Sprintf(`{"compatibility":%q}`, c.level+c.other))
	default:
		answer(http.StatusMethodNotAllowed, `{"error_code":405,"message":"HTTP 405 Method Not Allowed"}`)
	}
}

// pod is the pod of the registry, in which the two commands can run.
type pod struct {
	listeners string
	commands  [][]string
	// instead, if set, replaces the result of a command; done says whether to
	// run the command first.
	instead func(argv []string) (out string, done, is bool, err error)
}

func (p *pod) Exec(_ context.Context, namespace, selector, container string, argv []string) (string, error) {
	if namespace != "sasquatch" || selector != "app=sasquatch-schema-registry" || container != "server" {
		return "", &cluster.NoPodError{Namespace: namespace, Selector: selector}
	}
	p.commands = append(p.commands, argv)
	if p.instead != nil {
		if out, done, is, err := p.instead(argv); is {
			if done {
				if _, err := p.run(argv); err != nil {
					return "", err
				}
			}
			return out, err
		}
	}
	return p.run(argv)
}

func (p *pod) run(argv []string) (string, error) {
	switch {
	case slices.Equal(argv, []string{"printenv", "SCHEMA_REGISTRY_LISTENERS"}):
		if p.listeners == "" {
			return "", &cluster.ExitError{Command: "printenv", Status: 1}
		}
		return p.listeners + "\n", nil
	case argv[0] == "curl":
		return curl(argv[1:])
	}
	return "", &cluster.ExitError{Command: argv[0], Status: 127}
}

// curl supports the options of curl that the registry package uses.
func curl(arguments []string) (string, error) {
	method, body, format, headers := http.MethodGet, "", "", http.Header{}
	for len(arguments) > 1 {
		option := arguments[0]
		if option == "-sS" {
			arguments = arguments[1:]
			continue
		}
		switch value := arguments[1]; option {
		case "-m":
		case "-w":
			format = strings.ReplaceAll(value, `\n`, "\n")
		case "-X":
			method = value
		case "-d":
			body = value
		case "-H":
			name, text, _ := strings.Cut(value, ": ")
			headers.Set(name, text)
		default:
			return "", &cluster.ExitError{Command: "curl", Status: 2, Stderr: "curl: option " + option + ": is unknown"}
		}
		arguments = arguments[2:]
	}
	request, err := http.NewRequest(method, arguments[0], bytes.NewReader([]byte(body)))
	if err != nil {
		return "", &cluster.ExitError{Command: "curl", Status: 3, Stderr: err.Error()}
	}
	request.Header = headers
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "\n000", &cluster.ExitError{Command: "curl", Status: 7, Stderr: "curl: (7) Failed to connect"}
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return "", &cluster.ExitError{Command: "curl", Status: 56, Stderr: err.Error()}
	}
	return string(text) + strings.ReplaceAll(format, "%{http_code}", fmt.Sprint(response.StatusCode)), nil
}

func start(t *testing.T) (*confluent, *pod, *registry.Registry) {
	t.Helper()
	c := &confluent{level: "FORWARD"}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	p := &pod{listeners: "http://0.0.0.0:" + u.Port()}
	return c, p, registry.New(p, "sasquatch", "app=sasquatch-schema-registry", "server")
}

func TestLevelIsReadAndSet(t *testing.T) {
	c, p, r := start(t)
	ctx := context.Background()
	for _, level := range []string{"FORWARD", "NONE"} {
		if err := r.SetLevel(ctx, level); err != nil {
			t.Fatal(err)
		}
		if got, err := r.Level(ctx); err != nil || got != level {
			t.Errorf("Level = %q, %v, want %s", got, err, level)
		}
	}
	if !slices.Equal(c.sets, []string{"FORWARD", "NONE"}) {
		t.Errorf("levels set: %v", c.sets)
	}
	for _, argv := range p.commands {
		if argv[0] == "curl" && !strings.HasPrefix(argv[len(argv)-1], "http://localhost:") {
			t.Errorf("curl connected to %q, want localhost", argv[len(argv)-1])
		}
	}
}

func TestListeners(t *testing.T) {
	_, p, r := start(t)
	port := p.listeners[strings.LastIndex(p.listeners, ":"):]
	for listeners, ok := range map[string]bool{
		"http://127.0.0.1" + port:                      true,
		"http://[::]" + port:                           true,
		"http://" + port:                               true,
		"http://0.0.0.0" + port + ",https://h:8085":    true,
		" http://localhost" + port + "/ , https://h:1": true,
		"PLAINTEXT://0.0.0.0:9092":                     false,
		"0.0.0.0" + port:                               false,
		"":                                             false,
	} {
		p.listeners = listeners
		if level, err := r.Level(context.Background()); (err == nil) != ok {
			t.Errorf("with listeners %q Level = %q, %v, want ok %v", listeners, level, err, ok)
		}
	}
}

func TestTheRegistrysErrorsAreReported(t *testing.T) {
	c, _, r := start(t)
	ctx := context.Background()
	err := r.SetLevel(ctx, "SIDEWAYS")
	var answered *registry.Error
	var lost *cluster.LostError
	if !errors.As(err, &answered) || answered.Code != 42203 || !strings.Contains(err.Error(), "Invalid compatibility level") || errors.As(err, &lost) {
		t.Errorf("SetLevel(SIDEWAYS) = %v, want the registry's error 42203, not lost", err)
	}
	c.fail = http.StatusInternalServerError
	if _, err := r.Level(ctx); !errors.As(err, &answered) || answered.Code != 50001 {
		t.Errorf("Level = %v, want the registry's error 50001", err)
	}
	if err := r.SetLevel(ctx, "NONE"); !errors.As(err, &answered) || !errors.As(err, &lost) {
		t.Errorf("SetLevel = %v, want the registry's error in a *LostError: it may have stored the level", err)
	}
	c.fail, c.proxy = http.StatusBadGateway, true
	if _, err := r.Level(ctx); !errors.As(err, &answered) || answered.HTTPStatus != http.StatusBadGateway || answered.Code != 0 {
		t.Errorf("Level = %v, want HTTP status 502", err)
	}
}

func TestSetLevelChecksTheAnswer(t *testing.T) {
	c, _, r := start(t)
	c.other = "_TRANSITIVE"
	var lost *cluster.LostError
	if err := r.SetLevel(context.Background(), "FORWARD"); !errors.As(err, &lost) || !strings.Contains(err.Error(), "FORWARD_TRANSITIVE") {
		t.Errorf("SetLevel = %v, want a *LostError that names what was set", err)
	}
}

func TestAFailedSettingIsInDoubtOnlyIfItMayHaveHappened(t *testing.T) {
	for name, test := range map[string]struct {
		out  string
		err  error
		done bool // run the command first
		lost bool
	}{
		"answer lost":        {"", &cluster.LostError{Op: "curl", Err: io.ErrUnexpectedEOF}, true, true},
		"output cut":         {`{"compat`, nil, true, true},
		"output empty":       {"", nil, true, true},
		"no status":          {"{\"compatibility\":\"NONE\"}\n20", nil, true, true},
		"no number":          {"{\"compatibility\":\"NONE\"}\nabc", nil, true, true},
		"no JSON":            {"<html>\n200", nil, true, true},
		"timed out":          {"\n000", &cluster.ExitError{Command: "curl", Status: 28}, false, true},
		"not connected":      {"\n000", &cluster.ExitError{Command: "curl", Status: 7}, false, false},
		"no curl":            {"", &cluster.ExitError{Command: "curl", Status: 127}, false, false},
		"no pod":             {"", &cluster.NoPodError{Namespace: "sasquatch"}, false, false},
		"exec was forbidden": {"", errors.New("pods/exec is forbidden"), false, false},
	} {
		t.Run(name, func(t *testing.T) {
			c, p, r := start(t)
			p.instead = func(argv []string) (string, bool, bool, error) {
				return test.out, test.done, argv[0] == "curl", test.err
			}
			err := r.SetLevel(context.Background(), "NONE")
			var lost *cluster.LostError
			if err == nil || errors.As(err, &lost) != test.lost {
				t.Errorf("SetLevel = %v, want an error, lost %v", err, test.lost)
			}
			if (len(c.sets) == 1) != test.done || len(p.commands) != 2 {
				t.Errorf("set %v after %d commands; want one PUT, never repeated", c.sets, len(p.commands))
			}
		})
	}
}

func TestALostReadBeforeASettingLeavesNothingInDoubt(t *testing.T) {
	c, p, r := start(t)
	p.instead = func(argv []string) (string, bool, bool, error) {
		return "", false, argv[0] == "printenv", &cluster.LostError{Op: "printenv", Err: io.ErrUnexpectedEOF}
	}
	var lost *cluster.LostError
	if err := r.SetLevel(context.Background(), "NONE"); err == nil || errors.As(err, &lost) || len(c.sets) != 0 {
		t.Errorf("SetLevel = %v, sets %v; want an error that is no *LostError, and nothing set", err, c.sets)
	}
}

func TestALostReadIsRepeated(t *testing.T) {
	_, p, r := start(t)
	lostOnes := 0
	p.instead = func(argv []string) (string, bool, bool, error) {
		lostOnes++
		return "", false, argv[0] == "curl" && lostOnes < 4, &cluster.LostError{Op: "curl", Err: io.ErrUnexpectedEOF}
	}
	if level, err := r.Level(context.Background()); err != nil || level != "FORWARD" {
		t.Errorf("Level = %q, %v, want FORWARD", level, err)
	}
	lostOnes = -1000
	p.commands = nil
	var lost *cluster.LostError
	if _, err := r.Level(context.Background()); !errors.As(err, &lost) || len(p.commands) != 6 {
		t.Errorf("Level = %v after %d commands, want a *LostError after three tries", err, len(p.commands))
	}
}
