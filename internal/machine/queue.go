package machine

import (
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// A queue is kept so that it does not decay, though messages are put in and
// taken out for ever: every index is only appended to at its end and read from
// its low mark, and no scan goes over a tombstone twice. The layout and the
// reasons are in docs/format/queue.md.

// Bounds of the work that a command does besides its own.
const (
	// maxDueMoved is how many due messages one command makes visible.
	maxDueMoved = 256
	// maxSwept is how many visible or dead messages one command looks at beyond
	// those that it takes: expired ones to remove, dead ones to put aside.
	maxSwept = 256
)

// queue is a queue's slot as one command works on it. What the command changes
// in the head record is kept here and written by flush.
type queue struct {
	tx    *Tx
	id    model.ResourceID
	slot  model.Slot
	nowMs int64
	head  keys.QueueRecord
	was   keys.QueueRecord // head as stored
	// storedOrder is the head's NextOrder as stored: messages that became
	// visible in this command are behind it, in fresh, not yet written.
	storedOrder uint64
	fresh       []keys.QueueEntry
	// states are the states that this command wrote, for commands with several
	// entries, which may name a message twice. nil is no state.
	states map[uint64]*keys.StateRecord
	wake   bool
	key    [64]byte
	value  []byte
}

// openQueue reads the queue that the command names. A queue that was never
// used has an empty head.
func openQueue(tx *Tx) (*queue, error) {
	q := &queue{tx: tx, id: tx.Command.Resource, slot: tx.Command.Slot, nowMs: tx.Command.Stamp.Millis()}
	head, err := readQueueHead(tx, q.id, q.slot)
	if err != nil {
		return nil, err
	}
	q.head, q.was, q.storedOrder = head, head, head.NextOrder
	return q, nil
}

func readQueueHead(r Reader, id model.ResourceID, slot model.Slot) (head keys.QueueRecord, err error) {
	var buf [64]byte
	value, ok, err := r.Get(keys.QueueHead(buf[:0], id, slot))
	if err != nil || !ok {
		return head, err
	}
	d := model.NewDecoder(value)
	head.Decode(d)
	return head, d.Done()
}

// flush writes what the command left: the messages that became visible and
// stayed, and the head.
func (q *queue) flush() {
	order := q.head.NextOrder - uint64(len(q.fresh))
	for i := range q.fresh {
		q.value = q.fresh[i].Append(q.value[:0])
		q.tx.Set(keys.Ready(q.key[:0], q.id, q.slot, order+uint64(i)), q.value)
	}
	if q.head != q.was {
		q.tx.Set(keys.QueueHead(q.key[:0], q.id, q.slot), q.head.Append(q.value[:0]))
	}
	if q.wake && q.head.Visible > 0 {
		q.tx.Wake = true
	}
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

func (q *queue) setState(st *keys.StateRecord) {
	q.value = st.Append(q.value[:0])
	q.tx.Set(keys.MessageState(q.key[:0], q.id, q.slot, st.Seq), q.value)
	if q.states != nil {
		q.states[st.Seq] = st
	}
}

// remember makes state see what this command wrote.
func (q *queue) remember() { q.states = map[uint64]*keys.StateRecord{} }

// show puts a message at the end of the visible ones.
func (q *queue) show(e *keys.QueueEntry, st *keys.StateRecord) {
	if q.head.Visible == 0 {
		q.head.HeadMs = e.SentMs
	}
	q.fresh = append(q.fresh, *e)
	if st != nil {
		st.Place, st.At = keys.PlaceReady, q.head.NextOrder
		q.setState(st)
	}
	q.head.NextOrder++
	q.head.Visible++
	q.wake = true
}

// drop removes a message's record and state. The caller has taken it out of
// its index and count.
func (q *queue) drop(e *keys.QueueEntry) {
	q.tx.Delete(keys.Message(q.key[:0], q.id, q.slot, e.Seq))
	if e.Receives > 0 {
		q.tx.Delete(keys.MessageState(q.key[:0], q.id, q.slot, e.Seq))
		if q.states != nil {
			q.states[e.Seq] = nil
		}
	}
	q.head.Bytes -= e.Size
}

// expired reports whether a message has been kept for its time.
func (q *queue) expired(s *model.QueueSettings, e *keys.QueueEntry) bool {
	return s.RetentionMs > 0 && e.SentMs+s.RetentionMs <= q.nowMs
}

// verdict is what becomes of a message that a walk comes to.
type verdict bool

const (
	stop  verdict = false // it stays where it is, and the walk ends
	taken verdict = true  // it leaves the index
)

// walkReady shows f the visible messages in their order, at most limit.
func (q *queue) walkReady(limit int, f func(e *keys.QueueEntry) verdict) error {
	if q.head.Visible == 0 {
		return nil
	}
	visit := func(e *keys.QueueEntry) verdict {
		q.head.HeadMs = e.SentMs
		if f(e) == stop {
			return stop
		}
		q.head.Visible--
		return taken
	}
	seen := 0
	if q.head.LowOrder < q.storedOrder {
		lo := keys.Ready(nil, q.id, q.slot, q.head.LowOrder)
		hi := keys.Ready(nil, q.id, q.slot, q.storedOrder)
		n, stopped, err := q.walk(lo, hi, &q.head.LowOrder, limit, visit)
		if err != nil || stopped || n == limit {
			return err
		}
		seen = n
	}
	// All stored ones have gone: the first fresh one is the head.
	q.head.LowOrder = q.storedOrder
	for ; len(q.fresh) > 0 && seen < limit; seen++ {
		e := q.fresh[0]
		if visit(&e) == stop {
			return nil
		}
		q.fresh = q.fresh[1:]
		q.storedOrder++
		q.head.LowOrder = q.storedOrder
	}
	return nil
}

// walkDead shows f the dead messages in their order, at most limit.
func (q *queue) walkDead(limit int, f func(e *keys.QueueEntry) verdict) error {
	if q.head.Dead == 0 {
		return nil
	}
	lo, hi := keys.Dead(nil, q.id, q.slot, q.head.LowDead), keys.Dead(nil, q.id, q.slot, q.head.NextDead)
	_, _, err := q.walk(lo, hi, &q.head.LowDead, limit, func(e *keys.QueueEntry) verdict {
		if f(e) == stop {
			return stop
		}
		q.head.Dead--
		return taken
	})
	return err
}

// walk goes over one stored index from its low mark, removes what f takes and
// moves the low mark up to what stays.
func (q *queue) walk(lo, hi []byte, low *uint64, limit int, f func(e *keys.QueueEntry) verdict) (seen int, stopped bool, err error) {
	it, err := q.tx.Scan(lo, hi, false)
	if err != nil {
		return 0, false, err
	}
	for seen < limit && it.Next() {
		order, ok := keys.SplitOrder(it.Key())
		d := model.NewDecoder(it.Value())
		var e keys.QueueEntry
		e.Decode(d)
		if !ok || d.Done() != nil {
			_ = it.Close() // the first error is the one to report
			return seen, false, model.ErrCorrupt
		}
		if f(&e) == stop {
			*low = order
			return seen, true, it.Close()
		}
		seen++
		*low = order + 1
		q.tx.Delete(it.Key())
	}
	return seen, false, it.Close()
}
