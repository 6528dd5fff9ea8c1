package review

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/executor/plan"
)

// weigh sets how closely to review a change, and why.
func (c *comparer) weigh(ch *Change) {
	if ch.Weight != "" {
		return
	}
	kind, id := subject(ch.Subject)
	switch {
	case ch.What == Reordered:
		c.weighOrder(ch, kind, id)
	case kind == "step":
		c.weighStep(ch, id)
	case kind == "stage":
		weighStage(ch)
	case kind == "csc" || kind == "host":
		c.weighRow(ch, kind, id)
	case kind == "targets":
		weighTarget(ch)
	case kind == "plan" && ch.Field == "doubts":
		ch.Weight, ch.Why = Danger, "the rules treat other facts as doubtful"
	case kind == "plan" && strings.HasPrefix(ch.Field, "facts.approvals"):
		ch.Weight, ch.Why = Danger, "others must approve the plan before it is carried out"
	case kind == "plan":
		ch.Weight, ch.Why = Danger, "this is a plan for something else"
	default:
		ch.Weight = Effect
		if ch.Field == "reason" {
			ch.Weight = Minor
		}
	}
}

// subject splits `step "offline/watcher"` into its kind and its name.
func subject(s string) (kind, name string) {
	kind, name, _ = strings.Cut(s, " ")
	return kind, strings.Trim(name, `"`)
}

func (c *comparer) weighOrder(ch *Change, kind, id string) {
	ch.Weight, ch.Why = Minor, "same effect, different order"
	switch {
	case ch.Subject == "plan" && ch.Field == "stages":
		ch.Weight, ch.Why = Danger, "stages run in this order, one after the other"
	case kind == "final":
		ch.Weight, ch.Why = Effect, "final steps run in this order"
	case kind != "step":
	case ch.Field == "action.commands":
		ch.Weight, ch.Why = Danger, "commands run in this order"
	case ch.Field == "action.cscs":
		if len(c.does(id).Commands) > 0 {
			ch.Weight, ch.Why = Danger, "the script takes CSCs in this order"
		}
	}
}

// safeguards are fields of a step that prevent damage, and what a change of them may
// mean.
var safeguards = map[string]string{
	"consent":           "the operator is asked something else",
	"principals":        "different principals must agree",
	"doubt":             "the operator is asked about different doubts",
	"needs":             "it starts after different steps than before",
	"onFailure":         "failures are handled differently",
	"undoes":            "it undoes another step",
	"action.kind":       "it does something completely different",
	"action.queue":      "another ScriptQueue runs it",
	"action.state":      "CSCs are sent to another state",
	"action.path":       "another script runs",
	"action.standard":   "the script comes from another place",
	"action.config":     "the script has a different configuration",
	"action.accept":     "different results of the script count as success",
	"action.host":       "it runs on another host",
	"action.user":       "it runs as another user",
	"action.commands":   "other commands run",
	"action.command":    "another command runs",
	"action.check":      "its result is checked differently",
	"action.silent":     "other CSCs must be silent before it runs",
	"action.purpose":    "it counts as something else",
	"action.service":    "it is about another service",
	"action.objects":    "something else is deleted",
	"action.namespace":  "it deletes in another namespace",
	"action.selector":   "another selector decides what is deleted",
	"action.revision":   "another branch is synced",
	"action.expect":     "another level is expected before",
	"action.set":        "another level is set",
	"action.muteAlarms": "alarms are handled differently",
	"action.channel":    "the message goes elsewhere",
}

func (c *comparer) weighStep(ch *Change, id string) {
	ch.Weight = Effect
	switch ch.What {
	case Removed:
		ch.Weight, ch.Why = Danger, "it is no longer done"
		if strings.HasPrefix(id, "final/") {
			ch.Why = "what it undid is no longer undone, not even on abort"
		}
		return
	case Added:
		ch.Weight, ch.Why = Danger, "it is done now"
		if e := c.does(id); e.ReadOnly && !e.ByPerson || c.posted(e.Posts) {
			ch.Weight, ch.Why = Effect, ""
		}
		return
	case Moved:
		ch.Weight, ch.Why = Danger, "it runs at a different time, under a different consent"
		if from, _, _ := strings.Cut(ch.Old, "/"); strings.HasPrefix(id, from+"/") {
			ch.Weight, ch.Why = Minor, "only its name changes"
		}
		return
	}
	field, _, _ := strings.Cut(ch.Field, "[")
	why, guards := safeguards[field]
	switch {
	case guards:
		ch.Weight, ch.Why = Danger, why
		if ch.New == "" && len(ch.Come) == 0 && slices.Contains([]string{"consent", "doubt", "principals", "needs", "action.check", "action.silent"}, field) {
			ch.Why = "it is dropped"
		}
	case field == "action.cscs" || field == "action.want":
		ch.Weight, ch.Why = Danger, c.cscWhy(ch, id)
	case field == "action.resources" || field == "action.application" || field == "action.applications":
		ch.Weight, ch.Why = Danger, "something else is synced or checked"
	case field == "action.text" && c.does(id).ByPerson:
		ch.Weight, ch.Why = Danger, "a person is asked to do something else"
	case field == "byHand":
		ch.Weight, ch.Why = Minor, "the instructions for doing it by hand"
		if c.typedOtherwise(id) {
			ch.Weight, ch.Why = Danger, "other commands are given for doing it by hand"
		}
	case field == "timeout":
		ch.Why = "the operator is asked at a different time"
		ch.Weight = Danger
	case slices.Contains([]string{"title", "source", "takes"}, field):
		ch.Weight = Minor
	}
}

// does returns the effects of a step of the new plan, or none if there is no such
// step.
func (c *comparer) does(id string) plan.Effects {
	s, ok := c.new.Step(id)
	if !ok {
		return plan.Effects{}
	}
	return s.Effects(c.new)
}

// posted reports whether a step of the old plan posts to the channel.
func (c *comparer) posted(channel string) bool {
	for s := range c.old.AllSteps() {
		if channel != "" && s.Effects(c.old).Posts == channel {
			return true
		}
	}
	return false
}

// typedOtherwise reports whether a change of a step's instructions changes commands
// that its action does not have. A change of the action is reported as such.
func (c *comparer) typedOtherwise(id string) bool {
	now, ok := c.new.Step(id)
	if !ok {
		return false
	}
	var before []string
	for s := range c.old.AllSteps() {
		if c.now(s.ID) == id {
			before = typedBeside(s)
		}
	}
	return !slices.Equal(before, typedBeside(now))
}

// cscWhy returns what it means that a step names different CSCs.
func (c *comparer) cscWhy(ch *Change, id string) string {
	var guarded []string
	for _, name := range ch.Come {
		if row, ok := c.new.CSC(name); ok && row.Principal != "" {
			guarded = append(guarded, fmt.Sprintf("%s (%s)", name, row.Principal))
		}
	}
	of := ""
	if len(guarded) > 0 {
		of = ": among them " + strings.Join(guarded, "; ")
	}
	switch e := c.does(id); {
	case e.State != "":
		return fmt.Sprintf("other CSCs are sent to %s%s", e.State, of)
	case e.Jobs != "":
		return "Jobs of other CSCs are deleted" + of
	case len(e.Sees) > 0 && e.ReadOnly:
		return "it waits for other CSCs or states"
	case e.Syncs != "":
		return "it waits for images of other CSCs"
	}
	return "it affects other CSCs"
}

func weighStage(ch *Change) {
	switch {
	case ch.What == Removed || ch.What == Added:
		ch.Weight = Danger
	case ch.Field == "consent":
		ch.Weight, ch.Why = Danger, "the operator consents to something else"
	case ch.Field == "principals":
		ch.Weight, ch.Why = Danger, "different principals must agree"
	case ch.Field == "doubts":
		ch.Weight, ch.Why = Danger, "the operator is asked about different doubts"
		if len(ch.Gone) > 0 && len(ch.Come) == 0 {
			ch.Why = "a doubt is no longer asked"
		}
	default:
		ch.Weight = Minor
	}
}

func (c *comparer) weighRow(ch *Change, kind, name string) {
	ch.Weight = Danger
	switch {
	case ch.What == Removed:
		ch.Why = "selectors are no longer compared with it"
	case ch.What == Added && kind == "host":
		ch.Why = "commands may run there"
	case ch.What == Added && c.foreign(name):
		ch.Why = "its image is from another registry"
	case ch.What == Added:
		ch.Weight = Effect
	case ch.Field == "before":
		ch.Weight, ch.Why = Effect, "another image is expected to run before"
	case ch.Field == "image":
		ch.Why = "another image runs"
	case ch.Field == "expect":
		ch.Why = "it ends in another state"
	case ch.Field == "comesUp":
		ch.Why = "it is expected in another state after its start"
	case ch.Field == "principal":
		ch.Why = "a different principal must agree"
	case kind == "host":
		ch.Why = "commands run elsewhere, or as a different user"
	default:
		ch.Why = "csu looks for it elsewhere"
	}
}

func weighTarget(ch *Change) {
	ch.Weight, ch.Why = Danger, "the plan talks to another system"
	switch {
	case ch.Field == "love.view":
		ch.Weight, ch.Why = Minor, ""
	case strings.HasPrefix(ch.Field, "pages"):
		ch.Why = "people are sent to another page"
	case ch.Field == "slack.channel":
		ch.Why = "messages go elsewhere"
	case ch.Field == "efd.lag":
		ch.Weight, ch.Why = Effect, ""
	}
}

// foreign reports whether the image of a CSC of the new plan is from a registry that
// the old plan has no image from.
func (c *comparer) foreign(csc string) bool {
	row, ok := c.new.CSC(csc)
	if !ok || row.Image == "" {
		return false
	}
	registry := func(image string) string { return image[:strings.LastIndexByte(image, '/')+1] }
	return !slices.ContainsFunc(c.old.CSCs, func(o plan.CSC) bool { return o.Image != "" && registry(o.Image) == registry(row.Image) })
}
