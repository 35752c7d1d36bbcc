package awsapi

import (
	"encoding/binary"
	"math"
	"strings"
	"unicode/utf8"
)

// appendHead appends a first byte and the number that belongs to it, in as few
// bytes as can be.
func appendHead(dst []byte, major byte, n uint64) []byte {
	major <<= 5
	switch {
	case n < 24:
		return append(dst, major|byte(n))
	case n <= math.MaxUint8:
		return append(dst, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, major|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(dst, major|26), uint32(n))
	default:
		return binary.BigEndian.AppendUint64(append(dst, major|27), n)
	}
}

// AppendCBORStructure begins a structure, whose members follow, each behind its
// name as text. AppendCBOREnd ends it: how many members are there is not known
// before.
func AppendCBORStructure(dst []byte) []byte { return append(dst, majorMap<<5|cborIndefinite) }

// AppendCBOREnd ends a structure.
func AppendCBOREnd(dst []byte) []byte { return append(dst, cborBreak) }

// AppendCBORArray begins a list of n elements, which follow.
func AppendCBORArray(dst []byte, n int) []byte { return appendHead(dst, majorArray, uint64(n)) }

// AppendCBORMap begins a map of n keys, each with its value behind it.
func AppendCBORMap(dst []byte, n int) []byte { return appendHead(dst, majorMap, uint64(n)) }

// AppendCBORText appends a text. Bytes that are not UTF-8 become U+FFFD, so the
// answer is always well-formed.
func AppendCBORText(dst []byte, s string) []byte {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	return append(appendHead(dst, majorText, uint64(len(s))), s...)
}

// AppendCBORBytes appends bytes.
func AppendCBORBytes(dst, b []byte) []byte {
	return append(appendHead(dst, majorBytes, uint64(len(b))), b...)
}

// AppendCBORInt appends a whole number.
func AppendCBORInt(dst []byte, v int64) []byte {
	if v < 0 {
		return appendHead(dst, majorNegative, uint64(-1-v))
	}
	return appendHead(dst, majorUint, uint64(v))
}

// AppendCBORBool appends true or false.
func AppendCBORBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, cborTrue)
	}
	return append(dst, cborFalse)
}

// AppendCBORFloat appends a number as a double.
func AppendCBORFloat(dst []byte, f float64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, cborDouble), math.Float64bits(f))
}

// AppendCBORTime appends a time in milliseconds since the Unix epoch, as the
// SDKs for Java take it (decode_cbor.go).
func AppendCBORTime(dst []byte, ms int64) []byte {
	return AppendCBORInt(appendHead(dst, majorTag, tagEpoch), ms)
}
