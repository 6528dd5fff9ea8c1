package systems

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"

	"github.com/lsst-ts/csu/executor/internal/clock"
	"github.com/lsst-ts/csu/executor/sitemap"
)

// clockLimit is how long the clock of a simulated site may take to answer.
const clockLimit = 2 * time.Second

// clockOf returns a clock that shows the time of a simulated site. If the site does not
// tell the rate of its clock, it is the one in the map.
func clockOf(m *sitemap.Map) *clock.Clock {
	present := clock.Rate{Epoch: m.Epoch, Real: m.Real, Speed: m.Speed}
	ctx, cancel := context.WithTimeout(context.Background(), clockLimit)
	defer cancel()
	rates(ctx, m, func(rate clock.Rate) bool {
		present = rate
		return false
	})
	// The rate in the map may be far ahead of a site that has waited for answers, and a
	// clock that has shown its time would not go back.
	return clock.At(present, m.Speed)
}

// FollowClock keeps a clock at the rate of a simulated site's until ctx ends or the site
// is gone.
func FollowClock(ctx context.Context, m *sitemap.Map, c *clock.Clock) {
	rates(ctx, m, func(rate clock.Rate) bool {
		c.Change(rate)
		return true
	})
}

// rates calls f with the present rate of a site's clock and with each new one, until f
// returns false.
func rates(ctx context.Context, m *sitemap.Map, f func(clock.Rate) bool) {
	body := atClock(ctx, http.MethodGet, m)
	defer body.Close()
	for lines := json.NewDecoder(body); ; {
		var rate clock.Rate
		if lines.Decode(&rate) != nil || rate.Speed < 1 || !f(rate) {
			return
		}
	}
}

// SlowClock lets the clock of a simulated site run at real speed until end is called.
// It does nothing if the site is gone.
func SlowClock(ctx context.Context, m *sitemap.Map) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	late := time.AfterFunc(clockLimit, cancel)
	body := atClock(ctx, http.MethodPost, m)
	late.Stop()
	return func() {
		cancel()
		body.Close()
	}
}

// atClock makes a request to a site's clock and returns its answer, which is empty if
// there is none.
func atClock(ctx context.Context, method string, m *sitemap.Map) io.ReadCloser {
	if m.Clock == "" {
		return http.NoBody
	}
	req, err := http.NewRequestWithContext(ctx, method, m.Clock, nil)
	if err != nil {
		return http.NoBody
	}
	resp, err := (&http.Transport{DialContext: dialLoopback, DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return http.NoBody
	}
	return resp.Body
}
