// Package pipe is offline processing: it drains queues, and reads streams, into
// tables, streams and queues at a set rate, and each message or record takes
// effect exactly once, whatever is killed when.
//
// The node that leads a pipe's source runs its worker. The worker claims a
// batch of messages, applies it at the target tablet by tablet, sends what the
// target refuses to the dead-letter queue, and settles the claim. Claims are
// part of the source's replicated state and applied parts of the target's, so
// every step may be repeated and whoever leads next goes on from the second
// one; docs/format/pipe.md has the argument. The package keeps no state of its
// own that matters. Tasks that move the messages of a dead-letter queue are
// pipes, too: move.go says when they end. shards.go reads streams.
//
// Every goroutine ends with Close. Start with Engine and job.go, then worker.go, claim.go
// and drive.go; mapping.go and plan.go turn a message into an update.
package pipe

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

// Engine runs the pipes whose sources this node leads.
type Engine struct {
	cluster service.Cluster
	service *service.Service
	clock   base.Clock
	rand    *base.Rand
	log     *slog.Logger

	ctx   context.Context // ends with Close
	stop  context.CancelFunc
	tasks sync.WaitGroup

	// What follows is the supervisor's goroutine's only.
	workers map[model.ResourceID]*worker
	agenda  agenda
	led     []bool                    // of the agenda's catalog's tablets: which are led here
	mine    []*job                    // the pipes of the agenda that belong here, by id
	movers  map[model.ResourceID]*job // by queue: with the slots that are led here

	nudges nudges
}

// nudges are the queues whose movers have something to do, or may have.
type nudges struct {
	mu     sync.Mutex // guards what follows
	queues map[model.ResourceID]bool
	rested []model.ResourceID // whose workers have ended
}

func (n *nudges) add(queues ...model.ResourceID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.queues == nil {
		n.queues = map[model.ResourceID]bool{}
	}
	for _, id := range queues {
		n.queues[id] = true
	}
}

func (n *nudges) rest(queue model.ResourceID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.rested = append(n.rested, queue)
}

func (n *nudges) take() (queues, rested []model.ResourceID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	queues, rested = slices.Sorted(maps.Keys(n.queues)), n.rested
	n.queues, n.rested = nil, nil
	return queues, rested
}

// superviseEvery is how soon a change of leader or of a pipe is noticed.
const superviseEvery = 100 * time.Millisecond

// NewEngine starts an engine.
func NewEngine(c service.Cluster, s *service.Service, clock base.Clock, rand *base.Rand, log *slog.Logger) *Engine {
	e := &Engine{cluster: c, service: s, clock: clock, rand: rand, log: log, workers: map[model.ResourceID]*worker{}}
	e.ctx, e.stop = context.WithCancel(context.Background())
	e.tasks.Go(e.supervise)
	e.tasks.Go(e.sweep)
	return e
}

// Close stops all workers and waits for them.
func (e *Engine) Close() {
	e.stop()
	e.tasks.Wait()
}

// supervise keeps a worker for every pipe whose source is led here.
func (e *Engine) supervise() {
	for e.sleep(e.ctx, superviseEvery) {
		e.look()
		for _, j := range e.mine {
			if w, ok := e.workers[j.id]; !ok || w.done() {
				e.workers[j.id] = e.startWorker(j)
			}
		}
		e.nudges.add(e.cluster.Buried()...)
		e.startMovers()
	}
}

// startMovers sees to it that the movers work that have been told to. A mover that
// finds nothing ends, so that queues in which nothing dies cost nothing.
func (e *Engine) startMovers() {
	queues, rested := e.nudges.take()
	for _, id := range rested {
		if w := e.workers[id]; w != nil && w.rests() {
			delete(e.workers, id)
		}
	}
	for _, id := range queues {
		j := e.movers[id]
		if j == nil {
			continue
		}
		if w := e.workers[id]; w == nil || !w.nudge() {
			e.workers[id] = e.startWorker(j)
		}
	}
}

// look follows the catalog and who leads. It reports whether work was assigned
// anew.
func (e *Engine) look() bool {
	changed := e.agenda.follow(e.cluster.Catalog(), e.log)
	if !e.lead() && !changed {
		return false
	}
	e.assign()
	return true
}

// lead notes which tablets are led here, and reports whether that has changed.
func (e *Engine) lead() (changed bool) {
	tablets := e.agenda.catalog.Tablets
	if len(e.led) != len(tablets) {
		e.led, changed = make([]bool, len(tablets)), true
	}
	for i := range tablets {
		led := tablets[i].Hi > tablets[i].Lo && e.cluster.Leads(model.Slot(tablets[i].Lo))
		changed = changed || led != e.led[i]
		e.led[i] = led
	}
	return changed
}

// assign finds this node's part of the agenda, tells the workers that there are
// of it, and stops those that have no work any more. A worker runs where the
// first of its source's slots is led; dead messages are moved from each slot where
// it is led.
func (e *Engine) assign() {
	e.mine = nil
	wanted := make(map[model.ResourceID]bool, len(e.workers))
	movers := make(map[model.ResourceID]*job, len(e.movers))
	for _, j := range e.agenda.jobs {
		if j.mover {
			if j = e.moverHere(j); j == nil {
				continue
			}
			movers[j.id] = j
		} else if e.leads(j.slots[0]) {
			e.mine = append(e.mine, j)
		} else {
			continue
		}
		wanted[j.id] = true
		if w, ok := e.workers[j.id]; ok {
			w.update(j)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(e.workers)) { // in order: runs of the simulator shall be equal
		if !wanted[id] {
			e.workers[id].cancel()
			delete(e.workers, id)
		}
	}
	e.movers = movers
}

// moverHere is the part of a mover's work that belongs here; nil when nothing
// does. What is new is to be looked at once.
func (e *Engine) moverHere(j *job) *job {
	var slots []model.Slot
	for _, slot := range j.slots {
		if e.leads(slot) {
			slots = append(slots, slot)
		}
	}
	if len(slots) == 0 {
		return nil
	}
	if was := e.movers[j.id]; was != nil && was.whole == j && slices.Equal(was.slots, slots) {
		return was
	}
	here := *j
	here.slots, here.whole = slots, j
	e.nudges.add(j.id)
	return &here
}

// leads reports whether the slot's tablet is one of those led.
func (e *Engine) leads(slot model.Slot) bool {
	at := slices.IndexFunc(e.agenda.catalog.Tablets, func(t model.Tablet) bool { return uint32(slot) >= t.Lo && uint32(slot) < t.Hi })
	return at >= 0 && e.led[at]
}

func (e *Engine) sleep(ctx context.Context, d time.Duration) bool {
	return base.Sleep(ctx, e.clock, e.rand, d)
}
