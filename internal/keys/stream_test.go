package keys

import (
	"encoding/hex"
	"testing"

	"weir.dev/weir/internal/model"
)

func TestStreamKeys(t *testing.T) {
	block := BlockID{First: 300, ArrivalMs: 1000, Before: 9}
	for _, c := range []struct {
		key             []byte
		bytes, readable string
	}{
		{ShardHead(nil, 5, 0x0983, 2), "64000000000000000509835300000002", "d/r5/s0983/shard/2"},
		{Block(nil, 5, 0x0983, 2, block), "64000000000000000509834200000002" + "000000000000012c" + "00000000000003e8" + "0000000000000009", "d/r5/s0983/records/2/300/1000/9"},
		{GroupPosition(nil, 5, 0x0983, 2, "g"), "6400000000000000050983500000000267", `d/r5/s0983/position/2/"g"`},
	} {
		if got := hex.EncodeToString(c.key); got != c.bytes {
			t.Errorf("%s: %s, want %s", c.readable, got, c.bytes)
		}
		if got := String(c.key); got != c.readable {
			t.Errorf("%x prints as %s, want %s", c.key, got, c.readable)
		}
	}
	if b, ok := SplitBlock(Block(nil, 5, 0x0983, 2, block)); !ok || b != block {
		t.Errorf("the block's key says %+v", b)
	}
}

func TestShardRecord(t *testing.T) {
	want := ShardRecord{Next: 300, Low: 200, LowMs: 1000, LowBytes: 1, LastMs: 2000, TotalBytes: 2, ClosedMs: 3000, Groups: 3, RetriedMs: 4}
	raw := want.Append(nil)
	if got := hex.EncodeToString(raw); got != "01"+"ac02"+"c801"+"e807"+"01"+"d00f"+"02"+"b817"+"03"+"04" {
		t.Errorf("the record is %s", got)
	}
	var back ShardRecord
	d := model.NewDecoder(raw)
	back.Decode(d)
	if err := d.Done(); err != nil || back != want {
		t.Errorf("got %+v, %v", back, err)
	}
}

// FuzzStreamKeys: any bytes are printed and taken apart without harm.
func FuzzStreamKeys(f *testing.F) {
	f.Add(Block(nil, 5, 0x0983, 2, BlockID{First: 300}))
	f.Add(GroupPosition(nil, 5, 0x0983, 2, "g"))
	f.Fuzz(func(t *testing.T, key []byte) {
		_ = String(key)
		_, _ = SplitBlock(key)
		var s ShardRecord
		s.Decode(model.NewDecoder(key))
	})
}
