package service

import (
	"context"

	"weir.dev/weir/internal/model"
)

// batchGet is a BatchGetItem under way.
type batchGet struct {
	req     *BatchGetItemRequest
	tables  []*table
	items   []*batchItem
	results map[*batchItem]model.GetResult // what was answered
}

// BatchGetItem reads items by key: one query for each tablet that has some of
// them. What does not fit into the answer, or was not answered, is in
// Unprocessed. Errors are those of GetItem, when nothing could be read.
func (s *Service) BatchGetItem(ctx context.Context, req *BatchGetItemRequest) (*BatchGetItemResult, error) {
	b := batchGet{req: req, results: map[*batchItem]model.GetResult{}}
	if err := s.prepareBatchGet(ctx, &b); err != nil {
		return nil, err
	}
	groups, err := s.group(b.tables, b.items)
	if err != nil {
		return nil, err
	}
	answers := make([]model.GetBatchResult, len(groups))
	inParallel(groups, func(i int) { groups[i].err = s.readGroup(ctx, &b, groups[i], &answers[i]) })
	if err := batchError(groups); err != nil {
		return nil, err
	}
	for i, g := range groups {
		if g.err != nil {
			continue
		}
		for j := range answers[i].Results {
			b.results[g.items[j]] = answers[i].Results[j]
		}
	}
	return b.result()
}

// prepareBatchGet checks the request and encodes its keys.
func (s *Service) prepareBatchGet(ctx context.Context, b *batchGet) error {
	total := 0
	for i := range b.req.Tables {
		total += len(b.req.Tables[i].Keys)
	}
	if total > maxBatchGets {
		return invalidf(msgTooManyGets)
	}
	for i := range b.req.Tables {
		gets := &b.req.Tables[i]
		t, err := s.table(ctx, gets.Table)
		if err != nil {
			return err
		}
		if err := checkProjection(t, gets.Projection); err != nil {
			return err
		}
		b.tables = append(b.tables, t)
		for j := range gets.Keys {
			it := &batchItem{table: i, at: j}
			if it.key, it.slot, err = t.appendKey(nil, gets.Keys[j]); err != nil {
				return err
			}
			b.items = append(b.items, it)
		}
	}
	return checkDuplicates(b.items)
}

// readGroup asks one tablet for its part.
func (s *Service) readGroup(ctx context.Context, b *batchGet, g *batchGroup, res *model.GetBatchResult) error {
	gets := &b.req.Tables[g.items[0].table]
	get := model.GetBatch{Projection: encodeProjection(gets.Projection), MaxBytes: maxBatchGetBytes}
	for _, it := range g.items {
		get.Keys = append(get.Keys, it.key)
	}
	if err := s.read(ctx, model.QueryGetBatch, g.table, g.items[0].slot, get.Append(nil), gets.Strong, res.Decode); err != nil {
		return err
	}
	if len(res.Results) > len(g.items) {
		return model.ErrCorrupt
	}
	return nil
}

// result fills the answer in the request's order, as far as 16 MB reach.
func (b *batchGet) result() (*BatchGetItemResult, error) {
	out := &BatchGetItemResult{}
	unprocessed := make([][]model.Item, len(b.tables))
	for i := range b.req.Tables {
		out.Tables = append(out.Tables, TableItems{Table: b.req.Tables[i].Table})
		out.Units = append(out.Units, TableUnits{Table: b.req.Tables[i].Table})
	}
	size, full := uint64(0), false
	for i, it := range b.items {
		gets := &b.req.Tables[it.table]
		res, answered := b.results[it]
		if full = full || i > 0 && size+res.Size > maxBatchGetBytes; full || !answered {
			unprocessed[it.table] = append(unprocessed[it.table], gets.Keys[it.at])
			continue
		}
		size += res.Size
		out.Units[it.table].Units += readUnits(res.Size, gets.Strong)
		if !res.Found {
			continue
		}
		d := model.NewDecoder(res.Item)
		items := &out.Tables[it.table].Items
		*items = append(*items, model.DecodeItem(d))
		if err := d.Done(); err != nil {
			return nil, err
		}
	}
	for i, left := range unprocessed {
		if len(left) > 0 {
			again := b.req.Tables[i]
			again.Keys = left
			out.Unprocessed = append(out.Unprocessed, again)
		}
	}
	return out, nil
}
