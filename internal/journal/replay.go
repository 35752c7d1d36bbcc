package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"weir.dev/weir/internal/model"
)

// open finds the segments, rebuilds the tablets' logs from them, ends the last
// one durably and begins a new one: nothing is ever written behind a torn
// batch, and what is left of one is never read again.
func (w *writer) open() error {
	o := &w.journal.opts
	if err := o.FS.MkdirAll(o.Dir); err != nil {
		return err
	}
	// The directory's own name is made durable, if this process may do that.
	if err := o.FS.SyncDir(path.Dir(path.Clean(o.Dir))); err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	seqs, spares, err := listSegments(o.FS, o.Dir)
	if err != nil {
		return err
	}
	if err := w.keepSpares(spares); err != nil {
		return err
	}
	w.nextSeq, w.nextBatch = 1, 1
	if len(seqs) > 0 {
		if err := w.replay(seqs); err != nil {
			return err
		}
	}
	if err := w.begin(); err != nil {
		return err
	}
	if err := w.free(); err != nil {
		return err
	}
	if err := w.moveIdle(); err != nil {
		return err
	}
	w.report()
	return nil
}

// listSegments lists the sequence numbers of the segments in dir, which follow
// each other without a gap, and the spare files.
func listSegments(f FS, dir string) (seqs []uint64, spares []string, err error) {
	names, err := f.List(dir)
	if err != nil {
		return nil, nil, err
	}
	slices.Sort(names)
	for _, name := range names {
		if seq, ok := segmentSeq(name); ok {
			seqs = append(seqs, seq)
		} else if strings.HasPrefix(name, sparePrefix) {
			spares = append(spares, name)
		}
	}
	for i, seq := range seqs {
		if want := seqs[0] + uint64(i); seq != want {
			return nil, nil, &Damage{File: segmentName(want), What: "the file is missing"}
		}
	}
	return seqs, spares, nil
}

func (w *writer) keepSpares(names []string) error {
	for _, name := range names {
		size, err := w.journal.opts.FS.Size(w.path(name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if want := w.journal.opts.SegmentBytes; len(w.spares) < maxSpares && size >= want/2 && size <= 2*want {
			w.spares = append(w.spares, name)
		} else if err := w.journal.opts.FS.Remove(w.path(name)); err != nil {
			return err
		}
	}
	return nil
}

// replay reads the segments and leaves the last one sealed.
func (w *writer) replay(seqs []uint64) error {
	o := &w.journal.opts
	r := &replayer{tablets: map[model.TabletID]*replayed{}}
	var end segmentEnd
	var buf []byte
	for i, seq := range seqs {
		s := &segment{seq: seq, name: segmentName(seq)}
		var err error
		if buf, err = readFile(o.FS, w.path(s.name), buf); err != nil {
			return err
		}
		r.segment = s
		if end, err = scanSegment(s, buf, i == len(seqs)-1, r.nextBatch, r); err != nil {
			return err
		}
		r.nextBatch = end.nextBatch
		if s.file, err = o.FS.OpenReadWrite(w.path(s.name)); err != nil {
			return err
		}
		s.size = int64(len(buf))
		s.written.Store(end.offset)
		w.segments = append(w.segments, s)
	}
	w.tail = w.segments[len(w.segments)-1]
	w.nextSeq, w.nextBatch = w.tail.seq+1, r.nextBatch
	if err := r.finish(w); err != nil {
		return err
	}
	if !end.sealed {
		return w.seal()
	}
	return nil
}

// replayer rebuilds the tablets' logs from records.
type replayer struct {
	tablets   map[model.TabletID]*replayed
	segment   *segment
	nextBatch uint64
	started   bool
}

// replayed is a tablet's log in the making. When the oldest segments are gone,
// the entries from state.start+1 up to first-1 may be missing at first: a
// later record replaces or compacts them, or finish complains.
type replayed struct {
	onDisk
	first uint64 // index of slots[0]
	slots []slot
}

func (r *replayer) beginBatch(batchInfo, int64) error { return nil }

// visit takes one record of a checkpoint or of changes.
func (r *replayer) visit(kind batchKind, rec *record, off int64, size int) error {
	if kind == batchCheckpoint {
		return r.checkpoint(rec)
	}
	t := r.tablets[rec.tablet]
	if rec.kind == recordRemove {
		delete(r.tablets, rec.tablet)
		return nil
	}
	if t == nil {
		if rec.kind == recordCompact {
			return fmt.Errorf("tablet %v is compacted, which has no log", rec.tablet)
		}
		t = &replayed{}
		r.tablets[rec.tablet] = t
	}
	switch rec.kind {
	case recordHard:
		t.state.hard = rec.state.hard
	case recordReset:
		t.reset(rec.start)
		t.slots = nil
	case recordCompact:
		return t.cut(rec.start)
	case recordEntry:
		return t.add(r.segment, rec, off, size)
	default:
		return fmt.Errorf("a record of kind %d among changes", rec.kind)
	}
	return nil
}

// checkpoint takes a tablet's state from the first segment, and compares it
// with what was replayed in all others.
func (r *replayer) checkpoint(rec *record) error {
	if rec.kind != recordState {
		return fmt.Errorf("a record of kind %d in a checkpoint", rec.kind)
	}
	t := r.tablets[rec.tablet]
	if !r.started && t == nil {
		r.tablets[rec.tablet] = &replayed{onDisk: onDisk{state: rec.state}}
		return nil
	}
	if t == nil || t.state != rec.state {
		return fmt.Errorf("the checkpoint of tablet %v does not follow from what is before it", rec.tablet)
	}
	return nil
}

// endCheckpoint is called after the n records of a checkpoint.
func (r *replayer) endCheckpoint(n int) error {
	if n != len(r.tablets) {
		return fmt.Errorf("a checkpoint holds %d tablets instead of %d", n, len(r.tablets))
	}
	r.started = true
	return nil
}

func (t *replayed) add(seg *segment, rec *record, off int64, size int) error {
	if rec.index > t.state.last+1 {
		return fmt.Errorf("entry %d of tablet %v follows entry %d", rec.index, rec.tablet, t.state.last)
	}
	if rec.index <= uint64(t.state.start.Index) {
		return nil
	}
	if len(t.slots) == 0 || rec.index <= t.first {
		t.slots, t.first = t.slots[:0], rec.index
	}
	t.slots = append(t.slots[:rec.index-t.first], slot{segment: seg, term: rec.term, off: uint32(off), size: uint32(size)})
	t.append(seg, rec.index, rec.index)
	return nil
}

func (t *replayed) cut(s LogStart) error {
	if uint64(s.Index) > t.state.last {
		return fmt.Errorf("a log that ends at %d is compacted to %d", t.state.last, s.Index)
	}
	if n := len(t.slots); n > 0 && uint64(s.Index) >= t.first {
		drop := min(uint64(n), uint64(s.Index)-t.first+1)
		t.slots, t.first = t.slots[drop:], t.first+drop
	}
	t.compact(s)
	return nil
}

// finish hands the logs over, if they are complete.
func (r *replayer) finish(w *writer) error {
	ids := make([]model.TabletID, 0, len(r.tablets))
	for id := range r.tablets {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		t := r.tablets[id]
		start := uint64(t.state.start.Index)
		if have := uint64(len(t.slots)); have != t.state.last-start || have > 0 && t.first != start+1 {
			return &Damage{File: w.segments[0].name, What: fmt.Sprintf("the log of tablet %v lacks entries between %d and %d", id, start+1, t.state.last)}
		}
		t.known = true
		l := w.journal.log(id)
		l.adopt(t.slots, t.onDisk)
		w.known = append(w.known, l)
	}
	return nil
}
