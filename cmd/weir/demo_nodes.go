package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"weir.dev/weir/internal/cluster"
	"weir.dev/weir/internal/model"
)

const (
	demoNodeCount = 3
	// demoStartTimeout bounds the start of one node.
	demoStartTimeout = 20 * time.Second
	// demoFormTimeout bounds the time until every tablet has three voters.
	demoFormTimeout = 45 * time.Second
	// demoStopTimeout is how long a node may take to stop before it is killed.
	demoStopTimeout = 5 * time.Second
	// demoPoll is the pause between two looks at a node that is waited for.
	demoPoll = 100 * time.Millisecond
)

// demoNodes are the processes of the demo's cluster.
type demoNodes struct {
	dir string
	all []*demoNode
}

// demoNode is a node that runs as a process of this binary.
type demoNode struct {
	name               string
	aws, console, peer string
	dir, logFile       string
	died               func(error) // called when the process ends by itself

	mu      sync.Mutex // guards what follows
	process *os.Process
	ended   chan struct{} // closed when the process is gone
	wanted  bool          // the process may end
}

// startNodes starts the first node, lets the others join it, and waits until
// they hold everything together.
func (d *demoRun) startNodes() error {
	dir, err := os.MkdirTemp("", "weir-demo-")
	if err != nil {
		return fmt.Errorf("cannot make a directory for the nodes: %w", err)
	}
	d.nodes = &demoNodes{dir: dir}
	d.screen.say("starting %d nodes in %s", demoNodeCount, dir)
	ports, err := freePorts(3 * demoNodeCount)
	if err != nil {
		return err
	}
	for i := range demoNodeCount {
		name := fmt.Sprintf("node-%d", i+1)
		d.nodes.all = append(d.nodes.all, &demoNode{
			name: name, aws: ports[3*i], console: ports[3*i+1], peer: ports[3*i+2],
			dir: filepath.Join(dir, name), logFile: filepath.Join(dir, name+".log"), died: d.fail,
		})
	}
	first := d.nodes.all[0]
	if err := first.start(d.ctx); err != nil {
		return err
	}
	for _, n := range d.nodes.all[1:] {
		var token struct{ Token string }
		if err := admin(first.console, "POST", "/api/tokens", map[string]int{"ttl_seconds": 600}, &token); err != nil {
			return fmt.Errorf("cannot make a join token: %w", err)
		}
		if err := n.start(d.ctx, "--join", first.peer, "--token", token.Token); err != nil {
			return err
		}
	}
	return d.waitFormed()
}

// waitFormed waits until every tablet has three voters that are up, and a leader.
func (d *demoRun) waitFormed() error {
	d.screen.say("waiting until every tablet has %d replicas", demoNodeCount)
	began, lacking := time.Now(), ""
	for time.Since(began) < demoFormTimeout {
		var s cluster.ClusterStatus
		if err := admin(d.nodes.all[0].console, "GET", "/api/status", nil, &s); err != nil {
			lacking = err.Error()
		} else if lacking = unformed(&s); lacking == "" {
			d.screen.say("%d tablets, %d replicas each, ready after %.1f s", len(s.Tablets), demoNodeCount, time.Since(began).Seconds())
			return nil
		}
		if !d.wait(demoPoll) {
			return d.interrupted()
		}
	}
	return fmt.Errorf("the cluster did not form within %v: %s", demoFormTimeout, lacking)
}

// unformed says what a cluster of three lacks; nothing when it is complete.
func unformed(s *cluster.ClusterStatus) string {
	if len(s.Nodes) != demoNodeCount {
		return fmt.Sprintf("it has %d nodes", len(s.Nodes))
	}
	for _, t := range s.Tablets {
		voters := 0
		for _, r := range t.Replicas {
			if r.Voter && r.Up {
				voters++
			}
		}
		if t.Leader == 0 || voters != demoNodeCount || len(t.Replicas) != demoNodeCount {
			return fmt.Sprintf("tablet %v has %d voters, and its leader is %v", t.ID, voters, t.Leader)
		}
	}
	return ""
}

// nodeOf finds the process of a member by its address.
func (n *demoNodes) nodeOf(s *cluster.ClusterStatus, id model.NodeID) *demoNode {
	for _, v := range s.Nodes {
		for _, node := range n.all {
			if v.ID == id && v.Address == node.peer {
				return node
			}
		}
	}
	return nil
}

// close ends all processes and removes what they stored, unless it is to be
// kept. When the demo failed, it shows the ends of their logs.
func (n *demoNodes) close(cause error, keep bool) error {
	var all sync.WaitGroup
	for _, node := range n.all {
		all.Go(node.stop)
	}
	all.Wait()
	if cause != nil && !errors.Is(cause, errDemoInterrupted) {
		for _, node := range n.all {
			fmt.Fprintf(os.Stderr, "--- the end of %s's log ---\n%s\n", node.name, node.logTail())
		}
	}
	if keep {
		fmt.Fprintln(os.Stderr, "The nodes' data and logs are in", n.dir)
		return nil
	}
	return os.RemoveAll(n.dir)
}

// start runs the node and waits until it answers. A node that ran before
// starts again on its data and its ports.
func (n *demoNode) start(ctx context.Context, extra ...string) error {
	binary, err := os.Executable()
	if err != nil {
		return fmt.Errorf("cannot find the weir binary: %w", err)
	}
	log, err := os.OpenFile(n.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("cannot write a node's log: %w", err)
	}
	defer log.Close() // the process has its own
	cmd := exec.Command(binary, append([]string{"serve", "--data", n.dir, "--aws", n.aws, "--console", n.console, "--peer", n.peer}, extra...)...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = withoutWeir(os.Environ())
	cmd.SysProcAttr = childAttributes()
	n.mu.Lock()
	defer n.mu.Unlock()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("cannot start %s: %w", n.name, err)
	}
	ended := make(chan struct{})
	n.process, n.ended, n.wanted = cmd.Process, ended, false
	go n.watch(cmd, ended) // ends with the process, which stop waits for
	return n.awaitReady(ctx, ended)
}

// watch waits for the end of the process.
func (n *demoNode) watch(cmd *exec.Cmd, ended chan struct{}) {
	err := cmd.Wait()
	close(ended)
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.wanted {
		n.died(fmt.Errorf("%s ended by itself: %v", n.name, err))
	}
}

func (n *demoNode) awaitReady(ctx context.Context, ended chan struct{}) error {
	deadline := time.After(demoStartTimeout)
	for {
		err := reachable(n.console)
		if err == nil {
			return nil
		}
		select {
		case <-ended:
			return fmt.Errorf("%s ended at its start", n.name)
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-deadline:
			return fmt.Errorf("%s did not start within %v: %w", n.name, demoStartTimeout, err)
		case <-time.After(demoPoll / 2):
		}
	}
}

// reachable tries to connect.
func reachable(addr string) error {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return err
	}
	return c.Close()
}

// kill ends the process as a power cut would, and waits until it is gone.
func (n *demoNode) kill() error {
	n.mu.Lock()
	n.wanted = true
	process, ended := n.process, n.ended
	n.mu.Unlock()
	if err := process.Kill(); err != nil {
		return fmt.Errorf("cannot kill %s: %w", n.name, err)
	}
	<-ended
	return nil
}

// stop asks the process to end, and kills it when it does not.
func (n *demoNode) stop() {
	n.mu.Lock()
	n.wanted = true
	process, ended := n.process, n.ended
	n.mu.Unlock()
	if process == nil {
		return
	}
	_ = process.Signal(syscall.SIGTERM) // it may be gone already
	select {
	case <-ended:
	case <-time.After(demoStopTimeout):
		_ = process.Kill()
		<-ended
	}
}

// logTail is the end of the node's log.
func (n *demoNode) logTail() string {
	const lines = 12
	text, err := os.ReadFile(n.logFile)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// withoutWeir leaves out the variables that are settings of a node.
func withoutWeir(env []string) (kept []string) {
	for _, v := range env {
		if !strings.HasPrefix(v, "WEIR_") {
			kept = append(kept, v)
		}
	}
	return kept
}

// freePorts finds addresses on which nothing listens. They are below the
// ports that systems give to outgoing connections, so that none is taken while
// its node is down.
func freePorts(n int) (addrs []string, err error) {
	const lowest, highest, tries = 20000, 32000, 1000
	var held []net.Listener // until all are found, so that none is found twice
	defer func() {
		for _, l := range held {
			err = errors.Join(err, l.Close())
		}
	}()
	for range tries {
		if len(addrs) == n {
			return addrs, nil
		}
		addr := fmt.Sprintf("127.0.0.1:%d", lowest+rand.IntN(highest-lowest))
		if l, err := net.Listen("tcp", addr); err == nil {
			held, addrs = append(held, l), append(addrs, addr)
		}
	}
	return nil, fmt.Errorf("cannot find %d free ports from %d to %d", n, lowest, highest)
}
