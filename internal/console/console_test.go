package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/cluster"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/pipe"
	"weir.dev/weir/internal/service"
)

// node is a fake Admin, and a cluster whose catalog is all there is: pipes that
// cannot be found, and a catalog that takes no changes.
type node struct {
	sick    error
	ttl     time.Duration
	asked   string // of the last change of a node or of the settings
	catalog *model.Catalog
}

func (n *node) Status(context.Context) *cluster.ClusterStatus {
	return &cluster.ClusterStatus{ClusterID: "c1", Asked: 7, Settings: model.ClusterSettings{RegionName: "east"}}
}
func (n *node) CreateToken(_ context.Context, ttl time.Duration) (string, error) {
	n.ttl = ttl
	return "the-token", n.sick
}
func (n *node) DrainNode(_ context.Context, id model.NodeID, drain, leave bool) error {
	n.asked = fmt.Sprintf("%v drain %v leave %v", id, drain, leave)
	return n.sick
}
func (n *node) InviteRegion(context.Context, string, time.Duration) (string, error) {
	return "", errors.ErrUnsupported
}

func (n *node) SetSettings(_ context.Context, s model.ClusterSettings) error {
	n.asked = fmt.Sprintf("%+v", s)
	return n.sick
}
func (n *node) TransferLeader(_ context.Context, id model.TabletID, to model.NodeID) error {
	n.asked = fmt.Sprintf("%v to %v", id, to)
	return n.sick
}
func (n *node) Healthy() error      { return n.sick }
func (n *node) Metrics(w io.Writer) { _, _ = io.WriteString(w, "weir_up 1\n") }

var errNoLeader = model.Errorf(model.ErrUnavailable, "no leader")

func (n *node) Propose(context.Context, *model.Command) (model.Result, error) {
	return model.Result{}, errNoLeader
}
func (n *node) ProposeWhenReady(context.Context, *model.Command, time.Duration) (model.Result, bool, error) {
	return model.Result{}, false, errNoLeader
}
func (n *node) ProposeCatalog(context.Context, *model.Command) (model.Result, error) {
	return model.Result{}, errNoLeader
}
func (n *node) AwaitReady(context.Context, *model.Command, time.Duration) (bool, error) {
	return false, errNoLeader
}
func (n *node) ReadWhenReady(context.Context, *model.Query, time.Duration) (model.Result, bool, error) {
	return model.Result{}, false, errNoLeader
}
func (n *node) Read(context.Context, *model.Query, bool) (model.Result, error) {
	var c model.QueueCounts
	c.Visible = 5
	return model.Result{Body: c.Append(nil)}, nil
}
func (n *node) Catalog() *model.Catalog           { return n.catalog }
func (n *node) SyncCatalog(context.Context) error { return nil }
func (n *node) Leads(model.Slot) bool             { return false }
func (n *node) Buried() []model.ResourceID        { return nil }

// newConsole serves a node with a queue, a table and the pipe "likes".
func newConsole(t *testing.T, n *node, authorize Authorize) http.Handler {
	t.Helper()
	queue := model.NewQueueSpec()
	queue.Partitions = 1
	table := model.TableSpec{Partition: model.KeyAttr{Name: "id", Kind: model.KindS}}
	text := `{"Name":"likes","From":"queue:clicks","To":"table:posts","Key":{"id":"$.post"},"Update":"ADD score :n","Values":{":n":"$.n"},"DeadLetter":"queue:dead"}`
	spec := model.PipeSpec{Source: 1, Target: 2, TargetKind: model.KindTable, Text: text, RateMilli: 2500}
	n.catalog = &model.Catalog{Resources: model.NewResources(
		&model.Resource{ID: 2, Kind: model.KindTable, Name: "posts", Version: 1, Spec: table.Append(nil)},
		&model.Resource{ID: 1, Kind: model.KindQueue, Name: "clicks", Version: 1, Spec: queue.Append(nil)},
		&model.Resource{ID: 3, Kind: model.KindPipe, Name: "likes", Version: 1, Spec: spec.Append(nil)},
	)}
	s := service.New(n, base.SystemClock{}, base.NewRand(1))
	e := pipe.NewEngine(n, s, base.SystemClock{}, base.NewRand(1), slog.New(slog.NewTextHandler(io.Discard, nil)))
	t.Cleanup(e.Close)
	if authorize == nil {
		authorize = func(*http.Request, []byte) error { return nil }
	}
	return New(n, e, s, nil, authorize)
}

// ask sends a request as the weir command does; header lines are NAME: VALUE.
func ask(h http.Handler, method, path, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://127.0.0.1:4580"+path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestEndpoints(t *testing.T) {
	h := newConsole(t, &node{}, nil)
	goodPipe := `{"name":"p","from":"queue:clicks","to":"table:posts","key":{"id":"$.post"},"update":"ADD score :n","values":{":n":"$.n"},"dead_letter":"queue:dead"}`
	for _, c := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"GET", "/healthz", "", 200, "ok"},
		{"GET", "/readyz", "", 200, "ok"},
		{"GET", "/metrics", "", 200, "weir_up 1"},
		{"GET", "/api/status", "", 200, `"ClusterID":"c1"`},
		{"POST", "/api/tokens", "{}", 200, `"token":"the-token"`},
		{"POST", "/api/tokens", `{"ttl_seconds":59}`, 400, "60 to 86400"},
		{"POST", "/api/tokens", `{"ttl_seconds":86401}`, 400, "60 to 86400"},
		{"POST", "/api/tokens", `{`, 400, "malformed JSON"},
		{"GET", "/api/pipes", "", 200, `"name":"likes"`},
		{"GET", "/api/pipes/likes", "", 200, `"backlog":5,"under_way":0,"drain_seconds":2`},
		{"GET", "/api/pipes/nobody", "", 404, "not found"},
		{"POST", "/api/pipes", `[]`, 400, "malformed JSON"},
		{"POST", "/api/pipes", `{"name":"a b"}`, 400, "name"},
		{"POST", "/api/pipes", strings.Replace(goodPipe, "clicks", "nobody", 1), 404, "nobody"},
		{"POST", "/api/pipes", goodPipe, 503, "no leader"},
		{"PATCH", "/api/pipes/likes", `{"rate":-1}`, 400, "rate"},
		{"PATCH", "/api/pipes/likes", `{"rate":"fast"}`, 400, "malformed JSON"},
		{"PATCH", "/api/pipes/likes", `{"paused":true}`, 503, "no leader"},
		{"PATCH", "/api/pipes/nobody", `{}`, 404, "not found"},
		{"DELETE", "/api/pipes/likes", "", 503, "no leader"},
		{"DELETE", "/api/pipes/nobody", "", 404, "not found"},
		{"PUT", "/api/pipes", "", 405, ""},
		{"GET", "/api/tokens", "", 405, ""},
		{"GET", "/nothing", "", 404, ""},
	} {
		w := ask(h, c.method, c.path, c.body)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%s %s %s: %d %s, want %d with %q", c.method, c.path, c.body, w.Code, w.Body, c.status, c.says)
		}
		if strings.HasPrefix(c.path, "/api/") && c.status != 405 {
			if w.Header().Get("Content-Type") != "application/json" || !json.Valid(w.Body.Bytes()) {
				t.Errorf("%s %s: the answer is no JSON: %s", c.method, c.path, w.Body)
			}
		}
	}
}

func TestTokenLifetime(t *testing.T) {
	n := &node{}
	h := newConsole(t, n, nil)
	for body, want := range map[string]time.Duration{"{}": time.Hour, `{"ttl_seconds":60}`: time.Minute, `{"ttl_seconds":86400}`: 24 * time.Hour} {
		if w := ask(h, "POST", "/api/tokens", body); w.Code != 200 || n.ttl != want {
			t.Errorf("%s: %d, a token for %v, want %v", body, w.Code, n.ttl, want)
		}
	}
}

// TestSickNode: it lives, but it wants no requests.
func TestSickNode(t *testing.T) {
	h := newConsole(t, &node{sick: errors.New("no catalog yet")}, nil)
	if w := ask(h, "GET", "/healthz", ""); w.Code != 200 {
		t.Errorf("healthz: %d", w.Code)
	}
	if w := ask(h, "GET", "/readyz", ""); w.Code != 503 || !strings.Contains(w.Body.String(), "no catalog yet") {
		t.Errorf("readyz: %d %s", w.Code, w.Body)
	}
	if w := ask(h, "POST", "/api/tokens", "{}"); w.Code != 500 || strings.Contains(w.Body.String(), "the-token") {
		t.Errorf("a token that was not made: %d %s", w.Code, w.Body)
	}
}

// TestStarting: before the node is open there is an answer all the same.
func TestStarting(t *testing.T) {
	h := Starting()
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 503, "/metrics": 503, "/api/status": 503} {
		if w := ask(h, "GET", path, ""); w.Code != want || want == 503 && !strings.Contains(w.Body.String(), "starting") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

// TestOtherSites: a web page cannot make a browser change anything.
func TestOtherSites(t *testing.T) {
	n := &node{}
	h := newConsole(t, n, nil)
	for _, c := range []struct {
		name, method, path string
		header             []string
		status             int
	}{
		{"a form", "POST", "/api/tokens", []string{"Content-Type: application/x-www-form-urlencoded"}, 400},
		{"text that is JSON", "POST", "/api/tokens", []string{"Content-Type: text/plain"}, 400},
		{"no type", "PATCH", "/api/pipes/likes", []string{"Content-Type: "}, 400},
		{"another site", "POST", "/api/tokens", []string{"Origin: http://evil.example"}, 403},
		{"another port", "POST", "/api/tokens", []string{"Origin: http://127.0.0.1:80"}, 403},
		{"a file", "POST", "/api/tokens", []string{"Origin: null"}, 403},
		{"no address", "DELETE", "/api/pipes/likes", []string{"Origin: ://"}, 403},
		{"another site deletes", "DELETE", "/api/pipes/likes", []string{"Origin: http://evil.example"}, 403},
		{"the console's own page", "POST", "/api/tokens", []string{"Origin: http://127.0.0.1:4580"}, 200},
	} {
		n.ttl = 0
		if w := ask(h, c.method, c.path, "{}", c.header...); w.Code != c.status || (n.ttl != 0) != (c.status == 200) {
			t.Errorf("%s: %d, want %d; token made: %v", c.name, w.Code, c.status, n.ttl != 0)
		}
	}
}

func TestBodyLimit(t *testing.T) {
	n := &node{}
	h := newConsole(t, n, nil)
	if w := ask(h, "POST", "/api/tokens", "{}"+strings.Repeat(" ", maxBodyBytes)); w.Code != 413 || n.ttl != 0 {
		t.Errorf("a body over the limit: %d", w.Code)
	}
	if w := ask(h, "POST", "/api/tokens", "{}"+strings.Repeat(" ", maxBodyBytes-2)); w.Code != 200 {
		t.Errorf("a body at the limit: %d", w.Code)
	}
}

// TestAuthorize: every operation asks, with the body that was signed; health
// and metrics are for machines that have no keys.
func TestAuthorize(t *testing.T) {
	var seen string
	n := &node{}
	h := newConsole(t, n, func(_ *http.Request, body []byte) error {
		seen = string(body)
		return model.Errorf(model.ErrAccessDenied, "who are you?")
	})
	for _, c := range [][2]string{{"GET", "/api/status"}, {"POST", "/api/tokens"}, {"GET", "/api/pipes"}, {"POST", "/api/pipes"}, {"GET", "/api/pipes/likes"}, {"PATCH", "/api/pipes/likes"}, {"DELETE", "/api/pipes/likes"}} {
		seen = ""
		if w := ask(h, c[0], c[1], "{}"); w.Code != 403 || seen != "{}" || n.ttl != 0 {
			t.Errorf("%s %s without a key: %d %s, signed body %q", c[0], c[1], w.Code, w.Body, seen)
		}
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		if w := ask(h, "GET", path, ""); w.Code != 200 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

func TestStatusOf(t *testing.T) {
	for kind, want := range map[model.ErrorKind]int{
		model.ErrValidation: 400, model.ErrNotFound: 404, model.ErrInUse: 409, model.ErrOverLimit: 409, model.ErrAccessDenied: 403,
		model.ErrUnavailable: 503, model.ErrUnknownOutcome: 503, model.ErrNotAbroad: 503, model.ErrNotOnAll: 503, model.ErrUnsupported: 501, model.ErrInternal: 500,
	} {
		if got := statusOf(model.Errorf(kind, "x")); got != want {
			t.Errorf("kind %d: %d, want %d", kind, got, want)
		}
	}
	if got := statusOf(errors.New("x")); got != 500 {
		t.Errorf("any other error: %d", got)
	}
}

func TestNodesAndSettings(t *testing.T) {
	for _, c := range []struct {
		path, body string
		status     int
		asked      string
	}{
		{"/api/nodes/n00000000000000ff", `{"drain":true}`, 200, "n00000000000000ff drain true leave false"},
		{"/api/nodes/n00000000000000ff", `{"drain":true,"leave":true}`, 200, "n00000000000000ff drain true leave true"},
		{"/api/nodes/n00000000000000ff", `{}`, 200, "n00000000000000ff drain false leave false"},
		{"/api/nodes/ff", `{}`, 400, ""},
		{"/api/nodes/n00000000000000ff", `{`, 400, ""},
		{"/api/tablets/t3", `{"lead":"n00000000000000ff"}`, 200, "t3 to n00000000000000ff"},
		{"/api/tablets/3", `{}`, 200, "t3 to n0000000000000000"},
		{"/api/tablets/3", `{"lead":"ff"}`, 400, ""},
		{"/api/tablets/x", `{}`, 400, ""},
		{"/api/settings", `{"replace_after_ms":60000}`, 200, "{ReplaceAfterMs:60000 RegionName:east Commitment:{StartedMs:0 EndMs:0} AsyncWindowMs:0 AsyncWrites:0}"},
		{"/api/settings", `{"async_window_ms":300,"async_writes":20}`, 200, "{ReplaceAfterMs:0 RegionName:east Commitment:{StartedMs:0 EndMs:0} AsyncWindowMs:300 AsyncWrites:20}"},
		{"/api/settings", `{"async_window_ms":900}`, 400, ""},
		{"/api/settings", `{"async_window_ms":1}`, 400, ""},
		{"/api/settings", `{"async_writes":-1}`, 400, ""},
		{"/api/settings", `{"replace_after_ms":-1}`, 400, ""},
		{"/api/settings", `[]`, 400, ""},
	} {
		n := &node{}
		h := newConsole(t, n, nil)
		req := httptest.NewRequest("POST", c.path, strings.NewReader(c.body))
		req.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		if w.Code != c.status || n.asked != c.asked {
			t.Errorf("%s %s: status %d, asked %q", c.path, c.body, w.Code, n.asked)
		}
	}
}
