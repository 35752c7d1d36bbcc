package keys

import (
	"encoding/binary"

	"weir.dev/weir/internal/model"
)

// Data keys: 'd' | resource id (8 bytes BE) | slot (2 bytes BE) | type byte | rest.
const (
	dataSpace    = 'd'
	typeItem     = 'i' // an item of a table; rest: partition key | sort key
	dataHeadSize = 1 + 8 + 2 + 1
)

// AppendData appends the head of a data key: everything before the rest.
func AppendData(dst []byte, r model.ResourceID, slot model.Slot, typ byte) []byte {
	dst = append(dst, dataSpace)
	dst = binary.BigEndian.AppendUint64(dst, uint64(r))
	dst = binary.BigEndian.AppendUint16(dst, uint16(slot))
	return append(dst, typ)
}

// SplitData takes a data key apart; rest shares memory with key.
func SplitData(key []byte) (r model.ResourceID, slot model.Slot, typ byte, rest []byte, ok bool) {
	if len(key) < dataHeadSize || key[0] != dataSpace {
		return 0, 0, 0, nil, false
	}
	r = model.ResourceID(binary.BigEndian.Uint64(key[1:]))
	slot = model.Slot(binary.BigEndian.Uint16(key[9:]))
	return r, slot, key[dataHeadSize-1], key[dataHeadSize:], true
}

// DataSpan is the span of all data keys of all resources.
func DataSpan() (lo, hi []byte) { return []byte{dataSpace}, []byte{dataSpace + 1} }

// ResourceSpan is the span of a resource's data in slots [loSlot, hiSlot),
// with hiSlot at most model.SlotCount.
func ResourceSpan(r model.ResourceID, loSlot, hiSlot uint32) (lo, hi []byte) {
	return appendSlotBound(nil, r, loSlot), appendSlotBound(nil, r, hiSlot)
}

// ResourceAll is the span of all of a resource's data.
func ResourceAll(r model.ResourceID) (lo, hi []byte) { return ResourceSpan(r, 0, model.SlotCount) }

// appendSlotBound appends the least key of the resource at or after the slot.
func appendSlotBound(dst []byte, r model.ResourceID, slot uint32) []byte {
	start := len(dst)
	dst = append(dst, dataSpace)
	dst = binary.BigEndian.AppendUint64(dst, uint64(r))
	if slot >= model.SlotCount {
		return Successor(dst[start:])
	}
	return binary.BigEndian.AppendUint16(dst, uint16(slot))
}

// AppendItem appends the key of the item whose partition and sort key are
// encoded in rest.
func AppendItem(dst []byte, r model.ResourceID, slot model.Slot, rest []byte) []byte {
	return append(AppendData(dst, r, slot, typeItem), rest...)
}

// SplitItem takes an item's key apart; rest shares memory with key.
func SplitItem(key []byte) (r model.ResourceID, slot model.Slot, rest []byte, ok bool) {
	r, slot, typ, rest, ok := SplitData(key)
	return r, slot, rest, ok && typ == typeItem
}
