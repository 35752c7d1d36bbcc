package clients

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"weir.dev/weir/test/process"
	"weir.dev/weir/weirtest/awsclient"
)

const (
	// rawTimeout bounds one exchange over a raw socket. The server's own patience
	// with slow clients is 5 s.
	rawTimeout = 20 * time.Second
	// maxRSS is what a node may hold after it was sent all this, in bytes.
	maxRSS = 400 << 20
)

// raw is a client that sends any bytes.
type raw struct {
	t    *testing.T
	addr string
}

func (r raw) dial() net.Conn {
	r.t.Helper()
	c, err := net.DialTimeout("tcp", r.addr, rawTimeout)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(rawTimeout)); err != nil {
		r.t.Fatal(err)
	}
	return c
}

// reply is what the server answered.
type reply struct {
	status int // 0: it closed the connection without a word
	header http.Header
	body   string
}

// send sends bytes on a connection of its own and reads one answer.
func (r raw) send(parts ...string) reply {
	r.t.Helper()
	c := r.dial()
	go func() {
		for _, p := range parts {
			if _, err := io.WriteString(c, p); err != nil {
				return // the server may answer and close before it has read everything
			}
		}
	}()
	return r.read(c)
}

func (r raw) read(c net.Conn) reply {
	r.t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			r.t.Errorf("no answer after %v", rawTimeout)
		}
		return reply{}
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		r.t.Errorf("cannot read the answer's body: %v", err)
	}
	return reply{resp.StatusCode, resp.Header, string(body)}
}

// dynamo is a request for DynamoDB with that body.
func dynamo(operation, body string, headers ...string) string {
	return fmt.Sprintf("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-amz-json-1.0\r\nX-Amz-Target: DynamoDB_20120810.%s\r\n%sContent-Length: %d\r\n\r\n%s",
		operation, strings.Join(headers, ""), len(body), body)
}

// wantReply requires a status, and an AWS error code unless that is "".
func (r raw) wantReply(what string, got reply, status int, code string) {
	r.t.Helper()
	var body struct {
		Type string `json:"__type"`
	}
	_ = json.Unmarshal([]byte(got.body), &body) // an answer that is no JSON has no code
	_, name, _ := strings.Cut(body.Type, "#")
	if got.status != status || code != "" && name != code {
		r.t.Errorf("%s: got status %d, %s, %.300s; want %d %s", what, got.status, body.Type, got.body, status, code)
	}
	if got.status != 0 && got.header.Get("X-Amzn-Requestid") == "" {
		r.t.Errorf("%s: the answer has no request id", what)
	}
}

// TestMisbehaving sends what no client should. After all of it the node serves
// as before and has not grown.
func TestMisbehaving(t *testing.T) {
	t.Parallel()
	node := process.Start(t, process.Options{})
	for name, test := range map[string]func(raw){
		"Bodies": badBodies, "JSON": badJSON, "Requests": badRequests, "Headers": badHeaders, "Slow": slowClients,
		"Forms": badForms, "Garbage": garbage, "Abandoned": abandoned,
	} {
		t.Run(name, func(t *testing.T) { test(raw{t, node.AWS()}) })
	}
	got := raw{t, node.AWS()}.send(dynamo("ListTables", "{}"))
	if got.status != http.StatusOK || !strings.Contains(got.body, "TableNames") {
		t.Errorf("afterwards ListTables answers %d %s", got.status, got.body)
	}
	rss := node.RSS()
	t.Logf("resident memory after all of it: %d MiB", rss>>20)
	if rss > maxRSS {
		t.Errorf("the node holds %d MiB, want at most %d", rss>>20, int64(maxRSS)>>20)
	}
	if strings.Contains(node.Log(), "panic") {
		t.Errorf("the node panicked:\n%s", node.LogTail(60))
	}
}

func badBodies(r raw) {
	head := "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-amz-json-1.0\r\nX-Amz-Target: DynamoDB_20120810.ListTables\r\n"
	first := strings.Repeat("x", 8<<10) // is read along with the head, before its length is looked at
	r.wantReply("a body of 17 MiB, declared", r.send(head+"Content-Length: 17825792\r\n\r\n", first), 413, "")
	r.wantReply("a body of an exabyte, declared", r.send(head+"Content-Length: 1152921504606846976\r\n\r\n", first), 413, "")
	mib := "100000\r\n" + strings.Repeat("x", 1<<20) + "\r\n"
	parts := []string{head + "Transfer-Encoding: chunked\r\n\r\n"}
	for range 17 {
		parts = append(parts, mib)
	}
	r.wantReply("a body of 17 MiB, in chunks", r.send(append(parts, "0\r\n\r\n")...), 413, "")
	r.wantReply("a chunk of 16 EiB, declared", r.send(head+"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx"), 400, "")
	r.wantReply("a chunk of 1 GiB, declared", r.send(head+"Transfer-Encoding: chunked\r\n\r\n40000000\r\n", mib[8:], strings.Repeat(mib, 16)), 413, "")
	r.wantReply("a chunk without a size", r.send(head+"Transfer-Encoding: chunked\r\n\r\nzz\r\nx\r\n"), 400, "")
	r.wantReply("a length that is none", r.send(head+"Content-Length: many\r\n\r\n"), 400, "")
	r.wantReply("a negative length", r.send(head+"Content-Length: -1\r\n\r\n"), 400, "")
	r.wantReply("a length and chunks", r.send(head+"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400, "")
	r.wantReply("two lengths", r.send(head+"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"), 400, "")
	r.wantReply("a compressed body", r.send(dynamo("ListTables", "{}", "Content-Encoding: gzip\r\n")), 415, "")
	// Many at once declare the most that is allowed and send nothing.
	var all sync.WaitGroup
	for range 100 {
		c := r.dial()
		all.Go(func() {
			_, _ = io.WriteString(c, head+"Content-Length: 16777216\r\n\r\n{") // it may be refused
			_ = c.Close()
		})
	}
	all.Wait()
}

func badJSON(r raw) {
	for what, body := range map[string]string{
		"nothing": "", "half an object": `{"TableName":`, "an array": "[]", "a string": `"x"`, "two objects": "{}{}", "no UTF-8": "{\"TableName\":\"\xff\"}",
		"a comment": "{/**/}", "a bare word": "{TableName: 1}", "half a surrogate": `{"TableName":"\ud800"}`, "a control character": "{\"TableName\":\"a\x01\"}",
		"100,000 brackets":    `{"TableName":` + strings.Repeat("[", 100000),
		"a number for a text": `{"TableName":5}`, "a text for an object": `{"TableName":"t","Key":"k"}`,
		"a list for an object": `{"TableName":"t","Key":[]}`, "a truth for a number": `{"TableName":"t","Key":{"a":{"N":true}}}`,
	} {
		r.wantReply(what, r.send(dynamo("GetItem", body)), 400, "SerializationException")
	}
	nested := strings.Repeat(`{"L":[`, 40) + `{"S":"x"}` + strings.Repeat("]}", 40)
	for what, body := range map[string]string{
		"an empty object": "{}", "a short name": `{"TableName":"t","Key":{"a":{"S":"b"}}}`, "no such type": `{"TableName":"ttt","Key":{"a":{"Q":"b"}}}`,
		"two types": `{"TableName":"ttt","Key":{"a":{"S":"b","N":"1"}}}`, "40 levels": `{"TableName":"ttt","Key":{"a":` + nested + `}}`,
		"5,000 lists":           `{"TableName":"t","Key":{"a":` + strings.Repeat(`{"L":[`, 5000),
		"5,000 unknown objects": `{"Nothing":` + strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000) + "}",
	} {
		r.wantReply(what, r.send(dynamo("GetItem", body)), 400, "ValidationException")
	}
	long := strings.Repeat("(", 3000) + "a = :a" + strings.Repeat(")", 3000)
	r.wantReply("a deep expression", r.send(dynamo("DeleteItem", `{"TableName":"ttt","Key":{"a":{"S":"b"}},"ConditionExpression":"`+long+`","ExpressionAttributeValues":{":a":{"S":"x"}}}`)), 400, "ValidationException")
}

func badRequests(r raw) {
	r.wantReply("no such operation", r.send(dynamo("EatItem", "{}")), 400, "UnknownOperationException")
	r.wantReply("an operation that is not served", r.send(dynamo("CreateBackup", "{}")), 400, "UnknownOperationException")
	r.wantReply("no such service", r.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-amz-json-1.1\r\nX-Amz-Target: Nothing_20200101.Do\r\nContent-Length: 2\r\n\r\n{}"), 400, "UnknownOperationException")
	r.wantReply("a page of a site", r.send("GET /index.html HTTP/1.1\r\nHost: localhost\r\n\r\n"), 400, "")
	r.wantReply("another method", r.send("DELETE / HTTP/1.1\r\nHost: localhost\r\n\r\n"), 400, "")
	r.wantReply("no host", r.send("POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n"), 400, "")
	r.wantReply("a foreign host", r.send("GET /?Action=ListQueues HTTP/1.1\r\nHost: rebound.example.com\r\n\r\n"), 400, "")
	r.wantReply("a web page's request", r.send(dynamo("ListTables", "{}", "Origin: https://example.com\r\n")), 400, "AccessDeniedException")
	// Many requests in one packet are answered in their order.
	c := r.dial()
	const pipelined = 50
	if _, err := io.WriteString(c, strings.Repeat(dynamo("ListTables", "{}"), pipelined)); err != nil {
		r.t.Fatal(err)
	}
	br := bufio.NewReader(c)
	for i := range pipelined {
		resp, err := http.ReadResponse(br, nil)
		if err != nil || resp.StatusCode != http.StatusOK {
			r.t.Fatalf("answer %d of %d pipelined requests: %v", i, pipelined, err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			r.t.Fatal(err)
		}
	}
}

func badHeaders(r raw) {
	r.wantReply("a header of 20 KiB", r.send(dynamo("ListTables", "{}", "X-Long: "+strings.Repeat("x", 20<<10)+"\r\n")), 431, "")
	r.wantReply("a URL of 20 KiB", r.send("GET /"+strings.Repeat("x", 20<<10)+" HTTP/1.1\r\nHost: localhost\r\n\r\n"), 431, "")
	r.wantReply("300 headers", r.send(dynamo("ListTables", "{}", strings.Repeat("X-A: b\r\n", 300))), 400, "")
	r.wantReply("a folded header", r.send(dynamo("ListTables", "{}", "X-A: b\r\n c\r\n")), 400, "")
	r.wantReply("a space before a colon", r.send(dynamo("ListTables", "{}", "X-A : b\r\n")), 400, "")
	r.wantReply("two targets", r.send(dynamo("ListTables", "{}", "X-Amz-Target: DynamoDB_20120810.DeleteTable\r\n")), 400, "")
}

// slowClients send their requests a byte at a time, or stop in between.
func slowClients(r raw) {
	var all sync.WaitGroup
	slow := func(what, first string, drip bool, wanted int) {
		c := r.dial()
		all.Go(func() {
			begun := time.Now()
			if _, err := io.WriteString(c, first); err != nil {
				r.t.Errorf("%s: %v", what, err)
			}
			stop := make(chan struct{})
			if drip {
				go func() {
					for tick := time.NewTicker(100 * time.Millisecond); ; {
						select {
						case <-tick.C:
							if _, err := io.WriteString(c, "x"); err != nil {
								tick.Stop()
								return
							}
						case <-stop:
							tick.Stop()
							return
						}
					}
				}()
			}
			got := r.read(c)
			close(stop)
			if took := time.Since(begun); got.status != wanted || took < 4*time.Second || took > 12*time.Second {
				r.t.Errorf("%s: answered %d after %v, want %d after 5 s", what, got.status, took.Round(time.Millisecond), wanted)
			}
		})
	}
	slow("a header that never ends", "POST / HTTP/1.1\r\nHost: localhost\r\nX-A: ", true, 408)
	slow("half a header", "POST / HTTP/1.1\r\nHost: local", false, 408)
	slow("a body that does not come", "POST / HTTP/1.1\r\nHost: localhost\r\nX-Amz-Target: DynamoDB_20120810.ListTables\r\nContent-Length: 100\r\n\r\n", false, 408)
	slow("nothing at all", "", false, 0)
	all.Wait()
}

func badForms(r raw) {
	form := func(body string) reply {
		return r.send(fmt.Sprintf("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
	}
	for what, want := range map[string]struct {
		body, code string
		status     int
	}{
		"no action":             {"Version=2012-11-05", "MissingAction", 400},
		"no such action":        {"Action=EatQueue", "InvalidAction", 400},
		"a broken escape":       {"Action=ListQueues&QueueNamePrefix=%zz", "", 400},
		"a wrong number":        {"Action=ListQueues&MaxResults=many", "", 400},
		"a queue that is not":   {"Action=GetQueueUrl&QueueName=nowhere", "AWS.SimpleQueueService.NonExistentQueue", 400},
		"a huge index":          {"Action=SendMessageBatch&QueueUrl=http://localhost/000000000000/q&SendMessageBatchRequestEntry.999999999.Id=a", "", 400},
		"too many parameters":   {"Action=ListQueues" + strings.Repeat("&a=b", 5000), "", 400},
		"a million separators":  {"Action=ListQueues" + strings.Repeat("&", 1<<20), "", 0},
		"an unknown parameter":  {"Action=ListQueues&Colour=red", "", 200},
		"a name without a pair": {"Action=ListQueues&x", "", 200},
	} {
		got := form(want.body)
		if want.status != 0 && got.status != want.status || want.code != "" && !strings.Contains(got.body, "<Code>"+want.code+"</Code>") {
			r.t.Errorf("%s: got %d %.300s; want %d %s", what, got.status, got.body, want.status, want.code)
		}
		if got.status >= 500 || got.status == 0 {
			r.t.Errorf("%s: got %d %.300s", what, got.status, got.body)
		}
	}
}

// garbage sends what is no HTTP at all.
func garbage(r raw) {
	for what, bytes := range map[string]string{
		"TLS": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "zeros": strings.Repeat("\x00", 4096) + "\r\n\r\n",
		"RESP": "*1\r\n$4\r\nPING\r\n\r\n", "HTTP/2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "an endless line": strings.Repeat("x", 64<<10),
	} {
		if got := r.send(bytes); got.status != 0 && got.status < 400 {
			r.t.Errorf("%s was answered with %d", what, got.status)
		}
	}
}

// abandoned long polls take no messages.
func abandoned(r raw) {
	q := queues{r.t, testContext(r.t), awsclient.SQS("http://" + r.addr)}
	url := q.make("abandoned", nil)
	body := fmt.Sprintf(`{"QueueUrl":%q,"WaitTimeSeconds":20}`, *url)
	for range 10 {
		c := r.dial()
		if _, err := fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-amz-json-1.0\r\nX-Amz-Target: AmazonSQS.ReceiveMessage\r\nContent-Length: %d\r\n\r\n%s", len(body), body); err != nil {
			r.t.Fatal(err)
		}
		time.AfterFunc(100*time.Millisecond, func() { _ = c.Close() })
	}
	if got := q.receive(url, 2); len(got) != 0 { // by then the server has seen that they are gone
		r.t.Fatalf("an empty queue gave %d messages", len(got))
	}
	q.send(url, "for somebody")
	want(r.t, "the message after ten clients went away", aws.ToString(q.receiveOne(url, 5).Body), "for somebody")
}

// TestKeys starts a node with access keys: what is not signed with one of them
// is refused, whichever way it is signed.
func TestKeys(t *testing.T) {
	t.Parallel()
	const id, secret = "AKIDWEIRTESTS", "a-secret-for-tests-0123456789"
	keys := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(keys, []byte(id+":"+secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	node := process.Start(t, process.Options{Args: []string{"--keys", keys}, AccessKey: id, Secret: secret})
	ctx, r := testContext(t), raw{t, node.AWS()}
	good := signed(node.Endpoint(), id, secret)
	must[*sqs.CreateQueueOutput](t)(good.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String("q")}))
	_, err := signed(node.Endpoint(), id, "wrong").ListQueues(ctx, &sqs.ListQueuesInput{})
	wantCode(t, err, "SignatureDoesNotMatch")
	_, err = signed(node.Endpoint(), "AKIDNOBODY", secret).ListQueues(ctx, &sqs.ListQueuesInput{})
	wantCode(t, err, "InvalidClientTokenId")
	r.wantReply("no signature", r.send(dynamo("ListTables", "{}")), 400, "MissingAuthenticationTokenException")
	for what, authorization := range map[string]string{
		"half a signature": "AWS4-HMAC-SHA256 Credential=a", "another scheme": "Basic YTpi", "an empty one": "",
		"a huge one": "AWS4-HMAC-SHA256 Credential=" + strings.Repeat("x/", 4000), "an old version": "AWS AKIDWEIRTESTS:c2lnbmF0dXJl",
	} {
		got := r.send(dynamo("ListTables", "{}", "Authorization: "+authorization+"\r\n"))
		if got.status != 400 && got.status != 403 {
			t.Errorf("%s: got %d %s", what, got.status, got.body)
		}
	}
	presigned(t, node, id, secret)
	if out := node.Weir("status"); out.Code != 0 {
		t.Errorf("weir status with the key: status %d: %s", out.Code, out.Stderr)
	}
	if out := process.Run(t, nil, "status", "--console", node.Console()); out.Code != 1 || !strings.Contains(out.Stderr, "weir: ") {
		t.Errorf("weir status without a key: status %d: %s%s", out.Code, out.Stdout, out.Stderr)
	}
	if strings.Contains(node.Log(), secret) {
		t.Error("the secret is in the log")
	}
}
