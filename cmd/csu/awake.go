package main

import (
	"os/exec"
	"syscall"
)

// inhibitors keep a machine from sleeping for as long as the command at their end runs:
// systemd's (Linux) and macOS's. cat ends with its input, and so with csu, however csu
// ends.
var inhibitors = [][]string{
	{"systemd-inhibit", "--what=sleep:idle", "--mode=block", "--who=csu", "--why=An upgrade is being carried out", "cat"},
	{"caffeinate", "-i", "-s", "cat"},
}

// stayAwake keeps the machine awake until end is called, if the system has a way to: a
// laptop that falls asleep leaves running steps unwatched. If it has none, or does not let
// csu use it, nothing is different.
func stayAwake() (end func()) {
	for _, command := range inhibitors {
		path, err := exec.LookPath(command[0])
		if err != nil {
			continue
		}
		cmd := exec.Command(path, command[1:]...)
		// Without a terminal: it must not ask for a password, nor end with a Ctrl-C.
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		input, err := cmd.StdinPipe()
		if err != nil || cmd.Start() != nil {
			continue
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = cmd.Wait() // whether it was allowed makes no difference
		}()
		return func() {
			input.Close()
			<-ended
		}
	}
	return func() {}
}
