package load

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/cuecontext"
	cueload "cuelang.org/go/cue/load"
	cuejson "cuelang.org/go/encoding/json"

	"github.com/lsst-ts/csu/executor/plan"
)

// planSchema is #Plan of schema/plan.cue, as the stock cue command applies it.
type planSchema struct {
	context    *cue.Context
	definition cue.Value
}

func loadPlanSchema(t *testing.T) planSchema {
	t.Helper()
	instances := cueload.Instances([]string{"./schema"}, &cueload.Config{Dir: "../../.."})
	if err := instances[0].Err; err != nil {
		t.Fatal(err)
	}
	ctx := cuecontext.New()
	v := ctx.BuildInstance(instances[0]).LookupPath(cue.MakePath(cue.Def("#Plan")))
	if v.Err() != nil {
		t.Fatal(v.Err())
	}
	return planSchema{ctx, v}
}

// check does what cue vet -c -d '#Plan' does with a file.
func (s planSchema) check(data []byte) error {
	expr, err := cuejson.Extract("plan.json", data)
	if err != nil {
		return err
	}
	return s.definition.Unify(s.context.BuildExpr(expr)).Validate(cue.Concrete(true))
}

func frozen(t *testing.T) []*plan.Plan {
	t.Helper()
	names, err := filepath.Glob("../../../plans/*.json")
	if err != nil || len(names) < 9 {
		t.Fatalf("plans: %d files, %v", len(names), err)
	}
	var out []*plan.Plan
	for _, name := range names {
		p, _, err := plan.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

// TestPlansFitTheirSchema: every plan of the repository passes schema/plan.cue.
func TestPlansFitTheirSchema(t *testing.T) {
	schema := loadPlanSchema(t)
	for _, p := range frozen(t) {
		data, err := plan.Encode(p)
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.check(data); err != nil {
			t.Errorf("%s %s: %v", p.Site, p.Type, err)
		}
	}
}

// smallPlan has, taken from the plans of the repository, a step of each kind,
// and rows of each sort. It can be decoded; the rules don't hold.
func smallPlan(t *testing.T) *plan.Plan {
	t.Helper()
	var small plan.Plan
	stage := plan.Stage{ID: "all", Title: "All kinds", Consent: "Now.", Principals: []string{"camera team"}, Doubts: []string{"Perhaps."}, Source: []string{"P2"}}
	best := map[plan.Kind]plan.Step{}
	rich := func(s plan.Step) int { data, _ := json.Marshal(s.Action); return bytes.Count(data, []byte(`":`)) }
	for _, p := range frozen(t) {
		if p.Site == "summit" && p.Type == plan.Full {
			small = *p
		}
		for s := range p.AllSteps() {
			if k := s.Action.Kind(); rich(*s) > rich(best[k]) || best[k].ID == "" {
				best[k] = *s
			}
		}
	}
	for _, k := range plan.Kinds {
		s := best[k]
		if s.ID == "" {
			t.Fatalf("no plan has a step of kind %q", k)
		}
		s.ID, s.Needs, s.Undoes = "all/"+string(k), nil, ""
		if len(stage.Steps) > 0 {
			s.Needs = []string{stage.Steps[0].ID}
		}
		s.Consent, s.Principals, s.Doubt = "Is it agreed?", []string{"camera team"}, "Perhaps."
		if a, ok := s.Action.Parameters.(*plan.AwaitState); ok {
			s.Action.Parameters = &plan.AwaitState{Want: a.Want[:1]}
		}
		stage.Steps = append(stage.Steps, s)
	}
	back := best[plan.KindCompatibility]
	back.ID, back.Needs, back.Undoes = "final/back", nil, "all/compatibility"
	job := small.CSCs[0]
	job.Principal, job.Keeps = "camera team", plan.Enabled
	bridge := small.CSCs[slices.IndexFunc(small.CSCs, func(c plan.CSC) bool { return c.Bridge })]
	small.CSCs, small.Hosts = []plan.CSC{job, bridge}, []plan.Host{small.Hosts[0]}
	small.Hosts[0].Checkout, small.Hosts[0].Restart, small.Hosts[0].Reboot = true, true, true
	small.Doubts = []plan.Doubt{{Text: "Perhaps.", CSCs: []string{job.CSC}, State: plan.Offline, Host: small.Hosts[0].Name, Service: "x", Purpose: plan.Stop, Source: []string{"P15"}, Step: "all/ssh"}}
	u := &small.Upgrade
	u.Revisions, u.Changed = u.Revisions[:1], u.Revisions[:1]
	u.SyncSasquatch, u.CriosDone, u.StartBridges, u.IntegrationTestingFollows = true, true, true, true
	u.Applications, u.Hosts, u.Branches = []string{"love"}, []string{"azar03"}, []plan.Branch{{Repository: "phalanx", Branch: "main"}}
	small.Targets.Pages = small.Targets.Pages[:1]
	small.Facts.TestStand, small.Facts.TrackingOnly, small.Facts.EnableIfNecessary, small.Facts.EnableAll = true, true, true, true
	small.Facts.Begins.Never = []string{"Friday"}
	small.Facts.Approvals = &plan.Approvals{Roles: []plan.Need{{Role: "lead", Count: 1}}, NotByAuthor: true}
	small.Facts.Telescopes = []plan.Telescope{{Name: "auxtel", Consists: []string{"auxtel"}}}
	small.Stages, small.Final = []plan.Stage{stage}, []plan.Step{back}
	return &small
}

// A member is one field of one object in a plan's JSON.
type member struct {
	object *value
	at     int
	path   string
}

// value is JSON that keeps the order of fields.
type value struct {
	scalar any
	keys   []string
	fields []*value // of an object, with keys; else the elements of an array
	kind   byte     // '{', '[' or 0
}

func parseValue(t *testing.T, d *json.Decoder) *value {
	t.Helper()
	tok, err := d.Token()
	if err != nil {
		t.Fatal(err)
	}
	v := &value{scalar: tok}
	delim, ok := tok.(json.Delim)
	if !ok {
		return v
	}
	v.kind = byte(delim)
	for d.More() {
		if v.kind == '{' {
			key, err := d.Token()
			if err != nil {
				t.Fatal(err)
			}
			v.keys = append(v.keys, key.(string))
		}
		v.fields = append(v.fields, parseValue(t, d))
	}
	if _, err := d.Token(); err != nil {
		t.Fatal(err)
	}
	return v
}

func (v *value) write(b *bytes.Buffer) {
	if v.kind == 0 {
		e := json.NewEncoder(b)
		e.SetEscapeHTML(false)
		_ = e.Encode(v.scalar) // a buffer takes all, and tokens encode
		return
	}
	b.WriteByte(v.kind)
	for i, f := range v.fields {
		if i > 0 {
			b.WriteByte(',')
		}
		if v.kind == '{' {
			fmt.Fprintf(b, "%q:", v.keys[i])
		}
		f.write(b)
	}
	b.WriteByte(v.kind + 2) // ] and } stand two behind [ and {
}

// members returns each field of each sort of object once.
func (v *value) members(path string, seen map[string]bool) []member {
	var out []member
	kind := ""
	if i := slices.Index(v.keys, "kind"); i >= 0 {
		kind = fmt.Sprintf("(%v)", v.fields[i].scalar)
	}
	for i, f := range v.fields {
		at := path + "[]"
		if v.kind == '{' {
			at = path + kind + "." + v.keys[i]
			if !seen[at] {
				seen[at] = true
				out = append(out, member{v, i, at})
			}
		}
		out = append(out, f.members(at, seen)...)
	}
	return out
}

// decoded returns why Decode refuses the JSON, or nil. What is only not in the
// canonical form does not count: no schema could see that.
func decoded(t *testing.T, root *value) ([]byte, error) {
	t.Helper()
	var compact, b bytes.Buffer
	root.write(&compact)
	if err := json.Indent(&b, compact.Bytes(), "", "  "); err != nil {
		t.Fatal(err)
	}
	b.WriteByte('\n')
	_, err := plan.Decode("plan.json", b.Bytes())
	if err != nil && strings.Contains(err.Error(), "canonical form") {
		err = nil
	}
	return b.Bytes(), err
}

// TestSchemaAndTypesAgree changes each field of each sort of object in a plan,
// and wants schema/plan.cue and the Go types to refuse the same: fields that are
// unknown or missing, and values of another type.
func TestSchemaAndTypesAgree(t *testing.T) {
	schema := loadPlanSchema(t)
	data, err := plan.Encode(smallPlan(t))
	if err != nil {
		t.Fatal(err)
	}
	root := parseValue(t, json.NewDecoder(bytes.NewReader(data)))
	if b, err := decoded(t, root); err != nil || !bytes.Equal(b, data) {
		t.Fatalf("the small plan is no plan: %v", err)
	}
	if err := schema.check(data); err != nil {
		t.Fatal(err)
	}
	all := root.members("", map[string]bool{})
	if len(all) < 120 {
		t.Errorf("only %d fields were found", len(all))
	}
	both := func(m member, what string, refused bool) {
		t.Helper()
		b, inGo := decoded(t, root)
		inCUE := schema.check(b)
		switch {
		case (inGo == nil) != (inCUE == nil):
			t.Errorf("%s, %s: Go says %v, CUE says %v", m.path, what, inGo, inCUE)
		case refused && inGo == nil:
			t.Errorf("%s, %s: nobody refuses it", m.path, what)
		}
	}
	for _, m := range all {
		o, key, old := m.object, m.object.keys[m.at], m.object.fields[m.at]

		o.keys[m.at] = key + "X"
		both(m, "misspelled", true)
		o.keys[m.at] = key

		keys, fields := o.keys, o.fields
		o.keys, o.fields = slices.Delete(slices.Clone(keys), m.at, m.at+1), slices.Delete(slices.Clone(fields), m.at, m.at+1)
		both(m, "left out", false)
		o.keys, o.fields = keys, fields

		for _, other := range []*value{{scalar: "x y"}, {scalar: 2.5}, {kind: '{'}} {
			if old.kind == 0 && fmt.Sprintf("%T", old.scalar) == fmt.Sprintf("%T", other.scalar) && old.scalar != nil && other.kind == 0 {
				continue
			}
			o.fields[m.at] = other
			both(m, fmt.Sprintf("of another type (%v%c)", other.scalar, max(other.kind, ' ')), true)
			o.fields[m.at] = old
		}
	}
}

// TestSchemaAndTypesKnowTheSameWords: an unknown kind, format, state, or other
// word of an enumeration is refused by both.
func TestSchemaAndTypesKnowTheSameWords(t *testing.T) {
	schema := loadPlanSchema(t)
	data, err := plan.Encode(smallPlan(t))
	if err != nil {
		t.Fatal(err)
	}
	root := parseValue(t, json.NewDecoder(bytes.NewReader(data)))
	words := map[string]string{
		".format": "csu-plan/3", ".type": "partial", ".site": "The Summit", ".upgrade.date": "2026-13-01", ".hosts[].users[].via": "telnet",
		".stages[].steps[].onFailure": "retry", ".stages[].steps[].timeout": "0s", ".stages[].steps[].takes": "1 hour",
		".stages[].steps[].action(set-state).state": "STANDBYE", ".stages[].steps[].action(set-state).kind": "set-sate",
		".stages[].steps[].action(ssh).purpose": "restart", ".stages[].steps[].action(delete).objects": "pods",
		".stages[].steps[].action(compatibility).set": "FORWARDS", ".stages[].steps[].action(compatibility).expect": "",
		".stages[].steps[].action(manual).kind": "", ".stages[].id": "", ".stages[].title": "", ".cscs[].csc": "mtmount:x",
		".stages[].steps[].action(reboot).command": "", ".stages[].steps[].id": "all", ".final[].id": "all/back", ".final[].undoes": "",
		".doubts[].purpose": "restart", ".doubts[].state": "DOWN", ".doubts[].text": "", ".cscs[].comesUp": "UP", ".cscs[].expect": "up", ".cscs[].keeps": "up", ".hosts[].role": "mainframe",
		".facts.telescopes[].name": "subaru",
	}
	for _, m := range root.members("", map[string]bool{}) {
		word, ok := words[m.path]
		if !ok {
			continue
		}
		delete(words, m.path)
		old := m.object.fields[m.at]
		m.object.fields[m.at] = &value{scalar: word}
		b, inGo := decoded(t, root)
		if inGo == nil {
			t.Errorf("%s %q: Decode takes it", m.path, word)
		}
		if schema.check(b) == nil {
			t.Errorf("%s %q: schema/plan.cue takes it", m.path, word)
		}
		m.object.fields[m.at] = old
	}
	for path := range words {
		t.Errorf("no plan has %s", path)
	}
}
