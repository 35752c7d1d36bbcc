package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"weir.dev/weir/internal/cluster"
	"weir.dev/weir/internal/model"
)

// threeNodes is a cluster in which node 3 is away and node 2 receives a
// snapshot of tablet 1.
func threeNodes() *cluster.ClusterStatus {
	s := &cluster.ClusterStatus{ClusterID: "c1", Asked: 1, NowMs: 1_000_000}
	s.Nodes = []cluster.NodeView{
		{ID: 0xa1, Address: "a:1", State: "active", Up: true, Leads: 2, Holds: 2, Disk: cluster.DiskStatus{Free: 1 << 30, Total: 4 << 30}},
		{ID: 0xa2, Address: "b:1", State: "draining", Up: true, Holds: 2, Disk: cluster.DiskStatus{Free: 1 << 20, Total: 4 << 30, Full: true}},
		{ID: 0xb3, Address: "c:1", State: "active", HeardMs: 940_000},
	}
	s.Tablets = []cluster.TabletView{
		{ID: 0, Leader: 0xa1, Replicas: []cluster.ReplicaView{{Node: 0xa1, Voter: true, Up: true}, {Node: 0xa2, Up: true}}},
		{ID: 1, Hi: 65536, Leader: 0xa1, Wanted: 0xa1, Term: 7, Last: 900, Replicas: []cluster.ReplicaView{
			{Node: 0xa1, Voter: true, Up: true},
			{Node: 0xa2, Voter: true, Up: true, Lag: 900, Doing: cluster.DoingSnapshot, Snapshot: &cluster.Shipment{Tablet: 1, To: 0xa2, Bytes: 1 << 20, About: 8 << 20, BegunMs: 995_000}},
			{Node: 0xb3, Voter: true, Lag: 300, LagBytes: 30 << 10, Doing: cluster.DoingDown},
		}},
	}
	s.Troubles = []cluster.Trouble{
		{Node: 0xb3, Text: "node b3 is down", Advice: "start it"},
		{Tablets: []model.TabletID{1}, Text: "tablet t1: moving", Advice: "wait"},
	}
	return s
}

func TestTabletVerb(t *testing.T) {
	for _, c := range []struct {
		args, asked string
		prints      []string
		fails       string
	}{
		{args: "tablet list", prints: []string{"t1      0-65535  n00000000000000a1  n00000000000000a1 (0), n00000000000000a2 (snapshot, 1.0 MiB so far), n00000000000000b3 (down)"}},
		{args: "tablet show t1", prints: []string{"put on      n00000000000000a1 by hand", "n00000000000000a1  leader  0 entries", "receives a snapshot: 1.0 MiB sent of a state that takes 8.0 MiB on disk, for 5s",
			"n00000000000000b3  voter   300 entries, 30.0 KiB  is down, 300 entries, 30.0 KiB, behind", "! tablet t1: moving", "what to do: wait"}},
		{args: "tablet show 0", prints: []string{"catalog", "n00000000000000a2  learner", "all is well"}},
		{args: "tablet show 1 --json", prints: []string{`"Wanted": "n00000000000000a1"`}},
		{args: "tablet show 9", fails: "there is no tablet t9"},
		{args: "tablet show x", fails: "no tablet"},
		{args: "tablet transfer 1 n00000000000000b", asked: `/api/tablets/t1 {"lead":"n00000000000000b3"}`, prints: []string{"n00000000000000b3 leads t1, which n00000000000000a1 led before; done in"}},
		{args: "tablet transfer 1 auto", asked: `/api/tablets/t1 {"lead":null}`, prints: []string{"the balance of leaders decides"}},
		{args: "tablet transfer 1 n00000000000000a", fails: "several nodes"},
		{args: "tablet transfer 1", fails: "say: weir tablet"},
		{args: "tablet", fails: "say: weir tablet"},
		{args: "node show n00000000000000b", prints: []string{"state      down for 1m0s", "t1      voter  n00000000000000a1  300 entries, 30.0 KiB", "! node b3 is down"}},
		{args: "node show n00000000000000a2", prints: []string{"up, draining", "1.0 MiB, too little", "t0      learner", "all is well"}},
	} {
		asked := ""
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "POST" {
				body, _ := io.ReadAll(r.Body) // what is missing fails the comparison
				asked = r.URL.Path + " " + string(body)
				fmt.Fprint(w, "{}")
				return
			}
			_ = json.NewEncoder(w).Encode(threeNodes()) // the client fails when this does
		}))
		args := append(strings.Fields(c.args), "--console", strings.TrimPrefix(srv.URL, "http://"))
		text, err := printed(t, func() error { return dispatch(args) })
		srv.Close()
		if (c.fails == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.fails) {
			t.Errorf("%s: %v", c.args, err)
		}
		if asked != c.asked {
			t.Errorf("%s: asked %q", c.args, asked)
		}
		for _, want := range c.prints {
			if !strings.Contains(text, want) {
				t.Errorf("%s does not print %q:\n%s", c.args, want, text)
			}
		}
	}
	if got := actionsOf(tabletVerb); !reflect.DeepEqual(got, []string{"list", "show", "transfer"}) {
		t.Errorf("actions of tablet: %q", got)
	}
}
