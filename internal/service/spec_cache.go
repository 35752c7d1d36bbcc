package service

import (
	"sync"
	"sync/atomic"

	"weir.dev/weir/internal/model"
)

// specCache holds what resources of one kind were decoded to, so that a request
// decodes no spec. Readers take no lock. What a miss costs does not grow with the
// number of resources, and there are at most about twice as many entries as the
// catalog has resources. Its zero value is ready.
type specCache[T any] struct {
	known   sync.Map     // from model.ResourceID to *decodedSpec[T]
	entries atomic.Int64 // about as many as known has
}

type decodedSpec[T any] struct {
	version uint64
	value   T
}

// specCacheSlack is how many entries more than twice the catalog's resources
// the cache holds before it forgets those of resources that are gone.
const specCacheSlack = 64

// of returns what the catalog's resource was decoded to. decode is given what
// the resource was decoded to before, in another version, if it was; two misses
// at once may both decode.
func (c *specCache[T]) of(cat *model.Catalog, r *model.Resource, decode func(before T) (T, error)) (T, error) {
	var before T
	found, ok := c.known.Load(r.ID)
	if ok {
		d := found.(*decodedSpec[T])
		if d.version == r.Version {
			return d.value, nil
		}
		before = d.value
	}
	value, err := decode(before)
	if err != nil {
		return value, err
	}
	c.known.Store(r.ID, &decodedSpec[T]{r.Version, value})
	if !ok && c.entries.Add(1) > int64(2*cat.Resources.Len()+specCacheSlack) {
		c.forget(cat)
	}
	return value, nil
}

// forget removes the entries of resources that are gone.
func (c *specCache[T]) forget(cat *model.Catalog) {
	left := int64(0)
	c.known.Range(func(id, _ any) bool {
		if _, there := cat.ResourceByID(id.(model.ResourceID)); there {
			left++
		} else {
			c.known.Delete(id)
		}
		return true
	})
	c.entries.Store(left)
}
