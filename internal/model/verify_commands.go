package model

// The commands and queries with which two regions compare what they hold and
// mend what differs; docs/format/change.md has the bytes.

// CmdRewrite, on a table, writes an item as it is once more.
const CmdRewrite CommandKind = 100

// Queries that compare regions.
const (
	QueryDigest QueryKind = 100 // sums over a table's items, by ranges of slots
	QuerySums   QueryKind = 101 // the items' keys, each with its sum
	QueryByKey  QueryKind = 102 // records by key, tombstones included
)

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

// Sum is the sum of items: of one, the beginning of the SHA-256 of its key and
// content; of several, the bits in which these differ, so that order is no
// matter. Equal items have equal sums, whoever wrote them.
type Sum [16]byte

// Add adds another sum.
func (s *Sum) Add(o *Sum) {
	for i := range s {
		s[i] ^= o[i]
	}
}

// DigestQuery is the body of a QueryDigest and of a QuerySums: the items of a
// table in slots [LoSlot, HiSlot) behind the key After that fit the condition.
// It reads items of about MaxBytes, at least one.
type DigestQuery struct {
	LoSlot, HiSlot uint32
	Width          uint32 // of the ranges that QueryDigest sums over, in slots; they begin at its multiples
	After          []byte // encoded; empty: from the beginning
	Condition      []byte // an encoded expr.Condition; empty is none
	MaxBytes       uint64
}

// Append appends the form between nodes.
func (q *DigestQuery) Append(dst []byte) []byte {
	dst = AppendUvarint(AppendUvarint(AppendUvarint(dst, uint64(q.LoSlot)), uint64(q.HiSlot)), uint64(q.Width))
	return AppendUvarint(AppendBytes(AppendBytes(dst, q.After), q.Condition), q.MaxBytes)
}

// Decode reads what Append wrote.
func (q *DigestQuery) Decode(d *Decoder) {
	lo, hi, width := d.Uvarint(), d.Uvarint(), d.Uvarint()
	if lo > hi || hi > SlotCount || width == 0 || width > SlotCount {
		d.Fail()
	}
	q.LoSlot, q.HiSlot, q.Width = uint32(lo), uint32(hi), uint32(width)
	q.After, q.Condition, q.MaxBytes = d.Bytes(), d.Bytes(), d.Uvarint()
}

// Ranges is how many ranges the query sums over.
func (q *DigestQuery) Ranges() uint32 {
	if q.Width == 0 || q.HiSlot <= q.LoSlot {
		return 0
	}
	return q.Range(Slot(q.HiSlot-1)) + 1
}

// Range is the place of a slot's range among those that the query sums over.
func (q *DigestQuery) Range(s Slot) uint32 { return uint32(s)/q.Width - q.LoSlot/q.Width }

// KeySum is an item's key and sum.
type KeySum struct {
	Key []byte
	Sum Sum
}

// DigestResult is the answer to a QueryDigest, which fills Sums, one for each
// range, and to a QuerySums, which fills Keys, ascending.
type DigestResult struct {
	Sums  []Sum
	Keys  []KeySum
	Items uint64 // that were read
	Last  []byte // the last key that was read, when there is more; else empty
}

// Append appends the form between nodes and between regions.
func (r *DigestResult) Append(dst []byte) []byte {
	dst = AppendUvarint(dst, uint64(len(r.Sums)))
	for i := range r.Sums {
		dst = append(dst, r.Sums[i][:]...)
	}
	dst = AppendUvarint(dst, uint64(len(r.Keys)))
	for i := range r.Keys {
		dst = append(AppendBytes(dst, r.Keys[i].Key), r.Keys[i].Sum[:]...)
	}
	return AppendBytes(AppendUvarint(dst, r.Items), r.Last)
}

// Decode reads what Append wrote.
func (r *DigestResult) Decode(d *Decoder) {
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		r.Sums = append(r.Sums, decodeSum(d))
	}
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		r.Keys = append(r.Keys, KeySum{d.Bytes(), decodeSum(d)})
	}
	r.Items, r.Last = d.Uvarint(), d.Bytes()
}

func decodeSum(d *Decoder) (s Sum) {
	copy(s[:], d.Fixed(len(s)))
	return s
}

// ByKeyQuery is the body of a QueryByKey, whose answer is a CopyResult without
// the keys that have no record.
type ByKeyQuery struct {
	Keys [][]byte // encoded, all of the tablet
}

// Append appends the form between nodes.
func (q *ByKeyQuery) Append(dst []byte) []byte {
	dst = AppendUvarint(dst, uint64(len(q.Keys)))
	for _, k := range q.Keys {
		dst = AppendBytes(dst, k)
	}
	return dst
}

// Decode reads what Append wrote.
func (q *ByKeyQuery) Decode(d *Decoder) {
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		q.Keys = append(q.Keys, d.key())
	}
}
