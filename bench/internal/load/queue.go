package load

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// MaxBatch is the largest batch of the SQS API.
const MaxBatch = 10

// cycle sends a batch of messages, receives as many as come, and deletes them.
type cycle struct {
	conn                  *Conn
	send, receive, remove *request
	sendBody, receiveBody []byte
	url                   string
	batch                 int
	body                  []byte
	handles               [][]byte
	groups                *groups // nil: a standard queue
	extra                 string  // more members of every message that is sent
}

var receiptMark = []byte(`"ReceiptHandle":"`)

// maxEmpty is how many empty answers a client takes before it calls it an
// error; every receive may wait a second for a message.
const maxEmpty = 10

var errNoMessage = errors.New("sent messages, but received none")

// Queue sends, receives and deletes; a unit is a message that went all the way.
func (a *AWS) Queue(url string, batch int) func(client int) (Client, error) {
	return a.queue(url, batch, 0)
}

// QueueFIFO is Queue for a FIFO queue: every client sends to that many message
// groups of its own in turn.
func (a *AWS) QueueFIFO(url string, batch, groups int) func(client int) (Client, error) {
	return a.queue(url, batch, groups)
}

func (a *AWS) queue(url string, batch, groups int) func(client int) (Client, error) {
	return func(client int) (Client, error) { return a.cycle(client, url, batch, groups, "") }
}

func (a *AWS) cycle(client int, url string, batch, groups int, extra string) (*cycle, error) {
	addr := a.Addrs[client%len(a.Addrs)]
	conn, err := Dial(addr)
	if err != nil {
		return nil, err
	}
	operations := [3]string{"SendMessage", "ReceiveMessage", "DeleteMessage"}
	if batch > 1 {
		operations[0], operations[2] = "SendMessageBatch", "DeleteMessageBatch"
	}
	req := func(i int) *request {
		return newRequest(a.Credentials, addr, "sqs", json10, sqsTarget+operations[i], a.Invocation, rand.Uint64()&0xffffff)
	}
	c := &cycle{conn: conn, send: req(0), receive: req(1), remove: req(2), url: url, batch: batch, extra: extra}
	if groups > 0 {
		c.groups = newGroups(client, groups)
	}
	c.prebuild(Value(rand.New(rand.NewPCG(uint64(client), 3))))
	return c, nil
}

func (c *cycle) prebuild(value []byte) {
	open := `{"QueueUrl":"` + c.url + `"`
	c.receiveBody = fmt.Appendf(nil, `%s,"MaxNumberOfMessages":%d,"WaitTimeSeconds":1}`, open, c.batch)
	if c.batch == 1 {
		c.sendBody = append(c.groups.appendTo(fmt.Appendf(nil, `%s,"MessageBody":"%s"%s`, open, value, c.extra)), '}')
		return
	}
	b := append([]byte(open), `,"Entries":[`...)
	for i := range c.batch {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(c.groups.appendTo(fmt.Appendf(b, `{"Id":"%d","MessageBody":"%s"%s`, i, value, c.extra)), '}')
	}
	c.sendBody = append(b, "]}"...)
}

func (c *cycle) Close() error { return c.conn.Close() }

func (c *cycle) call(r *request, body []byte) ([]byte, error) {
	status, answer, err := c.conn.Call(r.with(body))
	if err == nil && (status != 200 || bytes.Contains(answer, []byte(`"Failed":[{`))) {
		err = fmt.Errorf("%s: status %d: %.200s", r.target, status, answer)
	}
	return answer, err
}

// sendBatch sends one batch.
func (c *cycle) sendBatch() error {
	c.groups.patch(c.sendBody)
	_, err := c.call(c.send, c.sendBody)
	return err
}

// Do sends a batch, and receives and deletes until as many messages are gone.
func (c *cycle) Do() (int, error) {
	if err := c.sendBatch(); err != nil {
		return 0, err
	}
	done, empty := 0, 0
	for done < c.batch && empty < maxEmpty {
		answer, err := c.call(c.receive, c.receiveBody)
		if err != nil {
			return done, err
		}
		n := c.takeHandles(answer)
		if n == 0 {
			// Others may have taken what this client sent, and it is not the last
			// to come: that is no error while messages get through at all.
			empty++
			if done > 0 {
				return done, nil
			}
			continue
		}
		if _, err := c.call(c.remove, c.removeBody()); err != nil {
			return done, err
		}
		done += n
	}
	if done == 0 {
		return 0, errNoMessage
	}
	return done, nil
}

// takeAll receives and deletes one batch; it is zero when none came.
func (c *cycle) takeAll() (int, error) {
	answer, err := c.call(c.receive, c.receiveBody)
	if err != nil {
		return 0, err
	}
	n := c.takeHandles(answer)
	if n > 0 {
		_, err = c.call(c.remove, c.removeBody())
	}
	return n, err
}

// takeHandles copies the receipt handles out of an answer.
func (c *cycle) takeHandles(answer []byte) int {
	c.handles = c.handles[:0]
	for {
		i := bytes.Index(answer, receiptMark)
		if i < 0 {
			return len(c.handles)
		}
		answer = answer[i+len(receiptMark):]
		end := bytes.IndexByte(answer, '"')
		c.handles = append(c.handles, answer[:end])
		answer = answer[end:]
	}
}

// removeBody copies the handles, which share memory with the last answer.
func (c *cycle) removeBody() []byte {
	b := append(append(append(c.body[:0], `{"QueueUrl":"`...), c.url...), '"')
	if c.batch == 1 {
		b = append(append(append(b, `,"ReceiptHandle":"`...), c.handles[0]...), `"}`...)
		c.body = b
		return b
	}
	b = append(b, `,"Entries":[`...)
	for i, h := range c.handles {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(append(b, `{"Id":"`...), int64(i), 10)
		b = append(append(append(b, `","ReceiptHandle":"`...), h...), `"}`...)
	}
	c.body = append(b, "]}"...)
	return c.body
}

// waitFor polls until ready or the limit.
func waitFor(ready func() bool, limit time.Duration) bool {
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if ready() {
			return true
		}
	}
	return false
}

// CreateTable makes a table with a string partition key "id" and waits for it.
func (a *AWS) CreateTable(table string) error {
	_, err := a.Once("dynamodb", "CreateTable", `{"TableName":"`+table+`","BillingMode":"PAY_PER_REQUEST",`+
		`"AttributeDefinitions":[{"AttributeName":"id","AttributeType":"S"}],"KeySchema":[{"AttributeName":"id","KeyType":"HASH"}]}`)
	if err != nil {
		return err
	}
	active := func() bool {
		answer, err := a.Once("dynamodb", "DescribeTable", `{"TableName":"`+table+`"}`)
		return err == nil && bytes.Contains(answer, []byte(`"ACTIVE"`))
	}
	if !waitFor(active, 10*time.Second) {
		return fmt.Errorf("the table %s does not become active", table)
	}
	return nil
}

// CreateQueue makes a queue, FIFO if its name says so, and returns its URL.
func (a *AWS) CreateQueue(name string) (url string, err error) {
	attributes := ""
	if strings.HasSuffix(name, ".fifo") {
		attributes = `,"Attributes":{"FifoQueue":"true","DeduplicationScope":"messageGroup","FifoThroughputLimit":"perMessageGroupId"}`
	}
	answer, err := a.Once("sqs", "CreateQueue", `{"QueueName":"`+name+`"`+attributes+`}`)
	if err != nil {
		return "", err
	}
	_, rest, _ := bytes.Cut(answer, []byte(`"QueueUrl":"`))
	at, _, ok := bytes.Cut(rest, []byte{'"'})
	if !ok {
		return "", fmt.Errorf("CreateQueue: no URL in %.200s", answer)
	}
	return string(at), nil
}
