package service

import (
	"context"
	"sync"

	"weir.dev/weir/internal/model"
)

// A queue may have model.MaxQueueInFlight messages in flight. Each of its slots
// holds to that by itself, exactly. Where there are several, the nodes hold to it
// together, as well as each knows: it counts what is in flight in all slots again
// and again, the more often the less is left.

const (
	// countPart is the part of the limit after which, received through this node,
	// the queue is counted at the latest: a thousand messages.
	countPart = 120
	// countShare is the part of what was left at the last count that is received
	// through this node before the next one. It allows for as many nodes.
	countShare = 16
)

// inFlightCount is when a node counts a queue's messages in flight. Its zero value
// is ready.
type inFlightCount struct {
	mu   sync.Mutex // guards what follows
	took int64      // messages received through this node since the last count
	less int64      // by how much fewer of them than usual lead to the next one
}

// add notes that messages were received through this node.
func (c *inFlightCount) add(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.took += int64(n)
}

// due reports whether it is time to count, and begins anew.
func (c *inFlightCount) due(limit int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.took < limit/countPart-c.less {
		return false
	}
	c.took = 0
	return true
}

// counted notes how many more messages may be in flight.
func (c *inFlightCount) counted(limit, left int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.less = limit/countPart - max(0, min(limit/countPart, left/countShare))
}

// overInFlight reports whether as many messages of the whole queue are in flight
// as may be. A queue that cannot be counted now is taken to have few.
func (s *Service) overInFlight(ctx context.Context, q *Queue) bool {
	if len(q.slots) == 1 || !q.traffic.inFlight.due(s.mostInFlight) { // one slot counts for itself
		return false
	}
	counts, err := s.CountQueue(ctx, q)
	if err != nil {
		return false
	}
	left := s.mostInFlight - int64(counts.InFlight)
	q.traffic.inFlight.counted(s.mostInFlight, left)
	return left <= 0
}

func errOverInFlight() error {
	return model.Errorf(model.ErrOverLimit, "Too many messages in flight: a queue may have %d.", model.MaxQueueInFlight)
}
