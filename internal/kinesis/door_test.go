package kinesis

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	"github.com/aws/smithy-go/encoding/cbor"
	"github.com/cockroachdb/datadriven"

	"weir.dev/weir/internal/awsapi"
	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/fakecluster"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

// newDoor is a door to an empty cluster.
func newDoor(t testing.TB) (*Door, *fakecluster.Cluster) {
	c := fakecluster.New(t, 1)
	return New(service.New(c, c, base.NewRand(1))), c
}

// request is a call as the front hands it over.
func request(operation string, p awsapi.Protocol, body []byte) *awsapi.Request {
	return &awsapi.Request{
		Service: TargetPrefix, Operation: operation, Protocol: p, Body: body, Path: "/",
		RequestID: "R", Host: "127.0.0.1:4566", Scheme: "http", Region: "us-east-1", Account: "000000000000", Principal: "AKIAWEIR", Attempt: 1,
	}
}

// script runs one file of testdata. Each command is an operation with a body in
// JSON; with the argument cbor it is sent, and answered, in CBOR. Iterators and
// page tokens that were answered are shown, and may be sent, as $1, $2 and so
// on, sequence numbers as #1, #2. `wait=n` is the header for a long poll.
//
// `next` shows the next event of the last subscription, `close` ends it.
// `again` repeats the last request with the same invocation id, `advance d=30s`
// moves the clock, `clock` shows how far it is from its start, `fail kind=n`
// makes the cluster answer the next request with an error of that kind.
type script struct {
	door      *Door
	cluster   *fakecluster.Cluster
	start     time.Time
	last      *awsapi.Request
	calls     byte
	tokens    []string
	sequences []string
	stream    awsapi.Stream
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
		s.cluster.FailNext(model.Errorf(model.ErrorKind(kind), "the cluster failed"))
		return ""
	case "advance":
		var by string
		d.ScanArgs(t, "d", &by)
		step, err := time.ParseDuration(by)
		if err != nil {
			t.Fatal(err)
		}
		s.cluster.Advance(step)
		return ""
	case "clock":
		return fmt.Sprintf("%v\n", s.cluster.Now().Sub(s.start))
	case "next":
		return s.next(t)
	case "close":
		s.stream.Close(context.Background())
		return ""
	case "again":
		s.last.Attempt++
	default:
		s.calls++
		s.last = s.request(t, d)
		s.last.Invocation = model.RequestID{s.calls}
	}
	r := s.door.Handle(context.Background(), s.last)
	if r.Stream != nil {
		if s.stream = r.Stream; r.ContentType != "application/vnd.amazon.eventstream" || len(r.Body) > 0 {
			t.Errorf("%s with %q", r.ContentType, r.Body)
		}
		return s.next(t)
	}
	return s.shown(r.Status, asJSON(t, s.last, r))
}

var sent = regexp.MustCompile(`[$#][0-9]+`)

func (s *script) request(t *testing.T, d *datadriven.TestData) *awsapi.Request {
	input := sent.ReplaceAllStringFunc(d.Input, func(ref string) string {
		list := s.tokens
		if ref[0] == '#' {
			list = s.sequences
		}
		n, err := strconv.Atoi(ref[1:])
		if err != nil || n < 1 || n > len(list) {
			t.Fatalf("%s: there is no %s", d.Pos, ref)
		}
		return list[n-1]
	})
	input = strings.ReplaceAll(input, "LONG257", strings.Repeat("x", 257))
	r := request(d.Cmd, awsapi.JSON11, []byte(input))
	if d.HasArg("cbor") {
		r.Protocol, r.Body = awsapi.CBOR11, toCBOR(t, input)
	}
	if d.HasArg("wait") {
		d.ScanArgs(t, "wait", &r.Wait)
	}
	return r
}

// next is the next event, as the SDK's decoder reads it.
func (s *script) next(t *testing.T) string {
	piece, err := s.stream.Next(context.Background(), nil)
	if err != nil {
		return err.Error() + "\n"
	}
	m, err := eventstream.NewDecoder().Decode(bytes.NewReader(piece), nil)
	if err != nil {
		t.Fatal(err)
	}
	body := m.Payload
	if m.Headers.Get(":content-type").String() == "application/x-amz-cbor-1.1" {
		body = fromCBOR(t, body)
	}
	var head strings.Builder
	for _, h := range m.Headers {
		fmt.Fprintf(&head, "%s=%s ", h.Name, h.Value.String())
	}
	return head.String() + "\n" + s.shown(200, body)
}

var (
	answeredToken    = regexp.MustCompile(`"(?:ShardIterator|NextShardIterator|NextToken)":"([^"]+)"`)
	answeredSequence = regexp.MustCompile(`"(?:\w*SequenceNumber)":"([^"]+)"`)
)

// shown is an answer as scripts show it.
func (s *script) shown(status int, answer []byte) string {
	body := string(answer)
	if body == "" {
		return "ok\n"
	}
	body = shorten(body, answeredToken, "$", &s.tokens)
	body = shorten(body, answeredSequence, "#", &s.sequences)
	body = strings.ReplaceAll(body, "},{", "},\n {")
	body = strings.ReplaceAll(body, strings.Repeat("x", 257), "LONG257")
	if status != 200 {
		body = strconv.Itoa(status) + " " + body
	}
	return body + "\n"
}

// shorten gives the values that a pattern finds numbers.
func shorten(body string, pattern *regexp.Regexp, mark string, list *[]string) string {
	for _, m := range pattern.FindAllStringSubmatch(body, -1) {
		if !slices.Contains(*list, m[1]) {
			*list = append(*list, m[1])
		}
	}
	for i := len(*list) - 1; i >= 0; i-- {
		body = strings.ReplaceAll(body, `"`+(*list)[i]+`"`, `"`+mark+strconv.Itoa(i+1)+`"`)
	}
	return body
}

// asJSON checks that an answer is well-formed and returns it as JSON.
func asJSON(t testing.TB, req *awsapi.Request, r *awsapi.Response) []byte {
	t.Helper()
	if r.ContentType != req.Protocol.ContentType() {
		t.Errorf("content type %q", r.ContentType)
	}
	body := r.Body
	if len(body) == 0 && r.Status == 200 {
		return nil
	}
	if req.Protocol == awsapi.CBOR11 {
		body = fromCBOR(t, body)
	}
	var m map[string]any
	if err := json.Unmarshal(body, &m); err != nil {
		t.Fatalf("answer %q: %v", body, err)
	}
	code, _ := m["__type"].(string)
	if (r.Status == 200) != (code == "") || len(r.Header) > 0 {
		t.Errorf("status %d with type %q and headers %v", r.Status, code, r.Header)
	}
	return body
}

// toCBOR is a body as the SDKs for Java would send it: blobs as bytes, times in
// milliseconds. What is no JSON object is sent as it is.
func toCBOR(t testing.TB, text string) []byte {
	var v any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return []byte(text)
	}
	return appendCBOR(t, nil, "", v)
}

func appendCBOR(t testing.TB, dst []byte, name string, v any) []byte {
	switch v := v.(type) {
	case map[string]any:
		dst = awsapi.AppendCBORStructure(dst)
		for _, k := range sortedKeys(v) {
			dst = appendCBOR(t, awsapi.AppendCBORText(dst, k), k, v[k])
		}
		return awsapi.AppendCBOREnd(dst)
	case []any:
		dst = awsapi.AppendCBORArray(dst, len(v))
		for _, e := range v {
			dst = appendCBOR(t, dst, name, e)
		}
		return dst
	case json.Number:
		if f, err := v.Float64(); err == nil && strings.Contains(name, "Timestamp") {
			return awsapi.AppendCBORTime(dst, int64(f*1000))
		}
		n, err := v.Int64()
		if err != nil {
			t.Fatal(err)
		}
		return awsapi.AppendCBORInt(dst, n)
	case string:
		if name == "Data" {
			b, err := base64std.DecodeString(v)
			if err != nil {
				t.Fatal(err)
			}
			return awsapi.AppendCBORBytes(dst, b)
		}
		return awsapi.AppendCBORText(dst, v)
	case bool:
		return awsapi.AppendCBORBool(dst, v)
	default:
		return append(dst, 0xf6)
	}
}

// fromCBOR is CBOR as JSON, read by smithy-go's decoder.
func fromCBOR(t testing.TB, b []byte) []byte {
	t.Helper()
	v, err := cbor.Decode(b)
	if err != nil {
		t.Fatalf("answer %x: %v", b, err)
	}
	text, err := json.Marshal(plain(t, v))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func plain(t testing.TB, v cbor.Value) any {
	switch v := v.(type) {
	case cbor.Map:
		m := map[string]any{}
		for k, e := range v {
			m[k] = plain(t, e)
		}
		return m
	case cbor.List:
		list := []any{}
		for _, e := range v {
			list = append(list, plain(t, e))
		}
		return list
	case cbor.String:
		return string(v)
	case cbor.Slice:
		return []byte(v)
	case cbor.Bool:
		return bool(v)
	case cbor.Uint:
		return new(big.Int).SetUint64(uint64(v))
	case *cbor.Tag:
		if v.ID != 1 {
			t.Errorf("tag %d", v.ID)
		}
		return fmt.Sprintf("%v ms", plain(t, v.Value))
	}
	t.Errorf("a %T is answered", v)
	return nil
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

func FuzzHandle(f *testing.F) {
	names := served()
	const body = `{"StreamName":"s","ShardCount":1,"ShardId":"shardId-000000000000","ShardIteratorType":"TRIM_HORIZON","PartitionKey":"k","Data":"AAAA",` +
		`"Records":[{"Data":"AAAA","PartitionKey":"k","ExplicitHashKey":"7"}],"ResourceARN":"arn:aws:kinesis:us-east-1:000000000000:stream/s","Tags":{"a":"b"},` +
		`"StreamARN":"arn:aws:kinesis:us-east-1:000000000000:stream/s","ConsumerName":"c","ShardIterator":"AAAA","RetentionPeriodHours":48}`
	for i := range names {
		f.Add(i, false, []byte(body))
		f.Add(i, true, toCBOR(f, body))
	}
	f.Add(0, false, []byte(`{"Records":[null],"Tags":{"a":null}}`))
	f.Add(0, true, []byte("\xbf\x67Records\x9f\xf6\xff\xff"))
	door, _ := newDoor(f)
	door.Handle(context.Background(), request("CreateStream", awsapi.JSON11, []byte(`{"StreamName":"s","ShardCount":2}`)))
	f.Fuzz(func(t *testing.T, i int, inCBOR bool, body []byte) {
		r := request(names[uint(i)%uint(len(names))], awsapi.JSON11, body)
		if inCBOR {
			r.Protocol = awsapi.CBOR11
		}
		resp := door.Handle(context.Background(), r)
		if resp.Stream == nil {
			asJSON(t, r, resp)
			resp.Release()
			return
		}
		for err := error(nil); err == nil; {
			_, err = resp.Stream.Next(context.Background(), nil)
			if err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
		}
		resp.Stream.Close(context.Background())
	})
}
