package keys

import (
	"encoding/binary"

	"weir.dev/weir/internal/model"
)

// The forms of what is stored under an item's key; they are its first byte.
const (
	itemPlain     = 1 // an item that only its writer's region has written
	itemWithPast  = 2 // an item with the history of its writes
	itemTombstone = 3 // no item: a delete that other regions may have to hear of
)

// ItemRecord is what is stored under an item's key.
type ItemRecord struct {
	Stamp     model.Stamp    // of the command that wrote the item, where it was written
	Region    model.RegionID // where it was written; 0 is this cluster
	Tombstone bool           // the item was deleted; Size and Item are empty
	History   model.History  // what the writer knew of other regions' writes
	Merge     []byte         // by the table's policy: what of the item was written where
	Size      uint64         // the item's size in bytes by DynamoDB's rules
	Item      []byte         // as model.AppendItem encodes it
}

// Version is the write that left the record.
func (r *ItemRecord) Version() model.Version {
	return model.Version{Stamp: r.Stamp, Region: r.Region}
}

// Knows reports whether the write that left the record is v or knew of it.
func (r *ItemRecord) Knows(v model.Version) bool {
	if r.Region == v.Region {
		return r.Stamp >= v.Stamp
	}
	return r.History.Known(v.Region) >= v.Stamp
}

// AppendItemRecord appends the stored form. See docs/format/keys.md.
func AppendItemRecord(dst []byte, r *ItemRecord) []byte {
	form := byte(itemPlain)
	switch {
	case r.Tombstone:
		form = itemTombstone
	case len(r.History) > 0 || len(r.Merge) > 0:
		form = itemWithPast
	}
	dst = append(dst, form)
	dst = binary.BigEndian.AppendUint64(dst, uint64(r.Stamp))
	dst = model.AppendUvarint(dst, uint64(r.Region))
	if form != itemPlain {
		dst = model.AppendBytes(r.History.Append(dst), r.Merge)
	}
	if form == itemTombstone {
		return dst
	}
	dst = model.AppendUvarint(dst, r.Size)
	return append(dst, r.Item...)
}

// SplitItemRecord takes what is stored under an item's key apart; slices share
// memory with value.
func SplitItemRecord(value []byte) (r ItemRecord, ok bool) {
	if len(value) < 1+8 || value[0] < itemPlain || value[0] > itemTombstone {
		return ItemRecord{}, false
	}
	r.Stamp = model.Stamp(binary.BigEndian.Uint64(value[1:]))
	region, n := binary.Uvarint(value[9:])
	if n <= 0 {
		return ItemRecord{}, false
	}
	r.Region = model.RegionID(region)
	rest := value[9+n:]
	if value[0] != itemPlain {
		d := model.NewDecoder(rest)
		r.History, r.Merge = model.DecodeHistory(d), d.Bytes()
		if d.Err() != nil {
			return ItemRecord{}, false
		}
		rest = d.Rest()
	}
	if r.Tombstone = value[0] == itemTombstone; r.Tombstone {
		return r, len(rest) == 0
	}
	r.Size, n = binary.Uvarint(rest)
	if n <= 0 {
		return ItemRecord{}, false
	}
	r.Item = rest[n:]
	return r, true
}
