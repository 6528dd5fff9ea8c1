package plan

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestCanonicalForm compares the encoding with testdata/canonical.json, which
// is the form that plans in repositories have: a change of it is a change of
// the format. CSU_UPDATE=1 writes the file.
func TestCanonicalForm(t *testing.T) {
	name := filepath.Join("testdata", "canonical.json")
	got := encoded(t, sample())
	if os.Getenv("CSU_UPDATE") != "" {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("the canonical form has changed (-want +got):\n%s", diff)
	}
}

func TestRoundTrip(t *testing.T) {
	p := sample()
	data := encoded(t, p)
	q, err := Decode("sample", data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(encoded(t, q), data); diff != "" {
		t.Errorf("it encodes to other bytes:\n%s", diff)
	}
	for i := range p.Stages {
		for j := range p.Stages[i].Steps {
			a, b := p.Stages[i].Steps[j], q.Stages[i].Steps[j]
			if !reflect.DeepEqual(a.Action, b.Action) {
				t.Errorf("step %q: the action is another one: %s", a.ID, cmp.Diff(a.Action.Parameters, b.Action.Parameters))
			}
		}
	}
}

// TestEveryKindInSample keeps the sample complete: what it lacks no test here
// sees.
func TestEveryKindInSample(t *testing.T) {
	seen := map[Kind]bool{}
	for s := range sample().AllSteps() {
		seen[s.Action.Kind()] = true
	}
	for _, k := range Kinds {
		if !seen[k] {
			t.Errorf("the sample has no action of kind %q", k)
		}
		d := parametersOf(k)
		if d == nil {
			t.Errorf("there are no parameters for kind %q", k)
		} else if d.Kind() != k {
			t.Errorf("the parameters for kind %q say that they are %q", k, d.Kind())
		}
	}
}

func TestDigest(t *testing.T) {
	p := sample()
	first, err := Digest(p)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(encoded(t, p))
	if want := hex.EncodeToString(sum[:]); first != want {
		t.Errorf("the digest is %s, not that of the canonical bytes, %s", first, want)
	}
	q, err := Decode("sample", encoded(t, p))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := Digest(q); err != nil || again != first {
		t.Errorf("decoded again the digest is %s (%v), not %s", again, err, first)
	}
	q.Stages[0].Steps[0].ByHand += " "
	if other, err := Digest(q); err != nil || other == first {
		t.Errorf("a plan with another text has the same digest (%v)", err)
	}
}

// TestAbsentLists: a list that nobody has made is written as an empty one, and
// the plan in memory stays as it was.
func TestAbsentLists(t *testing.T) {
	p := sample()
	p.CSCs, p.Hosts[0].Users, p.Targets.Pages, p.Final = nil, nil, nil, nil
	data := encoded(t, p)
	if bytes.Contains(data, []byte("null")) {
		t.Errorf("it writes null:\n%s", data)
	}
	if _, err := Decode("sample", data); err != nil {
		t.Error(err)
	}
	if p.CSCs != nil || p.Hosts[0].Users != nil || p.Stages[0].Steps[0].Needs != nil {
		t.Error("encoding has changed the plan")
	}
}

func TestNoHTMLEscapes(t *testing.T) {
	if data := encoded(t, sample()); !bytes.Contains(data, []byte("By hand: <do> & see")) {
		t.Error("the texts are escaped, though people read them")
	}
}

func TestEncodeRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Plan)
		want   string
	}{
		{"a step without an action", func(p *Plan) { p.Stages[0].Steps[0].Action = Action{} }, "encode action: it has no kind"},
		{"an empty pointer", func(p *Plan) { p.Stages[0].Steps[0].Action = Action{(*Manual)(nil)} }, "encode action: it has no kind"},
		{"a part of a second", func(p *Plan) { p.Final[0].Timeout = Duration(time.Millisecond) }, "encode duration 1ms: it is not a whole, positive number of seconds"},
		{"a negative time", func(p *Plan) { p.Final[0].Timeout = Duration(-time.Minute) }, "encode duration -1m0s: it is not a whole, positive number of seconds"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := sample()
			c.change(p)
			data, err := Encode(p)
			if err == nil {
				t.Fatalf("it encodes:\n%s", data)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %q, want %q in it", err, c.want)
			}
			if _, err := Digest(p); err == nil {
				t.Error("it has a digest")
			}
		})
	}
}
