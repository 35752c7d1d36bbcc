package region

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"weir.dev/weir/internal/model"
)

// pairUp makes two regions of which west is passive and both ship.
func pairUp(east, west *town) {
	east.createTable("orders")
	east.link(west, Settings{Name: "to-west"})
	east.caughtUp("to-west")
	if err := west.engine().SetPassive(context.Background(), "from-east-to-west", true); err != nil {
		east.t.Fatal(err)
	}
	west.link(east, Settings{Name: "to-east"})
	west.caughtUp("to-east")
}

// TestPlannedFailover moves the writes to the other region and back while a
// client writes all the time, to whichever takes it: no acknowledged write is
// lost, and none is refused by both for a second.
func TestPlannedFailover(t *testing.T) {
	inTowns(t, func(t *testing.T, _ *fakeWire, east, west *town) {
		ctx := context.Background()
		pairUp(east, west)
		acked, longest := map[string]string{}, time.Duration(0)
		stop, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			last := time.Now()
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				id := fmt.Sprint("k", i%50)
				for _, w := range []*town{east, west} {
					if w.tryPut("orders", id, fmt.Sprint(i)) == nil {
						acked[id] = fmt.Sprint(i)
						longest, last = max(longest, time.Since(last)), time.Now()
						break
					}
				}
				time.Sleep(3 * time.Millisecond)
			}
		}()
		time.Sleep(time.Second)
		s, err := east.engine().FailOver(ctx, "to-west")
		if err != nil || s.Refused <= 0 || s.Refused > time.Second {
			t.Errorf("%+v %v", s, err)
		}
		if err := east.tryPut("orders", "own", "x"); !refused(err) {
			t.Errorf("the old primary takes a write: %v", err)
		}
		west.put("orders", "own", "y")
		time.Sleep(2 * time.Second)
		if s, err = west.engine().FailOver(ctx, "to-east"); err != nil || s.Refused > time.Second {
			t.Errorf("back: %+v %v", s, err)
		}
		east.put("orders", "own", "z")
		if err := west.tryPut("orders", "own", "x"); !refused(err) {
			t.Errorf("west still takes a write: %v", err)
		}
		d, err := east.engine().TryFailOver(ctx, "to-west")
		if err != nil || d.There.Refused <= 0 || d.Back.Refused <= 0 || d.Back.Refused > time.Second {
			t.Errorf("drill: %+v %v", d, err)
		}
		east.put("orders", "own", "zz")
		close(stop)
		<-done
		east.caughtUp("to-west")
		if longest > time.Second {
			t.Errorf("no region took a write for %v", longest)
		}
		for id, v := range acked {
			if a, b := east.get("orders", id), west.get("orders", id); a != v || b != v {
				t.Errorf("%s was acknowledged as %s and is %q and %q", id, v, a, b)
			}
		}
		if v := east.verify("to-west", false); v.Found != 0 || v.Err != "" {
			t.Errorf("%+v", v)
		}
	})
}

// TestPlannedFailoverMakesTheLinkBack fails over to a region that only took in
// until then.
func TestPlannedFailoverMakesTheLinkBack(t *testing.T) {
	inTowns(t, func(t *testing.T, _ *fakeWire, east, west *town) {
		ctx := context.Background()
		east.createTable("orders")
		east.put("orders", "k", "1")
		east.link(west, Settings{Name: "to-west"})
		east.caughtUp("to-west")
		if _, err := east.engine().TryFailOver(ctx, "to-west"); err == nil || !strings.Contains(err.Error(), "link back") {
			t.Errorf("a drill without a link back: %v", err)
		}
		if _, err := east.engine().FailOver(ctx, "to-west"); err != nil {
			t.Fatal(err)
		}
		west.put("orders", "k", "2")
		east.await("west ships back", func() bool { return east.get("orders", "k") == "2" })
	})
}

// TestPlannedFailoverGivesUp has the link cut: writes go on where they were.
func TestPlannedFailoverGivesUp(t *testing.T) {
	inTowns(t, func(t *testing.T, wire *fakeWire, east, west *town) {
		ctx := context.Background()
		pairUp(east, west)
		east.put("orders", "k", "1")
		east.caughtUp("to-west")
		wire.set(func() { wire.cut = true })
		if _, err := east.engine().FailOver(ctx, "to-west"); err == nil {
			t.Error("failed over through a cut link")
		}
		east.put("orders", "k", "2")
		paused := true
		if err := east.engine().Change(ctx, "to-west", &Change{Paused: &paused}); err != nil {
			t.Fatal(err)
		}
		if _, err := east.engine().FailOver(ctx, "to-west"); err == nil || !strings.Contains(err.Error(), "paused") {
			t.Errorf("a paused link: %v", err)
		}
	})
}

// TestForcedFailover loses the old primary for a while: the survivor says what
// it lacks and takes over, the old one is fenced when it comes back, and what it
// had not shipped is kept, shown, and merged when asked for.
func TestForcedFailover(t *testing.T) {
	inTowns(t, func(t *testing.T, wire *fakeWire, east, west *town) {
		ctx := context.Background()
		pairUp(east, west)
		east.put("orders", "both", "1")
		east.put("orders", "old", "1")
		east.caughtUp("to-west")
		time.Sleep(5 * time.Second)
		wire.set(func() { wire.cut = true })
		time.Sleep(100 * time.Millisecond)
		east.put("orders", "both", "unshipped")
		east.put("orders", "new", "unshipped")
		if _, err := west.engine().ForceOver(ctx, "nobody", false); err == nil {
			t.Error("nobody fails over")
		}
		s, err := west.engine().ForceOver(ctx, "to-east", false)
		if err != nil || s.Epoch != 1 || s.Lost.At.IsZero() {
			t.Fatalf("%+v %v", s, err)
		}
		time.Sleep(time.Second)
		west.put("orders", "both", "2")
		wire.set(func() { wire.cut = false })
		east.await("the old primary is fenced", func() bool { return refused(east.tryPut("orders", "probe", "x")) })
		east.await("it says why it does not ship", func() bool {
			st, err := east.engine().Describe(ctx, "to-west")
			return err == nil && st.Spec.Held && st.Problem == errHeld.Error()
		})
		var held []string
		err = east.engine().EachHeld(ctx, "to-west", 100, func(table, key string, c *model.LoggedChange) error {
			held = append(held, table+key)
			return nil
		})
		if err != nil || len(held) < 2 {
			t.Errorf("%v are held: %v", held, err)
		}
		if west.get("orders", "new") != "" {
			t.Error("what the old primary had not shipped was merged by itself")
		}
		west.put("orders", "later", "3")
		east.await("the new primary ships to the old one", func() bool { return east.get("orders", "later") == "3" })
		if _, err := east.engine().FailOver(ctx, "to-west"); err == nil || !strings.Contains(err.Error(), "rejoin") {
			t.Errorf("a fenced region fails over: %v", err)
		}
		if err := east.engine().Rejoin(ctx, "to-west"); err != nil {
			t.Fatal(err)
		}
		east.caughtUp("to-west")
		west.await("the unshipped write without a rival is merged", func() bool { return west.get("orders", "new") == "unshipped" })
		if got := west.get("orders", "both"); got != "2" {
			t.Errorf("the later write of the new primary became %q", got)
		}
		lost := 0
		_, err = west.engine().EachConflict(ctx, func(c *KeptConflict) error {
			if strings.Contains(string(c.Loser.Item), "unshipped") {
				lost++
			}
			return nil
		})
		if err != nil || lost != 1 {
			t.Errorf("%d losers are kept: %v", lost, err)
		}
		if err := east.tryPut("orders", "x", "x"); !refused(err) {
			t.Errorf("rejoined, the old primary takes writes: %v", err)
		}
		if _, err := west.engine().FailOver(ctx, "to-east"); err != nil {
			t.Errorf("failback: %v", err)
		}
		east.put("orders", "home", "again")
	})
}

// TestForcedWhileHeld forces the writes back to a region that still holds what it
// had not shipped when they were taken from it: it is refused with what to do, and
// done when that is asked for, with nothing of tables lost.
func TestForcedWhileHeld(t *testing.T) {
	inTowns(t, func(t *testing.T, wire *fakeWire, east, west *town) {
		ctx := context.Background()
		pairUp(east, west)
		east.put("orders", "k", "1")
		east.caughtUp("to-west")
		wire.set(func() { wire.cut = true })
		time.Sleep(100 * time.Millisecond)
		east.put("orders", "held", "unshipped")
		if _, err := west.engine().ForceOver(ctx, "to-east", false); err != nil {
			t.Fatal(err)
		}
		wire.set(func() { wire.cut = false })
		east.await("the old primary is fenced", func() bool { return refused(east.tryPut("orders", "probe", "x")) })
		west.put("orders", "k", "2")
		east.await("it follows the new one", func() bool { return east.get("orders", "k") == "2" })
		wire.set(func() { wire.cut = true })
		_, err := east.engine().ForceOver(ctx, "to-west", false)
		var known *model.Error
		if !errors.As(err, &known) || known.Kind != model.ErrInUse || !strings.Contains(known.Message, "weir region rejoin to-west") || !strings.Contains(known.Message, "--despite-held") || strings.Contains(known.Message, "\n") {
			t.Errorf("forced while changes are held: %v", err)
		}
		if err := east.tryPut("orders", "k", "x"); !refused(err) {
			t.Errorf("a refused takeover took the writes: %v", err)
		}
		if s, err := east.engine().ForceOver(ctx, "to-west", true); err != nil || s.Epoch != 1 {
			t.Fatalf("%+v %v", s, err)
		}
		east.put("orders", "k", "3")
		held := 0
		if err := east.engine().EachHeld(ctx, "to-west", 100, func(string, string, *model.LoggedChange) error { held++; return nil }); err != nil || held < 2 {
			t.Errorf("%d are held: %v", held, err)
		}
		wire.set(func() { wire.cut = false })
		west.await("the other one is fenced", func() bool { return refused(west.tryPut("orders", "probe", "x")) })
		for at, link := range map[*town]string{east: "to-west", west: "to-east"} {
			if err := at.engine().Rejoin(ctx, link); err != nil {
				t.Fatal(err)
			}
		}
		east.caughtUp("to-west")
		west.caughtUp("to-east")
		if a, b := east.content("orders"), west.content("orders"); a != b || east.get("orders", "k") != "3" || west.get("orders", "held") != "unshipped" {
			t.Errorf("after both have rejoined:\n%s\n%s", a, b)
		}
		if err := east.engine().holdsNothing(ctx, west.Catalog().Region()); err != nil {
			t.Errorf("after rejoin: %v", err)
		}
	})
}

// TestHeldDeletes: what the old primary deleted and had not shipped is deleted by
// rejoin, unless the new one has written it since: then the later write stays, and
// what lost is a conflict, which restore carries out in either region's place.
func TestHeldDeletes(t *testing.T) {
	inTowns(t, func(t *testing.T, wire *fakeWire, east, west *town) {
		ctx := context.Background()
		pairUp(east, west)
		for _, id := range []string{"gone", "rewritten", "gone-twice", "later"} {
			east.put("orders", id, "1")
		}
		east.caughtUp("to-west")
		wire.set(func() { wire.cut = true })
		time.Sleep(100 * time.Millisecond)
		east.put("orders", "brief", "1") // written and deleted, and neither was shipped
		for _, id := range []string{"gone", "rewritten", "gone-twice", "brief", "never"} {
			east.delete("orders", id)
		}
		if _, err := west.engine().ForceOver(ctx, "to-east", false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		west.put("orders", "rewritten", "2")
		west.delete("orders", "gone-twice")
		time.Sleep(time.Second)
		east.delete("orders", "later") // it has not heard of the takeover
		wire.set(func() { wire.cut = false })
		east.await("the old primary is fenced", func() bool { return refused(east.tryPut("orders", "probe", "x")) })
		east.await("it follows", func() bool { return east.get("orders", "rewritten") == "2" })
		deletes := 0
		err := east.engine().EachHeld(ctx, "to-west", 100, func(_, _ string, c *model.LoggedChange) error {
			if c.Delete {
				deletes++
			}
			return nil
		})
		if err != nil || deletes < 5 {
			t.Errorf("%d deletes are held: %v", deletes, err)
		}
		for id, want := range map[string]string{"gone": "1", "later": "1", "rewritten": "2", "gone-twice": ""} {
			if got := west.get("orders", id); got != want {
				t.Errorf("before rejoin %s is %q", id, got)
			}
		}
		if err := east.engine().Rejoin(ctx, "to-west"); err != nil {
			t.Fatal(err)
		}
		east.caughtUp("to-west")
		west.caughtUp("to-east")
		for id, want := range map[string]string{"gone": "", "later": "", "rewritten": "2", "gone-twice": "", "brief": "", "never": ""} {
			if a, b := east.get("orders", id), west.get("orders", id); a != want || b != want {
				t.Errorf("after rejoin %s is %q in the old region and %q in the new one, want %q", id, a, b, want)
			}
		}
		lost := ""
		_, err = west.engine().EachConflict(ctx, func(c *KeptConflict) error {
			if c.Loser.Delete && strings.Contains(c.Key, "rewritten") {
				lost = c.ID
			}
			return nil
		})
		if err != nil || lost == "" {
			t.Fatalf("the delete that lost is not kept: %v", err)
		}
		if err := west.engine().Restore(ctx, lost); err != nil {
			t.Fatal(err)
		}
		east.await("restore carries it out in both", func() bool { return east.get("orders", "rewritten") == "" && west.get("orders", "rewritten") == "" })
	})
}
