package model

// The bodies of queries on tables and of their results. They travel between
// nodes and are never stored. Projection and Filter are the stored forms of
// package expr; empty means none. After decoding, slices share memory with
// the decoder's input.

// GetItem is the body of a QueryGetItem. The answer is a GetResult.
type GetItem struct {
	Key        []byte
	Projection []byte
}

// Append appends the form between nodes.
func (g *GetItem) Append(dst []byte) []byte {
	return AppendBytes(AppendBytes(dst, g.Key), g.Projection)
}

// Decode reads what Append wrote.
func (g *GetItem) Decode(d *Decoder) { g.Key, g.Projection = d.key(), d.Bytes() }

// GetResult is one item read.
type GetResult struct {
	Found bool
	Size  uint64 // bytes of the whole item by DynamoDB's rules
	Item  []byte // encoded and projected
}

// Append appends the form between nodes.
func (g *GetResult) Append(dst []byte) []byte {
	dst = AppendBool(dst, g.Found)
	if !g.Found {
		return dst
	}
	return AppendBytes(AppendUvarint(dst, g.Size), g.Item)
}

// Decode reads what Append wrote.
func (g *GetResult) Decode(d *Decoder) {
	if g.Found = d.Bool(); g.Found {
		g.Size, g.Item = d.Uvarint(), d.Bytes()
	}
}

// QueryPartition is the body of a QueryItems: the items of one partition key
// whose encoded sort key is in [Lo, Hi). The answer is a PageResult.
type QueryPartition struct {
	Partition  []byte // encoded
	Lo, Hi     []byte // bounds of the sort key's encoding; an empty Hi is no bound
	After      []byte // encoded sort key to go on behind; see HasAfter
	HasAfter   bool   // set when After counts, which may be empty: a table without sort key
	Filter     []byte
	Projection []byte
	Limit      uint64 // items read before the filter; 0 is no limit but the page's
	Reverse    bool
	CountOnly  bool
}

// Append appends the form between nodes.
func (q *QueryPartition) Append(dst []byte) []byte {
	dst = AppendBytes(dst, q.Partition)
	dst = AppendBytes(dst, q.Lo)
	dst = AppendBytes(dst, q.Hi)
	dst = AppendBool(dst, q.HasAfter)
	dst = AppendBytes(dst, q.After)
	dst = AppendBytes(dst, q.Filter)
	dst = AppendBytes(dst, q.Projection)
	dst = AppendUvarint(dst, q.Limit)
	return AppendBool(AppendBool(dst, q.Reverse), q.CountOnly)
}

// Decode reads what Append wrote.
func (q *QueryPartition) Decode(d *Decoder) {
	q.Partition = d.key()
	q.Lo, q.Hi = d.Bytes(), d.Bytes()
	q.HasAfter, q.After = d.Bool(), d.Bytes()
	q.Filter, q.Projection = d.Bytes(), d.Bytes()
	q.Limit = d.Uvarint()
	q.Reverse, q.CountOnly = d.Bool(), d.Bool()
}

// Scan is the body of a QueryScan: items in slots [LoSlot, HiSlot) by slot,
// then key. All of the slots belong to one tablet. The answer is a PageResult.
type Scan struct {
	LoSlot, HiSlot uint32
	After          []byte // encoded key, of a slot in the range, to go on behind; empty: from the beginning
	Filter         []byte
	Projection     []byte
	Limit          uint64 // items read before the filter; 0 is no limit but MaxBytes
	MaxBytes       uint64 // of items read before the filter; at most MaxPageBytes; the first item always fits
	CountOnly      bool
}

// Append appends the form between nodes.
func (s *Scan) Append(dst []byte) []byte {
	dst = AppendUvarint(dst, uint64(s.LoSlot))
	dst = AppendUvarint(dst, uint64(s.HiSlot))
	dst = AppendBytes(dst, s.After)
	dst = AppendBytes(dst, s.Filter)
	dst = AppendBytes(dst, s.Projection)
	dst = AppendUvarint(dst, s.Limit)
	dst = AppendUvarint(dst, s.MaxBytes)
	return AppendBool(dst, s.CountOnly)
}

// Decode reads what Append wrote.
func (s *Scan) Decode(d *Decoder) {
	lo, hi := d.Uvarint(), d.Uvarint()
	if lo > hi || hi > SlotCount {
		d.Fail()
	}
	s.LoSlot, s.HiSlot = uint32(lo), uint32(hi)
	s.After = d.Bytes()
	s.Filter, s.Projection = d.Bytes(), d.Bytes()
	s.Limit, s.MaxBytes = d.Uvarint(), d.Uvarint()
	s.CountOnly = d.Bool()
}

// PageResult is one page of a query or scan.
type PageResult struct {
	Scanned uint64 // items read
	Count   uint64 // items that passed the filter
	Size    uint64 // bytes of the items read, by DynamoDB's rules
	Last    []byte // encoded key of the last item read when there may be more; else empty
	Items   []byte // Count encoded items, one behind the other; empty for CountOnly
}

// Append appends the form between nodes.
func (p *PageResult) Append(dst []byte) []byte {
	dst = AppendUvarint(dst, p.Scanned)
	dst = AppendUvarint(dst, p.Count)
	dst = AppendUvarint(dst, p.Size)
	dst = AppendBytes(dst, p.Last)
	return AppendBytes(dst, p.Items)
}

// Decode reads what Append wrote.
func (p *PageResult) Decode(d *Decoder) {
	p.Scanned, p.Count, p.Size = d.Uvarint(), d.Uvarint(), d.Uvarint()
	p.Last, p.Items = d.Bytes(), d.Bytes()
}

// AppendItems decodes the page's items behind dst.
func (p *PageResult) AppendItems(dst []Item) ([]Item, error) {
	d := NewDecoder(p.Items)
	for d.Len() > 0 {
		dst = append(dst, DecodeItem(d))
	}
	return dst, d.Done()
}

// GetBatch is the body of a QueryGetBatch: items of one tablet by key. The
// answer is a GetBatchResult.
type GetBatch struct {
	Keys       [][]byte
	Projection []byte
	MaxBytes   uint64 // of items read; the first item always fits
}

// Append appends the form between nodes.
func (g *GetBatch) Append(dst []byte) []byte {
	dst = AppendUvarint(dst, uint64(len(g.Keys)))
	for _, k := range g.Keys {
		dst = AppendBytes(dst, k)
	}
	return AppendUvarint(AppendBytes(dst, g.Projection), g.MaxBytes)
}

// Decode reads what Append wrote.
func (g *GetBatch) Decode(d *Decoder) {
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		g.Keys = append(g.Keys, d.key())
	}
	g.Projection, g.MaxBytes = d.Bytes(), d.Uvarint()
}

// GetBatchResult answers for the first of the keys asked for: all of them,
// unless MaxBytes was reached.
type GetBatchResult struct {
	Results []GetResult
}

// Append appends the form between nodes.
func (g *GetBatchResult) Append(dst []byte) []byte {
	dst = AppendUvarint(dst, uint64(len(g.Results)))
	for i := range g.Results {
		dst = g.Results[i].Append(dst)
	}
	return dst
}

// Decode reads what Append wrote.
func (g *GetBatchResult) Decode(d *Decoder) {
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		var r GetResult
		r.Decode(d)
		g.Results = append(g.Results, r)
	}
}
