// Package love sends commands to the ScriptQueues through LOVE's manager.
//
// What is known of the manager and of the commander behind it:
//   - A token is had by name and password, and holds for 30 days. Each request
//     for one makes another.
//   - A command's answer comes when the component has acknowledged it for good:
//     {"ack": result}. Of an add, the result is the SAL index of the script; of
//     the others it is "Done".
//   - No final acknowledgement within the commander's limit, 10 s by default:
//     504, {"ack": "Command time out. ..."}. The command may still be carried
//     out.
//   - A command that the component refuses, say because the queue is not
//     ENABLED, raises an error that the commander does not handle: the manager
//     answers 500, without a reason. The same status hides other faults, some
//     of them after the command was sent, so that it counts as "in doubt"; the
//     EFD tells what became of it.
//   - The commander keeps one message for each kind of command, and a parameter
//     that a request leaves out has the value that somebody's last request gave
//     it. So every parameter is always given.
//
// A command is never sent twice, with one exception: after 401 with a token
// that had expired, which says that nothing was done.
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
)

const (
	// commandLimit leaves the commander time to wait for its own limit, and to
	// connect to a component that it has not commanded before.
	commandLimit = 30 * time.Second
	// accountLimit is for what the manager answers by itself.
	accountLimit = 15 * time.Second
	// maxAnswer bounds what is read of an answer, in bytes.
	maxAnswer = 4 << 20
)

// Client speaks to one LOVE as one user. It may be used by several goroutines
// at once.
type Client struct {
	base               string
	username, password string
	hc                 *http.Client

	mu    sync.Mutex
	token string // empty: none yet
}

// New returns a client for the LOVE at base, which is what comes before
// "/manager/api", for example "https://summit-lsp.lsst.codes/love". It asks for
// its token when it first needs one. hc may be nil.
func New(base, username, password string, hc *http.Client) *Client {
	own := http.Client{}
	if hc != nil {
		own = *hc
	}
	// A followed redirect would repeat the command, or turn it into a GET.
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{base: strings.TrimRight(base, "/"), username: username, password: password, hc: &own}
}

// Account is the user as LOVE knows them.
type Account struct {
	Username        string
	ExecuteCommands bool // from where they are, if the site gives the permission by place
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

// Check asks whether the user may send commands. It commands nothing. Where
// LOVE knows the user but does not let them command, the error is an
// [AuthError] and the account is returned beside it.
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

// readAccount reads an answer that has an account if all is well.
func (c *Client) readAccount(operation string, r reply) (account, error) {
	if r.err != nil {
		return account{}, &UnreachableError{Operation: operation, Address: c.base, Err: r.err}
	}
	var a account
	switch {
	case r.status == http.StatusOK:
		if err := json.Unmarshal(r.body, &a); err != nil {
			return account{}, &UnreachableError{Operation: operation, Address: c.base, Err: errors.New("what answers there is not LOVE's manager")}
		}
		return a, nil
	case r.status >= 500:
		return account{}, &UnreachableError{Operation: operation, Address: c.base, Err: fmt.Errorf("it answers %s", statusText(r.status))}
	case r.status == http.StatusBadRequest, r.status == http.StatusUnauthorized, r.status == http.StatusForbidden:
		return account{}, &AuthError{Operation: operation, Username: c.username, Status: r.status, Message: c.said(r)}
	default:
		return account{}, &UnreachableError{Operation: operation, Address: c.base, Err: fmt.Errorf("it answers %s: is this the address of LOVE?", statusText(r.status))}
	}
}

// authorized sends a request with the token. If LOVE no longer takes the token,
// it asks for another and sends the request once more. An error is that of
// getting a token, and means that the request was not carried out.
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
		return "", &AuthError{Operation: operation, Username: c.username, Message: "no user name or no password for LOVE is given"}
	}
	c.token = ""
	login := map[string]string{"username": c.username, "password": c.password}
	a, err := c.readAccount(operation, c.send(ctx, http.MethodPost, "get-token/", "", login, accountLimit))
	if err != nil {
		return "", err
	}
	if a.Token == "" {
		return "", &UnreachableError{Operation: operation, Address: c.base, Err: errors.New("what answers there gives no token: is this the address of LOVE?")}
	}
	c.token = a.Token
	return a.Token, nil
}

// reply is what came of a request: a status and a body, or an error.
type reply struct {
	token  string // that the request carried
	status int
	body   []byte
	err    error
	sent   bool // the request may have left
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
		return reply{err: errors.New("its address is not a URL")}
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
	return reply{token: token, status: resp.StatusCode, body: text, sent: true}
}

// connection watches whether a request got one. Without a connection nothing
// was sent; with one it is not known what of the request has left.
type connection struct {
	mu         sync.Mutex
	asked, got bool
}

func (c *connection) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		// Asked for again only after a connection on which nothing was written.
		GetConn: func(string) { c.set(true, false) },
		GotConn: func(httptrace.GotConnInfo) { c.set(true, true) },
	}
}

func (c *connection) set(asked, got bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked, c.got = asked, got
}

// mayHaveSent is also true if the transport tells nothing of its connections.
func (c *connection) mayHaveSent() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.got || !c.asked
}

// withoutURL drops the URL from the error of a request: the operation is named
// instead.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
