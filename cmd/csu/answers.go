package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
)

// prepared is an answer given in a file beforehand.
type prepared struct {
	// At is the id of a step, or of a stage for its consent and doubts.
	At    string         `json:"at"`
	Topic operator.Topic `json:"topic"`
	// Title and Text are those of the question, Principals whose agreement a yes confirms,
	// and Choices what may be answered, for those who prepare and review the file. If there is
	// a text, it must be the plan's, and the answer is to this question only.
	Title      string            `json:"title,omitempty"`
	Text       string            `json:"text,omitempty"`
	Principals []string          `json:"principals,omitempty"`
	Choices    []operator.Choice `json:"choices,omitempty"`
	// Choice is the answer; "" leaves the question to be asked.
	Choice operator.Choice `json:"choice"`
	Reason string          `json:"reason,omitempty"`
}

// answers reports whether p answers a question.
func (p *prepared) answers(q operator.Question) bool {
	at := q.Step
	if at == "" {
		at = q.Stage
	}
	same := p.Text == "" || p.Text == q.Text || p.Topic == operator.QueuePaused // whose text says what is in the queue
	return p.At == at && p.Topic == q.Topic && same && slices.Contains(q.Choices, p.Choice)
}

// ifPaused is the text of a question that is asked only if the queue is found paused.
const ifPaused = "Asked only if ScriptQueue:%d is paused when this step begins, as it is if the script that shuts down all CSCs has failed. Resume it? This clears its current script and starts the queued ones."

// questions returns what a run of the plan asks if nothing fails, in the order of asking,
// without answers.
func questions(p *plan.Plan) []prepared {
	var all []prepared
	add := func(at string, topic operator.Topic, title, text string, principals []string) {
		if text != "" {
			all = append(all, prepared{At: at, Topic: topic, Title: title, Text: text, Principals: principals, Choices: preparedChoices})
		}
	}
	manual := func(s *plan.Step) {
		if m, ok := s.Action.Parameters.(*plan.Manual); ok {
			add(s.ID, operator.Manual, s.Title, m.Text, s.Principals)
		}
	}
	for i := range p.Stages {
		s := &p.Stages[i]
		pauses := map[int]bool{} // queues
		for _, doubt := range s.Doubts {
			add(s.ID, operator.Doubt, s.Title, doubt, nil)
		}
		for j := range s.Steps {
			step := &s.Steps[j]
			add(step.ID, operator.Doubt, step.Title, step.Doubt, step.Principals)
		}
		add(s.ID, operator.StageConsent, s.Title, s.Consent, s.Principals)
		for j := range s.Steps {
			step := &s.Steps[j]
			add(step.ID, operator.StepConsent, step.Title, step.Consent, step.Principals)
			manual(step)
			queue := step.Effects(p).Queue
			if pauses[queue] {
				add(step.ID, operator.QueuePaused, step.Title, fmt.Sprintf(ifPaused, queue), step.Principals)
			}
			if script, ok := step.Action.Parameters.(*plan.Script); ok {
				_, shutdown, _ := script.Shutdown() // the rules require a configuration that can be read
				pauses[queue] = pauses[queue] || shutdown
			}
		}
	}
	for i := range p.Final {
		manual(&p.Final[i])
	}
	return all
}

// preparedTopics can be answered beforehand; what is decided by a look at the site cannot.
var preparedTopics = []operator.Topic{
	operator.StageConsent, operator.StepConsent, operator.Doubt, operator.Manual, operator.Handover, operator.QueuePaused,
}

var preparedChoices = []operator.Choice{operator.Yes, operator.No}

// answersTemplate writes the questions of a plan as a file of answers without answers.
func answersTemplate(w io.Writer, p *plan.Plan) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(questions(p))
}

// readAnswers reads a file of answers: a JSON array, one object per question.
func readAnswers(name string, p *plan.Plan) ([]prepared, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fail(exitInput, "", "read answers: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	var answers []prepared
	if err := dec.Decode(&answers); err != nil {
		return nil, fail(exitInput, `give a JSON array such as [{"at": "configuration/merged", "topic": "manual", "choice": "yes"}]`, "read answers %q: %w", name, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fail(exitInput, "", "read answers %q: unexpected text after the array", name)
	}
	ids := map[string]bool{}
	for i := range p.Stages {
		ids[p.Stages[i].ID] = true
	}
	for s := range p.AllSteps() {
		ids[s.ID] = true
	}
	asked := questions(p)
	for i := range answers {
		a := &answers[i]
		if !ids[a.At] {
			return nil, fail(exitInput, "", "read answers %q: the plan has no stage or step %q%s", name, a.At, plan.DidYouMean(a.At, slices.Sorted(maps.Keys(ids))))
		}
		if !slices.Contains(preparedTopics, a.Topic) {
			return nil, fail(exitInput, "answer this in a terminal: an operator must look before deciding what fails or is in doubt",
				"read answers %q: %q: the topic %q cannot be answered beforehand (only %q can)", name, a.At, a.Topic, preparedTopics)
		}
		if a.Choice != "" && !slices.Contains(preparedChoices, a.Choice) {
			return nil, fail(exitInput, `give "" to be asked during the run`, "read answers %q: %q: want the choice \"yes\" or \"no\", got %q", name, a.At, a.Choice)
		}
		if a.Text != "" && !slices.ContainsFunc(asked, func(q prepared) bool { return q.At == a.At && q.Topic == a.Topic && q.Text == a.Text }) {
			return nil, fail(exitInput, "write the questions anew with csu exec PLAN --answers-template, and answer them",
				"read answers %q: %q: the plan asks another question; the answer is to %s %q", name, a.At, a.Topic, abridgedText(a.Text))
		}
	}
	return answers, nil
}

// abridgedText is the beginning of a text.
func abridgedText(text string) string {
	const most = 60
	if runes := []rune(strings.Join(strings.Fields(text), " ")); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

// writeTemplate prints the questions of the plan in a file.
func (c *console) writeTemplate(file string) error {
	p, _, err := plan.ReadFile(file)
	if err != nil {
		return err
	}
	if err := answersTemplate(c.exact(), p); err != nil {
		return fmt.Errorf("write the questions: %w", err)
	}
	return nil
}
