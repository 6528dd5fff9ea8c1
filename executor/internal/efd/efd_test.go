package efd

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/ground"
	"github.com/lsst-ts/csu/executor/internal/clock"
)

const testLag = 20 * time.Second

// site is a real InfluxDB, which the tests write to as the EFD's connectors do,
// and a client that reads it.
type site struct {
	*testing.T
	db     *ground.InfluxDB
	client *Client
	now    time.Time
}

func newSite(t *testing.T) *site {
	t.Helper()
	db := ground.StartInfluxDB(t, false)
	now := time.Now()
	// The client's time hardly moves, so that on a slow machine data do not
	// become too old before they are read.
	clk := clock.Fast(now, now, 0.01)
	return &site{T: t, db: db, now: now, client: New(db.URL, db.Database, "", "", nil, clk, testLag)}
}

// point writes one message of a topic with a timestamp that is ago old.
func (s *site) point(component, topic string, ago time.Duration, fields string) {
	s.Helper()
	s.db.Write(s.T, fmt.Sprintf("lsst.sal.%s.%s %s %d", component, topic, fields, s.now.Add(-ago).UnixNano()))
}

func (s *site) heartbeat(csc string, ago time.Duration) {
	s.Helper()
	c := must(ParseCSC(csc))
	s.point(c.Component, "logevent_heartbeat", ago, fmt.Sprintf("salIndex=%di,private_origin=1i", c.Index))
}

func (s *site) state(csc string, state int, ago time.Duration) {
	s.Helper()
	c := must(ParseCSC(csc))
	s.point(c.Component, "logevent_summaryState", ago, fmt.Sprintf("salIndex=%di,summaryState=%di", c.Index, state))
}

// add writes the command that adds a script.
func (s *site) add(queue, seqNum int, path, descr string, ago time.Duration) {
	s.Helper()
	s.point("ScriptQueue", "command_add", ago, fmt.Sprintf("salIndex=%di,private_seqNum=%di,path=%s,descr=%s", queue, seqNum, quote(path), quote(descr)))
}

// script writes a script event.
func (s *site) script(queue, index, cmdID int, path, executionID string, process ProcessState, state ScriptState, ago time.Duration) {
	s.Helper()
	s.point("ScriptQueue", "logevent_script", ago, fmt.Sprintf(
		"salIndex=%di,scriptSalIndex=%di,cmdId=%di,path=%s,isStandard=true,executionId=%s,processState=%di,scriptState=%di,timestampProcessStart=%f,timestampRunStart=0",
		queue, index, cmdID, quote(path), quote(executionID), process, state, tai(s.now.Add(-ago))))
}

func tai(t time.Time) float64 { return float64(t.Add(37*time.Second).UnixMicro()) / 1e6 }

// quote returns a string field in line protocol.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func near(a, b time.Time) bool { return a.Sub(b).Abs() < 2*time.Millisecond }

// transport answers requests without a network.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// look calls Look for one CSC.
func look(c *Client, csc string) error {
	_, err := c.Look(context.Background(), []CSC{must(ParseCSC(csc))})
	return err
}
