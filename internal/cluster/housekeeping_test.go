package cluster

import (
	"context"
	"fmt"
	"testing"
	"time"

	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/tablet"
)

// durableIndex is how far the part of a tablet's state goes that a crash would
// leave.
func (r *room) durableIndex(t *testing.T, id model.TabletID) model.Index {
	t.Helper()
	value, ok, err := r.db.Durable().Get(keys.Applied(id))
	if err != nil || !ok {
		t.Fatalf("node %v, tablet %v: %v, %v", r.id, id, ok, err)
	}
	var a tablet.Applied
	if err := a.Decode(value); err != nil {
		t.Fatal(err)
	}
	return a.Index
}

func (r *room) firstIndex(t *testing.T, id model.TabletID) model.Index {
	t.Helper()
	first, err := r.journal.Log(id).FirstIndex()
	if err != nil {
		t.Fatal(err)
	}
	return model.Index(first)
}

// TestJournalIsCutBelowDurable watches a cluster under load: no log ever lacks
// an entry that a crash of the storage would ask for, and logs are cut at all.
func TestJournalIsCutBelowDurable(t *testing.T) {
	inWorld(t, 3, 2, func(w *world) {
		w.budget = 0
		for i := range 200 {
			for _, slot := range []model.Slot{1, 60000} {
				if err := w.room(1).propose(putCommand(fmt.Sprint(i), slot, 100)); err != nil {
					t.Fatal(err)
				}
			}
			if i%5 != 0 {
				continue
			}
			for _, r := range w.up() {
				for id := range model.TabletID(3) {
					first := r.firstIndex(t, id) // before: it only grows
					if durable := r.durableIndex(t, id); first > durable+1 {
						t.Fatalf("node %v, tablet %v: the log begins at %d, the durable state ends at %d", r.id, id, first, durable)
					}
				}
			}
		}
		w.eventually("logs are cut", func() bool {
			for _, r := range w.up() {
				if r.firstIndex(t, 1) < 100 || r.firstIndex(t, 2) < 100 {
					return false
				}
			}
			return true
		})
	})
}

// TestLaggingFollower: while the journal is small its entries are kept for a
// follower that is down; beyond its budget the follower gets a snapshot.
func TestLaggingFollower(t *testing.T) {
	for _, c := range []struct {
		name   string
		budget int64
	}{{"entries", 1 << 30}, {"snapshot", 0}} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, 3, 1, func(w *world) {
				// The budget is of a node's start: all are started again.
				w.budget = c.budget
				for _, r := range w.up() {
					r.stop(true)
					w.boot(r, 0)
				}
				w.eventually("all are back", func() bool { return w.grown(3) })
				lagging := w.other(1)
				lagging.stop(true)
				last, err := lagging.lastIndexOnDisk(w)
				if err != nil {
					t.Fatal(err)
				}
				up := w.up()[0]
				for i := range 50 {
					if err := up.propose(putCommand(fmt.Sprint(i), 5, 200)); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(10 * time.Second) // many rounds of housekeeping
				if first := w.leader(1).firstIndex(t, 1); (first > last+1) != (c.budget == 0) {
					t.Errorf("the leader's log begins at %d, the follower's ends at %d", first, last)
				}
				w.boot(lagging, 0)
				w.eventually("the follower has caught up", func() bool { return lagging.has("49", 5) && w.grown(3) })
				for i := range 50 {
					if !lagging.has(fmt.Sprint(i), 5) {
						t.Errorf("the follower lacks item %d", i)
					}
				}
				if err := lagging.propose(sendCommand(1, 5, "m")); err != nil {
					t.Error(err)
				}
				// What it caught up on survives a crash of its own.
				lagging.stop(true)
				w.boot(lagging, 0)
				w.eventually("the follower is back", func() bool { return lagging.has("49", 5) })
			})
		})
	}
}

// lastIndexOnDisk is the end of a stopped node's log of tablet 1: it cannot be
// beyond what the leader knows the node to hold.
func (r *room) lastIndexOnDisk(w *world) (model.Index, error) {
	lead := w.leader(1)
	got := make(chan tablet.Status, 1)
	held := lead.replica(1)
	held.lane.do(held, func(t *tablet.Tablet) { got <- t.Status() })
	s := <-got
	at, ok := s.Matched[r.id]
	if !ok {
		return 0, fmt.Errorf("the leader does not know of node %v", r.id)
	}
	return at, nil
}

// TestDeletedResources: the data of a deleted resource goes from every node's
// disk, also of one that was down, and only then the catalog forgets it.
func TestDeletedResources(t *testing.T) {
	inWorld(t, 3, 2, func(w *world) {
		ctx := context.Background()
		first := w.room(1)
		change := func(op model.CatalogOp) {
			t.Helper()
			if res, err := first.ProposeCatalog(ctx, &model.Command{Kind: model.CmdCatalog, Body: op.Append(nil)}); err != nil || res.Status != model.StatusOK {
				t.Fatalf("%+v: %+v, %v", op, res, err)
			}
		}
		change(model.CatalogOp{Kind: model.OpCreateResource, Resource: model.Resource{Kind: model.KindTable, Name: "posts"}})
		posts, _ := first.Catalog().Resource(model.KindTable, "posts")
		for i := range 20 {
			name := fmt.Sprint(i)
			cmd := putCommand(name, model.SlotOf(keyOf(name)), 50)
			cmd.Resource = posts.ID
			if err := first.propose(cmd); err != nil {
				t.Fatal(err)
			}
		}
		down := w.room(3)
		down.stop(true)
		change(model.CatalogOp{Kind: model.OpDeleteResource, Resource: model.Resource{ID: posts.ID}})
		w.boot(down, 0)
		w.eventually("the catalog has forgotten it", func() bool {
			for _, r := range w.up() {
				if r.SyncCatalog(ctx) != nil || len(r.Catalog().Deleted) > 0 {
					return false
				}
			}
			return true
		})
		w.eventually("all have applied it", func() bool { return w.grown(3) })
		lo, hi := keys.ResourceAll(posts.ID)
		for _, r := range w.up() {
			it, err := r.db.View().Scan(lo, hi, false)
			if err != nil {
				t.Fatal(err)
			}
			for it.Next() {
				t.Errorf("node %v still holds %s", r.id, keys.String(it.Key()))
			}
			if err := it.Close(); err != nil {
				t.Fatal(err)
			}
		}
		late := putCommand("late", 5, 50)
		late.Resource = posts.ID
		if res, err := first.Propose(ctx, late); err != nil || res.Status != model.StatusGone {
			t.Errorf("a write to a deleted table: %+v, %v", res, err)
		}
	})
}

// TestDeletedPipesWait: the data of a pipe is not removed by housekeeping; its
// worker ends it.
func TestDeletedPipesWait(t *testing.T) {
	inWorld(t, 1, 1, func(w *world) {
		first := w.room(1)
		for _, op := range []model.CatalogOp{
			{Kind: model.OpCreateResource, Resource: model.Resource{Kind: model.KindPipe, Name: "likes"}},
			{Kind: model.OpDeleteResource, Resource: model.Resource{ID: 1}},
		} {
			if res, err := first.ProposeCatalog(context.Background(), &model.Command{Kind: model.CmdCatalog, Body: op.Append(nil)}); err != nil || res.Status != model.StatusOK {
				t.Fatal(res, err)
			}
		}
		time.Sleep(5 * time.Second)
		if n := len(first.Catalog().Deleted); n != 1 {
			t.Errorf("%d deleted resources, want the pipe", n)
		}
	})
}

func TestStatus(t *testing.T) {
	inWorld(t, 3, 2, func(w *world) {
		down := w.room(3)
		down.stop(true)
		asked := w.room(1)
		w.eventually("the others lead everything", func() bool {
			s := asked.Status(context.Background())
			for _, x := range s.Tablets {
				if x.Leader == 0 || x.Leader == 3 {
					return false
				}
			}
			return true
		})
		begin := time.Now()
		s := asked.Status(context.Background())
		if d := time.Since(begin); d > statusTimeout+100*time.Millisecond {
			t.Errorf("with a node down the status takes %v", d)
		}
		if s.ClusterID != testCluster || s.Asked != 1 || len(s.Nodes) != 3 || len(s.Tablets) != 3 {
			t.Fatalf("status %+v", s)
		}
		leads := 0
		for _, n := range s.Nodes {
			if n.Up != (n.ID != 3) || n.Up && n.Holds != 3 || n.Address != address(n.ID) {
				t.Errorf("node %+v", n)
			}
			leads += n.Leads
		}
		if leads != 3 {
			t.Errorf("the nodes lead %d of 3 tablets", leads)
		}
		for _, x := range s.Tablets {
			if len(x.Replicas) != 3 {
				t.Errorf("tablet %+v", x)
			}
			for _, r := range x.Replicas {
				if !r.Voter || r.Up != (r.Node != 3) {
					t.Errorf("tablet %v, replica %+v", x.ID, r)
				}
			}
		}
		if err := asked.Healthy(); err != nil {
			t.Errorf("a node of a majority is not healthy: %v", err)
		}
		if c := asked.Counts(); c.Held != 3 || c.Leaderless != 0 {
			t.Errorf("counts %+v", c)
		}
	})
}

// TestGenesisTwice: whoever crashed while it made a cluster makes the same one.
func TestGenesisTwice(t *testing.T) {
	inWorld(t, 1, 2, func(w *world) {
		r := w.room(1)
		if err := r.propose(sendCommand(1, 5, "m")); err != nil {
			t.Fatal(err)
		}
		r.stop(true)
		w.boot(r, 2) // Genesis again: the state is there, nothing may change
		w.eventually("it leads", func() bool { return r.Counts().Led == 3 })
		w.wantVisible(r, 5, 1)
		if c := r.Catalog(); len(c.Tablets) != 3 || len(c.Nodes) != 1 {
			t.Errorf("catalog %+v", c)
		}
	})
}

// TestCrashes: everything acknowledged is there after all nodes lost power.
func TestCrashes(t *testing.T) {
	inWorld(t, 3, 2, func(w *world) {
		for round := range byte(4) {
			for i := range byte(10) {
				if err := w.room(1).propose(sendCommand(10*round+i+1, 5, "m")); err != nil {
					t.Fatal(err)
				}
			}
			for _, r := range w.up() {
				r.stop(true)
			}
			for id := model.NodeID(1); id <= 3; id++ {
				w.boot(w.room(id), 0)
			}
			w.wantVisible(w.room(2), 5, uint64(round+1)*10)
		}
	})
}
