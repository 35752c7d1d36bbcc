package machine

import (
	"bytes"
	"crypto/sha256"
	"errors"

	"weir.dev/weir/internal/expr"
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// digesting is a QueryDigest under way: it takes what there is in the order of
// places and divides it into ranges.
type digesting struct {
	query *model.DigestQuery
	res   model.DigestResult
	run   model.DigestRun // where it stands
	size  uint64          // bytes that were read
}

func queryDigest(r Reader, q *model.Query) (model.Result, error) {
	query, err := bodyOf[model.DigestQuery](q.Body)
	if err != nil {
		return model.Result{}, err
	}
	dg := &digesting{query: &query}
	if query.Kind == model.KindTable {
		err = dg.table(r, q)
	} else {
		err = eachOfUnit(r, q, query.Kind, query.Shard, query.Lo, func(t *thing) error {
			if !model.Within(t.place, query.Hi) {
				return errEnough
			}
			return dg.add(t.place, &t.sum, t.size)
		})
	}
	if err != nil && !errors.Is(err, errEnough) {
		return model.Result{}, err
	}
	dg.finish()
	dg.res.Bytes = dg.size
	return model.Result{Body: dg.res.Append(nil)}, nil
}

// table takes a table's items.
func (dg *digesting) table(r Reader, q *model.Query) error {
	fits, err := newFitting(dg.query.Condition)
	if err != nil {
		return err
	}
	lo, hi, err := itemSpan(q.Resource, dg.query.Lo, dg.query.Hi)
	if err != nil || string(lo) >= string(hi) {
		return err
	}
	return scan(r, lo, hi, func(key, value []byte) error {
		_, slot, rest, isItem := keys.SplitItem(key)
		if !isItem {
			return nil // a pipe's record lies between the slots' items
		}
		rec, ok := keys.SplitItemRecord(value)
		if !ok {
			return model.ErrCorrupt
		}
		place := model.ItemPlace(slot, rest)
		held, err := fits.held(&rec)
		if err != nil || held != model.HeldThing {
			return errors.Join(err, dg.pass(place, len(key)+len(value)))
		}
		sum := sumOf(rest, rec.Item)
		return dg.add(place, &sum, len(key)+len(value))
	})
}

// itemSpan is the span of a table's items at the places in [lo, hi).
func itemSpan(table model.ResourceID, lo, hi []byte) (from, to []byte, err error) {
	loSlot, loKey, ok := model.SplitItemPlace(lo)
	hiSlot, hiKey, ok2 := model.SplitItemPlace(hi)
	if !ok || !ok2 {
		return nil, nil, model.ErrCorrupt
	}
	from, to = keys.ResourceSpan(table, uint32(loSlot), model.SlotCount)
	if len(loKey) > 0 {
		from = keys.AppendItem(nil, table, loSlot, loKey)
	}
	if len(hiKey) > 0 {
		to = keys.AppendItem(nil, table, hiSlot, hiKey)
	} else if len(hi) > 0 {
		to, _ = keys.ResourceSpan(table, uint32(hiSlot), model.SlotCount)
	}
	return from, to, nil
}

// pass counts what was read without being taken.
func (dg *digesting) pass(place []byte, size int) error {
	if dg.size > dg.query.MaxBytes {
		dg.res.Next = place
		return errEnough
	}
	dg.size += uint64(size)
	return nil
}

// add takes what is at a place.
func (dg *digesting) add(place []byte, sum *model.Sum, size int) error {
	if err := dg.pass(place, size); err != nil {
		return err
	}
	q, listed := dg.query, false
	if len(q.Ends) == 0 {
		if q.Grain > 0 && dg.run.Items >= q.Grain {
			dg.end(place)
		}
		listed = dg.run.Items < q.List
	} else {
		for dg.at() != nil && !model.Within(place, dg.at().Hi) {
			dg.end(dg.at().Hi)
		}
		if dg.at() == nil {
			return model.ErrCorrupt
		}
		listed = dg.at().Listed
	}
	dg.run.Items++
	dg.run.Sum.Add(sum)
	if listed {
		dg.run.Keys = append(dg.run.Keys, model.KeySum{Place: bytes.Clone(place), Sum: *sum})
	}
	return nil
}

// at is the range in which the digest stands, of those that were asked for; nil
// behind the last.
func (dg *digesting) at() *model.DigestEnd {
	if n := len(dg.res.Runs); n < len(dg.query.Ends) {
		return &dg.query.Ends[n]
	}
	return nil
}

// end ends the range in which the digest stands.
func (dg *digesting) end(hi []byte) {
	run := dg.run
	run.Hi, run.Listed = bytes.Clone(hi), uint64(len(run.Keys)) == run.Items
	if at := dg.at(); at != nil {
		run.Listed = at.Listed
	}
	if !run.Listed {
		run.Keys = nil
	}
	dg.res.Runs, dg.run = append(dg.res.Runs, run), model.DigestRun{}
}

// finish ends the ranges that are left, up to where all was read.
func (dg *digesting) finish() {
	hi := dg.query.Hi
	if len(dg.res.Next) > 0 {
		hi = dg.res.Next
	}
	for at := dg.at(); at != nil && len(at.Hi) > 0 && (len(hi) == 0 || bytes.Compare(at.Hi, hi) < 0); at = dg.at() {
		dg.end(at.Hi)
	}
	dg.end(hi)
}

// fitting tells the items that a link's condition takes in.
type fitting struct{ condition *expr.Condition } // nil: all

func newFitting(encoded []byte) (f fitting, err error) {
	if len(encoded) == 0 {
		return f, nil
	}
	d := model.NewDecoder(encoded)
	f.condition = expr.DecodeCondition(d)
	return f, d.Done()
}

func (f *fitting) held(rec *keys.ItemRecord) (model.Held, error) {
	if rec.Tombstone {
		return model.HeldTombstone, nil
	}
	if f.condition == nil {
		return model.HeldThing, nil
	}
	item, err := decodeItem(rec.Item)
	if err == nil && !f.condition.Eval(item) {
		return model.HeldHidden, nil
	}
	return model.HeldThing, err
}

func sumOf(place []byte, content ...[]byte) (s model.Sum) {
	h := sha256.New()
	var length [10]byte
	h.Write(model.AppendUvarint(length[:0], uint64(len(place))))
	h.Write(place)
	for _, c := range content {
		h.Write(c)
	}
	copy(s[:], h.Sum(nil))
	return s
}

// queryLook tells what is held at places.
func queryLook(r Reader, q *model.Query) (model.Result, error) {
	query, err := bodyOf[model.LookQuery](q.Body)
	if err != nil {
		return model.Result{}, err
	}
	if query.Kind != model.KindTable {
		return lookAtUnit(r, q, &query)
	}
	fits, err := newFitting(query.Condition)
	if err != nil {
		return model.Result{}, err
	}
	res := model.LookResult{Looked: make([]model.Looked, len(query.Places))}
	for i, place := range query.Places {
		_, key, ok := model.SplitItemPlace(place)
		if !ok || len(key) == 0 {
			return model.Result{}, model.ErrCorrupt
		}
		found, err := readItem(r, q.Resource, key)
		if err != nil {
			return model.Result{}, err
		}
		if found.Stamp == 0 {
			continue
		}
		l := &res.Looked[i]
		if l.Held, err = fits.held(&found.ItemRecord); err != nil {
			return model.Result{}, err
		}
		if l.Version, l.History = found.Version(), found.History; l.Held == model.HeldThing {
			l.Sum = sumOf(key, found.Item)
		}
	}
	return model.Result{Body: res.Append(nil)}, nil
}

// queryByKey reads records by key.
func queryByKey(r Reader, q *model.Query) (model.Result, error) {
	query, err := bodyOf[model.ByKeyQuery](q.Body)
	if err != nil {
		return model.Result{}, err
	}
	var res model.CopyResult
	for _, key := range query.Keys {
		found, err := readItem(r, q.Resource, key)
		if err != nil {
			return model.Result{}, err
		}
		if found.Stamp != 0 {
			res.Changes = append(res.Changes, changeOf(key, &found.ItemRecord))
		}
	}
	return model.Result{Body: res.Append(nil)}, nil
}

// applyRewrite writes what a key holds once more.
func applyRewrite(_ *Machine, tx *Tx) (model.Result, error) {
	cmd, err := bodyOf[model.Rewrite](tx.Command.Body)
	if err != nil {
		return model.Result{}, err
	}
	old, err := readItem(tx, tx.Command.Resource, cmd.Key)
	if err != nil {
		return model.Result{}, err
	}
	if old.Version() != cmd.If.Rename(cmd.Self, 0) {
		return model.Result{Status: model.StatusStale}, nil
	}
	if !old.found {
		return model.Result{}, removeItem(tx, &old, cmd.Key)
	}
	return model.Result{}, writeItem(tx, &old, cmd.Key, old.Item, old.Size, &wholly)
}
