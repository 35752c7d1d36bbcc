package machine

import (
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

func openRecords(r Reader, q *model.Query, number model.ShardNumber) (*records, error) {
	head, err := readShardHead(r, q.Resource, q.Slot, number)
	return &records{r, q.Resource, q.Slot, number, &head}, err
}

// position is where a reader at n stands: at least at the first record that is
// kept, at most behind the last.
func (s *records) position(n uint64) uint64 { return min(max(n, s.head.Low), s.head.Next) }

// queryShard answers with a shard's state.
func queryShard(r Reader, q *model.Query) (model.Result, error) {
	body, err := bodyOf[model.ShardQuery](q.Body)
	if err != nil {
		return model.Result{}, err
	}
	s, err := openRecords(r, q, body.Shard)
	if err != nil {
		return model.Result{}, err
	}
	state := shardState(s.head)
	return model.Result{Body: state.Append(nil)}, nil
}

// queryShardAt finds a position by time.
func queryShardAt(r Reader, q *model.Query) (model.Result, error) {
	body, err := bodyOf[model.ShardAtQuery](q.Body)
	if err != nil {
		return model.Result{}, err
	}
	s, err := openRecords(r, q, body.Shard)
	if err != nil {
		return model.Result{}, err
	}
	b, ok, err := s.firstAt(body.AtMs)
	if err != nil {
		return model.Result{}, err
	}
	res := model.ShardAtResult{N: s.head.Next}
	if ok {
		res = model.ShardAtResult{N: b.First, ArrivalMs: b.ArrivalMs}
	}
	return model.Result{Body: res.Append(nil)}, nil
}

// recordsReady reports whether a query of records would find some, or the end.
func recordsReady(r Reader, q *model.Query) (bool, error) {
	body, err := bodyOf[model.RecordsQuery](q.Body)
	if err != nil {
		return false, err
	}
	s, err := openRecords(r, q, body.Shard)
	return err == nil && (s.position(body.N) < s.head.Next || s.head.ClosedMs != 0), err
}

// queryRecords answers with a page of records.
func queryRecords(r Reader, q *model.Query) (model.Result, error) {
	body, err := bodyOf[model.RecordsQuery](q.Body)
	if err != nil {
		return model.Result{}, err
	}
	s, err := openRecords(r, q, body.Shard)
	if err != nil {
		return model.Result{}, err
	}
	p := recordsPage{query: &body, result: model.RecordsResult{Tip: s.head.Next, Closed: s.head.ClosedMs != 0}}
	if err := p.read(s); err != nil {
		return model.Result{}, err
	}
	return model.Result{Body: p.body}, nil
}

// recordsPage is the answer of one queryRecords as it grows: each block's records are
// copied into it as they are stored.
type recordsPage struct {
	query   *model.RecordsQuery
	result  model.RecordsResult // without its runs, which are in body
	body    []byte
	records int
	bytes   int
}

// read fills the page.
func (p *recordsPage) read(s *records) error {
	n := s.position(p.query.N)
	var start keys.BlockID
	if n < s.head.Next {
		b, err := s.holding(n)
		if err != nil {
			return err
		}
		start = b
	}
	if n < s.head.Next && start.ArrivalMs < p.query.HorizonMs { // all expired up to the horizon
		b, ok, err := s.firstAt(p.query.HorizonMs)
		if err != nil {
			return err
		}
		start, n = b, b.First
		if !ok {
			n = s.head.Next
		}
	}
	p.result.Next = n
	p.reserve(s.head.TotalBytes-start.Before, s.head.Next-n)
	if n < s.head.Next {
		if err := p.fill(s, start.First); err != nil {
			return err
		}
	}
	p.result.AppendHead(p.body[:0]) // over the place that was kept
	return nil
}

// reserve makes the body as large as it can become with that many stored
// bytes and records left to read, so that it does not grow piece by piece.
func (p *recordsPage) reserve(bytes, records uint64) {
	const perRecord, perPage = 16, 256 // ends and heads of runs
	size := min(bytes, uint64(p.query.MaxBytes)) + perRecord*min(records, uint64(p.query.MaxRecords)) + perPage
	p.body = p.result.AppendHead(make([]byte, 0, size))
}

// fill copies the blocks from the one whose first number is given.
func (p *recordsPage) fill(s *records, from uint64) error {
	it, err := s.scan(from, s.head.Next, false)
	if err != nil {
		return err
	}
	for it.Next() {
		b, ok := keys.SplitBlock(it.Key())
		if !ok {
			_ = it.Close() // the first error is the one to report
			return model.ErrCorrupt
		}
		full, err := p.add(b, it.Value())
		if err != nil {
			_ = it.Close()
			return err
		}
		if full {
			p.result.NextMs = b.ArrivalMs
			break
		}
	}
	return it.Close()
}

// add copies what fits of a block; full says that something did not.
func (p *recordsPage) add(b keys.BlockID, value []byte) (full bool, err error) {
	room := int(p.query.MaxRecords) - p.records
	if room <= 0 || p.records > 0 && p.bytes >= int(p.query.MaxBytes) {
		return true, nil
	}
	batch, err := model.OpenRecordBatch(value)
	if err != nil || p.result.Next < b.First || p.result.Next-b.First >= uint64(batch.Len()) {
		return false, model.ErrCorrupt
	}
	lo := int(p.result.Next - b.First)
	hi := min(batch.Fit(lo, int(p.query.MaxBytes)-p.bytes), lo+room)
	if hi == lo && p.records == 0 {
		hi = lo + 1
	}
	if hi > lo {
		p.body = model.AppendRecordRun(p.body, p.result.Next, b.ArrivalMs, &batch, lo, hi)
		p.records += hi - lo
		p.bytes += batch.Bytes(lo, hi)
		p.result.Next += uint64(hi - lo)
	}
	return hi < batch.Len(), nil
}
