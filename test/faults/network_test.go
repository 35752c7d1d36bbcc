package faults

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"strings"
	"testing"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/faultnet"
	"weir.dev/weir/internal/faultnet/mesh"
	"weir.dev/weir/test/process"
)

// network gives each node a network namespace with two cables: one to the
// clients, one to the other nodes. The second can be cut without anybody being
// told: packets vanish, as they do when a switch fails.
type network struct {
	t     *testing.T
	tag   string // in the names of everything: whose it is
	last  int    // third byte of the addresses
	nodes int
	mesh  *mesh.Mesh // between the nodes; nil when a bridge is
}

// newNetwork makes the namespaces, or says why that is not possible. wire
// connects the nodes with each other.
func newNetwork(t *testing.T, nodes int, wire func(*network) error) (*network, error) {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("network namespaces need root")
	}
	removeStale()
	n := &network{t: t, tag: fmt.Sprintf("weir%d", os.Getpid()), last: rand.IntN(256), nodes: nodes}
	t.Cleanup(n.remove)
	if err := n.do("ip link add TAGc type bridge", "ip addr add 198.18.LAST.254/24 dev TAGc", "ip link set TAGc up"); err != nil {
		return nil, err
	}
	for i := range nodes {
		if err := n.do(fmt.Sprintf("ip netns add TAGn%d", i), fmt.Sprintf("ip -n TAGn%d link set lo up", i)); err != nil {
			return nil, err
		}
		if err := n.cable("c", i, "198.18"); err != nil {
			return nil, err
		}
	}
	return n, wire(n)
}

// bridged connects the nodes by a bridge that carries everything or nothing.
func (n *network) bridged() error {
	if err := n.do("ip link add TAGp type bridge", "ip link set TAGp up"); err != nil {
		return err
	}
	for i := range n.nodes {
		if err := n.cable("p", i, "198.19"); err != nil {
			return err
		}
	}
	return nil
}

// meshed connects the nodes by a mesh, which sets what happens from each node
// to each other one.
func (n *network) meshed() error {
	n.mesh = mesh.New(meshSeed)
	n.t.Cleanup(func() { _ = n.mesh.Close() }) // the nodes have ended
	for i := range n.nodes {
		end := fmt.Sprintf("%sp%dn", n.tag, i)
		device, err := mesh.OpenTUN(end)
		if err != nil {
			return err
		}
		if err := n.mesh.Attach(n.peer(i), device); err != nil {
			return err
		}
		if err := n.plug(i, end, "198.19"); err != nil {
			return err
		}
	}
	return nil
}

// meshSeed decides which packets are lost.
const meshSeed = 1

// peer is the address at which other nodes reach node i.
func (n *network) peer(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{198, 19, byte(n.last), byte(i + 1)})
}

// cable connects node i to the bridge of a kind.
func (n *network) cable(kind string, i int, net string) error {
	cable, end := fmt.Sprintf("TAG%s%d", kind, i), fmt.Sprintf("TAG%s%dn", kind, i)
	err := n.do(fmt.Sprintf("ip link add %s type veth peer name %s", cable, end), fmt.Sprintf("ip link set %s master TAG%s", cable, kind), fmt.Sprintf("ip link set %s up", cable))
	if err != nil {
		return err
	}
	return n.plug(i, end, net)
}

// plug gives node i a device with its address in a net.
func (n *network) plug(i int, device, net string) error {
	return n.do(
		fmt.Sprintf("ip link set %s netns TAGn%d", device, i),
		fmt.Sprintf("ip -n TAGn%d addr add %s.LAST.%d/24 dev %s", i, net, i+1, device), fmt.Sprintf("ip -n TAGn%d link set %s up", i, device),
	)
}

// do runs commands with the names of this network, until one fails.
func (n *network) do(commands ...string) error {
	for _, command := range commands {
		if err := run(strings.Fields(strings.NewReplacer("TAG", n.tag, "LAST", fmt.Sprint(n.last)).Replace(command))...); err != nil {
			return err
		}
	}
	return nil
}

// remove takes everything away again; what was never made is no matter.
func (n *network) remove() {
	for i := range n.nodes {
		_ = n.do(fmt.Sprintf("ip link del TAGc%d", i))
		_ = n.do(fmt.Sprintf("ip link del TAGp%d", i))
		_ = n.do(fmt.Sprintf("ip netns del TAGn%d", i))
	}
	_ = n.do("ip link del TAGc")
	_ = n.do("ip link del TAGp")
}

// maxNetwork is the most nodes that a network of these tests has.
const maxNetwork = 4

// removeStale removes the networks of test processes that died before they
// could do so.
func removeStale() {
	spaces, err := os.ReadDir("/run/netns")
	if err != nil {
		return // there is none yet
	}
	for _, s := range spaces {
		var pid int
		if _, err := fmt.Sscanf(s.Name(), "weir%dn0", &pid); err != nil || s.Name() != fmt.Sprintf("weir%dn0", pid) {
			continue
		}
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); os.IsNotExist(err) {
			(&network{tag: fmt.Sprintf("weir%d", pid), nodes: maxNetwork}).remove()
		}
	}
}

// place is where node i runs and listens.
func (n *network) place(i int, opts *process.Options) {
	opts.Netns = fmt.Sprintf("%sn%d", n.tag, i)
	opts.Host, opts.PeerHost = fmt.Sprintf("198.18.%d.%d", n.last, i+1), fmt.Sprintf("198.19.%d.%d", n.last, i+1)
}

// cut takes the cable of node i to its peers out, or puts it back.
func (n *network) cut(i int, out bool) {
	n.t.Helper()
	state := 3 // forwarding
	if out {
		state = 0 // disabled
	}
	if err := n.do(fmt.Sprintf("bridge link set dev TAGp%d state %d", i, state)); err != nil {
		n.t.Fatal(err)
	}
}

// proxies stand before the peer listeners: what other nodes send to a node can
// be held back while what it sends itself arrives.
type proxies struct {
	t    *testing.T
	list [nodeCount]*faultnet.Proxy
}

func newProxies(t *testing.T) *proxies { return &proxies{t: t} }

// place puts a proxy before node i.
func (p *proxies) place(i int, opts *process.Options) {
	p.t.Helper()
	opts.PeerHost = process.LoopbackHost()
	proxy, err := faultnet.Listen(opts.PeerHost+":4590", base.SystemClock{})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = proxy.Close() }) // the nodes have ended
	p.list[i], opts.Advertise = proxy, proxy.Addr()
}

// cut holds back what others send to node i, and its answers to them, or lets
// it through again.
func (p *proxies) cut(i int, out bool) {
	if out {
		p.list[i].Cut(faultnet.Both)
	} else {
		p.list[i].Heal()
	}
}
