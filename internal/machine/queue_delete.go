package machine

import (
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// applyDeleteMessages deletes messages by receipt, wherever they are. A receipt
// counts until its message is received again, also when the message has become
// visible meanwhile: who holds it has done the work.
func applyDeleteMessages(_ *Machine, tx *Tx) (model.Result, error) {
	var cmd model.DeleteMessages
	d := model.NewDecoder(tx.Command.Body)
	cmd.Decode(d)
	if err := d.Done(); err != nil {
		return model.Result{}, err
	}
	q, err := openQueue(tx)
	if err != nil {
		return model.Result{}, err
	}
	if len(cmd.Receipts) > 1 {
		q.remember()
	}
	for i := range cmd.Receipts {
		if err := q.deleteMessage(&cmd.Receipts[i]); err != nil {
			return model.Result{}, err
		}
	}
	q.flush()
	return model.Result{}, nil
}

func (q *queue) deleteMessage(r *model.Receipt) error {
	st, err := q.state(r.Seq)
	if err != nil || st == nil || !isLatest(st, r) {
		return err
	}
	switch st.Place {
	case keys.PlaceInFlight:
		q.tx.Delete(keys.Hidden(q.key[:0], q.id, q.slot, int64(st.At), st.Seq))
		q.head.InFlight--
	case keys.PlaceReady:
		q.tx.Delete(keys.Ready(q.key[:0], q.id, q.slot, st.At))
		q.head.Visible--
	case keys.PlaceDead:
		q.tx.Delete(keys.Dead(q.key[:0], q.id, q.slot, st.At))
		q.head.Dead--
	case keys.PlaceClaimed:
		// The claim still names it; what has no state is gone.
		q.head.Claimed--
	}
	q.drop(&st.QueueEntry)
	return nil
}

// applyPurge deletes all messages. Claims stay, without messages, until they
// are settled.
func applyPurge(_ *Machine, tx *Tx) (model.Result, error) {
	q, err := openQueue(tx)
	if err != nil {
		return model.Result{}, err
	}
	if q.head.PurgedMs != 0 && q.nowMs < q.head.PurgedMs+model.PurgeIntervalMs {
		return model.Result{Status: model.StatusOverLimit}, nil
	}
	if q.head.PurgedBelow < q.head.NextSeq {
		for _, span := range keys.MessageSpans(q.id, q.slot) {
			tx.DeleteRange(span[0], span[1])
		}
	}
	h := &q.head
	h.Visible, h.Delayed, h.InFlight, h.Claimed, h.Dead, h.Bytes = 0, 0, 0, 0, 0, 0
	h.LowOrder, h.LowDead = h.NextOrder, h.NextDead
	h.PurgedBelow, h.PurgedMs = h.NextSeq, q.nowMs
	q.flush()
	return model.Result{}, nil
}
