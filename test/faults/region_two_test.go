package faults

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/faultnet"
	"weir.dev/weir/test/process"
)

// regions is a cluster of three nodes, east, and one of one node, west, with
// links both ways.
type regions struct {
	t          *testing.T
	east, west *cluster
	// wan sets the network between the regions: what of east's and of west's
	// requests and answers passes.
	wan func(fromEast, fromWest bool)
	// pause is how long no region may take writes in a planned failover.
	pause time.Duration
}

// newRegions makes regions behind proxies that delay, stall and cut.
func newRegions(t *testing.T) *regions {
	r := &regions{t: t, east: newCluster(t, nil), pause: time.Second}
	r.west = newWest(t, r.east, nil)
	toWest := r.proxy(r.west.nodes[0])
	var toEast []*faultnet.Proxy
	var addresses []string
	for _, n := range r.east.nodes {
		p := r.proxy(n)
		toEast, addresses = append(toEast, p), append(addresses, p.Addr())
	}
	r.wan = func(fromEast, fromWest bool) {
		fault := func(passes bool) faultnet.Fault { return faultnet.Fault{Delay: wanDelay, Stall: !passes} }
		toWest.Set(faultnet.ToTarget, fault(fromEast))
		toWest.Set(faultnet.ToClient, fault(fromWest))
		for _, p := range toEast {
			p.Set(faultnet.ToTarget, fault(fromWest))
			p.Set(faultnet.ToClient, fault(fromEast))
		}
	}
	r.heal()
	r.link([]string{toWest.Addr()}, addresses)
	return r
}

// newWest starts the one node of the region west, with the keys of east.
func newWest(t *testing.T, east *cluster, place func(opts *process.Options)) *cluster {
	t.Helper()
	opts := process.Options{Name: "west", AccessKey: accessKey, Secret: secret, Args: []string{"--keys", east.keys, "--tablets", "4"}}
	if place != nil {
		place(&opts)
	}
	return &cluster{nodes: []*process.Node{process.Start(t, opts)}, keys: east.keys}
}

// link names the regions and links the table of orders both ways.
func (r *regions) link(toWest, toEast []string) {
	r.t.Helper()
	r.weir(r.east, "region", "name", "east")
	r.weir(r.west, "region", "name", "west")
	r.ship(r.east, r.west, "to-west", toWest, "--tables", "orders")
	r.ship(r.west, r.east, "to-east", toEast, "--tables", "orders")
}

// ship makes a link, whose token is named after it.
func (r *regions) ship(from, to *cluster, link string, at []string, what ...string) {
	r.t.Helper()
	token := strings.TrimSpace(r.weir(to, "region", "token", "of-"+link))
	r.weir(from, append([]string{"region", "link", "add", link, "--to", strings.Join(at, ","), "--token", token}, what...)...)
}

func (r *regions) proxy(n *process.Node) *faultnet.Proxy {
	r.t.Helper()
	p, err := faultnet.Listen(n.PeerListener(), base.SystemClock{})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = p.Close() }) // the nodes have ended
	return p
}

func (r *regions) heal() { r.wan(true, true) }

// weir runs a command at a region's first node that runs.
func (r *regions) weir(c *cluster, args ...string) string {
	r.t.Helper()
	for _, n := range c.nodes {
		if !n.Running() {
			continue
		}
		out := n.Weir(args...)
		if out.Code != 0 {
			r.t.Fatalf("weir %s: status %d: %s%s", strings.Join(args, " "), out.Code, out.Stdout, out.Stderr)
		}
		return out.Stdout
	}
	r.t.Fatal("no node runs")
	return ""
}

// equal waits until a comparison of both sides finds no difference.
func (r *regions) equal(when string) {
	r.t.Helper()
	begun := time.Now()
	for {
		out := r.east.nodes[0].Weir("region", "verify", "to-west")
		if out.Code == 0 && strings.Contains(out.Stdout, " 0 differences") {
			r.t.Logf("%s: both regions are equal, seen after %v: %s", when, since(begun), strings.TrimSpace(out.Stdout))
			return
		}
		if time.Since(begun) > regionTimeout {
			r.t.Fatalf("%s: the regions are not equal after %v: %s%s", when, regionTimeout, out.Stdout, out.Stderr)
		}
	}
}

// held is what a region has kept back: the last number of each key.
func (r *regions) held(c *cluster, link string) (last map[string]int, changes int) {
	r.t.Helper()
	var list []struct{ Item map[string]any }
	if err := json.Unmarshal([]byte(r.weir(c, "region", "held", link, "--json")), &list); err != nil {
		r.t.Fatal(err)
	}
	last = map[string]int{}
	for _, h := range list {
		n, err := strconv.Atoi(fmt.Sprint(h.Item["n"]))
		if err != nil {
			r.t.Fatalf("a held change has no number: %v", h.Item)
		}
		key := fmt.Sprint(h.Item["pk"])
		last[key] = max(last[key], n)
	}
	return last, len(list)
}

// passedOver reports whether east knows that west has taken over what a link
// ships.
func (r *regions) passedOver(link string) bool {
	r.t.Helper()
	for line := range strings.Lines(r.weir(r.east, "region", "status")) {
		if strings.HasPrefix(line, link+" ") && strings.Contains(line, "taken over") {
			return true
		}
	}
	return false
}
