package remote

import (
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
)

// TestMain makes the test program a ProxyCommand as well: "forward HOST PORT"
// connects its input and output, "pass HOST PORT" passes the connection.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 {
		switch os.Args[1] {
		case "forward":
			forward(dialed())
			os.Exit(0)
		case "pass":
			pass(dialed())
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

func dialed() *net.TCPConn {
	conn, err := net.Dial("tcp", net.JoinHostPort(os.Args[2], os.Args[3]))
	if err != nil {
		fmt.Fprintln(os.Stderr, "forward:", err)
		os.Exit(1)
	}
	return conn.(*net.TCPConn)
}

func forward(conn *net.TCPConn) {
	go func() {
		io.Copy(conn, os.Stdin)
		conn.CloseWrite()
	}()
	io.Copy(os.Stdout, conn)
}

func pass(conn *net.TCPConn) {
	file, err := conn.File()
	if err == nil {
		// The kernel wants a byte with it.
		err = syscall.Sendmsg(1, []byte{0}, syscall.UnixRights(int(file.Fd())), nil, 0)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "pass:", err)
		os.Exit(1)
	}
}
