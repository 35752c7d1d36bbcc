// Package model is the contract that all rooms share: identifiers, values and
// items, commands and queries with their stored form, results, errors and
// limits.
//
// It is pure: no goroutine, no clock, no file, no socket. Types that travel in
// the log or between nodes have an Append method and a Decode function; their
// bytes are described in docs/format/command.md. Start with Command.
package model

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// NodeID names a node for ever: random, never zero, never used again. It is
// also the node's raft id in every tablet.
type NodeID uint64

func (id NodeID) String() string { return fmt.Sprintf("n%016x", uint64(id)) }

// MarshalText implements encoding.TextMarshaler: in JSON an id is a string,
// since a number of 64 bits does not survive every reader.
func (id NodeID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *NodeID) UnmarshalText(text []byte) error {
	digits, ok := strings.CutPrefix(string(text), "n")
	n, err := strconv.ParseUint(digits, 16, 64)
	if !ok || err != nil {
		return fmt.Errorf("%q is not a node id", text)
	}
	*id = NodeID(n)
	return nil
}

// TabletID names a tablet. Tablet 0 is the catalog. Ids are never used again.
type TabletID uint64

// CatalogTablet is the tablet that holds nodes, tablets and resources.
const CatalogTablet TabletID = 0

func (id TabletID) String() string { return fmt.Sprintf("t%d", uint64(id)) }

// ResourceID names a table, queue, stream or pipe for ever: a deleted and
// recreated table of the same name has another id. Zero is no resource.
type ResourceID uint64

// Index is a position in one tablet's log; the first entry has index 1.
type Index uint64

// Term is a raft term.
type Term uint64

// Slot is one of the 65,536 hash buckets that keys fall into. A key's slot
// never changes.
type Slot uint16

// SlotCount is the number of slots.
const SlotCount = 1 << 16

// SlotOf returns the slot of a partition key's encoded bytes: the upper 16
// bits of their 64-bit FNV-1a hash, finished with a multiplicative mix so that
// short keys spread. The function is part of the stored format.
func SlotOf(key []byte) Slot {
	h := uint64(14695981039346656037)
	for _, b := range key {
		h = (h ^ uint64(b)) * 1099511628211
	}
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	return Slot(h >> 48)
}

// Stamp is a hybrid logical time: the upper 48 bits count milliseconds since
// the Unix epoch, the lower 16 count commands within one millisecond. Stamps
// of one tablet strictly grow.
type Stamp uint64

// StampAt is the first stamp of t's millisecond.
func StampAt(t time.Time) Stamp { return Stamp(uint64(t.UnixMilli()) << 16) }

// Millis is the stamp's time in milliseconds since the Unix epoch.
func (s Stamp) Millis() int64 { return int64(s >> 16) }

// Time is the stamp's time, to the millisecond, in UTC.
func (s Stamp) Time() time.Time { return time.UnixMilli(s.Millis()).UTC() }

// Next is the stamp that a leader gives to its next command at wall time now:
// the first stamp of now's millisecond, or the one after s if that is later.
func (s Stamp) Next(now time.Time) Stamp { return max(s+1, StampAt(now)) }

// RequestID names one client request through all its retries. A command whose
// id was applied within DedupeWindow has no further effect and returns the
// first result. The zero id is for commands that are harmless to repeat.
type RequestID [16]byte

// IsZero reports whether the command asks for no deduplication.
func (id RequestID) IsZero() bool { return id == RequestID{} }

func (id RequestID) String() string { return hex.EncodeToString(id[:]) }
