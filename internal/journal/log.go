package journal

import (
	"fmt"
	"sync"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/model"
)

// Log is one tablet's raft log as its lane sees it: everything submitted, on
// disk or not. FirstIndex, LastIndex, Term and Entries have the meaning and
// the errors of raft.Storage (raft.ErrCompacted, raft.ErrUnavailable). A Log
// stays valid for as long as the journal is open, also when its tablet is
// removed: it is empty then.
type Log struct {
	journal *Journal
	tablet  model.TabletID

	mu      sync.Mutex // guards what follows
	known   bool       // something was submitted since the last Remove
	start   LogStart
	slots   []slot // entry start.Index+1+i is slots[i]
	hard    hardState
	pending int // submitted changes that are not on disk

	disk onDisk // the journal's goroutine's own
}

// slot is one entry: in memory, on disk or both.
type slot struct {
	entry   *pb.Entry // nil when only on disk
	segment *segment  // nil when only in memory
	term    uint64
	off     uint32 // of its record in the segment
	size    uint32 // of its record
}

func (l *Log) last() uint64 { return uint64(l.start.Index) + uint64(len(l.slots)) }

// slotOf returns the slot of entry index, nil when the log does not hold it.
func (l *Log) slotOf(index uint64) *slot {
	if index <= uint64(l.start.Index) || index > l.last() {
		return nil
	}
	return &l.slots[index-uint64(l.start.Index)-1]
}

// clear forgets all entries.
func (l *Log) clear(start LogStart) {
	l.start, l.slots = start, nil
}

// append replaces the suffix from the first of entries on, and returns those
// entries that are above the log's start.
func (l *Log) append(entries []*pb.Entry) []*pb.Entry {
	for len(entries) > 0 && entries[0].GetIndex() <= uint64(l.start.Index) {
		entries = entries[1:]
	}
	if len(entries) == 0 {
		return nil
	}
	first := entries[0].GetIndex()
	base.Check(first <= l.last()+1, "tablet %v: entry %d submitted behind entry %d", l.tablet, first, l.last())
	keep := int(first - uint64(l.start.Index) - 1)
	clear(l.slots[keep:])
	l.slots = l.slots[:keep]
	for i, e := range entries {
		base.Check(e.GetIndex() == first+uint64(i), "tablet %v: entries submitted with a gap at %d", l.tablet, e.GetIndex())
		l.slots = append(l.slots, slot{entry: e, term: e.GetTerm()})
	}
	return entries
}

// compact drops entries up to index and returns the new start; false when
// there was nothing to drop.
func (l *Log) compact(index uint64) (LogStart, bool) {
	index = min(index, l.last())
	s := l.slotOf(index)
	if s == nil {
		return l.start, false
	}
	n := index - uint64(l.start.Index)
	l.start = LogStart{Index: model.Index(index), Term: model.Term(s.term)}
	clear(l.slots[:n])
	l.slots = l.slots[n:]
	return l.start, true
}

// FirstIndex is the index of the first entry, or of the next one when there
// is none. The error is always nil.
func (l *Log) FirstIndex() (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return uint64(l.start.Index) + 1, nil
}

// LastIndex is the index of the last entry, or of the log's start when there
// is none. The error is always nil.
func (l *Log) LastIndex() (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last(), nil
}

// Term is the term of the entry at index i, which is in
// [FirstIndex-1, LastIndex].
func (l *Log) Term(i uint64) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i == uint64(l.start.Index) {
		return uint64(l.start.Term), nil
	}
	if i < uint64(l.start.Index) {
		return 0, raft.ErrCompacted
	}
	s := l.slotOf(i)
	if s == nil {
		return 0, raft.ErrUnavailable
	}
	return s.term, nil
}

// HardState is the last submitted hard state, nil when there is none. The
// caller owns it.
func (l *Log) HardState() *pb.HardState {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.hard.set {
		return nil
	}
	h := l.hard
	return &pb.HardState{Term: &h.term, Vote: &h.vote, Commit: &h.commit}
}

// Entries returns the entries in [lo, hi): as many as fit into maxSize bytes
// of their protobuf form, and at least one if there are any. The caller owns
// the slice and must not change the entries. Old entries are read from disk;
// damage found there is reported to Options.Fatal and returned.
func (l *Log) Entries(lo, hi, maxSize uint64) ([]*pb.Entry, error) {
	entries, missing, err := l.collect(lo, hi, maxSize)
	if err != nil || len(missing) == 0 {
		return entries, err
	}
	defer func() {
		for _, m := range missing {
			m.at.segment.pins.Add(-1)
		}
	}()
	var r entryReader
	for _, m := range missing {
		e, err := r.read(m.at, l.tablet, lo+uint64(m.i))
		if err != nil {
			l.journal.fail(err)
			return nil, err
		}
		entries[m.i] = e
	}
	return entries, nil
}

// missingEntry is the i-th of the entries asked for, which is only on disk.
type missingEntry struct {
	i  int
	at slot
}

// collect returns the entries that are in memory and the places of the others,
// whose segments it pins.
func (l *Log) collect(lo, hi, maxSize uint64) ([]*pb.Entry, []missingEntry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case lo <= uint64(l.start.Index):
		return nil, nil, raft.ErrCompacted
	case hi > l.last()+1 || lo > hi:
		return nil, nil, raft.ErrUnavailable
	}
	var missing []missingEntry
	entries := make([]*pb.Entry, 0, min(hi-lo, 64))
	var total uint64
	for i := lo; i < hi; i++ {
		s := l.slotOf(i)
		total += s.wireSize(i)
		if total > maxSize && i > lo {
			break
		}
		if s.entry == nil {
			s.segment.pins.Add(1)
			missing = append(missing, missingEntry{i: len(entries), at: *s})
		}
		entries = append(entries, s.entry)
	}
	return entries, missing, nil
}

// wireSize is the size of the entry as a protobuf, or a little above it.
func (s *slot) wireSize(index uint64) uint64 {
	if s.entry == nil {
		return uint64(s.size)
	}
	return uint64(len(s.entry.GetData())) + entryOverhead(index, s.term)
}

func entryOverhead(index, term uint64) uint64 {
	return 4 + 5 + uvarintLen(index) + uvarintLen(term)
}

func uvarintLen(v uint64) uint64 {
	n := uint64(1)
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}

// sizeSamples is how many entries SizeAbove looks at.
const sizeSamples = 1024

// SizeAbove is about how many bytes the entries above index take. Entries that
// the log has forgotten count as nothing.
func (l *Log) SizeAbove(index uint64) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := max(index, uint64(l.start.Index)) + 1
	if first > l.last() {
		return 0
	}
	count := l.last() - first + 1
	stride := (count + sizeSamples - 1) / sizeSamples
	var total, seen uint64
	for i := first; i <= l.last(); i += stride {
		total += l.slotOf(i).wireSize(i)
		seen++
	}
	return total * count / seen
}

// entryReader reads records back, neighbours with one read.
type entryReader struct {
	segment *segment
	off     int64
	window  []byte
}

// readAhead is how much is read at once when older entries are asked for.
const readAhead = 64 << 10

func (r *entryReader) read(at slot, tablet model.TabletID, index uint64) (*pb.Entry, error) {
	rec, err := r.record(at)
	if err != nil {
		return nil, err
	}
	if rec.kind != recordEntry || rec.tablet != tablet || rec.index != index || rec.term != at.term {
		return nil, fmt.Errorf("cannot read back entry %d of tablet %v: journal file %s holds another record at offset %d", index, tablet, at.segment.name, at.off)
	}
	return &pb.Entry{Index: &rec.index, Term: &rec.term, Type: rec.typ.Enum(), Data: append([]byte(nil), rec.data...)}, nil
}

func (r *entryReader) record(at slot) (record, error) {
	off, end := int64(at.off), int64(at.off)+int64(at.size)
	if r.segment != at.segment || off < r.off || end > r.off+int64(len(r.window)) {
		n := max(int64(at.size), min(readAhead, at.segment.written.Load()-off))
		if int64(cap(r.window)) < n {
			r.window = make([]byte, n)
		}
		r.window = r.window[:n]
		if _, err := at.segment.file.ReadAt(r.window, off); err != nil {
			return record{}, fmt.Errorf("cannot read journal file %s at offset %d: %w", at.segment.name, off, err)
		}
		r.segment, r.off = at.segment, off
	}
	rec, size, err := parseRecord(r.window[off-r.off:end-r.off], at.segment.seed)
	if err == nil && size != int(at.size) {
		err = fmt.Errorf("a record has another size than when it was written")
	}
	if err != nil {
		return record{}, &Damage{File: at.segment.name, Offset: off, What: err.Error()}
	}
	return rec, nil
}

// locate notes where an entry was written, unless the log replaced it
// meanwhile.
func (l *Log) locate(index uint64, e *pb.Entry, seg *segment, off, size uint32) {
	if s := l.slotOf(index); s != nil && s.entry == e {
		s.segment, s.off, s.size = seg, off, size
	}
}

// evict drops an entry that is on disk from memory.
func (l *Log) evict(index uint64, e *pb.Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.slotOf(index); s != nil && s.entry == e && s.segment != nil {
		s.entry = nil
	}
}
