package machine

import (
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// Records expire by comparison: reads pass over them. Removing them from
// storage is only about space. A sweeper does it by commands of its own, not
// the puts: it alone makes sure first that the retention it goes by is the one
// that holds.

// trim removes the records that arrived before the time.
func (s *shard) trim(beforeMs int64) error {
	h := &s.head
	if h.Low == h.Next || h.LowMs >= beforeMs {
		return nil
	}
	first, ok, err := s.records().firstAt(beforeMs)
	if err != nil {
		return err
	}
	if !ok {
		first = keys.BlockID{First: h.Next, Before: h.TotalBytes}
	}
	if err := s.remove(first.First); err != nil {
		return err
	}
	h.Low, h.LowMs, h.LowBytes = first.First, first.ArrivalMs, first.Before
	return nil
}

// maxOneByOne is how many records are removed block by block. Storage sorts
// its range deletions anew for the first reader after each one: a few deletions
// of keys are cheaper, and thousands of shards with little traffic do only such.
const maxOneByOne = 128

// remove removes the blocks from the low mark up to the record end.
func (s *shard) remove(end uint64) error {
	if end-s.head.Low > maxOneByOne {
		lo := keys.BlockFrom(nil, s.id, s.slot, s.number, s.head.Low)
		s.tx.DeleteRange(lo, keys.BlockFrom(s.key[:0], s.id, s.slot, s.number, end))
		return nil
	}
	it, err := s.records().scan(s.head.Low, end, false)
	if err != nil {
		return err
	}
	for it.Next() {
		s.tx.Delete(it.Key())
	}
	return it.Close()
}

func (s *shard) records() *records { return &records{s.tx, s.id, s.slot, s.number, &s.head} }

func applyTrimShard(_ *Machine, tx *Tx) (model.Result, error) {
	c, err := bodyOf[model.TrimShard](tx.Command.Body)
	if err != nil {
		return model.Result{}, err
	}
	s, err := openShard(tx, c.Shard)
	if err != nil {
		return model.Result{}, err
	}
	if err := s.trim(c.BeforeMs); err != nil {
		return model.Result{}, err
	}
	return s.stateResult(), s.flush()
}

// records finds blocks of a shard.
type records struct {
	r      Reader
	id     model.ResourceID
	slot   model.Slot
	number model.ShardNumber
	head   *keys.ShardRecord
}

// scan goes over the blocks whose first number is in [lo, hi).
func (s *records) scan(lo, hi uint64, reverse bool) (Iterator, error) {
	var a, b [64]byte
	return s.r.Scan(keys.BlockFrom(a[:0], s.id, s.slot, s.number, lo), keys.BlockFrom(b[:0], s.id, s.slot, s.number, hi), reverse)
}

// first is the first block in [lo, hi), or the last one when reverse is set.
func (s *records) first(lo, hi uint64, reverse bool) (b keys.BlockID, ok bool, err error) {
	it, err := s.scan(lo, hi, reverse)
	if err != nil {
		return b, false, err
	}
	if it.Next() {
		if b, ok = keys.SplitBlock(it.Key()); !ok {
			_ = it.Close() // the first error is the one to report
			return b, false, model.ErrCorrupt
		}
	}
	return b, ok, it.Close()
}

// holding is the block that holds the record n, which is kept.
func (s *records) holding(n uint64) (keys.BlockID, error) {
	b, ok, err := s.first(n, n+1, false) // where readers mostly are
	if err != nil || ok {
		return b, err
	}
	b, ok, err = s.first(s.head.Low, n, true)
	if err == nil && !ok {
		err = model.ErrCorrupt
	}
	return b, err
}

// firstAt is the first block that arrived at the time or later; ok is false
// when there is none. It looks at blocks at growing distances from the low mark,
// then halves the distance: what it costs grows with the logarithm of how far
// away the block is.
func (s *records) firstAt(ms int64) (found keys.BlockID, ok bool, err error) {
	h := s.head
	if h.Low == h.Next || h.LastMs < ms {
		return found, false, nil
	}
	if h.LowMs >= ms {
		return keys.BlockID{First: h.Low, ArrivalMs: h.LowMs, Before: h.LowBytes}, true, nil
	}
	lo, top := h.Low, h.Next // a block at lo arrived before; none in [top, Next) but found and those behind it is of interest
	for step := uint64(1); lo+1 < top; step *= 2 {
		mid := lo + step
		if step == 0 || ok || mid >= top {
			mid, step = lo+(top-lo)/2, top // from now on halve
		}
		b, any, err := s.first(mid, top, false)
		switch {
		case err != nil:
			return found, false, err
		case !any:
			top = mid
		case b.ArrivalMs >= ms:
			found, ok, top = b, true, mid
		default:
			lo = b.First
		}
	}
	if !ok { // it is the block behind the last one that arrived before
		return found, false, model.ErrCorrupt
	}
	return found, true, nil
}
