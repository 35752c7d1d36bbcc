package machine

import (
	"bytes"

	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// A shard of which another region takes the writes holds the same blocks under
// the same keys. It may be read.

// tell writes down what the command did to the shard, for other regions.
func (s *shard) tell() error {
	c := s.told
	if c == nil || s.head == s.was && !c.Mends && len(c.Positions)+len(c.Forgotten) == 0 {
		return nil
	}
	u := model.UnitKey{Slot: s.slot, Shard: s.number}
	if s.unit == nil {
		rec, err := readUnit(s.tx, s.id, u, s.tx.wanted.since, s.used())
		if err != nil {
			return err
		}
		s.unit = &rec
	}
	c.State, c.Groups = shardState(&s.head), s.head.Groups
	tellUnit(s.tx, u, s.unit, c.Append(nil))
	return nil
}

// tellPosition has other regions hear of a group's position: not of its lease.
func (s *shard) tellPosition(p *model.Position) {
	if s.told != nil {
		s.told.Positions = append(s.told.Positions, told(p))
	}
}

// generationLead is how far the generations of a position are ahead in the
// region that is told of it: a member that held the shard here must not pass
// for one that holds it there, also when its take-over was not told.
const generationLead = 1 << 20

// told is what other regions hear of a position: not who holds the shard.
func told(p *model.Position) model.Position {
	return model.Position{Group: p.Group, N: p.N, Generation: p.Generation + generationLead, CommitMs: p.CommitMs}
}

// shardCopy is a shard that takes in what another region does.
type shardCopy struct{ *shard }

func openShardCopy(tx *Tx, number model.ShardNumber) (*shardCopy, error) {
	s, err := openShard(tx, number)
	if tx.wanted.passive {
		s.told = nil // what it does is told as that of the region which did it
	}
	return &shardCopy{s}, err
}

func (s *shard) used() bool { return s.was != keys.NewShardRecord() }

func (c *shardCopy) empty() bool { return c.head.Next == 1 }

func (c *shardCopy) clear() error {
	c.removeBelow(c.head.Next)
	lo, hi := keys.GroupPositions(c.id, c.slot, c.number)
	c.tx.DeleteRange(lo, hi)
	c.head = keys.NewShardRecord()
	return nil
}

// removeBelow removes the blocks before a number, also those that this command
// has written.
func (c *shardCopy) removeBelow(n uint64) {
	if n > c.head.Low {
		c.tx.DeleteRange(keys.BlockFrom(nil, c.id, c.slot, c.number, c.head.Low), keys.BlockFrom(nil, c.id, c.slot, c.number, n))
	}
}

func (c *shardCopy) apply(rec *keys.UnitRecord, body []byte) (bool, error) {
	change, err := bodyOf[model.ShardChange](body)
	if err != nil || rec.Copying {
		return true, err // the pages to come are of what this change left
	}
	c.put(change.Blocks)
	c.settle(&change)
	if change.Mends {
		return true, c.mend(&change)
	}
	return true, nil
}

// put appends blocks.
func (c *shardCopy) put(blocks []model.ShardBlock) {
	h := &c.head
	for i := range blocks {
		b := &blocks[i]
		batch, err := model.ParseRecordBatch(b.Batch)
		if err != nil || b.First < h.Next {
			continue
		}
		if h.Low == h.Next {
			h.Low, h.LowMs, h.LowBytes = b.First, b.ArrivalMs, b.Before
		}
		id := keys.BlockID{First: b.First, ArrivalMs: b.ArrivalMs, Before: b.Before}
		c.tx.Set(keys.Block(c.key[:0], c.id, c.slot, c.number, id), b.Batch)
		h.Next, h.LastMs = b.First+uint64(batch.Len()), b.ArrivalMs
		h.TotalBytes = b.Before + uint64(batch.Bytes(0, batch.Len()))
		c.tx.Wake = true
	}
}

// settle makes the shard what it was in the other region.
func (c *shardCopy) settle(change *model.ShardChange) {
	c.removeBelow(change.State.Low)
	st := &change.State
	c.tx.Wake = c.tx.Wake || st.ClosedMs != c.head.ClosedMs
	c.head = keys.ShardRecord{
		Next: st.Next, Low: st.Low, LowMs: st.LowMs, LowBytes: st.TotalBytes - st.Bytes, LastMs: st.LastMs,
		TotalBytes: st.TotalBytes, ClosedMs: st.ClosedMs, Groups: change.Groups, RetriedMs: st.RetriedMs,
	}
	for i := range change.Positions {
		p := &change.Positions[i]
		c.tx.Set(keys.GroupPosition(c.key[:0], c.id, c.slot, c.number, p.Group), p.Append(nil))
	}
	for _, group := range change.Forgotten {
		c.tx.Delete(keys.GroupPosition(c.key[:0], c.id, c.slot, c.number, group))
	}
}

func (c *shardCopy) page(_ *keys.UnitRecord, p *model.UnitPage, body []byte) error {
	change, err := bodyOf[model.ShardChange](body)
	if err != nil {
		return err
	}
	if len(change.Blocks) > 0 && change.Blocks[0].First > c.head.Next { // what came before has expired since
		c.removeBelow(c.head.Next)
		c.head.Low, c.head.Next = change.Blocks[0].First, change.Blocks[0].First
	}
	c.put(change.Blocks)
	if p.Last {
		c.settle(&change)
	}
	return nil
}

// merge puts what another region had taken, here: it comes behind everything.
func (c *shardCopy) merge(body []byte) (bool, error) {
	change, err := bodyOf[model.ShardChange](body)
	if err != nil || c.head.ClosedMs != 0 && len(change.Blocks) > 0 {
		return false, err
	}
	for i := range change.Blocks {
		batch, err := model.ParseRecordBatch(change.Blocks[i].Batch)
		if err != nil {
			return false, err
		}
		c.append(&batch, change.Blocks[i].Batch)
	}
	return true, nil
}

func (c *shardCopy) flush(rec *keys.UnitRecord) error {
	if c.told != nil && c.head != c.was {
		c.unit = rec
	} else {
		c.tx.Set(keys.Unit(nil, c.id, model.UnitKey{Slot: c.slot, Shard: c.number}), rec.Append(nil))
	}
	return c.shard.flush()
}

// shardPage fills a page of a copy of a shard.
func shardPage(r Reader, q *model.Query, body *model.UnitQuery, res *model.UnitChange) error {
	s, err := openRecords(r, q, body.Shard)
	if err != nil {
		return err
	}
	change := model.ShardChange{State: shardState(s.head), Groups: s.head.Groups}
	res.Page.UpTo, res.Page.Last = max(body.After, s.head.Next-1), true
	it, err := s.scan(max(body.After+1, s.head.Low), s.head.Next, false)
	if err != nil {
		return err
	}
	size := uint64(0)
	for it.Next() {
		id, ok := keys.SplitBlock(it.Key())
		if !ok {
			_ = it.Close() // the first error is the one to report
			return model.ErrCorrupt
		}
		if size += uint64(len(it.Value())); len(change.Blocks) > 0 && size > body.MaxBytes {
			res.Page.UpTo, res.Page.Last = id.First-1, false
			break
		}
		change.Blocks = append(change.Blocks, model.ShardBlock{First: id.First, ArrivalMs: id.ArrivalMs, Before: id.Before, Batch: bytes.Clone(it.Value())})
	}
	if err := it.Close(); err != nil {
		return err
	}
	if res.Page.Last {
		lo, hi := keys.GroupPositions(q.Resource, q.Slot, body.Shard)
		err = scan(r, lo, hi, func(_, value []byte) error {
			p, err := bodyOf[model.Position](value)
			change.Positions = append(change.Positions, told(&p))
			return err
		})
	}
	res.Body = change.Append(nil)
	return err
}
