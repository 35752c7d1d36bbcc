package region

import (
	"context"
	"slices"

	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// Both sides of a comparison are read in the same way: by requests over ranges
// of slots, since a key has the same slot in every region, whatever its tablets.

const (
	// digestSlots is how many slots one request sums over, and digestWidth how
	// many go into one sum: a tree of 256 ranges with 64 leaves each.
	digestSlots = model.SlotCount / 256
	digestWidth = digestSlots / 64
	// digestBytes is how much one query of a tablet reads.
	digestBytes = 4 << 20
	// maxFetched bounds the records that one request fetches.
	maxFetched = 8
)

// ranged asks for sums over, or the keys of, a range of slots of a table.
type ranged struct {
	Table  string
	Lo, Hi uint32
	Width  uint32 // for sums
	After  []byte // for keys
}

func (r *ranged) Append(dst []byte) []byte {
	dst = model.AppendUvarint(model.AppendUvarint(model.AppendString(dst, r.Table), uint64(r.Lo)), uint64(r.Hi))
	return model.AppendBytes(model.AppendUvarint(dst, uint64(r.Width)), r.After)
}

func (r *ranged) Decode(d *model.Decoder) {
	r.Table = d.String()
	lo, hi, width := d.Uvarint(), d.Uvarint(), d.Uvarint()
	if lo >= hi || hi > model.SlotCount || width == 0 || width > model.SlotCount {
		d.Fail()
	}
	r.Lo, r.Hi, r.Width, r.After = uint32(lo), uint32(hi), uint32(width), d.Bytes()
}

// sums sums over a range of slots here, whatever tablets they are in.
func (e *Engine) sums(ctx context.Context, table model.ResourceID, r *ranged, condition []byte) (res model.DigestResult, err error) {
	all := model.DigestQuery{LoSlot: r.Lo, HiSlot: r.Hi, Width: r.Width}
	res.Sums = make([]model.Sum, all.Ranges())
	err = e.eachPart(ctx, model.QueryDigest, table, r, condition, func(lo uint32, part *model.DigestResult) bool {
		first := all.Range(model.Slot(lo)) // a sum's range may lie in two tablets: each adds its part
		for i := range part.Sums {
			res.Sums[first+uint32(i)].Add(&part.Sums[i])
		}
		res.Items += part.Items
		return true
	})
	return res, err
}

// keySums lists keys of a range of slots here with their sums, as many as one
// query reads.
func (e *Engine) keySums(ctx context.Context, table model.ResourceID, r *ranged, condition []byte) (res model.DigestResult, err error) {
	err = e.eachPart(ctx, model.QuerySums, table, r, condition, func(_ uint32, part *model.DigestResult) bool {
		res.Keys = append(res.Keys, part.Keys...)
		res.Last = part.Last
		return len(part.Last) == 0
	})
	return res, err
}

// eachPart makes a query in every tablet of a range, page by page, until take
// says that it is enough. lo is where the part's sums begin.
func (e *Engine) eachPart(ctx context.Context, kind model.QueryKind, table model.ResourceID, r *ranged, condition []byte, take func(lo uint32, part *model.DigestResult) bool) error {
	c := e.cluster.Catalog()
	at, after := r.Lo, r.After
	if len(after) > 0 {
		partition, _, ok := keys.SplitPartition(after)
		if at = uint32(model.SlotOf(partition)); !ok || at < r.Lo || at >= r.Hi {
			return model.Errorf(model.ErrValidation, "a key to go on behind is malformed")
		}
	}
	for at < r.Hi {
		t, ok := c.TabletOf(model.Slot(at))
		if !ok {
			return model.Errorf(model.ErrUnavailable, "this node has not received the catalog yet")
		}
		q := model.DigestQuery{LoSlot: at, HiSlot: min(t.Hi, r.Hi), Width: r.Width, After: after, Condition: condition, MaxBytes: digestBytes}
		res, err := e.read(ctx, &model.Query{Kind: kind, Resource: table, Slot: model.Slot(at), Body: q.Append(nil)}, false)
		if err != nil {
			return err
		}
		var part model.DigestResult
		if err := decode(res.Body, &part); err != nil {
			return err
		}
		if !take(at, &part) {
			return nil
		}
		if after = part.Last; len(after) == 0 {
			at = t.Hi
		}
	}
	return nil
}

// fetchRequest asks for records by key.
type fetchRequest struct {
	Table string
	Keys  [][]byte
}

func (f *fetchRequest) Append(dst []byte) []byte {
	q := model.ByKeyQuery{Keys: f.Keys}
	return q.Append(model.AppendString(dst, f.Table))
}

func (f *fetchRequest) Decode(d *model.Decoder) {
	f.Table = d.String()
	var q model.ByKeyQuery
	q.Decode(d)
	if f.Keys = q.Keys; len(f.Keys) > maxFetched {
		d.Fail()
	}
}

// records are changes as an answer.
type records []model.Change

func (r records) Append(dst []byte) []byte { return model.AppendChanges(dst, r) }
func (r *records) Decode(d *model.Decoder) { *r = model.DecodeChanges(d) }

// fetch reads records of a table here, from its leaders, under the names that
// regions have among each other.
func (e *Engine) fetch(ctx context.Context, table model.ResourceID, keys [][]byte) (found records, err error) {
	for _, key := range keys {
		slot, err := e.service.CheckKey(table, key)
		if err != nil {
			return nil, err
		}
		q := model.ByKeyQuery{Keys: [][]byte{key}}
		res, err := e.read(ctx, &model.Query{Kind: model.QueryByKey, Resource: table, Slot: slot, Body: q.Append(nil)}, true)
		if err != nil {
			return nil, err
		}
		var one model.CopyResult
		if err := decode(res.Body, &one); err != nil {
			return nil, err
		}
		for i := range one.Changes {
			one.Changes[i].Rename(0, e.cluster.Catalog().Region())
			found = append(found, one.Changes[i])
		}
	}
	return found, nil
}

// tell answers what a comparison asks. Only tables of the link are shown.
func (e *Engine) tell(ctx context.Context, s *sender, op Op, body []byte) ([]byte, error) {
	if op == OpDrained {
		return e.drained(ctx, &s.spec, body)
	}
	if op == OpFetch {
		var req fetchRequest
		if err := decode(body, &req); err != nil {
			return nil, err
		}
		id, err := e.linked(ctx, s, req.Table)
		if err != nil {
			return nil, err
		}
		found, err := e.fetch(ctx, id, req.Keys)
		return found.Append(nil), err
	}
	var req ranged
	if err := decode(body, &req); err != nil {
		return nil, err
	}
	id, err := e.linked(ctx, s, req.Table)
	if err != nil {
		return nil, err
	}
	ask := e.sums
	if op == OpSums {
		ask = e.keySums
	}
	res, err := ask(ctx, id, &req, nil)
	return res.Append(nil), err
}

// linked is a table that an inbound link ships.
func (e *Engine) linked(ctx context.Context, s *sender, name string) (model.ResourceID, error) {
	id, err := e.service.ResourceID(ctx, model.KindTable, name)
	if err != nil {
		return 0, err
	}
	t, ok := e.cluster.Catalog().TabletOf(0)
	if !ok {
		return 0, model.Errorf(model.ErrUnavailable, "this node has not received the catalog yet")
	}
	state, err := e.strongState(ctx, s.id, t)
	if err != nil {
		return 0, err
	}
	for i := range state.Tables {
		if state.Tables[i].Table == id {
			return id, nil
		}
	}
	return 0, model.Errorf(model.ErrNotFound, "the link does not ship the table %s", name)
}

// drainedAnswer says how far the link back has come.
type drainedAnswer struct {
	Back bool // there is one
	Done bool // it has shipped up to the marks that were asked about
	// Elsewhere says that there is none, but links to other regions: what was
	// written there may be on its way by these.
	Elsewhere bool
	Marks     marks
}

func (a *drainedAnswer) Append(dst []byte) []byte {
	return a.Marks.Append(model.AppendBool(model.AppendBool(model.AppendBool(dst, a.Back), a.Done), a.Elsewhere))
}

func (a *drainedAnswer) Decode(d *model.Decoder) {
	a.Back, a.Done, a.Elsewhere = d.Bool(), d.Bool(), d.Bool()
	a.Marks.Decode(d)
}

// drained tells what a link back has to ship now, or whether it has shipped what
// it had to when it was asked before.
func (e *Engine) drained(ctx context.Context, from *model.InboundSpec, body []byte) ([]byte, error) {
	var a drainedAnswer
	asked := len(body) > 0
	if asked {
		if err := decode(body, &a); err != nil {
			return nil, err
		}
	}
	back, ok := e.linkTo(from)
	if a.Back = ok; !ok {
		a.Done = true
		for range e.cluster.Catalog().Resources.Of(model.KindLink) {
			a.Elsewhere = true
		}
		return a.Append(nil), nil
	}
	var err error
	if asked {
		if a.Done, err = e.shippedUpTo(ctx, back.ID, a.Marks); err != nil {
			return nil, err
		}
		st, err := e.status(ctx, back)
		if err != nil {
			return nil, err
		}
		a.Done = a.Done && st.Copying == 0
	} else {
		a.Marks, err = e.lastNumbers(ctx, back.ID)
	}
	return a.Append(nil), err
}

// linkTo finds the link back to the region that an inbound link comes from: the
// one with the same queues and streams, or for tables any.
func (e *Engine) linkTo(from *model.InboundSpec) (back *model.Resource, ok bool) {
	for r := range e.cluster.Catalog().Resources.Of(model.KindLink) {
		spec, err := decodeLink(r)
		switch {
		case err != nil || spec.Region != from.Region:
		case sameUnits(from.Queues, from.Streams, spec.Queues, spec.Streams):
			return r, true
		case len(from.Queues)+len(from.Streams) == 0 && !ok:
			back, ok = r, true
		}
	}
	return back, ok
}

// sameUnits reports whether two links ship the same queues and streams.
func sameUnits(aQueues, aStreams, bQueues, bStreams []string) bool {
	return slices.Equal(aQueues, bQueues) && slices.Equal(aStreams, bStreams)
}
