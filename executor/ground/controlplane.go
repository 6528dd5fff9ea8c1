package ground

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// controlPlane starts the servers of a Kubernetes cluster, in the order in
// which they need each other. Unlike in a real cluster, all of them are
// administrators, since only the operator's permissions matter here.
type controlPlane struct {
	*Cluster
	tools     *Tools
	authority *authority
	client    *http.Client // that trusts the authority, with the administrator's certificate
}

func (p *controlPlane) start(t testing.TB) {
	t.Helper()
	p.authority.server(t).write(t, p.dir, "server")
	writeFile(t, p.file("ca.crt"), p.authority.pem)
	writeFile(t, p.file("accounts.key"), keyPEM(t, newECDSA(t)))
	admin := p.authority.client(t, "administrator", "system:masters")
	p.client = p.trusting(t, admin)
	etcd := p.startEtcd(t)
	p.startAPIServer(t, etcd)
	p.AdminKubeconfig = p.file("admin.kubeconfig")
	p.writeKubeconfig(t, p.AdminKubeconfig, "ground", admin)
	p.connect(t)
	p.startControllerManager(t)
	p.startScheduler(t)
	p.startNodes(t)
}

func (p *controlPlane) file(name string) string { return filepath.Join(p.dir, name) }

func (p *controlPlane) trusting(t testing.TB, client pair) *http.Client {
	t.Helper()
	certificate, err := tls.X509KeyPair(client.certificate, client.key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(p.authority.pem)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{certificate}}}}
}

func (p *controlPlane) startEtcd(t testing.TB) (url string) {
	ports := server{
		name: "etcd", program: p.tools.Etcd, dir: p.dir, ports: 2,
		arguments: func(ports []int) []string {
			client, peer := "http://"+local(ports[0]), "http://"+local(ports[1])
			return []string{
				"--data-dir=" + p.file("etcd"), "--log-level=warn",
				"--unsafe-no-fsync", // nothing here outlives the process
				"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
				"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=default=" + peer,
			}
		},
		ready: func(ctx context.Context, ports []int) error {
			return healthy(ctx, http.DefaultClient, "http://"+local(ports[0])+"/health")
		},
	}.start(t)
	return "http://" + local(ports[0])
}

func (p *controlPlane) startAPIServer(t testing.TB, etcd string) {
	ports := server{
		name: "kube-apiserver", program: p.tools.APIServer, dir: p.dir, ports: 1,
		arguments: func(ports []int) []string {
			return []string{
				"--etcd-servers=" + etcd, "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", ports[0]),
				"--endpoint-reconciler-type=none", // it refuses to publish a loopback address
				"--tls-cert-file=" + p.file("server.crt"), "--tls-private-key-file=" + p.file("server.key"), "--client-ca-file=" + p.file("ca.crt"),
				"--service-account-issuer=https://ground", "--service-account-key-file=" + p.file("accounts.key"), "--service-account-signing-key-file=" + p.file("accounts.key"),
				"--authorization-mode=RBAC", "--service-cluster-ip-range=10.96.0.0/16",
				// The nodes' names do not resolve.
				"--kubelet-preferred-address-types=InternalIP",
			}
		},
		ready: func(ctx context.Context, ports []int) error {
			return healthy(ctx, p.client, "https://"+local(ports[0])+"/readyz")
		},
	}.start(t)
	p.URL = "https://" + local(ports[0])
}

func (p *controlPlane) startControllerManager(t testing.TB) {
	controllers := []string{
		"job-controller", "garbage-collector-controller", "namespace-controller", "serviceaccount-controller",
		// Without this controller a new node keeps its not-ready taint.
		"node-lifecycle-controller",
	}
	server{
		name: "kube-controller-manager", program: p.tools.ControllerManager, dir: p.dir, ports: 1,
		arguments: func(ports []int) []string {
			return []string{
				"--kubeconfig=" + p.AdminKubeconfig, "--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", ports[0]), "--cert-dir=" + p.dir,
				"--controllers=" + strings.Join(controllers, ","), "--leader-elect=false", "--kube-api-qps=200", "--kube-api-burst=400",
			}
		},
		ready: ownCertificate("/healthz"),
	}.start(t)
}

func (p *controlPlane) startScheduler(t testing.TB) {
	server{
		name: "kube-scheduler", program: p.tools.Scheduler, dir: p.dir, ports: 1,
		arguments: func(ports []int) []string {
			return []string{
				"--kubeconfig=" + p.AdminKubeconfig, "--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", ports[0]), "--cert-dir=" + p.file("scheduler"),
				"--leader-elect=false", "--authentication-skip-lookup",
			}
		},
		ready: ownCertificate("/healthz"),
	}.start(t)
}

// ownCertificate queries a server with a self-signed certificate.
func ownCertificate(path string) func(context.Context, []int) error {
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, // loopback, and only its health
		DisableKeepAlives: true,
	}}
	return func(ctx context.Context, ports []int) error {
		return healthy(ctx, client, "https://"+local(ports[0])+path)
	}
}

func healthy(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s: %s", url, response.Status, lastLines(string(body), 5))
	}
	return nil
}
