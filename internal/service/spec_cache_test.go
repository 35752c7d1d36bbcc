package service

import (
	"fmt"
	"testing"

	"weir.dev/weir/internal/model"
)

// TestSpecCache: a version is decoded once, the next one is given the one before,
// and what is gone is forgotten.
func TestSpecCache(t *testing.T) {
	var c specCache[string]
	decoded := 0
	r := &model.Resource{ID: 1, Kind: model.KindQueue, Version: 1}
	cat := &model.Catalog{Resources: model.NewResources(r)}
	get := func(r *model.Resource) string {
		got, err := c.of(cat, r, func(before string) (string, error) {
			decoded++
			return fmt.Sprintf("%s%d.", before, r.Version), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	for range 2 {
		if got := get(r); got != "1." || decoded != 1 {
			t.Errorf("%s, decoded %d times", got, decoded)
		}
	}
	r.Version = 2
	for range 2 {
		if got := get(r); got != "1.2." || decoded != 2 {
			t.Errorf("%s, decoded %d times", got, decoded)
		}
	}
	for id := range model.ResourceID(1000) { // each is gone when the next one comes
		get(&model.Resource{ID: 2 + id, Version: 1})
	}
	kept := 0
	c.known.Range(func(_, _ any) bool { kept++; return true })
	if kept > 2+specCacheSlack || int64(kept) != c.entries.Load() {
		t.Errorf("%d entries for one resource, %d counted", kept, c.entries.Load())
	}
	if decoded = 0; get(r) != "1.2." || decoded != 0 {
		t.Error("what is in the catalog was forgotten")
	}
}

// BenchmarkSpecCacheMiss is what a resource's first request costs beside its
// decoding, among many resources.
func BenchmarkSpecCacheMiss(b *testing.B) {
	for _, n := range []int{100, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var c specCache[int]
			all := make([]*model.Resource, n)
			for i := range all {
				all[i] = &model.Resource{ID: model.ResourceID(i), Kind: model.KindQueue, Name: fmt.Sprint(i), Version: 1}
			}
			cat := &model.Catalog{Resources: model.NewResources(all...)}
			for i := 0; b.Loop(); i++ {
				r := all[i%n]
				r.Version++
				if _, err := c.of(cat, r, func(int) (int, error) { return 1, nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
