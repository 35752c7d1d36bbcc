package machine

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"strings"
	"testing"
	"time"

	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// putAt is a put of an item {p: name} on table 7, at a time since the epoch.
func putAt(t testing.TB, id byte, at time.Duration, name string) *model.Command {
	t.Helper()
	item := jsonItem(t, `{"p": "`+name+`"}`)
	put := model.PutItem{Key: itemKey(item), Item: model.AppendItem(nil, item), ReturnOld: true}
	return &model.Command{Kind: model.CmdPutItem, ID: model.RequestID{id}, Resource: 7, Stamp: stampIn(at), Body: put.Append(nil)}
}

// stampIn is the stamp of a time since an epoch that begins a bucket.
func stampIn(d time.Duration) model.Stamp {
	return model.StampAt(time.UnixMilli(1_700_000_010_000).Add(d))
}

func (r *rig) must(t testing.TB, cmd *model.Command) Outcome {
	t.Helper()
	out, err := r.apply(cmd)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func sameResult(a, b model.Result) bool {
	return a.Status == b.Status && bytes.Equal(a.Bytes(), b.Bytes())
}

// records is the number of dedupe records stored.
func (r *rig) records(t testing.TB) (n int) {
	t.Helper()
	err := scan(r.view, first(keys.DedupeAll(1)), second(keys.DedupeAll(1)), func(_, _ []byte) error { n++; return nil })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func first(a, _ []byte) []byte  { return a }
func second(_, b []byte) []byte { return b }

// TestRepeat: a command with the id of one that was applied changes nothing
// and has the first one's result, for the whole window.
func TestRepeat(t *testing.T) {
	for _, at := range []time.Duration{1, 29 * time.Second, 30 * time.Second, model.DedupeWindow - time.Millisecond, model.DedupeWindow} {
		for _, begin := range []time.Duration{0, 15 * time.Second, 29_999 * time.Millisecond} {
			r := newRig()
			firstOut := r.must(t, putAt(t, 1, begin, "a"))
			before := len(r.view.keys)
			again := putAt(t, 1, begin+at, "a")
			again.Stamp++
			out := r.must(t, again)
			if !out.Repeated || !sameResult(out.Result, firstOut.Result) || len(r.view.keys) != before {
				t.Errorf("begun at %v, repeated %v later: %+v, first %+v, %d keys, before %d", begin, at, out, firstOut, len(r.view.keys), before)
			}
		}
	}
}

// TestForgotten: the ids of the past go away, records and all, when a later
// command is applied, and the memory with them.
func TestForgotten(t *testing.T) {
	r := newRig()
	for i := range byte(100) {
		r.must(t, putAt(t, i+1, time.Duration(i)*time.Second, "a"))
	}
	if n := r.records(t); n != 100 {
		t.Fatalf("%d records of 100 commands", n)
	}
	late := model.DedupeWindow + 130*time.Second
	out := r.must(t, putAt(t, 10, late, "a"))
	if out.Repeated {
		t.Error("an id is remembered for seven minutes")
	}
	// Only the bucket of 90 to 120 seconds is left, beside the new one.
	if n := r.records(t); n != 11 {
		t.Errorf("%d records are left, want 11", n)
	}
	if len(r.machine.seen.buckets) != 2 {
		t.Errorf("%d buckets are left, want 2", len(r.machine.seen.buckets))
	}
	if out := r.must(t, putAt(t, 100, late+time.Millisecond, "a")); !out.Repeated {
		t.Error("an id was forgotten before its time")
	}
}

// TestForgottenInMemory: the index loses the ids of buckets that are gone, some
// with each command, and never one that is remembered.
func TestForgottenInMemory(t *testing.T) {
	r := newRig()
	put := func(id byte, at time.Duration) Outcome {
		cmd := putAt(t, id, at, "a")
		return r.must(t, cmd)
	}
	for i := range byte(100) {
		put(i+1, time.Duration(i)*time.Millisecond)
	}
	put(1, model.DedupeWindow+time.Minute) // a second time, since the first is forgotten
	if n := len(r.machine.seen.index); n < 90 {
		t.Fatalf("%d ids are left after one command", n)
	}
	for i := range byte(40) {
		put(i+101, model.DedupeWindow+time.Minute+time.Duration(i+1)*time.Millisecond)
	}
	d := &r.machine.seen
	if len(d.index) != 41 || len(d.twins) != 0 || len(d.gone) != 0 {
		t.Fatalf("%d ids, %d twins, %d buckets are left", len(d.index), len(d.twins), len(d.gone))
	}
	if !put(1, model.DedupeWindow+2*time.Minute).Repeated {
		t.Error("the id that was used again is forgotten")
	}
}

// TestTwins: of ids that begin alike one is remembered for each bucket, and no
// more, though a client sends ever more of them.
func TestTwins(t *testing.T) {
	r := newRig()
	for i := range 200 {
		cmd := putAt(t, 1, time.Duration(i)*10*time.Second, "a")
		cmd.ID[15] = byte(i)
		r.must(t, cmd)
		if n := len(r.machine.seen.twins[shortID(cmd.ID)]); n > int(keptBuckets)+1 {
			t.Fatalf("%d ids are kept", n)
		}
		for _, back := range []int{0, 3, 30} {
			last := putAt(t, 1, time.Duration(i)*10*time.Second+time.Millisecond, "a")
			if last.ID[15] = byte(i/3*3 + 2 - back); i%3 == 2 && i >= back && !r.must(t, last).Repeated {
				t.Fatalf("of %d, the last one of a bucket is forgotten, %d back", i, back)
			}
		}
	}
}

// BenchmarkDedupeLookup looks for ids that are not known, as nearly all are, after
// five minutes with 20,000 in each bucket.
func BenchmarkDedupeLookup(b *testing.B) {
	var d dedupe
	r := newRig()
	next := uint64(1)
	id := func() (id model.RequestID) {
		next = next*6364136223846793005 + 1442695040888963407
		binary.LittleEndian.PutUint64(id[:], next)
		return id
	}
	for bucket := range keptBuckets + 1 {
		for i := range 20_000 {
			d.insert(bucket+1, shortID(id()), model.Index(bucket)*20_000+model.Index(i)+1)
		}
	}
	cmd := &model.Command{}
	b.ReportAllocs()
	for b.Loop() {
		cmd.ID = id()
		if _, ok, err := d.lookup(r.view, 1, cmd); ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

// TestNoID: commands without an id leave no record and are applied each time.
func TestNoID(t *testing.T) {
	r := newRig()
	for i := range 3 {
		if out := r.must(t, putAt(t, 0, time.Duration(i)*time.Second, "a")); out.Repeated {
			t.Error("a command without an id was taken for a repeated one")
		}
	}
	if n := r.records(t); n != 0 {
		t.Errorf("%d records", n)
	}
}

// TestOtherCommandsOfOneID: an id belongs to a kind and a resource, so a
// careless client is never told that something was done that was not.
func TestOtherCommandsOfOneID(t *testing.T) {
	r := newRig()
	r.must(t, putAt(t, 1, 0, "a"))
	other := putAt(t, 1, time.Second, "a")
	other.Resource = 8
	if r.must(t, other).Repeated {
		t.Error("a put on another table was taken for a repeated one")
	}
	item := jsonItem(t, `{"p": "a"}`)
	del := model.DeleteItem{Key: itemKey(item)}
	cmd := &model.Command{Kind: model.CmdDeleteItem, ID: model.RequestID{1}, Resource: 7, Stamp: stampIn(2 * time.Second), Body: del.Append(nil)}
	if r.must(t, cmd).Repeated {
		t.Error("a delete was taken for a repeated put")
	}
}

// TestShortIDsCollide: two ids that begin alike are two ids.
func TestShortIDsCollide(t *testing.T) {
	r := newRig()
	a, b := putAt(t, 1, 0, "a"), putAt(t, 1, time.Second, "b")
	b.ID[15] = 9
	r.must(t, a)
	if r.must(t, b).Repeated {
		t.Fatal("an id was taken for another that begins like it")
	}
	again := putAt(t, 1, 2*time.Second, "b")
	again.ID = b.ID
	if !r.must(t, again).Repeated {
		t.Error("the newer of two ids that begin alike was forgotten")
	}
}

// TestReload: a machine that was loaded from the stored state knows what the
// one that wrote it knew.
func TestReload(t *testing.T) {
	r := newRig()
	for i := range byte(60) {
		r.must(t, putAt(t, i+1, time.Duration(i)*7*time.Second, "a"))
	}
	loaded := New(1, 0, model.SlotCount)
	if err := loaded.Load(r.view); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(loaded.seen.buckets, r.machine.seen.buckets) {
		t.Errorf("loaded %+v\n   was %+v", loaded.seen.buckets, r.machine.seen.buckets)
	}
	at := r.stamp
	for i := range byte(60) {
		cmd := putAt(t, i+1, 0, "a")
		cmd.Stamp = at + model.Stamp(i) + 1
		var b memBatch
		fresh, err := loaded.Apply(r.view, &b, Position{Index: 1000 + model.Index(i)}, cmd)
		if err != nil {
			t.Fatal(err)
		}
		if old := r.must(t, cmd); old.Repeated != fresh.Repeated || !sameResult(old.Result, fresh.Result) {
			t.Errorf("id %d: loaded machine %+v, the other %+v", i+1, fresh, old)
		}
	}
}

// TestOneRecordForManyCommands: commands that are committed together share a
// record, on each side of a bucket's border and up to maxOpenBytes, and each is
// found, while the record is open, when it is filed, and after a restart.
func TestOneRecordForManyCommands(t *testing.T) {
	r := newRig()
	apply := func(id byte, at time.Duration, ordinal uint32, more bool, name string) Outcome {
		t.Helper()
		cmd := putAt(t, id, at, name)
		cmd.Stamp += model.Stamp(ordinal)
		var b memBatch
		out, err := r.machine.Apply(r.view, &b, Position{Index: 5, Ordinal: ordinal, More: more}, cmd)
		if err != nil {
			t.Fatal(err)
		}
		b.commit(r.view)
		return out
	}
	check := func(ordinal uint32, want bool) {
		t.Helper()
		for id := byte(1); id <= 4; id++ {
			if out := apply(id, 30*time.Second, ordinal, true, "a"); out.Repeated != want {
				t.Errorf("command %d: %+v", id, out)
			}
			ordinal++
		}
	}
	apply(1, 29*time.Second, 1, true, "a")
	apply(2, 29*time.Second, 2, true, "b")
	apply(3, 30*time.Second, 3, true, "c")
	apply(4, 30*time.Second, 4, true, "a")
	check(5, true)
	apply(5, 30*time.Second, 9, false, "e")
	if n := r.records(t); n != 2 {
		t.Errorf("%d records, want one for each bucket", n)
	}
	check(10, true)
	loaded := New(1, 0, model.SlotCount)
	if err := loaded.Load(r.view); err != nil {
		t.Fatal(err)
	}
	r.machine = loaded
	check(14, true)
}

// TestLargeRecordIsFiledEarly: what waits to be filed stays bounded, and all of
// an entry's records are looked at.
func TestLargeRecordIsFiledEarly(t *testing.T) {
	r := newRig()
	large := strings.Repeat("x", maxOpenBytes/2)
	item := jsonItem(t, `{"p": "a", "v": "`+large+`"}`)
	put := model.PutItem{Key: itemKey(item), Item: model.AppendItem(nil, item), ReturnOld: true}
	commands := func(first byte, repeated bool) {
		t.Helper()
		for i := range byte(8) {
			cmd := &model.Command{Kind: model.CmdPutItem, ID: model.RequestID{i + 1}, Resource: 7, Stamp: stampIn(time.Second) + model.Stamp(first+i), Body: put.Append(nil)}
			var b memBatch
			out, err := r.machine.Apply(r.view, &b, Position{Index: 5, Ordinal: uint32(first + i), More: true}, cmd)
			if err != nil || out.Repeated != repeated {
				t.Fatalf("command %d: %+v, %v", i+1, out, err)
			}
			b.commit(r.view)
		}
	}
	commands(1, false)
	if n := r.records(t); n < 2 {
		t.Errorf("%d records of %d bytes of results were filed", n, 7*len(large))
	}
	commands(9, true)
}

// TestEmptyReceiveLeavesNoRecord: a receive that takes nothing has no effect
// to repeat; polling must not fill the dedupe table.
func TestEmptyReceiveLeavesNoRecord(t *testing.T) {
	r := newRig()
	body := model.Receive{Max: 10, VisibilityMs: 1000}
	cmd := &model.Command{Kind: model.CmdReceive, ID: model.RequestID{1}, Resource: 9, Stamp: stampIn(0), Body: body.Append(nil)}
	r.must(t, cmd)
	if n := r.records(t); n != 0 {
		t.Errorf("%d records after an empty receive", n)
	}
}

// TestDamagedRecords: a record that cannot be read stops the node; it must not
// be taken for one that is not there.
func TestDamagedRecords(t *testing.T) {
	r := newRig()
	r.must(t, putAt(t, 1, 0, "a"))
	lo, hi := keys.DedupeAll(1)
	for _, value := range [][]byte{{}, make([]byte, 15)} {
		err := scan(r.view, lo, hi, func(key, _ []byte) error { r.view.set(string(key), value); return nil })
		if err != nil {
			t.Fatal(err)
		}
		if err := New(1, 0, model.SlotCount).Load(r.view); err == nil {
			t.Errorf("a record of %d bytes was loaded", len(value))
		}
		if _, err := r.apply(putAt(t, 1, time.Second, "a")); err == nil {
			t.Errorf("a record of %d bytes was believed", len(value))
		}
	}
	r.view.deleteRange(string(lo), string(hi))
	if _, err := r.apply(putAt(t, 1, time.Second, "a")); err == nil {
		t.Error("a missing record was believed")
	}
}
