package machine

import (
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// A queue is kept so that it does not decay, though messages are put in and
// taken out for ever: every index is only appended to at its end and read from
// its low mark, and no scan goes over a tombstone twice. The layout and the
// reasons are in docs/format/queue.md.
//
// Messages without a group are entries of the line of their priority
// (queue_line.go). Those of a group are in the group's list (queue_group.go),
// and the group has a turn in the line while it has something to give. What
// takes from lines and groups is in queue_take.go.

// Bounds of the work that a command does besides its own.
const (
	// maxDueMoved is how many due messages one command makes visible.
	maxDueMoved = 256
	// maxSwept is how many visible or dead messages one command looks at beyond
	// those that it takes: expired ones to remove, dead ones to put aside.
	maxSwept = 256
)

// queue is a queue's slot as one command works on it. What the command changes
// in the head record, in lines and in groups is kept here and written by
// flush.
type queue struct {
	tx    *Tx
	heads *queueHeads
	id    model.ResourceID
	slot  model.Slot
	nowMs int64
	head  keys.QueueRecord
	was   keys.QueueRecord // head as stored
	// stillMs is Head's, wasStillMs as the last command left it, and soonMs the
	// least time under which this command files something under Hidden; zero: it
	// files nothing there.
	stillMs, wasStillMs, soonMs int64
	// fresh are the entries that this command appended to the lines, in order,
	// not yet written.
	fresh [model.MaxPriority + 1][]freshEntry
	// groups are those that this command looked at, and order is the order in
	// which it came to them: groups is never ranged over.
	groups map[string]*group
	order  []*group
	noisy  [model.MaxPriority + 1]*noisyList // those looked at
	// taken counts messages that this command has taken out of lines and groups,
	// until they count as in flight or claimed.
	taken uint64
	// states are the states that this command wrote: of commands with several
	// entries, which may name a message twice, and when a message left its block.
	// nil is no state.
	states map[uint64]*keys.StateRecord
	told   *model.QueueChange         // what other regions are to hear of the command; nil when nobody watches
	unit   *keys.UnitRecord           // what is known of the content, if that was read
	sent   map[string]keys.SentRecord // what this command will remember of its messages
	open   openBlock                  // messages that it sends together
	blocks []*block                   // those that it looked at, in that order
	split  *keys.QueueBlock           // memory for a block that it walks over
	read   *readContent               // the block's messages that it read last; nil when it read none
	copies bool                       // it takes in what another region did
	wake   bool
	err    error // the first failure to read; flush returns it
	key    [64]byte
	value  []byte
}

// openQueue reads the queue that the command names, and files some of what is
// not filed yet. A queue that was never used has an empty head.
func (m *Machine) openQueue(tx *Tx) (*queue, error) {
	q, err := m.openHead(tx)
	if err == nil && q.head.Unfiled > 0 {
		err = q.fileSome()
	}
	return q, err
}

// openHead is openQueue for commands that leave unfiled messages alone.
func (m *Machine) openHead(tx *Tx) (*queue, error) {
	q := &m.queue
	if q.split == nil {
		q.split = &keys.QueueBlock{}
	}
	*q = queue{split: q.split, tx: tx, heads: &m.heads, id: tx.Command.Resource, slot: tx.Command.Slot, nowMs: tx.Command.Stamp.Millis(), fresh: q.fresh, value: q.value, open: q.open, blocks: q.blocks[:0]}
	for p := range q.fresh {
		q.fresh[p] = q.fresh[p][:0]
	}
	var known Head
	if err := m.heads.read(tx, queueName{q.id, q.slot}, &known); err != nil {
		return nil, err
	}
	q.head, q.was, q.stillMs, q.wasStillMs = known.QueueRecord, known.QueueRecord, known.stillMs, known.stillMs
	if tx.wanted.since != 0 {
		q.told = &model.QueueChange{}
	}
	return q, nil
}

func readQueueHead(r Reader, id model.ResourceID, slot model.Slot, head *keys.QueueRecord) error {
	var buf [64]byte
	value, ok, err := r.Get(keys.QueueHead(buf[:0], id, slot))
	if err != nil {
		return err
	}
	if !ok {
		head.NextSeq = 1 // zero is before every message
		return nil
	}
	d := model.NewDecoder(value)
	head.Decode(d)
	return d.Done()
}

// fail keeps the first error; what goes on after it has no effect.
func (q *queue) fail(err error) {
	if q.err == nil {
		q.err = err
	}
}

// flush writes what the command left, or returns the error that it met on the
// way.
func (q *queue) flush() error {
	q.seal()
	q.arrange()
	q.flushGroups()
	q.flushNoisy()
	q.flushBlocks()
	if q.err != nil {
		return q.err
	}
	q.flushLines()
	if q.soonMs != 0 {
		q.stillMs = min(q.stillMs, q.soonMs)
	}
	if q.head != q.was {
		q.value = q.head.Append(q.value[:0])
		q.tx.Set(keys.QueueHead(q.key[:0], q.id, q.slot), q.value)
	}
	if q.head != q.was || q.stillMs != q.wasStillMs {
		q.heads.change(queueName{q.id, q.slot}, &Head{q.head, q.stillMs})
	}
	// Somebody who waits is to know of what becomes visible by itself. A receive
	// that finds something wakes another anyway.
	hides := q.soonMs != 0 && q.tx.Command.Kind != model.CmdReceive
	if q.wake && hasTurn(&q.head) || hides {
		q.tx.Wake = true
	}
	return q.tell()
}

// hasTurn reports whether anything is in line.
func hasTurn(h *keys.QueueRecord) bool {
	for p := range h.Lines {
		if h.Lines[p].Count+h.Noisy[p] > 0 {
			return true
		}
	}
	return false
}

// state returns the state of a message that was received.
func (q *queue) state(seq uint64) (*keys.StateRecord, error) {
	if st, ok := q.states[seq]; ok {
		return st, nil
	}
	return readState(q.tx, q.id, q.slot, seq)
}

// readState returns nil when the message has no state.
func readState(r Reader, id model.ResourceID, slot model.Slot, seq uint64) (*keys.StateRecord, error) {
	var buf [64]byte
	value, ok, err := r.Get(keys.MessageState(buf[:0], id, slot, seq))
	if err != nil || !ok {
		return nil, err
	}
	st := &keys.StateRecord{}
	d := model.NewDecoder(value)
	st.Decode(d)
	return st, d.Done()
}

// setState stores the state of a message, which has none yet when it is first.
func (q *queue) setState(st *keys.StateRecord, first bool) {
	q.value = st.Append(q.value[:0])
	key := keys.MessageState(q.key[:0], q.id, q.slot, st.Seq)
	if first {
		q.tx.SetNew(key, q.value)
	} else {
		q.tx.Set(key, q.value)
	}
	if q.states != nil {
		q.states[st.Seq] = st
	}
}

// remember makes state see what this command wrote.
func (q *queue) remember() { q.states = map[uint64]*keys.StateRecord{} }

// show makes a message visible that was not: at the end of its line or of its
// group's list, or in its place in a FIFO group.
func (q *queue) show(e *keys.QueueEntry, st *keys.StateRecord, first bool) {
	if e.Block {
		q.leave(e)
	}
	q.head.Visible++
	at := uint64(0)
	if e.Grouped() {
		at = q.enlist(e)
	} else {
		at = q.appendLine(e.Priority, *e)
		q.wake = true
	}
	if st != nil {
		st.Place, st.At = keys.PlaceReady, at
		q.setState(st, first)
	}
}

// number is a number of its own for a message, or a place in a line.
func (q *queue) number() uint64 {
	n := keys.NextNumber(q.head.NextSeq)
	q.head.NextSeq = n + keys.NumberStep
	return n
}

// drop removes a message's record and state. The caller has taken it out of
// its index and count.
func (q *queue) drop(e *keys.QueueEntry) {
	if e.Block {
		number, i, _ := keys.SplitInBlock(e.Seq)
		q.block(number).lose(i)
	} else {
		q.tx.Delete(keys.Message(q.key[:0], q.id, q.slot, e.Seq))
	}
	if q.told != nil {
		q.told.Gone = append(q.told.Gone, e.Seq)
	}
	if e.Receives > 0 && !e.Block {
		q.tx.Delete(keys.MessageState(q.key[:0], q.id, q.slot, e.Seq))
		if q.states != nil {
			q.states[e.Seq] = nil
		}
	}
	q.head.Bytes -= e.Size
	if e.Grouped() {
		g := q.group(e.Group)
		if g.Messages--; g.Messages == 0 {
			q.head.Groups--
		}
	}
}

// expired reports whether a message has been kept for its time.
func (q *queue) expired(s *model.QueueSettings, e *keys.QueueEntry) bool {
	return s.RetentionMs > 0 && e.SentMs+s.RetentionMs <= q.nowMs
}

// orCorrupt is err, or ErrCorrupt when a record that must be there is not.
func orCorrupt(err error) error {
	if err == nil {
		return model.ErrCorrupt
	}
	return err
}
