package machine

import (
	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// showDue makes hidden messages visible whose time has come, at most
// maxDueMoved, and lets groups go on whose wait is over; more says that a bound
// was reached. Everything that is hidden later becomes visible after now, so
// the low mark never has to go back.
func (q *queue) showDue(s *model.QueueSettings) (more bool, err error) {
	if q.head.InFlight+q.head.Delayed > 0 && q.head.LowHiddenMs <= q.nowMs {
		if q.nowMs < q.stillMs {
			q.passHidden() // what showHidden comes to if it finds nothing
		} else if more, err = q.showHidden(s); err != nil {
			return false, err
		}
	}
	if q.head.Waiting.Count+q.head.Lingering.Count == 0 {
		return more, nil
	}
	waits, err := q.endWaits(s, false)
	if err != nil {
		return false, err
	}
	lingers, err := q.endLingering()
	return more || waits || lingers, err
}

// lookAheadMs is how far behind what is due showHidden looks for what is due next,
// so that the commands until then need not look. Tombstones that it steps over are
// stepped over once more when their time passes.
const lookAheadMs = 250

// passHidden moves the low mark past everything that is due.
func (q *queue) passHidden() {
	q.head.LowHiddenMs, q.head.LowHiddenSeq = q.nowMs+1, 0
	if base.Bug("lowmark") {
		q.head.LowHiddenMs += 2000
	}
}

// setHidden files a message, or a block, under the time at which it becomes visible.
func (q *queue) setHidden(atMs int64, seq uint64, value []byte) {
	if q.soonMs == 0 || atMs < q.soonMs {
		q.soonMs = atMs
	}
	q.tx.SetNew(keys.Hidden(q.key[:0], q.id, q.slot, atMs, seq), value)
}

func (q *queue) showHidden(s *model.QueueSettings) (more bool, err error) {
	q.stillMs = 0
	lo := keys.Hidden(nil, q.id, q.slot, q.head.LowHiddenMs, q.head.LowHiddenSeq)
	hi := keys.Hidden(nil, q.id, q.slot, q.nowMs+1+lookAheadMs, 0)
	it, err := q.tx.Scan(lo, hi, false)
	if err != nil {
		return false, err
	}
	moved, stillMs := 0, q.nowMs+1+lookAheadMs
	for it.Next() {
		at, seq, ok := keys.SplitHidden(it.Key())
		if !ok {
			_ = it.Close() // the first error is the one to report
			return false, model.ErrCorrupt
		}
		if at > q.nowMs {
			stillMs = at
			break
		}
		if moved >= maxDueMoved {
			q.head.LowHiddenMs, q.head.LowHiddenSeq = at, seq
			return true, it.Close()
		}
		moved++
		q.head.LowHiddenMs, q.head.LowHiddenSeq = at, seq+1
		if keys.IsBlock(seq) {
			moved += q.showBlock(s, seq, at) - 1
			continue
		}
		if err := q.showOne(s, seq, it.Value()); err != nil {
			_ = it.Close() // the first error is the one to report
			return false, err
		}
		q.tx.Delete(it.Key())
	}
	q.stillMs = stillMs
	q.passHidden()
	return false, it.Close()
}

// showOne makes one hidden message visible, unless it has expired. value is
// its entry when it was never received, and empty when its state has it.
func (q *queue) showOne(s *model.QueueSettings, seq uint64, value []byte) error {
	if len(value) > 0 {
		return q.showDelayed(s, value)
	}
	st, err := q.state(seq)
	if err != nil || st == nil {
		return orCorrupt(err)
	}
	q.land(st)
	if q.expired(s, &st.QueueEntry) {
		q.drop(&st.QueueEntry)
		return nil
	}
	q.show(&st.QueueEntry, st, false)
	return nil
}

func (q *queue) showDelayed(s *model.QueueSettings, value []byte) error {
	e, id, err := decodeHidden(value)
	if err != nil {
		return err
	}
	if id != (model.MessageID{}) {
		q.tx.Delete(keys.Timed(nil, q.id, q.slot, id))
	}
	q.head.Delayed--
	switch {
	case e.Fifo: // it is in its place already; when it has expired it goes from there
		q.head.Visible++
		q.group(e.Group)
	case q.expired(s, &e):
		q.drop(&e)
	default:
		q.show(&e, nil, false)
	}
	return nil
}

// decodeHidden reads what is stored under Hidden for a delayed message: its
// entry and, when it was scheduled, its id.
func decodeHidden(value []byte) (e keys.QueueEntry, id model.MessageID, err error) {
	d := model.NewDecoder(value)
	e.Decode(d)
	if d.Len() > 0 {
		id = model.MessageID(d.Fixed(len(id)))
	}
	return e, id, d.Done()
}

// applyChangeVisibility moves the times at which messages in flight become
// visible.
func applyChangeVisibility(m *Machine, tx *Tx) (model.Result, error) {
	cmd, err := bodyOf[model.ChangeVisibility](tx.Command.Body)
	if err != nil {
		return model.Result{}, err
	}
	q, err := m.openQueue(tx)
	if err != nil {
		return model.Result{}, err
	}
	if len(cmd.Changes) > 1 {
		q.remember()
	}
	outcomes := make(model.EntryStatuses, len(cmd.Changes))
	for i := range cmd.Changes {
		if outcomes[i], err = q.changeVisibility(&cmd.Changes[i], cmd.GiveBack); err != nil {
			return model.Result{}, err
		}
	}
	return model.Result{Body: outcomes.Append(nil)}, q.flush()
}

func (q *queue) changeVisibility(c *model.VisibilityChange, giveBack bool) (model.EntryStatus, error) {
	b, i, part := q.inFlight(c.Receipt.Seq)
	var st *keys.StateRecord
	var err error
	if part != nil {
		st = &keys.StateRecord{Place: keys.PlaceInFlight, At: uint64(part.UntilMs), ReceivedMs: part.ReceivedMs, Nonce: part.Nonce}
		st.Receives = 1
	} else if st, err = q.state(c.Receipt.Seq); err != nil {
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
	switch {
	case part == nil:
		q.tx.Delete(keys.Hidden(q.key[:0], q.id, q.slot, int64(st.At), st.Seq))
	case c.VisibilityMs > 0 && !giveBack:
		moved, size := *part, part.Sizes[i]
		b.takeOut(i)
		moved.UntilMs = q.nowMs + c.VisibilityMs
		b.put(i, size, moved)
		return model.EntryOK, nil
	default:
		st = q.landInBlock(b, i, part)
		q.leave(&st.QueueEntry)
	}
	next := *st
	if giveBack {
		next.Nonce = 0 // of no receive
	}
	if c.VisibilityMs <= 0 {
		q.land(&next)
		q.show(&next.QueueEntry, &next, false)
	} else {
		q.hide(&next, q.nowMs+c.VisibilityMs, false)
	}
	return model.EntryOK, nil
}

// isLatest reports whether the receipt is that of the message's last receive.
func isLatest(st *keys.StateRecord, r *model.Receipt) bool {
	return st.Receives == r.Receives && st.Nonce == r.Nonce
}
