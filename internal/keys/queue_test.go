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
		{Ready(nil, 5, 0x0983, 0, 2), "6400000000000000050983720000000000000002", "d/r5/s0983/ready/2"},
		{BlockKey(nil, 5, 0x0983, BlockNumber(512, 10)), "64000000000000000509836200000000000002a0", "d/r5/s0983/block/672"},
		{BlockStateKey(nil, 5, 0x0983, BlockNumber(512, 10)), "64000000000000000509836800000000000002a0", "d/r5/s0983/blockstate/672"},
		{Dead(nil, 5, 0x0983, 2), "6400000000000000050983780000000000000002", "d/r5/s0983/dead/2"},
		{Hidden(nil, 5, 0x0983, 1000, 300), "64000000000000000509837600000000000003e8000000000000012c", "d/r5/s0983/hidden/1000/300"},
		{Ready(nil, 5, 0x0983, 9, 2), "640000000000000005098370090000000000000002", "d/r5/s0983/ready9/2"},
		{Timed(nil, 5, 0x0983, model.MessageID{0xab}), "64000000000000000509836aab000000000000000000000000000000", "d/r5/s0983/timed/ab000000000000000000000000000000"},
		{Group(nil, 5, 0x0983, "g1"), "6400000000000000050983676731", `d/r5/s0983/group/"g1"`},
		{Grouped(nil, 5, 0x0983, "g1", 9, 300), "64000000000000000509836502673109000000000000012c", `d/r5/s0983/grouped/"g1"/9/300`},
		{Noisy(nil, 5, 0x0983, 9), "64000000000000000509836e09", "d/r5/s0983/noisy/09"},
		{Loud(nil, 5, 0x0983, "g1"), "64000000000000000509836c6731", `d/r5/s0983/loud/"g1"`},
		{AlarmKey(nil, 5, 0x0983, AlarmWaiting, 1000, 2), "64000000000000000509837700000000000003e80000000000000002", "d/r5/s0983/waiting/1000/2"},
		{AlarmKey(nil, 5, 0x0983, AlarmLingering, 1000, 2), "64000000000000000509837a00000000000003e80000000000000002", "d/r5/s0983/lingering/1000/2"},
		{Sent(nil, 5, 0x0983, 3, false, "g1", "d"), "64000000000000000509837500000000000000030064", `d/r5/s0983/sent/3/"d"`},
		{Sent(nil, 5, 0x0983, 3, true, "g1", "d"), "64000000000000000509837500000000000000030102673164", `d/r5/s0983/sent/3/"g1"/"d"`},
		{Attempt(nil, 5, 0x0983, 3, model.RequestID{0xab}), "6400000000000000050983790000000000000003ab000000000000000000000000000000", "d/r5/s0983/attempt/3/ab000000000000000000000000000000"},
		{Unit(nil, 5, model.UnitKey{Slot: 0x0983, Shard: 7}), "64000000000000000509836f00000007", "d/r5/s0983/unit/7"},
		{Since(1, 5), "740000000000000001420000000000000005", "t/t1/since/r5"},
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
	{&QueueRecord{NextSeq: 300, LowHiddenMs: 1000, LowHiddenSeq: 3, Visible: 4, Bytes: 9, Lines: [10]Line{{Low: 297, Count: 4, HeadMs: 10}}},
		"01" + "00" + "ac02" + "00000000"[:6] + "03" + "04" + "00000000" + "09" + "00" + "0000" + "000000" + "00" + "00" + "0000" + "00" + "e807" + "00" + "0000" + "0000" + "01" + "00" + "a902" + "04" + "0a" + "00"},
	{&QueueRecord{Fifo: true, NextSeq: 1, NextNumber: 2, NextDead: 3, LowDead: 4, LowHiddenMs: 5, LowHiddenSeq: 6,
		Lines: [10]Line{9: {Low: 8, Count: 9, HeadMs: 10}}, Noisy: [10]uint64{9: 11},
		Visible: 12, Delayed: 13, InFlight: 14, Claimed: 15, Dead: 16, Bytes: 17, Groups: 18,
		Waiting: Alarms{Count: 19, LowMs: 20, LowNumber: 21}, Lingering: Alarms{Count: 22, LowMs: 23, LowNumber: 24},
		FullNs: 25, Busy: 26, BusyPeriod: 27, LowLately: 28, PurgedBelow: 29, PurgedMs: 30, Unfiled: 31, Filed: 32, Blocked: 33},
		"01" + "01" + "0102030406" + "0c0d0e0f101112" + "1316" + "191a1b1c" + "1d" + "1f20" + "21" + "051e" + "1415" + "1718" + "01" + "09" + "08090a" + "0b"},
	{&UnitRecord{Since: 300, Version: model.Version{Stamp: 5}, History: model.History{{Stamp: 6, Region: 9}}, Unlogged: 3, Run: 7, Copying: true, Copied: 8, Partial: true},
		"01" + "ac02" + "0500" + "010609" + "03" + "07" + "01" + "08" + "01"},
	{&QueueEntry{Seq: 300, SentMs: 1000, Size: 2}, "ac02" + "e807" + "02" + "00"},
	{&QueueEntry{Seq: 300, SentMs: 1000, Size: 2, Receives: 1, FirstReceiveMs: 2000}, "ac02" + "e807" + "02" + "02" + "d00f"},
	{&QueueEntry{Seq: 300, SentMs: 1000, Size: 2, Group: "g1", Priority: 9}, "ac02" + "e807" + "02" + "01" + "03" + "026731" + "09"},
	{&QueueEntry{Seq: 300, SentMs: 1000, Size: 2, Receives: 1, FirstReceiveMs: 2000, Fifo: true, DueMs: 3000}, "ac02" + "e807" + "02" + "03" + "d00f" + "0c" + "b817"},
	{&QueueEntry{SentMs: 1000, Group: "g1", Turn: true}, "00" + "e807" + "00" + "01" + "11" + "026731"},
	{&QueueEntry{Seq: 673, SentMs: 1000, Size: 2, Block: true}, "a105" + "e807" + "02" + "01" + "20"},
	{&BlockState{Gone: 2, Parts: []BlockPart{{UntilMs: 3000, ReceivedMs: 2000, Nonce: 5, Members: 5, Sizes: [MaxBlock]uint64{300, 0, 4}}}},
		"02" + "01" + "b817" + "d00f" + "0000000000000005" + "05" + "ac02" + "04"},
	{&StateRecord{QueueEntry: QueueEntry{Seq: 300, SentMs: 1000, Size: 2, Receives: 1, FirstReceiveMs: 2000},
		Place: PlaceInFlight, At: 3000, ReceivedMs: 2000, Nonce: 0x0123456789abcdef},
		"01" + "b817" + "d00f" + "0123456789abcdef" + "ac02" + "e807" + "02" + "02" + "d00f"},
	{&GroupRecord{Fifo: true, Messages: 300, Out: 1, Dead: 2, Loud: true, FullNs: 3, WaitMs: 4, LingerMs: 5, SentMs: 12, Busy: 6, BusyPeriod: 7,
		Lists: []GroupList{{Priority: 9, Turn: TurnReady, TurnAt: 300, Stored: 8, Low: 9, High: 10, Front: []QueueEntry{{Seq: 1, SentMs: 2, Size: 3}}}}},
		"01" + "01" + "01" + "ac02" + "01" + "02" + "03" + "06" + "07" + "04" + "05" + "0c" + "01" + "09" + "01" + "ac02" + "08" + "09" + "0a" + "01" + "01020300"},
	{&NoisyGroups{"g1", "g2"}, "02" + "026731" + "026732"},
	{&SentRecord{ID: model.MessageID{0xab}, Seq: 300, SentMs: 1000}, "ab000000000000000000000000000000" + "ac02" + "e807"},
	{&AttemptRecord{AtMs: 1000, Nonce: 5, Seqs: []uint64{1, 300}}, "e807" + "0000000000000005" + "02" + "01" + "ac02"},
	{&ClaimsRecord{Next: 300, Low: 299, Unsettled: 1, Settled: 298}, "ac02" + "ab02" + "01" + "aa02"},
	{&ClaimRecord{Nonce: 5, Dead: true, Plan: []byte("p"), Entries: []QueueEntry{{Seq: 1, SentMs: 1000, Size: 2}}},
		"01" + "0000000000000005" + "01" + "0170" + "01" + "01" + "e807" + "02" + "00" + "000000"},
	{&ClaimRecord{Nonce: 5, Plan: []byte("p"), Shard: 3, From: 300, Count: 20}, "01" + "0000000000000005" + "00" + "0170" + "00" + "03" + "ac02" + "14"},
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

// TestQueueBlock holds the bytes of a block, and that nothing else is taken for
// one.
func TestQueueBlock(t *testing.T) {
	number := BlockNumber(512, 2)
	b := AppendQueueBlock(nil, []QueueEntry{{SentMs: 1000, Size: 2}, {SentMs: 1001, Size: 300}}, [][]byte{[]byte("hi"), []byte("you")})
	if want := "e80702" + "02" + "e907" + "ac02" + "03" + "6869" + "796f75"; hex.EncodeToString(b) != want {
		t.Errorf("%x, want %s", b, want)
	}
	block, ok := SplitQueueBlock(number, b)
	if !ok || string(block.Message(0)) != "hi" || string(block.Message(1)) != "you" {
		t.Errorf("got %+v, %v", block, ok)
	}
	if want := (QueueEntry{Seq: InBlock(number, 1), SentMs: 1001, Size: 300, Block: true}); block.Entry(1) != want {
		t.Errorf("got %+v, want %+v", block.Entry(1), want)
	}
	for n := range b {
		if _, ok := SplitQueueBlock(number, b[:n]); ok {
			t.Errorf("the first %d bytes are a block", n)
		}
	}
	if _, ok := SplitQueueBlock(number, append(b, 0)); ok {
		t.Error("a block with a byte more is a block")
	}
}

// TestBlockNumbers takes numbers of messages in blocks apart.
func TestBlockNumbers(t *testing.T) {
	for n := 1; n <= MaxBlock; n++ {
		number := BlockNumber(7*NumberStep, n)
		for i := range n {
			block, at, ok := SplitInBlock(InBlock(number, i))
			if !ok || block != number || at != i || BlockStart(InBlock(number, i)) != number {
				t.Errorf("message %d of a block of %d: block %d, message %d, %v", i, n, block, at, ok)
			}
		}
		if _, _, ok := SplitInBlock(number); ok || !IsBlock(number) || AllOf(number).Count() != n {
			t.Errorf("the number of a block of %d is taken for a message's", n)
		}
		if end := BlockEnd(number); end <= InBlock(number, n-1) || end > 8*NumberStep || IsBlock(8*NumberStep) {
			t.Errorf("a block of %d ends at %d", n, end)
		}
	}
}

// FuzzQueueBlock takes any bytes for a block; it must not panic.
func FuzzQueueBlock(f *testing.F) {
	f.Add(uint64(2), AppendQueueBlock(nil, []QueueEntry{{SentMs: 1000, Size: 2}}, [][]byte{[]byte("hi")}))
	f.Fuzz(func(_ *testing.T, n uint64, data []byte) {
		SplitQueueBlock(BlockNumber(NumberStep, int(n%16)), data)
	})
}
