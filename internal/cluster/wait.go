package cluster

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"weir.dev/weir/internal/machine"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/tablet"
)

// waitKey names what one waits for: that something becomes available in a
// resource's slot.
type waitKey struct {
	resource model.ResourceID
	slot     model.Slot
}

// changeLogKey is what readers of a tablet's change log wait for.
var changeLogKey = waitKey{}

// waitKeyOf names what one waits for who asks a query.
func waitKeyOf(q *model.Query) waitKey {
	if q.Kind == model.QueryChanges {
		return changeLogKey
	}
	return waitKey{q.Resource, q.Slot}
}

// waits holds the requests that wait at a leader, in two ways. Those that take
// what they wait for, as consumers of a queue do, are woken one at a time, and
// whoever was woken and leaves something passes it on, so that a thousand
// waiting consumers cost one proposal for each message. One of them at least knows
// when the next message becomes visible by itself: a command that hides a message
// wakes one, who looks, and one who knew and leaves wakes the next. Those that only
// read it, as consumers of a stream do, are woken all together.
type waits struct {
	mu     sync.Mutex // guards queues
	queues map[waitKey][]*waiter
}

type waiter struct {
	woken  chan struct{} // closed when woken
	shares bool          // it only reads: its being woken keeps nobody else from it
}

func (w *waits) enter(key waitKey, shares bool) *waiter {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.queues == nil {
		w.queues = map[waitKey][]*waiter{}
	}
	me := &waiter{woken: make(chan struct{}), shares: shares}
	w.queues[key] = append(w.queues[key], me)
	return me
}

// leave ends the waiting. It reports whether the waiter had been woken: then
// the wake-up is the caller's to use or to pass on.
func (w *waits) leave(key waitKey, me *waiter) (woken bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := slices.Index(w.queues[key], me)
	if at < 0 {
		return true
	}
	w.remove(key, at)
	return false
}

func (w *waits) remove(key waitKey, at int) {
	if q := slices.Delete(w.queues[key], at, at+1); len(q) > 0 {
		w.queues[key] = q
	} else {
		delete(w.queues, key)
	}
}

// wake wakes all that share, and of the others the one that has waited longest.
func (w *waits) wake(key waitKey) {
	w.mu.Lock()
	defer w.mu.Unlock()
	one := false
	for i := 0; i < len(w.queues[key]); {
		me := w.queues[key][i]
		if !me.shares && one {
			i++
			continue
		}
		one = one || !me.shares
		close(me.woken)
		w.remove(key, i)
	}
}

// wakeAll wakes everybody: the leader has changed or the node stops.
func (w *waits) wakeAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	order := slices.SortedFunc(maps.Keys(w.queues), func(a, b waitKey) int {
		return cmp.Or(cmp.Compare(a.resource, b.resource), cmp.Compare(a.slot, b.slot))
	})
	for _, key := range order { // in order: runs of the simulator shall be equal
		for _, me := range w.queues[key] {
			close(me.woken)
		}
	}
	w.queues = nil
}

// proposeWhenReady proposes the command as soon as machine.Ready says that it
// finds something, and waits for that as long as the call says.
func (n *Node) proposeWhenReady(ctx context.Context, r *replica, c *call) answer {
	cmd := &c.command
	key := waitKey{cmd.Resource, cmd.Slot}
	end := n.clock.Now().Add(c.wait)
	for {
		a := n.waitReady(ctx, r, cmd, end)
		if a.err != nil || !a.ready {
			return a
		}
		if ctx.Err() != nil { // whoever waited is gone
			r.waits.wake(key)
			return answer{}
		}
		a = n.proposeHere(ctx, r, c)
		if a.err != nil || !machine.TookNothing(cmd, a.result) {
			r.waits.wake(key) // there may be more
			return a
		}
		if !n.clock.Now().Before(end) {
			r.waits.wake(key) // what woke this one is for another
			return answer{}
		}
		// Somebody else was faster.
	}
}

// waitReady waits until machine.Ready says that the command finds something, at
// most until end. When it answers ready, a wake-up may have been used for it.
func (n *Node) waitReady(ctx context.Context, r *replica, cmd *model.Command, end time.Time) answer {
	key := waitKey{cmd.Resource, cmd.Slot}
	look := func(now time.Time) (bool, int64, error) {
		var room machine.Head
		return machine.Ready(n.view, r.heads.of(cmd, &room), cmd, max(model.Stamp(r.stamp.Load()), model.StampAt(now)))
	}
	shares := cmd.Kind == model.CmdClaimRecords // pipes of one stream take nothing from each other
	return n.waitFor(ctx, r, key, shares, end, look)
}

// checkSoon is how soon a leader looks after a wake-up whose use it does not
// see: what was there should have been taken by then.
const checkSoon = 5 * time.Millisecond

// awaitReady is waitReady for one that decides itself what to do then. It may
// do nothing, since it waits at other places too or has gone meanwhile, and the
// wake-up would be lost for those who still wait: so the leader looks again a
// little later.
func (n *Node) awaitReady(ctx context.Context, r *replica, cmd *model.Command, wait time.Duration) answer {
	a := n.waitReady(ctx, r, cmd, n.clock.Now().Add(wait))
	if a.err == nil && a.ready && wait > 0 {
		n.clock.AfterFunc(checkSoon+n.jitter(), func() { n.wakeIfReady(r, cmd) })
	}
	return a
}

func (n *Node) wakeIfReady(r *replica, cmd *model.Command) {
	n.mu.RLock() // the state is not closed before this is done
	defer n.mu.RUnlock()
	if n.closed || !r.leads.Load() {
		return
	}
	var room machine.Head
	if ready, nextMs, err := machine.Ready(n.view, r.heads.of(cmd, &room), cmd, model.Stamp(r.stamp.Load())); err == nil && (ready || nextMs > 0) {
		r.waits.wake(waitKey{cmd.Resource, cmd.Slot})
	}
}

// readWhenReady answers a query as soon as machine.QueryReady says that it
// finds something, and waits for that at most wait.
func (n *Node) readWhenReady(ctx context.Context, r *replica, q *model.Query, wait time.Duration) answer {
	look := func(time.Time) (bool, int64, error) {
		ready, err := machine.QueryReady(n.view, q)
		return ready, 0, err
	}
	a := n.waitFor(ctx, r, waitKeyOf(q), true, n.clock.Now().Add(wait), look)
	if a.err != nil || !a.ready {
		return a
	}
	a = n.queryHere(r, q)
	a.ready = a.err == nil
	return a
}

// waitFor waits at the leader until look says that what the key names is
// there, at most until end. look also says when, in Unix milliseconds, that may
// come about by itself; zero is never.
func (n *Node) waitFor(ctx context.Context, r *replica, key waitKey, shares bool, end time.Time, look func(now time.Time) (bool, int64, error)) answer {
	if !r.leads.Load() || n.isClosed() {
		return answer{err: tablet.ErrNotLeader}
	}
	// Mostly it is there, or the caller does not wait: nobody is to be told of it.
	now := n.clock.Now()
	if ready, _, err := look(now); err != nil || ready || !now.Before(end) {
		return answer{ready: ready, err: err}
	}
	knows := false // of something that comes about by itself
	for {
		if !r.leads.Load() || n.isClosed() {
			return answer{err: tablet.ErrNotLeader}
		}
		me := r.waits.enter(key, shares) // before looking, so that nothing is missed
		now := n.clock.Now()
		ready, nextMs, err := look(now)
		if err != nil || ready {
			r.waits.leave(key, me)
			return answer{ready: ready, err: err}
		}
		pause := end.Sub(now)
		if pause <= 0 {
			r.giveUp(key, me, knows)
			return answer{}
		}
		if knows = nextMs > 0; knows {
			pause = min(pause, max(time.UnixMilli(nextMs).Sub(now), time.Millisecond))
		}
		n.waitWoken(ctx, me, pause)
		if ctx.Err() != nil {
			r.giveUp(key, me, knows)
			return answer{}
		}
		if r.waits.leave(key, me) && !shares {
			knows = true // or is about to
		}
	}
}

// giveUp ends the waiting of one that will not take what it is woken for. knows
// says that it would have looked when something comes about by itself: another one
// has to know of that now.
func (r *replica) giveUp(key waitKey, me *waiter, knows bool) {
	if r.waits.leave(key, me) || knows {
		r.waits.wake(key)
	}
}

// waitWoken waits until the waiter is woken, for d, or until ctx ends.
func (n *Node) waitWoken(ctx context.Context, me *waiter, d time.Duration) {
	due := make(chan struct{})
	timer := n.clock.AfterFunc(d+n.jitter(), func() { close(due) })
	defer timer.Stop()
	select {
	case <-me.woken:
	case <-due:
	case <-ctx.Done():
	}
}

// visits are the waits of other nodes' requests here, so that a request that
// ends there early ends here too.
type visits struct {
	mu   sync.Mutex // guards open
	open map[visit]context.CancelFunc
}

// visit names a wait: the node that asked and its number for it.
type visit struct {
	node   model.NodeID
	number uint64
}

// begin returns the context of a visit; end must be called when it is over.
func (v *visits) begin(of visit) (ctx context.Context, end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.open == nil {
		v.open = map[visit]context.CancelFunc{}
	}
	v.open[of] = cancel
	return ctx, func() { v.cancel(of) }
}

// cancel ends a visit; one that is over needs none.
func (v *visits) cancel(of visit) {
	v.mu.Lock()
	cancel := v.open[of]
	delete(v.open, of)
	v.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}
