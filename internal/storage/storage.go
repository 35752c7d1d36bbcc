// Package storage keeps the tablets' state in Pebble and is its only importer.
//
// Pebble runs without a write-ahead log: a committed batch is in memory until
// a flush, and after a crash the state is that of an earlier moment, whole
// batches in their order of commit. The journal, replayed from the applied
// index found in the state, makes up the rest. The package knows keys and
// values as bytes only.
//
// Concurrency: a DB, its views and snapshots are safe for use by several
// goroutines; a Batch and an iterator belong to one. Start with DB.
package storage

import (
	"io"
	"log/slog"

	"weir.dev/weir/internal/machine"
)

// Span is a range of keys, [Lo, Hi).
type Span = [2][]byte

// KV is a key with its value.
type KV struct{ Key, Value []byte }

// Options says where and how the state is kept.
type Options struct {
	FS  *FS
	Dir string // the data directory: FORMAT is kept in it, Pebble's files in its StateDir
	// CacheBytes bounds the block cache; 256 MiB when zero.
	CacheBytes int64
	// MemTableBytes is the size at which the memtable is flushed; 32 MiB when
	// zero. Up to four of them may be in memory.
	MemTableBytes int64
	Logger        *slog.Logger // nil logs nothing
	// OnFlush, when set, is called after each flush, when more of the state
	// has become durable. It must not block.
	OnFlush func()
	// Fatal is called when the disk failed under Pebble. It should end the
	// process; when it returns, the goroutine that met the failure panics.
	Fatal func(error)
}

const (
	// StateDir is the directory of Pebble's files in the data directory.
	StateDir = "state"
	// JournalDir is the directory of the journal's files in the data directory.
	JournalDir = "journal"
)

const notYet = "BUG: being written"

// FS is a file system that both storage and the journal (as a journal.FS) run on.
type FS struct{}

// DiskFS is the operating system's file system.
func DiskFS() *FS { panic(notYet) }

// NewMemFS is a file system in memory that can crash.
func NewMemFS() *FS { panic(notYet) }

// DB is an open state.
type DB struct{}

// Open opens or creates the state. The data directory is locked until Close.
func Open(o Options) (*DB, error) { panic(notYet) }

// View reads the live state: each Get and Scan sees what is committed when it
// is called.
func (db *DB) View() machine.Reader { panic(notYet) }

// Durable reads the part of the state that a crash would leave: what Flush or
// Import made durable. It is for finding durable applied indexes.
func (db *DB) Durable() machine.Reader { panic(notYet) }

// Snapshot reads the state as it is now until it is closed.
type Snapshot struct{ machine.Reader }

// Snapshot returns a consistent view of the state as it is now.
func (db *DB) Snapshot() *Snapshot { panic(notYet) }

// Close releases the snapshot.
func (s *Snapshot) Close() error { panic(notYet) }

// Batch collects changes that are committed together. It implements machine.Writer.
type Batch struct{ machine.Writer }

// NewBatch returns an empty batch.
func (db *DB) NewBatch() *Batch { panic(notYet) }

// Commit applies the batch and empties it for use again. Readers see all of it
// from here on; it is durable after the next Flush.
func (b *Batch) Commit() error { panic(notYet) }

// Reset empties the batch without applying it.
func (b *Batch) Reset() { panic(notYet) }

// Len is the number of changes in the batch.
func (b *Batch) Len() int { panic(notYet) }

// Close releases the batch.
func (b *Batch) Close() { panic(notYet) }

// Flush makes everything committed before the call durable.
func (db *DB) Flush() error { panic(notYet) }

// DiskUsage estimates the bytes on disk of each span's contents, summed.
func (db *DB) DiskUsage(spans []Span) (uint64, error) { panic(notYet) }

// Close closes the state without flushing; the journal covers what is lost.
func (db *DB) Close() error { panic(notYet) }

// Export writes the contents of the spans, which are sorted and do not
// overlap, to w.
func Export(r machine.Reader, spans []Span, w io.Writer) error { panic(notYet) }

// Import replaces the contents of the spans by those that Export wrote, and
// sets the extra keys, in one durable step: after an error or a crash nothing
// changed.
func (db *DB) Import(rd io.Reader, spans []Span, extra []KV) error { panic(notYet) }
