package ground

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// server is a server process to be started.
type server struct {
	name    string // of its log file, and for messages
	program string
	dir     string   // where its log goes
	env     []string // in addition to the environment
	ports   int      // how many ports it needs
	// arguments receives that many free ports.
	arguments func(ports []int) []string
	// ready checks whether the server is ready; its error says what is missing.
	ready func(ctx context.Context, ports []int) error
	limit time.Duration // until it is ready; Limit by default
}

// Limit is how long the servers may take for anything they do by themselves, in
// real time. It is many times what it takes on an idle machine.
const Limit = 5 * time.Minute

// process is a running server.
type process struct {
	name  string
	log   string
	cmd   *exec.Cmd
	ended chan struct{}
}

// start starts the server, waits until it is ready, and ends it, by process id,
// with the test. If the test fails, it shows the server's log. It returns the
// server's ports. A free port may be taken before the server gets it; then
// start tries others.
func (s server) start(t testing.TB) []int {
	t.Helper()
	var err error
	for range 5 {
		var ports []int
		var p *process
		if ports, err = freePorts(s.ports); err != nil {
			t.Fatalf("start %s: %v", s.name, err)
		}
		if p, err = s.run(ports); err != nil {
			t.Fatal(err)
		}
		if err = s.wait(t.Context(), p, ports); err == nil {
			t.Cleanup(func() { p.stop(t) })
			return ports
		}
		ended := p.hasEnded()
		p.kill()
		if !ended {
			break // the server has its ports
		}
	}
	t.Fatalf("start %s: %v; the end of its log:\n%s", s.name, err, s.logText(60))
	return nil
}

func (s server) logFile() string { return filepath.Join(s.dir, s.name+".log") }

func (s server) logText(lines int) string { return logText(s.logFile(), lines) }

func logText(file string, lines int) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	return lastLines(string(text), lines)
}

// collector makes the servers, most of which are written in Go, spend less on
// collecting garbage: several grounds share a machine for a few minutes.
const collector = "GOGC=300"

func (s server) run(ports []int) (*process, error) {
	log, err := os.Create(s.logFile())
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", s.name, err)
	}
	defer log.Close() // the process has its own
	cmd := exec.Command(s.program, s.arguments(ports)...)
	cmd.Dir = s.dir
	cmd.Env = append(append(os.Environ(), collector), s.env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = apart()
	if err := launch(cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", s.name, err)
	}
	p := &process{name: s.name, log: s.logFile(), cmd: cmd, ended: make(chan struct{})}
	go func() {
		// It ends by a signal, or because it could not start. The log says why.
		_ = cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// launch starts a process from a thread that lives as long as the program,
// since the kernel takes the end of the starting thread for the end of the
// parent.
func launch(cmd *exec.Cmd) error {
	launcher.once.Do(func() {
		launcher.starts = make(chan func())
		go func() {
			runtime.LockOSThread()
			for start := range launcher.starts {
				start()
			}
		}()
	})
	err := make(chan error)
	launcher.starts <- func() { err <- cmd.Start() }
	return <-err
}

var launcher struct {
	once   sync.Once
	starts chan func()
}

func (s server) wait(ctx context.Context, p *process, ports []int) error {
	limit := s.limit
	if limit == 0 {
		limit = Limit
	}
	for began := time.Now(); ; {
		look, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := s.ready(look, ports)
		cancel()
		if err == nil && !p.hasEnded() {
			return nil
		}
		switch {
		case p.hasEnded():
			return errors.New("the process has ended")
		case ctx.Err() != nil:
			return ctx.Err()
		case time.Since(began) > limit:
			return fmt.Errorf("not ready after %s: %w", limit, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (p *process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

func (p *process) stop(t testing.TB) {
	if p.hasEnded() {
		t.Errorf("%s ended before the test: %s", p.name, p.cmd.ProcessState)
	}
	p.kill()
	if t.Failed() {
		t.Logf("end of the log of %s, complete in %s:\n%s", p.name, kept(p.log), logText(p.log, 6))
	}
}

// kept copies the log of a failed test out of its folder, which is about to be
// removed, and returns the copy's name.
func kept(log string) string {
	text, err := os.ReadFile(log)
	if err != nil {
		return err.Error()
	}
	f, err := os.CreateTemp("", "csu-ground-*-"+filepath.Base(log))
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if _, err := f.Write(text); err != nil {
		return err.Error()
	}
	return f.Name()
}

func (p *process) kill() {
	// An error means that the process has ended already.
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// descendants returns the processes that a process has started, and their
// descendants.
func descendants(pid int) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("look for the children of process %d: %w", pid, err)
	}
	parents := map[int]int{}
	for _, e := range entries {
		child, err := strconv.Atoi(e.Name())
		if err != nil {
			continue // not a process
		}
		stat, err := os.ReadFile(filepath.Join("/proc", e.Name(), "stat"))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // the process ended before the file was opened or read
		}
		if err != nil {
			return nil, err
		}
		// pid (name) state parent ...; a name can contain anything.
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(fields) < 2 {
			return nil, fmt.Errorf("process %d has the state %q", child, stat)
		}
		if parents[child], err = strconv.Atoi(string(fields[1])); err != nil {
			return nil, fmt.Errorf("process %d has the state %q: %w", child, stat, err)
		}
	}
	found := []int{pid}
	for i := 0; i < len(found); i++ {
		for child, parent := range parents {
			if parent == found[i] && !slices.Contains(found, child) {
				found = append(found, child)
			}
		}
	}
	return found[1:], nil
}

var givenPorts sync.Map // the ports that this program has given to servers

// freePorts returns ports of the loopback interface that are free now. They are
// below the range from which the kernel serves connections and listeners on any
// port, since it might otherwise hand one out before the server has it. A
// program gets no port twice, so that a port whose server is not listening yet
// does not count as free.
func freePorts(n int) ([]int, error) {
	const low, high = 20000, 32000
	var ports []int
	for tries := 0; len(ports) < n; tries++ {
		if tries == 1000 {
			return nil, fmt.Errorf("no free port between %d and %d", low, high)
		}
		port := low + rand.IntN(high-low)
		if _, given := givenPorts.LoadOrStore(port, true); given {
			continue
		}
		listener, err := net.Listen("tcp", local(port))
		if err != nil {
			continue
		}
		// Kept open until all are found, so that none is found twice.
		defer listener.Close()
		ports = append(ports, port)
	}
	return ports, nil
}

// local returns the address of a port on the loopback interface.
func local(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// answers is the ready of servers that only need to be listening.
func answers(ctx context.Context, ports []int) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", local(ports[0]))
	if err != nil {
		return err
	}
	return conn.Close()
}
