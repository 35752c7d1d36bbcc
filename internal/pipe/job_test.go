package pipe

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/model"
)

// catalogCluster is a cluster with nothing but a catalog of two tablets, of which
// it leads one.
type catalogCluster struct {
	fakeCluster
	catalog *model.Catalog
	second  bool // which
}

func (c *catalogCluster) Catalog() *model.Catalog    { return c.catalog }
func (c *catalogCluster) Leads(slot model.Slot) bool { return slot >= 1<<15 == c.second }

// queueSendingTo is a queue of up to three slots whose dead letters go to the
// target, if there is one.
func queueSendingTo(id, target model.ResourceID) *model.Resource {
	spec := model.NewQueueSpec()
	if target > 0 {
		spec.Redrive = model.RedrivePolicy{DeadLetters: target, MaxReceives: 3}
	}
	spec.Partitions = uint32(1 + id%3)
	return &model.Resource{ID: id, Kind: model.KindQueue, Name: fmt.Sprintf("q%06d", id), Version: 1, Spec: spec.Append(nil)}
}

// manyQueues is a catalog in which each queue but the first sends what dies to
// the one before.
func manyQueues(n int) *model.Catalog {
	c := &model.Catalog{Tablets: []model.Tablet{{ID: 0}, {ID: 1, Lo: 0, Hi: 1 << 15}, {ID: 2, Lo: 1 << 15, Hi: 1 << 16}}}
	for i := range n {
		id := model.ResourceID(1 + i)
		c.Resources = c.Resources.With(queueSendingTo(id, id-1))
	}
	return c
}

// planned is an engine without a clock, after one round of its supervisor.
func planned(c *catalogCluster) *Engine {
	e := &Engine{cluster: c, rand: base.NewRand(1), workers: map[model.ResourceID]*worker{}}
	e.look()
	return e
}

// TestAssignedWork: the work of a node follows the catalog, by its changes, and
// who leads.
func TestAssignedWork(t *testing.T) {
	cluster := &catalogCluster{catalog: manyQueues(40)}
	e := planned(cluster)
	check := func(missing ...model.ResourceID) {
		t.Helper()
		e.look()
		want := 0
		for r := range cluster.catalog.Resources.All() {
			q, _ := queueSpec(r)
			slots := slices.DeleteFunc(model.QueueSlots(r.ID, q.Partitions), func(s model.Slot) bool { return !cluster.Leads(s) })
			if q.Redrive.MaxReceives == 0 || len(slots) == 0 {
				continue
			}
			want++
			j := e.movers[r.ID]
			if j == nil || !j.mover || j.spec.Target != j.id-1 || uint64(j.spec.TargetSlots) != 1+uint64(j.id-1)%3 || !slices.Equal(j.slots, slots) {
				t.Errorf("queue %v has job %+v", r.ID, j)
			}
		}
		if len(e.movers) != want || want < 10 || len(e.mine) != 0 {
			t.Errorf("%d movers and %d others, want %d movers", len(e.movers), len(e.mine), want)
		}
	}
	change := func(to func(*model.Resources) model.Resources) {
		next := *cluster.catalog
		next.Resources = to(&next.Resources)
		cluster.catalog = &next
	}
	check()
	cluster.second = true
	check()
	change(func(s *model.Resources) model.Resources { return s.Without(17) })
	check()
	change(func(s *model.Resources) model.Resources { return s.With(queueSendingTo(20, 0)) })
	check()
	change(func(s *model.Resources) model.Resources { return s.With(queueSendingTo(41, 40)) })
	check()
	cluster.catalog = manyQueues(30)
	cluster.second = false
	check()
	e.nudges.take()
	movers := maps.Clone(e.movers)
	if e.look() {
		t.Error("work was assigned anew although nothing changed")
	}
	if e.assign(); !maps.Equal(movers, e.movers) {
		t.Error("movers were made anew although nothing changed")
	}
	if queues, _ := e.nudges.take(); len(queues) > 0 {
		t.Errorf("movers of %v were told to look although nothing changed", queues)
	}
}

// TestEndingPipes: a deleted pipe is work until the catalog has forgotten it,
// also one that was made and deleted between two looks.
func TestEndingPipes(t *testing.T) {
	c := &model.Catalog{}
	spec := model.PipeSpec{Source: 1, SourceSlots: 1, Target: 2, TargetKind: model.KindTable}
	pipe := &model.Resource{ID: 3, Kind: model.KindPipe, Name: "p", Version: 1, Spec: spec.Append(nil)}
	brief := &model.Resource{ID: 4, Kind: model.KindPipe, Name: "q", Version: 1, Spec: spec.Append(nil)}
	c.Resources = model.NewResources(pipe)
	var a agenda
	step := func(name string, deleted []*model.Resource, changed bool, want ...string) {
		t.Helper()
		next := *c
		next.Deleted = deleted
		c = &next
		if got := a.follow(c, nil); got != changed {
			t.Errorf("%s: changed %v", name, got)
		}
		var got []string
		for _, j := range a.jobs {
			got = append(got, fmt.Sprintf("%s %v", j.name, j.ending))
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	step("made", nil, true, "p false")
	step("as before", nil, false, "p false")
	c.Resources = model.Resources{}
	step("deleted", []*model.Resource{pipe, brief}, true, "p true", "q true")
	step("deleted still", []*model.Resource{pipe, brief}, false, "p true", "q true")
	step("one forgotten", []*model.Resource{brief}, true, "q true")
	step("both forgotten", nil, true)
}

// BenchmarkSupervise is what an engine does ten times a second among many
// queues, half of which it works for: when nothing has changed, and when a queue
// has.
func BenchmarkSupervise(b *testing.B) {
	for _, changed := range []bool{false, true} {
		b.Run(fmt.Sprintf("changed=%v", changed), func(b *testing.B) {
			cluster := &catalogCluster{catalog: manyQueues(10_000)}
			e := planned(cluster)
			for b.Loop() {
				if changed {
					next := *cluster.catalog
					next.Resources = next.Resources.With(queueSendingTo(5000, 0))
					cluster.catalog = &next
				}
				e.look()
				if len(e.movers) == 0 {
					b.Fatal("no jobs")
				}
			}
		})
	}
}
