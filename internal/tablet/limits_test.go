package tablet

import (
	"bytes"
	"errors"
	"testing"

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

// TestReadContextsDiffer: no two read requests may ever share a context, not
// even those of different runs: an old answer would confirm a new read.
func TestReadContextsDiffer(t *testing.T) {
	g := newGroup(t)
	voters := []model.NodeID{1, 2, 3}
	for _, id := range voters {
		g.add(id, voters)
	}
	h := g.nodes[1]
	seen := map[string]bool{}
	for range 3 {
		h.tablet.Campaign()
		g.settle(nil)
		for range 4 {
			h.tablet.Read(Read{Done: func(model.Index, error) {}})
			h.turn(false)
			for _, m := range g.pool {
				if len(m.GetContext()) == 16 && m.GetTo() == 2 {
					if seen[string(m.GetContext())] {
						t.Fatalf("the context %x is used twice", m.GetContext())
					}
					seen[string(m.GetContext())] = true
				}
			}
			g.settle(nil)
		}
		for _, id := range g.ids {
			g.nodes[id].open()
		}
	}
	if len(seen) != 12 {
		t.Errorf("%d contexts seen, want 12", len(seen))
	}
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
