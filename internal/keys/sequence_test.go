package keys

import (
	"bytes"
	"testing"

	"weir.dev/weir/internal/model"
)

func TestSequence(t *testing.T) {
	block := func(shard model.ShardNumber, first uint64) []byte {
		return Block(nil, 5, 9, shard, BlockID{First: first, ArrivalMs: int64(first), Before: first})
	}
	for _, c := range []struct {
		what         string
		early, later []byte // of one sequence
		other        []byte // of none, or of another one
	}{
		{"records", block(2, 255), block(2, 256), block(3, 255)},
		{"messages", Message(nil, 5, 9, 255), Message(nil, 5, 9, 256), Message(nil, 5, 10, 256)},
		{"blocks of messages", BlockKey(nil, 5, 9, 255), BlockKey(nil, 5, 9, 256), BlockStateKey(nil, 5, 9, 256)},
		{"visible messages", Ready(nil, 5, 9, 0, 255), Ready(nil, 5, 9, 0, 256), Ready(nil, 5, 9, 1, 256)},
		{"results", AppendDedupe(nil, 3, 7, 255, 1), AppendDedupe(nil, 3, 8, 1, 0), Applied(3)},
		{"changes", AppendChange(nil, 3, 255), AppendChange(nil, 3, 256), ChangeHead(3)},
	} {
		n := Sequence(c.early)
		if n == 0 || n != Sequence(c.later) || !bytes.Equal(c.early[:n], c.later[:n]) || bytes.Compare(c.early, c.later) >= 0 {
			t.Errorf("%s: %x and %x begin alike for %d and %d bytes", c.what, c.early, c.later, n, Sequence(c.later))
		}
		if m := Sequence(c.other); m == n && bytes.Equal(c.other[:n], c.early[:n]) {
			t.Errorf("%s: %x belongs to the same sequence", c.what, c.other)
		}
	}
	for _, key := range [][]byte{nil, {dataSpace}, AppendItem(nil, 5, 9, []byte("Bxxx")), ShardHead(nil, 5, 9, 2), Unit(nil, 5, model.UnitKey{Slot: 9}), Since(3, 5)} {
		if n := Sequence(key); n != 0 {
			t.Errorf("%x belongs to a sequence of %d bytes", key, n)
		}
	}
}
