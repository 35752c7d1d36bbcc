package model

import (
	"fmt"
	"time"
)

// AllPatience is how long an answer waits for the last voters.
const AllPatience = 2 * time.Second

// Level says how many replicas have a write on disk before it is answered. The
// numbers are part of the stored format, as one byte in two's complement, and
// grow with the strength; the zero value is the safe default.
type Level int8

// The levels.
const (
	// LevelAsync: the leader, as far as AsyncBound allows it, for writes whose
	// result is known before they are applied; else LevelQuorum. A request that
	// asks for nothing asks for this: its resource decides. Tables alone can have
	// it; docs/adr/0010-async.md says why it is sound.
	LevelAsync Level = -1
	// LevelQuorum: a majority of the voters.
	LevelQuorum Level = 0
	// LevelAllIfUp: every voter, or, when one does not have it within
	// AllPatience, a majority: the answer names the level reached.
	LevelAllIfUp Level = 1
	// LevelAll: every voter. When one does not have it within AllPatience the
	// request fails, though a majority has the write and will keep it.
	LevelAll Level = 2
)

// levelNames are in the order of strength, from LevelAsync on.
var levelNames = [...]string{"async", "quorum", "all-if-up", "all"}

func (l Level) String() string {
	if l.valid() {
		return levelNames[l-LevelAsync]
	}
	return fmt.Sprintf("level(%d)", int8(l))
}

func (l Level) valid() bool { return l >= LevelAsync && l <= LevelAll }

// ParseLevel reads a level's name: async, quorum, all-if-up or all.
func ParseLevel(name string) (Level, error) {
	for i, n := range levelNames {
		if n == name {
			return Level(i) + LevelAsync, nil
		}
	}
	return 0, Errorf(ErrValidation, "%q is no level of durability: async, quorum, all-if-up and all are", name)
}

// Level reads a stored level.
func (d *Decoder) Level() Level {
	l := Level(d.Byte())
	if !l.valid() {
		d.Fail()
		return LevelQuorum
	}
	return l
}

// Bounds of what writes at LevelAsync may lose: see ClusterSettings.AsyncBound.
const (
	DefaultAsyncWindow = 500 * time.Millisecond
	MinAsyncWindow     = 10 * time.Millisecond
	// MaxAsyncWindow is below the least time in which followers elect another
	// leader, a second: clocks that differ in speed by less than a fifth leave one
	// node that answers such writes.
	MaxAsyncWindow     = 800 * time.Millisecond
	DefaultAsyncWrites = 1000
	MaxAsyncWrites     = 100_000
)

// AsyncBound is how far the answers of writes at LevelAsync may be ahead of the
// majority, in each tablet: an answer comes early only within the window after
// the proposal of a write that a majority has, and while fewer writes than that
// are answered and not agreed.
func (s *ClusterSettings) AsyncBound() (window time.Duration, writes int) {
	window, writes = DefaultAsyncWindow, DefaultAsyncWrites
	if s.AsyncWindowMs > 0 {
		window = time.Duration(s.AsyncWindowMs) * time.Millisecond
	}
	if s.AsyncWrites > 0 {
		writes = int(s.AsyncWrites)
	}
	return min(window, MaxAsyncWindow), min(writes, MaxAsyncWrites)
}
