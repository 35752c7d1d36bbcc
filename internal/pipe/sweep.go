package pipe

import (
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

// sweepEvery is how often a queue that nobody uses is looked at. Everything
// else happens when a command is applied; expired messages of an idle queue
// would stay on disk, and dead ones of a queue that lost its policy stay dead.
const sweepEvery = 20 * time.Second

// sweep proposes the sweepers' command for the slots of queues that are led
// here and hold anything, and removes the move tasks of queues that are gone.
func (e *Engine) sweep() {
	for e.sleep(e.ctx, sweepEvery) {
		c := e.cluster.Catalog()
		for r := range c.Resources.All() {
			switch {
			case r.Kind == model.KindQueue:
				e.sweepQueue(r)
			case r.Kind == model.KindPipe && service.IsMoveTask(r.Name):
				e.sweepMoveTask(c, r)
			}
		}
	}
}

// counts looks at this node's state, without asking anybody.
func (e *Engine) counts(id model.ResourceID, slot model.Slot) (c model.QueueCounts, ok bool) {
	q := model.QueueQuery{NowMs: e.clock.Now().UnixMilli()}
	res, err := e.cluster.Read(e.ctx, &model.Query{Kind: model.QueryQueue, Resource: id, Slot: slot, Body: q.Append(nil)}, false)
	if err != nil || res.Status != model.StatusOK {
		return c, false
	}
	d := model.NewDecoder(res.Body)
	c.Decode(d)
	return c, d.Done() == nil
}

func (e *Engine) sweepQueue(r *model.Resource) {
	var spec model.QueueSpec
	d := model.NewDecoder(r.Spec)
	spec.Decode(d)
	if d.Done() != nil {
		return
	}
	for _, slot := range model.QueueSlots(r.ID, spec.Partitions) {
		if !e.cluster.Leads(slot) {
			continue
		}
		c, ok := e.counts(r.ID, slot)
		if ok && c.Visible+c.Delayed+c.InFlight+c.Dead > 0 {
			e.sweepSlot(r.ID, slot, &spec)
		}
		if ok && c.Dead+c.Claimed > 0 {
			e.nudges.add(r.ID) // what nobody moves
		}
	}
}

// sweepSlot sweeps one slot until there is no more to do. An error leaves the
// rest for the next round.
func (e *Engine) sweepSlot(id model.ResourceID, slot model.Slot, spec *model.QueueSpec) {
	body := model.SetQueueSettings{Settings: spec.Settings()}
	cmd := &model.Command{Kind: model.CmdSetQueueSettings, Resource: id, Slot: slot, Body: body.Append(nil)}
	for e.ctx.Err() == nil {
		res, err := e.cluster.Propose(e.ctx, cmd)
		if err != nil || res.Status != model.StatusOK {
			return
		}
		var swept model.SweepResult
		d := model.NewDecoder(res.Body)
		swept.Decode(d)
		if d.Done() != nil || !swept.More {
			return
		}
	}
}

// sweepMoveTask removes a move task whose source was deleted: nobody can list
// it any more.
func (e *Engine) sweepMoveTask(c *model.Catalog, r *model.Resource) {
	p, err := service.NewPipe(r)
	if err != nil || !e.cluster.Leads(p.Spec.Slots()[0]) {
		return
	}
	if _, ok := c.ResourceByID(p.Spec.Source); !ok {
		if err := e.service.RemoveMoveTask(e.ctx, r); err != nil {
			e.log.Warn("cannot remove a task that moved messages", "pipe", r.Name, "error", err)
		}
	}
}
