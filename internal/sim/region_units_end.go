package sim

import (
	"context"
	"fmt"
	"time"

	"weir.dev/weir/internal/region"
)

// forceUnits has a region take the writes by force while the others hold nothing
// back and have copied everything: what one more takeover loses then is known.
// It waits until the old one has heard of it, and lets it ship what it held. It
// reports whether the region has the writes.
func (r *regionRun) forceUnits(ctx context.Context, w *world, engine *region.Engine, name string) bool {
	then, arrived := r.units.group.committed(), true
	for _, w := range r.worlds {
		live := w.anyNode(r.rng)
		if live == nil {
			return false
		}
		links, err := live.regions.List(ctx)
		if err != nil {
			return false
		}
		for _, l := range links {
			if l.Spec.Held || l.Copying > 0 {
				return false
			}
			arrived = arrived && l.LagChanges == 0
		}
	}
	if arrived {
		r.units.group.arrived(then)
	}
	from := 1 - r.indexOf(w)
	r.units.force(from)
	r.units.moving(from)
	defer r.units.moving(from)
	if _, err := engine.ForceOver(ctx, name, false); err != nil {
		return false
	}
	r.report.Forced++
	for range 60 {
		time.Sleep(time.Second + time.Duration(r.rng.IntN(1000)))
		if r.rejoinHeld() {
			break
		}
	}
	return true
}

// rejoinHeld lets links ship what they hold, and reports whether there was any.
func (r *regionRun) rejoinHeld() (any bool) {
	for _, w := range r.worlds {
		live := w.anyNode(r.rng)
		if live == nil {
			continue
		}
		ctx, cancel := contextFor(10 * time.Second)
		links, err := live.regions.List(ctx)
		for i := 0; err == nil && i < len(links); i++ {
			if links[i].Spec.Held && live.regions.Rejoin(ctx, links[i].Name) == nil {
				any = true
			}
		}
		cancel()
	}
	return any
}

// finishUnits gives the writes to one region, whichever had them, and checks
// what it and the others hold.
func (r *regionRun) finishUnits() error {
	r.units.moving(-1) // from whichever region has them
	engine := r.worlds[0].nodes[0].live.regions
	var last error
	for range 60 {
		ctx, cancel := contextFor(40 * time.Second)
		links, err := engine.List(ctx)
		if last = err; err == nil && len(links) > 0 {
			_, last = engine.FailOver(ctx, links[0].Name)
		}
		cancel()
		if last == nil {
			break
		}
		time.Sleep(time.Second + time.Duration(r.rng.IntN(1000)))
	}
	if last != nil {
		return fmt.Errorf("cannot give the writes to one region: %w", last)
	}
	r.units.moving(-1)
	failures := r.units.finish()
	if err := r.drain(); err != nil {
		return err
	}
	r.report.Failures = append(r.report.Failures, failures...)
	r.report.Messages, r.report.Records = len(r.units.messages.sent), len(r.units.put)
	r.report.Commits, r.report.ReadAgain = r.units.group.history.counts, r.units.group.history.again
	return nil
}
