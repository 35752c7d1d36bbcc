package model

import (
	"bytes"
	"encoding/binary"
)

// The commands and queries with which two regions compare what they hold and
// mend what differs; docs/format/change.md has the bytes.

// The commands that mend.
const (
	// CmdRewrite, on a table, writes an item as it is once more.
	CmdRewrite CommandKind = 100
	// CmdRewriteUnit, on a queue or stream, tells other regions once more what a
	// unit holds at some places.
	CmdRewriteUnit CommandKind = 101
)

// Queries that compare regions.
const (
	QueryDigest QueryKind = 100 // sums over what a table or a unit holds
	QueryLook   QueryKind = 101 // what a table or a unit holds at some places, by sums and versions
	QueryByKey  QueryKind = 102 // records by key, tombstones included
)

// A place is where something is in a table, in a slot of a queue or in a shard,
// in a form that is the same in every region and has the order in which it is
// stored: of an item its slot (2 bytes BE) and its encoded key, of a message its
// number (8 BE), of a consumer group's position 'p' and the group's name, of a
// record 'r' and its number (8 BE).

// ItemPlace is the place of an item.
func ItemPlace(slot Slot, key []byte) []byte {
	return append(SlotPlace(uint32(slot)), key...)
}

// SlotPlace is the first place of a slot; empty behind the last.
func SlotPlace(slot uint32) []byte {
	if slot >= SlotCount {
		return nil
	}
	return binary.BigEndian.AppendUint16(nil, uint16(slot))
}

// SplitItemPlace takes the place of an item apart, or that where a slot begins;
// the empty one is where the first does.
func SplitItemPlace(place []byte) (slot Slot, key []byte, ok bool) {
	if len(place) < 2 {
		return 0, nil, len(place) == 0
	}
	return Slot(binary.BigEndian.Uint16(place)), place[2:], true
}

// QueuePlace is the place of a message.
func QueuePlace(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

// SplitQueuePlace takes the place of a message apart.
func SplitQueuePlace(place []byte) (seq uint64, ok bool) {
	if len(place) != 8 {
		return 0, false
	}
	return binary.BigEndian.Uint64(place), true
}

const (
	placePosition = 'p'
	placeRecord   = 'r'
)

// RecordPlace is the place of a record.
func RecordPlace(n uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{placeRecord}, n)
}

// PositionPlace is the place of a consumer group's position.
func PositionPlace(group string) []byte { return append([]byte{placePosition}, group...) }

// SplitShardPlace takes a place in a shard apart: group is empty in that of a
// record.
func SplitShardPlace(place []byte) (n uint64, group string, ok bool) {
	switch {
	case len(place) == 1+8 && place[0] == placeRecord:
		return binary.BigEndian.Uint64(place[1:]), "", true
	case len(place) > 1 && place[0] == placePosition:
		return 0, string(place[1:]), true
	default:
		return 0, "", false
	}
}

// Within reports whether a place is before the end of a range of places; an
// empty end is behind all.
func Within(place, end []byte) bool { return len(end) == 0 || bytes.Compare(place, end) < 0 }

// Rewrite is the body of a CmdRewrite: the item under a key, or its absence, is
// written again as a write of now, so that it wins over what another region
// has. Provided that the key holds what the write If left; zero when there must
// be nothing: otherwise it answers StatusStale. If names regions as regions do
// among each other; Self is this one.
type Rewrite struct {
	Self RegionID
	Key  []byte // encoded
	If   Version
}

// Append appends the stored form.
func (r *Rewrite) Append(dst []byte) []byte {
	return r.If.Append(AppendBytes(AppendUvarint(dst, uint64(r.Self)), r.Key))
}

// Decode reads what Append wrote.
func (r *Rewrite) Decode(d *Decoder) {
	r.Self, r.Key = RegionID(d.Uvarint()), d.key()
	r.If.Decode(d)
}

// RewriteUnit is the body of a CmdRewriteUnit: a change of the unit is written
// down that brings what it holds at the places, or that there is nothing, and
// what it counts. A region that holds a copy puts that in the place of what it
// has. The answer is a uvarint: how many of the places fitted into one change,
// at least one; StatusPassive where another region takes the writes, and
// StatusStale where nobody reads the log.
type RewriteUnit struct {
	Kind   ResourceKind
	Shard  ShardNumber
	Places [][]byte
}

// Append appends the stored form.
func (r *RewriteUnit) Append(dst []byte) []byte {
	return appendPlaces(AppendUvarint(append(dst, byte(r.Kind)), uint64(r.Shard)), r.Places)
}

// Decode reads what Append wrote.
func (r *RewriteUnit) Decode(d *Decoder) {
	r.Kind, r.Shard, r.Places = ResourceKind(d.Byte()), d.shardNumber(), decodePlaces(d)
}

func appendPlaces(dst []byte, places [][]byte) []byte {
	dst = AppendUvarint(dst, uint64(len(places)))
	for _, p := range places {
		dst = AppendBytes(dst, p)
	}
	return dst
}

func decodePlaces(d *Decoder) (places [][]byte) {
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		places = append(places, d.key())
	}
	return places
}

// Sum is the sum of what is held: of one thing, the beginning of the SHA-256 of
// its place and content; of several, the bits in which these differ, so that
// order is no matter. Equal things have equal sums, whoever wrote them.
type Sum [16]byte

// Add adds another sum.
func (s *Sum) Add(o *Sum) {
	for i := range s {
		s[i] ^= o[i]
	}
}

// DigestQuery is the body of a QueryDigest: sums over what is held at the places
// in [Lo, Hi). Without Ends the answer's ranges end where they hold Grain things;
// else they end where Ends says, of which the last is not before Hi. It reads
// about MaxBytes, at least one thing.
type DigestQuery struct {
	Kind      ResourceKind
	Shard     ShardNumber
	Lo, Hi    []byte
	Grain     uint64      // things in a range
	List      uint64      // a range of at most so many has them listed
	Ends      []DigestEnd // ascending, behind Lo
	Condition []byte      // an encoded expr.Condition on items; empty is none
	MaxBytes  uint64
}

// DigestEnd is where a range ends that both sides are to sum over.
type DigestEnd struct {
	Hi     []byte
	Listed bool // what it holds is to be listed
}

// Append appends the form between nodes.
func (q *DigestQuery) Append(dst []byte) []byte {
	dst = AppendUvarint(append(dst, byte(q.Kind)), uint64(q.Shard))
	dst = AppendUvarint(AppendUvarint(AppendBytes(AppendBytes(dst, q.Lo), q.Hi), q.Grain), q.List)
	dst = AppendUvarint(dst, uint64(len(q.Ends)))
	for i := range q.Ends {
		dst = AppendBool(AppendBytes(dst, q.Ends[i].Hi), q.Ends[i].Listed)
	}
	return AppendUvarint(AppendBytes(dst, q.Condition), q.MaxBytes)
}

// Decode reads what Append wrote.
func (q *DigestQuery) Decode(d *Decoder) {
	q.Kind, q.Shard = ResourceKind(d.Byte()), d.shardNumber()
	q.Lo, q.Hi, q.Grain, q.List = d.Bytes(), d.Bytes(), d.Uvarint(), d.Uvarint()
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		q.Ends = append(q.Ends, DigestEnd{d.Bytes(), d.Bool()})
	}
	q.Condition, q.MaxBytes = d.Bytes(), d.Uvarint()
}

// KeySum is a place and the sum of what is there.
type KeySum struct {
	Place []byte
	Sum   Sum
}

// DigestRun is the sum over a range of places: from the end of the range before
// it, or the beginning, up to Hi.
type DigestRun struct {
	Hi     []byte
	Items  uint64 // things it holds
	Sum    Sum
	Listed bool
	Keys   []KeySum // all that it holds, if it is listed; ascending
}

// DigestResult is the answer to a QueryDigest. The last range ends at Next when
// not all was read.
type DigestResult struct {
	Runs  []DigestRun
	Next  []byte // where to go on; empty at the end
	Bytes uint64 // that were read
}

// Append appends the form between nodes and between regions.
func (r *DigestResult) Append(dst []byte) []byte {
	dst = AppendUvarint(dst, uint64(len(r.Runs)))
	for i := range r.Runs {
		n := &r.Runs[i]
		dst = AppendBool(append(AppendUvarint(AppendBytes(dst, n.Hi), n.Items), n.Sum[:]...), n.Listed)
		if !n.Listed {
			continue
		}
		dst = AppendUvarint(dst, uint64(len(n.Keys)))
		for k := range n.Keys {
			dst = append(AppendBytes(dst, n.Keys[k].Place), n.Keys[k].Sum[:]...)
		}
	}
	return AppendUvarint(AppendBytes(dst, r.Next), r.Bytes)
}

// Decode reads what Append wrote.
func (r *DigestResult) Decode(d *Decoder) {
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		run := DigestRun{Hi: d.Bytes(), Items: d.Uvarint(), Sum: decodeSum(d), Listed: d.Bool()}
		if run.Listed {
			for k := d.Count(); k > 0 && d.Err() == nil; k-- {
				run.Keys = append(run.Keys, KeySum{d.key(), decodeSum(d)})
			}
		}
		r.Runs = append(r.Runs, run)
	}
	r.Next, r.Bytes = d.Bytes(), d.Uvarint()
}

func decodeSum(d *Decoder) (s Sum) {
	copy(s[:], d.Fixed(len(s)))
	return s
}

// LookQuery is the body of a QueryLook: what is held at places, all of the
// tablet. The answer of a unit is StatusNotFound when nobody watches it.
type LookQuery struct {
	Kind      ResourceKind
	Tablet    TabletID // of a unit
	Shard     ShardNumber
	Places    [][]byte
	Condition []byte // as in DigestQuery
}

// Append appends the form between nodes.
func (q *LookQuery) Append(dst []byte) []byte {
	dst = AppendUvarint(AppendUvarint(append(dst, byte(q.Kind)), uint64(q.Tablet)), uint64(q.Shard))
	return AppendBytes(appendPlaces(dst, q.Places), q.Condition)
}

// Decode reads what Append wrote.
func (q *LookQuery) Decode(d *Decoder) {
	q.Kind, q.Tablet, q.Shard = ResourceKind(d.Byte()), TabletID(d.Uvarint()), d.shardNumber()
	q.Places, q.Condition = decodePlaces(d), d.Bytes()
}

// Held says what is at a place.
type Held uint8

// What can be at a place.
const (
	HeldNothing   Held = 0
	HeldTombstone Held = 1 // of an item
	HeldHidden    Held = 2 // an item that the condition leaves out
	HeldThing     Held = 3
)

// Looked is what one place holds.
type Looked struct {
	Held    Held
	Sum     Sum     // of a HeldThing
	Version Version // of an item or tombstone
	History History
	// Mark is of a position a number that grows whenever it may have gone back, of a
	// record its arrival in Unix milliseconds.
	Mark uint64
	ID   MessageID // of a message
}

// Same reports whether a place was not changed between two looks.
func (l *Looked) Same(o *Looked) bool {
	if l.Held != o.Held || l.Sum != o.Sum || l.Version != o.Version || l.Mark != o.Mark || len(l.History) != len(o.History) {
		return false
	}
	for i := range l.History {
		if l.History[i] != o.History[i] {
			return false
		}
	}
	return true
}

// UnitLook is how far a unit's content has come.
type UnitLook struct {
	Version Version
	History History
	Copying bool // a copy is under way: it is not what the version names
	Sum     Sum  // over what it counts and where it ends
}

// Knows reports whether the content holds what a version names.
func (u *UnitLook) Knows(v Version) bool {
	return v == (Version{}) || u.Version.Region == v.Region && u.Version.Stamp >= v.Stamp || u.History.Known(v.Region) >= v.Stamp
}

// LookResult is the answer to a QueryLook: one Looked for each place.
type LookResult struct {
	Unit   UnitLook // zero of a table
	Looked []Looked
}

// Append appends the form between nodes and between regions.
func (r *LookResult) Append(dst []byte) []byte {
	dst = r.Unit.History.Append(r.Unit.Version.Append(dst))
	dst = append(AppendBool(dst, r.Unit.Copying), r.Unit.Sum[:]...)
	dst = AppendUvarint(dst, uint64(len(r.Looked)))
	for i := range r.Looked {
		l := &r.Looked[i]
		dst = append(append(dst, byte(l.Held)), l.Sum[:]...)
		dst = append(AppendUvarint(l.History.Append(l.Version.Append(dst)), l.Mark), l.ID[:]...)
	}
	return dst
}

// Decode reads what Append wrote.
func (r *LookResult) Decode(d *Decoder) {
	r.Unit.Version.Decode(d)
	r.Unit.History = DecodeHistory(d)
	r.Unit.Copying, r.Unit.Sum = d.Bool(), decodeSum(d)
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		l := Looked{Held: Held(d.Byte()), Sum: decodeSum(d)}
		l.Version.Decode(d)
		l.History, l.Mark = DecodeHistory(d), d.Uvarint()
		copy(l.ID[:], d.Fixed(len(l.ID)))
		if l.Held > HeldThing {
			d.Fail()
		}
		r.Looked = append(r.Looked, l)
	}
}

// Rename changes the name of one region wherever the answer names it. No version
// is of no region.
func (r *LookResult) Rename(from, to RegionID) {
	rename := func(v *Version) {
		if *v != (Version{}) {
			*v = v.Rename(from, to)
		}
	}
	rename(&r.Unit.Version)
	r.Unit.History = r.Unit.History.Rename(from, to)
	for i := range r.Looked {
		rename(&r.Looked[i].Version)
		r.Looked[i].History = r.Looked[i].History.Rename(from, to)
	}
}

// ByKeyQuery is the body of a QueryByKey, whose answer is a CopyResult without
// the keys that have no record.
type ByKeyQuery struct {
	Keys [][]byte // encoded, all of the tablet
}

// Append appends the form between nodes.
func (q *ByKeyQuery) Append(dst []byte) []byte { return appendPlaces(dst, q.Keys) }

// Decode reads what Append wrote.
func (q *ByKeyQuery) Decode(d *Decoder) { q.Keys = decodePlaces(d) }
