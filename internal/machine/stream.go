package machine

import (
	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// A shard is a head record and blocks: the records of one put under one key
// that says their first number, their arrival and how many bytes came before.
// A put writes the head and one block, a trim is one range deletion, and what
// was deleted is never stepped over: every scan begins at a block that is
// there. The layout and the reasons are in docs/format/stream.md.

// shard is a shard's slot as one command works on it; flush writes the head.
type shard struct {
	tx     *Tx
	id     model.ResourceID
	slot   model.Slot
	number model.ShardNumber
	nowMs  int64
	head   keys.ShardRecord
	was    keys.ShardRecord   // head as stored
	told   *model.ShardChange // what other regions are to hear of the command; nil when nobody watches
	unit   *keys.UnitRecord   // what is known of the content, if that was read
	key    [96]byte
	value  [128]byte
}

func openShard(tx *Tx, number model.ShardNumber) (*shard, error) {
	s := &shard{tx: tx, id: tx.Command.Resource, slot: tx.Command.Slot, number: number, nowMs: tx.Command.Stamp.Millis()}
	head, err := readShardHead(tx, s.id, s.slot, number)
	s.head, s.was = head, head
	if tx.wanted.since != 0 {
		s.told = &model.ShardChange{}
	}
	return s, err
}

// readShardHead returns the head of a shard; one that was never used is open
// and empty.
func readShardHead(r Reader, id model.ResourceID, slot model.Slot, number model.ShardNumber) (keys.ShardRecord, error) {
	var buf [64]byte
	value, ok, err := r.Get(keys.ShardHead(buf[:0], id, slot, number))
	if err != nil || !ok {
		return keys.NewShardRecord(), err
	}
	return bodyOf[keys.ShardRecord](value)
}

func (s *shard) flush() error {
	if s.head != s.was {
		s.tx.Set(keys.ShardHead(s.key[:0], s.id, s.slot, s.number), s.head.Append(s.value[:0]))
	}
	return s.tell()
}

// state is the answer that says what a shard's head knows.
func shardState(h *keys.ShardRecord) model.ShardState {
	return model.ShardState{
		Next: h.Next, Low: h.Low, LowMs: h.LowMs, LastMs: h.LastMs,
		Bytes: h.TotalBytes - h.LowBytes, TotalBytes: h.TotalBytes, ClosedMs: h.ClosedMs, RetriedMs: h.RetriedMs,
	}
}

func (s *shard) stateResult() model.Result {
	state := shardState(&s.head)
	return model.Result{Body: state.Append(nil)}
}

// applyPutRecords appends a block. The batch is stored as it came.
func applyPutRecords(_ *Machine, tx *Tx) (model.Result, error) {
	c, err := bodyOf[model.PutRecords](tx.Command.Body)
	if err != nil {
		return model.Result{}, err
	}
	batch, err := model.ParseRecordBatch(c.Batch)
	if err != nil || batch.Len() == 0 {
		return model.Result{}, model.ErrCorrupt
	}
	s, err := openShard(tx, c.Shard)
	if err != nil {
		return model.Result{}, err
	}
	if s.head.ClosedMs != 0 && !base.Bug("putclosed") {
		return model.Result{Status: model.StatusClosed}, nil
	}
	res := s.append(&batch, c.Batch)
	if c.Retry {
		s.head.RetriedMs = res.ArrivalMs
	}
	return model.Result{Body: res.Append(nil)}, s.flush()
}

// append appends a block; stored is the batch as it is stored. The caller
// flushes.
func (s *shard) append(batch *model.RecordBatch, stored []byte) model.PutRecordsResult {
	h := &s.head
	arrival := max(s.nowMs, h.LastMs)
	if h.Low == h.Next {
		h.LowMs, h.LowBytes = arrival, h.TotalBytes
	}
	block := keys.BlockID{First: h.Next, ArrivalMs: arrival, Before: h.TotalBytes}
	s.tx.Set(keys.Block(s.key[:0], s.id, s.slot, s.number, block), stored)
	h.Next += uint64(batch.Len())
	h.TotalBytes += uint64(batch.Bytes(0, batch.Len()))
	h.LastMs = arrival
	if s.told != nil {
		s.told.Blocks = append(s.told.Blocks, model.ShardBlock{First: block.First, ArrivalMs: arrival, Before: block.Before, Batch: stored})
	}
	s.tx.Wake = true
	return model.PutRecordsResult{First: block.First, Count: uint64(batch.Len()), ArrivalMs: arrival}
}

// applyCloseShard ends a shard. Its head stays for as long as the stream is
// there: a put that comes late, from a node with an old catalog, must be refused
// also when the shard was forgotten.
func applyCloseShard(_ *Machine, tx *Tx) (model.Result, error) {
	c, err := bodyOf[model.CloseShard](tx.Command.Body)
	if err != nil {
		return model.Result{}, err
	}
	s, err := openShard(tx, c.Shard)
	if err != nil {
		return model.Result{}, err
	}
	if s.head.ClosedMs == 0 {
		s.head.ClosedMs = max(s.nowMs, s.head.LastMs, 1)
		tx.Wake = true
	}
	return s.stateResult(), s.flush()
}
