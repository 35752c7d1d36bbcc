package machine

import (
	"bytes"

	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// applySend puts messages into a queue. It also removes expired messages from
// the queue's head, so that a queue that nobody reads does not grow for ever.
func applySend(m *Machine, tx *Tx) (model.Result, error) {
	cmd, err := bodyOf[model.Send](tx.Command.Body)
	if err != nil {
		return model.Result{}, err
	}
	q, err := m.openQueue(tx)
	if err != nil {
		return model.Result{}, err
	}
	q.head.Fifo = q.head.Fifo || cmd.Settings.Fifo
	if _, err := q.showDue(&cmd.Settings); err != nil {
		return model.Result{}, err
	}
	if _, err := q.sweepExpired(&cmd.Settings); err != nil {
		return model.Result{}, err
	}
	res := model.SendResult{Sent: make([]model.SentMessage, len(cmd.Entries))}
	for i := range cmd.Entries {
		q.plan(cmd.Entries[i:])
		q.send(&cmd.Settings, &cmd.Entries[i], false, &res.Sent[i])
	}
	err = q.flush()
	return model.Result{Body: res.Append(nil)}, err
}

// send puts one message into the queue: visible at once, delayed or scheduled.
// moved says that a pipe brings it. What it was sent as is in sent after flush:
// the message that this one repeats, if it does.
func (q *queue) send(s *model.QueueSettings, entry *model.SendEntry, moved bool, sent *model.SentMessage) {
	m := &entry.Message
	if m.SentMs == 0 {
		m.SentMs = q.nowMs
	}
	if earlier, ok := q.repeats(s, m, moved); ok {
		*sent = earlier
		q.open.left = max(0, q.open.left-1) // its place stays empty
		return
	}
	sent.ID = m.ID
	e := keys.QueueEntry{SentMs: m.SentMs, Size: uint64(m.Size()), Group: m.Group, Priority: m.Priority}
	q.head.Bytes += e.Size
	if q.head.Fifo || e.Group != "" {
		if e.Fifo = q.group(e.Group).Fifo; e.Fifo {
			e.Priority = 0
		}
	}
	dueMs := int64(0)
	switch {
	case entry.AtMs > q.nowMs:
		dueMs = entry.AtMs
		e.SentMs = dueMs
	case entry.AtMs == 0 && entry.DelayMs > 0:
		dueMs = q.nowMs + entry.DelayMs
	}
	scheduled := dueMs != 0 && entry.AtMs != 0 && !e.Fifo
	if q.open.left > 0 {
		q.enblockOrdered(&e, m, sent)
		return
	}
	if dueMs == 0 && q.blockable(&e) {
		q.enblock(&e, m, sent)
		return
	}
	q.seal() // it comes before this one
	e.Seq = q.number()
	sent.Seq = e.Seq
	q.value = m.Append(q.value[:0])
	if q.told != nil {
		q.told.Added = append(q.told.Added, model.UnitMessage{Seq: e.Seq, DueMs: dueMs, Scheduled: scheduled, Message: bytes.Clone(q.value)})
	}
	if q.head.Unfiled > 0 { // it comes behind those that wait to be filed
		q.keepUnfiled(e.Seq, m.ID, dueMs, scheduled, false)
		return
	}
	if dueMs != 0 {
		q.value = model.AppendUvarint(q.value, uint64(dueMs))
	}
	q.tx.SetNew(keys.Message(q.key[:0], q.id, q.slot, e.Seq), q.value)
	if q.head.Fifo || e.Group != "" {
		q.join(q.group(e.Group))
	}
	q.file(&e, m, dueMs, scheduled)
}

// file puts a new message where it belongs. dueMs is when it becomes visible;
// zero is at once.
func (q *queue) file(e *keys.QueueEntry, m *model.Message, dueMs int64, scheduled bool) {
	if e.Fifo { // in its place from the beginning
		e.DueMs = dueMs
		q.group(e.Group).append(e, e.Seq)
		if dueMs == 0 {
			q.head.Visible++
			return
		}
	} else if dueMs == 0 {
		q.show(e, nil, false)
		return
	}
	q.head.Delayed++
	q.value = e.Append(q.value[:0])
	if scheduled {
		q.value = append(q.value, m.ID[:]...)
		place := model.AppendUvarint(model.AppendUvarint(nil, uint64(dueMs)), e.Seq)
		q.tx.Set(keys.Timed(nil, q.id, q.slot, m.ID), place)
	}
	q.setHidden(dueMs, e.Seq, q.value)
}

// applyCancelScheduled deletes messages that were scheduled and are not due.
func applyCancelScheduled(m *Machine, tx *Tx) (model.Result, error) {
	cmd, err := bodyOf[model.CancelScheduled](tx.Command.Body)
	if err != nil {
		return model.Result{}, err
	}
	q, err := m.openHead(tx)
	if err != nil {
		return model.Result{}, err
	}
	outcomes := make(model.EntryStatuses, len(cmd.IDs))
	seen := map[model.MessageID]bool{}
	for i, id := range cmd.IDs {
		outcomes[i] = model.EntryNotFound
		if seen[id] {
			continue
		}
		seen[id] = true
		found, err := q.cancel(id)
		if err != nil {
			return model.Result{}, err
		}
		if found {
			outcomes[i] = model.EntryOK
		}
	}
	return model.Result{Body: outcomes.Append(nil)}, q.flush()
}

func (q *queue) cancel(id model.MessageID) (found bool, err error) {
	timed := keys.Timed(nil, q.id, q.slot, id)
	value, ok, err := q.tx.Get(timed)
	if err != nil || !ok {
		return false, err
	}
	d := model.NewDecoder(value)
	atMs, seq := int64(d.Uvarint()), d.Uvarint()
	if err := d.Done(); err != nil || atMs <= q.nowMs {
		return false, err
	}
	hidden := keys.Hidden(nil, q.id, q.slot, atMs, seq)
	if seq >= q.head.Filed && q.head.Unfiled > 0 {
		return true, q.dropUnfiled(seq)
	}
	value, ok, err = q.tx.Get(hidden)
	if err != nil || !ok {
		return false, orCorrupt(err)
	}
	e, _, err := decodeHidden(value)
	if err != nil {
		return false, err
	}
	q.tx.Delete(timed)
	q.tx.Delete(hidden)
	q.head.Delayed--
	q.drop(&e)
	return true, nil
}
