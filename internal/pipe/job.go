package pipe

import (
	"cmp"
	"log/slog"
	"slices"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

// job is what a worker has to do, as the catalog says. It is not changed: a
// newer catalog makes a new one.
type job struct {
	id      model.ResourceID // of the pipe, or of the queue whose dead letters are moved
	name    string
	spec    model.PipeSpec
	version uint64
	slots   []model.Slot       // of the source
	mover   bool               // move a queue's dead messages to its dead-letter queue
	whole   *job               // of a mover's part on this node: the mover
	move    *service.MoveState // of a task that moves messages; nil for other pipes
	ending  bool               // the pipe was deleted: roll forward, then forget it
}

// fromStream reports whether the job's source is a stream.
func (j *job) fromStream() bool { return j.spec.SourceKind == model.KindStream }

// agenda is the work of all nodes together. It follows the catalog by what
// changes in it, so that the number of queues does not matter. Its zero value
// follows no catalog yet.
type agenda struct {
	catalog *model.Catalog
	jobs    []*job // by id
}

// follow brings the agenda to a newer catalog. It reports whether anything
// changed.
func (a *agenda) follow(c *model.Catalog, log *slog.Logger) (changed bool) {
	last := a.catalog
	switch last {
	case c:
		return false
	case nil:
		last = &model.Catalog{}
	}
	a.catalog = c
	for was, is := range c.Resources.Since(&last.Resources) {
		id := cmp.Or(is, was).ID
		var now *job
		switch {
		case is == nil:
		case is.Kind == model.KindQueue:
			now = moverJob(c, is)
		case is.Kind == model.KindPipe:
			now = pipeJob(is, false, log)
		}
		changed = a.set(id, now) || changed
	}
	return a.end(c, log) || changed
}

// end takes up the pipes that were deleted, and drops those whose end is done.
func (a *agenda) end(c *model.Catalog, log *slog.Logger) (changed bool) {
	for _, r := range c.Deleted {
		if at, ok := a.find(r.ID); r.Kind == model.KindPipe && !(ok && a.jobs[at].ending) {
			changed = a.set(r.ID, pipeJob(r, true, log)) || changed
		}
	}
	before := len(a.jobs)
	a.jobs = slices.DeleteFunc(a.jobs, func(j *job) bool {
		if !j.ending {
			return false
		}
		_, there := slices.BinarySearchFunc(c.Deleted, j.id, func(r *model.Resource, id model.ResourceID) int { return cmp.Compare(r.ID, id) })
		return !there
	})
	return changed || len(a.jobs) != before
}

func (a *agenda) find(id model.ResourceID) (at int, ok bool) {
	return slices.BinarySearchFunc(a.jobs, id, func(j *job, id model.ResourceID) int { return cmp.Compare(j.id, id) })
}

// set replaces the job of that id; nil is none. It reports whether that is a
// change.
func (a *agenda) set(id model.ResourceID, now *job) bool {
	at, ok := a.find(id)
	switch {
	case ok && now != nil:
		a.jobs[at] = now
	case ok:
		a.jobs = slices.Delete(a.jobs, at, at+1)
	case now != nil:
		a.jobs = slices.Insert(a.jobs, at, now)
	default:
		return false
	}
	return true
}

// pipeJob is a pipe's job; nil when there is nothing to do, or it cannot be read.
func pipeJob(r *model.Resource, ending bool, log *slog.Logger) *job {
	p, err := service.NewPipe(r)
	if err != nil {
		log.Error("cannot read a pipe", "pipe", r.Name, "error", err)
		return nil
	}
	j := &job{id: r.ID, name: r.Name, spec: p.Spec, slots: p.Spec.Slots(), version: r.Version, ending: ending}
	if service.IsMoveTask(r.Name) {
		if j.move, err = service.ReadMoveState(&p.Spec); err != nil {
			log.Error("cannot read a task that moves messages", "pipe", r.Name, "error", err)
			return nil
		}
		if j.move.Ended() && !ending {
			return nil
		}
	}
	return j
}

// moverJob is the work of moving the dead messages of a queue that has a redrive
// policy: a pipe of its own kind, claimed under the queue's own id. nil when it
// has none.
func moverJob(c *model.Catalog, r *model.Resource) *job {
	q, ok := queueSpec(r)
	if !ok || q.Redrive.MaxReceives == 0 {
		return nil
	}
	target, ok := partitionsOf(c, q.Redrive.DeadLetters)
	if !ok {
		target = 1 // it is gone: the worker waits
	}
	spec := model.PipeSpec{Source: r.ID, SourceSlots: q.Partitions, Target: q.Redrive.DeadLetters, TargetKind: model.KindQueue, TargetSlots: target}
	return &job{id: r.ID, name: r.Name, spec: spec, slots: spec.Slots(), version: r.Version, mover: true}
}

func queueSpec(r *model.Resource) (q model.QueueSpec, ok bool) {
	d := model.NewDecoder(r.Spec)
	q.Decode(d)
	return q, d.Done() == nil
}

// partitionsOf is over how many slots a queue is spread; ok is false when there
// is no such queue.
func partitionsOf(c *model.Catalog, queue model.ResourceID) (n uint32, ok bool) {
	r, ok := c.ResourceByID(queue)
	if !ok || r.Kind != model.KindQueue {
		return 0, false
	}
	q, ok := queueSpec(r)
	return q.Partitions, ok
}
