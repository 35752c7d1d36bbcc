package keys

import (
	"encoding/binary"

	"weir.dev/weir/internal/model"
)

// itemRecordVersion begins every stored item.
const itemRecordVersion = 1

// ItemRecord is what is stored under an item's key.
type ItemRecord struct {
	Stamp  model.Stamp // of the command that wrote the item
	Region uint64      // where it was written; 0 is this cluster
	Size   uint64      // the item's size in bytes by DynamoDB's rules
	Item   []byte      // as model.AppendItem encodes it
}

// AppendItemRecord appends the stored form. See docs/format/keys.md.
func AppendItemRecord(dst []byte, r *ItemRecord) []byte {
	dst = append(dst, itemRecordVersion)
	dst = binary.BigEndian.AppendUint64(dst, uint64(r.Stamp))
	dst = model.AppendUvarint(dst, r.Region)
	dst = model.AppendUvarint(dst, r.Size)
	return append(dst, r.Item...)
}

// SplitItemRecord takes a stored item apart; Item shares memory with value.
func SplitItemRecord(value []byte) (r ItemRecord, ok bool) {
	if len(value) < 1+8 || value[0] != itemRecordVersion {
		return ItemRecord{}, false
	}
	r.Stamp = model.Stamp(binary.BigEndian.Uint64(value[1:]))
	rest := value[9:]
	for _, field := range []*uint64{&r.Region, &r.Size} {
		v, n := binary.Uvarint(rest)
		if n <= 0 {
			return ItemRecord{}, false
		}
		*field, rest = v, rest[n:]
	}
	r.Item = rest
	return r, true
}
