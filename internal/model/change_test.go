package model

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"testing"
)

// changeBodies are examples of all bodies of the change log, with each field
// set.
func changeBodies() []tableBody {
	put := Change{
		Version: Version{300, 7}, History: History{{5, 1}, {6, 9}}, Key: []byte("k"), Size: 3,
		Item: []byte("item"), Merge: []byte("m"),
	}
	del := Change{Version: Version{1, 2}, Key: []byte("k"), Delete: true}
	return []tableBody{
		&put,
		&del,
		&LoggedChange{Resource: 7, Total: 300, Change: put, HasOld: true, Old: []byte("old")},
		&Watch{Reader: 9, Version: 2, Off: true, Log: true, Old: true, Keep: true, Policy: PolicyUnion, Note: []byte("n")},
		&Advance{UpTo: 300, Total: 5},
		&AdvanceResult{More: true},
		&ApplyChanges{Self: 9, Policy: PolicyFields, Keys: []string{"id"}, Changes: []Change{del}},
		&ApplyChangesResult{Applied: 1, Known: 2, Conflicts: 300},
		&Conflict{Number: 4, Resource: 7, Policy: PolicyQueue, Winner: Change{Version: Version{3, 2}, Key: []byte("k"), Item: []byte("i")}, Loser: del, At: 9},
		&Role{Version: 300, Passive: true},
		&RewriteUnit{Kind: KindQueue, Shard: 3, Places: [][]byte{[]byte("a")}},
		&Rewrite{Self: 9, Key: []byte("k"), If: Version{300, 7}},
		&ConflictsHead{Counted: 300, Told: 5},
		&TellConflicts{UpTo: 300},
		&ApplyChanges{Self: 9, Policy: PolicyRegions, Rank: []RegionID{300, 1}},
		exampleMerge(),
		&Watch{Reader: 9, Version: 2, Policy: PolicyFields, PolicyOnly: true, Note: []byte{}},
		&MergeState{Joined: true, Rivals: []Rival{{Version: Version{1, 2}, Delete: true}, {Version: Version{300, 1}, Size: 3, Item: []byte("i")}}},
		&ChangesQuery{Tablet: 3, After: 300, MaxBytes: 9},
		&ChangesResult{Changes: []LoggedChange{{Number: 4, Resource: 7, Total: 9, Change: del}}},
		&ReaderQuery{Tablet: 3, Reader: 9},
		&ReaderState{Last: 300, LastTotal: 9, UpTo: 5, Total: 4, Next: 3, Conflicts: 2, Version: 8, Passive: true, Tables: []WatchedTable{{7, true, PolicyFields, []byte("n")}}},
		&CopyQuery{LoSlot: 1, HiSlot: SlotCount, After: []byte("a"), MaxBytes: 9},
		&CopyResult{Changes: []Change{put, del}, More: true},
		&ConflictsQuery{Tablet: 3, After: 4, MaxBytes: 9},
		&ConflictsResult{Head: ConflictsHead{Counted: 300, Told: 5}, Conflicts: []Conflict{{Number: 4, Resource: 7, Winner: put, Loser: del}}},
		&DigestQuery{Kind: KindStream, Shard: 3, Lo: []byte("a"), Hi: []byte("z"), Grain: 64, List: 8, Ends: []DigestEnd{{[]byte("m"), true}}, Condition: []byte("c"), MaxBytes: 300},
		&DigestResult{Runs: []DigestRun{{Hi: []byte("m"), Items: 300, Sum: Sum{1}}, {Hi: []byte("z"), Items: 1, Sum: Sum{2}, Listed: true, Keys: []KeySum{{[]byte("n"), Sum{2}}}}}, Next: []byte("z"), Bytes: 300},
		&LookQuery{Kind: KindQueue, Tablet: 3, Shard: 4, Places: [][]byte{[]byte("a"), []byte("b")}, Condition: []byte("c")},
		&LookResult{
			Unit:   UnitLook{Version: Version{300, 7}, History: History{{5, 1}}, Copying: true, Sum: Sum{4}},
			Looked: []Looked{{Held: HeldThing, Sum: Sum{1}, Version: Version{9, 7}, History: History{{5, 1}}, Mark: 300, ID: MessageID{1}}, {}},
		},
		&ByKeyQuery{Keys: [][]byte{[]byte("a"), []byte("b")}},
	}
}

// exampleMerge is a merge state with every kind of mark.
func exampleMerge() *MergeState {
	return &MergeState{Base: Version{1, 2}, Marks: []Mark{
		{Name: "c", Version: Version{1, 2}, Had: true, Value: Value{Kind: KindN, Str: "5"}, Added: []Added{{0, 3, 9, "7"}, {300, 4, 4, "-1"}}, Counted: []Added{{0, 3, 3, "2"}}},
		{Name: "f", Version: Version{300, 0}},
		{Name: "s", Members: []Member{{KindS, "a", Version{300, 0}, false}, {KindN, "1", Version{1, 2}, true}}},
	}}
}

// TestMergeRename checks that lists stay in order under other names, and that
// what cannot be read is left to the receiver's check.
func TestMergeRename(t *testing.T) {
	s := exampleMerge()
	c := Change{Key: []byte("k"), Merge: s.Append(nil)}
	c.Rename(0, 500)
	c.Rename(2, 0)
	var got MergeState
	d := NewDecoder(c.Merge)
	got.Decode(d)
	if err := d.Done(); err != nil || got.Base != (Version{1, 0}) || got.Marks[0].Added[0].Region != 300 || got.Marks[0].Added[1].Region != 500 || got.Marks[1].Version != (Version{300, 500}) {
		t.Errorf("%+v %v", got, err)
	}
	if bad := renameMerge([]byte{2, 9}, 0, 1); !bytes.Equal(bad, []byte{2, 9}) {
		t.Errorf("%x", bad)
	}
}

// TestResolution reads every policy's text and writes it again.
func TestResolution(t *testing.T) {
	for _, text := range []string{"last-writer", "fields", "counter", "union", "region:east", "region:east/00ff", "queue:q"} {
		if r, err := ParseResolution(text); err != nil || r.String() != text {
			t.Errorf("%s: %+v %v", text, r, err)
		}
	}
	for _, text := range []string{"", "fields:", "counters", "region", "region:", "region:a//b", "queue:", "queue", "policy(7)"} {
		if r, err := ParseResolution(text); err == nil {
			t.Errorf("%q is read as %+v", text, r)
		}
	}
	queue, east := Resolution{Policy: PolicyQueue, Queue: "q"}, Resolution{Policy: PolicyRegions, Regions: []string{"east", "ff"}}
	if a, b := queue.Agreed(nil), east.Agreed([]RegionID{16, 255}); a != "last-writer" || b != "region:10/ff" {
		t.Error(a, b)
	}
}

func TestChangeBodiesRoundTrip(t *testing.T) {
	for _, want := range changeBodies() {
		got, d := fresh(want), NewDecoder(want.Append(nil))
		got.Decode(d)
		if err := d.Done(); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%T: %v\n got %+v\nwant %+v", want, err, got, want)
		}
	}
}

// TestChangeGolden pins the stored bodies. They are described in
// docs/format/change.md.
func TestChangeGolden(t *testing.T) {
	golden := []string{
		"06ac0207016b0205010609016d03046974656d",
		"010102016b",
		"07ac020eac0207016b0205010609016d03046974656d036f6c64",
		"09020f03016e",
		"ac0205",
		"01",
		"09010102696401010102016b",
		"0102ac02",
		"04070509" + "000302016b000169" + "010102016b",
		"ac0201",
		"0203010161",
		"09016bac0207",
		"ac0205",
		"ac02",
		"090402ac020100",
		"020300000102ac0200" + "01" + "03" + "01630103" + "020135" + "020003090137ac020404022d31" + "010003030132" + "01660200" + "017300040201016102000201310101",
		"0902100100",
		"0502010201ac020100030169",
	}
	for i, want := range golden {
		body := changeBodies()[i]
		if got := hex.EncodeToString(body.Append(nil)); got != want {
			t.Errorf("%T: %s", body, got)
		}
	}
}

func TestHistory(t *testing.T) {
	h := History(nil).Learn(Version{5, 3}).Learn(Version{7, 1}).Learn(Version{4, 3})
	if want := (History{{7, 1}, {5, 3}}); !reflect.DeepEqual(h, want) {
		t.Errorf("%v", h)
	}
	if h.Known(3) != 5 || h.Known(2) != 0 {
		t.Error("the history knows something else")
	}
	if got := h.Rename(1, 9); !reflect.DeepEqual(got, History{{5, 3}, {7, 9}}) {
		t.Errorf("%v", got)
	}
	if got := h.Without(3); len(got) != 1 || len(h) != 2 {
		t.Errorf("%v %v", got, h)
	}
}

// FuzzChangeBodies decodes any bytes as every body: no panic, and what decodes
// encodes to something that decodes to the same.
func FuzzChangeBodies(f *testing.F) {
	for i, b := range changeBodies() {
		f.Add(byte(i), b.Append(nil))
	}
	f.Fuzz(func(t *testing.T, which byte, data []byte) {
		all := changeBodies()
		body := fresh(all[int(which)%len(all)])
		d := NewDecoder(data)
		body.Decode(d)
		if d.Done() != nil {
			return
		}
		again, d2 := fresh(body), NewDecoder(body.Append(nil))
		again.Decode(d2)
		if err := d2.Done(); err != nil || !bytes.Equal(again.Append(nil), body.Append(nil)) {
			t.Errorf("%T: %v: %+v became %+v", body, err, body, again)
		}
	})
}
