package storage

import (
	"encoding/binary"

	"weir.dev/weir/internal/base"
)

// ref names bytes in an arena: the chunk in the upper bits, the place in it in
// the lower ones. Zero names nothing.
type ref uint32

const (
	chunkBits     = 20
	maxChunkBytes = 1 << chunkBits // a record that is larger has a chunk of its own
	minChunkBytes = 32 << 10       // of the first chunk; each further one is twice as large
	maxChunks     = 1 << (32 - chunkBits)
	maxKeyBytes   = 1<<16 - 1
)

// arena holds keys and versions of values. What is written stays as it is and
// where it is until the arena goes, so slices of it can be read without a lock.
// There are few pointers in it for the garbage collector to follow.
type arena struct {
	chunks [][]byte
	tail   int // the chunk that has room
	used   int // bytes taken in it
	size   int // bytes of all chunks
}

// alloc returns n bytes, all zero or to be overwritten.
func (a *arena) alloc(n int) (ref, []byte) {
	if len(a.chunks) == 0 || a.used+n > len(a.chunks[a.tail]) {
		if at, own := a.grow(n); own {
			return ref(at << chunkBits), a.chunks[at]
		}
	}
	at := a.used
	a.used += n
	return ref(a.tail<<chunkBits | at), a.chunks[a.tail][at:a.used:a.used]
}

// grow adds a chunk, which own says is for these n bytes alone.
func (a *arena) grow(n int) (at int, own bool) {
	at = len(a.chunks)
	base.Check(at < maxChunks, "a memtable of %d bytes is larger than one can be", a.size)
	size := min(max(minChunkBytes, a.size), maxChunkBytes)
	own = at > 0 && n > size/2
	switch {
	case own:
		size = n
	case n >= size:
		size = n + 1
	}
	a.chunks = append(a.chunks, make([]byte, size))
	a.size += size
	if !own {
		a.tail, a.used = at, 0
		if at == 0 {
			a.used = 1 // so that no record is at zero
		}
	}
	return at, own
}

// reset empties the arena and keeps its first chunk for use again: nobody may
// hold a slice of it.
func (a *arena) reset() {
	if len(a.chunks) > 0 {
		clear(a.chunks[1:])
		a.chunks = a.chunks[:1]
		a.tail, a.used, a.size = 0, 1, len(a.chunks[0])
	}
}

// A key is its length in two bytes and the key.
const keyHeader = 2

func (a *arena) key(r ref) []byte {
	c := a.chunks[r>>chunkBits][r&(maxChunkBytes-1):]
	n := keyHeader + int(binary.LittleEndian.Uint16(c))
	return c[keyHeader:n:n]
}

// A version is what a key was set to by one commit: the version before it, the
// commit's number, the value's length with two flags, and the value.
const versionHeader = 12

const (
	flagDeleted = 1 // the key was deleted
	// flagFresh is of the key: when it came into the memtable, nothing older
	// held it. All versions of a key have it or none.
	flagFresh = 2
	flagBits  = 2
)

type version struct {
	prev  ref
	seq   uint32
	flags uint32
	value []byte
}

func (a *arena) version(r ref) version {
	c := a.chunks[r>>chunkBits][r&(maxChunkBytes-1):]
	tail := binary.LittleEndian.Uint32(c[8:])
	n := versionHeader + int(tail>>flagBits)
	return version{
		prev: ref(binary.LittleEndian.Uint32(c)), seq: binary.LittleEndian.Uint32(c[4:]),
		flags: tail & (1<<flagBits - 1), value: c[versionHeader:n:n],
	}
}

// flags are those of the version at r.
func (a *arena) flags(r ref) uint32 {
	return uint32(a.chunks[r>>chunkBits][r&(maxChunkBytes-1)+8]) & (1<<flagBits - 1)
}

func putVersion(b []byte, v version) {
	binary.LittleEndian.PutUint32(b, uint32(v.prev))
	binary.LittleEndian.PutUint32(b[4:], v.seq)
	binary.LittleEndian.PutUint32(b[8:], uint32(len(v.value))<<flagBits|v.flags)
	copy(b[versionHeader:], v.value)
}

// addVersion stores a version of a key that is there.
func (a *arena) addVersion(v version) ref {
	r, b := a.alloc(versionHeader + len(v.value))
	putVersion(b, v)
	return r
}

// addKey stores a key and its first version, side by side.
func (a *arena) addKey(key []byte, v version) (k, first ref) {
	base.Check(len(key) <= maxKeyBytes, "a key of %d bytes", len(key))
	n := keyHeader + len(key)
	k, b := a.alloc(n + versionHeader + len(v.value))
	binary.LittleEndian.PutUint16(b, uint16(len(key)))
	copy(b[keyHeader:], key)
	putVersion(b[n:], v)
	return k, k + ref(n)
}
