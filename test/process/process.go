// Package process runs real Weir processes for tests: the binary that users
// run, with its own data directory and addresses, which a test can stop, kill,
// freeze and start again, and ask with the weir command.
//
// It knows nothing of what runs inside and imports nothing of it. Every
// process it starts is ended when the test ends, and by the kernel if the test
// process itself dies. Linux only: it reads /proc and uses the whole of
// 127.0.0.0/8, so that tests side by side never meet on a port.
//
// A Node is for one goroutine at a time, but for its addresses. Start with
// Start.
package process

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// readyTimeout bounds how long a node may take until it serves; a node that
// joins a cluster first receives its tablets.
const readyTimeout = 30 * time.Second

// Options say how a node runs. The zero value is a node of its own on loopback.
type Options struct {
	Name  string   // in messages and log files; "" is "node"
	Dir   string   // data directory; "" makes one that goes with the test
	Args  []string // more flags of weir serve
	Env   []string // more environment, NAME=VALUE
	Netns string   // network namespace to run in; needs root
	// Host is the address of the three listeners; "" takes an unused one of
	// 127.0.0.0/8. PeerHost is another one for the peer listener.
	Host, PeerHost string
	// Advertise is where other nodes reach the peer listener, if that is not its
	// own address: a proxy that can be cut.
	Advertise string
	// AccessKey and Secret sign what the test asks of the console; "" is open mode.
	AccessKey, Secret string
}

// Node is one process, or the place where it will run again.
type Node struct {
	opts Options
	t    testing.TB
	log  string // path

	cmd    *exec.Cmd
	exited chan struct{} // closed when the process has ended
	code   int           // exit status, when exited is closed; -1 for a signal
}

// binary is built or found once for each test process.
var binary = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("WEIR_BIN"); path != "" {
		return filepath.Abs(path)
	}
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("cannot find the module: %w", err)
	}
	path := filepath.Join(strings.TrimSpace(string(root)), "bin", "weir")
	build := exec.Command("go", "build", "-o", path, "./cmd/weir")
	build.Dir = filepath.Dir(filepath.Dir(path))
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("cannot build weir: %w\n%s", err, out)
	}
	return path, nil
})

// Binary is the weir under test: WEIR_BIN, or else bin/weir, which is built anew.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Start starts a node and waits until it serves.
func Start(t testing.TB, opts Options) *Node {
	t.Helper()
	n := New(t, opts)
	n.Start()
	n.WaitReady()
	return n
}

// New prepares a node without starting it.
func New(t testing.TB, opts Options) *Node {
	t.Helper()
	if opts.Name == "" {
		opts.Name = "node"
	}
	if opts.Dir == "" {
		opts.Dir = filepath.Join(t.TempDir(), "data")
	}
	if opts.Host == "" {
		opts.Host = LoopbackHost()
	}
	if opts.PeerHost == "" {
		opts.PeerHost = opts.Host
	}
	n := &Node{opts: opts, t: t, log: filepath.Join(t.TempDir(), opts.Name+".log")}
	t.Cleanup(func() {
		n.Kill()
		if t.Failed() {
			t.Logf("the end of the log of %s:\n%s", opts.Name, n.LogTail(60))
		}
	})
	return n
}

// LoopbackHost is a random address of this machine that nobody else uses.
func LoopbackHost() string {
	return fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254))
}

// Start starts the process and does not wait for it.
func (n *Node) Start() {
	n.t.Helper()
	if n.Running() {
		n.t.Fatalf("%s runs already", n.opts.Name)
	}
	args := []string{Binary(n.t), "serve", "--data", n.opts.Dir, "--aws", n.AWS(), "--console", n.Console(), "--peer", n.PeerListener()}
	if n.opts.Advertise != "" {
		args = append(args, "--advertise", n.opts.Advertise)
	}
	args = append(args, n.opts.Args...)
	if n.opts.Netns != "" {
		args = append([]string{"ip", "netns", "exec", n.opts.Netns}, args...) // ip replaces itself by weir
	}
	log, err := os.OpenFile(n.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		n.t.Fatal(err)
	}
	defer func() { _ = log.Close() }() // the process has its own descriptor
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(Environ(), n.opts.Env...)
	cmd.Stdout, cmd.Stderr = log, log
	n.cmd, n.exited = cmd, make(chan struct{})
	if err := startTied(cmd, func() { n.code = cmd.ProcessState.ExitCode(); close(n.exited) }); err != nil {
		n.exited = nil
		n.t.Fatalf("cannot start %s: %v", n.opts.Name, err)
	}
}

// startTied starts a process that the kernel kills when this one dies. The
// kernel looks at the thread that started it, so that thread waits for it.
func startTied(cmd *exec.Cmd, ended func()) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // the state says how it ended
			ended()
		}
	}()
	return <-started
}

// Environ is this process's environment without what would configure a node or
// an AWS client.
func Environ() []string {
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "WEIR_") && !strings.HasPrefix(e, "AWS_") {
			env = append(env, e)
		}
	}
	return env
}

// WaitReady waits until the node serves, as its readiness check says.
func (n *Node) WaitReady() {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	for {
		last := n.Ready(ctx)
		if last == nil {
			return
		}
		select {
		case <-n.exited:
			n.t.Fatalf("%s ended with status %d before it served:\n%s", n.opts.Name, n.code, n.LogTail(20))
		case <-ctx.Done():
			n.t.Fatalf("%s does not serve after %v: %v\n%s", n.opts.Name, readyTimeout, last, n.LogTail(20))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Ready asks the node's readiness check once; nil means that it serves.
func (n *Node) Ready(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.Console()+"/readyz", nil)
	if err != nil {
		return err
	}
	resp, err := oneShot.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, bytes.TrimSpace(body))
	}
	return err
}

// oneShot keeps no connections: the node may be another process next time.
var oneShot = &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// AWS is the HOST:PORT of the AWS listener.
func (n *Node) AWS() string { return n.opts.Host + ":4566" }

// Endpoint is the URL of the AWS listener.
func (n *Node) Endpoint() string { return "http://" + n.AWS() }

// Console is the HOST:PORT of the console listener.
func (n *Node) Console() string { return n.opts.Host + ":4580" }

// PeerListener is the HOST:PORT of the peer listener.
func (n *Node) PeerListener() string { return n.opts.PeerHost + ":4590" }

// Peer is the HOST:PORT at which other nodes reach this one.
func (n *Node) Peer() string { return cmp.Or(n.opts.Advertise, n.PeerListener()) }

// Name is what messages call the node.
func (n *Node) Name() string { return n.opts.Name }

// Dir is the data directory.
func (n *Node) Dir() string { return n.opts.Dir }

// AddArgs adds flags for the next Start.
func (n *Node) AddArgs(args ...string) { n.opts.Args = append(n.opts.Args, args...) }

// Running reports whether the process runs, frozen or not.
func (n *Node) Running() bool {
	if n.exited == nil {
		return false
	}
	select {
	case <-n.exited:
		return false
	default:
		return true
	}
}

// Signal sends a signal to this process and no other.
func (n *Node) Signal(sig syscall.Signal) {
	n.t.Helper()
	if !n.Running() {
		n.t.Fatalf("%s does not run", n.opts.Name)
	}
	if err := n.cmd.Process.Signal(sig); err != nil {
		n.t.Fatalf("cannot signal %s: %v", n.opts.Name, err)
	}
}

// Kill ends the process at once, as kill -9 does, and waits for its end. A
// process that has ended already is no error.
func (n *Node) Kill() {
	if n.Running() {
		_ = n.cmd.Process.Kill() // it may end by itself just now
		<-n.exited
	}
}

// Stop asks the process to end, waits for it, and returns its exit status.
func (n *Node) Stop() int {
	n.t.Helper()
	n.Signal(syscall.SIGTERM)
	return n.Wait(20 * time.Second)
}

// Wait waits until the process ends by itself and returns its exit status, -1
// for a signal.
func (n *Node) Wait(most time.Duration) int {
	n.t.Helper()
	select {
	case <-n.exited:
	case <-time.After(most):
		n.Signal(syscall.SIGQUIT) // what it is doing, into its log
		select {
		case <-n.exited:
		case <-time.After(5 * time.Second):
		}
		n.t.Fatalf("%s has not ended after %v; it was doing:\n%s", n.opts.Name, most, n.LogTail(400))
	}
	return n.code
}

// RSS is the process's resident memory in bytes.
func (n *Node) RSS() int64 {
	n.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.cmd.Process.Pid))
	if err != nil {
		n.t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			if err != nil {
				n.t.Fatal(err)
			}
			return kib << 10
		}
	}
	n.t.Fatal("the kernel tells no VmRSS")
	return 0
}

// Log is all that the process wrote to its standard output and error.
func (n *Node) Log() string {
	text, err := os.ReadFile(n.log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// LogTail is the last lines of the log.
func (n *Node) LogTail(lines int) string {
	all := strings.Split(strings.TrimRight(n.Log(), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
