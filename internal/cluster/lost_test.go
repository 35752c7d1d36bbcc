package cluster

import (
	"context"
	"fmt"
	"testing"
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/terms"
)

// asyncTable makes a table at level async that every node knows.
func (w *world) asyncTable() (id model.ResourceID) {
	w.t.Helper()
	op := model.CatalogOp{Kind: model.OpCreateResource, Resource: model.Resource{Kind: model.KindTable, Name: "likes", Level: model.LevelAsync}}
	res, err := w.room(1).ProposeCatalog(context.Background(), &model.Command{Kind: model.CmdCatalog, Body: op.Append(nil)})
	if err != nil {
		w.t.Fatal(err)
	}
	var table model.Resource
	table.Decode(model.NewDecoder(res.Body))
	w.eventually("every node knows the level", func() bool {
		for _, r := range w.up() {
			if r.levels.of(table.ID) != model.LevelAsync {
				return false
			}
		}
		return true
	})
	return table.ID
}

// put writes an item of the table through the node and returns the level that
// it reached.
func (r *room) put(table model.ResourceID, name string, x *terms.Terms) (model.Level, error) {
	cmd := putCommand(name, 0, 10)
	cmd.Resource = table
	_, err := r.Propose(terms.With(context.Background(), x), cmd)
	return x.Given().Level, err
}

// finds reports whether a strong read through the node finds the item.
func (r *room) finds(table model.ResourceID, name string) bool {
	r.world.t.Helper()
	get := model.GetItem{Key: keyOf(name)}
	res, err := r.Read(context.Background(), &model.Query{Kind: model.QueryGetItem, Resource: table, Body: get.Append(nil)}, true)
	var got model.GetResult
	got.Decode(model.NewDecoder(res.Body))
	if err != nil {
		r.world.t.Fatal(err)
	}
	return got.Found
}

// TestAsync: a table at level async is answered by its leader alone, a request
// may ask for more, and a strong read shows what was answered.
func TestAsync(t *testing.T) {
	inWorld(t, 3, 1, func(w *world) {
		table := w.asyncTable()
		lead := w.leader(1)
		reached := map[model.Level]int{}
		for i := range 20 {
			level, err := lead.put(table, fmt.Sprint("k", i), &terms.Terms{Level: model.LevelAsync})
			if err != nil {
				t.Fatal(err)
			}
			reached[level]++
			if !w.other(1).finds(table, fmt.Sprint("k", i)) {
				t.Errorf("write %d was answered and a strong read does not show it", i)
			}
		}
		if reached[model.LevelAsync] < 15 {
			t.Errorf("levels reached: %v", reached)
		}
		for level, want := range map[model.Level]model.Level{model.LevelQuorum: model.LevelQuorum, model.LevelAll: model.LevelAll} {
			if got, err := w.other(1).put(table, "more", &terms.Terms{Level: level}); err != nil || got != want {
				t.Errorf("asked for %v, reached %v, %v", level, got, err)
			}
		}
		if m := lead.TabletMetrics()[1].Async; m.Answered != uint64(reached[model.LevelAsync]) || m.Ahead != 0 || m.InDoubt != 0 {
			t.Errorf("metrics %+v", m)
		}
	})
}

// TestAsyncLost: a leader that is cut off answers for as long as the bound
// allows; what it answered is reported and kept when it meets the new leader.
func TestAsyncLost(t *testing.T) {
	inWorld(t, 3, 1, func(w *world) {
		table := w.asyncTable()
		old := w.leader(1)
		r := old.replica(1)
		for _, name := range []string{"before", "again"} {
			if _, err := old.put(table, name, &terms.Terms{}); err != nil {
				t.Fatal(err)
			}
		}
		w.setCut(old.id, true)
		answered := map[string]bool{}
		begun := time.Now()
		for i := 0; time.Since(begun) < 2*time.Second; i++ {
			name := fmt.Sprint("cut", i)
			done := make(chan answer, 1)
			cmd := putCommand(name, 0, 10)
			cmd.Resource = table
			r.propose(cmd, model.LevelAsync, func(a answer) { done <- a })
			select {
			case a := <-done:
				if a.err == nil {
					answered[name] = true
					if since := time.Since(begun); since > model.DefaultAsyncWindow {
						t.Errorf("a leader that was cut off %v ago answered", since)
					}
				}
			case <-time.After(50 * time.Millisecond):
			}
			time.Sleep(20 * time.Millisecond)
		}
		if len(answered) < 5 {
			t.Fatalf("%d writes were answered within the window: one does not wait for another to be agreed", len(answered))
		}
		w.eventually("it knows what is in doubt", func() bool { return r.async.inDoubt.Load() == int64(len(answered)) })
		other := w.leader(1)
		if _, err := other.put(table, "after", &terms.Terms{Level: model.LevelQuorum}); err != nil {
			t.Fatal(err)
		}
		w.setCut(old.id, false)
		w.eventually("the lost writes are kept", func() bool { return r.async.inDoubt.Load() == 0 })
		w.mu.Lock()
		kept := w.lost
		w.mu.Unlock()
		if len(kept) != len(answered) || r.async.metrics().Lost != uint64(len(answered)) {
			t.Errorf("%d writes were answered and lost, %d are kept", len(answered), len(kept))
		}
		for i := range kept {
			if k := &kept[i]; !k.Answered || !k.Certain || k.Table != "likes" || k.Op != "put" {
				t.Errorf("kept %+v", k)
			}
		}
		for name := range answered {
			if other.finds(table, name) {
				t.Errorf("%s is there after all", name)
			}
		}
		if !other.finds(table, "before") || !other.finds(table, "after") {
			t.Error("agreed writes are missing")
		}
	})
}
