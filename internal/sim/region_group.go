package sim

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

// unitGroup is a named consumer of the stream in all regions, with a member in
// each: those work that are where the writes are. groupHistory says what is
// promised of its positions.
type unitGroup struct {
	seed    uint64
	worlds  []*world
	members []*unitMember

	mu      sync.Mutex // guards what follows
	history *groupHistory
}

// groupHistory is what a named consumer read and committed in all regions, and
// the check of the promise: it goes on where it was. No record is passed over,
// none of those that are acknowledged is left out in the end, and none comes
// again that was committed. After a takeover by force those come again, and no
// others, whose commit had not arrived.
type groupHistory struct {
	exact  bool              // nothing was taken over by force
	read   map[string]bool   // data
	last   map[string]int    // by key and sender: the number that was read last
	next   map[string]uint64 // by shard: the number behind those that were read
	done   map[string]uint64 // by shard: all before was committed where the writes were, and that was acknowledged
	there  map[string]uint64 // the part of done that has arrived in the other regions
	fenced int               // the region that has lost the writes by force and may not know it; -1 for none
	again  int               // records that were read and then read again
	counts int               // commits
	fail   []string
}

const (
	unitGroupName = "rg"
	unitLeaseMs   = 3000
)

func newUnitGroup(seed uint64, worlds []*world) *unitGroup {
	g := &unitGroup{seed: seed, worlds: worlds, history: newGroupHistory()}
	for at := range worlds {
		g.members = append(g.members, &unitMember{group: g, region: at, rng: rand.New(rand.NewPCG(seed, 950+uint64(at))), holds: map[string]*unitHold{}})
	}
	return g
}

func newGroupHistory() *groupHistory {
	return &groupHistory{
		exact: true, read: map[string]bool{}, last: map[string]int{}, next: map[string]uint64{}, done: map[string]uint64{}, there: map[string]uint64{}, fenced: -1,
	}
}

// force says that the writes are about to be taken from a region by force: what
// is not known to have arrived may be lost.
func (g *unitGroup) force(from int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	h := g.history
	h.exact, h.done, h.fenced = false, maps.Clone(h.there), from
}

// moves says that a region gives the writes away, if it has them.
func (g *unitGroup) moves(from int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if from != g.history.fenced {
		g.history.fenced = -1
	}
}

// committed is what is committed now, for arrived.
func (g *unitGroup) committed() map[string]uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return maps.Clone(g.history.done)
}

// arrived says that what was committed then is in all regions.
func (g *unitGroup) arrived(then map[string]uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.history.there = then
}

// unitMember is a member of the group in one region.
type unitMember struct {
	group  *unitGroup
	region int
	rng    *rand.Rand
	lives  int
	holds  map[string]*unitHold
}

// unitHold is a shard that a member holds.
type unitHold struct {
	generation uint64
	iterator   string
	last       string // sequence number of the last record that was read
	first      uint64 // number of the first; 0 for none yet
	floor      uint64 // what was committed before the member came
	wanted     bool
}

// round renews the leases and reads from each shard. Now and then the member is
// killed, and another one takes its place. It reports how many records there
// were.
func (m *unitMember) round() (n int, err error) {
	if m.rng.IntN(25) == 0 {
		m.lives++
		clear(m.holds)
	}
	if err := m.lease(); err != nil {
		return 0, err
	}
	for _, id := range slices.Sorted(maps.Keys(m.holds)) {
		read, err := m.read(id, m.holds[id])
		if n += read; err != nil || m.holds[id].wanted {
			delete(m.holds, id)
		}
	}
	return n, nil
}

func (m *unitMember) try(call func(ctx context.Context, s *service.Service) error) error {
	live := m.group.worlds[m.region].anyNode(m.rng)
	if live == nil {
		return model.Errorf(model.ErrUnavailable, "every node is down")
	}
	ctx, cancel := contextFor(4*time.Second + time.Duration(m.rng.IntN(int(time.Millisecond))))
	defer cancel()
	return call(ctx, live.service)
}

func (m *unitMember) lease() error {
	floors := m.group.committed()
	return m.try(func(ctx context.Context, s *service.Service) error {
		res, err := s.LeaseShards(ctx, &service.LeaseRequest{
			StreamRef: unitRef(), Group: unitGroupName, Member: fmt.Sprintf("m%d-%d", m.region, m.lives), LeaseMs: unitLeaseMs,
		})
		if err != nil {
			return err
		}
		before := m.holds
		m.holds = map[string]*unitHold{}
		for _, lease := range res.Leases {
			h := before[lease.Shard]
			if h == nil || h.generation != lease.Generation {
				h = &unitHold{generation: lease.Generation, iterator: lease.Iterator, floor: floors[lease.Shard]}
			}
			h.wanted = lease.Wanted
			m.holds[lease.Shard] = h
		}
		return nil
	})
}

// read reads a page of a shard, and commits it most of the time.
func (m *unitMember) read(shard string, h *unitHold) (n int, err error) {
	return n, m.try(func(ctx context.Context, s *service.Service) error {
		res, err := s.GetRecords(ctx, &service.GetRecordsRequest{StreamRef: unitRef(), Iterator: h.iterator, Limit: 1 + m.rng.IntN(10)})
		if err != nil {
			return err
		}
		if n = len(res.Records); n > 0 {
			m.group.mu.Lock()
			first := m.group.history.note(shard, res.Records)
			m.group.mu.Unlock()
			if h.last = res.Records[n-1].Sequence; h.first == 0 {
				h.first = first
			}
		}
		if h.iterator = res.Next; res.Next != "" && !h.wanted && (n == 0 || m.rng.IntN(3) == 0) {
			return nil // later
		}
		ended := res.Next == ""
		_, err = s.CommitPosition(ctx, &service.CommitRequest{
			StreamRef: unitRef(), Group: unitGroupName, Shard: shard, Generation: h.generation, Sequence: h.last, End: ended, Release: h.wanted,
		})
		if err != nil {
			return err
		}
		m.group.mu.Lock()
		m.group.history.commit(m.region, shard, h)
		m.group.mu.Unlock()
		h.wanted = h.wanted || ended
		return nil
	})
}

// note notes records that were read from a shard in one answer, and returns the
// number of the first.
func (h *groupHistory) note(shard string, records []service.Record) (first uint64) {
	for i := range records {
		data := string(records[i].Data)
		q, err := model.ParseSequence(records[i].Sequence)
		if err != nil {
			h.failf("%s was read with the sequence number %q", data, records[i].Sequence)
			return 0
		}
		if first == 0 {
			first = q.N
		}
		if h.exact && q.N > max(1, h.next[shard]) {
			h.failf("the consumer came to record %d of %s, and of those before had read only up to %d", q.N, shard, max(1, h.next[shard])-1)
		}
		h.next[shard] = max(h.next[shard], q.N+1)
		if h.read[data] {
			h.again++
			continue
		}
		h.read[data] = true
		client, n := parseRegionValue(data)
		place := fmt.Sprint(records[i].Key, " of ", client)
		if h.exact && n < h.last[place] {
			h.failf("record %d of the key %s came after %d", n, place, h.last[place])
		}
		h.last[place] = max(h.last[place], n)
	}
	return first
}

// commit notes that a commit was acknowledged: the member held the shard, so what
// it read in this hold was the consumer's to read.
func (h *groupHistory) commit(region int, shard string, hold *unitHold) {
	if region == h.fenced {
		return // where the writes were before somebody took them
	}
	h.counts++
	if hold.first != 0 && hold.first < min(hold.floor, h.done[shard]) {
		h.failf("region %d gave record %d of %s to the consumer, which had committed %d", region, hold.first, shard, min(hold.floor, h.done[shard])-1)
	}
	if q, err := model.ParseSequence(hold.last); err == nil {
		h.done[shard] = max(h.done[shard], q.N+1)
	}
}

func (h *groupHistory) failf(format string, args ...any) {
	if len(h.fail) < 10 {
		h.fail = append(h.fail, fmt.Sprintf(format, args...))
	}
}

// missing lists what was acknowledged and not read.
func (h *groupHistory) missing(put map[string]string) (lost []string) {
	for at, data := range put {
		if !h.read[data] {
			lost = append(lost, fmt.Sprintf("the consumer never read %q, which was acknowledged as %s", data, at))
		}
	}
	slices.Sort(lost)
	return lost
}

// finish lets the members read what is left, and returns what is wrong.
func (g *unitGroup) finish(put map[string]string) []string {
	for quiet, end := 0, time.Now().Add(5*time.Minute); quiet < 12 && time.Now().Before(end); quiet++ {
		for _, m := range g.members {
			if n, err := m.round(); err == nil && n > 0 {
				quiet = 0
			}
			pause(m.rng, 500*time.Millisecond)
		}
		if len(g.history.missing(put)) > 0 {
			quiet = 0
		}
	}
	lost := g.history.missing(put)
	if len(lost) > 3 {
		lost = append(lost[:3], fmt.Sprintf("and %d more: %s", len(lost)-3, strings.Join(lost[3:], "; ")))
	}
	return slices.Concat(g.history.fail, lost)
}
