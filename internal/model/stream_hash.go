package model

import (
	"crypto/md5" //nolint:gosec // Kinesis defines hash keys by it; nothing relies on it for security
	"encoding/binary"
	"fmt"
	"math/big"
	"math/bits"
)

// HashKey is a place on a stream's ring of 2^128 hash keys, big endian, so that
// bytes compare as numbers do. Outside it is written as a decimal number.
type HashKey [16]byte

// MaxHashKey is 2^128 - 1, the last hash key.
var MaxHashKey = HashKey{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// HashOf is the hash key of a partition key: the MD5 of its bytes, as Kinesis
// documents.
func HashOf(partitionKey []byte) HashKey { return md5.Sum(partitionKey) }

// ParseHashKey reads a decimal number below 2^128 without sign or leading
// zeros.
func ParseHashKey(s string) (HashKey, error) {
	if len(s) == 0 || len(s) > 39 || s[0] == '0' && len(s) > 1 {
		return HashKey{}, fmt.Errorf("%q is not a hash key", s)
	}
	var hi, lo uint64
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return HashKey{}, fmt.Errorf("%q is not a hash key", s)
		}
		carry, low := bits.Mul64(lo, 10)
		over, high := bits.Mul64(hi, 10)
		var c1, c2 uint64
		lo, c1 = bits.Add64(low, uint64(s[i]-'0'), 0)
		hi, c2 = bits.Add64(high, carry, c1)
		if over|c2 != 0 {
			return HashKey{}, fmt.Errorf("%q is not a hash key", s)
		}
	}
	return hashKey(hi, lo), nil
}

// String is the decimal number.
func (h HashKey) String() string { return new(big.Int).SetBytes(h[:]).String() }

// Compare is negative, zero or positive as h is below, at or above other.
func (h HashKey) Compare(other HashKey) int {
	for i, b := range h {
		if b != other[i] {
			return int(b) - int(other[i])
		}
	}
	return 0
}

// Next is the hash key behind h; that of the last one is zero.
func (h HashKey) Next() HashKey {
	hi, lo := h.words()
	lo, carry := bits.Add64(lo, 1, 0)
	hi, _ = bits.Add64(hi, 0, carry)
	return hashKey(hi, lo)
}

// Prev is the hash key before h; that of zero is the last one.
func (h HashKey) Prev() HashKey {
	hi, lo := h.words()
	lo, borrow := bits.Sub64(lo, 1, 0)
	hi, _ = bits.Sub64(hi, 0, borrow)
	return hashKey(hi, lo)
}

func (h HashKey) words() (hi, lo uint64) {
	return binary.BigEndian.Uint64(h[:]), binary.BigEndian.Uint64(h[8:])
}

func hashKey(hi, lo uint64) (h HashKey) {
	binary.BigEndian.PutUint64(h[:], hi)
	binary.BigEndian.PutUint64(h[8:], lo)
	return h
}

// HashRange is a range of hash keys, both ends included.
type HashRange struct {
	Lo, Hi HashKey
}

// Contains reports whether h is in the range.
func (r HashRange) Contains(h HashKey) bool { return r.Lo.Compare(h) <= 0 && h.Compare(r.Hi) <= 0 }

// Middle is the first hash key of the range's upper half: where to split it
// evenly. A range of one hash key has none, and Middle is its Lo.
func (r HashRange) Middle() HashKey {
	hiHi, hiLo := r.Hi.words()
	loHi, loLo := r.Lo.words()
	low, borrow := bits.Sub64(hiLo, loLo, 0)
	high, _ := bits.Sub64(hiHi, loHi, borrow)
	low, carry := bits.Add64(low, 1, 0) // the width, or zero for the whole ring
	high, over := bits.Add64(high, 0, carry)
	low, high = low>>1|high<<63, high>>1|over<<63
	low, carry = bits.Add64(loLo, low, 0)
	high, _ = bits.Add64(loHi, high, carry)
	return hashKey(high, low)
}

// UniformRanges divides the whole ring into n even ranges, n at least 1: the
// i-th begins at i*2^128/n, rounded down, as Kinesis makes them.
func UniformRanges(n int) []HashRange {
	ring := new(big.Int).Lsh(big.NewInt(1), 128)
	ranges := make([]HashRange, n)
	for i := range ranges {
		lo := new(big.Int).Mul(ring, big.NewInt(int64(i)))
		lo.Quo(lo, big.NewInt(int64(n))).FillBytes(ranges[i].Lo[:])
		if i > 0 {
			ranges[i-1].Hi = ranges[i].Lo.Prev()
		}
	}
	ranges[n-1].Hi = MaxHashKey
	return ranges
}

func (r *HashRange) append(dst []byte) []byte { return append(append(dst, r.Lo[:]...), r.Hi[:]...) }

func (r *HashRange) decode(d *Decoder) {
	copy(r.Lo[:], d.Fixed(len(r.Lo)))
	copy(r.Hi[:], d.Fixed(len(r.Hi)))
	if r.Lo.Compare(r.Hi) > 0 {
		d.Fail()
	}
}
