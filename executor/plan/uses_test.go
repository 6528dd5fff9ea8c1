package plan

import "testing"

func TestUses(t *testing.T) {
	for _, c := range []struct {
		doer Doer
		want string
	}{
		{&Manual{}, "the terminal"},
		{&Announce{Channel: "#s"}, "#s"},
		{&Script{Queue: 2}, "ScriptQueue:2"},
		{&SetState{Queue: 3}, "ScriptQueue:3"},
		{&AwaitState{}, ""},
		{&SSH{Host: "a"}, "host a"},
		{&Reboot{Host: "a"}, "host a"},
		{&Delete{Objects: Jobs, Namespace: "n"}, "namespace n"},
		{&Delete{Objects: Namespaces}, "namespaces"},
		{&Sync{Application: "love"}, "application love"},
		{&Compatibility{}, "schema registry"},
	} {
		if got := Uses(c.doer); got != c.want {
			t.Errorf("%T uses %q, want %q", c.doer, got, c.want)
		}
	}
}
