package action

import (
	"context"

	"github.com/lsst-ts/csu/executor/operator"
)

// ask asks a question whose reading does not go stale while it waits for its turn.
func (a *Attempt) ask(ctx context.Context, topic operator.Topic, text, reading string, choices ...operator.Choice) (operator.Answer, error) {
	return a.Ask(ctx, func(context.Context) (operator.Question, bool) {
		return a.question(topic, text, reading, choices...), true
	})
}

// question returns a question about the attempt's step. [Attempt.Ask] fills in
// the IDs of the step and its stage.
func (a *Attempt) question(topic operator.Topic, text, reading string, choices ...operator.Choice) operator.Question {
	return operator.Question{
		Topic:      topic,
		Title:      a.Step.Title,
		Text:       text,
		Principals: a.Step.Principals,
		Reading:    reading,
		Choices:    choices,
	}
}

// because appends the operator's reason, if there is one, to a sentence.
func because(sentence string, answer operator.Answer) string {
	if answer.Reason == "" {
		return sentence
	}
	return sentence + ": " + answer.Reason
}
