package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/term"

	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/visible"
)

// questionText is a question as it is printed, wrapped to the width. Without
// choices it is only shown.
func questionText(q operator.Question, width int) string {
	at := fmt.Sprintf("stage %q", q.Stage)
	switch {
	case q.Step != "":
		at = fmt.Sprintf("step %q", q.Step)
	case q.Stage == "":
		at = ""
	}
	head := strings.TrimSpace(heading[q.Topic] + " " + at)
	if q.Title != "" {
		head = strings.TrimLeft(head+": "+q.Title, ": ")
	}
	head = visible.Line(head)
	parts := []string{wrap("", head, width)}
	if text := strings.TrimSpace(q.Text); text != "" {
		parts = append(parts, wrap("  ", text, width))
	}
	if len(q.Principals) > 0 {
		parts = append(parts, wrap("  ", visible.Line(q.Agreement()), width))
	}
	if reading := strings.TrimRight(q.Reading, "\n"); reading != "" {
		parts = append(parts, "  "+cmp.Or(evidence[q.Topic], "Current state")+":\n"+wrapAround(reading, width))
	}
	var choices []string
	for i, c := range q.Choices {
		choice := fmt.Sprintf("  %d %-12s  ", i+1, c)
		indent := strings.Repeat(" ", len(choice))
		choices = append(choices, choice+strings.TrimPrefix(wrap(indent, meaning(q.Topic, c), width), indent))
	}
	if len(choices) > 0 {
		parts = append(parts, strings.Join(choices, "\n"))
	}
	return strings.Join(parts, "\n\n")
}

// wrapAround wraps a reading, except its commands, which are indented: a
// command that is copied from two lines is another one.
func wrapAround(reading string, width int) string {
	const indent = "    "
	lines := strings.Split(reading, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "    ") {
			lines[i] = indent + harmless(line)
		} else {
			lines[i] = wrap(indent, line, width)
		}
	}
	return strings.Join(lines, "\n")
}

// heading begins a question, by its topic.
var heading = map[operator.Topic]string{
	operator.StageConsent: "Consent needed for",
	operator.StepConsent:  "Consent needed for",
	operator.Doubt:        "Doubt to confirm before",
	operator.Manual:       "Manual",
	operator.Handover:     "Message not posted:",
	operator.QueuePaused:  "ScriptQueue paused:",
	operator.Failed:       "Not done:",
	operator.InDoubt:      "In doubt:",
	operator.Unseen:       "Not seen done:",
	operator.Aborting:     "You are about to abort the upgrade for good.",
	operator.Unexpected:   "Jobs that did not exist when the run began:",
	operator.BuildLost:    "Build lost:",
	operator.Revision:     "Another revision of Phalanx:",
}

// evidence names what a question's reading is, by its topic.
var evidence = map[operator.Topic]string{
	operator.StepConsent: "Current state",
	operator.Doubt:       "Current state",
	operator.Manual:      "Current state",
	operator.Handover:    "Why it could not be posted",
	operator.QueuePaused: "In the queue now",
	operator.Failed:      "How to do it by hand",
	operator.InDoubt:     "What csu found",
	operator.Unseen:      "What csu sees",
	operator.Aborting:    "What an abort does",
	operator.Unexpected:  "Jobs",
	operator.BuildLost:   "What csu found",
	operator.Revision:    "What differs",
	operator.Alone:       "Why csu asks",
	operator.OtherDay:    "Why csu asks",
	operator.TakingOver:  "Progress",
	operator.Unlocking:   "Progress",
}

// meaning says what a choice does, so that the operator need not remember it at night.
func meaning(t operator.Topic, c operator.Choice) string {
	asks := "csu then asks how to continue"
	switch c {
	case operator.Yes:
		return map[operator.Topic]string{
			operator.StageConsent: "start this stage",
			operator.StepConsent:  "do this step",
			operator.Doubt:        "checked, and the answer is yes: continue",
			operator.Manual:       "it is done",
			operator.Handover:     "they have been told",
			operator.QueuePaused:  "resume the queue",
			operator.Unexpected:   "delete them",
			operator.BuildLost:    "build again; csu waits for it",
			operator.Revision:     "deploy this revision, here and in the steps that follow",
			operator.Outage:       "continue without the site's ledger until the cluster answers",
			operator.Alone:        "the plan was not carried out, and no other csu is running it",
			operator.OtherDay:     "begin today; everyone affected has agreed",
			operator.TakingOver:   "take over the run and resume it here",
			operator.Unlocking:    "release the site from the run",
			operator.Former:       "confirmed: resume the run here",
			operator.FormerOutage: "it may have, or I do not know",
		}[t]
	case operator.No:
		return map[operator.Topic]string{
			operator.StageConsent: "stop csu: nothing of this stage starts; you can resume later",
			operator.StepConsent:  "stop csu: this step is not started; running steps finish; you can resume later",
			operator.Doubt:        "stop csu: nothing new starts; running steps finish; you can resume later",
			operator.Manual:       "it is not done; " + asks,
			operator.Handover:     "they have not been told; " + asks,
			operator.QueuePaused:  "leave it paused; " + asks,
			operator.Aborting:     "leave the run as it is; you can resume later",
			operator.Unexpected:   "leave them; " + asks,
			operator.BuildLost:    "do not build; " + asks,
			operator.Revision:     "do not deploy it; " + asks,
			operator.Alone:        "stop csu; nothing was started",
			operator.OtherDay:     "stop csu; nothing was started",
			operator.TakingOver:   "leave the run as it is and stop csu",
			operator.Unlocking:    "leave the run as it is and stop csu",
			operator.Former:       "stop csu; nothing was started",
			operator.FormerOutage: "no csu has worked on it without the cluster",
		}[t]
	case operator.Retry:
		return "do this step again"
	case operator.ByHand:
		if t == operator.Doubt {
			return "it is done by hand; csu checks what it can see of it when its turn comes"
		}
		return "it was done by hand; csu checks what it can see of it"
	case operator.Skip:
		return "leave it undone and continue; csu asks for the reason"
	case operator.SetAside:
		return "leave CSCs out of the rest of the run; csu asks which, why, and who was told"
	case operator.Stop:
		return "stop csu: nothing new starts; running steps finish; you can resume later"
	case operator.Abort:
		if t == operator.StageConsent || t == operator.Aborting { // nothing runs
			return "abort the upgrade for good: only the final steps still run"
		}
		return "abort the upgrade for good: running steps finish first, then only the final steps run"
	case operator.Accept:
		return "count it as done all the same; csu asks for the reason"
	case operator.KeepWaiting:
		if t == operator.Unseen {
			return "look again, when it is done"
		}
		return "check again, for as long as the step's time limit"
	case operator.Happened:
		return "I have seen that it is done; csu checks what it can see of it"
	case operator.NotHappened:
		if t == operator.Unseen {
			return "it is not done; " + asks
		}
		return "I have seen that it is neither done nor under way; " + asks
	}
	return ""
}

// again shows what has happened meanwhile and puts the whole question once more; so
// does an empty line.
const again = "?"

// promptText is where the answer to q is typed. It names what q is about: the
// question itself may have left the screen.
func promptText(q operator.Question, width int) string {
	var parts []string
	for i, c := range q.Choices {
		parts = append(parts, fmt.Sprintf("%d %s", i+1, c))
	}
	parts = append(parts, again+" refresh")
	return promptAbout(q, strings.Join(parts, ", ")+" >", width)
}

// promptAbout is a prompt that begins with the id of what q is about, on one line
// where it leaves room to type.
func promptAbout(q operator.Question, text string, width int) string {
	const typed = len("not happened ")
	about := q.Step
	if about == "" {
		about = q.Stage
	}
	if about != "" {
		about += ": "
	}
	if len([]rune(about+text))+typed <= width {
		return about + text + " "
	}
	if about != "" {
		about = strings.TrimRight(about, " ") + "\n"
	}
	return about + wrap("  ", text, width-typed) + " "
}

// answerFrom takes a typed answer: a choice by its number, its word or the word's
// beginning where that is not ambiguous. A remark may follow a number.
func answerFrom(line string, choices []operator.Choice) (c operator.Choice, remark string, ok bool) {
	first, remark, _ := strings.Cut(strings.TrimSpace(line), " ")
	n, err := strconv.Atoi(first)
	switch remark = strings.TrimSpace(remark); {
	case err != nil:
		c, ok = choose(line, choices)
		return c, "", ok
	case n < 1 || n > len(choices), remark != "" && !strings.ContainsFunc(remark, unicode.IsLetter):
		return "", "", false
	}
	return choices[n-1], remark, true
}

// choose takes a choice by its word or the word's beginning.
func choose(line string, choices []operator.Choice) (operator.Choice, bool) {
	line = strings.ToLower(strings.TrimSpace(line))
	if line == "" {
		return "", false
	}
	if slices.Contains(choices, operator.Choice(line)) {
		return operator.Choice(line), true
	}
	var found []operator.Choice
	for _, c := range choices {
		if strings.HasPrefix(string(c), line) {
			found = append(found, c)
		}
	}
	if len(found) == 1 {
		return found[0], true
	}
	return "", false
}

// wrap breaks text between words, so that no line is wider than the width where
// that can be. A line that begins with spaces keeps them.
func wrap(indent, text string, width int) string {
	var lines []string
	// Here too, since what is broken in two is not found later, and to be as wide as shown.
	for _, paragraph := range strings.Split(harmless(text), "\n") {
		own := len(paragraph) - len(strings.TrimLeft(paragraph, " "))
		start := indent + paragraph[:own]
		line, cells := start, len(start)
		for i, word := range fitting(splitWords(paragraph[own:]), width-len(start)-2) {
			size := len([]rune(word))
			bare := len([]rune(strings.TrimRight(word, " ")))
			if i > 0 && cells+bare > width {
				lines = append(lines, strings.TrimRight(line, " "))
				line, cells = start+"  ", len(start)+2
			}
			line, cells = line+word, cells+size
		}
		lines = append(lines, strings.TrimRight(line, " "))
	}
	return strings.Join(lines, "\n")
}

// fitting splits words that are wider than a line after their commas, as in a list of
// indices: elsewhere the terminal would break them, within a name or a number.
func fitting(words []string, width int) []string {
	if !slices.ContainsFunc(words, func(w string) bool { return len([]rune(w)) > width && strings.Contains(w, ",") }) {
		return words
	}
	var out []string
	for _, w := range words {
		if len([]rune(w)) > width {
			out = append(out, slices.DeleteFunc(strings.SplitAfter(w, ","), func(s string) bool { return s == "" })...)
		} else {
			out = append(out, w)
		}
	}
	return out
}

// splitWords splits behind each run of spaces, which stay with the word before. So
// does a flag: a command that is pasted without its last line must not run without
// its flags.
func splitWords(s string) []string {
	var words []string
	for s != "" {
		for end := 0; ; {
			space := strings.IndexByte(s[end:], ' ')
			if space < 0 {
				return append(words, s)
			}
			for end += space; end < len(s) && s[end] == ' '; {
				end++
			}
			if !strings.HasPrefix(s[end:], "--") {
				words, s = append(words, s[:end]), s[end:]
				break
			}
		}
	}
	return words
}

// fit wraps a text to the width of the terminal that it is written to. Elsewhere it
// stays as it is, for those who search it.
func fit(w io.Writer, text string) string {
	if e, ok := w.(edge); ok {
		w = e.w
	}
	if f, ok := w.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return wrap("", text, width)
		}
	}
	return text
}
