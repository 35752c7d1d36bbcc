package model

import "time"

// The bodies of commands and queries on the change log and of their results;
// docs/format/change.md has the bytes. After decoding, slices share memory with
// the decoder's input.

// Commands on the change log. CmdWatch and CmdApplyChanges are on a table,
// CmdAdvance and CmdRole are on the reader, under its resource id.
const (
	CmdWatch        CommandKind = 96 // a reader begins or ends to read a table's changes
	CmdAdvance      CommandKind = 97 // a reader has read up to a number
	CmdApplyChanges CommandKind = 98 // changes that another region made
	CmdRole         CommandKind = 99 // whether the tables that a reader watches take writes of clients

	CmdTellConflicts CommandKind = 110 // conflicts are in their queues; on no resource
)

// Queries of the change log. Their bodies name the tablet, since they read what
// is private to it.
const (
	QueryChanges   QueryKind = 96 // entries behind a number
	QueryReader    QueryKind = 97 // where a reader is
	QueryCopy      QueryKind = 98 // a table's records as they are, for a first copy
	QueryConflicts QueryKind = 99 // the losers of conflicts
)

// Watch is the body of a CmdWatch. A reader begins behind the last change that
// there is when it watches its first table. A repeated CmdWatch replaces what
// the reader wants of the table, and its note.
type Watch struct {
	Reader ReaderID
	// Version is that of the reader's resource in the catalog, from which the
	// watch was decided. One of an older version than the tablet has seen answers
	// StatusStale: a worker that was overtaken changes nothing any more.
	Version uint64
	Off     bool
	// Log asks for entries of the change log; without it the reader only holds
	// tombstones until it has advanced behind them.
	Log bool
	Old bool // entries shall tell what was there before
	// Keep makes deletes leave tombstones and writes know what they replace: the
	// table is written in other regions, too.
	Keep bool
	// Policy is what local writes have to remember of attributes and members, so
	// that conflicts can be resolved by it; see Policy.Tracked.
	Policy Policy
	// PolicyOnly leaves everything else as it is, where the reader watches the
	// table, and does nothing where it does not.
	PolicyOnly bool
	Note       []byte // the reader's own, at most MaxNoteBytes
}

// MaxNoteBytes bounds what a reader may leave at a watched table: a key and a
// few numbers.
const MaxNoteBytes = 8 << 10

// Append appends the stored form.
func (w *Watch) Append(dst []byte) []byte {
	dst = AppendUvarint(AppendUvarint(dst, uint64(w.Reader)), w.Version)
	dst = append(dst, packFlags(w.Off, w.Log, w.Old)|packFlags(w.Keep, w.PolicyOnly, false)<<3, byte(w.Policy))
	return AppendBytes(dst, w.Note)
}

// Decode reads what Append wrote.
func (w *Watch) Decode(d *Decoder) {
	w.Reader, w.Version = ReaderID(d.Uvarint()), d.Uvarint()
	flags := d.Byte()
	if flags > 31 {
		d.Fail()
	}
	w.Off, w.Log, w.Old, w.Keep, w.PolicyOnly = flags&1 != 0, flags&2 != 0, flags&4 != 0, flags&8 != 0, flags&16 != 0
	w.Policy = d.Policy()
	if w.Note = d.Bytes(); len(w.Note) > MaxNoteBytes {
		d.Fail()
	}
}

// Role is the body of a CmdRole. Version is as in Watch. While a reader is
// passive, all tables that it watches in the tablet answer StatusPassive to
// writes of clients and pipes; what other regions wrote is applied. A reader
// that the tablet does not know begins as with its first CmdWatch.
type Role struct {
	Version uint64
	Passive bool
}

// Append appends the stored form.
func (r *Role) Append(dst []byte) []byte { return AppendBool(AppendUvarint(dst, r.Version), r.Passive) }

// Decode reads what Append wrote.
func (r *Role) Decode(d *Decoder) { r.Version, r.Passive = d.Uvarint(), d.Bool() }

// Advance is the body of a CmdAdvance. Going back is refused by doing nothing.
type Advance struct {
	UpTo  ChangeNumber // at most the last change of the tablet
	Total uint64       // of the entry UpTo
}

// Append appends the stored form.
func (a *Advance) Append(dst []byte) []byte {
	return AppendUvarint(AppendUvarint(dst, uint64(a.UpTo)), a.Total)
}

// Decode reads what Append wrote.
func (a *Advance) Decode(d *Decoder) { a.UpTo, a.Total = ChangeNumber(d.Uvarint()), d.Uvarint() }

// AdvanceResult is the body of a CmdAdvance's result. More asks for the same
// command again: there are more tombstones to remove than one command may.
type AdvanceResult struct {
	More bool
}

// Append appends the stored form.
func (a *AdvanceResult) Append(dst []byte) []byte { return AppendBool(dst, a.More) }

// Decode reads what Append wrote.
func (a *AdvanceResult) Decode(d *Decoder) { a.More = d.Bool() }

// ApplyChanges is the body of a CmdApplyChanges: changes of one table that all
// belong to the tablet. They name regions as regions do among each other; Self
// is this one. StatusStale says that a key belongs to another tablet and
// nothing was done.
type ApplyChanges struct {
	Self    RegionID
	Policy  Policy
	Rank    []RegionID // of PolicyRegions: the first wins
	Keys    []string   // names of the table's key attributes
	Changes []Change
}

// Merges reports whether the policy needs more of a change than its version.
func (a *ApplyChanges) Merges() bool {
	return a.Policy != PolicyLastWriter && a.Policy != PolicyQueue
}

// Append appends the stored form.
func (a *ApplyChanges) Append(dst []byte) []byte {
	dst = append(AppendUvarint(dst, uint64(a.Self)), byte(a.Policy))
	if a.Policy == PolicyRegions {
		dst = AppendUvarint(dst, uint64(len(a.Rank)))
		for _, r := range a.Rank {
			dst = AppendUvarint(dst, uint64(r))
		}
	}
	if a.Policy.Tracked() != PolicyLastWriter {
		dst = AppendUvarint(dst, uint64(len(a.Keys)))
		for _, k := range a.Keys {
			dst = AppendString(dst, k)
		}
	}
	return AppendChanges(dst, a.Changes)
}

// AppendChanges appends a list of changes.
func AppendChanges(dst []byte, cs []Change) []byte {
	dst = AppendUvarint(dst, uint64(len(cs)))
	for i := range cs {
		dst = cs[i].Append(dst)
	}
	return dst
}

// DecodeChanges reads what AppendChanges wrote.
func DecodeChanges(d *Decoder) (cs []Change) {
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		var c Change
		c.Decode(d)
		cs = append(cs, c)
	}
	return cs
}

// Decode reads what Append wrote.
func (a *ApplyChanges) Decode(d *Decoder) {
	a.Self, a.Policy = RegionID(d.Uvarint()), d.Policy()
	if a.Self == 0 {
		d.Fail()
	}
	if a.Policy == PolicyRegions {
		for n := d.Count(); n > 0 && d.Err() == nil; n-- {
			a.Rank = append(a.Rank, RegionID(d.Uvarint()))
		}
	}
	if a.Policy.Tracked() != PolicyLastWriter {
		for n := d.Count(); n > 0 && d.Err() == nil; n-- {
			a.Keys = append(a.Keys, d.String())
		}
	}
	a.Changes = DecodeChanges(d)
}

// ApplyChangesResult is the body of the result: what became of the changes.
type ApplyChangesResult struct {
	Applied   uint64 // took effect, wholly or in part
	Known     uint64 // were known already
	Conflicts uint64 // met a write that did not know of them, nor they of it
}

// Append appends the stored form.
func (a *ApplyChangesResult) Append(dst []byte) []byte {
	return AppendUvarint(AppendUvarint(AppendUvarint(dst, a.Applied), a.Known), a.Conflicts)
}

// Decode reads what Append wrote.
func (a *ApplyChangesResult) Decode(d *Decoder) {
	a.Applied, a.Known, a.Conflicts = d.Uvarint(), d.Uvarint(), d.Uvarint()
}

// ChangesQuery is the body of a QueryChanges: entries of the tablet behind
// After, as many as fit into MaxBytes, at least one.
type ChangesQuery struct {
	Tablet   TabletID
	After    ChangeNumber
	MaxBytes uint64
}

// Append appends the form between nodes.
func (q *ChangesQuery) Append(dst []byte) []byte {
	return AppendUvarint(AppendUvarint(AppendUvarint(dst, uint64(q.Tablet)), uint64(q.After)), q.MaxBytes)
}

// Decode reads what Append wrote.
func (q *ChangesQuery) Decode(d *Decoder) {
	q.Tablet, q.After, q.MaxBytes = TabletID(d.Uvarint()), ChangeNumber(d.Uvarint()), d.Uvarint()
}

// ChangesResult is the answer to a QueryChanges.
type ChangesResult struct {
	Changes []LoggedChange
}

// Append appends the form between nodes.
func (r *ChangesResult) Append(dst []byte) []byte {
	dst = AppendUvarint(dst, uint64(len(r.Changes)))
	for i := range r.Changes {
		c := &r.Changes[i]
		dst = c.Append(AppendUvarint(dst, uint64(c.Number)))
	}
	return dst
}

// Decode reads what Append wrote.
func (r *ChangesResult) Decode(d *Decoder) {
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		c := LoggedChange{Number: ChangeNumber(d.Uvarint())}
		c.Decode(d)
		r.Changes = append(r.Changes, c)
	}
}

// ReaderQuery is the body of a QueryReader.
type ReaderQuery struct {
	Tablet TabletID
	Reader ReaderID
}

// Append appends the form between nodes.
func (q *ReaderQuery) Append(dst []byte) []byte {
	return AppendUvarint(AppendUvarint(dst, uint64(q.Tablet)), uint64(q.Reader))
}

// Decode reads what Append wrote.
func (q *ReaderQuery) Decode(d *Decoder) {
	q.Tablet, q.Reader = TabletID(d.Uvarint()), ReaderID(d.Uvarint())
}

// ReaderState is the answer to a QueryReader.
type ReaderState struct {
	Last      ChangeNumber // of the tablet
	LastTotal uint64
	UpTo      ChangeNumber // the reader has read this one and all before
	Total     uint64       // of UpTo
	Next      Stamp        // of the first entry behind UpTo; zero when there is none
	Conflicts uint64       // ever counted in the tablet
	Version   uint64       // of the reader's resource, the newest that it was told of
	Passive   bool         // the tables take no writes of clients
	Tables    []WatchedTable
}

// WatchedTable is a table that a reader watches.
type WatchedTable struct {
	Table  ResourceID
	Log    bool
	Policy Policy
	Note   []byte
}

// Copied reports whether the note of a link, which is the reader, says that the
// first copy of the table is done: docs/format/region.md.
func (w *WatchedTable) Copied() bool { return len(w.Note) > 0 && w.Note[0] == 1 }

// Append appends the form between nodes.
func (s *ReaderState) Append(dst []byte) []byte {
	for _, v := range []uint64{uint64(s.Last), s.LastTotal, uint64(s.UpTo), s.Total, uint64(s.Next), s.Conflicts, s.Version} {
		dst = AppendUvarint(dst, v)
	}
	dst = AppendUvarint(AppendBool(dst, s.Passive), uint64(len(s.Tables)))
	for i := range s.Tables {
		t := &s.Tables[i]
		dst = AppendBytes(append(AppendBool(AppendUvarint(dst, uint64(t.Table)), t.Log), byte(t.Policy)), t.Note)
	}
	return dst
}

// Decode reads what Append wrote.
func (s *ReaderState) Decode(d *Decoder) {
	s.Last, s.LastTotal = ChangeNumber(d.Uvarint()), d.Uvarint()
	s.UpTo, s.Total = ChangeNumber(d.Uvarint()), d.Uvarint()
	s.Next, s.Conflicts = Stamp(d.Uvarint()), d.Uvarint()
	s.Version, s.Passive = d.Uvarint(), d.Bool()
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		s.Tables = append(s.Tables, WatchedTable{ResourceID(d.Uvarint()), d.Bool(), d.Policy(), d.Bytes()})
	}
}

// CopyQuery is the body of a QueryCopy: the records of a table, tombstones
// included, in slots [LoSlot, HiSlot) behind the key After.
type CopyQuery struct {
	LoSlot, HiSlot uint32
	After          []byte // encoded; empty: from the beginning
	MaxBytes       uint64 // at least one record is read
}

// Append appends the form between nodes.
func (q *CopyQuery) Append(dst []byte) []byte {
	dst = AppendUvarint(AppendUvarint(dst, uint64(q.LoSlot)), uint64(q.HiSlot))
	return AppendUvarint(AppendBytes(dst, q.After), q.MaxBytes)
}

// Decode reads what Append wrote.
func (q *CopyQuery) Decode(d *Decoder) {
	lo, hi := d.Uvarint(), d.Uvarint()
	if lo > hi || hi > SlotCount {
		d.Fail()
	}
	q.LoSlot, q.HiSlot = uint32(lo), uint32(hi)
	q.After, q.MaxBytes = d.Bytes(), d.Uvarint()
}

// CopyResult is the answer to a QueryCopy.
type CopyResult struct {
	Changes []Change // each record as the change that wrote it
	More    bool
}

// Append appends the form between nodes.
func (r *CopyResult) Append(dst []byte) []byte {
	return AppendChanges(AppendBool(dst, r.More), r.Changes)
}

// Decode reads what Append wrote.
func (r *CopyResult) Decode(d *Decoder) {
	r.More = d.Bool()
	r.Changes = DecodeChanges(d)
}

// Conflict is one conflict that was resolved. Merge policies keep parts of both
// writes; then Loser is the one with the lower version, or of the region that is
// named later.
type Conflict struct {
	Number   uint64 // in its tablet, from 1
	Resource ResourceID
	Policy   Policy
	At       Stamp // when it was resolved here
	Winner   Change
	Loser    Change // of the same key
}

// Append appends the stored form.
func (c *Conflict) Append(dst []byte) []byte {
	dst = AppendUvarint(AppendUvarint(dst, c.Number), uint64(c.Resource))
	dst = AppendUvarint(append(dst, byte(c.Policy)), uint64(c.At))
	return c.Loser.Append(c.Winner.Append(dst))
}

// Decode reads what Append wrote.
func (c *Conflict) Decode(d *Decoder) {
	c.Number, c.Resource = d.Uvarint(), ResourceID(d.Uvarint())
	c.Policy, c.At = d.Policy(), Stamp(d.Uvarint())
	c.Winner.Decode(d)
	c.Loser.Decode(d)
}

// ConflictsHead is what a tablet knows of its conflicts besides them.
type ConflictsHead struct {
	Counted uint64 // ever
	Told    uint64 // up to this number those of PolicyQueue are in their queues
}

// Append appends the stored form.
func (h *ConflictsHead) Append(dst []byte) []byte {
	return AppendUvarint(AppendUvarint(dst, h.Counted), h.Told)
}

// Decode reads what Append wrote.
func (h *ConflictsHead) Decode(d *Decoder) { h.Counted, h.Told = d.Uvarint(), d.Uvarint() }

// Bounds of what a tablet keeps of conflicts: enough to look at after an
// incident. The count goes on.
const (
	MaxConflicts     = 1000
	MaxConflictBytes = 64 << 20
	// ConflictLife is how long one is kept at least while there is room: those that
	// are older go when the next one comes, or when one was told to a queue.
	ConflictLife = 30 * 24 * time.Hour
)

// TellConflicts is the body of a CmdTellConflicts: the conflicts of the tablet
// up to a number are in the queues that their tables name.
type TellConflicts struct{ UpTo uint64 }

// Append appends the stored form.
func (t *TellConflicts) Append(dst []byte) []byte { return AppendUvarint(dst, t.UpTo) }

// Decode reads what Append wrote.
func (t *TellConflicts) Decode(d *Decoder) { t.UpTo = d.Uvarint() }

// ConflictsQuery is the body of a QueryConflicts: conflicts of the tablet
// behind a number.
type ConflictsQuery struct {
	Tablet   TabletID
	After    uint64
	MaxBytes uint64
}

// Append appends the form between nodes.
func (q *ConflictsQuery) Append(dst []byte) []byte {
	return AppendUvarint(AppendUvarint(AppendUvarint(dst, uint64(q.Tablet)), q.After), q.MaxBytes)
}

// Decode reads what Append wrote.
func (q *ConflictsQuery) Decode(d *Decoder) {
	q.Tablet, q.After, q.MaxBytes = TabletID(d.Uvarint()), d.Uvarint(), d.Uvarint()
}

// ConflictsResult is the answer.
type ConflictsResult struct {
	Head      ConflictsHead
	Conflicts []Conflict
}

// Append appends the form between nodes.
func (r *ConflictsResult) Append(dst []byte) []byte {
	dst = AppendUvarint(r.Head.Append(dst), uint64(len(r.Conflicts)))
	for i := range r.Conflicts {
		dst = r.Conflicts[i].Append(dst)
	}
	return dst
}

// Decode reads what Append wrote.
func (r *ConflictsResult) Decode(d *Decoder) {
	r.Head.Decode(d)
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		var c Conflict
		c.Decode(d)
		r.Conflicts = append(r.Conflicts, c)
	}
}
