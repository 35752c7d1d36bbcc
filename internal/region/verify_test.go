package region

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// verify compares the sides of a link to the end.
func (w *town) verify(link string, repair bool) Verification {
	w.t.Helper()
	ctx := context.Background()
	w.await("the last comparison has ended", func() bool {
		v, err := w.engine().Verified(ctx, link)
		return err != nil || !v.Ended.IsZero()
	})
	if err := w.engine().Verify(ctx, link, repair); err != nil {
		w.t.Fatal(err)
	}
	var v Verification
	w.await("the comparison ends", func() bool {
		var err error
		if v, err = w.engine().Verified(ctx, link); err != nil {
			w.t.Fatal(err)
		}
		return !v.Ended.IsZero()
	})
	return v
}

// spoil changes what a region has stored under an item's key, as a broken disk
// or a bug would: past the log.
func (w *town) spoil(table, id string, change func(s *tabletState, key []byte)) {
	w.t.Helper()
	r, _ := w.Catalog().Resource(model.KindTable, table)
	found := false
	w.set(func() {
		for _, s := range w.tablets {
			for _, k := range s.keys {
				res, _, rest, ok := keys.SplitItem([]byte(k))
				if ok && res == r.ID && strings.Contains(keys.ItemString(rest), id) && !found {
					found = true
					change(s, []byte(k))
					return
				}
			}
		}
	})
	if !found {
		w.t.Fatalf("%s is not stored in %s", id, w.name)
	}
}

func remove(s *tabletState, key []byte) { s.Delete(key) }

// rewriteAs leaves the version and changes the content.
func rewriteAs(v string) func(*tabletState, []byte) {
	return func(s *tabletState, key []byte) {
		value, _, _ := s.Get(key)
		rec, _ := keys.SplitItemRecord(value)
		item, _ := model.NewItem(itemOf("broken", v))
		rec.Item = model.AppendItem(nil, item)
		s.Set(key, keys.AppendItemRecord(nil, &rec))
	}
}

// TestVerify plants differences of every kind, finds exactly these while both
// sides are written, and mends them.
func TestVerify(t *testing.T) {
	inTowns(t, func(t *testing.T, wire *fakeWire, east, west *town) {
		east.createTable("orders")
		east.createTable("other")
		for i := range 200 {
			east.put("orders", fmt.Sprintf("item-%03d", i), "1")
		}
		east.link(west, Settings{Name: "to-west"})
		east.caughtUp("to-west")
		west.link(east, Settings{Name: "to-east"})
		west.caughtUp("to-east")
		east.caughtUp("to-west")
		if v := east.verify("to-west", false); v.Err != "" || v.Found != 0 || v.Tables != 2 || v.Items != 200 {
			t.Fatalf("two equal sides: %+v", v)
		}
		west.spoil("orders", "item-007", remove)
		east.spoil("orders", "item-008", remove)
		west.spoil("orders", "item-009", rewriteAs("bad"))
		stop := make(chan struct{})
		done := make(chan struct{})
		go func() { // traffic, some of it on the keys that differ
			defer close(done)
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				a := []*town{east, west}[i%2]
				if err := a.tryPut("orders", fmt.Sprintf("item-%03d", 20+i%100), fmt.Sprint(i)); err != nil {
					t.Error(err)
				}
				time.Sleep(7 * time.Millisecond)
			}
		}()
		v := east.verify("to-west", false)
		if v.Err != "" || v.Found != 3 || v.Repaired != 0 {
			t.Errorf("%+v", v)
		}
		what := map[string]string{}
		for _, d := range v.Differences {
			what[d.Key] = d.What
		}
		want := map[string]string{"S:item-007": "missing there", "S:item-008": "missing here", "S:item-009": "differs"}
		for key, kind := range want {
			if !hasKey(what, key, kind) {
				t.Errorf("%s is not said to be %s: %v", key, kind, what)
			}
		}
		if v := east.verify("to-west", true); v.Err != "" || v.Found != 3 || v.Repaired != 3 {
			t.Errorf("repair: %+v", v)
		}
		close(stop)
		<-done
		if v := east.verify("to-west", false); v.Err != "" || v.Found != 0 || v.Unsettled != 0 {
			t.Errorf("after repair: %+v", v)
		}
		for _, id := range []string{"item-007", "item-008", "item-009"} {
			if a, b := east.get("orders", id), west.get("orders", id); a != "1" || b != "1" {
				t.Errorf("%s is %q and %q", id, a, b)
			}
		}
		st, err := east.engine().Describe(context.Background(), "to-west")
		if err != nil || st.Spec.VerifiedMs == 0 || st.Spec.Differences != 0 {
			t.Errorf("%+v %v", st.Spec, err)
		}
	})
}

func hasKey(what map[string]string, key, kind string) bool {
	id := strings.TrimPrefix(key, "S:")
	for k, v := range what {
		if strings.Contains(k, id) && v == kind {
			return true
		}
	}
	return false
}

// TestVerifyOneWay has the side that ships decide, also about what the other one
// has and it has not.
func TestVerifyOneWay(t *testing.T) {
	inTowns(t, func(t *testing.T, wire *fakeWire, east, west *town) {
		east.createTable("orders")
		for i := range 20 {
			east.put("orders", fmt.Sprint("k", i), fmt.Sprint(i))
		}
		east.link(west, Settings{Name: "to-west"})
		east.caughtUp("to-west")
		west.put("orders", "own", "x")
		west.put("orders", "k3", "mine")
		if v := east.verify("to-west", true); v.Err != "" || v.Found != 2 || v.Repaired != 2 {
			t.Errorf("%+v", v)
		}
		if west.get("orders", "own") != "" || west.get("orders", "k3") != "3" {
			t.Error("the side that ships did not decide")
		}
		lost := 0
		if _, err := west.engine().EachConflict(context.Background(), func(*KeptConflict) error { lost++; return nil }); err != nil || lost != 2 {
			t.Errorf("%d of the replaced writes are kept: %v", lost, err)
		}
		wire.set(func() { wire.cut = true })
		if v := east.verify("to-west", false); !strings.Contains(v.Err, "cannot reach") {
			t.Errorf("a cut link: %+v", v)
		}
	})
}

// TestVerifyFarAway compares with a region a tenth of a second away, at rest and
// while clients write everything again and again: round trips are shared.
func TestVerifyFarAway(t *testing.T) {
	inTowns(t, func(t *testing.T, wire *fakeWire, east, west *town) {
		east.createTable("orders")
		const items = 20
		write := func(round int) {
			for i := range items {
				east.put("orders", fmt.Sprint("k", i), fmt.Sprint(round))
			}
		}
		write(0)
		east.link(west, Settings{Name: "to-west"})
		east.caughtUp("to-west")
		wire.set(func() { wire.delay = 100 * time.Millisecond })
		if v := east.verify("to-west", false); v.Err != "" || v.Found != 0 || v.Items != items || v.Ended.Sub(v.Started) > 8*time.Second {
			t.Errorf("at rest, after %v: %+v", v.Ended.Sub(v.Started), v)
		}
		stop, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			for round := 1; ; round++ {
				select {
				case <-stop:
					return
				case <-time.After(50 * time.Millisecond):
					write(round)
				}
			}
		}()
		v := east.verify("to-west", false)
		close(stop)
		<-done
		if v.Err != "" || v.Found != 0 || v.Ended.Sub(v.Started) > 16*time.Second {
			t.Errorf("under writes, after %v: %+v", v.Ended.Sub(v.Started), v)
		}
	})
}

// TestVerifySchedule has a link compared never, and then every few minutes.
func TestVerifySchedule(t *testing.T) {
	inTowns(t, func(t *testing.T, _ *fakeWire, east, west *town) {
		ctx := context.Background()
		never, often := time.Duration(0), 3*time.Minute
		east.createTable("orders")
		east.put("orders", "k", "1")
		east.link(west, Settings{Name: "to-west", VerifyEvery: &never})
		east.caughtUp("to-west")
		west.spoil("orders", "k", remove)
		time.Sleep(5 * time.Minute)
		if _, err := east.engine().Verified(ctx, "to-west"); err == nil {
			t.Error("compared although never was asked for")
		}
		if err := east.engine().Change(ctx, "to-west", &Change{VerifyEvery: &often}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		st, err := east.engine().Describe(ctx, "to-west")
		if err != nil || st.Spec.Differences != 1 || st.Spec.VerifiedMs == 0 {
			t.Errorf("%+v %v", st.Spec, err)
		}
		if st.Spec.VerifySeconds != 180 {
			t.Errorf("%+v", st.Spec)
		}
		east.link(west, Settings{Name: "second", Tables: []string{"none"}})
		if st, err = east.engine().Describe(ctx, "second"); err != nil || st.Spec.VerifySeconds != 24*3600 {
			t.Errorf("the default is %d s: %v", st.Spec.VerifySeconds, err)
		}
	})
}

// TestVerifyRing does not take for a difference what is on its way through a
// third region.
func TestVerifyRing(t *testing.T) {
	inTowns(t, func(t *testing.T, wire *fakeWire, east, west *town) {
		ctx := context.Background()
		east.createTable("orders")
		east.link(west, Settings{Name: "to-west"})
		east.caughtUp("to-west")
		third := newTown(t, wire, "third", 1)
		defer func() { third.engines[0].Close(); third.engines[1].Close() }()
		west.link(third, Settings{Name: "to-third"})
		west.put("orders", "k", "newer")
		if v := east.verify("to-west", true); v.Err != "" || v.Found != 0 || v.Unsettled != 1 {
			t.Errorf("%+v", v)
		}
		if got := west.get("orders", "k"); got != "newer" {
			t.Errorf("the repair overwrote a write on its way: %q", got)
		}
		if err := west.engine().Remove(ctx, "to-third"); err != nil {
			t.Fatal(err)
		}
	})
}
