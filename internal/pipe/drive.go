package pipe

import (
	"errors"
	"fmt"
	"sort"
	"unicode/utf8"

	"weir.dev/weir/internal/model"
)

// errStale says that somebody else has settled the claim.
var errStale = errors.New("the claim is settled")

// part is what one claim does in one part of the target.
type part struct {
	number  uint32
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
func (w *worker) rollForward(c *model.UnsettledClaim) {
	parts, rejected, err := w.prepare(c)
	if err == nil {
		for i := range parts {
			var more []dead
			if more, err = w.applyPart(c, &parts[i]); err != nil {
				break
			}
			rejected = append(rejected, more...)
		}
	}
	if err == nil && len(rejected) > 0 {
		err = w.bury(c, rejected)
	}
	if err != nil {
		if !errors.Is(err, errStale) && w.ctx.Err() == nil {
			w.engine.log.Error("cannot roll a claim forward", "pipe", w.current().name, "claim", c.Seq, "error", err)
		}
		return
	}
	w.settle(c)
}

// prepare works out what each message does, grouped by the target's parts. The
// same claim gives the same parts every time: everything comes from its plan.
func (w *worker) prepare(c *model.UnsettledClaim) (parts []part, rejected []dead, err error) {
	var spec model.PipeSpec
	d := model.NewDecoder(c.Plan)
	spec.Decode(d)
	if err := d.Done(); err != nil {
		return nil, nil, fmt.Errorf("cannot read the claim's plan: %w", err)
	}
	if spec.TargetKind == model.KindQueue {
		p := part{slot: model.QueueSlot(spec.Target)}
		for i := range c.Messages {
			p.effects = append(p.effects, forward(&c.Messages[i], spec.Source))
		}
		return []part{p}, nil, nil
	}
	m, err := compileMapping(spec.Mapping)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read the claim's mapping: %w", err)
	}
	byNumber := map[uint32]*part{}
	for i := range c.Messages {
		msg := &c.Messages[i]
		body, slot, err := w.effect(m, &spec, msg)
		if err != nil {
			rejected = append(rejected, dead{msg, err.Error()})
			continue
		}
		number, home := spec.PartOf(slot)
		p := byNumber[number]
		if p == nil {
			p = &part{number: number, slot: home}
			byNumber[number] = p
		}
		p.effects = append(p.effects, model.PipeEffect{Message: msg.Seq, Kind: model.CmdUpdateItem, Body: body})
	}
	for _, p := range byNumber {
		parts = append(parts, *p)
	}
	sort.Slice(parts, func(i, j int) bool { return parts[i].number < parts[j].number })
	return parts, rejected, nil
}

// effect is the update that a message makes.
func (w *worker) effect(m *mapping, spec *model.PipeSpec, msg *model.Received) ([]byte, model.Slot, error) {
	key, update, err := m.update(&Message{ID: formatID(msg.ID), SentMs: msg.SentMs, Body: string(msg.Body)})
	if err != nil {
		return nil, 0, err
	}
	return w.engine.service.UpdateBody(spec.Target, key, update)
}

// forward sends a message on as it is.
func forward(msg *model.Received, from model.ResourceID) model.PipeEffect {
	e := model.SendEntry{Message: msg.Message}
	e.Message.DeadFrom = from
	return model.PipeEffect{Message: msg.Seq, Kind: model.CmdSend, Body: e.Append(nil)}
}

// applyPart applies a part at the target and returns the messages that it
// refused.
func (w *worker) applyPart(c *model.UnsettledClaim, p *part) ([]dead, error) {
	var spec model.PipeSpec
	spec.Decode(model.NewDecoder(c.Plan))
	res, err := w.propose(w.applyCommand(c, spec.Target, p))
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
			refused = append(refused, dead{byNumber[e.Message], "the target was deleted"})
		}
		return refused, nil
	default:
		return nil, fmt.Errorf("the target answered with status %d: %s", res.Status, res.Body)
	}
}

func (w *worker) applyCommand(c *model.UnsettledClaim, target model.ResourceID, p *part) *model.Command {
	body := model.PipeApply{
		Settings: w.settings(target), Pipe: c.Pipe, Source: w.source(), Claim: c.Seq, Floor: min(w.knownFloor(), c.Seq), Part: p.number, Effects: p.effects,
	}
	return &model.Command{Kind: model.CmdPipeApply, Resource: target, Slot: p.slot, Body: body.Append(nil)}
}

func (w *worker) source() model.PipeSource {
	j := w.current()
	return model.PipeSource{Resource: j.spec.Source, Slot: j.slot()}
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

// The attributes that a dead letter gets besides its own.
const (
	reasonAttribute = "weir.reason"
	pipeAttribute   = "weir.pipe"
)

// bury sends the messages that cannot be applied to the dead-letter queue. A
// queue that was deleted is made again: a message is never dropped.
func (w *worker) bury(c *model.UnsettledClaim, rejected []dead) error {
	sort.Slice(rejected, func(i, j int) bool { return rejected[i].message.Seq < rejected[j].message.Seq })
	for {
		j := w.current()
		if _, ok := w.engine.cluster.Catalog().ResourceByID(j.spec.DeadLetters); !ok && !j.mover {
			// It was deleted; its data may not be gone yet, and would take the letters
			// along.
			if err := w.remakeDeadLetters(&j); err != nil {
				return err
			}
			continue
		}
		p := part{number: model.DeadPart, slot: model.QueueSlot(j.spec.DeadLetters)}
		for _, r := range rejected {
			e := forward(r.message, j.spec.Source)
			p.effects = append(p.effects, model.PipeEffect{Message: e.Message, Kind: model.CmdSend, Body: letter(r, &j)})
		}
		res, err := w.propose(w.applyCommand(c, j.spec.DeadLetters, &p))
		switch {
		case err != nil:
			return err
		case res.Status == model.StatusOK:
			return nil
		case res.Status == model.StatusStale:
			return errStale
		case res.Status != model.StatusGone:
			return fmt.Errorf("the dead-letter queue answered with status %d: %s", res.Status, res.Body)
		}
		if err := w.remakeDeadLetters(&j); err != nil {
			return err
		}
	}
}

// remakeDeadLetters makes the dead-letter queue again and waits until the
// worker may have heard of it. An error says that the worker is stopping.
func (w *worker) remakeDeadLetters(j *job) error {
	if err := w.engine.remakeDeadLetters(w.ctx, j); err != nil {
		w.engine.log.Warn("cannot make the dead-letter queue again", "pipe", j.name, "error", err)
	}
	w.pause(superviseEvery)
	return w.ctx.Err()
}

// letter is the dead letter of a message: the message, with the reason and the
// pipe as attributes.
func letter(r dead, j *job) []byte {
	e := model.SendEntry{Message: r.message.Message}
	e.Message.DeadFrom = j.spec.Source
	e.Message.Attrs = append([]model.MessageAttr(nil), e.Message.Attrs...)
	e.Message.Attrs = append(e.Message.Attrs,
		model.MessageAttr{Name: reasonAttribute, DataType: "String", Value: shorten(r.reason, model.MaxReasonBytes)},
		model.MessageAttr{Name: pipeAttribute, DataType: "String", Value: j.name},
	)
	return e.Append(nil)
}

// shorten cuts a text to at most n bytes, between characters.
func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// settle ends the claim at the source.
func (w *worker) settle(c *model.UnsettledClaim) {
	src := w.source()
	body := model.Settle{Pipe: c.Pipe, Claim: c.Seq}
	cmd := &model.Command{Kind: model.CmdSettle, Resource: src.Resource, Slot: src.Slot, Body: body.Append(nil)}
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

// end finishes a deleted pipe: no claim is left, so the targets may forget its
// results, and the catalog the pipe. It reports false when it must try again.
func (w *worker) end(j *job) bool {
	src := w.source()
	drop := &model.Command{Kind: model.CmdDropResource, Resource: j.id, Slot: src.Slot}
	if _, err := w.propose(drop); err != nil {
		return false
	}
	// From here on the source makes no claim for the pipe. One may have been
	// made in the meantime.
	if err := w.recover(j); err != nil || !w.idle() {
		return false
	}
	forget := func(target model.ResourceID, number uint32, slot model.Slot) bool {
		body := model.PipeApply{Pipe: j.id, Source: src, Floor: model.FloorEnd, Part: number}
		_, err := w.propose(&model.Command{Kind: model.CmdPipeApply, Resource: target, Slot: slot, Body: body.Append(nil)})
		return err == nil
	}
	for i, slot := range j.spec.Bounds {
		if !forget(j.spec.Target, uint32(i), slot) {
			return false
		}
	}
	if j.spec.DeadLetters != 0 && !forget(j.spec.DeadLetters, model.DeadPart, model.QueueSlot(j.spec.DeadLetters)) {
		return false
	}
	return w.engine.service.ForgetResource(w.ctx, j.id) == nil
}
