package machine

import (
	"cmp"
	"math"
	"slices"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// Small messages without a group that are sent together, to be visible at once,
// are stored as a block, which is one entry of the line and has their bodies, too.
// A receive moves the line's low mark past what it takes, deletes nothing, and
// leaves one record of what it took; a deletion of all of them removes that and
// the block. A message leaves its block, to be stored alone like any other, when
// it becomes visible again.

const (
	// maxBlockedBytes is the largest message that is put into a block: a message
	// that leaves it is written again, and whoever reads one reads all.
	maxBlockedBytes = 4 << 10
	// maxBlockBytes bounds the messages of a block together.
	maxBlockBytes = 16 << 10
)

// openBlock are messages that this command sends together, not yet written.
type openBlock struct {
	entries  []keys.QueueEntry
	messages [][]byte
	sent     []*model.SentMessage // what says their numbers
	encoded  []byte               // memory of messages
	bytes    uint64

	// Of a FIFO queue's block, whose number is given to it before its messages come.
	number uint64 // zero: it is none
	left   int    // messages that are still to come
}

// blockable reports whether a message that is visible at once can be in a block.
// Regions are told of messages one by one, and hold them alone.
func (q *queue) blockable(e *keys.QueueEntry) bool {
	return !e.Grouped() && e.Priority == 0 && e.Size <= maxBlockedBytes && q.told == nil && !q.copies && q.head.Unfiled == 0
}

// enblock puts a new message into the open block. Its number is known when the
// block is sealed.
func (q *queue) enblock(e *keys.QueueEntry, m *model.Message, sent *model.SentMessage) {
	b := &q.open
	if len(b.entries) == keys.MaxBlock || b.bytes+e.Size > maxBlockBytes {
		q.seal()
	}
	from := len(b.encoded)
	b.encoded = m.Append(b.encoded)
	b.entries = append(b.entries, *e)
	b.messages = append(b.messages, b.encoded[from:len(b.encoded):len(b.encoded)])
	b.sent = append(b.sent, sent)
	b.bytes += e.Size
}

// seal writes the open block, at the end of the line.
func (q *queue) seal() {
	b := &q.open
	n := len(b.entries)
	if b.number != 0 {
		q.sealOrdered()
		return
	}
	if n == 0 {
		return
	}
	number := keys.BlockNumber(q.number(), n)
	for i := range b.sent {
		b.sent[i].Seq = keys.InBlock(number, i)
	}
	l := &q.head.Lines[0]
	if l.Count == 0 {
		l.HeadMs = b.entries[0].SentMs
	}
	l.Count += uint64(n)
	q.head.Blocked += uint64(n)
	q.head.Visible += uint64(n)
	q.wake = true
	q.value = keys.AppendQueueBlock(q.value[:0], b.entries, b.messages)
	q.tx.SetNew(keys.BlockKey(q.key[:0], q.id, q.slot, number), q.value)
	b.reset()
}

func (b *openBlock) reset() {
	clear(b.sent)
	clear(b.messages)
	*b = openBlock{entries: b.entries[:0], messages: b.messages[:0], sent: b.sent[:0], encoded: b.encoded[:0]}
}

// block is what became of a block's messages as one command works on it.
type block struct {
	number uint64
	keys.BlockState
	was     []int64 // the times under which it is filed under Hidden
	stored  bool    // there is a record
	changed bool
}

// block returns what became of a block's messages. A failure to read is kept
// for flush.
func (q *queue) block(number uint64) *block {
	for i := len(q.blocks) - 1; i >= 0; i-- {
		if q.blocks[i].number == number {
			return q.blocks[i]
		}
	}
	b := q.addBlock(number)
	state, ok, err := readBlockState(q.tx, q.id, q.slot, number)
	if err != nil {
		q.fail(err)
		return b
	}
	if q.head.Unfiled > 0 {
		state.Parts = nil // no block is in any index then
	}
	b.BlockState, b.stored = state, ok
	for i := range b.Parts {
		b.was = append(b.was, b.Parts[i].UntilMs)
	}
	return b
}

// addBlock is block for one that nothing has become of before this command.
func (q *queue) addBlock(number uint64) *block {
	b := &block{number: number}
	q.blocks = append(q.blocks, b)
	return b
}

func readBlockState(r Reader, id model.ResourceID, slot model.Slot, number uint64) (state keys.BlockState, ok bool, err error) {
	var buf [64]byte
	value, ok, err := r.Get(keys.BlockStateKey(buf[:0], id, slot, number))
	if err != nil || !ok {
		return state, false, err
	}
	d := model.NewDecoder(value)
	state.Decode(d)
	return state, true, d.Done()
}

// readBlock reads a block; ok is false when all its messages have gone.
func readBlock(r Reader, id model.ResourceID, slot model.Slot, number uint64) (b keys.QueueBlock, ok bool, err error) {
	var buf [64]byte
	value, ok, err := r.Get(keys.BlockKey(buf[:0], id, slot, number))
	if err != nil || !ok {
		return b, false, err
	}
	if b, ok = keys.SplitQueueBlock(number, value); !ok {
		return b, false, model.ErrCorrupt
	}
	return b, true, nil
}

// partOf is the part that the message with index i is in flight with; nil when
// it is not.
func partOf(s *keys.BlockState, i int) *keys.BlockPart {
	for k := range s.Parts {
		if s.Parts[k].Members.Has(i) {
			return &s.Parts[k]
		}
	}
	return nil
}

// inFlight finds a message in flight that is in a block, by its number.
func (q *queue) inFlight(seq uint64) (b *block, i int, part *keys.BlockPart) {
	number, i, ok := keys.SplitInBlock(seq)
	if !ok {
		return nil, 0, nil
	}
	b = q.block(number)
	return b, i, partOf(&b.BlockState, i)
}

// put notes that the message with index i is in flight.
func (b *block) put(i int, size uint64, part keys.BlockPart) {
	b.changed = true
	at := slices.IndexFunc(b.Parts, func(p keys.BlockPart) bool {
		return p.Nonce == part.Nonce && p.UntilMs == part.UntilMs && p.ReceivedMs == part.ReceivedMs
	})
	if at < 0 {
		at = len(b.Parts)
		part.Members, part.Sizes = 0, [keys.MaxBlock]uint64{}
		b.Parts = append(b.Parts, part)
	}
	b.Parts[at].Members = b.Parts[at].Members.With(i)
	b.Parts[at].Sizes[i] = size
}

// takeOut notes that the message with index i is not in flight any more.
func (b *block) takeOut(i int) {
	b.changed = true
	for k := range b.Parts {
		b.Parts[k].Members = b.Parts[k].Members.Without(i)
	}
	b.Parts = slices.DeleteFunc(b.Parts, func(p keys.BlockPart) bool { return p.Members == 0 })
}

// lose notes that the message with index i is not in the block any more.
func (b *block) lose(i int) { b.Gone, b.changed = b.Gone.With(i), true }

// deliverInBlock hides a message that is in a block.
func (q *queue) deliverInBlock(e *keys.QueueEntry, untilMs int64, nonce uint64) {
	number, i, _ := keys.SplitInBlock(e.Seq)
	q.block(number).put(i, e.Size, keys.BlockPart{UntilMs: untilMs, ReceivedMs: q.nowMs, Nonce: nonce})
}

// leave stores a message alone that was in a block: nobody has it, or only the
// caller. The command may look for the state that the message is given now.
func (q *queue) leave(e *keys.QueueEntry) {
	number, i, _ := keys.SplitInBlock(e.Seq)
	stored := q.content(number)
	if stored == nil {
		return
	}
	if q.states == nil {
		q.remember()
	}
	q.block(number).lose(i)
	e.Block = false
	q.tx.SetNew(keys.Message(q.key[:0], q.id, q.slot, e.Seq), stored.Message(i))
}

// landInBlock takes a message in flight out of its block and returns the state
// that it has alone, which is not written.
func (q *queue) landInBlock(b *block, i int, part *keys.BlockPart) *keys.StateRecord {
	p := *part
	b.takeOut(i)
	st := &keys.StateRecord{Place: keys.PlaceInFlight, At: uint64(p.UntilMs), ReceivedMs: p.ReceivedMs, Nonce: p.Nonce}
	stored := q.content(b.number)
	if stored == nil {
		return st
	}
	st.QueueEntry = stored.Entry(i)
	q.belong(&st.QueueEntry, stored.Message(i))
	st.Receives, st.FirstReceiveMs = 1, p.ReceivedMs
	return st
}

// showBlock makes a block's messages visible whose time has come, unless they
// have expired. It returns how many.
func (q *queue) showBlock(s *model.QueueSettings, number uint64, atMs int64) (shown int) {
	b := q.block(number)
	for i := range keys.BlockSize(number) {
		part := partOf(&b.BlockState, i)
		if part == nil || part.UntilMs != atMs {
			continue
		}
		st := q.landInBlock(b, i, part)
		q.land(st)
		shown++
		if q.expired(s, &st.QueueEntry) {
			q.drop(&st.QueueEntry)
			continue
		}
		q.leave(&st.QueueEntry)
		q.show(&st.QueueEntry, st, true)
	}
	return shown
}

// deleteInBlock deletes a message in flight that is in a block; done is false
// when there is none of that number.
func (q *queue) deleteInBlock(r *model.Receipt) (status model.EntryStatus, done bool) {
	b, i, part := q.inFlight(r.Seq)
	if part == nil {
		return 0, false
	}
	latest := r.Receives == 1 && r.Nonce == part.Nonce
	if q.head.Fifo && (!latest || part.UntilMs <= q.nowMs) {
		return model.EntryNotInflight, true
	}
	if !latest {
		return model.EntryOK, true // of no receive
	}
	e := keys.QueueEntry{Seq: r.Seq, Size: part.Sizes[i], Block: true}
	if q.head.Fifo {
		if stored := q.content(b.number); stored != nil {
			q.belong(&e, stored.Message(i))
		}
	}
	q.land(&keys.StateRecord{QueueEntry: e, ReceivedMs: part.ReceivedMs})
	b.takeOut(i)
	q.drop(&e)
	return model.EntryOK, true
}

// lineCursor walks over one of the indexes that make a line.
type lineCursor struct {
	it    Iterator // nil: there is nothing
	split func(key []byte) (order uint64, ok bool)
	at    uint64 // where it stands; MaxUint64 at the end
}

func (c *lineCursor) next() error {
	c.at = math.MaxUint64
	if c.it == nil || !c.it.Next() {
		return nil
	}
	at, ok := c.split(c.it.Key())
	if !ok {
		return model.ErrCorrupt
	}
	c.at = at
	return nil
}

func (c *lineCursor) close() error {
	if c.it == nil {
		return nil
	}
	return c.it.Close()
}

// walkBlocks is walk over the line of priority 0 while there are blocks in it,
// up to an order.
func (q *queue) walkBlocks(end uint64, f func(order uint64, e *keys.QueueEntry) verdict) (stopped bool, err error) {
	l := &q.head.Lines[0]
	entries, blocks := lineCursor{split: keys.SplitOrder}, lineCursor{split: keys.SplitBlockKey}
	lo, _ := keys.BlocksFrom(q.id, q.slot, l.Low)
	if blocks.it, err = q.tx.Scan(lo, keys.BlockKey(nil, q.id, q.slot, end), false); err != nil {
		return false, err
	}
	if l.Count > q.head.Blocked+uint64(len(q.fresh[0])) {
		lo, hi := keys.Ready(nil, q.id, q.slot, 0, l.Low), keys.Ready(nil, q.id, q.slot, 0, end)
		entries.it, err = q.tx.Scan(lo, hi, false)
	}
	if err == nil {
		stopped, err = q.walkBoth(&entries, &blocks, f)
	}
	return stopped, cmp.Or(err, entries.close(), blocks.close())
}

func (q *queue) walkBoth(entries, blocks *lineCursor, f func(order uint64, e *keys.QueueEntry) verdict) (stopped bool, err error) {
	low := &q.head.Lines[0].Low
	if err := cmp.Or(entries.next(), blocks.next()); err != nil {
		return false, err
	}
	for min(entries.at, blocks.at) < math.MaxUint64 {
		at := blocks
		if entries.at < blocks.at {
			at = entries
			stopped, err = q.walkEntry(at.it, at.at, low, f)
		} else {
			stopped, err = q.walkBlock(at.at, at.it.Value(), low, f)
		}
		if stopped || err != nil {
			return stopped, err
		}
		if err := at.next(); err != nil {
			return false, err
		}
	}
	return false, nil
}

// walkBlock shows f the messages of a block from the line's low mark on.
func (q *queue) walkBlock(number uint64, value []byte, low *uint64, f func(order uint64, e *keys.QueueEntry) verdict) (stopped bool, err error) {
	b, ok := q.split, false
	if *b, ok = keys.SplitQueueBlock(number, value); !ok {
		return false, model.ErrCorrupt
	}
	first := 0
	if *low > number {
		first = int(*low - keys.InBlock(number, 0))
	} else {
		q.addBlock(number)
	}
	for i := first; i < keys.BlockSize(number); i++ {
		e := b.At(i)
		if f(e.Seq, e) == stop {
			*low = e.Seq
			return true, nil
		}
		q.head.Blocked--
	}
	*low = keys.BlockEnd(number)
	return false, nil
}

// flushBlocks writes what became of blocks, and removes those of which nothing
// is left.
func (q *queue) flushBlocks() {
	for _, b := range q.blocks {
		if !b.changed {
			continue
		}
		q.refile(b)
		stateKey := keys.BlockStateKey(q.key[:0], q.id, q.slot, b.number)
		if b.Gone != keys.AllOf(b.number) {
			q.value = b.Append(q.value[:0])
			if b.stored {
				q.tx.Set(stateKey, q.value)
			} else {
				q.tx.SetNew(stateKey, q.value)
			}
			continue
		}
		base.Check(len(b.Parts) == 0, "a message of block %d is gone and in flight", b.number)
		if b.stored {
			q.tx.Delete(stateKey)
		}
		q.tx.Delete(keys.BlockKey(q.key[:0], q.id, q.slot, b.number))
	}
}

// refile files a block under the times of its parts.
func (q *queue) refile(b *block) {
	has := func(atMs int64) bool {
		return slices.ContainsFunc(b.Parts, func(p keys.BlockPart) bool { return p.UntilMs == atMs })
	}
	for i, atMs := range b.was {
		if !has(atMs) && !slices.Contains(b.was[:i], atMs) {
			q.tx.Delete(keys.Hidden(q.key[:0], q.id, q.slot, atMs, b.number))
		}
	}
	for i := range b.Parts {
		atMs := b.Parts[i].UntilMs
		filed := slices.Contains(b.was, atMs) || slices.ContainsFunc(b.Parts[:i], func(p keys.BlockPart) bool { return p.UntilMs == atMs })
		if !filed {
			q.setHidden(atMs, b.number, nil)
		}
	}
}
