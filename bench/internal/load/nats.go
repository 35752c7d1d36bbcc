package load

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"
)

// NATS speaks the NATS client protocol, which is lines of text, itself: the
// usual client library costs several goroutine switches per request.
type NATS struct{ Addrs []string }

// natsConn is a connection with one inbox; every request is answered there.
type natsConn struct {
	*Conn
	inbox string
	out   []byte
}

func (n *NATS) open(client int) (*natsConn, error) {
	conn, err := Dial(n.Addrs[client%len(n.Addrs)])
	if err != nil {
		return nil, err
	}
	c := &natsConn{Conn: conn, inbox: "_INBOX." + strconv.FormatUint(rand.Uint64(), 36)}
	c.extendDeadline()
	if _, err := c.until([]byte("\r\n")); err != nil { // INFO
		return nil, joinClose(err, conn.Close)
	}
	hello := `CONNECT {"verbose":false,"pedantic":false,"lang":"bench","version":"1","protocol":1,"headers":true,"no_responders":true}` +
		"\r\nSUB " + c.inbox + " 1\r\nPING\r\n"
	if _, err := conn.nc.Write([]byte(hello)); err != nil {
		return nil, joinClose(err, conn.Close)
	}
	for {
		line, err := c.until([]byte("\r\n"))
		switch {
		case err != nil:
			return nil, joinClose(err, conn.Close)
		case bytes.HasPrefix(line, []byte("PONG")):
			return c, nil
		case bytes.HasPrefix(line, []byte("-ERR")):
			return nil, joinClose(fmt.Errorf("nats: %s", line), conn.Close)
		}
	}
}

// request publishes and returns the subject to reply to and the payload of the
// answer, with headers in front if it has any.
func (c *natsConn) request(subject, payload []byte) (reply, answer []byte, err error) {
	c.out = append(append(append(c.out[:0], "PUB "...), subject...), ' ')
	c.out = strconv.AppendInt(append(append(c.out, c.inbox...), ' '), int64(len(payload)), 10)
	c.out = append(append(append(c.out, "\r\n"...), payload...), "\r\n"...)
	c.extendDeadline()
	if _, err := c.nc.Write(c.out); err != nil {
		return nil, nil, err
	}
	c.compact()
	return c.next()
}

// next returns the next message.
func (c *natsConn) next() (reply, answer []byte, err error) {
	for {
		line, err := c.until([]byte("\r\n"))
		if err != nil {
			return nil, nil, err
		}
		switch {
		case bytes.HasPrefix(line, []byte("MSG ")), bytes.HasPrefix(line, []byte("HMSG ")):
			return c.message(line)
		case bytes.HasPrefix(line, []byte("PING")):
			if _, err := c.nc.Write([]byte("PONG\r\n")); err != nil {
				return nil, nil, err
			}
		case bytes.HasPrefix(line, []byte("-ERR")):
			return nil, nil, fmt.Errorf("nats: %s", bytes.TrimSpace(line))
		}
	}
}

// compact moves what is unread to the buffer's begin.
func (c *natsConn) compact() { c.w, c.r = copy(c.buf, c.buf[c.r:c.w]), 0 }

// message reads the payload of MSG subject sid [reply] size, or of HMSG with
// the size of the headers before the whole size.
func (c *natsConn) message(line []byte) (reply, answer []byte, err error) {
	line = bytes.TrimSpace(line)
	last := bytes.LastIndexByte(line, ' ')
	size := 0
	for _, d := range line[last+1:] {
		if d < '0' || d > '9' {
			return nil, nil, fmt.Errorf("nats: a bad size: %q", line)
		}
		size = size*10 + int(d-'0')
	}
	plain := 3 // spaces
	if line[0] == 'H' {
		plain, last = 4, bytes.LastIndexByte(line[:last], ' ')
	}
	if bytes.Count(line, []byte{' '}) > plain {
		reply = line[bytes.LastIndexByte(line[:last], ' ')+1 : last]
	}
	answer, err = c.exactly(size + 2)
	if err != nil {
		return nil, nil, err
	}
	return reply, answer[:size], nil
}

// apiCall makes a JetStream API call, for setting up.
func (n *NATS) apiCall(subject, body string) error {
	c, err := n.open(0)
	if err != nil {
		return err
	}
	_, answer, err := c.request([]byte("$JS.API."+subject), []byte(body))
	if err == nil && bytes.Contains(answer, []byte(`"error"`)) {
		err = fmt.Errorf("nats %s: %.300s", subject, answer)
	}
	return joinClose(err, c.Close)
}

// CreateKV makes the stream that a KV bucket named bench is.
func (n *NATS) CreateKV(replicas int) error {
	return n.createPatiently("STREAM.CREATE.KV_bench", fmt.Sprintf(`{"name":"KV_bench","subjects":["$KV.bench.>"],"retention":"limits",`+
		`"max_msgs_per_subject":1,"max_msgs":-1,"max_bytes":-1,"discard":"new","storage":"file","num_replicas":%d,"allow_rollup_hdrs":true,"deny_delete":true,"allow_direct":false}`, replicas))
}

// CreateWork makes a work queue and its pull consumer.
func (n *NATS) CreateWork(replicas int) error {
	err := n.createPatiently("STREAM.CREATE.W", fmt.Sprintf(`{"name":"W","subjects":["w"],"retention":"workqueue","max_msgs":-1,"max_bytes":-1,"storage":"file","num_replicas":%d}`, replicas))
	if err != nil {
		return err
	}
	return n.createPatiently("CONSUMER.DURABLE.CREATE.W.c", `{"stream_name":"W","config":{"durable_name":"c","ack_policy":"explicit","ack_wait":30000000000,"max_ack_pending":-1,"deliver_policy":"all"}}`)
}

// createPatiently tries again while the cluster is still choosing its leaders.
func (n *NATS) createPatiently(subject, body string) error {
	var err error
	if !waitFor(func() bool { err = n.apiCall(subject, body); return err == nil }, 20*time.Second) {
		return err
	}
	return nil
}

type natsKV struct {
	*natsConn
	rng     *rand.Rand
	value   []byte // nil: get
	subject []byte
	payload []byte
}

// Put puts a value under a random key and waits for the acknowledgement.
func (n *NATS) Put(client int) (Client, error) {
	return n.kv(client, Value(rand.New(rand.NewPCG(uint64(client), 1))))
}

// Get gets a random key's last value from the stream's leader.
func (n *NATS) Get(client int) (Client, error) { return n.kv(client, nil) }

func (n *NATS) kv(client int, value []byte) (Client, error) {
	c, err := n.open(client)
	if err != nil {
		return nil, err
	}
	return &natsKV{natsConn: c, rng: rand.New(rand.NewPCG(uint64(client), rand.Uint64())), value: value}, nil
}

var natsError = []byte(`"error"`)

func (k *natsKV) Do() (int, error) { return 1, k.one(k.rng.Uint64N(Keys)) }

func (k *natsKV) one(key uint64) error {
	want := []byte(`"seq"`)
	if k.value != nil {
		k.subject = appendKey(append(k.subject[:0], "$KV.bench."...), key)
		k.payload = append(k.payload[:0], k.value...)
	} else {
		k.subject = append(k.subject[:0], "$JS.API.STREAM.MSG.GET.KV_bench"...)
		k.payload = append(appendKey(append(k.payload[:0], `{"last_by_subj":"$KV.bench.`...), key), `"}`...)
	}
	_, answer, err := k.request(k.subject, k.payload)
	if err == nil && (bytes.Contains(answer, natsError) || !bytes.Contains(answer, want)) {
		err = fmt.Errorf("nats: %.200q", answer)
	}
	return err
}

type natsFiller struct {
	natsKV
	next, step uint64
}

// Fill puts every key once.
func (n *NATS) Fill(client, clients int) (Client, error) {
	c, err := n.Put(client)
	if err != nil {
		return nil, err
	}
	return &natsFiller{*c.(*natsKV), uint64(client), uint64(clients)}, nil
}

func (f *natsFiller) Do() (int, error) {
	if f.next >= Keys {
		return 0, ErrDone
	}
	f.next += f.step
	return 1, f.one(f.next - f.step)
}

type natsWork struct {
	*natsConn
	value []byte
}

// Work publishes a message, takes one, and acknowledges it, each confirmed.
func (n *NATS) Work(client int) (Client, error) {
	c, err := n.open(client)
	if err != nil {
		return nil, err
	}
	return &natsWork{c, Value(rand.New(rand.NewPCG(uint64(client), 3)))}, nil
}

var (
	natsPublish = []byte("w")
	natsNext    = []byte("$JS.API.CONSUMER.MSG.NEXT.W.c")
	natsExpires = []byte(`{"batch":1,"expires":2000000000}`)
	natsAck     = []byte("+ACK")
)

func (w *natsWork) Do() (int, error) {
	_, answer, err := w.request(natsPublish, w.value)
	if err != nil {
		return 0, err
	}
	if bytes.Contains(answer, natsError) {
		return 0, fmt.Errorf("nats publish: %.200q", answer)
	}
	for range maxEmpty {
		reply, _, err := w.request(natsNext, natsExpires)
		if err != nil {
			return 0, err
		}
		if reply == nil {
			continue // a status: nothing came in time
		}
		_, _, err = w.request(reply, natsAck)
		return 1, err
	}
	return 0, errNoMessage
}
