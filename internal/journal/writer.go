package journal

import (
	"path"
	"runtime"
	"slices"
	"sort"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	"weir.dev/weir/internal/model"
)

// writer is the part of the journal that its goroutine owns: the segments and
// what they hold.
type writer struct {
	journal   *Journal
	segments  []*segment // ascending; the last is the tail
	tail      *segment
	spares    []string // names of files to be written again
	nextSeq   uint64
	nextBatch uint64
	known     []*Log // those with something on disk, by tablet

	buf    []byte   // of the batch being built
	queue  []change // taken from the journal
	placed []placement
	cache  cache

	batches, bytes, writes, entries uint64
}

// onDisk is what the segments hold of a tablet. It lags behind the Log, which
// shows what was submitted.
type onDisk struct {
	state state
	known bool
	// runs tells where the entries above state.start are: those from a run's
	// first on, up to the next run's, are in its segment. Segments ascend.
	runs []run
}

type run struct {
	segment *segment
	first   uint64
}

// placement is where an entry goes in the batch being built.
type placement struct {
	entry     *pb.Entry
	index     uint64
	off, size uint32
}

// run is the journal's goroutine.
func (w *writer) run() {
	j := w.journal
	defer close(j.done)
	defer w.closeFiles()
	for {
		queue, ok := w.take()
		if !ok {
			break
		}
		if j.opts.Delay != nil {
			time.Sleep(j.opts.Delay())
			if j.stopped() {
				return
			}
		}
		for len(queue) > 0 {
			n := batchOf(queue)
			if err := w.commit(queue[:n]); err != nil {
				j.fail(err)
				return
			}
			queue = queue[n:]
		}
	}
	if j.stopped() {
		return
	}
	if err := w.seal(); err != nil {
		j.fail(err)
	}
}

// stopped reports that nothing may be written any more.
func (j *Journal) stopped() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.killed || j.failed != nil
}

// take waits for changes; false means that the journal ends.
func (w *writer) take() ([]change, bool) {
	j := w.journal
	j.mu.Lock()
	defer j.mu.Unlock()
	for len(j.queue) == 0 && !j.closing && j.failed == nil {
		j.arrived.Wait()
		// Whoever else is about to submit goes first and shares the sync.
		j.mu.Unlock()
		runtime.Gosched()
		j.mu.Lock()
	}
	if j.killed || j.failed != nil || len(j.queue) == 0 {
		return nil, false
	}
	clear(w.queue)
	j.queue, w.queue = w.queue[:0], j.queue
	return w.queue, true
}

// batchOf is how many changes of the queue go into the next batch.
func batchOf(queue []change) int {
	total := 0
	for i := range queue {
		total += queue[i].size()
		if total > maxBatchBytes && i > 0 {
			return i
		}
	}
	return len(queue)
}

// size is at least what the change takes in a batch.
func (c *change) size() int {
	const fixed = recordHeader + 1 + 4*10 + 1
	n := 4 * fixed
	for _, e := range c.entries {
		n += fixed + len(e.GetData())
	}
	return n
}

// commit writes changes as one batch and tells their owners. After an error
// the journal is dead: what is on disk is unknown until it is opened again.
func (w *writer) commit(changes []change) error {
	if err := w.makeRoom(changes); err != nil {
		return err
	}
	w.encode(changes)
	if err := w.put(w.tail, w.buf); err != nil {
		return err
	}
	w.nextBatch++
	released := w.publish(changes)
	w.writes += uint64(len(changes))
	w.entries += uint64(len(w.placed))
	if released {
		if err := w.free(); err != nil {
			return err
		}
	}
	w.report()
	for i := range changes {
		if changes[i].done != nil {
			changes[i].done()
		}
	}
	return nil
}

// makeRoom goes to the next segment when the changes do not fit into this one.
func (w *writer) makeRoom(changes []change) error {
	n := int64(2 * batchHeader)
	for i := range changes {
		n += int64(changes[i].size())
	}
	w.buf = slices.Grow(w.buf[:0], int(n))
	if at := w.tail.written.Load(); at+n <= w.journal.opts.SegmentBytes || w.tailEmpty() {
		return nil
	}
	if err := w.rotate(); err != nil {
		return err
	}
	if err := w.free(); err != nil {
		return err
	}
	return w.moveIdle()
}

// tailEmpty reports that the tail holds nothing but its checkpoint.
func (w *writer) tailEmpty() bool { return w.tail.firstBatch == w.nextBatch }

// encode builds the batch in w.buf and keeps w.known and the tablets' onDisk
// in step with it.
func (w *writer) encode(changes []change) {
	w.placed = w.placed[:0]
	buf := append(w.buf[:0], make([]byte, batchHeader)...)
	base, seed, records := w.tail.written.Load(), w.tail.seed, 0
	for i := range changes {
		c := &changes[i]
		id, disk := c.log.tablet, &c.log.disk
		if c.remove {
			buf = appendRemove(buf, seed, id)
			records++
			w.forget(c.log)
		}
		if c.reset {
			buf = appendStart(buf, seed, recordReset, id, c.start)
			records++
			disk.reset(c.start)
		}
		if c.compact {
			buf = appendStart(buf, seed, recordCompact, id, c.start)
			records++
			disk.compact(c.start)
		}
		for _, e := range c.entries {
			at := len(buf)
			buf = appendEntry(buf, seed, id, e)
			w.placed = append(w.placed, placement{entry: e, index: e.GetIndex(), off: uint32(base + int64(at)), size: uint32(len(buf) - at)})
		}
		if n := len(c.entries); n > 0 {
			records += n
			disk.append(w.tail, c.entries[0].GetIndex(), c.entries[n-1].GetIndex())
		}
		if c.hard.set {
			buf = appendHard(buf, seed, id, c.hard)
			records++
			disk.state.hard = c.hard
		}
		if c.reset || len(c.entries) > 0 || c.hard.set {
			w.learn(c.log)
		}
	}
	putBatchHeader(buf, seed, batchChanges, w.nextBatch, records)
	w.buf = buf
}

// publish notes in the logs where their entries are. It reports whether an
// older segment may have become free.
func (w *writer) publish(changes []change) (released bool) {
	placed := w.placed
	for i := range changes {
		c := &changes[i]
		mine := placed[:len(c.entries)]
		placed = placed[len(mine):]
		c.log.mu.Lock()
		c.log.pending--
		for _, p := range mine {
			c.log.locate(p.index, p.entry, w.tail, p.off, p.size)
		}
		c.log.mu.Unlock()
		for _, p := range mine {
			w.cache.add(c.log, p)
		}
		released = released || c.remove || c.reset || c.compact
	}
	w.cache.shrink(w.journal.opts.CacheBytes)
	return released && len(w.segments) > 1
}

// learn adds a tablet to those with something on disk.
func (w *writer) learn(l *Log) {
	if l.disk.known {
		return
	}
	l.disk.known = true
	i := w.find(l.tablet)
	w.known = slices.Insert(w.known, i, l)
}

// forget removes a tablet from them.
func (w *writer) forget(l *Log) {
	if l.disk.known {
		i := w.find(l.tablet)
		w.known = slices.Delete(w.known, i, i+1)
	}
	l.disk = onDisk{}
}

func (w *writer) find(id model.TabletID) int {
	return sort.Search(len(w.known), func(i int) bool { return w.known[i].tablet >= id })
}

func (d *onDisk) reset(s LogStart) {
	d.state.start, d.state.last, d.runs = s, uint64(s.Index), nil
}

func (d *onDisk) compact(s LogStart) {
	d.state.start = s
	for len(d.runs) > 1 && d.runs[1].first <= uint64(s.Index)+1 {
		d.runs = d.runs[1:]
	}
	if d.state.last <= uint64(s.Index) {
		d.state.last, d.runs = uint64(s.Index), nil
	}
}

func (d *onDisk) append(seg *segment, first, last uint64) {
	for len(d.runs) > 0 && d.runs[len(d.runs)-1].first >= first {
		d.runs = d.runs[:len(d.runs)-1]
	}
	if len(d.runs) == 0 || d.runs[len(d.runs)-1].segment != seg {
		d.runs = append(d.runs, run{segment: seg, first: first})
	}
	d.state.last = last
}

// report publishes the counters.
func (w *writer) report() {
	j := w.journal
	m := Metrics{
		Batches: w.batches, Writes: w.writes, Entries: w.entries, Bytes: w.bytes,
		Segments: len(w.segments), Spares: len(w.spares),
		OldestNeeded: w.oldestNeeded(), Newest: w.tail.seq, CachedBytes: w.cache.bytes,
	}
	for _, s := range w.segments {
		m.SizeBytes += s.written.Load()
	}
	j.mu.Lock()
	j.metrics = m
	j.mu.Unlock()
}

func (w *writer) closeFiles() {
	for _, s := range w.segments {
		_ = s.file.Close()
	}
}

// path is the name of a file of the journal for the file system.
func (w *writer) path(name string) string { return path.Join(w.journal.opts.Dir, name) }
