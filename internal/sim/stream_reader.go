package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

// streamReader reads a whole stream as the Kinesis client library does: the
// shards without parents first, each to its end, and children when all their
// parents have ended. It reads by iterators, or by subscriptions as simConsumer.
type streamReader struct {
	load    *streamLoad
	rng     *rand.Rand
	name    string
	begun   bool
	turn    int
	shards  []*readShard // those that may be read, in the order in which they came
	waiting map[string][]string
	ended   map[string]bool
}

// readShard is how far a reader has come in a shard.
type readShard struct {
	id   string
	last string // sequence number of the last record that was read; "" for none
}

func newStreamReader(l *streamLoad, rng *rand.Rand, name string) *streamReader {
	return &streamReader{load: l, rng: rng, name: name, waiting: map[string][]string{}, ended: map[string]bool{}}
}

// step reads something from one shard.
func (r *streamReader) step() {
	if !r.begun {
		r.begin()
	}
	if len(r.shards) == 0 {
		return
	}
	r.turn++
	at := r.shards[r.turn%len(r.shards)]
	if r.name == simConsumer {
		r.subscribe(at)
	} else {
		r.get(at)
	}
}

// begin finds the first shards.
func (r *streamReader) begin() {
	_ = r.load.try(r.rng, 4*time.Second, func(ctx context.Context, s *service.Service) error {
		res, err := s.ListShards(ctx, &service.ListShardsRequest{StreamRef: streamRef()})
		if err != nil {
			return err
		}
		for i := range res.Shards {
			if res.Shards[i].Parent == "" {
				r.shards = append(r.shards, &readShard{id: res.Shards[i].ID})
			}
		}
		r.begun = true
		return nil
	})
}

func (at *readShard) position() service.ShardPosition {
	if at.last == "" {
		return service.ShardPosition{Type: "TRIM_HORIZON"}
	}
	return service.ShardPosition{Type: "AFTER_SEQUENCE_NUMBER", Sequence: at.last}
}

// get reads by an iterator, a few pages.
func (r *streamReader) get(at *readShard) {
	_ = r.load.try(r.rng, 6*time.Second, func(ctx context.Context, s *service.Service) error {
		it, err := s.GetShardIterator(ctx, &service.ShardIteratorRequest{StreamRef: streamRef(), Shard: at.id, Position: at.position()})
		for range 1 + r.rng.IntN(3) {
			if err != nil {
				return err
			}
			var res *service.GetRecordsResult
			res, err = s.GetRecords(ctx, &service.GetRecordsRequest{StreamRef: streamRef(), Iterator: it, Limit: 1 + r.rng.IntN(20), WaitMs: int64(r.rng.IntN(2) * 500)})
			if err != nil {
				return err
			}
			r.note(at, res.Records)
			if it = res.Next; it == "" {
				r.end(at, res.Children)
				return nil
			}
		}
		return nil
	})
}

// subscribe reads by a subscription, a few events, or until one is empty.
func (r *streamReader) subscribe(at *readShard) {
	_ = r.load.try(r.rng, 9*time.Second, func(ctx context.Context, s *service.Service) error {
		sub, err := s.SubscribeToShard(ctx, &service.SubscribeRequest{
			ConsumerRef: service.ConsumerRef{StreamRef: streamRef(), Consumer: simConsumer}, Shard: at.id, Position: at.position(),
		})
		if err != nil {
			return err
		}
		defer sub.Close(ctx)
		for range 1 + r.rng.IntN(4) {
			event, err := sub.Next(ctx)
			if err != nil {
				return err
			}
			r.note(at, event.Records)
			if event.Continuation == "" {
				r.end(at, event.Children)
				return nil
			}
			at.last = event.Continuation
			if len(event.Records) == 0 {
				return nil
			}
		}
		return nil
	})
}

func (r *streamReader) note(at *readShard, records []service.Record) {
	if len(records) == 0 {
		return
	}
	r.load.mu.Lock()
	defer r.load.mu.Unlock()
	r.load.history.read(r.name, at.id, 0, records)
	r.load.read += len(records)
	at.last = records[len(records)-1].Sequence
}

// end goes on from a shard to its children whose other parents have ended too.
func (r *streamReader) end(at *readShard, children []service.ChildShard) {
	r.ended[at.id] = true
	r.shards = slices.DeleteFunc(r.shards, func(s *readShard) bool { return s == at })
	if len(children) == 0 {
		r.load.mu.Lock()
		r.load.history.fail("%s read shard %s to its end, and no shard goes on from there", r.name, at.id)
		r.load.mu.Unlock()
	}
	for _, c := range children {
		r.waiting[c.ID] = c.Parents
	}
	var ready []string
	for id, parents := range r.waiting {
		if !slices.ContainsFunc(parents, func(p string) bool { return !r.ended[p] }) {
			ready = append(ready, id)
		}
	}
	slices.Sort(ready)
	for _, id := range ready {
		delete(r.waiting, id)
		r.shards = append(r.shards, &readShard{id: id})
	}
}

// groupMember is a member of the consumer group: it goes round as LeaseShards
// says, commits most of what it reads, and now and then is killed and started
// again under another name.
type groupMember struct {
	load  *streamLoad
	rng   *rand.Rand
	id    int
	lives int
	holds map[string]*heldShard
}

// heldShard is a shard that the member holds.
type heldShard struct {
	generation uint64
	iterator   string
	last       string // sequence number of the last record that was done
	floor      uint64 // what the group had committed when the member came
	wanted     bool
}

func newGroupMember(l *streamLoad, rng *rand.Rand, id int) *groupMember {
	return &groupMember{load: l, rng: rng, id: id, holds: map[string]*heldShard{}}
}

// round renews the leases and reads from each shard.
func (m *groupMember) round() {
	if m.rng.IntN(40) == 0 {
		m.lives++
		clear(m.holds)
	}
	if m.lease() != nil {
		return
	}
	var ids []string
	for id := range m.holds {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		if m.read(id, m.holds[id]) != nil || m.holds[id].wanted {
			delete(m.holds, id)
		}
	}
}

func (m *groupMember) lease() error {
	l := m.load
	l.mu.Lock()
	floors := map[string]uint64{}
	for shard, n := range l.history.reader(simGroup).committed {
		floors[shard] = n
	}
	l.mu.Unlock()
	return l.try(m.rng, 4*time.Second, func(ctx context.Context, s *service.Service) error {
		res, err := s.LeaseShards(ctx, &service.LeaseRequest{
			StreamRef: streamRef(), Group: simGroup, Member: fmt.Sprintf("m%d-%d", m.id, m.lives), LeaseMs: simLeaseMs,
		})
		if err != nil {
			return err
		}
		before := m.holds
		m.holds = map[string]*heldShard{}
		for _, lease := range res.Leases {
			h := before[lease.Shard]
			if h == nil || h.generation != lease.Generation {
				h = &heldShard{generation: lease.Generation, iterator: lease.Iterator, floor: floors[lease.Shard]}
			}
			h.wanted = lease.Wanted
			m.holds[lease.Shard] = h
		}
		return nil
	})
}

// read reads a page of a shard, and commits it with some probability.
func (m *groupMember) read(shard string, h *heldShard) error {
	l := m.load
	return l.try(m.rng, 4*time.Second, func(ctx context.Context, s *service.Service) error {
		res, err := s.GetRecords(ctx, &service.GetRecordsRequest{StreamRef: streamRef(), Iterator: h.iterator, Limit: 1 + m.rng.IntN(15)})
		if err != nil {
			return err
		}
		if n := len(res.Records); n > 0 {
			h.last = res.Records[n-1].Sequence
			l.mu.Lock()
			l.history.read(simGroup, shard, h.floor, res.Records)
			l.read += n
			l.mu.Unlock()
		}
		h.iterator = res.Next
		if res.Next != "" && !h.wanted && m.rng.IntN(4) == 0 {
			return nil // later
		}
		return m.commit(ctx, s, shard, h)
	})
}

// commit commits what was read. A shard that was read to its end is given up.
func (m *groupMember) commit(ctx context.Context, s *service.Service, shard string, h *heldShard) error {
	ended := h.iterator == ""
	_, err := s.CommitPosition(ctx, &service.CommitRequest{
		StreamRef: streamRef(), Group: simGroup, Shard: shard, Generation: h.generation,
		Sequence: h.last, End: ended, LeaseMs: simLeaseMs * int64(m.rng.IntN(2)), Release: h.wanted,
	})
	if err != nil {
		return err
	}
	m.load.mu.Lock()
	defer m.load.mu.Unlock()
	if q, err := model.ParseSequence(h.last); err == nil {
		m.load.history.commit(simGroup, shard, q.N+1)
	}
	h.wanted = h.wanted || ended
	return nil
}
