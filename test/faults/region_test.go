package faults

import (
	"maps"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	// wanDelay is how long bytes take between the regions, each way.
	wanDelay = 25 * time.Millisecond
	// regionTimeout bounds the time until the regions are equal once the network is
	// well.
	regionTimeout = 60 * time.Second
)

// TestRegions breaks two regions and what is between them while clients write,
// moves the writes as planned and by force, and holds what is lost to what the
// clients were told.
func TestRegions(t *testing.T) {
	r := newRegions(t)
	o := startOrders(r)
	o.hold(warm)
	r.equal("before anything breaks, while clients write")

	leader := r.east.leader(t)
	leader.Kill()
	o.hold(3 * time.Second)
	leader.Start()
	leader.WaitReady()
	o.equal("after kill -9 of a node that ships")

	leader = r.east.leader(t)
	leader.Signal(syscall.SIGSTOP)
	o.hold(4 * time.Second)
	leader.Signal(syscall.SIGCONT)
	o.hold(time.Second)
	o.equal("after a node that ships stood still")

	for _, cut := range []struct {
		what               string
		fromEast, fromWest bool
	}{{"both ways", false, false}, {"what east sends", false, true}, {"what west sends", true, false}} {
		r.wan(cut.fromEast, cut.fromWest)
		o.hold(3 * time.Second)
		r.heal()
		o.equal("after a cut, " + cut.what)
	}
	for range 10 { // what is lost is late: TCP sends it again
		r.wan(false, false)
		o.hold(200 * time.Millisecond)
		r.heal()
		o.hold(100 * time.Millisecond)
	}
	o.equal("after many short stalls")
	r.equal("after all that, while clients write")

	o.planned("to-west", r.east, r.west)
	o.planned("to-east", r.west, r.east)
	o.forced()
	o.synchronous()
	o.finish()
}

// equal waits until both regions hold the same while the clients rest.
func (o *orders) equal(when string) {
	o.t.Helper()
	o.pause()
	defer o.resume()
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) { // real processes: there is nothing to wait on
		if east := o.content(o.r.east); maps.Equal(east, o.content(o.r.west)) {
			o.t.Logf("%s: both regions hold the same %d items, seen after %v", when, len(east), since(begun))
			return
		}
		if time.Since(begun) > regionTimeout {
			o.t.Fatalf("%s: the regions are not equal after %v", when, regionTimeout)
		}
	}
}

// planned moves the writes and measures for how long none was taken.
func (o *orders) planned(link string, from, to *cluster) {
	o.t.Helper()
	o.hold(time.Second)
	o.gap.reset()
	text := o.r.weir(from, "region", "failover", link, "--planned")
	o.hold(time.Second)
	if o.active() != to {
		o.t.Error("the other region takes no writes after a planned failover")
	}
	o.gap.report(o.t, "a planned failover; it says: "+strings.TrimSpace(text), o.r.pause)
}

// forced cuts the regions off from each other, has west take over, and holds
// what east says to have kept back to what its clients were told.
func (o *orders) forced() {
	o.t.Helper()
	r := o.r
	o.equal("before the forced failover")
	r.wan(false, false)
	o.hold(time.Second)
	acked := o.pause() // the old primary is gone, for its clients too
	o.t.Logf("forced: %s", strings.TrimSpace(r.weir(r.west, "region", "failover", "to-east", "--forced", "--yes")))
	there := o.content(r.west)
	o.use(r.west)
	o.resume()
	o.hold(time.Second)
	r.heal()
	deadline := time.Now().Add(regionTimeout)
	for !r.passedOver("to-west") {
		if time.Now().After(deadline) {
			o.t.Fatal("the old primary does not hear that it was passed over")
		}
	}
	o.checkHeld(acked, there)
	r.weir(r.east, "region", "rejoin", "to-west")
	o.equal("after the merge")
	r.equal("after the merge, while clients write")
	o.planned("to-east", r.west, r.east)
}

// checkHeld requires that what is held is what west lacked of what was
// acknowledged, and nothing else but what west got and could not say so.
func (o *orders) checkHeld(acked, there map[string]int) {
	o.t.Helper()
	held, changes := o.r.held(o.r.east, "to-west")
	lost, arrived := 0, 0
	for key, last := range acked {
		switch {
		case last > there[key]:
			if lost++; held[key] < last {
				o.t.Errorf("%s was acknowledged as %d, west had %d, and only %d is held", key, last, there[key], held[key])
			}
		case held[key] > 0 && held[key] <= there[key]:
			arrived++
		}
	}
	for key := range held {
		if _, known := acked[key]; !known {
			o.t.Errorf("%s is held and was never acknowledged", key)
		}
	}
	o.t.Logf("forced failover: %d of %d items were older in west than acknowledged; east holds %d changes of %d items: those, and %d that had arrived without east hearing of it",
		lost, len(acked), changes, len(held), arrived)
	if lost == 0 {
		o.t.Error("nothing was lost: the test is broken")
	}
}

// synchronous makes the link so and kills all of east for good: west must have
// all that was acknowledged.
func (o *orders) synchronous() {
	o.t.Helper()
	r := o.r
	o.equal("before the link is synchronous")
	o.pause() // what is answered from here on was proposed after the change
	r.weir(r.east, "region", "link", "alter", "to-west", "--mode", "sync")
	o.resume()
	before := len(o.pause())
	o.resume()
	o.hold(3 * time.Second)
	for _, n := range r.east.nodes {
		n.Signal(syscall.SIGKILL)
	}
	for _, n := range r.east.nodes {
		n.Kill()
	}
	acked := o.pause()
	r.weir(r.west, "region", "failover", "to-east", "--forced", "--yes")
	there := o.content(r.west)
	for key, last := range acked {
		if there[key] < last {
			o.t.Errorf("%s was acknowledged as %d over a synchronous link, and west has %d", key, last, there[key])
		}
	}
	o.t.Logf("east is lost for good: west has all %d items as acknowledged", len(acked))
	if before == 0 {
		o.t.Error("nothing was acknowledged: the test is broken")
	}
}
