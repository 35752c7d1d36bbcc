package machine

import (
	"fmt"
	"slices"
	"sort"

	"weir.dev/weir/internal/model"
)

// memView is a tablet's state in memory: what storage is to the machine. A
// memBatch collects the changes of a command; commit makes them visible.
type memView struct {
	keys   []string // ascending
	values map[string][]byte
}

func newMemView() *memView { return &memView{values: map[string][]byte{}} }

// Get implements Reader.
func (v *memView) Get(key []byte) ([]byte, bool, error) {
	value, ok := v.values[string(key)]
	return slices.Clone(value), ok, nil
}

// Scan implements Reader. The iterator walks over the state of the call.
func (v *memView) Scan(lo, hi []byte, reverse bool) (Iterator, error) {
	i := sort.SearchStrings(v.keys, string(lo))
	j := sort.SearchStrings(v.keys, string(hi))
	it := &memIterator{view: v, keys: slices.Clone(v.keys[i:max(i, j)])}
	if reverse {
		slices.Reverse(it.keys)
	}
	return it, nil
}

func (v *memView) set(key string, value []byte) {
	if _, ok := v.values[key]; !ok {
		v.keys = slices.Insert(v.keys, sort.SearchStrings(v.keys, key), key)
	}
	v.values[key] = value
}

func (v *memView) deleteRange(lo, hi string) {
	i, j := sort.SearchStrings(v.keys, lo), sort.SearchStrings(v.keys, hi)
	for _, k := range v.keys[i:max(i, j)] {
		delete(v.values, k)
	}
	v.keys = slices.Delete(v.keys, i, max(i, j))
}

type memIterator struct {
	view *memView
	keys []string
	at   string
}

func (it *memIterator) Next() bool {
	if len(it.keys) == 0 {
		return false
	}
	it.at, it.keys = it.keys[0], it.keys[1:]
	return true
}
func (it *memIterator) Key() []byte   { return []byte(it.at) }
func (it *memIterator) Value() []byte { return it.view.values[it.at] }
func (it *memIterator) Close() error  { return nil }

// memBatch implements Writer.
type memBatch struct {
	changes []func(v *memView)
}

func (b *memBatch) Set(key, value []byte) {
	k, copied := string(key), slices.Clone(value)
	b.changes = append(b.changes, func(v *memView) { v.set(k, copied) })
}

// SetNew fails the test when the promise is not kept.
func (b *memBatch) SetNew(key, value []byte) {
	k, copied := string(key), slices.Clone(value)
	b.changes = append(b.changes, func(v *memView) {
		if _, there := v.values[k]; there {
			panic(fmt.Sprintf("a key that is set as new is there: %x", k))
		}
		v.set(k, copied)
	})
}

func (b *memBatch) Delete(key []byte) {
	k := string(key)
	b.changes = append(b.changes, func(v *memView) { v.deleteRange(k, k+"\x00") })
}

func (b *memBatch) DeleteRange(lo, hi []byte) {
	l, h := string(lo), string(hi)
	b.changes = append(b.changes, func(v *memView) { v.deleteRange(l, h) })
}

func (b *memBatch) commit(v *memView) {
	for _, change := range b.changes {
		change(v)
	}
	b.changes = nil
}

// rig is a machine on a memView that applies one command after the other.
type rig struct {
	machine *Machine
	view    *memView
	index   model.Index
	stamp   model.Stamp
}

// newRig returns the rig of tablet 1, which owns all slots.
func newRig() *rig {
	r := &rig{machine: New(1, 0, model.SlotCount), view: newMemView()}
	if err := r.machine.Load(r.view); err != nil {
		panic(err)
	}
	return r
}

// apply stamps the command, unless it is stamped, applies it and commits it.
func (r *rig) apply(cmd *model.Command) (Outcome, error) {
	r.index++
	if cmd.Stamp == 0 {
		cmd.Stamp = r.stamp + 1
	}
	r.stamp = cmd.Stamp
	var b memBatch
	out, err := r.machine.Apply(r.view, &b, Position{Index: r.index}, cmd)
	if err == nil {
		b.commit(r.view)
	}
	return out, err
}
