package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"weir.dev/weir/internal/service"
)

// fifoLoad is the workload of producers and consumers of a FIFO queue. Its
// promises: what is acknowledged is delivered, a message that is sent again is
// there once, and a group's messages come in their order, none before those
// ahead of it are deleted.
type fifoLoad struct {
	w *world

	mu       sync.Mutex // guards what follows
	groups   [fifoGroups]fifoGroup
	failures []string
}

// fifoGroup is what the clients know of a message group. Its messages are
// numbered from 0, and each is acknowledged before the next one is sent.
type fifoGroup struct {
	sent     int               // how many were acknowledged
	asked    map[int]bool      // deletion was asked for, whatever became of it
	deleted  map[int]time.Time // when the deletion was acknowledged
	received map[int]uint64    // the queue's number of each message that was delivered
}

const (
	fifoQueue  = "orders.fifo"
	fifoGroups = 4
)

func newFifoLoad(w *world) *fifoLoad {
	f := &fifoLoad{w: w}
	for i := range f.groups {
		f.groups[i] = fifoGroup{asked: map[int]bool{}, deleted: map[int]time.Time{}, received: map[int]uint64{}}
	}
	return f
}

func (f *fifoLoad) clients() int { return 4 }

// client is a producer of two groups, or a consumer.
func (f *fifoLoad) client(id int, stop <-chan struct{}) {
	rng := rand.New(rand.NewPCG(f.w.seed, 500+uint64(id)))
	for i := 0; !closed(stop); i++ {
		pause(rng, 250*time.Millisecond)
		if role := id % 10; role < 2 {
			f.send(rng, 2*role+i%2, stop)
		} else {
			f.consume(rng, time.Duration(rng.IntN(3))*time.Second)
		}
	}
}

// send sends the next message of a group until it is acknowledged: under one
// call as an SDK does, and then as a client that has started anew.
func (f *fifoLoad) send(rng *rand.Rand, group int, stop <-chan struct{}) {
	f.mu.Lock()
	number := f.groups[group].sent
	f.mu.Unlock()
	body := fmt.Sprintf("%d.%d", group, number)
	for !closed(stop) {
		req := &service.SendRequest{Invocation: randomID(rng), First: true, Queue: fifoQueue,
			Messages: []service.OutgoingMessage{{Body: body, Group: fmt.Sprint(group), Dedup: body}}}
		for range 2 {
			if f.trySend(rng, req) {
				f.mu.Lock()
				f.groups[group].sent++
				f.mu.Unlock()
				return
			}
			req.First = false
		}
	}
}

func (f *fifoLoad) trySend(rng *rand.Rand, req *service.SendRequest) bool {
	node := f.w.anyNode(rng)
	if node == nil {
		pause(rng, time.Second)
		return false
	}
	ctx, cancel := contextFor(4*time.Second + time.Duration(rng.IntN(int(time.Millisecond))))
	defer cancel()
	res, err := node.service.SendMessages(ctx, req)
	return err == nil && res[0].Err == nil
}

// fifoMessage is one message of a response.
type fifoMessage struct {
	group, number int
	seq           uint64
}

// consume receives messages and deletes them in their order, most of the time
// all. It reports whether there were any.
func (f *fifoLoad) consume(rng *rand.Rand, wait time.Duration) bool {
	node := f.w.anyNode(rng)
	if node == nil {
		return false
	}
	visibility, seconds := int64(queueVisibility/time.Second), int64(wait/time.Second)
	called := time.Now()
	ctx, cancel := contextFor(wait + 5*time.Second)
	messages, err := node.service.ReceiveMessages(ctx, &service.ReceiveRequest{
		Invocation: randomID(rng), Queue: fifoQueue, Max: 1 + rng.IntN(10), Visibility: &visibility, Wait: &seconds,
	})
	cancel()
	if err != nil {
		return false
	}
	got := make([]fifoMessage, len(messages))
	for i := range messages {
		got[i].seq = messages[i].Seq
		if _, err := fmt.Sscanf(string(messages[i].Body), "%d.%d", &got[i].group, &got[i].number); err != nil {
			f.fail("message %q was delivered but never sent", messages[i].Body)
			return true
		}
	}
	f.note(got, called)
	for i := range messages {
		if rng.IntN(8) == 0 {
			break
		}
		f.delete(rng, &got[i], messages[i].Receipt, called)
	}
	return len(messages) > 0
}

// delete deletes a message; see queueLoad.delete for when that is sure.
func (f *fifoLoad) delete(rng *rand.Rand, m *fifoMessage, receipt string, received time.Time) {
	node := f.w.anyNode(rng)
	if node == nil {
		return
	}
	f.mu.Lock()
	f.groups[m.group].asked[m.number] = true
	f.mu.Unlock()
	ctx, cancel := contextFor(4 * time.Second)
	defer cancel()
	errs, err := node.service.DeleteMessages(ctx, &service.DeleteMessagesRequest{Invocation: randomID(rng), Queue: fifoQueue, Handles: []string{receipt}})
	now := time.Now()
	if err == nil && errs[0] == nil && now.Add(2*maxSkew).Before(received.Add(queueVisibility)) {
		f.mu.Lock()
		f.groups[m.group].deleted[m.number] = now
		f.mu.Unlock()
	}
}

// note checks one response to a request of the given time.
func (f *fifoLoad) note(got []fifoMessage, called time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, m := range got {
		g := &f.groups[m.group]
		if at, ok := g.deleted[m.number]; ok && called.After(at) {
			f.fail("message %d.%d was delivered after its deletion was acknowledged", m.group, m.number)
		}
		if seq, ok := g.received[m.number]; ok && seq != m.seq {
			f.fail("message %d.%d is in the queue twice, as number %d and %d", m.group, m.number, seq, m.seq)
		}
		g.received[m.number] = m.seq
		for ahead := range m.number {
			inHand := slices.ContainsFunc(got[:i], func(o fifoMessage) bool { return o.group == m.group && o.number == ahead })
			if !inHand && !g.asked[ahead] {
				f.fail("message %d.%d was delivered before %d.%d was deleted", m.group, m.number, m.group, ahead)
				break
			}
		}
	}
}

func (f *fifoLoad) fail(format string, args ...any) {
	if len(f.failures) < 10 {
		f.failures = append(f.failures, fmt.Sprintf(format, args...))
	}
}

// finish drains the queue.
func (f *fifoLoad) finish() error {
	rng := rand.New(rand.NewPCG(f.w.seed, 599))
	for empty := 0; empty < 12; {
		if f.consume(rng, 2*time.Second) {
			empty = 0
		} else {
			empty++
		}
		time.Sleep(time.Duration(1 + rng.IntN(1000)))
	}
	return nil
}

func (f *fifoLoad) check() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	for group := range f.groups {
		g := &f.groups[group]
		for number := range g.sent {
			if _, ok := g.received[number]; !ok {
				f.fail("message %d.%d was acknowledged and never delivered", group, number)
			}
		}
	}
	return f.failures
}

func (f *fifoLoad) report(r *Report) {
	for i := range f.groups {
		r.Ordered += len(f.groups[i].received)
	}
}
