package model

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

func testItem(t testing.TB) Item {
	num := func(s string) Value {
		v, err := NumberValue(s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	nums, _ := NewSet(KindNS, []Value{num("10"), num("9"), num("-1")})
	texts, _ := NewSet(KindSS, []Value{StringValue("b"), StringValue("a")})
	blobs, _ := NewSet(KindBS, []Value{BytesValue([]byte{1}), BytesValue([]byte{0, 255})})
	inner, _ := NewItem([]Attr{{"y", BoolValue(true)}, {"x", NullValue()}})
	it, dup := NewItem([]Attr{
		{"text", StringValue("héllo")}, {"num", num("1.50")}, {"blob", BytesValue([]byte{0, 1, 2})}, {"no", BoolValue(false)},
		{"map", MapValue(inner)}, {"list", ListValue(StringValue(""), ListValue())}, {"nums", nums}, {"texts", texts}, {"blobs", blobs},
	})
	if dup {
		t.Fatal("duplicate")
	}
	return it
}

func TestItemRoundTrip(t *testing.T) {
	it := testItem(t)
	enc := AppendItem(nil, it)
	d := NewDecoder(append(bytes.Clone(enc), 7))
	back := DecodeItem(d)
	if d.Err() != nil || !back.Equal(it) || d.Byte() != 7 || d.Done() != nil {
		t.Fatalf("round trip: %v, %+v", d.Err(), back)
	}
	if !bytes.Equal(AppendItem(nil, back), enc) {
		t.Fatal("not the same bytes")
	}
	for cut := range enc {
		d := NewDecoder(enc[:cut])
		if DecodeItem(d); d.Done() == nil {
			t.Fatalf("cut at %d is accepted", cut)
		}
	}
}

func TestItemGoldenBytes(t *testing.T) {
	const want = "09" +
		"04626c6f62" + "0303000102" +
		"05626c6f6273" + "0a02" + "0200ff" + "0101" +
		"046c697374" + "0702" + "0100" + "0700" +
		"036d6170" + "0602" + "017805" + "01790401" +
		"026e6f" + "0400" +
		"036e756d" + "0203312e35" +
		"046e756d73" + "0903" + "022d31" + "0139" + "023130" +
		"0474657874" + "010668c3a96c6c6f" +
		"057465787473" + "0802" + "0161" + "0162"
	if got := hex.EncodeToString(AppendItem(nil, testItem(t))); got != want {
		t.Fatalf("got\n%s, want\n%s", got, want)
	}
}

func TestDecodeItemRefuses(t *testing.T) {
	for name, enc := range map[string]string{
		"names out of order":    "02016205016105",
		"a name twice":          "02016105016105",
		"a superfluous length":  "8100016105",
		"no kind":               "01016100",
		"an unknown kind":       "0101610b",
		"a bool of 2":           "0101610402",
		"a number not in form":  "010161020430312e35",
		"no number":             "01016102026162",
		"an empty set":          "0101610800",
		"a set out of order":    "010161080201620161",
		"numbers out of order":  "010161090202313001" + "39",
		"a member twice":        "010161080201610161",
		"a count over the end":  "ffffffffffffffff7f",
		"a text over the end":   "01016101ff",
		"nesting of 33":         "010161" + strings.Repeat("0701", 32) + "0700",
		"an item that is short": "02016105",
	} {
		b, err := hex.DecodeString(enc)
		if err != nil {
			t.Fatal(name, err)
		}
		if d := NewDecoder(b); DecodeItem(d) != nil || d.Err() == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	deep, _ := hex.DecodeString("010161" + strings.Repeat("0701", 31) + "0700")
	d := NewDecoder(deep)
	if it := DecodeItem(d); d.Done() != nil || it.Depth() != MaxNesting {
		t.Errorf("nesting of %d is refused", MaxNesting)
	}
}

func TestItemEdits(t *testing.T) {
	it, dup := NewItem([]Attr{{"b", StringValue("1")}, {"a", StringValue("2")}, {"b", StringValue("3")}})
	if !dup || len(it) != 2 || it[1].Value.Str != "3" {
		t.Fatalf("NewItem: %v %v", it, dup)
	}
	before := AppendItem(nil, it)
	next := it.With("aa", NullValue()).With("b", BoolValue(true)).Without("a").Without("zz")
	if v, ok := next.Get("b"); !ok || !v.Bool || len(next) != 2 || next[0].Name != "aa" {
		t.Fatalf("edits gave %v", next)
	}
	if !bytes.Equal(before, AppendItem(nil, it)) {
		t.Fatal("the first item changed")
	}
	if _, ok := it.Get("c"); ok {
		t.Fatal("found what is not there")
	}
}

func TestSets(t *testing.T) {
	set := func(members ...string) Value {
		var vs []Value
		for _, m := range members {
			vs = append(vs, Value{Kind: KindN, Str: m})
		}
		s, _ := NewSet(KindNS, vs)
		return s
	}
	a, b := set("1", "10", "9"), set("9", "-2", "11")
	if got := a.Union(b); !got.Equal(set("-2", "1", "9", "10", "11")) {
		t.Errorf("union: %v", got)
	}
	if got := a.Minus(b); !got.Equal(set("1", "10")) {
		t.Errorf("minus: %v", got)
	}
	if !a.SetHas(Value{Kind: KindN, Str: "10"}) || a.SetHas(StringValue("10")) || a.SetHas(Value{Kind: KindN, Str: "2"}) {
		t.Error("SetHas")
	}
	if _, dup := NewSet(KindSS, []Value{StringValue("a"), StringValue("a")}); !dup {
		t.Error("a duplicate goes unseen")
	}
}

func TestSize(t *testing.T) {
	it := testItem(t)
	want := map[string]int{"text": 6, "num": 2, "blob": 3, "no": 1, "map": 3 + 2 + 1 + 1 + 1 + 1, "list": 3 + 2 + 0 + 3,
		"nums": 3 + 2 + 2, "texts": 2, "blobs": 3}
	total := 0
	for name, n := range want {
		v, ok := it.Get(name)
		if !ok || v.Size() != n {
			t.Errorf("%s: size %d, want %d", name, v.Size(), n)
		}
		total += len(name) + n
	}
	if it.Size() != total || it.Depth() != 2 {
		t.Errorf("item: size %d depth %d, want %d and 2", it.Size(), it.Depth(), total)
	}
}

func TestKindNames(t *testing.T) {
	for k := KindS; k <= KindBS; k++ {
		if back, ok := ParseKind(k.String()); !ok || back != k {
			t.Errorf("%d is named %q and comes back as %d", k, k, back)
		}
	}
	if _, ok := ParseKind(""); ok || Kind(99).String() != "" {
		t.Error("a name for no kind")
	}
}

func FuzzDecodeItem(f *testing.F) {
	f.Add(AppendItem(nil, testItem(f)))
	f.Add([]byte{0})
	f.Add([]byte{1, 1, 'a', 7, 1, 6, 1, 1, 'b', 9, 1, 1, '5'})
	f.Fuzz(func(t *testing.T, b []byte) {
		d := NewDecoder(b)
		it := DecodeItem(d)
		if d.Err() != nil {
			return
		}
		if again := AppendItem(nil, it); !bytes.Equal(again, b[:len(b)-d.Len()]) {
			t.Fatalf("%x gives %x", b, again)
		}
		if it.Depth() > MaxNesting {
			t.Fatal("too deep")
		}
	})
}

func FuzzDecodeValue(f *testing.F) {
	for _, a := range testItem(f) {
		f.Add(AppendValue(nil, a.Value))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d := NewDecoder(b)
		v := DecodeValue(d)
		if d.Err() != nil {
			return
		}
		if again := AppendValue(nil, v); !bytes.Equal(again, b[:len(b)-d.Len()]) {
			t.Fatalf("%x gives %x", b, again)
		}
	})
}

func BenchmarkItemCodec(b *testing.B) {
	it := testItem(b)
	enc := AppendItem(nil, it)
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		buf := make([]byte, 0, len(enc))
		for b.Loop() {
			buf = AppendItem(buf[:0], it)
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			DecodeItem(NewDecoder(enc))
		}
	})
}
