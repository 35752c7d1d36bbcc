package machine

import (
	"slices"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// Where another region takes a queue's writes, messages are kept under their
// numbers only, in no index: to take one in costs a write, and to take one out
// costs another. When this region takes the writes, the commands that come file
// the messages in the order of their numbers, some each (fileSome), and what is
// sent meanwhile queues up behind them. What was in indexes when the writes went
// to another region is taken out of them with the first change that comes.

// maxFiled is how many messages a command files besides its own work.
const maxFiled = 256

// tell writes down what the command did, for other regions.
func (q *queue) tell() error {
	c := q.told
	if c == nil || !c.Purged && !c.Mends && len(c.Added)+len(c.Gone) == 0 {
		return nil
	}
	u := model.UnitKey{Slot: q.slot}
	if q.unit == nil {
		rec, err := readUnit(q.tx, q.id, u, q.tx.wanted.since, q.was != keys.QueueRecord{NextSeq: 1})
		if err != nil {
			return err
		}
		q.unit = &rec
	}
	c.NextSeq = q.head.NextSeq
	tellUnit(q.tx, u, q.unit, c.Append(nil))
	return nil
}

// keepUnfiled stores a message, which is in q.value, under its number only; again
// says that one may be there already.
func (q *queue) keepUnfiled(seq uint64, id model.MessageID, dueMs int64, scheduled, again bool) {
	if dueMs != 0 {
		q.value = model.AppendUvarint(q.value, uint64(dueMs))
	}
	if key := keys.Message(q.key[:0], q.id, q.slot, seq); again {
		q.tx.Set(key, q.value)
	} else {
		q.tx.SetNew(key, q.value)
	}
	if scheduled {
		q.tx.Set(keys.Timed(nil, q.id, q.slot, id), model.AppendUvarint(model.AppendUvarint(nil, uint64(dueMs)), seq))
	}
	if q.head.Unfiled == 0 || seq < q.head.Filed {
		q.head.Filed = seq
	}
	q.head.Unfiled++
}

// fileSome puts the next unfiled messages where they belong.
func (q *queue) fileSome() error {
	rows, err := newMessageRows(q.tx, q.id, q.slot, q.head.Filed)
	if err != nil {
		return err
	}
	for n := 0; n < maxFiled && q.head.Unfiled > 0 && rows.next(); n++ {
		if err := q.fileOne(rows.seq, rows.value); err != nil {
			_ = rows.close() // the first error is the one to report
			return err
		}
	}
	return rows.close()
}

// fileOne puts a message where it belongs. One that is in a block is stored alone
// from now on.
func (q *queue) fileOne(seq uint64, value []byte) error {
	var m model.Message
	dueMs, err := decodeMessage(value, &m)
	if err != nil {
		return err
	}
	if b, i := q.unfiledBlock(seq); b != nil {
		b.lose(i)
		q.tx.Set(keys.Message(q.key[:0], q.id, q.slot, seq), value)
	}
	// The retention of one that was sent with a delay counts from its end here: it
	// is not told for how long of that it was scheduled.
	e := keys.QueueEntry{Seq: seq, SentMs: max(m.SentMs, dueMs), Size: uint64(m.Size()), Group: m.Group, Priority: m.Priority}
	if q.head.Fifo || e.Group != "" {
		g := q.group(e.Group)
		q.join(g)
		if e.Fifo = g.Fifo; e.Fifo {
			e.Priority = 0
		}
	}
	scheduled := false
	if dueMs != 0 {
		timed := keys.Timed(nil, q.id, q.slot, m.ID)
		if _, scheduled, err = q.tx.Get(timed); err != nil {
			return err
		}
		if dueMs <= q.nowMs {
			dueMs = 0
			q.tx.Delete(timed)
		}
	}
	q.head.Unfiled--
	q.head.Filed = seq + 1
	q.file(&e, &m, dueMs, scheduled)
	return nil
}

// unfiledBlock is the block that a message which is not filed is in, and its
// place there; nil when it is alone, or not there.
func (q *queue) unfiledBlock(seq uint64) (b *block, i int) {
	number, i, ok := keys.SplitInBlock(seq)
	if !ok {
		return nil, 0
	}
	if b = q.block(number); b.Gone.Has(i) {
		return nil, 0
	}
	_, ok, err := readBlock(q.tx, q.id, q.slot, number)
	if err != nil {
		q.fail(err)
	}
	if !ok {
		return nil, 0
	}
	return b, i
}

// dropUnfiled removes a message that is not filed, if it is there.
func (q *queue) dropUnfiled(seq uint64) error {
	if b, i := q.unfiledBlock(seq); b != nil {
		stored, _, err := readBlock(q.tx, q.id, q.slot, b.number)
		if err != nil {
			return err
		}
		e := stored.Entry(i)
		q.drop(&e)
		q.head.Unfiled--
		return nil
	}
	value, ok, err := q.tx.Get(keys.Message(q.key[:0], q.id, q.slot, seq))
	if err != nil || !ok {
		return err
	}
	var m model.Message
	dueMs, err := decodeMessage(value, &m)
	if err != nil {
		return err
	}
	if dueMs != 0 {
		q.tx.Delete(keys.Timed(nil, q.id, q.slot, m.ID))
	}
	q.tx.Delete(keys.Message(q.key[:0], q.id, q.slot, seq))
	q.head.Bytes -= uint64(m.Size())
	q.head.Unfiled--
	if q.told != nil {
		q.told.Gone = append(q.told.Gone, seq)
	}
	return nil
}

// unfile takes all messages out of the indexes: nobody has any of them any more,
// and none was ever received.
func (q *queue) unfile() error {
	h := &q.head
	filed := h.Visible + h.Delayed + h.InFlight + h.Claimed + h.Dead
	if filed == 0 {
		return nil
	}
	for _, span := range keys.IndexSpans(q.id, q.slot) {
		q.tx.DeleteRange(span[0], span[1])
	}
	q.emptyIndexes()
	h.Unfiled, h.Filed = h.Unfiled+filed, max(1, h.PurgedBelow)
	return q.voidClaims()
}

// voidClaims takes all messages out of claims, which are still to be settled.
func (q *queue) voidClaims() error {
	lo, hi := keys.ClaimSpan(q.id, q.slot)
	return scan(q.tx, lo, hi, func(key, value []byte) error {
		record, err := bodyOf[keys.ClaimRecord](value)
		if err != nil {
			return err
		}
		record.Entries = nil
		q.tx.Set(slices.Clone(key), record.Append(nil))
		return nil
	})
}

// queueCopy is a slot of a queue that takes in what another region does.
type queueCopy struct {
	*queue
	settings *model.QueueSettings
	cleared  bool                // nothing stored before the command is left
	fresh    map[uint64]freshOne // messages that the command added; never ranged over
	order    []uint64            // of them
}

type freshOne struct {
	model.UnitMessage
	mends bool // there may have been another one under its number
	id    model.MessageID
	size  uint64
}

func (m *Machine) openQueueCopy(tx *Tx, s *model.QueueSettings) (*queueCopy, error) {
	q, err := m.openHead(tx)
	if err != nil {
		return nil, err
	}
	q.copies = true
	c := &queueCopy{queue: q, settings: s, fresh: map[uint64]freshOne{}}
	q.head.Fifo = q.head.Fifo || s.Fifo
	if tx.wanted.passive {
		q.told = nil // what it does is told as that of the region which did it
		err = q.unfile()
	}
	return c, err
}

func (c *queueCopy) used() bool { return c.was != keys.QueueRecord{NextSeq: 1} }

func (c *queueCopy) empty() bool { return c.head.Bytes == 0 && c.head.Unfiled == 0 }

func (c *queueCopy) clear() error {
	c.purge()
	for _, span := range keys.LatelySpans(c.id, c.slot, 0, c.period()+1) {
		c.tx.DeleteRange(span[0], span[1])
	}
	c.head.LowLately, c.head.PurgedBelow, c.head.NextSeq = 0, 0, 1
	return c.voidClaims()
}

// purge removes all messages.
func (c *queueCopy) purge() {
	for _, span := range keys.MessageSpans(c.id, c.slot) {
		c.tx.DeleteRange(span[0], span[1])
	}
	c.emptyIndexes()
	c.head.Unfiled, c.head.Bytes = 0, 0
	c.blocks = c.blocks[:0]
	c.cleared, c.fresh, c.order = true, map[uint64]freshOne{}, nil
}

func (c *queueCopy) apply(rec *keys.UnitRecord, body []byte) (bool, error) {
	change, err := bodyOf[model.QueueChange](body)
	if err != nil || change.Purged && c.head.NextSeq > change.NextSeq {
		return false, err
	}
	if change.Purged {
		c.purge()
	}
	if !rec.Copying {
		if err := c.add(change.Added); err != nil {
			return false, err
		}
		c.head.NextSeq = max(c.head.NextSeq, change.NextSeq)
	}
	if change.Purged {
		c.head.PurgedBelow = c.head.NextSeq
	}
	remove := c.remove
	if change.Mends {
		remove = c.removeDamaged
	}
	for _, seq := range change.Gone {
		if err := remove(seq); err != nil {
			return false, err
		}
	}
	if change.Mends && !rec.Copying {
		return true, c.mend(&change)
	}
	return true, nil
}

func (c *queueCopy) page(_ *keys.UnitRecord, p *model.UnitPage, body []byte) error {
	change, err := bodyOf[model.QueueChange](body)
	if err != nil {
		return err
	}
	if err := c.add(change.Added); err != nil {
		return err
	}
	if c.head.NextSeq = max(c.head.NextSeq, p.UpTo+1); p.Last {
		c.head.NextSeq = max(c.head.NextSeq, change.NextSeq)
	}
	return nil
}

// add takes in messages that are not known.
func (c *queueCopy) add(all []model.UnitMessage) error {
	for i := range all {
		u := &all[i]
		if u.Seq < c.head.NextSeq || base.Bug("copyskips") && u.Seq/keys.NumberStep%8 == 0 {
			continue
		}
		m, err := bodyOf[model.Message](u.Message)
		if err != nil {
			return err
		}
		c.fresh[u.Seq] = freshOne{UnitMessage: *u, id: m.ID, size: uint64(m.Size())}
		c.order = append(c.order, u.Seq)
		c.head.Bytes += uint64(m.Size())
		c.head.NextSeq = u.Seq + 1
		c.noteSent(u.Seq, &m)
	}
	return nil
}

// noteSent remembers a message's deduplication id for as long as it counts.
func (c *queueCopy) noteSent(seq uint64, m *model.Message) {
	if !c.head.Fifo || m.Dedup == "" || m.DeadFrom != 0 || c.nowMs-m.SentMs >= windowMs {
		return
	}
	c.noteLately()
	rec := keys.SentRecord{ID: m.ID, Seq: seq, SentMs: m.SentMs}
	c.tx.Set(keys.Sent(nil, c.id, c.slot, c.period(), c.settings.DedupPerGroup, m.Group, m.Dedup), rec.Append(nil))
}

// remove takes out a message, if it is there.
func (c *queueCopy) remove(seq uint64) error {
	if m, ok := c.fresh[seq]; ok {
		c.head.Bytes -= m.size
		delete(c.fresh, seq)
		return nil
	}
	if c.cleared {
		return nil
	}
	return c.dropUnfiled(seq)
}

// merge sends what another region had taken, here: it comes behind everything.
func (c *queueCopy) merge(body []byte) (bool, error) {
	change, err := bodyOf[model.QueueChange](body)
	if err != nil {
		return false, err
	}
	for i := range change.Added {
		u := &change.Added[i]
		m, err := bodyOf[model.Message](u.Message)
		if err != nil {
			return false, err
		}
		e := model.SendEntry{Message: m}
		if e.AtMs = u.DueMs; !u.Scheduled {
			e.AtMs, e.DelayMs = 0, max(0, u.DueMs-c.nowMs)
		}
		c.send(c.settings, &e, false, &model.SentMessage{})
	}
	return true, nil
}

func (c *queueCopy) flush(rec *keys.UnitRecord) error {
	for _, seq := range c.order {
		m, ok := c.fresh[seq]
		if !ok {
			continue // it was taken out again
		}
		c.value = append(c.value[:0], m.Message...)
		c.keepUnfiled(seq, m.id, m.DueMs, m.Scheduled, m.mends)
	}
	if c.told != nil && len(c.told.Added) > 0 {
		c.unit = rec
	} else {
		c.tx.Set(keys.Unit(nil, c.id, model.UnitKey{Slot: c.slot}), rec.Append(nil))
	}
	return c.queue.flush()
}
