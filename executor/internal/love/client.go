// Package love sends commands to the ScriptQueues through LOVE's manager.
//
// What is known of the manager and of the commander behind it:
//   - A user name and a password get a token, which is valid for 30 days. Each
//     request for one creates another.
//   - A command is answered when the component has acknowledged it for good:
//     {"ack": result}. The result of an add is the SAL index of the script;
//     that of the others is "Done".
//   - Without a final acknowledgement within the commander's limit, 10 s by
//     default, the answer is 504, {"ack": "Command time out. ..."}. The command
//     may still be carried out.
//   - A command that the component refuses, for example because the queue is
//     not ENABLED, raises an error that the commander does not handle: the
//     manager answers 500, without a reason. The same status hides other
//     faults, some of them after the command was sent. So it counts as "in
//     doubt", and the EFD shows the result.
//   - The commander keeps one message for each kind of command. A parameter
//     that a request omits keeps the value of an earlier request, from any
//     sender. So csu always sends every parameter.
//
// A command is never sent twice, with one exception: after a 401 for an expired
// token, which means that nothing was done.
package love

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/lsst-ts/csu/executor/secret"
)

const (
	// commandLimit allows for the commander's own limit, and for connecting to
	// a component that it has not commanded before.
	commandLimit = 30 * time.Second
	// accountLimit is for requests that the manager answers by itself.
	accountLimit = 15 * time.Second
	// maxAnswer limits how much of an answer is read, in bytes.
	maxAnswer = 4 << 20
)

// Client talks to one LOVE as one user. It may be used by several goroutines at
// once.
type Client struct {
	base               string
	username, password string
	hc                 *http.Client

	mu    sync.Mutex
	token string // empty if there is none yet
}

// New returns a client for the LOVE at base, the part before "/manager/api",
// for example "https://summit-lsp.lsst.codes/love". It requests a token when it
// first needs one. hc may be nil.
func New(base, username, password string, hc *http.Client) *Client {
	own := http.Client{}
	if hc != nil {
		own = *hc
	}
	// Following a redirect would repeat the command, or turn it into a GET.
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{base: strings.TrimRight(base, "/"), username: username, password: password, hc: &own}
}

// Account is the user as LOVE knows them.
type Account struct {
	Username        string
	ExecuteCommands bool // from the current location, if the site grants the permission by location
}

// account is the answer to get-token and validate-token.
type account struct {
	Token string `json:"token"`
	User  struct {
		Username string `json:"username"`
	} `json:"user"`
	Permissions struct {
		ExecuteCommands bool `json:"execute_commands"`
	} `json:"permissions"`
}

// Check asks whether the user may send commands. It sends none. If LOVE knows
// the user but does not let them send commands, Check returns both the account
// and an [AuthError].
func (c *Client) Check(ctx context.Context) (*Account, error) {
	const operation = "check the account"
	r, err := c.authorized(ctx, operation, http.MethodGet, "validate-token/", nil, accountLimit)
	if err != nil {
		return nil, err
	}
	a, err := c.readAccount(operation, r)
	if err != nil {
		return nil, err
	}
	who := &Account{Username: a.User.Username, ExecuteCommands: a.Permissions.ExecuteCommands}
	if who.Username == "" {
		who.Username = c.username
	}
	if !who.ExecuteCommands {
		return who, &AuthError{Operation: operation, Username: c.username, Message: "the user has no permission to execute commands"}
	}
	return who, nil
}

// readAccount reads an answer that has an account if the request succeeded.
func (c *Client) readAccount(operation string, r reply) (account, error) {
	if r.err != nil {
		return account{}, &UnreachableError{Operation: operation, Address: c.base, Err: r.err}
	}
	var a account
	switch {
	case r.status == http.StatusOK:
		if err := json.Unmarshal(r.body, &a); err != nil {
			return account{}, &UnreachableError{Operation: operation, Address: c.base, Err: errors.New("the answer is not from LOVE's manager")}
		}
		return a, nil
	case r.status >= 500:
		return account{}, &UnreachableError{Operation: operation, Address: c.base, Err: fmt.Errorf("it answered %s", statusText(r.status))}
	case r.status == http.StatusBadRequest, r.status == http.StatusUnauthorized, r.status == http.StatusForbidden:
		return account{}, &AuthError{Operation: operation, Username: c.username, Status: r.status, Message: said(r)}
	default:
		return account{}, &UnreachableError{Operation: operation, Address: c.base, Err: fmt.Errorf("it answered %s: is this the address of LOVE?", statusText(r.status))}
	}
}

// authorized sends a request with the token. If LOVE rejects the token, it gets
// another and sends the request once more. An error means that there was no
// token and that the request was not carried out.
func (c *Client) authorized(ctx context.Context, operation, method, path string, body any, limit time.Duration) (reply, error) {
	token, err := c.authorize(ctx, operation, "")
	if err != nil {
		return reply{}, err
	}
	r := c.send(ctx, method, path, token, body, limit)
	if r.status != http.StatusUnauthorized {
		return r, nil
	}
	if token, err = c.authorize(ctx, operation, token); err != nil {
		return reply{}, err
	}
	return c.send(ctx, method, path, token, body, limit), nil
}

// authorize returns a token other than the rejected one.
func (c *Client) authorize(ctx context.Context, operation, rejected string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.token != "" && c.token != rejected {
		return c.token, nil
	}
	if c.username == "" || c.password == "" {
		return "", &AuthError{Operation: operation, Username: c.username, Message: "no user name or password for LOVE"}
	}
	c.token = ""
	login := map[string]string{"username": c.username, "password": c.password}
	a, err := c.readAccount(operation, c.send(ctx, http.MethodPost, "get-token/", "", login, accountLimit))
	if err != nil {
		return "", err
	}
	if a.Token == "" {
		return "", &UnreachableError{Operation: operation, Address: c.base, Err: errors.New("the answer has no token: is this the address of LOVE?")}
	}
	secret.Know(a.Token)
	c.token = a.Token
	return a.Token, nil
}

// reply is the result of a request: a status and a body, or an error.
type reply struct {
	status int
	body   []byte
	err    error
	sent   bool // the request may have been sent
}

// send makes one request.
func (c *Client) send(ctx context.Context, method, path, token string, body any, limit time.Duration) reply {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var sent connection
	ctx = httptrace.WithClientTrace(ctx, sent.trace())
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return reply{err: err}
		}
		content = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+"/manager/api/"+path, content)
	if err != nil {
		return reply{err: errors.New("the address is not a URL")}
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Token "+token)
	}
	resp, err := c.hc.Do(req)
	if err != nil {
		return reply{err: withoutURL(err), sent: sent.mayHaveSent()}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return reply{err: withoutURL(err), sent: true}
	}
	return reply{status: resp.StatusCode, body: text, sent: true}
}

// connection records whether a request got a connection. Without one, nothing
// was sent. With one, it is unknown how much of the request was sent.
type connection struct {
	mu         sync.Mutex
	asked, got bool
}

func (c *connection) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		// The transport asks for a second one only if nothing was written on
		// the first.
		GetConn: func(string) { c.set(true, false) },
		GotConn: func(httptrace.GotConnInfo) { c.set(true, true) },
	}
}

func (c *connection) set(asked, got bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked, c.got = asked, got
}

// mayHaveSent is also true if the transport does not report its connections.
func (c *connection) mayHaveSent() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.got || !c.asked
}

// withoutURL drops the URL from the error of a request, since the operation is
// named instead.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
