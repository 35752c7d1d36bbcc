package faults

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/faultnet"
	"weir.dev/weir/test/process"
)

// network gives each node a network namespace with two cables: one to the
// clients, one to the other nodes. The second can be cut without anybody being
// told: packets vanish, as they do when a switch fails.
type network struct {
	t    *testing.T
	tag  string // in the names of everything: whose it is
	last int    // third byte of the addresses
}

// newNetwork makes the namespaces, or says why that is not possible.
func newNetwork(t *testing.T) (*network, error) {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("network namespaces need root")
	}
	removeStale()
	n := &network{t: t, tag: fmt.Sprintf("weir%d", os.Getpid()), last: rand.IntN(256)}
	t.Cleanup(n.remove)
	commands := []string{"ip link add TAGc type bridge", "ip link add TAGp type bridge", "ip addr add 198.18.LAST.254/24 dev TAGc", "ip link set TAGc up", "ip link set TAGp up"}
	for i := range nodeCount {
		for _, kind := range []string{"c", "p"} {
			cable, end := fmt.Sprintf("TAG%s%d", kind, i), fmt.Sprintf("TAG%s%dn", kind, i)
			net := map[string]string{"c": "198.18", "p": "198.19"}[kind]
			if kind == "c" {
				commands = append(commands, fmt.Sprintf("ip netns add TAGn%d", i), fmt.Sprintf("ip -n TAGn%d link set lo up", i))
			}
			commands = append(commands,
				fmt.Sprintf("ip link add %s type veth peer name %s", cable, end), fmt.Sprintf("ip link set %s netns TAGn%d", end, i),
				fmt.Sprintf("ip link set %s master TAG%s", cable, kind), fmt.Sprintf("ip link set %s up", cable),
				fmt.Sprintf("ip -n TAGn%d addr add %s.LAST.%d/24 dev %s", i, net, i+1, end), fmt.Sprintf("ip -n TAGn%d link set %s up", i, end),
			)
		}
	}
	for _, command := range commands {
		if err := n.do(command); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// do runs a command with the names of this network.
func (n *network) do(command string) error {
	args := strings.Fields(strings.NewReplacer("TAG", n.tag, "LAST", fmt.Sprint(n.last)).Replace(command))
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// remove takes everything away again; what was never made is no matter.
func (n *network) remove() {
	for i := range nodeCount {
		_ = n.do(fmt.Sprintf("ip link del TAGc%d", i))
		_ = n.do(fmt.Sprintf("ip link del TAGp%d", i))
		_ = n.do(fmt.Sprintf("ip netns del TAGn%d", i))
	}
	_ = n.do("ip link del TAGc")
	_ = n.do("ip link del TAGp")
}

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
			(&network{tag: fmt.Sprintf("weir%d", pid)}).remove()
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
