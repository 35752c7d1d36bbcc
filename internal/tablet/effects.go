package tablet

import (
	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"weir.dev/weir/internal/model"
)

// Effects is what a turn asks of the lane. Appends must be done in order, and
// so must Applies; the two are independent of each other.
type Effects struct {
	Send      []*pb.Message // to other replicas, now
	Appends   []*Append
	Applies   []*Apply
	Snapshots []*pb.Message // MsgSnap: send the tablet's state to Message.To, then call SnapshotSent
}

// Append is a write for the journal. When it is durable, call AppendDone;
// when it needs no durability (MustSync false), it may be dropped instead.
type Append struct {
	Entries  []*pb.Entry
	Hard     *pb.HardState // nil: unchanged
	Snapshot *pb.Snapshot  // not nil: install the received state first; the log starts after it
	// Replaces is the first of the entries in the log, not known to be agreed, that
	// are no longer there after this; 0: none. See Lost.
	Replaces model.Index
	MustSync bool
	done     []*pb.Message
}

// Apply is a run of committed entries for the machine. When they are applied,
// call ApplyDone.
type Apply struct {
	Entries []*pb.Entry
	Members map[uint64]Members // by index: the membership after that entry
	done    []*pb.Message
}

// Effects ends a turn: it proposes what has gathered and returns what is to
// be done. The slices are the caller's.
func (t *Tablet) Effects() Effects {
	t.proposeWaiting()
	t.askReads()
	for t.rn.HasReady() {
		rd := t.rn.Ready()
		if rd.SoftState != nil {
			t.noteRole(rd.SoftState)
		}
		for _, rs := range rd.ReadStates {
			t.readConfirmed(rs.Index, rs.RequestCtx)
		}
		for _, m := range rd.Messages {
			t.takeMessage(m)
		}
		t.answerReads()
	}
	t.answerHeld()
	e := t.effects
	t.effects = Effects{}
	return e
}

func (t *Tablet) takeMessage(m *pb.Message) {
	switch m.GetType() {
	case pb.MsgStorageAppend:
		a := &Append{Entries: m.GetEntries(), done: m.GetResponses(), MustSync: len(m.GetResponses()) > 0}
		if m.Term != nil { // raft sets all three fields or none
			a.Hard = &pb.HardState{Term: m.Term, Vote: m.Vote, Commit: m.Commit}
		}
		if !raft.IsEmptySnap(m.GetSnapshot()) {
			a.Snapshot = m.GetSnapshot()
		}
		t.noteReplaced(a)
		t.effects.Appends = append(t.effects.Appends, a)
	case pb.MsgStorageApply:
		if n := len(m.GetEntries()); n > 0 {
			t.agreed = model.Index(m.GetEntries()[n-1].GetIndex())
		}
		t.effects.Applies = append(t.effects.Applies, &Apply{Entries: m.GetEntries(), Members: t.changeMembers(m.GetEntries()), done: m.GetResponses()})
	case pb.MsgSnap:
		t.effects.Snapshots = append(t.effects.Snapshots, m)
	case pb.MsgApp:
		if !t.superfluous(m) {
			t.effects.Send = append(t.effects.Send, m)
		}
	default:
		t.effects.Send = append(t.effects.Send, m)
	}
}

// noteReplaced notes what an append does to the end of the log.
func (t *Tablet) noteReplaced(a *Append) {
	if a.Snapshot != nil {
		if first := t.Unagreed(); first <= model.Index(t.last) {
			a.Replaces = first
		}
		t.last = a.Snapshot.GetMetadata().GetIndex()
	}
	n := len(a.Entries)
	if n == 0 {
		return
	}
	if first := a.Entries[0].GetIndex(); a.Snapshot == nil && first <= t.last {
		a.Replaces = model.Index(first)
	}
	t.last = a.Entries[n-1].GetIndex()
}

// superfluous reports whether an append message tells a follower nothing but a
// new commit index while a later entry is on its way: that entry's own commit,
// or the next append, tells it as well. Raft allows any message to be lost, and
// under load half of all messages are of this kind.
//
// An empty append is also how raft finds out that appends were lost: it follows
// an answered heartbeat, and the commit index in it is not new, or the follower
// has not been sent every entry. Such a one always goes out.
func (t *Tablet) superfluous(m *pb.Message) bool {
	to, commit := model.NodeID(m.GetTo()), m.GetCommit()
	news := commit > t.told[to]
	t.told[to] = max(t.told[to], commit)
	return news && t.leads && len(m.GetEntries()) == 0 && m.GetIndex() >= t.last && (commit < t.last || len(t.proposals.waiting) > 0)
}

// changeMembers makes the agreed changes of membership among the entries take
// effect in raft and returns the resulting memberships, which are stored when
// their entry is applied.
func (t *Tablet) changeMembers(entries []*pb.Entry) map[uint64]Members {
	var changed map[uint64]Members
	for _, e := range entries {
		if e.GetType() != pb.EntryConfChangeV2 {
			continue
		}
		var cc pb.ConfChangeV2
		if err := proto.Unmarshal(e.GetData(), &cc); err != nil {
			panic("FATAL: a membership change in the log of tablet " + t.id.String() + " is malformed: " + err.Error())
		}
		t.conf = t.rn.ApplyConfChange(&cc)
		t.steered = t.ticks
		if changed == nil {
			changed = map[uint64]Members{}
		}
		changed[e.GetIndex()] = MembersOf(t.conf)
	}
	return changed
}

// AppendDone tells that the append is durable (T1).
func (t *Tablet) AppendDone(a *Append) {
	if a.Snapshot != nil {
		md := a.Snapshot.GetMetadata()
		t.applied.Index, t.applied.Term = model.Index(md.GetIndex()), model.Term(md.GetTerm())
		t.applied.Conf = MembersOf(md.GetConfState())
		t.conf = md.GetConfState()
	}
	t.answerEarly(a.Entries)
	t.deliver(a.done)
}

// ApplyDone tells that the entries are applied, how far the state is now, and
// the results of the batches that this run proposed.
func (t *Tablet) ApplyDone(a *Apply, applied Applied, results []BatchResult) {
	t.applied = applied
	t.stamp = max(t.stamp, applied.Stamp)
	for _, r := range results {
		t.answer(r)
	}
	t.deliver(a.done)
	t.noteReady()
	t.answerReads()
}

// deliver passes on the messages that waited for a write.
func (t *Tablet) deliver(ms []*pb.Message) {
	for _, m := range ms {
		if m.GetTo() == uint64(t.node) {
			t.Step(m)
		} else {
			t.effects.Send = append(t.effects.Send, m)
		}
	}
}
