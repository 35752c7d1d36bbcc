package machine

import (
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// Messages that one command sends to a FIFO queue share a block, too, if they are
// small and to be visible at once. They are in their groups' lists as others are,
// and in no line: the block is their bodies, and, by its state, which of them are in
// flight. A message leaves it as that of a standard queue does, when it becomes
// visible again.
//
// A list and what remembers a deduplication id need a message's number at once, so
// the block is given its number first. The places of messages that repeat others
// are gone from the beginning.

// plan begins a block if two or more of the messages that come next can be in one.
func (q *queue) plan(next []model.SendEntry) {
	b := &q.open
	if !q.head.Fifo || b.left > 0 {
		return
	}
	q.seal()
	if q.told != nil || q.copies || q.head.Unfiled > 0 {
		return
	}
	n, bytes := 0, uint64(0)
	for ; n < min(len(next), keys.MaxBlock); n++ {
		e := &next[n]
		size := uint64(e.Message.Size())
		if bytes += size; e.DelayMs > 0 || e.AtMs > 0 || size > maxBlockedBytes || bytes > maxBlockBytes {
			break
		}
	}
	if n > 1 {
		b.number, b.left = keys.BlockNumber(q.number(), n), n
	}
}

// nextSeq is the number of the message that comes next.
func (q *queue) nextSeq() uint64 {
	if q.open.left > 0 {
		return keys.InBlock(q.open.number, len(q.open.entries))
	}
	return keys.NextNumber(q.head.NextSeq)
}

// enblockOrdered puts a new message into the block and its group's list.
func (q *queue) enblockOrdered(e *keys.QueueEntry, m *model.Message, sent *model.SentMessage) {
	b := &q.open
	e.Seq, e.Block = q.nextSeq(), true
	sent.Seq = e.Seq
	from := len(b.encoded)
	b.encoded = m.Append(b.encoded)
	b.entries = append(b.entries, *e)
	b.messages = append(b.messages, b.encoded[from:len(b.encoded):len(b.encoded)])
	b.left--
	q.join(q.group(e.Group))
	q.file(e, m, 0, false)
}

// sealOrdered writes the block of a FIFO queue.
func (q *queue) sealOrdered() {
	b := &q.open
	n := len(b.entries)
	if n == 0 { // they all repeat others
		b.reset()
		return
	}
	if n < keys.BlockSize(b.number) {
		state := q.addBlock(b.number)
		for i := n; i < keys.BlockSize(b.number); i++ {
			b.entries, b.messages = append(b.entries, keys.QueueEntry{}), append(b.messages, nil)
			state.lose(i)
		}
	}
	q.value = keys.AppendQueueBlock(q.value[:0], b.entries, b.messages)
	q.tx.SetNew(keys.BlockKey(q.key[:0], q.id, q.slot, b.number), q.value)
	b.reset()
}

// belong says of a message in a block to which group it belongs.
func (q *queue) belong(e *keys.QueueEntry, stored []byte) {
	if !q.head.Fifo {
		return
	}
	var m model.Message
	if _, err := decodeMessage(stored, &m); err != nil {
		q.fail(err)
		return
	}
	e.Belong(m.Group, 0, true)
}

// readContent are a block's messages as they were read.
type readContent struct {
	number uint64
	keys.QueueBlock
}

// content reads the messages of a block that must be there; nil when it cannot,
// which is kept for flush.
func (q *queue) content(number uint64) *keys.QueueBlock {
	if q.read == nil || q.read.number != number {
		stored, ok, err := readBlock(q.tx, q.id, q.slot, number)
		if err != nil || !ok {
			q.fail(orCorrupt(err))
			return nil
		}
		q.read = &readContent{number, stored}
	}
	return &q.read.QueueBlock
}
