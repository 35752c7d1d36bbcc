package front

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"weir.dev/weir/internal/auth"
	"weir.dev/weir/internal/awsapi"
	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/model"
)

// seen is what a fake door remembers of a request.
type seen struct {
	operation, body, principal, region, host, path, scheme, requestID string
	protocol                                                          awsapi.Protocol
	invocation                                                        model.RequestID
	attempt                                                           int
	form                                                              awsapi.Form
}

// fakeDoor answers Echo with the body, waits in Wait for the context's end,
// answers Stream in pieces, and panics in Panic.
type fakeDoor struct {
	target  string
	waiting chan struct{} // gets a token when Wait begins
	stream  awsapi.Stream // what Stream answers

	mu    sync.Mutex
	calls []seen
	gone  bool // what the last Wait or Watch was told of its client at its end
}

func newFakeDoor(target string) *fakeDoor {
	return &fakeDoor{target: target, waiting: make(chan struct{}, 1000)}
}

func (d *fakeDoor) Target() string { return d.target }

func (d *fakeDoor) Handle(ctx context.Context, r *awsapi.Request) *awsapi.Response {
	d.mu.Lock()
	d.calls = append(d.calls, seen{strings.Clone(r.Operation), string(r.Body), r.Principal, r.Region, r.Host, r.Path, r.Scheme,
		r.RequestID, r.Protocol, r.Invocation, r.Attempt, r.Form})
	d.mu.Unlock()
	resp := awsapi.NewResponse(r.Protocol)
	switch r.Operation {
	case "Panic":
		r.Log.Info("about to panic")
		panic("told to")
	case "Wait", "Watch":
		if r.Operation == "Watch" {
			r.Client.Watch()
		}
		select {
		case d.waiting <- struct{}{}:
		default: // nobody counts that many
		}
		<-ctx.Done()
		d.mu.Lock()
		d.gone = r.Client.Gone()
		d.mu.Unlock()
		resp.Body = append(resp.Body, context.Cause(ctx).Error()...)
	case "Stream":
		resp.ContentType = "application/vnd.amazon.eventstream"
		resp.SetHeader("x-amz-crc32", "1234")
		resp.Stream = d.stream
	default:
		resp.SetHeader("x-amz-crc32", "1234")
		resp.Body = append(resp.Body, r.Body...)
	}
	return resp
}

func (d *fakeDoor) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.calls)
}

func (d *fakeDoor) last(t testing.TB) seen {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.calls) == 0 {
		t.Fatal("the door was not called")
	}
	return d.calls[len(d.calls)-1]
}

// fixture is a server on a loopback port with two fake doors.
type fixture struct {
	*Server
	dynamo, sqs *fakeDoor
	addr        string
}

var testTime = time.Date(2026, 3, 1, 12, 30, 45, 0, time.UTC)

// fixedClock is a clock that stands still.
type fixedClock struct {
	base.SystemClock
	at time.Time
}

func (c fixedClock) Now() time.Time { return c.at }

func open(c *auth.Config) { c.Open = true }

func newServer(change func(*Options), config func(*auth.Config)) (*Server, *fakeDoor, *fakeDoor) {
	dynamo, sqs := newFakeDoor("DynamoDB_20120810"), newFakeDoor("AmazonSQS")
	cfg := auth.Config{}
	if config != nil {
		config(&cfg)
	}
	opt := Options{Doors: []awsapi.Door{dynamo, sqs}, Verifier: auth.NewVerifier(cfg), Rand: base.NewRand(1)}
	if change != nil {
		change(&opt)
	}
	return New(opt), dynamo, sqs
}

func start(t testing.TB, change func(*Options), config func(*auth.Config)) *fixture {
	t.Helper()
	s, dynamo, sqs := newServer(change, config)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		if !s.stopping() {
			_ = s.Shutdown(ctx) // idle connections of the test make it late
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return &fixture{s, dynamo, sqs, ln.Addr().String()}
}

func (f *fixture) dial(t testing.TB) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", f.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c, bufio.NewReader(c)
}

// send writes raw bytes on a new connection and reads one answer. It closes the
// connection, and tells whether the server had.
func (f *fixture) send(t testing.TB, raw string) (status int, body string, closed bool) {
	t.Helper()
	c, r := f.dial(t)
	defer c.Close()
	go io.WriteString(c, raw)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Header.Get("Server") != "" {
		t.Error("the server's name is sent")
	}
	if want := fmt.Sprintf("%d %s", resp.StatusCode, http.StatusText(resp.StatusCode)); resp.Status != want {
		t.Errorf("status line %q, want %q", resp.Status, want)
	}
	return resp.StatusCode, string(data), resp.Close
}

func echo(body string) string {
	return request("Echo", body)
}

func request(operation, body string) string {
	return fmt.Sprintf("POST / HTTP/1.1\r\nHost: localhost\r\nX-Amz-Target: DynamoDB_20120810.%s\r\n"+
		"Content-Type: application/x-amz-json-1.0\r\nContent-Length: %d\r\n\r\n%s", operation, len(body), body)
}

func TestEcho(t *testing.T) {
	f := start(t, func(o *Options) { o.Clock = fixedClock{at: testTime} }, open)
	c, r := f.dial(t)
	for i := range 3 { // keep-alive
		body := strings.Repeat("x", 1+i*40_000)
		if _, err := io.WriteString(c, echo(body)); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != 200 || string(got) != body || resp.Close {
			t.Fatalf("status %d, %d bytes, close %v", resp.StatusCode, len(got), resp.Close)
		}
		for name, want := range map[string]string{"Content-Type": "application/x-amz-json-1.0", "X-Amz-Crc32": "1234"} {
			if resp.Header.Get(name) != want {
				t.Errorf("%s is %q", name, resp.Header.Get(name))
			}
		}
		if date, err := http.ParseTime(resp.Header.Get("Date")); err != nil || !date.Equal(testTime) || len(resp.Header["Date"]) != 1 {
			t.Errorf("Date is %q", resp.Header["Date"])
		}
		if id := f.dynamo.last(t).requestID; resp.Header.Get("X-Amzn-Requestid") != id || len(id) != 36 || id[14] != '4' {
			t.Errorf("request id %q, door saw %q", resp.Header.Get("X-Amzn-Requestid"), id)
		}
	}
	got := f.dynamo.last(t)
	if got.operation != "Echo" || got.region != "us-east-1" || got.host != "localhost" || got.scheme != "http" || got.attempt != 1 || got.invocation.IsZero() {
		t.Errorf("%+v", got)
	}
}

// TestJunk sends what is not quite HTTP, or not quite AWS, and expects an
// honest answer; the server must be as good as new afterwards.
func TestJunk(t *testing.T) {
	const post = "POST / HTTP/1.1\r\nHost: h\r\nX-Amz-Target: DynamoDB_20120810.Echo\r\n"
	f := start(t, func(o *Options) { o.Limits.MaxBodyBytes = 1 << 20 }, open)
	for _, c := range []struct {
		name, raw string
		status    int
		text      string
		closed    bool
	}{
		{"garbage", "\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400, "not valid HTTP", true},
		{"redis", "*1\r\n$4\r\nPING\r\n\r\n", 400, "not valid HTTP", true},
		{"http/2, but not its preface", "PRI * HTTP/2.0\r\n\r\nSN\r\n\r\n", 505, "version", true},
		{"http/9.9", "GET / HTTP/9.9\r\nHost: h\r\n\r\n", 505, "version", true},
		{"no host", "POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 400, "Host header is missing", true},
		{"two hosts", "POST / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "Host is given more than once", true},
		{"two hosts, one empty", "POST / HTTP/1.1\r\nHost:\r\nHost: b\r\n\r\n", 400, "Host is given more than once", true},
		{"two targets, one empty", post + "X-Amz-Target:\r\n\r\n", 400, "X-Amz-Target is given more than once", true},
		{"no version", "GET /\r\nHost: h\r\n\r\n", 400, "request line is malformed", true},
		{"chunked, but of http/1.0", strings.Replace(post, "1.1", "1.0", 1) + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "not of HTTP/1.0", true},
		{"two empty lines", "\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", 400, "request line is malformed", true},
		{"empty length", post + "Content-Length:\r\n\r\n", 400, "Content-Length is malformed", true},
		{"length in hexadecimal", post + "Content-Length: 0x5\r\n\r\nhello", 400, "Content-Length is malformed", true},
		{"zero byte", post + "X: a\x00b\r\n\r\n", 400, "control character", true},
		{"absolute target", "POST http://h/ HTTP/1.1\r\nHost: h\r\n\r\n", 400, "target is malformed", true},
		{"space in target", "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", 400, "target is malformed", true},
		{"fragment", "GET /#a HTTP/1.1\r\nHost: h\r\n\r\n", 400, "target is malformed", true},
		{"huge header", "GET / HTTP/1.1\r\nHost: h\r\nX: " + strings.Repeat("x", 17<<10) + "\r\n\r\n", 431, "16 KiB", true},
		{"huge target", "GET /" + strings.Repeat("x", 17<<10) + " HTTP/1.1\r\nHost: h\r\n\r\n", 431, "16 KiB", true},
		{"many headers", "GET / HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("A: b\r\n", 300) + "\r\n", 400, "too many header lines", true},
		{"bare line feed", "POST / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n", 400, "CRLF", true},
		{"folded header", "POST / HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n", 400, "not valid HTTP", true},
		{"space before colon", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length : 5\r\n\r\nhello", 400, "not valid HTTP", true},
		{"length and chunked", post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "both Content-Length and Transfer-Encoding", true},
		{"chunked and length", post + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400, "both Content-Length and Transfer-Encoding", true},
		{"two lengths", post + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400, "not valid HTTP", true},
		{"chunked twice", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "more than once", true},
		{"gzip, chunked", post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400, "not valid HTTP", true},
		{"identity", post + "Transfer-Encoding: identity\r\n\r\n", 400, "Transfer-Encoding is not supported", true},
		{"negative length", post + "Content-Length: -5\r\n\r\n", 400, "not valid HTTP", true},
		{"length with sign", post + "Content-Length: +5\r\n\r\nhello", 400, "not valid HTTP", true},
		{"broken chunk size", post + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n", 400, "not in the form", true},
		{"space after chunk size", post + "Transfer-Encoding: chunked\r\n\r\n3 ;a=b\r\nabc\r\n0\r\n\r\n", 400, "not in the form", true},
		{"bare line feed after chunk size", post + "Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n", 400, "not in the form", true},
		{"long chunk extension", post + "Transfer-Encoding: chunked\r\n\r\n3;" + strings.Repeat("x", 300) + "\r\nabc\r\n0\r\n\r\n", 400, "not in the form", true},
		{"broken trailer", post + "Transfer-Encoding: chunked\r\n\r\n0\r\nGET / HTTP/1.1\r\n\r\n", 400, "not in the form", true},
		{"long trailer", post + "Transfer-Encoding: chunked\r\n\r\n0\r\n" + strings.Repeat("X: y\r\n", 65) + "\r\n", 400, "not in the form", true},
		{"broken chunk end", post + "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n", 400, "not in the form", true},
		{"huge chunk size", post + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", 400, "not in the form", true},
		{"large, declared", post + "Content-Length: 1048577\r\n\r\n" + strings.Repeat("x", 1048577), 413, "larger", true},
		{"large, declared, not sent", post + "Content-Length: 1048577\r\n\r\n", 413, "larger", true},
		{"large, expecting to go on", post + "Content-Length: 1048577\r\nExpect: 100-continue\r\n\r\n", 413, "larger", true},
		{"huge, expecting to go on", post + "Content-Length: 99999999999\r\nExpect: 100-continue\r\n\r\n", 413, "larger", true},
		{"large, chunked", post + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("10000\r\n"+strings.Repeat("x", 0x10000)+"\r\n", 20) + "0\r\n\r\n", 413, "larger", true},
		{"compressed", post + "Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx", 415, "without Content-Encoding", true},
		{"get with target", "GET / HTTP/1.1\r\nHost: h\r\nX-Amz-Target: DynamoDB_20120810.Echo\r\n\r\n", 400, "UnknownOperationException", false},
		{"put", "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx", 400, "UnknownOperationException", true},
		{"no dot", "POST / HTTP/1.1\r\nHost: h\r\nX-Amz-Target: Echo\r\nContent-Length: 0\r\n\r\n", 400, "UnknownOperationException", false},
		{"unknown service", "POST / HTTP/1.1\r\nHost: h\r\nX-Amz-Target: Nobody_2000.Echo\r\nContent-Length: 0\r\n\r\n", 400, "UnknownOperationException", false},
		{"two targets", post + "X-Amz-Target: DynamoDB_20120810.Other\r\n\r\n", 400, "X-Amz-Target is given more than once", true},
		{"unknown type", "POST / HTTP/1.1\r\nHost: h\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n", 400, "UnknownOperationException", false},
		{"no action", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 400, "<Code>MissingAction</Code>", false},
		{"bad escape", "GET /?Action=%4 HTTP/1.1\r\nHost: h\r\n\r\n", 400, "<Code>MalformedQueryString</Code>", false},
		{"other version", "GET /?Action=GetCallerIdentity&Version=2011-06-15 HTTP/1.1\r\nHost: h\r\n\r\n", 400, "Could not find operation GetCallerIdentity for version 2011-06-15", false},
		{"half a signature", post + "Authorization: AWS4-HMAC-SHA256 Credential=a\r\nContent-Length: 0\r\n\r\n", 400, "IncompleteSignatureException", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, body, closed := f.send(t, c.raw)
			if status != c.status || !strings.Contains(body, c.text) || closed != c.closed {
				t.Errorf("got %d %q close=%v; want %d %q close=%v", status, body, closed, c.status, c.text, c.closed)
			}
		})
	}
	if n := f.dynamo.count() + f.sqs.count(); n != 0 {
		t.Errorf("doors were called %d times", n)
	}
	if status, body, _ := f.send(t, echo("fine")); status != 200 || body != "fine" {
		t.Errorf("afterwards: %d %q", status, body)
	}
	if n := f.Stats().BodyBytesInUse; n != 0 {
		t.Errorf("%d bytes of bodies are still held", n)
	}
}

func TestForms(t *testing.T) {
	f := start(t, nil, open)
	form := "Action=SendMessage&Version=2012-11-05&MessageBody=a+b%26%C3%A4&Attribute.1.Name=x&Attribute.1.Name=y"
	post := fmt.Sprintf("POST /000000000000/q?Extra=1 HTTP/1.1\r\nHost: sqs.local:4566\r\nContent-Type: application/x-www-form-urlencoded; charset=utf-8\r\n"+
		"Content-Length: %d\r\n\r\n%s", len(form), form)
	get := "GET /000000000000/q?Extra=1&" + form + " HTTP/1.1\r\nHost: sqs.local:4566\r\n\r\n"
	for _, raw := range []string{post, get} {
		if status, body, _ := f.send(t, raw); status != 200 {
			t.Fatalf("%d %s", status, body)
		}
		got := f.sqs.last(t)
		want := "[{Attribute.1.Name y} {Extra 1} {MessageBody a b&ä}]"
		if got.operation != "SendMessage" || got.protocol != awsapi.Query || got.path != "/000000000000/q" || got.host != "sqs.local:4566" || fmt.Sprint(got.form) != want {
			t.Errorf("%+v", got)
		}
	}
	if status, body, _ := f.send(t, "GET /?Action=Panic HTTP/1.1\r\nHost: h\r\n\r\n"); status != 500 || !strings.Contains(body, "<Code>InternalFailure</Code>") {
		t.Errorf("%d %s", status, body)
	}
}

func TestChunkedPipelinedAndOldHTTP(t *testing.T) {
	f := start(t, nil, open)
	chunked := "POST / HTTP/1.1\r\nhost: h\r\nx-amz-target: DynamoDB_20120810.Echo\r\ntransfer-encoding: chunked\r\n\r\n" +
		"3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nX-T: x\r\n\r\n"
	c, r := f.dial(t)
	if _, err := io.WriteString(c, chunked+echo("second")+echo("")+chunked); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"abcde", "second", "", "abcde"} {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(i, err)
		}
		if got, _ := io.ReadAll(resp.Body); string(got) != want {
			t.Errorf("answer %d is %q", i, got)
		}
	}
	status, body, closed := f.send(t, strings.Replace(echo("old"), "HTTP/1.1", "HTTP/1.0", 1))
	if status != 200 || body != "old" || !closed {
		t.Errorf("HTTP/1.0: %d %q close=%v", status, body, closed)
	}
	status, body, closed = f.send(t, strings.Replace(echo("bye"), "Host", "Connection: close\r\nHost", 1))
	if status != 200 || body != "bye" || !closed {
		t.Errorf("close: %d %q close=%v", status, body, closed)
	}
	// A GET's body is not the next request.
	smuggled := "GET /healthz HTTP/1.1\r\nHost: h\r\nContent-Length: " + fmt.Sprint(len(echo("x"))) + "\r\n\r\n" + echo("x")
	before := f.dynamo.count()
	if status, _, closed := f.send(t, smuggled); status != 200 || !closed {
		t.Errorf("GET with a body: %d close=%v", status, closed)
	}
	if f.dynamo.count() != before {
		t.Error("a GET's body was taken for a request")
	}
}

func TestExpectContinue(t *testing.T) {
	f := start(t, nil, open)
	c, r := f.dial(t)
	head, body, _ := strings.Cut(echo("hello"), "\r\n\r\n")
	if _, err := io.WriteString(c, head+"\r\nExpect: 100-continue\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := r.ReadString('\n'); err != nil || !strings.Contains(line, "100") {
		t.Fatalf("%q, %v", line, err)
	}
	_, _ = r.ReadString('\n')
	if _, err := io.WriteString(c, body); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := io.ReadAll(resp.Body); string(got) != "hello" {
		t.Errorf("%q", got)
	}
}

func TestPanic(t *testing.T) {
	var logged lockedBuffer
	f := start(t, func(o *Options) { o.Log = slog.New(slog.NewTextHandler(&logged, nil)) }, open)
	for range 5 {
		status, body, closed := f.send(t, request("Panic", "{}"))
		if status != 500 || !strings.Contains(body, "InternalFailure") || closed {
			t.Errorf("%d %q close=%v", status, body, closed)
		}
	}
	text := logged.String()
	if n := strings.Count(text, "stack="); n != 1 || !strings.Contains(text, "front_test.go") {
		t.Errorf("%d stacks in the log:\n%s", n, text)
	}
	if n := strings.Count(text, "about to panic"); n != strings.Count(text, "about to panic\" request=") || n != 5 {
		t.Errorf("the door's log lacks the request's id:\n%s", text)
	}
	if status, body, _ := f.send(t, echo("fine")); status != 200 || body != "fine" || f.Stats().Panics != 5 {
		t.Errorf("afterwards: %d %q %+v", status, body, f.Stats())
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestHealth(t *testing.T) {
	var health error
	var mu sync.Mutex
	f := start(t, func(o *Options) {
		o.Health = func() error { mu.Lock(); defer mu.Unlock(); return health }
	}, nil) // keys mode: the health check needs none
	const get = "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"
	if status, body, _ := f.send(t, get); status != 200 || body != "ok\n" {
		t.Errorf("%d %q", status, body)
	}
	mu.Lock()
	health = fmt.Errorf("the disk is full")
	mu.Unlock()
	if status, body, _ := f.send(t, get); status != 503 || body != "the disk is full\n" {
		t.Errorf("%d %q", status, body)
	}
	if status, _, _ := f.send(t, "POST /healthz HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"); status != 405 {
		t.Errorf("POST: %d", status)
	}
}
