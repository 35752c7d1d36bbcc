package service

import (
	"context"

	"weir.dev/weir/internal/expr"
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// GetItem reads one item. Errors: ErrNotFound (the table), ErrValidation, and
// those of Cluster.Read.
func (s *Service) GetItem(ctx context.Context, req *GetItemRequest) (*GetItemResult, error) {
	t, err := s.table(ctx, req.Table)
	if err != nil {
		return nil, err
	}
	if err := checkProjection(t, req.Projection); err != nil {
		return nil, err
	}
	var buf keyBuffer
	key, slot, err := t.appendKey(buf[:0], req.Key)
	if err != nil {
		return nil, err
	}
	get := model.GetItem{Key: key, Projection: encodeProjection(req.Projection)}
	body := get.Append(make([]byte, 0, len(key)+len(get.Projection)+8))
	var res model.GetResult
	if err := s.read(ctx, model.QueryGetItem, t, slot, body, req.Strong, res.Decode); err != nil {
		return nil, err
	}
	out := &GetItemResult{Found: res.Found, Units: readUnits(res.Size, req.Strong)}
	if res.Found {
		d := model.NewDecoder(res.Item)
		out.Item = model.DecodeItem(d)
		return out, d.Done()
	}
	return out, nil
}

// read asks the tablet that owns the slot and decodes its answer.
func (s *Service) read(ctx context.Context, kind model.QueryKind, t *table, slot model.Slot, body []byte, strong bool, decode func(*model.Decoder)) error {
	q := model.Query{Kind: kind, Resource: t.resource.ID, Slot: slot, Body: body}
	res, err := s.cluster.Read(ctx, &q, strong)
	if err != nil {
		return err
	}
	if res.Status != model.StatusOK {
		return s.tableError(ctx, &res, "")
	}
	d := model.NewDecoder(res.Body)
	decode(d)
	return d.Done()
}

func checkProjection(t *table, p *expr.Projection) error {
	if p == nil {
		return nil
	}
	return p.CheckKeys(t.keyNames()...)
}

func encodeProjection(p *expr.Projection) []byte {
	if p == nil {
		return nil
	}
	return p.Append(nil)
}

// Query reads items of one partition key. Errors are those of GetItem.
func (s *Service) Query(ctx context.Context, req *QueryRequest) (*Page, error) {
	t, err := s.table(ctx, req.Table)
	if err != nil {
		return nil, err
	}
	if err := checkProjection(t, req.Projection); err != nil {
		return nil, err
	}
	if req.Filter != nil {
		if err := req.Filter.CheckQueryFilter(t.keyNames()...); err != nil {
			return nil, err
		}
	}
	query, slot, err := t.query(req)
	if err != nil {
		return nil, err
	}
	var res model.PageResult
	if err := s.read(ctx, model.QueryItems, t, slot, query.Append(nil), req.Strong, res.Decode); err != nil {
		return nil, err
	}
	page := &Page{}
	if err := page.add(t, &res); err != nil {
		return nil, err
	}
	page.Units = readUnits(res.Size, req.Strong)
	return page, nil
}

// query turns the request into bounds of stored keys.
func (t *table) query(req *QueryRequest) (*model.QueryPartition, model.Slot, error) {
	partition, sort, err := req.Key.Resolve(t.spec.Partition, t.spec.Sort)
	if err != nil {
		return nil, 0, err
	}
	if partition.Size() > model.MaxPartitionKeyBytes {
		return nil, 0, invalidf(msgHashSize)
	}
	q := &model.QueryPartition{
		Partition: keys.AppendValue(nil, partition),
		Filter:    encodeCondition(req.Filter), Projection: encodeProjection(req.Projection),
		Limit: uint64(req.Limit), Reverse: req.Reverse, CountOnly: req.CountOnly,
	}
	if sort != nil {
		if sort.Value.Size() > model.MaxSortKeyBytes || sort.High.Size() > model.MaxSortKeyBytes {
			return nil, 0, invalidf(msgRangeSize)
		}
		q.Lo, q.Hi = sortBounds(sort)
	}
	slot := model.SlotOf(q.Partition)
	if req.StartKey == nil {
		return q, slot, nil
	}
	start, _, err := t.startKey(req.StartKey)
	if err != nil {
		return nil, 0, err
	}
	if !partition.Equal(*req.StartKey.Find(t.spec.Partition.Name)) {
		return nil, 0, invalidf(msgStartOutside)
	}
	if t.spec.HasSort() && !sort.Holds(*req.StartKey.Find(t.spec.Sort.Name)) {
		return nil, 0, invalidf(msgStartSort)
	}
	q.HasAfter, q.After = true, start[len(q.Partition):]
	return q, slot, nil
}

// sortBounds is the range [lo, hi) of encoded sort keys that a condition
// means; an empty hi is no bound.
func sortBounds(c *expr.SortCondition) (lo, hi []byte) {
	value := keys.AppendValue(nil, c.Value)
	switch c.Op {
	case expr.SortEqual:
		return value, keys.Successor(value)
	case expr.SortLess:
		return nil, value
	case expr.SortLessOrEqual:
		return nil, keys.Successor(value)
	case expr.SortGreater:
		return keys.Successor(value), nil
	case expr.SortGreaterOrEqual:
		return value, nil
	case expr.SortBetween:
		return value, keys.Successor(keys.AppendValue(nil, c.High))
	default:
		prefix := keys.AppendValuePrefix(nil, c.Value)
		return prefix, keys.Successor(prefix)
	}
}

// add takes a tablet's page into the client's.
func (p *Page) add(t *table, res *model.PageResult) (err error) {
	p.Count += int(res.Count)
	p.Scanned += int(res.Scanned)
	if p.Items, err = res.AppendItems(p.Items); err != nil {
		return err
	}
	if len(res.Last) > 0 {
		p.LastKey, err = t.keyItem(res.Last)
	}
	return err
}
