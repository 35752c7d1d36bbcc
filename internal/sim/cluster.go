package sim

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/cluster"
	"weir.dev/weir/internal/journal"
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/pipe"
	"weir.dev/weir/internal/region"
	"weir.dev/weir/internal/service"
	"weir.dev/weir/internal/storage"
	"weir.dev/weir/internal/stream"
	"weir.dev/weir/internal/transport"
)

// world is a whole cluster in one process: its nodes, the network between
// them, and their disks.
type world struct {
	seed   uint64
	rng    *rand.Rand // of the nemesis
	net    *network
	watch  *asserter
	cfg    Config
	lastID model.NodeID // of the node that was made last
	// leaving is the node that was asked last to leave; nil before the first.
	leaving *machineRoom
	id      string // of the cluster
	wan     *wan   // to other regions; nil when there are none
	began   time.Time
	epoch   time.Duration // how far all clocks are ahead of the run's
	async   *async

	mu    sync.Mutex // guards what follows
	nodes []*machineRoom
	fatal []string
}

// machineRoom is a place for one node: a disk that survives crashes, and the
// node while it runs.
type machineRoom struct {
	id   model.NodeID
	disk *storage.CrashableFS
	skew time.Duration
	slow time.Duration // added to every write of the journal, at most
	seed uint64        // of the next run
	live *liveNode     // nil while down
}

// liveNode is a node from its start to its crash.
type liveNode struct {
	room    *machineRoom
	node    *cluster.Node
	service *service.Service
	pipes   *pipe.Engine
	regions *region.Engine // nil when there are no other regions
	streams *stream.Engine
	db      *storage.DB
	journal *journal.Journal
}

// journalSegment is small, so that journals are cut in the middle of a run.
const journalSegment = 64 << 10

const clusterID = "00000000000000000000000000000001"

func newWorld(seed uint64, cfg Config) *world {
	rng := rand.New(rand.NewPCG(seed, 2))
	f := faults{losePercent: rng.IntN(6), duplicatePercent: rng.IntN(4), maxDelay: time.Duration(1+rng.IntN(30)) * time.Millisecond}
	if cfg.Calm {
		f = faults{maxDelay: 2 * time.Millisecond}
	}
	w := &world{seed: seed, rng: rng, net: newNetwork(seed, f), watch: newAsserter(), cfg: cfg, id: clusterID}
	w.async = &async{w: w, kept: map[string]bool{}}
	w.newRoom()
	return w
}

// boot starts the node in a room from what its disk holds. A panic of the
// engine while it starts is a failure like any other.
func (w *world) boot(room *machineRoom) (err error) {
	live := &liveNode{room: room}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("node %v panics at its start: %v", room.id, p)
		}
		if err != nil {
			err = errors.Join(err, live.close())
		}
	}()
	return w.start(live)
}

func (w *world) start(live *liveNode) (err error) {
	room := live.room
	room.seed++
	random := base.NewRand(room.seed)
	delays := rand.New(rand.NewPCG(room.seed, 3))
	clock := base.SystemClock{Offset: room.skew}
	fatal := func(err error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.fatal = append(w.fatal, fmt.Sprintf("node %v: %v", room.id, err))
	}
	// The memtable never fills: Pebble's skiplists are random, and when one is
	// full would differ from run to run. Housekeeping flushes all the same.
	live.db, err = storage.Open(storage.Options{FS: room.disk, Dir: "storage", CacheBytes: 1 << 20, MemTableBytes: 8 << 20, Sequence: keys.Sequence, SequenceBytes: 512, CheckNew: true, Fatal: fatal})
	if err != nil {
		return err
	}
	live.journal, err = journal.Open(journal.Options{
		FS: room.disk, Dir: "journal", SegmentBytes: journalSegment, CacheBytes: journalSegment, Rand: random, Fatal: fatal,
		Delay: func() time.Duration {
			return 50*time.Microsecond + time.Duration(delays.Int64N(int64(time.Millisecond)+int64(w.slowness(room))))
		},
	})
	if err != nil {
		return err
	}
	if room.id == 1 {
		if err := cluster.Genesis(live.db, live.journal, w.id, w.memberOf(room), w.cfg.Tablets); err != nil {
			return err
		}
	}
	watch := w.watch.newRun(room.id)
	live.node, err = cluster.Open(cluster.Options{
		Node: room.id, ClusterID: w.id, Seeds: []model.Node{{ID: 1, PeerAddr: "node1:4590"}}, Storage: live.db, Journal: live.journal,
		Transport: func(h transport.Handler) (transport.Transport, error) { return w.net.attach(room.id, h), nil },
		Clock:     clock, Rand: random, Logger: w.logger(room), Lanes: 1,
		LogBudgetBytes: 128 << 10, HousekeepingEvery: 700*time.Millisecond + time.Duration(random.IntN(int(time.Millisecond))),
		OnApply: watch.onApply, KeepLost: w.async.keep, Fatal: fatal,
	})
	if err != nil {
		return err
	}
	live.service = service.New(live.node, clock, random)
	live.pipes = pipe.NewEngine(live.node, live.service, clock, random, w.logger(room))
	if w.wan != nil {
		live.regions = region.NewEngine(region.Options{
			Cluster: live.node, Service: live.service, Clock: clock, Rand: random, Logger: w.logger(room),
			Dialer: w.wan.dialer(w), Node: live.node,
		})
		live.node.SetRegions(live.regions)
	}
	live.streams = stream.NewEngine(live.service, clock, random, w.logger(room))
	w.mu.Lock()
	defer w.mu.Unlock()
	room.live = live
	return nil
}

// crash takes a node down as a power cut does: what was not synced is lost,
// but for keepPercent of it.
func (w *world) crash(room *machineRoom, keepPercent int) error {
	w.mu.Lock()
	live := room.live
	room.live = nil
	w.mu.Unlock()
	if live == nil {
		return nil
	}
	disk := room.disk.CrashClone(keepPercent, w.rng)
	w.mu.Lock()
	room.disk = disk
	w.mu.Unlock()
	return live.close()
}

// close ends the goroutines of a node whose disk nobody reads any more.
func (l *liveNode) close() error {
	var errs []error
	if l.regions != nil {
		l.regions.Close()
	}
	if l.pipes != nil {
		l.pipes.Close()
		l.streams.Close()
	}
	if l.node != nil {
		errs = append(errs, l.node.Close())
	}
	if l.journal != nil {
		errs = append(errs, l.journal.Close())
	}
	if l.db != nil {
		errs = append(errs, l.db.Close())
	}
	return errors.Join(errs...)
}

func (w *world) slowness(room *machineRoom) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return room.slow
}

// up returns the nodes that run.
func (w *world) up() []*liveNode {
	w.mu.Lock()
	defer w.mu.Unlock()
	var live []*liveNode
	for _, room := range w.nodes {
		if room.live != nil {
			live = append(live, room.live)
		}
	}
	return live
}

func (w *world) logger(room *machineRoom) *slog.Logger {
	out := io.Discard
	if w.cfg.Log != nil {
		out = w.cfg.Log
	}
	return slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug})).With("node", uint64(room.id))
}
