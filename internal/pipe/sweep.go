package pipe

import (
	"time"

	"weir.dev/weir/internal/model"
)

// sweepEvery is how often a queue that nobody uses is looked at. Everything
// else happens when a command is applied; expired messages of an idle queue
// would stay on disk, and dead ones of a queue that lost its policy stay dead.
const sweepEvery = 20 * time.Second

// sweep proposes the sweepers' command for the queues that are led here and
// hold anything.
func (e *Engine) sweep() {
	for e.sleep(e.ctx, sweepEvery) {
		for _, r := range e.cluster.Catalog().Resources {
			if r.Kind == model.KindQueue && e.cluster.Leads(model.QueueSlot(r.ID)) && e.holdsAnything(r.ID) {
				e.sweepQueue(&r)
			}
		}
	}
}

// holdsAnything looks at this node's state, without asking anybody.
func (e *Engine) holdsAnything(id model.ResourceID) bool {
	q := model.QueueQuery{NowMs: e.clock.Now().UnixMilli()}
	res, err := e.cluster.Read(e.ctx, &model.Query{Kind: model.QueryQueue, Resource: id, Slot: model.QueueSlot(id), Body: q.Append(nil)}, false)
	if err != nil || res.Status != model.StatusOK {
		return false
	}
	var c model.QueueCounts
	d := model.NewDecoder(res.Body)
	c.Decode(d)
	return d.Done() == nil && c.Visible+c.Delayed+c.InFlight+c.Dead > 0
}

// sweepQueue sweeps one queue until there is no more to do. An error leaves
// the rest for the next round.
func (e *Engine) sweepQueue(r *model.Resource) {
	var spec model.QueueSpec
	d := model.NewDecoder(r.Spec)
	spec.Decode(d)
	if d.Done() != nil {
		return
	}
	body := model.SetQueueSettings{Settings: spec.Settings()}
	cmd := &model.Command{Kind: model.CmdSetQueueSettings, Resource: r.ID, Slot: model.QueueSlot(r.ID), Body: body.Append(nil)}
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
