package efd

import (
	"testing"
	"time"
)

func TestJudge(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	csc := CSC{"MTMount", 0}
	other := Sight{CSC: CSC{"ATDome", 0}, State: "ENABLED", HeartbeatAt: ago(5 * time.Second), Heard: true}
	deaf := Sight{CSC: CSC{"ATDome", 0}, State: "ENABLED", HeartbeatAt: ago(3 * time.Minute)}
	twin := Sight{CSC: CSC{"MTMount", 1}, HeartbeatAt: ago(time.Second), Heard: true}

	for _, test := range []struct {
		name   string
		sight  Sight
		others []Sight
		want   Presence
	}{
		{"heard", Sight{State: "ENABLED", StateAt: ago(time.Hour), HeartbeatAt: ago(5 * time.Second), Heard: true}, nil, Speaking},
		{"not heard, no other asked about", Sight{State: "ENABLED", StateAt: ago(time.Hour), HeartbeatAt: ago(time.Minute)}, nil, Unknown},
		{"not heard, nor the other", Sight{State: "ENABLED", StateAt: ago(time.Hour), HeartbeatAt: ago(time.Minute)}, []Sight{deaf}, Unknown},
		{"not heard, the other is", Sight{State: "ENABLED", StateAt: ago(time.Hour), HeartbeatAt: ago(time.Minute)}, []Sight{deaf, other}, Silent},
		{"not heard, another instance is", Sight{}, []Sight{twin}, Silent},
		{"never seen, the other is heard", Sight{}, []Sight{other}, Silent},
		{"never seen, nor any other", Sight{}, []Sight{deaf}, Unknown},
		{"said OFFLINE, not heard since", Sight{State: "OFFLINE", StateAt: ago(time.Minute), HeartbeatAt: ago(61 * time.Second)}, nil, Silent},
		{"said OFFLINE, hours ago", Sight{State: "OFFLINE", StateAt: ago(20 * time.Hour)}, nil, Silent},
		{"said OFFLINE just now, a last heartbeat after it", Sight{State: "OFFLINE", StateAt: ago(10 * time.Second), HeartbeatAt: ago(9 * time.Second), Heard: true}, nil, Silent},
		{"said OFFLINE, but its heartbeats continue", Sight{State: "OFFLINE", StateAt: ago(10 * time.Minute), HeartbeatAt: ago(9 * time.Second), Heard: true}, []Sight{other}, Speaking},
		{"said OFFLINE, its heartbeats continued and ended", Sight{State: "OFFLINE", StateAt: ago(10 * time.Minute), HeartbeatAt: ago(2 * time.Minute)}, nil, Unknown},
		{"said OFFLINE weeks ago, the EFD is silent", Sight{State: "OFFLINE", StateAt: ago(20 * 24 * time.Hour)}, []Sight{deaf}, Unknown},
		{"said OFFLINE weeks ago, the EFD is not silent", Sight{State: "OFFLINE", StateAt: ago(20 * 24 * time.Hour)}, []Sight{other}, Silent},
	} {
		test.sight.CSC = csc
		all := append([]Sight{test.sight}, test.others...)
		if got := Judge(test.sight, all, now, testLag); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestWitnessIsTheOneHeardLast(t *testing.T) {
	now := time.Now()
	all := []Sight{
		{CSC: CSC{"MTMount", 0}, HeartbeatAt: now, Heard: true},
		{CSC: CSC{"ATDome", 0}, HeartbeatAt: now.Add(-9 * time.Second), Heard: true},
		{CSC: CSC{"ATPtg", 0}, HeartbeatAt: now.Add(-3 * time.Second), Heard: true},
		{CSC: CSC{"ATMCS", 0}, HeartbeatAt: now.Add(-time.Second)},
	}
	if w, ok := Witness(CSC{"MTMount", 0}, all); !ok || w.CSC != (CSC{"ATPtg", 0}) {
		t.Errorf("Witness = %v, %v, want ATPtg:0", w.CSC, ok)
	}
	if w, ok := Witness(CSC{"MTMount", 0}, all[:1]); ok {
		t.Errorf("Witness = %v: a CSC is no witness of its own silence", w.CSC)
	}
}

// End to end: a real database in which one CSC fell silent, and one in which
// all did.
func TestSilenceNeedsAWitness(t *testing.T) {
	s := newSite(t)
	cscs := []CSC{{"MTMount", 0}, {"ATDome", 0}}
	judge := func() Presence {
		t.Helper()
		sights, err := s.client.Look(t.Context(), cscs)
		if err != nil {
			t.Fatal(err)
		}
		return Judge(sights[0], sights, s.client.clk.Now(), testLag)
	}
	s.state("MTMount:0", 2, time.Hour)
	s.heartbeat("MTMount:0", 2*time.Minute)
	s.heartbeat("ATDome:0", 2*time.Minute)
	if got := judge(); got != Unknown {
		t.Errorf("no CSC heard for two minutes: %v, want unknown", got)
	}
	s.heartbeat("ATDome:0", time.Second)
	if got := judge(); got != Silent {
		t.Errorf("only ATDome heard: %v, want silent", got)
	}
	s.heartbeat("MTMount:0", 15*time.Second)
	if got := judge(); got != Speaking {
		t.Errorf("MTMount heard as well: %v, want speaking", got)
	}
}
