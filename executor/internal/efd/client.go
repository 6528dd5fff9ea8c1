// Package efd reads the Engineering and Facilities Database: the last state of
// the CSCs, and the progress of a ScriptQueue's scripts.
//
// The EFD is an InfluxDB 1.x database. Each topic is a measurement,
// "lsst.sal.<component>.<topic>". The SAL index of a CSC is a field, not a tag.
// So every query filters by salIndex, since the instances of an indexed CSC
// would otherwise mix, and limits the time range. A CSC without an index has
// index 0.
//
// Words of this package:
//   - lag: how late data may arrive. A topic reaches the database through
//     Kafka and a connector that writes every ten seconds or so. Until the lag
//     has passed, missing data prove nothing.
//   - sight: the result of one look at one CSC.
//   - heard: a heartbeat of the CSC is no older than the lag and 15 s.
//   - witness: a CSC that was heard, when the question is whether another one
//     is silent. Without a witness, the EFD itself may be silent.
//
// This package only reads. A read that fails for a reason that may pass is retried.
package efd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/internal/clock"
)

const (
	// maxStatements limits a request. There are about 100 CSCs, and each needs
	// two.
	maxStatements = 50
	// maxAnswer limits how much of an answer is read, in bytes.
	maxAnswer = 64 << 20
	// callLimit is real time, like every limit of a single network call.
	callLimit = 20 * time.Second
	// attempts is how often a request is sent in all. The pauses in between are 2
	// and 4 s: an overload passes in seconds, a restart in a minute. What lasts
	// longer is for the steps, which poll, and for the operator.
	attempts   = 3
	firstPause = 2 * time.Second

	// lookBack limits the search for the last value of something that rarely
	// changes: a CSC may have kept its summary state, or a queue its content,
	// for weeks.
	lookBack = 30 * 24 * time.Hour
	// heartbeatLookBack is added to the lag. It is short because heartbeats
	// come every second, and the server reads all of them.
	heartbeatLookBack = 5 * time.Minute
	// skew is how far apart the clocks may be, those of the machines that
	// timestamp the data and that of the machine that runs csu.
	skew = 10 * time.Second
	// late is how late, in real time, csu's clock may follow that of a simulated site.
	late = 2 * time.Second
)

// Client reads one EFD. It may be used by several goroutines at once.
type Client struct {
	base, database     string
	username, password string
	hc                 *http.Client
	clk                *clock.Clock
	lag                time.Duration
}

// New returns a client for the InfluxDB whose query API is at base+"/query",
// for example "https://summit-lsp.lsst.codes/influxdb". An empty username means
// that the server needs none. lag is how late data may arrive. hc may be nil.
func New(base, database, username, password string, hc *http.Client, clk *clock.Clock, lag time.Duration) *Client {
	own := http.Client{}
	if hc != nil {
		own = *hc
	}
	// A redirect means a login page or a wrong address. Following it would turn
	// the POST into a GET of something else.
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{
		base: strings.TrimRight(base, "/"), database: database,
		username: username, password: password,
		hc: &own, clk: clk, lag: lag,
	}
}

// Lag returns how late data may arrive.
func (c *Client) Lag() time.Duration { return c.lag }

// ask runs the statements, at most maxStatements per request. It returns the
// rows of each and the time of the run at which the first request was sent.
func (c *Client) ask(ctx context.Context, statements ...selection) (rows [][]row, asked time.Time, err error) {
	for chunk := range slices.Chunk(statements, maxStatements) {
		got, at, err := c.batch(ctx, chunk)
		if err != nil {
			return nil, time.Time{}, err
		}
		if asked.IsZero() {
			asked = at
		}
		rows = append(rows, got...)
	}
	return rows, asked, nil
}

// batch runs the statements of one request and retries after a failure that may pass.
func (c *Client) batch(ctx context.Context, statements []selection) ([][]row, time.Time, error) {
	pause := firstPause
	for attempt := 1; ; attempt++ {
		asked := c.clk.Now()
		rows, err := c.request(ctx, statements)
		var query *QueryError
		if errors.As(err, &query) && query.Message == notExecuted && len(statements) > 1 && query.at >= 0 {
			// The real reason is missing. If the statement runs alone, it has passed.
			if _, alone := c.request(ctx, statements[query.at:query.at+1]); alone != nil {
				err = alone
			}
		}
		if err == nil || !passing(err) || attempt == attempts || ctx.Err() != nil {
			return judged(rows, asked, err)
		}
		if c.clk.Sleep(ctx, pause) != nil {
			return judged(rows, asked, err)
		}
		pause *= 2
	}
}

// judged returns the last answer. If all that is wrong with it are times in the
// future, each row decides for itself: the clock of one machine is no reason to know
// nothing of all CSCs.
func judged(rows [][]row, asked time.Time, err error) ([][]row, time.Time, error) {
	var ahead *AheadError
	if errors.As(err, &ahead) {
		err = nil
	}
	return rows, asked, err
}

// passing reports whether another try may help.
func passing(err error) bool {
	var auth *AuthError
	var query *QueryError
	switch {
	case errors.As(err, &auth):
		return false
	case errors.As(err, &query):
		return query.passing()
	}
	return true
}

func (c *Client) request(ctx context.Context, statements []selection) ([][]row, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	// The statements of one look are too long for a GET. InfluxDB accepts a
	// SELECT by POST as well, even from a user who may only read. Milliseconds
	// are enough: the server itself orders by its nanoseconds.
	address := c.base + "/query?" + url.Values{"db": {c.database}, "epoch": {"ms"}}.Encode()
	texts := make([]string, len(statements))
	for i, s := range statements {
		texts[i] = s.String()
	}
	form := url.Values{"q": {strings.Join(texts, ";\n")}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, &UnreachableError{Address: c.base, Err: errors.New("the address is not a URL")}
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	if c.username != "" {
		// Not u and p in the URL, since URLs end up in logs and errors.
		req.SetBasicAuth(c.username, c.password)
	}
	resp, err := c.hc.Do(req)
	if err != nil {
		return nil, c.unreachable(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, c.unreachable(err)
	}
	if len(body) > maxAnswer {
		return nil, &FormatError{Reason: fmt.Sprintf("the answer is longer than %d MB", maxAnswer>>20)}
	}
	if err := c.refusal(resp, body); err != nil {
		return nil, err
	}
	return decode(body, statements, c.clk.Now(), skew+time.Duration(float64(late)*max(0, c.clk.Speed()-1)))
}

// unreachable drops the URL from the error of a request, since the error names
// it already.
func (c *Client) unreachable(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return &UnreachableError{Address: c.base, Err: err}
}

// refusal returns the error for an answer other than 200.
func (c *Client) refusal(resp *http.Response, body []byte) error {
	said := errorText(body)
	switch code := resp.StatusCode; {
	case code == http.StatusOK:
		return nil
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return &AuthError{Username: c.username, Status: code, Message: said}
	case code == http.StatusTooManyRequests, code >= 500:
		return &UnreachableError{Address: c.base, Status: code, Message: said}
	case code == http.StatusBadRequest && said != "":
		return &QueryError{Message: said, refused: true}
	case code >= 300 && code < 400:
		return &FormatError{Reason: fmt.Sprintf("%s/query redirects elsewhere (%s), perhaps to a login page: is this the address of the EFD's query API?", c.base, resp.Status)}
	default:
		return &FormatError{Reason: fmt.Sprintf("%s/query answered %s: is this the address of the EFD's query API?", c.base, resp.Status)}
	}
}
