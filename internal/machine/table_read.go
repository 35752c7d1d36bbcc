package machine

import (
	"weir.dev/weir/internal/expr"
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// queryGetItem reads one item.
func queryGetItem(r Reader, q *model.Query) (model.Result, error) {
	var get model.GetItem
	d := model.NewDecoder(q.Body)
	get.Decode(d)
	if err := d.Done(); err != nil {
		return model.Result{}, err
	}
	projection, err := decodeProjection(get.Projection)
	if err != nil {
		return model.Result{}, err
	}
	res, err := getItem(r, q.Resource, get.Key, projection)
	if err != nil {
		return model.Result{}, err
	}
	return model.Result{Body: res.Append(make([]byte, 0, len(res.Item)+12))}, nil
}

// queryGetBatch reads several items by key, in the order asked.
func queryGetBatch(r Reader, q *model.Query) (model.Result, error) {
	var get model.GetBatch
	d := model.NewDecoder(q.Body)
	get.Decode(d)
	if err := d.Done(); err != nil {
		return model.Result{}, err
	}
	projection, err := decodeProjection(get.Projection)
	if err != nil {
		return model.Result{}, err
	}
	var batch model.GetBatchResult
	read := uint64(0)
	for i, key := range get.Keys {
		res, err := getItem(r, q.Resource, key, projection)
		if err != nil {
			return model.Result{}, err
		}
		if read += res.Size; i > 0 && read > get.MaxBytes {
			break
		}
		batch.Results = append(batch.Results, res)
	}
	return model.Result{Body: batch.Append(nil)}, nil
}

func getItem(r Reader, table model.ResourceID, key []byte, projection *expr.Projection) (model.GetResult, error) {
	found, err := readItem(r, table, key)
	if err != nil || !found.found {
		return model.GetResult{}, err
	}
	res := model.GetResult{Found: true, Size: found.Size, Item: found.Item}
	if projection != nil {
		item, err := found.decode()
		if err != nil {
			return model.GetResult{}, err
		}
		res.Item = model.AppendItem(nil, projection.Apply(item))
	}
	return res, nil
}

func decodeProjection(encoded []byte) (*expr.Projection, error) {
	if len(encoded) == 0 {
		return nil, nil
	}
	d := model.NewDecoder(encoded)
	p := expr.DecodeProjection(d)
	return p, d.Done()
}

// queryItems reads items of one partition key in the order of their sort keys.
func queryItems(r Reader, q *model.Query) (model.Result, error) {
	var query model.QueryPartition
	d := model.NewDecoder(q.Body)
	query.Decode(d)
	if err := d.Done(); err != nil {
		return model.Result{}, err
	}
	p, err := newPage(query.Filter, query.Projection, query.Limit, model.MaxPageBytes, query.CountOnly)
	if err != nil {
		return model.Result{}, err
	}
	prefix := keys.AppendItem(nil, q.Resource, model.SlotOf(query.Partition), query.Partition)
	lo, hi := partitionSpan(prefix, &query)
	return p.read(r, lo, hi, query.Reverse)
}

// partitionSpan is the span of the stored keys that the query wants.
func partitionSpan(prefix []byte, q *model.QueryPartition) (lo, hi []byte) {
	n := len(prefix)
	lo = append(prefix[:n:n], q.Lo...)
	hi = append(prefix[:n:n], q.Hi...)
	if len(q.Hi) == 0 {
		hi = keys.Successor(prefix)
	}
	if !q.HasAfter {
		return lo, hi
	}
	after := append(prefix[:n:n], q.After...)
	switch {
	case q.Reverse && string(after) < string(hi):
		hi = after
	case !q.Reverse && string(after) >= string(lo):
		lo = append(after, 0) // no key is another one's prefix, so this is just behind it
	}
	return lo, hi
}

// queryScan reads the items of a range of slots.
func queryScan(r Reader, q *model.Query) (model.Result, error) {
	var query model.Scan
	d := model.NewDecoder(q.Body)
	query.Decode(d)
	if err := d.Done(); err != nil {
		return model.Result{}, err
	}
	p, err := newPage(query.Filter, query.Projection, query.Limit, min(query.MaxBytes, model.MaxPageBytes), query.CountOnly)
	if err != nil {
		return model.Result{}, err
	}
	lo, hi := keys.ResourceSpan(q.Resource, query.LoSlot, query.HiSlot)
	if len(query.After) > 0 {
		slot, ok := slotOfItem(query.After)
		if !ok {
			return model.Result{}, model.ErrCorrupt
		}
		if after := append(keys.AppendItem(nil, q.Resource, slot, query.After), 0); string(after) > string(lo) {
			lo = after
		}
	}
	return p.read(r, lo, hi, false)
}

// maxSkipped bounds the tombstones that one page passes over: a page may be
// empty and name a key to go on behind, as at DynamoDB.
const maxSkipped = 10_000

// page is a page being read.
type page struct {
	filter     *expr.Condition  // nil: none
	projection *expr.Projection // nil: whole items
	limit      uint64           // items read; 0: none
	maxBytes   uint64           // of items read
	countOnly  bool
	res        model.PageResult
}

func newPage(filter, projection []byte, limit, maxBytes uint64, countOnly bool) (p page, err error) {
	p = page{limit: limit, maxBytes: maxBytes, countOnly: countOnly}
	if len(filter) > 0 {
		d := model.NewDecoder(filter)
		p.filter = expr.DecodeCondition(d)
		if err := d.Done(); err != nil {
			return p, err
		}
	}
	p.projection, err = decodeProjection(projection)
	return p, err
}

// read fills the page from the items in [lo, hi). DynamoDB counts limit and
// size before the filter, and names the last item read even when the limit
// fell on the very last one.
func (p *page) read(r Reader, lo, hi []byte, reverse bool) (model.Result, error) {
	if string(lo) >= string(hi) {
		return model.Result{Body: p.res.Append(nil)}, nil
	}
	it, err := r.Scan(lo, hi, reverse)
	if err != nil {
		return model.Result{}, err
	}
	full, skipped := false, 0
	var last []byte
	for !full && it.Next() {
		if keys.IsPipeRecord(it.Key()) {
			continue // a pipe's record lies between the slots' items
		}
		_, _, rest, ok := keys.SplitItem(it.Key())
		record, valid := keys.SplitItemRecord(it.Value())
		if !ok || !valid {
			_ = it.Close() // the corruption is the error to report
			return model.Result{}, model.ErrCorrupt
		}
		if record.Tombstone {
			if skipped++; skipped == maxSkipped {
				last, full = append(last[:0], rest...), true
			}
			continue
		}
		if p.res.Scanned > 0 && p.res.Size+record.Size > p.maxBytes {
			full = true
			break
		}
		if err := p.add(&record); err != nil {
			_ = it.Close()
			return model.Result{}, err
		}
		last = append(last[:0], rest...)
		full = p.res.Scanned == p.limit
	}
	if err := it.Close(); err != nil {
		return model.Result{}, err
	}
	if full {
		p.res.Last = last
	}
	return model.Result{Body: p.res.Append(make([]byte, 0, len(p.res.Items)+len(last)+32))}, nil
}

// add counts an item and takes it into the page if it passes the filter.
func (p *page) add(record *keys.ItemRecord) error {
	p.res.Scanned++
	p.res.Size += record.Size
	if p.filter == nil && (p.countOnly || p.projection == nil) {
		p.res.Count++
		if !p.countOnly {
			p.res.Items = append(p.res.Items, record.Item...)
		}
		return nil
	}
	item, err := decodeItem(record.Item)
	if err != nil {
		return err
	}
	if p.filter != nil && !p.filter.Eval(item) {
		return nil
	}
	p.res.Count++
	switch {
	case p.countOnly:
	case p.projection == nil:
		p.res.Items = append(p.res.Items, record.Item...)
	default:
		p.res.Items = model.AppendItem(p.res.Items, p.projection.Apply(item))
	}
	return nil
}
