package cluster

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/tablet"
)

// story collects which tablets lost their leaders and found others, so that a
// round of housekeeping tells of all of them in a few lines.
type story struct {
	mu     sync.Mutex // guards what follows
	lost   map[model.NodeID][]model.TabletID
	found  []finding // after a loss
	moved  []finding // nobody was missed
	rounds int       // since the first of these

	failovers atomic.Uint64
	took      atomic.Int64 // all of them together, in nanoseconds
	longest   atomic.Int64
}

// finding is a tablet's new leader.
type finding struct {
	tablet model.TabletID
	leader model.NodeID
	after  time.Duration // since the one before was last heard, to a tick
}

// missedAfter is how long a leader has been silent when another one in its place
// means that it was lost: one that hands over speaks until then.
const missedAfter = 5 * tablet.TickInterval

// leadership is what a replica knows of its leaders; of the lane.
type leadership struct {
	last   model.NodeID // the last one that was known
	silent time.Duration
	since  time.Time // since when there is none; zero: there is one
}

// noteLeader follows a change of the known leader. It runs on the lane.
func (r *replica) noteLeader(lead model.NodeID) {
	w, n := &r.leadership, r.lane.node
	now := n.clock.Now()
	if lead == 0 {
		w.since, w.silent = now, time.Duration(r.tablet.Missed())*tablet.TickInterval
		if w.silent >= missedAfter && w.last != 0 {
			n.story.lose(r.id, w.last)
		}
		return
	}
	last, after := w.last, w.silent
	if w.since.IsZero() {
		after = time.Duration(r.tablet.Missed()) * tablet.TickInterval
	} else {
		after += now.Sub(w.since)
	}
	*w = leadership{last: lead}
	if last != 0 && last != lead {
		n.story.find(finding{r.id, lead, after}, lead == n.opts.Node)
	}
}

func (s *story) lose(id model.TabletID, leader model.NodeID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost == nil {
		s.lost = map[model.NodeID][]model.TabletID{}
	}
	s.lost[leader] = append(s.lost[leader], id)
}

// find notes a new leader; the leader itself counts it, so that the cluster
// counts each once.
func (s *story) find(f finding, mine bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.after < missedAfter {
		s.moved = append(s.moved, f)
		return
	}
	s.found = append(s.found, f)
	if mine {
		s.failovers.Add(1)
		s.took.Add(int64(f.after))
		s.longest.Store(max(s.longest.Load(), int64(f.after)))
	}
}

// storyRounds is for how many rounds of housekeeping a story is collected:
// tablets miss one leader at different moments, up to a second apart.
const storyRounds = 4

// tellStory logs what has come together.
func (n *Node) tellStory() {
	s := &n.story
	s.mu.Lock()
	if len(s.lost)+len(s.found)+len(s.moved) > 0 {
		s.rounds++
	}
	if s.rounds < storyRounds {
		s.mu.Unlock()
		return
	}
	s.rounds = 0
	lost, found, moved := s.lost, s.found, s.moved
	s.lost, s.found, s.moved = nil, nil, nil
	s.mu.Unlock()
	for _, leader := range slices.Sorted(maps.Keys(lost)) {
		slices.Sort(lost[leader])
		n.log.Warn("tablets lost their leader: their writes wait for another", "tablets", shortRanges(slices.Compact(lost[leader])), "leader", leader)
	}
	if len(found) > 0 {
		tablets, leaders, after := summary(found)
		n.log.Info("tablets are led again: writes go on", "tablets", tablets, "leaders", leaders, "after", after)
	}
	if len(moved) > 0 {
		tablets, leaders, _ := summary(moved)
		n.log.Info("leadership was handed over", "tablets", tablets, "leaders", leaders)
	}
}

// summary names the tablets, how many each node leads of them now, and the
// longest time.
func summary(list []finding) (tablets, leaders string, longest time.Duration) {
	newest := map[model.TabletID]model.NodeID{}
	for _, f := range list {
		newest[f.tablet] = f.leader
		longest = max(longest, f.after)
	}
	counts := map[model.NodeID]int{}
	for _, leader := range newest {
		counts[leader]++
	}
	ids := slices.SortedFunc(maps.Keys(counts), func(a, b model.NodeID) int { return cmp.Compare(a, b) })
	parts := make([]string, len(ids))
	for i, id := range ids {
		parts[i] = fmt.Sprintf("%v: %d", id, counts[id])
	}
	return shortRanges(slices.Sorted(maps.Keys(newest))), strings.Join(parts, ", "), longest.Round(10 * time.Millisecond)
}

// shortRanges is TabletRanges without its first word.
func shortRanges(ids []model.TabletID) string {
	_, ranges, _ := strings.Cut(TabletRanges(ids), " ")
	return ranges
}

// FailoverMetrics counts the tablets that this node took over from a leader that
// was lost, since it started.
type FailoverMetrics struct {
	Count          uint64
	Total, Longest time.Duration // from the last sign of the old leader on
}

// FailoverMetrics returns the counters.
func (n *Node) FailoverMetrics() FailoverMetrics {
	s := &n.story
	return FailoverMetrics{Count: s.failovers.Load(), Total: time.Duration(s.took.Load()), Longest: time.Duration(s.longest.Load())}
}
