package service

import (
	"context"
	"slices"
	"sort"
	"sync"
	"testing"
	"time"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/machine"
	"weir.dev/weir/internal/model"
)

// fakeCluster is a cluster without a log: it runs the real machine over memory,
// and commands are applied as they come. Its time moves only when told, and
// while ProposeWhenReady waits.
type fakeCluster struct {
	mu        sync.Mutex // guards everything below
	now       time.Time
	catalog   *replica   // of tablet 0
	tablets   []*replica // ascending by slot
	proposals []model.Command
	// fault, when set, decides what a proposal to a tablet or a read there
	// answers instead: an error before it takes effect (lost is false), or after.
	fault func(tablet model.TabletID) (err error, lost bool)
	leads func(tablet model.TabletID) bool // nil: this node leads all
	// behind, when set, is the catalog that this node shows until it is asked to
	// be up to date.
	behind *model.Catalog
}

// replica is a machine with its state.
type replica struct {
	id      model.TabletID
	hi      uint32
	machine *machine.Machine
	keys    []string // ascending
	values  map[string][]byte
	index   model.Index
	stamp   model.Stamp
}

// newFake returns a service on a fake cluster whose slots are shared by that
// many tablets.
func newFake(t testing.TB, tablets int) (*Service, *fakeCluster) {
	t.Helper()
	voters := []model.NodeID{1}
	genesis := &model.Catalog{
		ClusterID: "00112233445566778899aabbccddeeff", NextID: 1,
		Nodes:   []model.Node{{ID: 1, PeerAddr: "127.0.0.1:4590"}},
		Tablets: []model.Tablet{{ID: model.CatalogTablet, Voters: voters}},
	}
	c := &fakeCluster{now: time.UnixMilli(1_700_000_000_123)}
	for i := range tablets {
		tab := model.Tablet{ID: model.TabletID(i + 1), Voters: voters,
			Lo: uint32(i * model.SlotCount / tablets), Hi: uint32((i + 1) * model.SlotCount / tablets)}
		genesis.Tablets = append(genesis.Tablets, tab)
		c.tablets = append(c.tablets, newReplica(t, tab.ID, tab.Lo, tab.Hi, nil))
	}
	c.catalog = newReplica(t, model.CatalogTablet, 0, 0, genesis)
	return New(c, c, base.NewRand(1)), c
}

func newReplica(t testing.TB, id model.TabletID, lo, hi uint32, genesis *model.Catalog) *replica {
	t.Helper()
	r := &replica{id: id, hi: hi, machine: machine.New(id, lo, hi), values: map[string][]byte{}}
	if genesis != nil {
		var b fakeBatch
		machine.Genesis(&b, genesis)
		b.commit(r)
	}
	if err := r.machine.Load(r); err != nil {
		t.Fatal(err)
	}
	return r
}

// Get implements machine.Reader.
func (r *replica) Get(key []byte) ([]byte, bool, error) {
	value, ok := r.values[string(key)]
	return slices.Clone(value), ok, nil
}

// Scan implements machine.Reader.
func (r *replica) Scan(lo, hi []byte, reverse bool) (machine.Iterator, error) {
	i, j := sort.SearchStrings(r.keys, string(lo)), sort.SearchStrings(r.keys, string(hi))
	it := &fakeIterator{replica: r, keys: slices.Clone(r.keys[i:max(i, j)])}
	if reverse {
		slices.Reverse(it.keys)
	}
	return it, nil
}

type fakeIterator struct {
	replica *replica
	keys    []string
	at      string
}

func (it *fakeIterator) Next() bool {
	if len(it.keys) == 0 {
		return false
	}
	it.at, it.keys = it.keys[0], it.keys[1:]
	return true
}
func (it *fakeIterator) Key() []byte   { return []byte(it.at) }
func (it *fakeIterator) Value() []byte { return it.replica.values[it.at] }
func (it *fakeIterator) Close() error  { return nil }

// fakeBatch implements machine.Writer.
type fakeBatch struct{ changes []func(r *replica) }

func (b *fakeBatch) Set(key, value []byte) {
	k, v := string(key), slices.Clone(value)
	b.changes = append(b.changes, func(r *replica) {
		if _, ok := r.values[k]; !ok {
			r.keys = slices.Insert(r.keys, sort.SearchStrings(r.keys, k), k)
		}
		r.values[k] = v
	})
}

func (b *fakeBatch) Delete(key []byte) { b.DeleteRange(key, append(slices.Clone(key), 0)) }

func (b *fakeBatch) DeleteRange(lo, hi []byte) {
	l, h := string(lo), string(hi)
	b.changes = append(b.changes, func(r *replica) {
		i, j := sort.SearchStrings(r.keys, l), sort.SearchStrings(r.keys, h)
		for _, k := range r.keys[i:max(i, j)] {
			delete(r.values, k)
		}
		r.keys = slices.Delete(r.keys, i, max(i, j))
	})
}

func (b *fakeBatch) commit(r *replica) {
	for _, change := range b.changes {
		change(r)
	}
}

func (r *replica) apply(cmd *model.Command, now time.Time) (model.Result, error) {
	r.index++
	r.stamp = r.stamp.Next(now)
	stamped := *cmd
	stamped.Stamp, stamped.Body = r.stamp, slices.Clone(cmd.Body)
	var b fakeBatch
	out, err := r.machine.Apply(r, &b, machine.Position{Index: r.index}, &stamped)
	if err != nil {
		return model.Result{}, err
	}
	b.commit(r)
	return machine.Expand(r, &stamped, out.Result)
}

// tablet returns the replica that owns the slot.
func (c *fakeCluster) tablet(slot model.Slot) *replica {
	return c.tablets[sort.Search(len(c.tablets), func(i int) bool { return uint32(slot) < c.tablets[i].hi })]
}

// Propose implements Cluster.
func (c *fakeCluster) Propose(_ context.Context, cmd *model.Command) (model.Result, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.tablet(cmd.Slot)
	kept := *cmd
	kept.Body = slices.Clone(cmd.Body)
	c.proposals = append(c.proposals, kept)
	if c.fault == nil {
		return r.apply(cmd, c.now)
	}
	fault, lost := c.fault(r.id)
	if fault != nil && !lost {
		return model.Result{}, fault
	}
	res, err := r.apply(cmd, c.now)
	if fault != nil {
		return model.Result{}, fault
	}
	return res, err
}

// ProposeWhenReady implements Cluster. Its wait takes the cluster's time.
func (c *fakeCluster) ProposeWhenReady(_ context.Context, cmd *model.Command, wait time.Duration) (model.Result, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	end := c.now.Add(wait)
	for {
		ready, err := c.await(cmd, end)
		if err != nil || !ready {
			return model.Result{}, false, err
		}
		res, err := c.tablet(cmd.Slot).apply(cmd, c.now)
		if err != nil || !machine.TookNothing(cmd, res) {
			return res, true, err
		}
		if !c.now.Before(end) {
			return model.Result{}, false, nil
		}
		c.now = c.now.Add(time.Millisecond)
	}
}

// await passes the cluster's time until the command is ready, or until end.
func (c *fakeCluster) await(cmd *model.Command, end time.Time) (bool, error) {
	for {
		r := c.tablet(cmd.Slot)
		ready, nextMs, err := machine.Ready(r, cmd, max(r.stamp, model.StampAt(c.now)))
		if err != nil || ready || !c.now.Before(end) {
			return ready, err
		}
		next := end
		if nextMs > 0 && time.UnixMilli(nextMs).Before(end) {
			next = time.UnixMilli(nextMs)
		}
		if least := c.now.Add(time.Millisecond); next.Before(least) {
			next = least
		}
		c.now = next
	}
}

// AwaitReady implements Cluster. Its wait takes the cluster's time.
func (c *fakeCluster) AwaitReady(_ context.Context, cmd *model.Command, wait time.Duration) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.await(cmd, c.now.Add(wait))
}

// ReadWhenReady implements Cluster. Nothing comes about by waiting.
func (c *fakeCluster) ReadWhenReady(_ context.Context, q *model.Query, wait time.Duration) (model.Result, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.tablet(q.Slot)
	ready, err := machine.QueryReady(r, q)
	if err != nil || !ready {
		c.now = c.now.Add(wait)
		return model.Result{}, false, err
	}
	res, err := machine.Query(r, q)
	return res, err == nil, err
}

// ProposeCatalog implements Cluster.
func (c *fakeCluster) ProposeCatalog(_ context.Context, cmd *model.Command) (model.Result, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.catalog.apply(cmd, c.now)
}

// Read implements Cluster.
func (c *fakeCluster) Read(_ context.Context, q *model.Query, _ bool) (model.Result, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.tablet(q.Slot)
	if c.fault != nil {
		if err, _ := c.fault(r.id); err != nil {
			return model.Result{}, err
		}
	}
	return machine.Query(r, q)
}

// Leads implements Cluster.
func (c *fakeCluster) Leads(slot model.Slot) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leads == nil || c.leads(c.tablet(slot).id)
}

// Catalog implements Cluster.
func (c *fakeCluster) Catalog() *model.Catalog {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.behind != nil {
		return c.behind
	}
	return c.catalog.machine.Catalog()
}

// SyncCatalog implements Cluster.
func (c *fakeCluster) SyncCatalog(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.behind = nil
	return nil
}

// Now implements base.Clock.
func (c *fakeCluster) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// AfterFunc implements base.Clock; services on a fake cluster set no timers.
func (c *fakeCluster) AfterFunc(time.Duration, func()) base.Timer {
	panic("BUG: a timer on a fake cluster")
}

// advance moves the cluster's time.
func (c *fakeCluster) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}
