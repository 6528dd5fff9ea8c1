package action

import (
	"context"
	"strings"

	"github.com/lsst-ts/csu/executor/operator"
)

// ask puts a question about the attempt's step.
func (a *Attempt) ask(ctx context.Context, topic operator.Topic, text, reading string, choices ...operator.Choice) (operator.Answer, error) {
	stage, _, _ := strings.Cut(a.Step.ID, "/")
	return a.Ask(ctx, operator.Question{
		Topic:      topic,
		Stage:      stage,
		Step:       a.Step.ID,
		Title:      a.Step.Title,
		Text:       text,
		Principals: a.Step.Principals,
		Reading:    reading,
		Choices:    choices,
	})
}

// because adds the reason that the operator gave to a sentence.
func because(sentence string, answer operator.Answer) string {
	if answer.Reason == "" {
		return sentence
	}
	return sentence + ": " + answer.Reason
}
