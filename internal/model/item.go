package model

import (
	"slices"
	"strings"
)

// Attr is one named attribute.
type Attr struct {
	Name  string
	Value Value
}

// Item is a map from attribute name to value: sorted by name, each name once.
// The order is what makes every replica write the same bytes.
type Item []Attr

// NewItem sorts attrs by name, in place, and returns them as an item. When a
// name occurs twice the last one stays and duplicate is true.
func NewItem(attrs []Attr) (item Item, duplicate bool) {
	sorted := true
	for i := 1; i < len(attrs); i++ {
		if attrs[i-1].Name >= attrs[i].Name {
			sorted = false
			break
		}
	}
	if sorted {
		return attrs, false
	}
	slices.SortStableFunc(attrs, func(a, b Attr) int { return strings.Compare(a.Name, b.Name) })
	kept := attrs[:1]
	for _, a := range attrs[1:] {
		if last := &kept[len(kept)-1]; last.Name == a.Name {
			*last, duplicate = a, true
			continue
		}
		kept = append(kept, a)
	}
	return kept, duplicate
}

// find returns where name is, or where it would go.
func (it Item) find(name string) (int, bool) {
	lo, hi := 0, len(it)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if it[mid].Name < name {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, lo < len(it) && it[lo].Name == name
}

// Get returns the attribute of that name.
func (it Item) Get(name string) (Value, bool) {
	if i, ok := it.find(name); ok {
		return it[i].Value, true
	}
	return Value{}, false
}

// Find returns the attribute of that name without copying it; nil when there
// is none. The value belongs to the item and must not be changed.
func (it Item) Find(name string) *Value {
	if i, ok := it.find(name); ok {
		return &it[i].Value
	}
	return nil
}

// With returns a copy of the item in which name has the value v. The item
// itself does not change; both share the other values.
func (it Item) With(name string, v Value) Item {
	i, ok := it.find(name)
	if ok {
		next := slices.Clone(it)
		next[i].Value = v
		return next
	}
	next := make(Item, len(it)+1)
	copy(next, it[:i])
	next[i] = Attr{Name: name, Value: v}
	copy(next[i+1:], it[i:])
	return next
}

// Without returns a copy of the item that lacks name; the item itself when it
// has no such attribute.
func (it Item) Without(name string) Item {
	i, ok := it.find(name)
	if !ok {
		return it
	}
	next := make(Item, 0, len(it)-1)
	return append(append(next, it[:i]...), it[i+1:]...)
}

// Equal reports whether both items hold the same names with equal values.
func (it Item) Equal(other Item) bool {
	if len(it) != len(other) {
		return false
	}
	for i := range it {
		if it[i].Name != other[i].Name || !it[i].Value.Equal(other[i].Value) {
			return false
		}
	}
	return true
}

// Size is the item's size in bytes by DynamoDB's published rules: that of its
// names, in UTF-8, and of its values. It must not be over MaxItemBytes.
func (it Item) Size() int {
	n := 0
	for i := range it {
		n += len(it[i].Name) + it[i].Value.Size()
	}
	return n
}

// Depth is the depth of the item's deepest value.
func (it Item) Depth() int {
	deepest := 0
	for i := range it {
		deepest = max(deepest, it[i].Value.Depth())
	}
	return deepest
}
