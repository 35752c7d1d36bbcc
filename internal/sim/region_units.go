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
	group   *unitGroup

	mu       sync.Mutex // guards what follows
	messages *messageHistory
	put      map[string]string // records that were acknowledged: data, by shard and sequence number
}

const unitStream = "rs"

func newUnitLoad(seed uint64, worlds []*world) *unitLoad {
	return &unitLoad{seed: seed, worlds: worlds, senders: 1, group: newUnitGroup(seed, worlds), messages: newMessageHistory(), put: map[string]string{}}
}

// force says that the writes are about to be taken from a region by force.
func (l *unitLoad) force(from int) {
	l.group.force(from)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.messages.exact = false
}

// moving says that the writes of a region may move from now on, or that they may
// have.
func (l *unitLoad) moving(from int) {
	l.group.moves(from)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.messages.moves++
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
		err := makeQueues(ctx, s)
		if err == nil {
			err = s.CreateStream(ctx, &service.CreateStreamRequest{StreamRef: unitRef(), ShardCount: &shards})
		}
		if err != nil && strings.Contains(err.Error(), "already exists") {
			err = nil
		}
		return err
	})
}

// clients is how many clients there are: senders, a consumer and a member of the
// named consumer in each region.
func (l *unitLoad) clients() int { return (l.senders + 2) * len(l.worlds) }

func (l *unitLoad) client(id int, stop <-chan struct{}) {
	w := l.worlds[id%len(l.worlds)]
	rng := rand.New(rand.NewPCG(l.seed, 900+uint64(id)))
	for n := 1; !closed(stop); n++ {
		pause(rng, 150*time.Millisecond)
		live := w.anyNode(rng)
		if live == nil {
			continue
		}
		if at := id - (l.senders+1)*len(l.worlds); at >= 0 {
			_, _ = l.group.members[at].round() // it goes on with the next one
			continue
		}
		if id >= l.senders*len(l.worlds) {
			_, _ = l.consume(id%len(l.worlds), live.service, rng, rng.IntN(3) > 0) // it goes on with the next one
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
	return l.sendMessage(ctx, s, rng, id, n)
}

// receiveAll receives and deletes what is left where the writes are.
func (l *unitLoad) receiveAll() {
	rng := rand.New(rand.NewPCG(l.seed, 899))
	for empty := 0; empty < 30; {
		taken := 0
		for at, w := range l.worlds {
			if n, err := l.consume(at, w.nodes[0].live.service, rng, true); err == nil {
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
	failures := l.messages.check()
	var all []map[string]string
	for _, w := range l.worlds {
		records, err := readRecords(w)
		if err != nil {
			return append(failures, err.Error())
		}
		all = append(all, records)
	}
	failures = append(failures, l.group.finish(l.put)...)
	failures = append(failures, checkConvergence(all)...)
	if l.messages.exact {
		failures = append(failures, checkRecords(all[0], l.put)...)
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
