package machine

import (
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// applySend puts messages into a queue. It also removes expired messages from
// the queue's head, so that a queue that nobody reads does not grow for ever.
func applySend(_ *Machine, tx *Tx) (model.Result, error) {
	var cmd model.Send
	d := model.NewDecoder(tx.Command.Body)
	cmd.Decode(d)
	if err := d.Done(); err != nil {
		return model.Result{}, err
	}
	q, err := openQueue(tx)
	if err != nil {
		return model.Result{}, err
	}
	if _, err := q.showDue(&cmd.Settings); err != nil {
		return model.Result{}, err
	}
	if _, err := q.sweepExpired(&cmd.Settings); err != nil {
		return model.Result{}, err
	}
	res := model.SendResult{Sent: make([]model.SentMessage, 0, len(cmd.Entries))}
	for i := range cmd.Entries {
		res.Sent = append(res.Sent, model.SentMessage{ID: cmd.Entries[i].Message.ID, Seq: q.head.NextSeq})
		q.send(&cmd.Entries[i])
	}
	q.flush()
	return model.Result{Body: res.Append(nil)}, nil
}

// send puts one message into the queue: visible at once, or delayed.
func (q *queue) send(s *model.SendEntry) {
	if s.Message.SentMs == 0 {
		s.Message.SentMs = q.nowMs
	}
	e := keys.QueueEntry{Seq: q.head.NextSeq, SentMs: s.Message.SentMs, Size: uint64(s.Message.Size())}
	q.head.NextSeq++
	q.head.Bytes += e.Size
	q.value = s.Message.Append(q.value[:0])
	q.tx.Set(keys.Message(q.key[:0], q.id, q.slot, e.Seq), q.value)
	if s.DelayMs <= 0 {
		q.show(&e, nil)
		return
	}
	q.head.Delayed++
	q.value = e.Append(q.value[:0])
	q.tx.Set(keys.Hidden(q.key[:0], q.id, q.slot, q.nowMs+s.DelayMs, e.Seq), q.value)
}

// sweepExpired removes expired messages from the queue's head. It costs
// nothing until the head's message can have expired. more says that the bound
// was reached.
func (q *queue) sweepExpired(s *model.QueueSettings) (more bool, err error) {
	if s.RetentionMs == 0 || q.head.Visible == 0 || q.head.HeadMs+s.RetentionMs > q.nowMs {
		return false, nil
	}
	swept := 0
	err = q.walkReady(maxSwept, func(e *keys.QueueEntry) verdict {
		if !q.expired(s, e) {
			return stop
		}
		swept++
		q.drop(e)
		return taken
	})
	return swept == maxSwept, err
}

// applySetQueueSettings does the work that other commands do on the side.
func applySetQueueSettings(_ *Machine, tx *Tx) (model.Result, error) {
	var cmd model.SetQueueSettings
	d := model.NewDecoder(tx.Command.Body)
	cmd.Decode(d)
	if err := d.Done(); err != nil {
		return model.Result{}, err
	}
	q, err := openQueue(tx)
	if err != nil {
		return model.Result{}, err
	}
	moreDue, err := q.showDue(&cmd.Settings)
	if err != nil {
		return model.Result{}, err
	}
	moreExpired, err := q.sweepExpired(&cmd.Settings)
	if err != nil {
		return model.Result{}, err
	}
	moreDead, err := q.revive(&cmd.Settings)
	if err != nil {
		return model.Result{}, err
	}
	q.flush()
	res := model.SweepResult{More: moreDue || moreExpired || moreDead}
	return model.Result{Body: res.Append(nil)}, nil
}

// revive makes dead messages visible again once the queue has no redrive
// policy any more.
func (q *queue) revive(s *model.QueueSettings) (more bool, err error) {
	if s.MaxReceives > 0 {
		return false, nil
	}
	var fault error
	revived := 0
	err = q.walkDead(maxSwept, func(e *keys.QueueEntry) verdict {
		st, err := q.state(e.Seq)
		if err != nil || st == nil {
			fault = orCorrupt(err)
			return stop
		}
		revived++
		q.show(e, st)
		return taken
	})
	if fault != nil {
		return false, fault
	}
	return revived == maxSwept, err
}

// orCorrupt is err, or ErrCorrupt when a record that must be there is not.
func orCorrupt(err error) error {
	if err == nil {
		return model.ErrCorrupt
	}
	return err
}
