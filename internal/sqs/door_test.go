package sqs

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"weir.dev/weir/internal/awsapi"
	"weir.dev/weir/internal/model"
)

// request is a JSON call as the front hands it over.
func request(operation, body string) *awsapi.Request {
	return &awsapi.Request{
		Service: TargetPrefix, Operation: operation, Protocol: awsapi.JSON10, Body: []byte(body), Path: "/",
		RequestID: "R", Host: "127.0.0.1:4566", Scheme: "http", Region: "us-east-1", Account: "000000000000", Principal: "AKIAWEIR", Attempt: 1,
	}
}

// queryRequest is a Query call as the front hands it over.
func queryRequest(operation, path string, params []awsapi.Pair) *awsapi.Request {
	r := request(operation, "")
	r.Protocol, r.Body, r.Path, r.Form = awsapi.Query, nil, path, awsapi.NewForm(params)
	return r
}

// script runs one file of testdata. Each command is an operation: its input is
// the JSON body or, with the argument query, the parameters, one a line, which
// are decoded as in a URL. Receipt handles that were answered are shown, and
// may be sent, as $1, $2 and so on. `again` repeats the last request with the
// same invocation id, `advance d=30s` moves the clock, `clock` shows how far
// it is from its start, `fail kind=n` makes the cluster answer the next
// request with an error of that kind.
type script struct {
	door    *Door
	cluster *fakeCluster
	start   time.Time
	last    *awsapi.Request
	calls   byte
	handles []string
}

func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := &script{}
		s.door, s.cluster = newDoor(t)
		s.start = s.cluster.Now()
		datadriven.RunTest(t, path, s.run)
	})
}

func (s *script) run(t *testing.T, d *datadriven.TestData) string {
	switch d.Cmd {
	case "fail":
		var kind int
		d.ScanArgs(t, "kind", &kind)
		s.cluster.fail = model.Errorf(model.ErrorKind(kind), "the cluster failed")
		return ""
	case "advance":
		var by string
		d.ScanArgs(t, "d", &by)
		step, err := time.ParseDuration(by)
		if err != nil {
			t.Fatal(err)
		}
		s.cluster.advance(step)
		return ""
	case "clock":
		return fmt.Sprintf("%v\n", s.cluster.Now().Sub(s.start))
	case "again":
		s.last.Attempt++
	default:
		s.calls++
		s.last = s.request(t, d)
		s.last.Invocation = model.RequestID{s.calls}
	}
	r := s.door.Handle(context.Background(), s.last)
	checkAnswer(t, s.last, r)
	return s.shown(r)
}

var sentHandle = regexp.MustCompile(`\$[0-9]+`)

func (s *script) request(t *testing.T, d *datadriven.TestData) *awsapi.Request {
	input := sentHandle.ReplaceAllStringFunc(d.Input, func(ref string) string {
		n, err := strconv.Atoi(ref[1:])
		if err != nil || n < 1 || n > len(s.handles) {
			t.Fatalf("%s: there is no handle %s", d.Pos, ref)
		}
		if d.HasArg("query") {
			return url.QueryEscape(s.handles[n-1])
		}
		return s.handles[n-1]
	})
	input = strings.ReplaceAll(input, "LONG1024", strings.Repeat("x", 1024))
	input = strings.ReplaceAll(input, "LONG300K", strings.Repeat("x", 300<<10))
	if !d.HasArg("query") {
		return request(d.Cmd, input)
	}
	path := "/"
	if d.HasArg("path") {
		d.ScanArgs(t, "path", &path)
	}
	var pairs []awsapi.Pair
	for line := range strings.SplitSeq(input, "\n") {
		if line == "" {
			continue
		}
		name, value, _ := strings.Cut(line, "=")
		decoded, err := url.QueryUnescape(value)
		if err != nil {
			t.Fatal(err)
		}
		pairs = append(pairs, awsapi.Pair{Name: name, Value: decoded})
	}
	return queryRequest(d.Cmd, path, pairs)
}

var (
	someUUID       = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	answeredHandle = regexp.MustCompile(`"ReceiptHandle":"([^"]+)"|<ReceiptHandle>([^<]+)</ReceiptHandle>`)
)

// shown is an answer as scripts show it.
func (s *script) shown(r *awsapi.Response) string {
	body := string(r.Body)
	for _, m := range answeredHandle.FindAllStringSubmatch(body, -1) {
		if h := m[1] + m[2]; !slices.Contains(s.handles, h) {
			s.handles = append(s.handles, h)
		}
	}
	for i := len(s.handles) - 1; i >= 0; i-- {
		body = strings.ReplaceAll(body, s.handles[i], "$"+strconv.Itoa(i+1))
	}
	body = someUUID.ReplaceAllString(body, "UUID")
	body = strings.ReplaceAll(body, strings.Repeat("x", 1024), "LONG1024")
	body = strings.ReplaceAll(body, "},{", "},\n {")
	body = strings.ReplaceAll(body, "><", ">\n<")
	body = joinLeaves.ReplaceAllString(body, "$1$2")
	var head strings.Builder
	if r.Status != 200 {
		fmt.Fprintf(&head, "%d ", r.Status)
	}
	for _, h := range r.Header {
		fmt.Fprintf(&head, "[%s: %s] ", h[0], h[1])
	}
	return head.String() + body + "\n"
}

// joinLeaves keeps empty elements on one line.
var joinLeaves = regexp.MustCompile(`(<[A-Za-z]+>)\n(</)`)

// checkAnswer fails unless the answer is well-formed.
func checkAnswer(t *testing.T, req *awsapi.Request, r *awsapi.Response) {
	t.Helper()
	if r.ContentType != req.Protocol.ContentType() {
		t.Errorf("content type %q", r.ContentType)
	}
	if req.Protocol == awsapi.Query {
		checkXML(t, r)
		return
	}
	var body map[string]any
	if err := json.Unmarshal(r.Body, &body); err != nil {
		t.Fatalf("answer %q: %v", r.Body, err)
	}
	code, _ := body["__type"].(string)
	if (r.Status == 200) != (code == "") || (r.Status == 200) != (len(r.Header) == 0) {
		t.Errorf("status %d with type %q and headers %v", r.Status, code, r.Header)
	}
}

func checkXML(t *testing.T, r *awsapi.Response) {
	t.Helper()
	var root string
	for d := xml.NewDecoder(bytes.NewReader(r.Body)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("answer %q: %v", r.Body, err)
		}
		if e, ok := token.(xml.StartElement); ok && root == "" {
			root = e.Name.Local
			if e.Name.Space != awsapi.StyleSQS.XMLNS {
				t.Errorf("namespace %q", e.Name.Space)
			}
		}
	}
	if (r.Status == 200) != (root != "ErrorResponse") {
		t.Errorf("status %d with %s", r.Status, root)
	}
}

// served are the names of the operations that the door serves, sorted.
func served() []string {
	var names []string
	for _, n := range operationNames {
		if _, ok := operations[n]; ok {
			names = append(names, n)
		}
	}
	return names
}

const someQueue = `{"QueueName":"q"}`

func FuzzHandleJSON(f *testing.F) {
	names := served()
	for i := range names {
		f.Add(i, `{"QueueUrl":"http://h/000000000000/q","QueueName":"q","MessageBody":"b","ReceiptHandle":"h","VisibilityTimeout":1,"Entries":[{"Id":"a","MessageBody":"b"}]}`)
	}
	f.Add(0, `{"QueueUrl":"q","MessageBody":"b","MessageAttributes":{"a":{"DataType":"Binary","BinaryValue":"AAAA"},"b":{"DataType":"Number.x","StringValue":"1e3"}}}`)
	f.Add(0, `{"QueueUrl":"q","AttributeNames":["All"],"MessageAttributeNames":["a.*"],"MaxNumberOfMessages":10,"WaitTimeSeconds":1}`)
	f.Add(0, `{"QueueName":"r","Attributes":{"RedrivePolicy":"{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:000000000000:q\",\"maxReceiveCount\":3}"},"tags":{"a":"b"}}`)
	f.Add(0, `{"Entries":[null]}`)
	f.Add(0, `[[[`)
	door, _ := newDoor(f)
	door.Handle(context.Background(), request("CreateQueue", someQueue))
	f.Fuzz(func(t *testing.T, i int, body string) {
		r := request(names[uint(i)%uint(len(names))], body)
		resp := door.Handle(context.Background(), r)
		checkAnswer(t, r, resp)
		resp.Release()
	})
}

func FuzzHandleQuery(f *testing.F) {
	names := served()
	for i := range names {
		f.Add(i, "/000000000000/q", "QueueName=q&MessageBody=b&ReceiptHandle=h&VisibilityTimeout=1&SendMessageBatchRequestEntry.1.Id=a&SendMessageBatchRequestEntry.1.MessageBody=b")
	}
	f.Add(0, "/", "QueueUrl=q&MessageBody=%00&MessageAttribute.1.Name=a&MessageAttribute.1.Value.DataType=String&MessageAttribute.1.Value.StringValue=%3C")
	f.Add(0, "/", "QueueUrl=q&AttributeName.1=All&MessageAttributeName.1=.*&MaxNumberOfMessages=10&WaitTimeSeconds=1")
	f.Add(0, "/", "QueueName=%3Cq%3E&Attribute.1.Name=Policy&Attribute.1.Value=&Attribute.2.Value=x&Tag.1.Key=a")
	f.Add(0, "", "MaxNumberOfMessages=x&DelaySeconds=99999999999999999999")
	door, _ := newDoor(f)
	door.Handle(context.Background(), request("CreateQueue", someQueue))
	f.Fuzz(func(t *testing.T, i int, path, query string) {
		values, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		var pairs []awsapi.Pair
		for name, list := range values {
			pairs = append(pairs, awsapi.Pair{Name: name, Value: list[0]})
		}
		r := queryRequest(names[uint(i)%uint(len(names))], path, pairs)
		resp := door.Handle(context.Background(), r)
		checkAnswer(t, r, resp)
		resp.Release()
	})
}

// benchmarkDoor is a door to a cluster that has the queue q.
func benchmarkDoor(b *testing.B) *Door {
	door, _ := newDoor(b)
	door.Handle(context.Background(), request("CreateQueue", someQueue))
	b.ReportAllocs()
	return door
}

func handleOK(b *testing.B, door *Door, r *awsapi.Request) *awsapi.Response {
	resp := door.Handle(context.Background(), r)
	if resp.Status != 200 {
		b.Fatalf("%s", resp.Body)
	}
	return resp
}

const likeBody = `{"QueueUrl":"http://127.0.0.1:4566/000000000000/q","MessageBody":"{\"post\":\"post#1234567\",\"user\":\"user#7654321\",\"at\":1700000000}"}`

// BenchmarkSendMessage measures Handle with the service and a machine in memory.
// The queue is purged from time to time so that the memory does not measure itself.
func BenchmarkSendMessage(b *testing.B) {
	door := benchmarkDoor(b)
	r := request("SendMessage", likeBody)
	n := 0
	for b.Loop() {
		handleOK(b, door, r).Release()
		if n++; n == 1000 {
			b.StopTimer()
			door = benchmarkDoor(b)
			n = 0
			b.StartTimer()
		}
	}
}

// BenchmarkReceiveMessage receives one message over and over.
func BenchmarkReceiveMessage(b *testing.B) {
	door := benchmarkDoor(b)
	handleOK(b, door, request("SendMessage", likeBody)).Release()
	r := request("ReceiveMessage", `{"QueueUrl":"http://127.0.0.1:4566/000000000000/q","VisibilityTimeout":0,"AttributeNames":["All"],"MaxNumberOfMessages":10}`)
	for b.Loop() {
		resp := handleOK(b, door, r)
		if len(resp.Body) < 100 {
			b.Fatalf("nothing was received: %s", resp.Body)
		}
		resp.Release()
	}
}

// BenchmarkReceiveMessageQuery is the same over the Query protocol.
func BenchmarkReceiveMessageQuery(b *testing.B) {
	door := benchmarkDoor(b)
	handleOK(b, door, request("SendMessage", likeBody)).Release()
	r := queryRequest("ReceiveMessage", "/000000000000/q", []awsapi.Pair{{Name: "VisibilityTimeout", Value: "0"}, {Name: "AttributeName.1", Value: "All"}})
	for b.Loop() {
		handleOK(b, door, r).Release()
	}
}
