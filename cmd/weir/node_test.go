package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"weir.dev/weir/internal/cluster"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/tablet"
)

// emptying is a cluster whose node n…ff gives up one tablet a look.
type emptying struct {
	full  bool // nobody can take them
	looks int
	asked []string
}

func (e *emptying) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == "POST" {
		body, _ := io.ReadAll(r.Body) // what is missing fails the comparison
		e.asked = append(e.asked, r.URL.Path+" "+string(body))
		fmt.Fprint(w, "{}")
		return
	}
	s := cluster.ClusterStatus{Asked: 1, Settings: model.ClusterSettings{ReplaceAfterMs: 60_000}}
	s.Nodes = []cluster.NodeView{{ID: 1, Address: "a:1", State: "active", Up: true, Leads: 2, Holds: 3}}
	if e.looks < 4 {
		s.Nodes = append(s.Nodes, cluster.NodeView{ID: 0xff, Address: "b:1", Zone: "east", State: "leaving"})
	}
	for id := range model.TabletID(3) {
		v := cluster.TabletView{ID: id, Leader: 1}
		if e.looks < int(id)+1 || e.full {
			v.Members = tablet.Members{Voters: []model.NodeID{0xff}}
		}
		v.Settled = e.full
		s.Tablets = append(s.Tablets, v)
	}
	e.looks++
	_ = json.NewEncoder(w).Encode(s) // the client fails when this does
}

func TestNodeVerb(t *testing.T) {
	for _, c := range []struct {
		args, asked string
		full        bool
		prints      []string
		fails       string
	}{
		{args: "list", prints: []string{"NODE", "b:1      east  down, leaving", "up (asked)", "away for 1m0s is replaced"}},
		{args: "drain n00000000000000f", asked: `/api/nodes/n00000000000000ff {"drain":true,"leave":false}`},
		{args: "undrain n00000000000000ff", asked: `/api/nodes/n00000000000000ff {"drain":false,"leave":false}`},
		{args: "drain --wait n00000000000000f", asked: `/api/nodes/n00000000000000ff {"drain":true,"leave":false}`,
			prints: []string{"n00000000000000ff holds 2 tablets", "holds 1 tablets", "holds no data any more"}},
		{args: "remove --wait n00000000000000f", asked: `/api/nodes/n00000000000000ff {"drain":true,"leave":true}`, prints: []string{"is no member any more"}},
		{args: "drain --wait n00000000000000f", full: true, asked: `/api/nodes/n00000000000000ff {"drain":true,"leave":false}`, fails: "keeps 2 tablets: no other member"},
		{args: "replace-after 90s", asked: `/api/settings {"replace_after_ms":90000}`},
		{args: "replace-after 0", asked: `/api/settings {"replace_after_ms":0}`},
		{args: "replace-after soon", fails: "no duration"},
		{args: "remove n0", fails: "several nodes"},
		{args: "remove n1", fails: "no member"},
		{args: "remove", fails: "say: weir node"},
		{args: "explode n1", fails: "does not know"},
	} {
		e := &emptying{full: c.full}
		srv := httptest.NewServer(e)
		args := append([]string{"node", "--console", strings.TrimPrefix(srv.URL, "http://")}, strings.Fields(c.args)...)
		text, err := printed(t, func() error { return dispatch(args) })
		srv.Close()
		if got := fmt.Sprint(err); (c.fails == "") != (err == nil) || !strings.Contains(got, c.fails) && c.fails != "" {
			t.Errorf("%s: %v", c.args, err)
		}
		if got := strings.Join(e.asked, ";"); got != c.asked {
			t.Errorf("%s: asked %q", c.args, got)
		}
		for _, want := range c.prints {
			if !strings.Contains(text, want) {
				t.Errorf("%s does not print %q:\n%s", c.args, want, text)
			}
		}
	}
}
