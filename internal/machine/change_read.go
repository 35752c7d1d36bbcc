package machine

import (
	"bytes"
	"errors"

	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// queryChanges reads entries of the change log.
func queryChanges(r Reader, q *model.Query) (model.Result, error) {
	query, err := bodyOf[model.ChangesQuery](q.Body)
	if err != nil {
		return model.Result{}, err
	}
	var res model.ChangesResult
	lo := keys.AppendChange(nil, query.Tablet, query.After+1)
	_, hi := keys.ChangesSpan(query.Tablet)
	size := uint64(0)
	err = scan(r, lo, hi, func(key, value []byte) error {
		if size += uint64(len(value)); len(res.Changes) > 0 && size > query.MaxBytes {
			return errEnough
		}
		e, err := splitEntry(key, bytes.Clone(value))
		res.Changes = append(res.Changes, e)
		return err
	})
	if err != nil && !errors.Is(err, errEnough) {
		return model.Result{}, err
	}
	return model.Result{Body: res.Append(nil)}, nil
}

// changesReady reports whether there are entries behind the one that the query
// names.
func changesReady(r Reader, q *model.Query) (found bool, err error) {
	query, err := bodyOf[model.ChangesQuery](q.Body)
	if err != nil {
		return false, err
	}
	_, hi := keys.ChangesSpan(query.Tablet)
	it, err := r.Scan(keys.AppendChange(nil, query.Tablet, query.After+1), hi, false)
	if err != nil {
		return false, err
	}
	found = it.Next()
	return found, it.Close()
}

// queryReader tells where a reader is; StatusNotFound when there is none.
func queryReader(r Reader, q *model.Query) (model.Result, error) {
	query, err := bodyOf[model.ReaderQuery](q.Body)
	if err != nil {
		return model.Result{}, err
	}
	value, ok, err := r.Get(keys.Reader(query.Tablet, query.Reader))
	if err != nil || !ok {
		return model.Result{Status: model.StatusNotFound}, err
	}
	rd, err := splitReader(keys.Reader(query.Tablet, query.Reader), value)
	if err != nil {
		return model.Result{}, err
	}
	s := model.ReaderState{UpTo: rd.upTo, Total: rd.total, Version: rd.version, Passive: rd.passive}
	if s.Last, s.LastTotal, _, err = readLogState(r, query.Tablet); err != nil {
		return model.Result{}, err
	}
	head, err := readConflictsHead(r, query.Tablet)
	if err != nil {
		return model.Result{}, err
	}
	s.Conflicts = head.Counted
	if err := readNext(r, query.Tablet, &s); err != nil {
		return model.Result{}, err
	}
	lo, hi := keys.WatchesOf(query.Tablet, query.Reader)
	err = scan(r, lo, hi, func(key, value []byte) error {
		w, note, err := splitWatch(key, value)
		s.Tables = append(s.Tables, model.WatchedTable{Table: w.table, Log: w.wanted.log, Policy: w.wanted.policy, Note: bytes.Clone(note)})
		return err
	})
	return model.Result{Body: s.Append(nil)}, err
}

// readNext finds the stamp of the first entry that the reader has not read.
func readNext(r Reader, t model.TabletID, s *model.ReaderState) error {
	lo := keys.AppendChange(nil, t, s.UpTo+1)
	_, hi := keys.ChangesSpan(t)
	err := scan(r, lo, hi, func(key, value []byte) error {
		e, err := splitEntry(key, value)
		if err != nil {
			return err
		}
		s.Next = e.Version.Stamp
		return errEnough
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// queryCopy reads a table's records as the changes that wrote them.
func queryCopy(r Reader, q *model.Query) (model.Result, error) {
	query, err := bodyOf[model.CopyQuery](q.Body)
	if err != nil {
		return model.Result{}, err
	}
	lo, hi := keys.ResourceSpan(q.Resource, query.LoSlot, query.HiSlot)
	if len(query.After) > 0 {
		slot, ok := slotOfItem(query.After)
		if !ok {
			return model.Result{}, model.ErrCorrupt
		}
		lo = append(keys.AppendItem(nil, q.Resource, slot, query.After), 0)
	}
	var res model.CopyResult
	size := uint64(0)
	err = scan(r, lo, hi, func(key, value []byte) error {
		_, _, rest, isItem := keys.SplitItem(key)
		if !isItem {
			return nil // a pipe's record lies between the slots' items
		}
		if size += uint64(len(value)); len(res.Changes) > 0 && size > query.MaxBytes {
			res.More = true
			return errEnough
		}
		rec, ok := keys.SplitItemRecord(bytes.Clone(value))
		if !ok {
			return model.ErrCorrupt
		}
		res.Changes = append(res.Changes, changeOf(bytes.Clone(rest), &rec))
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return model.Result{}, err
	}
	return model.Result{Body: res.Append(nil)}, nil
}

// queryConflicts reads the losers of conflicts.
func queryConflicts(r Reader, q *model.Query) (model.Result, error) {
	query, err := bodyOf[model.ConflictsQuery](q.Body)
	if err != nil {
		return model.Result{}, err
	}
	var res model.ConflictsResult
	if res.Head, err = readConflictsHead(r, query.Tablet); err != nil {
		return model.Result{}, err
	}
	size := uint64(0)
	_, hi := keys.ConflictsSpan(query.Tablet)
	err = scan(r, keys.Conflict(query.Tablet, query.After+1), hi, func(_, value []byte) error {
		if size += uint64(len(value)); len(res.Conflicts) > 0 && size > query.MaxBytes {
			return errEnough
		}
		c, err := bodyOf[model.Conflict](bytes.Clone(value))
		res.Conflicts = append(res.Conflicts, c)
		return err
	})
	if err != nil && !errors.Is(err, errEnough) {
		return model.Result{}, err
	}
	return model.Result{Body: res.Append(nil)}, nil
}
