package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"weir.dev/weir/internal/faultnet/mesh"
	"weir.dev/weir/test/process"
)

// The network of TestWAN. What is lost is IP packets: the kernels' TCP sends
// them again.
var (
	// near is between the nodes of one region, far between the regions.
	near = mesh.Line{Delay: 200 * time.Microsecond, Jitter: 200 * time.Microsecond, Loss: 0.0005}
	far  = mesh.Line{Delay: 40 * time.Millisecond, Jitter: 8 * time.Millisecond, Loss: 0.01, Duplicate: 0.002, Reorder: 0.005, BytesPerSecond: 12 << 20}
)

const (
	westIndex = nodeCount // the place of west's node in the network
	// fullIndex is the node of east whose disk is small.
	fullIndex = 2
	diskSize  = "600m"
	// farPause is how long no region may take writes in a planned failover over this
	// network: four rounds of it, some of which lose a packet.
	farPause = 3 * time.Second
	// maxGapFull is how long no write may be acknowledged while a node's disk is
	// full for fullFor: what it leads waits until it gives up.
	maxGapFull = 8 * time.Second
	fullFor    = 2 * time.Second
)

// wan is two regions whose nodes are in network namespaces of their own.
type wan struct {
	*regions
	net  *network
	disk string // of the node with the small one
}

func newWAN(t *testing.T) *wan {
	net, err := newNetwork(t, nodeCount+1, (*network).meshed)
	if err != nil {
		notHere(t, "packets that are late and lost", err)
	}
	w := &wan{net: net, disk: smallDisk(t, diskSize)}
	w.regions = &regions{t: t, pause: farPause, wan: w.between}
	w.sound()
	w.east = newCluster(t, func(i int, opts *process.Options) {
		if net.place(i, opts); i == fullIndex {
			opts.Dir = filepath.Join(w.disk, "data")
		}
	})
	w.west = newWest(t, w.east, func(opts *process.Options) { net.place(westIndex, opts) })
	w.link(peers(w.west.nodes), peers(w.east.nodes))
	return w
}

// sound makes every line what it is when nothing is broken.
func (w *wan) sound() {
	for i := range nodeCount {
		for k := range nodeCount {
			w.line(i, k, near)
		}
	}
	w.between(true, true)
}

func (w *wan) line(from, to int, line mesh.Line) {
	w.net.mesh.Set(w.net.peer(from), w.net.peer(to), line)
}

// between sets what passes between the regions, each way.
func (w *wan) between(fromEast, fromWest bool) {
	there, back := far, far
	there.Cut, back.Cut = !fromEast, !fromWest
	for i := range nodeCount {
		w.line(i, westIndex, there)
		w.line(westIndex, i, back)
	}
}

// inside sets what passes between node i of east and the others there.
func (w *wan) inside(i int, sends, hears bool) {
	there, back := near, near
	there.Cut, back.Cut = !sends, !hears
	for k := range nodeCount {
		if k != i {
			w.line(i, k, there)
			w.line(k, i, back)
		}
	}
}

// TestWAN breaks two regions in network namespaces, 80 ms and one packet in a
// hundred apart, under load on tables, queues and streams: nodes of both are
// killed and stand still, the network loses one direction between the regions
// and inside one, a disk is full. Then the writes move, as planned and by force.
func TestWAN(t *testing.T) {
	w := newWAN(t)
	o := startOrders(w.regions)
	f := startFreight(w.regions, peers(w.west.nodes))
	l := startLoad(t, w.east, "wan")
	l.hold(warm)
	w.nodesFail(l, o)
	w.networkFails(l, o)
	w.diskFills(l)
	f.planned(freightLink, w.east, w.west)
	f.check()
	o.equal("after all that")
	o.pause() // what orders ship to east would always be an entry ahead there
	w.equal("after all that")
	l.finish()
	o.resume()

	o.planned("to-west", w.east, w.west)
	o.planned("to-east", w.west, w.east)
	o.forced()
	o.synchronous()
	o.finish()
	w.report()
}

// nodesFail kills a node of each region, and has one of each stand still.
func (w *wan) nodesFail(l *load, o *orders) {
	w.t.Helper()
	leader, west := w.east.leader(w.t), w.west.nodes[0]
	l.gaps.reset()
	leader.Kill()
	l.hold(3 * time.Second)
	l.gaps.report(w.t, "after kill -9 of a leader in east", maxGap)
	leader.Start()
	leader.WaitReady()

	l.gaps.reset()
	west.Kill()
	l.hold(time.Second)
	west.Start()
	west.WaitReady()
	l.gaps.report(w.t, "while all of west was killed and came back", maxGap)
	o.equal("after kill -9 in both regions")

	leader = w.east.leader(w.t)
	l.gaps.reset()
	leader.Signal(syscall.SIGSTOP)
	west.Signal(syscall.SIGSTOP)
	l.hold(4 * time.Second)
	l.gaps.report(w.t, "while a leader in east and all of west stand still", maxGapSilent)
	leader.Signal(syscall.SIGCONT)
	west.Signal(syscall.SIGCONT)
	o.equal("after nodes of both regions stood still")
}

// networkFails loses one direction at a time, between the regions and inside
// east.
func (w *wan) networkFails(l *load, o *orders) {
	w.t.Helper()
	for _, cut := range []struct {
		what               string
		fromEast, fromWest bool
	}{{"what east sends to west is lost", false, true}, {"what west sends to east is lost", true, false}} {
		l.gaps.reset()
		w.between(cut.fromEast, cut.fromWest)
		l.hold(3 * time.Second)
		w.between(true, true)
		l.gaps.report(w.t, "while "+cut.what, maxGap)
		o.equal("after " + cut.what)
	}
	for _, cut := range []struct {
		what         string
		sends, hears bool
	}{{"the leader in east hears nobody there", true, false}, {"nobody in east hears the leader", false, true}} {
		leader := w.east.leader(w.t)
		l.gaps.reset()
		w.inside(w.east.index(leader), cut.sends, cut.hears)
		l.hold(5 * time.Second)
		l.gaps.report(w.t, "while "+cut.what, maxGapSilent)
		w.inside(w.east.index(leader), true, true)
		w.east.waitWhole(w.t, "after "+cut.what, underLoad)
	}
}

// diskFills fills the disk of a node, to its reserve and then to the last byte,
// and makes room again.
func (w *wan) diskFills(l *load) {
	w.t.Helper()
	n, filler := w.east.nodes[fullIndex], filepath.Join(w.disk, "filler")
	l.gaps.reset()
	for _, free := range []uint64{40 << 20, 0} {
		fill(w.t, filler, free)
		l.hold(fullFor / 2)
	}
	if err := os.Remove(filler); err != nil {
		w.t.Fatal(err)
	}
	l.hold(time.Second)
	if !n.Running() { // it said that it cannot go on
		w.t.Logf("%s ended with no byte left on the disk:\n%s", n.Name(), n.LogTail(2))
		n.Start()
		n.WaitReady()
	}
	w.east.waitWhole(w.t, "after a full disk", underLoad)
	l.gaps.report(w.t, "while the disk of a node was full", maxGapFull)
}

// report says what the network did, and fails if it did nothing.
func (w *wan) report() {
	w.t.Helper()
	for _, side := range []struct {
		what     string
		from, to func(i int) int
	}{
		{"from east to west", func(i int) int { return i }, func(int) int { return westIndex }},
		{"from west to east", func(int) int { return westIndex }, func(i int) int { return i }},
		{"inside east", func(i int) int { return i }, func(i int) int { return (i + 1) % nodeCount }},
	} {
		var sum mesh.Count
		for i := range nodeCount {
			c := w.net.mesh.Count(w.net.peer(side.from(i)), w.net.peer(side.to(i)))
			sum.Sent, sum.Lost, sum.Arrived = sum.Sent+c.Sent, sum.Lost+c.Lost, sum.Arrived+c.Arrived
		}
		if sum.Lost == 0 || sum.Arrived == 0 {
			w.t.Errorf("%s: %+v: the test is broken", side.what, sum)
		}
		w.t.Logf("packets %s: %d sent, %d lost", side.what, sum.Sent, sum.Lost)
	}
	for i := range nodeCount + 1 {
		again, err := w.net.sentAgain(i)
		if err != nil || again == 0 {
			w.t.Errorf("node %d has sent %d segments again: %v: the test is broken", i+1, again, err)
		}
		w.t.Logf("TCP of node %d sent %d segments again", i+1, again)
	}
}

// sentAgain is how many TCP segments a node's kernel has sent more than once.
func (n *network) sentAgain(i int) (segments int, err error) {
	out, err := output("ip", "netns", "exec", fmt.Sprintf("%sn%d", n.tag, i), "cat", "/proc/net/snmp")
	if err != nil {
		return 0, err
	}
	var names []string
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != "Tcp:" {
			continue
		}
		if names == nil {
			names = fields
			continue
		}
		for at, name := range names {
			if name == "RetransSegs" && at < len(fields) {
				_, err := fmt.Sscan(fields[at], &segments)
				return segments, err
			}
		}
	}
	return 0, fmt.Errorf("no RetransSegs in %q", out)
}
