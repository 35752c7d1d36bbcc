package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sort"
	"strings"
	"sync"
	"time"

	"weir.dev/weir/internal/machine"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/region"
	"weir.dev/weir/internal/service"
)

// regionLoad writes and deletes items in all regions: keys that one client
// alone writes, whose end must be its last word, and keys that all write.
type regionLoad struct {
	seed    uint64
	worlds  []*world
	writers int // in each region

	mu   sync.Mutex // guards what follows
	ops  []regionOp
	seen []regionSight
}

const (
	regionTable   = "shared"
	regionWriters = 2 // in each region
	regionOwn     = 3 // keys of each writer's own
	regionCommon  = 3 // keys that all write
)

// regionOp is a write that may have taken effect.
type regionOp struct {
	client  int
	number  int // grows with each op of the client
	key     string
	value   string // "" for a delete
	unknown bool   // it may take effect at any time, or never
}

// regionSight is what a strong read in a region found under a writer's own key.
type regionSight struct {
	region int
	key    string
	number int // of the op that wrote it; 0 for none
}

func newRegionLoad(seed uint64, worlds []*world) *regionLoad {
	return &regionLoad{seed: seed, worlds: worlds, writers: regionWriters}
}

func (l *regionLoad) clients() int { return len(l.worlds) * (l.writers + 1) }

// client runs one client: the first of each region reads, the others write.
func (l *regionLoad) client(id int, stop <-chan struct{}) {
	w := l.worlds[id%len(l.worlds)]
	rng := rand.New(rand.NewPCG(l.seed, 500+uint64(id)))
	if id < len(l.worlds) {
		l.watch(id, w, rng, stop)
		return
	}
	for n := 1; !closed(stop); n++ {
		pause(rng, 150*time.Millisecond)
		op := regionOp{client: id, number: n, key: fmt.Sprintf("own-%d-%d", id, rng.IntN(regionOwn))}
		if rng.IntN(2) == 0 {
			op.key = fmt.Sprint("common-", rng.IntN(regionCommon))
		}
		if rng.IntN(3) > 0 {
			op.value = fmt.Sprintf("%d/%d", id, n)
		}
		err := l.write(w, rng, &op)
		var known *model.Error
		if errors.As(err, &known) && known.Kind == model.ErrUnavailable {
			continue // surely not carried out
		}
		op.unknown = err != nil
		l.mu.Lock()
		l.ops = append(l.ops, op)
		l.mu.Unlock()
		if op.unknown && (known == nil || known.Kind != model.ErrNotAbroad) {
			// What is under way must be over before the next word about the key.
			time.Sleep(20*time.Second + time.Duration(rng.IntN(1000)))
		}
	}
}

func (l *regionLoad) write(w *world, rng *rand.Rand, op *regionOp) error {
	live := w.anyNode(rng)
	if live == nil {
		return model.Errorf(model.ErrUnavailable, "every node is down")
	}
	ctx, cancel := contextFor(9*time.Second + time.Duration(rng.IntN(int(time.Millisecond))))
	defer cancel()
	id := model.Attr{Name: "id", Value: text(op.key)}
	invocation := randomID(rng)
	if op.value == "" {
		_, err := live.service.DeleteItem(ctx, &service.DeleteItemRequest{Invocation: invocation, Table: regionTable, Key: model.Item{id}})
		return err
	}
	item := model.Item{id, {Name: "v", Value: text(op.value)}}
	_, err := live.service.PutItem(ctx, &service.PutItemRequest{Invocation: invocation, Table: regionTable, Item: item})
	return err
}

// watch reads the writers' own keys in one region.
func (l *regionLoad) watch(at int, w *world, rng *rand.Rand, stop <-chan struct{}) {
	for !closed(stop) {
		pause(rng, 100*time.Millisecond)
		live := w.anyNode(rng)
		if live == nil {
			continue
		}
		client := len(l.worlds) + rng.IntN(l.clients()-len(l.worlds))
		key := fmt.Sprintf("own-%d-%d", client, rng.IntN(regionOwn))
		ctx, cancel := contextFor(4*time.Second + time.Duration(rng.IntN(int(time.Millisecond))))
		got, err := live.service.GetItem(ctx, &service.GetItemRequest{Table: regionTable, Key: model.Item{{Name: "id", Value: text(key)}}, Strong: true})
		cancel()
		if err != nil {
			continue
		}
		sight := regionSight{region: at, key: key}
		if v, ok := got.Item.Get("v"); ok {
			_, sight.number = parseRegionValue(v.Str)
		}
		l.mu.Lock()
		l.seen = append(l.seen, sight)
		l.mu.Unlock()
	}
}

func parseRegionValue(v string) (client, number int) {
	_, _ = fmt.Sscanf(v, "%d/%d", &client, &number) // the values are our own
	return client, number
}

// content is what a region's table holds, by key.
func content(w *world) (map[string]string, error) {
	all := map[string]string{}
	return all, retry(func() error {
		clear(all)
		ctx, cancel := contextFor(10 * time.Second)
		defer cancel()
		page, err := w.nodes[0].live.service.Scan(ctx, &service.ScanRequest{Table: regionTable, Strong: true})
		if err != nil {
			return err
		}
		for _, item := range page.Items {
			id, _ := item.Get("id")
			v, _ := item.Get("v")
			all[id.Str] = v.Str
		}
		return nil
	})
}

func (l *regionLoad) counts() (writes, unknown, reads int) {
	for _, op := range l.ops {
		writes++
		if op.unknown {
			unknown++
		}
	}
	return writes, unknown, len(l.seen)
}

// checkConvergence holds all regions to the same items.
func checkConvergence(ends []map[string]string) (failures []string) {
	for i := 1; i < len(ends); i++ {
		if a, b := fmt.Sprint(ends[0]), fmt.Sprint(ends[i]); a != b {
			failures = append(failures, fmt.Sprintf("regions 0 and %d differ:\n%s\n%s", i, a, b))
		}
	}
	return failures
}

// checkEnd holds the end to the writes: what an item holds was written, and was
// not followed by another word of the same client that was acknowledged; and
// what is not there was deleted, or never written. For a key that one client
// alone writes this leaves its last word only: nothing is lost, and nothing
// that was deleted comes back.
func checkEnd(end map[string]string, ops []regionOp) (failures []string) {
	byKey := map[string][]regionOp{}
	for _, op := range ops {
		byKey[op.key] = append(byKey[op.key], op)
	}
	var names []string
	for key := range byKey {
		names = append(names, key)
	}
	for key := range end {
		if byKey[key] == nil {
			failures = append(failures, fmt.Sprintf("%s was never written and holds %q", key, end[key]))
		}
	}
	sort.Strings(failures)
	sort.Strings(names)
	for _, key := range names {
		if !explained(end[key], byKey[key]) {
			failures = append(failures, fmt.Sprintf("%s ends as %q, which was overwritten or deleted: %s", key, end[key], lastWords(byKey[key])))
		}
	}
	return failures
}

// explained reports whether some write may have been the last one of its key and
// left that value.
func explained(value string, ops []regionOp) bool {
	acknowledged := false
	for i, op := range ops {
		acknowledged = acknowledged || !op.unknown
		if op.value != value {
			continue
		}
		final := true
		for _, later := range ops[i+1:] {
			if later.client == op.client && !later.unknown {
				final = false
			}
		}
		if final {
			return true
		}
	}
	return value == "" && !acknowledged // nothing ever took effect
}

func lastWords(ops []regionOp) string {
	last := map[int]regionOp{}
	var clients []int
	for _, op := range ops {
		if _, ok := last[op.client]; !ok {
			clients = append(clients, op.client)
		}
		last[op.client] = op
	}
	sort.Ints(clients)
	var words []string
	for _, c := range clients {
		words = append(words, fmt.Sprintf("client %d last wrote %q as its %d.", c, last[c].value, last[c].number))
	}
	return strings.Join(words, ", ")
}

// checkOrder holds what was seen of a key in one region to the order in which it
// was written.
func checkOrder(seen []regionSight) (failures []string) {
	type where struct {
		region int
		key    string
	}
	last := map[where]int{}
	for _, s := range seen {
		at := where{s.region, s.key}
		if s.number == 0 {
			continue // deleted: which delete it was is not to be seen
		}
		if s.number < last[at] {
			failures = append(failures, fmt.Sprintf("region %d showed write %d of %s after write %d", s.region, s.number, s.key, last[at]))
		}
		last[at] = s.number
	}
	return failures
}

// settle waits until no region has a tombstone.
func (r *regionRun) settle() {
	left := -1
	for range 60 {
		left = 0
		for _, w := range r.worlds {
			left += tombstones(w)
		}
		if left == 0 {
			r.report.Swept = len(r.worlds)
			return
		}
		time.Sleep(10 * time.Second)
	}
	r.report.Failures = append(r.report.Failures, fmt.Sprintf("%d tombstones are left long after all regions had them", left))
}

// tombstones counts them in a region, in what its first node has.
func tombstones(w *world) (n int) {
	live := w.nodes[0].live
	r, ok := live.node.Catalog().Resource(model.KindTable, regionTable)
	if !ok {
		return 0
	}
	q := model.CopyQuery{HiSlot: model.SlotCount, MaxBytes: 1 << 30}
	res, err := machine.Query(live.db.View(), &model.Query{Kind: model.QueryCopy, Resource: r.ID, Body: q.Append(nil)})
	if err != nil {
		return 1
	}
	var page model.CopyResult
	d := model.NewDecoder(res.Body)
	page.Decode(d)
	for i := range page.Changes {
		if page.Changes[i].Delete {
			n++
		}
	}
	return n
}

// conflicts is how many conflicts a region has counted.
func (r *regionRun) conflicts(w *world) (uint64, error) {
	ctx, cancel := contextFor(30 * time.Second)
	defer cancel()
	return w.nodes[0].live.regions.EachConflict(ctx, func(*region.KeptConflict) error { return nil })
}
