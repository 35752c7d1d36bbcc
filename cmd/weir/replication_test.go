package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
)

func TestReplicationVerb(t *testing.T) {
	for _, c := range []struct{ args, asked, prints, fails string }{
		{args: "replication show", asked: "GET /api/replication?resource= ", prints: "table:orders  all"},
		{args: "replication show table:orders", asked: "GET /api/replication?resource=table%3Aorders ", prints: "RESOURCE      REPLICATION"},
		{args: "replication show --json", asked: "GET /api/replication?resource= ", prints: `[{"resource":"table:orders","level":"all"}]`},
		{args: "replication set queue:q all-if-up", asked: `POST /api/replication {"resource":"queue:q","level":"all-if-up"}`},
		{args: "replication bound 300ms 500", asked: `POST /api/settings {"async_window_ms":300,"async_writes":500}`},
		{args: "replication bound soon 500", fails: "is no time"},
		{args: "replication bound 1s many", fails: "is no number"},
		{args: "queue create q --replication all", asked: `POST /api/queues {"name":"q","tags":{"weir:replication":"all"}}`},
		{args: "stream create s --replication quorum --tag a=b", asked: `POST /api/streams {"name":"s","tags":{"a":"b","weir:replication":"quorum"}}`},
		{args: "replication", fails: "say: weir replication"},
		{args: "replication set table:orders", fails: "say: weir replication"},
		{args: "queue create q --replication most", fails: "usage"},
	} {
		asked := ""
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body) // what is missing fails the comparison
			asked = r.Method + " " + r.URL.RequestURI() + " " + string(body)
			if r.Method == "GET" {
				fmt.Fprint(w, `[{"resource":"table:orders","level":"all"}]`)
				return
			}
			fmt.Fprint(w, "{}")
		}))
		args := append(strings.Fields(c.args), "--console", strings.TrimPrefix(srv.URL, "http://"))
		text, err := printed(t, func() error { return dispatch(args) })
		srv.Close()
		if (c.fails == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.fails) {
			t.Errorf("%s: %v", c.args, err)
		}
		if asked != c.asked || !strings.Contains(text, c.prints) {
			t.Errorf("%s: asked %q, printed %q", c.args, asked, text)
		}
	}
	showsAsync(t)
	if got := actionsOf(replicationVerb); !reflect.DeepEqual(got, []string{"show", "set", "bound"}) {
		t.Errorf("actions of replication: %q", got)
	}
}

// showsAsync: where a table is async, the bound of what it may lose is shown.
func showsAsync(t *testing.T) {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/status" {
			fmt.Fprint(w, `{"Settings":{"AsyncWindowMs":300}}`)
			return
		}
		fmt.Fprint(w, `[{"resource":"table:likes","level":"async"}]`)
	}))
	defer srv.Close()
	text, err := printed(t, func() error {
		return dispatch([]string{"replication", "show", "--console", strings.TrimPrefix(srv.URL, "http://")})
	})
	if err != nil || !strings.Contains(text, "within 300ms, at most 1000 in each tablet") {
		t.Errorf("%v, printed %q", err, text)
	}
}
