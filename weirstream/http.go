package weirstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"weir.dev/weir/internal/auth"
)

// errRefused marks an answer that the same request will get again.
var errRefused = errors.New("refused")

// maxAnswerBytes bounds an answer: 10 MiB of records in base64, and their keys.
const maxAnswerBytes = 64 << 20

// askTimeout bounds one request, which may wait for records.
const askTimeout = readWait + 15*time.Second

func (c *Consumer) path(what string) string { return "/api/streams/" + url.PathEscape(c.Stream) + what }

func (c *Consumer) consumerPath(what string) string {
	return c.path("/consumers/" + url.PathEscape(c.Name) + what)
}

// lease does one round: what this member holds is renewed, and its share
// taken.
func (c *Consumer) lease(ctx context.Context) (res leases, err error) {
	body := lease{Member: c.Member, LeaseMs: c.Lease.Milliseconds()}
	if !c.Start.IsZero() {
		body.Start, body.Time = "AT_TIMESTAMP", &c.Start
	}
	err = c.ask(ctx, "POST", c.consumerPath("/lease"), body, &res)
	return res, err
}

// ask sends a request to the node and decodes the answer into result, unless
// that is nil. Errors that are errRefused will not go away.
func (c *Consumer) ask(ctx context.Context, method, path string, request, result any) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	body, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+c.Addr+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	req.Header.Set("Content-Type", "application/json")
	c.sign(req, body)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("cannot ask the node at %s: %w", c.Addr, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes))
	if err != nil {
		return fmt.Errorf("cannot read the answer of %s: %w", c.Addr, err)
	}
	if resp.StatusCode != http.StatusOK {
		var failed struct{ Error string }
		if json.Unmarshal(answer, &failed) != nil || failed.Error == "" {
			failed.Error = resp.Status
		}
		if resp.StatusCode >= 500 {
			return errors.New(failed.Error)
		}
		return fmt.Errorf("%w: %s", errRefused, failed.Error)
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(answer, result); err != nil {
		return fmt.Errorf("cannot read the answer of %s: %w", c.Addr, err)
	}
	return nil
}

// sign signs a request, if there are keys.
func (c *Consumer) sign(req *http.Request, body []byte) {
	if c.AccessKey == "" || c.SecretKey == "" {
		return
	}
	r := auth.Request{Method: []byte(req.Method), Path: []byte(req.URL.EscapedPath()), Query: []byte(req.URL.RawQuery), Body: body}
	r.Headers = append(r.Headers, auth.Header{Name: []byte("Host"), Value: []byte(req.URL.Host)})
	lines := auth.NewSigner(c.AccessKey, c.SecretKey, "us-east-1", "weir").Sign(nil, &r, time.Now())
	for line := range strings.SplitSeq(strings.TrimSpace(string(lines)), "\r\n") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			req.Header.Set(name, value)
		}
	}
}
