package cluster

import "time"

// round is when the commands of a lane's tablets leave for their logs: all
// together, and then not again until what left is applied. Commands that come
// meanwhile fill the entries of the next round. Fewer and larger entries, and
// entries of several tablets at once, cost all nodes fewer syncs, messages and
// wake-ups; and commands that are applied together are answered together, so
// that clients and other nodes work in batches too.
type round struct {
	open    []*replica // have an entry that is not applied yet
	waiting []*replica // have commands that wait
}

// maxRound is when the others no longer wait for a tablet whose entry is not
// applied: it may have lost its majority.
const maxRound = 50 * time.Millisecond

// hold reports whether commands shall go on waiting in this turn: the last
// round is under way, or the journal is at work, for which theirs would wait
// anyway.
func (l *lane) hold() bool {
	for _, r := range l.dirty {
		l.await(r)
	}
	busy := l.busy() // asked in every turn: it keeps count
	return l.underWay() || busy
}

// busy reports whether the journal is at work. A turn in which it has finished
// something lets commands go, however busy it is again.
func (l *lane) busy() bool {
	busy := l.syncing > 0 && !l.synced
	l.synced = false
	return busy
}

// underWay reports whether the last round is not applied yet, but for tablets
// that have taken too long.
func (l *lane) underWay() bool {
	o := &l.round
	if len(o.open) == 0 {
		return false
	}
	now := l.node.clock.Now()
	open, wait := o.open[:0], false
	for _, r := range o.open {
		if r.tablet.UnderWay() == 0 {
			r.open = false
			continue
		}
		open = append(open, r)
		wait = wait || now.Sub(r.left) < maxRound
	}
	clear(o.open[len(open):])
	o.open = open
	return wait
}

// leave lets the waiting commands go in this turn.
func (l *lane) leave() {
	o := &l.round
	for _, r := range o.waiting {
		r.waiting = false
		l.touch(r)
	}
	clear(o.waiting)
	o.waiting = o.waiting[:0]
}

// await notes that a replica has commands that wait.
func (l *lane) await(r *replica) {
	if !r.waiting && r.tablet.Waits() {
		r.waiting = true
		l.round.waiting = append(l.round.waiting, r)
	}
}

// departed notes what became of a replica's commands at the end of its turn.
func (l *lane) departed(r *replica) {
	l.await(r)
	if !r.open && r.tablet.UnderWay() > 0 {
		r.open, r.left = true, l.node.clock.Now()
		l.round.open = append(l.round.open, r)
	}
}
