package region

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"weir.dev/weir/internal/expr"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

// resolve sets how a table resolves conflicts.
func (w *town) resolve(table, text string) {
	w.t.Helper()
	res, err := model.ParseResolution(text)
	if err == nil {
		err = w.engine().SetResolution(context.Background(), table, &res)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// add adds to the number n of an item.
func (w *town) add(table, id string, by int) {
	w.t.Helper()
	params, err := expr.NewParams(nil, model.Item{{Name: ":n", Value: model.Value{Kind: model.KindN, Str: fmt.Sprint(by)}}})
	if err != nil {
		w.t.Fatal(err)
	}
	u, err := expr.ParseUpdate("ADD n :n", params)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.service.UpdateItem(context.Background(), &service.UpdateItemRequest{Table: table, Key: itemOf(id, "")[:1], Update: u}); err != nil {
		w.t.Fatal(err)
	}
}

// number is the item's n; "" when there is none.
func (w *town) number(table, id string) string {
	got, err := w.service.GetItem(context.Background(), &service.GetItemRequest{Table: table, Key: itemOf(id, "")[:1], Strong: true})
	if err != nil {
		return err.Error()
	}
	n, _ := got.Item.Get("n")
	return n.Str
}

// bothWays ties two towns that have the table orders.
func bothWays(east, west *town) {
	east.t.Helper()
	east.createTable("orders")
	east.put("orders", "first", "1")
	east.link(west, Settings{Name: "to-west"})
	west.await("the table comes", func() bool { return west.get("orders", "first") == "1" })
	west.link(east, Settings{Name: "to-east"})
	west.caughtUp("to-east")
}

// settled waits until both links have nothing left to ship.
func settled(east, west *town) {
	east.t.Helper()
	for range 2 {
		east.caughtUp("to-west")
		west.caughtUp("to-east")
	}
}

// TestPoliciesMustAgree changes the policy of a table with links: nothing is
// shipped while the regions differ, each link says why, and afterwards additions
// in both regions count, whoever leads.
func TestPoliciesMustAgree(t *testing.T) {
	inTowns(t, func(t *testing.T, wire *fakeWire, east, west *town) {
		bothWays(east, west)
		east.resolve("orders", "counter")
		east.put("orders", "k", "east")
		east.await("the link says what differs", func() bool {
			st, err := east.engine().Describe(context.Background(), "to-west")
			return err == nil && strings.Contains(st.Problem, "resolves conflicts by counter there and by last-writer here")
		})
		if west.get("orders", "k") != "" {
			t.Error("a change was taken in by another policy")
		}
		west.resolve("orders", "counter")
		settled(east, west)
		if west.get("orders", "k") != "east" {
			t.Error("the change did not arrive when the policies were alike")
		}
		for round := range 3 {
			wire.set(func() { wire.cut = true })
			for range 10 {
				east.add("orders", "n", 1)
				west.add("orders", "n", 2)
			}
			wire.set(func() { wire.cut = false })
			settled(east, west)
			want := fmt.Sprint(30 * (round + 1))
			if a, b := east.number("orders", "n"), west.number("orders", "n"); a != want || b != want {
				t.Fatalf("round %d: %s and %s, not %s", round, a, b, want)
			}
			east.changeLeader()
			west.changeLeader()
		}
		for _, w := range []*town{east, west} {
			if v := w.verify(map[*town]string{east: "to-west", west: "to-east"}[w], true); v.Found != 0 || v.Err != "" {
				t.Errorf("%s compares: %+v", w.name, v)
			}
		}
	})
}

// TestConflictsAreToldOnce has both regions tell conflicts to queues while
// messages get lost, leaders change and a queue is missing for a while: each
// region's queue has one message for each of its conflicts.
func TestConflictsAreToldOnce(t *testing.T) {
	inTowns(t, func(t *testing.T, wire *fakeWire, east, west *town) {
		bothWays(east, west)
		ctx := context.Background()
		for _, w := range []*town{east, west} {
			for _, fifo := range []bool{false, true} {
				name := map[bool]string{false: "lost", true: "lost.fifo"}[fifo]
				req := service.CreateQueueRequest{Name: name}
				if fifo {
					req.Attributes = []service.QueueAttribute{{Name: "FifoQueue", Value: "true"}}
				}
				if _, err := w.service.CreateQueue(ctx, &req); err != nil {
					t.Fatal(err)
				}
			}
		}
		var known *model.Error
		if err := east.service.SetResolution(ctx, "orders", &model.Resolution{Policy: model.PolicyQueue, Queue: "nobody"}); !errors.As(err, &known) || known.Kind != model.ErrNotFound {
			t.Errorf("a queue that is not there: %v", err)
		}
		east.resolve("orders", "queue:lost.fifo")
		west.resolve("orders", "queue:lost") // agrees
		const rounds = 12
		for i := range rounds {
			wire.set(func() { wire.cut = true })
			key := fmt.Sprint("k", i%3)
			east.put("orders", key, fmt.Sprint("east", i))
			time.Sleep(time.Second)
			west.put("orders", key, fmt.Sprint("west", i))
			wire.set(func() { wire.cut, wire.lose = false, 20 })
			time.Sleep(2 * time.Second)
			switch i % 4 {
			case 1:
				east.changeLeader()
			case 2:
				west.changeLeader()
			}
			settled(east, west)
		}
		time.Sleep(time.Minute)
		for w, name := range map[*town]string{east: "lost.fifo", west: "lost"} {
			q, err := w.service.GetQueue(ctx, name)
			if err != nil {
				t.Fatal(err)
			}
			counts, err := w.service.CountQueue(ctx, q)
			if err != nil {
				t.Fatal(err)
			}
			counted, err := w.engine().EachConflict(ctx, func(*KeptConflict) error { return nil })
			if err != nil || counted != rounds || counts.Visible != counted {
				t.Errorf("%s has %d messages for %d conflicts: %v", w.name, counts.Visible, counted, err)
			}
			page, err := w.service.Peek(ctx, &service.PeekRequest{Queue: name, Max: 1})
			if err != nil || len(page.Messages) == 0 {
				t.Fatal(page, err)
			}
			var n service.ConflictNotice
			if err := json.Unmarshal(page.Messages[0].Body, &n); err != nil {
				t.Fatal(err)
			}
			lost, _ := json.Marshal(n.Loser.Item)
			if n.Table != "orders" || n.Winner.Deleted || !strings.Contains(string(lost), "east0") || n.Conflict == "" {
				t.Errorf("%s", page.Messages[0].Body)
			}
		}
	})
}

// TestNamedRegionWins has the region west win by its name, in both regions, and
// refuses a name that is not known.
func TestNamedRegionWins(t *testing.T) {
	inTowns(t, func(t *testing.T, wire *fakeWire, east, west *town) {
		for _, w := range []*town{east, west} {
			if err := w.engine().SetName(context.Background(), w.name); err != nil {
				t.Fatal(err)
			}
		}
		bothWays(east, west)
		east.resolve("orders", "region:west")
		west.resolve("orders", "region:west")
		wire.set(func() { wire.cut = true })
		west.put("orders", "k", "west")
		time.Sleep(time.Second)
		east.put("orders", "k", "east, later")
		wire.set(func() { wire.cut = false })
		settled(east, west)
		if a, b := east.get("orders", "k"), west.get("orders", "k"); a != "west" || b != "west" {
			t.Errorf("%q and %q", a, b)
		}
		var id string
		if _, err := east.engine().EachConflict(context.Background(), func(c *KeptConflict) error { id = c.ID; return nil }); err != nil || id == "" {
			t.Fatal(id, err)
		}
		if err := east.engine().Restore(context.Background(), id); err != nil {
			t.Fatal(err)
		}
		settled(east, west)
		if a, b := east.get("orders", "k"), west.get("orders", "k"); a != "east, later" || b != a {
			t.Errorf("after restore: %q and %q", a, b)
		}
		for _, bad := range []string{"", "t1", "t1/x", "t9/1", "t1/0"} {
			if _, err := east.engine().Conflict(context.Background(), bad); err == nil {
				t.Errorf("%q names a conflict", bad)
			}
		}
		east.resolve("orders", "region:north")
		east.put("orders", "k2", "x")
		east.await("the link says that it knows no north", func() bool {
			st, err := east.engine().Describe(context.Background(), "to-west")
			return err == nil && strings.Contains(st.Problem, "north")
		})
	})
}
