package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

// unitLoad uses queues and a stream in all regions, of which one takes the
// writes at a time: senders and consumers of all regions try, and those of the
// others are refused.
type unitLoad struct {
	seed    uint64
	worlds  []*world
	senders int // in each region
	// exact is set while nothing was taken over by force: then nothing may be lost,
	// come twice after its delete, or change its place.
	exact bool

	mu       sync.Mutex           // guards what follows
	sent     []string             // messages that were acknowledged, by queue and body
	got      []string             // messages in the order in which they were received first
	seen     map[string]bool      // in got
	tried    map[string]bool      // by queue and body: a delete was sent
	deleted  map[string]time.Time // by queue and body: when its delete was acknowledged
	put      map[string]string    // records that were acknowledged: data, by shard and sequence number
	failures []string
}

const (
	unitQueue  = "rq"
	unitFifo   = "rq.fifo"
	unitStream = "rs"
)

func newUnitLoad(seed uint64, worlds []*world) *unitLoad {
	return &unitLoad{seed: seed, worlds: worlds, senders: 1, exact: true, seen: map[string]bool{}, tried: map[string]bool{}, deleted: map[string]time.Time{}, put: map[string]string{}}
}

func unitRef() service.StreamRef {
	return service.StreamRef{Name: unitStream, Account: "000000000000"}
}

// make makes the queues and the stream in the first region.
func (l *unitLoad) make() error {
	return retry(func() error {
		ctx, cancel := contextFor(20 * time.Second)
		defer cancel()
		s := l.worlds[0].nodes[0].live.service
		shards := int64(2)
		_, err := s.CreateQueue(ctx, &service.CreateQueueRequest{Name: unitQueue})
		if err == nil {
			_, err = s.CreateQueue(ctx, &service.CreateQueueRequest{Name: unitFifo, Attributes: []service.QueueAttribute{{Name: "FifoQueue", Value: "true"}}})
		}
		if err == nil {
			err = s.CreateStream(ctx, &service.CreateStreamRequest{StreamRef: unitRef(), ShardCount: &shards})
		}
		if err != nil && strings.Contains(err.Error(), "already exists") {
			err = nil
		}
		return err
	})
}

// clients is how many clients there are: senders and a consumer in each region.
func (l *unitLoad) clients() int { return (l.senders + 1) * len(l.worlds) }

func (l *unitLoad) client(id int, stop <-chan struct{}) {
	w := l.worlds[id%len(l.worlds)]
	rng := rand.New(rand.NewPCG(l.seed, 900+uint64(id)))
	for n := 1; !closed(stop); n++ {
		pause(rng, 150*time.Millisecond)
		live := w.anyNode(rng)
		if live == nil {
			continue
		}
		if id >= l.senders*len(l.worlds) {
			l.consume(live.service, rng, rng.IntN(3) > 0)
			continue
		}
		var known *model.Error
		err := l.send(live.service, rng, id, n)
		if err != nil && !(errors.As(err, &known) && (known.Kind == model.ErrUnavailable || known.Kind == model.ErrNotAbroad)) {
			time.Sleep(20*time.Second + time.Duration(rng.IntN(1000))) // what is under way must be over before the next
		}
	}
}

// send sends a message or puts a record; now and then it reshards the stream.
func (l *unitLoad) send(s *service.Service, rng *rand.Rand, id, n int) error {
	ctx, cancel := contextFor(9*time.Second + time.Duration(rng.IntN(int(time.Millisecond))))
	defer cancel()
	body := fmt.Sprintf("%d/%d", id, n)
	if rng.IntN(60) == 0 {
		_, err := s.UpdateShardCount(ctx, &service.UpdateShardCountRequest{StreamRef: unitRef(), Target: 1 + rng.Int64N(3)})
		if err != nil {
			return nil // it may be going on, or be another's turn
		}
	}
	if rng.IntN(3) == 0 {
		res, err := s.PutRecords(ctx, &service.PutRecordsRequest{
			StreamRef: unitRef(), Invocation: randomID(rng), Records: []service.OutgoingRecord{{Key: fmt.Sprint("k", rng.IntN(20)), Data: []byte(body)}}, Single: true,
		})
		if err == nil {
			err = res.Records[0].Err
		}
		if err != nil {
			return err
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.put[res.Records[0].Shard+" "+res.Records[0].Sequence] = body
		return nil
	}
	queue := unitQueue
	m := service.OutgoingMessage{Body: body}
	if rng.IntN(2) == 0 {
		queue, m.Group, m.Dedup = unitFifo, fmt.Sprint("g", id), body
	}
	sent, err := s.SendMessages(ctx, &service.SendRequest{Queue: queue, Invocation: randomID(rng), Messages: []service.OutgoingMessage{m}})
	if err == nil {
		err = sent[0].Err
	}
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent = append(l.sent, queue+" "+body)
	return nil
}

// consume receives messages, and deletes them if remove is set. It reports how
// many there were.
func (l *unitLoad) consume(s *service.Service, rng *rand.Rand, remove bool) (n int, err error) {
	ctx, cancel := contextFor(5*time.Second + time.Duration(rng.IntN(int(time.Millisecond))))
	defer cancel()
	for _, queue := range []string{unitQueue, unitFifo} {
		began := time.Now()
		visibility, wait := int64(3), int64(0)
		got, err := s.ReceiveMessages(ctx, &service.ReceiveRequest{Queue: queue, Max: 5, Visibility: &visibility, Wait: &wait})
		if err != nil {
			return n, err
		}
		n += len(got)
		for i := range got {
			name := queue + " " + string(got[i].Body)
			l.note(name, began)
			if !remove {
				continue
			}
			l.mu.Lock()
			l.tried[name] = true
			l.mu.Unlock()
			errs, err := s.DeleteMessages(ctx, &service.DeleteMessagesRequest{Queue: queue, Handles: []string{got[i].Receipt}})
			if err != nil || errs[0] != nil {
				continue
			}
			l.mu.Lock()
			l.deleted[name] = time.Now()
			l.mu.Unlock()
		}
	}
	return n, nil
}

// note keeps that a message was received by a request that began then.
func (l *unitLoad) note(name string, began time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at, gone := l.deleted[name]; gone && l.exact && began.After(at) {
		l.failures = append(l.failures, fmt.Sprintf("%s was received after its delete was acknowledged", name))
	}
	if !l.seen[name] {
		l.seen[name] = true
		l.got = append(l.got, name)
	}
}

// receiveAll receives and deletes what is left where the writes are.
func (l *unitLoad) receiveAll() {
	rng := rand.New(rand.NewPCG(l.seed, 899))
	for empty := 0; empty < 30; {
		taken := 0
		for _, w := range l.worlds {
			if n, err := l.consume(w.nodes[0].live.service, rng, true); err == nil {
				taken += n
			}
		}
		if empty++; taken > 0 {
			empty = 0
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// finish receives what is left, and holds everything to what was acknowledged.
func (l *unitLoad) finish() []string {
	l.receiveAll()
	failures := slices.Concat(l.failures, checkDelivered(l.sent, l.seen))
	var all []map[string]string
	for _, w := range l.worlds {
		records, err := readRecords(w)
		if err != nil {
			return append(failures, err.Error())
		}
		all = append(all, records)
	}
	failures = append(failures, checkConvergence(all)...)
	if l.exact {
		failures = slices.Concat(failures, checkGroupOrder(l.got), checkRecords(all[0], l.put))
	} else {
		failures = append(failures, checkData(all[0], l.put)...)
	}
	return failures
}

// readRecords reads all shards of the stream in a region: data, by shard and
// sequence number.
func readRecords(w *world) (all map[string]string, err error) {
	err = retry(func() error {
		all = map[string]string{}
		ctx, cancel := contextFor(20 * time.Second)
		defer cancel()
		live := w.nodes[0].live
		r, ok := live.node.Catalog().Resource(model.KindStream, unitStream)
		if !ok {
			return errors.New("the stream is not there")
		}
		var spec model.StreamSpec
		d := model.NewDecoder(r.Spec)
		if spec.Decode(d); d.Done() != nil {
			return d.Done()
		}
		for i := range spec.Shards {
			shard := spec.Shards[i].Number.String()
			at, err := live.service.GetShardIterator(ctx, &service.ShardIteratorRequest{StreamRef: unitRef(), Shard: shard, Position: service.ShardPosition{Type: "TRIM_HORIZON"}})
			if err != nil {
				return err
			}
			for at != "" {
				page, err := live.service.GetRecords(ctx, &service.GetRecordsRequest{StreamRef: unitRef(), Iterator: at})
				if err != nil {
					return err
				}
				for _, rec := range page.Records {
					all[shard+" "+rec.Sequence] = string(rec.Data)
				}
				if at = page.Next; page.MillisBehind == 0 && len(page.Records) == 0 {
					break
				}
			}
		}
		return nil
	})
	return all, err
}

// checkDelivered holds what was received to what was acknowledged.
func checkDelivered(sent []string, seen map[string]bool) (failures []string) {
	for _, name := range sent {
		if !seen[name] {
			failures = append(failures, name+" was acknowledged and never received")
		}
	}
	return failures
}

// checkGroupOrder holds the messages of each group to the order in which its
// only sender sent them.
func checkGroupOrder(got []string) (failures []string) {
	last := map[string]int{}
	for _, name := range got {
		body, ok := strings.CutPrefix(name, unitFifo+" ")
		group, _, _ := strings.Cut(body, "/")
		if !ok {
			continue
		}
		_, n := parseRegionValue(body)
		if n < last[group] {
			failures = append(failures, fmt.Sprintf("%s came after %d of its group", name, last[group]))
		}
		last[group] = n
	}
	return failures
}

// checkRecords holds records to their numbers.
func checkRecords(there, put map[string]string) (failures []string) {
	for at, data := range put {
		if there[at] != data {
			failures = append(failures, fmt.Sprintf("%s was acknowledged as %q and holds %q", at, data, there[at]))
		}
	}
	slices.Sort(failures)
	return failures
}

// checkData holds records to what was put, under whatever number.
func checkData(there, put map[string]string) (failures []string) {
	data := map[string]bool{}
	for _, d := range there {
		data[d] = true
	}
	for at, d := range put {
		if !data[d] {
			failures = append(failures, fmt.Sprintf("%q was acknowledged as %s and is nowhere", d, at))
		}
	}
	slices.Sort(failures)
	return failures
}
