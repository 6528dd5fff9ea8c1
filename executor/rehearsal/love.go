package rehearsal

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/secret"
)

// credentials are the credentials that the site accepts.
type credentials struct {
	loveUser, lovePassword string
	efdUser, efdPassword   string
	slackToken             string
}

func newCredentials() credentials {
	c := credentials{
		loveUser: "rehearsal", lovePassword: rand.Text(), efdUser: "efdreader", efdPassword: rand.Text(),
		slackToken: "xoxb-rehearsal-" + rand.Text(),
	}
	secret.Know(c.lovePassword, c.slackToken)
	secret.KnowLogin(c.efdUser, c.efdPassword)
	return c
}

// byVariable returns the credentials by the names of csu's environment variables.
func (c credentials) byVariable() map[string]string {
	return map[string]string{
		"CSU_LOVE_USERNAME": c.loveUser, "CSU_LOVE_PASSWORD": c.lovePassword,
		"CSU_EFD_USERNAME": c.efdUser, "CSU_EFD_PASSWORD": c.efdPassword,
		"CSU_SLACK_TOKEN": c.slackToken,
	}
}

// love is LOVE's manager with its commander.
type love struct {
	tokens map[string]bool
}

// loveHandler serves LOVE-manager's API.
func (s *Site) loveHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /love/manager/api/get-token/", s.unlessDown(loveDown, s.serveGetToken))
	mux.HandleFunc("GET /love/manager/api/validate-token/", s.authenticated(s.serveValidate))
	mux.HandleFunc("GET /love/manager/api/validate-token/{flags}/", s.authenticated(s.serveValidate))
	mux.HandleFunc("POST /love/manager/api/cmd/", s.authenticated(s.serveCommand))
	return mux
}

func (s *Site) serveGetToken(w http.ResponseWriter, r *http.Request) {
	var user, password string
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		var body struct{ Username, Password string }
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&body); err != nil {
			writeJSON(w, http.StatusBadRequest, map[string]string{"detail": "JSON parse error"})
			return
		}
		user, password = body.Username, body.Password
	} else {
		user, password = r.FormValue("username"), r.FormValue("password")
	}
	if user != s.loveUser || password != s.lovePassword {
		writeJSON(w, http.StatusBadRequest, map[string][]string{"non_field_errors": {"Unable to log in with provided credentials."}})
		return
	}
	token := strings.ToLower(rand.Text())
	s.mu.Lock()
	s.love.tokens[token] = true
	s.mu.Unlock()
	writeJSON(w, http.StatusOK, s.session(token))
}

func (s *Site) session(token string) map[string]any {
	now := s.clk.Now()
	return map[string]any{
		"user": map[string]string{"username": s.loveUser, "email": ""}, "token": token,
		"permissions": map[string]bool{"execute_commands": true},
		"time":        map[string]any{"utc": float64(now.UnixMilli()) / 1000, "tai": tai(now)},
	}
}

func (s *Site) authenticated(next func(w http.ResponseWriter, r *http.Request, token string)) http.HandlerFunc {
	return s.unlessDown(loveDown, func(w http.ResponseWriter, r *http.Request) {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Token ")
		s.mu.Lock()
		known := s.love.tokens[token]
		s.mu.Unlock()
		if !known {
			writeJSON(w, http.StatusUnauthorized, map[string]string{"detail": "Invalid token."})
			return
		}
		next(w, r, token)
	})
}

// unlessDown serves a request, unless the named fault has taken the system down. Then
// it answers like the cluster's ingress.
func (s *Site) unlessDown(name string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		down := s.strikes(name, "")
		s.mu.Unlock()
		if !down {
			next(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, "<html><head><title>503 Service Temporarily Unavailable</title></head></html>\n") // the client notices a lost answer itself
	}
}

func (s *Site) serveValidate(w http.ResponseWriter, _ *http.Request, token string) {
	writeJSON(w, http.StatusOK, s.session(token))
}

// serveCommand sends a command to a component and returns its acknowledgement.
func (s *Site) serveCommand(w http.ResponseWriter, r *http.Request, _ string) {
	ack := func(status int, text string) { writeJSON(w, status, map[string]string{"ack": text}) }
	var body struct {
		CSC      string          `json:"csc"`
		SALIndex *int            `json:"salindex"`
		Command  string          `json:"cmd"`
		Params   json.RawMessage `json:"params"`
	}
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&body)
	name, prefixed := strings.CutPrefix(body.Command, "cmd_")
	if err != nil || body.CSC == "" || body.SALIndex == nil || !prefixed || body.Params == nil {
		ack(http.StatusBadRequest, "Request must have JSON data with the following keys: csc, salindex, cmd, params.")
		return
	}
	s.mu.Lock()
	s.moment(loveCommanded)
	c := s.byName[body.CSC+":"+strconv.Itoa(*body.SALIndex)]
	lives, down := c != nil && c.lives(), s.strikes(loveDown, "")
	s.mu.Unlock()
	if down {
		s.unlessDown(loveDown, nil)(w, r)
		return
	}
	if !lives {
		// The client may be gone by then.
		_ = s.clk.Sleep(r.Context(), ackLimit)
		ack(http.StatusGatewayTimeout, "Command time out. No ack received from component.")
		return
	}
	if s.clk.Sleep(r.Context(), time.Second) != nil {
		return
	}
	s.mu.Lock()
	answer, err := s.queueCommand(c, name, body.Params)
	lost := err == nil && s.strikesOnce(loveAckLost, name)
	s.mu.Unlock()
	var refused *refusal
	switch {
	case lost:
		ack(http.StatusGatewayTimeout, "Command time out. Last ack received in progress.")
	case errors.As(err, &refused):
		// LOVE's commander does not handle a failed acknowledgement.
		http.Error(w, "500 Internal Server Error\n\nServer got itself in trouble", http.StatusInternalServerError)
	case err != nil:
		ack(http.StatusBadRequest, err.Error())
	default:
		ack(http.StatusOK, answer)
	}
}

// queueCommand carries out a command and returns the result in its acknowledgement.
func (s *Site) queueCommand(c *csc, name string, params json.RawMessage) (string, error) {
	q := c.queue
	if q == nil {
		return "", errors.New("the simulated site accepts only commands to ScriptQueues")
	}
	const identity, done = "rehearsal@love", "Done"
	var list struct {
		SalIndex   int   `json:"salIndex"`
		SalIndices []int `json:"salIndices"`
		Length     int   `json:"length"`
		Terminate  bool  `json:"terminate"`
	}
	if name != "add" {
		if err := json.Unmarshal(params, &list); err != nil {
			return "", err
		}
		q.command(name, identity, nil)
	}
	switch name {
	case "add":
		var r addRequest
		if err := json.Unmarshal(params, &r); err != nil {
			return "", err
		}
		index, err := q.add(r, identity)
		return strconv.Itoa(index), err
	case "pause":
		q.pause("command")
	case "resume":
		return done, q.resume()
	case "stopScripts":
		q.stop(list.SalIndices[:min(max(list.Length, 0), len(list.SalIndices))], list.Terminate)
	case "showQueue":
		q.changed()
	case "showScript":
		return done, q.show(list.SalIndex)
	default:
		return "", errors.New("unknown command " + strconv.Quote(name))
	}
	return done, nil
}
