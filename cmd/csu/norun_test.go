package main

import (
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/plan"
)

func TestAgainstToday(t *testing.T) {
	santiago, err := time.LoadLocation("America/Santiago")
	if err != nil {
		t.Fatal(err)
	}
	p := &plan.Plan{Site: "summit", Type: plan.Incremental, Upgrade: plan.Upgrade{Date: "2026-11-24"}}
	p.Facts.TimeZone = "America/Santiago"
	p.Facts.Begins = &plan.Begins{At: "09:00", Never: []string{"Friday"}}
	at := func(date string, hour int) time.Time {
		day, err := time.ParseInLocation(time.DateOnly, date, santiago)
		if err != nil {
			t.Fatal(err)
		}
		return day.Add(time.Duration(hour) * time.Hour).UTC()
	}
	for name, test := range map[string]struct {
		now  time.Time
		want string
	}{
		"the day":                       {at("2026-11-24", 9), ""},
		"its end, the next one by UTC":  {at("2026-11-24", 23), ""},
		"the day before":                {at("2026-11-23", 23), "This plan is for 2026-11-24, which is still to come: at summit, today is Monday, 2026-11-23."},
		"the day after":                 {at("2026-11-25", 0), "This plan is for 2026-11-24, which has passed: at summit, today is Wednesday, 2026-11-25."},
		"a day on which no one deploys": {at("2026-11-27", 9), "This plan is for 2026-11-24, which has passed: at summit, today is Friday, 2026-11-27.\n2026-11-27 is a Friday: incremental deployments at summit never begin on a Friday (P54)."},
	} {
		if got := againstToday(p, test.now); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
	p.Upgrade.Date = "2026-11-27"
	if got, want := againstToday(p, at("2026-11-27", 9)), "2026-11-27 is a Friday: incremental deployments at summit never begin on a Friday (P54)."; got != want {
		t.Errorf("a plan for such a day: %q, want %q", got, want)
	}
}
