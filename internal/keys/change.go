package keys

import (
	"encoding/binary"

	"weir.dev/weir/internal/model"
)

// Tablet-private keys of the change log: what happened to items, and who still
// wants to know.
const (
	typeChange     = 'L' // entries of the change log, by number
	typeChangeHead = 'H' // how far the numbers have come when the log may be empty
	typeReader     = 'R' // how far each reader has come
	typeWatch      = 'W' // which tables each reader watches
	typeTombstone  = 'T' // tombstones, by the number of their change
	typeConflict   = 'C' // losers of conflicts, by number
)

// AppendChange appends the key of the entry of that number.
func AppendChange(dst []byte, t model.TabletID, n model.ChangeNumber) []byte {
	return binary.BigEndian.AppendUint64(tabletKey(dst, t, typeChange), uint64(n))
}

// SplitChange takes a key made by AppendChange apart.
func SplitChange(key []byte) (model.ChangeNumber, bool) {
	n, ok := splitNumbered(key, typeChange)
	return model.ChangeNumber(n), ok
}

// ChangesSpan is the span of a tablet's change log.
func ChangesSpan(t model.TabletID) (lo, hi []byte) {
	return tabletKey(nil, t, typeChange), tabletKey(nil, t, typeChange+1)
}

// ChangeHead is the key of the record that keeps the numbers growing.
func ChangeHead(t model.TabletID) []byte { return tabletKey(nil, t, typeChangeHead) }

// Reader is the key of a reader's cursor.
func Reader(t model.TabletID, r model.ReaderID) []byte {
	return binary.BigEndian.AppendUint64(tabletKey(nil, t, typeReader), uint64(r))
}

// SplitReader takes a key made by Reader apart.
func SplitReader(key []byte) (model.ReaderID, bool) {
	n, ok := splitNumbered(key, typeReader)
	return model.ReaderID(n), ok
}

// ReadersSpan is the span of a tablet's readers.
func ReadersSpan(t model.TabletID) (lo, hi []byte) {
	return tabletKey(nil, t, typeReader), tabletKey(nil, t, typeReader+1)
}

// Watch is the key of what a reader wants of a table.
func Watch(t model.TabletID, r model.ReaderID, table model.ResourceID) []byte {
	key := binary.BigEndian.AppendUint64(tabletKey(nil, t, typeWatch), uint64(r))
	return binary.BigEndian.AppendUint64(key, uint64(table))
}

// SplitWatch takes a key made by Watch apart.
func SplitWatch(key []byte) (r model.ReaderID, table model.ResourceID, ok bool) {
	if len(key) != tabletKeySize+16 || key[0] != tabletSpace || key[tabletKeySize-1] != typeWatch {
		return 0, 0, false
	}
	rest := key[tabletKeySize:]
	return model.ReaderID(binary.BigEndian.Uint64(rest)), model.ResourceID(binary.BigEndian.Uint64(rest[8:])), true
}

// WatchesSpan is the span of what all readers of a tablet want.
func WatchesSpan(t model.TabletID) (lo, hi []byte) {
	return tabletKey(nil, t, typeWatch), tabletKey(nil, t, typeWatch+1)
}

// WatchesOf is the span of what one reader wants.
func WatchesOf(t model.TabletID, r model.ReaderID) (lo, hi []byte) {
	lo = Watch(t, r, 0)
	return lo[:len(lo)-8], Watch(t, r+1, 0)
}

// Tombstone is the key of the mark that the change of that number left a
// tombstone.
func Tombstone(t model.TabletID, n model.ChangeNumber) []byte {
	return binary.BigEndian.AppendUint64(tabletKey(nil, t, typeTombstone), uint64(n))
}

// SplitTombstone takes a key made by Tombstone apart.
func SplitTombstone(key []byte) (model.ChangeNumber, bool) {
	n, ok := splitNumbered(key, typeTombstone)
	return model.ChangeNumber(n), ok
}

// TombstonesSpan is the span of a tablet's marks of tombstones.
func TombstonesSpan(t model.TabletID) (lo, hi []byte) {
	return tabletKey(nil, t, typeTombstone), tabletKey(nil, t, typeTombstone+1)
}

// Conflict is the key of a conflict's loser.
func Conflict(t model.TabletID, n uint64) []byte {
	return binary.BigEndian.AppendUint64(tabletKey(nil, t, typeConflict), n)
}

// SplitConflict takes a key made by Conflict apart.
func SplitConflict(key []byte) (uint64, bool) { return splitNumbered(key, typeConflict) }

// ConflictsSpan is the span of a tablet's conflicts.
func ConflictsSpan(t model.TabletID) (lo, hi []byte) {
	return tabletKey(nil, t, typeConflict), tabletKey(nil, t, typeConflict+1)
}

func splitNumbered(key []byte, typ byte) (uint64, bool) {
	if len(key) != tabletKeySize+8 || key[0] != tabletSpace || key[tabletKeySize-1] != typ {
		return 0, false
	}
	return binary.BigEndian.Uint64(key[tabletKeySize:]), true
}
