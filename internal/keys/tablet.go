package keys

import (
	"encoding/binary"

	"weir.dev/weir/internal/model"
)

// Tablet-private keys: 't' | tablet id (8 bytes BE) | type byte | rest.
const (
	tabletSpace   = 't'
	typeApplied   = 'a' // the applied record
	typeDedupe    = 'D' // results by request id
	typeDropped   = 'X' // resources dropped in this tablet
	typeCatalog   = 'c' // the catalog's records, in tablet 0
	tabletKeySize = 1 + 8 + 1
)

func tabletKey(dst []byte, t model.TabletID, typ byte) []byte {
	dst = append(dst, tabletSpace)
	dst = binary.BigEndian.AppendUint64(dst, uint64(t))
	return append(dst, typ)
}

// TabletSpan is the span of a tablet's private keys.
func TabletSpan(t model.TabletID) (lo, hi []byte) {
	return tabletKey(nil, t, 0), tabletKey(nil, t, 0xff)
}

// Applied is the key of a tablet's applied record.
func Applied(t model.TabletID) []byte { return tabletKey(nil, t, typeApplied) }

// AppendDedupe appends the key of the result recorded for the command at
// (index, ordinal), which was applied in the bucket of time.
func AppendDedupe(dst []byte, t model.TabletID, bucket uint32, index model.Index, ordinal uint32) []byte {
	dst = tabletKey(dst, t, typeDedupe)
	dst = binary.BigEndian.AppendUint32(dst, bucket)
	dst = binary.BigEndian.AppendUint64(dst, uint64(index))
	return binary.BigEndian.AppendUint32(dst, ordinal)
}

// DedupeSpan is the span of the results recorded in buckets [lo, hi).
func DedupeSpan(t model.TabletID, loBucket, hiBucket uint32) (lo, hi []byte) {
	lo = binary.BigEndian.AppendUint32(tabletKey(nil, t, typeDedupe), loBucket)
	hi = binary.BigEndian.AppendUint32(tabletKey(nil, t, typeDedupe), hiBucket)
	return lo, hi
}

// DedupeAll is the span of all results recorded in a tablet.
func DedupeAll(t model.TabletID) (lo, hi []byte) {
	return tabletKey(nil, t, typeDedupe), tabletKey(nil, t, typeDedupe+1)
}

// SplitDedupe takes a key made by AppendDedupe apart.
func SplitDedupe(key []byte) (bucket uint32, index model.Index, ordinal uint32, ok bool) {
	if len(key) != tabletKeySize+16 || key[0] != tabletSpace || key[tabletKeySize-1] != typeDedupe {
		return 0, 0, 0, false
	}
	rest := key[tabletKeySize:]
	return binary.BigEndian.Uint32(rest), model.Index(binary.BigEndian.Uint64(rest[4:])), binary.BigEndian.Uint32(rest[12:]), true
}

// Dropped is the key of the mark that a resource was dropped in a tablet.
func Dropped(t model.TabletID, r model.ResourceID) []byte {
	return binary.BigEndian.AppendUint64(tabletKey(nil, t, typeDropped), uint64(r))
}

// DroppedSpan is the span of all marks of dropped resources of a tablet.
func DroppedSpan(t model.TabletID) (lo, hi []byte) {
	return tabletKey(nil, t, typeDropped), tabletKey(nil, t, typeDropped+1)
}

// SplitDropped returns the resource that a mark names.
func SplitDropped(key []byte) (model.ResourceID, bool) {
	if len(key) != tabletKeySize+8 || key[0] != tabletSpace || key[tabletKeySize-1] != typeDropped {
		return 0, false
	}
	return model.ResourceID(binary.BigEndian.Uint64(key[tabletKeySize:])), true
}

// Catalog is the key of the catalog's record of that kind and id.
func Catalog(kind byte, id uint64) []byte {
	return binary.BigEndian.AppendUint64(append(tabletKey(nil, model.CatalogTablet, typeCatalog), kind), id)
}

// CatalogSpan is the span of all the catalog's records.
func CatalogSpan() (lo, hi []byte) {
	return tabletKey(nil, model.CatalogTablet, typeCatalog), tabletKey(nil, model.CatalogTablet, typeCatalog+1)
}

// SplitCatalog takes a key made by Catalog apart.
func SplitCatalog(key []byte) (kind byte, id uint64, ok bool) {
	if len(key) != tabletKeySize+9 || key[0] != tabletSpace || key[tabletKeySize-1] != typeCatalog {
		return 0, 0, false
	}
	return key[tabletKeySize], binary.BigEndian.Uint64(key[tabletKeySize+1:]), true
}

// NextTabletStart is the least key of a tablet that is at or after id. With
// it, and SplitTablet on the first key found, one seek finds the next tablet
// that has private keys.
func NextTabletStart(id model.TabletID) []byte { return tabletKey(nil, id, 0) }

// TabletsEnd is the end of all tablets' private keys.
func TabletsEnd() []byte { return []byte{tabletSpace + 1} }

// SplitTablet returns the tablet that a private key belongs to.
func SplitTablet(key []byte) (model.TabletID, bool) {
	if len(key) < tabletKeySize || key[0] != tabletSpace {
		return 0, false
	}
	return model.TabletID(binary.BigEndian.Uint64(key[1:])), true
}
