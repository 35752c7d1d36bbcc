package machine

import (
	"testing"

	"weir.dev/weir/internal/model"
)

// TestLooksForHiddenMessagesSeldom sends and receives while messages are in flight: what is
// hidden is looked at when something may be due, and at most once in lookAheadMs else.
func TestLooksForHiddenMessagesSeldom(t *testing.T) {
	r := newQueueRig(t)
	r.send(5, 0, "a")
	r.receive(5, 1, 10_000)
	message := func() []byte {
		return (&model.Send{Entries: []model.SendEntry{r.entry("x", 0)}}).Append(nil)
	}
	want := func(afterMs int64, cost string) {
		t.Helper()
		r.nowMs += afterMs
		if _, got := r.cost(model.CmdSend, message()); got != cost {
			t.Errorf("a send at %d costs %s, want %s", r.nowMs, got, cost)
		}
	}
	const looks, looksNot = "0 gets 1 scans 2 sets 0 deletes", "0 gets 0 scans 2 sets 0 deletes"
	want(1, looks)
	want(1, looksNot)
	want(lookAheadMs-1, looksNot)
	want(1, looks)
	want(1, looksNot)
	r.receive(5, 1, 20) // comes back soon
	want(19, looksNot)
	if got := r.counts(5).Visible; got != 5 {
		t.Errorf("%d messages are visible, want 5", got)
	}
	want(1, "2 gets 1 scans 5 sets 3 deletes") // and leaves its block, which goes
	if got := r.counts(5).Visible; got != 7 {
		t.Errorf("%d messages are visible, want 7", got)
	}
	handles := r.receive(5, 1, 5_000)
	r.nowMs += 10
	r.changeVisibility(5, 30, handles[0].Receipt) // sooner than was known
	want(29, looksNot)
	want(1, "2 gets 1 scans 5 sets 3 deletes")
}

// TestHeadsAreForgotten drops more queues from memory than it holds: what is not
// there is read from the state.
func TestHeadsAreForgotten(t *testing.T) {
	r := newQueueRig(t)
	for id := model.ResourceID(10); id < 10+2*maxHeads+7; id++ {
		r.send(id, 0, "a")
	}
	if n := len(r.heads.known); n == 0 || n > maxHeads {
		t.Errorf("%d heads are published, want 1 to %d", n, maxHeads)
	}
	for id := model.ResourceID(10); id < 10+2*maxHeads+7; id++ {
		if ok, _ := r.ready(r.receiveCommand(id, 1, 1000)); !ok {
			t.Fatalf("queue %d is not ready", id)
		}
	}
	drop := &model.Command{Kind: model.CmdDropResource, Resource: 12}
	r.run(drop)
	if n := len(r.heads.known); n != 0 {
		t.Errorf("%d heads are published after a queue was dropped, want 0", n)
	}
	if ok, _ := r.ready(r.receiveCommand(12, 1, 1000)); ok {
		t.Error("a queue that was dropped is ready")
	}
}
