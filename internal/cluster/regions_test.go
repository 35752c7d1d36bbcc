package cluster

import (
	"context"
	"sync"
	"testing"
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/terms"
)

// heardRegions is a Regions that knows of one resource and keeps what it is told.
type heardRegions struct {
	id model.ResourceID

	mu   sync.Mutex // guards told
	told []string
}

func (h *heardRegions) LagOf(id model.ResourceID) (time.Duration, uint64, bool) {
	return 1500 * time.Millisecond, 7, id == h.id
}

func (h *heardRegions) Told(body []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.told = append(h.told, string(body))
}

// TestRegionLag: reads with terms are told how far their resource is behind
// another region, through every node, and what one node tells the others hear.
func TestRegionLag(t *testing.T) {
	inWorld(t, 3, 1, func(w *world) {
		var heard []*heardRegions
		for _, r := range w.up() {
			h := &heardRegions{id: testTable}
			r.SetRegions(h)
			heard = append(heard, h)
		}
		for _, r := range w.up() {
			for _, strong := range []bool{false, true} {
				for _, of := range []model.ResourceID{testTable, testTable + 1000} {
					get := model.GetItem{Key: keyOf("a")}
					x := &terms.Terms{}
					_, err := r.Read(terms.With(context.Background(), x), &model.Query{Kind: model.QueryGetItem, Resource: of, Body: get.Append(nil)}, strong)
					g := x.Given()
					if err != nil || g.FromRegion != (of == testTable) || g.FromRegion && (g.RegionLag != 1500*time.Millisecond || g.RegionChanges != 7) {
						t.Errorf("node %v, resource %v: %+v, %v", r.id, of, g, err)
					}
				}
			}
		}
		w.up()[0].Tell([]byte("news"))
		time.Sleep(time.Second)
		for i, h := range heard {
			h.mu.Lock()
			if n := len(h.told); n != min(i, 1) {
				t.Errorf("node %d was told %d times", i+1, n)
			}
			h.mu.Unlock()
		}
	})
}
