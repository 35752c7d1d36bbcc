package load

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"
)

// appendPub appends a message that is to be answered at the inbox.
func (c *natsConn) appendPub(out, subject, payload []byte) []byte {
	out = append(append(append(out, "PUB "...), subject...), ' ')
	out = strconv.AppendInt(append(append(out, c.inbox...), ' '), int64(len(payload)), 10)
	return append(append(append(out, "\r\n"...), payload...), "\r\n"...)
}

// publishAll writes messages that stand ready in out and waits until n are
// acknowledged.
func (c *natsConn) publishAll(out []byte, n int) error {
	c.extendDeadline()
	if _, err := c.nc.Write(out); err != nil {
		return err
	}
	c.compact()
	for range n {
		_, answer, err := c.next()
		if err == nil && bytes.Contains(answer, natsError) {
			err = fmt.Errorf("nats publish: %.200q", answer)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

type natsBatchWork struct {
	*natsConn
	messages []byte // the batch, ready to be written
	acks     []byte
	ask      []byte
	batch    int
	lax      bool // do not wait for the acknowledgements to be confirmed
}

// WorkBatch publishes a batch, takes as many messages and acknowledges them:
// each confirmed, and none waiting for the one before.
func (n *NATS) WorkBatch(batch int) func(client int) (Client, error) {
	return n.workBatch(batch, false)
}

// WorkLax is WorkBatch that does not ask for acknowledgements to be confirmed:
// the message of one that is lost comes again.
func (n *NATS) WorkLax(batch int) func(client int) (Client, error) { return n.workBatch(batch, true) }

func (n *NATS) workBatch(batch int, lax bool) func(client int) (Client, error) {
	return func(client int) (Client, error) {
		c, err := n.open(client)
		if err != nil {
			return nil, err
		}
		w := &natsBatchWork{natsConn: c, batch: batch, lax: lax}
		value := Value(rand.New(rand.NewPCG(uint64(client), 3)))
		for range batch {
			w.messages = c.appendPub(w.messages, natsPublish, value)
		}
		w.ask = c.appendPub(nil, natsNext, fmt.Appendf(nil, `{"batch":%d,"expires":2000000000}`, batch))
		return w, nil
	}
}

func (w *natsBatchWork) Do() (int, error) {
	if err := w.publishAll(w.messages, w.batch); err != nil {
		return 0, err
	}
	for range maxEmpty {
		n, err := w.take()
		if err != nil || n > 0 {
			return n, err
		}
	}
	return 0, errNoMessage
}

// take asks for a batch and acknowledges what comes.
func (w *natsBatchWork) take() (int, error) {
	w.extendDeadline()
	if _, err := w.nc.Write(w.ask); err != nil {
		return 0, err
	}
	w.compact()
	w.acks = w.acks[:0]
	got := 0
	for got < w.batch {
		reply, _, err := w.next()
		if err != nil {
			return 0, err
		}
		if reply == nil {
			break // a status: no more came in time
		}
		if w.lax {
			w.acks = append(append(append(w.acks, "PUB "...), reply...), " 4\r\n+ACK\r\n"...)
		} else {
			w.acks = w.appendPub(w.acks, reply, natsAck)
		}
		got++
	}
	switch {
	case got == 0:
		return 0, nil
	case w.lax:
		_, err := w.nc.Write(w.acks)
		return got, err
	default:
		return got, w.publishAll(w.acks, got)
	}
}

// FillWork publishes to the work queue.
func (n *NATS) FillWork(q *Quota) func(client, clients int) (Client, error) {
	return func(client, _ int) (Client, error) {
		const batch = 100
		c, err := n.WorkBatch(batch)(client)
		if err != nil {
			return nil, err
		}
		w := c.(*natsBatchWork)
		return &quotaFiller{w, func() error { return w.publishAll(w.messages, batch) }, batch, q}, nil
	}
}

// CreateStreams makes that many streams for records.
func (n *NATS) CreateStreams(count, replicas int) error {
	for i := range count {
		err := n.createPatiently(fmt.Sprintf("STREAM.CREATE.S%d", i), fmt.Sprintf(
			`{"name":"S%d","subjects":["s.%d"],"retention":"limits","max_msgs":-1,"max_bytes":-1,"storage":"file","num_replicas":%d}`, i, i, replicas))
		if err != nil {
			return err
		}
	}
	return nil
}

type natsAppend struct {
	*natsConn
	messages []byte
	at       []int // of the stamps
	batch    int
}

// Append publishes batches of records to streams that CreateStreams made, the
// records of each batch spread over them, and waits for all acknowledgements.
func (n *NATS) Append(streams, batch int) func(client int) (Client, error) {
	return func(client int) (Client, error) {
		c, err := n.open(client)
		if err != nil {
			return nil, err
		}
		a := &natsAppend{natsConn: c, batch: batch}
		record := recordText(client)[:RecordBytes]
		for i := range batch {
			a.messages = c.appendPub(a.messages, fmt.Appendf(nil, "s.%d", (i+client)%streams), record)
			a.at = append(a.at, len(a.messages)-RecordBytes-2)
		}
		return a, nil
	}
}

func (a *natsAppend) Do() (int, error) {
	now := time.Now()
	for _, at := range a.at {
		putStamp(a.messages[at:], now)
	}
	return a.batch, a.publishAll(a.messages, a.batch)
}

type natsReader struct{ *natsConn }

// Subscribe makes a push consumer without acknowledgements for new records, as
// clients do for ordered consumers.
func (n *NATS) Subscribe(client, stream int) (Reader, error) {
	c, err := n.open(client)
	if err != nil {
		return nil, err
	}
	deliver := "d." + c.inbox
	name := "c" + strconv.FormatUint(rand.Uint64(), 36)
	if _, err := c.nc.Write([]byte("SUB " + deliver + " 2\r\n")); err != nil {
		return nil, joinClose(err, c.Close)
	}
	_, answer, err := c.request(fmt.Appendf(nil, "$JS.API.CONSUMER.CREATE.S%d.%s", stream, name), fmt.Appendf(nil,
		`{"stream_name":"S%d","config":{"name":"%s","deliver_subject":"%s","deliver_policy":"new","ack_policy":"none","max_deliver":1,"mem_storage":true,"num_replicas":1,"inactive_threshold":5000000000}}`,
		stream, name, deliver))
	if err == nil && bytes.Contains(answer, natsError) {
		err = fmt.Errorf("nats consumer: %.300q", answer)
	}
	if err != nil {
		return nil, joinClose(err, c.Close)
	}
	return natsReader{c}, nil
}

// Read reads one message and what else has come.
func (r natsReader) Read(on func([]byte)) error {
	r.extendDeadline()
	r.compact()
	for {
		_, record, err := r.next()
		if err != nil {
			return err
		}
		on(record)
		if r.r == r.w {
			return nil
		}
		if r.r > len(r.buf)/2 {
			return nil
		}
	}
}
