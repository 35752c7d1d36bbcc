package journal

import (
	"fmt"
)

// oldestNeeded is the sequence number of the oldest segment that holds an
// entry which some tablet needs. What else segments hold is in the checkpoint
// of the one after them.
func (w *writer) oldestNeeded() uint64 {
	oldest := w.tail.seq
	for _, l := range w.known {
		if runs := l.disk.runs; len(runs) > 0 {
			oldest = min(oldest, runs[0].segment.seq)
		}
	}
	return oldest
}

// free gives up the segments that nobody needs, oldest first. Each is durably
// gone before the next goes: the segments that are left have no gap.
func (w *writer) free() error {
	oldest := w.oldestNeeded()
	for len(w.segments) > 1 && w.segments[0].seq < oldest && w.segments[0].pins.Load() == 0 {
		s := w.segments[0]
		w.segments = w.segments[1:]
		if err := s.file.Close(); err != nil {
			return fmt.Errorf("cannot close journal file %s: %w", s.name, err)
		}
		if err := w.giveUp(s); err != nil {
			return err
		}
		if err := w.journal.opts.FS.SyncDir(w.journal.opts.Dir); err != nil {
			return fmt.Errorf("cannot sync the journal's directory: %w", err)
		}
	}
	return nil
}

// giveUp keeps the segment's file as a spare, or removes it.
func (w *writer) giveUp(s *segment) error {
	fs, size := w.journal.opts.FS, w.journal.opts.SegmentBytes
	if len(w.spares) >= maxSpares || s.size > 2*size || s.size < size/2 {
		if err := fs.Remove(w.path(s.name)); err != nil {
			return fmt.Errorf("cannot remove journal file %s: %w", s.name, err)
		}
		return nil
	}
	spare := sparePrefix + s.name
	if err := fs.Rename(w.path(s.name), w.path(spare)); err != nil {
		return fmt.Errorf("cannot set journal file %s aside: %w", s.name, err)
	}
	w.spares = append(w.spares, spare)
	return nil
}

// moveIdle frees old segments that are kept for a few entries of idle tablets,
// by writing all of these tablets' entries again. It runs when a segment
// begins and writes at most a quarter of one.
func (w *writer) moveIdle() error {
	budget := w.journal.opts.SegmentBytes / 4
	for len(w.segments) > 2 {
		moves, size := w.movesFor(w.segments[0], budget)
		if moves == nil {
			return nil
		}
		for _, m := range moves {
			if err := w.move(m); err != nil {
				return err
			}
		}
		budget -= size
		before := len(w.segments)
		if err := w.free(); err != nil || len(w.segments) == before {
			return err
		}
	}
	return nil
}

// move is a tablet whose entries, from first on, are to be written again.
type move struct {
	log   *Log
	first uint64
	slots []slot
}

// movesFor lists the tablets with entries in the segment; nil when one of them
// is not idle or they have more than limit bytes.
func (w *writer) movesFor(s *segment, limit int64) (moves []move, size int64) {
	for _, l := range w.known {
		if len(l.disk.runs) == 0 || l.disk.runs[0].segment != s {
			continue
		}
		l.mu.Lock()
		idle := l.pending == 0
		m := move{log: l, first: uint64(l.start.Index) + 1}
		for i := 0; idle && i < len(l.slots) && size <= limit; i++ {
			size += int64(l.slots[i].size)
		}
		if idle && size <= limit {
			m.slots = append(m.slots, l.slots...)
		}
		l.mu.Unlock()
		if !idle || size > limit {
			return nil, 0
		}
		moves = append(moves, m)
	}
	return moves, size
}

// move writes a tablet's entries again, in one batch, which replaces them.
func (w *writer) move(m move) error {
	buf := append(w.buf[:0], make([]byte, batchHeader)...)
	base, seed := w.tail.written.Load(), w.tail.seed
	moved := make([]slot, len(m.slots))
	var r entryReader
	for i, s := range m.slots {
		rec, err := r.record(s)
		if err != nil {
			return err
		}
		at := len(buf)
		buf = appendEntryParts(buf, seed, m.log.tablet, m.first+uint64(i), rec.term, rec.typ, rec.data)
		moved[i] = slot{segment: w.tail, off: uint32(base + int64(at)), size: uint32(len(buf) - at)}
	}
	putBatchHeader(buf, seed, batchChanges, w.nextBatch, len(m.slots))
	w.buf = buf
	if err := w.put(w.tail, buf); err != nil {
		return err
	}
	w.nextBatch++
	w.entries += uint64(len(moved))
	m.log.disk.append(w.tail, m.first, m.first+uint64(len(moved))-1)
	m.log.relocate(m.first, m.slots, moved)
	return nil
}

// relocate notes the entries' new places, but for those replaced or compacted
// meanwhile.
func (l *Log) relocate(first uint64, from, to []slot) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range to {
		s := l.slotOf(first + uint64(i))
		if s != nil && s.segment == from[i].segment && s.off == from[i].off {
			s.segment, s.off, s.size = to[i].segment, to[i].off, to[i].size
		}
	}
}

// adopt makes a replayed tablet's state the log's.
func (l *Log) adopt(slots []slot, d onDisk) {
	l.known, l.slots, l.disk = true, slots, d
	l.start, l.hard = d.state.start, d.state.hard
}
