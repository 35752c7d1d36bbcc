package load

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"
)

// Redis speaks RESP to a Redis server, for its streams.
type Redis struct{ Addr string }

type redisConn struct {
	*Conn
	out []byte
}

func (r *Redis) open() (*redisConn, error) {
	conn, err := Dial(r.Addr)
	if err != nil {
		return nil, err
	}
	return &redisConn{Conn: conn}, nil
}

// command appends a command's text.
func command(out []byte, args ...string) []byte {
	out = fmt.Appendf(out, "*%d\r\n", len(args))
	for _, a := range args {
		out = bulk(out, a)
	}
	return out
}

func bulk[T string | []byte](out []byte, s T) []byte {
	out = strconv.AppendInt(append(out, '$'), int64(len(s)), 10)
	return append(append(append(out, "\r\n"...), s...), "\r\n"...)
}

func (c *redisConn) send(out []byte) error {
	c.extendDeadline()
	if _, err := c.nc.Write(out); err != nil {
		return err
	}
	c.w, c.r = copy(c.buf, c.buf[c.r:c.w]), 0
	return nil
}

// reply reads one reply and calls on for each bulk string, with how deep it is
// nested and which it is there; on may be nil.
func (c *redisConn) reply(depth, index int, on func(depth, index int, s []byte)) error {
	line, err := c.until([]byte("\r\n"))
	if err != nil {
		return err
	}
	switch line[0] {
	case '+', ':', '_':
		return nil
	case '$':
		n, err := strconv.Atoi(string(line[1 : len(line)-2]))
		if err != nil || n < 0 {
			return err
		}
		s, err := c.exactly(n + 2)
		if err == nil && on != nil {
			on(depth, index, s[:n])
		}
		return err
	case '*':
		n, err := strconv.Atoi(string(line[1 : len(line)-2]))
		for i := 0; i < n && err == nil; i++ {
			err = c.reply(depth+1, i, on)
		}
		return err
	default:
		return fmt.Errorf("redis: %s", bytes.TrimSpace(line))
	}
}

// Create makes the stream q and its consumer group.
func (r *Redis) Create() error {
	c, err := r.open()
	if err != nil {
		return err
	}
	if err = c.send(command(nil, "XGROUP", "CREATE", "q", "g", "$", "MKSTREAM")); err == nil {
		err = c.reply(0, 0, nil)
	}
	return joinClose(err, c.Close)
}

type redisWork struct {
	*redisConn
	messages, ask []byte
	ids           []byte // of what came, as bulk strings
	batch         int
}

// Work adds a batch of entries, takes as many through the consumer group,
// acknowledges and removes them.
func (r *Redis) Work(batch int) func(client int) (Client, error) {
	return func(client int) (Client, error) {
		c, err := r.open()
		if err != nil {
			return nil, err
		}
		w := &redisWork{redisConn: c, batch: batch}
		value := string(Value(rand.New(rand.NewPCG(uint64(client), 3))))
		for range batch {
			w.messages = command(w.messages, "XADD", "q", "*", "b", value)
		}
		w.ask = command(nil, "XREADGROUP", "GROUP", "g", "c"+strconv.Itoa(client), "COUNT", strconv.Itoa(batch), "BLOCK", "1000", "STREAMS", "q", ">")
		return w, nil
	}
}

func (w *redisWork) add() error {
	err := w.send(w.messages)
	for i := 0; i < w.batch && err == nil; i++ {
		err = w.reply(0, 0, nil)
	}
	return err
}

func (w *redisWork) Do() (int, error) {
	if err := w.add(); err != nil {
		return 0, err
	}
	for range maxEmpty {
		n := 0
		w.ids = w.ids[:0]
		// The answer is [[stream, [[id, [field, value]], ...]]].
		err := errors.Join(w.send(w.ask), w.reply(0, 0, func(depth, index int, s []byte) {
			if depth == 4 && index == 0 {
				w.ids = bulk(w.ids, s)
				n++
			}
		}))
		if err != nil {
			return 0, err
		}
		if n > 0 {
			return n, w.finish(n)
		}
	}
	return 0, errNoMessage
}

func (w *redisWork) finish(n int) error {
	w.out = fmt.Appendf(w.out[:0], "*%d\r\n$4\r\nXACK\r\n$1\r\nq\r\n$1\r\ng\r\n", n+3)
	w.out = append(w.out, w.ids...)
	w.out = fmt.Appendf(w.out, "*%d\r\n$4\r\nXDEL\r\n$1\r\nq\r\n", n+2)
	w.out = append(w.out, w.ids...)
	if err := w.send(w.out); err != nil {
		return err
	}
	return errors.Join(w.reply(0, 0, nil), w.reply(0, 0, nil))
}

// FillWork adds entries.
func (r *Redis) FillWork(q *Quota) func(client, clients int) (Client, error) {
	return func(client, _ int) (Client, error) {
		const batch = 100
		c, err := r.Work(batch)(client)
		if err != nil {
			return nil, err
		}
		return &quotaFiller{c, c.(*redisWork).add, batch, q}, nil
	}
}

type redisAppend struct {
	*redisConn
	messages []byte
	at       []int
	batch    int
}

// Append adds batches of records to the stream s.
func (r *Redis) Append(batch int) func(client int) (Client, error) {
	return func(client int) (Client, error) {
		c, err := r.open()
		if err != nil {
			return nil, err
		}
		a := &redisAppend{redisConn: c, batch: batch}
		record := string(recordText(client)[:RecordBytes])
		for range batch {
			a.messages = command(a.messages, "XADD", "s", "*", "b", record)
			a.at = append(a.at, len(a.messages)-RecordBytes-2)
		}
		return a, nil
	}
}

func (a *redisAppend) Do() (int, error) {
	now := time.Now()
	for _, at := range a.at {
		putStamp(a.messages[at:], now)
	}
	err := a.send(a.messages)
	for i := 0; i < a.batch && err == nil; i++ {
		err = a.reply(0, 0, nil)
	}
	return a.batch, err
}

type redisReader struct {
	*redisConn
	last string
}

// Subscribe reads the stream s with XREAD as new entries come.
func (r *Redis) Subscribe() (Reader, error) {
	c, err := r.open()
	if err != nil {
		return nil, err
	}
	return &redisReader{c, "$"}, nil
}

func (r *redisReader) Read(on func([]byte)) error {
	r.out = command(r.out[:0], "XREAD", "COUNT", "2000", "BLOCK", "2000", "STREAMS", "s", r.last)
	var last []byte
	err := errors.Join(r.send(r.out), r.reply(0, 0, func(depth, index int, s []byte) {
		switch {
		case depth == 4 && index == 0:
			last = append(last[:0], s...)
		case depth == 5 && index == 1:
			on(s)
		}
	}))
	if last != nil {
		r.last = string(last)
	}
	return err
}
