package cluster

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/journal"
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/storage"
	"weir.dev/weir/internal/tablet"
)

// open opens a stopped room's disk.
func (r *room) open(t *testing.T) (*storage.DB, *journal.Journal) {
	t.Helper()
	fatal := func(err error) { t.Error(err) }
	db, err := storage.Open(storage.Options{FS: r.disk, Dir: "data", CacheBytes: 1 << 20, MemTableBytes: 256 << 10, Sequence: keys.Sequence, CheckNew: true, Fatal: fatal})
	if err != nil {
		t.Fatal(err)
	}
	j, err := journal.Open(journal.Options{FS: r.disk, Dir: "data/journal", SegmentBytes: 16 << 10, CacheBytes: 64 << 10, Rand: base.NewRand(1), Fatal: fatal})
	if err != nil {
		t.Fatal(err)
	}
	return db, j
}

// recover does what weir recover does with a stopped room.
func (r *room) recover(t *testing.T) {
	t.Helper()
	db, j := r.open(t)
	for range 2 { // as after an interruption
		if err := Isolate(db, j, r.id); err != nil {
			t.Fatal(err)
		}
	}
	node, err := Open(Options{
		Node: r.id, ClusterID: testCluster, Storage: db, Journal: j, Transport: NoTransport, Clock: base.SystemClock{}, Rand: base.NewRand(2),
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Lanes: 2, LogBudgetBytes: 1 << 30, HousekeepingEvery: 200 * time.Millisecond,
		Fatal: func(err error) { t.Error(err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := node.FinishRecovery(context.Background()); err != nil {
		t.Error(err)
	}
	for _, err := range []error{node.Close(), j.Close(), db.Close()} {
		if err != nil {
			t.Error(err)
		}
	}
}

// TestRecover loses two of three nodes for good: the third goes on with all that
// it had, remembers whom it lost, and grows again.
func TestRecover(t *testing.T) {
	inWorld(t, 3, 3, func(w *world) {
		ctx := context.Background()
		for i := range 30 {
			if err := w.room(1).propose(putCommand(fmt.Sprint("key", i), model.Slot(i*2000), 100)); err != nil {
				t.Fatal(err)
			}
		}
		third := w.room(3)
		w.eventually("the third has everything", func() bool { return w.grown(3) })
		third.stop(true)
		w.room(1).stop(true)
		w.room(2).stop(true)

		db, j := third.open(t)
		c, surveys, err := Survey(db, j, 3)
		if err != nil || len(c.Nodes) != 3 || len(surveys) != 4 {
			t.Fatalf("%d nodes, %d tablets, %v", len(c.Nodes), len(surveys), err)
		}
		for _, s := range surveys {
			if !s.Held || !s.Voter || s.Last < s.Committed || s.Committed < s.Applied || s.NewestMs == 0 && s.Tablet != 0 {
				t.Errorf("survey %+v", s)
			}
		}
		for _, err := range []error{j.Close(), db.Close()} {
			if err != nil {
				t.Error(err)
			}
		}
		third.recover(t)
		w.boot(third, 0)
		w.eventually("it leads everything", func() bool { return third.Counts().Led == 4 })
		after := third.Catalog()
		if len(after.Nodes) != 1 || !after.WasRemoved(1) || !after.WasRemoved(2) || after.WasRemoved(3) {
			t.Errorf("nodes %+v, removed %+v", after.Nodes, after.Removed)
		}
		for i := range 30 {
			if !third.has(fmt.Sprint("key", i), model.Slot(i*2000)) {
				t.Errorf("key%d is lost", i)
			}
		}
		for id := model.NodeID(4); id <= 5; id++ {
			joinThrough(t, w, third, id)
		}
		w.eventually("three voters of everything", func() bool {
			s := third.Status(ctx)
			for i := range s.Tablets {
				if x := &s.Tablets[i]; x.Leader == 0 || !x.Settled || len(x.Members.Voters) != 3 {
					return false
				}
			}
			return len(s.Nodes) == 3
		})
		if err := w.room(5).propose(putCommand("after", 7, 10)); err != nil || !third.has("key0", 0) {
			t.Errorf("after growing: %v", err)
		}
	})
}

// joinThrough makes a new node a member, through one that is there.
func joinThrough(t *testing.T, w *world, by *room, id model.NodeID) {
	t.Helper()
	token := model.JoinToken{Hash: [32]byte{byte(id), 1}}
	if err := by.AddToken(context.Background(), token.Hash, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	op := model.CatalogOp{Kind: model.OpAddNode, Token: token, Node: model.Node{ID: id, PeerAddr: address(id)}}
	if res, err := by.ProposeCatalog(context.Background(), &model.Command{Kind: model.CmdCatalog, Body: op.Append(nil)}); err != nil || res.Status != model.StatusOK {
		t.Fatalf("node %v cannot join: %+v, %v", id, res, err)
	}
	w.boot(w.room(id), 0)
}

// TestIsolate: changes of membership that were never applied cannot bring the
// others back, commands beside them stay, and a tablet that is not here begins
// empty.
func TestIsolate(t *testing.T) {
	r := &room{disk: storage.NewCrashableFS(), id: 7}
	db, j := r.open(t)
	if err := Genesis(db, j, testCluster, model.Node{ID: 7, PeerAddr: "a:1"}, 2); err != nil {
		t.Fatal(err)
	}
	single := func(typ pb.ConfChangeType, id uint64) []byte {
		data, err := proto.Marshal(&pb.ConfChangeV2{Changes: []*pb.ConfChangeSingle{{Type: typ.Enum(), NodeId: &id}}})
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	entry := func(index uint64, typ pb.EntryType, data []byte) *pb.Entry {
		return &pb.Entry{Index: proto.Uint64(index), Term: proto.Uint64(4), Type: typ.Enum(), Data: data}
	}
	batch := func(number byte) []byte { return []byte{1, 0, 0, 0, 0, 0, 0, 0, 0, number, 0} } // of no commands
	done := make(chan struct{})
	j.Submit([]journal.Write{{Tablet: 1, Hard: &pb.HardState{Term: proto.Uint64(6), Commit: proto.Uint64(2)}, Entries: []*pb.Entry{
		entry(2, pb.EntryNormal, batch(1)), entry(3, pb.EntryConfChangeV2, single(pb.ConfChangeAddNode, 8)), entry(4, pb.EntryNormal, batch(2)),
	}, Done: func() { close(done) }}})
	<-done
	b := db.NewBatch()
	b.Set(keys.Applied(2), (&tablet.Applied{}).Append(nil)) // tablet 2 never got its first snapshot
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
	b.Close()
	if err := Isolate(db, j, 7); err != nil {
		t.Fatal(err)
	}
	entries, err := j.Log(1).Entries(2, 5, 1<<20)
	if err != nil || len(entries) != 3 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	got := ""
	for _, e := range entries {
		got += fmt.Sprintf("%d.%d %v %x; ", e.GetTerm(), e.GetIndex(), e.GetType(), e.GetData())
	}
	if want := fmt.Sprintf("4.2 EntryNormal %x; 4.3 EntryNormal ; 4.4 EntryNormal %x; ", batch(1), batch(2)); got != want {
		t.Errorf("the log is %s\nwant %s", got, want)
	}
	if hs := j.Log(1).HardState(); hs.GetTerm() != 6 {
		t.Errorf("hard state %v: votes that were given count on", hs)
	}
	applied, err := (&Node{db: db, view: db.View()}).storedTablets()
	if err != nil {
		t.Fatal(err)
	}
	if a := applied[2]; a.Index != 1 || a.Lo != 32768 || a.Hi != 65536 || len(a.Conf.Voters) != 1 {
		t.Errorf("a tablet that was not here: %+v", a)
	}
	for _, err := range []error{j.Close(), db.Close()} {
		if err != nil {
			t.Error(err)
		}
	}
}
