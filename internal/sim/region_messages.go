package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

// messageHistory is what senders were told of queues that are shipped, and what
// consumers received in all regions, and the check of the promises. While the
// writes move as planned: nothing is lost, nothing comes after its delete, none
// of a group before those ahead of it are deleted, each message under one id and
// number; what was sent twice within the deduplication window comes once; a dead
// letter is gone where it died. Always: what was delayed comes when it is due;
// where the writes stay, nothing comes twice within its visibility, and receives
// are counted; and each message that nobody can work on ends as a dead letter.
// It is used under a lock.
type messageHistory struct {
	exact    bool // nothing was taken over by force
	lost     bool // a region is lost that had the writes: a dead letter may be there and where it died
	moves    int  // grows before and after the writes may move
	sent     []string
	groups   map[string][]string // of sent, those of a FIFO group
	got      []string            // in the order in which they were received first
	seen     map[string]*seenMessage
	due      map[string]time.Time // when a message may come, by the clock of who sent it
	again    map[string]string    // was sent with the deduplication id of another one
	missed   map[string]int       // receives of a queue whose answers did not come
	late     int                  // messages that were sent with a delay
	failures []string
}

// seenMessage is what is known of a message that was received, by queue and body.
type seenMessage struct {
	id      model.MessageID
	seq     uint64
	times   int
	asked   bool      // its delete was asked for
	deleted time.Time // when that was acknowledged; zero if it is not sure
	last    unitDelivery
	count   uint32 // receives, as the last answer said
	here    int    // receives since the writes moved
}

// unitDelivery is a message in the hands of a consumer.
type unitDelivery struct {
	region, moves    int
	seq              uint64
	called, returned time.Time
	visibility       time.Duration
}

const (
	unitQueue = "rq"
	unitFifo  = "rq.fifo"
	unitRisky = "rq-risky" // nobody can work on its messages
	unitDead  = "rq-dead"
	unitMost  = 2 // receives of a message of unitRisky
)

// unitQueues are the queues that are shipped.
var unitQueues = []string{unitQueue, unitFifo, unitRisky, unitDead}

func newMessageHistory() *messageHistory {
	return &messageHistory{exact: true, groups: map[string][]string{}, seen: map[string]*seenMessage{}, due: map[string]time.Time{}, again: map[string]string{}, missed: map[string]int{}}
}

// makeQueues makes them in one region.
func makeQueues(ctx context.Context, s *service.Service) error {
	redrive := fmt.Sprintf(`{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:%s","maxReceiveCount":%d}`, unitDead, unitMost)
	for _, req := range []service.CreateQueueRequest{
		{Name: unitQueue}, {Name: unitDead},
		{Name: unitFifo, Attributes: []service.QueueAttribute{{Name: "FifoQueue", Value: "true"}}},
		{Name: unitRisky, Attributes: []service.QueueAttribute{{Name: "RedrivePolicy", Value: redrive}}},
	} {
		if _, err := s.CreateQueue(ctx, &req); err != nil && !exists(err) {
			return err
		}
	}
	return nil
}

// sendMessage sends one message, to one of the queues.
func (l *unitLoad) sendMessage(ctx context.Context, s *service.Service, rng *rand.Rand, id, n int) error {
	queue, m, began := unitQueue, service.OutgoingMessage{Body: fmt.Sprintf("%d/%d", id, n)}, time.Now()
	switch rng.IntN(6) {
	case 0, 1:
	case 2:
		delay := 4 + rng.Int64N(6)
		m.Delay = &delay
	case 3:
		queue = unitRisky
	default:
		queue, m.Group, m.Dedup = unitFifo, fmt.Sprint("g", id), m.Body
		if other := fmt.Sprint("g", rng.IntN(len(l.worlds))); rng.IntN(3) == 0 && l.lastOf(other) != "" { // as a sender that has begun anew, maybe in another region
			m.Group = other
			_, m.Dedup, _ = strings.Cut(l.lastOf(other), " ")
		}
	}
	sent, err := s.SendMessages(ctx, &service.SendRequest{Queue: queue, Invocation: randomID(rng), Messages: []service.OutgoingMessage{m}})
	if err == nil {
		err = sent[0].Err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	name := queue + " " + m.Body
	switch {
	case m.Dedup != "" && m.Dedup != m.Body:
		l.messages.again[name] = queue + " " + m.Dedup // whatever was answered
		return err
	case err != nil:
		return err
	case m.Delay != nil:
		l.messages.due[name] = began.Add(time.Duration(*m.Delay) * time.Second)
		l.messages.late++
	}
	l.messages.send(name, m.Group)
	return nil
}

// lastOf is the message of a group that was acknowledged last; "" for none.
func (l *unitLoad) lastOf(group string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if all := l.messages.groups[group]; len(all) > 0 {
		return all[len(all)-1]
	}
	return ""
}

// send notes that a message was acknowledged.
func (h *messageHistory) send(name, group string) {
	h.sent = append(h.sent, name)
	if group != "" {
		h.groups[group] = append(h.groups[group], name)
	}
}

// consume receives messages of each queue in a region, and deletes them if remove
// is set and somebody can work on them. It reports how many there were.
func (l *unitLoad) consume(region int, s *service.Service, rng *rand.Rand, remove bool) (n int, err error) {
	ctx, cancel := contextFor(8*time.Second + time.Duration(rng.IntN(int(time.Millisecond))))
	defer cancel()
	for _, queue := range unitQueues {
		visibility, wait := 6+6*rng.Int64N(2), int64(0)
		if queue == unitRisky {
			visibility = 1
		}
		d := unitDelivery{region: region, visibility: time.Duration(visibility) * time.Second}
		l.mu.Lock()
		d.moves, d.called = l.messages.moves, time.Now()
		l.mu.Unlock()
		got, err := s.ReceiveMessages(ctx, &service.ReceiveRequest{Invocation: randomID(rng), Queue: queue, Max: 5, Visibility: &visibility, Wait: &wait})
		l.mu.Lock()
		if d.returned = time.Now(); err != nil {
			l.messages.missed[queue]++
			l.mu.Unlock()
			return n, err
		}
		n += len(got)
		l.messages.receive(queue, got, d)
		l.mu.Unlock()
		for i := 0; i < len(got) && remove && queue != unitRisky; i++ {
			l.remove(ctx, s, rng, queue, &got[i], &d)
		}
	}
	return n, nil
}

// remove deletes a message; see queueLoad.delete for when that is sure.
func (l *unitLoad) remove(ctx context.Context, s *service.Service, rng *rand.Rand, queue string, m *model.Received, d *unitDelivery) {
	l.mu.Lock()
	known := l.messages.seen[queue+" "+string(m.Body)]
	known.asked = true
	l.mu.Unlock()
	errs, err := s.DeleteMessages(ctx, &service.DeleteMessagesRequest{Invocation: randomID(rng), Queue: queue, Handles: []string{m.Receipt}})
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); err == nil && errs[0] == nil && now.Add(2*maxSkew).Before(d.called.Add(d.visibility)) {
		known.deleted = now
	}
}

// receive notes the messages of one answer and checks each.
func (h *messageHistory) receive(queue string, got []model.Received, d unitDelivery) {
	for i := range got {
		m := &got[i]
		name := queue + " " + string(m.Body)
		known := h.seen[name]
		if known == nil {
			known = &seenMessage{}
			h.seen[name] = known
		}
		if known.times == 0 {
			known.id, known.seq = m.ID, m.Seq
			h.got = append(h.got, name)
		}
		if h.exact {
			h.checkExact(name, queue, known, m, got[:i], &d)
		}
		d := d
		h.checkAlways(name, queue, known, m, &d)
		known.times++
		known.last, known.count = d, m.Receives
		if first := h.again[name]; first != "" && !h.exact && h.seen[first] == nil {
			h.seen[first] = &seenMessage{asked: true} // it was lost with the region that had it, and this one has its deduplication id
		}
	}
}

// checkExact holds a delivery to what must be so while nothing was taken by force.
func (h *messageHistory) checkExact(name, queue string, known *seenMessage, m *model.Received, before []model.Received, d *unitDelivery) {
	body := string(m.Body)
	if h.lost && (queue == unitRisky || queue == unitDead) {
		return
	}
	switch died := h.seen[unitDead+" "+body]; {
	case !known.deleted.IsZero() && d.called.After(known.deleted):
		h.failf("%s was received after its delete was acknowledged", name)
	case h.again[name] != "":
		h.failf("%s was received, and had been sent with the deduplication id of another", name)
	case known.id != m.ID || known.seq != m.Seq:
		h.failf("%s was received as %v, number %d, and before as %v, number %d", name, m.ID, m.Seq, known.id, known.seq)
	case queue == unitRisky && died != nil && died.times > 0 && d.called.After(died.last.returned):
		h.failf("%s was received after it was received as a dead letter", name)
	case int(m.Receives) > known.times+1+h.missed[queue]:
		h.failf("%s says that it was received %d times; it was %d times, and %d answers were missed", name, m.Receives, known.times+1, h.missed[queue])
	}
	if queue != unitFifo {
		return
	}
	_, n := parseRegionValue(body)
	for _, ahead := range h.groups[m.Group] {
		_, sentAhead, _ := strings.Cut(ahead, " ")
		if _, number := parseRegionValue(sentAhead); number >= n {
			return
		}
		inHand := slices.ContainsFunc(before, func(o model.Received) bool { return queue+" "+string(o.Body) == ahead })
		if other := h.seen[ahead]; !inHand && (other == nil || !other.asked) {
			h.failf("%s was received before %s was deleted", name, ahead)
			return
		}
	}
}

// checkAlways holds a delivery to what must be so in any case.
func (h *messageHistory) checkAlways(name, queue string, known *seenMessage, m *model.Received, d *unitDelivery) {
	if due, ok := h.due[name]; ok && d.returned.Add(2*maxSkew).Before(due) {
		h.failf("%s was received %v before it was due", name, due.Sub(d.returned))
	}
	last := &known.last
	if d.seq = m.Seq; known.times == 0 || last.seq != m.Seq || // merged after a takeover, a message may be there twice
		last.region != d.region || last.moves != d.moves || d.moves != h.moves {
		known.here = 1
	} else if known.here++; !h.lost {
		if d.returned.After(last.called) && d.returned.Add(2*maxSkew).Before(last.called.Add(last.visibility)) {
			h.failf("%s was received again within its visibility of %v", name, last.visibility)
		}
		if h.exact && d.called.After(last.returned) && m.Receives <= known.count {
			h.failf("%s was received for the %d. time after the %d.", name, m.Receives, known.count)
		}
	}
	if n := max(known.here, int(m.Receives)); queue == unitRisky && n > unitMost {
		h.failf("%s was received %d times, and dies after %d", name, n, unitMost)
	}
}

func (h *messageHistory) failf(format string, args ...any) {
	if len(h.failures) < 10 {
		h.failures = append(h.failures, fmt.Sprintf(format, args...))
	}
}

// check returns what is wrong, when all queues were read until they were empty.
func (h *messageHistory) check() []string {
	failures := h.failures
	for _, name := range h.sent {
		if body, ok := strings.CutPrefix(name, unitRisky+" "); ok {
			name = unitDead + " " + body
		}
		if known := h.seen[name]; known == nil || known.times == 0 && !known.asked {
			failures = append(failures, name+" was acknowledged and never received")
		}
	}
	if h.exact {
		failures = append(failures, checkGroupOrder(h.got)...)
	}
	return failures
}

// elsewhere is the history of a region that took over from one that is lost, over
// a link that answers waited for: it has every message that was acknowledged, but
// those that somebody tried to delete there, or that may have been on their way to
// the dead letters.
func (h *messageHistory) elsewhere() *messageHistory {
	there := newMessageHistory()
	there.lost = true
	there.sent, there.groups, there.due, there.again, there.missed = h.sent, h.groups, h.due, h.again, h.missed
	for name, known := range h.seen {
		queue, body, _ := strings.Cut(name, " ")
		if known.asked {
			there.seen[name] = &seenMessage{asked: true, deleted: known.deleted}
		}
		if queue == unitRisky && there.seen[unitDead+" "+body] == nil {
			there.seen[unitDead+" "+body] = &seenMessage{asked: true}
		}
	}
	return there
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
