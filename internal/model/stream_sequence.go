package model

import (
	"cmp"
	"fmt"
	"math/bits"
)

// Sequence is a record's sequence number taken apart. Its decimal form has 56
// digits and begins with 49 until the year 2055, as Kinesis' have, and is laid
// out as theirs, so that tools which take them apart find what they look for:
// as a number of 47 hexadecimal digits
//
//	2 | epoch (9) | shard's last digit (1) | n (16) | 00 | seconds (9) | shard (8) | 2
//
// Sequence numbers grow with n within a shard, and from a shard to its
// children, whose epochs are greater.
type Sequence struct {
	Epoch uint64      // of the shard; see Shard.Epoch; below 2^36
	N     uint64      // the record's number in its shard, from 1; 0 comes before every record
	Secs  uint64      // when the record arrived, Unix seconds; below 2^36
	Shard ShardNumber // the shard's number
}

const (
	sequenceTop     = 2       // the first digit
	sequenceVersion = 2       // the last digit
	sequenceDigits  = 56      // of the decimal form
	maxSequencePart = 1 << 36 // Epoch and Secs are below
)

// words are the number's upper 60, middle 64 and lower 64 bits.
func (s Sequence) words() (hi, mid, lo uint64) {
	hi = sequenceTop<<56 | s.Epoch<<20 | uint64(s.Shard&15)<<16 | s.N>>48
	mid = s.N<<16 | s.Secs>>28 // the two zero digits are between them
	lo = s.Secs<<36 | uint64(s.Shard)<<4 | sequenceVersion
	return hi, mid, lo
}

// String is the decimal form. Every record that is put or read has one, so it
// is taken off in groups of digits that fit a word.
func (s Sequence) String() string {
	const group, digits = 1e19, 19
	var out [sequenceDigits]byte
	hi, mid, lo := s.words()
	for at := len(out); at > 0; at -= digits {
		var rest uint64
		hi, rest = hi/group, hi%group
		mid, rest = bits.Div64(rest, mid, group)
		lo, rest = bits.Div64(rest, lo, group)
		for i := at - 1; i >= max(at-digits, 0); i-- {
			out[i] = '0' + byte(rest%10)
			rest /= 10
		}
	}
	return string(out[:])
}

// ParseSequence reads what String wrote and nothing else.
func ParseSequence(text string) (Sequence, error) {
	wrong := fmt.Errorf("%.64q is not a sequence number", text)
	if len(text) != sequenceDigits {
		return Sequence{}, wrong
	}
	var w [3]uint64 // the least first
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return Sequence{}, wrong
		}
		carry := uint64(text[i] - '0')
		for j := range w { // 56 digits are below 2^187
			over, low := bits.Mul64(w[j], 10)
			sum, c := bits.Add64(low, carry, 0)
			w[j], carry = sum, over+c
		}
	}
	hi, mid, lo := w[2], w[1], w[0]
	s := Sequence{
		Epoch: hi >> 20 & (maxSequencePart - 1),
		N:     hi<<48 | mid>>16,
		Secs:  (mid<<28 | lo>>36) & (maxSequencePart - 1),
		Shard: ShardNumber(lo >> 4),
	}
	if h, m, l := s.words(); h != hi || m != mid || l != lo {
		return Sequence{}, wrong
	}
	return s, nil
}

// Compare is negative, zero or positive as s comes before, at or after other;
// the order is that of the numbers.
func (s Sequence) Compare(other Sequence) int {
	hi, mid, lo := s.words()
	oHi, oMid, oLo := other.words()
	return cmp.Or(cmp.Compare(hi, oHi), cmp.Compare(mid, oMid), cmp.Compare(lo, oLo))
}
