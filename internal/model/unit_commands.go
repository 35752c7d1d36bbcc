package model

import "encoding/binary"

// CmdApplyUnit applies what another region did to a unit. Its Slot is the
// unit's here. It is on the queue or stream.
const CmdApplyUnit CommandKind = 112

// QueryUnit reads a page of a unit for a first copy.
const QueryUnit QueryKind = 112

// ApplyUnit is the body of a CmdApplyUnit. The result is StatusOK with an
// ApplyUnitResult.
type ApplyUnit struct {
	Self     RegionID // this one
	From     RegionID // the one that ships
	Stream   bool     // the unit is a shard
	Shard    ShardNumber
	Settings QueueSettings // of a queue
	Changes  []UnitChange  // in order
}

// Append appends the stored form. See docs/format/change.md.
func (a *ApplyUnit) Append(dst []byte) []byte {
	dst = AppendUvarint(AppendUvarint(dst, uint64(a.Self)), uint64(a.From))
	dst = AppendUvarint(AppendBool(dst, a.Stream), uint64(a.Shard))
	return AppendUnitChanges(a.Settings.append(dst), a.Changes)
}

// AppendUnitChanges appends a list of changes.
func AppendUnitChanges(dst []byte, cs []UnitChange) []byte {
	dst = AppendUvarint(dst, uint64(len(cs)))
	for i := range cs {
		dst = cs[i].Append(dst)
	}
	return dst
}

// DecodeUnitChanges reads what AppendUnitChanges wrote.
func DecodeUnitChanges(d *Decoder) (cs []UnitChange) {
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		var c UnitChange
		c.Decode(d)
		cs = append(cs, c)
	}
	return cs
}

// Decode reads what Append wrote.
func (a *ApplyUnit) Decode(d *Decoder) {
	a.Self, a.From = RegionID(d.Uvarint()), RegionID(d.Uvarint())
	a.Stream, a.Shard = d.Bool(), d.shardNumber()
	a.Settings.decode(d)
	a.Changes = DecodeUnitChanges(d)
	if a.Self == 0 || a.From == 0 {
		d.Fail()
	}
}

// UnitNeed is what a sender has to do about a unit after its changes were
// looked at. What needs something ends the command: what follows it was not
// looked at.
type UnitNeed uint8

// The needs, in the order of their weight.
const (
	UnitFine   UnitNeed = 0
	UnitHas    UnitNeed = 1 // the copy can end: all that it would bring is here
	UnitRetry  UnitNeed = 2 // the page is older than what is here: read it again
	UnitAgain  UnitNeed = 3 // the change does not follow what is here: copy the unit anew
	UnitActive UnitNeed = 4 // the unit takes writes here, too
	UnitFilled UnitNeed = 5 // there is something here that no other region wrote
	UnitClosed UnitNeed = 6 // a shard took no records that another region had taken before it heard that it was replaced
)

// ApplyUnitResult says what became of the changes.
type ApplyUnitResult struct {
	Applied, Known uint64
	Need           UnitNeed
}

// Append appends the stored form.
func (a *ApplyUnitResult) Append(dst []byte) []byte {
	return append(AppendUvarint(AppendUvarint(dst, a.Applied), a.Known), byte(a.Need))
}

// Decode reads what Append wrote.
func (a *ApplyUnitResult) Decode(d *Decoder) {
	a.Applied, a.Known = d.Uvarint(), d.Uvarint()
	if a.Need = UnitNeed(d.Byte()); a.Need > UnitClosed {
		d.Fail()
	}
}

// UnitQuery is the body of a QueryUnit: messages or records with numbers above
// After, as many as fit into MaxBytes, at least one. The answer is StatusNotFound
// when nobody watches the resource, and StatusStale while the unit is itself
// being copied from another region.
type UnitQuery struct {
	Tablet   TabletID
	Stream   bool
	Shard    ShardNumber
	After    uint64
	MaxBytes uint64
}

// Append appends the form between nodes.
func (q *UnitQuery) Append(dst []byte) []byte {
	dst = AppendUvarint(AppendBool(AppendUvarint(dst, uint64(q.Tablet)), q.Stream), uint64(q.Shard))
	return AppendUvarint(AppendUvarint(dst, q.After), q.MaxBytes)
}

// Decode reads what Append wrote.
func (q *UnitQuery) Decode(d *Decoder) {
	q.Tablet, q.Stream, q.Shard = TabletID(d.Uvarint()), d.Bool(), d.shardNumber()
	q.After, q.MaxBytes = d.Uvarint(), d.Uvarint()
}

// Append appends the form of a key in the log: slot (2 BE), shard (4 BE).
func (k UnitKey) Append(dst []byte) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(dst, uint16(k.Slot)), uint32(k.Shard))
}

// ParseUnitKey reads what Append wrote.
func ParseUnitKey(key []byte) (k UnitKey, ok bool) {
	if len(key) != 6 {
		return k, false
	}
	return UnitKey{Slot(binary.BigEndian.Uint16(key)), ShardNumber(binary.BigEndian.Uint32(key[2:]))}, true
}
