package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/pipe"
	"weir.dev/weir/internal/service"
)

// likes is the workload of the whole chain: clicks go into a queue, a pipe
// adds each to its post's score in a table, and in the end every score must be
// exactly the sum of the clicks sent.
type likes struct {
	w *world

	mu    sync.Mutex // guards what follows
	sent  map[string]int
	maybe map[string]int // sum of the clicks whose sending stayed unknown
	bad   int            // messages that no item can take
	count int
	got   map[string]int // scores at the end
	dead  int            // dead letters at the end
}

const (
	likesQueue = "likes"
	likesDead  = "likes-dead"
	likesTable = "posts"
	likesPipe  = "likes"
	likesPosts = 5
)

func newLikes(w *world) *likes {
	return &likes{w: w, sent: map[string]int{}, maybe: map[string]int{}, got: map[string]int{}}
}

func (l *likes) clients() int { return 3 }

// client clicks; the first one makes the pipe.
func (l *likes) client(id int, stop <-chan struct{}) {
	rng := rand.New(rand.NewPCG(l.w.seed, 300+uint64(id)))
	if id%10 == 0 {
		_ = retry(func() error { return l.createPipe(rng) }) // without a pipe, the sums at the end are wrong
	}
	for !closed(stop) {
		pause(rng, 100*time.Millisecond)
		l.click(rng)
	}
}

func (l *likes) createPipe(rng *rand.Rand) error {
	node := l.w.anyNode(rng)
	if node == nil {
		return model.Errorf(model.ErrUnavailable, "every node is down")
	}
	ctx, cancel := contextFor(5 * time.Second)
	defer cancel()
	err := node.pipes.Create(ctx, &pipe.Settings{
		Name: likesPipe, From: "queue:" + likesQueue, To: "table:" + likesTable, DeadLetter: "queue:" + likesDead,
		Key: map[string]string{"id": "$.post"}, Update: "ADD score :n", Values: map[string]string{":n": "$.weight"}, Rate: 400,
	})
	if exists(err) {
		return nil
	}
	return err
}

// click sends one like, now and then a batch of them, and rarely one that
// cannot be applied.
func (l *likes) click(rng *rand.Rand) {
	req := &service.SendRequest{Invocation: randomID(rng), First: true, Queue: likesQueue}
	sums, bad := map[string]int{}, 0
	for range 1 + rng.IntN(3) {
		post, weight := fmt.Sprintf("post-%d", rng.IntN(likesPosts)), 1+rng.IntN(9)
		body := fmt.Sprintf(`{"post":%q,"weight":%d}`, post, weight)
		if rng.IntN(20) == 0 {
			body, weight = fmt.Sprintf(`{"post":%q,"weight":"heavy"}`, post), 0
			bad++
		}
		sums[post] += weight
		req.Messages = append(req.Messages, service.OutgoingMessage{Body: body})
	}
	known := false
	for try := 0; try < 4 && !known; try++ {
		node := l.w.anyNode(rng)
		if node == nil {
			pause(rng, time.Second)
			continue
		}
		ctx, cancel := contextFor(4*time.Second + time.Duration(rng.IntN(int(time.Millisecond))))
		_, err := node.service.SendMessages(ctx, req)
		cancel()
		req.First = false
		known = err == nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	into := l.sent
	if !known {
		into = l.maybe
		bad = 0
	}
	for post, sum := range sums {
		into[post] += sum
	}
	l.bad += bad
	l.count += len(req.Messages)
}

// finish waits until the pipe has drained the queue, and reads the scores.
func (l *likes) finish() error {
	rng := rand.New(rand.NewPCG(l.w.seed, 399))
	err := retry(func() error { return l.drained(rng) })
	if err != nil {
		return fmt.Errorf("the pipe does not drain its queue: %w", err)
	}
	return retry(func() error { return l.readScores(rng) })
}

func (l *likes) drained(rng *rand.Rand) error {
	ctx, cancel := contextFor(5 * time.Second)
	defer cancel()
	counts, err := count(ctx, l.w.anyNode(rng).service, likesQueue)
	if err != nil {
		return err
	}
	if left := counts.Visible + counts.InFlight + counts.Claimed + counts.Delayed + counts.Dead; left > 0 {
		return fmt.Errorf("%d messages are left", left)
	}
	return nil
}

// count counts a queue's messages.
func count(ctx context.Context, s *service.Service, name string) (model.QueueCounts, error) {
	q, err := s.GetQueue(ctx, name)
	if err != nil {
		return model.QueueCounts{}, err
	}
	return s.CountQueue(ctx, q)
}

func (l *likes) readScores(rng *rand.Rand) error {
	ctx, cancel := contextFor(5 * time.Second)
	defer cancel()
	s := l.w.anyNode(rng).service
	for i := range likesPosts {
		post := fmt.Sprintf("post-%d", i)
		res, err := s.GetItem(ctx, &service.GetItemRequest{Table: likesTable, Key: model.Item{{Name: "id", Value: text(post)}}, Strong: true})
		if err != nil {
			return err
		}
		if score, ok := res.Item.Get("score"); ok {
			n, err := strconv.Atoi(score.Str)
			if err != nil {
				return err
			}
			l.got[post] = n
		}
	}
	counts, err := count(ctx, s, likesDead)
	if err != nil {
		return err
	}
	l.dead = int(counts.Visible)
	return nil
}

func (l *likes) check() (failures []string) {
	for i := range likesPosts {
		post := fmt.Sprintf("post-%d", i)
		low, high := l.sent[post], l.sent[post]+l.maybe[post]
		if got := l.got[post]; got < low || got > high {
			failures = append(failures, fmt.Sprintf("the score of %s is %d; the clicks acknowledged add up to %d, with the unknown ones to %d", post, got, low, high))
		}
	}
	unknown := 0
	for _, sum := range l.maybe {
		unknown += sum
	}
	if l.dead < l.bad || l.dead > l.bad && unknown == 0 {
		failures = append(failures, fmt.Sprintf("there are %d dead letters of %d messages that cannot be applied", l.dead, l.bad))
	}
	return failures
}

func (l *likes) report(r *Report) { r.Likes = l.count }
