package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

// shards are n open shards by hash range, numbered from 0.
func shards(n int) []*model.Shard {
	var open []*model.Shard
	for i, r := range model.UniformRanges(n) {
		open = append(open, &model.Shard{Number: model.ShardNumber(i), Range: r})
	}
	return open
}

// TestRules: what a meter plans after looks at shards whose load is given in
// MiB per second.
func TestRules(t *testing.T) {
	for _, test := range []struct {
		name  string
		loads []float64
		looks int
		least int
		want  string
	}{
		{"the first look knows nothing", []float64{9, 9}, 1, 1, "[] []"},
		{"hot for a moment", []float64{9, 0.5}, 3, 1, "[] []"},
		{"hot for half a minute", []float64{9, 0.5}, 4, 1, "[shardId-000000000000] []"},
		{"all hot", []float64{0.9, 0.9}, 4, 1, "[shardId-000000000000 shardId-000000000001] []"},
		{"busy is not hot", []float64{0.7, 0.7}, 200, 1, "[] []"},
		{"quiet is not cold", []float64{0.2, 0.2}, 200, 1, "[] []"},
		{"cold, but not for long", []float64{0, 0}, 60, 1, "[] []"},
		{"cold", []float64{0, 0}, 61, 1, "[] [[shardId-000000000000 shardId-000000000001]]"},
		{"no fewer than the least", []float64{0, 0, 0, 0}, 61, 4, "[] []"},
		{"down to the least", []float64{0, 0, 0, 0, 0, 0}, 61, 5, "[] [[shardId-000000000000 shardId-000000000001]]"},
		{"neighbours only", []float64{0, 0.5, 0, 0}, 61, 1, "[] [[shardId-000000000002 shardId-000000000003]]"},
	} {
		m := &meter{}
		open := shards(len(test.loads))
		states := make([]model.ShardState, len(open))
		var got plan
		for look := range test.looks {
			for i, mib := range test.loads {
				states[i].TotalBytes += uint64(mib * 10 * shardBytes)
				states[i].Next++
			}
			got = m.look(int64(look)*10_000, open, states, test.least)
		}
		if s := fmt.Sprint(got.split, got.merge); s != test.want {
			t.Errorf("%s: %s, want %s", test.name, s, test.want)
		}
	}
}

// TestRulesRecords: many small records are hot, too, and a lagging replica's
// states are not.
func TestRulesRecords(t *testing.T) {
	m := &meter{}
	state := model.ShardState{Next: 1}
	var got plan
	for look := range 4 {
		got = m.look(int64(look)*10_000, shards(1), []model.ShardState{state}, 1)
		state.Next += 9_000
	}
	if len(got.split) != 1 {
		t.Errorf("900 records a second: %+v", got)
	}
	state.Next = 5
	if got = m.look(50_000, shards(1), []model.ShardState{state}, 1); len(got.split) != 0 {
		t.Errorf("states that go back: %+v", got)
	}
}

// fake is a service with one stream.
type fake struct {
	mu     sync.Mutex // guards what follows
	stream service.Stream
	leads  bool
	fails  int // so many calls fail
	calls  []string
}

func (f *fake) call(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, name)
	if f.fails > 0 {
		f.fails--
		return errors.New("no leader")
	}
	if name == "finish" {
		f.stream.Status = service.StreamActive
	}
	return nil
}

func (f *fake) Streams() ([]*service.Stream, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	st := f.stream
	return []*service.Stream{&st}, nil
}

func (f *fake) LooksAfter(*service.Stream) bool                       { return f.leads }
func (f *fake) FinishReshard(context.Context, model.ResourceID) error { return f.call("finish") }
func (f *fake) TrimStream(context.Context, *service.Stream) error     { return f.call("trim") }
func (f *fake) ForgetShards(context.Context, *service.Stream) error   { return f.call("forget") }
func (f *fake) SplitHotShard(context.Context, model.ResourceID, model.ShardNumber) error {
	return f.call("split")
}

func (f *fake) MergeColdShards(_ context.Context, _ model.ResourceID, a, b model.ShardNumber) error {
	return f.call("merge")
}

func (f *fake) ShardStates(context.Context, *service.Stream) ([]*model.Shard, []model.ShardState, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stream.OpenShards++ // ever more load
	return shards(2), []model.ShardState{{TotalBytes: uint64(f.stream.OpenShards) << 30}, {}}, nil
}

func (f *fake) count(name string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(slices.DeleteFunc(slices.Clone(f.calls), func(s string) bool { return s != name }))
}

func TestEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{leads: true, fails: 1, stream: service.Stream{Name: "s", Status: service.StreamUpdating, OnDemand: true}}
		e := NewEngine(f, base.SystemClock{}, base.NewRand(1), slog.New(slog.DiscardHandler))
		time.Sleep(time.Second) // of the bubble's clock
		if n := f.count("finish"); n != 2 {
			t.Errorf("a resharding was gone on with %d times: want one that fails and one that does not", n)
		}
		time.Sleep(61 * time.Second)
		if f.count("trim") != 3 || f.count("forget") != 3 || f.count("split") < 1 || f.count("merge") != 0 {
			t.Errorf("in a minute: %s", strings.Join(f.calls, " "))
		}
		e.Close()
		n := len(f.calls)
		time.Sleep(time.Minute)
		if len(f.calls) != n {
			t.Error("the engine went on after Close")
		}
	})
}

// TestFollower: a node that does not look after a stream only trims what it
// leads.
func TestFollower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{stream: service.Stream{Name: "s", Status: service.StreamUpdating, OnDemand: true}}
		e := NewEngine(f, base.SystemClock{}, base.NewRand(1), slog.New(slog.DiscardHandler))
		time.Sleep(time.Minute)
		e.Close()
		if n := f.count("trim"); n == 0 || n != len(f.calls) {
			t.Errorf("calls %v", f.calls)
		}
	})
}
