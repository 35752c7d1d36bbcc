package keys

import (
	"bytes"

	"weir.dev/weir/internal/model"
)

// A key attribute's value is encoded as its kind's byte, then its bytes
// escaped (0x00 becomes 0x00 0xff), then 0x00 0x01. No encoding is a prefix of
// another, and the encodings of one kind sort as DynamoDB sorts the values:
// texts by their UTF-8 bytes, bytes as unsigned, numbers by size.
const (
	escape     = 0x00
	escaped    = 0xff
	terminator = 0x01
)

// AppendValue appends the encoding of a key attribute's value, which is of
// kind S, N or B.
func AppendValue(dst []byte, v model.Value) []byte {
	return append(AppendValuePrefix(dst, v), escape, terminator)
}

// AppendValuePrefix appends what the encodings of all values of v's kind that
// begin with v's bytes have in common.
func AppendValuePrefix(dst []byte, v model.Value) []byte {
	dst = append(dst, byte(v.Kind))
	if v.Kind == model.KindN {
		var number [64]byte
		return appendEscaped(dst, string(model.AppendNumberKey(number[:0], v.Str)))
	}
	return appendEscaped(dst, v.Str)
}

func appendEscaped(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		dst = append(dst, s[i])
		if s[i] == escape {
			dst = append(dst, escaped)
		}
	}
	return dst
}

// SplitValue decodes the value at the beginning of b and returns what follows
// it; ok is false when b does not begin with an encoded value.
func SplitValue(b []byte) (v model.Value, rest []byte, ok bool) {
	kind, raw, rest, ok := splitRaw(b)
	if !ok {
		return model.Value{}, nil, false
	}
	switch kind {
	case model.KindS, model.KindB:
		return model.Value{Kind: kind, Str: string(raw)}, rest, true
	case model.KindN:
		number, err := model.DecodeNumberKey(raw)
		return model.Value{Kind: kind, Str: number}, rest, err == nil
	default:
		return model.Value{}, nil, false
	}
}

// SplitPartition divides an item key's rest into the encodings of the
// partition key and of the sort key, which is empty when there is none.
func SplitPartition(rest []byte) (partition, sort []byte, ok bool) {
	for i := 1; i+1 < len(rest); i++ {
		if rest[i] != escape {
			continue
		}
		if rest[i+1] == terminator {
			return rest[:i+2], rest[i+2:], true
		}
		i++
	}
	return nil, nil, false
}

// splitRaw undoes the escapes of the value at the beginning of b. raw is b's
// own memory when there were none.
func splitRaw(b []byte) (kind model.Kind, raw, rest []byte, ok bool) {
	if len(b) == 0 {
		return 0, nil, nil, false
	}
	kind, b = model.Kind(b[0]), b[1:]
	if end := bytes.IndexByte(b, escape); end >= 0 && end+1 < len(b) && b[end+1] == terminator {
		return kind, b[:end], b[end+2:], true
	}
	for i := 0; i < len(b); i++ {
		if b[i] != escape {
			raw = append(raw, b[i])
			continue
		}
		if i+1 == len(b) {
			return 0, nil, nil, false
		}
		i++
		switch b[i] {
		case terminator:
			return kind, raw, b[i+1:], true
		case escaped:
			raw = append(raw, escape)
		default:
			return 0, nil, nil, false
		}
	}
	return 0, nil, nil, false
}
