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
	// entries nor what they point to may be changed after Submit.
	Entries []*pb.Entry
	// Hard, when set, replaces the hard state. It is copied.
	Hard *pb.HardState
	// Done, when set, is called from the journal's goroutine when the write is
	// durable. It must not block, and must not call the journal's Close.
	Done func()
}
