// Package slack posts announcements to Slack, with a bot token (the method
// chat.postMessage) or through an incoming webhook.
//
// Slack has no idempotency key. If an answer is lost, only the channel shows
// whether the message was posted. So nothing is sent again, except after a 429,
// which means that the message was not accepted.
package slack

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/lsst-ts/csu/executor/internal/clock"
	"github.com/lsst-ts/csu/executor/internal/gate"
)

const (
	callLimit = 20 * time.Second // for one request
	waitLimit = time.Minute      // for all waits for Slack's rate limit together
	// waitUnasked is the wait if Slack does not say how long. A channel accepts
	// about one message a second.
	waitUnasked = time.Second
)

// ErrNoCredential is returned if neither a token nor a webhook was given.
// Nothing was posted.
var ErrNoCredential = errors.New("no Slack token and no webhook given")

// RefusedError reports that a message was not posted: Slack refused it, or was
// never reached.
type RefusedError struct {
	Reason string // Slack's code, such as "channel_not_found", or our own words
	Err    error  // of the connection; nil if Slack answered
}

func (e *RefusedError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("Slack: not posted: %s: %v", e.Reason, e.Err)
	}
	return "Slack: not posted: " + e.Reason
}

func (e *RefusedError) Unwrap() error { return e.Err }

// LostError reports that a message was sent, and that it is unknown whether it
// was posted. The channel shows it.
type LostError struct {
	Reason string
	Err    error // of the connection; nil if Slack answered
}

func (e *LostError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("Slack: may have been posted: %s: %v", e.Reason, e.Err)
	}
	return "Slack: may have been posted: " + e.Reason
}

func (e *LostError) Unwrap() error { return e.Err }

// Client posts to one workspace.
type Client struct {
	api     *slack.Client // nil without a token
	webhook string        // a secret; empty without one
	hc      *http.Client
	clock   *clock.Clock
}

// New returns a client that posts with the token or, without one, through the
// webhook. Without either, every call returns [ErrNoCredential]. An empty
// apiURL means Slack's own; hc may be nil.
func New(token, webhook, apiURL string, hc *http.Client, clk *clock.Clock) (*Client, error) {
	own := http.Client{}
	if hc != nil {
		own = *hc
	}
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c := &Client{hc: &own, clock: clk}
	if token != "" {
		options := []slack.Option{slack.OptionHTTPClient(c.hc)}
		if apiURL != "" {
			if !isHTTP(apiURL) {
				return nil, fmt.Errorf("the address of Slack, %q, is not an http(s) URL", apiURL)
			}
			options = append(options, slack.OptionAPIURL(strings.TrimRight(apiURL, "/")+"/"))
		}
		c.api = slack.New(token, options...)
		return c, nil
	}
	if webhook != "" && !isHTTP(webhook) {
		return nil, errors.New("the Slack webhook is not an http(s) URL")
	}
	c.webhook = webhook
	return c, nil
}

func isHTTP(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

// Check asks Slack whether the token is valid. It posts nothing. A webhook
// cannot be checked and is assumed to be valid.
func (c *Client) Check(ctx context.Context) error {
	switch {
	case c.api != nil:
		return c.try(ctx, waitLimit, nil, func(ctx context.Context) error {
			_, err := c.api.AuthTestContext(ctx)
			return err
		})
	case c.webhook != "":
		return nil
	}
	return ErrNoCredential
}

// Post posts a text to a channel. A webhook posts to the channel that it was
// created for, whatever channel is named. It waits for Slack's rate limit, but
// for no longer than most in all. After a [RefusedError] or
// [ErrNoCredential] nothing was posted. After a [LostError] that is unknown.
func (c *Client) Post(ctx context.Context, channel, text string, most time.Duration) error {
	switch {
	case c.api != nil:
		return c.try(ctx, most, gate.Pass, func(ctx context.Context) error {
			// Not escaped, since the text may contain Slack's own markup.
			_, timestamp, err := c.api.PostMessageContext(ctx, channel, slack.MsgOptionText(text, false))
			if err == nil && timestamp == "" {
				return errors.New("the answer does not name a message")
			}
			return err
		})
	case c.webhook != "":
		return c.try(ctx, most, gate.Pass, func(ctx context.Context) error {
			return slack.PostWebhookCustomHTTPContext(ctx, c.webhook, c.hc, &slack.WebhookMessage{Text: text})
		})
	}
	return ErrNoCredential
}

// try makes a call, and repeats it as long as Slack answers with its rate
// limit. pass, unless nil, may refuse each time.
func (c *Client) try(ctx context.Context, most time.Duration, pass, call func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return &RefusedError{Reason: "stopped before it was sent", Err: err}
	}
	var waited time.Duration
	for {
		if pass != nil {
			if err := pass(ctx); err != nil {
				return &RefusedError{Reason: "stopped before it was sent", Err: err}
			}
		}
		err := c.once(ctx, call)
		pause, limited := rateLimit(err)
		if !limited {
			return judge(err)
		}
		if waited+pause > min(most, waitLimit) {
			return &RefusedError{Reason: fmt.Sprintf("Slack's rate limit: it asks to wait for another %s", pause)}
		}
		if err := c.clock.Sleep(ctx, pause); err != nil {
			return &RefusedError{Reason: "stopped while waiting for Slack's rate limit", Err: err}
		}
		waited += pause
	}
}

func (c *Client) once(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	return call(ctx)
}

// rateLimit reports whether Slack refused a call because of its rate limit, and
// how long to wait.
func rateLimit(err error) (time.Duration, bool) {
	var limited *slack.RateLimitedError
	if errors.As(err, &limited) {
		return max(limited.RetryAfter, waitUnasked), true
	}
	var status slack.StatusCodeError
	if errors.As(err, &status) && status.Code == http.StatusTooManyRequests {
		return waitUnasked, true
	}
	return 0, false
}

// judge classifies the error of a call by whether the message may have been
// posted.
func judge(err error) error {
	if err == nil {
		return nil
	}
	var said slack.SlackErrorResponse
	if errors.As(err, &said) {
		switch said.Err {
		case "internal_error", "fatal_error", "request_timeout", "service_unavailable":
			// Slack's documentation: part of the operation may have succeeded.
			return &LostError{Reason: said.Err}
		}
		return &RefusedError{Reason: said.Err}
	}
	var status slack.StatusCodeError
	if errors.As(err, &status) {
		reason := strings.TrimSpace(fmt.Sprintf("it answered %d %s", status.Code, http.StatusText(status.Code)))
		if status.Code >= 500 || status.Code == http.StatusRequestTimeout {
			return &LostError{Reason: reason}
		}
		return &RefusedError{Reason: reason + refusal(status.Code)}
	}
	// A webhook's URL is its secret, and the error of a request contains it.
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	// No connection, or one to another server: nothing was sent.
	op, isOp := errors.AsType[*net.OpError](err)
	_, isImpostor := errors.AsType[*tls.CertificateVerificationError](err)
	if isOp && op.Op == "dial" || isImpostor {
		return &RefusedError{Reason: "cannot reach Slack", Err: err}
	}
	return &LostError{Reason: "the answer was lost", Err: err}
}

// refusal explains a webhook's status, since the library does not pass on the
// text.
func refusal(code int) string {
	switch code {
	case http.StatusForbidden:
		return ": posting is restricted"
	case http.StatusNotFound:
		return ": no such webhook or channel"
	case http.StatusGone:
		return ": the channel is archived"
	}
	return ""
}
