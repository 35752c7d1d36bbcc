package machine

import (
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// readPosition returns nil when the group has no position in the shard.
func readPosition(r Reader, id model.ResourceID, slot model.Slot, number model.ShardNumber, group string) (*model.Position, error) {
	value, ok, err := r.Get(keys.GroupPosition(nil, id, slot, number, group))
	if err != nil || !ok {
		return nil, err
	}
	p, err := bodyOf[model.Position](value)
	return &p, err
}

// applySetPosition moves a consumer group's position or its lease.
func applySetPosition(_ *Machine, tx *Tx) (model.Result, error) {
	c, err := bodyOf[model.SetPosition](tx.Command.Body)
	if err != nil {
		return model.Result{}, err
	}
	s, err := openShard(tx, c.Shard)
	if err != nil {
		return model.Result{}, err
	}
	p, err := readPosition(tx, s.id, s.slot, s.number, c.Group)
	if err != nil {
		return model.Result{}, err
	}
	status, known := model.StatusOK, p != nil
	if !known {
		if p, status, err = s.newPosition(&c); err != nil || status != model.StatusOK {
			return model.Result{Status: status}, err
		}
	}
	was := *p
	status = positionOps[c.Op](s, &c, p)
	key := keys.GroupPosition(s.key[:0], s.id, s.slot, s.number, c.Group)
	switch {
	case c.Op == model.PositionForget:
		tx.Delete(key)
		s.head.Groups--
		if s.told != nil {
			s.told.Forgotten = append(s.told.Forgotten, c.Group)
		}
	case !known && status == model.StatusOK || *p != was:
		if !known {
			s.head.Groups++
		}
		tx.Set(key, p.Append(nil))
		if !known || p.N != was.N {
			s.tellPosition(p)
		}
	}
	return model.Result{Status: status, Body: p.Append(nil)}, s.flush()
}

// newPosition is the position of a group that comes to the shard for the first
// time.
func (s *shard) newPosition(c *model.SetPosition) (*model.Position, model.Status, error) {
	if c.Op != model.PositionAcquire && c.Op != model.PositionSeek {
		return nil, model.StatusNotFound, nil
	}
	if s.head.Groups >= model.MaxStreamGroups+model.MaxStreamConsumers { // subscriptions keep positions, too
		return nil, model.StatusOverLimit, nil
	}
	b, ok, err := s.records().firstAt(c.StartMs)
	if err != nil {
		return nil, model.StatusOK, err
	}
	p := &model.Position{Group: c.Group, N: s.head.Next}
	if ok {
		p.N = b.First
	}
	return p, model.StatusOK, nil
}

// positionOps change a position; what they leave is the answer, also when they
// refuse.
var positionOps = map[model.PositionOp]func(s *shard, c *model.SetPosition, p *model.Position) model.Status{
	model.PositionAcquire: (*shard).acquire,
	model.PositionRenew:   (*shard).renew,
	model.PositionCommit:  (*shard).commit,
	model.PositionRelease: (*shard).release,
	model.PositionSeek:    (*shard).seek,
	model.PositionForget:  func(*shard, *model.SetPosition, *model.Position) model.Status { return model.StatusOK },
}

func (s *shard) acquire(c *model.SetPosition, p *model.Position) model.Status {
	if p.Owner == c.Owner {
		p.ExpiresMs = s.nowMs + c.LeaseMs
		return model.StatusOK
	}
	if p.HeldAt(s.nowMs) {
		if c.Want && p.Wanted == "" {
			p.Wanted = c.Owner
		}
		return model.StatusStale
	}
	s.give(p, c.Owner, c.LeaseMs)
	return model.StatusOK
}

// give makes a member, or nobody, the holder.
func (s *shard) give(p *model.Position, owner string, leaseMs int64) {
	p.Generation++
	p.Owner, p.ExpiresMs, p.Wanted = owner, s.nowMs+leaseMs, ""
	if owner == "" {
		p.ExpiresMs = 0
	}
}

// byHolder reports whether the command comes from the holder.
func byHolder(c *model.SetPosition, p *model.Position) bool {
	return p.Owner != "" && p.Generation == c.Generation
}

func (s *shard) renew(c *model.SetPosition, p *model.Position) model.Status {
	if !byHolder(c, p) {
		return model.StatusStale
	}
	p.ExpiresMs = max(p.ExpiresMs, s.nowMs+c.LeaseMs)
	return model.StatusOK
}

func (s *shard) commit(c *model.SetPosition, p *model.Position) model.Status {
	if !byHolder(c, p) {
		return model.StatusStale
	}
	if c.N < p.N || c.N > s.head.Next {
		return model.StatusInvalid
	}
	p.N, p.CommitMs = c.N, s.nowMs
	if c.LeaseMs > 0 {
		p.ExpiresMs = max(p.ExpiresMs, s.nowMs+c.LeaseMs)
	}
	return model.StatusOK
}

func (s *shard) release(c *model.SetPosition, p *model.Position) model.Status {
	if p.Owner == "" && p.Generation == c.Generation+1 {
		return model.StatusOK // it was released by this command before
	}
	if !byHolder(c, p) {
		return model.StatusStale
	}
	if c.N != 0 {
		if c.N < p.N || c.N > s.head.Next {
			return model.StatusInvalid
		}
		p.N, p.CommitMs = c.N, s.nowMs
	}
	s.give(p, p.Wanted, model.HandoverMs)
	return model.StatusOK
}

func (s *shard) seek(c *model.SetPosition, p *model.Position) model.Status {
	if c.N > s.head.Next {
		return model.StatusInvalid
	}
	p.N, p.CommitMs = max(c.N, s.head.Low), s.nowMs
	s.give(p, "", 0)
	return model.StatusOK
}

// queryPositions answers with the positions in a shard and their lags.
func queryPositions(r Reader, q *model.Query) (model.Result, error) {
	body, err := bodyOf[model.PositionsQuery](q.Body)
	if err != nil {
		return model.Result{}, err
	}
	s, err := openRecords(r, q, body.Shard)
	if err != nil {
		return model.Result{}, err
	}
	res := model.PositionsResult{State: shardState(s.head)}
	add := func(p *model.Position) error {
		lag, err := s.lag(p)
		res.Groups = append(res.Groups, lag)
		return err
	}
	if body.Group != "" {
		p, err := readPosition(r, q.Resource, q.Slot, body.Shard, body.Group)
		if err == nil && p != nil {
			err = add(p)
		}
		return model.Result{Body: res.Append(nil)}, err
	}
	lo, hi := keys.GroupPositions(q.Resource, q.Slot, body.Shard)
	err = scan(r, lo, hi, func(_, value []byte) error {
		p, err := bodyOf[model.Position](value)
		if err != nil {
			return err
		}
		return add(&p)
	})
	return model.Result{Body: res.Append(nil)}, err
}

// lag says what a group still has to read.
func (s *records) lag(p *model.Position) (model.GroupLag, error) {
	lag := model.GroupLag{Position: *p}
	n := s.position(p.N)
	if n == s.head.Next {
		return lag, nil
	}
	b, err := s.holding(n)
	lag.Records, lag.Bytes, lag.NextMs = s.head.Next-n, s.head.TotalBytes-b.Before, b.ArrivalMs
	return lag, err
}
