package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/tablet"
)

// holdsWanted reports whether the cluster is at rest, and every node that runs
// holds just the replicas that the catalog wants there.
func (w *world) holdsWanted() bool {
	first := w.up()[0]
	s := first.Status(context.Background())
	if !atRest(s) {
		return false
	}
	for _, r := range w.up() {
		if _, member := first.Catalog().Node(r.id); !member {
			continue
		}
		for _, t := range first.Catalog().Tablets {
			want := slices.Contains(t.Voters, r.id) || slices.Contains(t.Learners, r.id)
			if has := r.replica(t.ID); (has != nil && has.ready.Load()) != want {
				return false
			}
		}
	}
	return true
}

// fill sends messages to slots of all tablets, and drain receives them all.
func (w *world) fill(n int) {
	w.t.Helper()
	for i := range n {
		if err := w.up()[i%len(w.up())].propose(sendCommand(byte(i+1), model.Slot(i*1000), fmt.Sprint(i))); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) drain(n int) {
	w.t.Helper()
	for i := range n {
		if g := w.up()[i%len(w.up())].receive(byte(i+1), model.Slot(i*1000), 0); g.err != nil || g.body != fmt.Sprint(i) {
			w.t.Errorf("message %d: %+v", i, g)
		}
	}
}

// TestGrowBeyondThree: a fourth node takes its share of voters and leaders;
// those who gave theirs away keep nothing of it.
func TestGrowBeyondThree(t *testing.T) {
	inWorld(t, 3, 6, func(w *world) {
		w.fill(60)
		w.join(4)
		w.eventually("the fourth node holds its share", func() bool {
			voters := 0
			for _, x := range w.room(1).Catalog().Tablets[1:] {
				if slices.Contains(x.Voters, 4) {
					voters++
				}
			}
			return voters >= 4 && w.holdsWanted()
		})
		leads := 0
		for _, n := range w.room(1).Status(context.Background()).Nodes {
			if n.ID == 4 {
				leads = n.Leads
			}
		}
		if leads == 0 {
			t.Error("the fourth node leads nothing")
		}
		w.drain(60)
	})
}

// TestNodeLeaves: a member that is to leave, a leader among them, hands over
// everything and is none afterwards; what it held is all there.
func TestNodeLeaves(t *testing.T) {
	for _, id := range []model.NodeID{1, 2, 4} {
		t.Run(fmt.Sprint(id), func(t *testing.T) {
			inWorld(t, 4, 3, func(w *world) {
				w.fill(60)
				if err := w.room(3).DrainNode(context.Background(), id, true, true); err != nil {
					t.Fatal(err)
				}
				w.eventually("the node has left", func() bool { return w.room(3).Catalog().WasRemoved(id) })
				w.room(id).stop(true)
				w.eventually("the others hold what they shall", w.holdsWanted)
				for _, x := range w.room(3).Catalog().Tablets {
					if len(x.Voters) != 3 || slices.Contains(x.Voters, id) {
						t.Errorf("tablet %v has the voters %d", x.ID, x.Voters)
					}
				}
				w.drain(60)
			})
		})
	}
}

// TestLastNodeStays: the data cannot be left without a node.
func TestLastNodeStays(t *testing.T) {
	inWorld(t, 1, 1, func(w *world) {
		var refused *model.Error
		if err := w.room(1).DrainNode(context.Background(), 1, true, true); !errors.As(err, &refused) || refused.Kind != model.ErrValidation {
			t.Errorf("the last node may leave: %v", err)
		}
		if err := w.room(1).DrainNode(context.Background(), 9, true, false); !errors.As(err, &refused) || refused.Kind != model.ErrNotFound {
			t.Errorf("an unknown node may leave: %v", err)
		}
	})
}

// TestDeadNodeIsReplaced: a node that is away for longer than the cluster waits
// is replaced by one that is there. It comes back with its old replicas, which
// nobody wants any more, and serves again.
func TestDeadNodeIsReplaced(t *testing.T) {
	inWorld(t, 4, 6, func(w *world) {
		w.eventually("at rest", w.holdsWanted)
		w.fill(60)
		if err := w.room(1).SetSettings(context.Background(), model.ClusterSettings{ReplaceAfterMs: 10_000}); err != nil {
			t.Fatal(err)
		}
		lost := w.other(model.CatalogTablet)
		lost.stop(true)
		time.Sleep(8 * time.Second)
		for _, x := range w.up()[0].Catalog().Tablets {
			if x.ID == model.CatalogTablet && !slices.Contains(x.Voters, lost.id) {
				t.Error("the node was replaced too early")
			}
		}
		w.eventually("others hold what it held", func() bool {
			for _, x := range w.up()[0].Catalog().Tablets {
				if slices.Contains(x.Voters, lost.id) || len(x.Voters) != 3 {
					return false
				}
			}
			return atRest(w.up()[0].Status(context.Background()))
		})
		w.boot(lost, 0)
		w.eventually("the node that is back holds its share", func() bool {
			for _, x := range w.up()[0].Catalog().Tablets {
				if slices.Contains(x.Voters, lost.id) {
					return w.holdsWanted()
				}
			}
			return false
		})
		w.drain(60)
	})
}

// TestTwoNodesAreLeft: one of three is lost for good and removed; the other two
// go on, each with all data.
func TestTwoNodesAreLeft(t *testing.T) {
	inWorld(t, 3, 2, func(w *world) {
		w.fill(60)
		lost := w.other(model.CatalogTablet)
		lost.stop(true)
		if err := w.up()[0].DrainNode(context.Background(), lost.id, true, true); err != nil {
			t.Fatal(err)
		}
		w.eventually("it is no member any more", func() bool { return w.up()[0].Catalog().WasRemoved(lost.id) })
		for _, x := range w.up()[0].Catalog().Tablets {
			if len(x.Voters) != 2 {
				t.Errorf("tablet %v has the voters %d", x.ID, x.Voters)
			}
		}
		w.drain(60)
	})
}

// TestReadOnlyNode: it holds everything and votes nowhere.
func TestReadOnlyNode(t *testing.T) {
	inWorld(t, 3, 2, func(w *world) {
		w.join(4)
		w.eventually("it tells what it is", func() bool {
			return w.room(4).Announce(context.Background(), Announcement{PeerAddr: address(4), ReadOnly: true}) == nil
		})
		w.fill(60)
		w.eventually("it holds learners of everything", func() bool {
			for _, x := range w.room(1).Catalog().Tablets {
				if slices.Contains(x.Voters, 4) || !slices.Contains(x.Learners, 4) {
					return false
				}
			}
			return w.holdsWanted()
		})
		for i := range 60 {
			body := model.QueueQuery{NowMs: time.Now().UnixMilli()}
			q := &model.Query{Kind: model.QueryQueue, Resource: testQueue, Slot: model.Slot(i * 1000), Body: body.Append(nil)}
			var counts model.QueueCounts
			w.eventually("its eventual reads see the message", func() bool {
				res, err := w.room(4).Read(context.Background(), q, false)
				counts.Decode(model.NewDecoder(res.Body))
				return err == nil && counts.Visible == 1
			})
		}
	})
}

// TestOlderCopyIsKnown: the announcement of an earlier start is refused.
func TestOlderCopyIsKnown(t *testing.T) {
	inWorld(t, 1, 1, func(w *world) {
		say := func(start model.Start) error {
			return w.room(1).Announce(context.Background(), Announcement{PeerAddr: address(1), Start: start})
		}
		if err := errors.Join(say(3<<24), say(3<<24), say(4<<24)); err != nil {
			t.Fatal(err)
		}
		var refused *model.Error
		if err := say(3 << 24); !errors.As(err, &refused) || refused.Kind != model.ErrAccessDenied {
			t.Errorf("an older copy: %v", err)
		}
	})
}

// TestMovesDoNotStall: while tablets and leaders move to a new node, no write
// through any node waits long.
func TestMovesDoNotStall(t *testing.T) {
	inWorld(t, 3, 6, func(w *world) {
		stop := make(chan struct{})
		end := sync.OnceFunc(func() { close(stop) })
		defer end() // also when the test fails: writers that go on keep the bubble busy for ever
		var writers sync.WaitGroup
		var mu sync.Mutex
		var worst time.Duration
		for _, r := range w.up() {
			for k := range 6 {
				writers.Go(func() {
					for i := 0; ; i++ {
						select {
						case <-stop:
							return
						case <-time.After(5 * time.Millisecond):
						}
						begun := time.Now()
						err := r.propose(putCommand(fmt.Sprint(r.id, k, i), model.Slot(k*11000), 100))
						mu.Lock()
						worst = max(worst, time.Since(begun))
						if err != nil {
							t.Errorf("node %v, slot %d: %v", r.id, k*11000, err)
						}
						mu.Unlock()
					}
				})
			}
		}
		time.Sleep(time.Second)
		w.join(4)
		w.eventually("the fourth node holds its share", func() bool {
			voters := 0
			for _, x := range w.room(1).Catalog().Tablets[1:] {
				if slices.Contains(x.Voters, 4) {
					voters++
				}
			}
			return voters >= 4 && w.holdsWanted()
		})
		end()
		writers.Wait()
		if worst > 100*time.Millisecond {
			t.Errorf("a write took %v", worst)
		}
	})
}

// TestDeposedLeaderSettlesNothing: what a leader tells of its members counts
// only while most of its voters are in its term.
func TestDeposedLeaderSettlesNothing(t *testing.T) {
	x := &model.Tablet{ID: 1, Hi: 9, Voters: ids(1, 2, 3)}
	tell := func(terms map[model.NodeID]model.Term) TabletView {
		told := map[model.NodeID]*NodeStatus{}
		for id, term := range terms {
			s := tablet.Status{Tablet: 1, Leader: 1, Term: term, Members: tablet.Members{Voters: ids(1, 2, 3)}}
			if id == 1 {
				s.Matched = map[model.NodeID]model.Index{1: 5}
			}
			told[id] = &NodeStatus{Node: id, Replicas: []tablet.Status{s}}
		}
		return viewTablet(x, told)
	}
	if v := tell(map[model.NodeID]model.Term{1: 4, 2: 4}); v.Leader != 1 || !v.Settled {
		t.Errorf("two of three follow: %+v", v)
	}
	if v := tell(map[model.NodeID]model.Term{1: 4, 2: 5, 3: 5}); v.Settled {
		t.Errorf("a deposed leader: %+v", v)
	}
	if v := tell(map[model.NodeID]model.Term{1: 4}); v.Settled {
		t.Errorf("a leader that nobody confirms: %+v", v)
	}
}
