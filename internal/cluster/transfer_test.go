package cluster

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"weir.dev/weir/internal/model"
)

// TestTransferDoesNotStall: a leader that is moved by hand holds up no write for
// long, stays where it was put, and goes back when nobody holds it.
func TestTransferDoesNotStall(t *testing.T) {
	inWorld(t, 3, 3, func(w *world) {
		ctx := context.Background()
		stop := make(chan struct{})
		var writers sync.WaitGroup
		var mu sync.Mutex
		var worst time.Duration
		for _, r := range w.up() {
			writers.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					case <-time.After(5 * time.Millisecond):
					}
					begun := time.Now()
					err := r.propose(putCommand(fmt.Sprint(r.id, i), 0, 100))
					mu.Lock()
					worst = max(worst, time.Since(begun))
					if err != nil {
						t.Errorf("node %v: %v", r.id, err)
					}
					mu.Unlock()
				}
			})
		}
		at, _ := w.room(1).Catalog().TabletOf(0)
		first := w.leader(at.ID).id
		for i := range 6 {
			to := model.NodeID(i%3 + 1)
			if err := w.room(2).TransferLeader(ctx, at.ID, to); err != nil {
				t.Fatal(err)
			}
			time.Sleep(3 * time.Second) // rounds in which the balance could take it back
			if lead := w.leader(at.ID).id; lead != to {
				t.Errorf("node %v leads, want %v", lead, to)
			}
		}
		close(stop)
		writers.Wait()
		if worst > 100*time.Millisecond {
			t.Errorf("a write took %v", worst)
		}
		t.Logf("the slowest write took %v", worst)
		if err := w.room(1).TransferLeader(ctx, at.ID, 0); err != nil {
			t.Fatal(err)
		}
		w.eventually("the balance decides again", func() bool { return w.leader(at.ID).id == first && w.grown(3) })
	})
}

func TestTransferRefused(t *testing.T) {
	inWorld(t, 3, 1, func(w *world) {
		ctx := context.Background()
		n := w.room(1)
		if err := n.TransferLeader(ctx, 9, 1); kindOf(err) != model.ErrNotFound {
			t.Errorf("no such tablet: %v", err)
		}
		if err := n.TransferLeader(ctx, 1, 7); kindOf(err) != model.ErrValidation {
			t.Errorf("no such node: %v", err)
		}
		if err := n.DrainNode(ctx, 3, true, false); err != nil {
			t.Fatal(err)
		}
		if err := n.TransferLeader(ctx, 1, 3); kindOf(err) != model.ErrValidation {
			t.Errorf("a node that drains: %v", err)
		}
		w.room(2).stop(false)
		short, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		if err := n.TransferLeader(short, 1, 2); kindOf(err) != model.ErrUnavailable {
			t.Errorf("a node that is down: %v", err)
		}
		w.boot(w.room(2), 0)
		w.eventually("it leads when it is back", func() bool { return w.leader(1).id == 2 })
	})
}

// TestStatusOfLostNode: the others know since when a node is silent, and how far
// it is behind.
func TestStatusOfLostNode(t *testing.T) {
	inWorld(t, 3, 3, func(w *world) {
		w.room(3).stop(true)
		lost := time.Now()
		time.Sleep(20 * time.Second)
		for i := range 50 {
			if err := w.room(1).propose(putCommand(fmt.Sprint(i), 0, 1000)); err != nil {
				t.Fatal(err)
			}
		}
		s := w.room(2).Status(context.Background())
		if got := time.UnixMilli(s.Nodes[2].HeardMs).Sub(lost).Abs(); s.Nodes[2].Up || got > 2*time.Second {
			t.Errorf("node 3 was heard last %v from its loss: %+v", got, s.Nodes[2])
		}
		at, _ := w.room(1).Catalog().TabletOf(0)
		r := s.Tablets[at.ID].Replicas[2]
		if r.Doing != DoingDown || r.Lag == 0 || r.LagBytes < 40_000 || r.LagBytes > 80_000 {
			t.Errorf("its replica: %+v", r)
		}
		kinds := map[TroubleKind]bool{}
		for _, tr := range s.Troubles {
			kinds[tr.Kind] = true
		}
		if !kinds[TroubleAtRisk] || !kinds[TroubleDown] || len(kinds) != 2 {
			t.Errorf("troubles %+v", s.Troubles)
		}
	})
}
