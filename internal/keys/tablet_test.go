package keys

import (
	"bytes"
	"testing"

	"weir.dev/weir/internal/model"
)

func TestTabletKeysRoundTrip(t *testing.T) {
	if b, i, o, ok := SplitDedupe(AppendDedupe([]byte("x")[:0], 3, 5, 9, 1)); !ok || b != 5 || i != 9 || o != 1 {
		t.Errorf("dedupe: %d %d %d %v", b, i, o, ok)
	}
	if r, ok := SplitDropped(Dropped(3, 1<<50)); !ok || r != 1<<50 {
		t.Errorf("dropped: %d %v", r, ok)
	}
	if k, id, ok := SplitCatalog(Catalog('n', 9)); !ok || k != 'n' || id != 9 {
		t.Errorf("catalog: %c %d %v", k, id, ok)
	}
	for _, key := range [][]byte{AppendDedupe(nil, 3, 5, 9, 1), Dropped(3, 7), Applied(3)} {
		if id, ok := SplitTablet(key); !ok || id != 3 {
			t.Errorf("%s: tablet %v, %v", String(key), id, ok)
		}
	}
}

// TestTabletKeysRefuse gives every splitter the keys of the others, cut and
// lengthened ones.
func TestTabletKeysRefuse(t *testing.T) {
	good := [][]byte{AppendDedupe(nil, 3, 5, 9, 1), Dropped(3, 7), Catalog('n', 9), Applied(3), nil, []byte("d")}
	var bad [][]byte
	for _, key := range good {
		for n := range key {
			bad = append(bad, key[:n])
		}
		bad = append(bad, append(bytes.Clone(key), 0))
	}
	for i, key := range append(good, bad...) {
		_, _, _, dedupe := SplitDedupe(key)
		_, dropped := SplitDropped(key)
		_, _, catalog := SplitCatalog(key)
		if dedupe != (i == 0) || dropped != (i == 1) || catalog != (i == 2) {
			t.Errorf("%x: dedupe %v, dropped %v, catalog %v", key, dedupe, dropped, catalog)
		}
	}
	if _, ok := SplitTablet([]byte("t1234567")); ok {
		t.Error("a key that is cut short names a tablet")
	}
}

// TestTabletSpans: each span holds its keys, and no others.
func TestTabletSpans(t *testing.T) {
	type span struct {
		name   string
		lo, hi []byte
		holds  func(tablet model.TabletID, kind string, bucket uint32) bool
	}
	of := func(name string, holds func(model.TabletID, string, uint32) bool) func(lo, hi []byte) span {
		return func(lo, hi []byte) span { return span{name, lo, hi, holds} }
	}
	spans := []span{
		of("tablet 3", func(id model.TabletID, _ string, _ uint32) bool { return id == 3 })(TabletSpan(3)),
		of("buckets 5 and 6", func(id model.TabletID, kind string, b uint32) bool {
			return id == 3 && kind == "dedupe" && (b == 5 || b == 6)
		})(DedupeSpan(3, 5, 7)),
		of("dedupe", func(id model.TabletID, kind string, _ uint32) bool { return id == 3 && kind == "dedupe" })(DedupeAll(3)),
		of("dropped", func(id model.TabletID, kind string, _ uint32) bool { return id == 3 && kind == "dropped" })(DroppedSpan(3)),
		of("catalog", func(id model.TabletID, kind string, _ uint32) bool { return kind == "catalog" })(CatalogSpan()),
		of("tablets from 3 on", func(id model.TabletID, _ string, _ uint32) bool { return id >= 3 })(NextTabletStart(3), TabletsEnd()),
	}
	check := func(key []byte, id model.TabletID, kind string, bucket uint32) {
		for _, s := range spans {
			in := bytes.Compare(key, s.lo) >= 0 && bytes.Compare(key, s.hi) < 0
			if want := s.holds(id, kind, bucket); in != want {
				t.Errorf("the span of %s holds %s: %v, want %v", s.name, String(key), in, want)
			}
		}
	}
	for _, id := range []model.TabletID{0, 2, 3, 4, 1 << 40} {
		check(Applied(id), id, "applied", 0)
		check(Dropped(id, 1<<63), id, "dropped", 0)
		for _, bucket := range []uint32{0, 4, 5, 6, 7, 1<<32 - 1} {
			check(AppendDedupe(nil, id, bucket, 1<<40, 9), id, "dedupe", bucket)
		}
	}
	check(Catalog('r', 1<<63), 0, "catalog", 0)
	lo, _ := ResourceAll(7)
	check(lo, 0, "data", 0)
}

// TestDedupeOrder: records sort as they were written, bucket by bucket.
func TestDedupeOrder(t *testing.T) {
	var last []byte
	for _, at := range [][3]uint64{{5, 9, 1}, {5, 9, 2}, {5, 10, 1}, {5, 256, 1}, {6, 257, 1}, {256, 258, 1}} {
		key := AppendDedupe(nil, 3, uint32(at[0]), model.Index(at[1]), uint32(at[2]))
		if bytes.Compare(last, key) >= 0 {
			t.Errorf("%s does not sort behind the one before", String(key))
		}
		last = key
	}
}
