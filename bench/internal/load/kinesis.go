package load

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"time"
)

const (
	json11        = "application/x-amz-json-1.1"
	kinesisTarget = "Kinesis_20131202."
)

// recordText is a record's base64 text, which is also what peers are given
// the beginning of: of RecordBytes bytes once decoded.
func recordText(client int) []byte {
	rng := rand.New(rand.NewPCG(uint64(client), 4))
	text := make([]byte, (RecordBytes+2)/3*4)
	for i := range text {
		text[i] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/"[rng.IntN(64)]
	}
	// 256 bytes are 85 threes and one byte: two digits, the second one of which
	// has four bits that must be zero.
	copy(text[len(text)-4:], "QQ==")
	putStamp(text, time.UnixMicro(stampEpoch))
	return text
}

// CreateStream makes a stream with that many shards.
func (a *AWS) CreateStream(name string, shards int) error {
	_, err := a.Once("kinesis", "CreateStream", fmt.Sprintf(`{"StreamName":"%s","ShardCount":%d}`, name, shards))
	return err
}

// Shards lists a stream's shards.
func (a *AWS) Shards(name string) (ids []string, err error) {
	answer, err := a.Once("kinesis", "ListShards", `{"StreamName":"`+name+`"}`)
	if err != nil {
		return nil, err
	}
	var list struct{ Shards []struct{ ShardId string } }
	if err := json.Unmarshal(answer, &list); err != nil {
		return nil, err
	}
	for _, s := range list.Shards {
		ids = append(ids, s.ShardId)
	}
	return ids, nil
}

// RegisterConsumer makes a consumer with enhanced fan-out.
func (a *AWS) RegisterConsumer(stream, consumer string) (arn string, err error) {
	answer, err := a.Once("kinesis", "DescribeStreamSummary", `{"StreamName":"`+stream+`"}`)
	if err != nil {
		return "", err
	}
	var summary struct {
		StreamDescriptionSummary struct{ StreamARN string }
	}
	if err := json.Unmarshal(answer, &summary); err != nil {
		return "", err
	}
	answer, err = a.Once("kinesis", "RegisterStreamConsumer", `{"StreamARN":"`+summary.StreamDescriptionSummary.StreamARN+`","ConsumerName":"`+consumer+`"}`)
	if err != nil {
		return "", err
	}
	var made struct{ Consumer struct{ ConsumerARN string } }
	return made.Consumer.ConsumerARN, json.Unmarshal(answer, &made)
}

type putRecords struct {
	aws
	body  []byte
	at    []int // of the stamps
	batch int
}

// PutRecords puts batches of records under random keys; a unit is a record.
func (a *AWS) PutRecords(stream string, batch int) func(client int) (Client, error) {
	return func(client int) (Client, error) { return a.putRecords(client, stream, batch, 1) }
}

// streamFillers is above the number of clients.
const streamFillers = 1 << 10

// FillStream puts batches of 500 records of times as many bytes as RecordBytes.
func (a *AWS) FillStream(stream string, times int, q *Quota) func(client, clients int) (Client, error) {
	return func(client, _ int) (Client, error) {
		const batch = 500
		p, err := a.putRecords(client, stream, batch, times)
		return &quotaFiller{p, func() error { _, err := p.Do(); return err }, batch, q}, err
	}
}

func (a *AWS) putRecords(client int, stream string, batch, times int) (*putRecords, error) {
	c, err := a.open(client, "kinesis", kinesisTarget+"PutRecords")
	if err != nil {
		return nil, err
	}
	p := &putRecords{aws: c, batch: batch}
	text := recordText(client)
	p.body = append(p.body, `{"StreamName":"`+stream+`","Records":[`...)
	for i := range batch {
		if i > 0 {
			p.body = append(p.body, ',')
		}
		p.body = append(p.body, `{"Data":"`...)
		p.at = append(p.at, len(p.body))
		for part := range times - 1 { // other bytes each time, so that the disk holds what was put
			more := recordText(((part+1)*batch+i)*streamFillers + client)
			p.body = append(p.body, more[:len(more)-4]...)
		}
		p.body = fmt.Appendf(p.body, `%s","PartitionKey":"%012d"}`, text, rand.Uint64N(1e12))
	}
	p.body = append(p.body, "]}"...)
	return p, nil
}

var noneFailed = []byte(`"FailedRecordCount":0`)

func (p *putRecords) Do() (int, error) {
	now := time.Now()
	for _, at := range p.at {
		putStamp(p.body[at:], now)
	}
	status, answer, err := p.conn.Call(p.req.with(p.body))
	if err == nil && (status != 200 || !bytes.Contains(answer, noneFailed)) {
		err = fmt.Errorf("PutRecords: status %d: %.200s", status, answer)
	}
	return p.batch, err
}

var (
	dataMark = []byte(`"Data":"`)
	nextMark = []byte(`"NextShardIterator":"`)
)

// eachRecord calls on with the text of every record in an answer.
func eachRecord(answer []byte, on func([]byte)) {
	for {
		i := bytes.Index(answer, dataMark)
		if i < 0 {
			return
		}
		answer = answer[i+len(dataMark):]
		end := bytes.IndexByte(answer, '"')
		on(answer[:end])
		answer = answer[end:]
	}
}

// pollPause is how long a polling subscriber rests after each answer.
const pollPause = 10 * time.Millisecond

type pollReader struct {
	aws
	body     []byte
	iterator []byte
}

// Poll reads a shard's new records with GetRecords, with a pause after each.
func (a *AWS) Poll(client int, stream, shard, from string) (Reader, error) {
	answer, err := a.Once("kinesis", "GetShardIterator", fmt.Sprintf(`{"StreamName":"%s","ShardId":"%s","ShardIteratorType":"%s"}`, stream, shard, from))
	if err != nil {
		return nil, err
	}
	var first struct{ ShardIterator string }
	if err := json.Unmarshal(answer, &first); err != nil {
		return nil, err
	}
	c, err := a.open(client, "kinesis", kinesisTarget+"GetRecords")
	if err != nil {
		return nil, err
	}
	return &pollReader{aws: c, iterator: []byte(first.ShardIterator)}, nil
}

func (p *pollReader) Read(on func([]byte)) error {
	_, err := p.read(on)
	time.Sleep(pollPause)
	return err
}

// Laggard reads a shard from its beginning, as fast as it can, and again from
// there when it has come to the end.
func (a *AWS) Laggard(client int, stream, shard string) (Reader, error) {
	r, err := a.Poll(client, stream, shard, "TRIM_HORIZON")
	if err != nil {
		return nil, err
	}
	p := r.(*pollReader)
	return &laggard{p, bytes.Clone(p.iterator)}, nil
}

type laggard struct {
	*pollReader
	first []byte // iterator
}

func (l *laggard) Read(on func([]byte)) error {
	size, err := l.read(on)
	if size < laggardBack {
		l.iterator = append(l.iterator[:0], l.first...)
	}
	return err
}

// laggardBack is the size of an answer, in bytes, that says that a laggard is
// at the end.
const laggardBack = 256 << 10

// read makes one request.
func (p *pollReader) read(on func([]byte)) (size int, err error) {
	p.body = append(append(append(p.body[:0], `{"ShardIterator":"`...), p.iterator...), `"}`...)
	status, answer, err := p.conn.Call(p.req.with(p.body))
	if err != nil {
		return 0, err
	}
	i := bytes.Index(answer, nextMark)
	if status != 200 || i < 0 {
		return 0, fmt.Errorf("GetRecords: status %d: %.200s", status, answer)
	}
	next := answer[i+len(nextMark):]
	p.iterator = append(p.iterator[:0], next[:bytes.IndexByte(next, '"')]...)
	eachRecord(answer, on)
	return len(answer), nil
}

type pushReader struct {
	aws
	events []byte // what has come and was not read
}

// Push subscribes to a shard's new records over HTTP/1.1.
func (a *AWS) Push(client int, consumer, shard string) (Reader, error) {
	c, err := a.open(client, "kinesis", kinesisTarget+"SubscribeToShard")
	if err != nil {
		return nil, err
	}
	p := &pushReader{aws: c}
	if err := p.begin(fmt.Appendf(nil, `{"ConsumerARN":"%s","ShardId":"%s","StartingPosition":{"Type":"LATEST"}}`, consumer, shard)); err != nil {
		return nil, joinClose(err, c.conn.Close)
	}
	return p, nil
}

func (p *pushReader) begin(body []byte) error {
	c := p.conn
	c.extendDeadline()
	if _, err := c.nc.Write(p.req.with(body)); err != nil {
		return err
	}
	head, err := c.until([]byte("\r\n\r\n"))
	if err != nil {
		return err
	}
	if _, chunked := bodyLength(head); !bytes.HasPrefix(head, []byte("HTTP/1.1 200")) || !chunked {
		return fmt.Errorf("SubscribeToShard: %.400q", c.buf[:c.w])
	}
	return nil
}

// Read reads what has come, at least one event.
func (p *pushReader) Read(on func([]byte)) error {
	for {
		if n, err := p.take(on); n > 0 || err != nil {
			return err
		}
		if err := p.chunk(); err != nil {
			return err
		}
	}
}

// take reads the events that are complete.
func (p *pushReader) take(on func([]byte)) (events int, err error) {
	rest := p.events
	for len(rest) >= 12 {
		size := int(binary.BigEndian.Uint32(rest))
		if len(rest) < size {
			break
		}
		if bytes.Contains(rest[:min(size, 200)], []byte("exception")) {
			return events, fmt.Errorf("SubscribeToShard: %.300q", rest[:size])
		}
		eachRecord(rest[:size], on)
		rest = rest[size:]
		events++
	}
	p.events = p.events[:copy(p.events, rest)]
	return events, nil
}

// chunk reads one chunk of the response.
func (p *pushReader) chunk() error {
	c := p.conn
	c.extendDeadline()
	c.w, c.r = copy(c.buf, c.buf[c.r:c.w]), 0
	line, err := c.until([]byte("\r\n"))
	if err != nil {
		return err
	}
	var n int
	if _, err := fmt.Sscanf(string(line), "%x", &n); err != nil {
		return fmt.Errorf("not a chunk: %.20q", line)
	}
	part, err := c.exactly(n + 2)
	if err == nil && n == 0 {
		err = io.EOF
	}
	if err == nil {
		p.events = append(p.events, part[:n]...)
	}
	return err
}
