package transport

import (
	"errors"

	"weir.dev/weir/internal/model"
)

// callTable holds the unanswered calls to one peer. Guarded by the peer's
// queue.
type callTable struct {
	slots   []pendingCall
	free    []uint32
	pending int
}

// pendingCall is one call that waits for its answer.
type pendingCall struct {
	done     func(resp []byte, err error) // nil: the slot is free
	gen      uint32                       // makes the ids of one slot differ
	deadline uint64                       // tick
	batch    uint64                       // the queue's batch that will take it
	kindAt   int                          // where its frame's kind is in the queue, while not taken
	large    *largeFrame                  // instead of batch and kindAt
}

const slotBits = 16 // of a call id; the rest is the slot's generation

// add takes a slot; ok is false when MaxPendingCalls are unanswered.
func (t *callTable) add(firstGen uint32) (id uint64, call *pendingCall, ok bool) {
	var slot uint32
	switch {
	case len(t.free) > 0:
		slot = t.free[len(t.free)-1]
		t.free = t.free[:len(t.free)-1]
	case len(t.slots) < MaxPendingCalls:
		slot = uint32(len(t.slots))
		t.slots = append(t.slots, pendingCall{gen: firstGen})
	default:
		return 0, nil, false
	}
	t.pending++
	call = &t.slots[slot]
	return uint64(call.gen)<<slotBits | uint64(slot), call, true
}

// take removes the call of that id and returns its callback, nil when there is
// none (any more).
func (t *callTable) take(id uint64) func([]byte, error) {
	slot := id & (1<<slotBits - 1)
	if slot >= uint64(len(t.slots)) || uint64(t.slots[slot].gen) != id>>slotBits || t.slots[slot].done == nil {
		return nil
	}
	return t.takeSlot(uint32(slot))
}

func (t *callTable) takeSlot(slot uint32) func([]byte, error) {
	call := &t.slots[slot]
	done := call.done
	*call = pendingCall{gen: call.gen + 1}
	t.free = append(t.free, slot)
	t.pending--
	return done
}

// endedCall is a call whose callback is due, outside of any lock.
type endedCall struct {
	done func([]byte, error)
	err  error
}

func (e endedCall) finish() { e.done(nil, e.err) }

// sent reports whether any part of the call may reach the other side.
func (c *pendingCall) sent(q *queue) bool {
	if c.large != nil {
		return c.large.sent > 0
	}
	return c.batch < q.batch
}

// delivered reports whether the whole call may reach the other side.
func (c *pendingCall) delivered(q *queue) bool {
	if c.large != nil {
		return c.large.sent == len(c.large.frame)
	}
	return c.batch < q.batch
}

// expire ends the calls whose deadline has passed. What was not sent yet is
// taken out of the queue, so that ErrNotSent is true.
func (t *callTable) expire(q *queue, tick uint64) (ended []endedCall) {
	if t.pending == 0 {
		return nil
	}
	for slot := range t.slots {
		call := &t.slots[slot]
		if call.done == nil || call.deadline > tick {
			continue
		}
		err := &callError{outcome: ErrUnknown, cause: "no answer in time"}
		if !call.sent(q) {
			err = &callError{outcome: ErrNotSent, cause: "the connection was not ready in time"}
			q.withdraw(call)
		}
		ended = append(ended, endedCall{t.takeSlot(uint32(slot)), err})
	}
	return ended
}

// withdraw makes a queued call's frame one that the receiver ignores.
func (q *queue) withdraw(call *pendingCall) {
	if call.large == nil {
		q.buf[call.kindAt] = byte(frameVoid)
		return
	}
	for i, l := range q.large {
		if l == call.large {
			q.large = append(q.large[:i], q.large[i+1:]...)
			q.bytes -= len(l.frame)
			return
		}
	}
}

// lose ends the calls that went into a broken connection and leaves those that
// are still to be sent.
func (t *callTable) lose(q *queue, cause error) (ended []endedCall) {
	for slot := range t.slots {
		call := &t.slots[slot]
		if call.done != nil && call.delivered(q) {
			ended = append(ended, endedCall{t.takeSlot(uint32(slot)), &callError{outcome: ErrUnknown, cause: cause.Error()}})
		}
	}
	return ended
}

// refuse ends all calls when nothing can be sent. Those that had been sent
// were ended by lose.
func (t *callTable) refuse(cause error) (ended []endedCall) {
	for slot := range t.slots {
		if t.slots[slot].done != nil {
			ended = append(ended, endedCall{t.takeSlot(uint32(slot)), &callError{outcome: ErrNotSent, cause: cause.Error()}})
		}
	}
	return ended
}

// The classes of error in a fault frame.
const (
	faultOther byte = 0 // message
	faultModel byte = 1 // model.ErrorKind, message, item
)

// appendFault encodes what a handler returned.
func appendFault(dst []byte, err error) []byte {
	var known *model.Error
	if errors.As(err, &known) {
		dst = append(dst, faultModel, byte(known.Kind))
		dst = model.AppendString(dst, known.Message)
		return model.AppendBytes(dst, known.Item)
	}
	return model.AppendString(append(dst, faultOther), err.Error())
}

// decodeFault is the error of a fault frame, as the caller sees it.
func decodeFault(d *model.Decoder) error {
	switch d.Byte() {
	case faultOther:
		err := &RemoteError{Message: d.String()}
		if d.Done() == nil {
			return err
		}
	case faultModel:
		err := &model.Error{Kind: model.ErrorKind(d.Byte()), Message: d.String()}
		if item := d.Bytes(); len(item) > 0 {
			err.Item = append([]byte(nil), item...)
		}
		if d.Done() == nil {
			return err
		}
	}
	return &RemoteError{Message: "the other node's error is malformed"}
}
