package rehearsal

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/gorilla/websocket"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/remotecommand"
)

// The channels of exec's websocket protocol. The channel is the first byte of a
// message.
const (
	stdoutChannel = 1
	stderrChannel = 2
	errorChannel  = 3
)

// exec runs a command in a pod, over a websocket.
func (k *cluster) exec(w http.ResponseWriter, r *http.Request) {
	if !k.authorized(r) {
		writeStatus(w, apierrors.NewUnauthorized("Unauthorized"))
		return
	}
	s := k.site
	s.mu.Lock()
	pod, ok := k.running(r.PathValue("namespace"), r.PathValue("name"))
	inRegistry := ok && pod == s.registry.pod
	s.mu.Unlock()
	argv := r.URL.Query()["command"]
	switch {
	case !ok:
		writeStatus(w, apierrors.NewNotFound(pods, r.PathValue("name")))
		return
	case len(argv) == 0:
		writeStatus(w, apierrors.NewBadRequest("you must specify at least 1 command for the container"))
		return
	}
	upgrader := websocket.Upgrader{Subprotocols: []string{remotecommand.StreamProtocolV5Name, remotecommand.StreamProtocolV4Name}}
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // Upgrade has already answered
	}
	defer conn.Close()
	stdout, stderr, exit := "", fmt.Sprintf("exec: %q: executable file not found in $PATH\n", argv[0]), 127
	if inRegistry {
		s.mu.Lock()
		stdout, stderr, exit = s.registry.run(argv)
		s.mu.Unlock()
	}
	status := metav1.Status{Status: metav1.StatusSuccess}
	if exit != 0 {
		status = metav1.Status{
			Status: metav1.StatusFailure, Reason: remotecommand.NonZeroExitCodeReason,
			Message: fmt.Sprintf("command terminated with non-zero exit code: exit status %d", exit),
			Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{{Type: remotecommand.ExitCodeCauseType, Message: strconv.Itoa(exit)}}},
		}
	}
	text, err := json.Marshal(status)
	if err != nil {
		return // the client sees a broken stream, as from a broken server
	}
	for _, m := range []struct {
		channel byte
		data    string
	}{{stdoutChannel, stdout}, {stderrChannel, stderr}, {errorChannel, string(text)}} {
		if m.data == "" {
			continue
		}
		if conn.WriteMessage(websocket.BinaryMessage, append([]byte{m.channel}, m.data...)) != nil {
			return
		}
	}
	_ = conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(30*time.Second))
}
