package rehearsal

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/lsst-ts/csu/executor/plan"
)

// registryListeners is SCHEMA_REGISTRY_LISTENERS in the pod's environment.
const registryListeners = "http://0.0.0.0:8081"

// registry is the schema registry. csu talks to it by running commands in its pod.
type registry struct {
	site     *Site
	pod      *corev1.Pod
	level    string            // the global level
	subjects map[string]string // the subjects' own levels
}

// run runs a command in the registry's pod. Only printenv and curl exist there.
func (g *registry) run(argv []string) (stdout, stderr string, exit int) {
	switch argv[0] {
	case "printenv":
		if len(argv) == 2 && argv[1] == "SCHEMA_REGISTRY_LISTENERS" {
			return registryListeners + "\n", "", 0
		}
		return "", "", 1
	case "curl":
		return g.curl(argv[1:])
	}
	return "", fmt.Sprintf("exec: %q: executable file not found in $PATH\n", argv[0]), 127
}

// curlRequest is the request of a curl command line.
type curlRequest struct {
	method, url, data, write, output string
	contentType                      string
	fail                             bool
}

// parseCurl parses the curl arguments that the registry needs.
func parseCurl(args []string) (curlRequest, error) {
	q := curlRequest{contentType: "application/x-www-form-urlencoded"}
	long := map[string]string{
		"--request": "X", "--header": "H", "--data": "d", "--data-raw": "d", "--data-binary": "d", "--write-out": "w", "--output": "o", "--max-time": "m",
		"--silent": "s", "--show-error": "S", "--fail": "f", "--location": "L", "--connect-timeout": "m", "--url": "u", "--fail-with-body": "f",
	}
	for i := 0; i < len(args); i++ {
		flags := ""
		switch a := args[i]; {
		case strings.HasPrefix(a, "--"):
			name, value, has := strings.Cut(a, "=")
			if flags = long[name]; flags == "" {
				return q, fmt.Errorf("option %s: is unknown", a)
			}
			if has {
				args = slices.Insert(slices.Clone(args), i+1, value)
			}
		case strings.HasPrefix(a, "-") && a != "-":
			flags = a[1:]
		default:
			q.url = a
			continue
		}
		for j, f := range flags {
			if strings.ContainsRune("sSLgq", f) {
				continue
			}
			if f == 'f' {
				q.fail = true
				continue
			}
			value := flags[j+1:]
			if value == "" {
				if i++; i == len(args) {
					return q, fmt.Errorf("option -%c: requires parameter", f)
				}
				value = args[i]
			}
			switch f {
			case 'X':
				q.method = value
			case 'H':
				if name, v, _ := strings.Cut(value, ":"); strings.EqualFold(name, "Content-Type") {
					q.contentType = strings.TrimSpace(v)
				}
			case 'd':
				q.data = value
			case 'w':
				q.write = value
			case 'o':
				q.output = value
			case 'u':
				q.url = value
			case 'm':
			default:
				return q, fmt.Errorf("option -%c: is unknown", f)
			}
			break
		}
	}
	if q.method == "" {
		q.method = "GET"
		if q.data != "" {
			q.method = "POST"
		}
	}
	return q, nil
}

func (g *registry) curl(args []string) (stdout, stderr string, exit int) {
	q, err := parseCurl(args)
	if err != nil {
		return "", "curl: " + err.Error() + "\n", 2
	}
	at, err := url.Parse(q.url)
	if err != nil || at.Scheme == "" || at.Host == "" {
		return "", "curl: (3) URL rejected\n", 3
	}
	if at.Port() != "8081" {
		return "", fmt.Sprintf("curl: (7) Failed to connect to %s port %s: Connection refused\n", at.Hostname(), at.Port()), 7
	}
	status, answer := g.answer(q, at)
	text, err := json.Marshal(answer)
	if err != nil {
		return "", "curl: (52) Empty reply from server\n", 52
	}
	stdout = string(text)
	if q.output != "" {
		stdout = ""
	}
	if q.fail && status >= 400 {
		return "", fmt.Sprintf("curl: (22) The requested URL returned error: %d\n", status), 22
	}
	written := strings.NewReplacer(`\n`, "\n", `\t`, "\t", "%{http_code}", fmt.Sprint(status), "%{response_code}", fmt.Sprint(status)).Replace(q.write)
	return stdout + written, "", 0
}

func registryError(code int, format string, args ...any) (int, any) {
	status := code
	for status > 999 {
		status /= 10
	}
	return status, map[string]any{"error_code": code, "message": fmt.Sprintf(format, args...)}
}

// answer implements the part of Confluent's API that deals with levels.
func (g *registry) answer(q curlRequest, at *url.URL) (int, any) {
	path, subject, of := strings.Cut(strings.Trim(at.Path, "/"), "/")
	switch {
	case path == "" && q.method == "GET":
		return 200, map[string]any{}
	case path == "subjects" && q.method == "GET":
		return 200, []string{"lsst.sal.ESS.logevent_summaryState-value", "lsst.sal.Watcher.logevent_summaryState-value"}
	case path != "config":
		return registryError(404, "HTTP 404 Not Found")
	case q.method == "GET" && of:
		if level, ok := g.subjects[subject]; ok {
			return 200, map[string]string{"compatibilityLevel": level}
		}
		if at.Query().Get("defaultToGlobal") == "true" {
			return 200, map[string]string{"compatibilityLevel": g.level}
		}
		return registryError(40408, "Subject '%s' does not have subject-level compatibility configured", subject)
	case q.method == "GET":
		return 200, map[string]string{"compatibilityLevel": g.level}
	case q.method == "PUT":
		return g.put(q, subject)
	}
	return registryError(405, "HTTP 405 Method Not Allowed")
}

func (g *registry) put(q curlRequest, subject string) (int, any) {
	var wish struct {
		Compatibility string `json:"compatibility"`
	}
	if q.contentType != "application/json" && q.contentType != "application/vnd.schemaregistry.v1+json" && q.contentType != "application/vnd.schemaregistry+json" {
		return registryError(415, "HTTP 415 Unsupported Media Type")
	}
	if err := json.Unmarshal([]byte(q.data), &wish); err != nil {
		return registryError(400, "Unrecognized request body")
	}
	level := strings.ToUpper(wish.Compatibility)
	if !slices.Contains(plan.Levels, level) {
		return registryError(42203, "Invalid compatibility level. Valid values are none, backward, forward, full, backward_transitive, forward_transitive, and full_transitive")
	}
	g.site.moment(registryAsked)
	if g.site.strikes(registryRefuses, "") {
		return registryError(42205, "Cannot change the compatibility level: the registry is in mode READONLY")
	}
	name, before := "global", g.level
	if subject != "" {
		name, before = subject, g.subjects[subject]
		g.subjects[subject] = level
	} else {
		g.level = level
	}
	g.site.effect(Effect{System: SystemRegistry, Kind: LevelChanged, Subject: name, Detail: before + " -> " + level})
	return 200, map[string]string{"compatibility": level}
}
