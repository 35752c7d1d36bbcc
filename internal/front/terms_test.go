package front

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"weir.dev/weir/internal/awsapi"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/terms"
)

// termsDoor does what the operation's name says, and answers with the terms
// that it found.
type termsDoor struct{}

func (termsDoor) Target() string { return "AmazonSQS" }

func (termsDoor) Handle(ctx context.Context, r *awsapi.Request) *awsapi.Response {
	t := terms.Of(ctx)
	if strings.Contains(r.Operation, "Write") {
		t.Wrote(3, 9, model.LevelAll)
	}
	if strings.Contains(r.Operation, "Ship") {
		t.Shipped(2)
	}
	if strings.Contains(r.Operation, "Far") {
		t.ReadFromRegion(2500*time.Millisecond, 7)
	}
	if strings.Contains(r.Operation, "Read") {
		t.ReadAt(4, 7, 1500*time.Millisecond)
	}
	resp := awsapi.NewResponse(r.Protocol)
	resp.Body = fmt.Appendf(resp.Body, "%v %v %v %d", t.Asked(), t.Lag(), t.Least(3), t.Abroad())
	return resp
}

func TestTerms(t *testing.T) {
	f := start(t, func(o *Options) { o.Doors = []awsapi.Door{termsDoor{}} }, open)
	session := terms.Token{{Tablet: 3, Index: 8}}.String()
	after := terms.Token{{Tablet: 3, Index: 9}, {Tablet: 4, Index: 7}}.String()
	for _, c := range []struct {
		operation, headers string
		status             int
		body               string // or a part of it, of an error
		given              string // durability, lag, session, regions
	}{
		{"WriteRead", "", 200, "async 0s 0", ",,,"},
		{"WriteRead", "X-Weir-Durability: all\r\n", 200, "all 0s 0", "all,1500,,"},
		{"Write", "x-weir-durability: all-if-up\r\n", 200, "all-if-up 0s 0", "all,,,"},
		{"Write", "x-weir-durability: quorum\r\n", 200, "quorum 0s 0", "all,,,"},
		{"Read", "x-weir-max-lag-ms: 2000\r\n", 200, "async 2s 0", ",1500,,"},
		{"Echo", "x-weir-session: new\r\n", 200, "async 0s 0", ",,AQA,"},
		{"WriteRead", "x-weir-session: " + session + "\r\n", 200, "async 0s 8", "all,1500," + after + ","},
		{"Write", "x-weir-durability: most\r\n", 400, "must be async, quorum, all-if-up or all", ",,,"},
		{"Write", "x-weir-durability:\r\n", 200, "async 0s 0", ",,,"},
		{"Read", "x-weir-max-lag-ms: 0\r\n", 400, "whole number", ",,,"},
		{"Read", "x-weir-max-lag-ms: 1.5\r\n", 400, "whole number", ",,,"},
		{"Read", "x-weir-max-lag-ms: 86400001\r\n", 400, "whole number", ",,,"},
		{"Read", "x-weir-session: x\r\n", 400, "an earlier answer", ",,,"},
		{"Read", "x-weir-session: new\r\nx-weir-session: new\r\n", 400, "more than once", ",,,"},
		{"WriteShip", "x-weir-regions: 1\r\n", 200, "async 0s 0 1", "all,,,2"},
		{"WriteShip", "x-weir-durability: quorum\r\n", 200, "quorum 0s 0 0", "all,,,2"},
		{"ReadFar", "x-weir-session: new\r\n", 200, "async 0s 0 0", ",1500,AQEEBw,2500 7"},
		{"Write", "x-weir-regions: -1\r\n", 400, "from 0 to 100", ",,,"},
		{"Write", "x-weir-regions: 101\r\n", 400, "from 0 to 100", ",,,"},
	} {
		conn, r := f.dial(t)
		go fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: localhost\r\nX-Amz-Target: AmazonSQS.%s\r\nContent-Type: application/x-amz-json-1.0\r\n%sContent-Length: 0\r\n\r\n", c.operation, c.headers)
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		given := strings.Join([]string{resp.Header.Get(headerDurability), resp.Header.Get(headerLag), resp.Header.Get(headerSession), resp.Header.Get(headerRegions) + resp.Header.Get(headerRegionLag) + " " + resp.Header.Get(headerRegionChanges)}, ",")
		if err != nil || resp.StatusCode != c.status || !strings.Contains(string(body), c.body) || strings.TrimSpace(given) != c.given {
			t.Errorf("%s %q: %d %s, given %s, %v", c.operation, c.headers, resp.StatusCode, body, given, err)
		}
		conn.Close()
	}
}
