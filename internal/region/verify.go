package region

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// A comparison finds where the two sides of a link differ, while both are
// written: sums over ranges of slots say where to look, lists of keys with sums
// which keys differ now. Most of these are changes on their way. So each is
// looked at again after both links have shipped everything that was there at
// the first look: if neither side's version has changed meanwhile, each side
// has heard of the other's write and kept its own, which is a difference.

// Difference is a key that the two sides of a link hold different things under.
type Difference struct {
	Table       string
	Key         string // as keys.ItemString prints it
	What        string // missing there, missing here, or differs
	Here, There model.Version
	Repaired    bool
}

// Verification is what a comparison found.
type Verification struct {
	Started, Ended time.Time // Ended is zero while it runs
	Tables         int       // compared so far
	Items          uint64    // that were read here so far
	Found          int       // differences
	Repaired       int       // of them
	Unsettled      int       // keys that changed at every look, or came by way of a third region: nothing can be said of them
	Differences    []Difference
	Err            string // why it ended early
}

const (
	// maxDifferences bounds those that are listed; the rest is counted.
	maxDifferences = 1000
	// maxSuspects bounds the keys that are looked at together: their items are in
	// memory.
	maxSuspects = 64
	// maxLooks is how often a key that changes is looked at again.
	maxLooks = 5
	// maxDrain is how long the links may take to ship what was there at a look.
	maxDrain = 2 * time.Minute
	// drainPause is between two looks.
	drainPause = 20 * time.Millisecond
	// verifyWays is how many ranges are compared at a time: between regions that are
	// far apart a round trip takes much longer than reading a range.
	verifyWays = 8
	// verifyPause lets others work between two requests of a comparison.
	verifyPause = 2 * time.Millisecond
	// DefaultVerifyEvery is how often a link's sides are compared.
	DefaultVerifyEvery = 24 * time.Hour
)

// verifying is a comparison under way.
type verifying struct {
	engine *Engine
	link   *model.Resource
	spec   model.LinkSpec
	filter filter
	repair bool
	result *Verification // guarded by the engine's mutex

	settling chan struct{} // full while somebody uses what follows
	suspects [][]byte      // keys that seem to differ and were not looked at yet
}

// Verify begins to compare the two sides of a link, and with repair to mend what
// differs; Verified tells how it goes. One that runs already is left alone.
// Errors: ErrNotFound, ErrValidation for links that do not ship now.
func (e *Engine) Verify(ctx context.Context, name string, repair bool) error {
	r, err := e.service.GetTied(ctx, model.KindLink, name)
	if err != nil {
		return err
	}
	v := &verifying{engine: e, link: r, repair: repair, result: &Verification{Started: e.clock.Now()}, settling: make(chan struct{}, 1)}
	if v.spec, err = decodeLink(r); err != nil {
		return err
	}
	if v.filter, err = newFilter(&v.spec); err != nil {
		return err
	}
	if v.spec.Paused || v.spec.Held || v.spec.Mode == model.LinkManual {
		return model.Errorf(model.ErrValidation, "the link %s does not ship by itself now: its sides are not expected to be equal", name)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ctx.Err() != nil {
		return model.Errorf(model.ErrUnavailable, "the node is stopping")
	}
	if last := e.verified[r.ID]; last != nil && last.Ended.IsZero() {
		return nil
	}
	e.verified[r.ID] = v.result
	e.tasks.Go(v.run)
	return nil
}

// Verified is the last comparison that this node made of a link, or makes.
// Errors: ErrNotFound.
func (e *Engine) Verified(ctx context.Context, name string) (Verification, error) {
	r, err := e.service.GetTied(ctx, model.KindLink, name)
	if err != nil {
		return Verification{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	v := e.verified[r.ID]
	if v == nil {
		return Verification{}, model.Errorf(model.ErrNotFound, "this node has not compared the sides of %s", name)
	}
	found := *v
	found.Differences = slices.Clone(v.Differences)
	return found, nil
}

// note changes the result.
func (v *verifying) note(change func(r *Verification)) {
	v.engine.mu.Lock()
	defer v.engine.mu.Unlock()
	change(v.result)
}

func (v *verifying) run() {
	e := v.engine
	err := v.tables(e.ctx)
	var found int
	v.note(func(r *Verification) {
		r.Ended = e.clock.Now()
		if err != nil {
			r.Err = err.Error()
		}
		found = r.Found - r.Repaired
	})
	if err != nil {
		e.log.Warn("cannot compare the sides of a link", "link", v.link.Name, "error", err)
		return
	}
	if found > 0 {
		e.log.Error("the sides of a link differ; weir region verify shows where, --repair mends it", "link", v.link.Name, "differences", found)
	}
	err = e.service.UpdateLink(e.ctx, v.link.Name, func(s *model.LinkSpec) error {
		s.VerifiedMs, s.Differences = e.clock.Now().UnixMilli(), uint64(found)
		return nil
	})
	if err != nil {
		e.log.Warn("cannot note that the sides of a link were compared", "link", v.link.Name, "error", err)
	}
}

func (v *verifying) tables(ctx context.Context) error {
	c := v.engine.cluster.Catalog()
	for r := range c.Resources.Of(model.KindTable) {
		if !selects(v.spec.Tables, r.Name) {
			continue
		}
		if err := v.table(ctx, r); err != nil {
			return fmt.Errorf("cannot compare %s: %w", r.Name, err)
		}
		v.note(func(r *Verification) { r.Tables++ })
	}
	return nil
}

// table compares all slots of a table, in several ways: each takes every
// verifyWays-th range. The first error ends all.
func (v *verifying) table(ctx context.Context, table *model.Resource) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var ways sync.WaitGroup
	for way := range uint32(verifyWays) {
		ways.Go(func() {
			for lo := way * digestSlots; lo < model.SlotCount && v.engine.sleep(ctx, verifyPause); lo += verifyWays * digestSlots {
				suspects, err := v.compare(ctx, table, lo)
				if err == nil {
					err = v.suspect(ctx, table, suspects, maxSuspects)
				}
				if err != nil {
					cancel(err)
				}
			}
		})
	}
	ways.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return v.suspect(ctx, table, nil, 1)
}

// suspect notes keys that seem to differ, and looks at them once there are at
// least so many.
func (v *verifying) suspect(ctx context.Context, table *model.Resource, keys [][]byte, least int) error {
	select {
	case v.settling <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-v.settling }()
	v.suspects = append(v.suspects, keys...)
	for len(v.suspects) >= least {
		n := min(len(v.suspects), maxSuspects)
		if err := v.settle(ctx, table, v.suspects[:n:n]); err != nil {
			return err
		}
		v.suspects = v.suspects[n:]
	}
	return nil
}

// compare compares the slots from lo on, and returns the keys that seem to
// differ.
func (v *verifying) compare(ctx context.Context, table *model.Resource, lo uint32) (suspects [][]byte, err error) {
	r := ranged{Table: table.Name, Lo: lo, Hi: lo + digestSlots, Width: digestWidth}
	here, err := v.engine.sums(ctx, table.ID, &r, v.filter.encoded())
	if err != nil {
		return nil, err
	}
	v.note(func(r *Verification) { r.Items += here.Items })
	there, err := v.ask(ctx, OpDigest, &r)
	if err != nil {
		return nil, err
	}
	if len(there.Sums) != len(here.Sums) {
		return nil, model.Errorf(model.ErrInternal, "the other region sums otherwise: it may be of another version")
	}
	for i := range here.Sums {
		if here.Sums[i] == there.Sums[i] {
			continue
		}
		leaf := ranged{Table: table.Name, Lo: lo + uint32(i)*digestWidth, Hi: lo + uint32(i+1)*digestWidth, Width: digestWidth}
		differing, err := v.leaf(ctx, table, &leaf)
		if err != nil {
			return nil, err
		}
		suspects = append(suspects, differing...)
	}
	return suspects, nil
}

func (v *verifying) ask(ctx context.Context, op Op, r *ranged) (res model.DigestResult, err error) {
	raw, err := v.engine.call(ctx, v.link.ID, &v.spec, op, r.Append(nil))
	if err != nil {
		return res, err
	}
	return res, decode(raw, &res)
}

// leaf compares the keys of some slots, and returns those that differ now.
func (v *verifying) leaf(ctx context.Context, table *model.Resource, r *ranged) ([][]byte, error) {
	here, err := allKeys(r, func(r *ranged) (model.DigestResult, error) {
		return v.engine.keySums(ctx, table.ID, r, v.filter.encoded())
	})
	if err != nil {
		return nil, err
	}
	there, err := allKeys(r, func(r *ranged) (model.DigestResult, error) { return v.ask(ctx, OpSums, r) })
	if err != nil {
		return nil, err
	}
	return unequal(here, there), nil
}

func allKeys(r *ranged, ask func(*ranged) (model.DigestResult, error)) (all []model.KeySum, err error) {
	for page := *r; ; {
		res, err := ask(&page)
		if err != nil {
			return nil, err
		}
		all = append(all, res.Keys...)
		if page.After = res.Last; len(page.After) == 0 {
			return all, nil
		}
	}
}

// unequal are the keys that are in one list only, or with other sums.
func unequal(a, b []model.KeySum) (differing [][]byte) {
	sums := map[string]model.Sum{} // finds; never ranged over
	for i := range b {
		sums[string(b[i].Key)] = b[i].Sum
	}
	for i := range a {
		if sum, ok := sums[string(a[i].Key)]; !ok || sum != a[i].Sum {
			differing = append(differing, a[i].Key)
		}
		delete(sums, string(a[i].Key))
	}
	for i := range b {
		if _, left := sums[string(b[i].Key)]; left {
			differing = append(differing, b[i].Key)
		}
	}
	return differing
}

// pair is what both sides have under a key.
type pair struct {
	key         []byte
	here, there *model.Change // nil: not even a tombstone
}

// look reads what both sides have now.
func (v *verifying) look(ctx context.Context, table *model.Resource, keys [][]byte) (pairs []pair, err error) {
	for part := range slices.Chunk(keys, maxFetched) {
		some, err := v.lookAt(ctx, table, part)
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, some...)
	}
	return pairs, nil
}

func (v *verifying) lookAt(ctx context.Context, table *model.Resource, keys [][]byte) ([]pair, error) {
	here, err := v.engine.fetch(ctx, table.ID, keys)
	if err != nil {
		return nil, err
	}
	req := fetchRequest{Table: table.Name, Keys: keys}
	raw, err := v.engine.call(ctx, v.link.ID, &v.spec, OpFetch, req.Append(nil))
	if err != nil {
		return nil, err
	}
	var there records
	if err := decode(raw, &there); err != nil {
		return nil, err
	}
	pairs := make([]pair, 0, len(keys))
	for _, key := range keys {
		pairs = append(pairs, pair{key, find(here, key), find(there, key)})
	}
	return pairs, nil
}

func find(all records, key []byte) *model.Change {
	for i := range all {
		if bytes.Equal(all[i].Key, key) {
			return &all[i]
		}
	}
	return nil
}

// differ reports whether two sides show a client different things.
func (v *verifying) differ(p *pair) (bool, error) {
	hasHere, hasThere := p.here != nil && !p.here.Delete, p.there != nil && !p.there.Delete
	if hasHere {
		var err error
		if hasHere, err = v.filter.takes(p.here.Item); err != nil {
			return false, err
		}
	}
	return hasHere != hasThere || hasHere && !bytes.Equal(p.here.Item, p.there.Item), nil
}

func versionOf(c *model.Change) model.Version {
	if c == nil {
		return model.Version{}
	}
	return c.Version
}

// unchanged reports whether a side has heard of no other write between two
// looks.
func unchanged(a, b *model.Change) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Version == b.Version && slices.Equal(a.History, b.History)
}

// newest is the latest stamp that either side names.
func (p *pair) newest() (s model.Stamp) {
	for _, c := range []*model.Change{p.here, p.there} {
		if c != nil {
			s = max(s, c.Newest())
		}
	}
	return s
}

// settle looks at keys that seem to differ until it is known of each whether it
// does.
func (v *verifying) settle(ctx context.Context, table *model.Resource, keys [][]byte) error {
	before, err := v.look(ctx, table, keys)
	if err != nil {
		return err
	}
	for range maxLooks {
		there, err := v.drain(ctx)
		if err != nil {
			return err
		}
		after, err := v.look(ctx, table, keys)
		if err != nil {
			return err
		}
		keys = nil
		var moving []pair
		for i := range after {
			p, was := &after[i], &before[i]
			differs, err := v.differ(p)
			switch {
			case err != nil:
				return err
			case !differs:
			case unchanged(p.here, was.here) && unchanged(p.there, was.there):
				if there.Elsewhere && versionOf(p.there).Compare(versionOf(p.here)) > 0 {
					v.note(func(r *Verification) { r.Unsettled++ }) // in a ring it may be on its way
				} else if err := v.found(ctx, table, p, there.Back); err != nil {
					return err
				}
			default:
				keys, moving = append(keys, p.key), append(moving, *p)
			}
		}
		if before = moving; len(moving) == 0 {
			return nil
		}
	}
	v.note(func(r *Verification) { r.Unsettled += len(before) })
	return nil
}

// drain waits until both links have shipped what there is now.
func (v *verifying) drain(ctx context.Context) (*drainedAnswer, error) {
	e := v.engine
	ours, err := e.lastNumbers(ctx, v.link.ID)
	if err != nil {
		return nil, err
	}
	theirs, err := v.askDrained(ctx, nil)
	if err != nil {
		return nil, err
	}
	for end := e.clock.Now().Add(maxDrain); e.clock.Now().Before(end); {
		shipped, err := e.shippedUpTo(ctx, v.link.ID, ours)
		if err != nil {
			return nil, err
		}
		if shipped && !theirs.Done {
			if theirs, err = v.askDrained(ctx, theirs); err != nil {
				return nil, err
			}
		}
		if shipped && theirs.Done {
			return theirs, nil
		}
		if !e.sleep(ctx, drainPause) {
			return nil, ctx.Err()
		}
	}
	return nil, model.Errorf(model.ErrUnavailable, "the links lag more than %v: what is on its way cannot be told from what differs", maxDrain)
}

func (v *verifying) askDrained(ctx context.Context, last *drainedAnswer) (*drainedAnswer, error) {
	var body []byte
	if last != nil {
		body = last.Append(nil)
	}
	raw, err := v.engine.call(ctx, v.link.ID, &v.spec, OpDrained, body)
	if err != nil {
		return nil, err
	}
	a := &drainedAnswer{}
	return a, decode(raw, a)
}

// found notes a difference, and mends it when that was asked for.
func (v *verifying) found(ctx context.Context, table *model.Resource, p *pair, back bool) error {
	d := Difference{Table: table.Name, Key: keys.ItemString(p.key), What: "differs", Here: versionOf(p.here), There: versionOf(p.there)}
	switch {
	case p.there == nil || p.there.Delete:
		d.What = "missing there"
	case p.here == nil || p.here.Delete:
		d.What = "missing here"
	}
	if v.repair {
		var err error
		if d.Repaired, err = v.mend(ctx, table, p, back); err != nil {
			return err
		}
	}
	v.note(func(r *Verification) {
		r.Found++
		if d.Repaired {
			r.Repaired++
		}
		if len(r.Differences) < maxDifferences {
			r.Differences = append(r.Differences, d)
		}
	})
	return nil
}

// verifyLook is how often a link's schedule is looked at.
const verifyLook = time.Minute

// verify compares the sides of a link when that is due.
func (r *rounds) verify(ctx context.Context, link model.ResourceID) {
	e := r.engine
	for e.sleep(ctx, verifyLook) {
		res, ok := e.cluster.Catalog().ResourceByID(link)
		if !ok {
			continue
		}
		spec, err := decodeLink(res)
		if err != nil || spec.VerifySeconds == 0 || spec.Mode == model.LinkManual {
			continue
		}
		last := time.UnixMilli(max(spec.VerifiedMs, spec.CreatedMs))
		if e.clock.Now().Sub(last) < time.Duration(spec.VerifySeconds)*time.Second {
			continue
		}
		if err := e.Verify(ctx, res.Name, false); err != nil && ctx.Err() == nil {
			e.log.Warn("cannot compare the sides of a link", "link", res.Name, "error", err)
		}
	}
}
