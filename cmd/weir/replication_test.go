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
	if got := actionsOf(replicationVerb); !reflect.DeepEqual(got, []string{"show", "set"}) {
		t.Errorf("actions of replication: %q", got)
	}
}
