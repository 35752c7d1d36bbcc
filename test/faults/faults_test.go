package faults

import (
	"context"
	"flag"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"weir.dev/weir/test/process"
)

const (
	// maxGap is how long no write of an item may be acknowledged after its leader
	// was killed.
	maxGap = 3 * time.Second
	// maxGapSilent is the same when the leader does not die but falls silent, so
	// that clients which had asked it first wait for their own timeouts.
	maxGapSilent = 6 * time.Second
	// underLoad is how many entries a replica may be behind while clients write.
	underLoad = 100
	// warm is how long clients work before something breaks.
	warm = 2 * time.Second
)

// TestFaults breaks one cluster in one way after another.
func TestFaults(t *testing.T) {
	c := newCluster(t, nil)
	for _, scenario := range []struct {
		name string
		run  func(t *testing.T, c *cluster)
	}{
		{"Story", tellsFailover}, {"KillLeader", killLeader}, {"KillAll", killAll}, {"FreezeLeader", freezeLeader}, {"Restarts", restarts}, {"LevelAll", levelAll}, {"TwoDown", twoDown},
	} {
		t.Run(scenario.name, func(t *testing.T) { scenario.run(t, c) })
	}
}

// kills is how often KillLeader kills: more for a soak.
var kills = flag.Int("kills", 1, "how often KillLeader kills a leader")

// killLeader kills the node that leads most tablets with kill -9; the others
// go on, and it catches up when it comes back.
func killLeader(t *testing.T, c *cluster) {
	l := startLoad(t, c, "kill")
	l.hold(warm)
	var pauses []time.Duration
	for range *kills {
		leader := c.leader(t)
		l.gaps.reset()
		leader.Kill()
		l.hold(5 * time.Second)
		pauses = append(pauses, l.gaps.report(t, "after kill -9 of the leader", maxGap))
		leader.Start()
		leader.WaitReady()
		l.hold(3 * time.Second)
	}
	l.finish()
	slices.Sort(pauses)
	at := func(q float64) time.Duration {
		return pauses[int(q*float64(len(pauses)-1)+0.5)].Round(time.Millisecond)
	}
	t.Logf("%d kills of a leader: longest pause of an item at the median %v, at the 99th percentile %v, at most %v", len(pauses), at(0.5), at(0.99), at(1))
}

// killAll kills every node at the same moment: what was acknowledged is on the
// disks.
func killAll(t *testing.T, c *cluster) {
	l := startLoad(t, c, "killall")
	l.hold(warm)
	l.gaps.report(t, "before", 0)
	for _, n := range c.nodes {
		n.Signal(syscall.SIGKILL)
	}
	for _, n := range c.nodes {
		n.Kill()
	}
	begun := time.Now()
	for _, n := range c.nodes {
		n.Start()
	}
	l.gaps.reset()
	for _, n := range c.nodes {
		n.WaitReady()
	}
	t.Logf("all three serve again %v after their start", since(begun))
	l.hold(5 * time.Second)
	l.gaps.report(t, "from the start of all three on", maxGapSilent)
	l.finish()
}

// freezeLeader stops the leader for five seconds, so that it wakes up in a
// world that went on without it.
func freezeLeader(t *testing.T, c *cluster) {
	l := startLoad(t, c, "freeze")
	l.hold(warm)
	leader := c.leader(t)
	l.gaps.reset()
	leader.Signal(syscall.SIGSTOP)
	l.hold(5 * time.Second)
	l.gaps.report(t, "while the leader is frozen", maxGapSilent)
	leader.Signal(syscall.SIGCONT)
	l.hold(3 * time.Second)
	l.finish()
}

// restarts restarts one node after another, as an upgrade does.
func restarts(t *testing.T, c *cluster) {
	l := startLoad(t, c, "restarts")
	l.hold(time.Second)
	l.gaps.reset()
	for _, n := range c.nodes {
		begun := time.Now()
		if code := n.Stop(); code != 0 {
			t.Errorf("%s ended with status %d", n.Name(), code)
		}
		stopped := since(begun)
		n.Start()
		n.WaitReady()
		t.Logf("%s stopped in %v and serves again after %v", n.Name(), stopped, since(begun))
		c.waitWhole(t, "after the restart of "+n.Name(), underLoad)
	}
	l.gaps.report(t, "during a rolling restart", maxGap)
	l.finish()
}

// twoDown leaves one node alone: it takes no writes and says why.
func twoDown(t *testing.T, c *cluster) {
	alone := c.nodes[0]
	for _, n := range c.others(alone) {
		n.Kill()
	}
	deadline := time.Now().Add(15 * time.Second)
	var out process.Output
	for {
		if out = alone.Weir("status"); out.Code == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("weir status of a node alone: exit status %d, want 1\n%s%s", out.Code, out.Stdout, out.Stderr)
		}
		time.Sleep(100 * time.Millisecond) // a real process: there is nothing to wait on
	}
	if !strings.Contains(out.Stderr, "too few of its voters are up") || strings.Count(out.Stdout, " down") < 2 || !strings.Contains(out.Stdout, "none") {
		t.Errorf("weir status of a node alone:\n%s%s", out.Stdout, out.Stderr)
	}
	client := dynamodb.NewFromConfig(c.config(1))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	name := "sums"
	for range 3 { // one of them reaches the node that is up
		if _, err := client.PutItem(ctx, &dynamodb.PutItemInput{TableName: &name, Item: item{"pk": s("x")}}); err == nil {
			t.Error("a node without a majority acknowledged a write")
		}
	}
	for alone.Ready(t.Context()) == nil { // until its last leader finds that nobody follows
		if time.Now().After(deadline) {
			t.Fatal("a node without a majority says that it is ready")
		}
		time.Sleep(100 * time.Millisecond)
	}
	for _, n := range c.others(alone) {
		n.Start()
	}
	c.waitWhole(t, "after the two came back", 0)
}

// TestPartition cuts the leader off from the others, but not from the clients.
func TestPartition(t *testing.T) {
	net, err := newNetwork(t, nodeCount, (*network).bridged)
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("CI must test partitions: %v", err)
		}
		t.Skipf("NOT TESTED: partitions: %v", err)
	}
	c := newCluster(t, net.place)
	l := startLoad(t, c, "partition")
	l.hold(warm)
	leader := c.leader(t)
	l.gaps.reset()
	net.cut(c.index(leader), true)
	l.hold(6 * time.Second)
	l.gaps.report(t, "while the leader is cut off", maxGapSilent)
	if out := leader.Weir("status"); out.Code != 1 {
		t.Errorf("weir status of the node that is cut off: exit status %d, want 1\n%s%s", out.Code, out.Stdout, out.Stderr)
	}
	if _, code := c.others(leader)[0].Status(); code != 0 {
		t.Errorf("weir status of a node of the majority: exit status %d, want 0", code)
	}
	net.cut(c.index(leader), false)
	l.hold(4 * time.Second)
	l.finish()
}

// TestOneWay holds back what the others send to the leader, while what it sends
// arrives: it must not keep leading without hearing from anybody.
func TestOneWay(t *testing.T) {
	p := newProxies(t)
	c := newCluster(t, p.place)
	l := startLoad(t, c, "oneway")
	l.hold(warm)
	leader := c.leader(t)
	l.gaps.reset()
	p.cut(c.index(leader), true)
	l.hold(6 * time.Second)
	l.gaps.report(t, "while the leader hears nobody", maxGapSilent)
	p.cut(c.index(leader), false)
	l.hold(3 * time.Second)
	l.finish()
}
