package machine

import (
	"bytes"
	"encoding/binary"
	"slices"
	"time"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// dedupe is the dedupe table: what makes a retried request take effect once.
//
// Every command with a request id leaves its result. Those of commands that are
// committed together share a record, which is filed under the 30-second bucket
// of their stamps and the position of the first, so that records are appended
// in order and whole buckets are removed by one range deletion. In memory there
// is only an index from an id's first eight bytes to the log entry, and each
// bucket's ids, by which they are taken out again: 20 bytes an id. A hit is
// verified against the entry's records.
type dedupe struct {
	buckets []dedupeBucket // ascending by number; few
	// index finds the last entry with an id. Entries are kept by their lower 32
	// bits: those of five minutes differ.
	index map[uint64]uint32
	twins map[uint64][]uint32 // of earlier buckets, entries with the same eight bytes; nearly always empty
	gone  []dedupeBucket      // whose ids are still to be taken out of the index
	open  openRecord
}

type dedupeBucket struct {
	number uint32
	first  model.Index // the first entry with an id in the bucket
	last   model.Index // and the last
	ids    []uint64    // first eight bytes, in the order of the log
}

// openRecord is a record that is not filed yet.
type openRecord struct {
	bucket uint32
	at     Position
	value  []byte // empty: there is none
}

const (
	bucketLength = 30 * time.Second
	// keptBuckets covers DedupeWindow whatever part of its bucket a command
	// stands at.
	keptBuckets = uint32(model.DedupeWindow/bucketLength) + 1
)

func bucketOf(s model.Stamp) uint32 { return uint32(s.Millis() / bucketLength.Milliseconds()) }

func shortID(id model.RequestID) uint64 { return binary.LittleEndian.Uint64(id[:8]) }

// expire removes the buckets that have left the window at stamp.
func (d *dedupe) expire(w Writer, t model.TabletID, stamp model.Stamp) {
	now := bucketOf(stamp)
	gone := 0
	for gone < len(d.buckets) && d.buckets[gone].number+keptBuckets < now {
		gone++
	}
	if gone == 0 {
		return
	}
	w.DeleteRange(keys.DedupeSpan(t, d.buckets[0].number, d.buckets[gone-1].number+1))
	d.gone = append(d.gone, d.buckets[:gone]...)
	d.buckets = append(d.buckets[:0:0], d.buckets[gone:]...)
}

// forgottenAtOnce is how many ids of buckets that are gone each command takes
// out of the index: more than it puts in, so that all go, and few, so that none
// waits for it.
const forgottenAtOnce = 4

// forget takes some ids of buckets that are gone out of the index.
func (d *dedupe) forget() {
	for n := 0; n < forgottenAtOnce && len(d.gone) > 0; n++ {
		b := &d.gone[0]
		last := len(b.ids) - 1
		if last < 0 {
			d.gone = append(d.gone[:0:0], d.gone[1:]...)
			continue
		}
		short := b.ids[last]
		b.ids = b.ids[:last]
		if at, ok := d.index[short]; ok && len(d.bucketsOf(at)) == 0 {
			delete(d.index, short)
			delete(d.twins, short) // they are older
		}
	}
}

// entry is the entry whose lower bits the index keeps.
func (d *dedupe) entry(at uint32) model.Index {
	last := d.buckets[len(d.buckets)-1].last
	return last - model.Index(uint32(last)-at)
}

// bucketsOf are the buckets that may hold records of an entry: one, or more when
// the time went from one to the next within it. None when it is forgotten.
func (d *dedupe) bucketsOf(at uint32) []dedupeBucket {
	if len(d.buckets) == 0 {
		return nil
	}
	index := d.entry(at)
	from := slices.IndexFunc(d.buckets, func(b dedupeBucket) bool { return b.last >= index })
	if from < 0 || d.buckets[from].first > index {
		return nil
	}
	to := from + 1
	for to < len(d.buckets) && d.buckets[to].first == index {
		to++
	}
	return d.buckets[from:to]
}

// lookup returns the result recorded for the command, if it is known.
func (d *dedupe) lookup(r Reader, t model.TabletID, cmd *model.Command) (res model.Result, ok bool, err error) {
	if base.Bug("dedupe") {
		return model.Result{}, false, nil
	}
	short := shortID(cmd.ID)
	at, hit := d.index[short]
	if !hit {
		return model.Result{}, false, nil
	}
	if res, ok, err = d.verify(r, t, at, cmd); ok || err != nil {
		return res, ok, err
	}
	for _, at := range d.twins[short] {
		if res, ok, err = d.verify(r, t, at, cmd); ok || err != nil {
			return res, ok, err
		}
	}
	return model.Result{}, false, nil
}

// verify looks for the command in the records of an entry, unless it is
// forgotten.
func (d *dedupe) verify(r Reader, t model.TabletID, at uint32, cmd *model.Command) (res model.Result, ok bool, err error) {
	look := func(value []byte) error {
		return eachSeen(bytes.Clone(value), func(s *seenCommand) { // the result outlives the value
			// Another command under the same id is another command: ids are for
			// clients to choose.
			if s.id == cmd.ID && s.kind == cmd.Kind && s.resource == cmd.Resource {
				res, ok = s.result, true
			}
		})
	}
	buckets, records := d.bucketsOf(at), 0
	if len(buckets) == 0 {
		return res, false, nil
	}
	index := d.entry(at)
	if len(d.open.value) > 0 && d.open.at.Index == index {
		records++
		if err := look(d.open.value); err != nil {
			return res, false, err
		}
	}
	for _, b := range buckets {
		lo, hi := keys.AppendDedupe(nil, t, b.number, index, 0), keys.AppendDedupe(nil, t, b.number, index+1, 0)
		err := scan(r, lo, hi, func(_, value []byte) error {
			records++
			return look(value)
		})
		if err != nil {
			return res, false, err
		}
	}
	if records == 0 {
		return res, false, model.ErrCorrupt
	}
	return res, ok, nil
}

// seenCommand is what a record says of one command.
type seenCommand struct {
	id       model.RequestID
	kind     model.CommandKind
	resource model.ResourceID
	result   model.Result
}

// eachSeen calls f for each command of a record.
func eachSeen(record []byte, f func(*seenCommand)) error {
	if len(record) == 0 {
		return model.ErrCorrupt
	}
	for d := model.NewDecoder(record); d.Len() > 0; {
		s := seenCommand{id: d.RequestID(), kind: model.CommandKind(d.Byte()), resource: model.ResourceID(d.Uvarint())}
		s.result.Decode(d)
		if err := d.Err(); err != nil {
			return err
		}
		f(&s)
	}
	return nil
}

// maxOpenBytes is the size at which a record is filed although more commands
// follow.
const maxOpenBytes = 64 << 10

// record notes the result under the command's id.
func (d *dedupe) record(w Writer, t model.TabletID, at Position, cmd *model.Command, res *model.Result) {
	bucket := bucketOf(cmd.Stamp)
	if d.open.bucket != bucket || len(d.open.value) > maxOpenBytes {
		d.file(w, t)
	}
	if len(d.open.value) == 0 {
		d.open.bucket, d.open.at = bucket, at
	}
	value := append(append(d.open.value, cmd.ID[:]...), byte(cmd.Kind))
	d.open.value = res.Append(model.AppendUvarint(value, uint64(cmd.Resource)))
	d.insert(bucket, shortID(cmd.ID), at.Index)
}

// file writes the open record.
func (d *dedupe) file(w Writer, t model.TabletID) {
	if len(d.open.value) == 0 {
		return
	}
	var key [32]byte
	w.Set(keys.AppendDedupe(key[:0], t, d.open.bucket, d.open.at.Index, d.open.at.Ordinal), d.open.value)
	d.open.value = d.open.value[:0]
	if cap(d.open.value) > 2*maxOpenBytes {
		d.open.value = nil // one large result is no reason to keep its room
	}
}

func (d *dedupe) insert(bucket uint32, short uint64, at model.Index) {
	// Stamps only grow, so the bucket is the last one or a new one.
	if n := len(d.buckets); n == 0 || d.buckets[n-1].number < bucket {
		d.buckets = append(d.buckets, dedupeBucket{number: bucket, first: at})
	}
	if d.index == nil {
		d.index, d.twins = map[uint64]uint32{}, map[uint64][]uint32{}
	}
	b := &d.buckets[len(d.buckets)-1]
	b.last = at
	b.ids = append(b.ids, short)
	if earlier, ok := d.index[short]; ok {
		d.noteTwin(bucket, short, earlier)
	}
	d.index[short] = uint32(at)
	d.forget()
}

// noteTwin keeps an entry that the index finds no more: one for each bucket that
// is not forgotten, whatever ids clients choose.
func (d *dedupe) noteTwin(bucket uint32, short uint64, earlier uint32) {
	twins := slices.DeleteFunc(d.twins[short], func(at uint32) bool { return len(d.bucketsOf(at)) == 0 })
	if of := d.bucketsOf(earlier); len(of) > 0 && of[len(of)-1].number != bucket {
		twins = append(twins, earlier)
	}
	if len(twins) > 0 {
		d.twins[short] = twins
	} else {
		delete(d.twins, short)
	}
}

// load rebuilds the index from the records.
func (d *dedupe) load(r Reader, t model.TabletID) error {
	*d = dedupe{}
	lo, hi := keys.DedupeAll(t)
	return scan(r, lo, hi, func(key, value []byte) error {
		bucket, index, _, ok := keys.SplitDedupe(key)
		if !ok {
			return model.ErrCorrupt
		}
		return eachSeen(value, func(s *seenCommand) { d.insert(bucket, shortID(s.id), index) })
	})
}
