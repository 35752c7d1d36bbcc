package service

import (
	"context"
	"encoding/binary"
	"slices"

	"weir.dev/weir/internal/model"
)

// SendMessages adds messages to a queue. The results are in the order of the
// request. Errors: *QueueError, ErrNotFound, and the cluster's; then some of the
// messages may have been added, and a retry of the call adds the others.
func (s *Service) SendMessages(ctx context.Context, req *SendRequest) (sent []SentMessage, err error) {
	if err := checkBatchSize(req); err != nil {
		return nil, err
	}
	err = s.onQueue(ctx, req.Queue, func(q *Queue) error {
		if err := s.spend(q, sendCalls, len(req.Messages)); err != nil {
			return err
		}
		sent = make([]SentMessage, len(req.Messages))
		d := newRequestDigest(queueCall{model.CmdSend, req.Invocation}, q.ID)
		parts := s.sendParts(req, q, sent, &d)
		call := d.sum(s)
		for i := range parts {
			if err := s.sendPart(ctx, q, req, call, &parts[i], sent); err != nil {
				return err
			}
		}
		return nil
	})
	return sent, err
}

// sendPart is what one command sends: the messages whose groups are in a slot,
// or those that may go to any.
type sendPart struct {
	at   int // which of the queue's slots; anySlot: any
	send model.Send
	good []int // the message of each entry
	size int   // about the command's, in bytes
}

const anySlot = -1

// sendParts makes parts of the messages that are good, and says of the others
// why they are not.
func (s *Service) sendParts(req *SendRequest, q *Queue, sent []SentMessage, d *requestDigest) []sendPart {
	parts := make([]sendPart, 0, 1)
	size := 0
	for i := range req.Messages {
		size += len(req.Messages[i].Body)
	}
	bodies := make([]byte, 0, size) // in one piece of memory
	for i := range req.Messages {
		m := &req.Messages[i]
		bodies = append(bodies, m.Body...)
		entry, err := s.sendEntry(req, m, q, bodies[len(bodies)-len(m.Body):len(bodies):len(bodies)])
		if err != nil {
			sent[i].Err = err
			continue
		}
		digestMessage(d, m)
		at := anySlot
		if len(q.slots) == 1 {
			at = 0
		} else if m.Group != "" {
			at = slices.Index(q.slots, model.GroupSlot(q.slots, m.Group))
		}
		k := slices.IndexFunc(parts, func(p sendPart) bool { return p.at == at })
		if k < 0 {
			k = len(parts)
			p := sendPart{at: at, send: model.Send{Settings: q.Spec.Settings()}}
			if k == 0 { // most requests have one part
				p.send.Entries, p.good = make([]model.SendEntry, 0, len(req.Messages)), make([]int, 0, len(req.Messages))
			}
			parts = append(parts, p)
		}
		p := &parts[k]
		p.send.Entries, p.good, p.size = append(p.send.Entries, entry), append(p.good, i), p.size+m.size()+len(m.Group)+len(entry.Message.Dedup)+sendOverheadBytes
	}
	return parts
}

// sendPart sends one part and notes what became of its messages.
func (s *Service) sendPart(ctx context.Context, q *Queue, req *SendRequest, call callID, p *sendPart, sent []SentMessage) error {
	var res model.SendResult
	var err error
	body := p.send.Append(make([]byte, 0, p.size))
	if p.at == anySlot {
		res, err = s.sendAnywhere(ctx, q, req, call, p, body)
	} else {
		res, err = s.sendTo(ctx, q, p.at, call.at(q.slots[p.at], groupedPart), body)
	}
	if err != nil {
		return err
	}
	if len(res.Sent) != len(p.good) {
		return errMiscounted
	}
	for k, i := range p.good {
		sent[i].ID = res.Sent[k].ID
		if q.Spec.Fifo {
			sent[i].Sequence = SequenceNumber(res.Sent[k].Seq)
		}
	}
	return nil
}

// The parts of a request that may meet in one slot.
const (
	freePart    byte = 0
	groupedPart byte = 1
)

// sendAnywhere sends messages to one of the queue's slots.
//
// A retry must not send them again to another slot, and it may come to another
// node, which does not know where the first try went. So the first try alone may
// choose a slot. A retry goes to the call's home slot, and before that it sends
// nothing, under the call's id, to every other slot: whichever of the two comes
// first to a slot, the first try's messages or nothing, is what the other is
// answered there. If it is the messages, they are sent and the retry has their
// ids. If it is nothing in all of them, the first try can send no more, there or
// anywhere, and if it is still under way goes home, too, where the two are one
// command.
func (s *Service) sendAnywhere(ctx context.Context, q *Queue, req *SendRequest, call callID, p *sendPart, body []byte) (model.SendResult, error) {
	home := call.home(len(q.slots))
	id := func(at int) model.RequestID { return call.at(q.slots[at], freePart) }
	if req.First || req.Invocation.IsZero() {
		at := s.sendSlot(q)
		q.traffic.under[at].Add(1)
		res, err := s.sendTo(ctx, q, at, id(at), body)
		q.traffic.under[at].Add(-1)
		if err != nil || len(res.Sent) > 0 || at == home {
			return res, err
		}
		return s.sendTo(ctx, q, home, id(home), body) // a retry was faster
	}
	nothing := (&model.Send{Settings: p.send.Settings}).Append(nil)
	for at := range q.slots {
		if at == home {
			continue
		}
		if res, err := s.sendTo(ctx, q, at, id(at), nothing); err != nil || len(res.Sent) > 0 {
			return res, err
		}
	}
	return s.sendTo(ctx, q, home, id(home), body)
}

func (s *Service) sendTo(ctx context.Context, q *Queue, at int, id model.RequestID, body []byte) (sent model.SendResult, err error) {
	res, err := s.propose(ctx, q, at, model.CmdSend, id, body)
	if err != nil {
		return sent, err
	}
	return sent, decodeResult(res, &sent)
}

// sendOverheadBytes is about what a message needs in a command beside what a
// client gives.
const sendOverheadBytes = 64

// maxBatchBytes is SQS's limit on the messages of one batch together.
const maxBatchBytes = 1 << 20

func checkBatchSize(req *SendRequest) error {
	if !req.Batch {
		return nil
	}
	size := 0
	for i := range req.Messages {
		size += req.Messages[i].size()
	}
	if size > maxBatchBytes {
		return queueFault(FaultBatchTooLong, "Batch requests cannot be longer than %d bytes. You have sent %d bytes.", maxBatchBytes, size)
	}
	return nil
}

// sendEntry is a message as the queue takes it. body is a copy of the message's.
func (s *Service) sendEntry(req *SendRequest, m *OutgoingMessage, q *Queue, body []byte) (e model.SendEntry, err error) {
	if err := m.check(q.Spec); err != nil {
		return e, err
	}
	x, err := m.extensions(q.Spec)
	if err != nil {
		return e, err
	}
	delay := q.Spec.DelaySeconds
	if m.Delay != nil && !q.Spec.Fifo {
		delay = *m.Delay
	}
	e = model.SendEntry{DelayMs: delay * 1000, Message: model.Message{
		ID: s.newMessageID(), Sender: req.Sender, Trace: m.TraceHeader, Group: m.Group, Dedup: m.dedupID(q.Spec),
		Priority: x.priority, Attrs: m.Attributes, Body: body,
	}}
	if x.atMs > s.clock.Now().UnixMilli() {
		e.DelayMs, e.AtMs = 0, x.atMs
	}
	return e, nil
}

// digestMessage adds what the client asked to send.
func digestMessage(d *requestDigest, m *OutgoingMessage) {
	addTo(d, m.Body)
	addTo(d, m.TraceHeader)
	addTo(d, m.Group)
	addTo(d, m.Dedup)
	d.number(int64(len(m.Attributes)))
	for i := range m.Attributes {
		a := &m.Attributes[i]
		addTo(d, a.Name)
		addTo(d, a.DataType)
		addTo(d, a.Value)
	}
	if m.Delay != nil {
		d.number(*m.Delay)
	}
}

// newMessageID returns a random UUID of version 4.
func (s *Service) newMessageID() (id model.MessageID) {
	binary.BigEndian.PutUint64(id[:8], s.rand.Uint64())
	binary.BigEndian.PutUint64(id[8:], s.rand.Uint64())
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id
}
