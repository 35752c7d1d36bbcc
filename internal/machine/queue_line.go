package machine

import (
	"cmp"
	"slices"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// freshEntry is an entry of a line that is not yet written.
type freshEntry struct {
	order uint64
	keys.QueueEntry
}

// appendLine puts an entry at the end of a priority's line.
func (q *queue) appendLine(priority uint8, e keys.QueueEntry) (order uint64) {
	l := &q.head.Lines[priority]
	if l.Count == 0 {
		l.HeadMs = e.SentMs
	}
	order = q.number()
	q.fresh[priority] = append(q.fresh[priority], freshEntry{order, e})
	l.Count++
	return order
}

// flushLines writes the entries that became visible and stayed.
func (q *queue) flushLines() {
	for p := range q.fresh {
		for i := range q.fresh[p] {
			f := &q.fresh[p][i]
			if !q.stands(f.order, &f.QueueEntry, uint8(p)) {
				continue
			}
			q.value = f.Append(q.value[:0])
			q.tx.SetNew(keys.Ready(q.key[:0], q.id, q.slot, uint8(p), f.order), q.value)
		}
	}
}

// stands reports whether an entry of a line is still one: not a turn that this
// command has removed.
func (q *queue) stands(order uint64, e *keys.QueueEntry, priority uint8) bool {
	if !e.Turn {
		return true
	}
	g := q.groups[e.Group]
	if g == nil {
		return true // not looked at, so not changed
	}
	l := g.list(priority)
	return l != nil && l.Turn == keys.TurnReady && l.TurnAt == order
}

// verdict is what becomes of an entry that a walk comes to.
type verdict bool

const (
	stop  verdict = false // it stays where it is, and the walk ends
	taken verdict = true  // it leaves the index
)

// walkLine shows f the entries of a priority's line in their order. f may
// append to it.
func (q *queue) walkLine(priority uint8, f func(order uint64, e *keys.QueueEntry) verdict) error {
	base.Check(len(q.open.entries) == 0, "a command takes messages after it has sent some")
	l := &q.head.Lines[priority]
	if l.Count == 0 {
		return nil
	}
	visit := func(order uint64, e *keys.QueueEntry) verdict {
		if !q.stands(order, e, priority) {
			return taken
		}
		l.HeadMs = e.SentMs
		if f(order, e) == stop {
			return stop
		}
		l.Count--
		return taken
	}
	if end := q.was.NextSeq; l.Low < end {
		stopped, err := q.walkStored(priority, end, visit)
		if err != nil || stopped {
			return err
		}
		l.Low = end // all stored ones have gone: the first fresh one is the head
	}
	gone := 0
	for ; gone < len(q.fresh[priority]); gone++ {
		first := q.fresh[priority][gone] // a copy: f may append
		if visit(first.order, &first.QueueEntry) == stop {
			break
		}
		l.Low = first.order + 1
	}
	q.fresh[priority] = slices.Delete(q.fresh[priority], 0, gone)
	return nil
}

// walkStored is walk over a priority's line, up to an order.
func (q *queue) walkStored(priority uint8, end uint64, f func(order uint64, e *keys.QueueEntry) verdict) (stopped bool, err error) {
	if priority == 0 && q.head.Blocked > 0 {
		return q.walkBlocks(end, f)
	}
	l := &q.head.Lines[priority]
	return q.walk(keys.Ready(nil, q.id, q.slot, priority, l.Low), keys.Ready(nil, q.id, q.slot, priority, end), &l.Low, f)
}

// walkDead shows f the dead messages in their order, at most limit.
func (q *queue) walkDead(limit int, f func(e *keys.QueueEntry) verdict) error {
	if q.head.Dead == 0 {
		return nil
	}
	lo, hi := keys.Dead(nil, q.id, q.slot, q.head.LowDead), keys.Dead(nil, q.id, q.slot, q.head.NextDead)
	seen := 0
	_, err := q.walk(lo, hi, &q.head.LowDead, func(_ uint64, e *keys.QueueEntry) verdict {
		if seen == limit || f(e) == stop {
			return stop
		}
		seen++
		q.head.Dead--
		if e.Grouped() {
			q.group(e.Group).Dead--
		}
		return taken
	})
	return err
}

// walk goes over one stored index from its low mark, removes what f takes and
// moves the low mark up to what stays.
func (q *queue) walk(lo, hi []byte, low *uint64, f func(order uint64, e *keys.QueueEntry) verdict) (stopped bool, err error) {
	it, err := q.tx.Scan(lo, hi, false)
	if err != nil {
		return false, err
	}
	for !stopped && err == nil && it.Next() {
		order, ok := keys.SplitOrder(it.Key())
		if !ok {
			err = model.ErrCorrupt
			break
		}
		stopped, err = q.walkEntry(it, order, low, f)
	}
	return stopped, cmp.Or(err, it.Close())
}

// walkEntry shows f the entry that an iterator stands at.
func (q *queue) walkEntry(it Iterator, order uint64, low *uint64, f func(order uint64, e *keys.QueueEntry) verdict) (stopped bool, err error) {
	e, err := bodyOf[keys.QueueEntry](it.Value())
	if err != nil {
		return false, err
	}
	if f(order, &e) == stop {
		*low = order
		return true, nil
	}
	*low = order + 1
	q.tx.Delete(it.Key())
	return false, nil
}
