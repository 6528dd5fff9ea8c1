package ground

import (
	"context"
	_ "embed"
	"fmt"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

//go:embed nodes.yaml
var nodesConfig []byte

const nodeName = "node01"

// startNodes starts kwok as the node of the cluster, and waits until the
// scheduler can use it.
func (p *controlPlane) startNodes(t testing.TB) {
	t.Helper()
	writeFile(t, p.file("nodes.yaml"), nodesConfig)
	exec := server{
		name: "podexec", program: p.tools.PodExec, dir: p.dir, ports: 1,
		arguments: func(ports []int) []string {
			return []string{
				"--listen=" + local(ports[0]), "--kubeconfig=" + p.AdminKubeconfig,
				"--tls-cert-file=" + p.file("server.crt"), "--tls-private-key-file=" + p.file("server.key"),
			}
		},
		ready: answers,
	}.start(t)
	server{
		name: "kwok", program: p.tools.Kwok, dir: p.dir, ports: 1,
		env: []string{"HOME=" + p.dir}, // it looks there for a configuration of its own
		arguments: func(ports []int) []string {
			return []string{
				"--kubeconfig=" + p.AdminKubeconfig, "--manage-all-nodes=true",
				"--config=" + p.file("nodes.yaml"),
				"--config=" + filepath.Join(p.tools.KwokStages, "fast", "node-initialize.yaml"),
				"--config=" + filepath.Join(p.tools.KwokStages, "heartbeat", "node-heartbeat.yaml"),
				// The API server finds podexec under the node's address.
				"--node-ip=127.0.0.1", fmt.Sprintf("--node-port=%d", exec[0]), "--server-address=" + local(ports[0]),
				"--tls-cert-file=" + p.file("server.crt"), "--tls-private-key-file=" + p.file("server.key"),
			}
		},
		ready: func(ctx context.Context, ports []int) error {
			return healthy(ctx, p.client, "https://"+local(ports[0])+"/healthz")
		},
	}.start(t)
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: nodeName}}
	if _, err := p.Admin.CoreV1().Nodes().Create(t.Context(), node, metav1.CreateOptions{}); err != nil {
		t.Fatalf("make a node: %v", err)
	}
	p.Until(t, Limit, "the node is ready", func(ctx context.Context) (bool, error) {
		node, err := p.Admin.CoreV1().Nodes().Get(ctx, nodeName, metav1.GetOptions{})
		return err == nil && len(node.Status.Conditions) > 0 && len(node.Spec.Taints) == 0, err
	})
}
