package console

import (
	"strings"
	"testing"
)

func TestReplicationEndpoints(t *testing.T) {
	h := newConsole(t, &node{}, nil)
	for _, c := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"GET", "/api/replication", "", 200, `[{"resource":"table:posts","level":"quorum"},{"resource":"queue:clicks","level":"quorum"}]`},
		{"GET", "/api/replication?resource=queue:clicks", "", 200, `[{"resource":"queue:clicks","level":"quorum"}]`},
		{"GET", "/api/replication?resource=queue:nobody", "", 404, "nobody not found"},
		{"GET", "/api/replication?resource=pipe:likes", "", 400, "say table:NAME, queue:NAME or stream:NAME"},
		{"GET", "/api/replication?resource=table:", "", 400, "say table:NAME"},
		{"POST", "/api/replication", `{"resource":"table:posts","level":"all"}`, 503, "no leader"}, // it got as far as the catalog
		{"POST", "/api/replication", `{"resource":"table:posts","level":"most"}`, 400, "async, quorum, all-if-up and all are"},
		{"POST", "/api/replication", `{"resource":"stream:posts","level":"all"}`, 404, "posts not found"},
		{"POST", "/api/replication", `{"resource":"posts","level":"all"}`, 400, "say table:NAME"},
		{"POST", "/api/replication", `[]`, 400, "malformed JSON"},
	} {
		w := ask(h, c.method, c.path, c.body)
		if w.Code != c.status || !strings.Contains(strings.ReplaceAll(w.Body.String(), `\"`, `"`), c.says) {
			t.Errorf("%s %s %s: %d %s, want %d with %q", c.method, c.path, c.body, w.Code, w.Body, c.status, c.says)
		}
	}
}
