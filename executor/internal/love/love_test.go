package love

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
)

const (
	user     = "operator"
	password = "correct horse battery staple"
)

// sent is a command as the manager received it.
type sent struct {
	CSC      string         `json:"csc"`
	SALIndex int            `json:"salindex"`
	Cmd      string         `json:"cmd"`
	Params   map[string]any `json:"params"`
}

// manager answers like LOVE's manager, and records the commands.
type manager struct {
	*httptest.Server
	t *testing.T

	mu        sync.Mutex
	tokens    map[string]bool // the valid ones
	logins    int
	requests  int // for a command, accepted or not
	commands  []sent
	forbidden bool
	answer    http.HandlerFunc // to an accepted command
}

func newManager(t *testing.T) *manager {
	m := &manager{t: t, tokens: map[string]bool{}}
	m.answer = says(http.StatusOK, `{"ack":"Done"}`)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /love/manager/api/get-token/", m.getToken)
	mux.HandleFunc("GET /love/manager/api/validate-token/", m.validateToken)
	mux.HandleFunc("POST /love/manager/api/cmd/", m.command)
	m.Server = httptest.NewServer(mux)
	t.Cleanup(m.Close)
	return m
}

// client returns a client with its own connection pool.
func (m *manager) client() *Client {
	return New(m.URL+"/love", user, password, &http.Client{Transport: &http.Transport{}})
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func (m *manager) getToken(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var login map[string]string
	if err := json.NewDecoder(r.Body).Decode(&login); err != nil {
		m.t.Errorf("get-token: %v", err)
	}
	if login["username"] != user || login["password"] != password {
		says(http.StatusBadRequest, fmt.Sprintf(`{"non_field_errors":["Unable to log in with provided credentials.", "tried %s"]}`, login["password"]))(w, r)
		return
	}
	m.logins++
	token := fmt.Sprintf("token-%d", m.logins)
	m.tokens[token] = true
	m.account(w, r, token)
}

func (m *manager) account(w http.ResponseWriter, r *http.Request, token string) {
	says(http.StatusOK, fmt.Sprintf(`{"user":{"username":%q,"email":""},"token":%q,"permissions":{"execute_commands":%t},"time_data":{"utc":1.5},"config":null}`, user, token, !m.forbidden))(w, r)
}

// holds answers 401 unless the request carries a valid token.
func (m *manager) holds(w http.ResponseWriter, r *http.Request) (token string, ok bool) {
	if n, _ := fmt.Sscanf(r.Header.Get("Authorization"), "Token %s", &token); n != 1 || !m.tokens[token] {
		w.Header().Set("WWW-Authenticate", "Token")
		says(http.StatusUnauthorized, `{"detail":"Invalid Token"}`)(w, r)
		return "", false
	}
	return token, true
}

func (m *manager) validateToken(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if token, ok := m.holds(w, r); ok {
		m.account(w, r, token)
	}
}

func (m *manager) command(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests++
	if _, ok := m.holds(w, r); !ok {
		return
	}
	if m.forbidden {
		says(http.StatusForbidden, `{"ack":"Your user is not allowed to command the observatory."}`)(w, r)
		return
	}
	var s sent
	if err := json.NewDecoder(r.Body).Decode(&s); err != nil {
		m.t.Errorf("cmd: %v", err)
	}
	m.commands = append(m.commands, s)
	m.answer(w, r)
}

// seen returns how many tokens were issued, how many requests for a command
// arrived, and the commands that were accepted.
func (m *manager) seen() (logins, requests int, commands []sent) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.logins, m.requests, slices.Clone(m.commands)
}

func (m *manager) expireTokens() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.tokens)
}

// forbid revokes the user's permission to send commands.
func (m *manager) forbid() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forbidden = true
}
