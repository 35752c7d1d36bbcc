package service

import (
	"context"

	"weir.dev/weir/internal/model"
)

// batchWrite is a BatchWriteItem under way.
type batchWrite struct {
	req    *BatchWriteItemRequest
	tables []*table
	items  []*batchItem
	sizes  []uint64 // by item: bytes of a put
}

// BatchWriteItem puts and deletes items: one command for each tablet that has
// some of them. Errors: those of PutItem, before anything was done; and what
// the tablets answered when none of them did its part.
func (s *Service) BatchWriteItem(ctx context.Context, req *BatchWriteItemRequest) (*BatchWriteItemResult, error) {
	b := batchWrite{req: req}
	if err := s.prepareBatchWrite(ctx, &b); err != nil {
		return nil, err
	}
	pending := b.items
	var done []*batchGroup
	for try := 0; len(pending) > 0; try++ {
		groups, err := s.group(b.tables, pending)
		if err != nil {
			return nil, err
		}
		inParallel(groups, func(i int) { s.writeGroup(ctx, &b, groups[i]) })
		pending = pending[:0:0]
		for _, g := range groups {
			if !g.stale || try == maxRegroups {
				done = append(done, g)
				continue
			}
			pending = append(pending, g.items...)
		}
		if len(pending) > 0 {
			if err := s.cluster.SyncCatalog(ctx); err != nil {
				return nil, err
			}
		}
	}
	if err := batchError(done); err != nil {
		return nil, err
	}
	return b.result(done), nil
}

// prepareBatchWrite checks the request and encodes its keys.
func (s *Service) prepareBatchWrite(ctx context.Context, b *batchWrite) error {
	total := 0
	for i := range b.req.Tables {
		total += len(b.req.Tables[i].Writes)
	}
	if total > maxBatchWrites {
		return invalidf(msgTooManyWrites)
	}
	for i := range b.req.Tables {
		t, err := s.table(ctx, b.req.Tables[i].Table)
		if err != nil {
			return err
		}
		b.tables = append(b.tables, t)
		for j := range b.req.Tables[i].Writes {
			if err := b.prepare(t, i, j); err != nil {
				return err
			}
		}
	}
	return checkDuplicates(b.items)
}

func (b *batchWrite) prepare(t *table, table, at int) (err error) {
	w := &b.req.Tables[table].Writes[at]
	it := &batchItem{table: table, at: at}
	size := 0
	if w.Put != nil {
		if size = w.Put.Size(); size > model.MaxItemBytes {
			return model.Errorf(model.ErrItemTooLarge, msgPutTooLarge)
		}
		partition, sort, err := t.itemKey(w.Put)
		if err != nil {
			return invalidf(msgKeySchema) // AWS's words for a batch, which PutItem has others for
		}
		if it.key, it.slot, err = appendKey(nil, partition, sort, &t.spec); err != nil {
			return err
		}
	} else if it.key, it.slot, err = t.appendKey(nil, w.Delete); err != nil {
		return err
	}
	b.items = append(b.items, it)
	b.sizes = append(b.sizes, uint64(size))
	return nil
}

// writeGroup proposes one tablet's part.
func (s *Service) writeGroup(ctx context.Context, b *batchWrite, g *batchGroup) {
	cmd := model.Command{
		Kind: model.CmdBatchWrite, Resource: g.table.resource.ID, Slot: g.items[0].slot, Body: b.encode(g),
	}
	cmd.ID = s.requestID(b.req.Invocation, &cmd)
	res, err := s.cluster.Propose(ctx, &cmd)
	switch {
	case err != nil:
		g.err = err
	case res.Status == model.StatusStale:
		g.stale, g.err = true, model.Errorf(model.ErrUnavailable, "the tablets are being moved")
	case res.Status != model.StatusOK:
		g.err = s.tableError(ctx, &res, msgPutTooLarge)
	}
}

func (b *batchWrite) encode(g *batchGroup) []byte {
	batch := model.BatchWrite{Writes: make([]model.BatchEntry, 0, len(g.items))}
	size := 8
	for _, it := range g.items {
		put := b.req.Tables[it.table].Writes[it.at].Put
		e := model.BatchEntry{Key: it.key, Delete: put == nil}
		if put != nil {
			e.Size, e.Item = uint64(put.Size()), model.AppendItem(nil, put)
		}
		size += len(e.Key) + len(e.Item) + 16
		batch.Writes = append(batch.Writes, e)
	}
	return batch.Append(make([]byte, 0, size))
}

// result names what failed and charges for the rest.
func (b *batchWrite) result(done []*batchGroup) *BatchWriteItemResult {
	failed := map[*batchItem]bool{}
	for _, g := range done {
		for _, it := range g.items {
			failed[it] = g.err != nil
		}
	}
	units := make([]float64, len(b.tables))
	unprocessed := make([][]Write, len(b.tables))
	for i, it := range b.items {
		if failed[it] {
			unprocessed[it.table] = append(unprocessed[it.table], b.req.Tables[it.table].Writes[it.at])
		} else {
			units[it.table] += writeUnits(b.sizes[i])
		}
	}
	out := &BatchWriteItemResult{}
	for i := range b.req.Tables {
		name := b.req.Tables[i].Table
		out.Units = append(out.Units, TableUnits{Table: name, Units: units[i]})
		if len(unprocessed[i]) > 0 {
			out.Unprocessed = append(out.Unprocessed, TableWrites{Table: name, Writes: unprocessed[i]})
		}
	}
	return out
}
