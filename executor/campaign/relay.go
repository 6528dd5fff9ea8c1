package campaign

import (
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/lsst-ts/csu/executor/sitemap"
)

// Relayed returns a site map in which relays stand for the addresses, and writes
// the files that it names into dir. The relay of a host and port says where it
// listens. The site itself is not touched.
func Relayed(m sitemap.Map, dir string, relay func(to string) (at string, err error)) (*sitemap.Map, error) {
	for _, u := range m.Systems() {
		at, err := url.Parse(*u)
		if err != nil {
			return nil, err
		}
		if at.Host, err = relay(at.Host); err != nil {
			return nil, err
		}
		*u = at.String()
	}
	for _, file := range []struct {
		path *string
		// address finds the host and port, the port alone where group is 1.
		address *regexp.Regexp
	}{
		{&m.Kubeconfig, regexp.MustCompile(`127\.0\.0\.1:(\d+)`)},
		{&m.SSHConfig, regexp.MustCompile(`Port (\d+)`)},
	} {
		text, err := os.ReadFile(*file.path)
		if err != nil {
			return nil, err
		}
		ports := map[string]string{}
		for _, found := range file.address.FindAllStringSubmatch(string(text), -1) {
			if ports[found[1]] != "" {
				continue
			}
			to, err := relay("127.0.0.1:" + found[1])
			if err != nil {
				return nil, err
			}
			_, ports[found[1]], _ = strings.Cut(to, ":")
		}
		moved := func(text string, in *regexp.Regexp) string {
			return in.ReplaceAllStringFunc(text, func(s string) string {
				port := in.FindStringSubmatch(s)[1]
				return strings.TrimSuffix(s, port) + ports[port]
			})
		}
		changed := moved(string(text), file.address)
		if file.path == &m.SSHConfig {
			known := filepath.Join(filepath.Dir(*file.path), "known_hosts")
			keys, err := os.ReadFile(known)
			if err != nil {
				return nil, err
			}
			mine := filepath.Join(dir, "known_hosts")
			if err := os.WriteFile(mine, []byte(moved(string(keys), regexp.MustCompile(`\]:(\d+)`))), 0o600); err != nil {
				return nil, err
			}
			changed = strings.ReplaceAll(changed, known, mine)
		}
		*file.path = filepath.Join(dir, filepath.Base(*file.path))
		if err := os.WriteFile(*file.path, []byte(changed), 0o600); err != nil {
			return nil, err
		}
	}
	m.Dir = dir
	return &m, nil
}

// serving is a connection to the site. Its Close only says that nothing more comes:
// the site ends it when it is through with what has come.
type serving struct{ *net.TCPConn }

func (s serving) Close() error { return s.CloseWrite() }

// relay listens on a port of its own and passes on what comes, both ways, until
// the life ends.
func (l *life) relay(to string) (at string, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	if !l.owns(listener) {
		return "", fmt.Errorf("relay to %s: the life is over", to)
	}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				client.Close()
				continue
			}
			if !l.serves(client, server.(*net.TCPConn)) {
				client.Close()
				server.Close()
				continue
			}
			go pass(client, serving{server.(*net.TCPConn)}, l.request)
			go func() {
				defer l.served.Done()
				defer server.Close()
				pass(server, client, l.answer)
				_, _ = io.Copy(io.Discard, server) // until the site is through with it
			}()
		}
	}()
	return listener.Addr().String(), nil
}

// pass copies what comes from one side, as long as it may. Then nothing more goes
// to the other side.
func pass(from io.Reader, to io.WriteCloser, may func() bool) {
	defer to.Close()
	buffer := make([]byte, 1<<16)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if !may() {
				return
			}
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
