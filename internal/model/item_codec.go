package model

import "encoding/binary"

// AppendItem appends the item's stored form: the number of attributes, then
// each one's name and value. Equal items have equal bytes. The item must not
// nest deeper than MaxNesting. See docs/format/item.md.
func AppendItem(dst []byte, it Item) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(it)))
	for i := range it {
		dst = AppendString(dst, it[i].Name)
		dst = AppendValue(dst, it[i].Value)
	}
	return dst
}

// AppendValue appends the value's stored form: its kind, then what the kind
// needs.
func AppendValue(dst []byte, v Value) []byte {
	dst = append(dst, byte(v.Kind))
	switch v.Kind {
	case KindS, KindN, KindB:
		return AppendString(dst, v.Str)
	case KindBool:
		return AppendBool(dst, v.Bool)
	case KindNull:
		return dst
	case KindM:
		return AppendItem(dst, v.Map)
	case KindL:
		dst = binary.AppendUvarint(dst, uint64(len(v.List)))
		for i := range v.List {
			dst = AppendValue(dst, v.List[i])
		}
		return dst
	case KindSS, KindNS, KindBS:
		dst = binary.AppendUvarint(dst, uint64(len(v.List)))
		for i := range v.List {
			dst = AppendString(dst, v.List[i].Str)
		}
		return dst
	default:
		panic("BUG: a value has no kind")
	}
}
