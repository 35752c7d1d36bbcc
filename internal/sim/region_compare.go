package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/machine"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/region"
)

// compareMeanwhile compares the sides of links one after the other while
// everything goes on and goes wrong. What is on its way, or comes twice, or moved
// to the other region meanwhile, must not be taken for a difference.
func (r *regionRun) compareMeanwhile(seed uint64, stop <-chan struct{}) {
	rng := rand.New(rand.NewPCG(seed, 700))
	for !closed(stop) {
		time.Sleep(time.Second + time.Duration(rng.IntN(int(4*time.Second))))
		live := r.worlds[rng.IntN(len(r.worlds))].anyNode(rng)
		if live == nil {
			continue
		}
		ctx, cancel := contextFor(time.Minute)
		links, err := live.regions.List(ctx)
		if err == nil && len(links) > 0 {
			name := links[rng.IntN(len(links))].Name
			v, ended := verification(ctx, live.regions, name, false)
			if ended && v.Err == "" {
				r.report.Meanwhile++
			}
			if v.Found > 0 {
				r.report.Failures = append(r.report.Failures, fmt.Sprintf("%s: what is on its way is taken for a difference: %+v", name, v))
			}
		}
		cancel()
	}
}

// verification compares a link's sides to the end, or as far as it came.
func verification(ctx context.Context, engine *region.Engine, name string, repair bool) (v region.Verification, ended bool) {
	if err := engine.Verify(ctx, name, repair); err != nil {
		return v, false
	}
	for v.Ended.IsZero() && ctx.Err() == nil {
		time.Sleep(100 * time.Millisecond)
		now, err := engine.Verified(ctx, name)
		if err != nil {
			return v, false
		}
		v = now
	}
	return v, !v.Ended.IsZero()
}

// damage changes what a passive region has stored of queues and streams, past the
// log and on all of its nodes, as a bug would have. The link from where the writes
// are has to find just that, and to mend it.
func (r *regionRun) damage(seed uint64) error {
	rng := rand.New(rand.NewPCG(seed, 701))
	for _, w := range r.worlds {
		engine := w.nodes[0].live.regions
		ctx, cancel := contextFor(10 * time.Minute)
		defer cancel()
		links, err := engine.List(ctx)
		if err != nil {
			return err
		}
		for _, l := range links {
			if v, _ := verification(ctx, engine, l.Name, false); v.Queues == 0 {
				continue // this region has the copies
			}
			at := slices.IndexFunc(r.worlds, func(o *world) bool { return o.nodes[0].live.node.Catalog().Region() == l.Spec.Region })
			planted := 0
			for _, unit := range []struct {
				kind model.ResourceKind
				name string
			}{{model.KindQueue, unitQueue}, {model.KindQueue, unitFifo}, {model.KindStream, unitStream}} {
				n, err := r.worlds[at].spoil(rng, unit.kind, unit.name)
				if err != nil {
					return err
				}
				planted += n
			}
			r.report.Damaged += planted
			for n, want := range []int{planted, planted, 0} {
				v, ended := verification(ctx, engine, l.Name, n == 1)
				if !ended || v.Err != "" || v.Found != want || n == 1 && v.Repaired != want || v.Unsettled != 0 {
					v.Differences = v.Differences[:min(len(v.Differences), 3)]
					return fmt.Errorf("%s: %d differences were made and the %d. comparison says %+v", l.Name, planted, n+1, v)
				}
			}
		}
	}
	return nil
}

// spoil removes, changes and adds some messages or records in a region, and says
// how many.
func (w *world) spoil(rng *rand.Rand, kind model.ResourceKind, name string) (n int, err error) {
	r, ok := w.nodes[0].live.node.Catalog().Resource(kind, name)
	if !ok {
		return 0, nil
	}
	lo, hi := keys.ResourceAll(r.ID)
	it, err := w.nodes[0].live.db.View().Scan(lo, hi, false)
	if err != nil {
		return 0, err
	}
	var all []func(machine.Writer)
	for it.Next() {
		_, _, typ, _, ok := keys.SplitData(it.Key())
		message := kind == model.KindQueue && typ == 'm'
		if !ok || !message && !(kind == model.KindStream && typ == 'B') || rng.IntN(3) > 0 {
			continue
		}
		key, value := slices.Clone(it.Key()), slices.Clone(it.Value())
		switch {
		case rng.IntN(2) == 0:
			all = append(all, func(b machine.Writer) { b.Delete(key) })
		case rng.IntN(2) == 0 && message: // one that nobody sent
			key[len(key)-1]++
			all = append(all, func(b machine.Writer) { b.Set(key, value) })
		default:
			value[len(value)-1] ^= 1
			all = append(all, func(b machine.Writer) { b.Set(key, value) })
		}
	}
	if err := it.Close(); err != nil {
		return 0, err
	}
	for _, room := range w.nodes {
		b := room.live.db.NewBatch()
		for _, change := range all {
			change(b)
		}
		if err := b.Commit(); err != nil {
			return 0, err
		}
		b.Close()
	}
	return len(all), nil
}
