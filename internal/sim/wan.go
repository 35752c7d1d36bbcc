package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"weir.dev/weir/internal/region"
)

// wan carries requests between the clusters of a run: it delays and loses them
// and their answers, delivers some twice, and cuts regions off from each other.
type wan struct {
	worlds []*world

	mu     sync.Mutex // guards what follows
	rng    *rand.Rand
	faults faults
	cut    map[[2]int]bool
	calls  int
	lost   int
}

func newWAN(seed uint64, f faults) *wan {
	return &wan{rng: rand.New(rand.NewPCG(seed, 7)), faults: f, cut: map[[2]int]bool{}}
}

// setCut cuts or heals both ways between two regions.
func (n *wan) setCut(a, b int, cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut[[2]int{a, b}], n.cut[[2]int{b, a}] = cut, cut
}

func (n *wan) calm() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.cut)
	n.faults = faults{maxDelay: 20 * time.Millisecond}
}

// leg is one way of a message: how long it takes, and whether it arrives.
func (n *wan) leg(from, to int) (delay time.Duration, arrives, twice bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.calls++
	delay = time.Millisecond + time.Duration(n.rng.Int64N(int64(n.faults.maxDelay)))
	arrives = n.rng.IntN(100) >= n.faults.losePercent && !n.cut[[2]int{from, to}]
	twice = n.rng.IntN(100) < n.faults.duplicatePercent
	if !arrives {
		n.lost++
	}
	return delay, arrives, twice
}

// pick is a node of the region that takes the request; nil when none runs.
func (n *wan) pick(w *world) *liveNode {
	up := w.up()
	if len(up) == 0 {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return up[n.rng.IntN(len(up))]
}

// wanDialer is the wan as one cluster's engines see it: a region.Dialer whose
// addresses are the numbers of the regions.
type wanDialer struct {
	wan  *wan
	from int
}

func (n *wan) dialer(w *world) region.Dialer {
	for i := range n.worlds {
		if n.worlds[i] == w {
			return &wanDialer{n, i}
		}
	}
	panic("BUG: a cluster of another wan")
}

// Call implements region.Dialer.
func (d *wanDialer) Call(ctx context.Context, target *region.Target, op region.Op, body []byte) ([]byte, error) {
	to, err := strconv.Atoi(target.Addr)
	if err != nil || to >= len(d.wan.worlds) {
		return nil, fmt.Errorf("no region has the address %q", target.Addr)
	}
	type answer struct {
		body []byte
		err  error
	}
	done := make(chan answer, 2)
	delay, arrives, twice := d.wan.leg(d.from, to)
	deliver := func() {
		live := d.wan.pick(d.wan.worlds[to])
		if live == nil {
			return // the caller waits in vain, as for a machine that is down
		}
		// A deadline of its own: a request goes on when its caller has given up.
		ctx, cancel := contextFor(15 * time.Second)
		defer cancel()
		out, err := live.regions.Receive(ctx, target.Inbound, target.Key, op, body)
		back, arrives, _ := d.wan.leg(to, d.from)
		if !arrives {
			return
		}
		time.AfterFunc(back, func() { done <- answer{out, err} })
	}
	if arrives {
		time.AfterFunc(delay, deliver)
		if twice {
			time.AfterFunc(2*delay+time.Millisecond, deliver)
		}
	}
	select {
	case a := <-done:
		return a.body, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
