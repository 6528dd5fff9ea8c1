package systems_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/internal/clock"
	"github.com/lsst-ts/csu/executor/plan/plantest"
	"github.com/lsst-ts/csu/executor/rehearsal"
	"github.com/lsst-ts/csu/executor/sitemap"
	"github.com/lsst-ts/csu/executor/systems"
)

// reaches waits until a clock runs at a speed.
func reaches(t *testing.T, c *clock.Clock, speed float64) {
	t.Helper()
	late := time.After(time.Minute)
	for {
		rate, changed := c.Rate()
		if rate.Speed == speed {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("the clock runs at %v, want %v", rate.Speed, speed)
		}
	}
}

// The clocks of a simulated site and of all that follow it run at real speed while a
// question is open, wherever it is.
func TestSlowClock(t *testing.T) {
	const speed = 60
	p := plantest.Plan()
	site, err := rehearsal.Start(t.Context(), rehearsal.Config{Plan: p, Dir: t.TempDir(), Speed: speed})
	if err != nil {
		t.Fatal(err)
	}
	defer site.Close()
	connect := func() *clock.Clock {
		clients, err := systems.Connect(p, &site.Map, nil)
		if err != nil {
			t.Fatal(err)
		}
		return clients.Clock
	}
	run := connect()
	go systems.FollowClock(t.Context(), &site.Map, run)
	reaches(t, run, speed)

	first := systems.SlowClock(t.Context(), &site.Map)
	reaches(t, site.Clock(), 1) // at once, since the site has answered
	reaches(t, run, 1)
	if late := connect(); late.Speed() != speed {
		t.Errorf("the speed of a clock that comes late is %v", late.Speed())
	} else {
		reaches(t, late, 1)
	}
	// Until the map's rate is far ahead of the site.
	m := site.Map
	for byMap := clock.Fast(m.Epoch, m.Real, m.Speed); byMap.Now().Sub(site.Clock().Now()) < 20*time.Second; {
		time.Sleep(10 * time.Millisecond)
	}
	if late, now := connect().Now(), site.Clock().Now(); late.Sub(now).Abs() > 10*time.Second {
		t.Errorf("a clock that comes late shows %s, the site's %s", late, now)
	}
	killed, kill := context.WithCancel(t.Context())
	systems.SlowClock(killed, &site.Map)
	first()
	if rate, _ := site.Clock().Rate(); rate.Speed != 1 {
		t.Errorf("with a question still open the site's clock runs at %v", rate.Speed)
	}
	kill() // the process is gone, without an answer
	reaches(t, site.Clock(), speed)
	reaches(t, run, speed)
}

// A site without a clock that answers leaves the rate of its map.
func TestClockDoesNotAnswer(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	for name, address := range map[string]string{"none": "", "no address": "::", "nothing there": "http://127.0.0.1:1", "another server": server.URL} {
		now := time.Now()
		m := &sitemap.Map{Epoch: now, Real: now, Speed: 7, Clock: address}
		clients, err := systems.Connect(plantest.Plan(), m, nil)
		if err != nil {
			t.Fatal(err)
		}
		systems.SlowClock(t.Context(), m)()
		systems.FollowClock(t.Context(), m, clients.Clock) // returns
		if rate, _ := clients.Clock.Rate(); rate.Speed != 7 {
			t.Errorf("%s: the clock runs at %v", name, rate.Speed)
		}
	}
}
