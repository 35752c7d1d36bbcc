package tablet

import (
	"fmt"
	"strings"
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"

	"weir.dev/weir/internal/model"
)

// TestSteps has, for a membership and what is wanted, the next change. A
// number behind + is made a learner, behind ^ a voter, behind - it leaves.
func TestSteps(t *testing.T) {
	n := func(ids ...model.NodeID) []model.NodeID { return ids }
	for _, c := range []struct {
		name             string
		now              Members
		voters, learners []model.NodeID
		behind           []model.NodeID // have not caught up
		want             string
	}{
		{name: "as wanted", now: Members{Voters: n(1, 2, 3)}, voters: n(1, 2, 3)},
		{name: "grow: learners first", now: Members{Voters: n(1)}, voters: n(1, 2, 3), want: "+2 +3"},
		{name: "grow: the missing learner", now: Members{Voters: n(1), Learners: n(2)}, voters: n(1, 2, 3), want: "+3"},
		{name: "grow: wait for the slowest", now: Members{Voters: n(1), Learners: n(2, 3)}, voters: n(1, 2, 3), behind: n(3)},
		{name: "grow: voters together", now: Members{Voters: n(1), Learners: n(2, 3)}, voters: n(1, 2, 3), want: "^2 ^3"},
		{name: "a learner only", now: Members{Voters: n(1)}, voters: n(1), learners: n(2), want: "+2"},
		{name: "a learner stays", now: Members{Voters: n(1), Learners: n(2)}, voters: n(1), learners: n(2)},
		{name: "a learner leaves", now: Members{Voters: n(1), Learners: n(2)}, voters: n(1), want: "-2"},
		{name: "replace a voter: first the new one", now: Members{Voters: n(1, 2, 3)}, voters: n(1, 2, 4), want: "+4"},
		{name: "replace a voter: nobody leaves meanwhile", now: Members{Voters: n(1, 2, 3), Learners: n(4)}, voters: n(1, 2, 4), behind: n(4)},
		{name: "replace a voter: both at once", now: Members{Voters: n(1, 2, 3), Learners: n(4)}, voters: n(1, 2, 4), want: "^4 -3"},
		{name: "a voter becomes a learner", now: Members{Voters: n(1, 2, 3)}, voters: n(1), learners: n(2), want: "+2 -3"},
		{name: "a dead learner does not hold up others", now: Members{Voters: n(1), Learners: n(2)}, voters: n(1), learners: n(2, 3), behind: n(2), want: "+3"},
	} {
		caughtUp := func(id model.NodeID) bool {
			for _, b := range c.behind {
				if b == id {
					return false
				}
			}
			return true
		}
		if got := changeText(steps(c.now, c.voters, c.learners, caughtUp)); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func changeText(changes []*pb.ConfChangeSingle) string {
	var parts []string
	for _, c := range changes {
		sign := map[pb.ConfChangeType]string{pb.ConfChangeAddNode: "^", pb.ConfChangeAddLearnerNode: "+", pb.ConfChangeRemoveNode: "-"}[c.GetType()]
		parts = append(parts, fmt.Sprintf("%s%d", sign, c.GetNodeId()))
	}
	return strings.Join(parts, " ")
}

// TestPromoteTogether grows a tablet and looks at every membership on the way:
// it has one voter or three, and never two, of which each would be needed.
func TestPromoteTogether(t *testing.T) {
	g := newGroup(t)
	leader := g.add(1, []model.NodeID{1})
	g.add(2, nil)
	g.add(3, nil)
	leader.tablet.Campaign()
	g.settle(nil)
	joint := false
	for range 10 {
		leader.tablet.Steer([]model.NodeID{1, 2, 3}, nil)
		for leader.turn(false) || leader.write() || leader.apply() || len(g.pool) > 0 || len(leader.snapshots) > 0 {
			for _, m := range leader.snapshots {
				leader.install(m)
			}
			leader.snapshots = nil
			g.deliver(func(*pb.Message) bool { return true }, false, false)
			for _, id := range g.ids[1:] {
				h := g.nodes[id]
				h.turn(false)
				for h.write() {
				}
				for h.apply() {
				}
			}
			m := leader.tablet.Status().Members
			if len(m.Voters) == 2 {
				t.Fatalf("two voters: %+v", m)
			}
			joint = joint || len(m.Outgoing) == 1 && len(m.Voters) == 3
		}
		leader.tablet.Tick()
	}
	if got := leader.tablet.Status().Members; len(got.Voters) != 3 || len(got.Learners)+len(got.Outgoing) != 0 {
		t.Errorf("the tablet grew to %+v", got)
	}
	if !joint {
		t.Error("the change was not joint")
	}
}

// TestElectionByTicks: a group whose clocks run elects one leader by itself
// and keeps it.
func TestElectionByTicks(t *testing.T) {
	g := newGroup(t)
	voters := []model.NodeID{1, 2, 3}
	for _, id := range voters {
		g.add(id, voters)
	}
	var leader model.NodeID
	for round := range 200 {
		for _, id := range g.ids {
			g.nodes[id].tablet.Tick()
		}
		g.settle(nil)
		for _, id := range g.ids {
			if !g.nodes[id].tablet.Leads() {
				continue
			}
			if leader != 0 && leader != id {
				t.Fatalf("round %d: node %d leads after node %d, although nothing failed", round, id, leader)
			}
			leader = id
		}
	}
	if leader == 0 {
		t.Fatal("nobody leads after 20 seconds")
	}
}

// TestEmptyReplicaDoesNotVote: a node that held a replica and removed it makes
// an empty one when a member of the past asks it for a vote. Its vote would
// make a leader that lacks what was agreed since.
func TestEmptyReplicaDoesNotVote(t *testing.T) {
	g := newGroup(t)
	past := g.add(1, []model.NodeID{1, 3})
	g.add(3, nil)
	past.tablet.Campaign()
	g.settle(nil)
	if past.tablet.Leads() {
		t.Error("a replica leads by the vote of one that knows nothing")
	}
}
