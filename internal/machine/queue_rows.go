package machine

import (
	"bytes"
	"cmp"
	"math"

	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// messageRows walks over a queue's messages by number: those that are stored alone
// and those in blocks.
type messageRows struct {
	reader        Reader
	id            model.ResourceID
	slot          model.Slot
	from          uint64
	alone, blocks lineCursor
	err           error

	inBlock uint64 // the next message of the block at which blocks stands; MaxUint64: there is none
	stored  keys.QueueBlock
	state   keys.BlockState // of the block

	// The row.
	seq   uint64
	value []byte           // the stored message
	block *keys.BlockState // of the block that has it; nil when it is stored alone
}

func newMessageRows(r Reader, id model.ResourceID, slot model.Slot, from uint64) (*messageRows, error) {
	p := &messageRows{reader: r, id: id, slot: slot, from: from}
	p.alone.split, p.blocks.split = keys.SplitMessage, keys.SplitBlockKey
	lo, hi := keys.MessagesFrom(id, slot, from)
	if p.alone.it, p.err = r.Scan(lo, hi, false); p.err != nil {
		return nil, p.err
	}
	lo, hi = keys.BlocksFrom(id, slot, from)
	if p.blocks.it, p.err = r.Scan(lo, hi, false); p.err != nil {
		_ = p.alone.close() // the first error is the one to report
		return nil, p.err
	}
	p.err = p.alone.next()
	p.nextBlock()
	return p, nil
}

// next moves to the next message; false at the end or on an error.
func (p *messageRows) next() bool {
	for p.err == nil && min(p.alone.at, p.inBlock) < math.MaxUint64 {
		p.value, p.block = nil, nil
		if p.alone.at < p.inBlock {
			p.seq, p.value = p.alone.at, bytes.Clone(p.alone.it.Value())
			p.err = p.alone.next()
		} else {
			p.takeInBlock()
		}
		if p.value != nil {
			return true
		}
	}
	return false
}

// takeInBlock makes the block's next message the row, unless it is gone.
func (p *messageRows) takeInBlock() {
	p.seq = p.inBlock
	number, i, _ := keys.SplitInBlock(p.seq)
	if state := p.state; !state.Gone.Has(i) {
		p.value, p.block = bytes.Clone(p.stored.Message(i)), &state
	}
	if p.inBlock++; i+1 == keys.BlockSize(number) {
		p.nextBlock()
	}
}

func (p *messageRows) nextBlock() {
	for p.inBlock = math.MaxUint64; p.err == nil; {
		if p.err = p.blocks.next(); p.err != nil || p.blocks.at == math.MaxUint64 {
			return
		}
		number, ok := p.blocks.at, false
		first := max(p.from, keys.InBlock(number, 0))
		if first >= keys.InBlock(number, keys.BlockSize(number)) {
			continue // it is before the first
		}
		if p.stored, ok = keys.SplitQueueBlock(number, p.blocks.it.Value()); !ok {
			p.err = model.ErrCorrupt
			return
		}
		p.inBlock = first
		p.state, _, p.err = readBlockState(p.reader, p.id, p.slot, number)
		return
	}
}

func (p *messageRows) close() error { return cmp.Or(p.err, p.alone.close(), p.blocks.close()) }
