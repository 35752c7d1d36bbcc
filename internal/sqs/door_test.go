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
// may be sent, as $1, $2 and so on; so are handles of move tasks as %1, and
// the ids of scheduled messages may be sent as #1. `again` repeats the last request with the
// same invocation id, `advance d=30s` moves the clock, `clock` shows how far
// it is from its start, `fail kind=n` makes the cluster answer the next
// request with an error of that kind.
type script struct {
	door    *Door
	cluster *fakecluster.Cluster
	start   time.Time
	last    *awsapi.Request
	calls   byte
	handles []string // of receipts
	tasks   []string // handles of move tasks
	ids     []string // of messages that SendMessage answered
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

var sentHandle = regexp.MustCompile(`[$%#][0-9]\b`)

func (s *script) request(t *testing.T, d *datadriven.TestData) *awsapi.Request {
	input := sentHandle.ReplaceAllStringFunc(d.Input, func(ref string) string {
		known := map[byte][]string{'$': s.handles, '%': s.tasks, '#': s.ids}[ref[0]]
		n := int(ref[1] - '0')
		if n < 1 || n > len(known) {
			t.Fatalf("%s: there is no %s", d.Pos, ref)
		}
		if d.HasArg("query") {
			return url.QueryEscape(known[n-1])
		}
		return known[n-1]
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
	answeredTask   = regexp.MustCompile(`"TaskHandle":"([^"]+)"`)
	answeredID     = regexp.MustCompile(`"MessageId":"([^"]+)"}`) // the last member: of SendMessage's answer
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
	for _, m := range answeredTask.FindAllStringSubmatch(body, -1) {
		if !slices.Contains(s.tasks, m[1]) {
			s.tasks = append(s.tasks, m[1])
		}
	}
	for i, task := range s.tasks {
		body = strings.ReplaceAll(body, task, "%"+strconv.Itoa(i+1))
	}
	for _, m := range answeredID.FindAllStringSubmatch(body, -1) {
		s.ids = append(s.ids, m[1])
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
