package machine

import (
	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// What a queue remembers for DedupeWindow (the deduplication ids of a FIFO
// queue, the attempts of receives) is filed under periods of that length: a
// lookup tries the present period and the one before, and what is older goes by
// one range deletion for a whole period.

const windowMs = int64(model.DedupeWindow / 1_000_000)

func (q *queue) period() uint64 { return uint64(q.nowMs / windowMs) }

// forgetLately removes what is older than the window.
func (q *queue) forgetLately() {
	last := q.period() - min(1, q.period())
	if q.head.LowLately == 0 || q.head.LowLately >= last {
		return // nothing, or nothing so old
	}
	for _, span := range keys.LatelySpans(q.id, q.slot, q.head.LowLately, last) {
		q.tx.DeleteRange(span[0], span[1])
	}
	q.head.LowLately = last
}

// noteLately makes room for a record of the present period.
func (q *queue) noteLately() {
	q.forgetLately()
	if q.head.LowLately == 0 {
		q.head.LowLately = max(1, q.period())
	}
}

// lately finds a record of the window by the key that it has in a period.
func lately(r Reader, nowMs int64, key func(period uint64) []byte) (value []byte, ok bool, err error) {
	period := uint64(nowMs / windowMs)
	for _, p := range []uint64{period, period - min(1, period)} {
		if value, ok, err = r.Get(key(p)); err != nil || ok {
			return value, ok, err
		}
	}
	return nil, false, nil
}

// repeats finds the message of a FIFO queue that this one repeats: one of the
// same deduplication id that was sent less than the window before or after it.
// A dead letter repeats nothing, whatever its id was where it died, and no
// message that a pipe moves repeats itself.
func (q *queue) repeats(s *model.QueueSettings, m *model.Message, moved bool) (model.SentMessage, bool) {
	if !q.head.Fifo || m.Dedup == "" || m.DeadFrom != 0 {
		return model.SentMessage{}, false
	}
	key := func(period uint64) []byte {
		return keys.Sent(nil, q.id, q.slot, period, s.DedupPerGroup, m.Group, m.Dedup)
	}
	now := string(key(q.period()))
	rec, ok := q.sent[now]
	if !ok {
		value, found, err := lately(q.tx, q.nowMs, key)
		if err == nil && found {
			rec, err = bodyOf[keys.SentRecord](value)
		}
		if err != nil {
			q.fail(err)
		}
		ok = found
	}
	apart := m.SentMs - rec.SentMs
	if ok && apart < windowMs && apart > -windowMs && !(moved && rec.ID == m.ID) {
		return model.SentMessage{ID: rec.ID, Seq: rec.Seq}, true
	}
	q.noteLately()
	rec = keys.SentRecord{ID: m.ID, Seq: q.nextSeq(), SentMs: m.SentMs}
	if q.sent == nil {
		q.sent = map[string]keys.SentRecord{}
	}
	q.sent[now] = rec
	if !base.Bug("forgetsent") {
		q.tx.Set([]byte(now), rec.Append(nil))
	}
	return model.SentMessage{}, false
}

// readAttempt finds the messages that an earlier receive of the same attempt
// was given, if all of them that still exist are in flight by its receipts. It
// finds none when none exists.
func readAttempt(r Reader, cmd *model.Command, attempt model.RequestID, nowMs int64) (sts []*keys.StateRecord, err error) {
	if attempt.IsZero() {
		return nil, nil
	}
	value, ok, err := lately(r, nowMs, func(period uint64) []byte { return keys.Attempt(nil, cmd.Resource, cmd.Slot, period, attempt) })
	if err != nil || !ok {
		return nil, err
	}
	rec, err := bodyOf[keys.AttemptRecord](value)
	if err != nil || nowMs-rec.AtMs >= windowMs {
		return nil, err
	}
	for _, seq := range rec.Seqs {
		st, err := readState(r, cmd.Resource, cmd.Slot, seq)
		if err != nil {
			return nil, err
		}
		if st == nil {
			continue
		}
		if st.Place != keys.PlaceInFlight || st.Nonce != rec.Nonce || int64(st.At) <= nowMs {
			return nil, nil
		}
		sts = append(sts, st)
	}
	return sts, nil
}

// repeatAttempt gives a repeated attempt its messages again, hidden anew. It
// returns nil when the command is to receive afresh, and must come after
// showDue, which leaves what is in flight alone.
func (q *queue) repeatAttempt(cmd *model.Receive) (recorded []byte, err error) {
	sts, err := readAttempt(q.tx, q.tx.Command, cmd.Attempt, q.nowMs)
	if err != nil || len(sts) == 0 {
		return nil, err
	}
	var got []keys.QueueEntry
	for _, st := range sts {
		got = append(got, st.QueueEntry)
		q.tx.Delete(keys.Hidden(q.key[:0], q.id, q.slot, int64(st.At), st.Seq))
		if cmd.VisibilityMs <= 0 {
			q.land(st)
			q.show(&st.QueueEntry, st, false)
			continue
		}
		q.spent(st)
		st.ReceivedMs = q.nowMs
		q.hide(st, q.nowMs+min(cmd.VisibilityMs, model.MaxVisibilityMs), false)
	}
	return appendTaken(nil, got, sts[0].Nonce), nil
}

// rememberAttempt remembers what a receive was given.
func (q *queue) rememberAttempt(cmd *model.Receive, got []keys.QueueEntry) {
	if cmd.Attempt.IsZero() || len(got) == 0 {
		return
	}
	rec := keys.AttemptRecord{AtMs: q.nowMs, Nonce: cmd.Nonce}
	for i := range got {
		rec.Seqs = append(rec.Seqs, got[i].Seq)
	}
	q.noteLately()
	q.tx.Set(keys.Attempt(nil, q.id, q.slot, q.period(), cmd.Attempt), rec.Append(nil))
}
