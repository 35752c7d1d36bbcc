package tablet

import (
	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// memLog is a log in memory: what a journal is to a tablet. What is in it is
// durable.
type memLog struct {
	start, startTerm uint64 // of the entry before the first
	entries          []*pb.Entry
	hard             *pb.HardState
}

// FirstIndex implements Log.
func (l *memLog) FirstIndex() (uint64, error) { return l.start + 1, nil }

// LastIndex implements Log.
func (l *memLog) LastIndex() (uint64, error) { return l.start + uint64(len(l.entries)), nil }

// Term implements Log.
func (l *memLog) Term(i uint64) (uint64, error) {
	switch {
	case i == l.start:
		return l.startTerm, nil
	case i < l.start:
		return 0, raft.ErrCompacted
	case i > l.start+uint64(len(l.entries)):
		return 0, raft.ErrUnavailable
	}
	return l.entries[i-l.start-1].GetTerm(), nil
}

// Entries implements Log.
func (l *memLog) Entries(lo, hi, maxBytes uint64) ([]*pb.Entry, error) {
	if lo <= l.start {
		return nil, raft.ErrCompacted
	}
	var found []*pb.Entry
	size := uint64(0)
	for i := lo; i < hi; i++ {
		e := l.entries[i-l.start-1]
		if size += uint64(proto.Size(e)); size > maxBytes && len(found) > 0 {
			break
		}
		found = append(found, e)
	}
	return found, nil
}

// HardState implements Log.
func (l *memLog) SizeAbove(uint64) uint64  { return 0 }
func (l *memLog) HardState() *pb.HardState { return l.hard }

// append writes entries, over those from the first one's index on.
func (l *memLog) append(entries []*pb.Entry) {
	for _, e := range entries {
		l.entries = append(l.entries[:e.GetIndex()-l.start-1], e)
	}
}

// reset makes the log empty, after an entry that a snapshot holds.
func (l *memLog) reset(index, term uint64) {
	l.start, l.startTerm, l.entries = index, term, nil
}

// compact forgets the entries up to index.
func (l *memLog) compact(index uint64) {
	term, err := l.Term(index)
	if err != nil {
		panic("BUG: a script compacts beyond the log: " + err.Error())
	}
	l.entries = append([]*pb.Entry(nil), l.entries[index-l.start:]...)
	l.start, l.startTerm = index, term
}
