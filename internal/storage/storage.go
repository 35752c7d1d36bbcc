// Package storage keeps the tablets' state: the newest part in memtables, the
// rest in Pebble, whose only importer it is.
//
// There is no write-ahead log: a committed batch is in memory until a flush, and
// after a crash the state is that of an earlier moment, whole batches in their
// order of commit. The journal, replayed from the applied index found in the
// state, makes up the rest. The package knows keys and values as bytes only.
//
// A commit goes into the first memtable: a tree of nodes (tree, node) over
// chunks of bytes (arena). When it is full, or Flush asks, it is frozen and
// written to Pebble as tables that are ingested in one step (flusher); keys that
// only grow have tables of their own (runs, docs/adr/0013-sequences.md). Readers
// merge memtables and Pebble (iterator). docs/adr/0011-memtable.md says why.
//
// Concurrency: a DB, its views and snapshots are safe for use by several
// goroutines; a Batch and an iterator belong to one. Start with DB.
package storage

import "log/slog"

// Span is a range of keys, [Lo, Hi).
type Span = [2][]byte

// KV is a key with its value.
type KV struct{ Key, Value []byte }

// Options says where and how the state is kept.
type Options struct {
	FS  FS
	Dir string // the data directory: FORMAT is in it, Pebble's files in its StateDir
	// CacheBytes bounds the block cache; 256 MiB when zero.
	CacheBytes int64
	// MemTableBytes is the size at which the memtable is flushed; 32 MiB when
	// zero. Up to four of them may be in memory.
	MemTableBytes int64
	// Sequence returns how many of a key's first bytes say to which sequence it
	// belongs, one of keys that only grow, and 0 when it belongs to none. It saves
	// compactions: what of a sequence is set does not have to grow, but
	// should. Nil: no key belongs to one.
	Sequence func(key []byte) int
	// SequenceBytes is the least size of a part of a sequence that a flush writes
	// to tables of its own; 1/32 of MemTableBytes when zero.
	SequenceBytes int64
	// CheckNew makes every commit look whether the keys that it sets as new are
	// absent indeed. It is for tests.
	CheckNew bool
	Logger   *slog.Logger // nil logs nothing; Pebble's own chatter is at debug
	// OnFlush, when set, is called after each flush, when more of the state
	// has become durable. It must not block.
	OnFlush func()
	// Fatal is called when the disk failed under Pebble. It should end the
	// process: when it returns from a failure that Pebble cannot survive, the
	// goroutine that met it panics, for it must not go on.
	Fatal func(error)
}

const (
	defaultCacheBytes    = 256 << 20
	defaultMemTableBytes = 32 << 20
	// memTables is how many memtables there may be; writers then wait for flushes.
	memTables = 4

	// StateDir is the directory of Pebble's files in the data directory.
	StateDir = "state"
	// JournalDir is the directory of the journal's files in the data directory.
	JournalDir = "journal"
)
