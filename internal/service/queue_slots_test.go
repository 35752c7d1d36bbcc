package service

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/fakecluster"
	"weir.dev/weir/internal/machine"
	"weir.dev/weir/internal/model"
)

// liveCluster is a fake cluster seen from one of its nodes, in the time of a
// synctest bubble: waits are real ones, and several may wait at once.
type liveCluster struct {
	*fakecluster.Cluster
	node int // leads the tablets whose number, divided by the nodes', leaves this
	of   int
	// gate, when set, is called before each command that is proposed here.
	gate func(cmd *model.Command) error
}

func (c *liveCluster) Now() time.Time { return time.Now() }

func (c *liveCluster) Leads(slot model.Slot) bool {
	return int(c.TabletOf(slot))%c.of == c.node
}

func (c *liveCluster) Propose(ctx context.Context, cmd *model.Command) (model.Result, error) {
	if c.gate != nil {
		if err := c.gate(cmd); err != nil {
			return model.Result{}, err
		}
	}
	c.SetTime(time.Now())
	return c.Cluster.Propose(ctx, cmd)
}

func (c *liveCluster) ProposeWhenReady(ctx context.Context, cmd *model.Command, wait time.Duration) (model.Result, bool, error) {
	if ready, err := c.AwaitReady(ctx, cmd, wait); err != nil || !ready {
		return model.Result{}, false, err
	}
	res, err := c.Propose(ctx, cmd)
	return res, err == nil && !machine.TookNothing(cmd, res), err
}

func (c *liveCluster) AwaitReady(ctx context.Context, cmd *model.Command, wait time.Duration) (bool, error) {
	end := time.Now().Add(wait)
	for {
		c.SetTime(time.Now())
		ready, err := c.Cluster.AwaitReady(ctx, cmd, 0)
		if err != nil || ready || !time.Now().Before(end) || ctx.Err() != nil {
			return ready, err
		}
		time.Sleep(time.Millisecond)
	}
}

// inCluster runs f with three nodes on one cluster that has the queue q.
func inCluster(t *testing.T, f func(t *testing.T, nodes []*Service, seen []*liveCluster), attrs ...QueueAttribute) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		_, fake := newFake(t, 3)
		var nodes []*Service
		var seen []*liveCluster
		for i := range 3 {
			c := &liveCluster{Cluster: fake, node: i, of: 3}
			seen = append(seen, c)
			nodes = append(nodes, New(c, c, base.NewRand(uint64(i+1))))
		}
		if _, err := nodes[0].CreateQueue(context.Background(), &CreateQueueRequest{Name: "q", Attributes: attrs}); err != nil {
			t.Fatal(err)
		}
		f(t, nodes, seen)
	})
}

// TestSlotsAreLocal sends and receives through each of three nodes: each uses
// the slot that it leads, and finds the others' messages when it has none.
func TestSlotsAreLocal(t *testing.T) {
	inCluster(t, func(t *testing.T, nodes []*Service, seen []*liveCluster) {
		ctx := context.Background()
		for i, s := range nodes {
			seen[i].gate = func(cmd *model.Command) error {
				if !seen[i].Leads(cmd.Slot) {
					t.Errorf("node %d proposes kind %d at another node", i, cmd.Kind)
				}
				return nil
			}
			for range 5 {
				mustSend(t, s, "a", "b")
			}
			if got := receive(t, s, ReceiveRequest{}); len(got) != 10 {
				t.Errorf("node %d received %d messages of 10", i, len(got))
			}
			seen[i].gate = nil
		}
		mustSend(t, nodes[0], "c")
		got := receive(t, nodes[1], ReceiveRequest{})
		if bodiesOf(got) != "c" {
			t.Fatalf("another node received %q", bodiesOf(got))
		}
		errs, err := nodes[2].DeleteMessages(ctx, &DeleteMessagesRequest{Queue: "q", Handles: []string{got[0].Receipt}})
		if err != nil || errs[0] != nil {
			t.Error(errs, err)
		}
		q, err := nodes[0].GetQueue(ctx, "q")
		if err != nil {
			t.Fatal(err)
		}
		if n, err := nodes[0].CountQueue(ctx, q); err != nil || n.InFlight != 30 || n.Visible != 0 {
			t.Errorf("counted %+v, %v", n, err)
		}
	})
}

// TestNoSlotStarves: whoever always finds something in the slot it prefers still
// looks into the others.
func TestNoSlotStarves(t *testing.T) {
	inCluster(t, func(t *testing.T, nodes []*Service, _ []*liveCluster) {
		mustSend(t, nodes[1], "one")
		mustSend(t, nodes[2], "two")
		found := map[string]bool{}
		for range 60 {
			mustSend(t, nodes[0], "own")
			for _, m := range receive(t, nodes[0], ReceiveRequest{Max: 1}) {
				found[string(m.Body)] = true
			}
		}
		if !found["one"] || !found["two"] {
			t.Errorf("after sixty receives, found are %v", found)
		}
	})
}

// TestSendsSpread sends more at once than one slot is given, and to a queue with
// a rate.
func TestSendsSpread(t *testing.T) {
	inCluster(t, func(t *testing.T, nodes []*Service, seen []*liveCluster) {
		seen[0].gate = func(*model.Command) error { time.Sleep(time.Second); return nil }
		var sends sync.WaitGroup
		for range 3 * sendsPerSlot {
			sends.Go(func() { mustSend(t, nodes[0], "a") })
		}
		sends.Wait()
		seen[0].gate = nil
		slots := map[model.Slot]int{}
		for range 3 * sendsPerSlot {
			for _, m := range receive(t, nodes[0], ReceiveRequest{Max: 1}) {
				slots[slotOf(t, nodes[0], m.Receipt)]++
			}
		}
		for _, n := range slots {
			if n != sendsPerSlot {
				t.Errorf("sent to slots: %v", slots)
			}
		}
		if err := nodes[0].SetQueueAttributes(context.Background(), "q", []QueueAttribute{{"weir.DispatchRate", "1000/s"}}); err != nil {
			t.Fatal(err)
		}
		before := len(seen[0].Proposals)
		for range 30 {
			mustSend(t, nodes[0], "b")
		}
		used := map[model.Slot]int{}
		for _, cmd := range seen[0].Proposals[before:] {
			used[cmd.Slot]++
		}
		if len(used) != 3 {
			t.Errorf("a queue with a rate was sent to %v", used)
		}
		for _, n := range used {
			if n != 10 {
				t.Errorf("a queue with a rate was sent to %v", used)
			}
		}
	})
}

func slotOf(t *testing.T, s *Service, handle string) model.Slot {
	t.Helper()
	q, err := s.GetQueue(context.Background(), "q")
	if err != nil {
		t.Fatal(err)
	}
	r, err := model.ParseReceipt(q.ID, handle)
	if err != nil {
		t.Fatal(err)
	}
	return r.Slot
}

// TestRetriedSends sends through one node whose try is lost, late or refused, and
// again through others, one after the other or at once: the message is there
// once, and all that have an answer have the same.
func TestRetriedSends(t *testing.T) {
	for seed := range uint64(100) {
		inCluster(t, func(t *testing.T, nodes []*Service, seen []*liveCluster) {
			rng := rand.New(rand.NewPCG(seed, 1))
			var mu sync.Mutex // guards rng and ids
			dice := func(n int) int {
				mu.Lock()
				defer mu.Unlock()
				return rng.IntN(n)
			}
			for _, c := range seen {
				c.gate = func(*model.Command) error {
					time.Sleep(time.Duration(1+dice(50)) * time.Millisecond)
					if dice(4) == 0 {
						return model.Errorf(model.ErrUnavailable, "refused")
					}
					return nil
				}
			}
			seen[0].Fault = func(model.TabletID) (error, bool) {
				if dice(3) == 0 {
					return model.Errorf(model.ErrUnknownOutcome, "lost"), true
				}
				return nil, false
			}
			ids := map[model.MessageID]bool{}
			var tries sync.WaitGroup
			try := func(node *Service, first bool) {
				sent, err := node.SendMessages(context.Background(), &SendRequest{Invocation: model.RequestID{1}, First: first, Queue: "q",
					Messages: []OutgoingMessage{{Body: "a"}, {Body: "b"}}})
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					ids[sent[0].ID] = true
				}
			}
			for i := range 5 {
				tries.Go(func() { try(nodes[dice(3)], i == 0) })
				time.Sleep(time.Duration(1+dice(60)) * time.Millisecond)
			}
			tries.Wait()
			for _, c := range seen {
				c.gate = nil
			}
			seen[0].Fault = nil
			try(nodes[0], false)
			if len(ids) != 1 {
				t.Errorf("seed %d: tries were answered with %d ids", seed, len(ids))
			}
			var bodies []string
			for range 10 {
				for _, m := range receive(t, nodes[0], ReceiveRequest{}) {
					bodies = append(bodies, string(m.Body))
				}
			}
			if slices.Sort(bodies); !slices.Equal(bodies, []string{"a", "b"}) {
				t.Errorf("seed %d: received %v", seed, bodies)
			}
		})
	}
}

// TestRetriedReceive loses the answer of a receive: its retry, through another
// node, is given what the first try took, though there is more elsewhere.
func TestRetriedReceive(t *testing.T) {
	inCluster(t, func(t *testing.T, nodes []*Service, seen []*liveCluster) {
		for _, s := range nodes {
			mustSend(t, s, "a", "b")
		}
		seen[0].Fault = func(model.TabletID) (error, bool) {
			seen[0].Fault = nil
			return model.Errorf(model.ErrUnknownOutcome, "lost"), true
		}
		req := ReceiveRequest{Invocation: model.RequestID{1}, Queue: "q", Max: 2}
		_, err := nodes[0].ReceiveMessages(context.Background(), &req)
		wantKind(t, err, model.ErrUnknownOutcome)
		req.Retry = true
		again := receive(t, nodes[2], req)
		if bodiesOf(again) != "a,b" {
			t.Fatalf("the retry received %q", bodiesOf(again))
		}
		if !seen[0].Leads(slotOf(t, nodes[0], again[0].Receipt)) {
			t.Error("the retry took messages of another slot")
		}
		q, err := nodes[0].GetQueue(context.Background(), "q")
		if err != nil {
			t.Fatal(err)
		}
		if n, err := nodes[0].CountQueue(context.Background(), q); err != nil || n.InFlight != 2 || n.Visible != 4 {
			t.Errorf("counted %+v, %v", n, err)
		}
	})
}

// TestLongPoll waits on all slots of an empty queue at once: it proposes nothing,
// and a send through any node ends it within 10 ms.
func TestLongPoll(t *testing.T) {
	inCluster(t, func(t *testing.T, nodes []*Service, seen []*liveCluster) {
		wait := int64(20)
		for sender := range 3 {
			before := len(seen[0].Proposals)
			var got []model.Received
			done := make(chan time.Time, 1)
			go func() {
				got = receive(t, nodes[0], ReceiveRequest{Wait: &wait})
				done <- time.Now()
			}()
			time.Sleep(7 * time.Second)
			if n := len(seen[0].Proposals); n != before {
				t.Errorf("%d commands were proposed while there was nothing", n-before)
			}
			sent := time.Now()
			mustSend(t, nodes[sender], "a")
			if late := (<-done).Sub(sent); late > 10*time.Millisecond || bodiesOf(got) != "a" {
				t.Errorf("sent through node %d: received %q after %v", sender, bodiesOf(got), late)
			}
			errs, err := nodes[0].DeleteMessages(context.Background(), &DeleteMessagesRequest{Queue: "q", Handles: []string{got[0].Receipt}})
			if err != nil || errs[0] != nil {
				t.Fatal(err, errs)
			}
		}
		began := time.Now()
		if got := receive(t, nodes[0], ReceiveRequest{Wait: &wait}); len(got) != 0 || time.Since(began) != 20*time.Second {
			t.Errorf("received %q after %v", bodiesOf(got), time.Since(began))
		}
	})
}

// TestSlotIsDown loses one of three tablets: the queue goes on with the others,
// and the messages there are not lost.
func TestSlotIsDown(t *testing.T) {
	inCluster(t, func(t *testing.T, nodes []*Service, seen []*liveCluster) {
		mustSend(t, nodes[0], "a")
		down := func(slot model.Slot) bool { return seen[0].Leads(slot) }
		for _, c := range seen {
			c.gate = func(cmd *model.Command) error {
				if down(cmd.Slot) {
					return model.Errorf(model.ErrUnavailable, "no leader")
				}
				return nil
			}
		}
		if _, err := send(nodes[0], 0, "b"); !isKind(err, model.ErrUnavailable) {
			t.Errorf("the first send: %v", err)
		}
		mustSend(t, nodes[0], "c")
		if got := receive(t, nodes[0], ReceiveRequest{}); bodiesOf(got) != "c" {
			t.Errorf("received %q", bodiesOf(got))
		}
		for _, c := range seen {
			c.gate = nil
		}
		if got := receive(t, nodes[0], ReceiveRequest{}); bodiesOf(got) != "a" {
			t.Errorf("then received %q", bodiesOf(got))
		}
	})
}

// TestPurgeSlots purges all slots, by the first one's interval.
func TestPurgeSlots(t *testing.T) {
	inCluster(t, func(t *testing.T, nodes []*Service, _ []*liveCluster) {
		ctx := context.Background()
		for round := range 3 {
			for i, s := range nodes {
				mustSend(t, s, fmt.Sprint(round, i))
			}
			if err := nodes[round].PurgeQueue(ctx, model.RequestID{}, "q"); err != nil {
				t.Fatal(err)
			}
			if got := receive(t, nodes[0], ReceiveRequest{}); len(got) != 0 {
				t.Errorf("received %q", bodiesOf(got))
			}
			mustSend(t, nodes[1], "kept")
			wantKind(t, nodes[0].PurgeQueue(ctx, model.RequestID{}, "q"), model.ErrPurgeInProgress)
			if got := receive(t, nodes[0], ReceiveRequest{}); bodiesOf(got) != "kept" {
				t.Errorf("a purge that was refused left %q", bodiesOf(got))
			}
			time.Sleep(time.Minute)
		}
	})
}

// TestGroupsStayTogether: a message group is in one slot, whoever sends.
func TestGroupsStayTogether(t *testing.T) {
	inCluster(t, func(t *testing.T, nodes []*Service, seen []*liveCluster) {
		slots := map[string]model.Slot{}
		for i := range 60 {
			sendOne(t, nodes[i%3], "q", OutgoingMessage{Body: "b", Group: fmt.Sprint("g", i%7)})
		}
		for range 60 {
			for _, m := range receive(t, nodes[0], ReceiveRequest{}) {
				slot := slotOf(t, nodes[0], m.Receipt)
				if was, ok := slots[m.Group]; ok && was != slot {
					t.Errorf("group %s is in slots %d and %d", m.Group, was, slot)
				}
				slots[m.Group] = slot
			}
		}
		if len(slots) != 7 {
			t.Errorf("received groups %v", slots)
		}
	})
}
