package efd

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// arrays returns the fields of the two arrays as the EFD has them: all
// elements, with 0 for those not in use.
func arrays(indices, past []int) string {
	var b strings.Builder
	for name, values := range map[string][]int{"salIndices": indices, "pastSalIndices": past} {
		for i := range 400 {
			v := 0
			if i < len(values) {
				v = values[i]
			}
			fmt.Fprintf(&b, ",%s%d=%di", name, i, v)
		}
	}
	return b.String()
}

func TestQueueIsTheLastEvent(t *testing.T) {
	s := newSite(t)
	s.point("ScriptQueue", "logevent_queue", time.Hour, "salIndex=1i,enabled=true,running=true,currentSalIndex=0i,length=0i,pastLength=0i"+arrays(nil, nil))
	s.point("ScriptQueue", "logevent_queue", time.Minute, "salIndex=1i,enabled=true,running=false,currentSalIndex=100003i,length=2i,pastLength=3i"+arrays([]int{100004, 100005}, []int{100002, 100001, 100000}))
	s.point("ScriptQueue", "logevent_queue", time.Second, "salIndex=2i,enabled=false,running=true,currentSalIndex=0i,length=0i,pastLength=0i"+arrays(nil, nil))

	got, err := s.client.Queue(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	want := Queue{Known: true, Enabled: true, CurrentIndex: 100003, Indices: []int{100004, 100005}, PastIndices: []int{100002, 100001, 100000}, At: s.now.Add(-time.Minute)}
	if diff := cmp.Diff(want, got, cmp.Comparer(near)); diff != "" {
		t.Errorf("ScriptQueue:1 (-want +got):\n%s", diff)
	}
	if got, err := s.client.Queue(t.Context(), 3); err != nil || got.Known {
		t.Errorf("ScriptQueue:3 = %+v, %v, want nothing known", got, err)
	}
}

func TestQueueReadsArraysWithoutTheirLengths(t *testing.T) {
	s := newSite(t)
	s.point("ScriptQueue", "logevent_queue", time.Minute, "salIndex=1i,enabled=1i,running=0i,currentSalIndex=0i,salIndices0=100007i,salIndices1=100008i,salIndices2=0i,pastSalIndices0=100006i")
	got, err := s.client.Queue(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	want := Queue{Known: true, Enabled: true, Indices: []int{100007, 100008}, PastIndices: []int{100006}, At: got.At}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ScriptQueue:1 (-want +got):\n%s", diff)
	}
}

func TestQueueNamesAMissingField(t *testing.T) {
	s := newSite(t)
	s.point("ScriptQueue", "logevent_queue", time.Minute, "salIndex=1i,enabled=true,currentSalIndex=0i")
	_, err := s.client.Queue(t.Context(), 1)
	var format *FormatError
	if !errors.As(err, &format) || !strings.Contains(err.Error(), `"running"`) {
		t.Errorf("Queue = %v, want a FormatError that names the field running", err)
	}
}
