package cluster

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/tablet"
)

// got is what a waiting receive came to.
type got struct {
	body     string
	proposed bool
	err      error
	after    time.Duration
}

// receive waits for a message of a slot.
func (r *room) receive(id byte, slot model.Slot, wait time.Duration) got {
	begin := time.Now()
	res, proposed, err := r.ProposeWhenReady(context.Background(), receiveCommand(id, slot), wait)
	g := got{proposed: proposed, err: err, after: time.Since(begin)}
	if proposed && err == nil {
		var rr model.ReceiveResult
		d := model.NewDecoder(res.Bytes())
		rr.Decode(d)
		if len(rr.Messages) > 0 {
			g.body = string(rr.Messages[0].Body)
		}
	}
	return g
}

func TestWaitRunsOut(t *testing.T) {
	inWorld(t, 3, 1, func(w *world) {
		for _, r := range w.up() {
			g := r.receive(1, 5, 7*time.Second)
			if g.err != nil || g.proposed || g.after < 7*time.Second || g.after > 7100*time.Millisecond {
				t.Errorf("node %v: %+v", r.id, g)
			}
		}
		if last := w.leader(1).replica(1).applied.Load(); last > 40 {
			t.Errorf("waiting for nothing made log entries: applied %d", last)
		}
	})
}

func TestNoWait(t *testing.T) {
	inWorld(t, 1, 1, func(w *world) {
		r := w.room(1)
		if g := r.receive(1, 5, 0); g.err != nil || g.proposed || g.after > 0 {
			t.Errorf("an empty queue: %+v", g)
		}
		if err := r.propose(sendCommand(2, 5, "m")); err != nil {
			t.Fatal(err)
		}
		if g := r.receive(3, 5, 0); g.err != nil || g.body != "m" {
			t.Errorf("a message is there: %+v", g)
		}
	})
}

// TestWakesOne: a message wakes one of those who wait, the others wait on and
// propose nothing.
func TestWakesOne(t *testing.T) {
	inWorld(t, 3, 1, func(w *world) {
		results := make(chan got, 20)
		nodes := w.up()
		for i := range byte(20) {
			go func() { results <- nodes[int(i)%3].receive(i+1, 5, 10*time.Second) }()
		}
		time.Sleep(time.Second)
		lead := w.leader(1)
		before := lead.replica(1).applied.Load()
		if err := lead.propose(sendCommand(100, 5, "m")); err != nil {
			t.Fatal(err)
		}
		first := <-results
		if first.err != nil || first.body != "m" || first.after > 1100*time.Millisecond {
			t.Errorf("the one that was woken: %+v", first)
		}
		time.Sleep(time.Second)
		if n := lead.replica(1).applied.Load() - before; n > 4 {
			t.Errorf("one message for 20 consumers made %d entries", n)
		}
		if len(results) != 0 {
			t.Errorf("%d more were answered", len(results))
		}
		// Two more: two of them.
		for i := range byte(2) {
			if err := lead.propose(sendCommand(110+i, 5, "n")); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			if g := <-results; g.err != nil || g.body != "n" || g.after > 3*time.Second {
				t.Errorf("woken: %+v", g)
			}
		}
		for range 17 {
			if g := <-results; g.err != nil || g.proposed || g.after < 10*time.Second {
				t.Errorf("waited in vain: %+v", g)
			}
		}
	})
}

// TestWaitForDelayed: a message whose delay ends while somebody waits is
// delivered then, although nothing is sent.
func TestWaitForDelayed(t *testing.T) {
	inWorld(t, 1, 1, func(w *world) {
		r := w.room(1)
		send := model.Send{Settings: model.QueueSettings{RetentionMs: 3_600_000}, Entries: []model.SendEntry{{Message: model.Message{ID: model.MessageID{1}, Body: []byte("late")}, DelayMs: 3000}}}
		if err := r.propose(&model.Command{Kind: model.CmdSend, Resource: testQueue, Slot: 5, Body: send.Append(nil)}); err != nil {
			t.Fatal(err)
		}
		if g := r.receive(1, 5, 20*time.Second); g.err != nil || g.body != "late" || g.after < 2900*time.Millisecond || g.after > 3200*time.Millisecond {
			t.Errorf("%+v", g)
		}
	})
}

// TestWaitForLaterDelayed: the same when it is sent while others wait already,
// and those that are told of it leave before it is due.
func TestWaitForLaterDelayed(t *testing.T) {
	inWorld(t, 1, 1, func(w *world) {
		r := w.room(1)
		late := make(chan got, 1)
		for i := range byte(3) {
			go func() { r.receive(10+i, 5, 2*time.Second) }() // first in line, and gone too soon
		}
		time.Sleep(time.Second)
		go func() { late <- r.receive(1, 5, 20*time.Second) }()
		time.Sleep(500 * time.Millisecond)
		send := model.Send{Settings: model.QueueSettings{RetentionMs: 3_600_000}, Entries: []model.SendEntry{{Message: model.Message{ID: model.MessageID{1}, Body: []byte("late")}, DelayMs: 2500}}}
		if err := r.propose(&model.Command{Kind: model.CmdSend, Resource: testQueue, Slot: 5, Body: send.Append(nil)}); err != nil {
			t.Fatal(err)
		}
		if g := <-late; g.err != nil || g.body != "late" || g.after < 2900*time.Millisecond || g.after > 3200*time.Millisecond {
			t.Errorf("%+v", g)
		}
	})
}

// TestWaitMovesWithTheLeader: those who wait at a leader that dies wait on at
// the next one, and get what is sent there.
func TestWaitMovesWithTheLeader(t *testing.T) {
	inWorld(t, 3, 1, func(w *world) {
		lead, r := w.leader(1), w.other(1)
		results := make(chan got, 1)
		go func() { results <- r.receive(1, 5, 20*time.Second) }()
		time.Sleep(time.Second)
		lead.stop(true)
		if err := r.propose(sendCommand(2, 5, "m")); err != nil {
			t.Fatal(err)
		}
		g := <-results
		if g.err != nil || g.body != "m" {
			t.Errorf("%+v", g)
		}
		if g.after > 15*time.Second {
			t.Errorf("it got the message after %v", g.after)
		}
	})
}

// TestWaitOfALeaderThatIsReplaced: it lives, but another one leads.
func TestWaitOfALeaderThatIsReplaced(t *testing.T) {
	inWorld(t, 3, 1, func(w *world) {
		lead, next := w.leader(1), w.other(1)
		results := make(chan got, 1)
		go func() { results <- lead.receive(1, 5, 20*time.Second) }()
		time.Sleep(time.Second)
		held := lead.replica(1)
		held.lane.do(held, func(tab *tablet.Tablet) {
			if !tab.HandOver(next.id) {
				t.Error("it did not hand over")
			}
		})
		time.Sleep(100 * time.Millisecond)
		if err := next.propose(sendCommand(2, 5, "m")); err != nil {
			t.Fatal(err)
		}
		if g := <-results; g.err != nil || g.body != "m" || g.after > 3*time.Second {
			t.Errorf("%+v", g)
		}
	})
}

// TestWhoGivesUpPassesOn: a wake-up that reaches one who has just given up is
// not lost.
func TestWhoGivesUpPassesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w waits
		key := waitKey{1, 2}
		a, b, other := w.enter(key, false), w.enter(key, false), w.enter(waitKey{1, 3}, false)
		w.wake(key)
		if !w.leave(key, a) {
			t.Error("the one that has waited longest was not woken")
		}
		if w.leave(key, b) {
			t.Error("two were woken")
		}
		c := w.enter(key, false)
		w.wakeAll()
		for i, me := range []*waiter{c, other} {
			select {
			case <-me.woken:
			default:
				t.Errorf("waiter %d was not woken", i)
			}
		}
		if len(w.queues) != 0 {
			t.Errorf("%d queues are left", len(w.queues))
		}
		w.wake(key) // nobody waits
	})
}

// TestManyWaitersManyMessages: every message is received once, by somebody.
func TestManyWaitersManyMessages(t *testing.T) {
	inWorld(t, 3, 1, func(w *world) {
		var received, empty atomic.Int64
		nodes := w.up()
		stop := make(chan struct{})
		done := make(chan struct{})
		for i := range 9 {
			go func() {
				defer func() { done <- struct{}{} }()
				for n := byte(0); ; n++ {
					select {
					case <-stop:
						return
					default:
					}
					cmd := receiveCommand(byte(i)+1, 5)
					cmd.ID = model.RequestID{byte(i) + 1, n, 7}
					_, proposed, err := nodes[i%3].ProposeWhenReady(context.Background(), cmd, time.Second)
					switch {
					case err != nil:
						t.Error(err)
					case proposed:
						received.Add(1)
					default:
						empty.Add(1)
					}
				}
			}()
		}
		for i := range byte(60) {
			if err := nodes[int(i)%3].propose(sendCommand(i+1, 5, "m")); err != nil {
				t.Error(err)
			}
		}
		w.eventually("all are received", func() bool { return received.Load() == 60 })
		close(stop)
		for range 9 {
			<-done
		}
		if received.Load() != 60 {
			t.Errorf("%d receives of 60 messages", received.Load())
		}
	})
}

// TestSharedWakeUps: all that only read are woken at once, and of those that
// take something one.
func TestSharedWakeUps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w waits
		key := waitKey{1, 2}
		a, x, b, y := w.enter(key, true), w.enter(key, false), w.enter(key, true), w.enter(key, false)
		w.wake(key)
		for i, want := range []bool{true, true, true, false} {
			if got := w.leave(key, []*waiter{a, x, b, y}[i]); got != want {
				t.Errorf("waiter %d: woken %v", i, got)
			}
		}
	})
}

// TestAwaitReady: waiting takes nothing; it ends when a message is there, and
// what it was told of goes to whoever asks first.
func TestAwaitReady(t *testing.T) {
	inWorld(t, 3, 1, func(w *world) {
		for _, r := range w.up() {
			begin := time.Now()
			ready, err := r.AwaitReady(context.Background(), receiveCommand(1, 5), 3*time.Second)
			if err != nil || ready || time.Since(begin) < 3*time.Second {
				t.Errorf("node %v, nothing there: %v, %v after %v", r.id, ready, err, time.Since(begin))
			}
		}
		told := make(chan bool, 3)
		for _, r := range w.up() {
			go func() {
				ready, err := r.AwaitReady(context.Background(), receiveCommand(1, 5), 10*time.Second)
				told <- ready && err == nil
			}()
		}
		time.Sleep(time.Second)
		sent := time.Now()
		if err := w.leader(1).propose(sendCommand(100, 5, "m")); err != nil {
			t.Fatal(err)
		}
		// Nobody takes the message, so each of them is told in turn.
		for range 3 {
			if !<-told {
				t.Error("one was not told of the message")
			}
		}
		if d := time.Since(sent); d > 100*time.Millisecond {
			t.Errorf("all were told after %v", d)
		}
		if g := w.up()[1].receive(2, 5, 0); g.err != nil || g.body != "m" {
			t.Errorf("waiting took the message: %+v", g)
		}
	})
}

// TestLeaveEndsWaitElsewhere: a request that ends early no longer waits at the
// leader, so that what comes goes to one who is there.
func TestLeaveEndsWaitElsewhere(t *testing.T) {
	inWorld(t, 3, 1, func(w *world) {
		lead := w.leader(1)
		for _, r := range w.up() {
			if r == lead {
				continue
			}
			ctx, cancel := context.WithCancel(context.Background())
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				_, _, _ = r.ProposeWhenReady(ctx, receiveCommand(1, 5), 20*time.Second) // its outcome is that of a cancelled request
			}()
			time.Sleep(100 * time.Millisecond)
			cancel()
			<-ended
		}
		time.Sleep(100 * time.Millisecond)
		waits := &lead.replica(1).waits
		waits.mu.Lock()
		left := len(waits.queues)
		waits.mu.Unlock()
		lead.visits.mu.Lock()
		open := len(lead.visits.open)
		lead.visits.mu.Unlock()
		if left != 0 || open != 0 {
			t.Errorf("%d queues of waiters and %d visits are left", left, open)
		}
	})
}
