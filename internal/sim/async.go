package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/journal"
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/lost"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
	"weir.dev/weir/internal/tablet"
	"weir.dev/weir/internal/terms"
)

// async is the workload of a table at level async. Its promises: a write that
// is missing in the end was acknowledged at that level, and a node that had
// answered it has kept it; what one change of leaders loses is within the bound,
// in number and in time; and what was acknowledged at a stronger level is there.
type async struct {
	w *world

	mu       sync.Mutex // guards what follows
	acked    []ackedKey
	early    int             // of acked, at level async
	kept     map[string]bool // keys of writes in files of lost writes, or on the disks of nodes that were removed
	lost     int             // of kept, told to be answered and lost
	failures []string
}

type ackedKey struct {
	key   string
	level model.Level
}

const (
	asyncTable  = "async"
	asyncWindow = 300 * time.Millisecond
	// stampSlack is for the stamps: a millisecond each, rounded down.
	stampSlack = time.Millisecond
)

func (l *async) clients() int { return 3 }

// client writes items of its own, now and then at level quorum.
func (l *async) client(id int, stop <-chan struct{}) {
	rng := rand.New(rand.NewPCG(l.w.seed, 1700+uint64(id)))
	for n := 0; !closed(stop); n++ {
		pause(rng, 120*time.Millisecond)
		level := model.LevelAsync
		if rng.IntN(6) == 0 {
			level = model.LevelQuorum
		}
		l.write(rng, fmt.Sprintf("c%d-%d", id, n), level)
	}
}

// believer is mostly a node that believes to lead the key, which one that is cut
// off does for a while; nil when no node runs.
func (l *async) believer(rng *rand.Rand, key string) *liveNode {
	var believers []*liveNode
	slot := model.SlotOf(keys.AppendValue(nil, text(key)))
	for _, live := range l.w.up() {
		if live.node.Leads(slot) {
			believers = append(believers, live)
		}
	}
	if len(believers) == 0 || rng.IntN(4) == 0 {
		return l.w.anyNode(rng)
	}
	return believers[rng.IntN(len(believers))]
}

// write puts an item. It gives up soon: what cannot be reached must not keep a
// client from what can.
func (l *async) write(rng *rand.Rand, key string, level model.Level) {
	req := &service.PutItemRequest{Invocation: randomID(rng), Table: asyncTable, Item: model.Item{{Name: "id", Value: text(key)}}}
	for range 1 + rng.IntN(2) {
		node := l.believer(rng, key)
		if node == nil {
			pause(rng, time.Second)
			return
		}
		t := &terms.Terms{Level: level}
		ctx, cancel := contextFor(150*time.Millisecond + time.Duration(rng.IntN(int(time.Millisecond))))
		_, err := node.service.PutItem(terms.With(ctx, t), req)
		cancel()
		if err != nil {
			continue
		}
		given := t.Given().Level
		l.mu.Lock()
		l.acked = append(l.acked, ackedKey{key, given})
		if given == model.LevelAsync {
			l.early++
		}
		l.mu.Unlock()
		if given < level {
			l.fail("a write asked for level %v and was given %v", level, given)
		}
		return
	}
}

// bound is how many writes may be ahead: so few in every other run that this
// ends them, so many in the others that the window does.
func (l *async) bound() int64 {
	if l.w.seed%2 == 0 {
		return 3
	}
	return 100
}

// setUp makes what may be lost small, so that runs meet the bound.
func (l *async) setUp(ctx context.Context, live *liveNode) error {
	s := live.node.Catalog().Settings
	s.AsyncWindowMs, s.AsyncWrites = asyncWindow.Milliseconds(), l.bound()
	return live.node.SetSettings(ctx, s)
}

// keep takes what a node keeps of one event.
func (l *async) keep(writes []lost.Write) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var first, last time.Time
	answered := 0
	for i := range writes {
		w := &writes[i]
		l.kept[w.Key] = true
		at, err := time.Parse(time.RFC3339, w.Proposed)
		if err != nil || !w.Answered {
			continue
		}
		if answered == 0 {
			first = at
		}
		last = at
		answered++
		l.lost++
	}
	if spread := last.Sub(first); int64(answered) > l.bound() || spread > asyncWindow+stampSlack {
		l.failures = append(l.failures, fmt.Sprintf("one change of leaders lost %d async writes that were answered, of %v: at most %d of %v may be", answered, spread, l.bound(), asyncWindow))
	}
	return "", nil
}

// inspect takes what the disk of a node that was removed still holds: it may
// have been cut off until then, and hear of nobody any more.
func (l *async) inspect(room *machineRoom) error {
	var broken error
	j, err := journal.Open(journal.Options{
		FS: room.disk.CrashClone(100, l.w.rng), Dir: "journal", SegmentBytes: journalSegment, CacheBytes: journalSegment,
		Rand: base.NewRand(room.seed), Fatal: func(err error) { broken = err },
	})
	if err != nil {
		return err
	}
	for _, id := range j.Tablets() {
		if err := l.inspectLog(room, j.Log(id)); err != nil {
			return err
		}
	}
	if err := j.Close(); err != nil {
		return err
	}
	return broken
}

func (l *async) inspectLog(room *machineRoom, log *journal.Log) error {
	first, err := log.FirstIndex()
	if err != nil {
		return err
	}
	last, err := log.LastIndex()
	if err != nil || last < first {
		return err
	}
	entries, err := log.Entries(first, last+1, 1<<30)
	if err != nil {
		return err
	}
	for _, e := range entries {
		b, err := tablet.DecodeBatch(e.GetData())
		if err != nil || b.Early == 0 || b.Node != room.id {
			continue // a change of members, or a batch of others
		}
		var cmd model.Command
		for n := uint64(0); n < b.Early && b.Next(&cmd); n++ {
			writes, err := lost.Writes(lost.At{}, "", &cmd)
			if err != nil {
				return err
			}
			l.mu.Lock()
			for i := range writes {
				l.kept[writes[i].Key] = true
			}
			l.mu.Unlock()
		}
	}
	return nil
}

// finish looks for every acknowledged write.
func (l *async) finish() error {
	rng := rand.New(rand.NewPCG(l.w.seed, 1799))
	there := map[string]bool{}
	err := retry(func() error { return l.scan(rng, there) })
	if err != nil {
		return fmt.Errorf("cannot read the async table: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.acked {
		switch {
		case there[a.key]:
		case a.level > model.LevelAsync:
			l.failures = append(l.failures, fmt.Sprintf("%s was acknowledged at level %v and is lost", a.key, a.level))
		case !l.kept[keys.ItemString(keys.AppendValue(nil, text(a.key)))]:
			l.failures = append(l.failures, fmt.Sprintf("%s was acknowledged at level async and is lost, and no node has kept it", a.key))
		}
	}
	return nil
}

// scan notes the keys of all items.
func (l *async) scan(rng *rand.Rand, there map[string]bool) error {
	node := l.w.anyNode(rng)
	if node == nil {
		return model.Errorf(model.ErrUnavailable, "every node is down")
	}
	ctx, cancel := contextFor(10 * time.Second)
	defer cancel()
	for start := model.Item(nil); ; {
		page, err := node.service.Scan(ctx, &service.ScanRequest{Table: asyncTable, Strong: true, StartKey: start})
		if err != nil {
			return err
		}
		for _, item := range page.Items {
			key, _ := item.Get("id")
			there[key.Str] = true
		}
		if start = page.LastKey; start == nil {
			return nil
		}
	}
}

func (l *async) fail(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.failures) < 10 {
		l.failures = append(l.failures, fmt.Sprintf(format, args...))
	}
}

func (l *async) check() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failures
}

func (l *async) report(r *Report) { r.Async, r.AsyncLost = l.early, l.lost }
