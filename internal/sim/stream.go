package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

// streamLoad is the workload of a stream that is resharded while producers put
// and consumers read: one by iterators, one by subscriptions, and a consumer
// group of two members that come and go. streamHistory says what is promised.
type streamLoad struct {
	w       *world
	steps   [clientCount]func() // what each client does, again and again
	reading map[string][]func() // by the name of a consumer: the steps of its clients

	mu      sync.Mutex // guards what follows
	history *streamHistory
	reshard int // reshardings that were begun
	read    int
}

const (
	simStream   = "clicks"
	simReader   = "reader"
	simConsumer = "fan"
	simGroup    = "scores"
	// simMaxShards bounds the open shards; more only make a run longer.
	simMaxShards = 6
	simLeaseMs   = 4000
)

// The clients by number.
const (
	clientProducers = 2 // the first ones
	clientResharder = 2
	clientReader    = 3
	clientFan       = 4
	clientMember    = 5 // and the next one
	clientCount     = 7
)

func newStreamLoad(w *world) *streamLoad {
	l := &streamLoad{w: w, history: newStreamHistory(), reading: map[string][]func(){}}
	for id := range l.steps {
		rng := rand.New(rand.NewPCG(w.seed, 400+uint64(id)))
		consumer := ""
		switch {
		case id < clientProducers:
			l.steps[id] = (&producer{load: l, id: id, rng: rng, serials: map[string]int{}}).put
		case id == clientResharder:
			l.steps[id] = func() { l.reshardOnce(rng) }
		case id == clientReader:
			consumer, l.steps[id] = simReader, newStreamReader(l, rng, simReader).step
		case id == clientFan:
			consumer, l.steps[id] = simConsumer, newStreamReader(l, rng, simConsumer).step
		default:
			consumer, l.steps[id] = simGroup, newGroupMember(l, rng, id).round
		}
		if consumer != "" {
			l.reading[consumer] = append(l.reading[consumer], l.steps[id])
		}
	}
	return l
}

// createStreams makes the stream and registers its consumer.
func (w *world) createStreams(s *service.Service) error {
	ctx, cancel := contextFor(10 * time.Second)
	defer cancel()
	two := int64(2)
	err := s.CreateStream(ctx, &service.CreateStreamRequest{StreamRef: streamRef(), ShardCount: &two})
	if err == nil || exists(err) {
		_, err = s.RegisterConsumer(ctx, &service.RegisterConsumerRequest{StreamRef: streamRef(), Consumer: simConsumer})
	}
	if exists(err) {
		return nil
	}
	return err
}

func streamRef() service.StreamRef { return service.StreamRef{Name: simStream} }

func (l *streamLoad) clients() int { return clientCount }

func (l *streamLoad) client(id int, stop <-chan struct{}) {
	rng := rand.New(rand.NewPCG(l.w.seed, 410+uint64(id)))
	every := 150 * time.Millisecond
	switch id %= 10; {
	case id == clientResharder:
		every = 3 * time.Second
	case id >= clientMember:
		every = 400 * time.Millisecond
	}
	for !closed(stop) {
		pause(rng, every)
		l.steps[id]()
	}
}

// try calls what it is given with some node's service, within the time; an
// error when every node is down.
func (l *streamLoad) try(rng *rand.Rand, within time.Duration, call func(ctx context.Context, s *service.Service) error) error {
	node := l.w.anyNode(rng)
	if node == nil {
		pause(rng, time.Second)
		return model.Errorf(model.ErrUnavailable, "every node is down")
	}
	ctx, cancel := contextFor(within + time.Duration(rng.IntN(int(time.Millisecond))))
	defer cancel()
	return call(ctx, node.service)
}

// producer puts records of its own keys, one call after the other.
type producer struct {
	load    *streamLoad
	id      int
	rng     *rand.Rand
	serials map[string]int // by key: how many records were put
}

// put makes one call, and repeats it like an SDK while its outcome is not known
// for every record.
func (p *producer) put() {
	req := &service.PutRecordsRequest{StreamRef: streamRef(), Invocation: randomID(p.rng)}
	for range 1 + p.rng.IntN(4) {
		key := fmt.Sprintf("p%d-%d", p.id, p.rng.IntN(5))
		p.serials[key]++
		req.Records = append(req.Records, service.OutgoingRecord{Key: key, Data: fmt.Appendf(nil, "%s/%d", key, p.serials[key])})
	}
	c := &putCall{req: req, acked: make([]bool, len(req.Records))}
	begin := 0
	var late sync.WaitGroup
	if p.rng.IntN(lateEvery) == 0 { // the first try is held up on its way, and the client gives it up
		begin = 1
		rng := rand.New(rand.NewPCG(p.rng.Uint64(), uint64(p.id)))
		late.Go(func() {
			pause(rng, lateFor)
			p.try(c, rng, false)
		})
	}
	for try := begin; try < 5 && !p.done(c); try++ {
		p.try(c, p.rng, try > 0)
	}
	late.Wait()
	p.load.mu.Lock()
	defer p.load.mu.Unlock()
	for _, ok := range c.acked {
		if !ok {
			p.load.history.unknown++
		}
	}
}

const (
	// lateEvery is which part of the calls has a first try that comes late, and
	// lateFor by how much at most: a resharding may begin and end meanwhile.
	lateEvery = 8
	lateFor   = 8 * time.Second
)

// putCall is a call and which of its records were acknowledged, which the lock
// of the load guards.
type putCall struct {
	req   *service.PutRecordsRequest
	acked []bool
}

func (p *producer) done(c *putCall) bool {
	p.load.mu.Lock()
	defer p.load.mu.Unlock()
	return !slices.Contains(c.acked, false)
}

// try sends the call once.
func (p *producer) try(c *putCall, rng *rand.Rand, retry bool) {
	req := *c.req
	req.Retry = retry
	_ = p.load.try(rng, 4*time.Second, func(ctx context.Context, s *service.Service) error {
		res, err := s.PutRecords(ctx, &req)
		if err == nil {
			p.note(&req, res, c.acked)
		}
		return err
	})
}

func (p *producer) note(req *service.PutRecordsRequest, res *service.PutRecordsResult, acked []bool) {
	p.load.mu.Lock()
	defer p.load.mu.Unlock()
	for i := range res.Records {
		if r := &res.Records[i]; r.Err == nil {
			p.load.history.ack(string(req.Records[i].Data), r.Shard, r.Sequence)
			acked[i] = true
		}
	}
}

// reshardOnce splits, merges or scales, and checks the shard map that it sees.
func (l *streamLoad) reshardOnce(rng *rand.Rand) {
	err := l.try(rng, 8*time.Second, func(ctx context.Context, s *service.Service) error {
		st, err := s.GetStream(ctx, streamRef())
		if err != nil {
			return err
		}
		l.checkCoverage(st)
		open := st.Spec.OpenShards()
		at := rng.IntN(len(open))
		switch n := rng.IntN(5); {
		case n < 2 && len(open) < simMaxShards:
			return s.SplitShard(ctx, &service.SplitShardRequest{StreamRef: streamRef(), Shard: open[at].Number.String(), HashKey: open[at].Range.Middle().String()})
		case n < 4 && at > 0:
			return s.MergeShards(ctx, &service.MergeShardsRequest{StreamRef: streamRef(), Shard: open[at-1].Number.String(), Adjacent: open[at].Number.String()})
		default:
			_, err := s.UpdateShardCount(ctx, &service.UpdateShardCountRequest{StreamRef: streamRef(), Target: int64(1 + rng.IntN(simMaxShards-1))})
			return err
		}
	})
	if err == nil {
		l.mu.Lock()
		l.reshard++
		l.mu.Unlock()
	}
}

func (l *streamLoad) checkCoverage(st *service.Stream) {
	if err := st.Spec.Covers(); err != nil {
		l.mu.Lock()
		l.history.fail("the shard map is broken: %v", err)
		l.mu.Unlock()
	}
}

// finish lets all consumers read everything that was acknowledged, and on until
// there is nothing more.
func (l *streamLoad) finish() error {
	rng := rand.New(rand.NewPCG(l.w.seed, 499))
	if err := retry(func() error { return l.settled(rng) }); err != nil {
		return fmt.Errorf("the stream's resharding does not end: %w", err)
	}
	for _, consumer := range []string{simReader, simConsumer, simGroup} {
		quiet := 0
		for end := time.Now().Add(5 * time.Minute); quiet < 2*simMaxShards && time.Now().Before(end); quiet++ {
			before := l.readCount()
			for _, step := range l.reading[consumer] {
				step()
				pause(rng, 100*time.Millisecond)
			}
			l.mu.Lock()
			left := l.history.missing(consumer)
			l.mu.Unlock()
			if left > 0 || l.readCount() > before {
				quiet = 0
			}
		}
	}
	return nil
}

func (l *streamLoad) readCount() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.read
}

// settled reports whether no resharding is under way.
func (l *streamLoad) settled(rng *rand.Rand) error {
	return l.try(rng, 5*time.Second, func(ctx context.Context, s *service.Service) error {
		st, err := s.GetStream(ctx, streamRef())
		if err != nil {
			return err
		}
		l.checkCoverage(st)
		if st.Status != service.StreamActive {
			return s.FinishReshard(ctx, st.ID)
		}
		return nil
	})
}

func (l *streamLoad) check() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.history.check()
}

func (l *streamLoad) report(r *Report) {
	r.Records, r.RecordsRead, r.Reshardings = len(l.history.acked), l.read, l.reshard
}
