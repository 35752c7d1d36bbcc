package front

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"weir.dev/weir/internal/auth"
	"weir.dev/weir/internal/awsapi"
)

// emptyDoor answers with nothing, as fast as can be.
type emptyDoor struct{}

func (emptyDoor) Target() string { return "DynamoDB_20120810" }

func (emptyDoor) Handle(_ context.Context, r *awsapi.Request) *awsapi.Response {
	resp := awsapi.NewResponse(r.Protocol)
	resp.Body = append(resp.Body, "{}"...)
	return resp
}

// benchHead is the head of a 250-byte POST as an SDK sends it; the signer adds
// its two lines.
func benchHead(size int) []auth.Header {
	var headers []auth.Header
	for _, line := range []string{"Host: localhost:4566", "Content-Length: " + strconv.Itoa(size), "X-Amz-Target: DynamoDB_20120810.PutItem",
		"Content-Type: application/x-amz-json-1.0", "Amz-Sdk-Invocation-Id: 11111111-2222-3333-4444-555555555555", "Amz-Sdk-Request: attempt=1; max=3"} {
		name, value, _ := strings.Cut(line, ": ")
		headers = append(headers, auth.Header{Name: []byte(name), Value: []byte(value)})
	}
	return headers
}

func benchRequest(signed bool) []byte {
	body := []byte(`{"TableName":"bench","Item":{"id":{"S":"0123456789"},"v":{"S":"` + strings.Repeat("x", 180) + `"}}}`)
	r := &auth.Request{Method: []byte("POST"), Path: []byte("/"), Body: body, Headers: benchHead(len(body))}
	raw := []byte("POST / HTTP/1.1\r\n")
	for _, h := range r.Headers {
		raw = fmt.Appendf(raw, "%s: %s\r\n", h.Name, h.Value)
	}
	if signed {
		raw = auth.NewSigner("AKIDEXAMPLE", testSecret, "us-east-1", "dynamodb").Sign(raw, r, time.Now())
	}
	return append(append(raw, "\r\n"...), body...)
}

// benchServe sends the same request over and over on conns connections.
func benchServe(b *testing.B, conns int, config func(*auth.Config), signed bool) {
	s, _, _ := newServer(func(o *Options) { o.Doors = []awsapi.Door{emptyDoor{}} }, config)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go s.Serve(ln)
	defer s.Shutdown(context.Background())
	raw := benchRequest(signed)
	var left atomic.Int64
	left.Store(int64(b.N))
	var clients sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for range conns {
		clients.Go(func() {
			c, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				b.Error(err)
				return
			}
			defer c.Close()
			r := bufio.NewReader(c)
			size := 0
			for left.Add(-1) >= 0 {
				if _, err := c.Write(raw); err != nil {
					b.Error(err)
					return
				}
				if size == 0 { // learn how long an answer is
					resp, err := http.ReadResponse(r, nil)
					if err != nil || resp.StatusCode != 200 {
						b.Error(resp, err)
						return
					}
					head := 0
					resp.Header.Set("Content-Length", "2")
					for name, values := range resp.Header {
						head += len(name) + len(values[0]) + 4
					}
					size = len("HTTP/1.1 200 OK\r\n\r\n{}") + head
					_, _ = io.ReadAll(resp.Body)
					continue
				}
				if _, err := r.Discard(size); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	clients.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
}

func BenchmarkEmpty(b *testing.B)        { benchServe(b, 1, open, false) }
func BenchmarkEmpty64(b *testing.B)      { benchServe(b, 64, open, false) }
func BenchmarkSigV4(b *testing.B)        { benchServe(b, 1, withKey, true) }
func BenchmarkSigV464(b *testing.B)      { benchServe(b, 64, withKey, true) }
func BenchmarkOpenSigned64(b *testing.B) { benchServe(b, 64, open, true) }
