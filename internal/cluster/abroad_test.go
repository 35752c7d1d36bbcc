package cluster

import (
	"context"
	"testing"
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/terms"
)

// linked is a table and a link that ships it, in a test's cluster.
type linked struct {
	w     *world
	table model.ResourceID
	links []model.ResourceID
}

// newLinked makes a table and links of it, which watch it in the tablet.
func newLinked(w *world, specs ...model.LinkSpec) *linked {
	l := &linked{w: w, table: w.create(model.KindTable, "likes", nil)}
	for i := range specs {
		specs[i].Tables = []string{"li*"}
		id := w.create(model.KindLink, string(rune('a'+i)), specs[i].Append(nil))
		l.links = append(l.links, id)
		watch := model.Watch{Reader: id, Version: 1, Log: true}
		if _, err := w.room(1).Propose(context.Background(), &model.Command{Kind: model.CmdWatch, Resource: l.table, Body: watch.Append(nil)}); err != nil {
			w.t.Fatal(err)
		}
	}
	return l
}

func (w *world) create(kind model.ResourceKind, name string, spec []byte) model.ResourceID {
	w.t.Helper()
	op := model.CatalogOp{Kind: model.OpCreateResource, Resource: model.Resource{Kind: kind, Name: name, Spec: spec}}
	w.change(op)
	r, _ := w.room(1).Catalog().Resource(kind, name)
	w.eventually("every node knows "+name, func() bool {
		for _, room := range w.up() {
			if _, ok := room.Catalog().Resource(kind, name); !ok {
				return false
			}
		}
		return true
	})
	return r.ID
}

func (w *world) change(op model.CatalogOp) {
	w.t.Helper()
	if _, err := w.room(1).ProposeCatalog(context.Background(), &model.Command{Kind: model.CmdCatalog, Body: op.Append(nil)}); err != nil {
		w.t.Fatal(err)
	}
}

// say has the worker of a link say that it has shipped everything.
func (l *linked) say(link int, s model.Shipped) {
	leader := l.w.leader(1)
	s.Worker = max(s.Worker, 1)
	if s.UpTo == 0 {
		s.UpTo = model.ChangeNumber(leader.replica(1).logged.Load())
	}
	if s.Tables == nil {
		s.Tables = []model.ShippedTable{{ID: l.table, Copied: true}}
	}
	leader.Shipped(l.links[link], 1, s)
}

// put writes through a node. It returns what was given and how long it took.
func (l *linked) put(r *room, name string, t *terms.Terms) (terms.Given, time.Duration, error) {
	cmd := putCommand(name, 0, 10)
	cmd.Resource, cmd.ID = l.table, model.RequestID{1, name[0]}
	begun := time.Now()
	_, err := r.Propose(terms.With(context.Background(), t), cmd)
	return t.Given(), time.Since(begun).Round(100 * time.Millisecond), err
}

// TestSync: a write waits until the link has shipped it, from every node; when
// it does not, the write stays, the request fails, and the next ones are
// refused until the link has caught up.
func TestSync(t *testing.T) {
	inWorld(t, 3, 1, func(w *world) {
		l := newLinked(w, model.LinkSpec{Mode: model.LinkSync})
		if _, took, err := l.put(w.room(2), "a", &terms.Terms{}); kindOf(err) != model.ErrUnavailable || took != model.RegionPatience || w.room(2).finds(l.table, "a") {
			t.Errorf("before the link ships: %v after %v", err, took)
		}
		l.say(0, model.Shipped{})
		for i, r := range w.up() {
			time.AfterFunc(300*time.Millisecond, func() { l.say(0, model.Shipped{}) })
			g, took, err := l.put(r, string(rune('b'+i)), &terms.Terms{})
			if err != nil || !g.Shipped || g.Regions != 1 || took != 300*time.Millisecond {
				t.Errorf("node %v: %+v after %v, %v", r.id, g, took, err)
			}
		}
		g, took, err := l.put(w.room(3), "k", &terms.Terms{})
		if kindOf(err) != model.ErrNotAbroad || took != model.RegionPatience || !g.Shipped || g.Regions != 0 || !w.room(3).finds(l.table, "k") {
			t.Errorf("not shipped: %+v after %v, %v", g, took, err)
		}
		if _, took, err := l.put(w.room(1), "l", &terms.Terms{}); kindOf(err) != model.ErrUnavailable || took != 0 || w.room(1).finds(l.table, "l") {
			t.Errorf("while the link is behind: %v after %v", err, took)
		}
		l.say(0, model.Shipped{})
		if g, _, err := l.put(w.room(2), "k", &terms.Terms{}); err != nil || g.Regions != 1 {
			t.Errorf("sent again: %+v %v", g, err)
		}
		l.say(0, model.Shipped{Worker: 2, Stopped: true})
		l.say(0, model.Shipped{}) // of an earlier worker
		if _, _, err := l.put(w.room(2), "m", &terms.Terms{}); kindOf(err) != model.ErrUnavailable {
			t.Errorf("a link that is stopped: %v", err)
		}
		l.say(0, model.Shipped{Worker: 3, UpTo: 1 << 40, Tables: []model.ShippedTable{{ID: l.table}}})
		if g, _, err := l.put(w.room(2), "n", &terms.Terms{}); err != nil || g.Regions != 1 {
			t.Errorf("while the first copy goes on: %+v %v", g, err)
		}
		if _, _, err := l.put(w.room(2), "n", &terms.Terms{}); kindOf(err) != model.ErrNotAbroad {
			t.Errorf("what was applied before, perhaps before it was watched, while the first copy goes on: %v", err)
		}
	})
}

// TestSyncIfUp: what would fail is answered, and says so; while the link is
// behind nothing waits for it.
func TestSyncIfUp(t *testing.T) {
	inWorld(t, 3, 1, func(w *world) {
		l := newLinked(w, model.LinkSpec{Mode: model.LinkSyncIfUp})
		expect := func(what, name string, regions int, want time.Duration) {
			t.Helper()
			g, took, err := l.put(w.room(2), name, &terms.Terms{})
			if err != nil || !g.Shipped || g.Regions != regions || took != want {
				t.Errorf("%s: %+v after %v, %v", what, g, took, err)
			}
		}
		expect("before the link ships", "a", 0, 0)
		l.say(0, model.Shipped{})
		expect("it does not say in time", "b", 0, model.RegionPatience)
		expect("it is behind", "c", 0, 0)
		l.say(0, model.Shipped{UpTo: 1})
		expect("it is still behind", "d", 0, 0)
		l.say(0, model.Shipped{})
		time.AfterFunc(300*time.Millisecond, func() { l.say(0, model.Shipped{}) })
		expect("it has caught up", "e", 1, 300*time.Millisecond)
		if n := w.leader(1).replica(1).abroad.degraded.Load(); n != 4 {
			t.Errorf("%d writes are counted as degraded", n)
		}
	})
}

// TestRegionsRequired: of several links the number of regions that a link, or
// the request, names must have the write.
func TestRegionsRequired(t *testing.T) {
	inWorld(t, 1, 1, func(w *world) {
		l := newLinked(w, model.LinkSpec{Mode: model.LinkSync, RegionsRequired: 1}, model.LinkSpec{Mode: model.LinkSync}, model.LinkSpec{Mode: model.LinkAsync})
		l.say(0, model.Shipped{})
		l.say(1, model.Shipped{UpTo: 1 << 40})
		l.say(2, model.Shipped{})
		if g, took, err := l.put(w.room(1), "a", &terms.Terms{}); err != nil || g.Regions != 1 || took != 0 {
			t.Errorf("one of two: %+v after %v, %v", g, took, err)
		}
		time.AfterFunc(300*time.Millisecond, func() { l.say(2, model.Shipped{}) })
		if g, took, err := l.put(w.room(1), "b", &terms.Terms{Regions: 2}); err != nil || g.Regions != 2 || took != 300*time.Millisecond {
			t.Errorf("two, as the request asks: %+v after %v, %v", g, took, err)
		}
		if _, took, err := l.put(w.room(1), "c", &terms.Terms{Regions: 3}); kindOf(err) != model.ErrNotAbroad || took != model.RegionPatience {
			t.Errorf("three: after %v, %v", took, err)
		}
		if _, _, err := l.put(w.room(1), "d", &terms.Terms{Regions: 4}); kindOf(err) != model.ErrValidation {
			t.Errorf("four of three: %v", err)
		}
	})
}

// TestSyncFailover: when the leader is gone, who leads next answers what waited.
func TestSyncFailover(t *testing.T) {
	inWorld(t, 3, 1, func(w *world) {
		l := newLinked(w, model.LinkSpec{Mode: model.LinkSync})
		l.say(0, model.Shipped{})
		leader := w.leader(1)
		asked := w.other(1)
		time.AfterFunc(time.Second, func() {
			leader.stop(false)
			w.eventually("another leads", func() bool { return w.leader(1) != nil })
			l.say(0, model.Shipped{Tables: []model.ShippedTable{{ID: l.table, Copied: true}}})
		})
		time.AfterFunc(5*time.Second, func() { l.say(0, model.Shipped{}) })
		g, took, err := l.put(asked, "a", &terms.Terms{})
		if err != nil || g.Regions != 1 || took < time.Second {
			t.Errorf("%+v after %v, %v", g, took, err)
		}
	})
}
