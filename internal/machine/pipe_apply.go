package machine

import (
	"encoding/binary"

	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// applyPipeApply applies one part of a claim's effects, once: the effects and
// the record that they were applied are one commit (invariant 2).
func applyPipeApply(m *Machine, tx *Tx) (model.Result, error) {
	cmd, err := bodyOf[model.PipeApply](tx.Command.Body)
	if err != nil {
		return model.Result{}, err
	}
	part := keys.PartID{Pipe: cmd.Pipe, Source: cmd.Source, Part: cmd.Part}
	floor, err := raiseFloor(tx, part, cmd.Floor)
	if err != nil {
		return model.Result{}, err
	}
	if cmd.Claim < floor {
		return model.Result{Status: model.StatusStale}, nil
	}
	key := keys.PartRun(nil, tx.Command.Resource, tx.Command.Slot, part, cmd.Claim)
	recorded, ok, err := tx.Get(key)
	if err != nil {
		return model.Result{}, err
	}
	if ok {
		return model.Result{Body: recorded}, nil
	}
	if len(cmd.Effects) > 0 && cmd.Effects[0].Kind == model.CmdPutRecords {
		return putEffects(tx, key, &cmd)
	}
	if toQueue, ok, err := m.checkEffects(&cmd); err != nil || !ok {
		return model.Result{Status: model.StatusInvalid}, err
	} else if toQueue {
		err = sendEffects(m, tx, &cmd)
		return finishPart(tx, key, &model.PipeApplyResult{Effects: uint64(len(cmd.Effects))}, err)
	}
	res, err := applyEffects(m, tx, &cmd)
	return finishPart(tx, key, res, err)
}

func finishPart(tx *Tx, key []byte, res *model.PipeApplyResult, err error) (model.Result, error) {
	if err != nil {
		return model.Result{}, err
	}
	body := res.Append(nil)
	tx.Set(key, body)
	return model.Result{Body: body}, nil
}

// raiseFloor returns the part's floor. When the command brings a higher one,
// it is kept and the results below it are forgotten: their claims are settled,
// so that nobody needs them, and whoever asks for one is answered by the floor
// (invariant 3).
func raiseFloor(tx *Tx, part keys.PartID, proposed model.ClaimSeq) (model.ClaimSeq, error) {
	id, slot := tx.Command.Resource, tx.Command.Slot
	key := keys.Floor(nil, id, slot, part)
	value, ok, err := tx.Get(key)
	if err != nil {
		return 0, err
	}
	var floor model.ClaimSeq
	if ok {
		if len(value) != 8 {
			return 0, model.ErrCorrupt
		}
		floor = model.ClaimSeq(binary.BigEndian.Uint64(value))
	}
	if proposed <= floor {
		return floor, nil
	}
	tx.Set(key, binary.BigEndian.AppendUint64(nil, uint64(proposed)))
	lo, hi := keys.PartRun(nil, id, slot, part, floor), keys.PartRun(nil, id, slot, part, proposed)
	return proposed, scan(tx, lo, hi, func(key, _ []byte) error {
		tx.Delete(key)
		return nil
	})
}

// checkEffects reports whether the command's effects are this tablet's and of
// known kinds (invariant 4), and whether they are for a queue.
func (m *Machine) checkEffects(cmd *model.PipeApply) (toQueue, ok bool, err error) {
	for i := range cmd.Effects {
		e := &cmd.Effects[i]
		if i > 0 && toQueue != (e.Kind == model.CmdSend) {
			return false, false, nil
		}
		if toQueue = e.Kind == model.CmdSend; toQueue {
			continue
		}
		key, known, err := effectKey(e)
		if err != nil || !known {
			return false, false, err
		}
		slot, ok := slotOfItem(key)
		if !ok || uint32(slot) < m.lo || uint32(slot) >= m.hi {
			return false, false, nil
		}
	}
	return toQueue, true, nil
}

// effectKey is the encoded key of the item that an effect on a table changes.
func effectKey(e *model.PipeEffect) (key []byte, known bool, err error) {
	switch e.Kind {
	case model.CmdPutItem:
		body, err := bodyOf[model.PutItem](e.Body)
		return body.Key, true, err
	case model.CmdUpdateItem:
		body, err := bodyOf[model.UpdateItem](e.Body)
		return body.Key, true, err
	case model.CmdDeleteItem:
		body, err := bodyOf[model.DeleteItem](e.Body)
		return body.Key, true, err
	default:
		return nil, false, nil
	}
}

// sendEffects puts the effects' messages into the target queue, in their order.
func sendEffects(m *Machine, tx *Tx, cmd *model.PipeApply) error {
	q, err := m.openQueue(tx)
	if err != nil {
		return err
	}
	q.head.Fifo = q.head.Fifo || cmd.Settings.Fifo
	for i := range cmd.Effects {
		entry, err := bodyOf[model.SendEntry](cmd.Effects[i].Body)
		if err != nil {
			return err
		}
		q.send(&cmd.Settings, &entry, true, &model.SentMessage{})
	}
	return q.flush()
}

// applyEffects applies the effects one after the other, each to what those
// before it left: a hundred increments of one counter add a hundred, and write
// it once. What the target refuses is reported and hinders no other effect.
func applyEffects(m *Machine, tx *Tx, cmd *model.PipeApply) (*model.PipeApplyResult, error) {
	items := newOverlay(tx.Reader)
	res := &model.PipeApplyResult{Effects: uint64(len(cmd.Effects))}
	for i := range cmd.Effects {
		e := &cmd.Effects[i]
		one := model.Command{Kind: e.Kind, Resource: tx.Command.Resource, Slot: tx.Command.Slot, Stamp: tx.Command.Stamp, Body: e.Body}
		out, err := itemEffects[e.Kind](m, &Tx{Reader: items, Writer: items, Index: tx.Index, Command: &one, wanted: tx.wanted, changes: tx.changes})
		if err != nil {
			return nil, err
		}
		if out.Status != model.StatusOK {
			res.Rejected = append(res.Rejected, rejection(e, &out))
		}
	}
	items.flush(tx)
	return res, nil
}

// itemEffects name the functions of the effects on a table.
var itemEffects = map[model.CommandKind]applyFunc{
	model.CmdPutItem:    applyPutItem,
	model.CmdUpdateItem: applyUpdateItem,
	model.CmdDeleteItem: applyDeleteItem,
}

func rejection(e *model.PipeEffect, out *model.Result) model.Rejected {
	r := model.Rejected{Message: e.Message, Status: out.Status}
	if out.Status == model.StatusInvalid {
		r.Reason = string(out.Body[:min(len(out.Body), model.MaxReasonBytes)])
	}
	return r
}
