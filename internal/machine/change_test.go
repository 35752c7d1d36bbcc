package machine

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

const watchedTable = model.ResourceID(7)

// change runs a command and decodes its result's body into res, if there is one.
func change(t testing.TB, r *rig, kind model.CommandKind, resource model.ResourceID, body []byte, res interface{ Decode(*model.Decoder) }) model.Status {
	t.Helper()
	out, err := r.apply(&model.Command{Kind: kind, Resource: resource, Body: body})
	if err != nil {
		t.Fatal(err)
	}
	if res != nil && out.Result.Status == model.StatusOK {
		d := model.NewDecoder(out.Result.Body)
		res.Decode(d)
		if err := d.Done(); err != nil {
			t.Fatal(err)
		}
	}
	return out.Result.Status
}

func watchTable(t testing.TB, r *rig, w model.Watch) {
	t.Helper()
	if s := change(t, r, model.CmdWatch, watchedTable, w.Append(nil), nil); s != model.StatusOK {
		t.Fatalf("watch: status %d", s)
	}
}

func putText(t testing.TB, r *rig, key, value string) {
	t.Helper()
	item := jsonItem(t, fmt.Sprintf(`{"p":%q,"v":%q}`, key, value))
	put := model.PutItem{Key: itemKey(item), Size: uint64(item.Size()), Item: model.AppendItem(nil, item)}
	change(t, r, model.CmdPutItem, watchedTable, put.Append(nil), nil)
}

func deleteText(t testing.TB, r *rig, key string) {
	t.Helper()
	del := model.DeleteItem{Key: itemKey(jsonItem(t, fmt.Sprintf(`{"p":%q}`, key)))}
	change(t, r, model.CmdDeleteItem, watchedTable, del.Append(nil), nil)
}

func logOf(t testing.TB, r *rig, after model.ChangeNumber) []model.LoggedChange {
	t.Helper()
	q := model.ChangesQuery{Tablet: 1, After: after, MaxBytes: 1 << 20}
	res, err := Query(r.view, &model.Query{Kind: model.QueryChanges, Body: q.Append(nil)})
	if err != nil {
		t.Fatal(err)
	}
	got, err := bodyOf[model.ChangesResult](res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return got.Changes
}

func readerState(t testing.TB, r *rig, id model.ReaderID) model.ReaderState {
	t.Helper()
	q := model.ReaderQuery{Tablet: 1, Reader: id}
	res, err := Query(r.view, &model.Query{Kind: model.QueryReader, Body: q.Append(nil)})
	if err != nil || res.Status != model.StatusOK {
		t.Fatal(err, res.Status)
	}
	s, err := bodyOf[model.ReaderState](res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestUnwatchedTableCostsNothing holds the promise that a table without readers
// pays for the change log with no storage operation at all.
func TestUnwatchedTableCostsNothing(t *testing.T) {
	count := func(prepare func(*rig)) (writes, reads int) {
		r := newRig()
		prepare(r)
		item := jsonItem(t, `{"p":"a","v":"x"}`)
		put := model.PutItem{Key: itemKey(item), Item: model.AppendItem(nil, item)}
		view := &countingView{memView: r.view}
		var b memBatch
		if _, err := r.machine.Apply(view, &b, Position{Index: 100}, &model.Command{Kind: model.CmdPutItem, Resource: watchedTable, Stamp: 100, Body: put.Append(nil)}); err != nil {
			t.Fatal(err)
		}
		return len(b.changes), view.gets
	}
	if w, g := count(func(*rig) {}); w != 1 || g != 0 {
		t.Errorf("a put without readers: %d writes and %d reads, not 1 and 0", w, g)
	}
	other := func(r *rig) {
		w := model.Watch{Reader: 9, Log: true, Keep: true}
		change(t, r, model.CmdWatch, 8, w.Append(nil), nil)
	}
	if w, g := count(other); w != 1 || g != 0 {
		t.Errorf("a put beside a watched table: %d writes and %d reads, not 1 and 0", w, g)
	}
	watched := func(r *rig) { watchTable(t, r, model.Watch{Reader: 9, Log: true, Keep: true}) }
	if w, g := count(watched); w != 2 || g != 1 {
		t.Errorf("a put with a reader: %d writes and %d reads, not 2 and 1: this test cannot count", w, g)
	}
	merged := func(r *rig) {
		watchTable(t, r, model.Watch{Reader: 9, Log: true, Keep: true, Policy: model.PolicyCounter})
	}
	if w, g := count(merged); w != 2 || g != 1 {
		t.Errorf("a put with a policy: %d writes and %d reads, not 2 and 1 as without", w, g)
	}
}

type countingView struct {
	*memView
	gets int
}

func (v *countingView) Get(key []byte) ([]byte, bool, error) {
	v.gets++
	return v.memView.Get(key)
}

// TestChangeLogTellsAllAndForgets follows the log from the first watch to its
// last reader.
func TestChangeLogTellsAllAndForgets(t *testing.T) {
	r := newRig()
	putText(t, r, "before", "1")
	watchTable(t, r, model.Watch{Reader: 9, Log: true, Old: true, Keep: true})
	watchTable(t, r, model.Watch{Reader: 10, Log: true, Keep: true, Note: []byte("note")})
	putText(t, r, "a", "1")
	putText(t, r, "a", "2")
	deleteText(t, r, "a")
	deleteText(t, r, "never there")
	log := logOf(t, r, 0)
	if len(log) != 4 || log[0].Number != 1 || log[3].Number != 4 || !log[2].Delete || !log[3].Delete {
		t.Fatalf("%+v", log)
	}
	if !log[1].HasOld || !bytes.Equal(log[1].Old, log[0].Item) || !bytes.Equal(log[2].Old, log[1].Item) || len(log[3].Old) != 0 {
		t.Errorf("the old images are not what was there: %+v", log)
	}
	if s := readerState(t, r, 10); s.UpTo != 0 || s.Last != 4 || s.LastTotal != log[3].Total || s.Next != log[0].Version.Stamp || string(s.Tables[0].Note) != "note" {
		t.Errorf("%+v", s)
	}
	advance := func(reader model.ReaderID, n int) {
		a := model.Advance{UpTo: model.ChangeNumber(n), Total: log[n-1].Total}
		change(t, r, model.CmdAdvance, reader, a.Append(nil), nil)
	}
	advance(9, 4)
	if got := logOf(t, r, 0); len(got) != 4 {
		t.Errorf("entries that a reader lacks are gone: %d left", len(got))
	}
	advance(10, 3)
	if got := logOf(t, r, 0); len(got) != 1 || got[0].Number != 4 {
		t.Errorf("%+v", got)
	}
	advance(9, 2) // going back changes nothing
	if s := readerState(t, r, 9); s.UpTo != 4 {
		t.Errorf("a reader went back to %d", s.UpTo)
	}
	change(t, r, model.CmdDropResource, 10, nil, nil)
	change(t, r, model.CmdDropResource, 9, nil, nil)
	for _, k := range r.view.keys {
		if _, ok := keys.SplitChange([]byte(k)); ok {
			t.Errorf("an entry is left: %s", keys.String([]byte(k)))
		}
		if _, ok := keys.SplitTombstone([]byte(k)); ok {
			t.Errorf("a tombstone's mark is left: %s", keys.String([]byte(k)))
		}
	}
	if err := r.machine.Load(r.view); err != nil {
		t.Fatal(err)
	}
	watchTable(t, r, model.Watch{Reader: 11, Log: true})
	putText(t, r, "b", "1")
	if got := logOf(t, r, 0); len(got) != 1 || got[0].Number != 5 {
		t.Errorf("the numbers begin again: %+v", got)
	}
}

// TestTombstonesAreInvisibleAndLeave checks every way to read, and that sweeping
// spares what was deleted again behind a reader.
func TestTombstonesAreInvisibleAndLeave(t *testing.T) {
	r := newRig()
	watchTable(t, r, model.Watch{Reader: 9, Keep: true})
	putText(t, r, "a", "1")
	deleteText(t, r, "a") // 1
	advance := func(n int) {
		a := model.Advance{UpTo: model.ChangeNumber(n)}
		change(t, r, model.CmdAdvance, 9, a.Append(nil), nil)
	}
	key := itemKey(jsonItem(t, `{"p":"a"}`))
	slot, _ := slotOfItem(key)
	stored := keys.AppendItem(nil, watchedTable, slot, key)
	if _, there, _ := r.view.Get(stored); !there {
		t.Fatal("a delete left no tombstone")
	}
	get := model.GetItem{Key: key}
	if res, err := Query(r.view, &model.Query{Kind: model.QueryGetItem, Resource: watchedTable, Body: get.Append(nil)}); err != nil || res.Body[0] != 0 {
		t.Errorf("GetItem finds a deleted item: %v %v", res, err)
	}
	scan := model.Scan{HiSlot: model.SlotCount, MaxBytes: 1 << 20}
	res, err := Query(r.view, &model.Query{Kind: model.QueryScan, Resource: watchedTable, Body: scan.Append(nil)})
	if page, derr := bodyOf[model.PageResult](res.Body); err != nil || derr != nil || page.Scanned != 0 {
		t.Errorf("Scan counts a deleted item: %+v %v %v", page, err, derr)
	}
	putText(t, r, "a", "2")
	deleteText(t, r, "a") // 2
	advance(1)
	if _, there, _ := r.view.Get(stored); !there {
		t.Fatal("the tombstone of the second delete went with the first one's")
	}
	advance(2)
	if _, there, _ := r.view.Get(stored); there {
		t.Error("the tombstone is still there though every reader has passed it")
	}
}

// regions are clusters of one tablet that tell each other their changes.
type regions struct {
	rigs    []*rig
	cursors [][]model.ChangeNumber // [from][to]
}

func selfOf(i int) model.RegionID { return model.RegionID(100 + i) }

func newRegions(t testing.TB, n int) *regions {
	rs := &regions{}
	for range n {
		r := newRig()
		watchTable(t, r, model.Watch{Reader: 9, Log: true, Keep: true})
		rs.rigs = append(rs.rigs, r)
		rs.cursors = append(rs.cursors, make([]model.ChangeNumber, n))
	}
	return rs
}

// ship sends some of what from has for to, from the cursor or from anywhere
// before it.
func (rs *regions) ship(t testing.TB, rng *rand.Rand, from, to, most int) (res model.ApplyChangesResult) {
	after := rs.cursors[from][to]
	if after > 0 && rng.IntN(3) == 0 {
		after -= model.ChangeNumber(rng.IntN(min(int(after), 3) + 1)) // what may have arrived already
	}
	log := logOf(t, rs.rigs[from], after)
	batch := model.ApplyChanges{Self: selfOf(to)}
	for _, e := range log[:min(len(log), most)] {
		c := e.Change
		c.Rename(0, selfOf(from))
		rs.cursors[from][to] = max(rs.cursors[from][to], e.Number)
		if c.Version.Region != selfOf(to) {
			batch.Changes = append(batch.Changes, c)
			rs.rigs[to].stamp = max(rs.rigs[to].stamp, c.Version.Stamp)
		}
	}
	if len(batch.Changes) > 0 {
		if s := change(t, rs.rigs[to], model.CmdApplyChanges, watchedTable, batch.Append(nil), &res); s != model.StatusOK {
			t.Fatalf("apply: status %d", s)
		}
	}
	return res
}

// content is the items and tombstones of a region, with the versions that left
// them.
func (rs *regions) content(i int) map[string]string {
	all := map[string]string{}
	for k, v := range rs.rigs[i].view.values {
		if _, _, rest, ok := keys.SplitItem([]byte(k)); ok {
			rec, _ := keys.SplitItemRecord(v)
			version := rec.Version().Rename(0, selfOf(i))
			all[string(rest)] = fmt.Sprintf("%v %v %x", version, rec.Tombstone, rec.Item)
		}
	}
	return all
}

// TestRegionsConverge writes and deletes few keys in three regions at random,
// ships in random portions, repeatedly and in any order, restarts machines in
// between, and compares all regions at the end.
func TestRegionsConverge(t *testing.T) {
	conflicts := uint64(0)
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 1))
		const n = 3
		rs := newRegions(t, n)
		for step := range 150 {
			i := rng.IntN(n)
			r := rs.rigs[i]
			switch key := fmt.Sprint("k", rng.IntN(4)); rng.IntN(6) {
			case 0, 1:
				r.stamp += model.Stamp(rng.IntN(3)) // clocks differ
				putText(t, r, key, fmt.Sprint(i, ".", step))
			case 2:
				deleteText(t, r, key)
			case 3:
				if err := r.machine.Load(r.view); err != nil {
					t.Fatal(err)
				}
			default:
				res := rs.ship(t, rng, i, (i+1+rng.IntN(n-1))%n, 1+rng.IntN(5))
				conflicts += res.Conflicts
			}
		}
		for range 2 * n {
			for from := range n {
				for to := range n {
					if from != to {
						rs.ship(t, rng, from, to, 1000)
						rs.ship(t, rng, from, to, 1000)
					}
				}
			}
		}
		want := rs.content(0)
		for i := 1; i < n; i++ {
			if got := rs.content(i); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("seed %d: region %d differs:\n%v\n%v", seed, i, got, want)
			}
		}
	}
	if conflicts == 0 {
		t.Error("there was no conflict: the test shows nothing")
	}
}

// TestConflictKeepsTheLoser checks what is counted and kept, and what is not.
func TestConflictKeepsTheLoser(t *testing.T) {
	rs := newRegions(t, 2)
	rng := rand.New(rand.NewPCG(1, 1))
	putText(t, rs.rigs[0], "a", "mine")
	rs.rigs[1].stamp += 10
	putText(t, rs.rigs[1], "a", "theirs")
	if res := rs.ship(t, rng, 1, 0, 10); res.Conflicts != 1 || res.Applied != 1 {
		t.Errorf("%+v", res)
	}
	if res := rs.ship(t, rng, 0, 1, 10); res.Conflicts != 1 || res.Applied != 0 {
		t.Errorf("the other side sees it as %+v", res)
	}
	putText(t, rs.rigs[0], "a", "later, knowing both")
	if res := rs.ship(t, rng, 0, 1, 10); res.Conflicts != 0 || res.Applied != 1 {
		t.Errorf("a write that knew of all is called a conflict: %+v", res)
	}
	q := model.ConflictsQuery{Tablet: 1, MaxBytes: 1 << 20}
	res, err := Query(rs.rigs[0].view, &model.Query{Kind: model.QueryConflicts, Body: q.Append(nil)})
	if err != nil {
		t.Fatal(err)
	}
	got, err := bodyOf[model.ConflictsResult](res.Body)
	if err != nil || len(got.Conflicts) != 1 {
		t.Fatal(got, err)
	}
	lost, err := decodeItem(got.Conflicts[0].Loser.Item)
	if v, _ := lost.Get("v"); err != nil || v.Str != "mine" || got.Conflicts[0].Winner.Version.Region != selfOf(1) {
		t.Errorf("%+v %v", got.Conflicts[0], err)
	}
}

// TestWhatIsKnownIsNotTold checks that a change which comes again, by whatever
// way, adds nothing to the log: between three regions it would never rest.
func TestWhatIsKnownIsNotTold(t *testing.T) {
	rs := newRegions(t, 2)
	putText(t, rs.rigs[0], "a", "1")
	for i := range 3 {
		log := logOf(t, rs.rigs[0], 0)
		c := log[0].Change
		c.Rename(0, selfOf(0))
		rs.rigs[1].stamp = max(rs.rigs[1].stamp, c.Version.Stamp)
		batch := model.ApplyChanges{Self: selfOf(1), Changes: []model.Change{c, c}}
		var res model.ApplyChangesResult
		change(t, rs.rigs[1], model.CmdApplyChanges, watchedTable, batch.Append(nil), &res)
		if told := len(logOf(t, rs.rigs[1], 0)); told != 1 || res.Applied+res.Known != 2 || i > 0 && res.Applied != 0 {
			t.Fatalf("time %d: %+v, %d entries", i, res, told)
		}
	}
}

// TestApplyRefusesWhatIsAhead checks the guard of the tablet's clock.
func TestApplyRefusesWhatIsAhead(t *testing.T) {
	r := newRig()
	item := jsonItem(t, `{"p":"a"}`)
	a := model.ApplyChanges{Self: 1, Changes: []model.Change{{
		Version: model.Version{Stamp: 50, Region: 2}, Key: itemKey(item), Item: model.AppendItem(nil, item), Size: 2,
	}}}
	out, err := r.apply(&model.Command{Kind: model.CmdApplyChanges, Resource: watchedTable, Stamp: 50, Body: a.Append(nil)})
	if err != nil || out.Result.Status != model.StatusInvalid || len(r.view.keys) != 0 {
		t.Errorf("%+v %v", out, err)
	}
}

// TestConflictsAreBounded checks that the kept losers do not pile up and that
// the count goes on, also after a restart.
func TestConflictsAreBounded(t *testing.T) {
	r := newRig()
	keep := func(at model.Stamp, size int) {
		var b memBatch
		c := model.Change{Version: model.Version{Stamp: 2, Region: 1}, Key: []byte("k"), Item: make([]byte, size)}
		r.machine.changes.conflicts.keep(&b, 1, &model.Conflict{Resource: watchedTable, At: at, Winner: c, Loser: c})
		b.commit(r.view)
	}
	kept := func(what string, counted uint64, want int) {
		t.Helper()
		if len(r.view.keys) != want+1 { // and the head
			t.Errorf("%s: %d losers are kept, not %d", what, len(r.view.keys)-1, want)
		}
		before := r.machine.changes.conflicts
		if err := r.machine.Load(r.view); err != nil || !reflect.DeepEqual(before, r.machine.changes.conflicts) || before.head.Counted != counted {
			t.Errorf("%s: after a restart %+v, before %+v; %v", what, r.machine.changes.conflicts, before, err)
		}
	}
	for range model.MaxConflicts + 5 {
		keep(1, 0)
	}
	kept("many", model.MaxConflicts+5, model.MaxConflicts)
	for range 4 {
		keep(1, model.MaxConflictBytes/6)
	}
	kept("large ones", model.MaxConflicts+9, 2)
	keep(model.StampAt(time.UnixMilli(0).Add(model.ConflictLife+time.Hour)), 0)
	kept("old ones", model.MaxConflicts+10, 1)
}

// FuzzChangeCommands applies any bytes as the body of each command and query of
// the change log: corruption is an error, never a panic.
func FuzzChangeCommands(f *testing.F) {
	item := jsonItem(f, `{"p":"a"}`)
	c := model.Change{Version: model.Version{Stamp: 1, Region: 2}, History: model.History{{Stamp: 1, Region: 3}}, Key: itemKey(item), Item: model.AppendItem(nil, item)}
	f.Add(byte(0), (&model.Watch{Reader: 9, Log: true, Old: true, Keep: true}).Append(nil))
	f.Add(byte(1), (&model.Advance{UpTo: 1}).Append(nil))
	f.Add(byte(2), (&model.ApplyChanges{Self: 1, Changes: []model.Change{c, c}}).Append(nil))
	f.Add(byte(0), (&model.ChangesQuery{Tablet: 1, MaxBytes: 9}).Append(nil))
	f.Add(byte(1), (&model.ReaderQuery{Tablet: 1, Reader: 9}).Append(nil))
	f.Add(byte(2), (&model.CopyQuery{HiSlot: 9, MaxBytes: 9}).Append(nil))
	f.Add(byte(3), (&model.ConflictsQuery{Tablet: 1, MaxBytes: 9}).Append(nil))
	m := model.MergeState{Marks: []model.Mark{{Name: "n", Version: model.Version{Stamp: 1, Region: 2}, Added: []model.Added{{Region: 2, First: 1, Last: 2, Total: "5"}}}}}
	c.Merge = m.Append(nil)
	f.Add(byte(2), (&model.ApplyChanges{Self: 1, Policy: model.PolicyCounter, Keys: []string{"p"}, Changes: []model.Change{c}}).Append(nil))
	c.Merge = (&model.MergeState{Rivals: []model.Rival{{Version: model.Version{Stamp: 1, Region: 3}, Delete: true}}}).Append(nil)
	f.Add(byte(2), (&model.ApplyChanges{Self: 1, Policy: model.PolicyRegions, Rank: []model.RegionID{3}, Changes: []model.Change{c}}).Append(nil))
	f.Add(byte(3), (&model.TellConflicts{UpTo: 1}).Append(nil))
	kinds := []model.CommandKind{model.CmdWatch, model.CmdAdvance, model.CmdApplyChanges, model.CmdTellConflicts}
	f.Fuzz(func(t *testing.T, kind byte, body []byte) {
		r := newRig()
		watchTable(t, r, model.Watch{Reader: 9, Log: true, Keep: true, Policy: model.PolicyFields})
		putText(t, r, "a", "1")
		_, _ = r.apply(&model.Command{Kind: kinds[kind%4], Resource: watchedTable, Stamp: 1 << 60, Body: body})
		_, _ = Query(r.view, &model.Query{Kind: model.QueryKind(96 + kind%4), Resource: watchedTable, Body: body})
	})
}
