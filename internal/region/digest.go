package region

import (
	"context"
	"slices"
	"time"

	"weir.dev/weir/internal/model"
)

// Both sides of a comparison are read in the same way: by places, which are the
// same in every region whatever its tablets (model/verify_commands.go). One
// request asks about many parts at once, and the answer says how far it came.

const (
	// digestBytes is how much one query of a tablet reads.
	digestBytes = 4 << 20
	// digestBudget is how much one request reads, and digestTime how long it may:
	// what it did not come to is asked for again.
	digestBudget = 32 << 20
	digestTime   = 2 * time.Second
	// digestTimeout bounds such a request.
	digestTimeout = 8 * time.Second
	// digestAnswer is how large an answer becomes, about.
	digestAnswer = 1 << 20
	// maxAsked bounds the parts that one request asks about, and maxLooked the
	// places.
	maxAsked  = 4096
	maxLooked = 1024
	// maxListed is about how many keys are listed on this side at a time.
	maxListed = 4096
	// maxFetched bounds the records that one request fetches.
	maxFetched = 8
)

// compared is what is compared as one: a table, a slot of a queue or a shard.
type compared struct {
	kind  model.ResourceKind
	name  string
	index uint64 // of the unit, as unit.index
}

func (c *compared) append(dst []byte) []byte {
	return model.AppendUvarint(model.AppendString(append(dst, byte(c.kind)), c.name), c.index)
}

func (c *compared) decode(d *model.Decoder) {
	c.kind, c.name, c.index = model.ResourceKind(d.Byte()), d.String(), d.Uvarint()
}

// digestRequest asks for sums over ranges of places of some parts.
type digestRequest struct {
	Grain, List uint64 // as in model.DigestQuery
	Asked       []asked
}

// asked is a range of places of a part.
type asked struct {
	of     compared
	lo, hi []byte
}

func (r *digestRequest) Append(dst []byte) []byte {
	dst = model.AppendUvarint(model.AppendUvarint(dst, r.Grain), r.List)
	dst = model.AppendUvarint(dst, uint64(len(r.Asked)))
	for i := range r.Asked {
		a := &r.Asked[i]
		dst = model.AppendBytes(model.AppendBytes(a.of.append(dst), a.lo), a.hi)
	}
	return dst
}

func (r *digestRequest) Decode(d *model.Decoder) {
	r.Grain, r.List = d.Uvarint(), d.Uvarint()
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		var a asked
		a.of.decode(d)
		a.lo, a.hi = d.Bytes(), d.Bytes()
		r.Asked = append(r.Asked, a)
	}
	if len(r.Asked) > maxAsked || r.Grain == 0 {
		d.Fail()
	}
}

// digests are the answers to the first of what was asked for.
type digests []model.DigestResult

func (a digests) Append(dst []byte) []byte {
	dst = model.AppendUvarint(dst, uint64(len(a)))
	for i := range a {
		dst = a[i].Append(dst)
	}
	return dst
}

func (a *digests) Decode(d *model.Decoder) {
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		var r model.DigestResult
		r.Decode(d)
		*a = append(*a, r)
	}
}

// lookRequest asks what there is at places of some parts.
type lookRequest []lookedAt

type lookedAt struct {
	of     compared
	places [][]byte
}

func (r lookRequest) Append(dst []byte) []byte {
	dst = model.AppendUvarint(dst, uint64(len(r)))
	for i := range r {
		dst = model.AppendUvarint(r[i].of.append(dst), uint64(len(r[i].places)))
		for _, p := range r[i].places {
			dst = model.AppendBytes(dst, p)
		}
	}
	return dst
}

func (r *lookRequest) Decode(d *model.Decoder) {
	places := 0
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		var l lookedAt
		l.of.decode(d)
		for m := d.Count(); m > 0 && d.Err() == nil; m-- {
			l.places = append(l.places, d.Bytes())
		}
		places += len(l.places)
		*r = append(*r, l)
	}
	if len(*r) > maxLooked || places > maxLooked {
		d.Fail()
	}
}

// looks are the answers.
type looks []model.LookResult

func (a looks) Append(dst []byte) []byte {
	dst = model.AppendUvarint(dst, uint64(len(a)))
	for i := range a {
		dst = a[i].Append(dst)
	}
	return dst
}

func (a *looks) Decode(d *model.Decoder) {
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		var r model.LookResult
		r.Decode(d)
		*a = append(*a, r)
	}
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

// tell answers what a comparison asks. Only what the link ships is shown.
func (e *Engine) tell(ctx context.Context, s *sender, op Op, body []byte) ([]byte, error) {
	if op == OpDrained {
		return e.drained(ctx, &s.spec, body)
	}
	shipped, err := e.shippedBy(ctx, s)
	if err != nil {
		return nil, err
	}
	switch op {
	case OpDigest:
		return e.tellDigests(ctx, shipped, body)
	case OpLook:
		return e.tellLooks(ctx, shipped, body)
	}
	var req fetchRequest
	if err := decode(body, &req); err != nil {
		return nil, err
	}
	h, err := e.locate(ctx, shipped, &compared{kind: model.KindTable, name: req.Table})
	if err != nil {
		return nil, err
	}
	found, err := e.fetch(ctx, h.id, req.Keys)
	return found.Append(nil), err
}

func (e *Engine) tellDigests(ctx context.Context, shipped []model.ResourceID, body []byte) ([]byte, error) {
	var req digestRequest
	if err := decode(body, &req); err != nil {
		return nil, err
	}
	var all digests
	began, size, read := e.clock.Now(), 0, uint64(0)
	for i := range req.Asked {
		if i > 0 && (size > digestAnswer || read >= digestBudget || e.clock.Now().Sub(began) > digestTime) {
			break
		}
		a := &req.Asked[i]
		h, err := e.locate(ctx, shipped, &a.of)
		if err != nil {
			return nil, err
		}
		q := model.DigestQuery{Lo: a.lo, Hi: a.hi, Grain: req.Grain, List: min(req.List, maxListed)}
		res, err := e.digest(ctx, h, q, max(digestBudget-read, digestBytes))
		if err != nil {
			return nil, err
		}
		all, read = append(all, res), read+res.Bytes
		for k := range res.Runs {
			size += 64 + 64*len(res.Runs[k].Keys)
		}
	}
	return all.Append(nil), nil
}

func (e *Engine) tellLooks(ctx context.Context, shipped []model.ResourceID, body []byte) ([]byte, error) {
	var req lookRequest
	if err := decode(body, &req); err != nil {
		return nil, err
	}
	var all looks
	for i := range req {
		h, err := e.locate(ctx, shipped, &req[i].of)
		if err != nil {
			return nil, err
		}
		res, err := e.look(ctx, h, req[i].places, nil)
		if err != nil {
			return nil, err
		}
		all = append(all, res)
	}
	return all.Append(nil), nil
}

// shippedBy lists what an inbound link ships.
func (e *Engine) shippedBy(ctx context.Context, s *sender) (ids []model.ResourceID, err error) {
	t, ok := e.cluster.Catalog().TabletOf(0)
	if !ok {
		return nil, model.Errorf(model.ErrUnavailable, "this node has not received the catalog yet")
	}
	state, err := e.strongState(ctx, s.id, t)
	for i := range state.Tables {
		ids = append(ids, state.Tables[i].Table)
	}
	return ids, err
}

// locate finds a part here, among what a link ships.
func (e *Engine) locate(ctx context.Context, shipped []model.ResourceID, c *compared) (*located, error) {
	id, err := e.service.ResourceID(ctx, c.kind, c.name)
	if err != nil {
		return nil, err
	}
	r, ok := e.cluster.Catalog().ResourceByID(id)
	if !ok || !slices.Contains(shipped, id) {
		return nil, model.Errorf(model.ErrNotFound, "the link does not ship %s", c.name)
	}
	h := &located{kind: c.kind, id: id}
	if isUnits(c.kind) {
		var cmd model.ApplyUnit
		if h.slot, err = placeUnit(r, c.index, &cmd); err != nil {
			return nil, err
		}
		h.shard = cmd.Shard
	}
	return h, nil
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
		a.Done, err = e.hasShipped(ctx, back, a.Marks)
	} else {
		a.Marks, err = e.lastNumbers(ctx, back.ID)
	}
	return a.Append(nil), err
}

// hasShipped reports whether a link has come up to the numbers, and has no first
// copy under way.
func (e *Engine) hasShipped(ctx context.Context, link *model.Resource, m marks) (bool, error) {
	if ok, err := e.shippedUpTo(ctx, link.ID, m); err != nil || !ok {
		return false, err
	}
	st, err := e.status(ctx, link)
	return st.Copying == 0, err
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
