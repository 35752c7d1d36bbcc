package machine

import (
	"encoding/binary"
	"time"

	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// dedupe is the dedupe table: what makes a retried request take effect once.
//
// Every command with a request id leaves a record of its result, filed under
// the 30-second bucket of its stamp and its position, so that records are
// appended in order and whole buckets are removed by one range deletion. In
// memory there is only an index from the id's first eight bytes to the
// position: 16 bytes an id. A hit is verified against the record.
type dedupe struct {
	buckets []dedupeBucket // ascending by number; few
}

type dedupeBucket struct {
	number uint32
	index  map[uint64]Position
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
	d.buckets = append(d.buckets[:0:0], d.buckets[gone:]...)
}

// lookup returns the result recorded for the command, if it is known.
func (d *dedupe) lookup(r Reader, t model.TabletID, cmd *model.Command) (model.Result, bool, error) {
	if bugForgetRequests {
		return model.Result{}, false, nil
	}
	for i := len(d.buckets) - 1; i >= 0; i-- {
		b := &d.buckets[i]
		at, ok := b.index[shortID(cmd.ID)]
		if !ok {
			continue
		}
		value, ok, err := r.Get(keys.AppendDedupe(nil, t, b.number, at.Index, at.Ordinal))
		if err != nil {
			return model.Result{}, false, err
		}
		if !ok {
			return model.Result{}, false, model.ErrCorrupt
		}
		dec := model.NewDecoder(value)
		id, kind, resource := dec.RequestID(), model.CommandKind(dec.Byte()), model.ResourceID(dec.Uvarint())
		var res model.Result
		res.Decode(dec)
		if err := dec.Done(); err != nil {
			return model.Result{}, false, err
		}
		// Another command under the same id is another command: ids are for
		// clients to choose.
		if id == cmd.ID && kind == cmd.Kind && resource == cmd.Resource {
			return res, true, nil
		}
	}
	return model.Result{}, false, nil
}

// record files the result under the command's id.
func (d *dedupe) record(w Writer, t model.TabletID, at Position, cmd *model.Command, res *model.Result) {
	number := bucketOf(cmd.Stamp)
	value := make([]byte, 0, len(cmd.ID)+len(res.Body)+24)
	value = append(append(value, cmd.ID[:]...), byte(cmd.Kind))
	value = res.Append(model.AppendUvarint(value, uint64(cmd.Resource)))
	var key [64]byte
	w.Set(keys.AppendDedupe(key[:0], t, number, at.Index, at.Ordinal), value)
	d.insert(number, shortID(cmd.ID), at)
}

func (d *dedupe) insert(number uint32, short uint64, at Position) {
	// Stamps only grow, so the bucket is the last one or a new one.
	if n := len(d.buckets); n == 0 || d.buckets[n-1].number < number {
		d.buckets = append(d.buckets, dedupeBucket{number: number, index: map[uint64]Position{}})
	}
	d.buckets[len(d.buckets)-1].index[short] = at
}

// load rebuilds the index from the records.
func (d *dedupe) load(r Reader, t model.TabletID) error {
	d.buckets = nil
	lo, hi := keys.DedupeAll(t)
	return scan(r, lo, hi, func(key, value []byte) error {
		number, index, ordinal, ok := keys.SplitDedupe(key)
		if !ok || len(value) < 16 {
			return model.ErrCorrupt
		}
		d.insert(number, shortID(model.RequestID(value[:16])), Position{Index: index, Ordinal: ordinal})
		return nil
	})
}
