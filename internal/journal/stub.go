package journal

import (
	"io"

	pb "go.etcd.io/raft/v3/raftpb"

	"weir.dev/weir/internal/model"
)

// Journal is an open write-ahead log. All methods but Close and Kill are safe
// for use by several goroutines.
type Journal struct{}

// Log is one tablet's raft log. FirstIndex, LastIndex, Term and Entries have
// the meaning and the errors of raft.Storage (ErrCompacted, ErrUnavailable).
type Log struct{}

const notYet = "BUG: being written"

// Open opens or creates the journal and replays it.
func Open(o Options) (*Journal, error) { panic(notYet) }

// Submit queues changes; it never waits for the disk. The tablets' logs show
// them at once. It keeps no reference to ws itself.
func (j *Journal) Submit(ws []Write) { panic(notYet) }

// Log returns the tablet's log: an empty one when the journal has none.
func (j *Journal) Log(id model.TabletID) *Log { panic(notYet) }

// Compact lets go of all entries up to and including index, which is at most
// the last index.
func (j *Journal) Compact(id model.TabletID, index model.Index) { panic(notYet) }

// Tablets lists the tablets that the journal holds, ascending.
func (j *Journal) Tablets() []model.TabletID { panic(notYet) }

// Full reports that the disk is nearly full, as of the last CheckSpace.
func (j *Journal) Full() bool { panic(notYet) }

// CheckSpace looks at the free space; call it about once per second from a
// goroutine that may block on the file system.
func (j *Journal) CheckSpace() { panic(notYet) }

// Metrics returns counters since Open.
func (j *Journal) Metrics() Metrics { panic(notYet) }

// Close writes what was submitted, seals the last segment and ends the
// journal's goroutine.
func (j *Journal) Close() error { panic(notYet) }

// Kill ends the journal as a crash would: nothing more is written, no Done is
// called.
func (j *Journal) Kill() { panic(notYet) }

// FirstIndex is the index of the first entry in the log, or the one that
// comes next when there is none.
func (l *Log) FirstIndex() (uint64, error) { panic(notYet) }

// LastIndex is the index of the last entry, or of the log's start.
func (l *Log) LastIndex() (uint64, error) { panic(notYet) }

// Term is the term of the entry at index i in [FirstIndex-1, LastIndex].
func (l *Log) Term(i uint64) (uint64, error) { panic(notYet) }

// Entries returns the entries in [lo, hi), at least one, at most maxSize bytes.
func (l *Log) Entries(lo, hi, maxSize uint64) ([]*pb.Entry, error) { panic(notYet) }

// HardState is a copy of the last submitted hard state; nil when there is none.
func (l *Log) HardState() *pb.HardState { panic(notYet) }

// Metrics is a picture of the journal's work and size.
type Metrics struct {
	Batches, Syncs, Writes, Entries, Bytes uint64
	Segments                               int
	SizeBytes                              int64
	OldestNeeded, Newest                   uint64 // segment sequence numbers
	CachedBytes                            int64
	Queued                                 int
}

// Dump prints every record of the journal in dir.
func Dump(w io.Writer, fs FS, dir string) error { panic(notYet) }

// Verify reads the journal in dir and returns the first damage found.
func Verify(fs FS, dir string) error { panic(notYet) }

// OSFS is the operating system's file system.
type OSFS struct{}
