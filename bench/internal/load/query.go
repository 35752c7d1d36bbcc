package load

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// Query speaks SQS's older Query protocol, unsigned, to emulators that know
// only that.
type Query struct{ Addr string }

type queryCycle struct {
	conn         *Conn
	head         []byte
	send, ask    []byte
	out, form    []byte
	url          string // encoded
	batch        int
	handles      [][]byte
	open, closed []byte
}

func (q *Query) dial(path string) (*queryCycle, error) {
	conn, err := Dial(q.Addr)
	if err != nil {
		return nil, err
	}
	return &queryCycle{
		conn: conn, open: []byte("<ReceiptHandle>"), closed: []byte("</ReceiptHandle>"),
		head: []byte("POST " + path + " HTTP/1.1\r\nHost: " + q.Addr + "\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: "),
	}, nil
}

func (c *queryCycle) call(form []byte) ([]byte, error) {
	c.out = strconv.AppendInt(append(c.out[:0], c.head...), int64(len(form)), 10)
	c.out = append(append(c.out, "\r\n\r\n"...), form...)
	status, answer, err := c.conn.Call(c.out)
	if err == nil && (status != 200 || bytes.Contains(answer, []byte("<Error>"))) {
		err = fmt.Errorf("%.40s: status %d: %.200s", form, status, answer)
	}
	return answer, err
}

// CreateQueue makes a standard queue and returns its URL and the URL's path.
func (q *Query) CreateQueue(name string) (url, path string, err error) {
	c, err := q.dial("/")
	if err != nil {
		return "", "", err
	}
	answer, err := c.call([]byte("Action=CreateQueue&Version=2012-11-05&QueueName=" + name))
	if err != nil {
		return "", "", joinClose(err, c.conn.Close)
	}
	_, rest, _ := bytes.Cut(answer, []byte("<QueueUrl>"))
	at, _, ok := bytes.Cut(rest, []byte("</QueueUrl>"))
	_, host, ok2 := bytes.Cut(at, []byte("://"))
	slash := bytes.IndexByte(host, '/')
	if !ok || !ok2 || slash < 0 {
		err = fmt.Errorf("CreateQueue: no URL in %.200s", answer)
		slash = len(host)
	}
	return string(at), string(host[slash:]), joinClose(err, c.conn.Close)
}

// Queue is AWS.Queue by this protocol. post is where requests are posted to:
// the URL's path, or "/" for emulators that go by the QueueUrl.
func (q *Query) Queue(url, post string, batch int) func(client int) (Client, error) {
	return func(client int) (Client, error) {
		c, err := q.dial(post)
		if err != nil {
			return nil, err
		}
		c.batch = batch
		c.url = "&Version=2012-11-05&QueueUrl=" + escape(url)
		c.ask = fmt.Appendf(nil, "Action=ReceiveMessage%s&MaxNumberOfMessages=%d&WaitTimeSeconds=1", c.url, batch)
		value := Value(rand.New(rand.NewPCG(uint64(client), 3)))
		if batch == 1 {
			c.send = fmt.Appendf(nil, "Action=SendMessage%s&MessageBody=%s", c.url, value)
			return c, nil
		}
		c.send = append(append(c.send, "Action=SendMessageBatch"...), c.url...)
		for i := 1; i <= batch; i++ {
			c.send = fmt.Appendf(c.send, "&SendMessageBatchRequestEntry.%d.Id=e%d&SendMessageBatchRequestEntry.%d.MessageBody=%s", i, i, i, value)
		}
		return c, nil
	}
}

func escape(s string) string {
	return strings.NewReplacer("%", "%25", "&", "%26", "+", "%2B", "#", "%23", "/", "%2F", ":", "%3A", "=", "%3D", " ", "%20").Replace(s)
}

func (c *queryCycle) Close() error { return c.conn.Close() }

func (c *queryCycle) Do() (int, error) {
	if _, err := c.call(c.send); err != nil {
		return 0, err
	}
	done := 0
	for empty := 0; done < c.batch && empty < maxEmpty; {
		answer, err := c.call(c.ask)
		if err != nil {
			return done, err
		}
		n := c.takeHandles(answer)
		if n == 0 {
			if empty++; done > 0 {
				return done, nil
			}
			continue
		}
		if _, err := c.call(c.removal()); err != nil {
			return done, err
		}
		done += n
	}
	if done == 0 {
		return 0, errNoMessage
	}
	return done, nil
}

func (c *queryCycle) takeHandles(answer []byte) int {
	c.handles = c.handles[:0]
	for {
		_, rest, ok := bytes.Cut(answer, c.open)
		if !ok {
			return len(c.handles)
		}
		h, rest, _ := bytes.Cut(rest, c.closed)
		c.handles, answer = append(c.handles, h), rest
	}
}

func (c *queryCycle) removal() []byte {
	if c.batch == 1 {
		c.form = fmt.Appendf(c.form[:0], "Action=DeleteMessage%s&ReceiptHandle=%s", c.url, escape(string(c.handles[0])))
		return c.form
	}
	c.form = append(append(c.form[:0], "Action=DeleteMessageBatch"...), c.url...)
	for i, h := range c.handles {
		c.form = fmt.Appendf(c.form, "&DeleteMessageBatchRequestEntry.%d.Id=e%d&DeleteMessageBatchRequestEntry.%d.ReceiptHandle=%s", i+1, i+1, i+1, escape(string(h)))
	}
	return c.form
}
