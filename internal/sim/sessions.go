package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
	"weir.dev/weir/internal/terms"
)

// sessions is the workload of what requests may ask for beside their content.
// Its promises: eventual reads through any node show what their session wrote
// and read before; a read shows everything that was acknowledged longer ago
// than the lag that it is told, which is no more than it asked for; and a write
// at level all is on three disks when it is acknowledged.
//
// Each item has one writer, which counts upwards: a read shows at least the
// newest value that it must.
type sessions struct {
	w *world

	mu       sync.Mutex // guards what follows
	acked    [sessionItems][]ackedAt
	tried    [sessionItems]int // the newest value that was sent
	reads    int
	lags     int // reads that were held to a lag
	all      int // writes at level all that were looked for on the disks
	failures []string
}

// ackedAt is a value and when it was acknowledged.
type ackedAt struct {
	value int
	at    time.Duration
}

const (
	sessionTable = "sessions"
	sessionItems = 3 // the last one is written at level all
	allItem      = sessionItems - 1
	// allCopies is on how many disks a write at level all is: those of all voters.
	allCopies = 3
)

func (l *sessions) clients() int { return 4 }

// client writes and reads in a session, reads without one, or writes at level
// all.
func (l *sessions) client(id int, stop <-chan struct{}) {
	rng := rand.New(rand.NewPCG(l.w.seed, 700+uint64(id)))
	switch role := id % 10; {
	case role < allItem:
		l.session(rng, role, stop)
	case role == allItem:
		for !closed(stop) {
			pause(rng, 150*time.Millisecond)
			l.readLagging(rng, rng.IntN(sessionItems))
		}
	default:
		if err := retry(func() error { return l.allVote(rng, stop) }); err != nil {
			l.fail("the tablets do not get all their voters: %v", err)
		}
		for !closed(stop) {
			pause(rng, 1500*time.Millisecond)
			l.writeAll(rng)
		}
	}
}

// session writes and reads one item, each request through any node.
func (l *sessions) session(rng *rand.Rand, item int, stop <-chan struct{}) {
	var token terms.Token
	floor := 0
	for !closed(stop) {
		pause(rng, 300*time.Millisecond)
		if n, given := l.write(rng, item, model.LevelQuorum, token); given != nil {
			token, floor = given.Token, n
		}
		for range rng.IntN(4) {
			pause(rng, 100*time.Millisecond)
			t := &terms.Terms{After: token}
			value, err := l.read(rng, item, t, false)
			if err != nil {
				continue
			}
			if value < floor {
				l.fail("a session wrote or read %d of item %d, and then read %d", floor, item, value)
			}
			token, floor = t.Given().Token, max(floor, value)
		}
	}
}

// write writes the item's next value, repeating the call as an SDK does while
// its outcome is not known. given is nil when it stays unknown.
func (l *sessions) write(rng *rand.Rand, item int, level model.Level, after terms.Token) (value int, given *terms.Given) {
	l.mu.Lock()
	l.tried[item]++
	value = l.tried[item]
	l.mu.Unlock()
	req := &service.PutItemRequest{Invocation: randomID(rng), Table: sessionTable, Item: model.Item{
		{Name: "id", Value: text(strconv.Itoa(item))}, {Name: "n", Value: text(strconv.Itoa(value))},
	}}
	for range 3 {
		t := &terms.Terms{Level: level, After: after}
		err := l.with(rng, t, func(ctx context.Context, s *service.Service) error {
			_, err := s.PutItem(ctx, req)
			return err
		})
		if err == nil {
			l.mu.Lock()
			l.acked[item] = append(l.acked[item], ackedAt{value, l.w.elapsed()})
			l.mu.Unlock()
			given := t.Given()
			return value, &given
		}
	}
	return 0, nil
}

// read reads an item's value; 0 when there is none.
func (l *sessions) read(rng *rand.Rand, item int, t *terms.Terms, strong bool) (value int, err error) {
	err = l.with(rng, t, func(ctx context.Context, s *service.Service) error {
		got, err := s.GetItem(ctx, &service.GetItemRequest{Table: sessionTable, Key: model.Item{{Name: "id", Value: text(strconv.Itoa(item))}}, Strong: strong})
		if err != nil {
			return err
		}
		l.mu.Lock()
		l.reads++
		l.mu.Unlock()
		if v, ok := got.Item.Get("n"); ok {
			value, err = strconv.Atoi(v.Str)
		}
		return err
	})
	return value, err
}

// with carries out one call under the terms through any node.
func (l *sessions) with(rng *rand.Rand, t *terms.Terms, call func(ctx context.Context, s *service.Service) error) error {
	node := l.w.anyNode(rng)
	if node == nil {
		pause(rng, time.Second)
		return model.Errorf(model.ErrUnavailable, "every node is down")
	}
	ctx, cancel := contextFor(4*time.Second + time.Duration(rng.IntN(int(time.Millisecond))))
	defer cancel()
	return call(terms.With(ctx, t), node.service)
}

// readLagging reads an item and holds the answer to the lag that it names.
func (l *sessions) readLagging(rng *rand.Rand, item int) {
	most := []time.Duration{0, 20 * time.Millisecond, 300 * time.Millisecond, 3 * time.Second}[rng.IntN(4)]
	t := &terms.Terms{MaxLag: most}
	called := l.w.elapsed()
	value, err := l.read(rng, item, t, false)
	if err != nil {
		return
	}
	l.checkLag(item, value, called, most, t.Given().Lag)
}

func (l *sessions) checkLag(item, value int, called, most, lag time.Duration) {
	if most > 0 && lag > most {
		l.fail("a read asked for a lag of %v at most and was told %v", most, lag)
	}
	l.mu.Lock()
	floor := 0
	for _, a := range l.acked[item] {
		if a.at < called-lag-time.Millisecond { // lags are told in milliseconds
			floor = a.value
		}
	}
	l.lags++
	l.mu.Unlock()
	if value < floor {
		l.fail("a read of %v was told a lag of %v and gave %d of item %d, whose %d had been acknowledged before that", called, lag, value, item, floor)
	}
}

// allVote returns when every tablet has its voters, or at stop.
func (l *sessions) allVote(rng *rand.Rand, stop <-chan struct{}) error {
	node := l.w.anyNode(rng)
	if closed(stop) {
		return nil
	}
	if node == nil {
		return model.Errorf(model.ErrUnavailable, "every node is down")
	}
	ctx, cancel := contextFor(5 * time.Second)
	defer cancel()
	tablets := node.node.Status(ctx).Tablets
	for i := range tablets {
		if t := &tablets[i]; len(t.Members.Voters) < allCopies {
			return fmt.Errorf("tablet %v has %d voters", t.ID, len(t.Members.Voters))
		}
	}
	if len(tablets) == 0 {
		return fmt.Errorf("no tablets are known")
	}
	return nil
}

// writeAll writes at level all and looks for an acknowledged write on the
// disks.
func (l *sessions) writeAll(rng *rand.Rand) {
	value, given := l.write(rng, allItem, model.LevelAll, nil)
	if given == nil {
		return
	}
	if given.Level != model.LevelAll {
		l.fail("a write at level all succeeded and was told level %v", given.Level)
		return
	}
	for _, p := range given.Token {
		n, err := l.w.copies(p.Tablet, p.Index)
		if err != nil {
			l.fail("cannot look for a write on the disks: %v", err)
		} else if n < allCopies {
			l.fail("value %d was acknowledged at level all and is on %d disks", value, n)
		}
	}
	l.mu.Lock()
	l.all++
	l.mu.Unlock()
}

func (l *sessions) fail(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.failures) < 10 {
		l.failures = append(l.failures, fmt.Sprintf(format, args...))
	}
}

// finish reads every item strongly: the newest acknowledged value, or a later
// one whose outcome stayed unknown.
func (l *sessions) finish() error {
	rng := rand.New(rand.NewPCG(l.w.seed, 799))
	for item := range sessionItems {
		value := 0
		err := retry(func() (err error) {
			value, err = l.read(rng, item, &terms.Terms{}, true)
			return err
		})
		if err != nil {
			return err
		}
		l.checkFinal(item, value)
	}
	return nil
}

func (l *sessions) checkFinal(item, value int) {
	l.mu.Lock()
	acked, tried := l.acked[item], l.tried[item]
	l.mu.Unlock()
	if n := len(acked); n > 0 && value < acked[n-1].value || value > tried {
		l.fail("item %d ends with %d; %d values were acknowledged, and %d written", item, value, n, tried)
	}
}

func (l *sessions) check() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failures
}

func (l *sessions) report(r *Report) {
	r.SessionReads, r.LagReads, r.OnAllDisks = l.reads, l.lags, l.all
}
