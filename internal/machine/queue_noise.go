package machine

import (
	"slices"

	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// A group of a standard queue is noisy while it has a large share of what is in
// flight, or of the consumers' time lately. Noisy groups have their turns in a
// list of their own, which is served when the line of their priority is empty.
// A list is one record: at most a few groups can each have more than a tenth.

const (
	// busyPeriodMs is how long consumers' time counts in full; then it is halved,
	// and halved again with each further period.
	busyPeriodMs = 60_000
	// noisyBusyMs is how much consumers' time a group must have taken lately to
	// count as noisy for it: the share of a trickle says nothing.
	noisyBusyMs = 10_000
)

// decayed is what is left of busy, which was counted in the given period.
func decayed(busy, period uint64, nowMs int64) uint64 {
	return busy >> min(63, max(uint64(nowMs)/busyPeriodMs, period)-period)
}

// spent counts the time that a consumer had a message.
func (q *queue) spent(st *keys.StateRecord) {
	ms := uint64(max(0, q.nowMs-st.ReceivedMs))
	period := uint64(q.nowMs) / busyPeriodMs
	q.head.Busy, q.head.BusyPeriod = decayed(q.head.Busy, q.head.BusyPeriod, q.nowMs)+ms, period
	if st.Grouped() && !st.Fifo {
		g := q.group(st.Group)
		g.Busy, g.BusyPeriod = decayed(g.Busy, g.BusyPeriod, q.nowMs)+ms, period
	}
}

// loud reports whether the group may count as noisy without being looked at
// again. Its share of what is in flight grows when others have less; its share
// of the time only falls, since all time is halved at once.
func (q *queue) loud(g *group) bool {
	return !g.Fifo && (g.Out >= model.NoisyInFlight || isBusy(&q.head, &g.GroupRecord, q.nowMs))
}

// isNoisy reports whether the group is a noisy neighbour, when out messages of
// the queue are with consumers and pipes. One that was sent nothing for a while is
// none, whatever it has left.
func isNoisy(head *keys.QueueRecord, g *keys.GroupRecord, out uint64, nowMs int64) bool {
	if g.Fifo || nowMs-g.SentMs >= model.NoisyQuietMs {
		return false
	}
	if g.Out >= model.NoisyInFlight && g.Out*100 > out*model.NoisyPercent {
		return true
	}
	return isBusy(head, g, nowMs)
}

// isBusy reports whether the group has had more than its share of the
// consumers' time lately.
func isBusy(head *keys.QueueRecord, g *keys.GroupRecord, nowMs int64) bool {
	busy := decayed(g.Busy, g.BusyPeriod, nowMs)
	return busy >= noisyBusyMs && busy*100 > decayed(head.Busy, head.BusyPeriod, nowMs)*model.NoisyPercent
}

func (q *queue) isNoisy(g *group) bool {
	return isNoisy(&q.head, &g.GroupRecord, q.head.InFlight+q.head.Claimed+q.taken, q.nowMs)
}

// quietMs is when the group's share of the consumers' time can be forgotten:
// zero unless it has more than its share.
func (q *queue) quietMs(g *group) int64 {
	if g.Fifo || !isBusy(&q.head, &g.GroupRecord, q.nowMs) {
		return 0
	}
	busy := decayed(g.Busy, g.BusyPeriod, q.nowMs)
	period := uint64(q.nowMs) / busyPeriodMs
	for busy >= noisyBusyMs {
		busy >>= 1
		period++
	}
	return int64(period * busyPeriodMs)
}

// noisyList is a priority's list of noisy groups as one command works on it.
type noisyList struct {
	names   keys.NoisyGroups
	changed bool
}

// noisyGroups returns a priority's list of noisy groups. A failure to read is
// kept for flush.
func (q *queue) noisyGroups(priority uint8) *noisyList {
	if q.noisy[priority] == nil {
		q.noisy[priority] = &noisyList{}
		if q.head.Noisy[priority] > 0 {
			names, err := readNoisy(q.tx, q.id, q.slot, priority)
			if err != nil {
				q.fail(err)
			}
			q.noisy[priority].names = names
		}
	}
	return q.noisy[priority]
}

func readNoisy(r Reader, id model.ResourceID, slot model.Slot, priority uint8) (keys.NoisyGroups, error) {
	value, ok, err := r.Get(keys.Noisy(nil, id, slot, priority))
	if err != nil || !ok {
		return nil, orCorrupt(err)
	}
	return bodyOf[keys.NoisyGroups](value)
}

func (n *noisyList) add(name string) { n.names, n.changed = append(n.names, name), true }

func (n *noisyList) remove(name string) {
	n.names = slices.DeleteFunc(n.names, func(s string) bool { return s == name })
	n.changed = true
}

// flushNoisy writes the lists that changed.
func (q *queue) flushNoisy() {
	for p, n := range q.noisy {
		if n == nil || !n.changed {
			continue
		}
		q.head.Noisy[p] = uint64(len(n.names))
		if len(n.names) == 0 {
			q.tx.Delete(keys.Noisy(q.key[:0], q.id, q.slot, uint8(p)))
			continue
		}
		q.value = n.names.Append(q.value[:0])
		q.tx.Set(keys.Noisy(q.key[:0], q.id, q.slot, uint8(p)), q.value)
	}
}

// reconcile puts the groups back in line that are not noisy any more.
func (q *queue) reconcile(priority uint8) {
	n := q.noisyGroups(priority)
	for _, name := range slices.Clone(n.names) {
		g := q.group(name)
		l := g.list(priority)
		if l == nil {
			q.fail(model.ErrCorrupt)
			return
		}
		if gives := q.gives(g, l); !gives || !q.isNoisy(g) {
			q.takeTurn(g, l)
			if gives {
				q.giveTurn(g, l)
			}
		}
	}
}
