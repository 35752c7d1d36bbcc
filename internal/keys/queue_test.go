package keys

import (
	"encoding/hex"
	"reflect"
	"testing"

	"weir.dev/weir/internal/model"
)

func TestQueueKeys(t *testing.T) {
	part := PartID{Pipe: 8, Source: model.PipeSource{Resource: 5, Slot: 0x0102}, Part: 3}
	for _, c := range []struct {
		key             []byte
		bytes, readable string
	}{
		{QueueHead(nil, 5, 0x0983), "640000000000000005098371", "d/r5/s0983/queue"},
		{Message(nil, 5, 0x0983, 300), "64000000000000000509836d000000000000012c", "d/r5/s0983/message/300"},
		{MessageState(nil, 5, 0x0983, 300), "640000000000000005098373000000000000012c", "d/r5/s0983/state/300"},
		{Ready(nil, 5, 0x0983, 2), "6400000000000000050983720000000000000002", "d/r5/s0983/ready/2"},
		{Dead(nil, 5, 0x0983, 2), "6400000000000000050983780000000000000002", "d/r5/s0983/dead/2"},
		{Hidden(nil, 5, 0x0983, 1000, 300), "64000000000000000509837600000000000003e8000000000000012c", "d/r5/s0983/hidden/1000/300"},
		{Claims(nil, 5, 0x0983, 8), "64000000000000000509836b0000000000000008", "d/r5/s0983/claims/r8"},
		{Claim(nil, 5, 0x0983, 8, 2), "64000000000000000509836300000000000000080000000000000002", "d/r5/s0983/claim/r8/2"},
		{Floor(nil, 7, 0, part), "64000000000000000700006600000000000000080000000000000005010200000003", "d/r7/s0000/floor/r8/r5/s0102/3"},
		{PartRun(nil, 7, 0, part, 2), "640000000000000007000061000000000000000800000000000000050102000000030000000000000002", "d/r7/s0000/applied/r8/r5/s0102/3/2"},
	} {
		if got := hex.EncodeToString(c.key); got != c.bytes {
			t.Errorf("%s: %s, want %s", c.readable, got, c.bytes)
		}
		if got := String(c.key); got != c.readable {
			t.Errorf("%x prints as %s, want %s", c.key, got, c.readable)
		}
	}
}

// queueRecords are examples of the records, with their bytes.
var queueRecords = []struct {
	record interface {
		Append([]byte) []byte
		Decode(*model.Decoder)
	}
	bytes string
}{
	{&QueueRecord{NextSeq: 300, NextOrder: 301, LowOrder: 299, NextDead: 1, LowDead: 2, LowHiddenMs: 1000, LowHiddenSeq: 3,
		Visible: 4, Delayed: 5, InFlight: 6, Claimed: 7, Dead: 8, Bytes: 9, HeadMs: 10, PurgedBelow: 11, PurgedMs: 12},
		"01" + "ac02" + "ad02" + "ab02" + "01" + "02" + "03" + "04" + "05" + "06" + "07" + "08" + "09" + "0b" + "e807" + "0a" + "0c"},
	{&QueueEntry{Seq: 300, SentMs: 1000, Size: 2}, "ac02" + "e807" + "02" + "00"},
	{&QueueEntry{Seq: 300, SentMs: 1000, Size: 2, Receives: 1, FirstReceiveMs: 2000}, "ac02" + "e807" + "02" + "01" + "d00f"},
	{&StateRecord{QueueEntry: QueueEntry{Seq: 300, SentMs: 1000, Size: 2, Receives: 1, FirstReceiveMs: 2000},
		Place: PlaceInFlight, At: 3000, ReceivedMs: 2000, Nonce: 0x0123456789abcdef},
		"01" + "b817" + "d00f" + "0123456789abcdef" + "ac02" + "e807" + "02" + "01" + "d00f"},
	{&ClaimsRecord{Next: 300, Low: 299, Unsettled: 1, Settled: 298}, "ac02" + "ab02" + "01" + "aa02"},
	{&ClaimRecord{Nonce: 5, Dead: true, Plan: []byte("p"), Entries: []QueueEntry{{Seq: 1, SentMs: 1000, Size: 2}}},
		"01" + "0000000000000005" + "01" + "0170" + "01" + "01" + "e807" + "02" + "00"},
}

func TestQueueRecords(t *testing.T) {
	for _, c := range queueRecords {
		b := c.record.Append(nil)
		if got := hex.EncodeToString(b); got != c.bytes {
			t.Errorf("%T: %s, want %s", c.record, got, c.bytes)
		}
		back := reflect.New(reflect.TypeOf(c.record).Elem())
		d := model.NewDecoder(b)
		back.MethodByName("Decode").Call([]reflect.Value{reflect.ValueOf(d)})
		if err := d.Done(); err != nil || !reflect.DeepEqual(back.Interface(), c.record) {
			t.Errorf("got %+v, want %+v, %v", back.Interface(), c.record, err)
		}
	}
}

// FuzzQueueRecords decodes any bytes as each record; it must not panic.
func FuzzQueueRecords(f *testing.F) {
	for i, c := range queueRecords {
		f.Add(uint8(i), c.record.Append(nil))
	}
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		kind := reflect.TypeOf(queueRecords[int(which)%len(queueRecords)].record).Elem()
		d := model.NewDecoder(data)
		reflect.New(kind).MethodByName("Decode").Call([]reflect.Value{reflect.ValueOf(d)})
	})
}
