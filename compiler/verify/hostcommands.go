package verify

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/executor/plan"
)

func commandRules() []Rule {
	return []Rule{
		{"host-commands", []string{"P15", "P17", "P23", "P28", "P29", "P34", "P36", "P45", "P46", "P47"},
			"Commands on a host stop, update or start the step's service, and nothing else: they delete nothing recursively, run nothing that they fetch, and reboot no machine, which is for reboot steps. " +
				"No text has the operator do such a thing by hand.", hostCommands},
	}
}

func hostCommands(v *view, f *findings) {
	for _, n := range v.steps {
		switch a := n.Action.Parameters.(type) {
		case *plan.SSH:
			for _, c := range append(slices.Clone(a.Commands), a.Check) {
				if why := dangerous(c); why != "" {
					f.step(n, "remove it", "it runs %q on %q: %s", brief(c), a.Host, why)
				}
			}
			for _, c := range a.Commands {
				if why := unfit(a, c); why != "" {
					f.step(n, "use a command of this service and purpose", "its purpose is to %s %q, but %q %s", a.Purpose, a.Service, brief(c), why)
				}
			}
			if a.Check != "" && !checks(a) {
				f.step(n, "check the service of the step", "its purpose is to %s %q, but its check %q does not check that", a.Purpose, a.Service, brief(a.Check))
			}
		case *plan.Reboot:
			if !reboots.MatchString(a.Command) {
				f.step(n, "use sudo systemctl reboot", "it reboots %q with %q, which does something else or more", a.Host, brief(a.Command))
			}
		case *plan.Manual:
			for _, line := range blocks(a.Text) {
				for _, c := range line {
					if why := dangerous(c); why != "" {
						f.step(n, "remove it", "it has the operator run %q: %s", brief(c), why)
					}
				}
			}
		}
		for _, text := range []string{n.Title, n.Consent, n.Doubt, n.ByHand} {
			if found := destroys(text); found != "" {
				f.step(n, "remove it", "one of its texts has %q, which destroys something or runs what it fetches", brief(found))
				break
			}
		}
	}
}

// reboots are the commands of a reboot step (P47).
var reboots = regexp.MustCompile(`^(sudo )?(/(usr/)?s?bin/)?(systemctl reboot|reboot|shutdown -r( now)?)$`)

// destructive is what no text may have, even as prose.
var destructive = regexp.MustCompile(`\brm\s+(-\S+\s+)*-\w*[rRf]|\b(curl|wget)\b[^\n]*\|\s*(sudo\s+)?\w*sh\b|\bmkfs\b|\bdd\s+if=`)

// destroys returns what a text has of that.
func destroys(text string) string {
	for _, program := range []string{"rm", "curl", "wget", "mkfs", "dd"} {
		if strings.Contains(text, program) {
			return destructive.FindString(text)
		}
	}
	return ""
}

// forbidden are programs that no command on a host may run, with the reason.
var forbidden = programs(map[string]string{
	takesDown:          "reboot poweroff halt shutdown telinit kexec",
	"it destroys data": "mkfs fdisk parted wipefs shred dd truncate",
	"it fetches something that no repository of the site has": "curl wget nc ncat telnet ftp scp rsync",
	unreadable:                         "eval base64 xxd xargs su",
	"it acts on more than the service": "kubectl helm crontab passwd userdel visudo iptables killall pkill",
})

const (
	takesDown  = "it takes the machine down, which only a reboot step may do"
	unreadable = "it runs what cannot be read here"
)

// programs returns the reasons by program.
func programs(byReason map[string]string) map[string]string {
	out := map[string]string{}
	for why, names := range byReason {
		for _, p := range strings.Fields(names) {
			out[p] = why
		}
	}
	return out
}

// interpreters run a text as a program.
var interpreters = set(strings.Fields("sh bash dash ash zsh ksh python python3 perl ruby node"))

// sweeping are options that make a command overwrite or remove what it finds.
var sweeping = set(strings.Fields("--force --hard --no-preserve-root --purge -delete -exec -R"))

// dangerous says why a shell command may not be run on a host, or "". It reads
// more than a shell would: quotes hide nothing, and what is quoted is read as a
// command too.
func dangerous(command string) string {
	unquoted := strings.NewReplacer("'", "", `"`, "", `\`, "").Replace(command)
	if strings.ContainsAny(unquoted, "`") || strings.Contains(unquoted, "$(") || strings.Contains(unquoted, "<(") {
		return "it runs the result of another command"
	}
	piped := false
	for _, part := range parts.FindAllString(unquoted, -1) {
		switch part {
		case "|":
			piped = true
			continue
		case ";", "&", "(", ")", "{", "}", "\n":
			piped = false
			continue
		}
		if why := simple(strings.Fields(strings.ReplaceAll(part, ">", " > ")), piped); why != "" {
			return why
		}
	}
	return ""
}

// parts splits a command line at what separates simple commands.
var parts = regexp.MustCompile(`[;&|(){}\n]|[^;&|(){}\n]+`)

// simple is dangerous for one simple command.
func simple(words []string, piped bool) string {
	for i, w := range words {
		program := path.Base(w)
		if why := forbidden[program]; why != "" && !strings.HasSuffix(w, "/") {
			return why
		}
		later := words[i+1:]
		switch {
		case strings.HasPrefix(program, "mkfs."):
			return forbidden["mkfs"]
		case program == "rm" && slices.ContainsFunc(later, func(o string) bool { return strings.HasPrefix(o, "-") && strings.ContainsAny(o, "rRf") }):
			return "it deletes recursively or without asking"
		case program == "init" && i == 0:
			return takesDown
		case interpreters[program] && (piped || slices.Contains(later, "-c") || slices.Contains(later, "-e")):
			return unreadable
		case i == 0 && strings.HasPrefix(w, "$"):
			return unreadable
		case sweeping[w]:
			return "its option " + w + " overwrites or removes what it finds"
		case w == ">" && len(later) > 0 && strings.HasPrefix(later[0], "/") && later[0] != "/dev/null":
			return "it overwrites " + later[0]
		}
	}
	return ""
}

// verbs are what the commands of each purpose say.
var verbs = map[plan.Purpose]string{plan.Stop: "stop", plan.Start: "start"}

// unfit says why a command does not suit the step's service or purpose, or "". It
// knows systemd, init scripts and the scripts of the T&S systems; it says nothing
// of other commands.
func unfit(a *plan.SSH, command string) string {
	for _, part := range strings.FieldsFunc(command, func(r rune) bool { return r == '&' || r == ';' || r == '|' }) {
		words := strings.Fields(part)
		if len(words) > 0 && words[0] == "sudo" {
			words = words[1:]
		}
		if len(words) == 0 {
			continue
		}
		verb, service := "", ""
		script := strings.TrimPrefix(words[0], "./")
		switch {
		case words[0] == "systemctl" && len(words) == 3:
			verb, service = words[1], words[2]
		case strings.HasPrefix(words[0], "/etc/init.d/") && len(words) == 2:
			verb, service = words[1], path.Base(words[0])
		case strings.HasPrefix(script, "launch_"):
			verb, service = "start", a.Service
		case strings.HasPrefix(script, "shutdown_"):
			verb, service = "stop", a.Service
		case script == "update_repo":
			if a.Purpose != plan.Update {
				return "would update a checkout"
			}
			continue
		case words[0] == "systemctl" || strings.HasPrefix(words[0], "/etc/init.d/"):
			return "is not one action on one service"
		default:
			continue
		}
		switch {
		case strings.TrimSuffix(service, ".service") != strings.TrimSuffix(a.Service, ".service"):
			return "is about " + service
		case verb != verbs[a.Purpose]:
			return "would " + verb + " it"
		}
	}
	return ""
}

// checks reports whether a check in the form of the procedure's is about the step's
// service, and expects what the step does (P15, P34).
func checks(a *plan.SSH) bool {
	m := active.FindStringSubmatch(a.Check)
	return m == nil && !strings.Contains(a.Check, "systemctl") ||
		m != nil && strings.TrimSuffix(m[2], ".service") == strings.TrimSuffix(a.Service, ".service") && (m[1] != "") == (a.Purpose == plan.Stop)
}

var active = regexp.MustCompile(`^(! )?systemctl is-active --quiet (\S+)$`)
