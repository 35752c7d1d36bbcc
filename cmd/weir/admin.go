package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"weir.dev/weir/internal/auth"
)

// adminTimeout bounds one request to a node's admin listener.
const adminTimeout = 30 * time.Second

// adminFlag adds the flag that says which node to ask.
func adminFlag(fs *flag.FlagSet) *string {
	addr := os.Getenv("WEIR_CONSOLE")
	if addr == "" {
		addr = "127.0.0.1:4580"
	}
	return fs.String("console", addr, "`HOST:PORT` of a node's console listener; also WEIR_CONSOLE")
}

// admin asks a node's admin API and decodes the answer into result, unless
// that is nil. Requests are signed when AWS_ACCESS_KEY_ID and
// AWS_SECRET_ACCESS_KEY are set.
func admin(addr, method, path string, request, result any) error {
	var body []byte
	if request != nil {
		var err error
		if body, err = json.Marshal(request); err != nil {
			return err
		}
	}
	req, err := http.NewRequest(method, "http://"+addr+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("cannot ask %s: %w", addr, err)
	}
	req.Header.Set("Content-Type", "application/json")
	signAdmin(req, body)
	resp, err := (&http.Client{Timeout: adminTimeout}).Do(req)
	if err != nil {
		return fmt.Errorf("cannot ask the node at %s: %w; is it running, and is --console right?", addr, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("cannot read the answer of %s: %w", addr, err)
	}
	if resp.StatusCode != http.StatusOK {
		var failed struct{ Error string }
		if json.Unmarshal(answer, &failed) != nil || failed.Error == "" {
			failed.Error = resp.Status
		}
		return fmt.Errorf("%s", failed.Error)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(answer, result)
}

// signAdmin signs a request with the keys of the environment, if there are any.
func signAdmin(req *http.Request, body []byte) {
	id, secret := os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY")
	if id == "" || secret == "" {
		return
	}
	r := auth.Request{Method: []byte(req.Method), Path: []byte(req.URL.EscapedPath()), Query: []byte(req.URL.RawQuery), Body: body}
	r.Headers = append(r.Headers, auth.Header{Name: []byte("Host"), Value: []byte(req.URL.Host)})
	lines := auth.NewSigner(id, secret, "us-east-1", "weir").Sign(nil, &r, time.Now())
	for line := range strings.SplitSeq(strings.TrimSpace(string(lines)), "\r\n") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			req.Header.Set(name, value)
		}
	}
}
