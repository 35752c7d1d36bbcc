package cluster

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"weir.dev/weir/internal/journal"
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/machine"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/tablet"
)

// replica is this node's copy of a tablet: the raft side, owned by its lane,
// and the state side, owned by the lane's applier.
type replica struct {
	id   model.TabletID
	lane *lane
	log  *journal.Log

	// Owned by the lane.
	tablet     *tablet.Tablet
	dirty      bool
	hard       hardState
	installing bool             // a snapshot is being installed:
	held       []*tablet.Append // these come after it
	deaf       bool             // takes no messages: see dropStrays
	dropped    bool             // its log is being removed: see dropReplica
	leadership leadership
	staged     *staged // a snapshot that has arrived and waits for raft to accept it

	flushed uint64 // of housekeeping: the index that is durable in the storage

	// Owned by the applier.
	machine    *machine.Machine
	state      tablet.Applied
	appliedKey []byte
	nonce      uint64

	// For everybody.
	lead    atomic.Uint64 // model.NodeID of the known leader, or 0
	leads   atomic.Bool   // this replica leads and takes proposals
	members atomic.Int64  // voters of the tablet
	applied atomic.Uint64 // model.Index
	stamp   atomic.Uint64 // model.Stamp, the newest
	fresh   atomic.Int64  // Unix ms: what was committed then is applied, as far as anybody asked
	stray   atomic.Bool   // the catalog wants it elsewhere: it may know no leader any more
	ready   atomic.Bool   // the state may be read: the replica has had its first snapshot
	won     atomic.Uint64 // elections
	refused refusals
	async   asyncCounts
	waits   waits
	heads   queueHeads
	abroad  abroad
	marks   marks
	logged  atomic.Uint64 // model.ChangeNumber of the last entry of the change log
	leaders leaderWatch
}

// openReplicas opens every tablet that the storage or the journal knows.
func (n *Node) openReplicas() error {
	applied, err := n.storedTablets()
	if err != nil {
		return err
	}
	if a, ok := applied[model.CatalogTablet]; ok && a.Index > 0 {
		m := machine.New(model.CatalogTablet, 0, 0)
		if err := m.Load(n.view); err != nil {
			return err
		}
		n.catalog.Store(m.Catalog())
	}
	ids := n.journal.Tablets()
	for id := range applied {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	for _, id := range ids {
		if _, err := n.openReplica(id, applied[id]); err != nil {
			return err
		}
	}
	return nil
}

// storedTablets reads the applied record of every tablet in the storage.
func (n *Node) storedTablets() (map[model.TabletID]tablet.Applied, error) {
	found := map[model.TabletID]tablet.Applied{}
	for next := model.TabletID(0); ; next++ {
		id, ok, err := n.nextTablet(next)
		if err != nil || !ok {
			return found, err
		}
		value, ok, err := n.view.Get(keys.Applied(id))
		if err != nil {
			return nil, err
		}
		if ok {
			var a tablet.Applied
			if err := a.Decode(value); err != nil {
				return nil, fmt.Errorf("cannot read how far tablet %v is applied: %w", id, err)
			}
			found[id] = a
		}
		next = id
	}
}

// nextTablet finds the first tablet at or after id that has private keys.
func (n *Node) nextTablet(id model.TabletID) (found model.TabletID, ok bool, err error) {
	it, err := n.view.Scan(keys.NextTabletStart(id), keys.TabletsEnd(), false)
	if err != nil {
		return 0, false, err
	}
	if it.Next() {
		found, ok = keys.SplitTablet(it.Key())
	}
	return found, ok, it.Close()
}

// openReplica opens one tablet and adds it to the node.
func (n *Node) openReplica(id model.TabletID, applied tablet.Applied) (*replica, error) {
	r := &replica{id: id, lane: n.lanes[int(id)%len(n.lanes)], log: n.journal.Log(id), state: applied, appliedKey: keys.Applied(id), nonce: n.rand.Uint64()}
	last, err := r.log.LastIndex()
	if err != nil {
		return nil, err
	}
	if uint64(applied.Index) > last {
		// A snapshot was installed and the crash came before the journal heard of
		// it: the log starts after the snapshot.
		n.journal.Submit([]journal.Write{{Tablet: id, Reset: &journal.LogStart{Index: applied.Index, Term: applied.Term}}})
	}
	t, err := tablet.Open(tablet.Config{ID: id, Node: n.opts.Node, Log: r.log, Applied: applied, Now: n.clock.Now, Nonce: r.nonce, Logger: n.log, Async: n.asyncOf(r)})
	if err != nil {
		return nil, err
	}
	r.tablet = t
	if err := r.loadMachine(n); err != nil {
		return nil, err
	}
	r.publish()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.replicas[id] = r
	return r, nil
}

// loadMachine makes the machine for the state that the storage holds.
func (r *replica) loadMachine(n *Node) error {
	r.machine = machine.New(r.id, r.state.Lo, r.state.Hi)
	r.heads.forget()
	if r.state.Index == 0 {
		return nil
	}
	if err := r.machine.Load(n.view); err != nil {
		return err
	}
	r.notePosition(n)
	r.ready.Store(true)
	return nil
}

// notePosition shows everybody how far the state is.
func (r *replica) notePosition(n *Node) {
	if c := r.machine.Catalog(); c != nil {
		n.noteCatalog(c)
	}
	if last := uint64(r.machine.LastChange()); r.logged.Swap(last) != last {
		r.waits.wake(changeLogKey)
	}
	r.applied.Store(uint64(r.state.Index))
	r.marks.reached(r.state.Index)
}

// noteCatalog shows everybody a newer catalog.
func (n *Node) noteCatalog(c *model.Catalog) {
	n.catalog.Store(c)
	n.levels.note(c)
	n.shipping.note(c)
	for _, r := range n.allReplicas() {
		t, ok := c.TabletByID(r.id)
		r.stray.Store(ok && !slices.Contains(t.Voters, n.opts.Node) && !slices.Contains(t.Learners, n.opts.Node))
	}
}

// publish shows everybody what the lane knows.
func (r *replica) publish() {
	if lead := uint64(r.tablet.Leader()); r.lead.Swap(lead) != lead {
		r.noteLeader(model.NodeID(lead))
		if lead != 0 {
			r.leaders.changed()
		}
	}
	r.stamp.Store(uint64(r.tablet.Stamp()))
	r.noteAsync()
	r.members.Store(int64(r.tablet.Voters()))
	leads := r.tablet.Leads()
	led := r.leads.Swap(leads)
	if leads && !led {
		r.won.Add(1)
	}
	if led && !leads {
		r.waits.wakeAll() // they must look for the new leader
		r.abroad.abandon(tablet.ErrUnknown)
	}
}

// member reports whether there is a replica that has its state and belongs
// here: it hears from the tablet's leader.
func (r *replica) member() bool { return r != nil && r.ready.Load() && !r.stray.Load() }

// alone reports whether this replica is the tablet's only voter.
func (r *replica) alone() bool {
	return len(r.state.Conf.Voters) == 1 && len(r.state.Conf.Outgoing) == 0
}

// leaderWatch tells those who wait for the answer of a leader that there is
// another one.
type leaderWatch struct {
	mu   sync.Mutex // guards next
	next chan struct{}
}

// change returns a channel that is closed at the next change of leader.
func (w *leaderWatch) change() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.next == nil {
		w.next = make(chan struct{})
	}
	return w.next
}

func (w *leaderWatch) changed() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.next != nil {
		close(w.next)
		w.next = nil
	}
}

// marks lets goroutines wait until the state has reached an index.
type marks struct {
	mu      sync.Mutex // guards what follows
	at      model.Index
	waiting []mark
}

type mark struct {
	index model.Index
	done  chan struct{}
}

// reached tells that the state is at index.
func (m *marks) reached(index model.Index) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.at = max(m.at, index)
	m.waiting = slices.DeleteFunc(m.waiting, func(w mark) bool {
		if w.index <= m.at {
			close(w.done)
			return true
		}
		return false
	})
}

// wait returns a channel that is closed when the state reaches index.
func (m *marks) wait(index model.Index) <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := mark{index: index, done: make(chan struct{})}
	if index <= m.at {
		close(w.done)
	} else {
		m.waiting = append(m.waiting, w)
	}
	return w.done
}
