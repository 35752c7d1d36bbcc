// Package cluster is the node: it hosts tablets on lanes, finds the tablet
// and the leader of every command and query, forwards what belongs elsewhere,
// grows the cluster and keeps the catalog at hand.
//
// It must not know what commands mean (package machine does) or any client's
// protocol. Node's methods may be called from any goroutine.
//
// A command's way: Propose (propose.go) picks the tablet and its leader; on
// the leader's node the tablet's lane (lane.go) proposes it, journals it and
// sends it to the followers; the lane's applier (applier.go) applies it and
// the result goes back to Propose. Reads are in read.go, waiting for messages
// in wait.go, what one node asks of another in call.go, snapshots in
// snapshot.go, who holds which tablet in placement.go.
package cluster

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/journal"
	"weir.dev/weir/internal/lost"
	"weir.dev/weir/internal/machine"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/storage"
	"weir.dev/weir/internal/tablet"
	"weir.dev/weir/internal/transport"
)

// Options say what a Node runs on. The journal and the storage stay the
// caller's to close, after the node.
type Options struct {
	Node      model.NodeID
	ClusterID string
	Seeds     []model.Node // members to begin with, while the catalog is not here yet
	Storage   *storage.DB
	Journal   *journal.Journal
	// Transport makes the node's transport, which calls the handler from then on.
	Transport func(transport.Handler) (transport.Transport, error)
	Clock     base.Clock
	Rand      *base.Rand
	Logger    *slog.Logger
	Lanes     int // event loops; about one per core
	// LogBudgetBytes is the size of the journal beyond which entries are dropped
	// that a slow follower would still need; it then gets a snapshot.
	LogBudgetBytes int64
	// CutBytes is how much is written to the journal before the storage is
	// flushed and the journal cut, unless so little is written that time does it:
	// what a restart may have to apply again. 0: at every round of housekeeping.
	CutBytes uint64
	// HousekeepingEvery is the period of flushes, truncation and placement.
	HousekeepingEvery time.Duration
	// OnApply, when set, sees every command applied on this node, in order.
	OnApply func(model.TabletID, machine.Position, *model.Command, machine.Outcome)
	// KeepLost keeps writes that were answered at level async and are lost, and says
	// where; they are durable when it returns. nil: they are only counted.
	KeepLost func([]lost.Write) (where string, err error)
	// Fatal is called once when the node cannot go on: a disk failed, or stored
	// bytes are damaged. It should end the process.
	Fatal func(error)
}

// Node is one running member of a cluster.
type Node struct {
	opts      Options
	db        *storage.DB
	journal   *journal.Journal
	view      machine.Reader
	transport transport.Transport
	clock     base.Clock
	rand      *base.Rand
	log       *slog.Logger
	lanes     []*lane
	catalog   atomic.Pointer[model.Catalog]
	startedMs int64 // Unix milliseconds

	buried burials

	mu       sync.RWMutex // guards replicas and closed
	replicas map[model.TabletID]*replica
	closed   bool

	opening    sync.Mutex // held while a replica is made
	fatalOnce  sync.Once
	leads      hearsay
	presence   presence
	story      story
	shipments  shipments
	levels     levels
	shipping   shipping
	regions    atomic.Pointer[Regions]
	visits     visits
	waitNumber atomic.Uint64 // of the last wait at another node

	opened   chan struct{}  // closed when Open is done
	stopping chan struct{}  // closed when Close begins
	tasks    sync.WaitGroup // everything the node started
}

// Open starts the node on what its journal and storage hold. A new cluster's
// first node writes its Genesis before.
func Open(opts Options) (*Node, error) {
	n := &Node{
		opts: opts, db: opts.Storage, journal: opts.Journal, view: opts.Storage.View(),
		clock: opts.Clock, rand: opts.Rand, log: opts.Logger,
		startedMs: opts.Clock.Now().UnixMilli(), replicas: map[model.TabletID]*replica{}, opened: make(chan struct{}), stopping: make(chan struct{}),
	}
	n.catalog.Store(&model.Catalog{ClusterID: opts.ClusterID, Nodes: opts.Seeds})
	for i := range opts.Lanes {
		n.lanes = append(n.lanes, newLane(n, i))
	}
	if err := n.openReplicas(); err != nil {
		return nil, err
	}
	t, err := opts.Transport((*handler)(n))
	if err != nil {
		return nil, fmt.Errorf("cannot start the transport: %w", err)
	}
	n.transport = t
	close(n.opened)
	for _, l := range n.lanes {
		n.start(l.run)
		n.start(l.applier.loop)
	}
	for _, r := range n.allReplicas() {
		if r.alone() {
			r.lane.do(r, (*tablet.Tablet).Campaign)
		}
	}
	n.start(n.tick)
	n.start(n.keepJournal)
	n.start(n.keepPlaces)
	return n, nil
}

// start runs f on a goroutine that Close waits for.
func (n *Node) start(f func()) {
	n.tasks.Go(f)
}

// resignTime bounds how long a node that stops waits for others to take over.
const resignTime = time.Second

// Resign hands the tablets led here to other nodes, as far as there are any
// that can take them, so that stopping this node interrupts nobody.
func (n *Node) Resign() {
	for _, r := range n.allReplicas() {
		r.lane.do(r, func(t *tablet.Tablet) { t.Resign() })
	}
	for end := n.clock.Now().Add(resignTime); n.clock.Now().Before(end); {
		alone := true
		for _, r := range n.allReplicas() {
			alone = alone && (!r.leads.Load() || r.members.Load() < 2)
		}
		if alone || !n.sleep(10*time.Millisecond) {
			return
		}
	}
}

// Close stops the node: open requests fail as unknown or unavailable. It does
// not flush; the journal holds everything.
func (n *Node) Close() error {
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return nil
	}
	n.closed = true
	n.mu.Unlock()
	close(n.stopping)
	err := n.transport.Close()
	for _, r := range n.allReplicas() {
		r.waits.wakeAll()
		r.abroad.abandon(tablet.ErrUnknown)
	}
	for _, l := range n.lanes {
		l.stop()
	}
	n.tasks.Wait()
	return err
}

func (n *Node) isClosed() bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.closed
}

// fatal ends the node: state on disk and in memory may disagree from here on.
func (n *Node) fatal(err error) {
	n.fatalOnce.Do(func() { n.opts.Fatal(err) })
}

// ID is the node's id.
func (n *Node) ID() model.NodeID { return n.opts.Node }

// Catalog implements service.Cluster.
func (n *Node) Catalog() *model.Catalog { return n.catalog.Load() }

// Member reports whether a node is a member as far as this node knows.
func (n *Node) Member(id model.NodeID) bool {
	_, ok := n.Address(id)
	return ok
}

// Address is the peer address of a member.
func (n *Node) Address(id model.NodeID) (string, bool) {
	if m, ok := n.Catalog().Node(id); ok {
		return m.PeerAddr, true
	}
	return "", false
}

func (n *Node) replica(id model.TabletID) *replica {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.replicas[id]
}

// allReplicas returns the node's replicas by tablet id.
func (n *Node) allReplicas() []*replica {
	n.mu.RLock()
	defer n.mu.RUnlock()
	rs := make([]*replica, 0, len(n.replicas))
	for _, r := range n.replicas {
		rs = append(rs, r)
	}
	slices.SortFunc(rs, func(a, b *replica) int { return int(a.id) - int(b.id) })
	return rs
}

// tick drives the clocks of all tablets. The jitter of sleep keeps nodes that
// started together from campaigning together.
func (n *Node) tick() {
	for n.sleep(tablet.TickInterval) {
		for _, l := range n.lanes {
			l.post(event{kind: evTick})
		}
	}
}

// sleep waits for d and a little; false when the node is stopping.
func (n *Node) sleep(d time.Duration) bool {
	done := make(chan struct{})
	t := n.clock.AfterFunc(d+n.jitter(), func() { close(done) })
	select {
	case <-done:
		return true
	case <-n.stopping:
		t.Stop()
		return false
	}
}
