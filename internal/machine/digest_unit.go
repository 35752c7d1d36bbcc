package machine

import (
	"bytes"
	"errors"
	"math"

	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// What is compared of a queue are its messages as they were sent: who has one in
// flight, how often it was received and whether it is dead are not shipped, and
// the queue that a message died in has another id in each region. Of a shard it
// is its records, under their numbers and with their arrival, and where groups
// stand; pipes' positions are not shipped.

// thing is what one place of a unit holds.
type thing struct {
	place []byte
	sum   model.Sum
	mark  uint64 // as in model.Looked
	id    model.MessageID
	size  int // as it is stored
}

// eachOfUnit calls take for what a unit holds from a place on, in order.
func eachOfUnit(r Reader, q *model.Query, kind model.ResourceKind, shard model.ShardNumber, from []byte, take func(*thing) error) error {
	if kind == model.KindQueue {
		return eachMessage(r, q, from, take)
	}
	record, group, ok := model.SplitShardPlace(from)
	if !ok && len(from) > 0 {
		return model.ErrCorrupt
	}
	if record == 0 {
		if err := eachPosition(r, q, shard, group, take); err != nil {
			return err
		}
	}
	return eachRecord(r, q, shard, record, take)
}

func eachMessage(r Reader, q *model.Query, from []byte, take func(*thing) error) error {
	seq, ok := model.SplitQueuePlace(from)
	if !ok && len(from) > 0 {
		return model.ErrCorrupt
	}
	var head keys.QueueRecord
	if err := readQueueHead(r, q.Resource, q.Slot, &head); err != nil {
		return err
	}
	rows, err := newMessageRows(r, q.Resource, q.Slot, max(seq, head.PurgedBelow))
	if err != nil {
		return err
	}
	for rows.next() {
		if err := take(messageThing(rows.seq, rows.value)); err != nil {
			_ = rows.close() // the first error is the one to report
			return err
		}
	}
	return rows.close()
}

// messageThing is a stored message. One that cannot be read is what it is: it
// differs from every other.
func messageThing(seq uint64, value []byte) *thing {
	t := &thing{place: model.QueuePlace(seq), size: len(value) + len("m") + 8}
	var m model.Message
	if _, err := decodeMessage(value, &m); err == nil {
		if t.id = m.ID; m.DeadFrom != 0 {
			due := value[len(m.Append(nil)):]
			m.DeadFrom = 1
			value = append(m.Append(nil), due...)
		}
	}
	t.sum = sumOf(t.place, value)
	return t
}

func eachPosition(r Reader, q *model.Query, shard model.ShardNumber, from string, take func(*thing) error) error {
	lo, hi := keys.GroupPositions(q.Resource, q.Slot, shard)
	if from != "" {
		lo = keys.GroupPosition(nil, q.Resource, q.Slot, shard, from)
	}
	return scan(r, lo, hi, func(key, value []byte) error {
		group := key[len(hi):]
		if len(group) == 0 || group[0] == 0 {
			return nil // a pipe's
		}
		return take(positionThing(string(group), value))
	})
}

func positionThing(group string, value []byte) *thing {
	t := &thing{place: model.PositionPlace(group), size: len(value)}
	p, err := bodyOf[model.Position](value)
	if err != nil {
		t.sum = sumOf(t.place, value)
		return t
	}
	t.sum, t.mark = sumOf(t.place, model.AppendUvarint(model.AppendString(nil, p.Group), p.N)), p.Generation
	return t
}

// eachRecord takes the records from a number on, also such as are outside of what
// the shard's head says is there.
func eachRecord(r Reader, q *model.Query, shard model.ShardNumber, from uint64, take func(*thing) error) error {
	s, err := openRecords(r, q, shard)
	if err != nil {
		return err
	}
	if from > 0 {
		b, ok, err := s.first(0, from+1, true) // the block that may hold it
		if err != nil {
			return err
		}
		if ok {
			return s.eachRecordFrom(b.First, from, take)
		}
	}
	return s.eachRecordFrom(0, from, take)
}

func (s *records) eachRecordFrom(block, from uint64, take func(*thing) error) error {
	it, err := s.scan(block, math.MaxUint64, false)
	if err != nil {
		return err
	}
	for it.Next() {
		id, ok := keys.SplitBlock(it.Key())
		if !ok {
			_ = it.Close() // the first error is the one to report
			return model.ErrCorrupt
		}
		if err := eachInBlock(&id, it.Value(), from, take); err != nil {
			_ = it.Close()
			return err
		}
	}
	return it.Close()
}

// eachInBlock takes a block's records from a number on. A block that cannot be
// read is one record.
func eachInBlock(id *keys.BlockID, value []byte, from uint64, take func(*thing) error) error {
	of := model.AppendUvarint(model.AppendUvarint(model.AppendUvarint(nil, id.First), uint64(id.ArrivalMs)), id.Before)
	batch, err := model.ParseRecordBatch(value)
	if err != nil || batch.Len() == 0 {
		if id.First < from {
			return nil
		}
		place := model.RecordPlace(id.First)
		return take(&thing{place: place, sum: sumOf(place, of, value), mark: uint64(id.ArrivalMs), size: len(value)})
	}
	for i := range batch.Len() {
		n := id.First + uint64(i)
		if n < from {
			continue
		}
		place, stored := model.RecordPlace(n), batch.Stored(i)
		if err := take(&thing{place: place, sum: sumOf(place, of, stored), mark: uint64(id.ArrivalMs), size: len(stored) + 4}); err != nil {
			return err
		}
	}
	return nil
}

// lookAtUnit tells what is held at places of a unit, and how far it has come.
func lookAtUnit(r Reader, q *model.Query, query *model.LookQuery) (model.Result, error) {
	since, ok, err := readWatched(r, query.Tablet, q.Resource)
	if err != nil || !ok {
		return model.Result{Status: model.StatusNotFound}, err
	}
	res := model.LookResult{Looked: make([]model.Looked, len(query.Places))}
	for i, place := range query.Places {
		err := eachOfUnit(r, q, query.Kind, query.Shard, place, func(t *thing) error {
			if bytes.Equal(t.place, place) {
				res.Looked[i] = model.Looked{Held: model.HeldThing, Sum: t.sum, Mark: t.mark, ID: t.id}
			}
			return errEnough
		})
		if err != nil && !errors.Is(err, errEnough) {
			return model.Result{}, err
		}
	}
	used := false
	if query.Kind == model.KindQueue {
		var head keys.QueueRecord
		err = readQueueHead(r, q.Resource, q.Slot, &head)
		counts := queueCounts(&head)
		used, res.Unit.Sum = head != keys.QueueRecord{NextSeq: 1}, sumOf(counts.Append(nil))
	} else {
		var head keys.ShardRecord
		head, err = readShardHead(r, q.Resource, q.Slot, query.Shard)
		head.Groups = 0 // pipes' count, too
		used, res.Unit.Sum = head != keys.NewShardRecord(), sumOf(head.Append(nil))
	}
	if err != nil {
		return model.Result{}, err
	}
	rec, err := readUnit(r, q.Resource, model.UnitKey{Slot: q.Slot, Shard: query.Shard}, since, used)
	res.Unit.Version, res.Unit.History, res.Unit.Copying = rec.Version, rec.History, rec.Copying
	return model.Result{Body: res.Append(nil)}, err
}

// queueCounts is what a queue's slot counts, wherever its messages are.
func queueCounts(h *keys.QueueRecord) model.QueueCount {
	return model.QueueCount{Messages: h.Visible + h.Delayed + h.InFlight + h.Claimed + h.Dead + h.Unfiled, Bytes: h.Bytes}
}

// readWatched reads since when a resource is watched in a tablet; false when it
// is not.
func readWatched(r Reader, t model.TabletID, id model.ResourceID) (since model.Stamp, ok bool, err error) {
	value, ok, err := r.Get(keys.Since(t, id))
	if err != nil || !ok {
		return 0, false, err
	}
	d := model.NewDecoder(value)
	since = model.Stamp(d.Uvarint())
	return since, true, d.Done()
}
