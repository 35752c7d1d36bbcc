package tablet

import (
	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// storage shows the log and the applied record to raft.
type storage Tablet

// InitialState implements raft.Storage. Everything applied was committed, so a
// commit index that had not reached the disk is raised to the applied one.
func (s *storage) InitialState() (*pb.HardState, *pb.ConfState, error) {
	hs := s.log.HardState()
	if hs == nil {
		hs = &pb.HardState{}
	}
	if hs.GetTerm() < uint64(s.applied.Term) {
		// A snapshot of a later term was installed; nobody got a vote in that term.
		hs = &pb.HardState{Term: proto.Uint64(uint64(s.applied.Term)), Commit: hs.Commit}
	}
	if hs.GetCommit() < uint64(s.applied.Index) {
		hs = &pb.HardState{Term: hs.Term, Vote: hs.Vote, Commit: proto.Uint64(uint64(s.applied.Index))}
	}
	return hs, s.conf, nil
}

// Entries implements raft.Storage.
func (s *storage) Entries(lo, hi, maxSize uint64) ([]*pb.Entry, error) {
	return s.log.Entries(lo, hi, maxSize)
}

// Term implements raft.Storage.
func (s *storage) Term(i uint64) (uint64, error) { return s.log.Term(i) }

// LastIndex implements raft.Storage.
func (s *storage) LastIndex() (uint64, error) { return s.log.LastIndex() }

// FirstIndex implements raft.Storage.
func (s *storage) FirstIndex() (uint64, error) { return s.log.FirstIndex() }

// Snapshot implements raft.Storage. It names the applied state only; whoever
// sends the snapshot reads the data, which may be newer by then.
func (s *storage) Snapshot() (*pb.Snapshot, error) {
	if s.applied.Index == 0 {
		return nil, raft.ErrSnapshotTemporarilyUnavailable
	}
	return &pb.Snapshot{Metadata: s.applied.Metadata()}, nil
}
