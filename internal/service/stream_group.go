package service

import (
	"context"
	"slices"
	"strings"

	"weir.dev/weir/internal/model"
)

// Leases of named consumers.
const (
	defaultLeaseMs = 10_000
	minLeaseMs     = 1_000
)

// LeaseShards is one round of a member of a named consumer. A shard whose
// parents the name has not finished is nobody's, so that each partition key's
// records are handled in their order across a resharding. Errors: *StreamError,
// and the cluster's.
func (s *Service) LeaseShards(ctx context.Context, req *LeaseRequest) (*LeaseResult, error) {
	if err := checkGroup(req.Group, req.Member); err != nil {
		return nil, err
	}
	lease := req.LeaseMs
	if lease == 0 {
		lease = defaultLeaseMs
	}
	if lease < minLeaseMs || lease > model.MaxLeaseMs {
		return nil, streamFault(FaultStreamArgument, "A lease lasts %d to %d milliseconds, not %d.", minLeaseMs, model.MaxLeaseMs, lease)
	}
	st, group, err := s.groupOf(ctx, req)
	if err != nil {
		return nil, err
	}
	m := &member{service: s, ref: &req.StreamRef, stream: st, group: group, name: req.Member, leaseMs: lease}
	if err := m.look(ctx); err != nil {
		return nil, err
	}
	if err := m.keep(ctx); err != nil {
		return nil, err
	}
	if err := m.share(ctx); err != nil {
		return nil, err
	}
	return m.result(), nil
}

func checkGroup(group, member string) error {
	switch {
	case group == "" || len(group) > model.MaxGroupBytes || strings.ContainsRune(group, 0):
		return streamFault(FaultStreamArgument, "The name of a consumer has 1 to %d bytes, and no zero byte.", model.MaxGroupBytes)
	case member == "" || len(member) > model.MaxGroupBytes:
		return streamFault(FaultStreamArgument, "The name of a member has 1 to %d bytes.", model.MaxGroupBytes)
	}
	return nil
}

func findGroup(spec *model.StreamSpec, name string) (int, bool) {
	return slices.BinarySearchFunc(spec.Groups, name, func(g model.StreamGroup, name string) int { return strings.Compare(g.Name, name) })
}

// groupOf is the named consumer of the request, which it makes when it is new.
func (s *Service) groupOf(ctx context.Context, req *LeaseRequest) (*Stream, *model.StreamGroup, error) {
	st, err := s.changeStream(ctx, &req.StreamRef, func(st *Stream, spec *model.StreamSpec) error {
		at, found := findGroup(spec, req.Group)
		if found {
			return errUnchanged
		}
		if len(spec.Groups) >= model.MaxStreamGroups {
			return streamFault(FaultStreamLimit, "Stream %s under account %s has reached the limit of %d named consumers.", st.Name, req.account(), model.MaxStreamGroups)
		}
		g := model.StreamGroup{Name: req.Group, CreatedMs: s.nowMs()}
		switch req.Start.Type {
		case "", "TRIM_HORIZON":
		case "LATEST":
			g.StartMs = g.CreatedMs
		case "AT_TIMESTAMP":
			if req.Start.TimestampMs == nil || *req.Start.TimestampMs < 0 {
				return streamFault(FaultStreamArgument, "AT_TIMESTAMP needs a timestamp.")
			}
			g.StartMs = *req.Start.TimestampMs
		default:
			return streamFault(FaultStreamArgument, "A named consumer begins at TRIM_HORIZON, LATEST or AT_TIMESTAMP, not at %s.", req.Start.Type)
		}
		spec.Groups = slices.Insert(slices.Clone(spec.Groups), at, g)
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	at, found := findGroup(st.Spec, req.Group)
	if !found {
		return nil, nil, model.Errorf(model.ErrUnavailable, "the consumer was deleted at the same time; try again")
	}
	return st, &st.Spec.Groups[at], nil
}

// member is one round of a member.
type member struct {
	service *Service
	ref     *StreamRef
	stream  *Stream
	group   *model.StreamGroup
	name    string
	leaseMs int64
	places  []groupPlace // of the shards that may be read now, by number
}

// groupPlace is a group's place in a shard.
type groupPlace struct {
	shard    model.ShardNumber
	state    model.ShardState
	lag      model.GroupLag
	known    bool // the group has a position there
	finished bool
}

// places asks all shards how far the group has come.
func (s *Service) places(ctx context.Context, ref *StreamRef, st *Stream, g *model.StreamGroup) ([]groupPlace, error) {
	places := make([]groupPlace, len(st.Spec.Shards))
	err := sideBySide(len(places), func(i int) (err error) {
		places[i], err = s.placeIn(ctx, ref, st, g, st.Spec.Shards[i].Number)
		return err
	})
	return places, err
}

// placeIn asks one shard how far the group has come.
func (s *Service) placeIn(ctx context.Context, ref *StreamRef, st *Stream, g *model.StreamGroup, n model.ShardNumber) (p groupPlace, err error) {
	p.shard = n
	var found model.PositionsResult
	body := model.PositionsQuery{Shard: n, Group: g.Name}
	if err := s.askShard(ctx, ref, st, n, model.QueryPositions, body.Append(nil), true, &found); err != nil {
		return p, err
	}
	p.state = found.State
	if len(found.Groups) > 0 {
		p.known, p.lag = true, found.Groups[0]
		p.finished = found.Finished(&p.lag)
		return p, nil
	}
	p.lag.Group = g.Name
	p.finished = p.state.ClosedMs != 0 && (p.state.Low >= p.state.Next || p.state.LastMs < g.StartMs)
	return p, nil
}

// look finds the shards that the group may read now.
func (m *member) look(ctx context.Context) error {
	all, err := m.service.places(ctx, m.ref, m.stream, m.group)
	if err != nil {
		return err
	}
	unfinished := func(n model.ShardNumber) bool {
		at, ok := slices.BinarySearchFunc(all, n, func(p groupPlace, n model.ShardNumber) int { return int(p.shard) - int(n) })
		return ok && !all[at].finished
	}
	for i := range all { // parents come before their children
		switch {
		case slices.ContainsFunc(m.stream.Spec.Shards[i].Parents, unfinished):
			// A shard without records is between its parents and its children, too.
			all[i].finished = false
		case !all[i].finished:
			m.places = append(m.places, all[i])
		}
	}
	return nil
}

// keep renews what the member holds and what will end before long.
func (m *member) keep(ctx context.Context) error {
	now := m.service.nowMs()
	return sideBySide(len(m.places), func(i int) error {
		p := &m.places[i]
		if p.lag.Owner != m.name || p.lag.ExpiresMs > now+m.leaseMs*2/3 {
			return nil
		}
		body := model.SetPosition{Op: model.PositionRenew, Shard: p.shard, Group: m.group.Name, Generation: p.lag.Generation, LeaseMs: m.leaseMs}
		return m.set(ctx, p, &body)
	})
}

// set changes a position and notes what it is then.
func (m *member) set(ctx context.Context, p *groupPlace, body *model.SetPosition) error {
	now, status, err := m.service.setPosition(ctx, m.stream, body)
	if err == nil && (status == model.StatusOK || status == model.StatusStale) {
		p.known, p.lag.Position = true, now
	}
	return err
}

// share takes and asks for shards.
func (m *member) share(ctx context.Context) error {
	holders := make([]model.ShardHolder, len(m.places))
	for i := range m.places {
		holders[i] = model.ShardHolder{Shard: m.places[i].shard, Position: m.places[i].lag.Position}
	}
	take, ask := model.ShareShards(m.name, holders, m.service.nowMs())
	wanted := append(slices.Clone(take), ask...)
	places := make([]*groupPlace, len(wanted))
	for i, n := range wanted {
		at, _ := slices.BinarySearchFunc(m.places, n, func(p groupPlace, n model.ShardNumber) int { return int(p.shard) - int(n) })
		places[i] = &m.places[at]
	}
	return sideBySide(len(wanted), func(i int) error {
		body := model.SetPosition{
			Op: model.PositionAcquire, Shard: wanted[i], Group: m.group.Name, Owner: m.name,
			StartMs: m.group.StartMs, LeaseMs: m.leaseMs, Want: i >= len(take),
		}
		return m.set(ctx, places[i], &body)
	})
}

// result is what the member holds now.
func (m *member) result() *LeaseResult {
	res := &LeaseResult{Shards: len(m.places)}
	now := m.service.nowMs()
	for i := range m.places {
		if p := &m.places[i]; p.lag.Owner == m.name && p.lag.HeldAt(now) {
			res.Leases = append(res.Leases, m.service.leaseOf(m.stream, p.shard, &p.lag.Position))
		}
	}
	return res
}

func (s *Service) leaseOf(st *Stream, n model.ShardNumber, p *model.Position) ShardLease {
	return ShardLease{
		Shard: n.String(), Generation: p.Generation, ExpiresMs: p.ExpiresMs, Wanted: p.Wanted != "",
		Iterator: iterator{st.ID, n, max(1, p.N), s.nowMs()}.String(),
	}
}

// CommitPosition sets how far a named consumer has come in a shard, which the
// committing member must hold: a commit of another generation is refused with
// ResourceInUseException. It is safe to repeat. Errors: *StreamError, and the
// cluster's.
func (s *Service) CommitPosition(ctx context.Context, req *CommitRequest) (*ShardLease, error) {
	if err := checkGroup(req.Group, "-"); err != nil {
		return nil, err
	}
	if req.LeaseMs < 0 || req.LeaseMs > model.MaxLeaseMs {
		return nil, streamFault(FaultStreamArgument, "A lease lasts at most %d milliseconds, not %d.", model.MaxLeaseMs, req.LeaseMs)
	}
	st, err := s.stream(ctx, &req.StreamRef)
	if err != nil {
		return nil, err
	}
	body := model.SetPosition{Op: model.PositionCommit, Group: req.Group, Generation: req.Generation, LeaseMs: req.LeaseMs}
	if st, err = s.commitPoint(ctx, st, req, &body); err != nil {
		return nil, err
	}
	switch {
	case req.Release:
		body.Op, body.LeaseMs = model.PositionRelease, 0
	case body.N == 0:
		body.Op, body.LeaseMs = model.PositionRenew, max(req.LeaseMs, 1)
	}
	p, status, err := s.setPosition(ctx, st, &body)
	switch {
	case err != nil:
		return nil, err
	case status == model.StatusOK:
		l := s.leaseOf(st, body.Shard, &p)
		return &l, nil
	case status == model.StatusInvalid:
		return nil, streamFault(FaultStreamArgument, "Sequence number %s is before the position of consumer %s in shard %s, or behind the shard's last record.", req.Sequence, req.Group, req.Shard)
	default:
		return nil, streamFault(FaultStreamInUse, "Shard %s of consumer %s belongs to another member.", req.Shard, req.Group)
	}
}

// commitPoint finds the shard and the position that a commit names.
func (s *Service) commitPoint(ctx context.Context, st *Stream, req *CommitRequest, body *model.SetPosition) (*Stream, error) {
	st, sh, err := s.namedShard(ctx, &req.StreamRef, st, req.Shard)
	if err == nil && sh != nil && req.End && sh.Open() {
		if err = s.cluster.SyncCatalog(ctx); err == nil {
			if st, err = s.streamOf(ctx, &req.StreamRef, st.ID); err == nil {
				sh, _ = st.Spec.Shard(sh.Number)
			}
		}
	}
	if err != nil {
		return nil, err
	}
	if sh == nil {
		return nil, noShard(&req.StreamRef, st.Name, req.Shard)
	}
	body.Shard = sh.Number
	switch {
	case req.End && sh.Open():
		return nil, streamFault(FaultStreamArgument, "Shard %s has no end: it is open.", req.Shard)
	case req.End:
		body.N = max(1, sh.End)
	case req.Sequence != "":
		q, err := model.ParseSequence(req.Sequence)
		if err != nil || !sh.Has(q) {
			return nil, streamFault(FaultStreamArgument, "Sequence number %s did not come from shard %s.", req.Sequence, req.Shard)
		}
		body.N = q.N + 1
	}
	return st, nil
}
