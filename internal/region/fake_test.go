package region

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sort"
	"sync"
	"testing"
	"time"

	"weir.dev/weir/internal/machine"
	"weir.dev/weir/internal/model"
)

// fakeCluster is a cluster without a log: the real machine over memory, in a
// synctest bubble.
type fakeCluster struct {
	mu      sync.Mutex // guards everything below
	catalog *tabletState
	tablets []*tabletState // ascending by slot
	down    bool           // no leader anywhere
	kinds   map[model.CommandKind]int
	changed chan struct{} // closed and replaced by every command
}

// fakeNode is one node of a fake cluster, as an engine sees it.
type fakeNode struct {
	*fakeCluster
	leads bool // guarded by the cluster's mutex, as is
	// behind is a catalog that this node has not got beyond; nil is none.
	behind *model.Catalog
}

// tabletState is a machine with its state.
type tabletState struct {
	id      model.TabletID
	hi      uint32
	machine *machine.Machine
	keys    []string // ascending
	values  map[string][]byte
	index   model.Index
	stamp   model.Stamp
}

func newFakeCluster(t testing.TB, id string, tablets int) *fakeCluster {
	t.Helper()
	voters := []model.NodeID{1}
	genesis := &model.Catalog{ClusterID: id, NextID: 1, Tablets: []model.Tablet{{ID: model.CatalogTablet, Voters: voters}}}
	c := &fakeCluster{kinds: map[model.CommandKind]int{}, changed: make(chan struct{})}
	for i := range tablets {
		x := model.Tablet{ID: model.TabletID(i + 1), Voters: voters, Lo: uint32(i * model.SlotCount / tablets), Hi: uint32((i + 1) * model.SlotCount / tablets)}
		genesis.Tablets = append(genesis.Tablets, x)
		c.tablets = append(c.tablets, newTabletState(t, x.ID, x.Lo, x.Hi, nil))
	}
	c.catalog = newTabletState(t, model.CatalogTablet, 0, 0, genesis)
	return c
}

func newTabletState(t testing.TB, id model.TabletID, lo, hi uint32, genesis *model.Catalog) *tabletState {
	t.Helper()
	s := &tabletState{id: id, hi: hi, machine: machine.New(id, lo, hi), values: map[string][]byte{}}
	if genesis != nil {
		machine.Genesis(s, genesis)
	}
	if err := s.machine.Load(s); err != nil {
		t.Fatal(err)
	}
	return s
}

// Get implements machine.Reader.
func (s *tabletState) Get(key []byte) ([]byte, bool, error) {
	value, ok := s.values[string(key)]
	return slices.Clone(value), ok, nil
}

// Scan implements machine.Reader.
func (s *tabletState) Scan(lo, hi []byte, reverse bool) (machine.Iterator, error) {
	i, j := sort.SearchStrings(s.keys, string(lo)), sort.SearchStrings(s.keys, string(hi))
	it := &stateIterator{state: s, keys: slices.Clone(s.keys[i:max(i, j)])}
	if reverse {
		slices.Reverse(it.keys)
	}
	return it, nil
}

type stateIterator struct {
	state *tabletState
	keys  []string
	at    string
}

func (it *stateIterator) Next() bool {
	if len(it.keys) == 0 {
		return false
	}
	it.at, it.keys = it.keys[0], it.keys[1:]
	return true
}
func (it *stateIterator) Key() []byte   { return []byte(it.at) }
func (it *stateIterator) Value() []byte { return it.state.values[it.at] }
func (it *stateIterator) Close() error  { return nil }

// Set implements machine.Writer.
func (s *tabletState) Set(key, value []byte) {
	k := string(key)
	if _, ok := s.values[k]; !ok {
		s.keys = slices.Insert(s.keys, sort.SearchStrings(s.keys, k), k)
	}
	s.values[k] = slices.Clone(value)
}

// SetNew implements machine.Writer, and panics when the promise is not kept.
func (s *tabletState) SetNew(key, value []byte) {
	if _, there := s.values[string(key)]; there {
		panic(fmt.Sprintf("BUG: a key that is set as new is there: %x", key))
	}
	s.Set(key, value)
}

// Delete implements machine.Writer.
func (s *tabletState) Delete(key []byte) { s.DeleteRange(key, append(slices.Clone(key), 0)) }

// DeleteRange implements machine.Writer.
func (s *tabletState) DeleteRange(lo, hi []byte) {
	i, j := sort.SearchStrings(s.keys, string(lo)), sort.SearchStrings(s.keys, string(hi))
	for _, k := range s.keys[i:max(i, j)] {
		delete(s.values, k)
	}
	s.keys = slices.Delete(s.keys, i, max(i, j))
}

// delayed collects a command's writes: the command does not see them.
type delayed struct{ writes []func(*tabletState) }

func (d *delayed) Set(key, value []byte) {
	k, v := slices.Clone(key), slices.Clone(value)
	d.writes = append(d.writes, func(s *tabletState) { s.Set(k, v) })
}

func (d *delayed) SetNew(key, value []byte) {
	k, v := slices.Clone(key), slices.Clone(value)
	d.writes = append(d.writes, func(s *tabletState) { s.SetNew(k, v) })
}

func (d *delayed) Delete(key []byte) {
	k := slices.Clone(key)
	d.writes = append(d.writes, func(s *tabletState) { s.Delete(k) })
}

func (d *delayed) DeleteRange(lo, hi []byte) {
	l, h := slices.Clone(lo), slices.Clone(hi)
	d.writes = append(d.writes, func(s *tabletState) { s.DeleteRange(l, h) })
}

// apply applies a command; the caller holds the lock.
func (c *fakeCluster) apply(s *tabletState, cmd *model.Command) (model.Result, error) {
	if c.down {
		return model.Result{}, model.Errorf(model.ErrUnavailable, "no leader")
	}
	c.kinds[cmd.Kind]++
	s.index++
	s.stamp = max(s.stamp.Next(time.Now()), cmd.Stamp)
	stamped := *cmd
	stamped.Stamp, stamped.Body = s.stamp, slices.Clone(cmd.Body)
	var w delayed
	out, err := s.machine.Apply(s, &w, machine.Position{Index: s.index}, &stamped)
	if err != nil {
		return model.Result{}, err
	}
	for _, write := range w.writes {
		write(s)
	}
	close(c.changed)
	c.changed = make(chan struct{})
	return out.Expand(s, &stamped)
}

func (c *fakeCluster) tablet(slot model.Slot) *tabletState {
	return c.tablets[sort.Search(len(c.tablets), func(i int) bool { return uint32(slot) < c.tablets[i].hi })]
}

// Propose implements service.Cluster.
func (c *fakeCluster) Propose(ctx context.Context, cmd *model.Command) (model.Result, error) {
	if ctx.Err() != nil {
		return model.Result{}, model.Errorf(model.ErrUnavailable, "%v", ctx.Err())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.apply(c.tablet(cmd.Slot), cmd)
}

// ProposeWhenReady implements service.Cluster; it does not wait.
func (c *fakeCluster) ProposeWhenReady(_ context.Context, cmd *model.Command, _ time.Duration) (model.Result, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.tablet(cmd.Slot)
	if ready, _, err := machine.Ready(s, nil, cmd, s.stamp.Next(time.Now())); err != nil || !ready {
		return model.Result{}, false, err
	}
	res, err := c.apply(s, cmd)
	return res, true, err
}

// ReadWhenReady implements service.Cluster.
func (c *fakeCluster) ReadWhenReady(ctx context.Context, q *model.Query, wait time.Duration) (model.Result, bool, error) {
	for end := time.Now().Add(wait); ; {
		res, ready, changed, err := c.readIfReady(q)
		if ready || err != nil {
			return res, ready, err
		}
		late := time.NewTimer(time.Until(end))
		select {
		case <-changed:
			late.Stop()
			continue
		case <-late.C:
		case <-ctx.Done():
		}
		late.Stop()
		return model.Result{}, false, nil
	}
}

// readIfReady answers a query, or says what is closed at the next change.
func (c *fakeCluster) readIfReady(q *model.Query) (res model.Result, ready bool, changed <-chan struct{}, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down {
		return res, false, nil, model.Errorf(model.ErrUnavailable, "no leader")
	}
	if ready, err = machine.QueryReady(c.tablet(q.Slot), q); err == nil && ready {
		res, err = machine.Query(c.tablet(q.Slot), q)
	}
	return res, ready && err == nil, c.changed, err
}

// AwaitReady implements service.Cluster; it does not wait.
func (c *fakeCluster) AwaitReady(_ context.Context, cmd *model.Command, _ time.Duration) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.tablet(cmd.Slot)
	ready, _, err := machine.Ready(s, nil, cmd, s.stamp.Next(time.Now()))
	return ready, err
}

// ProposeCatalog implements service.Cluster.
func (c *fakeCluster) ProposeCatalog(_ context.Context, cmd *model.Command) (model.Result, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.apply(c.catalog, cmd)
}

// Read implements service.Cluster.
func (c *fakeCluster) Read(_ context.Context, q *model.Query, _ bool) (model.Result, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down {
		return model.Result{}, model.Errorf(model.ErrUnavailable, "no leader")
	}
	return machine.Query(c.tablet(q.Slot), q)
}

// Catalog is the newest catalog.
func (c *fakeCluster) Catalog() *model.Catalog {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.catalog.machine.Catalog()
}

// Catalog implements service.Cluster.
func (n *fakeNode) Catalog() *model.Catalog {
	n.mu.Lock()
	behind := n.behind
	n.mu.Unlock()
	return cmp.Or(behind, n.fakeCluster.Catalog())
}

// SyncCatalog implements service.Cluster.
func (n *fakeNode) SyncCatalog(context.Context) error {
	n.set(func() { n.behind = nil })
	return nil
}

// set changes the cluster under its lock.
func (c *fakeCluster) set(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

// Buried implements service.Cluster.
func (n *fakeNode) Buried() []model.ResourceID { return nil }

// Leads implements service.Cluster.
func (n *fakeNode) Leads(model.Slot) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.leads
}
