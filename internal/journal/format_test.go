package journal

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"
)

const goldenSalt = 0x1122334455667788

// goldenSegment builds a segment with every kind of record.
func goldenSegment(seq, salt uint64) []byte {
	seed := seedOf(seq, salt)
	b := appendSegmentHeader(nil, seq, salt)
	batch := func(kind batchKind, number uint64, records int, fill func([]byte) []byte) {
		at := len(b)
		b = fill(append(b, make([]byte, batchHeader)...))
		putBatchHeader(b[at:], seed, kind, number, records)
	}
	batch(batchCheckpoint, 9, 2, func(b []byte) []byte {
		b = appendState(b, seed, 1, state{start: LogStart{Index: 4, Term: 2}, last: 5, hard: hardState{set: true, term: 3, vote: 0xabcdef, commit: 5}})
		return appendState(b, seed, 2, state{})
	})
	batch(batchChanges, 10, 6, func(b []byte) []byte {
		index, term := uint64(6), uint64(300)
		b = appendEntry(b, seed, 1, &pb.Entry{Index: &index, Term: &term, Type: pb.EntryConfChangeV2.Enum(), Data: []byte("data")})
		b = appendHard(b, seed, 1, hardState{set: true, term: 300, vote: 1, commit: 6})
		b = appendStart(b, seed, recordCompact, 1, LogStart{Index: 5, Term: 3})
		b = appendStart(b, seed, recordReset, 2, LogStart{Index: 20, Term: 7})
		b = appendRemove(b, seed, 3)
		return appendEntryParts(b, seed, 2, 21, 7, pb.EntryNormal, nil)
	})
	batch(batchSeal, 11, 0, func(b []byte) []byte { return b })
	return b
}

// golden is goldenSegment(2, goldenSalt), as docs/format/journal.md explains it.
const golden = "574549524a524e4c" +
	"01000000" +
	"0200000000000000" +
	"8877665544332211" +
	"2f989aec" +
	"5772624a2500000009000000000000000200000001000000b5753144" +
	"95d40cb60c00000006010402050103ef9baf0505" +
	"6f01616009000000060200000000000000" +
	"5772624a4f0000000a0000000000000006000000000000008b2d3163" +
	"0965992e0a000000010106ac020264617461" +
	"7550efe3060000000201ac020106" +
	"52c10f6a0400000004010503" +
	"0247dc720400000003021407" +
	"8e78f858020000000503" +
	"8f646992050000000102150700" +
	"5772624a000000000b0000000000000000000000020000000083c44b"

func TestGoldenBytes(t *testing.T) {
	got := hex.EncodeToString(goldenSegment(2, goldenSalt))
	if want := golden; got != want {
		t.Errorf("the stored form has changed:\n got %s\nwant %s", got, want)
	}
	var out bytes.Buffer
	d := &dumper{w: &out}
	s := &segment{seq: 2, name: segmentName(2)}
	end, err := scanSegment(s, goldenSegment(2, goldenSalt), false, 9, d)
	if err != nil || !end.sealed || end.nextBatch != 12 {
		t.Fatalf("%+v, %v", end, err)
	}
	const want = `      32 batch 9: checkpoint, 2 records, 37 bytes
      60   t1 state: after 4 term 2, last 5, hard term 3 vote abcdef commit 5
      80   t2 state: after 0 term 0, last 0, no hard state
      97 batch 10: changes, 6 records, 79 bytes
     125   t1 entry 6 term 300 EntryConfChangeV2 4 bytes
     143   t1 hard term 300 vote 1 commit 6
     157   t1 compacted to 5 term 3
     169   t2 reset to 20 term 7
     181   t3 removed
     191   t2 entry 21 term 7 EntryNormal 0 bytes
     204 batch 11: seal, 0 records, 0 bytes
`
	if out.String() != want {
		t.Errorf("got\n%s", out.String())
	}
}

// TestReusedSegment puts new segments over the bytes of an old one: at no
// length do the old bytes behind the new ones pass for records.
func TestReusedSegment(t *testing.T) {
	old := goldenSegment(2, goldenSalt)
	for _, salt := range []uint64{goldenSalt, goldenSalt + 1} {
		for _, seq := range []uint64{3, 258, 1 << 31} {
			young := goldenSegment(seq, salt)
			for n := segmentHeader; n < len(young); n++ {
				data := append(append([]byte(nil), young[:n]...), old[n:]...)
				v := &dumper{w: &bytes.Buffer{}}
				end, err := scanSegment(&segment{seq: seq, name: "x"}, data, true, 9, v)
				if err == nil && end.offset > int64(n) && !bytes.Equal(data[:end.offset], young[:end.offset]) {
					t.Fatalf("old bytes were read: %+v", end)
				}
				if d := (*Damage)(nil); err != nil && (!errors.As(err, &d) || n >= 97) {
					t.Fatalf("cut at %d: %v", n, err)
				}
			}
		}
	}
	for seq := uint64(1); seq < 5000; seq++ {
		if _, _, err := parseRecord(old[60:], seedOf(seq, goldenSalt)); (err == nil) != (seq == 2) {
			t.Fatalf("with the seed of segment %d: %v", seq, err)
		}
	}
}

func FuzzScanSegment(f *testing.F) {
	seed := goldenSegment(2, goldenSalt)
	f.Add(seed)
	f.Add(seed[:150])
	f.Add(append(append([]byte(nil), seed[:97]...), make([]byte, 300)...))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, last := range []bool{false, true} {
			end, err := scanSegment(&segment{seq: 2, name: "x"}, data, last, 0, nothing{})
			if err == nil && end.offset > int64(len(data)) {
				t.Fatalf("%+v of %d bytes", end, len(data))
			}
		}
	})
}

// FuzzRecord parses bodies behind a right checksum: what parses is encoded to
// the same meaning again.
func FuzzRecord(f *testing.F) {
	for _, at := range []int{68, 88, 133, 151, 165, 177, 189} {
		f.Add(goldenSegment(2, goldenSalt)[at : at+10])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		b := endRecord(append(make([]byte, recordHeader), body...), 0, 7)
		r, n, err := parseRecord(b, 7)
		if err != nil {
			return
		}
		if n != len(b) {
			t.Fatalf("%d of %d bytes", n, len(b))
		}
		if r.kind == recordEntry {
			again := appendEntryParts(nil, 7, r.tablet, r.index, r.term, r.typ, r.data)
			s, _, err := parseRecord(again, 7)
			if err != nil || s.index != r.index || s.term != r.term || !bytes.Equal(s.data, r.data) {
				t.Fatalf("%+v became %+v, %v", r, s, err)
			}
		}
	})
}

// TestFill: the room behind a small batch is filled once, within the file.
func TestFill(t *testing.T) {
	s := &segment{size: 2*fillBytes + 10}
	at := int64(0)
	for i, c := range []struct {
		batch, zeros int
		filled       int64
	}{
		{100, fillBytes, fillBytes + 100},
		{fillBytes, 0, fillBytes + 100},
		{200, fillBytes - 290, 2*fillBytes + 10},
		{fillBytes / 2, 0, 2*fillBytes + 10},
	} {
		batch := make([]byte, c.batch)
		if got := s.fill(batch, at); len(got) != c.batch+c.zeros || s.filled != c.filled {
			t.Errorf("batch %d: %d zeros, filled to %d; want %d and %d", i, len(got)-c.batch, s.filled, c.zeros, c.filled)
		}
		at += int64(c.batch)
	}
	s = &segment{size: 1 << 20}
	if got := s.fill(make([]byte, fillBytes), 0); len(got) != fillBytes || s.filled != fillBytes {
		t.Errorf("a large batch: %d bytes, filled to %d", len(got), s.filled)
	}
}
