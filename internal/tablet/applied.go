package tablet

import (
	"slices"
	"sort"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"weir.dev/weir/internal/model"
)

// Applied says how far a tablet's stored state is. It is stored with every
// change, in the same batch, so that state and record never disagree.
type Applied struct {
	Index   model.Index // the last entry applied in whole
	Term    model.Term  // of that entry
	Ordinal uint32      // commands of the next entry that are applied too
	Stamp   model.Stamp // of the last command applied
	Conf    Members     // after entry Index
	Lo, Hi  uint32      // the tablet's slots, [Lo, Hi)
}

// Members is a tablet's membership as agreed in its log.
type Members struct {
	Voters       []model.NodeID
	Learners     []model.NodeID
	Outgoing     []model.NodeID // while joint: the voters before
	LearnersNext []model.NodeID // while joint: voters that become learners
	AutoLeave    bool
}

// All are the members in any role, ascending.
func (m *Members) All() []model.NodeID {
	all := slices.Concat(m.Voters, m.Learners, m.Outgoing, m.LearnersNext)
	slices.Sort(all)
	return slices.Compact(all)
}

// Has reports whether the node is a member in any role.
func (m *Members) Has(id model.NodeID) bool {
	for _, ids := range [][]model.NodeID{m.Voters, m.Learners, m.Outgoing, m.LearnersNext} {
		if slices.Contains(ids, id) {
			return true
		}
	}
	return false
}

// Are reports whether these and no others are the members, and no change is
// under way. All lists are ascending.
func (m *Members) Are(voters, learners []model.NodeID) bool {
	return slices.Equal(m.Voters, voters) && slices.Equal(m.Learners, learners) && len(m.Outgoing) == 0
}

const appliedVersion = 1

// Append appends the record's stored form; see docs/format/command.md.
func (a *Applied) Append(dst []byte) []byte {
	dst = append(dst, appliedVersion)
	dst = model.AppendUvarint(dst, uint64(a.Index))
	dst = model.AppendUvarint(dst, uint64(a.Term))
	dst = model.AppendUvarint(dst, uint64(a.Ordinal))
	dst = model.AppendUvarint(dst, uint64(a.Stamp))
	for _, ids := range [][]model.NodeID{a.Conf.Voters, a.Conf.Learners, a.Conf.Outgoing, a.Conf.LearnersNext} {
		dst = model.AppendUvarint(dst, uint64(len(ids)))
		for _, id := range ids {
			dst = model.AppendUvarint(dst, uint64(id))
		}
	}
	dst = model.AppendBool(dst, a.Conf.AutoLeave)
	return model.AppendUvarint(model.AppendUvarint(dst, uint64(a.Lo)), uint64(a.Hi))
}

// Decode reads what Append wrote.
func (a *Applied) Decode(b []byte) error {
	d := model.NewDecoder(b)
	if d.Byte() != appliedVersion {
		d.Fail()
	}
	a.Index = model.Index(d.Uvarint())
	a.Term = model.Term(d.Uvarint())
	a.Ordinal = uint32(d.Uvarint())
	a.Stamp = model.Stamp(d.Uvarint())
	for _, ids := range []*[]model.NodeID{&a.Conf.Voters, &a.Conf.Learners, &a.Conf.Outgoing, &a.Conf.LearnersNext} {
		*ids = nil
		for n := d.Count(); n > 0; n-- {
			*ids = append(*ids, model.NodeID(d.Uvarint()))
		}
	}
	a.Conf.AutoLeave = d.Bool()
	a.Lo, a.Hi = uint32(d.Uvarint()), uint32(d.Uvarint())
	return d.Done()
}

func (a *Applied) confState() *pb.ConfState {
	return &pb.ConfState{
		Voters:         rawIDs(a.Conf.Voters),
		Learners:       rawIDs(a.Conf.Learners),
		VotersOutgoing: rawIDs(a.Conf.Outgoing),
		LearnersNext:   rawIDs(a.Conf.LearnersNext),
		AutoLeave:      proto.Bool(a.Conf.AutoLeave),
	}
}

// MembersOf is the membership of a raft configuration.
func MembersOf(cs *pb.ConfState) Members {
	return Members{
		Voters:       nodeIDs(cs.GetVoters()),
		Learners:     nodeIDs(cs.GetLearners()),
		Outgoing:     nodeIDs(cs.GetVotersOutgoing()),
		LearnersNext: nodeIDs(cs.GetLearnersNext()),
		AutoLeave:    cs.GetAutoLeave(),
	}
}

func rawIDs(ids []model.NodeID) (raw []uint64) {
	for _, id := range ids {
		raw = append(raw, uint64(id))
	}
	return raw
}

func nodeIDs(raw []uint64) (ids []model.NodeID) {
	for _, id := range raw {
		ids = append(ids, model.NodeID(id))
	}
	sort.Slice(ids, func(i, j int) bool { return ids[i] < ids[j] })
	return ids
}

// Metadata is how raft names the state in a snapshot message.
func (a *Applied) Metadata() *pb.SnapshotMetadata {
	return &pb.SnapshotMetadata{
		Index:     proto.Uint64(uint64(a.Index)),
		Term:      proto.Uint64(uint64(a.Term)),
		ConfState: a.confState(),
	}
}
