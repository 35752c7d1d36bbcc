package keys

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"testing"

	"weir.dev/weir/internal/model"
)

// valuesInOrder are key values of one kind each, ascending as DynamoDB sorts
// them.
var valuesInOrder = map[model.Kind][]string{
	model.KindS: {"\x00", "\x00\x00", "\x00\x01", "\x01", "a", "a\x00", "a\x00b", "a\x01", "aa", "b", "é", "\uffff", "\U0001f600"},
	model.KindB: {"\x00", "\x00\x00", "\x00\x00\xff", "\x00\x01", "\x00\xff", "\x01", "\x7f", "\x80", "\xff", "\xff\x00", "\xff\xff"},
	model.KindN: {"-1E125", "-100", "-99.5", "-99", "-1", "-0.001", "-1E-130", "0", "1E-130", "0.5", "1", "1.5", "2", "10", "100", "1E125"},
}

func canonical(t testing.TB, kind model.Kind, text string) model.Value {
	if kind != model.KindN {
		return model.Value{Kind: kind, Str: text}
	}
	v, err := model.NumberValue(text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestValuesSortAndDelimitThemselves(t *testing.T) {
	for kind, texts := range valuesInOrder {
		var last []byte
		for _, text := range texts {
			v := canonical(t, kind, text)
			encoded := AppendValue(nil, v)
			if last != nil && bytes.Compare(last, encoded) >= 0 {
				t.Errorf("%v %q does not sort behind its predecessor", kind, text)
			}
			if bytes.HasPrefix(encoded, last) && last != nil {
				t.Errorf("the encoding of %v %q begins with another one", kind, text)
			}
			got, rest, ok := SplitValue(append(bytes.Clone(encoded), "rest"...))
			if !ok || !got.Equal(v) || string(rest) != "rest" {
				t.Errorf("SplitValue of %v %q: %v %q %v", kind, text, got, rest, ok)
			}
			last = encoded
		}
	}
}

// TestBeginsWithBounds holds the range from a prefix to its successor against
// the plain meaning of begins_with.
func TestBeginsWithBounds(t *testing.T) {
	for _, kind := range []model.Kind{model.KindS, model.KindB} {
		for _, prefix := range append(valuesInOrder[kind], "") {
			lo := AppendValuePrefix(nil, model.Value{Kind: kind, Str: prefix})
			hi := Successor(lo)
			for _, text := range valuesInOrder[kind] {
				key := AppendValue(nil, model.Value{Kind: kind, Str: text})
				inside := bytes.Compare(lo, key) <= 0 && bytes.Compare(key, hi) < 0
				if inside != strings.HasPrefix(text, prefix) {
					t.Errorf("%v: begins_with(%q, %q) is %v", kind, text, prefix, inside)
				}
			}
		}
	}
}

func TestSpans(t *testing.T) {
	at := func(slot model.Slot) []byte { return AppendItem(nil, 7, slot, []byte("x")) }
	lo, hi := ResourceSpan(7, 0x100, 0x200)
	for slot, want := range map[model.Slot]bool{0xff: false, 0x100: true, 0x1ff: true, 0x200: false} {
		if got := bytes.Compare(lo, at(slot)) <= 0 && bytes.Compare(at(slot), hi) < 0; got != want {
			t.Errorf("slot %x in the span: %v", slot, got)
		}
	}
	lo, hi = ResourceAll(7)
	if bytes.Compare(lo, at(0)) > 0 || bytes.Compare(at(0xffff), hi) >= 0 {
		t.Error("the resource's span lacks some of its keys")
	}
	for _, other := range [][]byte{AppendItem(nil, 6, 0xffff, []byte("x")), AppendItem(nil, 8, 0, nil), Applied(7)} {
		if bytes.Compare(lo, other) <= 0 && bytes.Compare(other, hi) < 0 {
			t.Errorf("the resource's span holds %s", String(other))
		}
	}
	if lo, hi := ResourceSpan(1<<64-1, 0, model.SlotCount); bytes.Compare(lo, hi) >= 0 {
		t.Error("the last resource's span is empty")
	}
}

// TestGolden pins the stored bytes. They are described in docs/format/keys.md.
func TestGolden(t *testing.T) {
	number := canonical(t, model.KindN, "-42")
	rest := AppendValue(AppendValue(nil, model.StringValue("a\x00b")), number)
	golden := []struct {
		name, want, text string
		got              []byte
	}{
		{"item", "640000000000000007123469016100ff62000102017cd4ff0001", `d/r7/s1234/item/S"a\x00b"/N"-42"`, AppendItem(nil, 7, 0x1234, rest)},
		{"binary item", "6400000000000000071234690300ffff0001", `d/r7/s1234/item/B00ff`, AppendItem(nil, 7, 0x1234, AppendValue(nil, model.BytesValue([]byte{0, 255})))},
		{"applied", "74000000000000000361", "t/t3/applied", Applied(3)},
		{"founded", "6e47", "n/founded", Founded()},
		{"dedupe", "7400000000000000034400000005000000000000000900000001", "t/t3/dedupe/5/9.1", AppendDedupe(nil, 3, 5, 9, 1)},
		{"dropped", "740000000000000003580000000000000007", "t/t3/dropped/r7", Dropped(3, 7)},
		{"catalog", "740000000000000000636e0000000000000009", "t/t0/catalog/'n'/9", Catalog('n', 9)},
		{"change", "7400000000000000034c0000000000000009", "t/t3/change/9", AppendChange(nil, 3, 9)},
		{"change head", "74000000000000000348", "t/t3/changes", ChangeHead(3)},
		{"reader", "740000000000000003520000000000000007", "t/t3/reader/r7", Reader(3, 7)},
		{"watch", "7400000000000000035700000000000000070000000000000008", "t/t3/watch/r7/r8", Watch(3, 7, 8)},
		{"tombstone's mark", "740000000000000003540000000000000009", "t/t3/tombstone/9", Tombstone(3, 9)},
		{"conflict", "740000000000000003430000000000000009", "t/t3/conflict/9", Conflict(3, 9)},
		{"item record with a past", "02010203040506070809010507016dac020102", "", AppendItemRecord(nil, &ItemRecord{
			Stamp: 0x0102030405060708, Region: 9, History: model.History{{Stamp: 5, Region: 7}}, Merge: []byte("m"), Size: 300, Item: []byte{1, 2},
		})},
		{"tombstone", "0301020304050607080001050700", "", AppendItemRecord(nil, &ItemRecord{
			Stamp: 0x0102030405060708, Tombstone: true, History: model.History{{Stamp: 5, Region: 7}},
		})},
		{"item record", "01010203040506070800ac020102", "", AppendItemRecord(nil, &ItemRecord{Stamp: 0x0102030405060708, Size: 300, Item: []byte{1, 2}})},
	}
	for _, g := range golden {
		if got := hex.EncodeToString(g.got); got != g.want {
			t.Errorf("%s: %s", g.name, got)
		}
		if g.text != "" && String(g.got) != g.text {
			t.Errorf("%s prints as %s", g.name, String(g.got))
		}
	}
}

func TestItemRecordRoundTrip(t *testing.T) {
	want := ItemRecord{Stamp: 1 << 63, Region: 300, Size: 409600, Item: []byte("item")}
	got, ok := SplitItemRecord(AppendItemRecord(nil, &want))
	if !ok || got.Stamp != want.Stamp || got.Region != want.Region || got.Size != want.Size || string(got.Item) != "item" {
		t.Errorf("%+v %v", got, ok)
	}
}

// TestPartitionSplit holds SplitPartition against SplitValue on random keys.
func TestPartitionSplit(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	random := func() model.Value {
		b := make([]byte, rng.IntN(5))
		for i := range b {
			b[i] = []byte{0, 1, 2, 0xfe, 0xff}[rng.IntN(5)]
		}
		return model.BytesValue(b)
	}
	for range 10_000 {
		partition, sort := AppendValue(nil, random()), AppendValue(nil, random())
		p, s, ok := SplitPartition(append(bytes.Clone(partition), sort...))
		if !ok || !bytes.Equal(p, partition) || !bytes.Equal(s, sort) {
			t.Fatalf("%x | %x: %x | %x %v", partition, sort, p, s, ok)
		}
	}
}

func FuzzSplit(f *testing.F) {
	f.Add(AppendItem(nil, 7, 9, AppendValue(AppendValue(nil, model.StringValue("a\x00")), model.Value{Kind: model.KindN, Str: "-1.5"})))
	f.Add(Applied(1))
	f.Add(AppendDedupe(nil, 3, 5, 9, 1))
	f.Add(Catalog('r', 1))
	f.Add(AppendItemRecord(nil, &ItemRecord{Size: 5, Item: []byte{0}}))
	f.Add(AppendItemRecord(nil, &ItemRecord{Tombstone: true, History: model.History{{Stamp: 5, Region: 7}}}))
	f.Add(Watch(3, 7, 8))
	f.Fuzz(func(t *testing.T, key []byte) {
		if String(key) == "" {
			t.Error("a key prints as nothing")
		}
		SplitItemRecord(key)
		if _, _, rest, ok := SplitItem(key); ok {
			SplitPartition(rest)
		}
		v, rest, ok := SplitValue(key)
		if !ok {
			return
		}
		if again := append(AppendValue(nil, v), rest...); !bytes.Equal(again, key) {
			t.Errorf("%x decodes to %v, which encodes to %x", key, v, again)
		}
		partition, after, ok := SplitPartition(key)
		if !ok || !bytes.Equal(after, rest) || len(partition)+len(after) != len(key) {
			t.Errorf("SplitPartition disagrees with SplitValue on %x", key)
		}
	})
}
