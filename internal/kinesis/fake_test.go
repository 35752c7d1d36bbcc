package kinesis

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/machine"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

// store is a machine's state in memory: sorted keys and their values.
type store struct {
	keys   []string
	values map[string][]byte
}

func (s *store) Get(key []byte) ([]byte, bool, error) {
	v, ok := s.values[string(key)]
	return slices.Clone(v), ok, nil
}

func (s *store) Scan(lo, hi []byte, reverse bool) (machine.Iterator, error) {
	i, _ := slices.BinarySearch(s.keys, string(lo))
	j := len(s.keys)
	if hi != nil {
		j, _ = slices.BinarySearch(s.keys, string(hi))
	}
	it := &iterator{s: s}
	if i < j {
		it.keys = slices.Clone(s.keys[i:j])
	}
	if reverse {
		slices.Reverse(it.keys)
	}
	return it, nil
}

type iterator struct {
	s    *store
	keys []string
	key  string
}

func (it *iterator) Next() bool {
	if len(it.keys) == 0 {
		return false
	}
	it.key, it.keys = it.keys[0], it.keys[1:]
	return true
}
func (it *iterator) Key() []byte   { return []byte(it.key) }
func (it *iterator) Value() []byte { return it.s.values[it.key] }
func (it *iterator) Close() error  { return nil }

// batch collects a command's changes.
type batch struct{ changes []func(s *store) }

func (b *batch) Set(key, value []byte) {
	k, v := string(key), slices.Clone(value)
	b.changes = append(b.changes, func(s *store) {
		if _, ok := s.values[k]; !ok {
			i, _ := slices.BinarySearch(s.keys, k)
			s.keys = slices.Insert(s.keys, i, k)
		}
		s.values[k] = v
	})
}

func (b *batch) Delete(key []byte) {
	k := string(key)
	b.changes = append(b.changes, func(s *store) {
		if i, ok := slices.BinarySearch(s.keys, k); ok {
			s.keys = slices.Delete(s.keys, i, i+1)
			delete(s.values, k)
		}
	})
}

func (b *batch) DeleteRange(lo, hi []byte) {
	l, h := string(lo), string(hi)
	b.changes = append(b.changes, func(s *store) {
		s.keys = slices.DeleteFunc(s.keys, func(k string) bool {
			if k < l || k >= h {
				return false
			}
			delete(s.values, k)
			return true
		})
	})
}

// replica is a machine with its state.
type replica struct {
	m     *machine.Machine
	store store
	index model.Index
	stamp model.Stamp
}

func newReplica(t testing.TB, tablet model.TabletID, hi uint32, genesis *model.Catalog) *replica {
	r := &replica{m: machine.New(tablet, 0, hi), store: store{values: map[string][]byte{}}}
	if genesis != nil {
		var b batch
		machine.Genesis(&b, genesis)
		for _, change := range b.changes {
			change(&r.store)
		}
	}
	if err := r.m.Load(&r.store); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *replica) apply(cmd *model.Command, now time.Time) (model.Result, error) {
	r.index++
	r.stamp = r.stamp.Next(now)
	stamped := *cmd
	stamped.Stamp = r.stamp
	stamped.Body = slices.Clone(cmd.Body)
	var b batch
	out, err := r.m.Apply(&r.store, &b, machine.Position{Index: r.index}, &stamped)
	if err != nil {
		return model.Result{}, err
	}
	for _, change := range b.changes {
		change(&r.store)
	}
	return machine.Expand(&r.store, &stamped, out.Result)
}

// fakeCluster is a cluster of one node with one tablet for all slots, without
// a log: commands are applied as they come. It is also the clock: who waits
// moves the time to when the wait ends.
type fakeCluster struct {
	mu      sync.Mutex // guards everything below
	now     time.Time
	catalog *replica
	data    *replica
	fail    error // what the next Propose, ProposeWhenReady or Read answers with
}

func newFakeCluster(t testing.TB) *fakeCluster {
	node := []model.NodeID{1}
	genesis := &model.Catalog{ClusterID: "00112233445566778899aabbccddeeff", NextID: 1,
		Nodes: []model.Node{{ID: 1, PeerAddr: "127.0.0.1:4590"}},
		Tablets: []model.Tablet{
			{ID: model.CatalogTablet, Voters: node},
			{ID: 1, Lo: 0, Hi: model.SlotCount, Voters: node},
		}}
	return &fakeCluster{
		now:     time.UnixMilli(1_700_000_000_123),
		catalog: newReplica(t, model.CatalogTablet, 0, genesis),
		data:    newReplica(t, 1, model.SlotCount, nil),
	}
}

// Now implements base.Clock.
func (c *fakeCluster) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// AfterFunc implements base.Clock; nothing here sets timers.
func (c *fakeCluster) AfterFunc(time.Duration, func()) base.Timer { panic("BUG: a timer was set") }

func (c *fakeCluster) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func (c *fakeCluster) takeFailure() error {
	err := c.fail
	c.fail = nil
	return err
}

func (c *fakeCluster) Propose(_ context.Context, cmd *model.Command) (model.Result, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.takeFailure(); err != nil {
		return model.Result{}, err
	}
	return c.data.apply(cmd, c.now)
}

func (c *fakeCluster) ProposeWhenReady(_ context.Context, cmd *model.Command, wait time.Duration) (model.Result, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.takeFailure(); err != nil {
		return model.Result{}, false, err
	}
	end := c.now.Add(wait)
	for {
		ready, err := c.await(cmd, end)
		if err != nil || !ready {
			return model.Result{}, false, err
		}
		res, err := c.data.apply(cmd, c.now)
		if err != nil || !machine.TookNothing(cmd, res) {
			return res, true, err
		}
		if !c.now.Before(end) {
			return model.Result{}, false, nil
		}
		c.now = c.now.Add(time.Millisecond)
	}
}

// await passes the time until the command is ready, or until end.
func (c *fakeCluster) await(cmd *model.Command, end time.Time) (bool, error) {
	for {
		ready, nextMs, err := machine.Ready(&c.data.store, cmd, max(c.data.stamp, model.StampAt(c.now)))
		if err != nil || ready || !c.now.Before(end) {
			return ready, err
		}
		next := end
		if nextMs > 0 && time.UnixMilli(nextMs).Before(end) {
			next = time.UnixMilli(nextMs)
		}
		c.now = later(c.now.Add(time.Millisecond), next)
	}
}

func (c *fakeCluster) AwaitReady(_ context.Context, cmd *model.Command, wait time.Duration) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.takeFailure(); err != nil {
		return false, err
	}
	return c.await(cmd, c.now.Add(wait))
}

// ReadWhenReady passes the time, as nothing comes about by waiting.
func (c *fakeCluster) ReadWhenReady(_ context.Context, q *model.Query, wait time.Duration) (model.Result, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.takeFailure(); err != nil {
		return model.Result{}, false, err
	}
	ready, err := machine.QueryReady(&c.data.store, q)
	if err != nil || !ready {
		c.now = c.now.Add(wait)
		return model.Result{}, false, err
	}
	res, err := machine.Query(&c.data.store, q)
	return res, err == nil, err
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (c *fakeCluster) ProposeCatalog(_ context.Context, cmd *model.Command) (model.Result, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.catalog.apply(cmd, c.now)
}

func (c *fakeCluster) Read(_ context.Context, q *model.Query, _ bool) (model.Result, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.takeFailure(); err != nil {
		return model.Result{}, err
	}
	return machine.Query(&c.data.store, q)
}

func (c *fakeCluster) Catalog() *model.Catalog {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.catalog.m.Catalog()
}

func (c *fakeCluster) SyncCatalog(context.Context) error { return nil }

// newDoor is a door to an empty cluster.
func newDoor(t testing.TB) (*Door, *fakeCluster) {
	c := newFakeCluster(t)
	return New(service.New(c, c, base.NewRand(1))), c
}

// Leads implements service.Cluster.
func (c *fakeCluster) Leads(model.Slot) bool { return true }
