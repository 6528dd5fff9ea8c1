package journal_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/secret"
)

// No field that may come from outside brings a secret into the journal, and what csu
// itself has named stays as it is.
func TestSecretsAreNotWritten(t *testing.T) {
	t.Parallel()
	const hidden = `jo"urnal-42`
	secret.Know(hidden, "20261127")
	name := filepath.Join(t.TempDir(), "p.journal")
	begin := first("20261127")
	begin.Run.Operator = hidden
	j, err := journal.Create(journal.Disk, name, begin)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	evidence, err := json.Marshal(map[string]any{"a": "x" + hidden, "n": 20261127, hidden: []string{hidden, "<kept>"}})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := j.Append(journal.Record{Event: journal.Answered, Stage: "s", Answer: &journal.Answer{
		Topic: "doubt", Text: hidden, Shown: "a " + hidden, Choice: "yes", Reason: hidden, By: hidden, Via: hidden,
	}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := *answer.Answer, (journal.Answer{Topic: "doubt", Text: "***", Shown: "a ***", Choice: "yes", Reason: "***", By: "***", Via: "***"}); !reflect.DeepEqual(got, want) {
		t.Errorf("the answer is %+v, want %+v", got, want)
	}
	written, err := j.Append(journal.Record{
		Event: journal.Started, Stage: "s", Step: "s/20261127", Attempt: 1, Identity: "csu-20261127/s/1", Text: "it said " + hidden, Evidence: evidence,
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"***":["***","<kept>"],"a":"x***","n":20261127}`; string(written.Evidence) != want {
		t.Errorf("the evidence is %s, want %s", written.Evidence, want)
	}
	if written.Text != "it said ***" || written.Step != "s/20261127" || written.Identity != "csu-20261127/s/1" {
		t.Errorf("the record is %+v", written)
	}
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(content), "urnal-42") {
		t.Errorf("the journal has the secret:\n%s", content)
	}
	read, err := read(journal.Disk, name)
	if err != nil || len(read) != 3 || read[0].Run.ID != "20261127" {
		t.Errorf("the journal reads as %+v, %v", read, err)
	}
}
