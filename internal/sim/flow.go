package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/pipe"
	"weir.dev/weir/internal/service"
)

// flow is the workload of a chain of pipes: messages of a FIFO queue become
// records of a stream, which is resharded meanwhile, and those become elements
// of lists in a table. In the end each list must be what was sent in its group,
// once and in order, and each sum exact.
type flow struct {
	w *world

	mu       sync.Mutex // guards what follows
	sent     [flowKeys]int
	failures []string
	flowed   int
}

const (
	flowQueue  = "flow.fifo"
	flowStream = "flow"
	flowTable  = "flows"
	flowIn     = "flow-in"
	flowOut    = "flow-out"
	flowKeys   = 6
	// flowMaxShards bounds the open shards; more only make a run longer.
	flowMaxShards = 4
)

func (f *flow) clients() int { return 3 }

// client is one of two producers, or who makes the pipes and reshards.
func (f *flow) client(id int, stop <-chan struct{}) {
	rng := rand.New(rand.NewPCG(f.w.seed, 700+uint64(id)))
	role := id % 10
	if role == 2 {
		_ = retry(func() error { return f.createPipes(rng) }) // without them the lists at the end are wrong
	}
	for i := 0; !closed(stop); i++ {
		if role == 2 {
			pause(rng, 3*time.Second)
			f.reshard(rng)
			continue
		}
		pause(rng, 200*time.Millisecond)
		f.send(rng, role+2*(i%(flowKeys/2)), stop)
	}
}

// createStream makes the stream between the pipes.
func (f *flow) createStream(s *service.Service) error {
	ctx, cancel := contextFor(10 * time.Second)
	defer cancel()
	two := int64(2)
	err := s.CreateStream(ctx, &service.CreateStreamRequest{StreamRef: service.StreamRef{Name: flowStream}, ShardCount: &two})
	if exists(err) {
		return nil
	}
	return err
}

func (f *flow) createPipes(rng *rand.Rand) error {
	for _, s := range []*pipe.Settings{
		{Name: flowIn, From: "queue:" + flowQueue, To: "stream:" + flowStream, PartitionKey: "$.key"},
		{
			Name: flowOut, From: "stream:" + flowStream, To: "table:" + flowTable, Key: map[string]string{"id": "$key"},
			Update: "SET seen = list_append(if_not_exists(seen, :none), :one) ADD added :n",
			Values: map[string]string{":none": "[]", ":one": "$.numbers", ":n": "$.n"},
		},
	} {
		err := f.try(rng, func(ctx context.Context, node *liveNode) error { return node.pipes.Create(ctx, s) })
		if err != nil && !exists(err) {
			return err
		}
	}
	return nil
}

// try calls what it is given with some node; an error when every node is down.
func (f *flow) try(rng *rand.Rand, call func(ctx context.Context, node *liveNode) error) error {
	node := f.w.anyNode(rng)
	if node == nil {
		pause(rng, time.Second)
		return model.Errorf(model.ErrUnavailable, "every node is down")
	}
	ctx, cancel := contextFor(4*time.Second + time.Duration(rng.IntN(int(time.Millisecond))))
	defer cancel()
	return call(ctx, node)
}

func flowKey(key int) string { return fmt.Sprintf("key-%d", key) }

// send sends the next message of a group until it is acknowledged.
func (f *flow) send(rng *rand.Rand, key int, stop <-chan struct{}) {
	f.mu.Lock()
	n := f.sent[key]
	f.mu.Unlock()
	body := fmt.Sprintf(`{"key":%q,"n":%d,"numbers":[%d]}`, flowKey(key), n, n)
	req := &service.SendRequest{Invocation: randomID(rng), First: true, Queue: flowQueue,
		Messages: []service.OutgoingMessage{{Body: body, Group: flowKey(key), Dedup: fmt.Sprintf("%d.%d", key, n)}}}
	for !closed(stop) {
		err := f.try(rng, func(ctx context.Context, node *liveNode) error {
			res, err := node.service.SendMessages(ctx, req)
			if err == nil {
				err = res[0].Err
			}
			return err
		})
		if err == nil {
			f.mu.Lock()
			f.sent[key]++
			f.mu.Unlock()
			return
		}
		req.First = false
	}
}

func (f *flow) reshard(rng *rand.Rand) {
	_ = f.try(rng, func(ctx context.Context, node *liveNode) error { // one that fails is as good a fault as any
		_, err := node.service.UpdateShardCount(ctx, &service.UpdateShardCountRequest{StreamRef: service.StreamRef{Name: flowStream}, Target: int64(1 + rng.IntN(flowMaxShards))})
		return err
	})
}

// finish waits until the pipes have nothing left to do, and reads the lists.
func (f *flow) finish() error {
	rng := rand.New(rand.NewPCG(f.w.seed, 799))
	for _, name := range []string{flowIn, flowOut} {
		err := retry(func() error {
			return f.try(rng, func(ctx context.Context, node *liveNode) error {
				_, progress, err := node.pipes.Describe(ctx, name)
				if err == nil && progress.Backlog+progress.UnderWay > 0 {
					err = fmt.Errorf("%d are left", progress.Backlog+progress.UnderWay)
				}
				return err
			})
		})
		if err != nil {
			return fmt.Errorf("the pipe %s does not finish: %w", name, err)
		}
	}
	for key := range flowKeys {
		if err := retry(func() error { return f.readList(rng, key) }); err != nil {
			return err
		}
	}
	return nil
}

func (f *flow) readList(rng *rand.Rand, key int) error {
	return f.try(rng, func(ctx context.Context, node *liveNode) error {
		res, err := node.service.GetItem(ctx, &service.GetItemRequest{Table: flowTable, Key: model.Item{{Name: "id", Value: text(flowKey(key))}}, Strong: true})
		if err != nil {
			return err
		}
		seen, _ := res.Item.Get("seen")
		total, _ := res.Item.Get("added")
		f.mu.Lock()
		defer f.mu.Unlock()
		f.failures = append(f.failures, checkFlow(key, f.sent[key], seen.List, total.Str)...)
		f.flowed += len(seen.List)
		return nil
	})
}

// checkFlow compares a list and its sum with what was sent: all that was
// acknowledged, and at most the one that was being sent at the end.
func checkFlow(key, sent int, seen []model.Value, total string) (failures []string) {
	var got, want []string
	sum := 0
	for n := range max(sent, min(len(seen), sent+1)) {
		want = append(want, fmt.Sprint(n))
		sum += n
	}
	for i := range seen {
		got = append(got, seen[i].Str)
	}
	if !slices.Equal(got, want) {
		failures = append(failures, fmt.Sprintf("the pipes made the list %v of %s, of %d messages that were acknowledged", got, flowKey(key), sent))
	}
	if len(want) > 0 && total != fmt.Sprint(sum) {
		failures = append(failures, fmt.Sprintf("the pipes made the sum %s of %s, not %d", total, flowKey(key), sum))
	}
	return failures
}

func (f *flow) check() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failures
}

func (f *flow) report(r *Report) { r.Flowed = f.flowed }
