// Package fakecluster is a cluster for tests of what stands above one: the real
// machine over memory, without a log, replicas or a network. Commands are
// applied as they come.
//
// It must not be part of a program: only tests import it. A Cluster may be used
// from any goroutine; its exported fields are for the test's own, between calls.
//
// Start with Cluster; Tablet is for tests that need a cluster of another kind.
package fakecluster

import (
	"fmt"
	"slices"
	"sort"
	"testing"
	"time"

	"weir.dev/weir/internal/machine"
	"weir.dev/weir/internal/model"
)

// Tablet is a machine with its state. It implements machine.Reader.
type Tablet struct {
	ID      model.TabletID
	Machine *machine.Machine
	Buried  bool // messages of some queue died

	hi     uint32
	keys   []string // ascending
	values map[string][]byte
	index  model.Index
	stamp  model.Stamp
}

// NewTablets returns the catalog's tablet, which knows of node 1 and n tablets
// that share all slots, and those tablets.
func NewTablets(t testing.TB, n int) (catalog *Tablet, data Tablets) {
	t.Helper()
	voters := []model.NodeID{1}
	genesis := &model.Catalog{
		ClusterID: "00112233445566778899aabbccddeeff", NextID: 1,
		Nodes:   []model.Node{{ID: 1, PeerAddr: "127.0.0.1:4590"}},
		Tablets: []model.Tablet{{ID: model.CatalogTablet, Voters: voters}},
	}
	for i := range n {
		x := model.Tablet{ID: model.TabletID(i + 1), Voters: voters, Lo: uint32(i * model.SlotCount / n), Hi: uint32((i + 1) * model.SlotCount / n)}
		genesis.Tablets = append(genesis.Tablets, x)
		data = append(data, newTablet(t, x.ID, x.Lo, x.Hi, nil))
	}
	return newTablet(t, model.CatalogTablet, 0, 0, genesis), data
}

func newTablet(t testing.TB, id model.TabletID, lo, hi uint32, genesis *model.Catalog) *Tablet {
	t.Helper()
	x := &Tablet{ID: id, Machine: machine.New(id, lo, hi), hi: hi, values: map[string][]byte{}}
	if genesis != nil {
		var b batch
		machine.Genesis(&b, genesis)
		b.commit(x)
	}
	if err := x.Machine.Load(x); err != nil {
		t.Fatal(err)
	}
	return x
}

// Tablets are the tablets of a cluster, ascending by slot.
type Tablets []*Tablet

// Of returns the tablet that owns the slot.
func (ts Tablets) Of(slot model.Slot) *Tablet {
	return ts[sort.Search(len(ts), func(i int) bool { return uint32(slot) < ts[i].hi })]
}

// Apply applies a command that was proposed now.
func (x *Tablet) Apply(cmd *model.Command, now time.Time) (model.Result, error) {
	x.index++
	x.stamp = x.stamp.Next(now)
	stamped := *cmd
	stamped.Stamp, stamped.Body = x.stamp, slices.Clone(cmd.Body)
	var b batch
	out, err := x.Machine.Apply(x, &b, machine.Position{Index: x.index}, &stamped)
	x.Buried = x.Buried || out.Buried
	if err != nil {
		return model.Result{}, err
	}
	b.commit(x)
	return out.Expand(x, &stamped)
}

// Ready is machine.Ready at a time.
func (x *Tablet) Ready(cmd *model.Command, now time.Time) (ready bool, nextMs int64, err error) {
	return machine.Ready(x, nil, cmd, max(x.stamp, model.StampAt(now)))
}

// Get implements machine.Reader.
func (x *Tablet) Get(key []byte) ([]byte, bool, error) {
	value, ok := x.values[string(key)]
	return slices.Clone(value), ok, nil
}

// Scan implements machine.Reader.
func (x *Tablet) Scan(lo, hi []byte, reverse bool) (machine.Iterator, error) {
	i, j := sort.SearchStrings(x.keys, string(lo)), len(x.keys)
	if hi != nil {
		j = sort.SearchStrings(x.keys, string(hi))
	}
	it := &iterator{tablet: x, keys: slices.Clone(x.keys[i:max(i, j)])}
	if reverse {
		slices.Reverse(it.keys)
	}
	return it, nil
}

type iterator struct {
	tablet *Tablet
	keys   []string
	at     string
}

func (it *iterator) Next() bool {
	if len(it.keys) == 0 {
		return false
	}
	it.at, it.keys = it.keys[0], it.keys[1:]
	return true
}
func (it *iterator) Key() []byte   { return []byte(it.at) }
func (it *iterator) Value() []byte { return it.tablet.values[it.at] }
func (it *iterator) Close() error  { return nil }

// batch implements machine.Writer: a command does not see its own changes.
type batch struct{ changes []func(x *Tablet) }

func (b *batch) Set(key, value []byte) {
	k, v := string(key), slices.Clone(value)
	b.changes = append(b.changes, func(x *Tablet) {
		if _, ok := x.values[k]; !ok {
			x.keys = slices.Insert(x.keys, sort.SearchStrings(x.keys, k), k)
		}
		x.values[k] = v
	})
}

// SetNew implements machine.Writer, and panics when the promise is not kept.
func (b *batch) SetNew(key, value []byte) {
	k := string(key)
	b.changes = append(b.changes, func(x *Tablet) {
		if _, there := x.values[k]; there {
			panic(fmt.Sprintf("BUG: a key that is set as new is there: %x", k))
		}
	})
	b.Set(key, value)
}

func (b *batch) Delete(key []byte) { b.DeleteRange(key, append(slices.Clone(key), 0)) }

func (b *batch) DeleteRange(lo, hi []byte) {
	l, h := string(lo), string(hi)
	b.changes = append(b.changes, func(x *Tablet) {
		i, j := sort.SearchStrings(x.keys, l), sort.SearchStrings(x.keys, h)
		for _, k := range x.keys[i:max(i, j)] {
			delete(x.values, k)
		}
		x.keys = slices.Delete(x.keys, i, max(i, j))
	})
}

func (b *batch) commit(x *Tablet) {
	for _, change := range b.changes {
		change(x)
	}
}
