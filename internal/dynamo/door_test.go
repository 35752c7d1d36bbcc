package dynamo

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"testing"

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
	return New(service.New(c, base.SystemClock{}, base.NewRand(1))), c
}

// request is a call as the front hands it over.
func request(operation, body string) *awsapi.Request {
	return &awsapi.Request{
		Service: TargetPrefix, Operation: operation, Protocol: awsapi.JSON10, Body: []byte(body),
		RequestID: "R", Host: "127.0.0.1:4566", Scheme: "http", Region: "us-east-1", Account: "000000000000",
		Log: slog.New(slog.DiscardHandler),
	}
}

var uuid = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// shown is an answer as scripts show it: the status unless it is 200, and the
// body with what is random taken out.
func shown(r *awsapi.Response) string {
	body := uuid.ReplaceAllString(string(r.Body), "UUID")
	if r.Status != 200 {
		return fmt.Sprintf("%d %s\n", r.Status, body)
	}
	return body + "\n"
}

// TestScripts runs testdata: each command is an operation, its input the body.
// `again` repeats the last request with the same invocation id; `fail kind=n`
// makes the cluster answer the next request with an error of that kind.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		door, cluster := newDoor(t)
		var last *awsapi.Request
		invocation := byte(0)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "fail":
				var kind int
				d.ScanArgs(t, "kind", &kind)
				cluster.FailNext(model.Errorf(model.ErrorKind(kind), "the cluster failed"))
				return ""
			case "again":
			default:
				invocation++
				last = request(d.Cmd, d.Input)
				last.Invocation = model.RequestID{invocation}
			}
			return shown(door.Handle(context.Background(), last))
		})
	})
}

// TestAnswersAreSealed checks the headers that SDKs rely on.
func TestAnswersAreSealed(t *testing.T) {
	door, _ := newDoor(t)
	for _, r := range []*awsapi.Request{request("ListTables", `{}`), request("ListTables", `{`), request("Nothing", `{}`)} {
		checkAnswer(t, door.Handle(context.Background(), r))
	}
}

// checkAnswer fails unless the answer is well-formed.
func checkAnswer(t *testing.T, r *awsapi.Response) {
	t.Helper()
	if r.ContentType != "application/x-amz-json-1.0" {
		t.Errorf("content type %q", r.ContentType)
	}
	want := [2]string{"x-amz-crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(r.Body)), 10)}
	if len(r.Header) != 1 || r.Header[0] != want {
		t.Errorf("headers %v, want %v", r.Header, want)
	}
	var body map[string]any
	if err := json.Unmarshal(r.Body, &body); err != nil {
		t.Fatalf("answer %q: %v", r.Body, err)
	}
	code, _ := body["__type"].(string)
	if (r.Status == 200) != (code == "") {
		t.Errorf("status %d with type %q", r.Status, code)
	}
}

func TestOperationsAreOfTheModel(t *testing.T) {
	for name := range operations {
		if e := unserved(name); e == awsapi.ErrUnknownOperation {
			t.Errorf("%s is no operation of the model", name)
		}
	}
	if e := unserved("TransactWriteItems"); !strings.Contains(e.Message, "not served by Weir") {
		t.Errorf("a known operation is answered with %v", e)
	}
	if e := unserved("Nonsense"); e != awsapi.ErrUnknownOperation {
		t.Errorf("an unknown operation is answered with %v", e)
	}
}

// TestWireErrorsAreComplete holds the table to model's kinds of error.
func TestWireErrorsAreComplete(t *testing.T) {
	for kind := model.ErrInternal; kind <= model.ErrUnsupported; kind++ {
		w, ok := wireErrors[kind]
		if !ok || w.code == "" || w.status < 400 {
			t.Errorf("error kind %d has no row", kind)
		}
	}
	if len(wireErrors) != int(model.ErrUnsupported) {
		t.Errorf("%d rows for %d kinds", len(wireErrors), model.ErrUnsupported)
	}
}

// TestPartlyReached: a write that was carried out but is not where it must be is
// said to be just that, in a way after which SDKs try again.
func TestPartlyReached(t *testing.T) {
	for _, kind := range []model.ErrorKind{model.ErrNotOnAll, model.ErrNotAbroad} {
		e := wireError(request("PutItem", ""), false, model.Errorf(kind, "it was carried out"))
		if e.Code != "InternalServerError" || e.HTTPStatus != 500 || e.Sender || e.Message != "it was carried out" {
			t.Errorf("the client sees %+v", e)
		}
	}
}

func TestInternalErrorsStayInside(t *testing.T) {
	e := wireError(request("PutItem", ""), false, fmt.Errorf("secret path"))
	if e.Code != "InternalServerError" || strings.Contains(e.Message, "secret") {
		t.Errorf("the client sees %v", e)
	}
}

func FuzzHandle(f *testing.F) {
	names := make([]string, 0, len(operations))
	for _, n := range operationNames {
		if _, ok := operations[n]; ok {
			names = append(names, n)
		}
	}
	for i := range names {
		f.Add(i, `{"TableName":"t","Key":{"k":{"S":"a"}},"Item":{"k":{"S":"a"},"n":{"N":"1"}}}`)
	}
	f.Add(0, `{"RequestItems":{"t":{"Keys":[{"k":{"S":"a"}}]}}}`)
	f.Add(0, `{"TableName":"t","UpdateExpression":"SET #a = :b","ExpressionAttributeNames":{"#a":"b"},"ExpressionAttributeValues":{":b":{"L":[{"M":{}}]}}}`)
	f.Add(0, `{"TableName":"t","Expected":{"a":{"ComparisonOperator":"BETWEEN","AttributeValueList":[{"N":"1"},{"N":"2"}]}}}`)
	f.Add(0, `{"TableName":"t","KeyConditions":{"k":{"ComparisonOperator":"EQ","AttributeValueList":[{"S":"a"}]}}}`)
	f.Add(0, `[[[`)
	door, _ := newDoor(f)
	door.Handle(context.Background(), request("CreateTable", createT))
	f.Fuzz(func(t *testing.T, i int, body string) {
		if i < 0 {
			i = -(i + 1)
		}
		r := door.Handle(context.Background(), request(names[i%len(names)], body))
		checkAnswer(t, r)
		r.Release()
	})
}

const createT = `{"TableName":"t-1","KeySchema":[{"AttributeName":"k","KeyType":"HASH"}],` +
	`"AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"}],"BillingMode":"PAY_PER_REQUEST"}`

// benchmarkHandle measures Handle with the service and a machine in memory.
func benchmarkHandle(b *testing.B, operation, body string) {
	door, _ := newDoor(b)
	ctx := context.Background()
	door.Handle(ctx, request("CreateTable", createT))
	door.Handle(ctx, request("PutItem", putBody))
	r := request(operation, body)
	b.ReportAllocs()
	for b.Loop() {
		resp := door.Handle(ctx, r)
		if resp.Status != 200 {
			b.Fatalf("%s", resp.Body)
		}
		resp.Release()
	}
}

const putBody = `{"TableName":"t-1","Item":{"k":{"S":"user#1234567"},"name":{"S":"Ada Lovelace"},"likes":{"N":"42"},"tags":{"SS":["a","b"]},` +
	`"about":{"S":"A hundred and twenty eight bytes of text, more or less, so that the item is of a usual size for such things."}}}`

func BenchmarkPutItem(b *testing.B) { benchmarkHandle(b, "PutItem", putBody) }

func BenchmarkGetItem(b *testing.B) {
	benchmarkHandle(b, "GetItem", `{"TableName":"t-1","Key":{"k":{"S":"user#1234567"}},"ConsistentRead":true}`)
}

// BenchmarkReadPutItem measures reading and checking a request alone.
func BenchmarkReadPutItem(b *testing.B) {
	body := []byte(putBody)
	b.ReportAllocs()
	for b.Loop() {
		var in PutItemInput
		if _, err := awsapi.ReadJSON(body, &in); err != nil {
			b.Fatal(err)
		}
		if err := awsapi.CheckInput(&in); err != nil {
			b.Fatal(err)
		}
	}
}
