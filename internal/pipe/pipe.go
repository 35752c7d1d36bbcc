// Package pipe is offline processing: it drains queues into tables at a set
// rate, and each message takes effect exactly once, whatever is killed when.
//
// The node that leads a pipe's source runs its worker. The worker claims a
// batch of messages, applies it at the target tablet by tablet, sends what the
// target refuses to the dead-letter queue, and settles the claim. Claims are
// part of the source's replicated state and applied parts of the target's, so
// every step may be repeated and whoever leads next goes on from the second
// one; docs/format/pipe.md has the argument. The package keeps no state of its
// own that matters. Tasks that move the messages of a dead-letter queue are
// pipes, too: move.go says when they end.
//
// Every goroutine ends with Close. Start with Engine, then worker.go, claim.go
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
	plan    []job          // the work of all nodes by the catalog planned
	planned *model.Catalog // nil at first
	queues  knownQueues    // of that catalog
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
		wanted := map[model.ResourceID]job{}
		for _, j := range e.jobs() {
			wanted[j.id] = j
			if w, ok := e.workers[j.id]; ok && !w.done() {
				w.update(j)
				continue
			}
			e.workers[j.id] = e.startWorker(j)
		}
		for _, id := range slices.Sorted(maps.Keys(e.workers)) { // in order: runs of the simulator shall be equal
			if _, ok := wanted[id]; !ok {
				e.workers[id].cancel()
				delete(e.workers, id)
			}
		}
	}
}

// job is what a worker has to do, as the catalog says now.
type job struct {
	id      model.ResourceID // of the pipe, or of the queue whose dead letters are moved
	name    string
	spec    model.PipeSpec
	version uint64
	slots   []model.Slot       // of the source
	mover   bool               // move a queue's dead messages to its dead-letter queue
	move    *service.MoveState // of a task that moves messages; nil for other pipes
	ending  bool               // the pipe was deleted: roll forward, then forget it
}

// jobs lists the work of this node, in the order of the plan: a worker runs where
// the first of its source's slots is led.
func (e *Engine) jobs() (jobs []job) {
	if c := e.cluster.Catalog(); c != e.planned {
		e.plan, e.planned = e.planOf(c), c
	}
	for i := range e.plan {
		if e.cluster.Leads(e.plan[i].slots[0]) {
			jobs = append(jobs, e.plan[i])
		}
	}
	return jobs
}

// planOf is the work of all nodes: movers and pipes in the catalog's order, then
// what is left of deleted pipes.
func (e *Engine) planOf(c *model.Catalog) []job {
	var plan []job
	plan, e.queues = moverJobs(c, e.queues)
	add := func(r *model.Resource, ending bool) {
		p, err := service.NewPipe(r)
		if err != nil {
			e.log.Error("cannot read a pipe", "pipe", r.Name, "error", err)
			return
		}
		j := job{id: r.ID, name: r.Name, spec: p.Spec, slots: p.Spec.Slots(), version: r.Version, ending: ending}
		if service.IsMoveTask(r.Name) {
			if j.move, err = service.ReadMoveState(&p.Spec); err != nil {
				e.log.Error("cannot read a task that moves messages", "pipe", r.Name, "error", err)
				return
			}
			if j.move.Ended() && !ending {
				return
			}
		}
		plan = append(plan, j)
	}
	pipes := c.Of(model.KindPipe)
	for i := range pipes {
		add(&pipes[i], false)
	}
	for i := range c.Deleted {
		if r := &c.Deleted[i]; r.Kind == model.KindPipe {
			add(r, true)
		}
	}
	return plan
}

// knownQueues are what a plan needs of queues, so that a change of the catalog
// does not decode the specs of all.
type knownQueues map[model.ResourceID]knownQueue

type knownQueue struct {
	version    uint64
	partitions uint32
	redrive    model.RedrivePolicy
}

// moverJobs is the work of moving the dead messages of queues that have a
// redrive policy. Each is a pipe of its own kind, claimed under the queue's own
// id. before are the queues of an older catalog; now are this one's.
func moverJobs(c *model.Catalog, before knownQueues) (movers []job, now knownQueues) {
	queues := c.Of(model.KindQueue)
	now = make(knownQueues, len(queues))
	for i := range queues {
		r := &queues[i]
		k, ok := before[r.ID]
		if !ok || k.version != r.Version {
			var q model.QueueSpec
			d := model.NewDecoder(r.Spec)
			q.Decode(d)
			if d.Done() != nil {
				continue
			}
			k = knownQueue{r.Version, q.Partitions, q.Redrive}
		}
		now[r.ID] = k
		if k.redrive.MaxReceives == 0 {
			continue
		}
		spec := model.PipeSpec{Source: r.ID, SourceSlots: k.partitions, Target: k.redrive.DeadLetters, TargetKind: model.KindQueue, TargetSlots: 1}
		movers = append(movers, job{id: r.ID, name: r.Name, spec: spec, slots: spec.Slots(), version: r.Version, mover: true})
	}
	for i := range movers {
		if target, ok := now[movers[i].spec.Target]; ok {
			movers[i].spec.TargetSlots = target.partitions
		}
	}
	return movers, now
}

// partitionsOf is over how many slots a queue is spread; ok is false when there
// is no such queue.
func partitionsOf(c *model.Catalog, queue model.ResourceID) (n uint32, ok bool) {
	r, ok := c.ResourceByID(queue)
	if !ok || r.Kind != model.KindQueue {
		return 0, false
	}
	var q model.QueueSpec
	d := model.NewDecoder(r.Spec)
	q.Decode(d)
	return q.Partitions, d.Done() == nil
}

// sleep waits for d, and up to 0.1 ms more so that workers do not move in
// step; false when ctx has ended.
func (e *Engine) sleep(ctx context.Context, d time.Duration) bool {
	due := make(chan struct{})
	t := e.clock.AfterFunc(d+time.Duration(e.rand.IntN(int(100*time.Microsecond))), func() { close(due) })
	defer t.Stop()
	select {
	case <-due:
		return true
	case <-ctx.Done():
		return false
	}
}
