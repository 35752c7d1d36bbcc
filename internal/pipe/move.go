package pipe

import (
	"sort"
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

// A task that moves messages is a pipe from a dead-letter queue to one queue, or
// to the queue that each message died in. It differs from other pipes in that it
// ends: when nothing is left of what was there when it began, when it is
// cancelled, or when a message has nowhere to go. Until its state in the catalog
// says so, whoever leads the source goes on with it.

// moveMapping stands in the plan of a task's claims.
const moveMapping = service.MoveMapping

func isMove(spec *model.PipeSpec) bool { return string(spec.Mapping) == moveMapping }

// lookEvery is how often a task looks whether it is done.
const lookEvery = 500 * time.Millisecond

// moveEnds says how the task ends, if it does now; "" is not yet.
func (w *worker) moveEnds(j *job) (status, reason string) {
	if j.move == nil {
		return "", ""
	}
	w.mu.Lock()
	failure := w.failure
	w.mu.Unlock()
	switch now := w.engine.clock.Now(); {
	case failure != "":
		return service.MoveFailed, failure
	case j.move.Status == service.MoveCancelling:
		return service.MoveCancelled, ""
	case !w.targetExists(j):
		return service.MoveFailed, service.MoveNoQueue
	case now.Sub(w.looked) < lookEvery && !now.Before(w.looked):
		return "", ""
	default:
		w.looked = now
	}
	if left, err := w.leftToMove(j); err != nil || left {
		return "", ""
	}
	return service.MoveCompleted, ""
}

// leftToMove reports whether a message is left of those that were there when the
// task began: the slots' numbers only grow.
func (w *worker) leftToMove(j *job) (bool, error) {
	for i, slot := range j.slots {
		q := model.PeekQuery{NowMs: w.engine.clock.Now().UnixMilli(), Max: 1}
		res, err := w.engine.cluster.Read(w.ctx, &model.Query{Kind: model.QueryPeek, Resource: j.spec.Source, Slot: slot, Body: q.Append(nil)}, true)
		if err != nil {
			return false, err
		}
		if res.Status == model.StatusGone {
			continue
		}
		var page model.PeekResult
		d := model.NewDecoder(res.Body)
		page.Decode(d)
		if err := d.Done(); err != nil {
			return false, err
		}
		if page.More && len(page.Messages) == 0 || len(page.Messages) > 0 && i < len(j.move.Last) && page.Messages[0].Seq <= j.move.Last[i] {
			return true, nil
		}
	}
	return false, nil
}

// endMove ends the task. It reports false when it must try again.
func (w *worker) endMove(j *job, status, reason string) bool {
	moved, ok := w.close(j)
	if !ok {
		return false
	}
	err := w.engine.service.EndMoveTask(w.ctx, j.name, func(m *service.MoveState) {
		m.Status, m.Reason, m.Moved = status, reason, moved
	})
	return err == nil
}

// giveBack keeps the messages that have nowhere to go in the source. If nothing
// of the claim was applied, nor ever will be, it is taken back; release says so.
// Otherwise they are sent to the source anew, once, as everything that a claim
// does: a worker before this one may have found a queue that is gone by now.
func (w *worker) giveBack(c *claim, spec *model.PipeSpec, rejected []dead) (outcome, error) {
	release := len(rejected) == len(c.Messages)
	for _, r := range rejected {
		release = release && (spec.Target != 0 || r.reason == service.MoveUnknownSource)
	}
	w.mu.Lock()
	if w.failure = rejected[0].reason; w.failure == targetDeleted {
		w.failure = service.MoveNoQueue
	}
	w.mu.Unlock()
	if release {
		return outcome{release: true}, nil
	}
	sort.Slice(rejected, func(i, j int) bool { return rejected[i].message.Seq < rejected[j].message.Seq })
	p := part{number: model.DeadPart, target: spec.Source, slot: c.slot}
	for _, r := range rejected {
		e := model.SendEntry{Message: r.message.Message}
		p.effects = append(p.effects, model.PipeEffect{Message: r.message.Seq, Kind: model.CmdSend, Body: e.Append(nil)})
	}
	res, err := w.propose(w.applyCommand(c, &p))
	if err == nil && res.Status == model.StatusStale {
		err = errStale
	}
	return outcome{returned: len(rejected)}, err
}

// targetQueues are the parts of queues that may hold results of the pipe. A task
// that sends each message to where it died knows the queues that die there now.
func (w *worker) targetQueues(j *job) (parts []part) {
	add := func(queue model.ResourceID, n uint32) {
		for i, slot := range model.QueueSlots(queue, n) {
			parts = append(parts, part{number: uint32(i), target: queue, slot: slot})
		}
	}
	if j.spec.Target != 0 {
		add(j.spec.Target, max(j.spec.TargetSlots, 1))
	} else {
		for r := range w.engine.cluster.Catalog().Resources.Of(model.KindQueue) {
			if q, ok := queueSpec(r); ok && q.Redrive.MaxReceives > 0 && q.Redrive.DeadLetters == j.spec.Source {
				add(r.ID, q.Partitions)
			}
		}
	}
	if j.move != nil {
		for _, slot := range j.slots {
			parts = append(parts, part{number: model.DeadPart, target: j.spec.Source, slot: slot})
		}
	}
	return parts
}
