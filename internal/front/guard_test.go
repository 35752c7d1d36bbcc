package front

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"math/big"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"weir.dev/weir/internal/auth"
	"weir.dev/weir/internal/sockets"
)

const testSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

func withKey(c *auth.Config) {
	c.Keys = auth.NewKeys()
	if err := c.Keys.Add("AKIDEXAMPLE", testSecret, "alice"); err != nil {
		panic(err)
	}
}

func signedRequest(t testing.TB, url, operation, service, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequest("POST", url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	target := map[string]string{"dynamodb": "DynamoDB_20120810.", "sqs": "AmazonSQS."}[service]
	r.Header.Set("X-Amz-Target", target+operation)
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	r.Header.Set("Amz-Sdk-Invocation-Id", "11111111-2222-3333-4444-555555555555")
	r.Header.Set("Amz-Sdk-Request", "attempt=2; max=3")
	sum := sha256.Sum256([]byte(body))
	creds := aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: testSecret}
	if err := v4.NewSigner().SignHTTP(context.Background(), creds, r, hex.EncodeToString(sum[:]), service, "eu-west-1", time.Now()); err != nil {
		t.Fatal(err)
	}
	return r
}

func do(t testing.TB, client *http.Client, r *http.Request) (int, string) {
	t.Helper()
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

func TestSignatures(t *testing.T) {
	f := start(t, nil, withKey)
	url := "http://" + f.addr + "/"
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	defer client.CloseIdleConnections()
	if status, body := do(t, client, signedRequest(t, url, "Echo", "dynamodb", "{}")); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	first := f.dynamo.last(t)
	if first.principal != "alice" || first.region != "eu-west-1" || first.attempt != 2 || first.host != f.addr {
		t.Errorf("%+v", first)
	}
	// The same id names the same call only for the same operation and body.
	for _, c := range []struct {
		operation, body string
		same            bool
	}{{"Echo", "{}", true}, {"Other", "{}", false}, {"Echo", "{ }", false}} {
		do(t, client, signedRequest(t, url, c.operation, "dynamodb", c.body))
		if got := f.dynamo.last(t).invocation; (got == first.invocation) != c.same {
			t.Errorf("%s %s: invocation %s, the first was %s", c.operation, c.body, got, first.invocation)
		}
	}
	before := f.dynamo.count() + f.sqs.count()
	for _, c := range []struct {
		name   string
		change func(*http.Request)
		sqs    bool
		status int
		text   string
	}{
		{"tampered", func(r *http.Request) { r.Header.Set("X-Amz-Target", "DynamoDB_20120810.DeleteTable") }, false, 400, "coral.service#InvalidSignatureException"},
		{"wrong service", func(r *http.Request) { r.Header.Set("X-Amz-Target", "AmazonSQS.Echo") }, false, 403, "correct service: 'sqs'"},
		{"unsigned", func(r *http.Request) { r.Header.Del("Authorization") }, false, 400, "MissingAuthenticationTokenException"},
		{"unsigned sqs", func(r *http.Request) { r.Header.Del("Authorization") }, true, 403, "MissingAuthenticationTokenException"},
		{"unknown key", func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "AKIDEXAMPLE", "AKIDOTHER", 1))
		}, false, 400, "UnrecognizedClientException"},
	} {
		service := "dynamodb"
		if c.sqs {
			service = "sqs"
		}
		r := signedRequest(t, url, "Echo", service, "{}")
		c.change(r)
		if status, body := do(t, client, r); status != c.status || !strings.Contains(body, c.text) {
			t.Errorf("%s: %d %s", c.name, status, body)
		}
	}
	form := "GET /?Action=ListQueues HTTP/1.1\r\nHost: h\r\n\r\n"
	if status, body, _ := f.send(t, form); status != 403 || !strings.Contains(body, "<Code>MissingAuthenticationToken</Code>") {
		t.Errorf("unsigned form: %d %s", status, body)
	}
	if n := f.dynamo.count() + f.sqs.count(); n != before {
		t.Errorf("doors were called %d times", n-before)
	}
	if n := f.Stats().RefusedAuth; n != 6 {
		t.Errorf("%d refusals counted", n)
	}
}

func TestLocalOnly(t *testing.T) {
	f := start(t, func(o *Options) { o.LocalOnly = true }, open)
	for host, ok := range map[string]bool{
		"localhost:4566": true, "127.0.0.1:4566": true, "[::1]:4566": true, "weir": true, "a.localhost": true, "host.docker.internal:4566": true,
		"evil.example.com": false, "evil.example.com:4566": false, "localhost.evil.com": false, "127.0.0.1.nip.io": false,
	} {
		status, body, _ := f.send(t, "GET /?Action=Echo HTTP/1.1\r\nHost: "+host+"\r\n\r\n")
		if (status == 200) != ok {
			t.Errorf("%s: %d %s", host, status, body)
		}
	}
	for _, header := range []string{"Origin: http://evil.example.com", "Origin: null", "Sec-Fetch-Site: cross-site"} {
		if status, body, _ := f.send(t, "GET /?Action=Echo HTTP/1.1\r\nHost: localhost\r\n"+header+"\r\n\r\n"); status != 400 || !strings.Contains(body, "AccessDenied") {
			t.Errorf("%s: %d %s", header, status, body)
		}
	}
}

func TestCheckOpen(t *testing.T) {
	for _, c := range []struct {
		addrs          []string
		keys, insecure bool
		ok             bool
	}{
		{[]string{"127.0.0.1:4566", "localhost:4580", "[::1]:6379", "127.9.9.9:1", "[::ffff:127.0.0.1]:1"}, false, false, true},
		{[]string{"127.0.0.1:4566", "0.0.0.0:6379"}, false, false, false},
		{[]string{":4566"}, false, false, false},
		{[]string{"[::]:4566"}, false, false, false},
		{[]string{"10.0.0.1:4566"}, false, false, false},
		{[]string{"example.com:4566"}, false, false, false},
		{[]string{":4566"}, true, false, true},
		{[]string{":4566"}, false, true, true},
	} {
		err := CheckOpen(c.addrs, c.keys, c.insecure)
		if (err == nil) != c.ok || (err != nil && strings.Contains(err.Error(), "\n")) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// certificate is a server's TLS for 127.0.0.1, and the roots that trust it.
func certificate(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(nil, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: private}}}, roots
}

func TestTLS(t *testing.T) {
	secure, roots := certificate(t)
	f := start(t, func(o *Options) { o.TLS = secure }, withKey)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableCompression: true}}
	defer client.CloseIdleConnections()
	for range 3 {
		body := strings.Repeat("x", 100_000)
		if status, got := do(t, client, signedRequest(t, "https://"+f.addr+"/", "Echo", "dynamodb", body)); status != 200 || got != body {
			t.Fatalf("%d, %d bytes", status, len(got))
		}
	}
	if got := f.dynamo.last(t); got.scheme != "https" || got.principal != "alice" {
		t.Errorf("%+v", got)
	}
}

func TestConnectionLimits(t *testing.T) {
	f := start(t, func(o *Options) { o.Limits.MaxConnsPerAddress = 3 }, open)
	var held []net.Conn
	for range 3 {
		c, r := f.dial(t)
		io.WriteString(c, echo("x"))
		if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != 200 {
			t.Fatal(err)
		}
		held = append(held, c)
	}
	c, r := f.dial(t)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != 503 {
		t.Fatalf("%v, %v", resp, err)
	}
	if body, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(body), "limit of connections") {
		t.Errorf("%q, %v", body, err)
	}
	c.Close()
	held[0].Close()
	for deadline := time.Now().Add(10 * time.Second); f.Stats().Connections > 2; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("a closed connection is still counted")
		}
	}
	if status, _, _ := f.send(t, echo("x")); status != 200 {
		t.Errorf("after one has left: %d", status)
	}
	if f.Stats().RefusedConns != 1 {
		t.Errorf("%+v", f.Stats())
	}
}

// TestSlowClientsHoldLittle: what clients declare costs nothing until they send it.
func TestSlowClientsHoldLittle(t *testing.T) {
	f := start(t, nil, open)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	const clients = 200
	for i := range clients {
		c, _ := f.dial(t)
		length := "Content-Length: 16777216"
		body := strings.Repeat("x", prefetched+1000)
		if i%2 == 1 {
			length, body = "Transfer-Encoding: chunked", "fffff0\r\n"+body
		}
		if _, err := io.WriteString(c, strings.Replace(echo(""), "Content-Length: 0", length, 1)+body); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(10 * time.Second); f.Stats().BodyBytesInUse < clients*prefetched; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%+v", f.Stats())
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > clients*100<<10 {
		t.Errorf("%d clients hold %d KiB", clients, grown>>10)
	}
	if n := f.Stats().BodyBytesInUse; n > clients*40<<10 {
		t.Errorf("%d bytes of bodies", n)
	}
	if status, body, _ := f.send(t, echo("fine")); status != 200 || body != "fine" {
		t.Errorf("another client gets %d %q", status, body)
	}
}

// TestIdleClientsHoldLittle: a connection that waits for its next request holds
// no buffer, whatever it has sent and been sent.
func TestIdleClientsHoldLittle(t *testing.T) {
	f := start(t, nil, open)
	const clients = 300
	held := func() int64 {
		var m runtime.MemStats
		for range 3 { // what pools keep goes with the second
			runtime.GC()
		}
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before, quick := held(), true
	for range clients {
		c, r := f.dial(t)
		quick = sockets.Quick(c) != c
		if _, err := io.WriteString(c, padded(echo("x"), 10_000)); err != nil {
			t.Fatal(err)
		}
		if got := answers(t, r, 1); got[0] != "x" {
			t.Fatal(got)
		}
	}
	limit := int64(4 << 10)
	if !quick {
		limit += inputBytes
	}
	for deadline := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
		each := (held() - before) / clients
		if each <= limit {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("an idle connection holds %d bytes", each)
		}
	}
}

func TestBodyMemoryIsBounded(t *testing.T) {
	f := start(t, func(o *Options) { o.Limits.MaxBodyMemory = 1 << 20 }, open)
	if status, body, closed := f.send(t, echo(strings.Repeat("x", 3<<20))); status != 503 || !strings.Contains(body, "ThrottlingException") || !closed {
		t.Errorf("%d %s", status, body)
	}
	if status, _, _ := f.send(t, echo(strings.Repeat("x", 500<<10))); status != 200 {
		t.Errorf("%d", status)
	}
	if n := f.Stats().BodyBytesInUse; n != 0 {
		t.Errorf("%d bytes are still held", n)
	}
}

// TestRandomJunk mutates requests, ten thousand of them, and wants the server to
// answer or hang up each time and to be well afterwards.
func TestRandomJunk(t *testing.T) {
	f := start(t, func(o *Options) {
		o.Limits.HeaderTimeout = 20 * time.Millisecond
		o.Limits.BodyTimeout = 20 * time.Millisecond
	}, open)
	seeds := []string{echo("hello"), "GET /?Action=Echo&A=b%20c HTTP/1.1\r\nHost: h\r\n\r\n",
		strings.Replace(echo(""), "Content-Length: 0", "Transfer-Encoding: chunked", 1) + "3\r\nabc\r\n0\r\n\r\n"}
	rng := rand.New(rand.NewPCG(7, 7))
	sent := 0
	for sent < 10_000 {
		c, err := net.Dial("tcp", f.addr)
		if err != nil {
			t.Fatal(err)
		}
		var raw bytes.Buffer
		for range 100 {
			raw.Write(mutate(rng, []byte(seeds[rng.IntN(len(seeds))])))
			sent++
		}
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = c.Write(raw.Bytes())
		_ = c.(*net.TCPConn).CloseWrite()
		if _, err := io.Copy(io.Discard, c); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Fatal("the server neither answers nor hangs up")
		}
		c.Close()
	}
	if status, body, _ := f.send(t, echo("fine")); status != 200 || body != "fine" || f.Stats().Panics != 0 {
		t.Errorf("%d %q %+v", status, body, f.Stats())
	}
}

func mutate(rng *rand.Rand, b []byte) []byte {
	if rng.IntN(3) == 0 {
		return b // so that some get through
	}
	for range 1 + rng.IntN(3) {
		at := rng.IntN(len(b))
		switch rng.IntN(4) {
		case 0:
			b[at] = byte(rng.IntN(256))
		case 1:
			b = append(b[:at], b[at+1:]...)
		case 2:
			b = append(b[:at], append([]byte{"\r\n: \t,;=%&0f"[rng.IntN(12)]}, b[at:]...)...)
		case 3:
			b = append(b, b[at:]...)
		}
	}
	return b
}

func FuzzHead(f *testing.F) {
	f.Add([]byte("Host: h\r\nContent-Length: 3\r\nX-Amz-Target: a.b\r\n\r\n"))
	f.Add([]byte("Host: h\r\nTransfer-Encoding: chunked\r\nOrigin:\r\n"))
	f.Add([]byte("host : h\r\n x: y\n\r\n:\r\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var h head
		p := headParser{head: &h}
		done, bad := p.parse(append([]byte("POST / HTTP/1.1\r\n"), raw...))
		if !done || bad != nil {
			return
		}
		hosts := 0
		for _, line := range p.lines {
			if line.Is("host") {
				hosts++
			}
			if len(line.Name) == 0 || bytes.ContainsAny(line.Name, " \t\r\n:") || bytes.ContainsAny(line.Value, "\r\n\x00") {
				t.Fatalf("accepted %q: %q", line.Name, line.Value)
			}
		}
		if hosts != 1 || (h.contentLength != nil && h.transferEncoding != nil) {
			t.Fatalf("accepted %q", raw)
		}
	})
}

func FuzzForm(f *testing.F) {
	f.Add("a=b&c=%20+d&&=x&e")
	f.Add("%4&%zz=%")
	f.Fuzz(func(t *testing.T, text string) {
		pairs, ok := appendForm(nil, text)
		if len(pairs) > maxFormParams || (ok && len(pairs) > strings.Count(text, "&")+1) {
			t.Fatal(len(pairs))
		}
		path, _, ok := splitURI([]byte(text))
		if ok && (len(path) == 0 || path[0] != '/') {
			t.Fatalf("%q", path)
		}
		_ = fmt.Sprint(parseAttempt([]byte(text)), isLocalHost([]byte(text)))
	})
}
