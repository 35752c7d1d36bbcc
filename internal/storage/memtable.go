package storage

import (
	"bytes"
	"math"
	"sync/atomic"

	"weir.dev/weir/internal/base"
)

// memtable holds the newest part of the state, in memory: what was committed
// since the one before it was frozen. It is a tree of keys, each with its
// versions, and a list of deleted ranges.
//
// A key that is in the tree is decided there: ranges count only for keys that
// are not, since a DeleteRange also deletes what the tree holds. Readers see the
// versions of commits up to theirs. Nothing is taken out of the tree for them but
// deleted keys that are fresh: nothing below holds such a key, so that without
// the entry it is absent as well. It goes at once when there is no reader, and is
// left out by the flush in any case.
//
// Concurrency: whoever owns a memtable (DB.mu) keeps changes and reads apart.
type memtable struct {
	tree
	number  uint64 // grows from one memtable of a DB to the next
	seq     uint32 // of the last commit
	ranges  []rangeDel
	readers atomic.Int32 // open readers of an earlier moment
	dead    []ref        // fresh keys that were deleted while there were readers
	at      place        // of the last change
}

// rangeDel is a deleted range of keys, and the commit that deleted it.
type rangeDel struct {
	Span
	seq uint32
}

const (
	// maxRanges is how many deleted ranges a memtable may hold before it is
	// frozen: reads of keys that it does not hold go through all of them.
	maxRanges = 64
	// maxDead bounds the list of keys to be taken out later.
	maxDead = 1 << 13
	// newest is the time of readers that see all commits.
	newest = math.MaxUint32
	// leafBytes and innerBytes are what a node takes in memory.
	leafBytes  = 1152
	innerBytes = 2048
)

func newMemtable(number uint64) *memtable { return &memtable{number: number} }

// sizeBytes is the memory that the memtable takes.
func (m *memtable) sizeBytes() int {
	return m.arena.size + m.leaves*leafBytes + m.inners*innerBytes
}

// empty says that the memtable changes nothing of what is below it.
func (m *memtable) empty() bool { return m.count == 0 && len(m.ranges) == 0 }

// set changes a key as part of the commit seq+1. Fresh is the promise that the
// key is absent.
func (m *memtable) set(key, value []byte, fresh bool) {
	v := version{seq: m.seq + 1, value: value}
	if base.Bug("elidebelow") {
		fresh = true
	}
	if m.find(key, &m.at) {
		m.replace(v)
		return
	}
	if fresh {
		v.flags = flagFresh
	}
	k, first := m.addKey(key, v)
	m.insert(&m.at, key, k, first)
}

// replace puts a version in front of those of the entry that was found.
func (m *memtable) replace(v version) {
	at := &m.at.leaf.version[m.at.at]
	old := m.version(*at)
	v.flags |= old.flags & flagFresh
	if v.prev = *at; old.seq == v.seq {
		v.prev = old.prev // nobody has seen it
	}
	*at = m.addVersion(v)
}

// delete deletes a key as part of the commit seq+1.
func (m *memtable) delete(key []byte) {
	if m.find(key, &m.at) {
		m.deleteFound()
		return
	}
	v := version{seq: m.seq + 1, flags: flagDeleted}
	k, first := m.addKey(key, v)
	m.insert(&m.at, key, k, first)
}

// deleteFound deletes the entry that was found.
func (m *memtable) deleteFound() {
	flags := m.flags(m.at.leaf.version[m.at.at])
	if flags&flagFresh != 0 && m.readers.Load() == 0 {
		m.remove(&m.at)
		return
	}
	if flags&flagDeleted != 0 {
		return
	}
	if flags&flagFresh != 0 && len(m.dead) < maxDead {
		m.dead = append(m.dead, m.at.leaf.key[m.at.at])
	}
	m.replace(version{seq: m.seq + 1, flags: flagDeleted})
}

// deleteRange deletes [lo, hi), which is not empty, as part of the commit seq+1.
func (m *memtable) deleteRange(lo, hi []byte) {
	lo, hi = bytes.Clone(lo), bytes.Clone(hi)
	next := lo
	for {
		m.find(next, &m.at)
		m.settle(&m.at)
		if m.at.leaf == nil {
			break
		}
		key := m.key(m.at.leaf.key[m.at.at])
		if bytes.Compare(key, hi) >= 0 {
			break
		}
		next = append(append(make([]byte, 0, len(key)+1), key...), 0)
		m.deleteFound()
	}
	m.ranges = append(m.ranges, rangeDel{Span{lo, hi}, m.seq + 1})
}

// publish ends a commit: readers see it from here on.
func (m *memtable) publish() {
	m.seq++
	if len(m.dead) == 0 || m.readers.Load() > 0 {
		return
	}
	for _, k := range m.dead {
		if m.find(m.key(k), &m.at) && m.flags(m.at.leaf.version[m.at.at]) == flagFresh|flagDeleted {
			m.remove(&m.at)
		}
	}
	m.dead = m.dead[:0]
}

// get looks a key up as of a commit. Decided says that what is below does not
// matter: the key has the value, or is absent. The value is the memtable's.
func (m *memtable) get(key []byte, seq uint32) (value []byte, ok, decided bool) {
	var p place
	if m.find(key, &p) {
		if v, ok := m.visible(p.leaf.version[p.at], seq); ok {
			return v.value, v.flags&flagDeleted == 0, true
		}
	}
	return nil, false, covering(m.ranges, key, seq) != nil
}

// visible returns the newest version that a reader sees.
func (m *memtable) visible(r ref, seq uint32) (v version, ok bool) {
	for ; r != 0; r = v.prev {
		if v = m.version(r); v.seq <= seq {
			return v, true
		}
	}
	return v, false
}

// covering returns the deleted range that holds a key as of a commit, or nil.
func covering(ranges []rangeDel, key []byte, seq uint32) *rangeDel {
	for i := range ranges {
		if r := &ranges[i]; r.seq <= seq && r.holds(key) {
			return r
		}
	}
	return nil
}

func (r *rangeDel) holds(key []byte) bool {
	return bytes.Compare(r.Span[0], key) <= 0 && bytes.Compare(key, r.Span[1]) < 0
}

// applyTo makes the changes that the memtable holds in another one.
func (m *memtable) applyTo(to *memtable) {
	for i := range m.ranges {
		to.deleteRange(m.ranges[i].Span[0], m.ranges[i].Span[1])
	}
	var p place
	for m.edge(false, &p); p.leaf != nil; m.next(&p) {
		key := m.key(p.leaf.key[p.at])
		if v := m.version(p.leaf.version[p.at]); v.flags&flagDeleted != 0 {
			to.delete(key)
		} else {
			to.set(key, v.value, v.flags&flagFresh != 0)
		}
	}
}

// reset empties a memtable that nobody reads.
func (m *memtable) reset() {
	m.tree.reset()
	m.seq, m.ranges, m.dead = 0, m.ranges[:0], m.dead[:0]
}
