package load

import (
	"bytes"
	"fmt"
	"math/rand/v2"
)

// ValueBytes is the size of the values that every store is given.
const ValueBytes = 128

// Keys is how many keys there are; a client takes them at random.
const Keys = 20_000

// keyDigits is how many digits a key has after its letter.
const keyDigits = 11

// appendKey appends a key: k and eleven digits.
func appendKey(dst []byte, n uint64) []byte {
	at := len(dst)
	dst = append(dst, "k00000000000"...)
	for i := at + keyDigits; n > 0; i-- {
		dst[i] = '0' + byte(n%10)
		n /= 10
	}
	return dst
}

// Value is what is stored: the same length everywhere, and not compressible to
// nothing.
func Value(rng *rand.Rand) []byte {
	v := make([]byte, ValueBytes)
	for i := range v {
		v[i] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"[rng.IntN(64)]
	}
	return v
}

// AWS says how a server of AWS APIs is reached.
type AWS struct {
	Addrs       []string // clients are spread over them
	Credentials Credentials
	Invocation  bool // send the request id that SDKs send
}

// aws is a connection and one prebuilt request.
type aws struct {
	conn *Conn
	req  *request
}

const (
	json10       = "application/x-amz-json-1.0"
	dynamoTarget = "DynamoDB_20120810."
	sqsTarget    = "AmazonSQS."
)

func (a *AWS) open(client int, service, target string) (aws, error) {
	addr := a.Addrs[client%len(a.Addrs)]
	conn, err := Dial(addr)
	if err != nil {
		return aws{}, err
	}
	contentType := json10
	if service == "kinesis" {
		contentType = json11
	}
	return aws{conn, newRequest(a.Credentials, addr, service, contentType, target, a.Invocation, rand.Uint64()&0xffffff)}, nil
}

func (a *aws) Close() error { return a.conn.Close() }

func (a *aws) call(body []byte) ([]byte, error) {
	status, answer, err := a.conn.Call(a.req.with(body))
	if err == nil && status != 200 {
		err = fmt.Errorf("%s: status %d: %.200s", a.req.target, status, answer)
	}
	return answer, err
}

// targets are what names an operation of each service begins with.
var targets = map[string]string{"dynamodb": dynamoTarget, "sqs": sqsTarget, "kinesis": kinesisTarget}

// Once makes one call of a service ("dynamodb", "sqs", "kinesis"), for setting up.
func (a *AWS) Once(service, operation, body string) ([]byte, error) {
	c, err := a.open(0, service, targets[service]+operation)
	if err != nil {
		return nil, err
	}
	answer, err := c.call([]byte(body))
	return bytes.Clone(answer), joinClose(err, c.Close)
}

func joinClose(err error, closing func() error) error {
	if cerr := closing(); err == nil {
		err = cerr
	}
	return err
}

// patch is a body with a key inside that changes.
type patch struct {
	aws
	body   []byte
	at     int
	rng    *rand.Rand
	one    uint64 // the only key, when there is only one
	expect []byte // the answer must hold it
}

func (a *AWS) patched(client int, operation, before, after string) (*patch, error) {
	c, err := a.open(client, "dynamodb", dynamoTarget+operation)
	if err != nil {
		return nil, err
	}
	p := &patch{aws: c, at: len(before), rng: rand.New(rand.NewPCG(uint64(client), rand.Uint64()))}
	p.body = append(append(appendKey([]byte(before), 0), after...), '}')
	return p, nil
}

// Do makes the request for a random key.
func (p *patch) Do() (int, error) {
	key := p.one
	if key == 0 {
		key = p.rng.Uint64N(Keys)
	}
	appendKey(p.body[:p.at], key)
	answer, err := p.call(p.body)
	if err == nil && !bytes.Contains(answer, p.expect) {
		err = fmt.Errorf("%s: the answer lacks %s: %.200s", p.req.target, p.expect, answer)
	}
	return 1, err
}

// Put puts an item under a random key.
func (a *AWS) Put(table string) func(client int) (Client, error) {
	return func(client int) (Client, error) {
		rng := rand.New(rand.NewPCG(uint64(client), 1))
		return a.patched(client, "PutItem", `{"TableName":"`+table+`","Item":{"id":{"S":"`,
			`"},"v":{"S":"`+string(Value(rng))+`"}}`)
	}
}

// PutOne puts an item under one key, which is not zero, at the address that the
// client's number names.
func (a *AWS) PutOne(table string, key uint64) func(client int) (Client, error) {
	return func(client int) (Client, error) {
		c, err := a.Put(table)(client)
		if err == nil {
			c.(*patch).one = key
		}
		return c, err
	}
}

// Get gets a random item, which must be there.
func (a *AWS) Get(table string, strong bool) func(client int) (Client, error) {
	return func(client int) (Client, error) {
		p, err := a.patched(client, "GetItem", `{"TableName":"`+table+`","Key":{"id":{"S":"`,
			fmt.Sprintf(`"}},"ConsistentRead":%t`, strong))
		if err == nil {
			p.expect = []byte(`"Item"`)
		}
		return p, err
	}
}

// filler puts its share of all keys, 25 at a time.
type filler struct {
	aws
	table      string
	next, step uint64
	value      []byte
	body       []byte
}

func (f *filler) Do() (int, error) {
	if f.next >= Keys/25 {
		return 0, ErrDone
	}
	b := append(f.body[:0], `{"RequestItems":{"`+f.table+`":[`...)
	for i := range uint64(25) {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendKey(append(b, `{"PutRequest":{"Item":{"id":{"S":"`...), f.next*25+i)
		b = append(append(append(b, `"},"v":{"S":"`...), f.value...), `"}}}}`...)
	}
	f.body = append(b, "]}}"...)
	f.next += f.step
	_, err := f.call(f.body)
	return 25, err
}

// Fill puts every key once.
func (a *AWS) Fill(table string) func(client, clients int) (Client, error) {
	return func(client, clients int) (Client, error) {
		c, err := a.open(client, "dynamodb", dynamoTarget+"BatchWriteItem")
		if err != nil {
			return nil, err
		}
		rng := rand.New(rand.NewPCG(uint64(client), 2))
		return &filler{aws: c, table: table, next: uint64(client), step: uint64(clients), value: Value(rng)}, nil
	}
}
