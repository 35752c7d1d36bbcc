package pipe

import (
	"errors"
	"fmt"
	"slices"
	"sort"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

// errStale says that somebody else has settled the claim.
var errStale = errors.New("the claim is settled")

// part is what one claim does in one part of the target.
type part struct {
	number  uint32
	target  model.ResourceID
	slot    model.Slot
	effects []model.PipeEffect
}

// dead is a message that cannot be applied, and why.
type dead struct {
	message *model.Received
	reason  string
}

// rollForward does what is left of a claim, step by step, until it is settled
// or the worker stops. Each step may have been done before, by this worker or
// another; the target and the source know (docs/format/pipe.md).
func (w *worker) rollForward(c *claim) {
	if base.Bug("settleearly") {
		w.settle(c, outcome{})
	}
	ended, err := w.applyClaim(c)
	if err != nil {
		if !errors.Is(err, errStale) && w.ctx.Err() == nil {
			w.engine.log.Error("cannot roll a claim forward", "pipe", w.current().name, "claim", c.Seq, "error", err)
		}
		return
	}
	w.settle(c, ended)
}

// outcome is how a claim ends, when all is done that it shall do.
type outcome struct {
	release  bool // the messages go back to where they were: nothing was applied nor ever will be
	returned int  // messages that were sent to the source anew
}

// applyClaim applies the claim's parts.
func (w *worker) applyClaim(c *claim) (outcome, error) {
	spec, err := readPlan(c)
	if err != nil {
		return outcome{}, err
	}
	if spec.TargetKind == model.KindStream {
		rejected, err := w.applyRecords(c, spec)
		if err != nil || len(rejected) == 0 {
			return outcome{}, err
		}
		return outcome{}, w.bury(c, rejected)
	}
	parts, rejected, err := w.prepare(c, spec)
	if err != nil {
		return outcome{}, err
	}
	for i := range parts {
		more, err := w.applyPart(c, &parts[i])
		if err != nil {
			return outcome{}, err
		}
		rejected = append(rejected, more...)
	}
	switch {
	case len(rejected) == 0:
		return outcome{}, nil
	case isMove(spec):
		return w.giveBack(c, spec, rejected)
	default:
		return outcome{}, w.bury(c, rejected)
	}
}

// readPlan is the pipe's spec as it was when the claim was made.
func readPlan(c *claim) (*model.PipeSpec, error) {
	spec := &model.PipeSpec{}
	d := model.NewDecoder(c.Plan)
	spec.Decode(d)
	if err := d.Done(); err != nil {
		return nil, fmt.Errorf("cannot read the claim's plan: %w", err)
	}
	return spec, nil
}

// prepare works out what each message does, grouped by the target's parts. The
// same claim gives the same parts every time: everything comes from its plan.
func (w *worker) prepare(c *claim, spec *model.PipeSpec) (parts []part, rejected []dead, err error) {
	if spec.TargetKind == model.KindQueue && spec.SourceKind != model.KindStream {
		return w.prepareSends(c, spec)
	}
	m, err := compileMapping(spec.Mapping)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read the claim's mapping: %w", err)
	}
	read, err := w.reader(c, spec)
	if err != nil {
		return nil, nil, err
	}
	if spec.TargetKind == model.KindQueue {
		parts, rejected = m.sends(c, spec, read)
		return parts, rejected, nil
	}
	for i := range c.Messages {
		msg := &c.Messages[i]
		body, slot, err := w.effect(m, spec, read(msg))
		if err != nil {
			rejected = append(rejected, dead{msg, err.Error()})
			continue
		}
		number, home := spec.PartOf(slot)
		p := partFor(&parts, spec.Target, number, home)
		p.effects = append(p.effects, model.PipeEffect{Message: msg.Seq, Kind: model.CmdUpdateItem, Body: body})
	}
	sort.Slice(parts, func(i, j int) bool { return parts[i].number < parts[j].number })
	return parts, rejected, nil
}

// partFor is the part of that number, which it adds if it is not there.
func partFor(parts *[]part, target model.ResourceID, number uint32, slot model.Slot) *part {
	for i := range *parts {
		if p := &(*parts)[i]; p.target == target && p.number == number {
			return p
		}
	}
	*parts = append(*parts, part{number: number, target: target, slot: slot})
	return &(*parts)[len(*parts)-1]
}

// prepareSends sends each message to its target queue: to the slot of its group,
// or, without one, to the slot whose turn it is with this claim.
func (w *worker) prepareSends(c *claim, spec *model.PipeSpec) (parts []part, rejected []dead, err error) {
	for i := range c.Messages {
		msg := &c.Messages[i]
		target, n, reason, err := w.destination(spec, msg)
		if err != nil {
			return nil, nil, err
		}
		if reason != "" {
			rejected = append(rejected, dead{msg, reason})
			continue
		}
		slots := model.QueueSlots(target, n)
		slot := slots[uint64(c.Seq)%uint64(len(slots))]
		if msg.Group != "" {
			slot = model.GroupSlot(slots, msg.Group)
		}
		p := partFor(&parts, target, uint32(slices.Index(slots, slot)), slot)
		p.effects = append(p.effects, forward(msg, spec))
	}
	return parts, rejected, nil
}

// destination is the queue that a message goes to, and over how many slots it is
// spread; or the reason that it cannot go anywhere.
func (w *worker) destination(spec *model.PipeSpec, msg *model.Received) (target model.ResourceID, n uint32, reason string, err error) {
	switch {
	case spec.Target != 0:
		return spec.Target, max(spec.TargetSlots, 1), "", nil
	case msg.DeadFrom == 0:
		return 0, 0, service.MoveUnknownSource, nil
	}
	n, ok := partitionsOf(w.engine.cluster.Catalog(), msg.DeadFrom)
	if !ok { // this node's catalog may be behind
		if err := w.engine.cluster.SyncCatalog(w.ctx); err != nil {
			return 0, 0, "", err
		}
		if n, ok = partitionsOf(w.engine.cluster.Catalog(), msg.DeadFrom); !ok {
			return 0, 0, service.MoveNoQueue, nil
		}
	}
	return msg.DeadFrom, n, "", nil
}

// effect is the update that a message makes.
func (w *worker) effect(m *mapping, spec *model.PipeSpec, msg *Message) ([]byte, model.Slot, error) {
	key, update, err := m.update(msg)
	if err != nil {
		return nil, 0, err
	}
	return w.engine.service.UpdateBody(spec.Target, key, update)
}

// forward sends a message on: as it is to a dead-letter queue, which says where
// it died, and as a new one back from there.
func forward(msg *model.Received, spec *model.PipeSpec) model.PipeEffect {
	e := model.SendEntry{Message: msg.Message}
	if isMove(spec) {
		e.Message.DeadFrom, e.Message.SentMs = 0, 0
	} else {
		e.Message.DeadFrom = spec.Source
	}
	return model.PipeEffect{Message: msg.Seq, Kind: model.CmdSend, Body: e.Append(nil)}
}

// applyPart applies a part at the target and returns the messages that it
// refused.
func (w *worker) applyPart(c *claim, p *part) ([]dead, error) {
	res, err := w.propose(w.applyCommand(c, p))
	if err != nil {
		return nil, err
	}
	byNumber := map[uint64]*model.Received{}
	for i := range c.Messages {
		byNumber[c.Messages[i].Seq] = &c.Messages[i]
	}
	var refused []dead
	switch res.Status {
	case model.StatusOK:
		var got model.PipeApplyResult
		d := model.NewDecoder(res.Body)
		got.Decode(d)
		for _, r := range got.Rejected {
			if msg := byNumber[r.Message]; msg != nil {
				refused = append(refused, dead{msg, reasonOf(&r)})
			}
		}
		return refused, d.Done()
	case model.StatusStale:
		return nil, errStale
	case model.StatusGone:
		for _, e := range p.effects {
			refused = append(refused, dead{byNumber[e.Message], targetDeleted})
		}
		return refused, nil
	default:
		return nil, fmt.Errorf("the target answered with status %d: %s", res.Status, res.Body)
	}
}

// targetDeleted is the reason of messages whose target was deleted.
const targetDeleted = "the target was deleted"

func (w *worker) applyCommand(c *claim, p *part) *model.Command {
	body := model.PipeApply{
		Settings: w.settings(p.target), Pipe: c.Pipe, Source: w.source(c.slot), Claim: c.Seq,
		Floor: min(w.knownFloor(c.slot), c.Seq), Part: p.number, Effects: p.effects,
	}
	return &model.Command{Kind: model.CmdPipeApply, Resource: p.target, Slot: p.slot, Body: body.Append(nil)}
}

func (w *worker) source(slot model.Slot) model.PipeSource {
	j := w.current()
	return model.PipeSource{Resource: j.spec.Source, Slot: slot}
}

// reasonOf says why the target refused an effect.
func reasonOf(r *model.Rejected) string {
	switch r.Status {
	case model.StatusConditionFailed:
		return "the conditional request failed"
	case model.StatusTooLarge:
		return "the item would grow over its maximum size"
	default:
		return r.Reason
	}
}

// settle ends the claim at the source.
func (w *worker) settle(c *claim, ended outcome) {
	src := w.source(c.slot)
	body := model.Settle{Pipe: c.Pipe, Claim: c.Seq, Release: ended.release, Returned: uint64(ended.returned)}
	kind := model.CmdSettle
	if w.current().fromStream() {
		kind = model.CmdSettleRecords
	}
	cmd := &model.Command{Kind: kind, Resource: src.Resource, Slot: src.Slot, Body: body.Append(nil)}
	_, _ = w.propose(cmd) // the worker is stopping: the next one settles
}

// propose proposes a command that may be repeated, until it has an answer or
// the worker stops.
func (w *worker) propose(cmd *model.Command) (model.Result, error) {
	for {
		res, err := w.engine.cluster.Propose(w.ctx, cmd)
		if err == nil {
			return res, nil
		}
		if w.ctx.Err() != nil {
			return res, w.ctx.Err()
		}
		var known *model.Error
		if !errors.As(err, &known) {
			return res, err
		}
		w.pause(retryPause)
	}
}
