// Command podexec runs commands "in" the pods of a node of kwok: on this machine,
// with the environment of the pod's container. It takes the part of the kubelet
// that the API server hands exec over to, with the kubelet's own library for the
// streams. kwok has such a part too, but does not pass on the exit status of a
// command that fails.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"
)

func main() {
	listen := flag.String("listen", "", "address `HOST:PORT`")
	certificate := flag.String("tls-cert-file", "", "the server's certificate")
	key := flag.String("tls-private-key-file", "", "its key")
	kubeconfig := flag.String("kubeconfig", "", "a kubeconfig that may read pods")
	flag.Parse()
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		log.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		log.Fatal(err)
	}
	n := &node{client: client}
	mux := http.NewServeMux()
	mux.HandleFunc("/exec/{namespace}/{pod}/{container}", n.exec)
	log.Fatal(http.ListenAndServeTLS(*listen, *certificate, *key, mux))
}

// node runs commands in pods.
type node struct{ client kubernetes.Interface }

const idle, streams = 10 * time.Minute, 30 * time.Second

func (n *node) exec(w http.ResponseWriter, r *http.Request) {
	options, err := remotecommand.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	name := r.PathValue("namespace") + "/" + r.PathValue("pod")
	remotecommand.ServeExec(w, r, n, name, "", r.PathValue("container"), r.URL.Query()["command"], options, idle, streams, remotecommand.SupportedStreamingProtocols)
}

// ExecInContainer runs a command and returns its exit status as an error that
// the kubelet's library passes on.
func (n *node) ExecInContainer(ctx context.Context, name, _, container string, argv []string,
	in io.Reader, out, errs io.WriteCloser, tty bool, _ <-chan remotecommand.TerminalSize, _ time.Duration) error {
	if tty {
		return errors.New("there are no terminals here")
	}
	if len(argv) == 0 {
		return errors.New("the command is empty")
	}
	environment, err := n.environment(ctx, name, container)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), environment...)
	cmd.Stdout, cmd.Stderr = writer(out), writer(errs)
	if in != nil {
		// Given as cmd.Stdin, Run would wait for the client to close it.
		pipe, err := cmd.StdinPipe()
		if err != nil {
			return err
		}
		go func() {
			_, _ = io.Copy(pipe, in) // ends with the command or with the client
			_ = pipe.Close()
		}()
	}
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return utilexec.CodeExitError{Err: err, Code: exit.ExitCode()}
	}
	return err
}

// writer keeps a stream that was not asked for from being written to.
func writer(w io.WriteCloser) io.Writer {
	if w == nil {
		return nil
	}
	return w
}

// environment is what the specification of a pod's container says.
func (n *node) environment(ctx context.Context, name, container string) ([]string, error) {
	namespace, pod, _ := strings.Cut(name, "/")
	p, err := n.client.CoreV1().Pods(namespace).Get(ctx, pod, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	for _, c := range p.Spec.Containers {
		if c.Name == container {
			return variables(c.Env), nil
		}
	}
	return nil, fmt.Errorf("pod %q has no container %q", name, container)
}

func variables(list []corev1.EnvVar) []string {
	var environment []string
	for _, v := range list {
		environment = append(environment, v.Name+"="+v.Value)
	}
	return environment
}
