package storage

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

const (
	// nodeFan is the number of entries of a node: a leaf takes 1,136 bytes.
	nodeFan = 63
	// maxPrefix is how much of what its keys have in common a node makes use of.
	maxPrefix = 124
	digestLen = 8
)

// entries is the sorted keys of a node. To look for a place reads neighbouring
// memory: the bytes that all keys begin with, once, and for each key the eight
// bytes that follow as a number, its digest. Keys themselves are read only where
// digests are the same. A key shorter than its digest counts as followed by
// zeros.
type entries struct {
	n, prefixLen uint16
	prefix       [maxPrefix]byte
	digest       [nodeFan]uint64
	key          [nodeFan]ref
}

// leaf is a node of keys, each with its newest version.
type leaf struct {
	entries
	version [nodeFan]ref
}

// inner is a node of nodes: key i is no greater than any in kid i and greater
// than all in kid i-1.
type inner struct {
	entries
	kids   [nodeFan]*inner // nil above leaves
	leaves [nodeFan]*leaf  // nil elsewhere
}

func digestOf(rest []byte) uint64 {
	if len(rest) >= digestLen {
		return binary.BigEndian.Uint64(rest)
	}
	var b [digestLen]byte
	copy(b[:], rest)
	return binary.BigEndian.Uint64(b[:])
}

// find returns the place of the first key that is not less than key, and
// whether it is key.
func (e *entries) find(a *arena, key []byte) (at int, found bool) {
	p, n := int(e.prefixLen), int(e.n)
	if len(key) < p || string(key[:p]) != string(e.prefix[:p]) {
		if bytes.Compare(key, e.prefix[:p]) < 0 {
			return 0, false
		}
		return n, false
	}
	d := digestOf(key[p:])
	lo, hi := 0, n
	if n > 0 && e.digest[n-1] < d {
		return n, false // keys are often added in order
	}
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		if e.digest[m] < d {
			lo = m + 1
		} else {
			hi = m
		}
	}
	if lo == n || e.digest[lo] != d {
		return lo, false
	}
	for hi = lo + 1; hi < n && e.digest[hi] == d; hi++ {
	}
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		switch c := bytes.Compare(a.key(e.key[m])[p:], key[p:]); {
		case c == 0:
			return m, true
		case c < 0:
			lo = m + 1
		default:
			hi = m
		}
	}
	return lo, false
}

// insert makes room at a place that find returned, of a node that is not full.
func (e *entries) insert(a *arena, at int, key []byte, k ref) {
	if e.n == 0 {
		e.setPrefix(key)
	} else if n := commonLen(key, e.prefix[:e.prefixLen]); n < int(e.prefixLen) {
		e.fit(a, n)
	}
	copy(e.digest[at+1:e.n+1], e.digest[at:e.n])
	copy(e.key[at+1:e.n+1], e.key[at:e.n])
	e.digest[at], e.key[at] = digestOf(key[e.prefixLen:]), k
	e.n++
}

// lower puts a lesser key in place of the first.
func (e *entries) lower(a *arena, key []byte, k ref) {
	if n := commonLen(key, e.prefix[:e.prefixLen]); n < int(e.prefixLen) {
		e.fit(a, n)
	}
	e.digest[0], e.key[0] = digestOf(key[e.prefixLen:]), k
}

func (e *entries) remove(at int) {
	copy(e.digest[at:], e.digest[at+1:e.n])
	copy(e.key[at:], e.key[at+1:e.n])
	e.n--
}

func (e *entries) setPrefix(p []byte) { e.prefixLen = uint16(copy(e.prefix[:], p)) }

// fit makes n bytes the prefix, which all keys have in common.
func (e *entries) fit(a *arena, n int) {
	if e.n > 0 {
		e.setPrefix(a.key(e.key[0])[:n])
	}
	for i := range e.n {
		e.digest[i] = digestOf(a.key(e.key[i])[n:])
	}
}

// tighten lengthens the prefix if that makes the digests tell much more.
func (e *entries) tighten(a *arena) {
	if e.n == 0 {
		return
	}
	n := min(commonLen(a.key(e.key[0]), a.key(e.key[e.n-1])), maxPrefix)
	if n >= int(e.prefixLen)+digestLen/2 {
		e.fit(a, n)
	}
}

// split moves the entries from a place on to another node, which is empty.
func (e *entries) split(a *arena, at int, to *entries) {
	to.n, to.prefixLen, to.prefix = e.n-uint16(at), e.prefixLen, e.prefix
	copy(to.digest[:], e.digest[at:e.n])
	copy(to.key[:], e.key[at:e.n])
	e.n = uint16(at)
	e.tighten(a)
	to.tighten(a)
}

// splitAt chooses where to split a full node for an entry to be inserted at a
// place: after all entries when it comes last, which keeps nodes full where keys
// are added in order, else in the middle half, where keys differ most. Keys of
// one kind are so gathered in nodes of their own, whose digests tell them apart.
func (e *entries) splitAt(insert int) int {
	if insert == nodeFan {
		return nodeFan
	}
	const middle = nodeFan / 2
	best, bestCommon := middle, 9
	for far := range nodeFan / 4 {
		for _, at := range [2]int{middle - far, middle + far} {
			if common := bits.LeadingZeros64(e.digest[at]^e.digest[at-1]) / 8; common < bestCommon {
				best, bestCommon = at, common
			}
		}
	}
	return best
}

func commonLen(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
