package tablet

import (
	"slices"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"

	"weir.dev/weir/internal/model"
)

// caughtUpLag is how many entries a learner may be behind and still be made a
// voter: what it lacks then arrives within a moment.
const caughtUpLag = 200

// Steer moves the membership one step towards the wanted voters and learners.
// Only the leader does anything, and only when no change is under way. New
// voters join as learners, become voters together once all of them have
// caught up, and only then do unwanted members leave. A leader that is to leave
// hands over first: its successor takes that step.
func (t *Tablet) Steer(voters, learners []model.NodeID) {
	if !t.Leads() || len(t.conf.GetVotersOutgoing()) > 0 {
		return
	}
	if !slices.Contains(voters, t.node) {
		if slices.ContainsFunc(voters, t.HandOver) {
			return
		}
		// Nor does it become a learner: what it has written since would keep a
		// successor from being elected that does not know of the change yet.
		voters = append(slices.Clone(voters), t.node)
		learners = slices.DeleteFunc(slices.Clone(learners), func(id model.NodeID) bool { return id == t.node })
	}
	change := steps(MembersOf(t.conf), voters, learners, t.caughtUp)
	if len(change) == 0 {
		return
	}
	t.steered = t.ticks
	_ = t.rn.ProposeConfChange(&pb.ConfChangeV2{Changes: change}) // dropped: the next call tries again
}

// steps is the next change of membership, or none.
func steps(now Members, voters, learners []model.NodeID, caughtUp func(model.NodeID) bool) []*pb.ConfChangeSingle {
	var add, promote, leave []*pb.ConfChangeSingle
	single := func(typ pb.ConfChangeType, id model.NodeID) *pb.ConfChangeSingle {
		raw := uint64(id)
		return &pb.ConfChangeSingle{Type: typ.Enum(), NodeId: &raw}
	}
	ready := true
	for _, id := range voters {
		if slices.Contains(now.Voters, id) {
			continue
		}
		if !slices.Contains(now.Learners, id) {
			add = append(add, single(pb.ConfChangeAddLearnerNode, id))
			continue
		}
		promote = append(promote, single(pb.ConfChangeAddNode, id))
		ready = ready && caughtUp(id)
	}
	for _, id := range learners {
		if !slices.Contains(now.Learners, id) && !slices.Contains(now.Voters, id) {
			add = append(add, single(pb.ConfChangeAddLearnerNode, id))
		}
	}
	if len(add) > 0 {
		return add
	}
	for _, id := range now.Voters {
		if slices.Contains(learners, id) {
			leave = append(leave, single(pb.ConfChangeAddLearnerNode, id))
		} else if !slices.Contains(voters, id) {
			leave = append(leave, single(pb.ConfChangeRemoveNode, id))
		}
	}
	for _, id := range now.Learners {
		if !slices.Contains(learners, id) && !slices.Contains(voters, id) {
			leave = append(leave, single(pb.ConfChangeRemoveNode, id))
		}
	}
	if !ready {
		return nil
	}
	return append(promote, leave...)
}

func (t *Tablet) caughtUp(id model.NodeID) bool {
	last, err := t.log.LastIndex()
	if err != nil {
		return false
	}
	ok := false
	t.rn.WithProgress(func(peer uint64, _ raft.ProgressType, pr tracker.Progress) {
		if peer == uint64(id) {
			ok = pr.RecentActive && pr.State == tracker.StateReplicate && pr.Match+caughtUpLag >= last
		}
	})
	return ok
}

// HandOver makes the leader pass leadership to a voter that is up and close,
// and reports whether it tried. It does not while the membership changes, nor
// within handOverPause of the last attempt.
func (t *Tablet) HandOver(to model.NodeID) bool {
	if !t.Leads() || to == t.node || t.ticks < t.handOver ||
		!slices.Contains(MembersOf(t.conf).Voters, to) || !t.caughtUp(to) || t.steered > 0 && t.ticks-t.steered < settleTicks {
		return false
	}
	t.handOver = t.ticks + handOverPause
	t.rn.TransferLeader(uint64(to))
	return true
}

// Resign makes the leader pass leadership to any voter that is up and close,
// and reports whether it tried.
func (t *Tablet) Resign() bool {
	for _, to := range MembersOf(t.conf).Voters {
		if t.HandOver(to) {
			return true
		}
	}
	return false
}

// Hears calls f with every other member that the leader has, whether it
// answered within about the last second, and whether it has nearly the whole log.
func (t *Tablet) Hears(f func(id model.NodeID, answers, close bool)) {
	if !t.leads {
		return
	}
	last, err := t.log.LastIndex()
	t.rn.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
		if id != uint64(t.node) {
			f(model.NodeID(id), pr.RecentActive, err == nil && pr.Match+caughtUpLag >= last)
		}
	})
}

// Status is a replica as an operator sees it.
type Status struct {
	Tablet model.TabletID
	Leader model.NodeID
	Term   model.Term
	Last   model.Index // of the log
	// LogEntries and LogBytes are what the log holds, the latter about.
	LogEntries, LogBytes uint64
	Applied              model.Index
	Members              Members
	// Matched is, on the leader, how far each member's log is known to agree,
	// and Active whether it answered lately.
	Matched map[model.NodeID]model.Index
	Active  map[model.NodeID]bool
	// LacksBytes is, on the leader, about how many bytes of log a member that is
	// behind still lacks, and Snapshot those that need a snapshot for it.
	LacksBytes map[model.NodeID]uint64
	Snapshot   map[model.NodeID]bool
}

// Status tells where the replica stands.
func (t *Tablet) Status() Status {
	s := Status{Tablet: t.id, Leader: t.lead, Term: model.Term(t.rn.BasicStatus().GetTerm()), Applied: t.applied.Index, Members: MembersOf(t.conf)}
	if last, err := t.log.LastIndex(); err == nil {
		s.Last = model.Index(last)
		if first, err := t.log.FirstIndex(); err == nil {
			s.LogEntries, s.LogBytes = last+1-first, t.log.SizeAbove(first-1)
		}
	}
	if t.leads {
		s.Matched, s.Active = map[model.NodeID]model.Index{}, map[model.NodeID]bool{}
		s.LacksBytes, s.Snapshot = map[model.NodeID]uint64{}, map[model.NodeID]bool{}
		t.rn.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
			s.Matched[model.NodeID(id)] = model.Index(pr.Match)
			s.Active[model.NodeID(id)] = pr.RecentActive || id == uint64(t.node)
			if lacks := t.log.SizeAbove(pr.Match); lacks > 0 {
				s.LacksBytes[model.NodeID(id)] = lacks
			}
			if pr.State == tracker.StateSnapshot {
				s.Snapshot[model.NodeID(id)] = true
			}
		})
	}
	return s
}
