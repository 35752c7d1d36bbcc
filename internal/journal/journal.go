// Package journal is the node's one write-ahead log, shared by the raft logs
// of all its tablets, with group commit: everything submitted while one fsync
// runs shares the next.
//
// The journal promises that a Write whose Done was called is there after any
// crash, in the order of submission, and that damage is never taken for the
// end of the log: only an unfinished last batch is cut off, a bad checksum
// anywhere else is an error that names file and offset. It must not know what
// entries mean, and must not import Pebble or raft's RawNode.
//
// Concurrency: Submit may be called from several lanes at once. A Log is used
// by the lane that owns its tablet. One goroutine of the journal writes,
// syncs, calls Done and reclaims segments.
//
// The stored form is described in docs/format/journal.md. Start with Journal
// and Write; writer.go is the way of a write to the disk, replay.go the way
// back.
package journal

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/model"
)

// Options says where and how a journal is kept.
type Options struct {
	FS  FS
	Dir string // created when missing; no other files are kept there
	// SegmentBytes is the size at which a segment is finished; 64 MiB when
	// zero. A batch larger than that still goes into one segment.
	SegmentBytes int64
	// CacheBytes bounds the durable entries kept in memory for all tablets
	// together; 32 MiB when zero. Entries on their way to the disk come on top.
	CacheBytes int64
	// BallastBytes is the size of a file that is kept only to be deleted when
	// the disk runs full, so that there is room to shut down or to delete data.
	// Zero keeps none; production uses DefaultBallastBytes.
	BallastBytes int64
	// Delay, when set, gives the time that the journal waits before each write:
	// a simulated disk's latency. It is waited for outside the file system.
	Delay func() time.Duration
	// Rand salts the segments' checksums; seeded by the system when nil.
	Rand *base.Rand
	// Fatal is called at most once, when a write or sync failed or stored
	// bytes turned out damaged. Nothing is written and no Done is called after
	// it. It should end the process; it may be called from any goroutine that
	// uses the journal, and it must not call the journal's Close.
	Fatal func(error)
}

// DefaultBallastBytes is the BallastBytes of a production node.
const DefaultBallastBytes = 64 << 20

// LogStart is the position before a log's first entry: the index and term of
// the last entry that the log no longer holds.
type LogStart struct {
	Index model.Index
	Term  model.Term
}

// Write is one durable change of one tablet's log. Its parts take effect in
// the order Remove, Reset, Entries, Hard, all or none of them after a crash.
type Write struct {
	Tablet model.TabletID
	// Remove forgets the tablet: entries, hard state, everything.
	Remove bool
	// Reset, when set, forgets all entries; the log now starts after it. It is
	// written when a snapshot was installed.
	Reset *LogStart
	// Entries are consecutive. They replace the log's suffix from the first of
	// them on. Entries at or below the log's start are ignored. Neither the
	// entries nor what they point to may be changed after Submit, and the same
	// *pb.Entry is submitted only once.
	Entries []*pb.Entry
	// Hard, when set, replaces the hard state. It is copied.
	Hard *pb.HardState
	// Done, when set, is called from the journal's goroutine when the write is
	// durable. It must not block, and must not call the journal's Close.
	Done func()
}

// DefaultSegmentBytes and DefaultCacheBytes stand for zeros in Options.
const (
	DefaultSegmentBytes = 64 << 20
	DefaultCacheBytes   = 32 << 20
)

// Journal is an open write-ahead log. Its methods are safe for use by several
// goroutines.
type Journal struct {
	opts Options

	mu      sync.Mutex // guards what follows
	arrived sync.Cond  // there is something in queue, or closing is set
	logs    map[model.TabletID]*Log
	queue   []change
	closing bool
	killed  bool
	failed  error
	metrics Metrics

	opened  time.Time
	latency base.Histogram // of writes with their syncs
	writing atomic.Int64   // when the write under way began, in nanoseconds after opened; 0: none
	full    atomic.Bool
	free    atomic.Uint64 // of the file system, as CheckSpace found it
	total   atomic.Uint64
	spaceMu sync.Mutex // guards the ballast file
	done    chan struct{}
	w       writer
}

// change is one Write, or one Compact, in the queue.
type change struct {
	log     *Log
	remove  bool
	reset   bool
	compact bool
	start   LogStart // of reset or compact
	entries []*pb.Entry
	hard    hardState
	done    func()
}

// Metrics is a picture of the journal's work since Open and of its size.
type Metrics struct {
	Batches uint64 // writes to the disk, each followed by a sync
	Writes  uint64 // of those submitted, the ones that are durable
	Entries uint64 // durable since Open, those written again included
	Bytes   uint64 // written
	// SizeBytes is what the segments hold. The room that is reserved in the
	// newest one, and Spares times SegmentBytes, come on top on disk.
	SizeBytes int64
	Segments  int
	Spares    int
	// OldestNeeded is the sequence number of the oldest segment that some
	// tablet needs; Newest is the one being written.
	OldestNeeded, Newest uint64
	// CachedBytes is the size of the durable entries in memory.
	CachedBytes int64
	Queued      int // changes that wait to be written
}

// Open opens or creates the journal in o.Dir and replays it. It fails with a
// *Damage when stored bytes are damaged anywhere but in a last batch that was
// never finished, and with an error that says so when the files are of a
// version it cannot read.
func Open(o Options) (*Journal, error) {
	if o.SegmentBytes == 0 {
		o.SegmentBytes = DefaultSegmentBytes
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = DefaultCacheBytes
	}
	if o.Rand == nil {
		o.Rand = base.NewSystemRand()
	}
	base.Check(o.SegmentBytes <= maxSegmentBytes, "segments of %d bytes", o.SegmentBytes)
	j := &Journal{opts: o, opened: time.Now(), logs: map[model.TabletID]*Log{}, done: make(chan struct{})}
	j.arrived.L = &j.mu
	j.w.journal = j
	if err := j.w.open(); err != nil {
		j.w.closeFiles()
		return nil, fmt.Errorf("cannot open the journal in %s: %w", o.Dir, err)
	}
	j.CheckSpace()
	go j.w.run()
	return j, nil
}

// Log returns the tablet's log: an empty one when the journal holds none.
func (j *Journal) Log(id model.TabletID) *Log {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.log(id)
}

func (j *Journal) log(id model.TabletID) *Log {
	l := j.logs[id]
	if l == nil {
		l = &Log{journal: j, tablet: id}
		j.logs[id] = l
	}
	return l
}

// Tablets lists the tablets that the journal holds, ascending.
func (j *Journal) Tablets() []model.TabletID {
	j.mu.Lock()
	defer j.mu.Unlock()
	var ids []model.TabletID
	for id, l := range j.logs {
		l.mu.Lock()
		if l.known {
			ids = append(ids, id)
		}
		l.mu.Unlock()
	}
	slices.Sort(ids)
	return ids
}

// Submit queues changes and returns; it never waits for the disk. The tablets'
// logs show the changes at once. They become durable in the order of
// submission, those of one call not necessarily together. The slice ws may be
// used again after the call.
//
// The queue is bounded by those who submit: raft limits the entries that are
// not committed yet. After Close, Kill or a failure nothing is written and no
// Done is called.
func (j *Journal) Submit(ws []Write) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i := range ws {
		j.push(j.log(ws[i].Tablet).submit(&ws[i]))
	}
	j.arrived.Signal()
}

func (j *Journal) push(c change) {
	if j.failed == nil && !j.closing {
		j.queue = append(j.queue, c)
	}
}

// submit shows a write in the log and returns it as a change to be written.
func (l *Log) submit(w *Write) change {
	c := change{log: l, remove: w.Remove, done: w.Done}
	l.mu.Lock()
	defer l.mu.Unlock()
	if w.Remove {
		l.clear(LogStart{})
		l.known, l.hard = false, hardState{}
	}
	if w.Reset != nil {
		c.reset, c.start = true, *w.Reset
		l.clear(c.start)
	}
	if len(w.Entries) > 0 {
		c.entries = l.append(w.Entries)
	}
	if w.Hard != nil {
		c.hard = hardOf(w.Hard)
		l.hard = c.hard
	}
	l.known = l.known || c.reset || len(c.entries) > 0 || c.hard.set
	l.pending++
	return c
}

// Compact lets go of the tablet's entries up to and including index; those
// that the log does not hold are no error. It does not wait for the disk.
func (j *Journal) Compact(id model.TabletID, index model.Index) {
	j.mu.Lock()
	defer j.mu.Unlock()
	l := j.log(id)
	l.mu.Lock()
	start, ok := l.compact(uint64(index))
	if ok {
		l.pending++
	}
	l.mu.Unlock()
	if ok {
		j.push(change{log: l, compact: true, start: start})
		j.arrived.Signal()
	}
}

// Metrics returns the journal's counters.
func (j *Journal) Metrics() Metrics {
	j.mu.Lock()
	defer j.mu.Unlock()
	m := j.metrics
	m.Queued = len(j.queue)
	return m
}

// Close writes what was submitted, calls its Done, seals the last segment and
// waits for the journal's goroutine. It returns the error that the journal
// failed with, if it did. Closing twice is harmless.
func (j *Journal) Close() error { return j.stop(false) }

// Kill ends the journal as a crash would: what waits in the queue is neither
// written nor done.
func (j *Journal) Kill() { _ = j.stop(true) }

func (j *Journal) stop(kill bool) error {
	j.mu.Lock()
	j.closing = true
	j.killed = j.killed || kill
	j.arrived.Broadcast()
	j.mu.Unlock()
	<-j.done
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.failed
}

// fail notes that the journal can no longer be trusted and tells the owner.
func (j *Journal) fail(err error) {
	j.mu.Lock()
	first := j.failed == nil
	if first {
		j.failed, j.queue = err, nil
		j.arrived.Broadcast()
	}
	j.mu.Unlock()
	if first && j.opts.Fatal != nil {
		j.opts.Fatal(err)
	}
}
