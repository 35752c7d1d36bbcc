package model

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"testing"
)

// unitBodies are examples of what is stored and sent of units, with each field
// set.
func unitBodies() []tableBody {
	mended := QueueChange{NextSeq: 301, Mends: true, Mended: []UnitMessage{{Seq: 300, Message: []byte("m")}}, Gone: []uint64{5}, Count: QueueCount{Messages: 2, Bytes: 300}}
	queue := QueueChange{NextSeq: 301, Purged: true, Added: []UnitMessage{{Seq: 300, DueMs: 1000, Scheduled: true, Message: []byte("m")}}, Gone: []uint64{5}}
	batch := AppendRecordBatch(nil, []Record{{PartitionKey: []byte("k"), Data: []byte("d")}})
	shard := ShardChange{
		State: ShardState{Next: 4, Low: 3, LowMs: 5, LastMs: 6, Bytes: 7, TotalBytes: 8, ClosedMs: 9, RetriedMs: 10}, Groups: 2,
		Blocks: []ShardBlock{{First: 3, ArrivalMs: 5, Before: 1, Batch: batch}}, Positions: []Position{{Group: "g", N: 3, Generation: 4, CommitMs: 5}}, Forgotten: []string{"h"},
	}
	blocks := ShardChange{State: ShardState{Next: 4, Low: 1}, Mends: true, Mended: []ShardBlock{{First: 3, ArrivalMs: 5, Before: 1, Batch: batch}}}
	change := UnitChange{Version: Version{300, 7}, Follows: Version{299, 7}, Own: true, Body: []byte("b")}
	page := UnitChange{Version: Version{300, 7}, History: History{{5, 1}}, Page: &UnitPage{Run: 9, After: 3, UpTo: 8, Last: true, Partial: true}, Body: []byte("b")}
	return []tableBody{
		&queue,
		&shard,
		&change,
		&page,
		&ApplyUnit{Self: 9, From: 7, Stream: true, Shard: 3, Settings: QueueSettings{RetentionMs: 300}, Changes: []UnitChange{change}},
		&ApplyUnitResult{Applied: 1, Known: 300, Need: UnitAgain},
		&mended,
		&blocks,
		&UnitQuery{Tablet: 3, Stream: true, Shard: 4, After: 300, MaxBytes: 9},
	}
}

func TestUnitBodiesRoundTrip(t *testing.T) {
	for _, want := range unitBodies() {
		got, d := fresh(want), NewDecoder(want.Append(nil))
		got.Decode(d)
		if err := d.Done(); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%T: %v\n got %+v\nwant %+v", want, err, got, want)
		}
	}
}

// TestUnitGolden pins the stored bodies. They are described in
// docs/format/change.md.
func TestUnitGolden(t *testing.T) {
	golden := []string{
		"ad02" + "01" + "01" + "ac02e80701" + "016d" + "01" + "05",
		"040305060708090a" + "02" + "01" + "030501" + "0d" + "01000000010000000400016b64" + "01" + "01670304" + "00000005" + "01" + "0168" + "00",
		"04" + "ac0207" + "ab0207" + "00" + "0162",
		"0b" + "ac0207" + "0000" + "010501" + "090308" + "0162",
		"0907" + "01" + "03" + "ac020000" + "01" + "04ac0207ab0207000162",
		"01ac0203",
		"ad02" + "02" + "00" + "0105" + "01" + "ac020000016d" + "02ac02",
		"0401000000000000" + "00" + "00" + "00" + "00" + "01" + "01" + "030501" + "0d" + "01000000010000000400016b64",
	}
	for i, want := range golden {
		body := unitBodies()[i]
		if got := hex.EncodeToString(body.Append(nil)); got != want {
			t.Errorf("%T: %s", body, got)
		}
	}
	k := UnitKey{Slot: 0x1234, Shard: 7}
	if got, ok := ParseUnitKey(k.Append(nil)); !ok || got != k || hex.EncodeToString(k.Append(nil)) != "123400000007" {
		t.Errorf("%+v", got)
	}
	if _, ok := ParseUnitKey([]byte("k")); ok {
		t.Error("a key of another length is one of a unit")
	}
}

// FuzzUnitBodies decodes any bytes as every body: no panic, and what decodes
// encodes to something that decodes to the same.
func FuzzUnitBodies(f *testing.F) {
	for i, b := range unitBodies() {
		f.Add(byte(i), b.Append(nil))
	}
	f.Fuzz(func(t *testing.T, which byte, data []byte) {
		all := unitBodies()
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
