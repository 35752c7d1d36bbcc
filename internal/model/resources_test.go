package model

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestResourcesAgainstMap changes a set at random, and holds it and every older
// set to a map.
func TestResourcesAgainstMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var s Resources
	want := map[ResourceID]*Resource{}
	var next ResourceID
	for step := range 2500 {
		before, was := s, maps.Clone(want)
		grow := step < 1500 || step%3 == 0
		ids := slices.Sorted(maps.Keys(want))
		for range 1 + rng.IntN(3) {
			id := ResourceID(0)
			if len(ids) > 0 {
				id = ids[rng.IntN(len(ids))]
			}
			switch old := want[id]; {
			case grow || old == nil:
				next++
				r := &Resource{ID: next, Kind: ResourceKind(1 + rng.IntN(3)), Name: fmt.Sprint(rng.Uint64()), Version: 1}
				s, want[r.ID] = s.With(r), r
			case rng.IntN(4) == 0:
				r := *old
				r.Version++
				s, want[r.ID] = s.With(&r), &r
			default:
				s = s.Without(id)
				delete(want, id)
			}
		}
		if step%50 == 0 || len(want) < 3 {
			checkResources(t, &s, want)
			checkResources(t, &before, was)
			checkSince(t, &before, &s, was, want)
		}
	}
	if s.Len() == 0 || next < 2000 {
		t.Fatalf("%d left of %d: the test has become weak", s.Len(), next)
	}
	none := Resources{}
	checkSince(t, &none, &s, nil, want)
	checkSince(t, &s, &none, want, nil)
	made := NewResources(slices.Collect(s.All())...)
	checkResources(t, &made, want)
	checkSince(t, &s, &made, want, want)
	if same := s.Without(next + 1); same.Len() != s.Len() {
		t.Error("what is not there was removed")
	}
}

func checkResources(t *testing.T, s *Resources, want map[ResourceID]*Resource) {
	t.Helper()
	all := slices.Collect(maps.Values(want))
	slices.SortFunc(all, func(a, b *Resource) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name)) })
	if got := slices.Collect(s.All()); !slices.Equal(got, all) || s.Len() != len(all) {
		t.Fatalf("%d resources, Len %d, want %d", len(got), s.Len(), len(all))
	}
	for i, r := range all {
		byName, _ := s.Named(r.Kind, r.Name)
		byID, _ := s.Get(r.ID)
		if byName != r || byID != r {
			t.Fatalf("%v is found as %v and %v", r, byName, byID)
		}
		if i%97 != 0 {
			continue
		}
		var rest []*Resource
		for _, o := range all[i:] {
			if o.Kind == r.Kind {
				rest = append(rest, o)
			}
		}
		if got := slices.Collect(s.From(r.Kind, r.Name)); !slices.Equal(got, rest) {
			t.Fatalf("%d from %v on, want %d", len(got), r, len(rest))
		}
	}
	if _, ok := s.Named(KindTable, "none"); ok {
		t.Error("what is not there is found by name")
	}
	if _, ok := s.Get(1 << 40); ok {
		t.Error("what is not there is found by id")
	}
}

func checkSince(t *testing.T, old, now *Resources, was, is map[ResourceID]*Resource) {
	t.Helper()
	got := maps.Clone(was)
	if got == nil {
		got = map[ResourceID]*Resource{}
	}
	last := ResourceID(0)
	for a, b := range now.Since(old) {
		r := cmp.Or(a, b)
		if r.ID <= last || a == b || got[r.ID] != a {
			t.Fatalf("difference %v, %v after %v", a, b, last)
		}
		if last = r.ID; b == nil {
			delete(got, r.ID)
		} else {
			got[r.ID] = b
		}
	}
	if !maps.Equal(got, is) {
		t.Fatalf("the differences lead to %d resources, want %d", len(got), len(is))
	}
}

// BenchmarkResources is what a change costs among few and many.
func BenchmarkResources(b *testing.B) {
	for _, n := range []int{100, 10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var s Resources
			for i := range n {
				s = s.With(&Resource{ID: ResourceID(1 + i), Kind: KindQueue, Name: fmt.Sprintf("queue-%d", i*7919%n)})
			}
			for i := 0; b.Loop(); i++ {
				r, _ := s.Get(ResourceID(1 + i%n))
				changed := *r
				next := s.With(&changed)
				for range next.Since(&s) {
					s = next
				}
			}
		})
	}
}
