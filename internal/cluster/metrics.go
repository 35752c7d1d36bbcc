package cluster

import (
	"errors"
	"sync/atomic"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/tablet"
)

// TabletMetrics is what a node counts of one tablet that it holds.
type TabletMetrics struct {
	Tablet     model.TabletID
	Leads      bool
	Leaderless bool // this node knows no leader
	Term       model.Term
	Applied    model.Index
	LogEntries uint64
	LogBytes   uint64
	Won        uint64 // elections that this node won, since it started
	Lags       []MemberLag
	Refused    Refusals
	Async      AsyncMetrics
	Abroad     AbroadMetrics
}

// AbroadMetrics counts the writes that other regions must have before they are
// answered, since the node started.
type AbroadMetrics struct {
	Waiting  int    // now
	Short    uint64 // applied, and failed since other regions did not have them in time
	Degraded uint64 // answered although other regions did not have them
	Refused  uint64 // not applied, as a link was known to be behind or stopped
}

func (a *abroad) metrics() AbroadMetrics {
	a.mu.Lock()
	defer a.mu.Unlock()
	return AbroadMetrics{Waiting: len(a.waiting), Short: a.short.Load(), Degraded: a.degraded.Load(), Refused: a.refused.Load()}
}

// AsyncMetrics counts the writes at level async that this node answered before
// a majority had them, since it started.
type AsyncMetrics struct {
	Answered uint64 // commands
	Ahead    uint64 // of them, not agreed yet
	InDoubt  uint64 // answered before leadership was lost; not known yet to be kept or lost
	Lost     uint64 // writes kept in files: lost after they were answered
	Unsure   uint64 // the same, answered perhaps, by an earlier run of the node
}

func (c *asyncCounts) metrics() AsyncMetrics {
	return AsyncMetrics{
		Answered: uint64(c.answered.Load()), Ahead: uint64(c.ahead.Load()), InDoubt: uint64(c.inDoubt.Load()), Lost: c.lost.Load(), Unsure: c.unsure.Load(),
	}
}

// MemberLag is how far another member's log is known to be behind the leader's.
type MemberLag struct {
	Node    model.NodeID
	Entries uint64
}

// Refusals counts proposals that this replica surely did not apply.
type Refusals struct {
	NotLeader uint64 // they came to a node that did not lead, and were sent on
	Busy      uint64 // too much was waiting
	DiskFull  uint64
}

// refusals are the counters of Refusals.
type refusals struct{ notLeader, busy, diskFull atomic.Uint64 }

// note counts a proposal that failed.
func (r *refusals) note(err error) {
	switch {
	case errors.Is(err, tablet.ErrNotLeader):
		r.notLeader.Add(1)
	case errors.Is(err, tablet.ErrBusy):
		r.busy.Add(1)
	case errors.Is(err, errDiskFull):
		r.diskFull.Add(1)
	}
}

// TabletMetrics tells of every tablet held here, by id; nothing when the node
// stops.
func (n *Node) TabletMetrics() []TabletMetrics {
	var list []TabletMetrics
	for _, r := range n.allReplicas() {
		var s tablet.Status
		if !n.onLane(r, func() { s = r.tablet.Status() }) {
			return nil
		}
		m := TabletMetrics{
			Tablet: r.id, Leads: r.leads.Load(), Leaderless: r.lead.Load() == 0, Term: s.Term, Applied: s.Applied, Won: r.won.Load(),
			LogEntries: s.LogEntries, LogBytes: s.LogBytes,
			Async: r.async.metrics(), Abroad: r.abroad.metrics(),
			Refused: Refusals{NotLeader: r.refused.notLeader.Load(), Busy: r.refused.busy.Load(), DiskFull: r.refused.diskFull.Load()},
		}
		if s.Leader == n.opts.Node {
			for _, id := range s.Members.All() {
				if id != n.opts.Node {
					m.Lags = append(m.Lags, MemberLag{id, uint64(max(s.Last, s.Matched[id]) - s.Matched[id])})
				}
			}
		}
		list = append(list, m)
	}
	return list
}

// SnapshotMetrics counts the snapshots that this node sent and received.
type SnapshotMetrics struct {
	Sent, Failed, Received uint64
	BytesSent              uint64
	UnderWay               int // being sent now
}

// SnapshotMetrics returns the counters.
func (n *Node) SnapshotMetrics() SnapshotMetrics {
	s := &n.shipments
	return SnapshotMetrics{Sent: s.sent.Load(), Failed: s.failed.Load(), Received: s.received.Load(), BytesSent: s.bytes.Load(), UnderWay: len(s.list())}
}
