package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/lsst-ts/csu/executor/operator"
)

// TestLooks: what an operator must look at first is never answered beforehand, and
// every such question says what each of its choices means.
func TestLooks(t *testing.T) {
	t.Parallel()
	yesNo := []operator.Choice{operator.Yes, operator.No}
	choices := map[operator.Topic][]operator.Choice{
		operator.Outage: {operator.Yes, operator.Stop}, operator.Alone: yesNo, operator.TakingOver: yesNo, operator.Unlocking: yesNo, operator.Former: yesNo, operator.OtherDay: yesNo,
		operator.FormerOutage: yesNo, operator.BuildLost: yesNo, operator.Revision: yesNo, operator.Unexpected: {operator.Yes, operator.No, operator.Stop},
		operator.Failed: {operator.Retry, operator.ByHand, operator.Skip, operator.SetAside, operator.Stop}, operator.InDoubt: {operator.Happened, operator.NotHappened}, operator.Unseen: {operator.KeepWaiting, operator.NotHappened, operator.Accept},
	}
	a := &asker{name: "Ada Operator", consents: []string{"all", "begin", ""}}
	for _, topic := range terminalOnly {
		q := operator.Question{Topic: topic, Title: "Title", Text: "Text", Reading: "reading", Choices: choices[topic]}
		if slices.Contains([]operator.Topic{operator.Unexpected, operator.Failed, operator.InDoubt, operator.Unseen, operator.BuildLost, operator.Revision}, topic) {
			q.Stage, q.Step = "begin", "begin/kept"
		}
		if len(q.Choices) == 0 {
			t.Errorf("%s: the test has no choices of it", topic)
		}
		if answer, ok := a.beforehand(q); ok {
			t.Errorf("%s is answered beforehand: %+v", topic, answer)
		}
		if got := want(q); !strings.Contains(got, "terminal") {
			t.Errorf("%s wants %q", topic, got)
		}
		for _, c := range q.Choices {
			if meaning(topic, c) == "" {
				t.Errorf("%s: the choice %q has no meaning", topic, c)
			}
		}
		text := questionText(q, 80)
		for _, bad := range []string{`""`, "  :", "\n\n\n", ": :"} {
			if strings.Contains(text, bad) {
				t.Errorf("%s: the question has %q:\n%s", topic, bad, text)
			}
		}
		if prompt := promptText(q, 80); strings.HasPrefix(prompt, ":") || strings.HasPrefix(prompt, " ") {
			t.Errorf("%s: the prompt is %q", topic, prompt)
		}
	}
}
