package region

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"slices"
	"time"

	"weir.dev/weir/internal/model"
)

// Receive answers a request of another region, whose sender has shown the
// inbound link and its key. Errors are shown there; what was not applied is
// sent again.
func (e *Engine) Receive(ctx context.Context, from model.ResourceID, key [32]byte, op Op, body []byte) ([]byte, error) {
	// What a request proposes must be over soon after its sender has given up: the
	// rounds count on it.
	ctx, cancel := e.within(ctx, remoteTimeout)
	defer cancel()
	switch op {
	case OpOpen:
		return e.open(ctx, key, body)
	case OpFollow:
		return e.followed(ctx, key, body)
	}
	s, err := e.admit(ctx, from, key)
	if err != nil {
		return nil, err
	}
	return e.answer(ctx, s, op, body)
}

func (e *Engine) answer(ctx context.Context, s *sender, op Op, body []byte) ([]byte, error) {
	switch op {
	case OpTables:
		return nil, e.haveTables(ctx, s, body)
	case OpUnits:
		return nil, e.haveUnits(ctx, s, body)
	case OpApplyUnits:
		return e.takeInUnits(ctx, &s.spec, body)
	case OpApply:
		return e.takeIn(ctx, &s.spec, body)
	case OpMark:
		return e.mark(ctx, s.id, &s.spec)
	case OpPassed:
		return nil, e.passed(ctx, s.id, body)
	case OpReport:
		return model.AppendUvarint(nil, s.spec.Epoch), e.hear(ctx, s.id, body)
	case OpPromote:
		return nil, e.takeOver(ctx, s, body)
	case OpShipBack:
		return nil, e.shipBack(ctx, s, body)
	case OpFailBack:
		return e.failBack(ctx, &s.spec)
	case OpDigest, OpLook, OpFetch, OpDrained:
		return e.tell(ctx, s, op, body)
	default:
		return nil, model.Errorf(model.ErrUnsupported, "this region does not know operation %d; it may be older than the other", op)
	}
}

// errKey does not say which part was wrong.
var errKey = model.Errorf(model.ErrAccessDenied, "this region knows no such link: it was removed here, or its token was used or has expired; remove the link and add it with a new token")

// sender is an inbound link whose key was shown.
type sender struct {
	id      model.ResourceID
	version uint64 // of the inbound link in the catalog
	spec    model.InboundSpec
}

// admit finds the inbound link whose key was shown.
func (e *Engine) admit(ctx context.Context, from model.ResourceID, key [32]byte) (*sender, error) {
	r, ok := e.cluster.Catalog().ResourceByID(from)
	if !ok {
		if err := e.cluster.SyncCatalog(ctx); err != nil {
			return nil, err
		}
		r, ok = e.cluster.Catalog().ResourceByID(from)
	}
	if !ok || r.Kind != model.KindInbound {
		return nil, errKey
	}
	spec, err := decodeInbound(r)
	hash := sha256.Sum256(key[:])
	if err != nil || spec.Region == 0 || subtle.ConstantTimeCompare(hash[:], spec.KeyHash[:]) != 1 {
		return nil, cmp.Or(err, error(errKey))
	}
	return &sender{r.ID, r.Version, spec}, nil
}

// open lets a link in that shows the token of an inbound link, and uses the
// token up. The same link may ask twice.
func (e *Engine) open(ctx context.Context, tokenHash [32]byte, body []byte) ([]byte, error) {
	var req openRequest
	if err := decode(body, &req); err != nil {
		return nil, err
	}
	if req.Region == 0 || req.Region == e.cluster.Catalog().Region() {
		return nil, model.Errorf(model.ErrValidation, "a link leads to another cluster, not back to its own")
	}
	r, spec, err := e.invitation(ctx, tokenHash)
	if err != nil {
		return nil, err
	}
	if spec.Region != req.Region || spec.KeyHash != req.KeyHash { // else it asks again
		if spec.Region != 0 || e.clock.Now().UnixMilli() > spec.ExpiresMs {
			return nil, errKey
		}
		spec.Region, spec.RegionName, spec.Link, spec.KeyHash = req.Region, req.Name, req.Link, req.KeyHash
		if _, err := e.service.UpdateTied(ctx, r, spec.Append(nil)); err != nil {
			return nil, err
		}
		e.log.Info("another region ships to this one", "region", req.Name, "link", req.Link, "inbound", r.Name)
	}
	c := e.cluster.Catalog()
	a := openAnswer{Inbound: r.ID, Region: c.Region(), Name: c.Settings.RegionName}
	return a.Append(nil), nil
}

// invitation finds the inbound link of a token.
func (e *Engine) invitation(ctx context.Context, tokenHash [32]byte) (*model.Resource, *model.InboundSpec, error) {
	all, err := e.service.ListTied(ctx, model.KindInbound)
	if err != nil {
		return nil, nil, err
	}
	for _, r := range all {
		spec, err := decodeInbound(r)
		if err != nil {
			return nil, nil, err
		}
		if tokenHash != [32]byte{} && subtle.ConstantTimeCompare(spec.TokenHash[:], tokenHash[:]) == 1 {
			return r, &spec, nil
		}
	}
	return nil, nil, errKey
}

// haveTables makes tables that are missing and keeps their tombstones for the
// link in every tablet.
func (e *Engine) haveTables(ctx context.Context, s *sender, body []byte) error {
	var req tablesRequest
	if err := decode(body, &req); err != nil {
		return err
	}
	var ids []model.ResourceID
	for _, n := range req.Tables {
		var spec model.TableSpec
		if err := decode(n.Spec, &spec); err != nil {
			return err
		}
		if err := e.service.CopyTable(ctx, n.Name, &spec); err != nil {
			return err
		}
		id, err := e.service.ResourceID(ctx, model.KindTable, n.Name)
		if err != nil {
			return err
		}
		res, err := e.resolutionOf(id)
		if err != nil {
			return err
		}
		if err := res.agree(n.Policy); err != nil {
			return err
		}
		ids = append(ids, id)
	}
	c := e.cluster.Catalog()
	for i := range c.Tablets {
		if t := &c.Tablets[i]; t.Hi > t.Lo {
			if err := e.holdTombstones(ctx, s, t, ids); err != nil {
				return err
			}
		}
	}
	return nil
}

// holdTombstones keeps the tombstones of tables in one tablet.
func (e *Engine) holdTombstones(ctx context.Context, from *sender, t *model.Tablet, tables []model.ResourceID) error {
	s, err := e.strongState(ctx, from.id, t)
	if err != nil {
		return err
	}
	if from.spec.Passive && !s.Passive { // before the first of its tables is there
		body := model.Role{Version: from.version, Passive: true}
		if _, err := e.propose(ctx, &model.Command{Kind: model.CmdRole, Resource: from.id, Slot: model.Slot(t.Lo), Body: body.Append(nil)}); err != nil {
			return err
		}
	}
	for _, id := range tables {
		if slices.ContainsFunc(s.Tables, func(w model.WatchedTable) bool { return w.Table == id }) {
			continue
		}
		body := model.Watch{Reader: from.id, Version: from.version, Keep: true, Policy: e.policyOf(id)}
		res, err := e.propose(ctx, &model.Command{Kind: model.CmdWatch, Resource: id, Slot: model.Slot(t.Lo), Body: body.Append(nil)})
		switch {
		case err != nil:
			return err
		case res.Status == model.StatusStale:
			return model.Errorf(model.ErrUnavailable, "the inbound link was changed meanwhile")
		case res.Status != model.StatusOK:
			return model.Errorf(model.ErrNotFound, "the link or one of its tables was removed")
		}
	}
	return nil
}

// unpackBatch reads what another region ships, and refuses what was read too
// long ago. It returns the time that it went by.
func (e *Engine) unpackBatch(packed []byte, b shipped) (now time.Time, err error) {
	body, err := unpack(packed)
	if err != nil {
		return now, err
	}
	if err := decode(body, b); err != nil {
		return now, err
	}
	now = e.clock.Now()
	if age := now.Sub(b.readAt()); age > maxBatchAge || age < -maxClockLead {
		return now, model.Errorf(model.ErrUnavailable, "the message was read %v ago by the clock there: it is too old, or the clocks of the two regions differ", age.Round(time.Millisecond))
	}
	return now, nil
}

// shipped is a batch of changes that another region ships.
type shipped interface {
	decodable
	readAt() time.Time // by the clock there
}

func (b *batch) readAt() time.Time     { return time.UnixMilli(b.ReadMs) }
func (b *unitBatch) readAt() time.Time { return time.UnixMilli(b.ReadMs) }

// takeIn applies a batch.
func (e *Engine) takeIn(ctx context.Context, from *model.InboundSpec, packed []byte) ([]byte, error) {
	var b batch
	now, err := e.unpackBatch(packed, &b)
	if err != nil {
		return nil, err
	}
	var all applied
	if b.Epoch < from.Epoch {
		all.Fenced = from.Epoch
		return all.Append(nil), nil
	}
	for i := range b.Tables {
		if err := e.takeInTable(ctx, from, &b.Tables[i], now, &all.ApplyChangesResult); err != nil {
			return nil, err
		}
	}
	return all.Append(nil), nil
}

// takeInTable applies the changes of one table, tablet by tablet.
func (e *Engine) takeInTable(ctx context.Context, from *model.InboundSpec, t *tableChanges, now time.Time, all *model.ApplyChangesResult) error {
	id, err := e.service.ResourceID(ctx, model.KindTable, t.Name)
	if err != nil {
		return err
	}
	res, err := e.resolutionOf(id)
	if err != nil {
		return err
	}
	if err := res.agree(t.Policy); err != nil {
		return err
	}
	c := e.cluster.Catalog()
	parts := map[model.TabletID]*part{} // finds in order; never ranged over
	var order []*part
	for i := range t.Changes {
		slot, err := e.check(id, res, &t.Changes[i], now, from)
		if err != nil {
			return err
		}
		tablet, ok := c.TabletOf(slot)
		if !ok {
			return model.Errorf(model.ErrUnavailable, "this node has not received the catalog yet")
		}
		p := parts[tablet.ID]
		if p == nil {
			p = &part{slot: slot}
			parts[tablet.ID] = p
			order = append(order, p)
		}
		p.changes = append(p.changes, t.Changes[i])
		p.stamp = max(p.stamp, t.Changes[i].Newest()+1)
	}
	for _, p := range order {
		if err := e.applyPart(ctx, id, c.Region(), res, p, all); err != nil {
			return err
		}
	}
	return nil
}

// part is what of a batch belongs to one tablet.
type part struct {
	slot    model.Slot
	stamp   model.Stamp // later than all of them
	changes []model.Change
}

func (e *Engine) applyPart(ctx context.Context, table model.ResourceID, self model.RegionID, res *resolution, p *part, all *model.ApplyChangesResult) error {
	body := model.ApplyChanges{Self: self, Policy: res.Policy, Rank: res.rank, Keys: res.Keys, Changes: p.changes}
	cmd := &model.Command{Kind: model.CmdApplyChanges, Resource: table, Slot: p.slot, Stamp: p.stamp, Body: body.Append(nil)}
	answer, err := e.propose(ctx, cmd)
	if err != nil {
		return err
	}
	switch answer.Status {
	case model.StatusOK:
	case model.StatusGone:
		return model.Errorf(model.ErrNotFound, "the table was deleted")
	default:
		return model.Errorf(model.ErrInternal, "changes were refused with status %d", answer.Status)
	}
	var did model.ApplyChangesResult
	if err := decode(answer.Body, &did); err != nil {
		return err
	}
	all.Applied += did.Applied
	all.Known += did.Known
	all.Conflicts += did.Conflicts
	return nil
}

// check holds a change to what the tablet takes for granted, and returns its
// slot.
func (e *Engine) check(table model.ResourceID, res *resolution, c *model.Change, now time.Time, from *model.InboundSpec) (model.Slot, error) {
	if ahead := c.Newest().Time().Sub(now); ahead > maxClockLead {
		return 0, model.Errorf(model.ErrUnavailable, "a clock of the region %s is %v ahead: set the clocks of all nodes", from.RegionName, ahead.Round(time.Second))
	}
	largest := uint64(model.MaxItemBytes)
	if res.Policy.Tracked() != model.PolicyLastWriter {
		largest = model.MaxMergedBytes
	}
	if c.Version.Region == 0 || slices.ContainsFunc(c.History, func(v model.Version) bool { return v.Region == 0 }) || c.Size > largest {
		return 0, model.Errorf(model.ErrValidation, "a change is malformed")
	}
	if err := e.checkMerge(table, c); err != nil {
		return 0, err
	}
	if c.Delete {
		return e.service.CheckKey(table, c.Key)
	}
	d := model.NewDecoder(c.Item)
	item := model.DecodeItem(d)
	if err := d.Done(); err != nil {
		return 0, model.Errorf(model.ErrValidation, "a change holds a malformed item")
	}
	return e.service.CheckItem(table, c.Key, item)
}

// mark answers with what the other region has surely heard of: what a link back
// to it has shipped. A region that only this one is shipped from, and that ships
// nowhere, has nothing to tell. Where neither holds, nothing is ever passed and
// tombstones stay.
func (e *Engine) mark(ctx context.Context, inbound model.ResourceID, from *model.InboundSpec) ([]byte, error) {
	if err := e.cluster.SyncCatalog(ctx); err != nil { // a link that was added just now counts
		return nil, err
	}
	c := e.cluster.Catalog()
	var back model.ResourceID
	links, inbounds := 0, 0
	for r := range c.Resources.Of(model.KindInbound) {
		if spec, err := decodeInbound(r); err != nil || spec.Region != 0 {
			inbounds++ // an invitation that nobody has accepted tells nothing
		}
	}
	for r := range c.Resources.Of(model.KindLink) {
		links++
		if spec, err := decodeLink(r); err == nil && spec.Region == from.Region {
			back = r.ID
		}
	}
	if back == 0 && (links > 0 || inbounds > 1) {
		return marks(nil).Append(nil), nil
	}
	reader := cmp.Or(back, inbound)
	var m marks
	for i := range c.Tablets {
		t := &c.Tablets[i]
		if t.Hi <= t.Lo {
			continue
		}
		s, err := e.strongState(ctx, reader, t)
		if err != nil {
			return nil, err
		}
		upTo := s.Last
		if back != 0 {
			upTo = s.UpTo
		}
		m = append(m, model.LinkTarget{Tablet: t.ID, UpTo: upTo})
	}
	return m.Append(nil), nil
}

// passed moves the inbound link's reader forward.
func (e *Engine) passed(ctx context.Context, inbound model.ResourceID, body []byte) error {
	var m marks
	if err := decode(body, &m); err != nil {
		return err
	}
	c := e.cluster.Catalog()
	for _, t := range m {
		tablet, ok := c.TabletByID(t.Tablet)
		if !ok {
			return model.Errorf(model.ErrValidation, "there is no tablet %v here", t.Tablet)
		}
		s, err := e.strongState(ctx, inbound, tablet)
		if err != nil {
			return err
		}
		if s.UpTo >= t.UpTo {
			continue
		}
		if err := e.advance(ctx, place{inbound, t.Tablet}, tablet.Lo, min(t.UpTo, s.Last), s.Total); err != nil {
			return err
		}
	}
	return nil
}
