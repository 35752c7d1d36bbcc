package machine

import (
	"bytes"
	"cmp"
	"maps"
	"slices"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// maxFront is how many messages a list keeps in its group's record before it
// files the others one by one: a short list costs no other write.
const maxFront = 8

// group is a message group as one command works on it.
type group struct {
	keys.GroupRecord
	name   string
	stored []byte // the record as stored; nil when there is none
	// fresh are the messages that this command appended behind the stored ones of
	// each list, not yet written.
	fresh [model.MaxPriority + 1][]freshEntry
}

// group returns the group of that name, an empty one if there is none. A
// failure to read is kept for flush.
func (q *queue) group(name string) *group {
	if g, ok := q.groups[name]; ok {
		return g
	}
	g, err := readGroup(q.tx, q.id, q.slot, name)
	if err != nil {
		q.fail(err)
	}
	if g.stored == nil {
		g.Fifo = q.head.Fifo
	}
	if q.groups == nil {
		q.groups = map[string]*group{}
	}
	q.groups[name] = g
	q.order = append(q.order, g)
	return g
}

func readGroup(r Reader, id model.ResourceID, slot model.Slot, name string) (*group, error) {
	g := &group{name: name}
	value, ok, err := r.Get(keys.Group(nil, id, slot, name))
	if err != nil || !ok {
		return g, err
	}
	if g.GroupRecord, err = bodyOf[keys.GroupRecord](value); err != nil {
		return g, err
	}
	g.stored = value
	g.Belong(name)
	return g, nil
}

// list returns the group's list of that priority; nil when there is none.
func (g *group) list(priority uint8) *keys.GroupList {
	for i := range g.Lists {
		if g.Lists[i].Priority == priority {
			return &g.Lists[i]
		}
	}
	return nil
}

func (g *group) listFor(priority uint8) *keys.GroupList {
	if l := g.list(priority); l != nil {
		return l
	}
	g.Lists = append(g.Lists, keys.GroupList{Priority: priority})
	return &g.Lists[len(g.Lists)-1]
}

// join counts a message that was sent to the group.
func (q *queue) join(g *group) {
	g.SentMs = q.nowMs
	if g.Messages++; g.Messages == 1 {
		q.head.Groups++
	}
}

// enlist puts a message into its group's list: a FIFO message that comes back
// in its place, which is before all that were never taken, another one at the
// end. It returns the message's number in the list.
func (q *queue) enlist(e *keys.QueueEntry) uint64 {
	g := q.group(e.Group)
	if e.Fifo {
		l := g.listFor(e.Priority)
		at, _ := slices.BinarySearchFunc(l.Front, e.Seq, func(f keys.QueueEntry, seq uint64) int { return cmp.Compare(f.Seq, seq) })
		l.Front = slices.Insert(l.Front, at, *e)
		return e.Seq
	}
	number := q.head.NextNumber
	q.head.NextNumber++
	g.append(e, number)
	return number
}

// append puts a message at the end of its list.
func (g *group) append(e *keys.QueueEntry, number uint64) {
	l := g.listFor(e.Priority)
	if l.Stored == 0 && len(g.fresh[e.Priority]) == 0 && len(l.Front) < maxFront {
		l.Front = append(l.Front, *e)
		return
	}
	g.fresh[e.Priority] = append(g.fresh[e.Priority], freshEntry{number, *e})
}

// pop takes the first message out of a list. want is how many more the caller
// is about to take.
func (q *queue) pop(g *group, l *keys.GroupList, want int) keys.QueueEntry {
	e := l.Front[0]
	l.Front = l.Front[1:]
	q.head.Visible--
	q.refill(g, l, want)
	return e
}

// refill keeps the beginning of a list in the record.
func (q *queue) refill(g *group, l *keys.GroupList, want int) {
	if len(l.Front) > 0 {
		return
	}
	if l.Stored > 0 {
		if err := q.load(g, l, maxFront+want); err != nil {
			q.fail(err)
		}
	}
	if fresh := g.fresh[l.Priority]; l.Stored == 0 && len(l.Front) == 0 {
		n := min(len(fresh), maxFront)
		for i := range fresh[:n] {
			l.Front = append(l.Front, fresh[i].QueueEntry)
		}
		g.fresh[l.Priority] = fresh[n:]
	}
}

// load moves the next messages of a list into the record, at most most.
func (q *queue) load(g *group, l *keys.GroupList, most int) error {
	lo, hi := keys.Grouped(nil, q.id, q.slot, g.name, l.Priority, l.Low), keys.Grouped(nil, q.id, q.slot, g.name, l.Priority, l.High+1)
	it, err := q.tx.Scan(lo, hi, false)
	if err != nil {
		return err
	}
	for len(l.Front) < most && l.Stored > 0 && it.Next() {
		number, ok := keys.SplitGrouped(it.Key())
		e, err := bodyOf[keys.QueueEntry](it.Value())
		if !ok || err != nil {
			_ = it.Close() // the first error is the one to report
			return model.ErrCorrupt
		}
		e.Belong(g.name, l.Priority, g.Fifo)
		l.Front = append(l.Front, e)
		l.Stored--
		l.Low = number + 1
		q.tx.Delete(it.Key())
	}
	if err := it.Close(); err != nil || len(l.Front) > 0 {
		return err
	}
	return model.ErrCorrupt
}

// delist takes a visible message out of its group's list, wherever it is
// there. number is its number in the list.
func (q *queue) delist(e *keys.QueueEntry, number uint64) {
	g := q.group(e.Group)
	l := g.list(e.Priority)
	if l == nil {
		q.fail(model.ErrCorrupt)
		return
	}
	q.head.Visible--
	if at := slices.IndexFunc(l.Front, func(f keys.QueueEntry) bool { return f.Seq == e.Seq }); at >= 0 {
		l.Front = slices.Delete(l.Front, at, at+1)
		q.refill(g, l, 0)
		return
	}
	q.tx.Delete(keys.Grouped(nil, q.id, q.slot, g.name, l.Priority, number))
	l.Stored--
}

// shown reports whether a message in a list is visible: a FIFO message that
// was sent with a delay is in its place before.
func (q *queue) shown(e *keys.QueueEntry) bool {
	h := &q.head
	return e.DueMs == 0 || e.DueMs < h.LowHiddenMs || e.DueMs == h.LowHiddenMs && e.Seq < h.LowHiddenSeq
}

// gives reports whether the list has something to give now.
func (q *queue) gives(g *group, l *keys.GroupList) bool {
	blocked := g.Fifo && g.Out+g.Dead > 0 && !base.Bug("groupopen")
	return !blocked && g.WaitMs == 0 && len(l.Front) > 0 && q.shown(&l.Front[0])
}

// arrange gives turns to the groups that this command made able to give
// something, and takes them from the others.
func (q *queue) arrange() {
	if base.Bug("maporder") {
		q.order = slices.Collect(maps.Values(q.groups))
	}
	for _, g := range q.order {
		for i := range g.Lists {
			l := &g.Lists[i]
			switch gives := q.gives(g, l); {
			case gives && l.Turn == keys.TurnNone:
				q.giveTurn(g, l)
				q.wake = true
			case !gives && l.Turn != keys.TurnNone:
				q.takeTurn(g, l)
			}
		}
	}
}

// giveTurn puts the group at the end of the line.
func (q *queue) giveTurn(g *group, l *keys.GroupList) {
	l.Turn = keys.TurnReady
	l.TurnAt = q.appendLine(l.Priority, keys.QueueEntry{SentMs: l.Front[0].SentMs, Group: g.name, Turn: true})
}

// takeTurn removes the group's turn.
func (q *queue) takeTurn(g *group, l *keys.GroupList) {
	switch l.Turn {
	case keys.TurnReady:
		q.head.Lines[l.Priority].Count--
		if l.TurnAt < q.was.NextSeq {
			q.tx.Delete(keys.Ready(q.key[:0], q.id, q.slot, l.Priority, l.TurnAt))
		}
	case keys.TurnNoisy:
		q.noisyGroups(l.Priority).remove(g.name)
	}
	l.Turn = keys.TurnNone
}

// flushGroups writes the groups that changed, and removes those that are not
// needed any more.
func (q *queue) flushGroups() {
	for _, g := range q.order {
		for p := range g.fresh {
			q.flushList(g, uint8(p))
		}
		g.Lists = slices.DeleteFunc(g.Lists, func(l keys.GroupList) bool {
			return len(l.Front) == 0 && l.Turn == keys.TurnNone
		})
		if q.keepGroup(g) {
			q.value = g.Append(q.value[:0])
			if !bytes.Equal(q.value, g.stored) {
				q.tx.Set(keys.Group(nil, q.id, q.slot, g.name), q.value)
			}
		} else if g.stored != nil {
			q.tx.Delete(keys.Group(nil, q.id, q.slot, g.name))
		}
	}
}

// flushList files the messages that this command appended to a list.
func (q *queue) flushList(g *group, priority uint8) {
	for i := range g.fresh[priority] {
		f, l := &g.fresh[priority][i], g.listFor(priority)
		if l.Stored == 0 {
			l.Low = f.order
		}
		l.Stored++
		l.High = f.order
		q.value = f.AppendBare(q.value[:0])
		q.tx.SetNew(keys.Grouped(nil, q.id, q.slot, g.name, priority, f.order), q.value)
	}
}

// keepGroup decides whether the group's record stays, and sees to what depends
// on it.
func (q *queue) keepGroup(g *group) bool {
	neededMs := max(q.fullMs(g), q.quietMs(g))
	keep := g.Messages > 0 || g.WaitMs != 0 || neededMs > q.nowMs
	if g.Messages == 0 && g.WaitMs == 0 && keep && g.LingerMs == 0 {
		g.LingerMs = neededMs
		q.setAlarm(keys.AlarmLingering, &q.head.Lingering, neededMs, g.name)
	}
	loud := keep && q.loud(g)
	if loud && !g.Loud {
		q.tx.Set(keys.Loud(nil, q.id, q.slot, g.name), nil)
	} else if !loud && g.Loud {
		q.tx.Delete(keys.Loud(nil, q.id, q.slot, g.name))
	}
	g.Loud = loud
	return keep
}
