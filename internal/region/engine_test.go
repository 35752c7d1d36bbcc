package region

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

// town is a region of a test: a cluster with two nodes, of which the first
// leads, and their engines.
type town struct {
	*fakeCluster
	t       *testing.T
	name    string
	service *service.Service
	nodes   [2]*fakeNode
	engines [2]*Engine

	shipped map[place]model.Shipped // what the engines said last; guarded by the cluster's mutex
}

// townNode is one of the town's nodes: a Node.
type townNode struct {
	*town
	at int
}

// Shipped implements Node.
func (n *townNode) Shipped(link model.ResourceID, t model.TabletID, s model.Shipped) {
	n.set(func() { n.shipped[place{link, t}] = s })
}

// Tell implements Node.
func (n *townNode) Tell(body []byte) { n.engines[1-n.at].Told(body) }

// inTowns runs f in a bubble, with two regions, east and west, that have as yet
// nothing to do with each other.
func inTowns(t *testing.T, f func(t *testing.T, wire *fakeWire, east, west *town)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		wire := newFakeWire(7)
		east, west := newTown(t, wire, "east", 2), newTown(t, wire, "west", 3)
		defer func() {
			for _, e := range []*town{east, west} {
				e.engines[0].Close()
				e.engines[1].Close()
			}
			time.Sleep(time.Minute) // what is still under way ends in the bubble
		}()
		f(t, wire, east, west)
	})
}

func newTown(t *testing.T, wire *fakeWire, name string, tablets int) *town {
	c := newFakeCluster(t, fmt.Sprintf("%032x", 0x100+len(wire.at)), tablets)
	w := &town{fakeCluster: c, t: t, name: name, shipped: map[place]model.Shipped{}}
	for i := range w.nodes {
		w.nodes[i] = &fakeNode{fakeCluster: c, leads: i == 0}
		svc := service.New(w.nodes[i], base.SystemClock{}, base.NewRand(uint64(len(wire.at)+1)))
		if i == 0 {
			w.service = svc
		}
		addr := fmt.Sprintf("%s%d", name, i)
		w.engines[i] = NewEngine(Options{
			Cluster: w.nodes[i], Service: svc, Clock: base.SystemClock{}, Rand: base.NewRand(uint64(10*len(wire.at) + i)),
			Logger: slog.New(slog.DiscardHandler), Dialer: wire, Node: &townNode{w, i}, Addr: name + "0," + name + "1",
		})
		wire.set(func() { wire.at[addr] = w.engines[i] })
	}
	return w
}

// engine is that of the node that leads.
func (w *town) engine() *Engine {
	if w.nodes[0].Leads(0) {
		return w.engines[0]
	}
	return w.engines[1]
}

// changeLeader has the other node lead from now on.
func (w *town) changeLeader() {
	w.set(func() { w.nodes[0].leads, w.nodes[1].leads = w.nodes[1].leads, w.nodes[0].leads })
}

func (w *town) createTable(name string) {
	w.t.Helper()
	_, err := w.service.CreateTable(context.Background(), &service.CreateTableRequest{
		Name: name, Billing: model.BillingPerRequest,
		Attributes: []model.KeyAttr{{Name: "id", Kind: model.KindS}}, KeySchema: []service.KeyElement{{Name: "id", Type: "HASH"}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func itemOf(id, v string) model.Item {
	return model.Item{{Name: "id", Value: model.StringValue(id)}, {Name: "v", Value: model.StringValue(v)}}
}

func (w *town) tryPut(table, id, v string) error {
	_, err := w.service.PutItem(context.Background(), &service.PutItemRequest{Table: table, Item: itemOf(id, v)})
	return err
}

func (w *town) put(table, id, v string) {
	w.t.Helper()
	if err := w.tryPut(table, id, v); err != nil {
		w.t.Fatal(err)
	}
}

func (w *town) delete(table, id string) {
	w.t.Helper()
	if _, err := w.service.DeleteItem(context.Background(), &service.DeleteItemRequest{Table: table, Key: itemOf(id, "")[:1]}); err != nil {
		w.t.Fatal(err)
	}
}

// get is the item's v; "" when there is none.
func (w *town) get(table, id string) string {
	got, err := w.service.GetItem(context.Background(), &service.GetItemRequest{Table: table, Key: itemOf(id, "")[:1], Strong: true})
	if err != nil {
		return ""
	}
	v, _ := got.Item.Get("v")
	return v.Str
}

// content is what a table holds, as one text.
func (w *town) content(table string) string {
	page, err := w.service.Scan(context.Background(), &service.ScanRequest{Table: table, Strong: true})
	if err != nil {
		return err.Error()
	}
	var lines []string
	for _, item := range page.Items {
		id, _ := item.Get("id")
		v, _ := item.Get("v")
		lines = append(lines, id.Str+"="+v.Str)
	}
	return strings.Join(lines, " ")
}

// link opens a link between two towns' engines.
func (w *town) link(to *town, s Settings) {
	w.t.Helper()
	if err := w.tryLink(to, s); err != nil {
		w.t.Fatal(err)
	}
}

func (w *town) tryLink(to *town, s Settings) error {
	token := sha256.Sum256([]byte(w.name + to.name + s.Name))
	if err := to.engine().Invite(context.Background(), "from-"+w.name+"-"+s.Name, token, time.Hour); err != nil {
		return err
	}
	s.TokenHash = token
	if s.To == "" {
		s.To = to.name + "0"
	}
	if s.Mode == 0 {
		s.Mode = model.LinkAsync
	}
	if s.Tables == nil {
		s.Tables = []string{"*"}
	}
	return w.engine().Add(context.Background(), &s)
}

// await waits until a condition holds; the bubble's time is free.
func (w *town) await(what string, holds func() bool) {
	w.t.Helper()
	for range 6000 {
		if holds() {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	w.t.Fatalf("ten minutes went by and not: %s", what)
}

// caughtUp waits until a link has nothing left to ship.
func (w *town) caughtUp(link string) {
	w.t.Helper()
	w.await(link+" has shipped everything", func() bool {
		st, err := w.engine().Describe(context.Background(), link)
		return err == nil && st.LagChanges == 0 && st.Copying == 0
	})
}

// TestLinkUnderFaults ships while messages get lost, come twice and late, and
// the leader changes; in the end both sides are equal and nothing that was
// deleted is back.
func TestLinkUnderFaults(t *testing.T) {
	inTowns(t, func(t *testing.T, wire *fakeWire, east, west *town) {
		east.createTable("orders")
		for i := range 50 {
			east.put("orders", fmt.Sprint("before", i), "1")
		}
		east.link(west, Settings{Name: "to-west"})
		west.await("the table comes", func() bool { return west.get("orders", "before0") == "1" })
		west.link(east, Settings{Name: "to-east"})
		wire.set(func() { wire.lose, wire.twice = 20, 20 })
		for i := range 120 {
			a, b := east, west
			if i%3 == 0 {
				a, b = b, a
			}
			a.put("orders", fmt.Sprint("k", i%20), fmt.Sprint(a.name, i))
			if i%4 == 0 {
				b.delete("orders", fmt.Sprint("before", i%50))
			}
			if i%25 == 0 {
				east.changeLeader()
			}
			if i%40 == 0 {
				west.changeLeader()
			}
			time.Sleep(300 * time.Millisecond)
		}
		wire.set(func() { wire.lose, wire.twice = 0, 0 })
		east.caughtUp("to-west")
		west.caughtUp("to-east")
		east.caughtUp("to-west")
		if a, b := east.content("orders"), west.content("orders"); a != b || a == "" {
			t.Errorf("the regions differ:\n%s\n%s", a, b)
		}
		if east.get("orders", "before0") != "" {
			t.Error("a deleted item came back")
		}
	})
}

// TestIdleLinkWakes puts one item at a time into a link that has nothing to do:
// it leaves when it is written, not when the link happens to look.
func TestIdleLinkWakes(t *testing.T) {
	inTowns(t, func(t *testing.T, wire *fakeWire, east, west *town) {
		wire.set(func() { wire.delay = time.Millisecond })
		east.createTable("orders")
		east.link(west, Settings{Name: "to-west"})
		east.caughtUp("to-west")
		for i := range 20 {
			time.Sleep(time.Duration(i)*90*time.Millisecond + 2*time.Second)
			east.put("orders", fmt.Sprint("k", i), "1")
			time.Sleep(15 * time.Millisecond)
			if west.get("orders", fmt.Sprint("k", i)) != "1" {
				t.Fatalf("item %d is not there 15 ms later", i)
			}
		}
	})
}

// TestSyncLink: those who wait for a link of the mode sync hear of a change when
// the other region has it, not before, and that it stopped when it did.
func TestSyncLink(t *testing.T) {
	inTowns(t, func(t *testing.T, wire *fakeWire, east, west *town) {
		ctx := context.Background()
		east.createTable("orders")
		east.link(west, Settings{Name: "to-west", Mode: model.LinkSync})
		east.caughtUp("to-west")
		told := func() (s model.Shipped) {
			r, _ := east.service.GetTied(ctx, model.KindLink, "to-west")
			slot := model.SlotOf(keys.AppendValue(nil, model.StringValue("k")))
			east.set(func() { s = east.shipped[place{r.ID, east.tablet(slot).id}] })
			return s
		}
		time.Sleep(3 * time.Second)
		before := told()
		if len(before.Tables) != 1 || !before.Tables[0].Copied || before.Stopped {
			t.Errorf("before: %+v", before)
		}
		wire.set(func() { wire.delay = 2 * time.Millisecond })
		east.put("orders", "k", "1")
		for told().UpTo == before.UpTo {
			time.Sleep(time.Millisecond / 10)
		}
		if west.get("orders", "k") != "1" {
			t.Error("it is said to be there and is not")
		}
		wire.set(func() { wire.cut = true })
		east.put("orders", "k", "2")
		time.Sleep(20 * time.Second)
		if s := told(); s.UpTo != before.UpTo+1 {
			t.Errorf("over a cut wire: %+v", s)
		}
		wire.set(func() { wire.cut = false })
		time.Sleep(syncTimeout + 2*maxSyncRetry)
		if west.get("orders", "k") != "2" {
			t.Error("a healed link takes long")
		}
		paused, mode := true, model.LinkAsync
		if err := east.engine().Change(ctx, "to-west", &Change{Paused: &paused}); err == nil {
			t.Error("a link of the mode sync can be paused")
		}
		if err := east.engine().Change(ctx, "to-west", &Change{Paused: &paused, Mode: &mode}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if s := told(); !s.Stopped {
			t.Errorf("paused: %+v", s)
		}
		required := uint64(2)
		if err := east.engine().Change(ctx, "to-west", &Change{RegionsRequired: &required}); err == nil {
			t.Error("a link of the mode async requires regions")
		}
	})
}

// TestLagOf holds what each node of the receiving region says about a table's lag
// to what it is: small over a sound link, growing over a cut one.
func TestLagOf(t *testing.T) {
	inTowns(t, func(t *testing.T, wire *fakeWire, east, west *town) {
		east.createTable("orders")
		east.link(west, Settings{Name: "to-west"})
		east.caughtUp("to-west")
		west.createTable("own")
		time.Sleep(3 * reportEvery)
		id, err := west.service.ResourceID(context.Background(), model.KindTable, "orders")
		if err != nil {
			t.Fatal(err)
		}
		most := reportEvery + 100*time.Millisecond
		for i, e := range west.engines {
			if lag, changes, ok := e.LagOf(id); !ok || lag > most || changes != 0 {
				t.Errorf("node %d: %v, %d changes, %v", i, lag, changes, ok)
			}
		}
		wire.set(func() { wire.lose = 100 })
		east.put("orders", "k", "1")
		time.Sleep(time.Minute)
		for i, e := range west.engines {
			if lag, _, ok := e.LagOf(id); !ok || lag < time.Minute || lag > time.Minute+most {
				t.Errorf("node %d, cut: %v, %v", i, lag, ok)
			}
		}
		own, err := west.service.ResourceID(context.Background(), model.KindTable, "own")
		if err != nil {
			t.Fatal(err)
		}
		if _, _, ok := west.engine().LagOf(own); ok {
			t.Error("a table of west's own has a lag")
		}
	})
}

// TestCutLink holds a cut link to its promises: the lag says what has not
// arrived and why, and healing it brings everything.
func TestCutLink(t *testing.T) {
	inTowns(t, func(t *testing.T, wire *fakeWire, east, west *town) {
		east.createTable("orders")
		east.link(west, Settings{Name: "to-west"})
		east.caughtUp("to-west")
		wire.set(func() { wire.cut = true })
		for i := range 10 {
			east.put("orders", fmt.Sprint("k", i), "1")
		}
		time.Sleep(time.Minute)
		st, err := east.engine().Describe(context.Background(), "to-west")
		if err != nil || st.LagChanges != 10 || st.Lag < 59*time.Second || st.LagBytes == 0 || !strings.Contains(st.Problem, "cannot reach") {
			t.Errorf("%+v %v", st, err)
		}
		wire.set(func() { wire.cut = false })
		east.caughtUp("to-west")
		if got := west.get("orders", "k9"); got != "1" {
			t.Errorf("k9 is %q", got)
		}
		if st, err = east.engine().Describe(context.Background(), "to-west"); err != nil || st.Problem != "" || st.Lag != 0 {
			t.Errorf("a healed link still complains: %+v %v", st, err)
		}
	})
}

// TestAnotherAddress has one node of the other region down: the link goes on
// over the other.
func TestAnotherAddress(t *testing.T) {
	inTowns(t, func(t *testing.T, wire *fakeWire, east, west *town) {
		east.createTable("orders")
		east.link(west, Settings{Name: "to-west", To: "west0,west1"})
		east.caughtUp("to-west")
		wire.set(func() { wire.at["west0"] = nil })
		west.changeLeader()
		east.put("orders", "k", "1")
		east.caughtUp("to-west")
		if got := west.get("orders", "k"); got != "1" {
			t.Errorf("k is %q", got)
		}
	})
}

// TestManyTables begins more tables than one request takes, and a table of large
// items: messages stay within their bounds.
func TestManyTables(t *testing.T) {
	inTowns(t, func(t *testing.T, wire *fakeWire, east, west *town) {
		for i := range 2*tablesAtOnce + 3 {
			east.createTable(fmt.Sprintf("t%02d", i))
		}
		for i := range 12 {
			east.put("t00", fmt.Sprint("k", i), strings.Repeat("x", 300<<10))
		}
		east.link(west, Settings{Name: "to-west"})
		east.caughtUp("to-west")
		if got := west.content("t34"); got != "" {
			t.Errorf("the last table: %s", got)
		}
		if got := len(west.get("t00", "k11")); got != 300<<10 {
			t.Errorf("k11 has %d bytes", got)
		}
		wire.set(func() {
			if wire.calls[OpTables] < 3*2 || wire.largest > copyBytes+model.MaxItemBytes {
				t.Errorf("%d requests for tables, the largest message %d bytes", wire.calls[OpTables], wire.largest)
			}
		})
	})
}

// TestOvertakenWorker checks that a worker that decided from an older link
// cannot undo what a newer one did: else changes would be missed in silence.
func TestOvertakenWorker(t *testing.T) {
	inTowns(t, func(t *testing.T, _ *fakeWire, east, west *town) {
		east.createTable("orders")
		east.link(west, Settings{Name: "to-west", Tables: []string{"orders"}})
		east.caughtUp("to-west")
		old := east.engines[0].jobs()[0]
		bandwidth := uint64(1 << 30)
		if err := east.engine().Change(context.Background(), "to-west", &Change{BytesPerSecond: &bandwidth}); err != nil {
			t.Fatal(err)
		}
		// What a worker does first of all with a changed link that it has read:
		east.put("orders", "a", "1")
		east.caughtUp("to-west")
		time.Sleep(time.Second)
		c := copying{id: 1, done: true}
		fresh := east.engines[0].jobs()[0]
		w := &worker{engine: east.engines[0], ctx: context.Background(), job: fresh}
		if err := w.watch(&fresh, c.id, w.watchOf(&fresh, &c)); err != nil {
			t.Fatal(err)
		}
		w.job = old
		var known *model.Error
		if err := w.watch(&old, c.id, &model.Watch{Reader: old.link, Off: true}); !errors.As(err, &known) || known.Kind != model.ErrUnavailable {
			t.Errorf("an overtaken worker ended the watch: %v", err)
		}
		east.put("orders", "b", "2")
		east.caughtUp("to-west")
		if got := west.get("orders", "b"); got != "2" {
			t.Errorf("b is %q", got)
		}
	})
}

// TestCloseEndsEverything closes an engine in the middle of everything it does.
func TestCloseEndsEverything(t *testing.T) {
	inTowns(t, func(t *testing.T, wire *fakeWire, east, west *town) {
		east.createTable("orders")
		for i := range 100 {
			east.put("orders", fmt.Sprint("k", i), strings.Repeat("x", 50<<10))
		}
		east.link(west, Settings{Name: "to-west", BytesPerSecond: 1 << 10})
		time.Sleep(500 * time.Millisecond)
		wire.set(func() { wire.cut = true })
		time.Sleep(time.Second)
		began := time.Now()
		east.engines[0].Close()
		if took := time.Since(began); took > time.Second {
			t.Errorf("closing took %v", took)
		}
	})
}

// TestReceiverRefuses gives a receiver what it must not take in.
func TestReceiverRefuses(t *testing.T) {
	inTowns(t, func(t *testing.T, _ *fakeWire, east, west *town) {
		east.createTable("orders")
		east.link(west, Settings{Name: "to-west"})
		east.caughtUp("to-west")
		st, err := east.engine().Describe(context.Background(), "to-west")
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		key := func(id string) []byte {
			c := east.Catalog()
			r, _ := c.Resource(model.KindTable, "orders")
			var found []byte
			q := model.CopyQuery{HiSlot: model.SlotCount, MaxBytes: 1 << 20}
			east.put("orders", id, "x")
			for i := range east.tablets {
				res, err := east.Read(context.Background(), &model.Query{Kind: model.QueryCopy, Resource: r.ID, Slot: model.Slot(i * model.SlotCount / 2), Body: q.Append(nil)}, true)
				var page model.CopyResult
				if err != nil || decode(res.Body, &page) != nil {
					t.Fatal(err)
				}
				for k := range page.Changes {
					found = page.Changes[k].Key
				}
			}
			return found
		}("k")
		good := func() batch {
			v := model.Version{Stamp: model.StampAt(now), Region: 0x100}
			return batch{ReadMs: now.UnixMilli(), Tables: []tableChanges{{"orders", "last-writer", []model.Change{{Version: v, Key: key, Delete: true}}}}}
		}
		send := func(key [32]byte, b batch) error {
			packed, err := pack(b.Append(nil))
			if err != nil {
				t.Fatal(err)
			}
			_, err = west.engine().Receive(context.Background(), st.Spec.Inbound, key, OpApply, packed)
			return err
		}
		if err := send(st.Spec.Key, good()); err != nil {
			t.Fatalf("a good batch is refused: %v", err)
		}
		for what, bad := range map[string]func(b *batch){
			"an old message":     func(b *batch) { b.ReadMs -= 31_000 },
			"one of the future":  func(b *batch) { b.ReadMs += 11_000 },
			"a stamp ahead":      func(b *batch) { b.Tables[0].Changes[0].Version.Stamp = model.StampAt(now.Add(time.Minute)) },
			"no region":          func(b *batch) { b.Tables[0].Changes[0].Version.Region = 0 },
			"no such table":      func(b *batch) { b.Tables[0].Name = "none" },
			"a key that is none": func(b *batch) { b.Tables[0].Changes[0].Key = []byte("\x01") },
			"an item that is not": func(b *batch) {
				b.Tables[0].Changes[0] = model.Change{Version: model.Version{Stamp: 1, Region: 9}, Key: key, Size: 1, Item: []byte("?")}
			},
			"an item too large": func(b *batch) {
				b.Tables[0].Changes[0].Delete, b.Tables[0].Changes[0].Size = false, model.MaxItemBytes+1
			},
		} {
			b := good()
			bad(&b)
			if err := send(st.Spec.Key, b); err == nil {
				t.Errorf("%s is taken in", what)
			}
		}
		if err := send([32]byte{1}, good()); err == nil || !strings.Contains(err.Error(), "no such link") {
			t.Errorf("a wrong key: %v", err)
		}
		if _, err := west.engine().Receive(context.Background(), st.Spec.Inbound, st.Spec.Key, 99, nil); err == nil {
			t.Error("an unknown operation is answered")
		}
	})
}

// TestTombstonesGo waits until two regions have nothing left of deleted items,
// though an invitation was never used.
func TestTombstonesGo(t *testing.T) {
	inTowns(t, func(t *testing.T, _ *fakeWire, east, west *town) {
		east.createTable("orders")
		east.link(west, Settings{Name: "to-west"})
		east.caughtUp("to-west")
		if err := west.engine().Invite(context.Background(), "never-used", [32]byte{5}, time.Minute); err != nil {
			t.Fatal(err)
		}
		for i := range 10 {
			east.put("orders", fmt.Sprint("k", i), "1")
			east.delete("orders", fmt.Sprint("k", i))
		}
		west.await("no tombstone is left in either", func() bool { return east.tombstones() == 0 && west.tombstones() == 0 })
	})
}

func (w *town) tombstones() (n int) {
	r, _ := w.Catalog().Resource(model.KindTable, "orders")
	for i := range w.tablets {
		q := model.CopyQuery{HiSlot: model.SlotCount, MaxBytes: 1 << 30}
		res, err := w.Read(context.Background(), &model.Query{Kind: model.QueryCopy, Resource: r.ID, Slot: model.Slot(i * model.SlotCount / len(w.tablets)), Body: q.Append(nil)}, true)
		var page model.CopyResult
		if err != nil || decode(res.Body, &page) != nil {
			w.t.Fatal(err)
		}
		for k := range page.Changes {
			if page.Changes[k].Delete {
				n++
			}
		}
	}
	return n
}

// TestLeaderBehind: a new leader that has not heard of a table yet must not take
// it for one that the link does not select: what is deleted meanwhile would stay
// in the other region.
func TestLeaderBehind(t *testing.T) {
	inTowns(t, func(t *testing.T, _ *fakeWire, east, west *town) {
		east.createTable("first")
		east.link(west, Settings{Name: "to-west"})
		east.caughtUp("to-west")
		behind := east.Catalog()
		east.createTable("orders")
		east.put("orders", "kept", "1")
		east.put("orders", "gone", "1")
		east.caughtUp("to-west")
		east.set(func() { east.nodes[1].behind = behind })
		east.changeLeader()
		time.Sleep(10 * time.Second)
		east.delete("orders", "gone")
		east.set(func() { east.nodes[1].behind = nil })
		time.Sleep(10 * time.Second)
		east.caughtUp("to-west")
		if got := west.content("orders"); got != "kept=1" {
			t.Errorf("the other region has %q", got)
		}
	})
}
