package machine

import (
	"encoding/binary"
	"strings"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// applyReceive takes visible messages and hides them for the visibility
// timeout. Bodies are not touched: the recorded result names the messages, and
// ExpandReceive reads them for the node that answers.
func applyReceive(m *Machine, tx *Tx) (model.Result, error) {
	cmd, err := bodyOf[model.Receive](tx.Command.Body)
	if err != nil {
		return model.Result{}, err
	}
	q, err := m.openQueue(tx)
	if err != nil {
		return model.Result{}, err
	}
	if _, err := q.showDue(&cmd.Settings); err != nil {
		return model.Result{}, err
	}
	if repeated, err := q.repeatAttempt(&cmd); err != nil || repeated != nil {
		return model.Result{Body: repeated}, orFlush(q, err)
	}
	if q.head.InFlight >= model.MaxQueueInFlight {
		return model.Result{Status: model.StatusOverLimit}, q.flush()
	}
	most := min(cmd.Max, model.MaxReceiveMessages, uint32(model.MaxQueueInFlight-q.head.InFlight))
	got, err := q.take(&cmd.Settings, int(most))
	if err != nil {
		return model.Result{}, err
	}
	for i := range got {
		q.deliver(&got[i], &cmd)
	}
	q.rememberAttempt(&cmd, got)
	tx.taken = got
	return model.Result{Body: appendTaken(nil, got, cmd.Nonce)}, q.flush()
}

// orFlush is err, or what flush returns.
func orFlush(q *queue, err error) error {
	if err != nil {
		return err
	}
	return q.flush()
}

// deliver counts the receive of a taken message and hides it.
func (q *queue) deliver(e *keys.QueueEntry, cmd *model.Receive) {
	first := e.Receives == 0
	if first {
		e.FirstReceiveMs = q.nowMs
	}
	e.Receives++
	q.taken--
	if e.Block && !cmd.Attempt.IsZero() {
		q.leave(e) // the attempt is to find its state
	}
	if cmd.VisibilityMs <= 0 {
		if e.Block {
			q.leave(e)
		}
		st := &keys.StateRecord{QueueEntry: *e, ReceivedMs: q.nowMs, Nonce: cmd.Nonce}
		q.comeBack(e)
		if base.Bug("uncounted") {
			e.Receives--
		}
		q.show(e, st, first)
		return
	}
	from := q.nowMs
	if base.Bug("firstreceive") {
		from = e.FirstReceiveMs
	}
	untilMs := from + min(cmd.VisibilityMs, model.MaxVisibilityMs)
	q.head.InFlight++
	if e.Block {
		q.deliverInBlock(e, untilMs, cmd.Nonce)
		return
	}
	q.hide(&keys.StateRecord{QueueEntry: *e, ReceivedMs: q.nowMs, Nonce: cmd.Nonce}, untilMs, first)
}

// hide keeps a received message from others until the given time. First says
// that it was never received before.
func (q *queue) hide(st *keys.StateRecord, untilMs int64, first bool) {
	st.Place, st.At = keys.PlaceInFlight, uint64(untilMs)
	q.setState(st, first)
	q.setHidden(untilMs, st.Seq, nil)
}

// comeBack counts that a message is not with a consumer or pipe any more.
func (q *queue) comeBack(e *keys.QueueEntry) {
	if e.Grouped() {
		q.group(e.Group).Out--
	}
}

// land counts that a message is not in flight any more.
func (q *queue) land(st *keys.StateRecord) {
	q.head.InFlight--
	q.spent(st)
	q.comeBack(&st.QueueEntry)
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

// expandReceive reads the messages that a receive took. When the command is
// repeated it leaves out those that have left its hands since.
func (o *Outcome) expandReceive(r Reader, cmd *model.Command) (*model.ReceiveResult, error) {
	d := model.NewDecoder(o.Result.Body)
	res := &model.ReceiveResult{Taken: d.Uvarint()}
	if res.Taken == 0 {
		return res, d.Done()
	}
	nonce := binary.BigEndian.Uint64(d.Fixed(8))
	n := int(min(res.Taken, model.MaxReceiveMessages))
	res.Messages = make([]model.Received, 0, n)
	var receipts strings.Builder // all in one piece of memory
	receipts.Grow(n * model.ReceiptLength)
	var room [model.ReceiptLength]byte
	bodies := messageReader{reader: r, id: cmd.Resource, slot: cmd.Slot}
	for i := 0; d.Len() > 0; i++ {
		seq := d.Uvarint()
		var e *keys.QueueEntry
		if i < len(o.taken) {
			e = &o.taken[i]
		} else if again, err := readTaken(r, cmd, seq, nonce); err != nil {
			return res, err
		} else if e = again; e == nil {
			continue
		}
		res.Messages = append(res.Messages, model.Received{})
		m := &res.Messages[len(res.Messages)-1]
		if len(res.Messages) > 1 {
			m.Sender = res.Messages[len(res.Messages)-2].Sender // mostly the same
		}
		ok, err := bodies.read(e, m)
		if err != nil {
			return res, err
		}
		if !ok {
			res.Messages = res.Messages[:len(res.Messages)-1]
			continue
		}
		receipt := model.Receipt{Queue: cmd.Resource, Slot: cmd.Slot, Seq: seq, Receives: e.Receives, Nonce: nonce}
		from := receipts.Len()
		receipts.Write(receipt.AppendText(room[:0]))
		m.Receipt = receipts.String()[from:]
	}
	return res, d.Done()
}

// readTaken finds a message that a receive took by its number, and that nobody
// else has had since; nil when there is none.
func readTaken(r Reader, cmd *model.Command, seq, nonce uint64) (*keys.QueueEntry, error) {
	if number, i, ok := keys.SplitInBlock(seq); ok {
		state, _, err := readBlockState(r, cmd.Resource, cmd.Slot, number)
		if err != nil {
			return nil, err
		}
		if part := partOf(&state, i); part != nil {
			if part.Nonce != nonce {
				return nil, nil
			}
			return &keys.QueueEntry{Seq: seq, Receives: 1, FirstReceiveMs: part.ReceivedMs, Block: true}, nil
		}
	}
	st, err := readState(r, cmd.Resource, cmd.Slot, seq)
	if err != nil || st == nil || st.Nonce != nonce || st.Place != keys.PlaceInFlight && st.Place != keys.PlaceReady {
		return nil, err
	}
	return &st.QueueEntry, nil
}

// messageReader reads messages by what the indexes know of them, a block once
// for all that follow each other.
type messageReader struct {
	reader Reader
	id     model.ResourceID
	slot   model.Slot
	number uint64 // of block
	block  keys.QueueBlock
}

// read reads a message into m, of which only the Sender may be set.
func (b *messageReader) read(e *keys.QueueEntry, m *model.Received) (ok bool, err error) {
	m.Seq, m.Receives, m.FirstReceiveMs = e.Seq, e.Receives, e.FirstReceiveMs
	value, ok, err := b.stored(e)
	if err != nil || !ok {
		return false, err
	}
	_, err = decodeMessage(value, &m.Message)
	return true, err
}

func (b *messageReader) stored(e *keys.QueueEntry) (value []byte, ok bool, err error) {
	if !e.Block {
		var buf [64]byte
		return b.reader.Get(keys.Message(buf[:0], b.id, b.slot, e.Seq))
	}
	number, i, _ := keys.SplitInBlock(e.Seq)
	if b.number != number {
		if b.block, ok, err = readBlock(b.reader, b.id, b.slot, number); err != nil || !ok {
			return nil, false, err
		}
		b.number = number
	}
	return b.block.Message(i), true, nil
}

// decodeMessage reads a stored message, and when it becomes or became visible
// if it was sent with a delay; zero when it was not. The message shares memory
// with value.
func decodeMessage(value []byte, m *model.Message) (dueMs int64, err error) {
	d := model.NewDecoder(value)
	m.Decode(d)
	if d.Len() > 0 {
		dueMs = int64(d.Uvarint())
	}
	return dueMs, d.Done()
}
