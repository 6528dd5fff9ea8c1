package ground_test

import (
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// network is how a [relay] treats traffic.
type network string

const (
	passing network = "passing"
	cutOff  network = "cut off" // every connection is closed
	silent  network = "silent"  // connections are accepted, but nothing is ever answered
)

// relay is the network between a csu and the API server.
type relay struct {
	listener net.Listener
	to       string

	mu          sync.Mutex
	network     network
	connections map[net.Conn]bool
}

// newRelay returns a relay to the API server, and a kubeconfig for the server behind it.
func newRelay(t *testing.T, server, kubeconfig string) (r *relay, through string) {
	t.Helper()
	at, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r = &relay{listener: listener, to: at.Host, network: passing, connections: map[net.Conn]bool{}}
	t.Cleanup(func() {
		listener.Close()
		r.set(cutOff)
	})
	go r.serve()
	text, err := os.ReadFile(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	through = filepath.Join(t.TempDir(), "kubeconfig")
	changed := strings.ReplaceAll(string(text), server, fmt.Sprintf("https://%s", listener.Addr()))
	if err := os.WriteFile(through, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	return r, through
}

// set changes the network and closes existing connections.
func (r *relay) set(n network) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.network = n
	for c := range r.connections {
		c.Close()
	}
	clear(r.connections)
}

// keep registers a connection to be closed by the next set.
func (r *relay) keep(c net.Conn) network {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.connections[c] = true
	return r.network
}

func (r *relay) serve() {
	for {
		client, err := r.listener.Accept()
		if err != nil {
			return // the test has ended
		}
		switch r.keep(client) {
		case cutOff:
			client.Close()
		case passing:
			server, err := net.Dial("tcp", r.to)
			if err != nil {
				client.Close()
				continue
			}
			r.keep(server)
			for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
				go func() {
					_, _ = io.Copy(way[1], way[0]) // either end may close it at any time
					client.Close()
					server.Close()
				}()
			}
		}
	}
}
