package service

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"weir.dev/weir/internal/model"
)

// A queue may be spread over several slots, each of which is a queue by itself:
// see model.QueueSlots. Which one a message goes to, or is taken from, is for
// the service to choose, and it prefers those that this node leads, so that
// with a slot on each node nothing is forwarded.

const (
	// sendsPerSlot is how many sends of this node may be under way in one slot
	// before the next slot is used: as many gather in one commit of a tablet
	// anyway, and more of them are better off in another tablet.
	sendsPerSlot = 32
	// rotateEvery is how often a receive begins at another slot than the
	// preferred one, so that no slot waits for ever.
	rotateEvery = 8
	// avoidFor is how long a slot that did not answer is asked last.
	avoidFor = 5 * time.Second
)

// queueTraffic is what this node does with a queue now. It serves choices only:
// to lose it does no harm.
type queueTraffic struct {
	sends    atomic.Uint32  // sends so far
	receives atomic.Uint32  // receives so far
	under    []atomic.Int32 // by slot: sends under way
	failed   []atomic.Int64 // by slot: when it last did not answer, Unix milliseconds
	quota    queueQuota
	inFlight inFlightCount
}

func newTraffic(slots int) *queueTraffic {
	return &queueTraffic{under: make([]atomic.Int32, slots), failed: make([]atomic.Int64, slots)}
}

// preference lists the queue's slots by their numbers: first those that this
// node leads, last those that do not answer.
func (s *Service) preference(q *Queue) []int {
	n := len(q.slots)
	order := make([]int, 0, 3*n)
	if n == 1 {
		return append(order, 0)
	}
	nowMs := s.clock.Now().UnixMilli()
	far, failed := order[n:n], order[2*n:2*n]
	for i, slot := range q.slots {
		switch {
		case nowMs-q.traffic.failed[i].Load() < avoidFor.Milliseconds():
			failed = append(failed, i)
		case s.cluster.Leads(slot):
			order = append(order, i)
		default:
			far = append(far, i)
		}
	}
	return append(append(order, far...), failed...)
}

// sendSlot chooses the slot for a new message without a group.
func (s *Service) sendSlot(q *Queue) int {
	n := len(q.slots)
	if n == 1 {
		return 0
	}
	if q.Spec.RateMilli > 0 { // each slot delivers its share of the rate
		return int(q.traffic.sends.Add(1) % uint32(n))
	}
	order := s.preference(q)
	for _, i := range order {
		if q.traffic.under[i].Load() < sendsPerSlot {
			return i
		}
	}
	return order[int(q.traffic.sends.Add(1)%uint32(n))]
}

// receiveOrder lists the queue's slots in the order in which a receive asks
// them.
func (s *Service) receiveOrder(q *Queue) []int {
	order := s.preference(q)
	if n := uint32(len(order)); n > 1 {
		if turn := q.traffic.receives.Add(1); turn%rotateEvery == 0 {
			k := turn / rotateEvery % n
			order = append(append(make([]int, 0, n), order[k:]...), order[:k]...)
		}
	}
	return order
}

// noteFailure remembers that a slot did not answer.
func (s *Service) noteFailure(q *Queue, at int) {
	q.traffic.failed[at].Store(s.clock.Now().UnixMilli())
}

// AwaitAny waits, at most wait long, until one of the commands would find
// something, and returns which; -1 when none did. The error is the last one,
// when all of them failed.
func AwaitAny(ctx context.Context, c Cluster, cmds []*model.Command, wait time.Duration) (at int, err error) {
	if len(cmds) == 1 {
		ready, err := c.AwaitReady(ctx, cmds[0], wait)
		if ready {
			return 0, err
		}
		return -1, err
	}
	type answer struct {
		at    int
		ready bool
		err   error
	}
	ctx, cancel := context.WithCancel(ctx)
	answers := make(chan answer, len(cmds))
	var waiting sync.WaitGroup
	for i, cmd := range cmds {
		waiting.Go(func() {
			ready, err := c.AwaitReady(ctx, cmd, wait)
			answers <- answer{i, ready, err}
		})
	}
	defer waiting.Wait() // after cancel, which ends it
	defer cancel()
	failed := 0
	for range cmds {
		a := <-answers
		switch {
		case a.err != nil:
			failed, err = failed+1, a.err
		case a.ready:
			return a.at, nil
		}
	}
	if failed < len(cmds) {
		err = nil
	}
	return -1, err
}
