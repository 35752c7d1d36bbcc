package machine

import (
	"testing"

	"weir.dev/weir/internal/model"
)

// TestPipeIntoShard: a part of a claim goes into a shard once, as one block; a
// closed shard refuses what it has not got, and remembers what it has.
func TestPipeIntoShard(t *testing.T) {
	r := newStreamRig(t)
	apply := func(shard, slotOf model.ShardNumber, claim, floor model.ClaimSeq, data ...string) model.Result {
		t.Helper()
		c := model.PipeApply{Pipe: 9, Source: model.PipeSource{Resource: 8, Slot: 1}, Claim: claim, Floor: floor, Part: uint32(shard)}
		for i, d := range data {
			rec := model.Record{PartitionKey: []byte("k"), Data: []byte(d)}
			c.Effects = append(c.Effects, model.PipeEffect{Message: uint64(i), Kind: model.CmdPutRecords, Body: model.AppendRecord(nil, &rec)})
		}
		return r.run(&model.Command{Kind: model.CmdPipeApply, Resource: 5, Slot: model.ShardSlot(5, slotOf), Body: c.Append(nil)})
	}
	has := func(want uint64) {
		t.Helper()
		if s := r.state(0); s.Next != want+1 {
			t.Errorf("%d records, want %d", s.Next-1, want)
		}
	}
	if res := apply(0, 0, 1, 1, "a", "b"); res.Status != model.StatusOK || !r.woke {
		t.Fatalf("first: %+v", res)
	}
	if page := r.read(model.RecordsQuery{N: 1, MaxRecords: 9, MaxBytes: 99}); len(page.Runs) != 1 || string(page.Runs[0].Batch.Record(1).Data) != "b" {
		t.Errorf("read %+v", page)
	}
	if res := apply(0, 0, 1, 1, "a", "b"); res.Status != model.StatusOK {
		t.Errorf("again: %+v", res)
	}
	has(2)
	if res := apply(0, 1, 2, 1, "c"); res.Status != model.StatusInvalid {
		t.Errorf("in another shard's slot: %+v", res)
	}
	r.close(0)
	if res := apply(0, 0, 2, 1, "c"); res.Status != model.StatusClosed {
		t.Errorf("into a closed shard: %+v", res)
	}
	if res := apply(0, 0, 1, 1, "a", "b"); res.Status != model.StatusOK {
		t.Errorf("what the closed shard has: %+v", res)
	}
	if res := apply(0, 0, 1, 2, "a", "b"); res.Status != model.StatusStale {
		t.Errorf("below the floor: %+v", res)
	}
	has(2)
}
