package pipe

import (
	"fmt"
	"testing"

	"weir.dev/weir/internal/model"
)

// catalogCluster is a cluster with nothing but a catalog, of which it leads half.
type catalogCluster struct {
	fakeCluster
	catalog *model.Catalog
}

func (c *catalogCluster) Catalog() *model.Catalog    { return c.catalog }
func (c *catalogCluster) Leads(slot model.Slot) bool { return slot%2 == 0 }

// manyQueues is a catalog in which each queue but the first sends what dies to
// the one before.
func manyQueues(n int) *model.Catalog {
	c := &model.Catalog{}
	for i := range n {
		spec := model.NewQueueSpec()
		if i > 0 {
			spec.Redrive = model.RedrivePolicy{DeadLetters: model.ResourceID(i), MaxReceives: 3}
		}
		spec.Partitions = uint32(1 + i%3)
		c.Resources = append(c.Resources, model.Resource{ID: model.ResourceID(1 + i), Kind: model.KindQueue, Name: fmt.Sprintf("q%06d", i), Version: 1, Spec: spec.Append(nil)})
	}
	return c
}

// TestPlan: the work of a node follows the catalog and who leads.
func TestPlan(t *testing.T) {
	cluster := &catalogCluster{catalog: manyQueues(40)}
	e := &Engine{cluster: cluster}
	check := func(queues int) {
		t.Helper()
		jobs := e.jobs()
		led := 0
		for i := 1; i < queues; i++ {
			if cluster.Leads(model.QueueSlot(model.ResourceID(1 + i))) {
				led++
			}
		}
		if len(jobs) != led {
			t.Errorf("%d jobs of %d queues, want %d", len(jobs), queues, led)
		}
		for _, j := range jobs {
			i := uint64(j.id) - 1
			if !j.mover || uint64(j.spec.Target) != i || uint64(j.spec.TargetSlots) != 1+(i-1)%3 || uint64(len(j.slots)) != 1+i%3 {
				t.Errorf("job %+v", j)
			}
		}
	}
	check(40)
	cluster.catalog = manyQueues(20)
	check(20)
	check(20)
}

// BenchmarkJobs is what an engine does ten times a second among many queues,
// when the catalog is as it was, and when it has changed.
func BenchmarkJobs(b *testing.B) {
	for _, changed := range []bool{false, true} {
		b.Run(fmt.Sprintf("changed=%v", changed), func(b *testing.B) {
			cluster := &catalogCluster{catalog: manyQueues(10_000)}
			e := &Engine{cluster: cluster}
			for b.Loop() {
				if changed {
					next := *cluster.catalog
					cluster.catalog = &next
				}
				if len(e.jobs()) == 0 {
					b.Fatal("no jobs")
				}
			}
		})
	}
}
