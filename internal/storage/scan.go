package storage

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// moment is one memtable as a reader sees it.
type moment struct {
	table  *memtable
	seq    uint32
	ranges []rangeDel // those of that moment, and newer ones that do not count
	// mu guards a memtable that takes commits, and is nil for one that does not
	// change while it is read.
	mu *sync.RWMutex
}

// maxSources bounds the memtables that are read together: a run's own and those
// of the state.
const maxSources = 1 + memTables

// entry is a key of a memtable as a reader sees it.
type entry struct {
	key, value []byte
	deleted    bool
}

// Entries are taken out of a memtable a few at a time, for many scans end soon,
// and then many at a time, for each time is a search.
const (
	firstFill = 4
	maxFill   = 32
	// maxLook is how many entries are looked at before writers may go on: most of
	// them may be newer than the reader.
	maxLook = 256
)

// tableIter walks over a memtable, not holding its lock while others work with
// what it found.
type tableIter struct {
	moment
	lo, hi  []byte
	reverse bool
	ended   bool // there are no entries after those in found
	found   []entry
	buf     [maxFill]entry
	fill    int // how many entries to take out next
}

func (t *tableIter) init(m moment, lo, hi []byte, reverse bool) {
	t.moment, t.lo, t.hi, t.reverse, t.ended, t.found, t.fill = m, lo, hi, reverse, false, nil, firstFill
	t.more(nil)
}

// close lets go of the memtable.
func (t *tableIter) close() {
	clear(t.buf[:])
	t.moment, t.lo, t.hi, t.found = moment{}, nil, nil, nil
}

// head is the entry at which the iterator stands, nil at the end.
func (t *tableIter) head() *entry {
	if len(t.found) == 0 {
		return nil
	}
	return &t.found[0]
}

// step moves to the next entry.
func (t *tableIter) step() {
	last := t.found[0].key
	if t.found = t.found[1:]; len(t.found) == 0 {
		t.more(last)
	}
}

// more takes out the entries that follow the key last, the first when it is nil.
func (t *tableIter) more(last []byte) {
	t.found = t.buf[:0]
	for len(t.found) == 0 && !t.ended {
		last = t.take(last)
	}
	t.fill = min(4*t.fill, maxFill)
}

// take looks at some entries after the key last and takes out those that the
// reader sees. It returns the key of the last that it looked at.
func (t *tableIter) take(last []byte) []byte {
	if t.mu != nil {
		t.mu.RLock()
		defer t.mu.RUnlock()
	}
	m := t.table
	var p place
	t.start(last, &p)
	for range maxLook {
		if p.leaf == nil {
			t.ended = true
			return last
		}
		key := m.key(p.leaf.key[p.at])
		if t.reverse && t.lo != nil && bytes.Compare(key, t.lo) < 0 || !t.reverse && t.hi != nil && bytes.Compare(key, t.hi) >= 0 {
			t.ended = true
			return last
		}
		last = key
		if v, ok := m.visible(p.leaf.version[p.at], t.seq); ok {
			t.found = append(t.found, entry{key, v.value, v.flags&flagDeleted != 0})
		}
		if len(t.found) == t.fill {
			break
		}
		if t.reverse {
			m.prev(&p)
		} else {
			m.next(&p)
		}
	}
	return last
}

// start leads p to the first entry after the key last.
func (t *tableIter) start(last []byte, p *place) {
	m := t.table
	switch {
	case t.reverse && last == nil && t.hi == nil:
		m.edge(true, p)
	case t.reverse:
		if last == nil {
			last = t.hi
		}
		m.find(last, p)
		m.prev(p)
	case last != nil:
		if m.find(last, p) {
			p.at++
		}
		m.settle(p)
	default:
		m.find(t.lo, p)
		m.settle(p)
	}
}

// iterator is a machine.Iterator over memtables and Pebble below them. Where
// several hold a key, the newest one counts.
type iterator struct {
	lower   *pebble.Iterator
	inLower bool // lower stands at a key
	started bool
	tables  []tableIter
	buf     [maxSources]tableIter
	reverse bool
	key     []byte
	value   []byte // of a memtable
	at      int    // the table that holds the key; len(tables) for lower
	counted *memtable
}

var iterators = sync.Pool{New: func() any { return new(iterator) }}

// scan returns an iterator. It closes lower, and counts as no reader of counted
// any more, when it is closed.
func scan(moments []moment, lower *pebble.Iterator, lo, hi []byte, reverse bool, counted *memtable) *iterator {
	it := iterators.Get().(*iterator)
	it.lower, it.reverse, it.counted = lower, reverse, counted
	it.tables = it.buf[:len(moments)]
	for i, m := range moments {
		it.tables[i].init(m, lo, hi, reverse)
	}
	return it
}

// Next implements machine.Iterator.
func (it *iterator) Next() bool {
	if it.started {
		it.pass(it.key)
	} else {
		it.started = true
		it.startLower()
	}
	for {
		key, at := it.least()
		if at < 0 {
			return false
		}
		if r := it.coveredAbove(key, at); r != nil {
			it.passRange(r, at)
			continue
		}
		if at == len(it.tables) {
			it.key, it.at = key, at
			return true
		}
		if e := it.tables[at].head(); !e.deleted {
			it.key, it.value, it.at = e.key, e.value, at
			return true
		}
		it.pass(key)
	}
}

func (it *iterator) startLower() {
	if it.lower == nil {
		return
	}
	if it.reverse {
		it.inLower = it.lower.Last()
	} else {
		it.inLower = it.lower.First()
	}
}

// least returns the key that comes first and the newest that holds it; at is
// negative when there is none.
func (it *iterator) least() (key []byte, at int) {
	at = -1
	for i := range it.tables {
		if e := it.tables[i].head(); e != nil && (at < 0 || it.before(e.key, key)) {
			key, at = e.key, i
		}
	}
	if it.inLower {
		if k := it.lower.Key(); at < 0 || it.before(k, key) {
			key, at = k, len(it.tables)
		}
	}
	return key, at
}

func (it *iterator) before(a, b []byte) bool {
	if it.reverse {
		return bytes.Compare(a, b) > 0
	}
	return bytes.Compare(a, b) < 0
}

// pass moves all that stand at a key behind it.
func (it *iterator) pass(key []byte) {
	for i := range it.tables {
		if e := it.tables[i].head(); e != nil && bytes.Equal(e.key, key) {
			it.tables[i].step()
		}
	}
	// Last, for the key may be Pebble's own.
	if it.inLower && bytes.Equal(it.lower.Key(), key) {
		it.stepLower()
	}
}

func (it *iterator) stepLower() {
	if it.reverse {
		it.inLower = it.lower.Prev()
	} else {
		it.inLower = it.lower.Next()
	}
}

// coveredAbove returns a deleted range, newer than the holder of a key, that
// holds the key.
func (it *iterator) coveredAbove(key []byte, at int) *rangeDel {
	for i := range min(at, len(it.tables)) {
		t := &it.tables[i]
		if r := covering(t.ranges, key, t.seq); r != nil {
			return r
		}
	}
	return nil
}

// passRange moves the holder of a key, and those below it, behind a deleted range.
func (it *iterator) passRange(r *rangeDel, at int) {
	for i := at; i < len(it.tables); i++ {
		t := &it.tables[i]
		for e := t.head(); e != nil && r.holds(e.key); e = t.head() {
			t.step()
		}
	}
	if !it.inLower || !r.holds(it.lower.Key()) {
		return
	}
	if it.reverse {
		it.inLower = it.lower.SeekLT(r.Span[0])
	} else {
		it.inLower = it.lower.SeekGE(r.Span[1])
	}
}

// Key implements machine.Iterator.
func (it *iterator) Key() []byte { return it.key }

// Value implements machine.Iterator.
func (it *iterator) Value() []byte {
	if it.at == len(it.tables) {
		return it.lower.Value()
	}
	return it.value
}

// Close implements machine.Iterator.
func (it *iterator) Close() (err error) {
	if it.lower != nil {
		if err = it.lower.Close(); err != nil {
			err = fmt.Errorf("cannot scan the state: %w", err)
		}
	}
	if it.counted != nil {
		it.counted.readers.Add(-1)
	}
	for i := range it.tables {
		it.tables[i].close()
	}
	it.lower, it.inLower, it.started, it.tables, it.key, it.value, it.counted = nil, false, false, nil, nil, nil, nil
	iterators.Put(it)
	return err
}
