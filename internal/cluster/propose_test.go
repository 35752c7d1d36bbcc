package cluster

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/tablet"
)

// TestEveryNodeTakesRequests: whichever node is asked, the command goes to the
// leader of its tablet, and strong reads see it everywhere.
func TestEveryNodeTakesRequests(t *testing.T) {
	inWorld(t, 3, 2, func(w *world) {
		for i, r := range w.up() {
			for _, slot := range []model.Slot{1, 60000} {
				if err := r.propose(sendCommand(byte(10*i)+byte(slot>>8)%7+1, slot, "m")); err != nil {
					t.Errorf("node %v, slot %d: %v", r.id, slot, err)
				}
			}
		}
		for _, r := range w.up() {
			w.wantVisible(r, 1, 3)
			w.wantVisible(r, 60000, 3)
		}
	})
}

// TestLostAnswerHasOneEffect: the command was carried out and its answer lost;
// trying again does not do it again.
func TestLostAnswerHasOneEffect(t *testing.T) {
	inWorld(t, 3, 1, func(w *world) {
		r := w.other(1)
		w.setLoseAnswers(true)
		done := make(chan error, 1)
		go func() { done <- r.propose(sendCommand(1, 5, "once")) }()
		time.Sleep(4 * time.Second) // more than one try
		w.setLoseAnswers(false)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		w.wantVisible(r, 5, 1)
	})
}

// TestLeaderDiesHasOneEffect kills the leader with commands under way and
// counts what came of them.
func TestLeaderDiesHasOneEffect(t *testing.T) {
	inWorld(t, 3, 1, func(w *world) {
		lead, r := w.leader(1), w.other(1)
		const n = 40
		errs := make(chan error, n)
		for i := range byte(n) {
			go func() {
				time.Sleep(time.Duration(i) * 100 * time.Microsecond)
				errs <- r.propose(sendCommand(i+1, 5, "once"))
			}()
		}
		time.Sleep(2 * time.Millisecond)
		lead.stop(true)
		for range n {
			if err := <-errs; err != nil {
				t.Errorf("a majority was there all the time: %v", err)
			}
		}
		w.wantVisible(r, 5, n)
	})
}

// TestCutLeader: a leader that is cut off says that it does not know, and its
// command has happened once or not at all.
func TestCutLeader(t *testing.T) {
	inWorld(t, 3, 1, func(w *world) {
		lead := w.leader(1)
		w.setCut(lead.id, true)
		begin := time.Now()
		err := lead.propose(sendCommand(1, 5, "lost"))
		if kindOf(err) != model.ErrUnknownOutcome {
			t.Errorf("a leader without followers: %v", err)
		}
		if d := time.Since(begin); d > requestTimeout+attemptTimeout+time.Second {
			t.Errorf("it said so after %v", d)
		}
		next := w.leader(1)
		if err := next.propose(sendCommand(2, 5, "kept")); err != nil {
			t.Error(err)
		}
		w.wantVisible(next, 5, 1)
		if _, err := lead.visible(5); kindOf(err) != model.ErrUnavailable {
			t.Errorf("a strong read on the cut node: %v", err)
		}
		w.setCut(lead.id, false)
		// The same request again, as its client would: once, and only now.
		if err := lead.propose(sendCommand(1, 5, "lost")); err != nil {
			t.Error(err)
		}
		w.wantVisible(lead, 5, 2)
	})
}

// TestEndedContext: who stops waiting is told at once that the outcome is not
// known.
func TestEndedContext(t *testing.T) {
	inWorld(t, 3, 1, func(w *world) {
		lead, r := w.leader(1), w.other(1)
		w.setCut(lead.id, true)
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		begin := time.Now()
		_, err := r.Propose(ctx, sendCommand(1, 5, "m"))
		if k := kindOf(err); k != model.ErrUnknownOutcome && k != model.ErrUnavailable {
			t.Errorf("answer: %v", err)
		}
		if d := time.Since(begin); d > 60*time.Millisecond {
			t.Errorf("it came after %v", d)
		}
	})
}

func TestNoMajority(t *testing.T) {
	inWorld(t, 3, 1, func(w *world) {
		for _, r := range w.up()[1:] {
			r.stop(false)
		}
		r := w.room(1)
		w.eventually("node 1 notices", func() bool { return !r.Leads(5) })
		// A node that was asked and did not answer may have done it.
		if err := r.propose(sendCommand(1, 5, "m")); kindOf(err) != model.ErrUnavailable && kindOf(err) != model.ErrUnknownOutcome {
			t.Errorf("one of three: %v", err)
		}
		if err := r.SyncCatalog(context.Background()); kindOf(err) == 0 {
			t.Errorf("one of three: %v", err)
		}
	})
}

// TestStoppedNode: a node that stops answers what is open, and refuses what
// comes later.
func TestStoppedNode(t *testing.T) {
	inWorld(t, 3, 1, func(w *world) {
		lead := w.leader(1)
		r := lead.replica(1)
		w.setCut(lead.id, true)
		open := make(chan error, 2)
		node := lead.Node
		go func() {
			_, err := node.Propose(context.Background(), sendCommand(1, 5, "m"))
			open <- err
		}()
		go func() {
			_, _, err := node.ProposeWhenReady(context.Background(), receiveCommand(2, 6), time.Minute)
			open <- err
		}()
		time.Sleep(10 * time.Millisecond)
		begin := time.Now()
		lead.stop(false)
		for range 2 {
			if err := <-open; err == nil {
				t.Error("an open request of a stopped node was answered without an error")
			}
		}
		if d := time.Since(begin); d > time.Second {
			t.Errorf("the open requests were answered after %v", d)
		}
		var got error
		r.propose(sendCommand(3, 5, "m"), model.LevelQuorum, func(a answer) { got = a.err })
		if !errors.Is(got, tablet.ErrNotLeader) {
			t.Errorf("a stopped lane answers a proposal: %v", got)
		}
		r.readIndex(func(a answer) { got = a.err })
		if !errors.Is(got, tablet.ErrNotLeader) {
			t.Errorf("a stopped lane answers a read: %v", got)
		}
		if _, err := node.Propose(context.Background(), sendCommand(4, 5, "m")); kindOf(err) == 0 {
			t.Errorf("a stopped node answers %v", err)
		}
		if err := node.Healthy(); err == nil {
			t.Error("a stopped node is healthy")
		}
		if err := node.Close(); err != nil {
			t.Errorf("closing twice: %v", err)
		}
	})
}

// TestFullInbox: a lane whose inbox is full refuses requests and drops
// messages, and takes what its own effects came to.
func TestFullInbox(t *testing.T) {
	l := &lane{wake: make(chan struct{}, 1)}
	for range maxInbox {
		l.post(event{kind: evTick})
	}
	var proposal, read error
	l.post(event{kind: evPropose, proposal: tablet.Proposal{Done: func(_ model.Result, _ model.Index, err error) { proposal = err }}})
	l.post(event{kind: evRead, read: tablet.Read{Done: func(_ model.Index, err error) { read = err }}})
	l.post(event{kind: evMessage})
	if !errors.Is(proposal, tablet.ErrBusy) || !errors.Is(read, tablet.ErrBusy) || len(l.inbox) != maxInbox {
		t.Errorf("proposal %v, read %v, %d events", proposal, read, len(l.inbox))
	}
	l.post(event{kind: evAppendDone})
	if len(l.inbox) != maxInbox+1 {
		t.Error("the end of an append was refused")
	}
}

// TestDiskFull: a node that leads and has no room says so, also to those that
// forward to it, and still takes deletes.
func TestDiskFull(t *testing.T) {
	inWorld(t, 3, 1, func(w *world) {
		lead, r := w.leader(1), w.other(1)
		if err := lead.propose(putCommand("a", 5, 10)); err != nil {
			t.Fatal(err)
		}
		lead.disk.SetSpace(1<<20, 100<<30)
		w.eventually("the disk is full", func() bool { return lead.journal.Full() })
		for _, asked := range []*room{lead, r} {
			err := asked.propose(putCommand("b", 5, 10))
			if kindOf(err) != model.ErrUnavailable || !strings.Contains(err.Error(), "nearly full") {
				t.Errorf("asked node %v: %v", asked.id, err)
			}
			for _, kind := range []model.CommandKind{model.CmdSend, model.CmdPutRecords, model.CmdPipeApply} { // they are refused unread
				if err := asked.propose(&model.Command{Kind: kind, Resource: testTable, Slot: 5}); kindOf(err) != model.ErrUnavailable {
					t.Errorf("asked node %v for kind %d: %v", asked.id, kind, err)
				}
			}
			del := model.DeleteItem{Key: keyOf("a")}
			if err := asked.propose(&model.Command{Kind: model.CmdDeleteItem, Resource: testTable, Slot: 5, Body: del.Append(nil)}); err != nil {
				t.Errorf("asked node %v: deleting from a full disk: %v", asked.id, err)
			}
		}
		lead.disk.SetSpace(90<<30, 100<<30)
		w.eventually("there is room again", func() bool { return lead.propose(putCommand("b", 5, 10)) == nil })
	})
}

// TestSyncCatalog: what one node was told about the catalog, every other one
// shows after SyncCatalog.
func TestSyncCatalog(t *testing.T) {
	inWorld(t, 3, 1, func(w *world) {
		for i, r := range w.up() {
			name := string(rune('a' + i))
			op := model.CatalogOp{Kind: model.OpCreateResource, Resource: model.Resource{Kind: model.KindQueue, Name: name}}
			if res, err := r.ProposeCatalog(context.Background(), &model.Command{Kind: model.CmdCatalog, Body: op.Append(nil)}); err != nil || res.Status != model.StatusOK {
				t.Fatal(res, err)
			}
			if _, ok := r.Catalog().Resource(model.KindQueue, name); !ok {
				t.Errorf("node %v does not show what it was just told", r.id)
			}
			for _, other := range w.up() {
				if err := other.SyncCatalog(context.Background()); err != nil {
					t.Fatal(err)
				}
				if _, ok := other.Catalog().Resource(model.KindQueue, name); !ok {
					t.Errorf("node %v does not show %s after SyncCatalog", other.id, name)
				}
			}
		}
	})
}

// TestHearsay: what a node hears of a leader that it cannot ask itself, and what
// makes it forget it again.
func TestHearsay(t *testing.T) {
	var h hearsay
	says := func(leader model.NodeID) *answer { return &answer{err: tablet.ErrNotLeader, leader: leader} }
	for _, c := range []struct {
		name  string
		asked model.NodeID
		a     *answer
		want  model.NodeID
	}{
		{"the one that was asked leads", 2, &answer{}, 2},
		{"another leads", 2, says(3), 3},
		{"it does not, and says that it does", 3, says(3), 0},
		{"again another", 2, says(4), 4},
		{"nobody knows", 4, says(0), 0},
		{"again", 2, says(4), 4},
		{"a node that is behind believes in this one", 4, says(1), 0},
		{"again", 2, says(4), 4},
		{"the outcome is not known", 4, &answer{err: tablet.ErrUnknown}, 0},
	} {
		h.learn(7, 1, c.asked, c.a)
		if got := h.of(7); got != c.want {
			t.Errorf("%s: %v leads, want %v", c.name, got, c.want)
		}
	}
}
