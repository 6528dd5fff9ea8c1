package rehearsal

import (
	"path"
	"slices"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/plan"
)

// serviceCommand is a command of the plan that stops or starts a service.
type serviceCommand struct {
	words   []string // the command's name without its folder, and its arguments
	purpose plan.Purpose
	service *service
}

// simple is one command of a command line.
type simple struct {
	words []string
	in    string // the folder that the line changes to; "" for the home directory
}

// simpleCommands splits a shell command line into its commands. It handles the forms
// that sites use and is not a shell parser.
func simpleCommands(line string) []simple {
	for _, separator := range []string{"&&", "||", ";", "|", "\n", "(", ")", "&"} {
		line = strings.ReplaceAll(line, separator, "\x00")
	}
	var found []simple
	folder := ""
	for part := range strings.SplitSeq(line, "\x00") {
		words := strings.Fields(part)
		for i := range words {
			words[i] = strings.Trim(words[i], `"'`)
		}
		for len(words) > 0 && (slices.Contains(prefixes, words[0]) || assignment(words[0])) {
			words = words[1:]
		}
		if len(words) == 0 {
			continue
		}
		found = append(found, simple{words, folder})
		if words[0] == "cd" && len(words) > 1 {
			folder = words[1]
		}
	}
	return found
}

// prefixes are words that may precede a command.
var prefixes = []string{"!", "{", "}", "if", "then", "else", "elif", "fi", "while", "do", "done", "exec", "command", "env", "time", "nohup"}

func assignment(word string) bool {
	name, _, found := strings.Cut(word, "=")
	return found && name != "" && !strings.ContainsAny(name, "/.-")
}

// withoutSudo drops sudo and its options from a command.
func withoutSudo(words []string) []string {
	if len(words) == 0 || words[0] != "sudo" {
		return words
	}
	words = words[1:]
	for len(words) > 0 && strings.HasPrefix(words[0], "-") {
		takesUser := strings.HasSuffix(words[0], "u")
		words = words[1:]
		if takesUser && len(words) > 0 {
			words = words[1:]
		}
	}
	return words
}

// shellWords are commands that need no stand-in: those of the shell itself, and the
// tools that csu uses to run a command detached.
var shellWords = []string{
	".", ":", "[", "cat", "cd", "echo", "eval", "exit", "export", "false", "for", "grep", "head", "kill", "ls", "mkdir", "mv",
	"printf", "read", "return", "rm", "sed", "set", "setsid", "sh", "sudo", "tail", "test", "tr", "trap", "true", "umask", "unset", "wc",
}

// readPlan collects the services of the host, and the commands that stop and start
// them, from the plan's steps.
func (h *host) readPlan() {
	s := h.site
	for step := range s.plan.AllSteps() {
		a, ok := step.Action.Parameters.(*plan.SSH)
		if !ok || a.Host != h.row.Name || a.Purpose != plan.Stop && a.Purpose != plan.Start {
			continue
		}
		v := h.services[a.Service]
		if v == nil {
			v = &service{name: a.Service, running: true}
			h.services[a.Service] = v
		}
		for _, line := range a.Commands {
			for _, c := range simpleCommands(line) {
				words := withoutSudo(c.words)
				if len(words) > 0 && !slices.Contains(shellWords, words[0]) {
					h.serviceCommands = append(h.serviceCommands, serviceCommand{append([]string{path.Base(words[0])}, words[1:]...), a.Purpose, v})
				}
			}
		}
	}
	for _, c := range s.cscs {
		if c.row.Host == h.row.Name {
			h.assign(c)
		}
	}
}

// assign assigns a CSC to the service that runs it: the one with its name, or else
// all services of the host.
func (h *host) assign(c *csc) {
	if len(h.services) == 0 {
		h.services[c.row.CSC] = &service{name: c.row.CSC, running: true}
	}
	var named []*service
	for _, v := range h.services {
		if strings.Contains(strings.ToLower(v.name), strings.ToLower(c.component)) {
			named = append(named, v)
		}
	}
	if len(named) == 0 {
		for _, v := range h.services {
			named = append(named, v)
		}
	}
	for _, v := range named {
		v.cscs = append(v.cscs, c)
	}
}

// call is a command that was called on a host.
type call struct {
	host *host
	user string
	argv []string // starts with the command's name without its folder
}

// answer is what a call does.
type answer struct {
	takes  time.Duration
	status int
	output string
	reads  bool   // it only reads, and is not recorded
	hangs  bool   // it never ends by itself
	then   func() // called with the lock at the end
}

// respond determines what a command does.
func (h *host) respond(c call) answer {
	s := h.site
	name, args := c.argv[0], c.argv[1:]
	switch name {
	case "ps":
		return answer{reads: true}
	case "hostname":
		return answer{reads: true, output: h.row.Name}
	case "uptime":
		if slices.Contains(args, "-s") {
			return answer{reads: true, output: "2026-11-12 03:04:05"}
		}
		return answer{reads: true, output: "up 12 days,  3:04,  0 users,  load average: 0.08, 0.03, 0.01"}
	case "sleep":
		return answer{reads: true, takes: sleepTime(args)}
	}
	if s.strikesOnce(hostCommandHangs, h.row.Name) {
		return answer{hangs: true}
	}
	if s.strikes(hostCommandFails, h.row.Name) {
		return answer{takes: time.Second, status: 1, output: name + ": failed"}
	}
	if name == "reboot" || name == "shutdown" && slices.Contains(args, "-r") || name == "systemctl" && slices.Contains(args, "reboot") {
		return answer{then: func() { s.after(2*time.Second, h.reboot) }}
	}
	if v, verb := h.unit(c.argv); verb != "" {
		return h.control(v, verb)
	}
	if i := slices.IndexFunc(h.serviceCommands, func(a serviceCommand) bool {
		return slices.Equal(a.words, c.argv) && a.service.running == (a.purpose == plan.Stop)
	}); i >= 0 {
		return h.control(h.serviceCommands[i].service, string(h.serviceCommands[i].purpose))
	}
	// A command that starts a running service, or stops one that is not running.
	if i := slices.IndexFunc(h.serviceCommands, func(a serviceCommand) bool { return slices.Equal(a.words, c.argv) }); i >= 0 {
		return h.control(h.serviceCommands[i].service, string(h.serviceCommands[i].purpose))
	}
	return answer{takes: h.usual(name)}
}

// unit returns the service and the verb of a systemctl or init script command. The
// verb is "" for any other command. For a unit that the plan does not name, the
// service has no CSCs.
func (h *host) unit(argv []string) (*service, string) {
	rest := slices.DeleteFunc(slices.Clone(argv[1:]), func(w string) bool { return strings.HasPrefix(w, "-") })
	unit, verb := "", ""
	switch {
	case argv[0] == "systemctl" && len(rest) == 2:
		verb, unit = rest[0], rest[1]
	case argv[0] == "pgrep" && len(rest) == 1:
		verb, unit = "is-active", strings.TrimSuffix(rest[0], "d") // a daemon has its service's name
	case len(rest) == 1 && slices.Contains([]string{"start", "stop", "restart", "status"}, rest[0]):
		verb, unit = rest[0], argv[0]
	default:
		return nil, ""
	}
	for _, a := range h.serviceCommands {
		if a.words[0] == unit || slices.ContainsFunc(a.words[1:], func(w string) bool { return sameUnit(w, unit) }) {
			return a.service, verb
		}
	}
	for _, v := range h.services {
		if sameUnit(v.name, unit) {
			return v, verb
		}
	}
	return &service{name: unit}, verb
}

func sameUnit(a, b string) bool {
	return strings.TrimSuffix(a, ".service") == strings.TrimSuffix(b, ".service")
}

// control stops, starts or checks a service.
func (h *host) control(v *service, verb string) answer {
	switch verb {
	case "status", "is-active":
		if v.running {
			return answer{reads: true, output: "active"}
		}
		return answer{reads: true, status: 3, output: "inactive"}
	case "stop":
		return answer{takes: 20 * time.Second, then: func() { h.stop(v) }}
	case "start":
		return answer{takes: h.usual("launch"), then: func() { h.start(v, "") }}
	case "restart":
		return answer{takes: h.usual("launch"), then: func() { h.stop(v); h.start(v, "") }}
	}
	return answer{takes: time.Second}
}

func (h *host) stop(v *service) {
	v.running = false
	h.site.effect(Effect{System: SystemHost, Kind: ServiceStop, Subject: h.row.Name, Detail: v.name})
	for _, c := range v.cscs {
		h.site.down(c, "its service was stopped")
	}
}

// start starts a service. by names who did it, if it was not a command.
func (h *host) start(v *service, by string) {
	wasRunning := v.running
	v.running = true
	h.site.effect(Effect{System: SystemHost, Kind: ServiceStart, Subject: h.row.Name, Detail: v.name, Identity: by})
	if wasRunning && slices.ContainsFunc(v.cscs, (*csc).lives) {
		for _, c := range v.cscs {
			h.site.effect(Effect{System: SystemCSC, Kind: CSCDuplicate, Subject: c.row.CSC})
		}
		return
	}
	h.comeUp(v)
}

// comeUp brings up the CSCs of a service.
func (h *host) comeUp(v *service) {
	s := h.site
	for _, c := range v.cscs {
		s.after(s.between("come up "+c.row.CSC, 5*time.Second, 30*time.Second), func() {
			if v.running && !h.down && !c.lives() {
				s.up(c)
			}
		})
	}
}

// usual returns how long a command takes.
func (h *host) usual(name string) time.Duration {
	low, high := time.Second, 5*time.Second
	switch {
	case name == "salgeneratorKafka":
		low, high = 50*time.Minute, 70*time.Minute
	case name == "make":
		low, high = 3*time.Minute, 12*time.Minute
	case strings.HasPrefix(name, "pip"):
		low, high = time.Minute, 4*time.Minute
	case name == "git", name == "update_repo":
		low, high = 5*time.Second, 40*time.Second
	case strings.HasPrefix(name, "launch"):
		low, high = 20*time.Second, 3*time.Minute
	}
	takes := h.site.between(h.row.Name+" "+name, low, high)
	if o := h.site.outside; o != nil && o.Longest > 0 {
		takes = min(takes, o.Longest)
	}
	return takes
}

func sleepTime(args []string) time.Duration {
	if len(args) == 0 {
		return 0
	}
	d, err := time.ParseDuration(strings.TrimRight(args[0], "s") + "s")
	if err != nil {
		return 0
	}
	return d
}
