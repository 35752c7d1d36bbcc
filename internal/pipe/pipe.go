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

	workers map[model.ResourceID]*worker // of the supervisor's goroutine only
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

// jobs lists the work of this node, in the catalog's order: a worker runs where
// the first of its source's slots is led.
func (e *Engine) jobs() (jobs []job) {
	c := e.cluster.Catalog()
	add := func(r *model.Resource, ending bool) {
		p, err := service.NewPipe(r)
		if err != nil {
			e.log.Error("cannot read a pipe", "pipe", r.Name, "error", err)
			return
		}
		j := job{id: r.ID, name: r.Name, spec: p.Spec, slots: p.Spec.Slots(), version: r.Version, ending: ending}
		if !e.cluster.Leads(j.slots[0]) {
			return
		}
		if service.IsMoveTask(r.Name) {
			if j.move, err = service.ReadMoveState(&p.Spec); err != nil {
				e.log.Error("cannot read a task that moves messages", "pipe", r.Name, "error", err)
				return
			}
			if j.move.Ended() && !ending {
				return
			}
		}
		jobs = append(jobs, j)
	}
	for i := range c.Resources {
		switch r := &c.Resources[i]; r.Kind {
		case model.KindPipe:
			add(r, false)
		case model.KindQueue:
			if j, ok := moverJob(c, r); ok && e.cluster.Leads(j.slots[0]) {
				jobs = append(jobs, j)
			}
		}
	}
	for i := range c.Deleted {
		if r := &c.Deleted[i]; r.Kind == model.KindPipe {
			add(r, true)
		}
	}
	return jobs
}

// moverJob is the work of moving a queue's dead messages, if it has a redrive
// policy. It is a pipe of its own kind, claimed under the queue's own id.
func moverJob(c *model.Catalog, r *model.Resource) (j job, ok bool) {
	var q model.QueueSpec
	d := model.NewDecoder(r.Spec)
	q.Decode(d)
	if d.Done() != nil || q.Redrive.MaxReceives == 0 {
		return j, false
	}
	spec := model.PipeSpec{Source: r.ID, SourceSlots: q.Partitions, Target: q.Redrive.DeadLetters, TargetKind: model.KindQueue, TargetSlots: 1}
	if n, ok := partitionsOf(c, spec.Target); ok {
		spec.TargetSlots = n
	}
	return job{id: r.ID, name: r.Name, spec: spec, slots: spec.Slots(), version: r.Version, mover: true}, true
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
