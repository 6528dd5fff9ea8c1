package ground

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// ask sends a query to db as the given user and returns the status and the
// answer.
func ask(t *testing.T, db *InfluxDB, query, username, password string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, db.URL+"/query?"+url.Values{"db": {db.Database}, "q": {query}}.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if username != "" {
		req.SetBasicAuth(username, password)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestInfluxDBGivesBackWhatWasWritten(t *testing.T) {
	db := StartInfluxDB(t, false)
	db.Write(t, `lsst.sal.Test.logevent_heartbeat salIndex=1i 1700000000000000000`)
	status, body := ask(t, db, `SELECT salIndex FROM "lsst.sal.Test.logevent_heartbeat"`, db.Username, db.Password)
	if want := `"values":[["2023-11-14T22:13:20Z",1]]`; status != http.StatusOK || !strings.Contains(body, want) {
		t.Errorf("query answered %d %s, want 200 and %s", status, body, want)
	}
}

func TestInfluxDBWithAuthAnswersItsReaderOnly(t *testing.T) {
	db := StartInfluxDB(t, true)
	db.Write(t, `lsst.sal.Test.logevent_heartbeat salIndex=1i 1700000000000000000`)
	const query = `SELECT salIndex FROM "lsst.sal.Test.logevent_heartbeat"`
	if status, body := ask(t, db, query, "", ""); status != http.StatusUnauthorized {
		t.Errorf("without a user: %d %s, want 401", status, body)
	}
	if status, body := ask(t, db, query, db.Username, "wrong"); status != http.StatusUnauthorized {
		t.Errorf("with a wrong password: %d %s, want 401", status, body)
	}
	if status, body := ask(t, db, query, db.Username, db.Password); status != http.StatusOK || !strings.Contains(body, `"series"`) {
		t.Errorf("as the reader: %d %s, want 200 with a series", status, body)
	}
	if status, body := ask(t, db, `DROP MEASUREMENT "lsst.sal.Test.logevent_heartbeat"`, db.Username, db.Password); status == http.StatusOK && !strings.Contains(body, `"error"`) {
		t.Errorf("the reader could drop a measurement: %d %s", status, body)
	}
}
