package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Format is the version of the journal's form. It is raised whenever a csu that
// knows only the old form would take a journal of the new one for something
// else: a new event, a new field, a new meaning.
const Format = "csu-journal/1"

// Event is what a record tells.
type Event string

// The events.
const (
	RunBegun   Event = "run"        // the first record: a run begins
	Resumed    Event = "resume"     // an executor takes the run up again
	Guarded    Event = "guard"      // a guard was passed; Text says which
	StageBegun Event = "stage"      // a stage's consents are given, its steps may start
	StageDone  Event = "stage-done" // every step of the stage is finished
	Answered   Event = "answer"     // the operator has answered; what follows from it holds from here on
	NotBegun   Event = "not-begun"  // an attempt came to nothing before its started record
	Started    Event = "started"    // an attempt is about to touch something: identity and evidence
	Noted      Event = "note"       // more evidence of an attempt under way
	Outcome    Event = "outcome"    // what an attempt came to
	Doubtful   Event = "in-doubt"   // an attempt's outcome could not be learned
	Confirmed  Event = "confirm"    // what a probe saw of a step that was done by hand
	NotNeeded  Event = "not-needed" // a final step that has nothing to undo
	Aborting   Event = "abort"      // the run is given up: only final steps are run from here on
	Left       Event = "left"       // a step is left in doubt by an abort
	Stopped    Event = "stopped"    // the executor ended and left the run to be resumed
	Complete   Event = "complete"   // the last record of a run that came to its end
	Aborted    Event = "aborted"    // the last record of a run that was given up
)

var events = []Event{
	RunBegun, Resumed, Guarded, StageBegun, StageDone, Answered, NotBegun, Started, Noted,
	Outcome, Doubtful, Confirmed, NotNeeded, Aborting, Left, Stopped, Complete, Aborted,
}

// Record is one line of a journal, in memory and in the file. Which fields are
// filled depends on the event.
type Record struct {
	Seq   int       `json:"seq"`  // from 1
	Time  time.Time `json:"time"` // of the run: in a rehearsal that of the simulated site
	Prev  string    `json:"prev"` // hash of the line before, "" in the first
	Event Event     `json:"event"`

	Run      *Run            `json:"run,omitempty"`      // run, resume
	Stage    string          `json:"stage,omitempty"`    // id
	Step     string          `json:"step,omitempty"`     // id
	Attempt  int             `json:"attempt,omitempty"`  // from 1
	Identity string          `json:"identity,omitempty"` // started: what the attempt is found by
	Evidence json.RawMessage `json:"evidence,omitempty"` // started, note
	Verdict  string          `json:"verdict,omitempty"`  // outcome, in-doubt, confirm
	Via      string          `json:"via,omitempty"`      // outcome, in-doubt: perform, probe or await
	Reported bool            `json:"reported,omitempty"` // outcome, in-doubt, not-begun: it was told, and the run goes on
	Answer   *Answer         `json:"answer,omitempty"`
	Text     string          `json:"text,omitempty"` // for people

	Hash string `json:"hash,omitempty"` // SHA-256 of the line before this field
}

// Run says who runs what.
type Run struct {
	Format   string `json:"format"`
	ID       string `json:"id"`     // random, the same in every resume
	Digest   string `json:"digest"` // of the plan
	Plan     string `json:"plan"`   // name of the plan's file, for people
	Operator string `json:"operator"`
	Version  string `json:"version"` // of csu
	PID      int    `json:"pid"`
	// SiteMap is the map's path where the run is a rehearsal.
	SiteMap string `json:"siteMap,omitempty"`
}

// Answer is a question that was put to the operator, and what was decided.
type Answer struct {
	Topic  string `json:"topic"`
	Text   string `json:"text,omitempty"`  // the question
	Shown  string `json:"shown,omitempty"` // what csu had read at that moment, and who had to agree
	Choice string `json:"choice"`
	Reason string `json:"reason,omitempty"`
	By     string `json:"by"`
	Via    string `json:"via"` // how it was given: at the terminal, or beforehand and by what
}

// maxLine bounds a line, so that a damaged file can't fill the memory.
const maxLine = 16 << 20

const (
	hashMark = `,"hash":"`
	hashTail = len(hashMark) + 2*sha256.Size + len(`"}`)
)

// encode returns the record's line, its newline included, and its hash.
func encode(r *Record) (line []byte, hash string, err error) {
	c := *r
	c.Hash = ""
	c.Time = r.Time.UTC().Round(0)
	line, plain, err := appendPlain(make([]byte, 0, 512), &c)
	if err == nil && !plain {
		line, err = marshal(&c)
	}
	if err != nil {
		return nil, "", err
	}
	sum := sha256.Sum256(line)
	hash = hex.EncodeToString(sum[:])
	line = append(line, hashMark...)
	line = append(line, hash...)
	line = append(line, "\"}\n"...)
	return line, hash, nil
}

// marshal returns the record's fields without the closing brace.
func marshal(r *Record) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(r); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("}\n")), nil
}

// appendPlain is marshal for most records: those of a step whose texts need no
// escape. Every line is encoded when it is read as well, and a journal may have a
// hundred thousand.
func appendPlain(b []byte, r *Record) (line []byte, plain bool, err error) {
	year := r.Time.Year()
	if r.Run != nil || r.Answer != nil || r.Hash != "" || year < 1000 || year > 9999 {
		return nil, false, nil
	}
	plain = true
	str := func(name, s string, always bool) {
		if s == "" && !always {
			return
		}
		for i := range len(s) {
			if s[i] < ' ' || s[i] > '~' || s[i] == '"' || s[i] == '\\' {
				plain = false
				return
			}
		}
		b = append(b, `,"`...)
		b = append(b, name...)
		b = append(b, `":"`...)
		b = append(b, s...)
		b = append(b, '"')
	}
	b = strconv.AppendInt(append(b, `{"seq":`...), int64(r.Seq), 10)
	b = append(b, `,"time":"`...)
	b = append(r.Time.AppendFormat(b, time.RFC3339Nano), '"')
	str("prev", r.Prev, true)
	str("event", string(r.Event), true)
	str("stage", r.Stage, false)
	str("step", r.Step, false)
	if r.Attempt != 0 {
		b = strconv.AppendInt(append(b, `,"attempt":`...), int64(r.Attempt), 10)
	}
	str("identity", r.Identity, false)
	if len(r.Evidence) > 0 {
		buffer := bytes.NewBuffer(append(b, `,"evidence":`...))
		if err := json.Compact(buffer, r.Evidence); err != nil {
			return nil, false, err
		}
		b = buffer.Bytes()
	}
	str("verdict", r.Verdict, false)
	str("via", r.Via, false)
	if r.Reported {
		b = append(b, `,"reported":true`...)
	}
	str("text", r.Text, false)
	return b, plain, nil
}

// parsePlain reads back what appendPlain writes, and nothing else: what it takes
// gives the same bytes again.
func parsePlain(body []byte) (*Record, bool) {
	r, rest, ok := &Record{}, string(body), true
	until := func(before, after string) (found string) {
		if !strings.HasPrefix(rest, before) {
			return ""
		}
		found, rest, _ = strings.Cut(rest[len(before):], after)
		return found
	}
	number := func(before string) (n int) {
		if strings.HasPrefix(rest, before) {
			end := len(before)
			for end < len(rest) && '0' <= rest[end] && rest[end] <= '9' {
				end++
			}
			var err error
			n, err = strconv.Atoi(rest[len(before):end])
			ok, rest = ok && err == nil, rest[end:]
		}
		return n
	}
	r.Seq = number(`{"seq":`)
	at, err := time.Parse(time.RFC3339Nano, until(`,"time":"`, `"`))
	if err != nil {
		return nil, false
	}
	r.Time = at
	r.Prev = until(`,"prev":"`, `"`)
	r.Event = Event(until(`,"event":"`, `"`))
	r.Stage = until(`,"stage":"`, `"`)
	r.Step = until(`,"step":"`, `"`)
	r.Attempt = number(`,"attempt":`)
	r.Identity = until(`,"identity":"`, `"`)
	if evidence, found := strings.CutPrefix(rest, `,"evidence":`); found {
		r.Evidence, rest = json.RawMessage(evidence), "" // it is the last field of its records
	}
	r.Verdict = until(`,"verdict":"`, `"`)
	r.Via = until(`,"via":"`, `"`)
	if after, found := strings.CutPrefix(rest, `,"reported":true`); found {
		r.Reported, rest = true, after
	}
	r.Text = until(`,"text":"`, `"`)
	if !ok || rest != "" {
		return nil, false
	}
	again, plain, err := appendPlain(make([]byte, 0, len(body)), r)
	return r, plain && err == nil && bytes.Equal(again, body)
}

// decode reads a line without its newline. Its error is the reason why this is
// no line that csu wrote.
func decode(line []byte) (*Record, error) {
	if len(line) <= hashTail || !bytes.HasPrefix(line[len(line)-hashTail:], []byte(hashMark)) || !bytes.HasSuffix(line, []byte(`"}`)) {
		return nil, errors.New("the line does not end with its hash")
	}
	body := line[:len(line)-hashTail]
	sum := sha256.Sum256(body)
	hash := line[len(line)-hashTail+len(hashMark) : len(line)-2]
	if !bytes.Equal(hash, hex.AppendEncode(nil, sum[:])) {
		return nil, errors.New("the line does not fit its own hash: it was changed after it was written")
	}
	if r, ok := parsePlain(body); ok && slices.Contains(events, r.Event) {
		r.Hash = string(hash)
		return r, nil
	}
	var r Record
	if err := json.Unmarshal(line, &r); err != nil {
		return nil, fmt.Errorf("the line is no record: %w", err)
	}
	if !slices.Contains(events, r.Event) {
		return nil, fmt.Errorf("unknown event %q: use the csu that wrote this journal", r.Event)
	}
	again, _, err := encode(&r)
	if err != nil {
		return nil, fmt.Errorf("the line is no record: %w", err)
	}
	if !bytes.Equal(again[:len(again)-1], line) {
		return nil, errors.New("the line is not in the form in which csu writes it: use the csu that wrote this journal")
	}
	return &r, nil
}

// clean replaces what is no UTF-8 in the texts of a record, which may come from
// anywhere; JSON would write it in a form that it does not read back.
func clean(r *Record) {
	texts := []*string{&r.Stage, &r.Step, &r.Identity, &r.Verdict, &r.Via, &r.Text}
	if r.Run != nil {
		c := *r.Run
		r.Run = &c
		texts = append(texts, &c.ID, &c.Digest, &c.Plan, &c.Operator, &c.Version, &c.SiteMap)
	}
	if r.Answer != nil {
		c := *r.Answer
		r.Answer = &c
		texts = append(texts, &c.Topic, &c.Text, &c.Shown, &c.Choice, &c.Reason, &c.By, &c.Via)
	}
	for _, t := range texts {
		*t = strings.ToValidUTF8(*t, "\uFFFD")
	}
}
