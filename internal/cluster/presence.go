package cluster

import (
	"maps"
	"slices"
	"sync"
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/tablet"
)

// presence is which members this node hears from. Only leaders hear regularly
// from the others, so a node knows of those that hold replicas of what it leads;
// Status puts together what all nodes know.
type presence struct {
	mu     sync.Mutex // guards what follows
	round  map[model.NodeID]bool
	heard  map[model.NodeID]time.Time // when it last answered
	missed map[model.NodeID]int       // rounds in a row without an answer
	behind map[model.NodeID]bool      // of this round: some tablet led here is not nearly there yet
	back   map[model.NodeID]time.Time // since when those answer again that were silent and have not caught up
}

// silentRounds is after how many rounds of housekeeping without an answer a
// member is called silent. Raft forgets who answered once a second, so that one
// round says nothing.
const silentRounds = 3

// note takes from a tablet who answered its leader lately. It runs on the
// tablet's lane.
func (p *presence) note(t *tablet.Tablet) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.round == nil {
		p.round, p.behind = map[model.NodeID]bool{}, map[model.NodeID]bool{}
	}
	t.Hears(func(id model.NodeID, answers, close bool) {
		p.round[id] = p.round[id] || answers
		p.behind[id] = p.behind[id] || !close
	})
}

// presenceChange is a member that fell silent, that answers again, or that has
// caught up after that.
type presenceChange struct {
	node   model.NodeID
	silent bool
	caught bool
	since  time.Time // when it was heard before, zero: never; of one that has caught up, when it answered again
}

// settle ends a round and tells what it changed, by node.
func (p *presence) settle(now time.Time) (changes []presenceChange) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.heard == nil {
		p.heard, p.missed, p.back = map[model.NodeID]time.Time{}, map[model.NodeID]int{}, map[model.NodeID]time.Time{}
	}
	for _, id := range slices.Sorted(maps.Keys(p.round)) {
		last := p.heard[id]
		if p.round[id] {
			if p.missed[id] >= silentRounds {
				changes = append(changes, presenceChange{node: id, since: last})
				p.back[id] = now
			} else if since, back := p.back[id]; back && !p.behind[id] {
				changes = append(changes, presenceChange{node: id, caught: true, since: since})
				delete(p.back, id)
			}
			p.heard[id] = now
			delete(p.missed, id)
			continue
		}
		if p.missed[id]++; p.missed[id] == silentRounds {
			changes = append(changes, presenceChange{node: id, silent: true, since: last})
		}
	}
	clear(p.round)
	clear(p.behind)
	return changes
}

// times are when members were last heard, in Unix milliseconds.
func (p *presence) times() map[model.NodeID]int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	times := make(map[model.NodeID]int64, len(p.heard))
	for id, at := range p.heard {
		times[id] = at.UnixMilli()
	}
	return times
}

// tellPresence logs which members fell silent and which answer again.
func (n *Node) tellPresence() {
	now := n.clock.Now()
	for _, c := range n.presence.settle(now) {
		address, member := n.Address(c.node)
		if !member {
			continue // removed, and meant to be silent
		}
		away := "unknown"
		if !c.since.IsZero() {
			away = now.Sub(c.since).Round(time.Millisecond).String()
		}
		if c.caught {
			n.log.Info("a node has caught up with what is led here", "node", c.node, "address", address, "after", away)
			continue
		}
		if c.silent {
			n.log.Warn("a node does not answer", "node", c.node, "address", address, "for", away)
		} else {
			n.log.Info("a node answers again", "node", c.node, "address", address, "after", away)
		}
	}
}
