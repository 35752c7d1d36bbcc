package tablet

import (
	"bytes"
	"errors"
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"

	"weir.dev/weir/internal/model"
)

// alone returns a leader without followers.
func alone(t testing.TB) (*group, *host) {
	t.Helper()
	g := newGroup(t)
	h := g.add(1, []model.NodeID{1})
	h.tablet.Campaign()
	g.settle(nil)
	if !h.tablet.Leads() {
		t.Fatal("a lone voter does not lead")
	}
	return g, h
}

// TestBusy: more proposals than may wait are refused, and surely not applied.
func TestBusy(t *testing.T) {
	g, h := alone(t)
	refused, done := 0, 0
	for range maxWaitingProposals + 3 {
		h.tablet.Propose(Proposal{Command: &model.Command{Kind: model.CmdPutItem}, Done: func(_ model.Result, _ model.Index, err error) {
			switch {
			case errors.Is(err, ErrBusy):
				refused++
			case err == nil:
				done++
			default:
				t.Errorf("answer: %v", err)
			}
		}})
	}
	g.settle(nil)
	if refused != 3 || done != maxWaitingProposals || len(h.state) != done {
		t.Errorf("%d refused, %d done, %d applied", refused, done, len(h.state))
	}
}

// TestBatchBytes: a turn's commands are several entries when they are large,
// and their order stays.
func TestBatchBytes(t *testing.T) {
	g, h := alone(t)
	var order []byte
	body := bytes.Repeat([]byte{'x'}, maxBatchBytes/2)
	for i := range byte(7) {
		cmd := &model.Command{Kind: model.CmdPutItem, Body: append([]byte{'a' + i}, body...)}
		h.tablet.Propose(Proposal{Command: cmd, Done: func(res model.Result, _ model.Index, err error) {
			if err != nil {
				t.Error(err)
				return
			}
			order = append(order, res.Body[4])
		}})
	}
	before := h.tablet.Status().Last
	g.settle(nil)
	if string(order) != "abcdefg" {
		t.Errorf("answered in the order %s", order)
	}
	if entries := h.tablet.Status().Last - before; entries < 2 || entries > 4 {
		t.Errorf("%d entries for 3.5 batches' bytes", entries)
	}
}

// TestUncommittedLimit: a leader that cannot commit stops taking proposals
// before its memory is full.
func TestUncommittedLimit(t *testing.T) {
	g := newGroup(t)
	voters := []model.NodeID{1, 2, 3}
	for _, id := range voters {
		g.add(id, voters)
	}
	h := g.nodes[1]
	h.tablet.Campaign()
	g.settle(nil)
	busy := 0
	cut := map[model.NodeID]bool{1: true}
	body := make([]byte, 4<<20)
	for range maxUncommittedBytes/len(body) + 4 {
		h.tablet.Propose(Proposal{Command: &model.Command{Kind: model.CmdPutItem, Body: body}, Done: func(_ model.Result, _ model.Index, err error) {
			if !errors.Is(err, ErrBusy) {
				t.Errorf("answer: %v", err)
			}
			busy++
		}})
		g.settle(cut)
	}
	if busy == 0 {
		t.Errorf("a leader without followers took %d MiB", (maxUncommittedBytes+4*len(body))>>20)
	}
}

// TestOldHeartbeatAnswers: answers of followers that were on their way before a
// read came do not confirm it, however often they arrive, nor does one of an
// earlier term.
func TestOldHeartbeatAnswers(t *testing.T) {
	g := newGroup(t)
	voters := []model.NodeID{1, 2, 3}
	for _, id := range voters {
		g.add(id, voters)
	}
	h := g.nodes[1]
	h.tablet.Campaign()
	g.settle(nil)
	// ask makes a read, carries it to the followers and returns their answers.
	ask := func(done *bool) []*pb.Message {
		h.tablet.Read(Read{Done: func(_ model.Index, err error) { *done = err == nil }})
		h.turn(false)
		g.deliver(func(m *pb.Message) bool { return m.GetTo() != 1 }, false, false)
		g.nodes[2].turn(false)
		g.nodes[3].turn(false)
		answers := g.pool
		g.pool = nil
		return answers
	}
	give := func(answers []*pb.Message) {
		g.pool = append(g.pool, answers...)
		g.deliver(func(*pb.Message) bool { return true }, false, false)
		h.turn(false)
	}
	var first, second, third bool
	old := ask(&first)
	give(old)
	fresh := ask(&second)
	give(old)
	give(old)
	if !first || second {
		t.Fatalf("first read done: %v; second, by answers older than itself: %v", first, second)
	}
	give(fresh)
	if !second {
		t.Fatal("the second read was not answered")
	}
	for _, id := range g.ids {
		g.nodes[id].open()
	}
	h.tablet.Campaign()
	g.settle(nil)
	newest := ask(&third)
	give(append(old, fresh...))
	if third {
		t.Fatal("answers of an earlier term confirm a read")
	}
	give(newest)
	if !third {
		t.Fatal("the third read was not answered")
	}
}

// TestLostAppendsUnderLoad: a follower that lost as many appends as may be on
// their way catches up although new entries never stop coming.
func TestLostAppendsUnderLoad(t *testing.T) {
	g := newGroup(t)
	voters := []model.NodeID{1, 2, 3}
	for _, id := range voters {
		g.add(id, voters)
	}
	h, lagging := g.nodes[1], g.nodes[3]
	h.tablet.Campaign()
	g.settle(nil)
	cut := map[model.NodeID]bool{3: true}
	n := 0
	put := func() {
		n++
		h.tablet.Propose(Proposal{Command: &model.Command{Kind: model.CmdPutItem}, Done: func(model.Result, model.Index, error) {}})
	}
	for range maxInflightMessages + 10 {
		put()
		g.settle(cut)
	}
	// Every step of the leader comes with a new proposal.
	for round := range 200 {
		put()
		h.turn(false)
		put()
		if round%4 == 0 {
			h.tablet.Tick()
		}
		h.write()
		h.turn(false)
		put()
		g.deliver(func(*pb.Message) bool { return true }, false, false)
		for _, id := range g.ids[1:] {
			f := g.nodes[id]
			f.turn(false)
			for f.write() {
			}
			for f.apply() {
			}
			f.turn(false)
		}
		put()
		g.deliver(func(*pb.Message) bool { return true }, false, false)
		for h.apply() {
		}
		if s := lagging.tablet.Status(); uint64(s.Applied) > maxInflightMessages+100 {
			return
		}
	}
	t.Errorf("after 200 rounds the follower is at %d, the leader at %d", lagging.tablet.Status().Applied, h.tablet.Status().Applied)
}

// TestOldReadAnswer: an answer with a context of another run, or of no run,
// confirms nothing.
func TestOldReadAnswer(t *testing.T) {
	_, h := alone(t)
	h.tablet.reads.asked[99] = []Read{{Done: func(model.Index, error) { t.Error("answered") }}}
	for _, ctx := range [][]byte{nil, make([]byte, 16), {15: 99}, make([]byte, 17)} {
		h.tablet.readConfirmed(5, ctx)
		h.tablet.answerReads()
	}
}
