package cluster

import (
	"sync"

	pb "go.etcd.io/raft/v3/raftpb"

	"weir.dev/weir/internal/journal"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/tablet"
)

// lane is one event loop. It owns the raft side of its tablets, so the tablets
// need no locks. Each turn takes all events that are there, and its effects go
// out together: one batch for the journal, one for each peer.
type lane struct {
	node    *Node
	applier *applier

	mu      sync.Mutex // guards what follows
	inbox   []event
	stopped bool
	wake    chan struct{} // holds one token while the inbox is not empty

	writes  []journal.Write // of this turn
	sends   []effectsOf     // the same
	dirty   []*replica      // touched in this turn
	syncing int             // writes that the journal is making durable
	synced  bool            // in this turn the journal has made some durable
	gather  []*replica      // their commands wait; see busy
}

type eventKind uint8

const (
	evTick eventKind = iota
	evMessage
	evPropose
	evRead
	evAppendDone
	evApplyDone
	evInstalled
	evDo
)

// event is one thing that happened to a replica; the fields depend on kind.
type event struct {
	kind     eventKind
	replica  *replica
	message  *pb.Message
	proposal tablet.Proposal
	read     tablet.Read
	append   *tablet.Append
	applied  *applyDone
	do       func(*tablet.Tablet)
}

// maxInbox bounds the events that wait for a lane. Beyond it, messages are
// dropped as a network would and proposals and reads are refused; completions
// of the lane's own effects always get in.
const maxInbox = 1 << 16

func newLane(n *Node, number int) *lane {
	l := &lane{node: n, wake: make(chan struct{}, 1)}
	l.applier = newApplier(n)
	return l
}

// post hands the lane an event. A stopped lane answers requests with
// ErrNotLeader.
func (l *lane) post(ev event) {
	l.mu.Lock()
	refused := l.stopped || len(l.inbox) >= maxInbox && (ev.kind == evMessage || ev.kind == evPropose || ev.kind == evRead)
	if !refused {
		l.inbox = append(l.inbox, ev)
	}
	stopped := l.stopped
	l.mu.Unlock()
	if refused {
		ev.refuse(stopped)
		return
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (ev *event) refuse(stopped bool) {
	err := tablet.ErrBusy
	if stopped {
		err = tablet.ErrNotLeader
	}
	switch ev.kind {
	case evPropose:
		ev.proposal.Done(model.Result{}, 0, err)
	case evRead:
		ev.read.Done(0, err)
	}
}

// do runs f on the lane.
func (l *lane) do(r *replica, f func(*tablet.Tablet)) {
	l.post(event{kind: evDo, replica: r, do: f})
}

// stop ends the loop after the current turn.
func (l *lane) stop() {
	l.mu.Lock()
	l.stopped = true
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
	l.applier.stop()
}

// run is the loop.
func (l *lane) run() {
	var events []event
	for range l.wake {
		l.mu.Lock()
		events, l.inbox = l.inbox, events[:0]
		stopped := l.stopped
		l.mu.Unlock()
		if stopped {
			l.abandon(events)
			return
		}
		for i := range events {
			l.handle(&events[i])
		}
		clear(events)
		l.endTurn()
	}
}

// abandon answers everything that is open when the lane stops.
func (l *lane) abandon(events []event) {
	for i := range events {
		events[i].refuse(true)
	}
	for _, r := range l.node.allReplicas() {
		if r.lane == l {
			r.tablet.Abandon()
		}
	}
}

func (l *lane) touch(r *replica) {
	if !r.dirty {
		r.dirty = true
		l.dirty = append(l.dirty, r)
	}
}

func (l *lane) handle(ev *event) {
	if ev.kind == evTick {
		for _, r := range l.node.allReplicas() {
			if r.lane == l && !r.dropped {
				r.tablet.Tick()
				l.touch(r)
			}
		}
		return
	}
	r := ev.replica
	if r.dropped {
		l.handleDropped(ev)
		return
	}
	l.touch(r)
	switch ev.kind {
	case evMessage:
		if !r.deaf {
			r.tablet.Step(ev.message)
		}
	case evPropose:
		r.tablet.Propose(ev.proposal)
	case evRead:
		r.tablet.Read(ev.read)
	case evAppendDone:
		l.syncing--
		l.synced = true
		r.tablet.AppendDone(ev.append)
	case evApplyDone:
		r.tablet.ApplyDone(ev.applied.apply, ev.applied.state, ev.applied.results)
	case evInstalled:
		l.installed(r, ev.append)
	case evDo:
		ev.do(r.tablet)
	}
}

// handleDropped handles an event of a replica whose log is being removed: raft
// must not look for entries there any more.
func (l *lane) handleDropped(ev *event) {
	switch ev.kind {
	case evAppendDone:
		l.syncing--
		l.synced = true
	case evDo:
		ev.do(ev.replica.tablet)
	default:
		ev.refuse(true)
	}
}

// endTurn performs the effects of all tablets touched in this turn. Appends
// are submitted before messages are sent: the disk is the slower of the two.
func (l *lane) endTurn() {
	busy := l.busy()
	for _, r := range l.dirty {
		r.dirty = false
		if r.dropped {
			continue
		}
		if r.tablet.Gather(busy || r.tablet.UnderWay() > 0 && !r.tablet.Hurried()) && busy {
			l.gather = append(l.gather, r)
		}
		e := r.tablet.Effects()
		r.publish()
		for _, a := range e.Appends {
			l.append(r, a)
		}
		r.staged.discard() // raft did not want it
		r.staged = nil
		for _, a := range e.Applies {
			l.applier.submit(work{replica: r, apply: a})
		}
		if len(e.Send) > 0 || len(e.Snapshots) > 0 {
			l.sends = append(l.sends, effectsOf{r, e})
		}
	}
	l.dirty = l.dirty[:0]
	if len(l.writes) > 0 {
		l.node.journal.Submit(l.writes)
		clear(l.writes)
		l.writes = l.writes[:0]
	}
	for _, s := range l.sends {
		l.send(s.replica, s.effects)
	}
	if len(l.sends) > 0 {
		l.node.transport.Flush()
	}
	clear(l.sends)
	l.sends = l.sends[:0]
}

// busy reports whether commands shall gather in this turn because the journal
// is at work: theirs would wait for it anyway, and fewer and larger entries,
// which leave for the other nodes together, cost all nodes less. A turn in which
// the journal has finished something lets commands go, however busy it is
// again; only those of a tablet whose last entry is not applied yet gather on:
// they share the next round of messages and syncs on all nodes.
func (l *lane) busy() bool {
	if l.syncing > 0 && !l.synced {
		return true
	}
	l.synced = false
	for _, r := range l.gather {
		l.touch(r)
	}
	clear(l.gather)
	l.gather = l.gather[:0]
	return false
}

type effectsOf struct {
	replica *replica
	effects tablet.Effects
}

func (l *lane) send(r *replica, e tablet.Effects) {
	for i := 0; i < len(e.Send); {
		j := i + 1
		for j < len(e.Send) && e.Send[j].GetTo() == e.Send[i].GetTo() {
			j++
		}
		l.node.transport.Send(model.NodeID(e.Send[i].GetTo()), r.id, e.Send[i:j])
		i = j
	}
	for _, m := range e.Snapshots {
		l.node.start(func() { l.node.sendSnapshot(r, m) })
	}
}

// hardState is the raft hard state to write with the next entries. A commit
// index alone is not worth a write: a restart learns it again.
type hardState struct {
	value      *pb.HardState
	term, vote uint64 // as submitted
}

// append turns a tablet's append into a write of this turn.
func (l *lane) append(r *replica, a *tablet.Append) {
	if r.installing {
		r.held = append(r.held, a)
		return
	}
	if a.Replaces != 0 && !l.node.mustKeepLost(r, a.Replaces, a.Snapshot == nil) {
		return
	}
	if a.Snapshot != nil {
		r.installing = true
		l.install(r, a)
		return
	}
	l.write(r, a, nil)
}

func (l *lane) write(r *replica, a *tablet.Append, reset *journal.LogStart) {
	if a.Hard != nil {
		r.hard.value = a.Hard
	}
	w := journal.Write{Tablet: r.id, Reset: reset, Entries: a.Entries}
	if h := r.hard.value; h != nil && (a.MustSync || h.GetTerm() != r.hard.term || h.GetVote() != r.hard.vote) {
		w.Hard = h
		r.hard = hardState{term: h.GetTerm(), vote: h.GetVote()}
	}
	if a.MustSync {
		l.syncing++
		w.Done = func() { l.post(event{kind: evAppendDone, replica: r, append: a}) }
	}
	if a.MustSync || w.Hard != nil || len(w.Entries) > 0 || reset != nil {
		l.writes = append(l.writes, w)
	}
}
