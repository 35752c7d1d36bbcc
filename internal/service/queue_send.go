package service

import (
	"context"
	"encoding/binary"

	"weir.dev/weir/internal/model"
)

// SendMessages adds messages to a queue: those that are sent, all at once.
// The results are in the order of the request. Errors: *QueueError,
// ErrNotFound, and the cluster's.
func (s *Service) SendMessages(ctx context.Context, req *SendRequest) ([]SentMessage, error) {
	sent := make([]SentMessage, len(req.Messages))
	var send model.Send
	good := make([]int, 0, len(req.Messages)) // the message of each entry
	call := queueCall{model.CmdSend, req.Invocation}
	res, err := s.onQueue(ctx, req.Queue, call, s.cluster.Propose, func(q *Queue, d *requestDigest) ([]byte, error) {
		if err := checkBatchSize(req); err != nil {
			return nil, err
		}
		send, good = model.Send{Settings: q.Spec.Settings()}, good[:0]
		size := 0
		for i := range req.Messages {
			m := &req.Messages[i]
			var entry model.SendEntry
			if entry, sent[i].Err = s.sendEntry(req, m, q); sent[i].Err != nil {
				continue
			}
			digestMessage(d, m, entry.Message.Body)
			send.Entries, good = append(send.Entries, entry), append(good, i)
			size += m.size() + sendOverheadBytes
		}
		if len(good) == 0 {
			return nil, nil
		}
		return send.Append(make([]byte, 0, size)), nil
	})
	if err != nil || len(good) == 0 {
		return sent, err
	}
	var ids model.SendResult
	if err := decodeResult(res, &ids); err != nil {
		return nil, err
	}
	if len(ids.Sent) != len(good) {
		return nil, errMiscounted
	}
	for k, i := range good {
		sent[i].ID = ids.Sent[k].ID
		if send.Settings.Fifo {
			sent[i].Sequence = SequenceNumber(ids.Sent[k].Seq)
		}
	}
	return sent, nil
}

// sendOverheadBytes is about what a message needs beside its body and
// attributes in a command.
const sendOverheadBytes = 128

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

// sendEntry is a message as the queue takes it.
func (s *Service) sendEntry(req *SendRequest, m *OutgoingMessage, q *Queue) (e model.SendEntry, err error) {
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
		Priority: x.priority, Attrs: m.Attributes, Body: []byte(m.Body),
	}}
	if x.atMs > s.clock.Now().UnixMilli() {
		e.DelayMs, e.AtMs = 0, x.atMs
	}
	return e, nil
}

// digestMessage adds what the client asked to send.
func digestMessage(d *requestDigest, m *OutgoingMessage, body []byte) {
	if d.h == nil {
		return
	}
	d.add(body)
	d.add([]byte(m.TraceHeader))
	d.add([]byte(m.Group))
	d.add([]byte(m.Dedup))
	d.number(int64(len(m.Attributes)))
	for i := range m.Attributes {
		a := &m.Attributes[i]
		d.add([]byte(a.Name))
		d.add([]byte(a.DataType))
		d.add([]byte(a.Value))
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
