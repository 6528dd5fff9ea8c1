package ground

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/rehearsal"
)

const (
	// siteSpeed is how many seconds of the site pass in one of the real
	// servers. Some seconds of theirs are then some minutes of the site, and
	// within the plan's limits.
	siteSpeed = 45
	// flushes is how often the simulator writes to the EFD, in real time.
	flushes = 100 * time.Millisecond
	// heardBefore is how long the EFD has had heartbeats when the site starts,
	// in the site's time.
	heardBefore = 2 * time.Minute
	// longest is how long a host's command takes at most, in the site's time.
	// Commands of an hour are left to rehearsals.
	longest = 8 * time.Minute
)

// Simulator stands in for the CSCs of a site. It follows the pods of the real
// cluster and the commands on the hosts, writes what the CSCs publish to the
// real InfluxDB, and serves LOVE's and Slack's APIs. The behaviour of a CSC, a
// ScriptQueue, a script or a host's command is that of the rehearsals' model.
type Simulator struct {
	Model  *rehearsal.Site
	EFDURL string // at which the EFD answers queries

	cluster *Cluster
	db      *InfluxDB
	cscs    map[string]string // by namespace/name of their Jobs
	work    sync.WaitGroup

	flushing sync.Mutex
	written  time.Time // events up to this time are in the EFD

	mu      sync.Mutex
	events  []event
	last    map[string]time.Time // the last event of each measurement
	running map[string]string    // UID of the pod by CSC
	holds   []*heldEffect
	failed  error
}

// event is what a CSC has published.
type event struct {
	measurement string
	at          time.Time
	fields      map[string]any
}

// startSimulator starts the simulator on a cluster whose pods are all running.
// It ends the pods of CSCs that are OFFLINE before the upgrade, or that were
// lost with their node. It calls power when a host is rebooted.
func startSimulator(t testing.TB, c *Cluster, db *InfluxDB, config rehearsal.Config, power func(host string, on bool) error) *Simulator {
	t.Helper()
	s := &Simulator{cluster: c, db: db, cscs: map[string]string{}, last: map[string]time.Time{}, running: map[string]string{}}
	ctx, cancel := context.WithCancel(t.Context())
	var err error
	if s.Model, err = rehearsal.StartModel(ctx, config, rehearsal.Outside{
		Event: s.published,
		Ended: func(row *plan.CSC) { s.work.Go(func() { s.fail(c.EndPods(ctx, row.Job.Namespace, row.Job.Name, 0)) }) },
		Power: power, Held: s.held, Longest: longest,
	}); err != nil {
		cancel()
		t.Fatal(err)
	}
	exit := 0
	if config.Plan.Type == plan.Recovery {
		exit = 255 // lost with their node
	}
	for _, row := range config.Plan.CSCs {
		if row.Job == nil {
			continue
		}
		s.cscs[row.Job.Namespace+"/"+row.Job.Name] = row.CSC
		if strings.Contains(row.CSC, ":") && !s.Model.PodRan(row.CSC) {
			if err := c.EndPods(t.Context(), row.Job.Namespace, row.Job.Name, exit); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.written = s.Model.Clock().Now().Add(-heardBefore)
	s.work.Go(func() { s.follow(ctx) })
	s.work.Go(func() { s.write(ctx) })
	following, stop := context.WithCancel(ctx)
	s.work.Go(func() { s.fail(c.FollowWork(following, s.Model.Slow)) })
	t.Cleanup(func() {
		stop() // before the clock is closed
		err := s.Model.Close()
		cancel()
		s.work.Wait()
		if err = errors.Join(err, s.failed); err != nil {
			t.Errorf("the CSC simulator: %v", err)
		}
	})
	s.serveEFD(ctx, t, time.Duration(config.Plan.Targets.EFD.Lag)/2)
	return s
}

// serveEFD makes the EFD answer queries as soon as it has everything published
// longer ago than late. The lag is less than a second of this machine's time,
// so a machine that is busy for longer would otherwise make the CSCs seem
// silent. The site's time runs at real speed until it has answered: a busy machine
// takes seconds for that, which would be minutes of the site.
func (s *Simulator) serveEFD(ctx context.Context, t testing.TB, late time.Duration) {
	t.Helper()
	influx, err := url.Parse(s.db.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(influx)
	proxy.ErrorLog = log.New(io.Discard, "", 0) // it logs clients that are gone
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer s.Model.Slow()()
		// Read the question completely first: a proxy that is still reading it
		// when the answer arrives breaks off the answer.
		question, err := io.ReadAll(r.Body)
		if err != nil {
			return // the client is gone
		}
		r.Body = io.NopCloser(bytes.NewReader(question))
		if err := s.flush(ctx, late); err != nil {
			s.fail(err)
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	s.EFDURL = server.URL
}

// fail keeps an error for the end of the test.
func (s *Simulator) fail(err error) {
	if err == nil || errors.Is(err, context.Canceled) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = errors.Join(s.failed, err)
}

// follow reports starting and ending pods to the model, until ctx ends. A watch
// ends from time to time; the next one begins with a new list.
func (s *Simulator) follow(ctx context.Context) {
	for first := true; ctx.Err() == nil; first = false {
		s.fail(s.followOnce(ctx, first))
	}
}

func (s *Simulator) followOnce(ctx context.Context, first bool) error {
	api := s.cluster.Admin.CoreV1().Pods("")
	list, err := api.List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list the pods: %w", err)
	}
	found := map[string]bool{}
	for i := range list.Items {
		found[string(list.Items[i].UID)] = true
	}
	s.forget(found)
	for i := range list.Items {
		s.saw(&list.Items[i], first)
	}
	changes, err := api.Watch(ctx, metav1.ListOptions{ResourceVersion: list.ResourceVersion})
	if err != nil {
		return fmt.Errorf("watch the pods: %w", err)
	}
	defer changes.Stop()
	for change := range changes.ResultChan() {
		pod, ok := change.Object.(*corev1.Pod)
		switch {
		case !ok:
			return nil // the watch is too old
		case change.Type == watch.Deleted:
			s.gone(string(pod.UID), s.cscOf(pod), "its pod is gone")
		default:
			s.saw(pod, false)
		}
	}
	return nil
}

// forget records pods that went while there was no watch.
func (s *Simulator) forget(found map[string]bool) {
	s.mu.Lock()
	running := maps.Clone(s.running)
	s.mu.Unlock()
	for csc, uid := range running {
		if !found[uid] {
			s.gone(uid, csc, "its pod is gone")
		}
	}
}

func (s *Simulator) cscOf(pod *corev1.Pod) string {
	return s.cscs[pod.Namespace+"/"+pod.Labels[batchv1.JobNameLabel]]
}

// saw records a pod's phase. If first, the pod has had its CSC for a long time.
func (s *Simulator) saw(pod *corev1.Pod, first bool) {
	csc := s.cscOf(pod)
	switch {
	case csc == "":
	case pod.Status.Phase == corev1.PodSucceeded, pod.Status.Phase == corev1.PodFailed:
		s.gone(string(pod.UID), csc, "its pod has ended")
	case pod.Status.Phase == corev1.PodRunning && pod.DeletionTimestamp == nil:
		s.mu.Lock()
		known := s.running[csc] == string(pod.UID)
		s.running[csc] = string(pod.UID)
		s.mu.Unlock()
		if !known && !first {
			s.Model.PodRuns(csc)
		}
	}
}

func (s *Simulator) gone(uid, csc, why string) {
	s.mu.Lock()
	known := csc != "" && s.running[csc] == uid
	if known {
		delete(s.running, csc)
	}
	s.mu.Unlock()
	if known {
		s.Model.PodGone(csc, why)
	}
}

// published keeps an event until it is written. InfluxDB would merge two events
// of a measurement at the same time.
func (s *Simulator) published(measurement string, at time.Time, fields map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last := s.last[measurement]; at.Equal(last) {
		at = last.Add(1)
	}
	s.last[measurement] = at
	s.events = append(s.events, event{measurement, at, fields})
}

// write writes what the CSCs publish, periodically, like the EFD's connector.
func (s *Simulator) write(ctx context.Context) {
	for ctx.Err() == nil {
		if err := s.flush(ctx, 0); err != nil && ctx.Err() == nil {
			s.fail(err)
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(flushes):
		}
	}
}

// flush writes what the CSCs have published since the last flush, unless that
// is less than late ago.
func (s *Simulator) flush(ctx context.Context, late time.Duration) error {
	s.flushing.Lock()
	defer s.flushing.Unlock()
	to := s.Model.Clock().Now()
	if to.Sub(s.written) < late {
		return nil
	}
	var lines bytes.Buffer
	s.Model.Heartbeats(s.written, to, func(measurement string, salIndex int, at time.Time) {
		fmt.Fprintf(&lines, "%s salIndex=%di,heartbeat=true %d\n", measurement, salIndex, at.UnixNano())
	})
	s.written = to
	s.mu.Lock()
	events := s.events
	s.events = nil
	s.mu.Unlock()
	for _, e := range events {
		e.line(&lines)
	}
	return s.db.write(ctx, lines.String())
}

// line writes an event in InfluxDB's line protocol.
func (e event) line(b *bytes.Buffer) {
	names := make([]string, 0, len(e.fields))
	for name := range e.fields {
		names = append(names, name)
	}
	slices.Sort(names)
	b.WriteString(e.measurement)
	separator := byte(' ')
	for _, name := range names {
		b.WriteByte(separator)
		separator = ','
		b.WriteString(name + "=")
		switch v := e.fields[name].(type) {
		case int:
			b.WriteString(strconv.Itoa(v) + "i")
		case string:
			b.WriteString(`"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(v) + `"`)
		default:
			fmt.Fprint(b, v)
		}
	}
	fmt.Fprintf(b, " %d\n", e.at.UnixNano())
}

// write writes points in line protocol.
func (db *InfluxDB) write(ctx context.Context, lines string) error {
	if lines == "" {
		return nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, db.URL+"/write?"+url.Values{"db": {db.Database}}.Encode(), strings.NewReader(lines))
	if err != nil {
		return err
	}
	if db.admin {
		req.SetBasicAuth(influxAdmin, influxAdminPassword)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNoContent {
		return nil
	}
	answer, err := io.ReadAll(resp.Body)
	return errors.Join(fmt.Errorf("write to InfluxDB: %s: %s", resp.Status, answer), err)
}
