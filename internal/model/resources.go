package model

import (
	"cmp"
	"iter"
	"slices"
	"sort"
	"strings"
)

// Resources is a set of resources that is found by id, and by kind and name. It
// is immutable: With and Without return another set, which shares all but a few
// hundred pointers with this one, so that a change costs about the same in a large
// catalog as in a small one. The resources in it must not be changed. The zero
// value is the empty set.
type Resources struct {
	byName chunks
	byID   chunks
}

// NewResources is the set of the resources given, which must differ in id, and in
// kind and name. It owns them.
func NewResources(all ...*Resource) Resources {
	all = slices.Clone(all)
	slices.SortFunc(all, compareNames)
	byName := newChunks(all)
	slices.SortFunc(all, compareIDs)
	return Resources{byName, newChunks(all)}
}

// Len is how many there are.
func (s *Resources) Len() int { return s.byName.size }

// All are the resources by kind, then name.
func (s *Resources) All() iter.Seq[*Resource] {
	return s.byName.from(&Resource{}, compareNames)
}

// Of are the resources of a kind, by name.
func (s *Resources) Of(kind ResourceKind) iter.Seq[*Resource] { return s.From(kind, "") }

// From are the resources of a kind from that name on, by name.
func (s *Resources) From(kind ResourceKind, name string) iter.Seq[*Resource] {
	return func(yield func(*Resource) bool) {
		for r := range s.byName.from(&Resource{Kind: kind, Name: name}, compareNames) {
			if r.Kind != kind || !yield(r) {
				return
			}
		}
	}
}

// Named returns the resource of that kind and name.
func (s *Resources) Named(kind ResourceKind, name string) (*Resource, bool) {
	return s.byName.get(&Resource{Kind: kind, Name: name}, compareNames)
}

// Get returns the resource of that id.
func (s *Resources) Get(id ResourceID) (*Resource, bool) {
	return s.byID.get(&Resource{ID: id}, compareIDs)
}

// With is the set with r, in place of the one that has its id if there is one,
// which must have the same kind and name.
func (s *Resources) With(r *Resource) Resources {
	return Resources{s.byName.with(r, compareNames), s.byID.with(r, compareIDs)}
}

// Without is the set without the resource of that id.
func (s *Resources) Without(id ResourceID) Resources {
	r, ok := s.Get(id)
	if !ok {
		return *s
	}
	return Resources{s.byName.without(r, compareNames), s.byID.without(r, compareIDs)}
}

// Since are the differences to an older set, by id: what was and what is, of
// which one may be nil. What both sets share is not looked at, so this costs little
// between neighbours.
func (s *Resources) Since(old *Resources) iter.Seq2[*Resource, *Resource] {
	return func(yield func(was, is *Resource) bool) {
		a, b := cursor{list: old.byID.list}, cursor{list: s.byID.list}
		for {
			skipShared(&a, &b)
			was, is := a.now(), b.now()
			switch {
			case was == nil && is == nil:
				return
			case is == nil || was != nil && was.ID < is.ID:
				a.next()
				is = nil
			case was == nil || is.ID < was.ID:
				b.next()
				was = nil
			default:
				a.next()
				b.next()
			}
			if was != is && !yield(was, is) {
				return
			}
		}
	}
}

func compareNames(a, b *Resource) int {
	if a.Kind != b.Kind {
		return cmp.Compare(a.Kind, b.Kind)
	}
	return strings.Compare(a.Name, b.Name)
}

func compareIDs(a, b *Resource) int { return cmp.Compare(a.ID, b.ID) }

// chunkMost is how many resources a chunk holds at most; about the root of the
// largest number of resources to be expected, times a few.
const chunkMost = 256

// chunk is a piece of an order, never empty and never changed.
type chunk struct{ of []*Resource }

// chunks is an order of resources, in pieces.
type chunks struct {
	list []*chunk
	size int
}

func newChunks(sorted []*Resource) chunks {
	c := chunks{size: len(sorted)}
	for piece := range slices.Chunk(slices.Clone(sorted), chunkMost/2) {
		c.list = append(c.list, &chunk{slices.Clip(piece)})
	}
	return c
}

// place is where r is or would be: the chunk, and the place in it.
func (c *chunks) place(r *Resource, compare func(a, b *Resource) int) (at, in int, found bool) {
	at = max(sort.Search(len(c.list), func(i int) bool { return compare(c.list[i].of[0], r) > 0 })-1, 0)
	if len(c.list) == 0 {
		return 0, 0, false
	}
	in, found = slices.BinarySearchFunc(c.list[at].of, r, compare)
	return at, in, found
}

func (c *chunks) get(r *Resource, compare func(a, b *Resource) int) (*Resource, bool) {
	at, in, ok := c.place(r, compare)
	if !ok {
		return nil, false
	}
	return c.list[at].of[in], true
}

// from are those from r on.
func (c *chunks) from(r *Resource, compare func(a, b *Resource) int) iter.Seq[*Resource] {
	return func(yield func(*Resource) bool) {
		at, in, _ := c.place(r, compare)
		for ; at < len(c.list); at, in = at+1, 0 {
			for _, r := range c.list[at].of[in:] {
				if !yield(r) {
					return
				}
			}
		}
	}
}

func (c *chunks) with(r *Resource, compare func(a, b *Resource) int) chunks {
	if len(c.list) == 0 {
		return newChunks([]*Resource{r})
	}
	at, in, found := c.place(r, compare)
	old := c.list[at].of
	if found {
		now := slices.Clone(old)
		now[in] = r
		return chunks{c.replaced(at, &chunk{now}), c.size}
	}
	now := make([]*Resource, 0, len(old)+1)
	now = append(append(append(now, old[:in]...), r), old[in:]...)
	if len(now) <= chunkMost {
		return chunks{c.replaced(at, &chunk{now}), c.size + 1}
	}
	half := len(now) / 2
	if in == len(old) { // ids grow: leave full chunks behind
		half = len(old)
	}
	return chunks{c.replaced(at, &chunk{slices.Clip(now[:half])}, &chunk{slices.Clone(now[half:])}), c.size + 1}
}

// without removes r, which is there. Neighbours that have become small are
// joined.
func (c *chunks) without(r *Resource, compare func(a, b *Resource) int) chunks {
	at, in, _ := c.place(r, compare)
	old := c.list[at].of
	now := append(append(make([]*Resource, 0, len(old)-1), old[:in]...), old[in+1:]...)
	left := chunks{size: c.size - 1}
	switch {
	case len(now) == 0:
		left.list = c.replaced(at)
	case at+1 < len(c.list) && len(now)+len(c.list[at+1].of) <= chunkMost/2:
		now = append(now, c.list[at+1].of...)
		left.list = slices.Delete(c.replaced(at, &chunk{now}), at+1, at+2)
	default:
		left.list = c.replaced(at, &chunk{now})
	}
	return left
}

// replaced is a new list with others in place of one chunk.
func (c *chunks) replaced(at int, by ...*chunk) []*chunk {
	list := make([]*chunk, 0, len(c.list)+len(by)-1)
	return append(append(append(list, c.list[:at]...), by...), c.list[at+1:]...)
}

// cursor walks over an order.
type cursor struct {
	list []*chunk
	in   int
}

func (c *cursor) now() *Resource {
	if len(c.list) == 0 {
		return nil
	}
	return c.list[0].of[c.in]
}

func (c *cursor) next() {
	if c.in++; c.in == len(c.list[0].of) {
		c.list, c.in = c.list[1:], 0
	}
}

// skipShared moves both over the chunks that they share here.
func skipShared(a, b *cursor) {
	for a.in == 0 && b.in == 0 && len(a.list) > 0 && len(b.list) > 0 && a.list[0] == b.list[0] {
		a.list, b.list = a.list[1:], b.list[1:]
	}
}
