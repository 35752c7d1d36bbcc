package sim

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

// deadLoad is the workload of messages that nobody can work on: they are
// received, die, and are moved on by tasks. Its promises: none is received more
// often than the redrive policy says, and each ends where the tasks take it,
// once.
type deadLoad struct {
	w *world

	mu       sync.Mutex // guards what follows
	sent     map[model.MessageID]bool
	maybe    int                     // sends whose outcome stayed unknown
	received map[model.MessageID]int // how often, as consumers counted
	rescued  map[model.MessageID]map[string]bool
	moves    int
	failures []string
}

const (
	riskyQueue   = "risky"
	riskyDead    = "risky-dead"
	rescuedQueue = "rescued"
	riskyMost    = 2
)

func newDeadLoad(w *world) *deadLoad {
	return &deadLoad{w: w, sent: map[model.MessageID]bool{}, received: map[model.MessageID]int{}, rescued: map[model.MessageID]map[string]bool{}}
}

func (d *deadLoad) clients() int { return 3 }

// client sends, fails at the work, or starts tasks that move what has died.
func (d *deadLoad) client(id int, stop <-chan struct{}) {
	rng := rand.New(rand.NewPCG(d.w.seed, 600+uint64(id)))
	for i := 0; !closed(stop); i++ {
		switch id % 10 {
		case 0:
			pause(rng, 400*time.Millisecond)
			d.send(rng, fmt.Sprint("p", i))
		case 1:
			pause(rng, 300*time.Millisecond)
			d.receive(rng)
		default:
			pause(rng, 8*time.Second)
			_ = d.move(rng) // one may be running, or no node be there: the end moves what is left
		}
	}
}

func (d *deadLoad) send(rng *rand.Rand, body string) {
	req := &service.SendRequest{Invocation: randomID(rng), First: true, Queue: riskyQueue, Messages: []service.OutgoingMessage{{Body: body}}}
	for range 3 {
		node := d.w.anyNode(rng)
		if node == nil {
			pause(rng, time.Second)
			continue
		}
		ctx, cancel := contextFor(4*time.Second + time.Duration(rng.IntN(int(time.Millisecond))))
		res, err := node.service.SendMessages(ctx, req)
		cancel()
		req.First = false
		if err == nil && res[0].Err == nil {
			d.mu.Lock()
			d.sent[res[0].ID] = true
			d.mu.Unlock()
			return
		}
	}
	d.mu.Lock()
	d.maybe++
	d.mu.Unlock()
}

// receive takes messages and gives them back by letting their time pass.
func (d *deadLoad) receive(rng *rand.Rand) {
	node := d.w.anyNode(rng)
	if node == nil {
		return
	}
	visibility := int64(rng.IntN(2))
	ctx, cancel := contextFor(4*time.Second + time.Duration(rng.IntN(int(time.Millisecond))))
	defer cancel()
	got, err := node.service.ReceiveMessages(ctx, &service.ReceiveRequest{Invocation: randomID(rng), Queue: riskyQueue, Max: 10, Visibility: &visibility})
	if err != nil {
		return
	}
	for i := range got {
		d.noteReceived(&got[i])
	}
}

func (d *deadLoad) noteReceived(m *model.Received) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.received[m.ID]++
	if n := max(int(m.Receives), d.received[m.ID]); n > riskyMost {
		d.fail("message %s was received %d times, and dies after %d", m.Body, n, riskyMost)
	}
}

// move starts a task; to have one that is running already is an error.
func (d *deadLoad) move(rng *rand.Rand) error {
	node := d.w.anyNode(rng)
	if node == nil {
		return model.Errorf(model.ErrUnavailable, "every node is down")
	}
	ctx, cancel := contextFor(5*time.Second + time.Duration(rng.IntN(int(time.Millisecond))))
	defer cancel()
	_, err := node.service.StartMoveTask(ctx, &service.MoveTaskRequest{Source: riskyDead, Destination: rescuedQueue, MaxPerSec: int64(rng.IntN(2) * 20)})
	if err == nil {
		d.mu.Lock()
		d.moves++
		d.mu.Unlock()
	}
	return err
}

// finish lets everything die and be moved, and reads what has arrived.
func (d *deadLoad) finish() error {
	rng := rand.New(rand.NewPCG(d.w.seed, 699))
	err := retry(func() error {
		d.receive(rng)
		if n, err := d.left(rng, riskyQueue); err != nil || n > 0 {
			return errors.Join(err, fmt.Errorf("%d messages have not died", n))
		}
		if n, err := d.left(rng, riskyDead); err != nil || n > 0 {
			return errors.Join(err, fmt.Errorf("%d dead letters are left", n), d.move(rng))
		}
		return nil
	})
	if err != nil {
		return err
	}
	for empty := 0; empty < 8; empty++ {
		if d.drain(rng) {
			empty = 0
		}
	}
	return nil
}

func (d *deadLoad) left(rng *rand.Rand, queue string) (uint64, error) {
	ctx, cancel := contextFor(5 * time.Second)
	defer cancel()
	n, err := count(ctx, d.w.anyNode(rng).service, queue)
	return n.Visible + n.Delayed + n.InFlight + n.Claimed + n.Dead, err
}

// drain receives what was moved; it stays in flight until all is read.
func (d *deadLoad) drain(rng *rand.Rand) bool {
	visibility := int64(3600)
	ctx, cancel := contextFor(5*time.Second + time.Duration(rng.IntN(int(time.Millisecond))))
	defer cancel()
	got, err := d.w.anyNode(rng).service.ReceiveMessages(ctx, &service.ReceiveRequest{Invocation: randomID(rng), Queue: rescuedQueue, Max: 10, Visibility: &visibility})
	for i := range got {
		d.noteRescued(&got[i])
	}
	return err == nil && len(got) > 0
}

// noteRescued keeps a message under its id and its place in the queue.
func (d *deadLoad) noteRescued(m *model.Received) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.rescued[m.ID] == nil {
		d.rescued[m.ID] = map[string]bool{}
	}
	d.rescued[m.ID][m.Receipt] = true
}

func (d *deadLoad) fail(format string, args ...any) {
	if len(d.failures) < 10 {
		d.failures = append(d.failures, fmt.Sprintf(format, args...))
	}
}

func (d *deadLoad) check() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	lost, twice := 0, 0
	for _, id := range slices.SortedFunc(maps.Keys(d.sent), compareIDs) {
		if len(d.rescued[id]) == 0 {
			lost++
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(d.rescued), compareIDs) {
		if len(d.rescued[id]) > 1 {
			twice++
		}
		if !d.sent[id] && d.maybe == 0 {
			d.fail("a message was moved that was never sent")
		}
	}
	if lost > 0 {
		d.fail("%d of %d messages that had to die and be moved are lost", lost, len(d.sent))
	}
	if twice > 0 {
		d.fail("%d messages were moved more than once", twice)
	}
	return d.failures
}

func compareIDs(a, b model.MessageID) int { return slices.Compare(a[:], b[:]) }

func (d *deadLoad) report(r *Report) { r.Rescued, r.Moves = len(d.rescued), d.moves }
