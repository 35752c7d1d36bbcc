package machine

import (
	"slices"

	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// taking is how a receive or a claim takes visible messages.
type taking struct {
	*queue
	settings *model.QueueSettings
	most     int // messages
	sweeps   int // how many expired or dead messages, or noisy or waiting groups, it may still pass
	bytes    uint64
	got      []keys.QueueEntry
	ended    bool // a bound was reached
}

// take takes visible messages: at most most of them and about MaxReceiveBytes,
// and no more than the rates allow. Higher priorities come first, and within
// a priority what is not of a noisy group. On its way it removes expired
// messages and puts dead ones aside, at most maxSwept.
func (q *queue) take(s *model.QueueSettings, most int) ([]keys.QueueEntry, error) {
	q.arrange()
	t := &taking{queue: q, settings: s, most: int(min(uint64(most), allowed(q.head.FullNs, s.RateMilli, q.nowMs))), sweeps: maxSwept}
	if n := min(uint64(t.most), q.head.Visible); n > 0 {
		t.got = make([]keys.QueueEntry, 0, n)
	}
	for p := model.MaxPriority; p >= 0 && !t.done(); p-- {
		if err := t.takePriority(uint8(p)); err != nil {
			return nil, err
		}
	}
	spend(&q.head.FullNs, s.RateMilli, q.nowMs, uint64(len(t.got)))
	return t.got, q.err
}

func (t *taking) done() bool { return t.ended || len(t.got) >= t.most || t.sweeps <= 0 || t.err != nil }

func (t *taking) takePriority(priority uint8) error {
	if t.head.Noisy[priority] > 0 {
		t.reconcile(priority)
	}
	err := t.walkLine(priority, func(order uint64, e *keys.QueueEntry) verdict {
		switch {
		case t.done():
			return stop
		case e.Turn:
			return t.takeTurnOf(priority, order, e)
		default:
			return t.takeMessage(e)
		}
	})
	if n := t.noisy[priority]; err != nil || n == nil {
		return err
	}
	return t.takeNoisy(priority, t.noisy[priority])
}

// takeMessage deals with a message without a group.
func (t *taking) takeMessage(e *keys.QueueEntry) verdict {
	switch {
	case t.expired(t.settings, e):
		t.sweeps--
		t.drop(e)
	case t.isDead(e):
		t.sweeps--
		t.bury(e)
	case !t.fits(e):
		return stop
	default:
		t.accept(e)
	}
	t.head.Visible--
	return taken
}

func (t *taking) isDead(e *keys.QueueEntry) bool {
	return t.settings.MaxReceives > 0 && e.Receives >= t.settings.MaxReceives
}

// fits reports whether there is room for the message, and ends the taking if
// there is none.
func (t *taking) fits(e *keys.QueueEntry) bool {
	t.ended = len(t.got) > 0 && t.bytes+e.Size > model.MaxReceiveBytes
	return !t.ended
}

func (t *taking) accept(e *keys.QueueEntry) {
	t.bytes += e.Size
	t.got = append(t.got, *e)
	t.taken++
}

// takeTurnOf deals with the turn of a group: it gives what it can, and goes to
// the end of the line, or to the noisy ones.
func (t *taking) takeTurnOf(priority uint8, order uint64, e *keys.QueueEntry) verdict {
	g := t.group(e.Group)
	l := g.list(priority)
	if l == nil || !t.gives(g, l) {
		if l != nil && g.WaitMs != 0 { // it gave in another priority and waits for its rate since
			l.Turn = keys.TurnNone
			return taken
		}
		t.fail(model.ErrCorrupt)
		return stop
	}
	l.Turn = keys.TurnNone
	if t.isNoisy(g) {
		t.sweeps--
		l.Turn = keys.TurnNoisy
		t.noisyGroups(priority).add(g.name)
		return taken
	}
	if t.serve(g, l) == stop {
		l.Turn = keys.TurnReady // where it is
		return stop
	}
	if t.gives(g, l) {
		t.giveTurn(g, l)
	}
	return taken
}

// takeNoisy lets the noisy groups of a priority have what is left: first the one
// of which the fewest messages are in flight.
func (t *taking) takeNoisy(priority uint8, n *noisyList) error {
	for !t.done() && len(n.names) > 0 {
		at := 0
		for i := range n.names {
			if t.group(n.names[i]).Out < t.group(n.names[at]).Out {
				at = i
			}
		}
		g := t.group(n.names[at])
		l := g.list(priority)
		if l == nil {
			return model.ErrCorrupt
		}
		if t.gives(g, l) && t.serve(g, l) == stop {
			return nil
		}
		n.names, n.changed = slices.Delete(n.names, at, at+1), true
		l.Turn = keys.TurnNone
		if t.gives(g, l) {
			l.Turn = keys.TurnNoisy
			n.add(g.name)
		}
	}
	return nil
}

// serve takes messages from a group whose turn it is. It reports stop when it
// could take none and the group's turn is still to come.
func (t *taking) serve(g *group, l *keys.GroupList) verdict {
	before := len(t.got)
	v := t.serveFrom(g, l, before)
	if len(t.got) == before {
		t.sweeps-- // so that a turn that gives nothing is work, too
	}
	return v
}

// serveFrom takes messages from a group, of a FIFO group as many as it can, in
// their order, else one. before is how many were taken before the turn.
func (t *taking) serveFrom(g *group, l *keys.GroupList, before int) verdict {
	for !t.done() && len(l.Front) > 0 && t.shown(&l.Front[0]) {
		e := l.Front[0]
		switch took := len(t.got) > before; {
		case t.expired(t.settings, &e):
			t.sweeps--
			t.pop(g, l, 0)
			t.drop(&e)
			continue
		case t.isDead(&e):
			if took && g.Fifo {
				return taken // the group is blocked; it dies when it is at the head
			}
			t.sweeps--
			t.pop(g, l, 0)
			t.bury(&e)
			continue
		case g.Fifo && g.Dead > 0:
			return taken // blocked by what has just died
		case allowed(g.FullNs, t.settings.GroupRateMilli, t.nowMs) == 0:
			t.sweeps--
			t.wait(t.settings, g)
			return taken
		case !t.fits(&e):
		default:
			want := 0
			if g.Fifo {
				want = t.most - len(t.got) - 1
			}
			t.pop(g, l, want)
			e.DueMs = 0 // it is past
			g.Out++
			spend(&g.FullNs, t.settings.GroupRateMilli, t.nowMs, 1)
			t.accept(&e)
			if !g.Fifo {
				return taken
			}
		}
	}
	return verdict(len(t.got) > before || !t.gives(g, l))
}

// bury puts a message that was received too often among the dead ones, for the
// mover of dead letters to claim. It wakes no consumer, who would find nothing in
// it.
func (q *queue) bury(e *keys.QueueEntry) {
	st, err := q.state(e.Seq)
	if err != nil || st == nil {
		q.fail(orCorrupt(err))
		return
	}
	st.Place, st.At = keys.PlaceDead, q.head.NextDead
	q.setState(st, false)
	q.value = e.Append(q.value[:0])
	q.tx.Set(keys.Dead(q.key[:0], q.id, q.slot, q.head.NextDead), q.value)
	q.head.NextDead++
	q.head.Dead++
	q.tx.Buried = true
	if e.Grouped() {
		q.group(e.Group).Dead++
	}
}

// takeDead takes dead messages out of their index. They do not expire there:
// they count as messages of the dead-letter queue, which decides. Those of a
// FIFO group that has others in a claim wait for it, so that they come to the
// dead-letter queue in their order.
func (q *queue) takeDead(_ *model.QueueSettings, most int) (got []keys.QueueEntry, err error) {
	bytes := uint64(0)
	claiming := map[string]bool{} // groups of this claim
	err = q.walkDead(most, func(e *keys.QueueEntry) verdict {
		if len(got) > 0 && bytes+e.Size > model.MaxReceiveBytes {
			return stop
		}
		if e.Grouped() {
			g := q.group(e.Group)
			if e.Fifo && g.Out > 0 && !claiming[e.Group] {
				return stop
			}
			claiming[e.Group] = true
			g.Out++
		}
		bytes += e.Size
		got = append(got, *e)
		return taken
	})
	return got, err
}
