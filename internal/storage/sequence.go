package storage

import "bytes"

// A sequence is keys that begin alike and only ever grow: records of a shard,
// messages of a queue, entries of a change log. What a memtable holds of one is
// behind all that the tables hold of it, so a table of nothing else overlaps no
// other: Pebble takes it into the lowest level at once, and no compaction has to
// write it again. In a table together with other keys, which other tables hold as
// well, it would be written once or more for each level. Flushes therefore end a
// table where a long part of a sequence begins, and where it ends.

const (
	// longShare says from which size on a part of a sequence has tables of its own:
	// this share of a memtable. So a flush makes at most so many tables
	// of sequences, and one more between each two.
	longShare = 32
	// stateShare says the same of the whole state on disk, so that the number of
	// tables hardly grows with it: its logarithm counts.
	stateShare = 10_000
)

// runs finds long parts of sequences in a memtable that is being flushed.
type runs struct {
	m        *memtable
	sequence func(key []byte) int // Options.Sequence, or nil
	long     int                  // bytes of a long part
	in       []byte               // what the keys of the part under way begin with; nil outside
	short    []byte               // of a sequence that has no long part up to its next deletion; nil: unknown
}

func (db *DB) runsOf(m *memtable) runs {
	r := runs{m: m, sequence: db.opts.Sequence, long: int(db.opts.SequenceBytes)}
	if r.sequence != nil {
		if stored := db.db.Metrics().DiskSpaceUsage(); stored/stateShare > uint64(r.long) {
			r.long = int(stored / stateShare)
		}
	}
	return r
}

// starts says that a long part begins with the key at p, which is set.
func (r *runs) starts(p place, key []byte) bool {
	if r.sequence == nil {
		return false
	}
	n := r.sequence(key)
	if n == 0 || bytes.Equal(key[:n], r.short) {
		return false
	}
	if !r.isLong(p, key[:n]) {
		r.short = key[:n]
		return false
	}
	r.in, r.short = key[:n], nil
	return true
}

// isLong looks ahead, no further than it has to.
func (r *runs) isLong(p place, prefix []byte) bool {
	for size := 0; p.leaf != nil; r.m.next(&p) {
		key, v := r.m.key(p.leaf.key[p.at]), r.m.version(p.leaf.version[p.at])
		if !bytes.HasPrefix(key, prefix) {
			return false
		}
		if v.flags&flagDeleted == 0 {
			size += len(key) + len(v.value)
		} else if v.flags&flagFresh == 0 {
			return false
		}
		if size >= r.long {
			return true
		}
	}
	return false
}

// ends says that the part under way, if there is one, does not go on with a key.
func (r *runs) ends(key []byte, deleted bool) bool {
	if deleted {
		r.short = nil
	}
	if r.in == nil || !deleted && bytes.HasPrefix(key, r.in) {
		return false
	}
	r.in = nil
	return true
}
