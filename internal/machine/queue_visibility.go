package machine

import (
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// showDue makes hidden messages visible whose time has come, at most
// maxDueMoved; more says that the bound was reached. Everything that is hidden
// later becomes visible after now, so the low mark never has to go back.
func (q *queue) showDue(s *model.QueueSettings) (more bool, err error) {
	if q.head.LowHiddenMs > q.nowMs || q.head.InFlight+q.head.Delayed == 0 {
		return false, nil
	}
	lo := keys.Hidden(nil, q.id, q.slot, q.head.LowHiddenMs, q.head.LowHiddenSeq)
	hi := keys.Hidden(nil, q.id, q.slot, q.nowMs+1, 0)
	it, err := q.tx.Scan(lo, hi, false)
	if err != nil {
		return false, err
	}
	moved := 0
	for it.Next() {
		at, seq, ok := keys.SplitHidden(it.Key())
		if !ok {
			_ = it.Close() // the first error is the one to report
			return false, model.ErrCorrupt
		}
		if moved == maxDueMoved {
			q.head.LowHiddenMs, q.head.LowHiddenSeq = at, seq
			return true, it.Close()
		}
		moved++
		if err := q.showHidden(s, seq, it.Value()); err != nil {
			_ = it.Close() // the first error is the one to report
			return false, err
		}
		q.tx.Delete(it.Key())
	}
	q.head.LowHiddenMs, q.head.LowHiddenSeq = q.nowMs+1, 0
	return false, it.Close()
}

// showHidden makes one hidden message visible, unless it has expired. value is
// its entry when it was never received, and empty when its state has it.
func (q *queue) showHidden(s *model.QueueSettings, seq uint64, value []byte) error {
	var e keys.QueueEntry
	var st *keys.StateRecord
	if len(value) > 0 {
		d := model.NewDecoder(value)
		e.Decode(d)
		if err := d.Done(); err != nil {
			return err
		}
		q.head.Delayed--
	} else {
		var err error
		if st, err = q.state(seq); err != nil || st == nil {
			return orCorrupt(err)
		}
		e = st.QueueEntry
		q.head.InFlight--
	}
	if q.expired(s, &e) {
		q.drop(&e)
		return nil
	}
	q.show(&e, st)
	return nil
}

// applyChangeVisibility moves the times at which messages in flight become
// visible.
func applyChangeVisibility(_ *Machine, tx *Tx) (model.Result, error) {
	var cmd model.ChangeVisibility
	d := model.NewDecoder(tx.Command.Body)
	cmd.Decode(d)
	if err := d.Done(); err != nil {
		return model.Result{}, err
	}
	q, err := openQueue(tx)
	if err != nil {
		return model.Result{}, err
	}
	if len(cmd.Changes) > 1 {
		q.remember()
	}
	outcomes := make(model.EntryStatuses, len(cmd.Changes))
	for i := range cmd.Changes {
		if outcomes[i], err = q.changeVisibility(&cmd.Changes[i]); err != nil {
			return model.Result{}, err
		}
	}
	q.flush()
	return model.Result{Body: outcomes.Append(nil)}, nil
}

func (q *queue) changeVisibility(c *model.VisibilityChange) (model.EntryStatus, error) {
	st, err := q.state(c.Receipt.Seq)
	if err != nil {
		return 0, err
	}
	switch {
	case st == nil || !isLatest(st, &c.Receipt) || st.Place == keys.PlaceDead || st.Place == keys.PlaceClaimed:
		return model.EntryNotFound, nil
	case st.Place == keys.PlaceReady || int64(st.At) <= q.nowMs:
		return model.EntryNotInflight, nil
	case c.VisibilityMs > model.MaxVisibilityMs-(q.nowMs-st.ReceivedMs):
		return model.EntryOverLimit, nil
	}
	q.tx.Delete(keys.Hidden(q.key[:0], q.id, q.slot, int64(st.At), st.Seq))
	q.head.InFlight--
	next := *st
	if c.VisibilityMs <= 0 {
		q.show(&next.QueueEntry, &next)
	} else {
		q.hide(&next, q.nowMs+c.VisibilityMs)
	}
	return model.EntryOK, nil
}

// isLatest reports whether the receipt is that of the message's last receive.
func isLatest(st *keys.StateRecord, r *model.Receipt) bool {
	return st.Receives == r.Receives && st.Nonce == r.Nonce
}
