package machine

import (
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// queryUnit answers with a page of a unit, as a model.UnitChange.
func queryUnit(r Reader, q *model.Query) (model.Result, error) {
	body, err := bodyOf[model.UnitQuery](q.Body)
	if err != nil {
		return model.Result{}, err
	}
	since, ok, err := readWatched(r, body.Tablet, q.Resource)
	if err != nil || !ok {
		return model.Result{Status: model.StatusNotFound}, err
	}
	res := model.UnitChange{Page: &model.UnitPage{After: body.After}}
	used := false
	if body.Stream {
		used, err = shardUsed(r, q, body.Shard)
		if err == nil {
			err = shardPage(r, q, &body, &res)
		}
	} else {
		used, err = queuePage(r, q, &body, &res)
	}
	if err != nil {
		return model.Result{}, err
	}
	rec, err := readUnit(r, q.Resource, model.UnitKey{Slot: q.Slot, Shard: body.Shard}, since, used)
	res.Version, res.History = rec.Version, rec.History
	res.Page.Partial = rec.Partial
	if rec.Copying {
		return model.Result{Status: model.StatusStale}, err
	}
	return model.Result{Body: res.Append(nil)}, err
}

func shardUsed(r Reader, q *model.Query, number model.ShardNumber) (bool, error) {
	head, err := readShardHead(r, q.Resource, q.Slot, number)
	return head != keys.NewShardRecord(), err
}

// queuePage fills a page of a copy of a queue's slot.
func queuePage(r Reader, q *model.Query, body *model.UnitQuery, res *model.UnitChange) (used bool, err error) {
	var head keys.QueueRecord
	if err := readQueueHead(r, q.Resource, q.Slot, &head); err != nil {
		return false, err
	}
	change := model.QueueChange{NextSeq: head.NextSeq}
	res.Page.UpTo, res.Page.Last = max(body.After, head.NextSeq-1), true
	rows, err := newMessageRows(r, q.Resource, q.Slot, max(body.After+1, head.PurgedBelow))
	if err != nil {
		return false, err
	}
	size := uint64(0)
	for rows.next() {
		if size += uint64(len(rows.value)); len(change.Added) > 0 && size > body.MaxBytes {
			res.Page.UpTo, res.Page.Last = change.Added[len(change.Added)-1].Seq, false
			break
		}
		m, err := unitMessage(r, q, rows.seq, rows.value)
		if err != nil {
			_ = rows.close() // the first error is the one to report
			return false, err
		}
		change.Added = append(change.Added, m)
	}
	res.Body = change.Append(nil)
	return head != keys.QueueRecord{NextSeq: 1}, rows.close()
}

// unitMessage is a stored message as other regions hold it.
func unitMessage(r Reader, q *model.Query, seq uint64, value []byte) (u model.UnitMessage, err error) {
	var m model.Message
	u = model.UnitMessage{Seq: seq, Message: value}
	d := model.NewDecoder(u.Message)
	if m.Decode(d); d.Len() > 0 {
		u.Message = u.Message[:len(u.Message)-d.Len()]
		u.DueMs = int64(d.Uvarint())
		_, u.Scheduled, err = r.Get(keys.Timed(nil, q.Resource, q.Slot, m.ID))
	}
	if derr := d.Done(); derr != nil {
		err = derr
	}
	return u, err
}
