package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/secret"
)

// Format is the version of the journal's format. It is raised whenever a csu
// that knows only the old format would misread the new one: a new event, a new
// field, a new meaning.
const Format = "csu-journal/3"

// formats are those that can be read. A journal of format 2 has no records of what was
// asked; a csu that continues it adds them.
var formats = []string{"csu-journal/2", Format}

// Event is the kind of a record.
type Event string

// The events.
const (
	RunBegun    Event = "run"        // the first record: the run begins
	Resumed     Event = "resume"     // an executor resumes the run, on this machine or on another
	Inventoried Event = "inventory"  // what the run may delete, by UID, recorded when the run begins; see Evidence
	Guarded     Event = "guard"      // a guard was passed; Text says which
	StageBegun  Event = "stage"      // a stage has its consents; its steps may start
	StageDone   Event = "stage-done" // every step of the stage is finished
	Asked       Event = "asked"      // a question was put to the operator, and is open until it is answered or withdrawn; see Question
	Withdrawn   Event = "withdrawn"  // a question is settled without an answer; Text says by what
	Answered    Event = "answer"     // the operator has answered; the answer applies from here on
	NotBegun    Event = "not-begun"  // an attempt ended before its started record
	Started     Event = "started"    // an attempt is about to touch something: identity and evidence
	Noted       Event = "note"       // further evidence of a running attempt
	Suspected   Event = "suspect"    // another executor may have begun this step, in an attempt without a started record here; see Step, Attempt, Text
	Outcome     Event = "outcome"    // the result of an attempt
	Doubtful    Event = "in-doubt"   // an attempt's outcome is unknown
	Confirmed   Event = "confirm"    // whether csu sees the result of a step that the operator says is done
	Looked      Event = "look"       // which CSCs are not in their expected state at the end; see Evidence, or Text where csu cannot see them
	NotNeeded   Event = "not-needed" // nothing is left to do: the step undoes nothing, or all its CSCs were set aside
	Aborting    Event = "abort"      // the run is being aborted: only final steps run from here on
	Left        Event = "left"       // an abort leaves a step in doubt
	Stopped     Event = "stopped"    // the executor ended; the run can be resumed
	Complete    Event = "complete"   // the run has finished
	Aborted     Event = "aborted"    // the run was aborted
	Released    Event = "released"   // the ledger has the finished run; the one record that may follow complete or aborted
	Elided      Event = "elided"     // replaces a note that a copy omits; see Original
)

var events = []Event{
	RunBegun, Resumed, Inventoried, Guarded, StageBegun, StageDone, Asked, Withdrawn, Answered, NotBegun, Started, Noted, Suspected,
	Outcome, Doubtful, Confirmed, Looked, NotNeeded, Aborting, Left, Stopped, Complete, Aborted, Released, Elided,
}

// Record is one line of a journal, in memory and in the file. Which fields are
// set depends on the event.
type Record struct {
	Seq   int       `json:"seq"`  // from 1
	Time  time.Time `json:"time"` // of the run; in a rehearsal, of the simulated site
	Prev  string    `json:"prev"` // hash of the line before; "" in the first
	Event Event     `json:"event"`

	Run      *Run            `json:"run,omitempty"`      // run, resume
	Stage    string          `json:"stage,omitempty"`    // id
	Step     string          `json:"step,omitempty"`     // id
	Attempt  int             `json:"attempt,omitempty"`  // from 1
	Identity string          `json:"identity,omitempty"` // started: by which the attempt can be found
	Evidence json.RawMessage `json:"evidence,omitempty"` // started, note, inventory, look
	Verdict  string          `json:"verdict,omitempty"`  // outcome, in-doubt, confirm
	Via      string          `json:"via,omitempty"`      // outcome, in-doubt: perform, probe or await
	Reported bool            `json:"reported,omitempty"` // outcome, in-doubt, not-begun: it was reported, and the run continues
	Question *Question       `json:"question,omitempty"` // asked, withdrawn
	Answer   *Answer         `json:"answer,omitempty"`
	Text     string          `json:"text,omitempty"` // for people
	// Original is the hash of the record that an elided record replaces. The
	// next record follows it. That record's content is gone and cannot be
	// verified, but the chain shows that it is gone, and from where.
	Original string `json:"original,omitempty"`

	Hash string `json:"hash,omitempty"` // SHA-256 of the line before this field
}

// link returns the hash that the next record follows.
func (r *Record) link() string {
	if r.Event == Elided {
		return r.Original
	}
	return r.Hash
}

// Run says which executor runs which plan.
type Run struct {
	Format   string `json:"format"`
	ID       string `json:"id"`     // random, the same in every resume
	Digest   string `json:"digest"` // of the plan
	Plan     string `json:"plan"`   // name of the plan's file, for people
	Operator string `json:"operator"`
	Version  string `json:"version"` // of csu
	PID      int    `json:"pid"`
	Host     string `json:"host,omitempty"`    // name of the executor's machine
	Process  string `json:"process,omitempty"` // random id of the executor's process
	// Settle says that another process may still have requests under way. This
	// process must let them end before it looks at what was left.
	Settle bool `json:"settle,omitempty"`
	// Doubted says that another csu may have continued the run while the
	// cluster did not answer. Every unfinished step is then suspected before
	// anything is started.
	Doubted bool `json:"doubted,omitempty"`
	// SiteMap is the path of the site map, if the run is a rehearsal.
	SiteMap string `json:"siteMap,omitempty"`
	// Approved says whose approvals this executor went by; nil if the plan asks for none,
	// or if the run had begun before.
	Approved *Approved `json:"approved,omitempty"`
}

// Approved says who had approved a plan when csu began to carry it out.
type Approved struct {
	Time    time.Time  `json:"time"`    // by the machine's clock, also in a rehearsal
	Signers Signers    `json:"signers"` // by which the approvals were verified
	By      []Approval `json:"by"`
	Missing []string   `json:"missing,omitempty"` // such as "1 lead"
	// Emergency is the reason to carry the plan out without what is missing; "" if
	// nothing is missing, or in a rehearsal.
	Emergency string `json:"emergency,omitempty"`
	Owes      string `json:"owes,omitempty"`    // who approves later, in an emergency
	Modules   string `json:"modules,omitempty"` // SHA-256 of the versions and sums of the modules in csu
}

// Signers identifies the file of the people whose approvals count.
type Signers struct {
	File   string `json:"file"`
	Commit string `json:"commit"`
	Digest string `json:"digest"` // SHA-256
}

// Approval is one person's.
type Approval struct {
	Role   string    `json:"role"`
	By     string    `json:"by"`
	Key    string    `json:"key"`    // fingerprint
	Time   time.Time `json:"time"`   // in the signed statement
	Digest string    `json:"digest"` // SHA-256 of the statement, a zero byte and the signature
}

// Question is a question to the operator that waits for an answer, or no longer does.
type Question struct {
	Topic string `json:"topic"`
	Text  string `json:"text,omitempty"`
}

// Answer is a question to the operator, and the decision.
type Answer struct {
	Topic  string `json:"topic"`
	Text   string `json:"text,omitempty"`  // the question
	Shown  string `json:"shown,omitempty"` // what csu read at that moment, and who had to agree
	Choice string `json:"choice"`
	Reason string `json:"reason,omitempty"`
	// CSCs were set aside; Told says who was told about it.
	CSCs []string `json:"cscs,omitempty"`
	Told string   `json:"told,omitempty"`
	By   string   `json:"by"`
	// Checked says that the step counts as done only when csu has looked: a confirm
	// record follows.
	Checked bool   `json:"checked,omitempty"`
	Via     string `json:"via"` // how it was given: at the terminal, or beforehand, and how
}

// maxLine limits a line, so that a damaged file cannot fill the memory.
const maxLine = 16 << 20

const (
	hashMark = `,"hash":"`
	hashTail = len(hashMark) + 2*sha256.Size + len(`"}`)
)

// encode returns the record's line, including its newline.
func encode(r *Record) ([]byte, error) {
	c := *r
	c.Hash = ""
	c.Time = r.Time.UTC().Round(0)
	line, err := marshal(&c)
	if err != nil {
		return nil, err
	}
	return appendHash(line, 0), nil
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

// decode parses a line without its newline. The error says why csu cannot have
// written this line.
func decode(line []byte) (*Record, error) {
	if len(line) <= hashTail || !bytes.HasPrefix(line[len(line)-hashTail:], []byte(hashMark)) || !bytes.HasSuffix(line, []byte(`"}`)) {
		return nil, errors.New("the line does not end with its hash")
	}
	body := line[:len(line)-hashTail]
	sum := sha256.Sum256(body)
	hash := line[len(line)-hashTail+len(hashMark) : len(line)-2]
	if !bytes.Equal(hash, hex.AppendEncode(nil, sum[:])) {
		return nil, errors.New("the line does not match its own hash: it was changed after it was written")
	}
	return parse(line)
}

// parse is decode for a line whose hash was just computed.
func parse(line []byte) (*Record, error) {
	var r Record
	if err := json.Unmarshal(line, &r); err != nil {
		return nil, fmt.Errorf("the line is not a record: %w", err)
	}
	if !slices.Contains(events, r.Event) {
		return nil, fmt.Errorf("unknown event %q: use the csu that wrote this journal", r.Event)
	}
	fields := r
	fields.Hash = ""
	again, err := marshal(&fields)
	if err != nil {
		return nil, fmt.Errorf("the line is not a record: %w", err)
	}
	if !bytes.Equal(again, line[:len(line)-hashTail]) {
		return nil, errors.New("csu would write the line differently: use the csu that wrote this journal")
	}
	return &r, nil
}

// clean replaces the secrets of csu in everything that may come from outside, and
// invalid UTF-8, which JSON would write in a form that it does not read back. What csu
// itself has named stays: a run must be found by it again.
func clean(r *Record) {
	named := []*string{&r.Stage, &r.Step, &r.Identity, &r.Verdict, &r.Via}
	texts := []*string{&r.Text}
	if r.Run != nil {
		c := *r.Run
		r.Run = &c
		named = append(named, &c.ID, &c.Digest, &c.Plan, &c.Version, &c.Host, &c.Process, &c.SiteMap)
		texts = append(texts, &c.Operator)
		if c.Approved != nil {
			a := *c.Approved
			c.Approved = &a
			texts = append(texts, &a.Emergency)
		}
	}
	if r.Question != nil {
		c := *r.Question
		r.Question = &c
		named, texts = append(named, &c.Topic), append(texts, &c.Text)
	}
	if r.Answer != nil {
		c := *r.Answer
		r.Answer = &c
		named = append(named, &c.Topic, &c.Choice)
		texts = append(texts, &c.Text, &c.Shown, &c.Reason, &c.Told, &c.By, &c.Via)
	}
	for _, t := range texts {
		*t = secret.Redact(*t)
	}
	for _, t := range slices.Concat(named, texts) {
		*t = strings.ToValidUTF8(*t, "\uFFFD")
	}
	r.Evidence = withoutSecrets(r.Evidence)
}

// withoutSecrets replaces secrets in the strings of JSON.
func withoutSecrets(text json.RawMessage) json.RawMessage {
	if secret.Redact(string(text)) == string(text) {
		return text
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return text // which encode refuses
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(redacted(v)) != nil {
		return text
	}
	return bytes.TrimSpace(b.Bytes())
}

func redacted(v any) any {
	switch v := v.(type) {
	case string:
		return secret.Redact(v)
	case []any:
		for i := range v {
			v[i] = redacted(v[i])
		}
	case map[string]any:
		clean := map[string]any{}
		for k, e := range v {
			clean[secret.Redact(k)] = redacted(e)
		}
		return clean
	}
	return v
}
