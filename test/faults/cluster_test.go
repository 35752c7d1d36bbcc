package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"weir.dev/weir/test/process"
)

const (
	nodeCount = 3
	accessKey = "AKIDWEIRFAULTS"
	secret    = "a-secret-for-tests-0123456789"
	// wholeTimeout bounds the time until every tablet has three voters that are
	// up and have caught up.
	wholeTimeout = 40 * time.Second
	// keyFile is beside the nodes' directories.
	keyFile = "keys"
)

// cluster is three nodes that are one Weir.
type cluster struct {
	nodes []*process.Node
	keys  string // file with the access keys
}

// newCluster starts three nodes; place, when not nil, says where each runs.
func newCluster(t *testing.T, place func(i int, opts *process.Options)) *cluster {
	t.Helper()
	c := &cluster{}
	dir := t.TempDir()
	keys := filepath.Join(dir, keyFile)
	if err := os.WriteFile(keys, []byte(accessKey+":"+secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.keys = keys
	begun := time.Now()
	for i := range nodeCount {
		opts := process.Options{
			Name: fmt.Sprintf("node-%d", i+1), Dir: filepath.Join(dir, fmt.Sprintf("node-%d", i+1)),
			AccessKey: accessKey, Secret: secret, Args: []string{"--keys", keys, "--tablets", "6"},
		}
		if place != nil {
			place(i, &opts)
		}
		n := process.New(t, opts)
		if i > 0 {
			n.AddArgs("--join", c.nodes[0].Peer(), "--token", c.nodes[0].Token())
		}
		n.Start()
		n.WaitReady()
		c.nodes = append(c.nodes, n)
	}
	c.waitWhole(t, "after joining", 0)
	t.Logf("three nodes are one cluster after %v", since(begun))
	return c
}

// since is a duration to print.
func since(begun time.Time) time.Duration { return time.Since(begun).Round(time.Millisecond) }

// waitWhole waits until every node says that everything is in its place, and
// that `weir status` ends with 0. While there are writes, replicas are always a
// few entries behind: lag says how many are no matter.
func (c *cluster) waitWhole(t *testing.T, when string, lag uint64) {
	t.Helper()
	begun := time.Now()
	for _, n := range c.nodes {
		for {
			status, code := n.Status()
			whole, lacking := status.Whole(nodeCount, lag)
			if whole && code == 0 {
				break
			}
			if time.Since(begun) > wholeTimeout {
				t.Fatalf("%s, %s: not whole after %v: exit status %d, %s", when, n.Name(), wholeTimeout, code, lacking)
			}
			time.Sleep(100 * time.Millisecond) // a real process: there is nothing to wait on
		}
	}
	t.Logf("%s: every tablet has three voters, at most %d entries behind, seen after %v", when, lag, since(begun))
}

// leader is the node that leads most tablets, as any running node tells.
func (c *cluster) leader(t *testing.T) *process.Node {
	t.Helper()
	for _, asked := range c.nodes {
		status, _ := asked.Status()
		if status == nil {
			continue
		}
		best, most := c.nodes[0], -1
		for _, n := range c.nodes {
			if leads := status.Leading(n.Peer()); leads > most {
				best, most = n, leads
			}
		}
		t.Logf("%s leads %d of %d tablets", best.Name(), most, len(status.Tablets))
		return best
	}
	t.Fatal("no node tells its status")
	return nil
}

// index is a node's place among the three.
func (c *cluster) index(n *process.Node) int { return slices.Index(c.nodes, n) }

// others are the nodes but one.
func (c *cluster) others(not *process.Node) (list []*process.Node) {
	for _, n := range c.nodes {
		if n != not {
			list = append(list, n)
		}
	}
	return list
}
