package rehearsal

import (
	"slices"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/internal/slack"
	"github.com/lsst-ts/csu/executor/plan"
)

func TestCameraTeamRestartsTheBridgesThatAreHandedOver(t *testing.T) {
	p := smallPlan()
	const text = "stage 2 may begin"
	p.Stages = append(p.Stages, plan.Stage{ID: "up", Title: "up", Steps: []plan.Step{
		step("up/stage-2", &plan.Announce{Channel: "#summit-announce", Text: text, Handover: true}),
		step("up/available", &plan.Manual{Text: "with the camera team", CSCs: []string{"MTCamera:0"}}),
	}})
	s := start(t, p)
	detached(t, s, "all/stop-bridge")
	c, err := slack.New(s.Map.Credentials["CSU_SLACK_TOKEN"], "", s.Map.Slack, nil, s.Clock())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Post(t.Context(), "#summit-announce", text, time.Minute); err != nil {
		t.Fatal(err)
	}
	s.eventually(t, "the bridge is heard again", func() bool { return s.csc("MTCamera:0").lives() })
	if got := s.csc("MTCamera:0").state; got != offline {
		t.Errorf("the bridge is %s, want OFFLINE", got)
	}
	if got, want := s.seen(MessagePosted), []string{"#summit-announce " + text}; !slices.Equal(got, want) {
		t.Errorf("messages %q, want %q", got, want)
	}
	last := s.Record()
	i := slices.IndexFunc(last, func(e Effect) bool { return e.Kind == ServiceStart })
	if i < 0 || last[i].Identity != cameraTeam {
		t.Errorf("the bridge was not started by the camera team:\n%s", s.tail(10))
	}
}

func TestSlackRefusesAWrongToken(t *testing.T) {
	s := start(t, smallPlan())
	c, err := slack.New("xoxb-wrong", "", s.Map.Slack, nil, s.Clock())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Post(t.Context(), "#summit-announce", "x", time.Minute); err == nil {
		t.Error("Post with a wrong token succeeded")
	}
	if got := s.seen(MessagePosted); len(got) > 0 {
		t.Errorf("messages %q, want none", got)
	}
}
