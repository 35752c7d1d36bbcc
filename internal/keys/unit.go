package keys

import (
	"encoding/binary"

	"weir.dev/weir/internal/model"
)

const (
	// typeUnit is the type of the data key of what is known of a unit
	// (model.UnitKey); rest: shard number (4 bytes BE).
	typeUnit = 'o'
	// typeSince is the type of the tablet's private key of the time since which
	// somebody watches a resource; rest: the resource (8 bytes BE).
	typeSince = 'B'
)

// Unit is the key of what is known of a unit's content.
func Unit(dst []byte, r model.ResourceID, u model.UnitKey) []byte {
	return binary.BigEndian.AppendUint32(AppendData(dst, r, u.Slot, typeUnit), uint32(u.Shard))
}

// Since is the key of the time since which a resource is watched.
func Since(t model.TabletID, r model.ResourceID) []byte {
	return binary.BigEndian.AppendUint64(tabletKey(nil, t, typeSince), uint64(r))
}

// SplitSince takes a key made by Since apart.
func SplitSince(key []byte) (model.ResourceID, bool) {
	n, ok := splitNumbered(key, typeSince)
	return model.ResourceID(n), ok
}

// SinceSpan is the span of all watched resources of a tablet.
func SinceSpan(t model.TabletID) (lo, hi []byte) {
	return tabletKey(nil, t, typeSince), tabletKey(nil, t, typeSince+1)
}

// UnitRecord is what is known of the content of a unit of a watched queue or
// stream.
type UnitRecord struct {
	Since   model.Stamp   // the resource is watched since then; a record of another time is of no use
	Version model.Version // zero: the unit was never used
	History model.History // what Version knows of
	// Unlogged is the last write of this region that is not in its log: if no
	// other region knows of that one, what it left is here only.
	Unlogged model.Stamp
	Run      uint64 // of the last first copy that began; 0: none did
	Copying  bool   // it has not ended
	Copied   uint64 // messages or records up to this number were copied
	Partial  bool   // writes were taken before a copy had ended: what it had not brought is missing
}

// Knows reports whether the content holds what the version names.
func (u *UnitRecord) Knows(v model.Version) bool {
	look := model.UnitLook{Version: u.Version, History: u.History}
	return look.Knows(v)
}

const unitRecordVersion = 1

// Append appends the stored form. See docs/format/change.md.
func (u *UnitRecord) Append(dst []byte) []byte {
	dst = model.AppendUvarint(append(dst, unitRecordVersion), uint64(u.Since))
	dst = model.AppendUvarint(u.History.Append(u.Version.Append(dst)), uint64(u.Unlogged))
	dst = model.AppendUvarint(model.AppendBool(model.AppendUvarint(dst, u.Run), u.Copying), u.Copied)
	return model.AppendBool(dst, u.Partial)
}

// Decode reads what Append wrote.
func (u *UnitRecord) Decode(d *model.Decoder) {
	if d.Byte() != unitRecordVersion {
		d.Fail()
	}
	u.Since = model.Stamp(d.Uvarint())
	u.Version.Decode(d)
	u.History = model.DecodeHistory(d)
	u.Unlogged = model.Stamp(d.Uvarint())
	u.Run, u.Copying, u.Copied = d.Uvarint(), d.Bool(), d.Uvarint()
	u.Partial = d.Bool()
}
