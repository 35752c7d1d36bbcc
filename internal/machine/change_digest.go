package machine

import (
	"bytes"
	"crypto/sha256"
	"errors"

	"weir.dev/weir/internal/expr"
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// digesting is a QueryDigest or QuerySums under way.
type digesting struct {
	query     model.DigestQuery
	condition *expr.Condition // nil: none
	res       model.DigestResult
}

func newDigesting(q *model.Query) (*digesting, error) {
	query, err := bodyOf[model.DigestQuery](q.Body)
	if err != nil {
		return nil, err
	}
	dg := &digesting{query: query}
	if len(query.Condition) > 0 {
		d := model.NewDecoder(query.Condition)
		dg.condition = expr.DecodeCondition(d)
		err = d.Done()
	}
	return dg, err
}

// queryDigest sums over a table's items.
func queryDigest(r Reader, q *model.Query) (model.Result, error) {
	dg, err := newDigesting(q)
	if err != nil {
		return model.Result{}, err
	}
	dg.res.Sums = make([]model.Sum, dg.query.Ranges())
	return dg.read(r, q.Resource, func(slot model.Slot, k *model.KeySum) {
		dg.res.Sums[dg.query.Range(slot)].Add(&k.Sum)
	})
}

// querySums lists a table's keys with their sums.
func querySums(r Reader, q *model.Query) (model.Result, error) {
	dg, err := newDigesting(q)
	if err != nil {
		return model.Result{}, err
	}
	return dg.read(r, q.Resource, func(_ model.Slot, k *model.KeySum) { dg.res.Keys = append(dg.res.Keys, *k) })
}

// read calls take for every item that fits, until enough bytes are read.
func (dg *digesting) read(r Reader, table model.ResourceID, take func(model.Slot, *model.KeySum)) (model.Result, error) {
	lo, hi := keys.ResourceSpan(table, dg.query.LoSlot, dg.query.HiSlot)
	if len(dg.query.After) > 0 {
		slot, ok := slotOfItem(dg.query.After)
		if !ok {
			return model.Result{}, model.ErrCorrupt
		}
		if after := append(keys.AppendItem(nil, table, slot, dg.query.After), 0); string(after) > string(lo) {
			lo = after
		}
	}
	if string(lo) >= string(hi) {
		return model.Result{Body: dg.res.Append(nil)}, nil
	}
	size, last := uint64(0), []byte(nil)
	err := scan(r, lo, hi, func(key, value []byte) error {
		_, slot, rest, isItem := keys.SplitItem(key)
		if !isItem {
			return nil // a pipe's record lies between the slots' items
		}
		if last != nil && size > dg.query.MaxBytes {
			dg.res.Last = last
			return errEnough
		}
		size += uint64(len(key) + len(value))
		last = append(last[:0], rest...)
		rec, ok := keys.SplitItemRecord(value)
		if !ok {
			return model.ErrCorrupt
		}
		if fits, err := dg.fits(&rec); err != nil || !fits {
			return err
		}
		dg.res.Items++
		take(slot, &model.KeySum{Key: bytes.Clone(rest), Sum: sumOf(rest, rec.Item)})
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return model.Result{}, err
	}
	return model.Result{Body: dg.res.Append(nil)}, nil
}

func (dg *digesting) fits(rec *keys.ItemRecord) (bool, error) {
	if rec.Tombstone || dg.condition == nil {
		return !rec.Tombstone, nil
	}
	item, err := decodeItem(rec.Item)
	return err == nil && dg.condition.Eval(item), err
}

func sumOf(key, item []byte) (s model.Sum) {
	h := sha256.New()
	var length [10]byte
	h.Write(model.AppendUvarint(length[:0], uint64(len(key))))
	h.Write(key)
	h.Write(item)
	copy(s[:], h.Sum(nil))
	return s
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
