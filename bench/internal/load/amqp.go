package load

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
)

// Rabbit speaks AMQP 0-9-1, as much of it as a work queue needs.
type Rabbit struct{ Addrs []string }

// The methods, as class and method, and the ends of AMQP's frames.
const (
	amqpStart     = 10<<16 | 10
	amqpStartOk   = 10<<16 | 11
	amqpTune      = 10<<16 | 30
	amqpTuneOk    = 10<<16 | 31
	amqpOpen      = 10<<16 | 40
	amqpOpenOk    = 10<<16 | 41
	amqpChannel   = 20<<16 | 10
	amqpChannelOk = 20<<16 | 11
	amqpDeclare   = 50<<16 | 10
	amqpDeclareOk = 50<<16 | 11
	amqpQos       = 60<<16 | 10
	amqpQosOk     = 60<<16 | 11
	amqpConsume   = 60<<16 | 20
	amqpConsumeOk = 60<<16 | 21
	amqpPublish   = 60<<16 | 40
	amqpDeliver   = 60<<16 | 60
	amqpAck       = 60<<16 | 80
	amqpConfirm   = 85<<16 | 10
	amqpConfirmOk = 85<<16 | 11

	amqpMethod, amqpHeader, amqpBody = 1, 2, 3
	amqpFrameEnd                     = 0xce
)

type amqpConn struct {
	*Conn
	published, confirmed uint64 // delivery tags of what was sent
	delivered, taken     uint64 // of what came
}

// appendFrame appends a frame whose payload fill appends.
func appendFrame(out []byte, kind byte, channel uint16, fill func([]byte) []byte) []byte {
	out = binary.BigEndian.AppendUint16(append(out, kind), channel)
	at := len(out)
	out = fill(append(out, 0, 0, 0, 0))
	binary.BigEndian.PutUint32(out[at:], uint32(len(out)-at-4))
	return append(out, amqpFrameEnd)
}

func appendMethod(out []byte, channel uint16, method uint32, args ...any) []byte {
	return appendFrame(out, amqpMethod, channel, func(b []byte) []byte {
		b = binary.BigEndian.AppendUint32(b, method)
		for _, a := range args {
			switch v := a.(type) {
			case byte:
				b = append(b, v)
			case uint16:
				b = binary.BigEndian.AppendUint16(b, v)
			case uint32:
				b = binary.BigEndian.AppendUint32(b, v)
			case uint64:
				b = binary.BigEndian.AppendUint64(b, v)
			case string:
				b = append(append(b, byte(len(v))), v...)
			case []byte: // a long string or a table
				b = append(binary.BigEndian.AppendUint32(b, uint32(len(v))), v...)
			}
		}
		return b
	})
}

// frame reads one frame; the payload is good until the next call of send.
func (c *amqpConn) frame() (kind byte, payload []byte, err error) {
	if c.r > len(c.buf)/2 {
		c.w, c.r = copy(c.buf, c.buf[c.r:c.w]), 0
	}
	head, err := c.exactly(7)
	if err != nil {
		return 0, nil, err
	}
	kind, size := head[0], int(binary.BigEndian.Uint32(head[3:]))
	payload, err = c.exactly(size + 1)
	if err != nil {
		return 0, nil, err
	}
	return kind, payload[:size], nil
}

// method reads the next method, past the headers and bodies of messages.
func (c *amqpConn) method() (method uint32, args []byte, err error) {
	for {
		kind, payload, err := c.frame()
		if err != nil {
			return 0, nil, err
		}
		if kind == amqpMethod {
			return binary.BigEndian.Uint32(payload), payload[4:], nil
		}
	}
}

// call sends a method and waits for the answer wanted.
func (c *amqpConn) call(want uint32, out []byte) ([]byte, error) {
	c.extendDeadline()
	if _, err := c.nc.Write(out); err != nil {
		return nil, err
	}
	got, args, err := c.method()
	if err == nil && got != want {
		err = fmt.Errorf("amqp: %d.%d instead of %d.%d: %.200q", got>>16, got&0xffff, want>>16, want&0xffff, args)
	}
	return args, err
}

func (r *Rabbit) open(client int) (*amqpConn, error) {
	conn, err := Dial(r.Addrs[client%len(r.Addrs)])
	if err != nil {
		return nil, err
	}
	c := &amqpConn{Conn: conn}
	if err := c.greet(); err != nil {
		return nil, joinClose(err, conn.Close)
	}
	return c, nil
}

func (c *amqpConn) greet() error {
	if _, err := c.call(amqpStart, []byte("AMQP\x00\x00\x09\x01")); err != nil {
		return err
	}
	tune, err := c.call(amqpTune, appendMethod(nil, 0, amqpStartOk, []byte{}, "PLAIN", []byte("\x00guest\x00guest"), "en_US"))
	if err != nil {
		return err
	}
	out := appendMethod(nil, 0, amqpTuneOk, binary.BigEndian.Uint16(tune), binary.BigEndian.Uint32(tune[2:]), uint16(0))
	if _, err := c.call(amqpOpenOk, appendMethod(out, 0, amqpOpen, "/", "", byte(0))); err != nil {
		return err
	}
	_, err = c.call(amqpChannelOk, appendMethod(nil, 1, amqpChannel, ""))
	return err
}

// Declare makes the quorum queue q with a replica on every node.
func (r *Rabbit) Declare() error {
	c, err := r.open(0)
	if err != nil {
		return err
	}
	const durable = 2
	quorum := append([]byte("\x0cx-queue-typeS\x00\x00\x00\x06"), "quorum"...)
	_, err = c.call(amqpDeclareOk, appendMethod(nil, 1, amqpDeclare, uint16(0), "q", byte(durable), quorum))
	return joinClose(err, c.Close)
}

type amqpWork struct {
	*amqpConn
	messages []byte
	batch    uint64
}

// Work publishes a batch, waits for its confirms, and acknowledges as many
// messages of those that are pushed to its consumer. RabbitMQ does not confirm
// acknowledgements.
func (r *Rabbit) Work(batch int) func(client int) (Client, error) {
	return func(client int) (Client, error) {
		w, err := r.publisher(client, batch)
		if err != nil {
			return nil, err
		}
		_, err = w.call(amqpQosOk, appendMethod(nil, 1, amqpQos, uint32(0), uint16(batch), byte(0)))
		if err == nil {
			_, err = w.call(amqpConsumeOk, appendMethod(nil, 1, amqpConsume, uint16(0), "q", "", byte(0), []byte{}))
		}
		if err != nil {
			return nil, joinClose(err, w.Close)
		}
		return w, nil
	}
}

func (r *Rabbit) publisher(client, batch int) (*amqpWork, error) {
	c, err := r.open(client)
	if err != nil {
		return nil, err
	}
	if _, err := c.call(amqpConfirmOk, appendMethod(nil, 1, amqpConfirm, byte(0))); err != nil {
		return nil, joinClose(err, c.Close)
	}
	w := &amqpWork{amqpConn: c, batch: uint64(batch)}
	value := Value(rand.New(rand.NewPCG(uint64(client), 3)))
	for range batch {
		w.messages = appendMessage(w.messages, value)
	}
	return w, nil
}

// appendMessage appends the publishing of a persistent message to q.
func appendMessage(out, value []byte) []byte {
	out = appendMethod(out, 1, amqpPublish, uint16(0), "", "q", byte(0))
	out = appendFrame(out, amqpHeader, 1, func(b []byte) []byte {
		b = binary.BigEndian.AppendUint32(b, 60<<16)
		b = binary.BigEndian.AppendUint64(b, uint64(len(value)))
		return append(b, 0x10, 0, 2) // delivery mode 2: persistent
	})
	return appendFrame(out, amqpBody, 1, func(b []byte) []byte { return append(b, value...) })
}

// publish sends a batch and waits for the confirms.
func (w *amqpWork) publish() error {
	w.extendDeadline()
	if _, err := w.nc.Write(w.messages); err != nil {
		return err
	}
	w.published += w.batch
	return w.until(func() bool { return w.confirmed >= w.published })
}

// until reads what comes, confirms and deliveries, until ready. Confirms may
// come out of order; that all have come is what their count says.
func (w *amqpWork) until(ready func() bool) error {
	for !ready() {
		method, args, err := w.method()
		switch {
		case err != nil:
			return err
		case method == amqpAck:
			if tag := binary.BigEndian.Uint64(args); args[8]&1 != 0 {
				w.confirmed = max(w.confirmed, tag)
			} else {
				w.confirmed++
			}
		case method == amqpDeliver:
			w.delivered++
		default:
			return fmt.Errorf("amqp: %d.%d: %.200q", method>>16, method&0xffff, args)
		}
	}
	return nil
}

func (w *amqpWork) Do() (int, error) {
	if err := w.publish(); err != nil {
		return 0, err
	}
	if err := w.until(func() bool { return w.delivered >= w.taken+w.batch }); err != nil {
		return 0, err
	}
	w.taken += w.batch
	const multiple = 1
	_, err := w.nc.Write(appendMethod(nil, 1, amqpAck, w.taken, byte(multiple)))
	return int(w.batch), err
}

// FillWork publishes to the queue.
func (r *Rabbit) FillWork(q *Quota) func(client, clients int) (Client, error) {
	return func(client, _ int) (Client, error) {
		const batch = 100
		w, err := r.publisher(client, batch)
		if err != nil {
			return nil, err
		}
		return &quotaFiller{w, w.publish, batch, q}, nil
	}
}
