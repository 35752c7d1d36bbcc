package model

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/big"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var streamRecords = []Record{
	{PartitionKey: []byte("user-1"), Data: []byte("like")},
	{PartitionKey: []byte("k"), Explicit: true, HashKey: HashKey{15: 7}, Data: nil},
	{PartitionKey: bytes.Repeat([]byte("x"), 200), Data: bytes.Repeat([]byte{0}, 300)},
}

func batchOf(t testing.TB, records []Record) RecordBatch {
	t.Helper()
	b, err := ParseRecordBatch(AppendRecordBatch(nil, records))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// streamBodies are examples of everything that streams encode.
func streamBodies(t testing.TB) []body {
	spec := NewStreamSpec(ModeOnDemand, 3, 1700000000123)
	if err := spec.BeginMerge(0, 1, 1700000001000); err != nil {
		t.Fatal(err)
	}
	if err := spec.FinishReshard([]ShardEnd{{0, 5, 1700000002000, 1700000001999}, {1, 7, 1700000002001, 0}}, 1700000003000); err != nil {
		t.Fatal(err)
	}
	if err := spec.BeginScale(4, 1700000004000); err != nil {
		t.Fatal(err)
	}
	spec.Encrypted, spec.KmsKey, spec.Metrics, spec.Policy, spec.WarmMiBps = true, "alias/aws/kinesis", []string{"IncomingBytes"}, "{}", 100
	spec.Consumers = []StreamConsumer{{Name: "fan", CreatedMs: 5, Policy: "{}", Tags: []Tag{{"a", "b"}}}}
	spec.Groups = []StreamGroup{{Name: "scores", CreatedMs: 6, StartMs: 7}}
	spec.Tags = []Tag{{"c", "d"}}
	position := Position{Group: "scores", N: 300, Generation: 4, Owner: "w1", ExpiresMs: 1700000000000, Wanted: "w2", CommitMs: 1699999999999}
	state := ShardState{Next: 300, Low: 200, LowMs: 1, LastMs: 2, Bytes: 3, TotalBytes: 4, ClosedMs: 5}
	return []body{
		&spec,
		&PutRecords{Shard: 7, Retry: true, Batch: AppendRecordBatch(nil, streamRecords)},
		&PutRecordsResult{First: 300, Count: 3, ArrivalMs: 1700000000000},
		&CloseShard{Shard: 300},
		&TrimShard{Shard: 300, BeforeMs: 1700000000000},
		&state,
		&ShardQuery{Shard: 300},
		&ShardAtQuery{Shard: 300, AtMs: 1700000000000},
		&ShardAtResult{N: 300, ArrivalMs: 1700000000000},
		&RecordsQuery{Shard: 7, N: 300, MaxRecords: 10000, MaxBytes: MaxReadBytes, HorizonMs: 1700000000000},
		&RecordsResult{Next: 303, NextMs: 9, Tip: 400, Closed: true, Runs: []RecordRun{{First: 300, ArrivalMs: 8, Batch: batchOf(t, streamRecords)}}},
		&SetPosition{Op: PositionAcquire, Shard: 7, Group: "scores", Owner: "w1", Generation: 3, N: 4, StartMs: 5, LeaseMs: 6, Want: true},
		&position,
		&PositionsQuery{Shard: 7, Group: "scores"},
		&PositionsResult{State: state, Groups: []GroupLag{{Position: position, Records: 1, Bytes: 2, NextMs: 3}}},
	}
}

func TestStreamBodiesRoundTrip(t *testing.T) {
	for _, b := range streamBodies(t) {
		encoded := b.Append(nil)
		back := reflect.New(reflect.TypeOf(b).Elem()).Interface().(body)
		d := NewDecoder(encoded)
		back.Decode(d)
		if err := d.Done(); err != nil || !reflect.DeepEqual(b, back) {
			t.Errorf("%T: got %+v, want %+v, %v", b, back, b, err)
		}
		if strings.HasPrefix(fmt.Sprintf("%T", b), "*model.Records") || reflect.TypeOf(b) == reflect.TypeOf(&PutRecords{}) {
			continue // these end where their input ends
		}
		for n := range encoded {
			d := NewDecoder(encoded[:n])
			reflect.New(reflect.TypeOf(b).Elem()).Interface().(body).Decode(d)
			if d.Done() == nil {
				t.Errorf("%T: %d of %d bytes decode", b, n, len(encoded))
			}
		}
	}
	put := PutRecords{Shard: 7, Retry: true}
	inPlace := put.AppendRecords(nil, streamRecords)
	put.Batch = AppendRecordBatch(nil, streamRecords)
	if !bytes.Equal(inPlace, put.Append(nil)) {
		t.Error("records encoded in place differ from a batch")
	}
}

// FuzzStreamBodies decodes any bytes as each of the bodies: what decodes must
// encode to something that decodes to the same.
func FuzzStreamBodies(f *testing.F) {
	for i, b := range streamBodies(f) {
		f.Add(uint8(i), b.Append(nil))
	}
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		all := streamBodies(t)
		kind := reflect.TypeOf(all[int(which)%len(all)]).Elem()
		first, second := reflect.New(kind).Interface().(body), reflect.New(kind).Interface().(body)
		d := NewDecoder(data)
		first.Decode(d)
		if d.Done() != nil {
			return
		}
		encoded := first.Append(nil)
		d = NewDecoder(encoded)
		second.Decode(d)
		if err := d.Done(); err != nil || !bytes.Equal(second.Append(nil), encoded) {
			t.Fatalf("%v: %x encodes to %x, %v", kind, data, encoded, err)
		}
	})
}

// TestStreamGolden holds docs/format/stream.md to what is encoded.
func TestStreamGolden(t *testing.T) {
	batch := AppendRecordBatch(nil, []Record{
		{PartitionKey: []byte("u1"), Data: []byte("hi")},
		{PartitionKey: []byte("u2"), Explicit: true, HashKey: HashKey{15: 9}, Data: []byte("yo")},
	})
	const batchHex = "01" + "00000002" + "00000006" + "0000001c" + "00" + "027531" + "6869" + "01" + "00000000000000000000000000000009" + "027532" + "796f"
	spec := NewStreamSpec(ModeProvisioned, 1, 1000)
	for _, c := range []struct {
		name string
		got  []byte
		want string
	}{
		{"batch", batch, batchHex},
		{"put", (&PutRecords{Shard: 1, Retry: true, Batch: batch}).Append(nil), "01" + "01" + batchHex},
		{"set position", (&SetPosition{Op: PositionCommit, Shard: 1, Group: "g", Generation: 2, N: 300, LeaseMs: 60000}).Append(nil),
			"03" + "01" + "0167" + "00" + "02" + "ac02" + "00" + "e0d403" + "00"},
		{"spec", spec.Append(nil), "01" + "01" + "18" + "808040" + "00" + "00" + "00" + "00" + "00" +
			"01" + "00" + strings.Repeat("00", 16) + strings.Repeat("ff", 16) + "00" + "01" + "e807" + "00" + "00" + "00" +
			"01" + "00" + "00" + "00" + "00" + "e807" + "e807"},
	} {
		if got := hex.EncodeToString(c.got); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

func TestRecordBatch(t *testing.T) {
	b := batchOf(t, streamRecords)
	for lo := range len(streamRecords) + 1 {
		for hi := lo; hi <= len(streamRecords); hi++ {
			raw := b.AppendPart([]byte("before"), lo, hi)[6:]
			part, err := ParseRecordBatch(raw)
			if err != nil || part.Len() != hi-lo || len(raw) != b.PartSize(lo, hi) {
				t.Fatalf("part %d to %d: %d records, %v", lo, hi, part.Len(), err)
			}
			for i := range part.Len() {
				got, want := part.Record(i), streamRecords[lo+i]
				if !bytes.Equal(got.PartitionKey, want.PartitionKey) || !bytes.Equal(got.Data, want.Data) || got.Hash() != want.Hash() {
					t.Fatalf("part %d to %d, record %d: %+v", lo, hi, i, got)
				}
			}
			if lo < hi && (b.Fit(lo, b.Bytes(lo, hi)) != hi || b.Fit(lo, b.Bytes(lo, hi)-1) != hi-1) {
				t.Fatalf("part %d to %d does not fit exactly", lo, hi)
			}
		}
	}
}

// FuzzRecordBatch: any bytes are read without harm, and what is read says the
// same when it is written anew.
func FuzzRecordBatch(f *testing.F) {
	f.Add(AppendRecordBatch(nil, streamRecords))
	f.Add(AppendRecordBatch(nil, nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := ParseRecordBatch(data)
		if err != nil {
			return
		}
		var records []Record
		for i := range b.Len() {
			records = append(records, b.Record(i))
		}
		again := batchOf(t, records)
		for i := range b.Len() {
			if !reflect.DeepEqual(b.Record(i), again.Record(i)) {
				t.Fatalf("record %d of %x changed", i, data)
			}
		}
	})
}

func TestSequences(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	number := func(s Sequence) *big.Int {
		n, ok := new(big.Int).SetString(s.String(), 10)
		if !ok {
			t.Fatal(s.String())
		}
		return n
	}
	var all []Sequence
	for range 300 {
		all = append(all, Sequence{Epoch: rng.Uint64() >> (28 + rng.IntN(30)), N: rng.Uint64() >> rng.IntN(64), Secs: rng.Uint64() >> 28, Shard: ShardNumber(rng.Uint32())})
	}
	for i, s := range all {
		back, err := ParseSequence(s.String())
		if err != nil || back != s || len(s.String()) != 56 {
			t.Fatalf("%+v is written %s and read %+v, %v", s, s, back, err)
		}
		if other := all[(i+1)%len(all)]; s.Compare(other) != number(s).Cmp(number(other)) {
			t.Fatalf("%+v against %+v: %d", s, other, s.Compare(other))
		}
	}
	if got := (Sequence{Epoch: 1700000000, N: 300, Secs: 1700000009, Shard: 7}).String(); !strings.HasPrefix(got, "49") || got != "49646437577264581633306590768179357199378357577704276082" {
		t.Errorf("a golden sequence number is %s", got)
	}
	// A number that Kinesis once gave, taken apart.
	if s, err := ParseSequence("49590338271490256608559692538361571095921575989136588898"); err != nil || s != (Sequence{Epoch: 1542776258, N: 0x67648a17, Secs: 1545084650, Shard: 6}) {
		t.Errorf("a number of Kinesis is read as %+v, %v", s, err)
	}
	for _, wrong := range []string{"", "1", strings.Repeat("9", 56), strings.Repeat("9", 57), "4964637657123144070631051902655689918713858604185364081x", "-" + strings.Repeat("1", 55), "49646437577264581633306590768179357199378357577704276081"} {
		if s, err := ParseSequence(wrong); err == nil {
			t.Errorf("%q was read as %+v", wrong, s)
		}
	}
}

// FuzzParseSequence: what is read is written back as it was.
func FuzzParseSequence(f *testing.F) {
	f.Add((Sequence{Epoch: 1700000000, N: 300, Secs: 1700000009, Shard: 7}).String())
	f.Add("49590338271490256608559692538361571095921575989136588898")
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := ParseSequence(text); err == nil && s.String() != text {
			t.Fatalf("%q is written %q", text, s)
		}
	})
}

func TestHashKeys(t *testing.T) {
	for _, text := range []string{"0", "1", "255", "18446744073709551616", "340282366920938463463374607431768211455"} {
		h, err := ParseHashKey(text)
		if err != nil || h.String() != text || h.Next().Prev() != h || h.Prev().Next() != h {
			t.Errorf("%s: %v, %v", text, h, err)
		}
	}
	for _, text := range []string{"", "01", "-1", "+1", "1x", "340282366920938463463374607431768211456", "999999999999999999999999999999999999999", "3402823669209384634633746074317682114550"} {
		if h, err := ParseHashKey(text); err == nil {
			t.Errorf("%q was read as %v", text, h)
		}
	}
	if got := HashOf([]byte("user-1")).String(); got != "285573413173782752570879317399258818820" {
		t.Errorf("hash of user-1: %s", got)
	}
	// The three shards that Kinesis makes.
	var starts []string
	for _, r := range UniformRanges(3) {
		starts = append(starts, r.Lo.String())
	}
	if got := strings.Join(starts, " "); got != "0 113427455640312821154458202477256070485 226854911280625642308916404954512140970" {
		t.Errorf("ranges of three shards begin at %s", got)
	}
	whole := HashRange{Hi: MaxHashKey}
	if whole.Middle() != (HashKey{0: 0x80}) || (HashRange{HashKey{15: 4}, HashKey{15: 7}}).Middle() != (HashKey{15: 6}) {
		t.Error("the middle is elsewhere")
	}
}

// FuzzParseHashKey: what is read is written back as it was.
func FuzzParseHashKey(f *testing.F) {
	f.Add("340282366920938463463374607431768211455")
	f.Fuzz(func(t *testing.T, text string) {
		if h, err := ParseHashKey(text); err == nil && h.String() != text {
			t.Fatalf("%q is written %q", text, h)
		}
	})
}

func TestShardIDs(t *testing.T) {
	for text, want := range map[string]ShardNumber{"shardId-000000000007": 7, "shardId-7": 7, "shardId-004294967295": 1<<32 - 1} {
		if n, err := ParseShardID(text); err != nil || n != want {
			t.Errorf("%s: %d, %v", text, n, err)
		}
	}
	for _, text := range []string{"", "shardId-", "shard-1", "shardId-+1", "shardId-4294967296", "shardId--1"} {
		if n, err := ParseShardID(text); err == nil {
			t.Errorf("%q was read as %d", text, n)
		}
	}
	if ShardNumber(7).String() != "shardId-000000000007" {
		t.Error(ShardNumber(7))
	}
}

// TestShardSlots: neighbouring shards are spread evenly over tablets, and the
// parts of a request have ids of their own.
func TestShardSlots(t *testing.T) {
	for _, first := range []int{0, 5, 1000} {
		var tablets [8]int
		for i := range 64 {
			tablets[ShardSlot(9, ShardNumber(first+i))/(SlotCount/8)]++
		}
		if slices.Min(tablets[:]) < 6 || slices.Max(tablets[:]) > 10 {
			t.Errorf("shards from %d on are spread %v", first, tablets)
		}
	}
	seen := map[RequestID]bool{}
	short := map[[8]byte]bool{}
	for i := range 1000 {
		id := ShardRequest(RequestID{1, 2, 3}, ShardNumber(i))
		seen[id], short[[8]byte(id[:8])] = true, true
	}
	if len(seen) != 1000 || len(short) != 1000 || !ShardRequest(RequestID{}, 4).IsZero() {
		t.Error("request ids of shards collide")
	}
}

// TestPlannedShards: a hash key belongs to the planned shard that begins last
// at or before it.
func TestPlannedShards(t *testing.T) {
	s := PipeSpec{TargetShards: []ShardStart{{Number: 4}, {Number: 2, Lo: HashKey{0x40}}, {Number: 9, Lo: HashKey{0x80}}}}
	for h, want := range map[HashKey]ShardNumber{{}: 4, {0x3f, 0xff}: 4, {0x40}: 2, {0x7f}: 2, {0x80}: 9, {0xff}: 9} {
		if got := s.ShardOf(h); got != want {
			t.Errorf("%v is with shard %v, want %v", h, got, want)
		}
	}
}

// TestJoinRecords: records that were encoded one by one are the same batch.
func TestJoinRecords(t *testing.T) {
	var parts [][]byte
	for i := range streamRecords {
		parts = append(parts, AppendRecord(nil, &streamRecords[i]))
	}
	if got, want := JoinRecords(nil, parts), AppendRecordBatch(nil, streamRecords); !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}
