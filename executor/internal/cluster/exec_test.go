package cluster_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/gorilla/websocket"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/remotecommand"
	"k8s.io/klog/v2"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"

	"github.com/lsst-ts/csu/executor/internal/cluster"
	"github.com/lsst-ts/csu/executor/internal/cluster/kubetest"
)

// command stands in for the command that runs in the pod.
type command func(argv []string, stdout, stderr io.Writer) (status int)

func echo(argv []string, stdout, _ io.Writer) int {
	_, _ = io.WriteString(stdout, strings.Join(argv, " "))
	return 0
}

// channel writes to one of a websocket's channels.
type channel struct {
	connection *websocket.Conn
	number     byte
}

func (c channel) Write(p []byte) (int, error) {
	return len(p), c.connection.WriteMessage(websocket.BinaryMessage, append([]byte{c.number}, p...))
}

func serveWebsocket(run command) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		upgrader := websocket.Upgrader{Subprotocols: []string{remotecommand.StreamProtocolV5Name}}
		connection, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return // the client notices
		}
		defer func() { _ = connection.Close() }()
		status := run(r.URL.Query()["command"], channel{connection, remotecommand.StreamStdOut}, channel{connection, remotecommand.StreamStdErr})
		if status == cutOff {
			return
		}
		_, _ = channel{connection, remotecommand.StreamErr}.Write(end(status))
		_ = connection.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""))
		_, _, _ = connection.ReadMessage() // until the client closes as well
	}
}

// serveSPDY refuses websockets, as an old API server or a proxy does.
func serveSPDY(run command) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			http.Error(w, "upgrade not understood", http.StatusBadRequest)
			return
		}
		if _, err := httpstream.Handshake(r, w, []string{remotecommand.StreamProtocolV4Name}); err != nil {
			return
		}
		var mu sync.Mutex
		streams := map[string]httpstream.Stream{}
		all := make(chan struct{})
		connection := spdy.NewResponseUpgrader().UpgradeResponse(w, r, func(stream httpstream.Stream, _ <-chan struct{}) error {
			mu.Lock()
			defer mu.Unlock()
			streams[stream.Headers().Get(corev1.StreamType)] = stream
			if len(streams) == 3 {
				close(all)
			}
			return nil
		})
		if connection == nil {
			return
		}
		defer func() { _ = connection.Close() }()
		<-all
		status := run(r.URL.Query()["command"], streams[corev1.StreamTypeStdout], streams[corev1.StreamTypeStderr])
		_, _ = streams[corev1.StreamTypeError].Write(end(status))
		for _, stream := range streams {
			_ = stream.Close()
		}
		<-connection.CloseChan()
	}
}

const cutOff = -1 // a status: the connection is closed before the command ends

// end is what the error channel carries when a command has ended.
func end(status int) []byte {
	ended := metav1.Status{Status: metav1.StatusSuccess}
	if status != 0 {
		ended = metav1.Status{Status: metav1.StatusFailure, Reason: remotecommand.NonZeroExitCodeReason, Details: &metav1.StatusDetails{
			Causes: []metav1.StatusCause{{Type: remotecommand.ExitCodeCauseType, Message: strconv.Itoa(status)}},
		}}
	}
	text, err := json.Marshal(ended)
	if err != nil {
		panic(err)
	}
	return text
}

func connectForExec(t *testing.T, serve func(command) http.HandlerFunc, run command) (*kubetest.Server, *cluster.Cluster) {
	server, c := connect(t)
	server.Exec = serve(run)
	labels := object{"app": "schema-registry"}
	for name, phase := range map[string]string{"registry-a": "Pending", "registry-b": "Running", "registry-c": "Running"} {
		pod := object{
			"metadata": object{"labels": labels},
			"spec":     object{"containers": []any{object{"name": "registry"}}},
			"status":   object{"phase": phase},
		}
		if phase == "Running" {
			pod["status"].(object)["containerStatuses"] = []any{object{"name": "registry", "state": running}}
		}
		server.Put("/api/v1/namespaces/sasquatch/pods/"+name, pod)
	}
	return server, c
}

var protocols = map[string]func(command) http.HandlerFunc{"websocket": serveWebsocket, "SPDY": serveSPDY}

func TestExec(t *testing.T) {
	for name, serve := range protocols {
		t.Run(name, func(t *testing.T) {
			server, c := connectForExec(t, serve, echo)
			var path string
			exec := server.Exec
			server.Exec = func(w http.ResponseWriter, r *http.Request) { path = r.URL.Path; exec(w, r) }
			out, err := c.Exec(context.Background(), "sasquatch", "app=schema-registry", "", []string{"curl", "-d", `{"a": "b c"}`})
			if err != nil || out != `curl -d {"a": "b c"}` {
				t.Errorf("Exec = %q, %v", out, err)
			}
			if path != "/api/v1/namespaces/sasquatch/pods/registry-b/exec" {
				t.Errorf("Exec ran at %q, want the first running pod", path)
			}
		})
	}
}

func TestExecReportsTheExitStatus(t *testing.T) {
	for name, serve := range protocols {
		t.Run(name, func(t *testing.T) {
			_, c := connectForExec(t, serve, func(_ []string, stdout, stderr io.Writer) int {
				_, _ = io.WriteString(stdout, "half")
				_, _ = io.WriteString(stderr, "curl: (7) Failed to connect\n")
				return 7
			})
			out, err := c.Exec(context.Background(), "sasquatch", "app=schema-registry", "registry", []string{"curl"})
			var exit *cluster.ExitError
			if !errors.As(err, &exit) || exit.Status != 7 || exit.Error() != "curl ended with exit status 7: curl: (7) Failed to connect" {
				t.Errorf("Exec = %v, want an *ExitError with status 7", err)
			}
			if out != "half" {
				t.Errorf("Exec returned the output %q, want half", out)
			}
		})
	}
}

func TestAnInterruptedExecIsLost(t *testing.T) {
	// Over SPDY, client-go cannot tell; see the comment of Exec.
	_, c := connectForExec(t, serveWebsocket, func(_ []string, stdout, _ io.Writer) int {
		_, _ = io.WriteString(stdout, "half")
		return cutOff
	})
	var log bytes.Buffer
	klog.LogToStderr(false)
	klog.SetOutput(&log)
	out, err := c.Exec(context.Background(), "sasquatch", "app=schema-registry", "", []string{"curl"})
	klog.Flush()
	var lost *cluster.LostError
	if !errors.As(err, &lost) {
		t.Errorf("Exec = %q, %v, want a *LostError", out, err)
	}
	if log.Len() != 0 {
		t.Errorf("client-go logged to standard error:\n%s", log.String())
	}
}

func TestARefusedExecIsNotLost(t *testing.T) {
	for _, status := range []int{http.StatusForbidden, http.StatusNotFound, http.StatusBadRequest} {
		server, c := connectForExec(t, serveWebsocket, echo)
		server.Faults = func(r *http.Request) kubetest.Fault {
			if strings.HasSuffix(r.URL.Path, "/exec") {
				return kubetest.Fault{Status: status}
			}
			return kubetest.Fault{}
		}
		_, err := c.Exec(context.Background(), "sasquatch", "app=schema-registry", "", []string{"curl"})
		var lost *cluster.LostError
		if err == nil || errors.As(err, &lost) {
			t.Errorf("Exec with HTTP status %d = %v, want an error that is no *LostError", status, err)
		}
	}
}

func TestExecNeedsARunningPod(t *testing.T) {
	server, c := connectForExec(t, serveWebsocket, echo)
	var missing *cluster.NoPodError
	_, err := c.Exec(context.Background(), "sasquatch", "app=kafka", "", []string{"printenv"})
	if !errors.As(err, &missing) || len(missing.Found) != 0 {
		t.Errorf("Exec = %v, want a *NoPodError without pods", err)
	}
	server.Remove("/api/v1/namespaces/sasquatch/pods/registry-b")
	server.Remove("/api/v1/namespaces/sasquatch/pods/registry-c")
	_, err = c.Exec(context.Background(), "sasquatch", "app=schema-registry", "", []string{"printenv"})
	if !errors.As(err, &missing) || !slices.Equal(missing.Found, []string{"registry-a (Pending)"}) {
		t.Errorf("Exec = %v, want a *NoPodError that names the pending pod", err)
	}
	if _, err = c.Exec(context.Background(), "sasquatch", "", "", []string{"printenv"}); err == nil {
		t.Error("Exec accepted an empty selector")
	}
}

func TestExecKeepsAMebibyte(t *testing.T) {
	for name, serve := range protocols {
		t.Run(name, func(t *testing.T) {
			_, c := connectForExec(t, serve, func(_ []string, stdout, _ io.Writer) int {
				for range 40 {
					_, _ = stdout.Write(make([]byte, 30_000))
				}
				return 0
			})
			out, err := c.Exec(context.Background(), "sasquatch", "app=schema-registry", "", []string{"cat"})
			if err == nil || out != "" {
				t.Errorf("Exec returned %d bytes of output, err %v, want an error", len(out), err)
			}
		})
	}
}
