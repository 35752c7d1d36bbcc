package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"weir.dev/weir/test/process"
)

// fatalStatus is how weir serve ends when it cannot go on.
const fatalStatus = 3

// TestMembers lets nodes join, drain, die for good and leave while clients
// write and read, and tries to bring back what was removed.
func TestMembers(t *testing.T) {
	c := newCluster(t, nil)
	l := startLoad(t, c, "members")
	l.hold(warm)
	l.gaps.reset()

	fourth := c.join(t, 4)
	c.waitShare(t, fourth)
	l.gaps.report(t, "while a fourth node took its share", maxGap)

	dead := c.nodes[1]
	id := nodeID(t, c.nodes[0], dead)
	dead.Kill()
	begun := time.Now()
	c.nodes = c.others(dead)
	expect(t, c.nodes[0].Weir("node", "remove", "--wait", id[:9]), 0, id+" is no member any more")
	t.Logf("a dead node was removed in %v", since(begun))
	c.waitWhole(t, "after the removal of a dead node", underLoad)

	first := c.nodes[0]
	l.gaps.reset()
	out := c.nodes[1].Weir("node", "drain", "--wait", nodeID(t, c.nodes[1], first))
	if out.Code != 1 || !strings.Contains(out.Stderr, "keeps 6 tablets: no other member can take them") {
		t.Errorf("draining one of three: exit status %d\n%s%s", out.Code, out.Stdout, out.Stderr)
	}
	if status, _ := c.nodes[1].Status(); status == nil || status.Leading(first.Peer()) != 0 {
		t.Errorf("the drained node leads: %+v", status)
	}
	l.gaps.report(t, "while the first node gave up its leaders", maxGap)
	l.finish()

	dead.Start()
	if code := dead.Wait(20 * time.Second); code != fatalStatus || !strings.Contains(dead.Log(), "was removed from this cluster") {
		t.Errorf("the removed node ended with status %d:\n%s", code, dead.LogTail(5))
	}
}

// TestOldDirectory starts a node on a copy of its directory that is older than
// what the cluster knows of it.
func TestOldDirectory(t *testing.T) {
	c := newCluster(t, nil)
	n := c.nodes[2]
	if code := n.Stop(); code != 0 {
		t.Fatalf("status %d", code)
	}
	copied := n.Dir() + ".copy"
	if err := os.CopyFS(copied, os.DirFS(n.Dir())); err != nil {
		t.Fatal(err)
	}
	n.Start()
	n.WaitReady()
	c.waitStarts(t, n, 2)
	n.Kill()
	if err := os.RemoveAll(n.Dir()); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(copied, n.Dir()); err != nil {
		t.Fatal(err)
	}
	n.Start()
	if code := n.Wait(20 * time.Second); code != fatalStatus || !strings.Contains(n.Log(), "older copy") {
		t.Errorf("the node on an old copy ended with status %d:\n%s", code, n.LogTail(5))
	}
}

// waitStarts waits until the cluster has heard of that many starts of a node.
func (c *cluster) waitStarts(t *testing.T, n *process.Node, starts uint64) {
	t.Helper()
	for begun := time.Now(); ; time.Sleep(100 * time.Millisecond) { // a real process: there is nothing to wait on
		status, _ := c.nodes[0].Status()
		if status != nil && slices.ContainsFunc(status.Nodes, func(v process.NodeStatus) bool { return v.Address == n.Peer() && v.Starts == starts }) {
			return
		}
		if time.Since(begun) > wholeTimeout {
			t.Fatalf("the cluster has not heard of start %d of %s: %+v", starts, n.Name(), status)
		}
	}
}

// join adds a node to the cluster.
func (c *cluster) join(t *testing.T, number int) *process.Node {
	t.Helper()
	dir := filepath.Dir(c.nodes[0].Dir())
	name := fmt.Sprintf("node-%d", number)
	n := process.New(t, process.Options{
		Name: name, Dir: filepath.Join(dir, name), AccessKey: accessKey, Secret: secret,
		Args: []string{"--keys", filepath.Join(dir, keyFile), "--join", c.nodes[0].Peer(), "--token", c.nodes[0].Token()},
	})
	n.Start()
	n.WaitReady()
	c.nodes = append(c.nodes, n)
	return n
}

// waitShare waits until a node holds and leads its share of the tablets.
func (c *cluster) waitShare(t *testing.T, n *process.Node) {
	t.Helper()
	begun := time.Now()
	for {
		status, _ := n.Status()
		if status != nil {
			at := slices.IndexFunc(status.Nodes, func(v process.NodeStatus) bool { return v.Address == n.Peer() })
			if at >= 0 && status.Nodes[at].Leads > 0 && status.Nodes[at].Holds >= 5 { // the catalog, and 4 or 5 of the 18 voters
				t.Logf("%s leads %d and holds %d tablets after %v", n.Name(), status.Nodes[at].Leads, status.Nodes[at].Holds, since(begun))
				return
			}
		}
		if time.Since(begun) > wholeTimeout {
			t.Fatalf("%s has not got its share after %v: %+v", n.Name(), wholeTimeout, status)
		}
		time.Sleep(100 * time.Millisecond) // a real process: there is nothing to wait on
	}
}

// nodeID is the id of a node as another one tells it.
func nodeID(t *testing.T, asked, of *process.Node) string {
	t.Helper()
	status, _ := asked.Status()
	if status != nil {
		for _, v := range status.Nodes {
			if v.Address == of.Peer() {
				return v.ID
			}
		}
	}
	t.Fatalf("%s does not know %s", asked.Name(), of.Name())
	return ""
}

func expect(t *testing.T, out process.Output, code int, says string) {
	t.Helper()
	if out.Code != code || !strings.Contains(out.Stdout, says) {
		t.Fatalf("exit status %d, want %d:\n%s%s", out.Code, code, out.Stdout, out.Stderr)
	}
}
