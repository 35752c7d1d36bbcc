package process

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// commandTimeout bounds one weir command.
const commandTimeout = 30 * time.Second

// Output is what a command did.
type Output struct {
	Stdout, Stderr string
	Code           int // exit status; -1 when it had to be killed
}

// Run runs weir with those arguments and environment and returns what it did.
func Run(t testing.TB, env []string, args ...string) Output {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, Binary(t), args...)
	cmd.Env = append(Environ(), env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("cannot run weir %s: %v", strings.Join(args, " "), err)
	}
	return Output{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// Weir runs the weir command against this node's console.
func (n *Node) Weir(args ...string) Output {
	n.t.Helper()
	env := []string{"WEIR_CONSOLE=" + n.Console()}
	if n.opts.AccessKey != "" {
		env = append(env, "AWS_ACCESS_KEY_ID="+n.opts.AccessKey, "AWS_SECRET_ACCESS_KEY="+n.opts.Secret)
	}
	return Run(n.t, env, args...)
}

// Token makes a token with which a node may join this one's cluster.
func (n *Node) Token() string {
	n.t.Helper()
	out := n.Weir("token", "create")
	token := strings.TrimSpace(out.Stdout)
	if out.Code != 0 || token == "" {
		n.t.Fatalf("weir token create: status %d: %s%s", out.Code, out.Stdout, out.Stderr)
	}
	return token
}

// noNode is how `weir status --json` shows a leader that is missing.
const noNode = "n0000000000000000"

// Status is what `weir status --json` prints, as far as tests look at it. Its
// names are the command's promise to scripts, so they are repeated here.
type Status struct {
	ClusterID string
	Nodes     []NodeStatus
	Tablets   []struct {
		ID       uint64
		Leader   string // noNode while there is none
		Last     uint64
		Replicas []struct {
			Node  string
			Voter bool
			Up    bool
			Lag   uint64
		}
	}
}

// NodeStatus is one node of a Status.
type NodeStatus struct {
	ID      string
	Address string
	Up      bool
	Starts  uint64
	Leads   int
	Holds   int
}

// Status asks `weir status --json` and also returns its exit status.
func (n *Node) Status() (*Status, int) {
	n.t.Helper()
	out := n.Weir("status", "--json")
	var s Status
	if err := json.Unmarshal([]byte(out.Stdout), &s); err != nil {
		n.t.Logf("weir status --json of %s: status %d: %v\n%s%s", n.opts.Name, out.Code, err, out.Stdout, out.Stderr)
		return nil, out.Code
	}
	return &s, out.Code
}

// Whole reports whether every node is up and every tablet has a leader and that
// many voters, none more than lag entries behind; if not, it says what is
// missing.
func (s *Status) Whole(voters int, lag uint64) (bool, string) {
	if s == nil {
		return false, "no status"
	}
	for _, node := range s.Nodes {
		if !node.Up {
			return false, "node " + node.Address + " is down"
		}
	}
	for _, t := range s.Tablets {
		have := 0
		for _, r := range t.Replicas {
			if r.Voter && r.Up && r.Lag <= lag {
				have++
			}
		}
		if t.Leader == noNode || have != voters {
			text, _ := json.Marshal(t) // numbers only
			return false, "tablet " + string(text)
		}
	}
	return len(s.Tablets) > 0, "no tablets"
}

// Leading is how many tablets the node of that peer address leads.
func (s *Status) Leading(peer string) int {
	for _, node := range s.Nodes {
		if node.Address == peer {
			return node.Leads
		}
	}
	return 0
}
