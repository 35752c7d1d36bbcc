package cluster

import (
	"fmt"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"weir.dev/weir/internal/journal"
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/machine"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/storage"
	"weir.dev/weir/internal/tablet"
)

// DefaultTablets is the number of data tablets of a new cluster: enough that
// three nodes lead two each, few enough that each gathers a good batch.
const DefaultTablets = 6

// Genesis writes the first state of a new cluster, of which node is the only
// member, once: tablet 0 with the catalog, and the data tablets with equal shares
// of the slots. A first node that has given its tablets away since, the
// catalog's among them, must not found the cluster again. Every tablet's log starts after
// index 1, so that a replica without state can only be filled by a snapshot.
func Genesis(db *storage.DB, j *journal.Journal, clusterID string, node model.Node, tablets int) error {
	for _, key := range [][]byte{keys.Founded(), keys.Applied(model.CatalogTablet)} {
		if _, exists, err := db.View().Get(key); err != nil || exists {
			return err
		}
	}
	voters := []model.NodeID{node.ID}
	c := &model.Catalog{ClusterID: clusterID, Version: 1, NextID: 1, Nodes: []model.Node{node}, Settings: model.ClusterSettings{ReplaceAfterMs: model.DefaultReplaceAfterMs}, Tablets: []model.Tablet{{ID: model.CatalogTablet, Voters: voters}}}
	for i := range uint32(tablets) {
		t := model.Tablet{ID: model.TabletID(i + 1), Voters: voters}
		t.Lo = i * model.SlotCount / uint32(tablets)
		t.Hi = (i + 1) * model.SlotCount / uint32(tablets)
		c.Tablets = append(c.Tablets, t)
	}
	b := db.NewBatch()
	machine.Genesis(b, c)
	b.Set(keys.Founded(), nil)
	first := tablet.Applied{Index: 1, Term: 1, Conf: tablet.Members{Voters: voters}}
	var writes []journal.Write
	for _, t := range c.Tablets {
		first.Lo, first.Hi = t.Lo, t.Hi
		b.Set(keys.Applied(t.ID), first.Append(nil))
		writes = append(writes, journal.Write{
			Tablet: t.ID,
			Reset:  &journal.LogStart{Index: 1, Term: 1},
			Hard:   &pb.HardState{Term: proto.Uint64(1), Commit: proto.Uint64(1)},
		})
	}
	// The journal first: Genesis counts as done when the storage holds it.
	done := make(chan struct{})
	writes[len(writes)-1].Done = func() { close(done) }
	j.Submit(writes)
	<-done
	if err := b.Commit(); err != nil {
		return fmt.Errorf("cannot write the first state: %w", err)
	}
	return db.Flush()
}
