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

// waits holds the requests that wait at a leader. A wake-up goes to one of
// them, and whoever was woken and leaves something passes it on, so that a
// thousand waiting consumers cost one proposal for each message.
type waits struct {
	mu     sync.Mutex // guards queues
	queues map[waitKey][]*waiter
}

type waiter struct {
	woken chan struct{} // closed when woken
}

func (w *waits) enter(key waitKey) *waiter {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.queues == nil {
		w.queues = map[waitKey][]*waiter{}
	}
	me := &waiter{woken: make(chan struct{})}
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

// wakeOne wakes the one that has waited longest.
func (w *waits) wakeOne(key waitKey) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if q := w.queues[key]; len(q) > 0 {
		close(q[0].woken)
		w.remove(key, 0)
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
// finds something, and waits for that at most wait.
func (n *Node) proposeWhenReady(ctx context.Context, r *replica, cmd *model.Command, wait time.Duration) answer {
	key := waitKey{cmd.Resource, cmd.Slot}
	end := n.clock.Now().Add(wait)
	for {
		if !r.leads.Load() || n.isClosed() {
			return answer{err: tablet.ErrNotLeader}
		}
		me := r.waits.enter(key) // before looking, so that nothing is missed
		now := n.clock.Now()
		ready, nextMs, err := machine.Ready(n.view, cmd, max(model.Stamp(r.stamp.Load()), model.StampAt(now)))
		if err != nil {
			r.waits.leave(key, me)
			return answer{err: err}
		}
		if ready {
			r.waits.leave(key, me)
			a := n.proposeHere(ctx, r, cmd)
			if a.err != nil || !machine.TookNothing(cmd, a.result) {
				r.waits.wakeOne(key) // there may be more
				return a
			}
			if !n.clock.Now().Before(end) {
				r.waits.wakeOne(key) // what woke this one is for another
				return answer{}
			}
			continue // somebody else was faster
		}
		pause := end.Sub(now)
		if pause <= 0 {
			if r.waits.leave(key, me) {
				r.waits.wakeOne(key)
			}
			return answer{}
		}
		if nextMs > 0 {
			pause = min(pause, max(time.UnixMilli(nextMs).Sub(now), time.Millisecond))
		}
		n.waitWoken(ctx, me, pause)
		if r.waits.leave(key, me) && ctx.Err() != nil {
			r.waits.wakeOne(key)
		}
		if ctx.Err() != nil {
			return answer{}
		}
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
