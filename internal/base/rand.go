package base

import (
	"crypto/rand"
	"encoding/binary"
	mrand "math/rand/v2"
	"sync"
)

// Rand gives random numbers that need not be secret: identifiers, jitter,
// choices among equals. It is safe for use by several goroutines.
type Rand struct {
	mu  sync.Mutex // guards src
	src *mrand.Rand
}

// NewRand returns a Rand that repeats itself for the same seed.
func NewRand(seed uint64) *Rand {
	return &Rand{src: mrand.New(mrand.NewPCG(seed, 0x9e3779b97f4a7c15))}
}

// NewSystemRand returns a Rand seeded by the operating system.
func NewSystemRand() *Rand {
	var seed [8]byte
	_, _ = rand.Read(seed[:]) // crypto/rand.Read never fails: it ends the process instead
	return NewRand(binary.LittleEndian.Uint64(seed[:]))
}

// Uint64 returns any 64-bit number.
func (r *Rand) Uint64() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.src.Uint64()
}

// IntN returns a number in [0, n). It panics when n <= 0.
func (r *Rand) IntN(n int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.src.IntN(n)
}

// Bytes16 returns 16 random bytes: an identifier.
func (r *Rand) Bytes16() (b [16]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	binary.LittleEndian.PutUint64(b[:8], r.src.Uint64())
	binary.LittleEndian.PutUint64(b[8:], r.src.Uint64())
	return b
}
