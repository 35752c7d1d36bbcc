package machine

import (
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// applyDeleteMessages deletes messages by receipt. In a standard queue a receipt
// counts until its message is received again, also when the message has become
// visible meanwhile: who holds it has done the work. In a FIFO queue, where the
// next of the group may be with another consumer then, it counts while the message
// is in flight by it.
func applyDeleteMessages(m *Machine, tx *Tx) (model.Result, error) {
	cmd, err := bodyOf[model.DeleteMessages](tx.Command.Body)
	if err != nil {
		return model.Result{}, err
	}
	q, err := m.openQueue(tx)
	if err != nil {
		return model.Result{}, err
	}
	if len(cmd.Receipts) > 1 {
		q.remember()
	}
	outcomes := make(model.EntryStatuses, len(cmd.Receipts))
	refused := false
	for i := range cmd.Receipts {
		if outcomes[i], err = q.deleteMessage(&cmd.Receipts[i]); err != nil {
			return model.Result{}, err
		}
		refused = refused || outcomes[i] != model.EntryOK
	}
	var res model.Result
	if refused {
		res.Body = outcomes.Append(nil)
	}
	return res, q.flush()
}

func (q *queue) deleteMessage(r *model.Receipt) (model.EntryStatus, error) {
	if status, done := q.deleteInBlock(r); done {
		return status, nil
	}
	st, err := q.state(r.Seq)
	if err != nil || st == nil {
		return model.EntryOK, err
	}
	latest := isLatest(st, r)
	if st.Fifo && (!latest || st.Place != keys.PlaceInFlight || int64(st.At) <= q.nowMs) {
		return model.EntryNotInflight, nil
	}
	if !latest {
		return model.EntryOK, nil
	}
	switch st.Place {
	case keys.PlaceInFlight:
		q.tx.Delete(keys.Hidden(q.key[:0], q.id, q.slot, int64(st.At), st.Seq))
		q.land(st)
	case keys.PlaceReady:
		if st.Grouped() {
			q.delist(&st.QueueEntry, st.At)
			break
		}
		q.tx.Delete(keys.Ready(q.key[:0], q.id, q.slot, st.Priority, st.At))
		q.head.Lines[st.Priority].Count--
		q.head.Visible--
	case keys.PlaceDead:
		q.tx.Delete(keys.Dead(q.key[:0], q.id, q.slot, st.At))
		q.head.Dead--
		if st.Grouped() {
			q.group(st.Group).Dead--
		}
	case keys.PlaceClaimed:
		// The claim still names it; what has no state is gone.
		q.head.Claimed--
		q.comeBack(&st.QueueEntry)
	}
	q.drop(&st.QueueEntry)
	return model.EntryOK, nil
}

// applyPurge deletes all messages. Claims stay, without messages, until they
// are settled.
func applyPurge(m *Machine, tx *Tx) (model.Result, error) {
	cmd, err := bodyOf[model.Purge](tx.Command.Body)
	if err != nil {
		return model.Result{}, err
	}
	q, err := m.openHead(tx)
	if err != nil {
		return model.Result{}, err
	}
	if !cmd.Follows && q.head.PurgedMs != 0 && q.nowMs < q.head.PurgedMs+model.PurgeIntervalMs {
		return model.Result{Status: model.StatusOverLimit}, nil
	}
	if q.head.PurgedBelow < q.head.NextSeq {
		for _, span := range keys.MessageSpans(q.id, q.slot) {
			tx.DeleteRange(span[0], span[1])
		}
		if q.told != nil {
			q.told.Purged = true
		}
	}
	q.head.Unfiled, q.head.Bytes = 0, 0
	q.emptyIndexes()
	q.head.PurgedBelow, q.head.PurgedMs = q.head.NextSeq, q.nowMs
	return model.Result{}, q.flush()
}

// emptyIndexes notes in the head that no message is in any index.
func (q *queue) emptyIndexes() {
	h := &q.head
	h.Visible, h.Delayed, h.InFlight, h.Claimed, h.Dead, h.Groups = 0, 0, 0, 0, 0, 0
	h.LowDead, h.Waiting.Count, h.Lingering.Count, h.Blocked = h.NextDead, 0, 0, 0
	for p := range h.Lines {
		h.Lines[p].Low, h.Lines[p].Count, h.Noisy[p] = keys.NextNumber(h.NextSeq), 0, 0
	}
}
