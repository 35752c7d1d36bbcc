package machine

import (
	"encoding/binary"

	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// applyReceive takes visible messages and hides them for the visibility
// timeout. Bodies are not touched: the recorded result names the messages, and
// ExpandReceive reads them for the node that answers.
func applyReceive(_ *Machine, tx *Tx) (model.Result, error) {
	var cmd model.Receive
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
	if q.head.InFlight >= model.MaxQueueInFlight {
		q.flush()
		return model.Result{Status: model.StatusOverLimit}, nil
	}
	most := min(cmd.Max, model.MaxReceiveMessages, uint32(model.MaxQueueInFlight-q.head.InFlight))
	got, err := q.take(&cmd.Settings, int(most))
	if err != nil {
		return model.Result{}, err
	}
	for i := range got {
		q.deliver(&got[i], &cmd)
	}
	q.flush()
	return model.Result{Body: appendTaken(nil, got, cmd.Nonce)}, nil
}

// take takes visible messages out of the index: at most most of them and about
// MaxReceiveBytes. On its way it removes expired messages and puts dead ones
// aside, at most maxSwept.
func (q *queue) take(s *model.QueueSettings, most int) ([]keys.QueueEntry, error) {
	var got []keys.QueueEntry
	var fault error
	bytes := uint64(0)
	err := q.walkReady(most+maxSwept, func(e *keys.QueueEntry) verdict {
		switch {
		case len(got) == most || fault != nil:
			return stop
		case q.expired(s, e):
			q.drop(e)
			return taken
		case s.MaxReceives > 0 && e.Receives >= s.MaxReceives:
			fault = q.bury(e)
			return taken
		case len(got) > 0 && bytes+e.Size > model.MaxReceiveBytes:
			return stop
		}
		bytes += e.Size
		got = append(got, *e)
		return taken
	})
	if err == nil {
		err = fault
	}
	return got, err
}

// bury puts a message that was received too often among the dead ones, for the
// mover of dead letters to claim. It wakes nobody: consumers find nothing in
// it, and the mover asks again by itself.
func (q *queue) bury(e *keys.QueueEntry) error {
	st, err := q.state(e.Seq)
	if err != nil || st == nil {
		return orCorrupt(err)
	}
	st.Place, st.At = keys.PlaceDead, q.head.NextDead
	q.setState(st)
	q.value = e.Append(q.value[:0])
	q.tx.Set(keys.Dead(q.key[:0], q.id, q.slot, q.head.NextDead), q.value)
	q.head.NextDead++
	q.head.Dead++
	return nil
}

// deliver counts the receive of a taken message and hides it.
func (q *queue) deliver(e *keys.QueueEntry, cmd *model.Receive) {
	if e.Receives == 0 {
		e.FirstReceiveMs = q.nowMs
	}
	e.Receives++
	st := &keys.StateRecord{QueueEntry: *e, ReceivedMs: q.nowMs, Nonce: cmd.Nonce}
	if cmd.VisibilityMs <= 0 {
		q.show(e, st)
		return
	}
	q.hide(st, q.nowMs+min(cmd.VisibilityMs, model.MaxVisibilityMs))
}

// hide keeps a received message from others until the given time.
func (q *queue) hide(st *keys.StateRecord, untilMs int64) {
	st.Place, st.At = keys.PlaceInFlight, uint64(untilMs)
	q.setState(st)
	q.tx.Set(keys.Hidden(q.key[:0], q.id, q.slot, untilMs, st.Seq), nil)
	q.head.InFlight++
}

// The recorded result of a receive: how many messages were taken, the nonce of
// their receipts (a repeated command carries another one), their numbers.
func appendTaken(dst []byte, got []keys.QueueEntry, nonce uint64) []byte {
	dst = model.AppendUvarint(dst, uint64(len(got)))
	if len(got) == 0 {
		return dst
	}
	dst = binary.BigEndian.AppendUint64(dst, nonce)
	for i := range got {
		dst = model.AppendUvarint(dst, got[i].Seq)
	}
	return dst
}

// expandReceive reads the messages that a receive took. It leaves out those
// that have left its hands since, which happens when a command is repeated.
func expandReceive(r Reader, cmd *model.Command, recorded []byte) (model.ReceiveResult, error) {
	d := model.NewDecoder(recorded)
	res := model.ReceiveResult{Taken: d.Uvarint()}
	if res.Taken == 0 {
		return res, d.Done()
	}
	nonce := binary.BigEndian.Uint64(d.Fixed(8))
	for d.Len() > 0 {
		seq := d.Uvarint()
		st, err := readState(r, cmd.Resource, cmd.Slot, seq)
		if err != nil {
			return res, err
		}
		if st == nil || st.Nonce != nonce || st.Place != keys.PlaceInFlight && st.Place != keys.PlaceReady {
			continue
		}
		m, ok, err := readMessage(r, cmd.Resource, cmd.Slot, &st.QueueEntry)
		if err != nil {
			return res, err
		}
		if !ok {
			continue
		}
		m.Receipt = model.Receipt{Queue: cmd.Resource, Slot: cmd.Slot, Seq: seq, Receives: st.Receives, Nonce: nonce}.String()
		res.Messages = append(res.Messages, m)
	}
	return res, d.Done()
}

// readMessage reads a message by what an index knows of it.
func readMessage(r Reader, id model.ResourceID, slot model.Slot, e *keys.QueueEntry) (model.Received, bool, error) {
	var buf [64]byte
	value, ok, err := r.Get(keys.Message(buf[:0], id, slot, e.Seq))
	if err != nil || !ok {
		return model.Received{}, false, err
	}
	m := model.Received{Seq: e.Seq, Receives: e.Receives, FirstReceiveMs: e.FirstReceiveMs}
	d := model.NewDecoder(value)
	m.Message.Decode(d)
	return m, true, d.Done()
}

// ExpandReceive turns the recorded result of a CmdReceive or CmdClaim into the
// one that its caller sees, bodies included.
func ExpandReceive(r Reader, cmd *model.Command, res model.Result) (model.Result, error) {
	if res.Status != model.StatusOK {
		return res, nil
	}
	if cmd.Kind == model.CmdClaim {
		full, err := expandClaim(r, cmd, res.Body)
		return model.Result{Body: full.Append(nil)}, err
	}
	full, err := expandReceive(r, cmd, res.Body)
	return model.Result{Body: full.Append(nil)}, err
}
