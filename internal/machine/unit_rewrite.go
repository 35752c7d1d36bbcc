package machine

import (
	"bytes"
	"errors"
	"math"

	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// A copy that turned out to differ is mended through the log, as all that it
// takes in comes: the region that has the writes tells once more what is at some
// places, in a change like any other. So it is of one moment between what was
// written before and after, on its way too, and regions behind the copy are
// mended with it.

// maxRewriteBytes is how much one change brings, besides its last message or
// block.
const maxRewriteBytes = 1 << 20

// applyRewriteUnit tells other regions what is at places of a unit.
func applyRewriteUnit(m *Machine, tx *Tx) (model.Result, error) {
	cmd, err := bodyOf[model.RewriteUnit](tx.Command.Body)
	switch {
	case err != nil:
		return model.Result{}, err
	case tx.wanted.passive:
		return model.Result{Status: model.StatusPassive}, nil
	case !tx.wanted.log || tx.wanted.since == 0:
		return model.Result{Status: model.StatusStale}, nil
	}
	var did int
	if cmd.Kind == model.KindQueue {
		did, err = m.rewriteQueue(tx, &cmd)
	} else {
		did, err = rewriteShard(tx, &cmd)
	}
	return model.Result{Body: model.AppendUvarint(nil, uint64(did))}, err
}

func (m *Machine) rewriteQueue(tx *Tx, cmd *model.RewriteUnit) (did int, err error) {
	q, err := m.openHead(tx)
	if err != nil {
		return 0, err
	}
	told := q.told
	told.Mends, told.Count = true, queueCounts(&q.head)
	size := 0
	for ; did < len(cmd.Places) && size < maxRewriteBytes; did++ {
		seq, ok := model.SplitQueuePlace(cmd.Places[did])
		if !ok {
			return 0, model.ErrCorrupt
		}
		u, ok, err := readUnitMessage(tx, q.id, q.slot, max(seq, q.head.PurgedBelow))
		if err != nil {
			return 0, err
		}
		if !ok || u.Seq != seq {
			told.Gone = append(told.Gone, seq)
			continue
		}
		size += len(u.Message)
		told.Mended = append(told.Mended, u)
	}
	return did, q.flush()
}

// readUnitMessage reads the first message whose number is seq or greater.
func readUnitMessage(r Reader, id model.ResourceID, slot model.Slot, seq uint64) (u model.UnitMessage, ok bool, err error) {
	rows, err := newMessageRows(r, id, slot, seq)
	if err != nil {
		return u, false, err
	}
	if ok = rows.next(); ok {
		if u, err = unitMessage(r, &model.Query{Resource: id, Slot: slot}, rows.seq, rows.value); err != nil {
			_ = rows.close() // the first error is the one to report
			return u, false, err
		}
	}
	return u, ok, rows.close()
}

func rewriteShard(tx *Tx, cmd *model.RewriteUnit) (did int, err error) {
	s, err := openShard(tx, cmd.Shard)
	if err != nil {
		return 0, err
	}
	s.told.Mends = true
	size, told := 0, uint64(0) // the records before told are in the change
	for ; did < len(cmd.Places) && size < maxRewriteBytes; did++ {
		n, group, ok := model.SplitShardPlace(cmd.Places[did])
		switch {
		case !ok:
			return 0, model.ErrCorrupt
		case group != "":
			if err := s.rewritePosition(group); err != nil {
				return 0, err
			}
		case n >= told && n >= s.head.Low && n < s.head.Next:
			b, err := s.blockHolding(n)
			if err != nil {
				return 0, err
			}
			s.told.Mended = append(s.told.Mended, b)
			batch, err := model.ParseRecordBatch(b.Batch)
			if err != nil {
				return 0, err
			}
			size, told = size+len(b.Batch), b.First+uint64(batch.Len())
		}
	}
	return did, s.flush()
}

func (s *shard) rewritePosition(group string) error {
	p, err := readPosition(s.tx, s.id, s.slot, s.number, group)
	switch {
	case err != nil:
		return err
	case p == nil:
		s.told.Forgotten = append(s.told.Forgotten, group)
	default:
		s.tellPosition(p)
	}
	return nil
}

// blockHolding reads the block that holds a record which is kept.
func (s *shard) blockHolding(n uint64) (b model.ShardBlock, err error) {
	id, err := s.records().holding(n)
	if err != nil {
		return b, err
	}
	value, ok, err := s.tx.Get(keys.Block(nil, s.id, s.slot, s.number, id))
	if err == nil && !ok {
		err = model.ErrCorrupt
	}
	return model.ShardBlock{First: id.First, ArrivalMs: id.ArrivalMs, Before: id.Before, Batch: value}, err
}

// mend puts the messages that a change brings in the place of what is there, and
// counts as it says: those that are fresh count when they are stored.
func (c *queueCopy) mend(change *model.QueueChange) error {
	for i := range change.Mended {
		u := &change.Mended[i]
		m, err := bodyOf[model.Message](u.Message)
		if err != nil {
			return err
		}
		if _, known := c.fresh[u.Seq]; !known {
			if err := c.removeDamaged(u.Seq); err != nil {
				return err
			}
			c.order = append(c.order, u.Seq)
		}
		c.fresh[u.Seq] = freshOne{UnitMessage: *u, mends: true, id: m.ID, size: uint64(m.Size())}
	}
	fresh := uint64(len(c.fresh))
	c.head.Unfiled, c.head.Bytes = max(change.Count.Messages, fresh)-fresh, change.Count.Bytes
	c.head.Filed = max(1, c.head.PurgedBelow)
	return nil
}

// removeDamaged is remove for a message that may not be what it was.
func (c *queueCopy) removeDamaged(seq uint64) error {
	err := c.remove(seq)
	if !errors.Is(err, model.ErrCorrupt) {
		return err
	}
	c.tx.Delete(keys.Message(c.key[:0], c.id, c.slot, seq))
	return nil
}

// mend puts the blocks that a change brings in the place of what is there, and
// removes what no shard of this state has.
func (c *shardCopy) mend(change *model.ShardChange) error {
	span := func(lo, hi uint64) {
		c.tx.DeleteRange(keys.BlockFrom(nil, c.id, c.slot, c.number, lo), keys.BlockFrom(nil, c.id, c.slot, c.number, hi))
	}
	span(0, change.State.Low)
	span(change.State.Next, math.MaxUint64)
	for i := range change.Mended {
		b := &change.Mended[i]
		batch, err := model.ParseRecordBatch(b.Batch)
		if err != nil {
			return err
		}
		span(b.First, b.First+uint64(batch.Len()))
		id := keys.BlockID{First: b.First, ArrivalMs: b.ArrivalMs, Before: b.Before}
		c.tx.Set(keys.Block(nil, c.id, c.slot, c.number, id), bytes.Clone(b.Batch))
	}
	c.tx.Wake = true
	return nil
}
