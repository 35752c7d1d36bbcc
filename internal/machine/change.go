package machine

import (
	"bytes"
	"cmp"
	"errors"
	"slices"

	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// changeLog is the tablet's change log: the ordered record of what happened to
// the items of the tables that somebody watches. Entries are numbered without a
// gap, written in the batch of the change, and removed when every reader has
// advanced behind them. What is here is derived from the stored state.
//
// Tombstones are numbered with the log. One is removed when every reader, also
// those that read no entries, has advanced behind its number: then no older
// write of its key can come any more. docs/adr/0009 has the argument.
type changeLog struct {
	tablet    model.TabletID
	readers   []reader // by id
	watches   []watch  // by reader, then table
	wanted    map[model.ResourceID]wanted
	last      model.ChangeNumber // given out
	total     uint64             // bytes of all entries, ever
	swept     model.ChangeNumber // tombstones up to this number are gone
	conflicts conflicts
	since     map[model.ResourceID]model.Stamp // watched resources; never ranged over
}

// reader is a reader and how far it has come.
type reader struct {
	id      model.ReaderID
	upTo    model.ChangeNumber
	total   uint64 // of the entry upTo
	version uint64 // of the reader's resource: what was decided from an older one is refused
	passive bool   // the tables that it watches take no writes of clients
}

// watch is what a reader wants of a table.
type watch struct {
	reader model.ReaderID
	table  model.ResourceID
	wanted wanted
}

// wanted is what the readers of a table want, all together.
type wanted struct {
	log, old, keep, passive bool
	policy                  model.Policy // that writes keep merge state for
	since                   model.Stamp  // that somebody watches it; zero: nobody does
}

const (
	watchLog  = 1
	watchOld  = 2
	watchKeep = 4
)

// of is what the readers of a table want; nothing, as a rule.
func (c *changeLog) of(table model.ResourceID) wanted {
	if len(c.wanted) == 0 {
		return wanted{}
	}
	return c.wanted[table]
}

// load rebuilds the log's state from what is stored.
func (c *changeLog) load(r Reader, t model.TabletID) error {
	*c = changeLog{tablet: t}
	var err error
	if c.last, c.total, c.readers, err = readLogState(r, t); err != nil {
		return err
	}
	lo, hi := keys.WatchesSpan(t)
	err = scan(r, lo, hi, func(key, value []byte) error {
		w, _, err := splitWatch(key, value)
		c.watches = append(c.watches, w)
		return err
	})
	if err != nil {
		return err
	}
	if c.since, err = readSince(r, t); err != nil {
		return err
	}
	c.recompute()
	return c.conflicts.load(r, t)
}

func splitWatch(key, value []byte) (w watch, note []byte, err error) {
	var ok bool
	if w.reader, w.table, ok = keys.SplitWatch(key); !ok || len(value) == 0 {
		return w, nil, model.ErrCorrupt
	}
	flags := value[0]
	w.wanted = wanted{log: flags&watchLog != 0, old: flags&watchOld != 0, keep: flags&watchKeep != 0}
	d := model.NewDecoder(value[1:])
	w.wanted.policy = d.Policy()
	return w, d.Rest(), d.Err()
}

// readLogState reads how far the numbers and the readers have come. The last
// number is the highest that is written anywhere: the log's last entry, the
// last tombstone, a reader that has read them all, or the head.
func readLogState(r Reader, t model.TabletID) (last model.ChangeNumber, total uint64, readers []reader, err error) {
	if value, ok, err := r.Get(keys.ChangeHead(t)); err != nil {
		return 0, 0, nil, err
	} else if ok {
		d := model.NewDecoder(value)
		if last, total = model.ChangeNumber(d.Uvarint()), d.Uvarint(); d.Done() != nil {
			return 0, 0, nil, model.ErrCorrupt
		}
	}
	lo, hi := keys.ReadersSpan(t)
	err = scan(r, lo, hi, func(key, value []byte) error {
		rd, err := splitReader(key, value)
		readers = append(readers, rd)
		last, total = max(last, rd.upTo), max(total, rd.total)
		return err
	})
	if err != nil || len(readers) == 0 {
		return last, total, readers, err
	}
	lo, hi = keys.TombstonesSpan(t)
	err = lastKey(r, lo, hi, func(key, _ []byte) error {
		n, ok := keys.SplitTombstone(key)
		if last = max(last, n); !ok {
			return model.ErrCorrupt
		}
		return nil
	})
	if err != nil {
		return last, total, readers, err
	}
	lo, hi = keys.ChangesSpan(t)
	err = lastKey(r, lo, hi, func(key, value []byte) error {
		e, err := splitEntry(key, value)
		last, total = max(last, e.Number), max(total, e.Total)
		return err
	})
	return last, total, readers, err
}

func splitReader(key, value []byte) (rd reader, err error) {
	var ok bool
	if rd.id, ok = keys.SplitReader(key); !ok {
		return rd, model.ErrCorrupt
	}
	d := model.NewDecoder(value)
	rd.upTo, rd.total = model.ChangeNumber(d.Uvarint()), d.Uvarint()
	rd.version, rd.passive = d.Uvarint(), d.Bool()
	return rd, d.Done()
}

func splitEntry(key, value []byte) (e model.LoggedChange, err error) {
	var ok bool
	if e.Number, ok = keys.SplitChange(key); !ok {
		return e, model.ErrCorrupt
	}
	d := model.NewDecoder(value)
	e.Decode(d)
	return e, d.Done()
}

// lastKey calls f for the last key in [lo, hi), if there is one.
func lastKey(r Reader, lo, hi []byte, f func(key, value []byte) error) error {
	it, err := r.Scan(lo, hi, true)
	if err != nil {
		return err
	}
	if it.Next() {
		if err := f(it.Key(), it.Value()); err != nil {
			_ = it.Close() // the first error is the one to report
			return err
		}
	}
	return it.Close()
}

// recompute derives what the tables' readers want all together.
func (c *changeLog) recompute() {
	c.wanted = nil
	for _, w := range c.watches {
		if c.wanted == nil {
			c.wanted = map[model.ResourceID]wanted{}
		}
		all := c.wanted[w.table]
		at, known := c.findReader(w.reader)
		c.wanted[w.table] = wanted{
			log: all.log || w.wanted.log, old: all.old || w.wanted.old, keep: all.keep || w.wanted.keep,
			passive: all.passive || known && c.readers[at].passive,
			policy:  max(all.policy, w.wanted.policy), // they differ for moments only
			since:   c.since[w.table],
		}
	}
}

// note writes down that the item under key was replaced: its entry in the log,
// and for a delete the mark of its tombstone. old is what was there before.
func (c *changeLog) note(tx *Tx, key []byte, rec *keys.ItemRecord, old *storedItem) {
	marked := rec.Tombstone && tx.wanted.keep
	if !tx.wanted.log && !marked {
		return
	}
	c.last++ // some key with the number is written below: that is how load finds it
	var buf [32]byte
	if marked {
		mark := model.AppendUvarint(rec.Version().Append(nil), uint64(tx.Command.Resource))
		tx.Set(keys.Tombstone(c.tablet, c.last), append(mark, key...))
	}
	if !tx.wanted.log {
		return
	}
	e := model.LoggedChange{Resource: tx.Command.Resource, Change: changeOf(key, rec)}
	if tx.wanted.old {
		e.HasOld = true
		if old.found {
			e.Old = old.Item
		}
	}
	c.total += uint64(len(key) + len(rec.Item) + len(e.Old) + entryOverhead)
	e.Total = c.total
	value := e.Append(make([]byte, 0, len(key)+len(rec.Item)+len(e.Old)+64))
	tx.SetNew(keys.AppendChange(buf[:0], c.tablet, c.last), value)
}

// entryOverhead is about what an entry has besides key and items, in bytes.
const entryOverhead = 32

// changeOf is the change that left a record under a key.
func changeOf(key []byte, rec *keys.ItemRecord) model.Change {
	return model.Change{
		Version: rec.Version(), History: rec.History, Merge: rec.Merge, Delete: rec.Tombstone,
		Key: key, Size: rec.Size, Item: rec.Item,
	}
}

// findReader is where a reader is among the readers, or would be.
func (c *changeLog) findReader(id model.ReaderID) (int, bool) {
	return slices.BinarySearchFunc(c.readers, id, func(r reader, id model.ReaderID) int { return cmp.Compare(r.id, id) })
}

func (c *changeLog) writeReader(w Writer, r *reader) {
	value := model.AppendUvarint(model.AppendUvarint(nil, uint64(r.upTo)), r.total)
	w.Set(keys.Reader(c.tablet, r.id), model.AppendBool(model.AppendUvarint(value, r.version), r.passive))
}

// applyWatch makes a reader watch a table, or no longer.
func applyWatch(m *Machine, tx *Tx) (model.Result, error) {
	cmd, err := bodyOf[model.Watch](tx.Command.Body)
	if err != nil || cmd.Reader == 0 {
		return model.Result{}, cmp.Or(err, model.ErrCorrupt)
	}
	if m.dropped[cmd.Reader] {
		return model.Result{Status: model.StatusGone}, nil
	}
	c := &m.changes
	r := c.reader(cmd.Reader)
	if cmd.Version < r.version {
		return model.Result{Status: model.StatusStale}, nil
	}
	r.version = cmd.Version
	c.writeReader(tx, r)
	w := watch{reader: cmd.Reader, table: tx.Command.Resource, wanted: wanted{log: cmd.Log, old: cmd.Old, keep: cmd.Keep, policy: cmd.Policy.Tracked()}}
	at, known := slices.BinarySearchFunc(c.watches, w, func(a, b watch) int {
		return cmp.Or(cmp.Compare(a.reader, b.reader), cmp.Compare(a.table, b.table))
	})
	key := keys.Watch(c.tablet, w.reader, w.table)
	if cmd.PolicyOnly {
		return model.Result{}, c.setPolicy(tx, key, at, known, w.wanted.policy)
	}
	defer c.keepSince(tx, w.table)
	switch {
	case cmd.Off && known:
		c.watches = slices.Delete(c.watches, at, at+1)
		tx.Delete(key)
	case cmd.Off:
	case known:
		c.watches[at] = w
	default:
		c.watches = slices.Insert(c.watches, at, w)
	}
	if !cmd.Off {
		flags := boolBit(cmd.Log, watchLog) | boolBit(cmd.Old, watchOld) | boolBit(cmd.Keep, watchKeep)
		tx.Set(key, append([]byte{flags, byte(cmd.Policy.Tracked())}, cmd.Note...))
	}
	return model.Result{}, nil
}

// setPolicy changes what a watch has writes remember.
func (c *changeLog) setPolicy(tx *Tx, key []byte, at int, known bool, policy model.Policy) error {
	if !known {
		return nil
	}
	value, ok, err := tx.Get(key)
	if err != nil {
		return err
	}
	if !ok || len(value) < 2 {
		return model.ErrCorrupt
	}
	value = bytes.Clone(value)
	value[1] = byte(policy)
	tx.Set(key, value)
	c.watches[at].wanted.policy = policy
	c.recompute()
	return nil
}

func boolBit(b bool, bit byte) byte {
	if b {
		return bit
	}
	return 0
}

const (
	// maxPointTrims is how many entries are removed one by one: below it, point
	// deletes cost less than a range tombstone that every later read meets.
	maxPointTrims = 20_000
	// maxSweep bounds the tombstones that one command removes.
	maxSweep = 1000
	// maxLastSweep bounds those removed when the last reader goes.
	maxLastSweep = 100_000
)

// applyAdvance moves a reader forward and removes what nobody needs any more.
func applyAdvance(m *Machine, tx *Tx) (model.Result, error) {
	cmd, err := bodyOf[model.Advance](tx.Command.Body)
	if err != nil {
		return model.Result{}, err
	}
	c := &m.changes
	at, known := c.findReader(tx.Command.Resource)
	if !known || cmd.UpTo > c.last {
		return model.Result{Status: model.StatusNotFound}, nil
	}
	before := c.floor()
	if r := &c.readers[at]; cmd.UpTo > r.upTo {
		r.upTo, r.total = cmd.UpTo, cmd.Total
		c.writeReader(tx, r)
	}
	c.trim(tx, before)
	more, err := c.sweep(tx, maxSweep)
	res := model.AdvanceResult{More: more}
	return model.Result{Body: res.Append(nil)}, err
}

// floor is the number up to which every reader has come.
func (c *changeLog) floor() model.ChangeNumber {
	floor := c.last
	for i := range c.readers {
		floor = min(floor, c.readers[i].upTo)
	}
	return floor
}

// trim removes the entries behind from that every reader has read.
func (c *changeLog) trim(w Writer, from model.ChangeNumber) {
	to := c.floor()
	if to-from > maxPointTrims {
		w.DeleteRange(keys.AppendChange(nil, c.tablet, from+1), keys.AppendChange(nil, c.tablet, to+1))
		return
	}
	var buf [32]byte
	for n := from + 1; n <= to; n++ {
		w.Delete(keys.AppendChange(buf[:0], c.tablet, n))
	}
}

// sweep removes tombstones that nobody needs any more, at most limit of them.
func (c *changeLog) sweep(tx *Tx, limit int) (more bool, err error) {
	floor := c.floor()
	if c.swept >= floor {
		return false, nil
	}
	lo, hi := keys.Tombstone(c.tablet, c.swept+1), keys.Tombstone(c.tablet, floor+1)
	err = scan(tx, lo, hi, func(key, value []byte) error {
		if limit--; limit < 0 {
			return errEnough
		}
		n, ok := keys.SplitTombstone(key)
		if !ok {
			return model.ErrCorrupt
		}
		tx.Delete(bytes.Clone(key))
		c.swept = n
		return removeTombstone(tx, value)
	})
	if errors.Is(err, errEnough) {
		return true, nil
	}
	if err == nil {
		c.swept = floor
	}
	return false, err
}

// errEnough ends a scan early.
var errEnough = errors.New("enough")

// removeTombstone removes a tombstone by its mark, unless the item was written,
// or deleted, again.
func removeTombstone(tx *Tx, mark []byte) error {
	var left model.Version
	d := model.NewDecoder(mark)
	left.Decode(d)
	table := model.ResourceID(d.Uvarint())
	key := bytes.Clone(d.Rest())
	slot, ok := slotOfItem(key)
	if d.Err() != nil || !ok {
		return model.ErrCorrupt
	}
	stored := keys.AppendItem(nil, table, slot, key)
	value, found, err := tx.Get(stored)
	if err != nil || !found {
		return err
	}
	rec, ok := keys.SplitItemRecord(value)
	if !ok {
		return model.ErrCorrupt
	}
	if !rec.Tombstone || rec.Version() != left {
		return nil
	}
	if keeps, err := keepsRivals(rec.Merge); err != nil || keeps {
		return err
	}
	tx.Delete(stored)
	return nil
}

// dropReader removes a reader and what only it wanted.
func (c *changeLog) dropReader(tx *Tx, id model.ReaderID) error {
	at, known := c.findReader(id)
	if !known {
		return nil
	}
	before := c.floor()
	tx.Delete(keys.Reader(c.tablet, id))
	lo, hi := keys.WatchesOf(c.tablet, id)
	tx.DeleteRange(lo, hi)
	c.readers = slices.Delete(c.readers, at, at+1)
	var left []model.ResourceID
	c.watches = slices.DeleteFunc(c.watches, func(w watch) bool {
		if w.reader == id {
			left = append(left, w.table)
		}
		return w.reader == id
	})
	for _, table := range left {
		c.keepSince(tx, table)
	}
	c.recompute()
	head := model.AppendUvarint(model.AppendUvarint(nil, uint64(c.last)), c.total)
	tx.Set(keys.ChangeHead(c.tablet), head)
	c.trim(tx, before)
	if len(c.readers) == 0 {
		_, err := c.sweep(tx, maxLastSweep)
		return err
	}
	return nil
}

// dropTable forgets who watched a table.
func (c *changeLog) dropTable(tx *Tx, table model.ResourceID) {
	if c.of(table) == (wanted{}) {
		return
	}
	var left []watch
	for _, w := range c.watches {
		if w.table == table {
			tx.Delete(keys.Watch(c.tablet, w.reader, table))
		} else {
			left = append(left, w)
		}
	}
	c.watches = left
	c.keepSince(tx, table)
}
