package efd

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLookKeepsTheInstancesOfAnIndexedCSCApart(t *testing.T) {
	s := newSite(t)
	s.state("MTHexapod:1", 2, time.Hour)
	s.heartbeat("MTHexapod:1", 2*time.Second)
	s.state("MTHexapod:2", 4, time.Minute) // newer than the other one's
	s.heartbeat("MTHexapod:2", time.Minute)
	s.heartbeat("MTHexapod:1", 90*time.Second)

	sights, err := s.client.Look(t.Context(), []CSC{{"MTHexapod", 2}, {"MTHexapod", 1}, {"MTHexapod", 3}})
	if err != nil {
		t.Fatal(err)
	}
	want := []Sight{
		{CSC: CSC{"MTHexapod", 2}, State: "OFFLINE", StateAt: s.now.Add(-time.Minute), HeartbeatAt: s.now.Add(-time.Minute)},
		{CSC: CSC{"MTHexapod", 1}, State: "ENABLED", StateAt: s.now.Add(-time.Hour), HeartbeatAt: s.now.Add(-2 * time.Second), Heard: true},
		{CSC: CSC{"MTHexapod", 3}},
	}
	if diff := cmp.Diff(want, sights, cmp.Comparer(near)); diff != "" {
		t.Errorf("sights (-want +got):\n%s", diff)
	}
}

func TestLookReadsTheLastState(t *testing.T) {
	s := newSite(t)
	for i, ago := range []time.Duration{3 * time.Hour, 2 * time.Hour, time.Hour} {
		s.state("MTMount:0", []int{2, 1, 5}[i], ago)
	}
	s.state("ATDome:0", 3, 29*24*time.Hour)
	s.state("ATPtg:0", 2, 31*24*time.Hour) // too old to count
	s.state("MTCamera:0", 17, time.Hour)   // not a summary state
	sights, err := s.client.Look(t.Context(), []CSC{{"MTMount", 0}, {"ATDome", 0}, {"ATPtg", 0}, {"MTCamera", 0}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range sights {
		got = append(got, s.State)
	}
	if diff := cmp.Diff([]string{"STANDBY", "FAULT", "", ""}, got); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
	if sights[3].StateAt.IsZero() {
		t.Errorf("MTCamera's unknown state has no time")
	}
}

func TestLookHearsLateHeartbeats(t *testing.T) {
	s := newSite(t)
	s.heartbeat("MTMount:0", testLag+10*time.Second) // within lag and freshness
	s.heartbeat("ATDome:0", testLag+freshness+5*time.Second)
	s.heartbeat("ATPtg:0", testLag+heartbeatLookBack+time.Minute)
	sights, err := s.client.Look(t.Context(), []CSC{{"MTMount", 0}, {"ATDome", 0}, {"ATPtg", 0}})
	if err != nil {
		t.Fatal(err)
	}
	if !sights[0].Heard {
		t.Errorf("MTMount's heartbeat is late by less than the lag: want it heard, got %+v", sights[0])
	}
	if sights[1].Heard || sights[1].HeartbeatAt.IsZero() {
		t.Errorf("ATDome's heartbeat is old: want its time, and not heard, got %+v", sights[1])
	}
	if sights[2].Heard || !sights[2].HeartbeatAt.IsZero() {
		t.Errorf("ATPtg's heartbeat is older than the look-back: want none, got %+v", sights[2])
	}
}

func TestLookAsksForManyCSCsInTheirOrder(t *testing.T) {
	s := newSite(t)
	var cscs []CSC
	for i := range 60 { // more than fit into one request
		csc := CSC{"ESS", i + 1}
		cscs = append(cscs, csc)
		s.state(csc.String(), 1+i%5, time.Duration(i+1)*time.Minute)
	}
	sights, err := s.client.Look(t.Context(), cscs)
	if err != nil {
		t.Fatal(err)
	}
	if len(sights) != len(cscs) {
		t.Fatalf("%d sights, want %d", len(sights), len(cscs))
	}
	for i, sight := range sights {
		if sight.CSC != cscs[i] || sight.State != summaryState(1+i%5) || !near(sight.StateAt, s.now.Add(-time.Duration(i+1)*time.Minute)) {
			t.Errorf("sight %d is %+v, want %s %s", i, sight, cscs[i], summaryState(1+i%5))
		}
	}
}

func TestLookRefusesInvalidComponents(t *testing.T) {
	asked := false
	c := New("http://efd.invalid", "efd", "", "", &http.Client{Transport: transport(func(*http.Request) (*http.Response, error) {
		asked = true
		return nil, errors.New("no network here")
	})}, hasty(), testLag)
	for _, call := range []func(name string) error{
		func(name string) error { _, err := c.Alive(t.Context(), []string{name}); return err },
		func(name string) error { _, err := c.Fresh(t.Context(), []CSC{{name, 0}}); return err },
		func(name string) error { _, err := c.Look(t.Context(), []CSC{{name, 0}}); return err },
	} {
		if err := call(`X" WHERE time > 0; DROP DATABASE efd; --`); err == nil || asked {
			t.Errorf("Look of a component with a quote in its name = %v, %v, want an error and no request", asked, err)
		}
	}
}

func TestFreshIsTheNewestHeartbeatOfAll(t *testing.T) {
	s := newSite(t)
	cscs := []CSC{{"MTMount", 0}, {"MTHexapod", 1}, {"ATDome", 0}}
	if at, err := s.client.Fresh(t.Context(), cscs); err != nil || !at.IsZero() {
		t.Errorf("Fresh of an empty database = %v, %v, want zero", at, err)
	}
	s.heartbeat("MTMount:0", 50*time.Second)
	s.heartbeat("MTHexapod:1", 40*time.Second)
	s.heartbeat("MTHexapod:2", time.Second) // not one of the CSCs asked about
	at, err := s.client.Fresh(t.Context(), cscs)
	if err != nil || !near(at, s.now.Add(-40*time.Second)) {
		t.Errorf("Fresh = %v, %v, want %v", at, err, s.now.Add(-40*time.Second))
	}
}

func TestAliveListsEachIndexOnce(t *testing.T) {
	s := newSite(t)
	for i := range 5 {
		s.heartbeat("MTHexapod:2", time.Duration(i)*time.Second)
		s.heartbeat("MTHexapod:1", time.Duration(i)*time.Second+time.Millisecond)
	}
	s.heartbeat("MTHexapod:3", 2*time.Minute)
	s.heartbeat("ATDome:0", time.Second)
	alive, err := s.client.Alive(t.Context(), []string{"MTHexapod", "MTMount", "ATDome"})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(alive), "[ATDome:0 MTHexapod:1 MTHexapod:2]"; got != want {
		t.Errorf("alive = %s, want %s", got, want)
	}
}
