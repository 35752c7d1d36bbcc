package main

import (
	"context"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	dynamotypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"weir.dev/weir/internal/cluster"
	"weir.dev/weir/internal/demo"
	"weir.dev/weir/internal/model"
)

// TestOneCallRotates lets a call fail at two nodes: its tries go on to the
// next node with the same invocation id, and the next call begins where the
// last one was answered.
func TestOneCallRotates(t *testing.T) {
	var mu sync.Mutex
	var seen []string // node and invocation id of each try
	node := func(name string, answer http.HandlerFunc) *demoNode {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			seen = append(seen, name+" "+r.Header.Get("Amz-Sdk-Invocation-Id"))
			mu.Unlock()
			answer(w, r)
		}))
		t.Cleanup(s.Close)
		return &demoNode{aws: strings.TrimPrefix(s.URL, "http://")}
	}
	c := newDemoClients([]*demoNode{
		node("busy", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }),
		node("dying", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }),
		node("good", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/x-amz-json-1.0")
			_, _ = io.WriteString(w, `{"QueueUrl":"http://weir/likes"}`)
		}),
	})
	for range 2 {
		out, err := c.senders[0].GetQueueUrl(context.Background(), &sqs.GetQueueUrlInput{QueueName: aws.String("likes")})
		if err != nil || aws.ToString(out.QueueUrl) != "http://weir/likes" {
			t.Fatalf("the call gave %v, %v", out, err)
		}
	}
	if len(seen) != 4 || c.failed.Load() != 2 {
		t.Fatalf("%d tries failed of %q", c.failed.Load(), seen)
	}
	var nodes, ids []string
	for _, s := range seen {
		name, id, _ := strings.Cut(s, " ")
		nodes, ids = append(nodes, name), append(ids, id)
	}
	if !slices.Equal(nodes, []string{"busy", "dying", "good", "good"}) || ids[0] == "" || ids[0] != ids[1] || ids[1] != ids[2] || ids[2] == ids[3] {
		t.Errorf("the tries went %q", seen)
	}
}

// TestRotationMovesOnce has two calls fail at one node: the second must not
// skip the node to which the first has moved on.
func TestRotationMovesOnce(t *testing.T) {
	var failed atomic.Int64
	r := &rotation{addrs: []string{"a", "b", "c"}, failed: &failed, http: &http.Client{Transport: refusing{}}}
	for range 2 {
		req := httptest.NewRequest("POST", "http://a/", nil)
		req.RequestURI = ""
		if _, err := r.Do(req); err == nil {
			t.Fatal("it did not fail")
		}
	}
	if e, _ := (resolver[sqs.EndpointParameters]{r}).ResolveEndpoint(context.Background(), sqs.EndpointParameters{}); e.URI.Host != "b" {
		t.Errorf("the next try goes to %s, want b", e.URI.Host)
	}
}

type refusing struct{}

func (refusing) RoundTrip(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }

func TestDemoFlags(t *testing.T) {
	for line, ok := range map[string]bool{
		"": true, "--seconds 5 --rate 20 --posts 1": true, "--seconds 4": false, "--seconds NaN": false, "--rate 0": false,
		"--rate -1": false, "--posts 0": false, "--posts 101": false, "now": false,
	} {
		f := parsedDemoFlags(t, strings.Fields(line))
		if err := f(); (err == nil) != ok {
			t.Errorf("%q: %v", line, err)
		}
	}
}

// parsedDemoFlags parses a command line as the verb does, and returns its check.
func parsedDemoFlags(t *testing.T, args []string) func() error {
	t.Helper()
	fs := flag.NewFlagSet("demo", flag.ContinueOnError)
	f := newDemoFlags(fs)
	if err := parseMixed(fs, &args); err != nil {
		t.Fatal(err)
	}
	return func() error { return f.check(args) }
}

func TestBusiestLeader(t *testing.T) {
	view := func(lasts ...model.Index) *cluster.ClusterStatus {
		s := &cluster.ClusterStatus{}
		for i, last := range lasts {
			s.Tablets = append(s.Tablets, cluster.TabletView{ID: model.TabletID(i), Leader: model.NodeID(10 + i), Last: last})
		}
		return s
	}
	after := view(105, 900, 220)
	if got := busiestLeader(view(100, 890, 200), after); got != 12 {
		t.Errorf("the busiest is %v, want 12", got)
	}
	after.Tablets[2].Leader = 0
	if got := busiestLeader(view(100, 890, 200), after); got != 11 {
		t.Errorf("without a leader of the busiest it is %v, want 11", got)
	}
}

func TestUnformedAndUnhealed(t *testing.T) {
	nodes := &demoNodes{all: []*demoNode{{peer: "a"}, {peer: "b"}, {peer: "c"}}}
	s := &cluster.ClusterStatus{
		Nodes: []cluster.NodeView{{ID: 1, Address: "a"}, {ID: 2, Address: "b"}, {ID: 3, Address: "c"}},
		Tablets: []cluster.TabletView{{ID: 0, Leader: 1, Replicas: []cluster.ReplicaView{
			{Node: 1, Voter: true, Up: true}, {Node: 2, Voter: true, Up: true}, {Node: 3, Voter: true, Up: true}}}},
	}
	check := func(what string, formed, healed bool) {
		t.Helper()
		if got := unformed(s); (got == "") != formed {
			t.Errorf("%s: unformed says %q", what, got)
		}
		if got := unhealed(s, nodes, nodes.all[1]); (got == "") != healed {
			t.Errorf("%s: unhealed says %q", what, got)
		}
	}
	check("complete", true, true)
	r := &s.Tablets[0].Replicas[1]
	r.Lag = healedLag + 1
	check("far behind", true, false)
	r.Up = false
	check("down", false, false)
	*r = cluster.ReplicaView{Node: 2, Up: true}
	check("a learner", false, true)
	r.Voter, s.Tablets[0].Leader = true, 0
	check("without a leader", false, false)
}

func TestTallyOf(t *testing.T) {
	number := func(v string) dynamotypes.AttributeValue { return &dynamotypes.AttributeValueMemberN{Value: v} }
	item := map[string]dynamotypes.AttributeValue{"clicks": number("2"), "score": number("7"), "prints": number("123456789012")}
	if got, err := tallyOf(item); err != nil || got != (demo.Tally{Clicks: 2, Score: 7, Prints: 123456789012}) {
		t.Errorf("%+v, %v", got, err)
	}
	item["score"] = number("1.5")
	if _, err := tallyOf(item); err == nil {
		t.Error("half a score passed")
	}
	delete(item, "score")
	if _, err := tallyOf(item); err == nil {
		t.Error("an item without a score passed")
	}
}

func TestFreePorts(t *testing.T) {
	ports, err := freePorts(9)
	if err != nil || len(ports) != 9 {
		t.Fatal(ports, err)
	}
	slices.Sort(ports)
	if len(slices.Compact(ports)) != 9 {
		t.Errorf("a port is given twice: %q", ports)
	}
}

func TestWithoutWeir(t *testing.T) {
	got := withoutWeir([]string{"HOME=/root", "WEIR_JOIN=x:1", "WEIRD=yes", "WEIR_KEYS=k"})
	if !slices.Equal(got, []string{"HOME=/root", "WEIRD=yes"}) {
		t.Errorf("%q", got)
	}
}

func TestPlainLines(t *testing.T) {
	var out strings.Builder
	s := &demoScreen{out: &out}
	s.say("hello %d", 1)
	p := &demo.Picture{Day: 10 * time.Second, Rate: 10}
	for at := time.Duration(0); at <= 5*time.Second; at += demoTick {
		p.Sent.Add(at, at.Seconds()*20)
		p.Applied.Add(at, at.Seconds()*10)
		p.Backlog.Add(at, at.Seconds()*10)
		s.draw(p)
	}
	want := "hello 1\n  0.0 s  inflow      0/s  outflow      0/s  backlog      0\n" +
		"  2.0 s  inflow     20/s  outflow     10/s  backlog     20\n  4.0 s  inflow     20/s  outflow     10/s  backlog     40\n"
	if out.String() != want {
		t.Errorf("it printed\n%s", out.String())
	}
}

func TestTerminalRedraws(t *testing.T) {
	t.Setenv("NO_COLOR", "1")
	var out strings.Builder
	s := &demoScreen{out: &out, width: func() (int, int) { return 80, 20 }}
	p := &demo.Picture{Day: 10 * time.Second, Rate: 10}
	s.draw(p)
	lines := s.lines
	s.say("news")
	if out.Len() == 0 || strings.Contains(out.String(), "news") {
		t.Error("news were printed into the chart")
	}
	out.Reset()
	s.draw(p)
	if up := "\x1b[14A"; !strings.HasPrefix(out.String(), up+"news") || lines != 14 {
		t.Errorf("%d lines, then %.30q", lines, out.String())
	}
}
